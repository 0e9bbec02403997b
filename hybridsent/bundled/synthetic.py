"""Generate the SYNTHETIC set of posts of the quickstart: drawn images with short texts.

    hybridsent prepare synthetic --output_dir posts --seed 0

The set teaches nothing about the world; it is there to see training work where nothing can be
downloaded, and to tell whether a model fuses. Text and image of a post each carry a sentiment, and
the post's label follows from the two: equal, that one; one of them neutral, the other one; in
contradiction, the image's (nice words over a sad image are irony, gloomy words over a happy one
a joke). `SHARES` says how often each pair occurs; of the posts that have both, who reads only texts
gets 67 % right at best, who reads only images 72 %, who reads both 100 %.

The splits share no sentence frame (templates.py) and no palette, backdrop, clutter, outline, centre
or variant of the things drawn (styles.py): a model has to generalise.
"""

import csv
import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from random import Random
from types import MappingProxyType

from hybridsent.bundled.drawings import draw_picture
from hybridsent.bundled.synthetic_readme import describe_posts
from hybridsent.bundled.templates import write_text
from hybridsent.support.folders import build_beside, is_taken

FORMAT_VERSION = 2  # raise it whenever the same settings give other files
SIZES = MappingProxyType({"train": 900, "validation": 200, "test": 400})
FIELDS = ("id", "text", "image", "label", "text_label", "image_label")
SETTINGS = "settings.json"
MISSING_SHARE = 0.06  # of posts without text, and of posts without image
PNG_SHARE = 0.2  # the other images are JPEG

Moods = tuple[str | None, str | None]  # of text and image; None where it is missing

SHARES: Mapping[Moods, float] = MappingProxyType(  # of the posts that have text and image
    {
        ("neutral", "neutral"): 0.26,
        ("positive", "positive"): 0.065,
        ("negative", "negative"): 0.065,
        ("positive", "neutral"): 0.14,
        ("negative", "neutral"): 0.14,
        ("neutral", "positive"): 0.09,
        ("neutral", "negative"): 0.09,
        ("positive", "negative"): 0.075,
        ("negative", "positive"): 0.075,
    }
)


def joint_label(text_label: str | None, image_label: str | None) -> str:
    """Return the label of a post whose text and image carry these sentiments.

    Args:
        text_label: Sentiment of the text, None without a text.
        image_label: Sentiment of the image, None without an image.

    Returns:
        That of the image; if that is neutral or None, that of the text, if any.

    Raises:
        ValueError: If both are None.
    """
    if text_label is None and image_label is None:
        raise ValueError("A post needs a text or an image.")
    if text_label is None or image_label in ("positive", "negative"):
        return image_label
    return text_label


def write_posts(output_dir: str | Path, seed: int = 0, sizes: Mapping[str, int] = SIZES) -> Path:
    """Write the synthetic posts as `train.csv`, `validation.csv`, `test.csv` and `images/`.

    The folder appears complete or not at all. One that was written before with the same settings
    is used again.

    Args:
        output_dir: Folder to write, absent or empty.
        seed: Same seed, same bytes (with one version of Pillow).
        sizes: How many posts each of the three splits has.

    Returns:
        The folder.

    Raises:
        FileExistsError: If the folder holds anything but a complete set with these settings.
        ValueError: If `sizes` does not name the three splits, each with at least one post.
    """
    if set(sizes) != set(SIZES) or min(sizes.values()) < 1:
        raise ValueError(
            f"sizes must give each of {', '.join(SIZES)} at least 1, got {dict(sizes)}."
        )
    folder = Path(output_dir).resolve()
    settings = {"format_version": FORMAT_VERSION, "seed": seed, "sizes": dict(sizes)}
    taken = is_taken(folder)
    if not taken:
        with build_beside(folder) as draft:
            _fill_folder(draft, settings)
    if not _is_complete(folder, settings):
        raise FileExistsError(
            f"{folder} is not a complete set of synthetic posts with {settings}; it is left as it "
            "is. Give another output_dir, or remove that one. To train on your own posts, name their "
            f"recipe: hybridsent train posts --data_dir {output_dir}"
        )
    return folder


def _fill_folder(folder: Path, settings: Mapping) -> None:
    """Write images, tables, README and settings into a draft folder."""
    (folder / "images").mkdir()
    tables = {
        split: _write_split(folder, split, size, settings["seed"])
        for split, size in settings["sizes"].items()
    }
    (folder / "README.md").write_text(describe_posts(tables, settings), encoding="utf-8")
    (folder / SETTINGS).write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")


def _write_split(folder: Path, split: str, size: int, seed: int) -> list[dict[str, str]]:
    """Write images and table of one split and return its rows."""
    random = _seeded(seed, split)
    texts = set()
    rows = []
    for index, moods in enumerate(_plan_moods(random, size)):
        name = f"{split}-{index:05d}"
        rows.append(_write_post(folder, name, split, moods, texts, _seeded(seed, name)))
    with (folder / f"{split}.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, FIELDS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    return rows


def _write_post(
    folder: Path, name: str, split: str, moods: Moods, texts: set[str], random: Random
) -> dict[str, str]:
    """Write the image of one post, if it has one, and return its row."""
    text_mood, image_mood = moods
    image = f"images/{name}.{'png' if random.random() < PNG_SHARE else 'jpg'}"
    if image_mood:
        draw_picture(random, split, image_mood).save(folder / image, quality=90)
    text = write_text(random, split, text_mood) if text_mood else ""
    while text in texts and text:
        text = write_text(random, split, text_mood)
    texts.add(text)
    return {
        "id": name,
        "text": text,
        "image": image if image_mood else "",
        "label": joint_label(text_mood, image_mood),
        "text_label": text_mood or "",
        "image_label": image_mood or "",
    }


def _plan_moods(random: Random, size: int) -> list[Moods]:
    """Return the pairs of sentiments of all posts of a split, shuffled, in the shares asked for."""
    shares = {moods: share * (1 - 2 * MISSING_SHARE) for moods, share in SHARES.items()}
    for mood in ("negative", "neutral", "positive"):
        shares[mood, None] = shares[None, mood] = MISSING_SHARE / 3
    exact = {moods: share * size for moods, share in shares.items()}
    counts = {moods: int(count) for moods, count in exact.items()}
    by_remainder = sorted(exact, key=lambda moods: counts[moods] - exact[moods])
    counts = Counter(counts)
    counts.update(by_remainder[: size - counts.total()])
    plan = list(counts.elements())
    random.shuffle(plan)
    return plan


def _is_complete(folder: Path, settings: Mapping) -> bool:
    """Return whether `folder` holds everything that `write_posts` writes with these settings."""
    try:
        if json.loads((folder / SETTINGS).read_text(encoding="utf-8")) != settings:
            return False
        for split in settings["sizes"]:
            with (folder / f"{split}.csv").open(encoding="utf-8", newline="") as file:
                images = [row["image"] for row in csv.DictReader(file)]
            if not all((folder / image).is_file() for image in images if image):
                return False
    except (OSError, ValueError, KeyError):
        return False
    return True


def _seeded(seed: int, name: str) -> Random:
    """Return a source of choices that depends on nothing but seed and name."""
    return Random(f"{seed}/{name}")  # noqa: S311 - it draws images, it guards nothing
