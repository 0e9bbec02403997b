"""The file of a comparison's posts: ids, labels, groups and what each run scores; no texts."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from benchmarks.accuracy import PROTOCOL
from benchmarks.accuracy.protocol.parts import Part, PooledPosts
from hybridsent.support.folders import write_whole

LAYOUT = "folds.json"


class Run(NamedTuple):
    """The posts of one run.

    Attributes:
        learned_from: How many labelled posts taught or were chosen on.
        held_out: Ids of the posts to score.
    """

    learned_from: int
    held_out: list[str]


class Layout(NamedTuple):
    """What answers are judged by.

    Attributes:
        label_names: Names of the labels by index.
        labels: Id -> index of its label.
        groups: Id -> number of its group of duplicates.
        runs: Number of a run -> its posts.
    """

    label_names: list[str]
    labels: dict[str, int]
    groups: dict[str, int]
    runs: dict[int, Run]

    def ratio(self, runs: Sequence[int]) -> float:
        """Return how many posts a run scores for each that it learned from, the mean over runs."""
        chosen = [self.runs[run] for run in runs]
        return float(np.mean([len(run.held_out) / run.learned_from for run in chosen]))


def layout_of(posts: PooledPosts, parts: Sequence[Part], label_names: list[str]) -> Layout:
    """Describe the parts of a comparison by the ids of their posts."""
    ids = list(posts.table["id"])
    known = np.flatnonzero(posts.labels >= 0)
    names = [ids[i] for i in known]
    labels, groups = posts.labels[known].tolist(), posts.groups[known].tolist()
    runs = {}
    for part in parts:
        learned_from = int((posts.labels[part.train] >= 0).sum()) + len(part.validation)
        runs[part.run] = Run(learned_from, [ids[i] for i in part.held_out])
    pairs = (dict(zip(names, values, strict=True)) for values in (labels, groups))
    return Layout(label_names, *pairs, runs)


def write_layout(layout: Layout, file: Path) -> None:
    """Write a layout, a line a post and a line a run."""
    posts = [f"{json.dumps(x)}: {[layout.labels[x], layout.groups[x]]}" for x in layout.labels]
    runs = [f'"{number}": {json.dumps(run._asdict())}' for number, run in layout.runs.items()]
    lines = [f'"protocol": {PROTOCOL}', f'"labels": {json.dumps(layout.label_names)}']
    for name, parts in (("posts", posts), ("runs", runs)):
        lines.append(f'"{name}": {{\n' + ",\n".join(parts) + "\n}")
    write_whole("{\n" + ",\n".join(lines) + "\n}\n", file)


def write_layout_beside(layout: Layout, folder: Path) -> None:
    """Write a layout into the folder of a comparison; runs that are there already stay."""
    file = folder / LAYOUT
    before = read_layout(file).runs if file.exists() else {}
    write_layout(layout._replace(runs=dict(sorted({**before, **layout.runs}.items()))), file)


def read_layout(file: Path) -> Layout:
    """Read what `write_layout` wrote.

    Raises:
        FileNotFoundError: No such file.
        ValueError: It is of another protocol or no such file at all.
    """
    if not file.is_file():
        raise FileNotFoundError(f"{file}: no such file. Name the {LAYOUT} of a comparison.")
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        protocol = content["protocol"]
        posts, runs = content["posts"], content["runs"]
        layout = Layout(
            content["labels"],
            {name: label for name, (label, _) in posts.items()},
            {name: group for name, (_, group) in posts.items()},
            {int(number): Run(**run) for number, run in runs.items()},
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ValueError(f"{file} is not a {LAYOUT} of a comparison ({error!r}).") from error
    if protocol != PROTOCOL:
        raise ValueError(f"{file} is of protocol {protocol}, not {PROTOCOL}. Make the runs again.")
    return layout
