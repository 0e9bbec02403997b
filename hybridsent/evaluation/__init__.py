"""Metrics, calibration, scores, figures and the report of a run."""
