"""The published data sets: their readers, protocols and split ids."""
