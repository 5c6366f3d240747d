"""Other samplers behind the same command, one per file."""
