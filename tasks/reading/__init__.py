"""Reading files that nobody has checked: what the dataset readers share."""
