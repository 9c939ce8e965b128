"""Datasets and the tasks on them, one file each: the folder is the list. Shared parts live in its packages."""
