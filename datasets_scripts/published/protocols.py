"""The divisions of MVSA-Single that circulate; results under different ones do not compare."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from datasets_scripts.post import CONTRADICTORY, SPLITS, Division, Post, Rejected
from datasets_scripts.published.labels import joint_label
from hybridsent.support.errors import PostsError

SPLITS_FOLDER = Path(__file__).parent / "splits"
AGREEMENT_TRAIN = 1555  # pairs of equal labels in neither list of a complete set
PROTOCOLS = ("clmlf", "folds:1 to folds:10", "agreement", "grouped")

LabelPair = tuple[str, str]  # of the text and of the image
Ids = dict[str, list[str]]


def read_ids(protocol: str) -> Any:
    """Return the content of the list of a protocol, ids as strings."""
    content = json.loads((SPLITS_FOLDER / f"mvsa_single_{protocol}.json").read_text("utf-8"))
    content.pop("source")
    return _as_strings(content)


def _as_strings(content: Any) -> Any:
    if isinstance(content, list):
        return [str(post_id) for post_id in content]
    return {name: _as_strings(part) for name, part in content.items()}


def protocol_ids(protocol: str, pairs: Mapping[str, LabelPair]) -> Ids | None:
    """Return the ids of each split.

    Args:
        protocol: "clmlf": the split published with CLMLF, 3,611 / 450 / 450. "folds:K": fold K of the
            ten in circulation. "agreement": the 2,592 pairs of equal labels in the split of QMF and
            PDF, 1,555 / 518 / 519, an easier task. "grouped": ours, made from the posts.
        pairs: Labels of texts and images by id.

    Returns:
        Ids under "train", "validation" and "test"; None for "grouped".

    Raises:
        ValueError: Unknown protocol.
    """
    if protocol == "grouped":
        return None
    clmlf = read_ids("clmlf")
    if protocol == "clmlf":
        return clmlf
    if protocol == "agreement":
        return _with_rest(
            read_ids("agreement"), [i for i, pair in pairs.items() if len({*pair}) == 1]
        )
    name, _, number = protocol.partition(":")
    folds = read_ids("folds") if name == "folds" else {}
    if number not in folds:
        raise ValueError(f"unknown protocol {protocol!r} of mvsa_single: {', '.join(PROTOCOLS)}")
    return _with_rest(folds[number], [i for split in SPLITS for i in clmlf[split]])


def _with_rest(ids: Ids, every: Sequence[str]) -> Ids:
    """Add the training split of a list that gives validation and test only."""
    taken = {post_id for members in ids.values() for post_id in members}
    rest = sorted((post_id for post_id in every if post_id not in taken), key=int)
    return {"train": rest, **ids}


def held_back(pairs: Mapping[str, LabelPair]) -> dict[str, list[str]]:
    """Name the parts of the CLMLF split that a copy leaves out as a whole, on purpose.

    Args:
        pairs: Labels by id, as the copy has them.

    Returns:
        "validation" or "test" with its ids, for each of which not one is in the label file.
    """
    clmlf = read_ids("clmlf")
    return {
        name: clmlf[name] for name in ("validation", "test") if pairs.keys().isdisjoint(clmlf[name])
    }


def check_ids(
    protocol: str,
    ids: Ids,
    pairs: Mapping[str, LabelPair],
    excused: set[str | None],
    file: Path,
    layout: str,
) -> None:
    """Refuse a label file that does not fit the lists of a protocol.

    A copy may hold back a part of the set as a whole; a split with other gaps is damage, and a result
    on it would pass for one on the whole split.

    Args:
        protocol: Its name.
        ids: Ids by split.
        pairs: Labels by id.
        excused: Ids that are held back, or whose rows are reported as bad.
        file: The label file.
        layout: What the folder must hold, for messages.

    Raises:
        PostsError: Other ids have no row, or labels that this protocol does not take.
    """
    bad = []
    for name, members in ids.items():
        for post_id in members:
            if post_id not in pairs:
                if post_id not in excused:
                    bad.append(f"id {post_id} of {name} has no row")
            elif joint_label(*pairs[post_id]) is None:
                bad.append(f"id {post_id} of {name} is positive against negative")
            elif protocol == "agreement" and len({*pairs[post_id]}) > 1:
                bad.append(f"id {post_id} of {name} has unequal labels")
    if bad:
        raise PostsError.about(file, "does not fit the ids of the split", bad, layout)


def wanted_posts(protocol: str, ids: Ids, contradictory: int) -> dict[str, int]:
    """Return how many posts each split of a complete copy has.

    Args:
        protocol: Its name.
        ids: Ids by split.
        contradictory: How many rows have no joint label; their posts become a split of that name.
    """
    wanted = {name: len(members) for name, members in ids.items()} | {CONTRADICTORY: contradictory}
    return wanted | ({"train": AGREEMENT_TRAIN} if protocol == "agreement" else {})


def divide_by_ids(posts: Sequence[Post], ids: Ids, wanted: dict[str, int]) -> Division:
    """Put posts into the splits whose lists name them.

    Args:
        posts: The posts.
        ids: Ids by split.
        wanted: Result of `wanted_posts`.

    Returns:
        The splits, each in the order of its list.
    """
    by_id = {post.id: post for post in posts}
    splits = {name: [by_id[i] for i in members if i in by_id] for name, members in ids.items()}
    splits[CONTRADICTORY] = [post for post in posts if post.label is None]
    placed = {post.id for members in splits.values() for post in members}
    why = "in no split of the protocol"
    return Division(
        splits,
        wanted,
        [Rejected(p.id, p.where, why, bad=False) for p in posts if p.id not in placed],
    )
