"""Check that the built wheel works where it is installed."""
