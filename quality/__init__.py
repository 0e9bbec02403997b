"""Checks of the code itself: sizes, oldest versions, mutation scores. Nothing here is installed."""
