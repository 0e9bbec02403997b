"""Which posts teach, which choose and which are scored."""
