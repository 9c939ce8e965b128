"""The check of a machine and an installation: ``eden-bench doctor``."""

from eden_bench.doctor.checks import Check, examine, torch_build
from eden_bench.doctor.self_test import self_test

__all__ = ["Check", "examine", "self_test", "torch_build"]
