"""Statistics of scores, as pure functions of arrays: tests, effects, intervals, corrections, ranks."""
