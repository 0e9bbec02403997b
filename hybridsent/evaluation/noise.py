"""Damage posts as the papers on fusion do, and score them.

The levels are those of the code of QMF (Zhang et al., ICML 2023) and PDF (Cao et al., ICML 2024). At
level n each damage hits a random half of the posts:

- Gaussian noise: one value of standard deviation 10n for each pixel of 0 to 255, added to all colours.
- Salt and pepper: a tenth of the pixels becomes black or white, in n tenths of that half.
- Hidden words: each word becomes "_" with a chance of n tenths.

As there, noise is added to an image whose shorter side has 256 pixels; smaller images keep their size.
Unlike there, each post has its own noise, which depends on its id alone, and values are clipped at 0.
"""

import hashlib
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
from datasets import Dataset
from PIL import Image

from hybridsent.evaluation.final_scores import Row
from hybridsent.evaluation.problem_scores import scores_of
from hybridsent.evaluation.robustness import hash_order
from hybridsent.training.run_posts import has_modality
from hybridsent.training.trainer import HybridSentTrainer
from modeling_hybridsent.inputs_hybridsent import load_image

LEVELS = (5, 10)
SHORTER_SIDE = 256  # pixels
SALT = 0.1  # of the pixels

# Takes a text or image and the id of its post.
Damage = Callable[[Any, str], Any]


def score_damaged(trainer: HybridSentTrainer, posts: Dataset, max_pixels: int) -> list[Row]:
    """Score posts under each damage; each row is one more pass over the posts.

    Args:
        trainer: Trainer of the model.
        posts: Rows with undecoded images.
        max_pixels: Refuse larger images.

    Returns:
        For each damage its name as `input`, the number of `posts`, and a few scores.
    """
    rows = []
    for name, damaged in damages(posts, max_pixels):
        outputs, labels = trainer.predict_posts(damaged)
        found = trainer.scores(outputs["logits"], labels)
        kept = {key: found[key] for key in scores_of(trainer.model.config).robustness}
        rows.append({"input": name, "posts": len(posts), **kept})
    return rows


def damages(posts: Dataset, max_pixels: int) -> Iterator[tuple[str, Dataset]]:
    """Yield the name of each damage, and the posts with it."""
    noises = {"Gaussian noise": gaussian, "salt and pepper": salt_and_pepper}
    for level in LEVELS:
        words: Damage = partial(hide_words, level=level)
        yield f"hidden words, level {level}", with_damage(posts, text=words)
        for name, damage in noises.items():
            noise: Damage = partial(damage, level=level, max_pixels=max_pixels)
            yield f"{name}, level {level}", with_damage(posts, image=noise)
            yield (
                f"{name} and hidden words, level {level}",
                with_damage(posts, image=noise, text=words),
            )
    yield "swapped images", with_damage(posts, image=swap_images(posts))


def with_damage(posts: Dataset, **damages: Damage) -> Dataset:
    """Return posts whose texts or images are damaged as they are read; missing ones stay missing."""

    def read(batch: dict[str, list[Any]]) -> dict[str, list[Any]]:
        for name, damage in damages.items():
            pairs = zip(batch[name], batch["id"], strict=True)
            batch[name] = [None if x is None else damage(x, post) for x, post in pairs]
        return batch

    return posts.with_transform(read)


def generator_of(post: str, purpose: str) -> np.random.Generator:
    """Return random numbers that depend on a post's id and a purpose alone."""
    digest = hashlib.sha256(f"{purpose} {post}".encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:8], "big"))


def gaussian(source: Any, post: str, level: int, max_pixels: int) -> Any:
    """Add Gaussian noise to an image, or return it as it is."""
    random = generator_of(post, "image")
    if random.random() >= 0.5:
        return source
    pixels = _small_pixels(source, max_pixels)
    noise = 10 * level * random.standard_normal((*pixels.shape[:2], 1))
    return Image.fromarray((pixels + noise).clip(0, 255).astype(np.uint8))


def salt_and_pepper(source: Any, post: str, level: int, max_pixels: int) -> Any:
    """Make pixels of an image black or white, or return it as it is."""
    random = generator_of(post, "image")
    if random.random() >= 0.5 or random.random() >= level / 10:
        return source
    pixels = _small_pixels(source, max_pixels)
    chance = random.random(pixels.shape[:2])
    pixels[chance < SALT] = 255
    pixels[chance < SALT / 2] = 0
    return Image.fromarray(pixels)


def _small_pixels(source: Any, max_pixels: int) -> np.ndarray:
    """Load an image at most as large as noise is added to, (height, width, 3)."""
    image = load_image(source, max_pixels)
    assert image is not None  # only images that are there are damaged
    factor = min(1.0, SHORTER_SIDE / min(image.size))
    size = (round(factor * image.width), round(factor * image.height))
    return np.array(image.resize(size, Image.Resampling.BILINEAR))


def hide_words(text: str, post: str, level: int) -> str:
    """Replace words of a text, or return it as it is."""
    random = generator_of(post, "text")
    if random.random() >= 0.5:
        return text
    return " ".join("_" if random.random() < level / 10 else word for word in text.split(" "))


def swap_images(posts: Dataset) -> Damage:
    """Return the damage that gives each post with an image the image of another one."""
    ids, has_image = list(posts["id"]), has_modality(posts, "image")
    order = [int(i) for i in hash_order(ids, "swap") if has_image[i]]
    other = {ids[i]: following for i, following in zip(order, order[1:] + order[:1], strict=True)}
    return lambda _, post: posts[other[post]]["image"]
