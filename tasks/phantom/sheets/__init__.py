"""Contact sheets of the phantom."""
