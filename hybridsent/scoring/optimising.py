"""Optimise a loaded model for inference on a CPU; results differ only by rounding."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

# On an AMD processor it took half the time of torch's own product; fewer rows are not worth its call.
# It has no public name, so all works without.
ONEDNN_LINEAR: Any = (
    getattr(torch.ops.mkldnn, "_linear_pointwise", None)
    if torch.backends.mkldnn.is_available()
    else None
)
ONEDNN_ROWS = 16
CLOSE = 1e-3  # of the largest number: how far optimised features may be from those before
Run = Callable[[], torch.Tensor]


class OneDnnLinear(nn.Linear):
    """A linear layer that oneDNN computes; for float32 on a CPU, without gradients."""

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """Return input W^T + b, (..., outputs)."""
        if input.numel() < ONEDNN_ROWS * self.in_features:
            return super().forward(input)
        return ONEDNN_LINEAR(input, self.weight, self.bias, "none", [], "")


def optimise(model: Any, pixel_values: torch.Tensor) -> None:
    """Optimise a hybridsent model in place.

    Args:
        model: In evaluation mode, float32, on a CPU; neither to be trained nor saved any more.
        pixel_values: Of any image, (1, 3, height, width).
    """
    use_onednn(model)
    base = model.hybridsent
    fold_batch_norms(base.vision_model, lambda: base.get_image_encoder_outputs(pixel_values)[0])


def use_onednn(model: nn.Module) -> None:
    """Let oneDNN compute all linear layers of a model, in place, where torch has it."""
    if ONEDNN_LINEAR is None:
        return
    for module in model.modules():
        if type(module) is nn.Linear:
            module.__class__ = OneDnnLinear


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
    pairs, before = _pairs(encoder, run)
    parents = {
        child: (parent, name)
        for parent in encoder.modules()
        for name, child in parent.named_children()
    }
    undo = []
    for convolution, norm in pairs:
        rest = _without_norm(norm)
        if rest is not None:
            for old, new in ((convolution, fuse_conv_bn_eval(convolution, norm)), (norm, rest)):
                parent, name = parents[old]
                setattr(parent, name, new)
                undo.append((parent, name, old))
    if not undo:
        return 0
    after = run()
    if not (after - before).abs().max() <= CLOSE * before.abs().max():
        for parent, name, old in undo:
            setattr(parent, name, old)
        return 0
    return len(undo) // 2


def _pairs(
    encoder: nn.Module, run: Run
) -> tuple[list[tuple[nn.Conv2d, nn.BatchNorm2d]], torch.Tensor]:
    """Return the norms that read the output of a convolution, and the features."""
    last: list[tuple[nn.Conv2d, torch.Tensor]] = []
    found: list[tuple[nn.Conv2d, nn.BatchNorm2d]] = []

    def note(module: nn.Module, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
        if isinstance(module, nn.Conv2d):
            last[:] = [(module, output)]
        elif isinstance(module, nn.BatchNorm2d) and last and inputs[0] is last[0][1]:
            found.append((last[0][0], module))

    kinds = (nn.Conv2d, nn.BatchNorm2d)
    hooks = [x.register_forward_hook(note) for x in encoder.modules() if isinstance(x, kinds)]
    try:
        return found, run()
    finally:
        for hook in hooks:
            hook.remove()


def _without_norm(norm: nn.BatchNorm2d) -> nn.Module | None:
    """Return what remains of a norm once it is folded; None if that is unknown."""
    if type(norm).forward is nn.BatchNorm2d.forward:
        return nn.Identity()
    if hasattr(norm, "drop") and hasattr(norm, "act"):  # timm's, with the activation inside
        rest: list[Any] = [norm.drop, norm.act]
        return nn.Sequential(*rest)
    return None
