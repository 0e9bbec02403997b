"""A bundled model: written by the command, built in the cache, whole or a named error."""

import hashlib
import json
import shutil

import pytest
import torch
from in_process import run_in_process
from safetensors.torch import load_file, save_file
from tiny_bundles import COUNT, DEPTHWISE, LORA, NORM, RANK, TUNED, save_run
from tiny_models import LABELS

from hybridsent.bundled import models
from hybridsent.bundled.compression import read_compressed, write_compressed
from hybridsent.bundled.synthetic import write_posts
from hybridsent.publishing.hosted_files import HANDLER
from hybridsent.publishing.isolated_check import check_loads_isolated
from hybridsent.support.errors import PostsError

NAME = "bundled/tiny"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A run, its posts, and `bundles/tiny`."""
    folder = tmp_path_factory.mktemp("bundling")
    save_run(folder / "run")
    write_posts(folder / "posts", sizes={"train": 12, "validation": 12, "test": 6})
    result = bundle(folder, folder / "run", folder / "bundles" / "tiny")
    assert result.returncode == 0, result.stderr
    assert "on 12 validation posts, that of the trained model" in result.stdout
    return folder


def bundle(folder, run, target, *more):
    settings = {"data_dir": folder / "posts", "output_dir": folder / "out", "cpu_threads": 1}
    words = [word for name, value in settings.items() for word in (f"--{name}", value)]
    return run_in_process("bundle", [run, target, "posts", *words, *more])


@pytest.fixture
def bundles(folder, tmp_path, monkeypatch):
    """A copy of the bundle that a test may damage, and an empty cache."""
    shutil.copytree(folder / "bundles", tmp_path / "bundles")
    monkeypatch.setattr(models, "BUNDLES", tmp_path / "bundles")
    monkeypatch.setenv("HYBRIDSENT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "bundles"


def digest_of_folder(folder):
    files = sorted(file for file in folder.rglob("*") if file.is_file())
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()


def test_it_stores_what_training_changed_and_is_small(folder):
    found = read_compressed(folder / "bundles" / "tiny" / models.DIFFERENCE)
    of_encoders = {name for name in found.entries if "_model." in name}
    assert of_encoders == {
        f"{LORA}:up", f"{LORA}:down", f"{TUNED}:change", f"{DEPTHWISE}:change", f"{NORM}:change",
        f"{COUNT}:whole",
    }  # fmt: skip
    assert found.entries[f"{LORA}:down"].shape == (RANK, 384)
    assert {"config.json", "tokenizer.json", "metrics.json", "README.md"} <= {
        file.name for file in (folder / "bundles" / "tiny").iterdir()
    }
    card = (folder / "bundles" / "tiny" / "README.md").read_text()
    assert "`bundled/tiny` names it in every command" in card
    assert 'model=hybridsent.bundled_model("tiny"), trust_remote_code=True' in card
    assert str(folder) not in card
    assert card.index("## Bundled form") < card.index("## Cite")


def test_the_built_folder_has_the_models_weights_and_the_same_bits_each_time(
    bundles, folder, tmp_path, monkeypatch
):
    built = models.bundled_model("tiny")
    wanted = load_file(folder / "run" / "model.safetensors")
    found = load_file(built / "model.safetensors")
    assert found.keys() == wanted.keys()
    for name, tensor in found.items():
        assert (tensor.double() - wanted[name].double()).abs().max() < 1e-3, name
    time = (built / "model.safetensors").stat().st_mtime_ns
    assert models.resolve_model(NAME) == str(built)
    assert (built / "model.safetensors").stat().st_mtime_ns == time
    monkeypatch.setenv("HYBRIDSENT_CACHE", str(tmp_path / "other"))
    assert digest_of_folder(models.bundled_model("tiny")) == digest_of_folder(built)


def test_it_loads_where_our_packages_are_out_of_reach(bundles, tmp_path):
    folder = shutil.copytree(models.bundled_model("tiny"), tmp_path / "copy")
    shutil.copyfile(HANDLER, folder / "handler.py")  # which publishing adds
    assert {row["label"] for row in check_loads_isolated(folder)} == {*LABELS.values()}


def test_a_changed_byte_or_a_missing_file_is_named(bundles):
    for name in (models.DIFFERENCE, "config.json"):
        file = bundles / "tiny" / name
        content = file.read_bytes()
        file.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
        with pytest.raises(PostsError, match=rf"damaged\n  - {name}\nInstall hybridsent again"):
            models.bundled_model("tiny")
        file.write_bytes(content)
    (bundles / "tiny" / "tokenizer.json").unlink()
    with pytest.raises(PostsError, match=r"absent or damaged\n  - tokenizer.json"):
        models.bundled_model("tiny")
    (bundles / "tiny" / models.MANIFEST).write_text("[]")
    with pytest.raises(PostsError, match=r"manifest.json: is damaged"):
        models.bundled_model("tiny")


def test_a_damaged_folder_in_the_cache_is_built_again(bundles):
    built = models.bundled_model("tiny")
    whole = digest_of_folder(built)
    with (built / "model.safetensors").open("r+b") as stream:
        stream.seek(-1, 2)
        stream.write(b"\xff")
    (built / "config.json").unlink()
    assert digest_of_folder(built) != whole
    assert models.bundled_model("tiny") == built
    assert digest_of_folder(built) == whole


def test_another_version_of_the_bundle_is_built_beside(bundles):
    built = models.bundled_model("tiny")
    (bundles / "tiny" / "README.md").write_text("another card")
    about = json.loads((bundles / "tiny" / models.MANIFEST).read_text())
    del about["files"]
    models.write_manifest(bundles / "tiny", **about)
    assert models.bundled_model("tiny") != built


def test_other_encoders_than_those_of_the_training_are_named(bundles):
    manifest = bundles / "tiny" / models.MANIFEST
    about = json.loads(manifest.read_text())
    about["encoder_digests"]["text"] = "0"
    manifest.write_text(json.dumps(about))
    with pytest.raises(ValueError, match=r"tiny was made for other weights .* bundled/all-minilm"):
        models.bundled_model("tiny")


def damaged_bundles():
    """Return what may be wrong with a bundle of the right digests: changes of manifest and entries."""
    square = torch.ones(384, 384)
    return {
        "no encoders": ({"encoders": None}, {}),
        "unknown encoder": ({"encoders": {"text": "../x", "vision": "y"}}, {}),
        "half a product": ({}, {f"{LORA}:down": None}),
        "another rank": ({}, {f"{LORA}:down": torch.ones(3, 384)}),
        "too large a product": ({}, {f"{LORA}:up": torch.ones(10**6, 1), f"{LORA}:down": square}),
        "unknown tensor": ({}, {"gone:change": square}),
    }


@pytest.mark.parametrize("name", damaged_bundles())
def test_a_hostile_bundle_is_one_error_that_names_it(bundles, name):
    folder = bundles / "tiny"
    changed, entries = damaged_bundles()[name]
    about = json.loads((folder / models.MANIFEST).read_text())
    found = read_compressed(folder / models.DIFFERENCE)
    kept = {x: y for x, y in {**found.entries, **entries}.items() if y is not None}
    write_compressed(found._replace(entries=kept), folder / models.DIFFERENCE)
    del about["files"]
    models.write_manifest(folder, **{**about, **changed})
    with pytest.raises(PostsError, match=rf"^{folder}: is damaged\n"):
        models.bundled_model("tiny")


def test_a_file_that_is_no_difference_is_named(bundles):
    for content in (b"", b"PK", (bundles / "tiny" / "config.json").read_bytes()):
        (bundles / "tiny" / models.DIFFERENCE).write_bytes(content)
        about = json.loads((bundles / "tiny" / models.MANIFEST).read_text())
        models.write_manifest(bundles / "tiny", **{**about, "files": {}})
        manifest = bundles / "tiny" / models.MANIFEST
        manifest.write_text(json.dumps({**about, "files": {}}))
        with pytest.raises(PostsError, match=r"tiny: is damaged"):
            models.bundled_model("tiny")


def test_links_secrets_and_foreign_code_are_not_bundled(folder, tmp_path):
    run = shutil.copytree(folder / "run", tmp_path / "run")
    (tmp_path / "key").write_text("-----BEGIN PRIVATE KEY-----")
    (run / "vocab.txt").unlink(missing_ok=True)
    (run / "vocab.txt").symlink_to(tmp_path / "key")
    settings = json.loads((run / "tokenizer_config.json").read_text())
    settings["auto_map"] = {"AutoTokenizer": ["evil--code.Tokenizer", None]}
    (run / "tokenizer_config.json").write_text(json.dumps(settings))
    with (run / "README.md").open("a") as card:
        card.write("hf_" + "a1B2" * 8 + " /home/somebody/posts")
    said = bundle(folder, run, tmp_path / "b").stderr
    for words in (
        f"error: {run}: cannot be bundled",
        f"vocab.txt is a link that leaves the folder, to {tmp_path}/key",
        "tokenizer_config.json names foreign code in auto_map: 'evil--code.Tokenizer'",
        "README.md contains a secret: 'hf_a1B2a1B2a'",
        "README.md contains a path of this machine: '/home/somebody/posts'",
    ):
        assert words in said
    assert not (tmp_path / "b").exists()


def test_other_names_are_left_alone_and_an_unknown_one_says_what_to_do(bundles):
    assert models.resolve_model("user/model") == "user/model"
    assert models.resolve_model(bundles) == str(bundles)
    for other in ("x", f"../{bundles.name}/tiny", str(bundles / "tiny"), ".."):
        with pytest.raises(ValueError, match=r": .* it has bundled/tiny\nGive the"):
            models.resolve_model(f"bundled/{other}")


def test_a_model_that_halving_changes_is_refused_and_nothing_is_left(folder, tmp_path):
    shutil.copytree(folder / "run", tmp_path / "run")
    weights = load_file(tmp_path / "run" / "model.safetensors")
    for name in ("text", "image", "fusion"):  # whole halves are the finest that a half has here
        weights[f"{name}_classifier.linear.bias"] += torch.tensor([1000.0, 1000.2, 1000.3])
    save_file(weights, tmp_path / "run" / "model.safetensors", {"format": "pt"})
    result = bundle(folder, tmp_path / "run", tmp_path / "target" / "halved")
    assert result.returncode == 1
    assert "probabilities differ by" in result.stderr
    assert "(limits: 0.3 points and 0.02)" in result.stderr
    assert list((tmp_path / "target").iterdir()) == []


def test_what_cannot_be_bundled_is_one_message(folder, tmp_path):
    small = bundle(folder, folder / "run", tmp_path / "b", "--largest", "1.2")
    assert "there is room for 0." in small.stderr
    assert bundle(folder, folder / "run", folder / "bundles" / "tiny").stderr.startswith(
        f"error: {folder / 'bundles' / 'tiny'}: is not empty"
    )
    assert "metrics.json: no such file" in bundle(folder, tmp_path, tmp_path / "b").stderr
    assert (
        "--largest ten: give a number of MB"
        in bundle(folder, folder / "run", tmp_path / "b", "--largest", "ten").stderr
    )
    assert "Give two folders" in run_in_process("bundle", ["run"]).stderr
    assert not (tmp_path / "b").exists()
    metrics = json.loads((folder / "run" / "metrics.json").read_text())
    metrics["encoders"]["text"] = "user/encoder"
    (tmp_path / "metrics.json").write_text(json.dumps(metrics))
    shutil.copy(folder / "run" / "config.json", tmp_path)
    for name in ("model.safetensors",):
        (tmp_path / name).symlink_to(folder / "run" / name)
    assert (
        "No bundled encoder 'user/encoder': one of bundled/all"
        in bundle(folder, tmp_path, tmp_path / "b").stderr
    )
