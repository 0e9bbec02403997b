"""The library's Trainer, pickle, peft and threads take the model as they take any classifier."""

import copy
import multiprocessing
import pickle
import warnings
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields

import cloudpickle
import dill
import numpy as np
import pytest
import torch
import transformers as tf
from datasets.fingerprint import Hasher
from tiny_models import batch, save_tiny, tiny_model, tiny_processor

from modeling_hybridsent import HybridSentForSequenceClassification, HybridSentOutput


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("saved")
    save_tiny(folder)
    return folder


@torch.no_grad()
def logits(model):
    return model.eval()(**batch()).logits


def guides_metrics(prediction):
    predictions, labels = prediction
    return {"accuracy": float((np.argmax(predictions, axis=-1) == labels).mean())}


@pytest.mark.parametrize("count", [2, 3, 7])
def test_the_librarys_trainer_with_the_metrics_of_its_guide(count, tmp_path):
    model = tiny_model(id2label={i: f"label {i}" for i in range(count)}, label2id=None)
    inputs = batch(8)
    decisions = logits_of(model, inputs).argmax(dim=-1)
    rows = [{k: v[i] for k, v in inputs.items()} | {"labels": decisions[i]} for i in range(8)]
    arguments = tf.TrainingArguments(
        str(tmp_path),
        eval_strategy="steps",
        save_strategy="steps",
        eval_steps=1,
        save_steps=1,
        max_steps=2,
        learning_rate=0.0,
        load_best_model_at_end=True,
        metric_for_best_model="accuracy",
        report_to=[],
        use_cpu=True,
        disable_tqdm=True,
    )
    trainer = tf.Trainer(
        model, arguments, train_dataset=rows, eval_dataset=rows, compute_metrics=guides_metrics
    )
    trainer.train()
    found = trainer.evaluate()
    assert found["eval_accuracy"] == 1.0
    assert found["eval_loss"] > 0
    assert trainer.predict(rows).predictions.shape == (8, count)


@torch.no_grad()
def logits_of(model, inputs):
    return model.eval()(**inputs).logits


def test_a_tuple_begins_with_loss_and_logits():
    names = [field.name for field in fields(HybridSentOutput)]
    assert names[:2] == ["loss", "logits"]
    out = tiny_model()(**batch(), labels=torch.tensor([0, 1, 2, 0]), return_dict=False)
    assert out[0].dim() == 0
    assert out[1].shape == (4, 3)


COPIES = {
    "deepcopy": copy.deepcopy,
    "copy": copy.copy,
    "pickle": lambda x: pickle.loads(pickle.dumps(x)),
    "cloudpickle": lambda x: pickle.loads(cloudpickle.dumps(x)),
    "dill": lambda x: dill.loads(dill.dumps(x)),
}


@pytest.mark.parametrize("kind", COPIES)
@pytest.mark.parametrize("vision", ["vit", "swin"])
def test_copies_answer_alike(kind, vision):
    model = tiny_model(vision=vision)
    model.enable_input_require_grads()
    again = COPIES[kind](model)
    assert torch.equal(logits(again), logits(model))
    with torch.no_grad():
        states = again(**batch(), output_hidden_states=True).hidden_states
    assert len(states) == 3


def test_torch_save(tmp_path):
    model = tiny_model()
    torch.save(model, tmp_path / "model.pt")
    assert torch.equal(logits(torch.load(tmp_path / "model.pt", weights_only=False)), logits(model))


def test_another_process_and_the_fingerprint_of_a_pipeline():
    model = tiny_model()
    pipe = tf.pipeline("image-text-sentiment", model=model, processor=tiny_processor())
    assert Hasher.hash(pipe) == Hasher.hash(pipe)
    assert COPIES["pickle"](pipe)({"text": "sun"}) == pipe({"text": "sun"})
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        torch.testing.assert_close(pool.apply(logits, (model,)), logits(model), atol=1e-6, rtol=0)


def test_all_linear_lora_is_saved_with_its_heads(folder, tmp_path):
    peft = pytest.importorskip("peft")
    load = HybridSentForSequenceClassification.from_pretrained
    config = peft.LoraConfig(r=2, target_modules="all-linear", task_type="SEQ_CLS")
    model = peft.get_peft_model(load(folder), config)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.05 * parameter.requires_grad
    model.save_pretrained(tmp_path)
    again = peft.PeftModel.from_pretrained(load(folder), tmp_path)
    assert torch.equal(logits(again), logits(model))
    merged = tf.pipeline(
        "image-text-sentiment", model=again.merge_and_unload(), processor=tiny_processor()
    )
    assert merged({"text": "sun"})["label"]


def test_dtype_of_the_auto_classes(folder, caplog):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        config = tf.AutoConfig.from_pretrained(folder, dtype="auto")
        tf.pipeline("image-text-sentiment", model=str(folder), trust_remote_code=True)
    assert config.dtype == torch.float32
    assert "not supported" not in caplog.text
    model = tf.AutoModel.from_pretrained(folder, dtype={"": torch.bfloat16})
    assert model.dtype == torch.bfloat16


@pytest.mark.parametrize("load", [tf.AutoConfig, tf.AutoModel, HybridSentForSequenceClassification])
def test_a_bad_override_is_blamed_and_not_the_file(load, folder):
    with pytest.raises(ValueError, match="temperature=0 cannot be used") as caught:
        load.from_pretrained(folder, temperature=0)
    assert str(folder) not in str(caught.value)


def test_threads_with_different_lengths_do_not_mix():
    processor = tiny_processor()

    def widths(length):
        shapes = {
            processor(text=["sun " * 30], max_length=length)["input_ids"].shape[1]
            for _ in range(60)
        }
        return length, shapes

    with ThreadPoolExecutor(4) as pool:
        for length, shapes in pool.map(widths, [4, 8, 12, 16]):
            assert shapes == {length}
