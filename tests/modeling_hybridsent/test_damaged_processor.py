"""A damaged processor file is one error that names it, from a folder and from the Hub's cache."""

import json
import shutil

import pytest
import transformers as tf
from isolated_python import run_isolated
from tiny_models import save_tiny, tiny_processor

from modeling_hybridsent import HybridSentProcessor

PROCESSOR, PICTURES = "processor_config.json", "preprocessor_config.json"
TOKENIZER, SETTINGS = "tokenizer.json", "tokenizer_config.json"
REPO, COMMIT = "tester/post", "0" * 40

BREAKAGES = {
    "no JSON": lambda content: b"{nope",
    "empty": lambda content: b"",
    "truncated": lambda content: content[: len(content) // 2],
    "binary": lambda content: bytes(range(128, 256)),
    "a list": lambda content: b"[1]",
}
NONSENSE = [
    (PROCESSOR, {"max_length": "many"}),
    (PROCESSOR, {"max_length": 0}),
    (PROCESSOR, {"max_image_pixels": -1}),
    (PROCESSOR, {"clean_text": "yes"}),
    (PROCESSOR, {"clean_text": 1}),
    (PROCESSOR, {"image_processor": "none"}),
    (PROCESSOR, {"image_processor": {"image_processor_type": "Nope"}}),
    (PROCESSOR, {"image_processor": {"size": "big"}}),
    (PROCESSOR, {"image_processor": {"image_mean": "red"}}),
    (PROCESSOR, {"image_processor": {"image_std": [0, 0, 0]}}),
    (PROCESSOR, {"image_processor": {"resample": 99}}),
    (TOKENIZER, {"model": {"type": "Nope"}}),
    (SETTINGS, {"tokenizer_class": 3}),
    (SETTINGS, {"pad_token": 17}),
    (SETTINGS, {"pad_token": None}),
    (SETTINGS, {"padding_side": "up"}),
]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    save_tiny(folder)
    return folder


@pytest.fixture
def folder(whole, tmp_path):
    return shutil.copytree(whole, tmp_path / "posts")


def change(file, values):
    """Put values into a JSON file, into the image processor's settings rather than in their place."""
    content = json.loads(file.read_text())
    for name, value in values.items():
        is_part = isinstance(value, dict) and name == "image_processor"
        content[name] = {**content[name], **value} if is_part else value
    file.write_text(json.dumps(content))


def in_cache(folder, hub):
    """Lay a folder into a cache of the Hub, as if it had been downloaded; returns its new place."""
    repo = hub / f"models--{REPO.replace('/', '--')}"
    (repo / "refs").mkdir(parents=True)
    (repo / "refs" / "main").write_text(COMMIT)
    return shutil.copytree(folder, repo / "snapshots" / COMMIT)


def failure(name, **arguments):
    with pytest.raises((OSError, ValueError)) as caught:
        HybridSentProcessor.from_pretrained(name, **arguments)
    assert type(caught.value) in (OSError, ValueError)
    return str(caught.value)


def test_a_whole_folder_loads(folder, tmp_path):
    assert HybridSentProcessor.from_pretrained(folder).max_length == 128
    in_cache(folder, tmp_path / "hub")
    assert HybridSentProcessor.from_pretrained(REPO, cache_dir=tmp_path / "hub").max_length == 128


@pytest.mark.parametrize("file", [PROCESSOR, TOKENIZER, SETTINGS])
def test_missing_file(folder, file):
    (folder / file).unlink()
    assert f"{folder} has no {file}. Save it again" in failure(folder)


@pytest.mark.parametrize("breakage", BREAKAGES)
@pytest.mark.parametrize("file", [PROCESSOR, PICTURES, TOKENIZER, SETTINGS])
def test_broken_file(folder, file, breakage):
    shutil.copyfile(folder / (PROCESSOR if file == PICTURES else file), folder / "x")
    (folder / file).write_bytes(BREAKAGES[breakage]((folder / "x").read_bytes()))
    message = failure(folder)
    assert message.startswith(f"{folder / file} is damaged (")
    assert "Save it again" in message


@pytest.mark.parametrize(("file", "values"), NONSENSE, ids=str)
def test_nonsense_value(folder, file, values):
    change(folder / file, values)
    message = failure(folder)
    assert message.startswith(f"{folder / file} is invalid (")
    assert "correct it" in message


def test_no_image_processor_in_either_file(folder):
    content = json.loads((folder / PROCESSOR).read_text())
    pictures = content.pop("image_processor")
    (folder / PROCESSOR).write_text(json.dumps(content))
    assert f"{folder / PROCESSOR} is invalid" in failure(folder)
    (folder / PICTURES).write_text(json.dumps({**pictures, "size": "big"}))
    assert f"{folder / PICTURES} is invalid" in failure(folder)
    (folder / PICTURES).write_text(json.dumps(pictures))
    assert HybridSentProcessor.from_pretrained(folder).image_processor.size["height"] == 64


def test_tokenizer_is_not_replaced_by_an_empty_one(tmp_path):
    processor = tiny_processor()
    words = {"[PAD]": 0, "[UNK]": 1, "[CLS]": 2, "[SEP]": 3, "[MASK]": 4, "sun": 5}
    processor.tokenizer = tf.BertTokenizer(vocab=words)
    processor.save_pretrained(tmp_path)
    assert HybridSentProcessor.from_pretrained(tmp_path)(text="sun").input_ids.tolist() == [
        [2, 5, 3]
    ]
    (tmp_path / TOKENIZER).unlink()
    assert "sun" not in tf.AutoTokenizer.from_pretrained(tmp_path).get_vocab()  # the library's way
    assert f"has no {TOKENIZER}" in failure(tmp_path)


@pytest.mark.parametrize("file", [PROCESSOR, TOKENIZER, SETTINGS])
def test_cache_of_the_hub(folder, tmp_path, file):
    snapshot = in_cache(folder, tmp_path / "hub")
    (snapshot / file).write_text("{")
    message = failure(REPO, cache_dir=tmp_path / "hub")
    assert str(snapshot / file) in message
    assert "force_download=True" in message
    (snapshot / file).unlink()
    assert f"{REPO} has no {file}. " in failure(REPO, cache_dir=tmp_path / "hub")


def test_wrong_name_is_no_damage(tmp_path):
    message = failure("tester/absent", cache_dir=tmp_path)
    assert "Save it again" not in message
    assert "tester/absent" in message


@pytest.mark.parametrize("part", [tf.AutoTokenizer, tf.AutoImageProcessor])
def test_absent_package_is_no_damage(folder, monkeypatch, part):
    def needs_more(*args, **kwargs):
        raise ImportError("needs sentencepiece")

    monkeypatch.setattr(part, "from_pretrained", needs_more)
    with pytest.raises(ImportError, match="sentencepiece"):
        HybridSentProcessor.from_pretrained(folder)


LOAD = """
import json
from transformers import AutoProcessor
messages = {}
for name in NAMES:
    try:
        AutoProcessor.from_pretrained(name, trust_remote_code=True)
        messages[name] = "loaded"
    except Exception as error:
        messages[name] = f"{type(error).__name__}: {error}"
print(json.dumps(messages))
"""


def test_remote_code_says_the_same(whole, tmp_path):
    """AutoProcessor reads processor_config.json before any code of ours: that message is its own."""

    def damaged(name, damage):
        folder = shutil.copytree(whole, tmp_path / name)
        damage(folder)
        return str(folder)

    wanted = {str(whole): "loaded"}
    for file in (PROCESSOR, TOKENIZER, SETTINGS):
        name = damaged(f"no-{file}", lambda folder, file=file: (folder / file).unlink())
        wanted[name] = f"OSError: {name} has no {file}. Save it again"
        name = damaged(f"cut-{file}", lambda folder, file=file: (folder / file).write_text("{"))
        theirs = (
            f"OSError: It looks like the config file at '{name}/{PROCESSOR}' is not a valid JSON"
        )
        wanted[name] = theirs if file == PROCESSOR else f"OSError: {name}/{file} is damaged ("
    for i, (file, values) in enumerate(NONSENSE):
        name = damaged(
            f"nonsense-{i}", lambda folder, file=file, values=values: change(folder / file, values)
        )
        wanted[name] = f"ValueError: {name}/{file} is invalid ("
    snapshot = in_cache(whole, tmp_path / "hf" / "hub")
    (snapshot / TOKENIZER).write_text("{")
    wanted[REPO] = f"OSError: {snapshot / TOKENIZER} is damaged ("
    result = run_isolated(f"NAMES = {list(wanted)!r}\n" + LOAD, tmp_path)
    assert result.returncode == 0, result.stderr
    got = json.loads(result.stdout.splitlines()[-1])
    for name, beginning in wanted.items():
        assert got[name].startswith(beginning), got[name]
