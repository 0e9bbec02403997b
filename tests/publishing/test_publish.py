"""Publishing: what goes and what never does, one commit, and a load from the Hub by a stranger."""

import json
import re
import shutil
import struct
import tempfile
import zlib
from pathlib import Path

import pytest
import torch
import yaml
from finished_runs import PRIVATE
from hostile_pictures import encoded
from huggingface_hub import HfApi, parse_eval_result_entries
from isolated_python import run_with_and_without_network
from loopback_hub import Fault
from safetensors.torch import save
from tiny_models import picture, probabilities_of

from hybridsent.cli import main
from hybridsent.publishing.isolated_check import check_loads_isolated
from hybridsent.publishing.publish import Target, publish, send, stage
from hybridsent.publishing.published_files import PublishError
from modeling_hybridsent import HybridSentForSequenceClassification

REPO = "tester/tiny"
TEXTS = ["a happy day", "rain very bad", None]


@pytest.fixture
def folder(trained, tmp_path):
    """A copy to spoil."""
    return shutil.copytree(trained[0], tmp_path / "out")


@pytest.fixture(scope="module")
def staged(trained, tmp_path_factory):
    """What is sent to the Hub: a folder and the names of the files in it."""
    folder = tmp_path_factory.mktemp("staged")
    names, problems = stage(trained[0], REPO, folder)
    assert problems == []
    return folder, names


def test_all_that_is_needed_goes_in_one_commit_and_nothing_else(published, trained):
    files = published[1].head.files
    code = {file.name for file in trained[0].glob("*_hybridsent.py")}
    assert set(files) == code | {
        ".gitattributes",
        ".eval_results/hybridsent.yaml",
        "README.md",
        "config.json",
        "handler.py",
        "metrics.json",
        "model.safetensors",
        "notebook.ipynb",
        "processor_config.json",
        "report/confusion.png",
        "report/decision_weights.png",
        "report/learning.png",
        "report/reliability.png",
        "requirements.txt",
        "tokenizer.json",
        "tokenizer_config.json",
    }
    assert [commit.message for commit in published[1].commits] == [
        "initial commit",
        "Publish model, processor, code and card",
    ]


def test_the_report_with_its_posts_stays_at_home(published, trained):
    assert PRIVATE in (trained[0] / "report" / "index.html").read_text()
    files = published[1].head.files
    assert not [name for name, content in files.items() if PRIVATE.encode() in content]


def test_the_card_is_the_real_one_and_calls_the_repository(published, trained):
    card = published[1].head.files["README.md"].decode()
    assert f'model="{REPO}"' in card
    assert "outputs/tiny" not in card
    header = yaml.safe_load(card.split("---")[1])
    assert header["model-index"][0]["name"] == "tiny"
    (widget,) = header["widget"]
    assert {answer["label"] for answer in widget["output"]} == {"negative", "neutral", "positive"}
    assert 'model="outputs/tiny"' in (trained[0] / "README.md").read_text()


def test_results_are_written_as_the_hub_reads_them(published):
    content = yaml.safe_load(published[1].head.files[".eval_results/hybridsent.yaml"])
    entries = {entry.task_id: entry for entry in parse_eval_result_entries(content)}
    assert entries["weighted_f1"].value == 0.743
    assert entries["ece"].dataset_id == "synthetic"
    assert entries["accuracy"].notes == "test split, protocol as given, seed 7"


LOAD = """
import json
from PIL import Image
from transformers import (
    AutoConfig, AutoModel, AutoModelForSequenceClassification, AutoProcessor, pipeline
)
images = [Image.open("0.png"), None, Image.open("1.png")]
posts = [{"text": t, "image": i} for t, i in zip(TEXTS, images)]
try:
    AutoModel.from_pretrained(REPO, trust_remote_code=False)
except ValueError as error:
    print(error)
answers = []
for revision in ("main", SHA):
    how = {"trust_remote_code": True, "revision": revision}
    assert AutoConfig.from_pretrained(REPO, **how).model_type == "hybridsent"
    processor = AutoProcessor.from_pretrained(REPO, **how)
    inputs, found = processor(text=TEXTS, images=images), {}
    for auto in (AutoModel, AutoModelForSequenceClassification):
        found[auto.__name__] = auto.from_pretrained(REPO, **how)(**inputs).logits.tolist()
    pipe = pipeline("image-text-sentiment", model=REPO, **how)
    answers.append({**found, "pipeline": pipe(posts, top_k=None, batch_size=2)})
print(json.dumps(answers))
"""


def test_a_stranger_loads_it_from_the_hub_and_again_offline(published, trained, tmp_path):
    hub, repo = published
    _, model, processor = trained
    images = [picture(0), None, picture(1)]
    for i in (0, 1):
        picture(i).save(tmp_path / f"{i}.png")
    with torch.no_grad():
        expected = model(**processor(text=TEXTS, images=images)).logits
    code = f"REPO, TEXTS, SHA = {REPO!r}, {TEXTS!r}, {repo.head.sha!r}\n{LOAD}"
    for result in run_with_and_without_network(code, tmp_path, hub):
        assert "pass the argument `trust_remote_code=True`" in result.stdout
        for answers in json.loads(result.stdout.splitlines()[-1]):
            for name in ("AutoModel", "AutoModelForSequenceClassification"):
                torch.testing.assert_close(torch.tensor(answers[name]), expected, atol=1e-5, rtol=0)
            got = probabilities_of(answers["pipeline"], model.config.id2label)
            torch.testing.assert_close(got, expected.softmax(dim=-1), atol=1e-5, rtol=0)


def test_the_installed_class_and_the_published_code_agree(downloaded, trained):
    """With the package imported the local class wins; the scores are the same."""
    from transformers import AutoModel

    _, model, processor = trained
    local = AutoModel.from_pretrained(downloaded, trust_remote_code=True)
    assert type(local).__module__ == "modeling_hybridsent.modeling_hybridsent"
    inputs = processor(text=TEXTS, images=[picture(0), None, picture(1)])
    with torch.no_grad():
        assert torch.equal(local.eval()(**inputs).logits, model(**inputs).logits)


def test_the_librarys_own_ways_to_push_send_all_code_too(hub, trained, tmp_path):
    model = HybridSentForSequenceClassification.from_pretrained(trained[0])
    model.push_to_hub("tester/one")
    model.save_pretrained(tmp_path / "two", push_to_hub=True, repo_id="tester/two")
    for name in ("tester/one", "tester/two"):
        sent = hub.repos["model", name].head.files
        assert {file.name for file in trained[0].glob("*_hybridsent.py")} <= set(sent)


def test_private_and_branch(hub, staged):
    send(*staged, Target("tester/hidden", private=True, revision="v2"))
    repo = hub.repos["model", "tester/hidden"]
    assert repo.private
    assert "config.json" in repo.heads["v2"].files
    assert "config.json" not in repo.head.files
    with pytest.raises(Exception, match="Repository"):
        HfApi(endpoint=hub.endpoint, token=False).model_info("tester/hidden")


def test_publishing_again_replaces_ours_and_keeps_the_rest(hub, staged):
    stale = {"model-00001-of-00002.safetensors", "old_hybridsent.py"}
    repo = hub.create("model", REPO, dict.fromkeys({*stale, "config.json", "notes.txt"}, b"old"))
    send(*staged, Target(REPO))
    assert {*repo.head.files} == {*staged[1], "notes.txt", ".gitattributes"}
    assert repo.head.files["config.json"] == (staged[0] / "config.json").read_bytes()


def test_a_dry_run_lists_and_loads_and_sends_nothing(hub, folder, capsys):
    (folder / "model.safetensors").rename(folder / "best.safetensors")
    (folder / "model.safetensors").symlink_to("best.safetensors")
    assert main(["publish", "--model", str(folder), "--repo_id", REPO, "--dry_run"]) == 0
    out = capsys.readouterr().out
    assert re.search(r"[1-9][\d,]+  model\.safetensors -> best.safetensors", out)
    assert "optimizer" not in out
    assert "training_args.bin" not in out
    assert "Loads without hybridsent" in out
    assert "nothing was sent" in out
    assert hub.requests == []


def spoil_code(folder):
    file = folder / "modeling_hybridsent.py"
    file.write_text(file.read_text() + "\nfrom hybridsent.training.run_posts import load_posts\n")


def spoil_path(folder):
    file = folder / "config.json"
    file.write_text(file.read_text().replace('"hybridsent"', f'"hybridsent", "x": "{folder}"', 1))


def spoil_home(folder):
    (folder / "README.md").write_text("see /home/somebody/data")


def spoil_auto_map(folder):
    config = json.loads((folder / "config.json").read_text())
    del config["auto_map"]["AutoProcessor"], config["custom_pipelines"]
    (folder / "config.json").write_text(json.dumps(config))


def spoil_weights(folder):
    (folder / "model.safetensors").unlink()


def spoil_json(folder):
    (folder / "config.json").write_text("{")


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (spoil_code, "modeling_hybridsent.py differs from the installed"),
        (spoil_path, "config.json contains a path of this machine"),
        (spoil_home, "README.md contains a path of this machine: '/home/somebody/data'"),
        (spoil_auto_map, "no auto_map entry AutoProcessor"),
        (spoil_auto_map, "no custom_pipelines entry image-text-sentiment"),
        (spoil_weights, "model.safetensors is missing"),
        (spoil_json, "config.json is not JSON"),
        (lambda folder: (folder / "metrics.json").unlink(), "metrics.json is missing"),
        (lambda folder: (folder / "processor_config.json").unlink(), "processor_config.json is"),
    ],
)
def test_a_folder_that_cannot_be_published_is_named_and_nothing_is_sent(hub, folder, spoil, said):
    spoil(folder)
    with pytest.raises(PublishError) as error:
        publish(folder, Target(REPO))
    assert said in str(error.value)
    assert not [request for request in hub.requests if request[0] == "POST"]


def png_with(kind, content, behind=b""):
    part = struct.pack(">I", len(content)) + kind + content
    part += struct.pack(">I", zlib.crc32(kind + content))
    whole = encoded(picture(1), "PNG")
    return whole[:33] + part + whole[33:] + behind


def as_json(value):
    return json.dumps(value).encode()


def weights_with(**header):
    return save({"x": torch.zeros(1)}, metadata=header)


TOKEN = "hf_" + "aB3dE6gH9j" * 3 + "kLmN"
KEY = b"-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----\n"
BAD_FILES = [
    ("README.md", f"token {TOKEN}".encode(), "README.md contains a secret: 'hf_aB3dE6gH9"),
    ("README.md", b"https://me:hunter22@example.org/x", "README.md contains a secret"),
    ("README.md", b"\xff", "README.md is not text in UTF-8"),
    ("README.md", b"see D:\\posts\\a.csv", "path of this machine: 'D:"),
    ("README.md", b"[log](file:///mnt/log.txt)", "path of this machine: '/mnt/log.txt'"),
    ("metrics.json", as_json({"a": [{"k": TOKEN}]}), "metrics.json contains a secret"),
    (
        "metrics.json",
        b'{"a": "\\u0068f_' + TOKEN[3:].encode() + b'"}',
        "metrics.json contains a sec",
    ),
    ("metrics.json", b'{"a": "/data/posts", "a": 1}', "path of this machine: '/data/posts'"),
    ("metrics.json", as_json({"a": "\\/root\\/x", "b": "/root/x"}), "machine: '/root/x'"),
    ("metrics.json", as_json({"wandb_api_key": "0123456789abcdef"}), "metrics.json contains a sec"),
    ("metrics.json", b"[]", "metrics.json is not JSON"),
    ("generation_config.json", b"[" * 10**5, "generation_config.json is not JSON"),
    ("special_tokens_map.json", as_json({"/mnt/disk/x": 1}), "machine: '/mnt/disk/x'"),
    ("tokenizer_config.json", as_json({"auto_map": {"AutoTokenizer": ["evil.T", None]}}), "evil.T"),
    ("tokenizer_config.json", as_json({"auto_map": "me/x--birau_hybridsent.T"}), "foreign code"),
    ("vocab.json", as_json({"a": 0, "b": "note"}), "vocab.json is not a vocabulary"),
    ("vocab.json", b"[]", "vocab.json is not a vocabulary"),
    (
        "README.md",
        b"-H 'authorization: Bearer 0123456789abcdef0123'",
        "README.md contains a secret",
    ),
    ("README.md", b"see /vol2/posts", "machine: '/vol2/posts'"),
    ("README.md", b"see /cluster/home/me/x", "machine: '/cluster/home/me/x'"),
    ("README.md", b"keys in /etc/x/key", "machine: '/etc/x/key'"),
    ("README.md", b"gsk_" + b"a1" * 20, "README.md contains a secret"),
    ("README.md", b"AccountKey=" + b"a1" * 20, "README.md contains a secret"),
    ("vocab.txt", KEY, "vocab.txt contains a secret"),
    ("vocab.txt", b"what a lovely day", "vocab.txt is not a vocabulary"),
    ("merges.txt", b"a b\nno merge here", "merges.txt is not a list of merges"),
    ("tokenizer.model", b"\x80\x04pickle", "tokenizer.model is not a sentencepiece model"),
    ("source.spm", KEY, "source.spm contains a secret"),
    ("model.safetensors", b"no", "model.safetensors is not safetensors"),
    ("model.safetensors", weights_with(from_="/data/x/y"), "machine: '/data/x/y'"),
    ("model.safetensors", weights_with(note=TOKEN), "model.safetensors contains a secret"),
    ("model-00001-of-00002.safetensors", weights_with(), "00002.safetensors is stray"),
    ("model.safetensors.index.json", as_json({"weight_map": {}}), "index.json is stray"),
    ("evil_hybridsent.py", b"", "evil_hybridsent.py is foreign code"),
    ("birau_hybridsent.py", b"", "birau_hybridsent.py differs from the installed"),
    ("report/confusion.png", b"<svg/>", "report/confusion.png is not a PNG figure"),
    ("report/confusion.png", encoded(picture(1), "JPEG"), "confusion.png is not a PNG figure"),
    ("report/confusion.png", png_with(b"eXIf", b"x"), "it has a part b'eXIf'"),
    ("report/confusion.png", png_with(b"tEXt", b"at\0/home/me/x"), "machine: '/home/me/x'"),
    ("report/confusion.png", png_with(b"tEXt", b"a\0b", b"PK"), "2 bytes follow its end"),
]


def refused(folder):
    """Return why a folder is refused."""
    with tempfile.TemporaryDirectory() as staged:
        return stage(folder, REPO, Path(staged))[1]


@pytest.mark.parametrize(("name", "content", "said"), BAD_FILES)
def test_a_file_with_what_does_not_belong_there_is_refused(folder, name, content, said):
    (folder / name).write_bytes(content)
    problems = refused(folder)
    assert any(said in problem for problem in problems), problems
    assert TOKEN not in "".join(problems)


def test_an_index_names_just_the_files_beside_it(folder):
    assert refused(folder) == []
    part, index = "model-00001-of-00001.safetensors", folder / "model.safetensors.index.json"
    (folder / "model.safetensors").rename(folder / part)
    for named, said in (
        ([part], []),
        (["../secret", part], ["'../secret' is not there"]),
        (["model-2"], [f"{part!r} is not named in {index.name}", "'model-2' is not there"]),
    ):
        index.write_bytes(as_json({"weight_map": {str(i): x for i, x in enumerate(named)}}))
        assert sorted(refused(folder)) == said
    index.unlink()
    assert refused(folder) == ["model.safetensors is missing", f"{part} is stray"]


def test_links_tokens_paths_and_foreign_code_are_named_at_once(hub, folder, tmp_path, capsys):
    (tmp_path / "id_rsa").write_bytes(KEY)
    (folder / "vocab.txt").symlink_to(tmp_path / "id_rsa")
    (folder / "added_tokens.json").symlink_to("rejected.jsonl")
    (folder / "vocab.json").symlink_to("nowhere.json")
    (folder / "report").rename(tmp_path / "report")
    (folder / "report").symlink_to(tmp_path / "report")
    for name, content in (("evil_hybridsent.py", b""), ("README.md", f"{TOKEN} /mnt/x".encode())):
        (folder / name).write_bytes(content)
    for words in ((), ("--dry_run",)):
        assert main(["publish", "--model", str(folder), "--repo_id", REPO, *words]) == 1
        out, said = capsys.readouterr()
        for part in (
            f"vocab.txt is a link that leaves the folder, to {tmp_path / 'id_rsa'}",
            "added_tokens.json is a link to a file of another kind, rejected.jsonl",
            "vocab.json is a link to nowhere.json, which is not there",
            "report/confusion.png is a link that leaves the folder",
            "evil_hybridsent.py is foreign code",
            "README.md contains a secret",
            "README.md contains a path of this machine: '/mnt/x'",
        ):
            assert part in said
    assert f"vocab.txt -> {tmp_path / 'id_rsa'}" in out
    assert hub.requests == []


def test_a_circle_of_links_and_a_name_that_no_hub_has_are_named(folder):
    (folder / "vocab.txt").symlink_to("vocab.txt")
    assert refused(folder) == ["vocab.txt is a link to vocab.txt, which is not there"]
    for name in ("me/x\\q", "../../x", 'me/x"); import os; ("'):
        with pytest.raises(PublishError, match="give USER/NAME"):
            stage(folder, name, folder / "staged")


def test_a_folder_that_is_absent_is_named(tmp_path, capsys):
    assert main(["publish", "--model", str(tmp_path / "no"), "--repo_id", REPO]) == 1
    assert "no: there is no such folder" in capsys.readouterr().err


FAULTS = {  # the weights first: once they are there they are not sent again
    "connection dropped in the weights": ("lfs", Fault(status=403, share=0.5)),
    "refused": ("commit", Fault(status=403)),
    "conflict": ("commit", Fault(status=409)),
    "connection dropped in the commit": ("commit", Fault(share=0.5)),
}


def test_a_fault_leaves_the_remote_as_it_was_and_says_what_to_do(hub, staged):
    for name, (kind, fault) in FAULTS.items():
        hub.faults[kind].append(fault)
        with pytest.raises(PublishError) as error:
            send(*staged, Target(REPO))
        said = str(error.value)
        assert f"{REPO}: the Hub could not be reached, or refused" in said, name
        assert "Nothing was published in part" in said
        assert "publish again" in said
        assert set(hub.repos["model", REPO].head.files) == {".gitattributes"}, name
    send(*staged, Target(REPO))  # and then it goes through
    assert {*hub.repos["model", REPO].head.files} == {*staged[1], ".gitattributes"}


def test_a_commit_of_somebody_else_in_between_is_not_overwritten(hub, staged, monkeypatch):
    repo = hub.create("model", REPO)
    listed = HfApi.list_repo_files

    def list_and_let_another_commit(self, *arguments, **options):
        names = listed(self, *arguments, **options)
        repo.commit("another's", {**repo.head.files, "theirs.txt": b""}, ())
        return names

    monkeypatch.setattr(HfApi, "list_repo_files", list_and_let_another_commit)
    with pytest.raises(PublishError, match="A commit has happened since"):
        send(*staged, Target(REPO))
    assert repo.head.message == "another's"


def test_a_wrong_token_is_named_before_anything_is_sent(hub, staged, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_wrong")
    with pytest.raises(PublishError, match="hf auth login"):
        send(*staged, Target(REPO))
    assert not hub.repos


def test_a_full_disk_while_staging_leaves_the_remote_as_it_was(hub, folder, capsys, monkeypatch):
    def full(*arguments, **options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("shutil.copyfile", full)
    assert main(["publish", "--model", str(folder), "--repo_id", REPO]) == 1
    assert "No space left on device" in capsys.readouterr().err
    assert not hub.repos


def test_the_isolated_check_does_not_see_an_installed_package(folder):
    file = folder / "birau_hybridsent.py"
    file.write_text("import modeling_hybridsent\n" + file.read_text())
    with pytest.raises(PublishError, match="must not import modeling_hybridsent"):
        check_loads_isolated(folder)
