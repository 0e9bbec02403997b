"""An encoder as a chain of layers: which are trained, how fast, and where the frozen front ends."""

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
        encoder: An encoder whose layers, or stages, are in one list of modules.

    Raises:
        ValueError: The encoder has no such list.
    """

    def __init__(self, encoder: PreTrainedModel) -> None:
        self.encoder = encoder
        self._before: list[nn.Module] = []  # embeddings or stem
        self.layers = self._find(encoder)

    def _find(self, encoder: nn.Module) -> list[nn.Module]:
        """Return the outermost list of modules, and keep what comes before it."""
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
            f"The layers of the encoder {encoder.config.model_type!r} are not in one list; leave out "
            "encoder_layer_decay and vision_encoder_trained_layers."
        )

    def depths(self) -> dict[int, int]:
        """Return how many layers follow each parameter, by its id; 0 for those after the last layer."""
        above = dict.fromkeys(map(id, self.encoder.parameters()), 0)
        for count, module in enumerate(reversed(self.layers)):
            above |= dict.fromkeys(map(id, module.parameters()), count)
        for module in self._before:
            above |= dict.fromkeys(map(id, module.parameters()), len(self.layers))
        return above

    def _front(self, layers: int) -> list[nn.Module]:
        """Return the modules that run before the layer of this number, in order."""
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
        """Freeze all modules before the last layers.

        Args:
            count: Number of layers to train.

        Raises:
            ValueError: The encoder has fewer layers.
        """
        if not 1 <= count <= len(self.layers):
            raise ValueError(
                f"--vision_encoder_trained_layers {count}: give 1 to {len(self.layers)}, the number of "
                "layers of the encoder."
            )
        for module in self._front(len(self.layers) - count):
            module.requires_grad_(False)


def prepare_encoders(
    model: HybridSentForSequenceClassification, arguments: HybridSentTrainingArguments
) -> None:
    """Freeze the layers that the settings freeze; keep slow convolutions out of bfloat16 on a CPU.

    Args:
        model: The model; changed in place.
        arguments: Settings of the training.

    Raises:
        ValueError: The vision encoder has fewer layers than are to be trained.
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
    """Return the learning rate of each parameter of the encoders, by its id.

    Args:
        model: The model.
        arguments: Settings: the encoders' rates, and the factor from each layer to the one below.
    """
    rates: dict[int, float] = {}
    base, decay = model.hybridsent, arguments.encoder_layer_decay
    for encoder, given in (
        (base.text_model, arguments.text_encoder_learning_rate),
        (base.vision_model, arguments.vision_encoder_learning_rate),
    ):
        rate = arguments.learning_rate if given is None else given
        above = dict.fromkeys(map(id, encoder.parameters()), 0)
        if decay != 1:
            above = EncoderLayers(encoder).depths()
        rates |= {parameter: rate * decay**count for parameter, count in above.items()}
    return rates


class FrozenFront:
    """The frozen front of a vision encoder whose last layers are trained.

    Its output replaces `pixel_values`; the front, when skipped, passes it on unchanged. The weights
    stay where they are, so that saving and loading are not affected.

    Args:
        encoder: A vision encoder, partly frozen.
        processor: The joint processor, which has the size of images.

    Raises:
        ValueError: The encoder is not a plain chain of stages over feature maps.
    """

    def __init__(self, encoder: PreTrainedModel, processor: HybridSentProcessor) -> None:
        self.encoder = encoder
        self.modules = EncoderLayers(encoder).frozen_front()
        grey = Image.new("RGB", (64, 64), (90, 120, 150))
        image = processor(text=[None], images=[grey])["pixel_values"]
        self.shape = self._shape_of_output(image.to(next(encoder.parameters())))

    @torch.no_grad()
    def __call__(self, pixel_values: torch.Tensor) -> torch.Tensor:
        """Run the front: (batch, 3, height, width) -> (batch, channels, rows, columns)."""
        for module in self.modules:
            pixel_values = module(pixel_values)
        return pixel_values

    @torch.no_grad()
    def _shape_of_output(self, image: torch.Tensor) -> tuple[int, ...]:
        """Return channels, rows and columns, and check that the later stages give the same result."""
        was_training = self.encoder.training
        self.encoder.eval()
        try:
            expected = self.encoder(pixel_values=image).last_hidden_state
            states = self(image)
            self.skip()
            resumed = self.encoder(pixel_values=states).last_hidden_state
        except (RuntimeError, TypeError, ValueError, AttributeError) as error:
            raise self._not_a_chain() from error
        finally:
            self.unskip()
            self.encoder.train(was_training)
        if states.dim() != 4 or not torch.equal(resumed, expected):
            raise self._not_a_chain()
        return tuple(states.shape[1:])

    def _not_a_chain(self) -> ValueError:
        return ValueError(
            f"--cache_features: the vision encoder {self.encoder.config.model_type!r} is not a plain "
            "chain of stages over feature maps, so its frozen layers cannot be cached while others "
            "are trained. Leave out --cache_features, or set --vision_encoder_learning_rate 0."
        )

    def skip(self) -> None:
        """Make the encoder take the output of the front instead of images."""
        for module in self.modules:
            module.forward = _pass_on

    def unskip(self) -> None:
        """Make the encoder take images again."""
        for module in self.modules:
            vars(module).pop("forward", None)


def _pass_on(features: torch.Tensor, *_: Any, **__: Any) -> torch.Tensor:
    return features
