"""Keep the difference that tuning made to an encoder as a small file, and add it to the encoder.

Tuning with LoRA (Hu et al. 2021, arXiv 2106.09685) adds `scale * B @ A` to a weight. The file holds
A and B of each tuned weight in half precision, under `MODULE.lora_A` and `MODULE.lora_B`. It also
holds the head that learnt the ratings, and in its header what it was made of.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import safe_open
from safetensors.torch import load, save

from hybridsent.support.folders import write_whole

ABOUT = "about"  # one entry of the header: safetensors writes several in an order that changes


class Difference(NamedTuple):
    """What tuning changed.

    Attributes:
        factors: A and B of each tuned weight, by name.
        head: `weight` of (hidden_size,) and `bias` of (1,), which read a rating from mean states.
        about: What it was made of; `scale` multiplies each product, `base_sha256` is the digest of
            the file of weights that it belongs to.
    """

    factors: dict[str, torch.Tensor]
    head: dict[str, torch.Tensor]
    about: dict[str, Any]

    def add_to(self, weights: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Return weights with the difference added.

        Float64 in between makes the result the same on every machine, whatever the order of sums.

        Args:
            weights: State dict of the base encoder.

        Raises:
            ValueError: The encoder lacks a tuned weight, or has it in another shape.
        """
        changed = dict(weights)
        for module in sorted({name.rpartition(".")[0] for name in self.factors}):
            down, up = (self.factors[f"{module}.lora_{part}"].double() for part in "AB")
            name, product = f"{module}.weight", self.about["scale"] * up @ down
            if name not in weights or weights[name].shape != product.shape:
                raise ValueError(
                    f"{name} of shape {tuple(product.shape)} was tuned, but this encoder has no such "
                    "weight: take the one that the difference was made for."
                )
            changed[name] = (weights[name].double() + product).to(weights[name].dtype)
        return changed


def write_difference(difference: Difference, file: Path) -> None:
    """Write a difference as safetensors; the same difference always gives the same bytes."""
    tensors = {name: tensor.contiguous() for name, tensor in sorted(difference.factors.items())}
    tensors |= {f"head.{name}": tensor for name, tensor in difference.head.items()}
    about = json.dumps(difference.about, sort_keys=True)
    write_whole(save(tensors, {ABOUT: about}), file)


def read_difference(file: Path, digest: str) -> Difference:
    """Read a difference, if it is the one that is expected.

    Args:
        file: What `write_difference` wrote.
        digest: Its SHA-256.

    Raises:
        ValueError: The file has another digest.
    """
    content = file.read_bytes()
    found = hashlib.sha256(content).hexdigest()
    if found != digest:
        raise ValueError(
            f"{file}: its SHA-256 is {found}, not {digest}: the file is damaged. "
            "Install hybridsent again."
        )
    with safe_open(file, "pt") as opened:
        about = json.loads(opened.metadata()[ABOUT])
    tensors = load(content)
    head = {name: tensors.pop(f"head.{name}") for name in ("weight", "bias")}
    return Difference(tensors, head, about)
