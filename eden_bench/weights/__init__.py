"""Weights from outside: read in a child process, recognised, checked for coverage, and never half loaded."""
