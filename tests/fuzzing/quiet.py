"""Warnings and progress bars of a million bad inputs help nobody."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import datasets
import transformers


@contextmanager
def quiet() -> Iterator[None]:
    """Keep the libraries from telling of each input."""
    datasets.disable_progress_bars()
    transformers.utils.logging.disable_progress_bar()
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(logging.NOTSET)
        transformers.utils.logging.enable_progress_bar()
        datasets.enable_progress_bars()
