"""Warnings and progress bars of a million bad inputs help nobody."""

import logging
import sys
import warnings
from pathlib import Path

import datasets
import transformers

ROOT = Path(__file__).parents[1]
sys.path.append(str(ROOT / "tests"))  # for the tiny model and the fabricated sets that tests have


def be_quiet() -> None:
    """Keep the libraries from telling of each input."""
    datasets.disable_progress_bars()
    transformers.utils.logging.disable_progress_bar()
    logging.disable(logging.CRITICAL)
    warnings.simplefilter("ignore")
