"""An example of a stranger's plugin package."""
