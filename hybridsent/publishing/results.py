"""What a finished training leaves: figures, page, card, the printed table and, if asked, the Hub."""

from pathlib import Path
from typing import Any

from datasets import Dataset

from hybridsent.evaluation.figures import draw_figures
from hybridsent.evaluation.final_scores import Scored
from hybridsent.evaluation.report import as_markdown, describe_calibration
from hybridsent.evaluation.report_page import write_page
from hybridsent.publishing.model_card import write_card
from hybridsent.publishing.publish import Target, publish


def write_results(
    run: dict[str, Any],
    scored: Scored,
    posts: Dataset,
    max_image_pixels: int,
    settings: dict[str, Any],
    folder: str | Path,
    target: Target | None,
) -> None:
    """Write report and card beside the model, print the scores, and publish.

    Args:
        run: Result of `describe_run`.
        scored: The final scores.
        posts: The posts that were scored.
        max_image_pixels: Larger pictures are not shown.
        settings: Result of `chosen_settings`.
        folder: Output folder of the run.
        target: Where to publish; None does not.
    """
    draw_figures(scored, run, folder)
    page = write_page(run, scored, posts, max_image_pixels, settings, folder)
    write_card([run], folder, target.repo_id if target else folder)
    print(f"\nScores in percent on the {scored.split} posts of {run['dataset']['name']}:\n")
    print(as_markdown(scored.rows))
    print(f"\n{describe_calibration(run['calibration'])}")
    print(f"Model, model card (README.md) and metrics.json: {folder}")
    print(f"Report, with the posts of the worst mistakes: {page}")
    if target:
        print(f"Published: {publish(folder, target)}")
