"""Probes: what frozen features know of anatomy, scored against chance, floors and an oracle."""
