"""The demo over HTTP, with gradio's own client, on a saved tiny model."""

import sys
from pathlib import Path

import pytest
import torch
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from tiny_models import picture, save_tiny

sys.path.append(str(Path(__file__).parents[2] / "space"))
from app import build_demo


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    model, processor = save_tiny(folder)
    demo = build_demo(str(folder))
    _, url, _ = demo.launch(prevent_thread_lock=True, quiet=True)
    yield Client(url, verbose=False), model, processor
    demo.close()


def test_answer_equals_a_direct_call(served, tmp_path):
    client, model, processor = served
    picture().save(tmp_path / "x.png")
    label, branches = client.predict(
        "a happy day", handle_file(tmp_path / "x.png"), api_name="/predict"
    )
    with torch.no_grad():
        expected = model(**processor(text=["a happy day"], images=[picture()]))
    best = int(expected.logits.argmax())
    assert label["label"] == model.config.id2label[best]
    assert label["confidences"][0]["confidence"] == pytest.approx(
        float(expected.logits.exp().max()), abs=1e-4
    )
    weights = {row[0]: row[1] for row in branches["data"]}
    assert weights == pytest.approx(
        dict(zip(("text", "image", "fusion"), expected.decision_weights[0].tolist(), strict=True)),
        abs=1e-3,
    )


def test_text_alone_is_decided_by_the_text(served):
    client, *_ = served
    _, branches = client.predict("a sad day", None, api_name="/predict")
    assert [row[:2] for row in branches["data"]] == [["text", 1.0]]


def test_empty_form_says_what_to_do(served):
    client, *_ = served
    with pytest.raises(AppError, match="text, a picture or both"):
        client.predict(" ", None, api_name="/predict")
