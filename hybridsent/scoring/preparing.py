"""From rows to model inputs: what worker processes do ahead of the model."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cached_property
from typing import Any, NamedTuple, cast

import numpy as np
import torch
from PIL import Image
from transformers import AutoProcessor

from datasets_scripts.intake import EMPTY, find_image
from hybridsent.scoring.inputs import HUB
from hybridsent.scoring.rows import Row
from hybridsent.support.command_line import lost_worker
from modeling_hybridsent.inputs_hybridsent import has_text, load_image

# An archive of the data set, or a file of it, is all that a row of the Hub may name.
ARCHIVES = re.compile(r"(zip|tar|gzip)://[^:]*")
TEXTS_AT_ONCE = 32  # to count their tokens: each is padded to the longest
LONG = 1000  # characters of a text whose tokens are not counted


class Prepared(NamedTuple):
    """A batch, ready for the model.

    Attributes:
        inputs: What the model takes, of the rows of `kept`; None without such rows.
        kept: Places in the batch of the rows that can be scored.
        problems: Why the others cannot, by place.
        texts: Their texts, of the rows of `kept`; empty unless they are to be explained.
    """

    inputs: dict[str, torch.Tensor] | None
    kept: list[int]
    problems: dict[int, str]
    texts: Sequence[str | None] = ()


class Preparer:
    """Decode, tokenize and pad; also a data set of torch whose "indices" are lists of rows.

    Args:
        model: Folder or Hub id.
        revision: Of the Hub id.
        max_image_pixels: Refuse larger images, undecoded; None means the processor's own limit.
        trust_remote_code: Whether code that comes with the model may run.
        keep_texts: Whether to hand the texts on.
    """

    def __init__(
        self,
        model: str,
        revision: str | None,
        max_image_pixels: int | None,
        trust_remote_code: bool = False,
        keep_texts: bool = False,
    ) -> None:
        self.model, self.revision, self.keep_texts = model, revision, keep_texts
        self.max_image_pixels, self.trust_remote_code = max_image_pixels, trust_remote_code

    @cached_property
    def processor(self) -> Any:
        """The joint processor, loaded on first use."""
        processor = AutoProcessor.from_pretrained(
            self.model, revision=self.revision, trust_remote_code=self.trust_remote_code
        )
        processor.max_image_pixels = max(processor.max_image_pixels, self.max_image_pixels or 0)
        return processor

    def __getstate__(self) -> dict[str, Any]:
        """Leave the processor behind; a process that unpickles this loads its own."""
        return {k: v for k, v in self.__dict__.items() if k != "processor"}

    def __getitem__(self, rows: list[Row]) -> Prepared:
        """Prepare a batch.

        Args:
            rows: The rows.

        Returns:
            Inputs, and problems.
        """
        problems: dict[int, str] = {}
        images: dict[int, Image.Image | None] = {}
        for place, row in enumerate(rows):
            image, problem = self._image(row)
            if problem:
                problems[place] = problem
            else:
                images[place] = image
        try:
            inputs = self._inputs(rows, images) if images else None
        except Exception as error:  # whatever a tokenizer or image processor may raise
            return self._without_failing(rows, error)
        texts = [rows[place].text for place in images] if self.keep_texts else ()
        return Prepared(inputs, list(images), problems, texts)

    def noise_image(self) -> torch.Tensor:
        """Return the pixel values of an image of noise, (1, 3, height, width)."""
        noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
        prepared = self.processor(images=[Image.fromarray(noise)])
        return cast(torch.Tensor, prepared["pixel_values"])

    def lengths(self, rows: Sequence[Row]) -> list[int]:
        """Measure the texts, so that those of similar length can share a batch.

        Args:
            rows: The rows.

        Returns:
            Tokens of each text; characters of one that is too long to be tokenized twice, or that the
            tokenizer refuses.
        """
        texts = [None if row.problem else row.text for row in rows]
        found = [len(text or "") for text in texts]
        short = [place for place, size in enumerate(found) if size <= LONG]
        for start in range(0, len(short), TEXTS_AT_ONCE):
            places = short[start : start + TEXTS_AT_ONCE]
            for place, size in zip(places, self._lengths([texts[i] for i in places]), strict=True):
                found[place] = size
        return found

    def _lengths(self, texts: Sequence[str | None]) -> list[int]:
        if not any(texts):
            return [0] * len(texts)
        try:
            mask = self.processor.encode_texts(texts)["attention_mask"]
            return cast(list[int], mask.sum(dim=1).tolist())
        except Exception as error:  # of any tokenizer; the batch of that text says why
            if lost := lost_worker(error):  # torch raises that wherever this process is
                raise lost from None
            if len(texts) == 1:
                return [len(texts[0] or "")]
            return [self._lengths([text])[0] for text in texts]

    def _image(self, row: Row) -> tuple[Image.Image | None, str | None]:
        """Return the image of a row, if it has one, or why the row cannot be scored."""
        if row.problem:
            return None, row.problem
        place = f"row {row.number}: "
        try:
            limit = self.max_image_pixels or self.processor.max_image_pixels
            ratio = self.processor.max_image_ratio()
            image = load_image(_source(row), limit, f"{place}image", ratio)
            is_empty = image is None and not has_text(row.text)
        except Exception as error:  # decoders raise nearly anything on broken files
            why = str(error).removeprefix(place)
            known = why.startswith(("image", "text"))
            return None, why if known else f"image cannot be read: {error!r:.300}"
        return image, EMPTY if is_empty else None

    def _inputs(
        self, rows: Sequence[Row], images: dict[int, Image.Image | None]
    ) -> dict[str, torch.Tensor]:
        """Run the processor; a batch wholly without texts or images spares their encoder."""
        texts = [rows[place].text for place in images]
        given = list(images.values())
        return dict(
            self.processor(
                text=texts if any(map(has_text, texts)) else None,
                images=given if any(image is not None for image in given) else None,
            )
        )

    def _without_failing(self, rows: Sequence[Row], error: Exception) -> Prepared:
        """Prepare a batch that fails as a whole without the rows that fail alone."""
        alone = [self[[row]].problems if len(rows) > 1 else {} for row in rows]
        problems = {place: found[0] for place, found in enumerate(alone) if found}
        if not problems:  # each is fine alone, or there is only one
            problems = dict.fromkeys(range(len(rows)), f"cannot be processed: {error}")
        good = [place for place in range(len(rows)) if place not in problems]
        rest = self[[rows[place] for place in good]]
        problems |= {good[place]: why for place, why in rest.problems.items()}
        return rest._replace(kept=[good[place] for place in rest.kept], problems=problems)


def _source(row: Row) -> Any:
    """Return what the image of a row is read from.

    Raises:
        ValueError: The row names something outside its folder, or no file.
    """
    if not isinstance(row.image, str):
        return row.image
    if row.folder.startswith(HUB):
        return _read_from_hub(row.image, row.folder)
    return find_image(row.image, row.folder, follow_links=True)


def _read_from_hub(image: str, folder: str) -> bytes:
    """Read an image that is a file of the row's own data set, or of an archive in it."""
    *archives, file = image.split("::")
    is_inside = file.startswith(f"{folder}/") and all(map(ARCHIVES.fullmatch, archives))
    if not is_inside or ".." in re.split("[/:]", image):
        raise ValueError(f"image is not in the data set, and nothing else is read: {image!r:.200}")
    from datasets.utils.file_utils import xopen

    with xopen(image, "rb") as content:
        return cast(bytes, content.read())
