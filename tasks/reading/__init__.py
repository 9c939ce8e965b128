"""Read and validate untrusted files: what the dataset readers share."""
