"""An encoder as a chain of layers: which of them learn, how fast, and where a frozen front ends."""

from functools import partial
from typing import Any

import torch
from PIL import Image
from torch import nn
from transformers import PreTrainedModel

from hybridsent.training.arguments import HybridSentTrainingArguments
from modeling_hybridsent import HybridSentForSequenceClassification, HybridSentProcessor
from modeling_hybridsent.encoders_hybridsent import is_frozen


class EncoderLayers:
    """The layers of an encoder in the order in which they run.

    Args:
        encoder: Any encoder that keeps its layers, or stages, in one list.

    Raises:
        ValueError: It keeps no such list.
    """

    def __init__(self, encoder: PreTrainedModel) -> None:
        self.encoder = encoder
        self._before: list[nn.Module] = []  # embeddings or stem: what stands before the list
        self.layers = self._find(encoder)

    def _find(self, encoder: nn.Module) -> list[nn.Module]:
        """Return the outermost list of modules, noting what stands before it."""
        waiting: list[tuple[nn.Module, list[nn.Module]]] = [(encoder, [])]
        while waiting:
            module, before = waiting.pop(0)
            children = [
                child for child in module.children() if any(True for _ in child.parameters())
            ]
            for i, child in enumerate(children):
                if isinstance(child, nn.ModuleList | nn.Sequential) and len(child) > 1:
                    self._before = [*before, *children[:i]]
                    return list(child)
                waiting.append((child, [*before, *children[:i]]))
        raise ValueError(
            f"The encoder {encoder.config.model_type!r} keeps its layers in no list; leave out "
            "encoder_layer_decay and vision_encoder_trained_layers."
        )

    def depths(self) -> dict[int, int]:
        """Say how many layers stand above each parameter, by its id; none above what ends it."""
        above = dict.fromkeys(map(id, self.encoder.parameters()), 0)
        for count, module in enumerate(reversed(self.layers)):
            above |= dict.fromkeys(map(id, module.parameters()), count)
        for module in self._before:
            above |= dict.fromkeys(map(id, module.parameters()), len(self.layers))
        return above

    def _front(self, layers: int) -> list[nn.Module]:
        """Return what runs before the layer of this number, in order."""
        return [*self._before, *self.layers[:layers]]

    def frozen_front(self) -> list[nn.Module]:
        """Return the frozen modules at the front of an encoder whose last layers are trained."""
        front = []
        for module in self._front(len(self.layers)):
            if not is_frozen(module):
                break
            front.append(module)
        return front

    def train_last(self, count: int) -> None:
        """Freeze all but the last layers and what follows them.

        Args:
            count: How many layers are trained.

        Raises:
            ValueError: The encoder has not so many.
        """
        if not 1 <= count <= len(self.layers):
            raise ValueError(
                f"vision_encoder_trained_layers ({count}) must lie between 1 and "
                f"{len(self.layers)}, the number of layers of the encoder."
            )
        for module in self._front(len(self.layers) - count):
            module.requires_grad_(False)


def prepare_encoders(
    model: HybridSentForSequenceClassification, arguments: HybridSentTrainingArguments
) -> None:
    """Freeze what the settings freeze, and let a CPU convolve in the precision it is fast in.

    Args:
        model: The model; changed in place.
        arguments: Settings of the training.

    Raises:
        ValueError: The vision encoder has not so many layers as are to be trained.
    """
    base = model.hybridsent
    if arguments.text_encoder_learning_rate == 0:
        base.text_model.requires_grad_(False)
    if arguments.vision_encoder_learning_rate == 0:
        base.vision_model.requires_grad_(False)
    elif arguments.vision_encoder_trained_layers is not None:
        EncoderLayers(base.vision_model).train_last(arguments.vision_encoder_trained_layers)
    if arguments.bf16 and arguments.use_cpu:
        _convolve_groups_in_float32(base.vision_model)


def _convolve_groups_in_float32(encoder: nn.Module) -> None:
    """Take grouped convolutions out of bfloat16 autocast, which makes them slow on a CPU."""
    for module in encoder.modules():
        if isinstance(module, nn.Conv2d) and module.groups > 1:
            module.forward = partial(_in_float32, module)


def _in_float32(convolution: nn.Conv2d, features: torch.Tensor) -> torch.Tensor:
    with torch.autocast(features.device.type, enabled=False):
        return type(convolution).forward(convolution, features.float())


def learning_rates(
    model: HybridSentForSequenceClassification, arguments: HybridSentTrainingArguments
) -> dict[int, float]:
    """Give the parameters of the encoders their rates.

    Args:
        model: The model.
        arguments: Settings: the encoders' rates, and the factor from each layer to the one below.

    Returns:
        Rate by id of the parameter.
    """
    rates: dict[int, float] = {}
    base, decay = model.hybridsent, arguments.encoder_layer_decay
    for encoder, own in (
        (base.text_model, arguments.text_encoder_learning_rate),
        (base.vision_model, arguments.vision_encoder_learning_rate),
    ):
        rate = arguments.learning_rate if own is None else own
        above = dict.fromkeys(map(id, encoder.parameters()), 0)
        if decay != 1:
            above = EncoderLayers(encoder).depths()
        rates |= {parameter: rate * decay**count for parameter, count in above.items()}
    return rates


class FrozenFront:
    """The frozen front of a vision encoder whose last layers are trained.

    Its output takes the place of `pixel_values`: the front then hands it on as it is. Weights stay
    where they are, so that saving and loading know nothing of it.

    Args:
        encoder: A vision encoder, partly frozen.
        processor: The joint processor; it says how large pictures are.

    Raises:
        ValueError: The encoder is no plain chain of stages over feature maps.
    """

    def __init__(self, encoder: PreTrainedModel, processor: HybridSentProcessor) -> None:
        self.encoder = encoder
        self.modules = EncoderLayers(encoder).frozen_front()
        grey = Image.new("RGB", (64, 64), (90, 120, 150))
        picture = processor(text=[None], images=[grey])["pixel_values"]
        self.shape = self._measured(picture.to(next(encoder.parameters())))

    @torch.no_grad()
    def __call__(self, pixel_values: torch.Tensor) -> torch.Tensor:
        """Run the front: (batch, 3, height, width) -> (batch, channels, rows, columns)."""
        for module in self.modules:
            pixel_values = module(pixel_values)
        return pixel_values

    @torch.no_grad()
    def _measured(self, picture: torch.Tensor) -> tuple[int, ...]:
        """Return channels, rows and columns of what the front gives, having tried it out."""
        was_training = self.encoder.training
        self.encoder.eval()
        try:
            whole = self.encoder(pixel_values=picture).last_hidden_state
            states = self(picture)
            self.skip()
            found = self.encoder(pixel_values=states).last_hidden_state
        except (RuntimeError, TypeError, ValueError, AttributeError) as error:
            raise self._no_chain() from error
        finally:
            self.unskip()
            self.encoder.train(was_training)
        if states.dim() != 4 or not torch.equal(found, whole):
            raise self._no_chain()
        return tuple(states.shape[1:])

    def _no_chain(self) -> ValueError:
        return ValueError(
            f"--cache_features: the vision encoder {self.encoder.config.model_type!r} is no plain "
            "chain of stages over feature maps, so its frozen layers cannot be cached while others "
            "are trained; leave out --cache_features, or set --vision_encoder_learning_rate 0."
        )

    def skip(self) -> None:
        """Have the encoder take the front's output in place of pictures from now on."""
        for module in self.modules:
            module.forward = _hand_on

    def unskip(self) -> None:
        """Have the encoder take pictures again."""
        for module in self.modules:
            vars(module).pop("forward", None)


def _hand_on(features: torch.Tensor, *_: Any, **__: Any) -> torch.Tensor:
    return features
