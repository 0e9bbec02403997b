"""Digests of tensors and files."""

import hashlib
from pathlib import Path

import torch


def digest_of_weights(module: torch.nn.Module) -> str:
    """Return a digest of names, dtypes, shapes and bytes of all tensors of a module."""
    digest = hashlib.sha256()
    for name, tensor in module.state_dict().items():
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
    return digest.hexdigest()


def digest_of_file(file: Path) -> str:
    """Return the SHA-256 of a file."""
    return hashlib.sha256(file.read_bytes()).hexdigest()
