"""Read and write files atomically: whole or not at all."""
