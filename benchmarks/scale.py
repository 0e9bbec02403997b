"""How long many posts take, and how large their answers are: arithmetic from a measured rate.

    python -m benchmarks.scale --rate 42.7 --processes 8 64 512

The rate is that of one process, as `benchmarks.scoring` measures it. That processes do not get into
each other's way is an assumption; measure two of them before you rent a thousand.
"""

import argparse
from collections.abc import Sequence

SIZES = (1_000_000, 100_000_000, 1_000_000_000)


def hours(posts: int, rate: float, processes: int = 1) -> float:
    """Return the hours that so many posts take at a rate in posts a second and process."""
    return posts / (rate * processes * 3600)


def as_table(
    rate: float, processes: Sequence[int], bytes_per_row: float, rows_per_shard: int
) -> str:
    """Return the estimates as Markdown.

    Args:
        rate: Posts a second of one process.
        processes: How many there might be; a column for each.
        bytes_per_row: Of the files of answers.
        rows_per_shard: Rows in each of these files.
    """
    titles = ["posts", "process-hours", *(f"hours on {count:,}" for count in processes)]
    titles += ["answers, GB", "files of answers"]
    lines = [f"| {' | '.join(titles)} |", "|" + "---:|" * len(titles)]
    for posts in SIZES:
        cells = [f"{posts:,}", f"{hours(posts, rate):,.1f}"]
        cells += [f"{hours(posts, rate, count):,.1f}" for count in processes]
        cells += [f"{posts * bytes_per_row / 1e9:,.2f}", f"{-(-posts // rows_per_shard):,}"]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def main(argv: Sequence[str] | None = None) -> None:
    """Print the table that the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], allow_abbrev=False)
    parser.add_argument("--rate", type=float, required=True, help="posts a second of one process")
    parser.add_argument("--processes", type=int, nargs="+", default=[8], help="in all")
    parser.add_argument("--bytes_per_row", type=float, default=17, help="of answers (%(default)s)")
    parser.add_argument("--rows_per_shard", type=int, default=10_000, help="%(default)s")
    print(as_table(**vars(parser.parse_args(argv))))


if __name__ == "__main__":
    main()
