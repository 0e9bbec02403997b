"""The posts of one run as a value: those to learn from, to choose on, and to score at the end."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from datasets import Dataset, DatasetDict, Image, concatenate_datasets

from datasets_scripts.intake import SCORE, SEVERAL, SINGLE
from datasets_scripts.loading import load_table
from datasets_scripts.post import CONTRADICTORY, REJECTED, Rejected, rejected_lines
from datasets_scripts.table import Table, label_names_of_feature, problem_type_of
from hybridsent.support.folders import write_whole
from hybridsent.training.arguments import DataArguments, HybridSentTrainingArguments
from modeling_hybridsent.inputs_hybridsent import DEFAULT_MAX_IMAGE_PIXELS

ROWS_AT_ONCE = 1000
SHOWN = 3  # rows in a message


@dataclass(frozen=True)
class ScoredSet:
    """Posts to score at the end of a run.

    Attributes:
        split: "test" or "validation".
        form: Form of the texts, such as "label words masked"; empty where the set has only one.
        posts: The posts.
    """

    split: str
    form: str
    posts: Dataset

    @property
    def name(self) -> str:
        """Name of the split, with the form if there are several."""
        return f"{self.split}, {self.form}" if self.form else self.split


@dataclass(frozen=True)
class RunPosts:
    """All posts of a run; images are not decoded here but in the collator, which bounds their size.

    Attributes:
        train: Posts to learn from.
        validation: Posts to choose the epoch and to calibrate on.
        scored: Posts that no choice was made on: first in the form of the texts that the model learns
            from, then the same posts in other forms.
        counts: What the loader counted.
    """

    train: Dataset
    validation: Dataset
    scored: tuple[ScoredSet, ...]
    counts: dict[str, Any]

    @property
    def label_names(self) -> list[str]:
        """Names of the labels by index."""
        return label_names_of_feature(self.train.features["label"])

    def problem(self) -> dict[str, Any]:
        """Return the problem type, and the unit of scores, as fields of a model's configuration."""
        kind = problem_type_of(self.train.features["label"])
        if kind == SINGLE:
            return {}
        if kind == SEVERAL:
            return {"problem_type": kind}
        known = [score for score in self.train["label"] if score is not None]
        spread = float(np.std(known)) or 1.0
        return {"problem_type": kind, "score_mean": float(np.mean(known)), "score_std": spread}

    def by_name(self) -> dict[str, Dataset]:
        """Return all posts by the name of their set."""
        scored = {each.name: each.posts for each in self.scored}
        return {"train": self.train, "validation": self.validation, **scored}

    def with_posts(self, named: Mapping[str, Dataset]) -> "RunPosts":
        """Return a copy with the posts of `by_name` replaced, such as by ones with more columns."""
        scored = tuple(replace(each, posts=named[each.name]) for each in self.scored)
        return RunPosts(named["train"], named["validation"], scored, self.counts)


def write_synthetic_posts(arguments: DataArguments) -> None:
    """Write the synthetic posts if the settings ask for that set and it is not there yet."""
    if arguments.dataset == "synthetic":
        from hybridsent.bundled.synthetic import write_posts  # draws, which other sets need not

        write_posts(arguments.folder)


def load_posts(arguments: DataArguments, max_image_pixels: int = DEFAULT_MAX_IMAGE_PIXELS) -> Table:
    """Load the set of posts that the settings name.

    Args:
        arguments: Settings of the data.
        max_image_pixels: A raw image with more pixels makes its row a bad one.

    Returns:
        The posts by split, with undecoded images, their counts and the rejected rows.

    Raises:
        ValueError: No `data_dir` for a set that needs one, or bad posts.
    """
    if arguments.dataset == "synthetic":
        table = load_table("posts", arguments.folder, max_image_pixels=max_image_pixels)
    else:
        options = arguments.reader_options()
        if arguments.protocol is not None:
            options["protocol"] = arguments.protocol
        options["max_image_pixels"] = max_image_pixels
        table = load_table(arguments.dataset, arguments.folder, arguments.on_bad_rows, **options)
    return table._replace(posts=table.posts.cast_column("image", Image(decode=False)))


def choose_posts(table: Table, arguments: DataArguments, mask: str | None) -> RunPosts:
    """Choose the posts of a run.

    Args:
        table: Result of `load_posts`.
        arguments: Settings of the data.
        mask: Token that replaces label words; None for the default.

    Returns:
        The training posts, with the contradictory ones where wanted and kept by the set; the
        validation posts; and in each form of their texts the test posts, or the validation posts if
        no test post has a label.

    Raises:
        ValueError: No post is left to learn from, or no labelled one to choose on.
    """
    _require_validation(table, arguments)
    forms = forms_of_texts(table, arguments, mask)
    trained = forms[0][1]
    split = _split_to_score(trained.posts)
    scored = tuple(ScoredSet(split, form, same.posts[split]) for form, same in forms)
    train = _training_posts(trained.posts, arguments)
    return RunPosts(train, trained.posts["validation"], scored, trained.counts)


def _require_validation(table: Table, arguments: DataArguments) -> None:
    posts = table.posts.get("validation")
    if posts is not None and any(label is not None for label in posts["label"]):
        return
    reasons = "".join(f"\n  {row}" for row in table.rejected[:SHOWN])
    what = "there are no validation posts" if not posts else "no validation post has a label"
    if reasons:
        what += f"; {len(table.rejected)} rows became no post, among them:{reasons}\nFix them"
    raise ValueError(
        f"{arguments.folder}: {what}. The best epoch and the temperatures are chosen on validation "
        "posts with labels. Add a validation.csv; or give one file with dozens of posts, which is "
        "then split (posts that share an image or a text stay together)."
    )


def describe_gaps(posts: RunPosts, arguments: HybridSentTrainingArguments) -> str:
    """Return lines on labels that cannot be learned or judged, empty if there are none.

    Args:
        posts: Posts of the run.
        arguments: Settings of the training.

    Raises:
        ValueError: There are too few training posts for a batch.
    """
    batch = arguments.train_batch_size * arguments.world_size
    least = batch if arguments.dataloader_drop_last else 1
    if len(posts.train) < least:
        raise ValueError(
            f"There are {len(posts.train)} training posts, and a step needs {least}. Add posts, raise "
            "--max_train_posts, or lower --per_device_train_batch_size."
        )
    lines = []
    for split, what in ((posts.train, "training"), (posts.validation, "validation")):
        found = split["label"]
        if problem_type_of(split.features["label"]) == SCORE:
            continue
        there = {x for label in found for x in (label if isinstance(label, list) else [label])}
        if lack := [name for i, name in enumerate(posts.label_names) if i not in there]:
            remedy = "Add posts with it, or remove the label from the other files."
            lines.append(f"Warning: no {what} post has the label {', '.join(lack)}. {remedy}")
    return "\n".join(lines)


def forms_of_texts(
    table: Table, arguments: DataArguments, mask: str | None
) -> list[tuple[str, Table]]:
    """Return a set in each form of its texts: the form to learn from first, with its name.

    Args:
        table: Result of `load_posts`.
        arguments: Settings of the data.
        mask: Token that replaces label words; None for the default.

    Returns:
        For TumEmo both forms, unless it was masked when it was prepared; other sets have one form,
        without name.
    """
    if arguments.dataset != "tumemo":
        return [("", table)]
    from datasets_scripts.published.text_forms import both_forms  # other sets do not need it

    return both_forms(table, arguments.mask_label_words, mask)


def _training_posts(splits: DatasetDict, arguments: DataArguments) -> Dataset:
    posts = splits["train"]
    if arguments.use_contradictory_posts and CONTRADICTORY in splits:
        posts = concatenate_datasets([posts, splits[CONTRADICTORY]])
    if arguments.max_train_posts is not None:
        posts = posts.select(range(min(arguments.max_train_posts, len(posts))))
    return posts


def _split_to_score(splits: Mapping[str, Dataset]) -> str:
    labels = splits["test"]["label"] if "test" in splits else []
    return "test" if any(label is not None for label in labels) else "validation"


def describe_counts(counts: dict[str, Any]) -> str:
    """Return in one line how many posts each split has, and what is missing.

    Args:
        counts: What the loader counted.

    Returns:
        For instance "3611 train, 450 validation, 0 of 450 test; 12 without image; 1 rejected (image
        cannot be read)".
    """
    splits = []
    for name, split in counts["splits"].items():
        gap = "" if split["present"] == split["wanted"] else f" of {split['wanted']}"
        splits.append(f"{split['present']}{gap} {name}")
    gaps = [
        f"{counts[f'{modality}_missing']} without {modality}"
        for modality in ("text", "image")
        if counts[f"{modality}_missing"]
    ]
    gaps += [f"{number} rejected ({why})" for why, number in counts["rejected"].items()]
    return "; ".join([", ".join(splits), *gaps])


def write_rejected(rejected: list[Rejected], output_dir: str) -> None:
    """Write the rows that became no post into the output folder; without any, remove the file."""
    file = Path(output_dir) / REJECTED
    if not rejected:
        file.unlink(missing_ok=True)
        return
    file.parent.mkdir(parents=True, exist_ok=True)
    write_whole(rejected_lines(rejected), file)


def has_modality(posts: Dataset, modality: str) -> np.ndarray:
    """Return which posts have a modality, without reading an image: bool (posts,).

    Args:
        posts: Rows.
        modality: "text" or "image".
    """
    column = posts.select_columns(modality).with_format("arrow")
    parts = [part[modality].is_valid().to_numpy() for part in column.iter(ROWS_AT_ONCE)]
    return np.concatenate(parts) if parts else np.zeros(0, dtype=bool)


def with_only(posts: Dataset, modality: str) -> Dataset:
    """Keep the posts that have a modality, and of them that modality alone.

    Args:
        posts: Rows with undecoded images.
        modality: "text" or "image".

    Returns:
        Rows without the other modality's column.
    """
    keep = has_modality(posts, modality).nonzero()[0]
    return posts.select(keep).remove_columns("image" if modality == "text" else "text")
