"""Look at every image once, before training: does it decode, how large is it, is it a copy?"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import TypeVar

from datasets.utils import tqdm
from PIL.Image import Image

from datasets_scripts.post import Picture, Post, Reading, Rejected
from modeling_hybridsent.inputs_hybridsent import (
    as_upright_rgb,
    image_damage,
    open_image,
    read_orientation,
)

CHUNK = 512  # posts in the hands of the threads at once

Item = TypeVar("Item")
Found = TypeVar("Found")


def decode_picture(source: str | bytes, max_pixels: int) -> tuple[Picture, Image]:
    """Decode an image as the processor will, and return what it is like.

    Args:
        source: Path or bytes.
        max_pixels: Refuse it undecoded if it has more pixels than this.

    Returns:
        The facts, and the image upright and in RGB.

    Raises:
        ValueError: It cannot be read; the message says why.
    """
    try:
        content = source if isinstance(source, bytes) else Path(source).read_bytes()
        if not content:
            raise ValueError("the file is empty")
        image = open_image(content, max_pixels)
        facts = Picture(
            sha256=hashlib.sha256(content).digest(),
            width=image.width,
            height=image.height,
            format=image.format or "",
            mode=image.mode,
            frames=getattr(image, "n_frames", 1),
            orientation=read_orientation(image) or 1,
        )
        return facts, as_upright_rgb(image)
    except Exception as error:  # decoders raise nearly anything on broken files
        raise ValueError(image_damage(error)) from error


def inspect_picture(source: str | bytes, max_pixels: int) -> Picture:
    """Return the facts of `decode_picture` alone."""
    return decode_picture(source, max_pixels)[0]


def in_threads(
    function: Callable[[Item], Found], items: Iterable[Item], total: int, what: str
) -> Iterator[Found]:
    """Apply a function in threads, in order, a bounded number of items at once, with a progress bar.

    Args:
        function: Most of its work must let other threads run, as decoding images does.
        items: What to apply it to.
        total: How many items there are.
        what: Is being done, for the bar.

    Yields:
        The results in the order of the items.
    """
    waiting = iter(items)
    with (
        ThreadPoolExecutor(os.cpu_count()) as threads,
        tqdm(total=total, desc=what, unit=" posts") as progress,
    ):
        while chunk := list(islice(waiting, CHUNK)):
            yield from threads.map(function, chunk)
            progress.update(len(chunk))


def inspect_pictures(reading: Reading, max_pixels: int) -> None:
    """Inspect the image of every post; posts whose image cannot be read become rejected rows.

    Posts whose broken image is known of the published set lose the image only.

    Args:
        reading: Changed in place.
        max_pixels: Refuse larger images.
    """

    def inspect(post: Post) -> Picture | str | None:
        try:
            return None if post.image is None else inspect_picture(post.image, max_pixels)
        except ValueError as error:
            return str(error)

    posts = reading.posts
    seen = in_threads(inspect, posts, len(posts), "Looking at images")
    reading.posts = [
        post for post, found in zip(posts, seen, strict=True) if _keeps(post, found, reading)
    ]


def _keeps(post: Post, found: Picture | str | None, reading: Reading) -> bool:
    """Record the facts of a post's image, or why it cannot be read; return whether the post stays."""
    if not isinstance(found, str):
        post.picture = found
        return True
    name = f"{os.path.basename(post.image)}: " if isinstance(post.image, str) else ""
    if post.id in reading.corrupt_ids and post.text is not None:
        reading.notes["image broken in the published set"].append(f"{post.where}: {name}{found}")
        post.image = None
        return True
    why = "image cannot be read"
    reading.rejected.append(Rejected(post.id, post.where, why, f"{name}{why}: {found}"))
    return False
