"""What save_pretrained writes loads anywhere: with this project absent, by every Auto class."""

import json

import pytest
import torch
from isolated_python import run_isolated
from tiny_models import picture, probabilities_of, save_tiny, tiny_processor

TEXTS = ["a happy day", "RT @cat: rain #very_bad http://t.co/a", None]

SCORE = """
import json
from PIL import Image
from transformers import (
    AutoConfig, AutoModel, AutoModelForSequenceClassification, AutoProcessor, pipeline
)
trusted = {"trust_remote_code": True}
config = AutoConfig.from_pretrained(FOLDER, **trusted)
assert config.model_type == "hybridsent" and config.text_config.model_type == "bert"
processor = AutoProcessor.from_pretrained(FOLDER, **trusted)
assert processor.clean_text
pictures = [Image.open("0.png"), None, Image.open("1.png")]
inputs = processor(text=TEXTS, images=pictures)
answers = {}
for auto in (AutoModel, AutoModelForSequenceClassification):
    model = auto.from_pretrained(FOLDER, **trusted)
    assert type(model).__name__ == "HybridSentForSequenceClassification"
    answers[auto.__name__] = model(**inputs).logits.tolist()
pipe = pipeline("image-text-sentiment", model=FOLDER, **trusted)
posts = [{"text": t, "image": i} for t, i in zip(TEXTS, pictures)]
answers["pipeline"] = pipe(posts, top_k=None, batch_size=2)
model.save_pretrained("again")
processor.save_pretrained("again")
answers["again"] = AutoModel.from_pretrained("again", **trusted)(**inputs).logits.tolist()
print(json.dumps(answers))
"""


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    folder = tmp_path_factory.mktemp("published")
    model, _ = save_tiny(folder)
    tiny_processor(clean_text=True).save_pretrained(folder)
    return folder, model


def test_all_code_lies_beside_the_weights(published):
    names = {file.name for file in published[0].iterdir()}
    assert {
        "attention_hybridsent.py",
        "birau_hybridsent.py",
        "configuration_hybridsent.py",
        "encoders_hybridsent.py",
        "fusion_hybridsent.py",
        "modeling_hybridsent.py",
        "pipeline_hybridsent.py",
        "pretrained_hybridsent.py",
        "processing_hybridsent.py",
        "config.json",
        "model.safetensors",
        "processor_config.json",
        "tokenizer.json",
    } <= names
    assert not [name for name in names if name.endswith((".bin", ".pt", ".pkl", ".pth"))]


def test_it_scores_the_same_where_the_project_is_not_installed(published, tmp_path):
    folder, model = published
    pictures = [picture(0), None, picture(1)]
    for i in (0, 1):
        picture(i).save(tmp_path / f"{i}.png")
    with torch.no_grad():
        cleaned = [TEXTS[0], "rain very bad", None]
        expected = model(**tiny_processor()(text=cleaned, images=pictures)).logits
    code = f"FOLDER, TEXTS = {str(folder)!r}, {TEXTS!r}\n" + SCORE
    result = run_isolated(code, tmp_path)
    assert result.returncode == 0, result.stderr
    answers = json.loads(result.stdout.splitlines()[-1])
    for name in ("AutoModel", "AutoModelForSequenceClassification", "again"):
        torch.testing.assert_close(torch.tensor(answers[name]), expected, atol=1e-5, rtol=0)
    got = probabilities_of(answers["pipeline"], model.config.id2label)
    torch.testing.assert_close(got, expected.softmax(dim=-1), atol=1e-5, rtol=0)
