"""Which runs are still to be made, and with which learning rate."""

from collections.abc import Iterator, Sequence

from benchmarks.accuracy.methods import Method
from benchmarks.accuracy.protocol import Part
from benchmarks.accuracy.records import Results
from benchmarks.accuracy.runs import Experiment


def trial_rates(rate: float, trials: int) -> list[float]:
    """Return so many learning rates around one: itself, half, twice, a quarter, four times, ...

    Raises:
        ValueError: Fewer than one.
    """
    if trials < 1:
        raise ValueError(f"--trials {trials}: give at least 1.")
    steps = [(-1) ** i * ((i + 1) // 2) for i in range(trials)]
    return [rate * 2.0**step for step in steps]


def chosen_rate(
    experiment: Experiment, method: Method, part: Part, rates: list[float], results: Results
) -> float:
    """Return the learning rate with the best validation score on one part, trying those not yet tried.

    Args:
        experiment: What trains.
        method: What is trained.
        part: On whose validation posts the rate is chosen; its held-out posts are not looked at.
        rates: Learning rates.
        results: Where the trials are kept.
    """
    if len(rates) == 1 or method.model_class is None:
        return rates[0]
    scores = []
    for rate in rates:
        name = f"{method.name}-trial-{rate:g}"
        if not results.is_finished(name):
            score = experiment.validation_score(method, part, rate)
            figures = {"method": method.name, "learning_rate": rate, "validation_score": score}
            results.write(name, figures, None)
        scores.append(results.figures(name)["validation_score"])
    return rates[scores.index(max(scores))]


def pending(
    parts: Sequence[Part], methods: Sequence[Method], results: Results
) -> Iterator[tuple[str, Method, Part]]:
    """Yield the runs that are not finished, part by part, so that a table compares like with like."""
    for part in parts:
        for method in methods:
            name = f"{method.name}-{part.run}"
            if results.is_finished(name):
                print(f"{name}: finished before")
            else:
                yield name, method, part
