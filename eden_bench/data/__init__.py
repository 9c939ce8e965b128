"""Find datasets, decode them once, and keep what was decoded."""
