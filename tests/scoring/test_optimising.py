"""A reworked model says what it said before, whatever encoder it has; what cannot be kept is undone."""

import numpy as np
import pytest
import torch
from many_posts import good_posts, save_pictures
from tiny_models import save_tiny
from torch import nn

from hybridsent import Predictor
from hybridsent.scoring import optimising
from hybridsent.scoring.optimising import OneDnnLinear, fold_batch_norms, use_onednn

needs_onednn = pytest.mark.skipif(
    optimising.ONEDNN_LINEAR is None, reason="torch has no oneDNN here"
)


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
        for name, kind in (("norms", nn.BatchNorm2d), ("linear", OneDnnLinear))
    }
    assert (count["norms"][0] > 0) is (vision != "vit")
    assert count["norms"][1] == 0
    assert count["linear"][0] == 0
    assert (count["linear"][1] > 0) is (optimising.ONEDNN_LINEAR is not None)


def test_in_half_precision_the_model_stays_as_it_is(folder):
    save_tiny(folder / "half", vision="resnet")
    model, _ = answers(folder / "half", folder, dtype="bfloat16")
    assert any(isinstance(module, nn.BatchNorm2d) for module in model.modules())
    assert not any(isinstance(module, OneDnnLinear) for module in model.modules())


@needs_onednn
@pytest.mark.parametrize("shape", [(1, 8), (15, 8), (16, 8), (3, 50, 8), (2, 3, 40, 8)])
@pytest.mark.parametrize("bias", [True, False])
def test_a_linear_layer_gives_what_torch_gives(shape, bias):
    torch.manual_seed(0)
    layer = nn.Sequential(nn.Linear(8, 5, bias=bias))
    given = [torch.randn(shape), torch.randn(*shape[:-1], 16)[..., ::2]]  # the second has gaps
    expected = [layer(x) for x in given]
    use_onednn(layer)
    with torch.inference_mode():
        for x, y in zip(given, expected, strict=True):
            torch.testing.assert_close(layer(x), y)


def test_without_onednn_linear_layers_stay(monkeypatch):
    monkeypatch.setattr(optimising, "ONEDNN_LINEAR", None)
    layer = nn.Sequential(nn.Linear(8, 5))
    use_onednn(layer)
    assert type(layer[0]) is nn.Linear


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
