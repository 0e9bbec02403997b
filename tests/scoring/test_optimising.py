"""A reworked model says what it said before, whatever encoder it has; what cannot be kept is undone."""

from contextlib import nullcontext

import numpy as np
import pytest
import torch
from many_posts import good_posts, save_pictures
from tiny_encoders import build, inputs_of, working_encoders
from tiny_models import save_tiny
from torch import nn

from hybridsent import Predictor
from hybridsent.scoring.optimising import fold_batch_norms, fuse_activations, optimise
from hybridsent.support import onednn
from hybridsent.support.onednn import NO_ACTIVATION, OneDnnConv2d, OneDnnLinear, use_onednn

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
            x.activation != NO_ACTIVATION for x in reworked.modules() if isinstance(x, OneDnnConv2d)
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
        assert fold_batch_norms(net, lambda net=net: [net(pixels)]) == folded
        torch.testing.assert_close(net(pixels), expected)
        assert isinstance(net.norm, nn.BatchNorm2d) is shared


class Odd(nn.Module):
    """Two convolutions and activations, in a form that a fused activation may not fit."""

    def __init__(self, kind, form):
        super().__init__()
        torch.manual_seed(0)
        self.first, self.second = nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 3, padding=1)
        self.one, self.form = kind(), form
        self.two = self.one if form == "one activation for both" else kind()
        self.states = []
        if "hook" in form:
            self.two.register_forward_hook(lambda _module, _inputs, x: self.states.append(x))
        self.eval()

    def forward(self, pixels):
        self.states.clear()
        found = self.first(pixels)
        read = self.one(input=found) if self.form == "given by name" else self.one(found)
        found = self.second(read)
        if self.form == "added to in place":
            found += read  # what is activated is no longer what the convolution gave
        if self.form == "read again":
            return [self.two(found) + found]
        if self.form == "read again beside large states":
            return [self.two(found) + found, 1e5 * read]
        if self.form == "read again beside a large channel":
            return [torch.cat([self.two(found) + found, 1e5 * read], dim=1).movedim(1, -1)]
        if self.form == "looked into":
            assert self.two.inplace is False
        answer = self.two(found)
        return [answer, *self.states] if self.form == "recorded by a hook" else [answer]


FORMS = {
    "plain": 2,
    "one activation for both": 0,
    "read again": 0,
    "read again beside large states": 0,
    "read again beside a large channel": 0,
    "added to in place": 1,
    "given by name": 1,
    "looked into": 0,
    "recorded by a hook": 1,
    "watched by a hook": 1,
}


@needs_onednn
@pytest.mark.parametrize("kind", [nn.ReLU, nn.ReLU6, nn.SiLU])
@pytest.mark.parametrize(("form", "count"), FORMS.items())
def test_activations_are_fused_where_they_alone_read_their_convolutions(kind, form, count):
    pixels = 9 * torch.randn(2, 3, 9, 9)  # some beyond 6
    net = Odd(kind, form)
    with torch.no_grad():
        expected = net(pixels)
        watched = len(net.states)
        use_onednn(net)
        before = {x for x in net.modules() if isinstance(x, kind)}
        assert fuse_activations(net, lambda: net(pixels)) == count
        torch.testing.assert_close(net(pixels), expected)
    assert len(net.states) == watched
    left = {x for x in net.modules() if isinstance(x, kind)}
    assert left <= before
    assert len(before) - len(left) == count


@needs_onednn
def test_an_activation_unknown_to_onednn_stays():
    net = Odd(nn.ELU, "plain")
    use_onednn(net)
    with torch.no_grad():
        assert fuse_activations(net, lambda: net(torch.randn(1, 3, 9, 9))) == 0
    assert isinstance(net.one, nn.ELU)


@pytest.mark.parametrize("name", [name for kind, name in working_encoders() if kind == "vision"])
@pytest.mark.parametrize("mode", [nullcontext, torch.inference_mode])
def test_every_vision_encoder_answers_as_before(name, mode):
    torch.manual_seed(0)
    model = build("vision", name).eval()
    inputs = inputs_of(model.config)
    with torch.no_grad():
        for part in model.modules():
            if isinstance(part, nn.BatchNorm2d):
                part.running_mean.normal_()
                part.running_var.uniform_(0.5, 2)
        expected = model(**inputs).logits
        images = model.hybridsent.get_image_encoder_outputs(inputs["pixel_values"])
    with mode():
        optimise(model, torch.rand_like(inputs["pixel_values"][:1]))
    with torch.inference_mode():
        found = model.hybridsent.get_image_encoder_outputs(inputs["pixel_values"])
        torch.testing.assert_close(model(**inputs).logits, expected, atol=1e-5, rtol=0)
    for x, y in zip(images, found, strict=True):
        torch.testing.assert_close(x, y, atol=1e-5 * float(x.abs().max()), rtol=0)
    assert not any(x.requires_grad for x in model.parameters())


def test_an_optimised_model_answers_within_autocast(folder):
    save_tiny(folder / "autocast", vision="timm")
    _, expected = answers(folder / "autocast", folder, optimise=False)
    with torch.autocast("cpu", torch.bfloat16):
        _, found = answers(folder / "autocast", folder)
    np.testing.assert_allclose(found, expected, atol=0.02, rtol=0)


@needs_onednn
def test_the_bundled_model_is_optimised_wholly():
    model = Predictor("bundled/mvsa-single").backend.model
    convolutions = [x for x in model.modules() if isinstance(x, OneDnnConv2d)]
    assert len(convolutions) == 49
    assert sum(x.activation != NO_ACTIVATION for x in convolutions) == 33
    assert not any(isinstance(x, nn.BatchNorm2d) for x in model.modules())
