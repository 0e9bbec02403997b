"""Score a trained model on the posts of a set, whole and damaged."""

from dataclasses import replace
from typing import Any

from datasets_scripts.post_files import is_prepared
from hybridsent.bundled.models import resolve_model
from hybridsent.evaluation.final_scores import score_posts
from hybridsent.evaluation.noise import score_damaged
from hybridsent.evaluation.problem_scores import scores_of
from hybridsent.evaluation.report import (
    ABSENT,
    as_markdown,
    confusion_of,
    label_set_table,
    label_table,
    percent,
    risk_table,
    robustness_table,
    versions,
)
from hybridsent.evaluation.robustness import describe_robustness
from hybridsent.training.arguments import DataArguments, HybridSentTrainingArguments
from hybridsent.training.run_posts import (
    RunPosts,
    choose_posts,
    load_posts,
    write_synthetic_posts,
)
from hybridsent.training.trainer import HybridSentTrainer
from modeling_hybridsent import HybridSentForSequenceClassification, HybridSentProcessor
from modeling_hybridsent.problems_hybridsent import SingleLabel


def evaluate(
    name: str, data: DataArguments, arguments: HybridSentTrainingArguments
) -> dict[str, Any]:
    """Score a model.

    Args:
        name: Folder or Hub id of the model, or a bundled one.
        data: Which posts; scored are those that a training on them would score.
        arguments: Batch size and device.

    Returns:
        What metrics.json has by these names; `robustness` with `noise`, the rows of damaged posts.

    Raises:
        ValueError: The labels of the posts are not those of the model.
    """
    folder = resolve_model(name)
    processor = HybridSentProcessor.from_pretrained(folder)
    model = HybridSentForSequenceClassification.from_pretrained(folder)
    posts = posts_for(name, model, processor, data)
    scores = scores_of(model.config).of_logits
    trainer = HybridSentTrainer(
        scores=scores,
        model=model,
        args=arguments,
        eval_dataset=posts.validation,  # asked for by recipes that choose an epoch
        processing_class=processor,
    )
    scored = score_posts(trainer, *posts.scored)
    noise = score_damaged(trainer, posts.scored[0].posts, processor.max_image_pixels)
    return {
        "dataset": {
            "name": data.dataset,
            "protocol": posts.counts["protocol"],
            "counts": posts.counts,
        },
        "labels": posts.label_names,
        "scored_split": scored.split,
        "scores": scored.rows,
        "confusion": confusion_of(scored),
        "robustness": {**describe_robustness(scored, scores, model.config), "noise": noise},
        "versions": versions(),
    }


def posts_for(
    name: str,
    model: HybridSentForSequenceClassification,
    processor: HybridSentProcessor,
    data: DataArguments,
) -> RunPosts:
    """Load the posts that a training with these settings has, if a model can be judged on them.

    Args:
        name: What messages call the model.
        model: The model.
        processor: Its processor.
        data: Which posts; own posts are read by the problem type of the model, if by no other.

    Raises:
        ValueError: Labels or problem type of the posts are not those of the model.
    """
    write_synthetic_posts(data)
    if data.dataset == "posts" and not is_prepared(data.folder):
        options = {"problem_type": model.problem.name, **data.reader_options()}
        data = replace(data, dataset_options=options)
    table = load_posts(data, processor.max_image_pixels)
    posts = choose_posts(table, data, processor.tokenizer.mask_token)
    labels = list(model.config.id2label.values())
    if labels != posts.label_names:
        raise ValueError(
            f"{name} has the labels {labels}, the posts {posts.label_names}: it can only be scored on "
            "posts with its own labels."
        )
    wanted, found = model.problem.name, posts.problem().get("problem_type", SingleLabel.name)
    if wanted != found:
        raise ValueError(f"{name} is a model of {wanted}, the posts are of {found}.")
    return posts


def describe_evaluation(found: dict[str, Any]) -> str:
    """Return the result of `evaluate` as Markdown tables."""
    robustness, data = found["robustness"], found["dataset"]
    rises = [f"{percent(x)} % without {name}" for name, x in robustness["confidence_rises"].items()]
    own = [
        f"{percent(group['accuracy'])} of {group['posts']} ({name})"
        for name, group in robustness["own_labels"].items()
    ]
    has_labels = "accuracy" in found["scores"][-1]
    unit = "Percent" if has_labels else "Shares of posts in percent"
    parts = [
        f"{unit}, {found['scored_split']} split of {data['name']} ({data['protocol']}):",
        as_markdown(found["scores"]),
        label_table(found),
        robustness_table(robustness["lost_modality"] + robustness["noise"]),
        f"Posts whose confidence rises: {', '.join(rises) or ABSENT}" if has_labels else "",
        risk_table(robustness["risk"]),
        label_set_table(robustness["label_sets"]),
        f"Right, by whose unimodal label is the post's: {', '.join(own)}" if own else "",
    ]
    return "\n\n".join(filter(None, parts))
