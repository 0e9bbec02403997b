"""A model as a difference to its encoders: what is stored how, and what comes back."""

import pytest
import torch

from hybridsent.bundled.compression import (
    compress,
    read_compressed,
    restore,
    write_compressed,
)

ROOM = 10**9


def some(*shape, scale=0.02):
    return scale * torch.randn(*shape, generator=torch.Generator().manual_seed(sum(shape)))


BASE = {
    "same": some(6, 5),
    "lora": some(64, 48),
    "kernel": some(48, 64, 1, 1),
    "tuned": some(40, 40),
    "norm": some(48),
    "count": torch.tensor(3),
    "resized": some(4, 3),
    "dropped": some(7),
}
LOW_RANK = some(64, 3, scale=0.3) @ some(3, 48, scale=0.3)
WEIGHTS = {
    "same": BASE["same"].clone(),
    "lora": BASE["lora"] + LOW_RANK,
    "kernel": BASE["kernel"] + LOW_RANK.T[:, :, None, None],
    "tuned": BASE["tuned"] + some(40, 40, scale=0.001),
    "norm": BASE["norm"] + 0.001,
    "count": torch.tensor(9),
    "resized": some(5, 3),
    "new": some(8, 8),
    "new.large": torch.tensor([1e6, 1.0]),
}


def test_each_kind_of_change_is_stored_in_its_form_and_restored():
    found = compress(WEIGHTS, BASE, ROOM)
    shapes = {name: tuple(entry.shape) for name, entry in found.entries.items()}
    assert found.unchanged == ["same"]
    assert shapes["lora:up"], shapes["lora:down"] == ((64, 3), (3, 48))
    assert shapes["kernel:up"], shapes["kernel:down"] == ((48, 3), (3, 64))
    assert "tuned:change" in shapes
    assert found.entries["norm:change"].dtype == torch.float16
    assert found.entries["new.large:whole"].dtype == torch.float32  # too large for half precision
    restored = restore(found, BASE)
    assert restored.keys() == WEIGHTS.keys()
    for name, wanted in WEIGHTS.items():
        assert restored[name].dtype == wanted.dtype
        start = BASE[name] if name in BASE and BASE[name].shape == wanted.shape else 0
        moved = (wanted - start).double().norm()
        assert (restored[name] - wanted).double().norm() <= 1e-3 * moved, name


def test_less_room_means_lower_ranks_and_too_little_is_an_error():
    # A full-rank change whose singular values fall: most of it fits into few factors.
    left, right = (torch.linalg.qr(some(64, 64))[0] for _ in range(2))
    change = left @ torch.diag(0.5 ** torch.arange(64.0)) @ right
    base, weights = {"w": torch.zeros(64, 64)}, {"w": change}
    ranks = [compress(weights, base, room).entries["w:up"].shape[1] for room in (8192, 2048, 1024)]
    assert ranks == sorted(ranks, reverse=True)
    assert ranks[0] > ranks[-1]
    with pytest.raises(ValueError, match=r"takes 0\.0 MB, and there is room for 0\.0.*--largest"):
        compress(weights, base, 100)


def test_the_file_gives_back_what_was_written_and_has_the_same_bytes_each_time(tmp_path):
    found = compress(WEIGHTS, BASE, ROOM)
    for name in ("a", "b"):
        write_compressed(compress(WEIGHTS, BASE, ROOM), tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    read = read_compressed(tmp_path / "a")
    assert read.unchanged == found.unchanged
    assert read.entries.keys() == found.entries.keys()
    for name, entry in found.entries.items():
        assert torch.equal(read.entries[name], entry)


@pytest.mark.parametrize(
    ("base", "message"),
    [
        ({}, "same: the bundled encoders have no such tensor"),
        (BASE | {"lora": some(2, 2)}, r"lora: its encoder has the shape \(2, 2\)"),
    ],
)
def test_other_encoders_are_refused(base, message):
    with pytest.raises(ValueError, match=message):
        restore(compress(WEIGHTS, BASE, ROOM), base)
