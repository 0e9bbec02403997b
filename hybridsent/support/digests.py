"""Digests of tensors and files."""

import hashlib
from pathlib import Path
from typing import Any

import torch


def digest_of_weights(module: torch.nn.Module) -> str:
    """Return a digest of names, dtypes, shapes and bytes of all tensors of a module."""
    digest = hashlib.sha256()
    for name, tensor in module.state_dict().items():
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
    return digest.hexdigest()


def update_digest(digest: Any, file: Path) -> None:
    """Take the content of a file, which may be large, into a digest of `hashlib`."""
    with file.open("rb") as content:
        while part := content.read(1 << 20):
            digest.update(part)


def digest_of_file(file: Path) -> str:
    """Return the SHA-256 of a file's content as 64 hexadecimal digits."""
    digest = hashlib.sha256()
    update_digest(digest, file)
    return digest.hexdigest()
