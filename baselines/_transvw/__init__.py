"""Parts of TransVW alone."""
