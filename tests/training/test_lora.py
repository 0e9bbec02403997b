"""Low-rank factors are trained in place of the encoders' weights, and merged when training ends."""

import re
import shutil

import pytest
import torch
from safetensors.torch import load_file
from tiny_models import tiny_model
from tiny_trainer import tiny_trainer

from hybridsent.training.arguments import HybridSentTrainingArguments
from hybridsent.training.lora import LowRankFactors
from modeling_hybridsent import HybridSentForSequenceClassification

RANK = 2
SETTINGS = {
    "max_steps": 3,
    "save_steps": 1,
    "vision_encoder_learning_rate": 0.001,
    "vision_encoder_trained_layers": 1,
    "text_encoder_lora_rank": RANK,
    "vision_encoder_lora_rank": RANK,
}


@pytest.fixture(scope="module")
def whole(posts, tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    trainer = tiny_trainer(posts, folder, **SETTINGS)
    trainer.train()
    trainer.save_model()
    return trainer, folder


def test_the_saved_model_is_an_ordinary_one_that_differs_by_low_ranks(whole):
    trainer, folder = whole
    before, after = tiny_model().state_dict(), load_file(folder / "model.safetensors")
    assert after.keys() == before.keys()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    encoders = {name for name in changed if "_model." in name}
    for name in encoders:
        difference = torch.linalg.svdvals((after[name] - before[name]).flatten(1).double())
        assert difference[0] > 0
        assert (difference[RANK:] < 1e-5 * difference[0]).all(), name
    assert any("text_model.encoder.layer.0" in name for name in encoders)
    assert any("vision_model" in name and ".1." in name for name in encoders)
    assert not any("vision_model" in name and ".0." in name for name in encoders)
    assert changed - encoders  # the fusion, all of it
    loaded = HybridSentForSequenceClassification.from_pretrained(folder)
    assert loaded.state_dict().keys() == trainer.model.state_dict().keys()


def test_the_merged_model_answers_as_the_trained_one(posts, tmp_path, monkeypatch):
    trainer = tiny_trainer(posts, tmp_path, **SETTINGS)
    merge, before = LowRankFactors.merge, {}

    def score_then_merge(factors):
        before.update(trainer.predict_posts(posts["validation"])[0])
        merge(factors)

    monkeypatch.setattr(LowRankFactors, "merge", score_then_merge)
    trainer.train()
    after, _ = trainer.predict_posts(posts["validation"])
    assert before
    for name, values in before.items():
        assert abs(values - after[name]).max() < 1e-5, name


def test_a_model_that_is_only_scored_has_no_factors(posts, tmp_path):
    trainer = tiny_trainer(posts, tmp_path, **SETTINGS)
    trainer.predict_posts(posts["validation"])
    assert trainer.model.state_dict().keys() == tiny_model().state_dict().keys()


def test_resumed_it_ends_with_the_very_weights(whole, posts, tmp_path):
    uninterrupted, folder = whole
    shutil.copytree(folder / "checkpoint-1", tmp_path / "checkpoint-1")
    trainer = tiny_trainer(posts, tmp_path, **SETTINGS)
    trainer.train(resume_from_checkpoint=str(tmp_path / "checkpoint-1"))
    found = trainer.model.state_dict()
    for name, expected in uninterrupted.model.state_dict().items():
        assert torch.equal(found[name], expected), name


def test_convolutions_have_factors_too(posts, tmp_path):
    """Of a network with grouped convolutions, which keep their weights."""
    arguments = HybridSentTrainingArguments(str(tmp_path), vision_encoder_lora_rank=RANK)
    model = tiny_model(vision="timm")
    factors = LowRankFactors(model, arguments)
    vision = model.hybridsent.vision_model
    trained = {name for name, p in vision.named_parameters() if p.requires_grad}
    assert any("conv_pw" in name for name in trained)
    assert all("lora_" in name and "conv_dw" not in name for name in trained)
    assert all(p.requires_grad for p in model.hybridsent.text_model.parameters())
    factors.merge()
    assert model.state_dict().keys() == tiny_model(vision="timm").state_dict().keys()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"text_encoder_lora_rank": 0}, "--text_encoder_lora_rank 0: give 1 or more"),
        (
            {"vision_encoder_lora_rank": 4, "vision_encoder_learning_rate": 0},
            "--vision_encoder_lora_rank 4: --vision_encoder_learning_rate 0 freezes it",
        ),
    ],
)
def test_impossible_ranks_are_named(settings, message, tmp_path):
    with pytest.raises(ValueError, match=re.escape(message)):
        HybridSentTrainingArguments(str(tmp_path), **settings)


def test_divided_weights_are_refused(monkeypatch, tmp_path):
    monkeypatch.setenv("ACCELERATE_USE_FSDP", "true")
    with pytest.raises(ValueError, match=r"cannot be merged into weights that DeepSpeed or FSDP"):
        HybridSentTrainingArguments(str(tmp_path), text_encoder_lora_rank=2)
