"""A damaged processor file is one error that names it, from a folder and from the Hub's cache."""

import json
import shutil

import pytest
import transformers as tf
from fuzzing.guard import bounded
from isolated_python import run_isolated
from tiny_models import save_tiny, tiny_processor, tiny_tokenizer
from tokenizers import Regex, normalizers

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
TEMPLATE = {
    "type": "TemplateProcessing",
    "single": [
        {"Sequence": {"id": "A", "type_id": 0}},
        {"SpecialToken": {"id": "x", "type_id": 0}},
    ],
    "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
    "special_tokens": {"x": {"id": "x", "ids": [2], "tokens": ["[CLS]"]}},
}
TWICE = {**TEMPLATE, "single": TEMPLATE["single"] * 2}
MANY = {"id": "x", "ids": [2] * 10_001, "tokens": ["[CLS]"] * 10_001}
DOUBLING = {"type": "Replace", "pattern": {"String": "s"}, "content": "ss"}
BEFORE_EACH = {"type": "Replace", "pattern": {"Regex": "(?=s)"}, "content": "s"}
BYTES = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}
PADDING = {
    "strategy": "BatchLongest", "direction": "Right", "pad_to_multiple_of": None,
    "pad_id": 0, "pad_type_id": 0, "pad_token": "[PAD]",
}  # fmt: skip
TRUNCATION = {"direction": "Right", "max_length": 64, "strategy": "LongestFirst", "stride": 0}


def sequence(name, part, times=40):
    return {"type": "Sequence", name: [part] * times}


# Of these, one short text would fill the memory.
BOMBS = [
    (TOKENIZER, {"padding": {**PADDING, "strategy": {"Fixed": 10**9}}}),
    (TOKENIZER, {"padding": {**PADDING, "pad_to_multiple_of": 10**9}}),
    (TOKENIZER, {"truncation": {**TRUNCATION, "max_length": 10**9}}),
    (TOKENIZER, {"normalizer": sequence("normalizers", DOUBLING)}),
    (TOKENIZER, {"normalizer": sequence("normalizers", BEFORE_EACH)}),
    (TOKENIZER, {"normalizer": sequence("normalizers", {"type": "Prepend", "prepend": "s" * 999})}),
    (TOKENIZER, {"pre_tokenizer": sequence("pretokenizers", BYTES)}),
    (TOKENIZER, {"post_processor": {**TEMPLATE, "special_tokens": {"x": MANY}}}),
    (TOKENIZER, {"post_processor": {**TEMPLATE, "single": TEMPLATE["single"] * 5_001}}),
    (TOKENIZER, {"post_processor": sequence("processors", TWICE, 2)}),  # makes Rust panic
    (SETTINGS, {"pad_to_multiple_of": 10**9}),
    (SETTINGS, {"padding": "max_length", "max_length": 10**9}),
]
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
    (PROCESSOR, {"image_processor": {"rescale_factor": 1e38}}),
    (PROCESSOR, {"image_processor": {"image_std": [0, 0, 0]}}),
    (PROCESSOR, {"image_processor": {"resample": 99}}),
    (TOKENIZER, {"model": {"type": "Nope"}}),
    (SETTINGS, {"tokenizer_class": 3}),
    (SETTINGS, {"pad_token": 17}),
    (SETTINGS, {"pad_token": None}),
    (SETTINGS, {"padding_side": "up"}),
    *BOMBS,
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
    assert HybridSentProcessor.from_pretrained(folder).max_length == 64
    in_cache(folder, tmp_path / "hub")
    assert HybridSentProcessor.from_pretrained(REPO, cache_dir=tmp_path / "hub").max_length == 64


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


@pytest.mark.parametrize(("file", "values"), NONSENSE, ids=lambda x: f"{x!s:.60}")
def test_nonsense_value(folder, file, values):
    change(folder / file, values)
    with bounded():
        message = failure(folder)
    assert message.startswith(f"{folder / file} is invalid (")
    assert "correct it" in message


@pytest.mark.parametrize(
    ("file", "values"), [x for x in BOMBS if x[0] == TOKENIZER][:-1], ids=lambda x: f"{x!s:.60}"
)
def test_such_a_tokenizer_is_refused_also_as_an_object(folder, file, values):
    change(folder / file, values)
    tokenizer = tf.AutoTokenizer.from_pretrained(folder)
    with bounded(), pytest.raises(ValueError, match=r"^The tokenizer's .* allowed\.$"):
        HybridSentProcessor(tiny_processor().image_processor, tokenizer)


def test_multiples_of_a_call_are_limited():
    for wrong in (0, 10**9):
        with bounded(), pytest.raises(ValueError, match=f"pad_to_multiple_of={wrong}: give"):
            tiny_processor()(text="sun", pad_to_multiple_of=wrong)
    assert tiny_processor()(text="sun", pad_to_multiple_of=8).input_ids.shape == (1, 8)


@pytest.mark.parametrize(
    "normalizer",
    [
        normalizers.BertNormalizer(),
        normalizers.Sequence(  # what ALBERT has
            [
                normalizers.Replace("``", '"'),
                normalizers.NFKD(),
                normalizers.StripAccents(),
                normalizers.Lowercase(),
                normalizers.Replace(Regex(" {2,}"), " "),
            ]
        ),
        normalizers.Sequence([normalizers.Prepend("_"), normalizers.Replace(" ", "_")]),
    ],
)
def test_known_kinds_of_tokenizers_are_taken(normalizer):
    tokenizer = tiny_tokenizer()
    tokenizer.backend_tokenizer.normalizer = normalizer
    processor = HybridSentProcessor(tiny_processor().image_processor, tokenizer)
    assert processor(text="a sun").input_ids.shape[1] >= 3


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
