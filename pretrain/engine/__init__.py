"""The pretraining engine: stages, epochs, steps, validation, checkpoint and resume, several processes."""
