"""Fill the template of the model card with the results of one or more runs."""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from string import Template
from typing import Any, NamedTuple

from huggingface_hub import EvalResult, ModelCardData

from hybridsent.bundled.encoders import BUNDLED_ENCODERS, PREFIX
from hybridsent.evaluation.calibration import LEAST_POSTS
from hybridsent.evaluation.report import (
    as_markdown,
    label_set_table,
    label_table,
    risk_table,
    robustness_table,
    table_over_seeds,
)
from hybridsent.support.folders import write_whole
from modeling_hybridsent.problems_hybridsent import MultiLabel, Regression

WHENS = ("before", "after", "cross_fitted")
TEMPLATE = Path(__file__).parent / "model_card.md"  # a link, so that a wheel holds it
CLEANED = (
    "The processor cleans each text before it is tokenized, here as in the training: it removes web "
    "addresses and retweet marks, writes @user for every name and splits hashtags into words "
    '(`"clean_text"` in `processor_config.json`).\n\n'
)
FLATTERING = (
    " There were no labelled test posts: these are the same posts, so the scores are too good."
)
ROBUSTNESS = """
## Robustness

A growing share of the posts loses one modality: half of them the text, half the image. NLL is in nats.

$table

Confidence rises in $text % of the posts when the text is taken away, and in $image % without the image.
"""
CONFUSION = "![Confusion matrix](report/confusion.png)"
SCORES = "![Scores over labels](report/scores.png)"
CALIBRATION = re.compile(r"## Calibration\n.*?(?=## )", re.DOTALL)
RISK = """
## Risk and coverage

In percent, on the $scored_split split. Errors among the posts that the model is most confident of:

$risk
"""
LABEL_SETS = """
`pipe(post, coverage=0.9)` gives a set of labels that holds the right one for this share of posts,
if they are like the validation posts. A set of no label or of all is no answer. On these posts:

$sets
"""
METRICS = {
    "accuracy": "accuracy",
    "macro_f1": "f1",
    "micro_f1": "f1",
    "weighted_f1": "f1",
    "ece": "ece",
    "nll": "nll",
    "r2": "r_squared",
    "mae": "mae",
    "rmse": "rmse",
    "pearson": "pearsonr",
    "spearman": "spearmanr",
}

Run = dict[str, Any]


class ProblemText(NamedTuple):
    """Texts of the card about a problem type.

    Attributes:
        as_what: What a prediction is.
        printed: What the example prints of an answer.
        unit: What the scores are in.
        chosen: What was chosen on the validation posts besides the epoch.
    """

    as_what: str = "with calibrated confidence"
    printed: str = 'answer["label"], answer["score"]'
    unit: str = "In percent, on"
    chosen: str = " and temperature were"


PROBLEMS = {
    None: ProblemText(),
    MultiLabel.name: ProblemText(
        "by several labels a post, with calibrated probabilities", 'answer["labels"]',
        chosen=", temperature and the thresholds of the labels were",
    ),
    Regression.name: ProblemText("by a score", 'answer["score"]', "On", " was"),
}  # fmt: skip


class DataText(NamedTuple):
    """Texts of the card about a set.

    Attributes:
        title: Name of the set.
        limits: Limits of its posts and labels.
        note: A warning about the set.
        citation: Source of the set.
    """

    title: str
    limits: str
    note: str = ""
    citation: str = ""


_TWEETS = (
    "The training posts are English tweets of 2014 and 2015; other languages, platforms, years and "
    "topics differ from them. "
)
_MVSA = "Posts: Niu, Zhu, Pang, El Saddik, MMM 2016, doi 10.1007/978-3-319-27674-8_2."
DATA = {
    "mvsa_single": DataText(
        "MVSA-Single",
        f"{_TWEETS}One annotator labelled each text and each image; the joint label follows from a "
        "rule. It is the image's label for 89.6 % of the posts and the text's for 67.8 %, neutral is "
        "rare (one post in ten), and copies of one text or image have contradicting labels. So the "
        "model is weak at neutral posts. Drawings, memes and screenshots of text are unlike what it "
        "has seen, and it knows nothing of the people in a photograph. The page's warning by energy "
        "finds few of them: with the bundled model, about a tenth of drawn pictures exceed the limit "
        "that one validation post in twenty exceeds. MCRLab of the University of Ottawa hands out "
        "the posts on request and states no licence; neither posts nor parts of them come with the "
        "weights.",
        citation=_MVSA,
    ),
    "mvsa_multiple": DataText(
        "MVSA-Multiple",
        f"{_TWEETS}The label is the majority of three annotators in each modality, joined by a rule.",
        citation=_MVSA,
    ),
    "tumemo": DataText(
        "TumEmo",
        "The labels are the emotion tags by which the Tumblr posts were collected, not judgements of "
        "readers. Texts may still contain their tag, so scores on label words as published are too "
        "good: rely on those on masked ones (the protocol names the texts of the training).",
        citation="Posts: Yang et al., IEEE TMM 23 (2021), doi 10.1109/TMM.2020.3035277.",
    ),
    "synthetic": DataText(
        "synthetic posts",
        "It has seen only drawn images and generated sentences: do not use it on real posts.",
        note=" The set is synthetic: a program drew the images and wrote the texts.",
    ),
    "posts": DataText(
        "own posts",
        "Only those who trained the model know the posts and how they were labelled: ask them before "
        "you rely on it.",
    ),
}


def fill_card(runs: Sequence[Run], model: str) -> str:
    """Return the model card of a run.

    Args:
        runs: Contents of metrics.json: the run of this model first, then others of the same recipe and
            data with other seeds, if there are any.
        model: How users will call the model: a repository or folder.

    Returns:
        Markdown with a YAML header, as the Hub wants it.

    Raises:
        KeyError: The template has a field that the runs do not fill.
        ValueError: The runs do not belong together.
    """
    run = runs[0]
    dataset, data = run["dataset"], DATA[run["dataset"]["name"]]
    problem = _problem_text(run)
    card = Template(TEMPLATE.read_text(encoding="utf-8")).substitute(
        **{name: getattr(problem, name) for name in ("as_what", "printed", "unit")},
        header=_header(run, data, model),
        model=model,
        labels=", ".join(run["labels"]),
        cleaning=CLEANED if run.get("clean_text") else "",  # runs before this setting lack it
        dataset_title=data.title,
        dataset_note=data.note,
        encoder_note=_encoder_note(run),
        data_citation=data.citation,
        limits=data.limits,
        protocol=dataset["protocol"],
        fingerprint=dataset["counts"]["fingerprint"],
        split_counts=_split_counts(dataset["counts"]),
        scored_split=run["scored_split"],
        spread=_spread(runs),
        chosen=_chosen(run),
        selection_note=FLATTERING if run["scored_split"] == "validation" else "",
        table=as_markdown(run["scores"]) if len(runs) == 1 else table_over_seeds(runs),
        per_class=label_table(run),
        weight_temperature=f"{run['calibration']['weight_temperature']:.3f}",
        calibration=_calibration(run),
        weights=_weights(run),
        robustness=_robustness(run) + _risk(run),
        parameters=f"{run['parameters']['all'] / 1e6:.1f}",
        trained=f"{run['parameters']['trained'] / 1e6:.1f}",
        seed=run["seed"],
        processes=run["processes"],
        seconds=f"{run['seconds']:.0f}",
        versions=", ".join(f"{name} {number}" for name, number in run["versions"].items()),
    )
    return _as_problem_wants(card, run)


def _problem_text(run: Run) -> ProblemText:
    """Return the texts about the run's problem: "uncalibrated" if no temperature was fitted."""
    text = PROBLEMS[run.get("problem_type")]
    if any(row["posts"] >= LEAST_POSTS for row in run["calibration"]["inputs"].values()):
        return text
    return text._replace(as_what=text.as_what.replace("calibrated", "uncalibrated"), chosen=" was")


def _as_problem_wants(card: str, run: Run) -> str:
    """Return a card without what a problem type other than single labels lacks."""
    if run.get("problem_type") == Regression.name:
        return CALIBRATION.sub("", card.replace(CONFUSION, SCORES))
    if run.get("problem_type") is None:
        return card
    limits = run.get("label_thresholds", {})
    least = (
        ", ".join(f"{name} {value:.2f}" for name, value in limits.items()) or "0.5 for each label"
    )
    note = f"*all right*: posts all of whose labels are right. Thresholds of the labels: {least}."
    return card.replace(CONFUSION, note)


def _header(run: Run, data: DataText, model: str) -> str:
    """Return the YAML header with the results as the Hub's model index."""
    decision = run["scores"][-1]
    results = [
        EvalResult(
            task_type="text-classification",
            task_name="Image-text sentiment",
            dataset_type=run["dataset"]["name"],
            dataset_name=data.title,
            dataset_config=run["dataset"]["protocol"],
            dataset_split=run["scored_split"],
            metric_type=kind,
            metric_name=name,
            metric_value=round(decision[name], 6),
        )
        for name, kind in METRICS.items()
        if name in decision
    ]
    return ModelCardData(
        library_name="transformers",
        pipeline_tag="text-classification",
        license="apache-2.0",
        language="en" if run["dataset"]["name"] != "posts" else None,
        tags=["image-text-sentiment", "multimodal", "hybridsent"],
        base_model=_base_models(run) or None,
        datasets=None if run["dataset"]["name"] == "posts" else [run["dataset"]["name"]],
        model_name=Path(model).name,
        eval_results=results,
    ).to_yaml()


def _base_models(run: Run) -> list[str]:
    """Return the Hub ids of both encoders; a folder's name in metrics.json has no slash."""
    names = run.get("encoders", {}).values()  # runs of older versions lack the names
    bundled = BUNDLED_ENCODERS
    ids = [bundled[name].hub_id if name in bundled else name for name in names]
    return [x for x in dict.fromkeys(ids) if x.count("/") == 1 and not x.startswith(PREFIX)]


def _split_counts(counts: dict[str, Any]) -> str:
    return ", ".join(f"{split['present']} {name}" for name, split in counts["splits"].items())


def _encoder_note(run: Run) -> str:
    """Return a paragraph on the further data behind encoder and first weights, if there were any."""
    name = run.get("encoders", {}).get("text", "")  # runs of older versions lack the names
    encoder = BUNDLED_ENCODERS.get(name)
    notes = [f"Further data: {encoder.further_data}."] if encoder and encoder.further_data else []
    if start := run.get("started_from"):
        notes.append(f"The training started from the model {start}: what its card says holds here.")
    return "\n\n" + " ".join(notes) if notes else ""


def _spread(runs: Sequence[Run]) -> str:
    if len(runs) == 1:
        return f"One run with seed {runs[0]['seed']}; the spread over seeds is not known."
    seeds = ", ".join(str(run["seed"]) for run in runs)
    return (
        f"Mean and standard deviation of {len(runs)} runs, seeds {seeds}. This model is that of seed "
        f"{runs[0]['seed']}; everything below the table is about it."
    )


def _chosen(run: Run) -> str:
    """Return what was chosen on the validation posts, and how many steps the weights are a mean of."""
    steps = run.get("learning", {}).get("averaged_steps", 0)
    if not steps:
        chosen = _problem_text(run).chosen
        return f"Best epoch{chosen} chosen on the validation split."
    mean = f"The weights are the mean of those after each of the last {steps} steps."
    if run.get("problem_type") == Regression.name:
        return mean
    return f"{mean} Only the temperature was chosen on the validation split."


def _calibration(run: Run) -> str:
    calibration = run["calibration"]
    rows = {f"validation, {given}": row for given, row in calibration["inputs"].items()}
    if run["scored_split"] != "validation":
        rows[f"{run['scored_split']}, all posts"] = calibration["scored"]
    return "\n".join(f"| {posts} | {' | '.join(_errors(row))} |" for posts, row in rows.items())


def _errors(row: dict[str, float | None]) -> Iterable[str]:
    """Yield the temperature, ECE in percent and likelihood; "-" for a value that was not measured."""
    kinds = {"temperature": (1, 3)}
    kinds |= {f"ece_{when}": (100, 1) for when in (*WHENS, "by_chance")}
    kinds |= {f"nll_{when}": (1, 3) for when in WHENS}
    for name, (factor, digits) in kinds.items():
        value = row.get(name)
        yield "-" if value is None else f"{factor * value:.{digits}f}"


def _weights(run: Run) -> str:
    return "\n".join(
        f"| {name} | {' | '.join(f'{weight:.2f}' for weight in weights)} |"
        for name, weights in run["decision_weights"].items()
        if weights is not None
    )


def _robustness(run: Run) -> str:
    """Return the section on lost modalities; nothing for older runs, or without complete posts."""
    found = run.get("robustness", {})
    if not found.get("lost_modality"):
        return ""
    if not found["confidence_rises"]:
        text = ROBUSTNESS.partition(" NLL is")[0]
        return f"{text} Shares in percent.\n\n{robustness_table(found['lost_modality'])}\n"
    text, image = (f"{100 * found['confidence_rises'][name]:.1f}" for name in ("text", "image"))
    return Template(ROBUSTNESS).substitute(
        table=robustness_table(found["lost_modality"]), text=text, image=image
    )


def _risk(run: Run) -> str:
    """Return the section on risk by coverage and on label sets; nothing for older runs and scores."""
    found, split = run.get("robustness", {}), run["scored_split"]
    if not found.get("risk"):
        return ""
    section = Template(RISK).substitute(scored_split=split, risk=risk_table(found["risk"]))
    if rows := found.get("label_sets"):
        section += Template(LABEL_SETS).substitute(sets=label_set_table(rows))
    return section


def write_card(runs: Sequence[Run], output_dir: str | Path, model: str) -> None:
    """Write the card as README.md to the model's folder; arguments as of `fill_card`."""
    write_whole(fill_card(runs, model), Path(output_dir) / "README.md")
