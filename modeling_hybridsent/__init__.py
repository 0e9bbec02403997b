"""The hybridsent model: configuration, model, processor and pipeline.

All files of this folder but this one are published with the weights, flat: they import each other
relatively, and otherwise only torch, transformers, huggingface_hub and Pillow.

Importing this package registers its classes, so that `AutoModel` and the others take them instead of
the copies that stand beside the weights.
"""

from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForSequenceClassification,
    AutoProcessor,
)

from .birau_hybridsent import RAU, BiRAU
from .configuration_hybridsent import HybridSentConfig
from .inputs_hybridsent import load_image
from .modeling_hybridsent import (
    HybridSentForSequenceClassification,
    HybridSentModel,
    HybridSentPreTrainedModel,
)
from .pipeline_hybridsent import HybridSentPipeline
from .pretrained_hybridsent import HybridSentModelOutput, HybridSentOutput
from .processing_hybridsent import HybridSentProcessor

AutoConfig.register(HybridSentConfig.model_type, HybridSentConfig)
AutoModel.register(HybridSentConfig, HybridSentForSequenceClassification)
AutoModelForSequenceClassification.register(HybridSentConfig, HybridSentForSequenceClassification)
AutoProcessor.register(HybridSentConfig, HybridSentProcessor)
# Saving copies the code of these classes beside what it saves.
HybridSentConfig.register_for_auto_class()
HybridSentForSequenceClassification.register_for_auto_class("AutoModelForSequenceClassification")
HybridSentProcessor.register_for_auto_class("AutoProcessor")

__all__ = [
    "RAU",
    "BiRAU",
    "HybridSentConfig",
    "HybridSentForSequenceClassification",
    "HybridSentModel",
    "HybridSentModelOutput",
    "HybridSentOutput",
    "HybridSentPipeline",
    "HybridSentPreTrainedModel",
    "HybridSentProcessor",
    "load_image",
]
