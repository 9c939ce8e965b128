"""Parts of PCRL alone: mixing, transformations and cut-outs."""
