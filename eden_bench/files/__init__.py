"""Read and write files whole or not at all."""
