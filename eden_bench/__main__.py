"""``python -m eden_bench``: the same as ``eden-bench``."""

from eden_bench.cli import main

if __name__ == "__main__":
    main()
