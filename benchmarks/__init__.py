"""Speed and size, side by side with peers: ``python -m benchmarks.NAME`` from the repository root."""
