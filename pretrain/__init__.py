"""The pretraining engine, the parts methods are built from, and Adam."""
