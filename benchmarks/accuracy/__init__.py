"""hybridsent beside related methods and its own ablations, under one protocol."""
