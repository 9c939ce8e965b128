"""Import and validate weights from outside: read in a child process, detect the encoder, refuse partial loads."""
