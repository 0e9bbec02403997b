"""Fabricated posts in the words of tiny tokenizers: seven emotions, several a post; or a score."""

import csv
from random import Random

import numpy as np
from PIL import Image

MULTI, SCORE = "multi_label_classification", "regression"
EMOTIONS = {
    "anger": "bad",
    "boredom": "very",
    "calm": "cat",
    "fear": "rain",
    "joy": "happy",
    "love": "good",
    "sadness": "sad",
}
COLOURS = {"fear": (20, 20, 60), "joy": (250, 220, 60), "love": (230, 40, 90)}  # an image shows one
FILLERS = ("a", "the", "day", "not", "!")
SIZES = {"train": 320, "validation": 80, "test": 160}


def write_rated_posts(folder, kind, sizes=SIZES):
    """Write train.csv, validation.csv, test.csv and images; labels are "a|b" or a number.

    Each emotion stands in the text as its word, or alone in the image as its colour. The score counts
    happy words, and the brightness of the image adds to it.
    """
    (folder / "images").mkdir(parents=True)
    for split, size in sizes.items():
        with (folder / f"{split}.csv").open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(["id", "text", "image", "label"])
            for i in range(size):
                random, name = Random(f"{kind}/{split}/{i}"), f"images/{split}-{i}.png"
                words, colour, label = (_emotions if kind == MULTI else _score)(random)
                if colour:
                    _draw(colour, random).save(folder / name)
                text = " ".join([*random.sample(FILLERS, 2), *words])
                writer.writerow([f"{split}-{i}", text, name if colour else "", label])
    return folder


def _emotions(random):
    chosen = [name for name in EMOTIONS if random.random() < 0.3]
    shown = next((name for name in chosen if name in COLOURS and random.random() < 0.5), None)
    words = [EMOTIONS[name] for name in chosen if name != shown]
    return words, COLOURS.get(shown), "|".join(chosen) or "[]"


def _score(random):
    joy, light = random.randrange(5), random.random()
    words = ["happy"] * joy + ["sad"] * (4 - joy)
    label = 50 + 10 * joy + 20 * light + random.gauss(0, 3)
    return words, (int(40 + 200 * light),) * 3, f"{label:.2f}"


def _draw(colour, random):
    noise = np.random.default_rng(random.getrandbits(32)).normal(0, 12, (32, 32, 3))
    return Image.fromarray((np.array(colour) + noise).clip(0, 255).astype(np.uint8))
