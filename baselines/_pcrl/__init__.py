"""What PCRL alone is made of: how images are mixed, moved and cut out of."""
