"""Problem types: what the branches say, how it is mixed, what is learned and what is answered.

Single labels are the default; `config.problem_type` chooses, by the names that transformers gives them.
"""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

NO_LABEL = -100  # what the loss ignores


def log_sum_exp(values: Sequence[float]) -> float:
    """Return log sum exp(x) of some numbers."""
    greatest = max(values)
    return greatest + math.log(sum(math.exp(x - greatest) for x in values))


class SingleLabel:
    """One label a post: p = sum_b w_b softmax(branch_b), and the decision's logits are log p.

    Args:
        config: The configuration of the model; None where no tensor is computed.
    """

    name = "single_label_classification"

    def __init__(self, config: Any = None) -> None:
        self.config = config

    def rescale(self, logits: torch.Tensor) -> torch.Tensor:
        """Return what a classifier gives, (batch, num_labels), as logits of its branch."""
        return logits

    def say(self, logits: torch.Tensor) -> torch.Tensor:
        """Return what is mixed of the branches' logits, (batch, 3, num_labels), both float32."""
        return torch.log_softmax(logits, dim=-1)

    def tell_gate(self, said: torch.Tensor) -> torch.Tensor:
        """Return what the gate reads of the result of `say`, of the same shape."""
        return said.exp()

    def mix(self, log_weights: torch.Tensor, said: torch.Tensor) -> torch.Tensor:
        """Mix the branches: (batch, 3), (batch, 3, num_labels) -> logits (batch, num_labels)."""
        return torch.logsumexp(log_weights[..., None] + said, dim=1)

    def temper(self, logits: torch.Tensor, temperatures: torch.Tensor) -> torch.Tensor:
        """Calibrate the decision: (batch, num_labels), (batch, 1) -> logits (batch, num_labels)."""
        return torch.log_softmax(logits / temperatures, dim=-1)

    def check(self, labels: torch.Tensor) -> torch.Tensor:
        """Return labels in the type and shape that `loss` takes.

        Raises:
            ValueError: They are of another problem type.
        """
        if labels.dim() != 1 or labels.is_floating_point():
            raise ValueError(
                f"Labels must be one whole number a post, (batch,), not {_kind(labels)}. For several "
                'labels a post set problem_type="multi_label_classification" in the configuration, '
                'for a score problem_type="regression".'
            )
        return labels.long()  # which alone holds -100 beside any number of labels

    def encode(self, values: Sequence[Any]) -> torch.Tensor:
        """Return labels of posts as a tensor.

        Args:
            values: A number or None a post; of several labels, a list of the numbers or None.
        """
        return torch.tensor([NO_LABEL if value is None else value for value in values])

    def known(self, labels: Any) -> Any:
        """Return which posts have a label, bool (batch,); for tensors and arrays."""
        return labels != NO_LABEL

    def mask(self, labels: torch.Tensor, has: torch.Tensor) -> torch.Tensor:
        """Return labels without those of posts where `has`, (batch,), is False."""
        return labels.masked_fill(~has, NO_LABEL)

    def unknown(self, like: torch.Tensor) -> torch.Tensor:
        """Return labels of posts none of which is known, as many as `like`, (batch,), has."""
        return torch.full_like(like, NO_LABEL, dtype=torch.long)

    def loss(self, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Return the mean loss of the labelled posts; 0 without one, instead of NaN.

        Args:
            logits: (batch, num_labels), float32.
            labels: Result of `check`.
        """
        total = nn.functional.cross_entropy(logits, labels, ignore_index=NO_LABEL, reduction="sum")
        return total / self.known(labels).sum().clamp(min=1)

    def score(self, logits: Sequence[float]) -> list[float]:
        """Return the probability of each label of one post."""
        total = log_sum_exp(logits)
        return [math.exp(x - total) for x in logits]

    def choose(self, scores: Sequence[float]) -> list[int]:
        """Return the numbers of the labels that are decided, given the result of `score`."""
        return [max(range(len(scores)), key=scores.__getitem__)]

    def certainty(self, scores: Sequence[float], chosen: Sequence[int]) -> float:
        """Return the probability of what was chosen."""
        return scores[chosen[0]]

    def energy(self, logits: Sequence[float]) -> float | None:
        """Return the free energy of one post, high where it is unlike the known ones."""
        return -log_sum_exp(logits)


class MultiLabel(SingleLabel):
    """Several labels a post, each yes or no: p_l = sum_b w_b sigmoid(branch_bl), mixed per label.

    The decision's logits are logit p_l. A post with -100 among its labels is ignored.
    """

    name = "multi_label_classification"

    def say(self, logits: torch.Tensor) -> torch.Tensor:
        """Return the logits themselves."""
        return logits

    def tell_gate(self, said: torch.Tensor) -> torch.Tensor:
        """Return the probability of each label."""
        return said.sigmoid()

    def mix(self, log_weights: torch.Tensor, said: torch.Tensor) -> torch.Tensor:
        """Return log p - log (1 - p), each from logarithms, so that neither rounds to 0."""
        yes, no = (
            torch.logsumexp(log_weights[..., None] + nn.functional.logsigmoid(x), dim=1)
            for x in (said, -said)
        )
        return yes - no

    def temper(self, logits: torch.Tensor, temperatures: torch.Tensor) -> torch.Tensor:
        """Divide the logits."""
        return logits / temperatures

    def check(self, labels: torch.Tensor) -> torch.Tensor:
        """Return labels as float32."""
        count = self.config.num_labels
        if labels.dim() != 2 or labels.shape[1] != count:
            raise ValueError(
                f"Labels must be one 0 or 1 for each of {count} labels, (batch, {count}), not "
                f"{_kind(labels)}."
            )
        return labels.float()

    def encode(self, values: Sequence[Any]) -> torch.Tensor:
        """Return 1 at each label of a post, else 0, float32 (batch, num_labels)."""
        labels = torch.zeros(len(values), self.config.num_labels)
        for row, numbers in zip(labels, values, strict=True):
            row[...] = NO_LABEL if numbers is None else 0
            row[list(numbers or ())] = 1
        return labels

    def known(self, labels: Any) -> Any:
        """Return which posts have all labels."""
        return (labels != NO_LABEL).all(-1)

    def mask(self, labels: torch.Tensor, has: torch.Tensor) -> torch.Tensor:
        """Return labels without those of some posts."""
        return labels.masked_fill(~has[:, None], NO_LABEL)

    def unknown(self, like: torch.Tensor) -> torch.Tensor:
        """Return -100 for each label."""
        shape = (len(like), self.config.num_labels)
        return torch.full(shape, float(NO_LABEL), device=like.device)

    def loss(self, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Return the mean binary cross-entropy of the labelled posts, over their labels."""
        known = self.known(labels)
        gold = labels.masked_fill(~known[:, None], 0.0)
        each = nn.functional.binary_cross_entropy_with_logits(logits, gold, reduction="none")
        return (each.mean(dim=-1) * known).sum() / known.sum().clamp(min=1)

    def score(self, logits: Sequence[float]) -> list[float]:
        """Return the probability of each label."""
        small = [math.exp(-abs(x)) for x in logits]
        return [(1.0 if x >= 0 else e) / (1 + e) for x, e in zip(logits, small, strict=True)]

    @property
    def thresholds(self) -> list[float]:
        """Least probability of each label that is decided."""
        return self.config.label_thresholds or [0.5] * self.config.num_labels

    def choose(self, scores: Sequence[float]) -> list[int]:
        """Return the labels that reach their thresholds, the most probable first."""
        limits = self.thresholds
        found = [i for i, score in enumerate(scores) if score >= limits[i]]
        return sorted(found, key=lambda i: -scores[i])

    def certainty(self, scores: Sequence[float], chosen: Sequence[int]) -> float:
        """Return the probability that each yes and no is right, were they independent."""
        return math.prod(p if i in chosen else 1 - p for i, p in enumerate(scores))

    def energy(self, logits: Sequence[float]) -> float | None:
        """Return the sum of the labels' energies (Wang et al., NeurIPS 2021)."""
        return -sum(max(x, 0.0) + math.log1p(math.exp(-abs(x))) for x in logits)


class Regression(SingleLabel):
    """One score a post: the weighted mean of the branches' scores.

    A classifier gives deviations from `score_mean` in units of `score_std`, and the loss is the mean
    squared error in that unit. NaN is an unknown score. There is nothing to calibrate.
    """

    name = "regression"

    def rescale(self, logits: torch.Tensor) -> torch.Tensor:
        """Return scores in their own unit."""
        return logits * self.config.score_std + self.config.score_mean

    def say(self, logits: torch.Tensor) -> torch.Tensor:
        """Return the scores as deviations, of a size that a gate can read."""
        return (logits - self.config.score_mean) / self.config.score_std

    def tell_gate(self, said: torch.Tensor) -> torch.Tensor:
        """Return the deviations."""
        return said

    def mix(self, log_weights: torch.Tensor, said: torch.Tensor) -> torch.Tensor:
        """Return the weighted mean of the scores."""
        return self.rescale((log_weights.exp()[..., None] * said).sum(dim=1))

    def temper(self, logits: torch.Tensor, temperatures: torch.Tensor) -> torch.Tensor:
        """Return the scores as they are."""
        return logits

    def check(self, labels: torch.Tensor) -> torch.Tensor:
        """Return labels as float32, (batch,)."""
        if labels.dim() > 2 or labels.shape[1:] not in ((), (1,)):
            raise ValueError(f"Labels must be one score a post, (batch,), not {_kind(labels)}.")
        return labels.reshape(-1).float()

    def encode(self, values: Sequence[Any]) -> torch.Tensor:
        """Return scores, float32 (batch,)."""
        return torch.tensor([math.nan if value is None else float(value) for value in values])

    def known(self, labels: Any) -> Any:
        """Return which scores are numbers."""
        return labels == labels

    def mask(self, labels: torch.Tensor, has: torch.Tensor) -> torch.Tensor:
        """Return scores without those of some posts."""
        return labels.masked_fill(~has, math.nan)

    def unknown(self, like: torch.Tensor) -> torch.Tensor:
        """Return NaN for each post."""
        return torch.full_like(like, math.nan, dtype=torch.float32)

    def loss(self, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Return the mean squared error of the labelled posts, in squares of `score_std`."""
        known = self.known(labels)
        gold = torch.where(known, labels, logits.squeeze(-1).detach())
        errors = (logits.squeeze(-1) - gold) / self.config.score_std
        return errors.square().sum() / known.sum().clamp(min=1)

    def score(self, logits: Sequence[float]) -> list[float]:
        """Return the score."""
        return list(logits)

    def energy(self, logits: Sequence[float]) -> float | None:
        """Return None: a score has no energy."""
        return None


PROBLEMS = {kind.name: kind for kind in (SingleLabel, MultiLabel, Regression)}


def problem_of(config: Any) -> SingleLabel:
    """Return the problem type of a configuration; None in it stands for single labels."""
    return PROBLEMS[config.problem_type or SingleLabel.name](config)


def _kind(labels: torch.Tensor) -> str:
    return f"{labels.dtype} of shape {tuple(labels.shape)}"


__all__ = ["PROBLEMS", "MultiLabel", "Regression", "SingleLabel", "problem_of"]
