"""Train an encoder by low-rank factors (LoRA) in place of its weights, and merge them when done.

Hu et al. 2021, LoRA: Low-Rank Adaptation of Large Language Models, arXiv 2106.09685. The factors are
those of the library peft. A checkpoint holds them beside the weights; the model that a run saves is
an ordinary one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torch import nn

if TYPE_CHECKING:
    from hybridsent.training.arguments import HybridSentTrainingArguments
    from modeling_hybridsent import HybridSentForSequenceClassification

SCALE = 2  # of the product of both factors


class LowRankFactors:
    """The low-rank factors of the encoders in a model.

    Args:
        model: The model, with its frozen layers frozen; changed in place.
        arguments: Settings: the rank of each encoder's factors, None for an encoder without them.

    Raises:
        ImportError: peft is not installed.
        ValueError: An encoder with a rank has no layer to train that could have factors.
    """

    def __init__(
        self, model: HybridSentForSequenceClassification, arguments: HybridSentTrainingArguments
    ) -> None:
        base = model.hybridsent
        ranks = {
            "text": (base.text_model, arguments.text_encoder_lora_rank),
            "vision": (base.vision_model, arguments.vision_encoder_lora_rank),
        }
        self._tuners = [
            _add_factors(encoder, rank, name) for name, (encoder, rank) in ranks.items() if rank
        ]

    def merge(self) -> None:
        """Add the products of the factors to the weights, and remove the factors."""
        while self._tuners:
            self._tuners.pop().merge_and_unload()


def _add_factors(encoder: nn.Module, rank: int, name: str) -> Any:
    """Freeze an encoder, and give factors to the linear maps and convolutions that were trained."""
    try:
        from peft import LoraConfig
        from peft.tuners.lora import LoraModel
    except ImportError as error:
        raise ImportError(
            f'--{name}_encoder_lora_rank needs peft: pip install "hybridsent[lora]"'
        ) from error
    targets = [path for path, module in encoder.named_modules() if _may_have_factors(module)]
    if not targets:
        raise ValueError(
            f"--{name}_encoder_lora_rank {rank}: no linear map or convolution of the {name} encoder "
            "is trained. Leave the rank out, or train some of its layers."
        )
    config = LoraConfig(r=rank, lora_alpha=SCALE * rank, target_modules=targets)
    return LoraModel(encoder, config, "default")


def _may_have_factors(module: nn.Module) -> bool:
    """Check whether a module is a trained linear map, or a trained convolution of one group."""
    is_map = isinstance(module, nn.Linear)
    is_map = is_map or (isinstance(module, nn.Conv2d) and module.groups == 1)
    return is_map and module.weight.requires_grad
