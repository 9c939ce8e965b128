"""What VICRegL alone is made of: its three terms, and how cells are matched."""
