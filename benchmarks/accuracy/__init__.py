"""hybridsent beside related methods and its own ablations, under one protocol."""

# Written in every record. Raise it when folds, seeds, choices or scores change what a run gives:
# records of two protocols are never put into one table.
PROTOCOL = 2
