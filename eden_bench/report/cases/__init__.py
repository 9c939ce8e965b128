"""Cases of cells: read once, scored by patient, and resampled."""
