"""Build the model and the processor of a run."""

from typing import Any

from transformers import AutoImageProcessor, AutoTokenizer

from hybridsent.bundled.encoders import resolve_encoder
from hybridsent.training.arguments import ModelArguments
from modeling_hybridsent import HybridSentForSequenceClassification, HybridSentProcessor


def build_processor(arguments: ModelArguments) -> HybridSentProcessor:
    """Build a processor from the tokenizer and the image processor of the encoders."""
    return HybridSentProcessor(
        AutoImageProcessor.from_pretrained(resolve_encoder(arguments.vision_encoder)),
        AutoTokenizer.from_pretrained(resolve_encoder(arguments.text_encoder)),
        max_length=arguments.max_text_length,
        max_image_pixels=arguments.max_image_pixels,
        clean_text=arguments.clean_text,
    )


def build_model(
    arguments: ModelArguments,
    label_names: list[str],
    model_class: type[HybridSentForSequenceClassification] = HybridSentForSequenceClassification,
    **fields: Any,
) -> HybridSentForSequenceClassification:
    """Build a model from the pretrained encoders, with new fusion weights.

    Args:
        arguments: Settings of the model.
        label_names: Names of the labels by index.
        model_class: Class of the model, for benchmarks that compare others with the same encoders.
        **fields: Further fields of the configuration that the posts give, such as `problem_type`.

    Raises:
        ValueError: Texts may have more tokens than the text encoder has positions, or `model_config`
            contradicts the posts.
    """
    given = arguments.fields_of_config()
    kind = fields.get("problem_type", "single_label_classification")
    if given.get("problem_type", kind) != kind:
        raise ValueError(
            f"model_config asks for problem_type {given['problem_type']!r}, but the posts have labels "
            f"of {kind}. Leave it out of model_config, and tell the reader of the posts: "
            '--dataset_options \'{"problem_type": "..."}\'.'
        )
    model = model_class.from_vision_text_pretrained(
        resolve_encoder(arguments.vision_encoder),
        resolve_encoder(arguments.text_encoder),
        id2label=dict(enumerate(label_names)),
        label2id={name: i for i, name in enumerate(label_names)},
        **{**fields, **given},
    )
    positions = model.base_model.positions
    if positions is not None and arguments.max_text_length > positions:
        raise ValueError(
            f"--max_text_length {arguments.max_text_length}: the text encoder "
            f"{arguments.text_encoder} has positions for {positions} tokens; give at most that."
        )
    return model
