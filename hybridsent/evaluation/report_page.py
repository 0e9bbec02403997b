"""The page of a run's report: one file that loads nothing, for those who may see the posts."""

import base64
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

from datasets import Dataset
from jinja2 import Environment, StrictUndefined

from hybridsent.evaluation.figures import FOLDER
from hybridsent.evaluation.final_scores import Scored
from hybridsent.evaluation.mistakes import confident_mistakes
from hybridsent.evaluation.report import ABSENT, COLUMNS, percent
from hybridsent.support.folders import write_whole
from hybridsent.training.data import describe_counts

TEMPLATE = files("hybridsent.evaluation") / "report_page.html"
SETTINGS = (
    *("dataset", "protocol", "dataset_options", "on_bad_rows", "use_contradictory_posts"),
    *("max_train_posts", "text_encoder", "vision_encoder", "max_text_length", "model_config"),
    *("seed", "num_train_epochs", "max_steps", "per_device_train_batch_size"),
    *("gradient_accumulation_steps", "learning_rate", "text_encoder_learning_rate"),
    *("vision_encoder_learning_rate", "vision_encoder_trained_layers", "encoder_layer_decay"),
    *("train_sampling_strategy", "lr_scheduler_type", "warmup_steps", "weight_decay"),
    *("max_grad_norm", "bf16", "fp16", "load_best_model_at_end", "metric_for_best_model"),
    *("early_stopping_patience", "cache_features", "cache_dtype"),
)


def chosen_settings(*groups: Any) -> dict[str, str]:
    """List the settings that decide what a training gives; no folders, no tokens.

    Args:
        *groups: Dataclasses of settings.

    Returns:
        Name -> value; without those that are None.
    """
    found = {
        name: value
        for name in SETTINGS
        for group in groups
        if (value := getattr(group, name, None)) is not None
    }
    return {name: str(getattr(value, "value", value)) for name, value in found.items()}


def write_page(
    run: Mapping[str, Any],
    scored: Scored,
    posts: Dataset,
    max_pixels: int,
    settings: Mapping[str, str],
    output_dir: str | Path,
) -> Path:
    """Write `report/index.html`; it holds posts, and publishing leaves it out.

    Args:
        run: The content of metrics.json.
        scored: The final model's answers.
        posts: The posts that were scored, with undecoded pictures.
        max_pixels: Do not decode larger pictures.
        settings: What was chosen.
        output_dir: Folder of the model, in which `draw_figures` has drawn.

    Returns:
        The file.
    """
    folder = Path(output_dir) / FOLDER
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {"percent": percent, "number": _number}
    page = environment.from_string(TEMPLATE.read_text(encoding="utf-8")).render(
        run=run,
        counts=run["dataset"]["counts"],
        present=describe_counts(run["dataset"]["counts"]),
        calibration=run["calibration"],
        decision=run["scores"][-1],
        columns=COLUMNS,
        figures=_figures(folder),
        mistakes=confident_mistakes(scored, posts, run["labels"], max_pixels),
        wrong=int((scored.known & (scored.decided != scored.labels)).sum()),
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
