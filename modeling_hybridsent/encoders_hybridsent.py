"""The two encoders and row S1 of the system: global and local features of each modality.

| feature      | what it is                                                                        |
|--------------|-----------------------------------------------------------------------------------|
| text global  | token states of the text encoder's last layer                                     |
| text local   | token states of a layer two thirds of the way up                                  |
| image global | tokens of the vision encoder's last stage                                         |
| image local  | mean, standard deviation and maximum over the tokens of up to four earlier stages |

Each of these levels also gives one vector a post, its evidence, which branches and fusion read. The
abstract names global and local features but does not define them; this reading is ours.
"""

import json
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from inspect import signature
from typing import Any

import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from transformers import AutoModel, PreTrainedConfig, PreTrainedModel
from transformers.utils.output_capturing import (
    _CAN_RECORD_REGISTRY,
    maybe_install_capturing_hooks,
)

from .configuration_hybridsent import HybridSentConfig

# Global and local states of an encoder, each (batch, tokens, width); local may be None when off.
EncoderOutputs = tuple[torch.Tensor, torch.Tensor | None]

# Parts with weights that feed nothing but `pooler_output`, which is not used here: without a
# gradient they would break distributed training. Parts named `pooler` are found without this table.
_POOLING_ONLY = {
    "clip_vision_model": "post_layernorm",
    "convnext": "layernorm",
    "convnextv2": "layernorm",
}
TESTED = {
    "text": "bert, roberta, distilbert, deberta-v2, modernbert, xlm-roberta, clip_text_model",
    "vision": "vit, clip_vision_model, siglip_vision_model, dinov2, resnet, convnext, swin, timm",
}
_TOKENS = 8
_MOST_LEVELS = 4
_SIDE_BY_SIDE = 8  # tokens of which one maximum is taken at once
# Settings that would create weights which never get a gradient, by name of the setting.
_UNUSED_SETTINGS = ("vision_use_head", "use_mask_token")


def without_unused_parts(config: PreTrainedConfig) -> PreTrainedConfig:
    """Switch off the optional encoder parts that a classifier over tokens never reaches.

    Args:
        config: An encoder's configuration; changed in place.

    Returns:
        The same configuration.
    """
    for name in _UNUSED_SETTINGS:
        if getattr(config, name, False):
            setattr(config, name, False)
    return config


def drop_pooling_parts(encoder: PreTrainedModel, pooler: bool = True) -> PreTrainedModel:
    """Remove the encoder's parts that only feed `pooler_output`.

    Args:
        encoder: A text or vision encoder; changed in place.
        pooler: False keeps the part named `pooler`, which some encoders cannot run without.

    Returns:
        The same encoder.
    """
    part = getattr(encoder, "pooler", None)
    if pooler and part is not None and any(True for _ in part.parameters()):
        encoder.pooler = None
    unused = _POOLING_ONLY.get(encoder.config.model_type)
    if unused is not None:
        setattr(encoder, unused, nn.Identity())
    return encoder


def install_hooks(encoder: PreTrainedModel) -> None:
    """Install what records hidden states, also in a process that has never built such an encoder."""
    for part in encoder.modules():
        if isinstance(part, PreTrainedModel):
            _CAN_RECORD_REGISTRY[part] = part._can_record_outputs
    maybe_install_capturing_hooks(encoder)


def without_hooks(module: nn.Module, done: dict[int, nn.Module] | None = None) -> nn.Module:
    """Return a module of the same tensors without the hooks that record hidden states.

    They are local functions of the library, which nothing can pickle.
    """
    done = {} if done is None else done
    if id(module) not in done:
        twin = done[id(module)] = object.__new__(type(module))
        twin.__dict__.update(module.__dict__)
        twin.__dict__.pop("_output_capturing_hooks_installed", None)
        hooks = module._forward_hooks.items()
        kept = {x: hook for x, hook in hooks if not _records_states(hook)}
        twin._forward_hooks = OrderedDict(kept)
        parts = module._modules.items()
        twin._modules = {x: y if y is None else without_hooks(y, done) for x, y in parts}
    return done[id(module)]


def _records_states(hook: Callable[..., Any]) -> bool:
    return getattr(hook, "__module__", "") == maybe_install_capturing_hooks.__module__


def build_encoder(config: PreTrainedConfig, modality: str) -> PreTrainedModel:
    """Build an encoder with fresh weights and without unused parts.

    Args:
        config: Configuration of an encoder that `AutoModel` knows.
        modality: "text" or "vision".

    Returns:
        The encoder; parameters that its features do not depend on are frozen.

    Raises:
        ValueError: The encoder is unsuitable; the message says why and lists the tested ones.
    """
    probe = probe_encoder(without_unused_parts(config), modality)
    encoder = drop_pooling_parts(AutoModel.from_config(config), probe.drops_pooler)
    freeze_unused_parameters(encoder, modality)
    # Else the first forward would install them, under a lock that torch.compile cannot trace.
    maybe_install_capturing_hooks(encoder)
    return encoder


def freeze_unused_parameters(encoder: PreTrainedModel, modality: str) -> None:
    """Freeze what the features do not depend on: distributed training needs a gradient of the rest.

    Args:
        encoder: Result of `build_encoder`; loading weights into it undoes this.
        modality: "text" or "vision".
    """
    for name in probe_encoder(encoder.config, modality).unused:
        encoder.get_parameter(name).requires_grad_(False)


def is_frozen(module: nn.Module) -> bool:
    """Check whether all parameters of a module are frozen."""
    asks = [parameter.requires_grad for parameter in module.parameters()]
    return bool(asks) and not any(asks)


def as_tokens(features: torch.Tensor) -> torch.Tensor:
    """Return features as tokens (batch, tokens, channels).

    Args:
        features: A feature map (batch, channels, height, width) or tokens already.

    Returns:
        Tokens, row by row from the top left.
    """
    if features.dim() == 4:
        return features.flatten(2).transpose(1, 2)  # (batch, height * width, channels)
    return features


def encode_image(
    encoder: PreTrainedModel, pixel_values: torch.Tensor
) -> tuple[torch.Tensor, list[torch.Tensor]]:
    """Run the vision encoder once.

    Args:
        encoder: A vision encoder that returns a feature map or tokens.
        pixel_values: (batch, 3, height, width).

    Returns:
        Tokens of the last stage (batch, tokens, channels) and of every hidden state before it.
    """
    outputs = encoder(pixel_values=pixel_values, output_hidden_states=True, return_dict=True)
    if outputs.hidden_states is None:
        raise ValueError("it returns no hidden states")
    shape = tuple(outputs.last_hidden_state.shape)
    if len(shape) == 4 and shape[1] == shape[2] != shape[3]:
        raise ValueError(f"it returns a channels-last map {shape}")
    return as_tokens(outputs.last_hidden_state), [as_tokens(x) for x in outputs.hidden_states]


def encode_text(encoder: PreTrainedModel, tokens: dict[str, torch.Tensor]) -> EncoderOutputs:
    """Run the text encoder once.

    Args:
        encoder: A text encoder.
        tokens: `input_ids` (batch, tokens) or `inputs_embeds` (batch, tokens, text width), and
            `attention_mask` (batch, tokens), which never has an empty row.

    Returns:
        Token states of the last layer and of that two thirds of the way up, each (batch, tokens, text
        width).

    Raises:
        ValueError: The encoder takes no `inputs_embeds`.
    """
    if "inputs_embeds" in tokens and "inputs_embeds" not in signature(encoder.forward).parameters:
        raise ValueError(
            f"The text encoder {encoder.config.model_type!r} takes no inputs_embeds; give input_ids."
        )
    outputs = encoder(**tokens, output_hidden_states=True, return_dict=True)
    last = outputs.last_hidden_state
    states = [x for x in outputs.hidden_states if x.shape == last.shape]  # CANINE has shorter ones
    if not states:
        raise ValueError(
            f"it returns no hidden states of the shape {tuple(last.shape)} of its last"
        )
    return last, states[2 * (len(states) - 1) // 3]


def check_encoder_outputs(
    name: str, outputs: EncoderOutputs | None, widths: tuple[int, int | None]
) -> None:
    """Check encoder outputs that were computed beforehand, if there are any.

    Args:
        name: The argument, for errors.
        outputs: Global and local states, each (batch, tokens, width).
        widths: The widths that the encoder gives; None for local states that nobody reads.

    Raises:
        ValueError: Not two tensors of these widths.
    """
    if outputs is None:
        return
    if len(outputs) != 2:
        raise ValueError(f"{name}: give a pair (global states, local states), not {len(outputs)}.")
    for kind, states, width in zip(("global", "local"), outputs, widths, strict=True):
        shape = None if states is None else tuple(states.shape)
        if width is not None and (shape is None or len(shape) != 3 or shape[2] != width):
            raise ValueError(
                f"{name}: {kind} states must be (batch, tokens, {width}), not {shape}."
            )


def clear_encoder_outputs(
    outputs: EncoderOutputs, keep: torch.Tensor, dtype: torch.dtype
) -> EncoderOutputs:
    """Bring encoder outputs to a dtype and clear what is not to be looked at, which may be NaN.

    Args:
        outputs: Global and local states, each (batch, tokens, width).
        keep: True at states to look at, (batch, tokens) or, for all of a post, (batch, 1).
        dtype: Of the model.

    Returns:
        Global and local states of the same shapes.
    """
    states, local = outputs
    states = states.to(dtype).masked_fill(~keep[..., None], 0.0)
    return states, None if local is None else local.to(dtype).masked_fill(~keep[..., None], 0.0)


@dataclass(frozen=True)
class EncoderProbe:
    """What a run of an encoder shows.

    Attributes:
        unused: Names of the parameters that its features do not depend on.
        drops_pooler: Whether it runs without the part named `pooler`.
        sizes: (tokens, width) of the last layer, then of each hidden state.
    """

    unused: tuple[str, ...]
    drops_pooler: bool
    sizes: tuple[tuple[int, int], ...]


class _NoChance(TorchDispatchMode):
    """Refuse operations that draw random numbers."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        attends = "scaled_dot_product" in func.__name__  # marked so for its dropout, which is off
        if torch.Tag.nondeterministic_seeded in func.tags and not attends:
            raise ValueError(f"it draws random numbers in evaluation mode ({func.__name__})")
        return func(*args, **(kwargs or {}))


def probe_encoder(config: PreTrainedConfig, modality: str) -> EncoderProbe:
    """Run an encoder forward and backward, on the meta device where it can.

    Args:
        config: Its configuration.
        modality: "text" or "vision".

    Returns:
        What the run shows.

    Raises:
        ValueError: The encoder is unsuitable; the message says why and lists the tested ones.
    """
    kind = type(config)
    return _probe(kind, config.to_json_string(use_diff=False), modality)


@lru_cache(maxsize=128)
def _probe(kind: type[PreTrainedConfig], content: str, modality: str) -> EncoderProbe:
    reason: Exception | None = None
    # Some encoders look at values, which tensors of the meta device lack.
    for device in ("meta", "cpu"):
        for drops_pooler in (True, False):
            try:
                with torch.random.fork_rng(devices=[]), torch.device(device):
                    return _run(kind.from_dict(json.loads(content)), modality, drops_pooler)
            except Exception as error:
                reason = error
    what = " ".join(str(reason).split())
    if "Unrecognized configuration class" in what:
        what = "AutoModel has no model for its configuration"
    raise unsuitable(kind.model_type, modality, what) from reason


def unsuitable(model_type: str, modality: str, what: str) -> ValueError:
    """Return the error that says why an encoder is refused and lists the tested ones."""
    return ValueError(
        f"The {modality} encoder {model_type!r} cannot be used: {what:.200}. Tested "
        f"{modality} encoders: {TESTED[modality]}; docs/encoders.md has more."
    )


@torch.inference_mode(False)
@torch.enable_grad()
def _run(config: PreTrainedConfig, modality: str, drops_pooler: bool) -> EncoderProbe:
    """Run a fresh encoder on one post; raises if it is unsuitable."""
    encoder = drop_pooling_parts(AutoModel.from_config(config), drops_pooler).eval()
    if config.is_encoder_decoder:
        raise ValueError("it has a decoder")
    if modality == "text" and "attention_mask" not in signature(encoder.forward).parameters:
        raise ValueError("it takes no attention_mask, so padding would change its answers")
    with _NoChance():
        if modality == "text":
            states = encode_text(encoder, _example_text())
            _check_text_states(config, *states)
        else:
            size = expected_image_size(config)
            last, stages = encode_image(encoder, torch.zeros(1, 3, size, size))
            states = (last, *stages)
    if wrong := [tuple(x.shape) for x in states if x.dim() != 3]:
        raise ValueError(f"it returns states of shape {wrong[0]}, not tokens or a map of channels")
    sum(x.float().sum() for x in states).backward()
    unused = [name for name, x in encoder.named_parameters() if x.grad is None]
    _require_savable(encoder)
    sizes = tuple((x.shape[1], x.shape[2]) for x in states)
    return EncoderProbe(tuple(unused), drops_pooler, sizes)


def _example_text() -> dict[str, torch.Tensor]:
    """Return a text; without a mask on the meta device, which has no values for encoders to look at."""
    ids = torch.ones(1, _TOKENS, dtype=torch.long)
    return {"input_ids": ids} if ids.is_meta else {"input_ids": ids, "attention_mask": ids.clone()}


def _check_text_states(config: PreTrainedConfig, last: torch.Tensor, middle: torch.Tensor) -> None:
    wanted = (1, _TOKENS, config.hidden_size)
    for found in (last, middle):
        if tuple(found.shape) != wanted:
            raise ValueError(f"it returns states of shape {tuple(found.shape)}, not {wanted}")


def _require_savable(encoder: PreTrainedModel) -> None:
    """Raise if one tensor has two names, which safetensors refuse."""
    names: dict[int, str] = {}
    tied = set(getattr(encoder, "all_tied_weights_keys", None) or ())
    for name, tensor in encoder.state_dict(keep_vars=True).items():
        if id(tensor) in names and not tied & {name, names[id(tensor)]}:
            raise ValueError(f"{name} and {names[id(tensor)]} are one tensor, it cannot be saved")
        names[id(tensor)] = name


def expected_image_size(config: PreTrainedConfig) -> int:
    """Return the height and width in pixels that a vision encoder is made for."""
    size = getattr(config, "image_size", None)
    if size is None:
        size = ((getattr(config, "pretrained_cfg", None) or {}).get("input_size") or [224])[-1]
    return size if isinstance(size, int) else max(size)


def level_layers(count: int) -> list[int]:
    """Return the indices of up to four of this many hidden states, evenly spaced, without the last."""
    levels = min(_MOST_LEVELS, count - 1)
    return [(i + 1) * (count - 1) // levels - 1 for i in range(levels)]


def pool_statistics(features: torch.Tensor) -> torch.Tensor:
    """Summarise (batch, tokens, channels): mean, deviation, maximum, (batch, 3 * channels)."""
    features = features.float()
    mean = features.mean(dim=1)
    variance = (features - mean[:, None]).square().mean(dim=1)
    return torch.cat([mean, (variance + 1e-6).sqrt(), _maximum(features)], dim=-1)


def _maximum(features: torch.Tensor) -> torch.Tensor:
    """Return the maximum over the tokens of (batch, tokens, channels), (batch, channels).

    On a CPU torch takes up to ten times as long over rows of few numbers: so several tokens go side by
    side first. Not where a gradient is needed, since tokens of one maximum share it, nor in a graph,
    whose number of tokens may be open.
    """
    plain = features.requires_grad or torch.compiler.is_compiling()
    if not plain and features.stride(-1) == 1 and features.shape[1] % _SIDE_BY_SIDE == 0:
        features = features.unflatten(1, (-1, _SIDE_BY_SIDE)).amax(dim=1)
    return features.amax(dim=1)


def level_statistics(stages: list[torch.Tensor]) -> torch.Tensor:
    """Summarise several stages of an image.

    Args:
        stages: Every hidden state of the vision encoder, each (batch, tokens, its channels).

    Returns:
        Statistics of the levels side by side, (batch, 1, 3 * sum of their channels), float32.
    """
    levels = [pool_statistics(stages[i]) for i in level_layers(len(stages))]
    return torch.cat(levels, dim=-1)[:, None]


def measure_vision_features(config: HybridSentConfig) -> None:
    """Fill in `vision_feature_sizes` where it is None.

    Encoders name their widths in too many ways to read them off their configurations.

    Args:
        config: Changed in place.
    """
    if config.vision_feature_sizes is None:
        (_, width), *stages = probe_encoder(config.vision_config, "vision").sizes
        channels = [stages[i][1] for i in level_layers(len(stages))]
        config.vision_feature_sizes = [width, *channels]


class HybridSentImageNorm(nn.LayerNorm):
    """Normalise all tokens of an image together, then scale and shift each channel.

    Normalised one by one, a patch in which the encoder found nothing would look as strong as the one
    that shows a face.
    """

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Normalise (batch, tokens, channels) over tokens and channels; the shape stays."""
        normed = nn.functional.layer_norm(features, features.shape[1:], eps=self.eps)
        return normed * self.weight + self.bias


class HybridSentProjection(nn.Module):
    """Bring an encoder's features to the width of the fusion."""

    def __init__(
        self, input_size: int, config: HybridSentConfig, norm: type[nn.LayerNorm] = nn.LayerNorm
    ) -> None:
        super().__init__()
        self.norm = norm(input_size, eps=config.layer_norm_eps)
        self.linear = nn.Linear(input_size, config.hidden_size)
        self.dropout = nn.Dropout(config.hidden_dropout)

    def forward(self, features: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Project features and clear what is masked.

        Args:
            features: (batch, tokens, input_size).
            mask: True at real tokens, (batch, tokens).

        Returns:
            (batch, tokens, hidden_size), zero where masked.
        """
        projected = self.dropout(self.linear(self.norm(features)))
        return projected.masked_fill(~mask[..., None], 0.0)


class HybridSentEvidence(nn.Module):
    """Bring a summary of a text or an image to the width of the fusion."""

    def __init__(self, input_size: int, config: HybridSentConfig) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(input_size, eps=config.layer_norm_eps)
        self.dropout = nn.Dropout(config.hidden_dropout)
        self.linear = nn.Linear(input_size, config.hidden_size)

    def forward(self, summary: torch.Tensor, present: torch.Tensor) -> torch.Tensor:
        """Project summaries (batch, input_size) to (batch, hidden_size), zero where not present."""
        projected = self.linear(self.dropout(self.norm(summary)))
        return projected.masked_fill(~present[:, None], 0.0)


def mean_of_tokens(states: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Average real tokens: (batch, tokens, width), (batch, tokens) -> (batch, width)."""
    weights = mask[..., None].to(states.dtype)
    return (states * weights).sum(dim=1) / weights.sum(dim=1).clamp(min=1.0)


class HybridSentTextFeatures(nn.Module):
    """Text features of two layers of the text encoder, as tokens and as evidence (S1).

    Attributes:
        count: Vectors of evidence a text.
    """

    def __init__(self, config: HybridSentConfig) -> None:
        super().__init__()
        width, self.reads_local = config.text_config.hidden_size, config.use_local_features
        self.count = 1 + self.reads_local
        self.global_projection = HybridSentProjection(width, config)
        self.local_projection = HybridSentProjection(width, config) if self.reads_local else None
        self.evidence = nn.ModuleList(HybridSentEvidence(width, config) for _ in range(self.count))

    def forward(
        self, states: torch.Tensor, middle: torch.Tensor | None, mask: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Project the text encoder's output.

        Args:
            states: Token states of the last layer, (batch, tokens, text width).
            middle: Those of a middle layer, likewise; None without local features.
            mask: True at real tokens of present texts, (batch, tokens).

        Returns:
            Tokens (batch, tokens, hidden_size) and evidence, middle then last layer, (batch, count,
            hidden_size).
        """
        tokens, layers = self.global_projection(states, mask), [states]
        if self.local_projection is not None:
            tokens, layers = tokens + self.local_projection(middle, mask), [middle, states]
        present = mask.any(dim=1)
        means = [mean_of_tokens(layer, mask) for layer in layers]
        pairs = zip(self.evidence, means, strict=True)
        return tokens, torch.stack([project(mean, present) for project, mean in pairs], dim=1)


class HybridSentImageFeatures(nn.Module):
    """Image features of the last stage as tokens, and of several stages as evidence (S1).

    Attributes:
        count: Vectors of evidence an image.
    """

    def __init__(self, config: HybridSentConfig) -> None:
        super().__init__()
        width, *levels = config.vision_feature_sizes
        self.reads_local = config.use_local_features
        self.level_widths = [3 * channels for channels in levels] if self.reads_local else []
        self.count = 1 + len(self.level_widths)
        self.global_projection = HybridSentProjection(width, config, HybridSentImageNorm)
        self.evidence = nn.ModuleList(
            HybridSentEvidence(size, config) for size in (3 * width, *reversed(self.level_widths))
        )

    def forward(
        self, last: torch.Tensor, statistics: torch.Tensor | None, has_image: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Project the vision encoder's output.

        Args:
            last: Tokens of the last stage, (batch, tokens, channels).
            statistics: Result of `level_statistics`; None without local features.
            has_image: True where the post has an image, (batch,).

        Returns:
            Tokens (batch, tokens, hidden_size); evidence from the last stage to the earliest, (batch,
            count, hidden_size); mask of the tokens (batch, tokens).
        """
        mask = has_image[:, None].expand(-1, last.shape[1])
        summaries = [pool_statistics(last).to(last.dtype)]
        if self.reads_local:
            summaries += reversed(statistics[:, 0].split(self.level_widths, dim=-1))
        pairs = zip(self.evidence, summaries, strict=True)
        evidence = torch.stack([project(x, has_image) for project, x in pairs], dim=1)
        return self.global_projection(last, mask), evidence, mask
