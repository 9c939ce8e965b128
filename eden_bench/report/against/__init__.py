"""A run beside published numbers or another results folder."""
