"""Rules that weigh branches: QMF, PDF, one learned vector. For baselines and for our branches.

Sources: Zhang et al., "Provable Dynamic Fusion for Low-Quality Multimodal Data" (QMF), ICML 2023; Cao
et al., "Predictive Dynamic Fusion" (PDF), ICML 2024. The formulas are those of the papers, the code
is ours.
"""

import numpy as np
import torch
from scipy.optimize import minimize
from scipy.special import log_softmax

from hybridsent.evaluation.calibration import BranchAnswers
from hybridsent.training.collator import NO_LABEL

_LOWEST = torch.finfo(torch.float32).min


def qmf_weights(logits: torch.Tensor) -> torch.Tensor:
    """Weigh each branch by a tenth of its negative energy; the weights do not sum to 1.

    Args:
        logits: (batch, branches, labels).

    Returns:
        (batch, branches), without a gradient.
    """
    return torch.logsumexp(logits.detach().float(), dim=-1) / 10


def pdf_weights(
    confidence: torch.Tensor, logits: torch.Tensor, present: torch.Tensor, calibrated: bool
) -> torch.Tensor:
    """Weigh each branch by its own confidence and by how little the others are to be trusted.

    With loss l_b = -log c_b of confidence c_b: softmax over branches of c_b + (sum of the others' l) /
    (sum of all l). Calibrated, that sum is first multiplied by min(1, d_b / mean of the others' d),
    where d is how far the branch's distribution is from a uniform one, mean |p - 1 / labels|.

    Args:
        confidence: Estimated probability of the right label, (batch, branches), above 0.
        logits: (batch, branches, labels).
        present: Which branches a post has, (batch, branches).
        calibrated: Whether to use the distributions' distance from uniform, as at test time.

    Returns:
        (batch, branches); each row sums to 1 and is 0 where not present. Without a gradient.
    """
    confidence, logits = confidence.detach().float(), logits.detach().float()
    losses = -torch.log(confidence.clamp(1e-6, 1 - 1e-6)).masked_fill(~present, 0.0)
    total = losses.sum(dim=-1, keepdim=True)
    belief = confidence + (total - losses) / total.clamp(min=1e-6)
    if calibrated:
        distance = (torch.softmax(logits, dim=-1) - 1 / logits.shape[-1]).abs().mean(dim=-1)
        distance = distance.masked_fill(~present, 0.0)
        others = (present.sum(dim=-1, keepdim=True) - 1).clamp(min=1)
        mean = (distance.sum(dim=-1, keepdim=True) - distance) / others
        belief = belief * (distance / mean.clamp(min=1e-12)).clamp(max=1.0)
    return torch.softmax(belief.masked_fill(~present, _LOWEST), dim=-1)


def weigh_logits(
    weights: torch.Tensor, logits: torch.Tensor, present: torch.Tensor
) -> torch.Tensor:
    """Sum weighted logits of the branches that are present, as QMF and PDF do.

    Args:
        weights: (batch, branches).
        logits: (batch, branches, labels).
        present: (batch, branches).

    Returns:
        Log-probabilities, (batch, labels), float32.
    """
    weights = weights.masked_fill(~present, 0.0)[..., None]
    return torch.log_softmax((weights * logits.float()).sum(dim=1), dim=-1)


def weigh_probabilities(weights: np.ndarray, logits: np.ndarray, present: np.ndarray) -> np.ndarray:
    """Mix the distributions of the branches that are present.

    Args:
        weights: (posts, branches) or (branches,), not negative.
        logits: (posts, branches, labels).
        present: (posts, branches).

    Returns:
        Log-probabilities, (posts, labels).
    """
    return BranchAnswers(logits, np.where(present, weights, 0.0), dynamic=False).mixed()


def fit_global_weights(logits: np.ndarray, present: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Find the one vector of weights whose mixture has the least negative log likelihood.

    Args:
        logits: (posts, branches, labels), of validation posts.
        present: (posts, branches).
        labels: (posts,); -100 is left out.

    Returns:
        (branches,), summing to 1.
    """
    known = labels != NO_LABEL
    logits, present, labels = logits[known], present[known], labels[known]

    def negative_log_likelihood(scores: np.ndarray) -> float:
        mixed = weigh_probabilities(np.exp(log_softmax(scores)), logits, present)
        return -mixed[np.arange(len(labels)), labels].mean()

    found = minimize(negative_log_likelihood, np.zeros(logits.shape[1]), method="Nelder-Mead")
    return np.exp(log_softmax(found.x))


def mean_rule(logits: np.ndarray, present: np.ndarray) -> np.ndarray:
    """Average the log-probabilities of the branches that are present: log p, not normalised.

    Args:
        logits: (posts, branches, labels).
        present: (posts, branches).

    Returns:
        (posts, labels).
    """
    weights = present / present.sum(axis=1, keepdims=True)
    return (weights[..., None] * log_softmax(logits, axis=-1)).sum(axis=1)


def qmf_rule(logits: np.ndarray, present: np.ndarray) -> np.ndarray:
    """Apply QMF's weights to given branches: (posts, branches, labels) -> log p (posts, labels)."""
    branches, has = torch.from_numpy(logits), torch.from_numpy(present)
    return weigh_logits(qmf_weights(branches), branches, has).numpy()


def pdf_rule(logits: np.ndarray, present: np.ndarray) -> np.ndarray:
    """Apply PDF's weights to given branches: (posts, branches, labels) -> log p (posts, labels).

    The greatest probability stands for PDF's trained estimate of the right label's.
    """
    branches, has = torch.from_numpy(logits), torch.from_numpy(present)
    confidence = torch.softmax(branches.float(), dim=-1).amax(dim=-1)
    weights = pdf_weights(confidence, branches, has, calibrated=True)
    return weigh_logits(weights, branches, has).numpy()
