"""What writes the documents that are not written by hand."""
