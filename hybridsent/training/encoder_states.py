"""States of a frozen encoder in Arrow files: written once, mapped into memory, read by row number.

`datasets` lacks bfloat16: such states are stored as uint16 with the same bits, which keeps the range
that float16 would cut.
"""

import hashlib
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from datasets import Dataset, Features, List, Value, concatenate_datasets
from datasets.arrow_writer import ArrowWriter

from modeling_hybridsent import HybridSentProcessor

FILE = "states.arrow"
KINDS = ("global", "local")

# Position of the post, its global states (tokens, width) and its local ones or None.
StoredPost = tuple[int, torch.Tensor, torch.Tensor | None]


def write_states(
    posts: Iterable[list[StoredPost]], widths: Sequence[int | None], dtype: str, folder: Path
) -> None:
    """Write the states of posts, batch by batch.

    Args:
        posts: Batches.
        widths: Of global and local states; None where there are no local ones.
        dtype: "float32" or "bfloat16".
        folder: An existing folder.
    """
    value = Value({"float32": "float32", "bfloat16": "uint16"}[dtype])
    present = {kind: width for kind, width in zip(KINDS, widths, strict=True) if width is not None}
    columns = {kind: List(List(value, length=width)) for kind, width in present.items()}
    features = Features({"post": Value("int64"), **columns})
    with ArrowWriter(features=features, path=str(folder / FILE)) as writer:
        for batch in filter(None, posts):
            position, *states = zip(*batch, strict=True)
            cells = dict(zip(KINDS, states, strict=True))
            arrays = [pa.array(position), *(_as_arrow(cells[kind], dtype) for kind in present)]
            writer.write_table(pa.table(arrays, schema=features.arrow_schema))
        writer.finalize()


def _as_arrow(cells: Sequence[torch.Tensor], dtype: str) -> pa.Array:
    """Convert tensors (tokens, width) to an Arrow array of lists, without Python numbers."""
    values = torch.cat(list(cells)).to(getattr(torch, dtype)).cpu().contiguous()
    numbers = (values.view(torch.uint16) if dtype == "bfloat16" else values).numpy()
    vectors = pa.FixedSizeListArray.from_arrays(pa.array(numbers.reshape(-1)), values.shape[1])
    ends = np.cumsum([0, *(len(cell) for cell in cells)], dtype=np.int32)
    return pa.ListArray.from_arrays(pa.array(ends), vectors)


class EncoderStates:
    """Stored states of one encoder.

    Args:
        folders: Folders that `write_states` wrote; row numbers continue from one to the next.
        map_shape: Channels, rows and columns of states that come from the frozen front of an encoder
            and feed its trained layers; None for the states of a whole encoder.
    """

    def __init__(
        self, folders: Sequence[Path], map_shape: tuple[int, int, int] | None = None
    ) -> None:
        self.map_shape = map_shape
        self._parts = [Dataset.from_file(str(folder / FILE)) for folder in folders]
        self.rows = concatenate_datasets(self._parts)
        self._table = self.rows.with_format("arrow")

    def numbers(self, part: int, posts: int) -> list[int | None]:
        """Return the row number of each post of one folder.

        Args:
            part: Which of the folders.
            posts: Number of posts of that folder, stored or not.

        Returns:
            (posts,), None for a post without states.
        """
        start = sum(map(len, self._parts[:part]))
        numbers: list[int | None] = [None] * posts
        for row, post in enumerate(self._parts[part]["post"], start):
            numbers[post] = row
        return numbers

    def _read(self, numbers: Sequence[int]) -> list[list[torch.Tensor]]:
        """Read the stored states of each row, each (tokens, width), float32."""
        table = self._table[list(numbers)]
        kinds = [table[kind] for kind in KINDS if kind in table.column_names]
        return [[_as_tensor(cell) for cell in cells] for cells in zip(*kinds, strict=True)]

    def of_images(self, numbers: Sequence[int | None]) -> dict[str, Any]:
        """Build the model's inputs for a batch of images.

        Args:
            numbers: Row of each post, None where it has no image.

        Returns:
            `has_image`, bool (batch,), and `image_encoder_outputs`, each (batch, tokens, width), or
            `pixel_values`, (batch, channels, rows, columns), from a frozen front, with
            `image_local_states` where they are stored; zero for a missing image. Only `has_image` if
            no image at all is stored.
        """
        has_image = {"has_image": torch.tensor([number is not None for number in numbers])}
        if not len(self.rows):
            return has_image
        known = [number for number in numbers if number is not None]
        read = self._read(known or [0])  # else row 0 gives the shape
        stored = iter(read if known else [])
        empty = [torch.zeros_like(x) for x in read[0]]
        batch = [empty if number is None else next(stored) for number in numbers]
        states = [torch.stack(kind) for kind in zip(*batch, strict=True)]
        if self.map_shape is not None:
            local = {"image_local_states": states[1]} if len(states) > 1 else {}
            return has_image | local | {"pixel_values": states[0].view(-1, *self.map_shape)}
        return has_image | {"image_encoder_outputs": _pair(states)}

    def of_texts(
        self, numbers: Sequence[int | None], attention_mask: torch.Tensor
    ) -> dict[str, Any]:
        """Build the model's inputs for a batch of texts.

        Args:
            numbers: Row of each post, None where it has no text.
            attention_mask: Of the tokenizer, non-zero at real tokens, (batch, tokens).

        Returns:
            `text_encoder_outputs`, each (batch, tokens, width), zero at padding and missing texts.
        """
        known = {i: number for i, number in enumerate(numbers) if number is not None}
        vectors = [self.rows.features[kind].feature for kind in KINDS if kind in self.rows.features]
        batch = [torch.zeros(*attention_mask.shape, vector.length) for vector in vectors]
        read = self._read(list(known.values())) if known else []
        for i, states in zip(known, read, strict=True):
            for whole, own in zip(batch, states, strict=True):
                whole[i, attention_mask[i].bool()] = own
        return {"text_encoder_outputs": _pair(batch)}


def _as_tensor(cell: pa.ListScalar) -> torch.Tensor:
    """Copy one stored cell into a tensor (tokens, width), float32."""
    values = torch.from_numpy(cell.values.flatten().to_numpy().copy())
    values = values.view(torch.bfloat16).float() if values.dtype == torch.uint16 else values
    return values.reshape(-1, cell.type.value_type.list_size)


def _pair(states: list[torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Add None for local states that are not stored."""
    return states[0], states[1] if len(states) > 1 else None


def describe_processor(processor: HybridSentProcessor, modality: str) -> list[Any]:
    """Describe how texts or images become model inputs, as JSON values that compare.

    Args:
        processor: The joint processor.
        modality: "text" or "image".
    """
    if modality == "image":
        part = processor.image_processor
        return [type(part).__name__, part.to_dict()]
    processor.encode_texts(["a"])  # leaves settings in the tokenizer's files, as every call does
    digest = hashlib.sha256()
    with tempfile.TemporaryDirectory() as folder:
        processor.tokenizer.save_pretrained(folder)
        for file in sorted(Path(folder).iterdir()):
            digest.update(file.name.encode() + file.read_bytes())
    cleaning = ["clean_text"] if processor.clean_text else []  # keys without it stay what they were
    return [digest.hexdigest(), processor.max_length, *cleaning]


def digest_of_posts(posts: Dataset, modality: str) -> str:
    """Return a digest of the texts, or image files, of all posts in order.

    Args:
        posts: Posts with undecoded images.
        modality: "text" or "image".
    """
    digest = hashlib.sha256()
    for value in posts[modality]:
        content = value.encode() if isinstance(value, str) else content_of(value)
        digest.update(b"-" if content is None else hashlib.sha256(content).digest())
    return digest.hexdigest()


def content_of(image: dict[str, Any] | None) -> bytes | None:
    """Return the bytes of an undecoded image; None if there is none or its file is gone."""
    if image is None:
        return None
    if image["bytes"] is not None:
        return image["bytes"]
    file = Path(image["path"])
    return file.read_bytes() if file.is_file() else None
