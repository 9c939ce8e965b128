"""Import and validate weights from outside: read in a child process, recognised, and never half loaded."""
