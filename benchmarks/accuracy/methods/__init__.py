"""The published methods, written from their papers over the encoders used here, and their list."""
