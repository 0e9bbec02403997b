"""Warnings and progress bars of a million bad inputs help nobody."""

import logging
import warnings

import datasets
import transformers


def be_quiet() -> None:
    """Keep the libraries from telling of each input."""
    datasets.disable_progress_bars()
    transformers.utils.logging.disable_progress_bar()
    logging.disable(logging.CRITICAL)
    warnings.simplefilter("ignore")
