"""From rows to model inputs: what worker processes do ahead of the model."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property, lru_cache
from os.path import realpath
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np
import torch
from datasets.utils.file_utils import xopen
from PIL import Image
from transformers import AutoProcessor

from datasets_scripts.post_rows import picture_problem
from hybridsent.scoring.row import EMPTY, Row
from modeling_hybridsent import load_image
from modeling_hybridsent.inputs_hybridsent import as_upright_rgb, has_text, open_image

HUB = "hf://"  # how the folder of a row begins that is streamed from the Hub
resolved = lru_cache(maxsize=64)(realpath)


class Prepared(NamedTuple):
    """A batch, ready for the model.

    Attributes:
        inputs: What the model takes, of the rows of `kept`; None if there are none.
        kept: Places in the batch of the rows that can be scored.
        problems: Why the others cannot, by place.
    """

    inputs: dict[str, torch.Tensor] | None
    kept: list[int]
    problems: dict[int, str]


class Preparer:
    """Decode, tokenize and pad; also a data set of torch whose "indices" are lists of rows.

    Args:
        model: Folder or Hub id.
        revision: Of the Hub id.
        max_image_pixels: Refuse larger pictures, undecoded; None means the processor's own limit.
    """

    def __init__(self, model: str, revision: str | None, max_image_pixels: int | None) -> None:
        self.model, self.revision = model, revision
        self.max_image_pixels = max_image_pixels

    @cached_property
    def processor(self) -> Any:
        """The joint processor, loaded on first use."""
        return AutoProcessor.from_pretrained(
            self.model, revision=self.revision, trust_remote_code=True
        )

    def __getstate__(self) -> dict[str, Any]:
        """Leave the loaded processor behind; who unpickles this loads it anew."""
        return {name: value for name, value in self.__dict__.items() if name != "processor"}

    def __getitem__(self, rows: Sequence[Row]) -> Prepared:
        """Prepare rows; each that cannot be scored is a problem and never an exception.

        Args:
            rows: The rows.

        Returns:
            Inputs, and problems.
        """
        problems: dict[int, str] = {}
        pictures: dict[int, Image.Image | None] = {}
        for place, row in enumerate(rows):
            picture, problem = self._picture(row)
            if problem:
                problems[place] = problem
            else:
                pictures[place] = picture
        try:
            inputs = self._inputs(rows, pictures) if pictures else None
        except Exception as error:  # whatever a tokenizer or image processor may raise
            return self._without_spoilers(rows, error)
        return Prepared(inputs, list(pictures), problems)

    def any_picture(self) -> torch.Tensor:
        """Return the pixel values of a picture of noise, (1, 3, height, width)."""
        noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
        prepared = self.processor(images=[Image.fromarray(noise)])
        return cast(torch.Tensor, prepared["pixel_values"])

    def _picture(self, row: Row) -> tuple[Image.Image | None, str | None]:
        """Return the picture of a row, if it has one, or why it cannot be scored."""
        if row.problem:
            return None, row.problem
        limit = self.max_image_pixels or self.processor.max_image_pixels
        try:
            picture = _load(row, limit)
        except Exception as error:  # decoders raise nearly anything on broken files
            why = str(error).removeprefix("image: ") or repr(error)
            return None, f"picture cannot be read: {why}"
        if isinstance(picture, str):
            return None, picture
        try:
            return picture, None if picture is not None or has_text(row.text) else EMPTY
        except ValueError as error:
            return None, str(error)

    def _inputs(
        self, rows: Sequence[Row], pictures: dict[int, Image.Image | None]
    ) -> dict[str, torch.Tensor]:
        """Run the processor; a batch wholly without texts or pictures spares their encoder."""
        texts = [rows[place].text for place in pictures]
        images = list(pictures.values())
        return dict(
            self.processor(
                text=texts if any(map(has_text, texts)) else None,
                images=images if any(image is not None for image in images) else None,
            )
        )

    def _without_spoilers(self, rows: Sequence[Row], error: Exception) -> Prepared:
        """Prepare a batch that fails as a whole without the rows that fail alone."""
        alone = [self[[row]].problems if len(rows) > 1 else {} for row in rows]
        problems = {place: found[0] for place, found in enumerate(alone) if found}
        if not problems:  # each is fine alone, or there is only one
            problems = dict.fromkeys(range(len(rows)), f"cannot be processed: {error}")
        good = [place for place in range(len(rows)) if place not in problems]
        rest = self[[rows[place] for place in good]]
        problems |= {good[place]: why for place, why in rest.problems.items()}
        return Prepared(rest.inputs, [good[place] for place in rest.kept], problems)


def _load(row: Row, limit: int) -> Any:
    """Return the picture of a row, None if it has none, or as a string why it may not be read."""
    if not isinstance(row.image, str):
        if isinstance(row.image, bytes) and not row.image:
            return "picture cannot be read: it is empty"
        return load_image(row.image, limit)
    if row.folder.startswith(HUB):
        return _load_from_hub(row, limit)
    folder = Path(resolved(row.folder))
    if problem := picture_problem(row.image, folder):
        return problem
    with open_image(folder / row.image, limit) as image:
        return as_upright_rgb(image)


def _load_from_hub(row: Row, limit: int) -> Any:
    """Read a picture that is a file of the row's own data set, or of an archive in it."""
    if not row.image.rpartition("::")[2].startswith(f"{row.folder}/"):
        return f"image is not in the data set, and nothing else is read: {row.image!r}"
    with xopen(row.image, "rb") as file:
        return load_image(file.read(), limit)
