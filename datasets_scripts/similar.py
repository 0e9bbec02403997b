"""Which images look alike: perceptual hashes, and a search that does not compare all with all."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import imagehash
import numpy as np
from PIL.Image import Image
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components


def perceptual_hash(image: Image) -> int:
    """Return 64 bits that change little when an image is scaled or compressed anew."""
    return int(np.packbits(imagehash.phash(image).hash).view(">u8")[0])


def similar_groups(hashes: Sequence[int], max_distance: int) -> list[int]:
    """Part hashes into groups that are linked by similar pairs.

    Args:
        hashes: 64 bits each.
        max_distance: Hashes are similar if they differ in at most so many bits.

    Returns:
        Number of the group of each hash.
    """
    unique, which = np.unique(np.array(hashes, dtype=np.uint64), return_inverse=True)
    pairs = similar_pairs(unique, max_distance)
    graph = coo_matrix((np.ones(len(pairs)), pairs.T), shape=(len(unique), len(unique)))
    _, component = connected_components(graph, directed=False)
    return component[which].tolist()


def similar_pairs(hashes: np.ndarray, max_distance: int) -> np.ndarray:
    """Find all pairs of 64-bit hashes that differ in at most `max_distance` bits.

    Cut into max_distance + 1 bands, two such hashes agree in one band at least, so only hashes with
    a band in common are compared: all of a million images need not meet each other.

    Args:
        hashes: (n,) uint64, no two equal.
        max_distance: At most 15.

    Returns:
        (pairs, 2) int64 indices, the smaller one first; a pair may occur more than once.
    """
    found = [np.empty((0, 2), dtype=np.int64)]
    edges = np.linspace(0, 64, max_distance + 2).astype(int)
    for low, high in pairwise(edges):
        band = (hashes >> np.uint64(low)) & np.uint64((1 << int(high - low)) - 1)
        order = np.argsort(band, kind="stable")
        starts = np.flatnonzero(np.diff(band[order])) + 1
        for members in np.split(order, starts):
            if len(members) > 1:
                distance = np.bitwise_count(hashes[members][:, None] ^ hashes[members][None, :])
                one, other = np.nonzero(np.triu(distance <= max_distance, k=1))
                found.append(np.sort(np.stack([members[one], members[other]], axis=1), axis=1))
    return np.concatenate(found)
