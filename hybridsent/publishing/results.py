"""The results of a finished training: files beside the model, the text to print, the target."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from datasets import Dataset

from hybridsent.evaluation import final_scores
from hybridsent.evaluation.figures import write_figures
from hybridsent.evaluation.final_scores import FinalScores
from hybridsent.evaluation.report import (
    as_markdown,
    describe_calibration,
    describe_run,
    write_metrics,
)
from hybridsent.evaluation.report_page import chosen_settings, write_page
from hybridsent.publishing.model_card import write_card
from hybridsent.training.arguments import (
    DataArguments,
    HybridSentTrainingArguments,
    ModelArguments,
)
from modeling_hybridsent.problems_hybridsent import Regression

if TYPE_CHECKING:
    from hybridsent.publishing.publish import Target
    from hybridsent.training.run_posts import RunPosts
    from hybridsent.training.trainer import HybridSentTrainer


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


def finish_run(
    trainer: HybridSentTrainer,
    model_arguments: ModelArguments,
    data_arguments: DataArguments,
    posts: RunPosts,
    target: Target | None,
    start: float,
) -> None:
    """Calibrate a trained model, save it, score it, and write and publish the results.

    Args:
        trainer: Trainer of the final model.
        model_arguments: Settings of the model.
        data_arguments: Settings of the data.
        posts: Posts of the run.
        target: Where to publish; None for nowhere.
        start: When the run began, in the seconds of `time.perf_counter`.
    """
    # Everything is chosen by now: calibrate on validation, then touch the test posts once.
    calibration = final_scores.fit_temperatures(trainer, posts.validation)
    final_scores.store_temperatures(trainer.model.config, calibration)
    final_scores.store_thresholds(trainer, posts.validation)
    trainer.save_model()
    scored = final_scores.score_posts(trainer, *posts.scored)
    if not trainer.is_world_process_zero():
        return

    folder, pixels = trainer.args.output_dir, trainer.processing_class.max_image_pixels
    seconds = time.perf_counter() - start
    run = describe_run(
        trainer, model_arguments, data_arguments, posts.counts, calibration, scored, seconds
    )
    settings = chosen_settings(model_arguments, data_arguments, trainer.args)
    name = target.repo_id if target else folder
    page = write_results(run, scored, posts.scored[0].posts, pixels, settings, folder, name)
    print(describe_results(run, folder, page))
    if target:
        from hybridsent.publishing.publish import publish

        print(f"Published: {publish(folder, target)}")


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
        f"\nScores{unit}, {run['scored_split']} split of {run['dataset']['name']}:\n\n"
        f"{as_markdown(run['scores'])}\n\n{calibrated}\n"
        f"Saved model, model card (README.md) and metrics.json to {folder}\n"
        f"Report, with the most confident mistakes: {page}"
    )
