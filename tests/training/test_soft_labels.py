"""Soft labels: answers of a regression to posts that it has not seen, as a share of the loss."""

import numpy as np
import pytest
import torch
from tiny_models import LABELS, save_tiny_encoders
from tiny_runs import run_here, write_recipe
from tiny_trainer import tiny_posts, tiny_trainer

from hybridsent.regression.answers import Inputs
from hybridsent.regression.soft_labels import add_soft_labels, answer_each, with_soft_labels
from hybridsent.training.arguments import HybridSentTrainingArguments, ModelArguments

PARTS = ("decision", "text", "image", "fusion")


COPIES = 6  # the first posts, whose label nothing tells but a mark of their own


def answers(order, labels, groups):
    """Answer 60 posts, of which some features tell the label; given in an order, returned by number."""
    told = np.random.default_rng(0).normal(0, 0.5, (60, 3)) + np.eye(3)[np.arange(60) % 3]
    marked = (np.arange(60) < COPIES)[:, None]
    found = answer_each(
        Inputs({"image_x": told[order], "text_x": marked[order]}, [f"post {i}" for i in order]),
        [f"{i:02}" for i in order],
        labels[order],
        groups[order],
        3,
    )
    return found[np.argsort(order)]


def test_a_post_is_answered_by_regressions_that_saw_neither_it_nor_its_copies():
    labels, alone = np.arange(60) % 3, np.arange(60)
    labels[:COPIES] = 2
    together = np.maximum(alone, COPIES)
    found = answers(alone, labels, together)
    np.testing.assert_allclose(found.sum(axis=1), 1)
    assert (found.argmax(axis=1) == labels)[COPIES:].mean() > 0.5
    leaking = answers(alone, labels, alone)
    assert found[:COPIES, 2].mean() < 0.4 < leaking[:COPIES, 2].mean()
    order = np.random.default_rng(1).permutation(60)
    np.testing.assert_allclose(answers(order, labels, together), found, atol=1e-3)


def test_posts_that_cannot_be_cut_in_two_are_refused():
    many, one = np.arange(60), np.zeros(60, int)
    for labels, groups in ((one, many), (many % 3, one)):
        with pytest.raises(ValueError, match=r"two labels.+leave --soft_label_weight out"):
            answers(many, labels, groups)


@pytest.fixture(scope="module")
def posts(tmp_path_factory):
    found = tiny_posts(tmp_path_factory.mktemp("posts") / "posts")
    soft = np.random.default_rng(0).dirichlet(np.ones(len(LABELS)), len(found["train"]) - 1)
    labels = [None, *found["train"]["label"][1:]]  # one post has neither
    train = found["train"].remove_columns("label").add_column("label", labels)
    found["train"] = add_soft_labels(train, np.arange(1, len(train)), soft)
    return found


def trained_losses(posts, folder, **changed):
    trainer = tiny_trainer(posts, folder, logging_steps=1, learning_rate=0, **changed)
    trainer.train()
    return [line for line in trainer.state.log_history if "loss" in line]


@pytest.mark.parametrize("weight", [0.25, 1.0])
def test_the_loss_is_mixed_in_every_part(posts, tmp_path, weight):
    trainer = tiny_trainer(posts, tmp_path, soft_label_weight=weight)
    batch = trainer.data_collator([posts["train"][i] for i in range(4)])
    soft = batch["soft_labels"]
    assert soft[0].isnan().all()
    with torch.no_grad():
        loss, outputs = trainer.compute_loss(trainer.model.eval(), batch, return_outputs=True)
        hard = trainer.model(**{k: v for k, v in batch.items() if k != "post_ids"})
    present = torch.stack([batch["has_text"], batch["has_image"]]).bool()
    judged = dict(zip(PARTS, (present.any(0), *present, present.all(0)), strict=True))
    total = 0.0
    for name in PARTS:
        said = hard["logits" if name == "decision" else f"{name}_logits"].log_softmax(-1)
        rows = [i for i in range(1, 4) if judged[name][i]]
        of_soft = -(soft[rows] * said[rows]).sum() / max(len(rows), 1)
        expected = (1 - weight) * hard.losses[name] + weight * of_soft
        torch.testing.assert_close(outputs["losses"][name], expected)
        total += trainer.model.config.loss_weights[name] * expected
    torch.testing.assert_close(loss, total)


def test_the_loss_of_a_step_does_not_depend_on_how_it_is_split(posts, tmp_path):
    whole, split = (
        trained_losses(
            posts,
            tmp_path / name,
            soft_label_weight=0.5,
            per_device_train_batch_size=size,
            gradient_accumulation_steps=4 // size,
            text_encoder_learning_rate=0,
        )
        for name, size in (("whole", 4), ("split", 1))
    )
    for one, other in zip(whole, split, strict=True):
        for name in ("loss", *(f"loss_{part}" for part in PARTS)):
            assert one[name] == pytest.approx(other[name], rel=2e-2), name


@pytest.mark.parametrize(
    "given",
    [{"soft_label_weight": 1.5}, {"soft_label_weight": 0.5, "label_smoothing_factor": 0.1}],
)
def test_shares_that_make_no_sense_are_refused(given, tmp_path):
    with pytest.raises(ValueError, match="--soft_label_weight"):
        HybridSentTrainingArguments(str(tmp_path), **given)


@pytest.mark.filterwarnings("error::RuntimeWarning")
@pytest.mark.parametrize("missing", ["text", "image"])
def test_posts_without_one_modality_get_soft_labels(tmp_path, missing):
    save_tiny_encoders(tmp_path)
    posts = tiny_posts(tmp_path / "posts")["train"]
    posts = posts.remove_columns(missing).add_column(missing, [None] * len(posts))
    posts = posts.filter(lambda post: bool(post["text"] or post["image"]))
    models = ModelArguments(str(tmp_path / "text"), str(tmp_path / "vision"))
    training = HybridSentTrainingArguments(str(tmp_path), cache_folder=str(tmp_path / "kept"))
    found = with_soft_labels(posts, list(LABELS.values()), models, training)
    np.testing.assert_allclose(np.sum(found["soft_label"], axis=1), 1)


def test_a_run_keeps_what_its_regression_read(tmp_path):
    recipe = write_recipe(tmp_path, soft_label_weight=0.5, cache_folder=str(tmp_path / "kept"))
    run_here(str(recipe), "--output_dir", str(tmp_path / "out"), "--max_steps", "1")
    assert len(list((tmp_path / "kept").glob("frozen-*"))) == 2  # of texts and of images
    page = (tmp_path / "out" / "report" / "index.html").read_text()
    assert "soft_label_weight" in page
