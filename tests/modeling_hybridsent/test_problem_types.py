"""Several labels a post, and a score: the model as users of transformers expect it."""

import warnings

import pytest
import torch
from huggingface_hub.errors import StrictDataclassError
from tiny_models import batch, tiny_config, tiny_model
from torch.nn import functional
from transformers import AutoModelForSequenceClassification, Trainer, TrainingArguments

from modeling_hybridsent import HybridSentForSequenceClassification

NAMES = {
    "multi_label_classification": {0: "joy", 1: "fear", 2: "anger"},
    "regression": {0: "score"},
}
MULTI, SCORE = NAMES
PROBLEMS = {
    MULTI: {},
    SCORE: {"score_mean": 40.0, "score_std": 12.0},
}
GOLD = {
    MULTI: torch.tensor([[0.0, 1, 1], [0, 0, 0], [1, 0, 0], [1, 1, 1]]),
    SCORE: torch.tensor([30.0, 55.5, 41.0, 39.0]),
}


def model_of(problem, **settings):
    names = NAMES[problem]
    settings = {"problem_type": problem, "id2label": names, **PROBLEMS[problem], **settings}
    model = tiny_model(**settings, label2id={name: i for i, name in names.items()})
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.2 * torch.randn(parameter.shape, generator=generator)
    return model


@torch.no_grad()
def run(model, inputs, **labels):
    return model.eval()(**inputs, **labels)


def gaps():
    """Posts of which the first lacks its text, the second its image."""
    inputs = batch()
    inputs["has_text"][0] = inputs["has_image"][1] = False
    return inputs


def mixed_by_hand(outputs, link):
    """The weighted sum of what the branches say, with logits of branches as `link` reads them."""
    branches = [link(outputs[f"{name}_logits"]) for name in ("text", "image", "fusion")]
    return (outputs.decision_weights[..., None] * torch.stack(branches, dim=1)).sum(dim=1)


@pytest.mark.parametrize(
    ("title", "count", "dtype"),
    [(MULTI, 2, torch.float), ("single_label_classification", 2, torch.long),
     (SCORE, 1, torch.float)],
)  # fmt: skip
def test_the_librarys_common_test_of_problem_types(title, count, dtype):
    """The steps of `ModelTesterMixin.test_problem_types`, over a configuration that is changed."""
    config = tiny_config()
    config.problem_type, config.num_labels = title, count
    model = HybridSentForSequenceClassification(config).train()
    labels = torch.zeros(4, dtype=dtype)
    if title == MULTI:
        labels = labels.unsqueeze(1).repeat(1, count)
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message="Using a target size that is different")
        loss = model(**batch(), labels=labels).loss
    loss.backward()
    assert torch.isfinite(loss)
    without = {name for name, p in model.named_parameters() if p.requires_grad and p.grad is None}
    assert not without


def test_the_decision_mixes_the_probability_of_each_label():
    outputs = run(model_of(MULTI), gaps())
    expected = mixed_by_hand(outputs, torch.sigmoid)
    torch.testing.assert_close(outputs.logits.sigmoid(), expected)
    assert expected.std(dim=0).max() > 0.01
    cooler = run(model_of(MULTI, temperature=2.0, image_only_temperature=4.0), gaps())
    divisors = torch.tensor([4.0, 1, 2, 2])[:, None]
    torch.testing.assert_close(cooler.logits, outputs.logits / divisors)


def test_sure_branches_leave_no_infinity():
    model = model_of(MULTI)
    sure = torch.tensor([[[500.0, -500, 0]] * 3] * 4)
    embeds, present = torch.zeros(4, 3, 16), torch.ones(4, 3, dtype=torch.bool)
    logits, _ = model.decision_fusion(embeds, sure, present)
    torch.testing.assert_close(logits, sure[:, 0])


def test_the_score_is_the_weighted_mean_of_the_branches():
    outputs = run(model_of(SCORE), gaps())
    torch.testing.assert_close(outputs.logits, mixed_by_hand(outputs, lambda logits: logits))
    assert outputs.logits.shape == (4, 1)
    assert 10 < outputs.logits.mean() < 70  # in the unit of the labels


@pytest.mark.parametrize("problem", NAMES)
def test_a_missing_modality_weighs_nothing_and_leaves_no_trace(problem):
    model, inputs = model_of(problem), gaps()
    expected = run(model, inputs)
    assert expected.decision_weights[:2].tolist() == [[0, 1, 0], [1, 0, 0]]
    inputs["pixel_values"][1] = float("nan")
    inputs["input_ids"][0] = 7
    assert torch.equal(run(model, inputs).logits, expected.logits)


def test_losses_are_those_of_torch():
    inputs = batch()
    for problem, loss_of in ((MULTI, functional.binary_cross_entropy_with_logits),
                             (SCORE, functional.mse_loss)):  # fmt: skip
        model, gold = model_of(problem, score_mean=0.0, score_std=1.0), GOLD[problem]
        outputs = run(model, inputs, labels=gold)
        shaped = gold if problem == MULTI else gold[:, None]
        for part in ("decision", "text", "image", "fusion"):
            logits = outputs["logits" if part == "decision" else f"{part}_logits"]
            torch.testing.assert_close(outputs.losses[part], loss_of(logits, shaped))


@pytest.mark.parametrize("problem", NAMES)
def test_unknown_and_unimodal_labels(problem):
    """Posts without label count nowhere, and a branch learns nothing of a modality that is missing."""
    model, inputs, gold = (
        model_of(problem, own_label_loss_weight=1.0),
        gaps(),
        GOLD[problem].clone(),
    )
    unknown = -100.0 if problem == MULTI else float("nan")
    gold[3] = unknown
    losses = run(model, inputs, labels=gold, text_labels=gold).losses
    kept = {name: tensor[:3] for name, tensor in inputs.items()}
    expected = run(model, kept, labels=gold[:3], text_labels=gold[:3]).losses
    torch.testing.assert_close(losses, expected)
    assert losses["own_text"] > 0
    assert losses["own_image"] == 0
    text = run(model, {k: v[1:3] for k, v in inputs.items()}, labels=gold[1:3]).losses["text"]
    torch.testing.assert_close(losses["text"], text)
    nothing = torch.full_like(gold, unknown)
    assert not any(run(model, inputs, labels=nothing).losses.values())


@pytest.mark.parametrize("problem", NAMES)
def test_labels_of_another_problem_are_a_named_error(problem):
    with pytest.raises(ValueError, match="Labels must be one"):
        model_of(problem)(**batch(), labels=torch.zeros(4, 2))
    with pytest.raises(ValueError, match=f'set problem_type="{MULTI}"'):
        tiny_model()(**batch(), labels=torch.zeros(4, 3))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"problem_type": "ranking"}, "problem_type"),
        ({"problem_type": SCORE}, "num_labels is 3"),
        ({"label_thresholds": [0.5] * 3}, "label_thresholds"),
        ({"problem_type": MULTI, "label_thresholds": [0.5]}, "each of 3 labels"),
        ({"problem_type": MULTI, "label_thresholds": [0.5, 0.5, 1.0]}, "label_thresholds"),
        ({"score_std": 0}, "score_std"),
    ],
)
def test_settings_that_do_not_go_together(settings, message):
    with pytest.raises((StrictDataclassError, ValueError), match=message):
        tiny_config(**settings)


@pytest.mark.parametrize("problem", NAMES)
def test_saved_loaded_and_trained_by_the_librarys_trainer(problem, tmp_path):
    model, gold = model_of(problem), GOLD[problem]
    expected = run(model, batch()).logits
    model.save_pretrained(tmp_path)
    loaded = AutoModelForSequenceClassification.from_pretrained(tmp_path)
    assert loaded.config.problem_type == problem
    assert torch.equal(run(loaded, batch()).logits, expected)
    rows = [{name: x[i] for name, x in batch().items()} | {"labels": gold[i]} for i in range(4)]
    arguments = TrainingArguments(str(tmp_path), num_train_epochs=40, learning_rate=1e-2,
                                  use_cpu=True, disable_tqdm=True)  # fmt: skip
    trainer = Trainer(loaded, arguments, train_dataset=rows, eval_dataset=rows)
    before = trainer.evaluate()["eval_loss"]
    trainer.train()
    assert trainer.evaluate()["eval_loss"] < before / 2
