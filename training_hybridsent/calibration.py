"""Temperature scaling of the decision.

Source: Guo, Pleiss, Sun, Weinberger, "On Calibration of Modern Neural Networks", ICML 2017.
"""

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax

from training_hybridsent.data import NO_LABEL

BOUNDS = (0.05, 20.0)


def fit_temperature(logits: np.ndarray, labels: np.ndarray) -> float:
    """Find the temperature with the least negative log likelihood.

    Args:
        logits: (posts, labels); on validation posts, not those of a test.
        labels: (posts,); -100 is left out.

    Returns:
        What to divide the logits by, within `BOUNDS`.
    """
    known = labels != NO_LABEL
    logits, labels = logits[known].astype(np.float64), labels[known]

    def negative_log_likelihood(log_temperature: float) -> float:
        scaled = log_softmax(logits / np.exp(log_temperature), axis=1)
        return -scaled[np.arange(len(labels)), labels].mean()

    found = minimize_scalar(negative_log_likelihood, bounds=np.log(BOUNDS), method="bounded")
    return float(np.exp(found.x))
