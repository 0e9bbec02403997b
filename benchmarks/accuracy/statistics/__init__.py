"""Scores of runs, intervals and tests that know of duplicates and of folds."""
