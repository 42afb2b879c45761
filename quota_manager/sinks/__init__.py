"""Where the decided amounts are written to."""
