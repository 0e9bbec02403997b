"""Logistic regression over frozen encoders: a strong baseline, and what soft labels come from."""
