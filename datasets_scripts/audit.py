"""Look for faults in a set: copies, contradictions, leaks between splits, odd images, label words.

The findings are places to look, not verdicts: one image may rightly stand under two texts.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any, NamedTuple

from datasets import Dataset, Features, Image, Value

from datasets_scripts.grouping import same_content
from datasets_scripts.intake import SINGLE
from datasets_scripts.pictures import decode_picture, in_threads
from datasets_scripts.post import Picture, Post
from datasets_scripts.published.label_words import label_word_pattern
from datasets_scripts.similar import perceptual_hash, similar_groups
from datasets_scripts.table import Table, label_names_of_feature, problem_type_of

MAX_DISTANCE = 4  # of 64 bits of the perceptual hash: the same image, scaled or compressed anew
SMALL_SIDE = 32  # pixels
LONG_RATIO = 5
COLUMNS = ("finding", "group", "id", "split", "label", "detail")
FEATURES = Features({name: Value("int64" if name == "group" else "string") for name in COLUMNS})
ENDINGS = {"JPEG": {".jpg", ".jpeg"}, "PNG": {".png"}, "GIF": {".gif"}, "WEBP": {".webp"}}

Finding = dict[str, Any]


class Seen(NamedTuple):
    """A post that was looked at.

    Attributes:
        post: Without its image's bytes.
        split: Where it stands.
        look: 64 bits of perceptual hash, None without an image.
        oddities: What is suspicious about the image.
    """

    post: Post
    split: str
    look: int | None
    oddities: list[str]


def audit(table: Table, max_image_pixels: int, max_distance: int = MAX_DISTANCE) -> list[Finding]:
    """Look for faults.

    Args:
        table: The posts.
        max_image_pixels: Of an image.
        max_distance: Images whose perceptual hashes differ in at most so many of 64 bits are alike.

    Returns:
        One row a post and finding, with the columns of `COLUMNS`; rows of one `group` belong together.
    """
    seen = list(_look(table, max_image_pixels))
    posts = [each.post for each in seen]
    pictures, texts = same_content(posts)
    names = label_names_of_feature(table.posts["train"].features["label"])
    pattern = label_word_pattern(names)
    by_id = {each.post.id: each for each in seen}
    groups = {
        "same image": pictures,
        "similar image": _similar_pictures(seen, max_distance),
        "same text": texts,
        "identical text": _identical_texts(posts),
    }
    findings = [
        _finding(kind, by_id[post.id], f"{len(group)} posts", number)
        for kind, found in groups.items()
        for number, group in enumerate(found)
        for post in group
    ]
    for each in seen:
        findings += [_finding("suspicious image", each, oddity) for oddity in each.oddities]
        if words := pattern.findall(each.post.text or ""):
            findings.append(_finding("label word in text", each, ", ".join(words)))
    rejected = [row for row in table.rejected if row.bad]
    findings += [
        dict(zip(COLUMNS, (row.why, None, row.id, None, None, str(row)), strict=True))
        for row in rejected
    ]
    return findings


def _finding(kind: str, each: Seen, detail: str, group: int | None = None) -> Finding:
    label = each.post.label
    named = label if label is None or isinstance(label, str) else json.dumps(label)
    values = (kind, group, each.post.id, each.split, named, detail)
    return dict(zip(COLUMNS, values, strict=True))


def _look(table: Table, max_pixels: int) -> Iterable[Seen]:
    """Look at all posts, split by split."""
    undecoded = table.posts.cast_column("image", Image(decode=False))
    items = (
        (row, split, posts.features["label"]) for split, posts in undecoded.items() for row in posts
    )
    total = sum(map(len, undecoded.values()))
    return in_threads(lambda item: _look_at(*item, max_pixels), items, total, "Looking at posts")


def _look_at(row: dict[str, Any], split: str, label: Any, max_pixels: int) -> Seen:
    gold = row["label"]
    if gold is not None and problem_type_of(label) == SINGLE:
        gold = label.int2str(gold)
    elif isinstance(gold, list):
        gold = tuple(label.feature.int2str(gold))
    post = Post(row["id"], f"{split} {row['id']}", row["text"], None, gold)
    if row["image"] is None:
        return Seen(post, split, None, [])
    source = row["image"]["bytes"] or row["image"]["path"]
    post.picture, image = decode_picture(source, max_pixels)
    odd = _oddities(post.picture, row["image"]["path"] or "")
    # RGB: a pair for each of three bands.
    if all(low == high for low, high in image.getextrema()):  # type: ignore[misc]
        odd.append("one colour")
    return Seen(post, split, perceptual_hash(image), odd)


def _oddities(picture: Picture, path: str) -> list[str]:
    """Return what is unusual about an image, which is read nevertheless."""
    low, high = sorted((picture.width, picture.height))
    ending = os.path.splitext(path)[1].lower()
    checks = {
        f"{picture.width} x {picture.height} pixels: small": low < SMALL_SIDE,
        f"{picture.width} x {picture.height} pixels: long": high > LONG_RATIO * low,
        f"{picture.frames} frames": picture.frames > 1,
        f"turned (EXIF orientation {picture.orientation})": picture.orientation != 1,
        f"mode {picture.mode}": picture.mode not in ("RGB", "L"),
        f"{picture.format} called {ending}": bool(ending)
        and ending not in ENDINGS.get(picture.format, {ending}),
    }
    return [what for what, is_so in checks.items() if is_so]


def _identical_texts(posts: Sequence[Post]) -> list[list[Post]]:
    by_text: dict[str, list[Post]] = {}
    for post in posts:
        if post.text:
            by_text.setdefault(post.text, []).append(post)
    return [group for group in by_text.values() if len(group) > 1]


def _similar_pictures(seen: Sequence[Seen], max_distance: int) -> list[list[Post]]:
    """Group posts whose images look alike but are not all the same bytes."""
    looks = [(each.look, each.post) for each in seen if each.look is not None]
    groups: dict[int, list[Post]] = {}
    components = similar_groups([look for look, _ in looks], max_distance)
    for (_, post), component in zip(looks, components, strict=True):
        groups.setdefault(component, []).append(post)
    return [g for g in groups.values() if len({_digest(post) for post in g}) > 1]


def _digest(post: Post) -> bytes | None:
    return post.picture and post.picture.sha256


def as_text(findings: Sequence[Finding], table: Table) -> str:
    """Return the findings counted by kind, and the leaks between splits, as Markdown tables.

    Args:
        findings: Result of `audit`.
        table: What was audited.

    Returns:
        Several lines.
    """
    lines = ["| finding | posts | groups | with contradicting labels |", "|---|---:|---:|---:|"]
    for kind in dict.fromkeys(row["finding"] for row in findings):
        rows = [row for row in findings if row["finding"] == kind]
        labels: dict[int, set[str | None]] = {}
        for row in rows:
            if row["group"] is not None:
                labels.setdefault(row["group"], set()).add(row["label"])
        contradicting = sum(len(group) > 1 for group in labels.values())
        groups = f"{len(labels)} | {contradicting}" if labels else "- | -"
        lines.append(f"| {kind} | {len({row['id'] for row in rows})} | {groups} |")
    lines += ["", f"| posts of | share with | {' | '.join(GROUPED)} |", "|---|---|" + "---:|" * 4]
    for one, other in combinations(table.posts, 2):
        shared = [str(_shared(findings, kind, one, other)) for kind in GROUPED]
        lines.append(f"| {other} ({len(table.posts[other])}) | {one} | {' | '.join(shared)} |")
    return "\n".join(lines)


GROUPED = ("same image", "similar image", "same text", "identical text")


def _shared(findings: Sequence[Finding], kind: str, one: str, other: str) -> int:
    """Count the posts of one split that are in a group with a post of another."""
    rows = [row for row in findings if row["finding"] == kind]
    touched = {row["group"] for row in rows if row["split"] == one}
    return Counter(row["split"] for row in rows if row["group"] in touched)[other]


def write_findings(findings: list[Finding], file: Path) -> None:
    """Write the findings as a Parquet file, whole or not at all."""
    beside = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        columns = {name: [row[name] for row in findings] for name in COLUMNS}
        Dataset.from_dict(columns, features=FEATURES).to_parquet(str(beside))
        beside.replace(file)
    finally:
        beside.unlink(missing_ok=True)
