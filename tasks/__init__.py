"""Datasets and the tasks on them, one file each; the folder is the list. Shared parts are in its packages."""
