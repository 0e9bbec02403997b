"""The report page of a run: one HTML file that loads nothing, for those who may see the posts."""

import base64
import io
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from datasets import Dataset
from jinja2 import Environment, StrictUndefined
from PIL import Image

from hybridsent.evaluation.figures import FOLDER
from hybridsent.evaluation.final_scores import FinalScores
from hybridsent.evaluation.report import ABSENT, cell, columns_of, label_counts, percent
from hybridsent.support.folders import write_whole
from hybridsent.training.run_posts import describe_counts
from modeling_hybridsent.answers_hybridsent import Answer
from modeling_hybridsent.inputs_hybridsent import load_image
from modeling_hybridsent.problems_hybridsent import Regression

TEMPLATE = files("hybridsent.evaluation") / "report_page.html"
MOST = 10
SIDE = 360  # pixels of a thumbnail at most, in width and height
LONGEST_TEXT = 600  # characters
LOSS = ("share", "posts")  # columns of `lost_modality` that are no scores
SETTINGS = (
    *("dataset", "protocol", "dataset_options", "on_bad_rows", "use_contradictory_posts"),
    *("max_train_posts", "model", "text_encoder", "vision_encoder"),
    *("max_text_length", "clean_text", "image_size"),
    *("model_config", "seed", "num_train_epochs", "max_steps", "per_device_train_batch_size"),
    *("gradient_accumulation_steps", "learning_rate", "text_encoder_learning_rate"),
    *("vision_encoder_learning_rate", "vision_encoder_trained_layers", "encoder_layer_decay"),
    *("text_encoder_lora_rank", "vision_encoder_lora_rank"),
    *("train_sampling_strategy", "lr_scheduler_type", "warmup_steps", "weight_decay"),
    *("max_grad_norm", "bf16", "fp16", "load_best_model_at_end", "metric_for_best_model"),
    *("early_stopping_patience", "average_weights_from", "soft_label_weight"),
    *("cache_features", "cache_dtype"),
)


def chosen_settings(*groups: Any) -> dict[str, str]:
    """Return the settings that affect the result of a training, by name, except those that are None.

    Args:
        *groups: Dataclasses of settings.
    """
    settings = {
        name: value
        for name in SETTINGS
        for group in groups
        if (value := getattr(group, name, None)) is not None
    }
    return {name: str(getattr(value, "value", value)) for name, value in settings.items()}


def write_page(
    run: Mapping[str, Any],
    scored: FinalScores,
    posts: Dataset,
    max_pixels: int,
    settings: Mapping[str, str],
    output_dir: str | Path,
) -> Path:
    """Write `report/index.html`; it contains posts, so publishing leaves it out.

    Args:
        run: The content of metrics.json.
        scored: The scored posts.
        posts: The same posts, with undecoded images.
        max_pixels: Larger images are not decoded.
        settings: Result of `chosen_settings`.
        output_dir: Folder of the model, with the result of `write_figures`.

    Returns:
        The file.
    """
    folder = Path(output_dir) / FOLDER
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {"percent": percent, "number": _number, "cell": cell}
    page = environment.from_string(
        TEMPLATE.read_text(encoding="utf-8")
    ).render(
        run=run,
        averaged_steps=run["learning"].get("averaged_steps", 0),  # not in runs of earlier versions
        counts=run["dataset"]["counts"],
        present=describe_counts(run["dataset"]["counts"]),
        calibration=run["calibration"],
        decision=run["scores"][-1],
        robustness=run["robustness"],
        columns=columns_of(run["scores"][-1]),
        labels=label_counts(run) if run["confusion"] else [],
        is_score=run.get("problem_type") == Regression.name,
        learned=list(columns_of(run["scores"][-1]))[:3],
        lost=[name for name in (run["robustness"]["lost_modality"] or [{}])[0] if name not in LOSS],
        thresholds=run.get("label_thresholds", {}),
        figures=_figures(folder),
        mistakes=confident_mistakes(scored, posts, run["labels"], max_pixels),
        wrong=int((scored.known & ~scored.right).sum()),
        fusion_only=bool((scored.decision_weights[:, 2] == 1).all()),
        settings=settings,
    )
    write_whole(page, folder / "index.html")
    return folder / "index.html"


def _figures(folder: Path) -> dict[str, str]:
    """Return the drawn figures by name, as data URIs."""
    return {
        file.stem: f"data:image/png;base64,{base64.b64encode(file.read_bytes()).decode()}"
        for file in folder.glob("*.png")
    }


def _number(value: float | None, digits: int = 3) -> str:
    return ABSENT if value is None else f"{value:.{digits}f}"


class Mistake(NamedTuple):
    """A post that was decided wrongly.

    Attributes:
        id: Id of the post.
        text: The first `LONGEST_TEXT` characters of its text; None without text.
        cut: Number of characters that were left out.
        image: Data URI of a small JPEG; None if there is no image to show.
        no_image: Why there is none; empty where there is one.
        label: Its label, labels or score.
        answer: Answer of the model.
    """

    id: str
    text: str | None
    cut: int
    image: str | None
    no_image: str
    label: str
    answer: Answer


def confident_mistakes(
    scored: FinalScores, posts: Dataset, names: Sequence[str], max_pixels: int
) -> list[Mistake]:
    """Return the mistakes with the highest probability, at most ten, the most confident first.

    Of scores, those that are furthest from the label.

    Args:
        scored: The scored posts.
        posts: The same posts, with undecoded images.
        names: Names of the labels.
        max_pixels: Larger images are not decoded.
    """
    (wrong,) = np.nonzero(scored.known & ~scored.right)
    worst = scored.judge.confidence(scored.logits)
    if worst is None:
        worst = np.abs(scored.decided - scored.labels)
    chosen = wrong[np.argsort(-worst[wrong], kind="stable")[:MOST]]
    mistakes = []
    for i, answer in zip(chosen.tolist(), scored.answers(chosen, names), strict=True):
        post = posts[i]
        text = post.get("text")
        image, no_image = thumbnail(post.get("image"), max_pixels)
        mistakes.append(
            Mistake(
                id=str(post.get("id", i)),
                text=text and text[:LONGEST_TEXT],
                cut=max(0, len(text or "") - LONGEST_TEXT),
                image=image,
                no_image=no_image,
                label=scored.judge.name(scored.labels[i], names),
                answer=answer,
            )
        )
    return mistakes


def thumbnail(source: Any, max_pixels: int) -> tuple[str | None, str]:
    """Build a small copy of the image of a post.

    Args:
        source: Cell of the table of posts: None or {"bytes", "path"}.
        max_pixels: Larger images are not decoded.

    Returns:
        A data URI and an empty string, or None and the reason.
    """
    try:
        image = load_image(source, max_pixels, "image")
    except ValueError as error:
        return None, f"The image cannot be shown: {error}"
    if image is None:
        return None, "no image"
    image.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    image.save(buffer, format="JPEG", quality=80)
    return f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()}", ""
