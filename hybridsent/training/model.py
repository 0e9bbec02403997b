"""Build the model and the processor of a run, from encoders or from a trained model."""

import copy
import json
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from transformers import AutoImageProcessor, AutoTokenizer, PreTrainedModel
from transformers.utils import cached_file

from hybridsent.bundled.encoders import resolve_encoder
from hybridsent.training.arguments import DataArguments, ModelArguments
from modeling_hybridsent import HybridSentForSequenceClassification, HybridSentProcessor
from modeling_hybridsent.encoders_hybridsent import encode_image, expected_image_size
from modeling_hybridsent.problems_hybridsent import SingleLabel

# Parts of the model whose weights belong to labels.
OF_LABELS = (
    *("text_classifier", "image_classifier", "fusion_classifier", "own_label_classifiers"),
    "decision_fusion",
)


def build_processor(arguments: ModelArguments) -> HybridSentProcessor:
    """Build a processor from tokenizer and image processor of the encoders, or load the model's."""
    if arguments.model is not None:
        return HybridSentProcessor.from_pretrained(_folder_of(arguments.model))
    processor = HybridSentProcessor(
        _image_processor(arguments.vision_encoder, arguments.image_size),
        AutoTokenizer.from_pretrained(resolve_encoder(arguments.text_encoder)),
        max_length=arguments.max_text_length,
        max_image_pixels=arguments.max_image_pixels,
        clean_text=arguments.clean_text,
    )
    _require_squares(processor, arguments)
    return processor


def _image_processor(encoder: str, side: int | None) -> Any:
    """Load the image processor of an encoder, with this size in place of its own, if given."""
    folder = resolve_encoder(encoder)
    images = AutoImageProcessor.from_pretrained(folder)
    if side is None:
        return images
    if side < 1:
        raise ValueError(f"--image_size {side}: give the sides of the images in pixels.")
    sizes = {name: dict(getattr(images, name, None) or {}) for name in ("size", "crop_size")}
    chosen = {name: dict.fromkeys(size, side) for name, size in sizes.items() if size}
    return AutoImageProcessor.from_pretrained(folder, **chosen) if chosen else images


def _require_squares(processor: HybridSentProcessor, arguments: ModelArguments) -> None:
    """Raise unless images become squares of `image_size`, within the limit of pixels."""
    side = arguments.image_size
    if side is None:
        return
    processor.require_sizes_within_limit()  # else the saved one would not load
    made = tuple(processor(images=[Image.new("RGB", (64, 32))])["pixel_values"].shape)
    if made != (1, 3, side, side):
        raise ValueError(
            f"--image_size {side}: the image processor of {arguments.vision_encoder} makes "
            f"{made[-2:]} of an image. Give the size it makes, or image_size: null in a copy of the "
            "recipe."
        )


def _require_images_of_size(encoder: PreTrainedModel, arguments: ModelArguments) -> None:
    """Raise unless a vision encoder takes the images of `image_size`."""
    side = arguments.image_size
    if side is None:
        return
    try:
        with torch.no_grad():
            encode_image(encoder, torch.zeros(1, 3, side, side, dtype=encoder.dtype))
    except (AssertionError, RuntimeError, ValueError) as error:
        raise ValueError(
            f"--image_size {side}: the vision encoder {arguments.vision_encoder} takes no images of "
            f"that size. Give --image_size {expected_image_size(encoder.config)}. "
            f"({' '.join(str(error).split()) or type(error).__name__:.200})"
        ) from error


def build_model(
    arguments: ModelArguments,
    label_names: list[str],
    model_class: type[HybridSentForSequenceClassification] = HybridSentForSequenceClassification,
    **fields: Any,
) -> HybridSentForSequenceClassification:
    """Build a model from the pretrained encoders, with new fusion weights, or start from a model.

    Args:
        arguments: Settings of the model.
        label_names: Names of the labels by index.
        model_class: Class of the model, for benchmarks that compare others with the same encoders.
        **fields: Further fields of the configuration that the posts give, such as `problem_type`.

    Raises:
        ValueError: Texts may have more tokens than the text encoder has positions, the vision encoder
            does not take images of `image_size`, or `model_config` contradicts the posts.
    """
    if arguments.model is not None:
        return start_from(arguments.model, label_names, **fields)
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
    _require_images_of_size(model.base_model.vision_model, arguments)
    return model


def start_from(
    name: str, label_names: list[str], **fields: Any
) -> HybridSentForSequenceClassification:
    """Load a trained model to train it further, uncalibrated.

    Args:
        name: Folder, Hub id or bundled model.
        label_names: Names of the labels by index. Where they are not those of the model, in its
            order, classifiers and decision weights start anew.
        **fields: Further fields that the posts give; another `problem_type` starts them anew, too.
    """
    model = HybridSentForSequenceClassification.from_pretrained(_folder_of(name))
    model.config.reset_calibration()  # temperatures do not belong into the loss
    model.config._name_or_path = ""  # a path of this machine
    kind = fields.get("problem_type", SingleLabel.name)
    if list(model.config.id2label.values()) == label_names and kind == model.problem.name:
        return model
    config = copy.deepcopy(model.config)
    config.update({"problem_type": None, "score_mean": 0.0, "score_std": 1.0, **fields})
    config.id2label = dict(enumerate(label_names))
    config.label2id = {name: i for i, name in enumerate(label_names)}
    fresh = HybridSentForSequenceClassification(config)
    kept = {k: v for k, v in model.state_dict().items() if k.partition(".")[0] not in OF_LABELS}
    fresh.load_state_dict(kept, strict=False)
    fresh.base_model.freeze_unused_parameters()
    return fresh.eval()


def encoder_names(arguments: ModelArguments) -> dict[str, str]:
    """Return the names of the encoders by modality; of a trained model, from its metrics.json."""
    if arguments.model is None:
        return {"text": arguments.text_encoder, "vision": arguments.vision_encoder}
    file = cached_file(
        _folder_of(arguments.model), "metrics.json", _raise_exceptions_for_missing_entries=False
    )
    known = json.loads(Path(file).read_text(encoding="utf-8")) if file else {}
    return {m: known.get("encoders", {}).get(m, arguments.model) for m in ("text", "vision")}


def require_unimodal_classifiers(
    model: HybridSentForSequenceClassification, arguments: DataArguments
) -> None:
    """Raise ValueError if posts with unimodal labels alone would teach the model nothing."""
    if arguments.use_contradictory_posts and not model.config.own_label_loss_weight:
        raise ValueError(
            "--use_contradictory_posts: the model has no classifiers of unimodal labels, from which "
            "these posts could teach. Set use_contradictory_posts to false."
        )


def _folder_of(name: str) -> str:
    """Return the folder of a bundled model, or the name of another model."""
    from hybridsent.bundled.models import resolve_model  # few trainings start from a model

    return resolve_model(name)
