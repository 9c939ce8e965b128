"""Parts that methods are composed of: teacher, queue, losses, batch-norm groups, masks."""
