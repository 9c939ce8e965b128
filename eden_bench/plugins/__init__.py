"""Plugins: write a new one, validate it against its contract, detect name conflicts."""
