"""Layers that oneDNN computes, for float32 on a CPU, without gradients.

On an AMD processor its products took half the time of torch's own, and a convolution together with its
activation four fifths. torch has no public names for them, so all works without.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import torch
from torch import nn
from torch.nn import functional

ONEDNN: Any = torch.ops.mkldnn if torch.backends.mkldnn.is_available() else None
LINEAR: Any = getattr(ONEDNN, "_linear_pointwise", None)
CONVOLUTION: Any = getattr(ONEDNN, "_convolution_pointwise", None)
LINEAR_ROWS = 16  # so few are not worth the call
Activation = tuple[str, list[float], str]  # oneDNN's name, its parameters, its algorithm
NO_ACTIVATION: Activation = ("none", [], "")
ACTIVATIONS: dict[type[nn.Module], Activation] = {  # of NaN, the first two make 0
    nn.ReLU: ("relu", [], ""),
    nn.ReLU6: ("hardtanh", [0.0, 6.0], ""),
    nn.SiLU: ("swish", [], ""),
}


class OneDnnLinear(nn.Linear):
    """A linear layer that oneDNN computes."""

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """Return input W^T + b, (..., outputs)."""
        if input.numel() <= LINEAR_ROWS * self.in_features:
            return super().forward(input)
        return LINEAR(input.to(self.weight.dtype), self.weight, self.bias, *NO_ACTIVATION)


class OneDnnConv2d(nn.Conv2d):
    """A convolution that oneDNN computes, with the activation after it."""

    activation = NO_ACTIVATION

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """Return the activation of the convolution of (batch, channels, height, width)."""
        return self._convolve(input, self.weight, self.padding)

    def _convolve(self, input: torch.Tensor, weight: torch.Tensor, padding: Any) -> torch.Tensor:
        batch = input if input.dim() == 4 else input[None]
        sizes = list(padding), list(self.stride), list(self.dilation)
        found = CONVOLUTION(
            batch.to(weight.dtype), weight, self.bias, *sizes, self.groups, *self.activation
        )
        return found if input.dim() == 4 else found[0]


class OneDnnConv2dSame(OneDnnConv2d):
    """The same for a convolution that pads as TensorFlow does: an odd row goes after the image.

    Padding as much on both sides, and the kernel by a row of zeros before it, gives the same without a
    copy of the image.
    """

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """Return the activation of the convolution, of height / stride rows, rounded up."""
        sizes = zip(input.shape[-2:], self.kernel_size, self.stride, strict=True)
        totals = [max((math.ceil(n / s) - 1) * s + k - n, 0) for n, k, s in sizes]
        rows, columns = (total % 2 for total in totals)
        weight = functional.pad(self.weight, (columns, 0, rows, 0))
        return self._convolve(input, weight, [math.ceil(total / 2) for total in totals])


def use_onednn(model: nn.Module) -> None:
    """Let oneDNN compute linear layers and convolutions of a model, in place, where torch has it."""
    replaced: dict[type[nn.Module], type[nn.Module]] = {}
    if LINEAR is not None:
        replaced[nn.Linear] = OneDnnLinear
    if CONVOLUTION is not None:
        replaced |= dict(_convolutions())
    for module in model.modules():
        if type(module) in replaced and _is_plain(module):
            module.__class__ = replaced[type(module)]


def _convolutions() -> Iterator[tuple[type[nn.Module], type[nn.Module]]]:
    """Yield the kinds of convolution that oneDNN can compute, each with what does."""
    yield nn.Conv2d, OneDnnConv2d
    try:
        from timm.layers.conv2d_same import Conv2dSame
    except ImportError:
        return
    yield Conv2dSame, OneDnnConv2dSame


def _is_plain(module: nn.Module) -> bool:
    """Return whether a layer is one of float32 without options that oneDNN's form lacks."""
    if module.weight.dtype != torch.float32:
        return False
    if not isinstance(module, nn.Conv2d):
        return True
    zeros = module.padding_mode == "zeros" and not isinstance(module.padding, str)
    return zeros and (type(module) is nn.Conv2d or set(module.dilation) == {1})
