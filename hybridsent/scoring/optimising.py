"""Optimise a loaded model for inference on a CPU; results differ only by rounding."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from hybridsent.support.onednn import ACTIVATIONS, OneDnnConv2d, use_onednn
from modeling_hybridsent.encoders_hybridsent import encode_image

CLOSE = 1e-3  # of the largest number of a channel: how far it may be from that before
Run = Callable[[], Sequence[torch.Tensor]]
Change = tuple[nn.Module, nn.Module]  # a layer, and what takes its place


def optimise(model: Any, pixel_values: torch.Tensor) -> None:
    """Optimise a hybridsent model in place.

    Args:
        model: In evaluation mode, float32, on a CPU; neither to be trained nor saved any more.
        pixel_values: Of any image, (1, 3, height, width).
    """
    use_onednn(model)
    encoder = model.hybridsent.vision_model

    def run() -> list[torch.Tensor]:
        # Not one image alone, which some encoders treat otherwise; and not what they may write to.
        images = torch.cat([pixel_values, pixel_values.flip(-1)])
        last, stages = encode_image(encoder, images.contiguous(memory_format=torch.channels_last))
        return [last, *stages]

    fold_batch_norms(encoder, run)
    fuse_activations(encoder, run)
    model.requires_grad_(False)  # those of some layers would be missing


# In inference mode tensors have no version, and leaving it turns gradients on.
@torch.inference_mode(False)
@torch.no_grad()
def fold_batch_norms(encoder: nn.Module, run: Run) -> int:
    """Fold batch norms into the convolutions before them, in place.

    A norm whose statistics are fixed is one multiplication and addition a channel, which the weights
    of the convolution can do as well.

    Args:
        encoder: In evaluation mode.
        run: Runs it on images and returns its states.

    Returns:
        How many were folded: all, or none if that changed a state.
    """
    pairs, before = _pairs(encoder, run, nn.Conv2d, (nn.BatchNorm2d,))
    changes: list[Change] = []
    for convolution, norm in pairs:
        rest = _without_norm(norm)
        if rest is not None:
            changes += [(convolution, fuse_conv_bn_eval(convolution, norm)), (norm, rest)]
    return len(changes) // 2 if _change(encoder, changes, run, before) else 0


@torch.inference_mode(False)
@torch.no_grad()
def fuse_activations(encoder: nn.Module, run: Run) -> int:
    """Let convolutions of oneDNN compute the activations that read them, in place.

    Args:
        encoder: In evaluation mode, after `use_onednn`.
        run: Runs it on images and returns its states.

    Returns:
        How many were fused: all, or none if that changed a state.
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
) -> tuple[list[tuple[Any, Any]], Sequence[torch.Tensor]]:
    """Return pairs of layers of which the second reads the first, and the states.

    Args:
        encoder: In evaluation mode.
        run: Runs it on images and returns its states.
        first: Kind of the first layers.
        second: Kinds of the second ones.

    Returns:
        The pairs whose layers are called once and have no hooks: one that serves several cannot be
        changed for one. And what `run` returned.
    """
    last: tuple[nn.Module, torch.Tensor, int] | None = None
    found: list[tuple[Any, Any]] = []
    calls: Counter[nn.Module] = Counter()

    def note_first(module: nn.Module, _inputs: Any, output: torch.Tensor) -> None:
        nonlocal last
        calls[module] += 1
        last = module, output, output._version

    def note_second(module: nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
        calls[module] += 1
        # An addition in place may have changed the output: then its version is another.
        if last and inputs and inputs[0] is last[1] and inputs[0]._version == last[2]:
            found.append((last[0], module))

    modules = [x for x in encoder.modules() if not (x._forward_hooks or x._forward_pre_hooks)]
    hooks = [x.register_forward_hook(note_first) for x in modules if isinstance(x, first)]
    hooks += [x.register_forward_pre_hook(note_second) for x in modules if isinstance(x, second)]
    try:
        states = run()
    finally:
        for hook in hooks:
            hook.remove()
    return [pair for pair in found if all(calls[module] == 1 for module in pair)], states


def _change(
    encoder: nn.Module, changes: list[Change], run: Run, before: Sequence[torch.Tensor]
) -> bool:
    """Change layers of an encoder in place, or none if it does not take that; return whether."""
    if not changes:
        return False
    places = {
        child: (parent, name)
        for parent in encoder.modules()
        for name, child in parent.named_children()
    }
    for old, new in changes:
        setattr(*places[old], new)
    kept = _runs_as(before, run)
    if not kept:
        for old, _ in changes:
            setattr(*places[old], old)
    return kept


def _runs_as(before: Sequence[torch.Tensor], run: Run) -> bool:
    """Return whether an encoder still runs, and every state of it is what it was."""
    try:
        after = run()
        return all(_is_close(x, y) for x, y in zip(before, after, strict=True))
    except Exception:  # of its own code, which may look into layers; it then runs as it was
        return False


def _is_close(before: torch.Tensor, after: torch.Tensor) -> bool:
    """Return whether each channel of a state (..., channels) is what it was."""
    if before.shape != after.shape:
        return False
    largest, change = (x.flatten(0, -2).abs().amax(dim=0) for x in (before, after - before))
    alive = largest[largest > 0]  # after a ReLU most channels may be 0
    usual = alive.median() if len(alive) else largest.max()
    return bool((change <= CLOSE * largest.maximum(usual)).all())


def _without_norm(norm: nn.BatchNorm2d) -> nn.Module | None:
    """Return what remains of a norm once it is folded; None if that is unknown."""
    if type(norm).forward is nn.BatchNorm2d.forward:
        return nn.Identity()
    if hasattr(norm, "drop") and hasattr(norm, "act"):  # timm's, with the activation inside
        rest: list[Any] = [norm.drop, norm.act]
        return nn.Sequential(*rest)
    return None
