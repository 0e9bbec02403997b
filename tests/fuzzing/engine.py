"""Try inputs on a target, and keep those that end otherwise than they may."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import hypothesis
from hypothesis import HealthCheck, Phase, given, settings

from fuzzing.guard import Hang, bounded
from fuzzing.target import Target
from fuzzing.verdict import place_of, why_unnamed

BATCH = 1000  # inputs that hypothesis keeps in mind at once
SEARCH = settings(
    database=None,
    deadline=None,
    derandomize=False,
    phases=(Phase.generate, Phase.shrink),
    suppress_health_check=list(HealthCheck),
    report_multiple_bugs=False,
    print_blob=False,
)


@dataclass
class Finding:
    """An input with an outcome that may not be.

    Attributes:
        value: The least such input that was found.
        reason: What is wrong with the outcome.
        error: What was raised.
    """

    value: Any
    reason: str
    error: BaseException

    @property
    def place(self) -> str:
        """Where it was raised, to tell findings apart."""
        return f"{place_of(self.error)}: {self.reason}"


class _FoundError(Exception):
    """Carries a finding, in `args`, through hypothesis, which then looks for a smaller one."""


class _FoundSlowError(BaseException):
    """Carries a hang past hypothesis, whose search for a smaller one would take hours."""


def try_one(target: Target, value: Any) -> Finding | None:
    """Try one input.

    Args:
        target: The target.
        value: The input.

    Returns:
        A finding; None where the outcome is a result or a named error.
    """
    try:
        with bounded():
            target.attempt(value)
    except (Exception, Hang, SystemExit) as error:
        reason = why_unnamed(error, target.names)
        return Finding(value, reason, error) if reason else None
    return None


def fuzz(target: Target, inputs: int, seed: int) -> Iterator[int | Finding]:
    """Try many inputs.

    Args:
        target: The target.
        inputs: How many; of a finding hypothesis tries some more, to make it small.
        seed: Another seed gives other inputs.

    Yields:
        The number of inputs of each batch, and after it a finding, if there was one.
    """
    tried, batch = 0, 0
    while tried < inputs:
        count, finding = _batch(target, min(BATCH, inputs - tried), seed * 1_000_003 + batch)
        tried, batch = tried + count, batch + 1
        yield count
        if finding:
            yield finding


def _batch(target: Target, inputs: int, seed: int) -> tuple[int, Finding | None]:
    count = 0

    def trial(value: Any) -> None:
        nonlocal count
        count += 1
        if finding := try_one(target, value):
            is_slow = isinstance(finding.error, Hang)
            raise (_FoundSlowError if is_slow else _FoundError)(finding)

    try:
        chosen = settings(SEARCH, max_examples=inputs)
        hypothesis.seed(seed)(chosen(given(target.inputs)(trial)))()
    except (_FoundError, _FoundSlowError) as found:
        return count, found.args[0]
    return count, None
