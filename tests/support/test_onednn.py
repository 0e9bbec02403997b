"""Layers of oneDNN give what torch's own give, and stay torch's where oneDNN has no such form."""

import copy

import pytest
import torch
from timm.layers import Conv2dSame
from torch import nn

from hybridsent.support import onednn
from hybridsent.support.onednn import OneDnnConv2d, OneDnnConv2dSame, OneDnnLinear, use_onednn

needs_onednn = pytest.mark.skipif(onednn.CONVOLUTION is None, reason="torch has no oneDNN here")


def both(layer, given):
    """Return what a layer gives by torch and by oneDNN, and the latter layer."""
    torch.manual_seed(0)
    layer = layer.eval()
    other = nn.Sequential(copy.deepcopy(layer))
    use_onednn(other)
    with torch.inference_mode():
        return layer(given), other(given), other[0]


@needs_onednn
@pytest.mark.parametrize("shape", [(1, 8), (15, 8), (16, 8), (3, 50, 8), (2, 3, 40, 8)])
@pytest.mark.parametrize("bias", [True, False])
def test_a_linear_layer_gives_what_torch_gives(shape, bias):
    torch.manual_seed(0)
    with_gaps = torch.randn(*shape[:-1], 16)[..., ::2]
    for given in (torch.randn(shape), with_gaps):
        expected, found, layer = both(nn.Linear(8, 5, bias=bias), given)
        torch.testing.assert_close(found, expected)
        assert type(layer) is OneDnnLinear


CONVOLUTIONS = [
    {"kernel_size": 1},
    {"kernel_size": 3, "stride": 2, "padding": 1},
    {"kernel_size": (1, 7), "padding": (0, 3)},
    {"kernel_size": 5, "groups": 4, "bias": False},
    {"kernel_size": 3, "dilation": 2, "padding": 2},
]


@needs_onednn
@pytest.mark.parametrize("given", CONVOLUTIONS, ids=str)
@pytest.mark.parametrize("batch", [1, 5])
@pytest.mark.parametrize("order", [torch.contiguous_format, torch.channels_last])
def test_a_convolution_gives_what_torch_gives(given, batch, order):
    pixels = torch.randn(batch, 4, 13, 16).to(memory_format=order)
    expected, found, layer = both(nn.Conv2d(4, 8, **given), pixels)
    torch.testing.assert_close(found, expected)
    assert type(layer) is OneDnnConv2d


@needs_onednn
@pytest.mark.parametrize("kind", [nn.Conv2d, Conv2dSame])
def test_a_single_image_needs_no_batch(kind):
    expected, found, _ = both(kind(4, 8, 3), torch.randn(4, 9, 9))
    torch.testing.assert_close(found, expected)


@needs_onednn
@pytest.mark.parametrize("size", [(12, 12), (13, 13), (12, 15), (1, 2), (7, 18)])
@pytest.mark.parametrize("kernel_size", [1, 2, 3, 5, (3, 6)])
@pytest.mark.parametrize("stride", [1, 2, 3, (1, 2)])
def test_a_convolution_that_pads_as_tensorflow_gives_what_timm_gives(size, kernel_size, stride):
    pixels = torch.randn(2, 4, *size)
    for groups in (1, 4):
        given = Conv2dSame(4, 8, kernel_size, stride=stride, groups=groups)
        expected, found, layer = both(given, pixels)
        torch.testing.assert_close(found, expected)
        assert type(layer) is OneDnnConv2dSame


@pytest.mark.parametrize(
    "layer",
    [
        nn.Conv2d(4, 8, 3, padding="same"),
        nn.Conv2d(4, 8, 3, padding=1, padding_mode="reflect"),
        Conv2dSame(4, 8, 3, stride=2, dilation=2),
        nn.Conv1d(4, 8, 1),
        nn.Conv2d(4, 8, 3, dtype=torch.float64),
    ],
    ids=str,
)
def test_what_onednn_has_no_form_for_stays(layer):
    size = (2, 4, 9) if isinstance(layer, nn.Conv1d) else (2, 4, 9, 9)
    expected, found, same = both(layer, torch.randn(size, dtype=layer.weight.dtype))
    assert type(same) is type(layer)
    assert torch.equal(found, expected)


@needs_onednn
@pytest.mark.parametrize(
    ("absent", "kinds"),
    [("LINEAR", [nn.Linear, OneDnnConv2d]), ("CONVOLUTION", [OneDnnLinear, nn.Conv2d])],
)
def test_what_torch_lacks_of_onednn_stays_as_it_is(absent, kinds, monkeypatch):
    monkeypatch.setattr(onednn, absent, None)
    layers = nn.Sequential(nn.Linear(8, 5), nn.Conv2d(3, 4, 1))
    use_onednn(layers)
    assert [type(x) for x in layers] == kinds
