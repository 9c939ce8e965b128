"""Parts of Adam-v2."""
