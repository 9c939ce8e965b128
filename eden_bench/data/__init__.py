"""Find and validate datasets, decode them once, and cache the pixels."""
