"""Optimise a loaded model for inference on a CPU; results differ only by rounding."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from hybridsent.scoring.onednn import ACTIVATIONS, OneDnnConv2d, use_onednn

CLOSE = 1e-3  # of the largest number: how far optimised features may be from those before
Run = Callable[[], torch.Tensor]
Change = tuple[nn.Module, nn.Module]  # a layer, and what takes its place


def optimise(model: Any, pixel_values: torch.Tensor) -> None:
    """Optimise a hybridsent model in place.

    Args:
        model: In evaluation mode, float32, on a CPU; neither to be trained nor saved any more.
        pixel_values: Of any image, (1, 3, height, width).
    """
    use_onednn(model)
    base = model.hybridsent

    def run() -> torch.Tensor:
        found = base.get_image_encoder_outputs(pixel_values)
        return torch.cat([x.flatten() for x in found if x is not None])

    fold_batch_norms(base.vision_model, run)
    fuse_activations(base.vision_model, run)


@torch.no_grad()
def fold_batch_norms(encoder: nn.Module, run: Run) -> int:
    """Fold batch norms into the convolutions before them, in place.

    A norm whose statistics are fixed is one multiplication and addition a channel, which the weights
    of the convolution can do as well.

    Args:
        encoder: In evaluation mode.
        run: Runs it on an image and returns its features.

    Returns:
        How many were folded: all, or none if that changed the features.
    """
    pairs, before = _pairs(encoder, run, nn.Conv2d, (nn.BatchNorm2d,))
    changes: list[Change] = []
    for convolution, norm in pairs:
        rest = _without_norm(norm)
        if rest is not None:
            changes += [(convolution, fuse_conv_bn_eval(convolution, norm)), (norm, rest)]
    return len(changes) // 2 if _change(encoder, changes, run, before) else 0


@torch.no_grad()
def fuse_activations(encoder: nn.Module, run: Run) -> int:
    """Let convolutions of oneDNN compute the activations that read them, in place.

    Args:
        encoder: In evaluation mode, after `use_onednn`.
        run: Runs it on an image and returns its features.

    Returns:
        How many were fused: all, or none if that changed the features.
    """
    pairs, before = _pairs(encoder, run, OneDnnConv2d, tuple(ACTIVATIONS))
    changes: list[Change] = []
    for convolution, activation in pairs:
        fused = copy.copy(convolution)  # with the same weights
        fused.activation = ACTIVATIONS[type(activation)]
        changes += [(convolution, fused), (activation, nn.Identity())]
    return len(changes) // 2 if _change(encoder, changes, run, before) else 0


def _pairs(
    encoder: nn.Module, run: Run, first: type[Any], second: tuple[type[nn.Module], ...]
) -> tuple[list[tuple[Any, Any]], torch.Tensor]:
    """Return pairs of layers of which the second reads the first, and the features.

    Args:
        encoder: In evaluation mode.
        run: Runs it on an image and returns its features.
        first: Kind of the first layers.
        second: Kinds of the second ones.

    Returns:
        The pairs whose layers run only once, for one that serves several cannot be changed for one; and
        what `run` returned.
    """
    last: list[tuple[nn.Module, torch.Tensor, int]] = []
    found: list[tuple[Any, Any]] = []
    runs: Counter[nn.Module] = Counter()

    def note_first(module: nn.Module, _inputs: Any, output: torch.Tensor) -> None:
        runs[module] += 1
        last[:] = [(module, output, output._version)]

    def note_second(module: nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
        runs[module] += 1
        for written, output, version in last:
            if inputs[0] is output and output._version == version:  # a sum may have changed it
                found.append((written, module))

    modules = list(encoder.modules())
    hooks = [x.register_forward_hook(note_first) for x in modules if isinstance(x, first)]
    hooks += [x.register_forward_pre_hook(note_second) for x in modules if isinstance(x, second)]
    try:
        with torch.inference_mode(False):  # in which tensors have no version
            features = run()
    finally:
        for hook in hooks:
            hook.remove()
    return [pair for pair in found if all(runs[module] == 1 for module in pair)], features


def _change(encoder: nn.Module, changes: list[Change], run: Run, before: torch.Tensor) -> bool:
    """Change layers of an encoder in place, or none if that changes the features; return whether."""
    if not changes:
        return False
    places = {
        child: (parent, name)
        for parent in encoder.modules()
        for name, child in parent.named_children()
    }
    for old, new in changes:
        setattr(*places[old], new)
    kept = bool((run() - before).abs().max() <= CLOSE * before.abs().max())
    if not kept:
        for old, _ in changes:
            setattr(*places[old], old)
    return kept


def _without_norm(norm: nn.BatchNorm2d) -> nn.Module | None:
    """Return what remains of a norm once it is folded; None if that is unknown."""
    if type(norm).forward is nn.BatchNorm2d.forward:
        return nn.Identity()
    if hasattr(norm, "drop") and hasattr(norm, "act"):  # timm's, with the activation inside
        rest: list[Any] = [norm.drop, norm.act]
        return nn.Sequential(*rest)
    return None
