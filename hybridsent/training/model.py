"""Build the model and the processor of a run."""

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
) -> HybridSentForSequenceClassification:
    """Build a model from the pretrained encoders, with new fusion weights.

    Args:
        arguments: Settings of the model.
        label_names: Names of the labels by index.
        model_class: Class of the model, for benchmarks that compare others with the same encoders.

    Raises:
        ValueError: Texts may have more tokens than the text encoder has positions.
    """
    model = model_class.from_vision_text_pretrained(
        resolve_encoder(arguments.vision_encoder),
        resolve_encoder(arguments.text_encoder),
        id2label=dict(enumerate(label_names)),
        label2id={name: i for i, name in enumerate(label_names)},
        **arguments.fields_of_config(),
    )
    positions = model.base_model.positions
    if positions is not None and arguments.max_text_length > positions:
        raise ValueError(
            f"--max_text_length {arguments.max_text_length}: the text encoder "
            f"{arguments.text_encoder} has positions for {positions} tokens; give at most that."
        )
    return model
