"""The engine: stages, epochs, steps, resuming, several processes."""
