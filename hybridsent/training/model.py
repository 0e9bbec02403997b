"""Build the model and the processor that the settings name."""

from transformers import AutoImageProcessor, AutoTokenizer

from hybridsent.bundled.encoders import resolve_encoder
from hybridsent.training.arguments import ModelArguments
from modeling_hybridsent import HybridSentForSequenceClassification, HybridSentProcessor


def build_processor(arguments: ModelArguments) -> HybridSentProcessor:
    """Join the encoders' own tokenizer and image processor."""
    return HybridSentProcessor(
        AutoImageProcessor.from_pretrained(resolve_encoder(arguments.vision_encoder)),
        AutoTokenizer.from_pretrained(resolve_encoder(arguments.text_encoder)),
        max_length=arguments.max_text_length,
    )


def build_model(
    arguments: ModelArguments,
    label_names: list[str],
    model_class: type[HybridSentForSequenceClassification] = HybridSentForSequenceClassification,
) -> HybridSentForSequenceClassification:
    """Start a model from the pretrained encoders, with a fresh fusion.

    Args:
        arguments: Settings of the model.
        label_names: Names of the labels by index.
        model_class: Another class behind the same encoders, as the benchmark of accuracy compares.

    Returns:
        The model.
    """
    return model_class.from_vision_text_pretrained(
        resolve_encoder(arguments.vision_encoder),
        resolve_encoder(arguments.text_encoder),
        id2label=dict(enumerate(label_names)),
        label2id={name: i for i, name in enumerate(label_names)},
        **arguments.fields_of_config(),
    )
