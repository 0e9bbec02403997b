"""Let the ways of a benchmark take turns, and print their rates beside each other."""

from collections.abc import Callable, Mapping
from statistics import median


def take_turns(
    ways: Mapping[str, Callable[[], float]], rounds: int, warm_up: int = 0
) -> dict[str, list[float]]:
    """Measure each way once a round; each round begins with another, for the first one suffers.

    Args:
        ways: Functions that measure, by name.
        rounds: Number of rounds that count.
        warm_up: Number of rounds before them.

    Returns:
        The measurements of each way, round by round.
    """
    names = list(ways)
    found: dict[str, list[float]] = {name: [] for name in names}
    for number in range(warm_up + rounds):
        first = number % len(names)
        for name in [*names[first:], *names[:first]]:
            found[name].append(ways[name]())
    return {name: measured[warm_up:] for name, measured in found.items()}


def rates_table(rates: Mapping[str, list[float]], bases: Mapping[str, str]) -> str:
    """Return median rates and their ratios as Markdown.

    Args:
        rates: Posts a second of each way, round by round.
        bases: The way that each further column divides by, by the title of the column.
    """
    lines = [f"| way | posts/s | {' | '.join(bases)} |", "|---|" + "---:|" * (1 + len(bases))]
    for name, found in rates.items():
        cells = [f"{median(found):.1f}"]
        for base in bases.values():
            ratio = median(a / b for a, b in zip(found, rates[base], strict=True))
            cells.append(f"{ratio:.2f}")
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)
