"""The baselines, one file each: the folder is the list."""
