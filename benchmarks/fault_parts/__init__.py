"""Parts of benchmarks.faults."""
