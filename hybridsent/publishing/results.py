"""The results of a finished training: files beside the model, the text to print, the target."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from datasets import Dataset

from hybridsent.evaluation.figures import write_figures
from hybridsent.evaluation.final_scores import FinalScores
from hybridsent.evaluation.report import as_markdown, describe_calibration, write_metrics
from hybridsent.evaluation.report_page import write_page
from hybridsent.publishing.model_card import write_card
from hybridsent.training.arguments import HybridSentTrainingArguments
from modeling_hybridsent.problems_hybridsent import Regression

if TYPE_CHECKING:
    from hybridsent.publishing.publish import Target


def checked_target(arguments: HybridSentTrainingArguments) -> Target | None:
    """Return where the settings publish the model, None if nowhere.

    Raises:
        PublishError: The Hub refuses; a wrong token should not wait for the end of the training.
    """
    if not arguments.publish_at_end:
        return None
    from hybridsent.publishing.publish import Target, prepare_target  # most runs do not publish

    target = Target(
        arguments.hub_model_id,
        arguments.hub_private_repo,
        arguments.hub_revision,
        arguments.hub_token,
    )
    prepare_target(target)
    return target


def write_results(
    run: dict[str, Any],
    scored: FinalScores,
    posts: Dataset,
    max_image_pixels: int,
    settings: dict[str, Any],
    folder: str | Path,
    name: str,
) -> Path:
    """Write metrics.json, figures, report page and model card.

    Args:
        run: Result of `describe_run`.
        scored: Result of `score_posts`.
        posts: The scored posts.
        max_image_pixels: Larger images are not shown.
        settings: Result of `chosen_settings`.
        folder: Output folder of the run.
        name: How users will call the model: a repository or folder.

    Returns:
        The file of the report page.
    """
    write_metrics(run, folder)
    write_figures(scored, run, folder)
    write_card([run], folder, name)
    return write_page(run, scored, posts, max_image_pixels, settings, folder)


def describe_results(run: dict[str, Any], folder: str | Path, page: Path) -> str:
    """Return the tables of scores and calibration, and the paths of what was written, in lines.

    Args:
        run: Result of `describe_run`.
        folder: Output folder of the run.
        page: The file of the report page.
    """
    unit = "" if run.get("problem_type") == Regression.name else " in percent"
    calibrated = describe_calibration(run["calibration"])
    return (
        f"\nScores{unit} on the {run['scored_split']} posts of {run['dataset']['name']}:\n\n"
        f"{as_markdown(run['scores'])}\n\n{calibrated}\n"
        f"Saved model, model card (README.md) and metrics.json to {folder}\n"
        f"Report, with the most confident mistakes: {page}"
    )
