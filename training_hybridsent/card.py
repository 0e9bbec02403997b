"""Fill the model card's template with what a run found."""

from pathlib import Path
from string import Template
from typing import Any

from datasets_scripts.folders import write_whole
from training_hybridsent.report import as_markdown

TEMPLATE = Path(__file__).parent.parent / "model_card.md"

SYNTHETIC = " It is synthetic: drawn and worded by a program."
FLATTERING = " No test posts were at hand: these are the very posts of that choice, and flatter it."


def _split_counts(counts: dict[str, Any]) -> str:
    return ", ".join(f"{name} {found['present']}" for name, found in counts["splits"].items())


def fill_card(run: dict[str, Any]) -> str:
    """Return the model card of a run.

    Args:
        run: The content of metrics.json.

    Returns:
        Markdown with a YAML header, as the Hub wants it.

    Raises:
        KeyError: The template has a place that the run does not fill.
    """
    decision = run["scores"][-1]
    dataset, calibration = run["dataset"], run["calibration"]
    return Template(TEMPLATE.read_text(encoding="utf-8")).substitute(
        dataset=dataset["name"],
        dataset_note=SYNTHETIC if dataset["name"] == "synthetic" else "",
        selection_note=FLATTERING if run["scored_split"] == "validation" else "",
        protocol=dataset["protocol"],
        split_counts=_split_counts(dataset["counts"]),
        labels=", ".join(run["labels"]),
        seed=run["seed"],
        scored_split=run["scored_split"],
        table=as_markdown(run["scores"]),
        posts=decision["posts"],
        per_class=", ".join(f"{name} {100 * decision[f'f1_{name}']:.1f}" for name in run["labels"]),
        temperature=f"{calibration['temperature']:.3f}",
        ece_before=f"{100 * calibration['ece_before']:.1f}",
        ece_after=f"{100 * calibration['ece_after']:.1f}",
        parameters=f"{run['parameters']['all'] / 1e6:.1f}",
        trained=f"{run['parameters']['trained'] / 1e6:.1f}",
        minutes=f"{run['seconds'] / 60:.1f}",
        versions=", ".join(f"{name} {number}" for name, number in run["versions"].items()),
    )


def write_card(run: dict[str, Any], output_dir: str) -> None:
    """Write the filled card as README.md of the model's folder."""
    write_whole(fill_card(run), Path(output_dir) / "README.md")
