"""A reworked model says what it said before, whatever encoder it has; what cannot be kept is undone."""

import numpy as np
import pytest
import torch
from many_posts import good_posts, save_pictures
from tiny_models import save_tiny
from torch import nn

from hybridsent import Predictor
from hybridsent.scoring import onednn
from hybridsent.scoring.onednn import NO_ACTIVATION, OneDnnConv2d, OneDnnLinear, use_onednn
from hybridsent.scoring.optimising import fold_batch_norms, fuse_activations

needs_onednn = pytest.mark.skipif(onednn.CONVOLUTION is None, reason="torch has no oneDNN here")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("optimising")
    save_pictures(folder)
    return folder


def answers(model, folder, **given):
    posts = good_posts(40)
    batch = {name: [post[name] or None for post in posts] for name in ("text", "image")}
    predictor = Predictor(str(model), ("probabilities",), folder=str(folder), **given)
    scores = np.array([list(p.values()) for p in predictor(batch)["probabilities"]])
    return predictor.backend.model, scores


@pytest.mark.parametrize("vision", ["vit", "resnet", "timm"])
def test_answers_are_those_of_the_model_as_it_was_loaded(vision, folder):
    save_tiny(folder / vision, vision=vision)
    plain, expected = answers(folder / vision, folder, optimise=False)
    reworked, found = answers(folder / vision, folder)
    assert np.ptp(expected, axis=0).max() > 0.01  # else any model would pass
    np.testing.assert_allclose(found, expected, atol=1e-5, rtol=0)
    count = {
        name: [sum(isinstance(x, kind) for x in m.modules()) for m in (plain, reworked)]
        for name, kind in (
            ("norms", nn.BatchNorm2d),
            ("linear", OneDnnLinear),
            ("convolutions", OneDnnConv2d),
            ("activations", tuple(onednn.ACTIVATIONS)),
        )
    }
    convolves, has_onednn = vision != "vit", onednn.CONVOLUTION is not None
    assert (count["norms"][0] > 0) is (count["activations"][0] > 0) is convolves
    assert count["norms"][1] == count["linear"][0] == count["convolutions"][0] == 0
    assert (count["linear"][1] > 0) is (count["convolutions"][1] > 0) is has_onednn
    if has_onednn:
        fused = [
            x.activation != NO_ACTIVATION
            for x in reworked.modules()
            if hasattr(x, "activation") and isinstance(x, OneDnnConv2d)
        ]
        assert sum(fused) == count["activations"][0] - count["activations"][1]
        assert any(fused) is convolves


def test_in_half_precision_the_model_stays_as_it_is(folder):
    save_tiny(folder / "half", vision="resnet")
    model, _ = answers(folder / "half", folder, dtype="bfloat16")
    assert any(isinstance(module, nn.BatchNorm2d) for module in model.modules())
    assert not any(isinstance(module, OneDnnLinear) for module in model.modules())


class Net(nn.Module):
    """A convolution and its norm, which may not be the only one that reads it."""

    def __init__(self, shared):
        super().__init__()
        torch.manual_seed(0)
        self.convolution, self.norm = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)
        self.norm.running_mean += torch.randn(4)
        self.norm.running_var += torch.rand(4)
        self.shared = shared
        self.eval()

    def forward(self, pixels):
        read = self.convolution(pixels)
        return self.norm(read) + read if self.shared else self.norm(read)


def test_a_convolution_that_others_read_is_not_folded():
    pixels = torch.randn(1, 3, 9, 9)
    for shared, folded in ((False, 1), (True, 0)):
        net = Net(shared)
        expected = net(pixels).detach()
        assert fold_batch_norms(net, lambda net=net: net(pixels)) == folded
        torch.testing.assert_close(net(pixels), expected)
        assert isinstance(net.norm, nn.BatchNorm2d) is shared


class Shared(nn.Module):
    """Two convolutions and their activations, which may be one module, or read what others read."""

    def __init__(self, kind, both=False, residual=False, adds=False):
        super().__init__()
        torch.manual_seed(0)
        self.first, self.second = nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 3, padding=1)
        self.one = kind()
        self.two = self.one if both else kind()
        self.residual, self.adds = residual, adds
        self.eval()

    def forward(self, pixels):
        read = self.one(self.first(pixels))
        found = self.second(read)
        if self.adds:
            found += read  # what is activated is no longer what the convolution gave
        return self.two(found) + found if self.residual else self.two(found)


@needs_onednn
@pytest.mark.parametrize("kind", [nn.ReLU, nn.ReLU6, nn.SiLU])
def test_an_activation_is_fused_where_it_alone_reads_the_convolution(kind):
    pixels = 9 * torch.randn(1, 3, 9, 9)  # some beyond 6
    for given, count in (
        ({}, 2),
        ({"both": True}, 0),
        ({"residual": True}, 0),
        ({"adds": True}, 1),
    ):
        net = Shared(kind, **given)
        with torch.no_grad():
            expected = net(pixels)
            use_onednn(net)
            assert fuse_activations(net, lambda net=net: net(pixels)) == count
            torch.testing.assert_close(net(pixels), expected)
        left = [x for x in net.modules() if isinstance(x, kind)]
        assert len(left) == (1 if "both" in given else 2 - count)


@needs_onednn
def test_an_activation_unknown_to_onednn_stays():
    net = Shared(nn.ELU)
    use_onednn(net)
    with torch.no_grad():
        assert fuse_activations(net, lambda: net(torch.randn(1, 3, 9, 9))) == 0
    assert isinstance(net.one, nn.ELU)
