"""Count a set while it is read, and print what was counted as one table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import combinations
from statistics import median_low
from typing import Any

from datasets_scripts.grouping import same_content
from datasets_scripts.post import (
    CONTRADICTORY,
    Division,
    Post,
    Reading,
    Rejected,
    label_names_of,
)
from datasets_scripts.table import fingerprint

SHOWN = 10  # places named of each kind of note


def count(reading: Reading, division: Division, rejected: Sequence[Rejected]) -> dict[str, Any]:
    """Count posts, rows and what they are like.

    Args:
        reading: What was read.
        division: The posts by split, with inspected images.
        rejected: All rows that are in no split.

    Returns:
        `protocol`; `rows`, `kept` and `rejected` (by reason; kept + rejected = rows); `splits` (each
        with `wanted`, `present`, `classes`); `text_missing`, `image_missing`; `text_characters`,
        `image_width`, `image_height` (smallest, median, largest); `duplicates` (groups, posts, groups
        whose labels contradict, by modality); `leakage` (of two splits: posts of the second that share
        an image or normalised text with the first); `notes` (number and first places);
        `fingerprint`; and the facts only this set has.
    """
    posts = [post for members in division.splits.values() for post in members]
    if len(posts) + len(rejected) != reading.rows:
        raise AssertionError(f"{len(posts)} kept + {len(rejected)} rejected != {reading.rows} rows")
    pictures = [post.picture for post in posts if post.picture]
    groups = dict(zip(("image", "text"), same_content(posts), strict=True))
    return {
        "protocol": reading.protocol,
        "rows": reading.rows,
        "kept": len(posts),
        "rejected": dict(Counter(row.why for row in rejected)),
        "splits": _count_splits(division, reading.label_names),
        "text_missing": sum(post.text is None for post in posts),
        "image_missing": sum(post.image is None for post in posts),
        "text_characters": _spread([len(post.text) for post in posts if post.text]),
        "image_width": _spread([picture.width for picture in pictures]),
        "image_height": _spread([picture.height for picture in pictures]),
        "duplicates": {name: _count_groups(found) for name, found in groups.items()},
        "leakage": _count_leaks(division, groups),
        "notes": {
            kind: {"number": len(places), "first": places[:SHOWN]}
            for kind, places in reading.notes.items()
        },
        "fingerprint": fingerprint(division.splits),
        **reading.facts,
    }


def _count_splits(division: Division, label_names: Sequence[str]) -> dict[str, Any]:
    counted = {}
    for name, posts in division.splits.items():
        classes = Counter(name for post in posts for name in label_names_of(post.label))
        counted[name] = {
            "wanted": division.wanted.get(name, len(posts)),
            "present": len(posts),
            "classes": {label: classes[label] for label in label_names},
        }
    return counted


def _spread(values: Sequence[int]) -> list[int] | None:
    return [min(values), median_low(values), max(values)] if values else None


def _count_groups(groups: Sequence[Sequence[Post]]) -> dict[str, int]:
    return {
        "groups": len(groups),
        "posts": sum(map(len, groups)),
        "contradicting": sum(len({post.label for post in group}) > 1 for group in groups),
    }


def _count_leaks(
    division: Division, groups: dict[str, list[list[Post]]]
) -> dict[str, dict[str, int]]:
    split_of = {id(post): name for name, posts in division.splits.items() for post in posts}
    leaks = {f"{a}, {b}": {"image": 0, "text": 0} for a, b in combinations(division.splits, 2)}
    for modality, found in groups.items():
        for group in found:
            here = Counter(split_of[id(post)] for post in group)
            for one, other in combinations(division.splits, 2):
                if here[one]:
                    leaks[f"{one}, {other}"][modality] += here[other]
    return leaks


def as_text(counts: dict[str, Any]) -> str:
    """Return the counts as a Markdown table for people, with notes below.

    Args:
        counts: Result of `count`.

    Returns:
        Several lines.
    """
    aside = counts["splits"].get(CONTRADICTORY, {"present": 0})["present"]
    kept = (
        f"{counts['kept'] - aside}, and {aside} without joint label kept aside"
        if aside
        else counts["kept"]
    )
    rows = [("rows read", counts["rows"]), ("kept", kept)]
    rows += [(f"rejected: {why}", number) for why, number in counts["rejected"].items()]
    for name, split in counts["splits"].items():
        classes = ", ".join(f"{label} {n}" for label, n in split["classes"].items() if n)
        gap = "" if split["present"] == split["wanted"] else f" of {split['wanted']}"
        rows.append((name, f"{split['present']}{gap}" + (f" ({classes})" if classes else "")))
    rows += [("without text", counts["text_missing"]), ("without image", counts["image_missing"])]
    for name in ("text_characters", "image_width", "image_height"):
        low, middle, high = counts[name] or ("-", "-", "-")
        rows.append(
            (f"{name.replace('_', ' ')}: smallest, median, largest", f"{low}, {middle}, {high}")
        )
    for name, found in counts["duplicates"].items():
        detail = "{groups} groups of {posts} posts, {contradicting} with contradicting labels"
        rows.append((f"same {name}", detail.format(**found)))
    for pair, found in counts["leakage"].items():
        one, other = pair.split(", ")
        rows.append(
            (f"{other} shares with {one}", f"{found['image']} images, {found['text']} texts")
        )
    rows += [(name.replace("_", " "), counts[name]) for name in ("masked_posts", "masked_words")
             if name in counts]  # fmt: skip
    rows.append(("protocol; fingerprint", f"{counts['protocol']}; {counts['fingerprint']}"))
    lines = ["| what | found |", "|---|---|", *(f"| {name} | {value} |" for name, value in rows)]
    for kind, places in counts["notes"].items():
        more = ", ..." if places["number"] > len(places["first"]) else ""
        lines.append(f"\n{kind}: {places['number']} ({', '.join(places['first'])}{more})")
    return "\n".join(lines)
