"""Parts of VICRegL alone: the three loss terms, and the matching of cells."""
