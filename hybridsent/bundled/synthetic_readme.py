"""Write the README that goes with a generated set of posts."""

from collections import Counter
from collections.abc import Mapping, Sequence

LABELS = ("negative", "neutral", "positive")
TEMPLATE = """# Synthetic posts

**This set is synthetic.** A program drew the images and wrote the texts from sentence frames
(`hybridsent prepare synthetic`, seed {seed}, format {format_version}). It serves to see a
model train and fuse without a download. Figures on it say nothing about real posts, and its drawings
were adjusted with a look at its test posts, so they are a demonstration, not a measurement.

Text and image carry a sentiment each (`text_label`, `image_label`; empty where the post has no
text or no image). The `label` of the post: equal sentiments give that one; if one is neutral, the
other one counts; in contradiction the image counts. Of all posts, {contradictions:.1%} contradict
themselves, {no_text:.1%} have no text, {no_image:.1%} no image. A perfect reader of texts alone
would get {text_only:.1%} of those that have a text right, one of images alone {image_only:.1%} of
those that have an image.

The splits share no sentence frame and no palette, backdrop, clutter, outline, centre or variant of
the things drawn; sizes, tilts and parts of things recur.

| split | posts | negative | neutral | positive |
|---|---|---|---|---|
{counts}
"""


def describe_posts(tables: Mapping[str, Sequence[Mapping[str, str]]], settings: Mapping) -> str:
    """Return the README of a generated set.

    Args:
        tables: The rows of every split.
        settings: The settings it was generated with, `seed` and `format_version` among them.

    Returns:
        Markdown that says that the set is synthetic, how it was made, and its class counts.
    """
    rows = [row for table in tables.values() for row in table]
    return TEMPLATE.format(
        seed=settings["seed"],
        format_version=settings["format_version"],
        contradictions=_share({row["text_label"], row["image_label"]} >= OPPOSITE for row in rows),
        no_text=_share(not row["text"] for row in rows),
        no_image=_share(not row["image"] for row in rows),
        text_only=_share(row["text_label"] == row["label"] for row in rows if row["text"]),
        image_only=_share(row["image_label"] == row["label"] for row in rows if row["image"]),
        counts="\n".join(_count_row(split, table) for split, table in tables.items()),
    )


OPPOSITE = {"positive", "negative"}


def _share(hits: Sequence[bool]) -> float:
    """Return the share of hits, 0 where there is nothing to count."""
    found = list(hits)
    return sum(found) / max(len(found), 1)


def _count_row(split: str, table: Sequence[Mapping[str, str]]) -> str:
    """Return one line of the table of class counts."""
    counts = Counter(row["label"] for row in table)
    return f"| {split} | {len(table)} | " + " | ".join(str(counts[name]) for name in LABELS) + " |"
