"""Pretraining: the engine, the parts that methods are composed of, and Adam."""
