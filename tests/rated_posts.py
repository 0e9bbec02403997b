"""Fabricated posts with seven emotions, several a post, and with a score; text and image each tell some."""

import csv
from random import Random

import numpy as np
from PIL import Image

EMOTIONS = {
    "anger": ("furious", "shouting", "slammed"),
    "boredom": ("yawning", "dull", "again"),
    "calm": ("quiet", "slow", "breathing"),
    "fear": ("shaking", "dark", "hiding"),
    "joy": ("laughing", "sunny", "dancing"),
    "love": ("hugging", "dear", "kisses"),
    "sadness": ("crying", "lonely", "empty"),
}
SHOWN = {"calm": (40, 160, 160), "fear": (40, 20, 60), "joy": (250, 220, 60), "love": (230, 60, 110)}
FILLERS = ("we", "were", "at", "home", "today", "with", "them", "and", "then", "so")
SIZES = {"train": 480, "validation": 120, "test": 240}


def write_rated_posts(folder, kind, sizes=SIZES, seed=0):
    """Write train.csv, validation.csv, test.csv and images; labels "a|b" or a number.

    Half of the emotions that an image can show are in the image alone. The score is the joy in the
    words and the brightness of the image together, with noise.
    """
    (folder / "images").mkdir(parents=True)
    for split, size in sizes.items():
        with (folder / f"{split}.csv").open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(["id", "text", "image", "label"])
            for i in range(size):
                random = Random(f"{seed}/{kind}/{split}/{i}")
                make = _emotions if kind == "multi_label_classification" else _score
                words, colour, label = make(random)
                name = f"images/{split}-{i}.png" if colour else ""
                if colour:
                    _draw(colour, random).save(folder / name)
                text = " ".join(random.sample(FILLERS, 4) + words) if words else ""
                writer.writerow([f"{split}-{i}", text, name, label])
    return folder


def _emotions(random):
    chosen = [name for name in EMOTIONS if random.random() < 0.3]
    shown = [name for name in chosen if name in SHOWN]
    colour = SHOWN[shown[0]] if shown and random.random() < 0.5 else None
    told = [name for name in chosen if not (colour and name == shown[0])]
    words = [random.choice(EMOTIONS[name]) for name in told] or ["nothing"]
    return words, colour, "|".join(chosen) or "[]"


def _score(random):
    joy, light = random.randrange(5), random.random()
    grey = tuple(int(40 + 200 * light) for _ in range(3))
    words = ["laughing"] * joy + ["crying"] * (4 - joy)
    return words, grey, f"{50 + 10 * joy + 25 * light + random.gauss(0, 3):.2f}"


def _draw(colour, random):
    noise = np.random.default_rng(random.getrandbits(32)).normal(0, 12, (48, 48, 3))
    return Image.fromarray((np.array(colour) + noise).clip(0, 255).astype(np.uint8))
