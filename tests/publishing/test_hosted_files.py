"""What lies beside a published model works: handler, requirements, notebook, pinned revisions."""

import ast
import base64
import importlib.util
import json
import re
import sys

import nbformat
import pytest
from documented_commands import ROOT, blocks, python_here
from hostile_pictures import encoded
from isolated_python import run_with_and_without_network
from nbclient import NotebookClient
from packaging.requirements import Requirement
from test_requirements import OURS, floor_of
from tiny_models import LABELS, picture
from transformers import pipeline

REPO = "tester/tiny"
FILE = encoded(picture(1), "PNG")
IMAGE = base64.b64encode(FILE).decode()
POST = {"text": "a happy day", "image": IMAGE}


def load_as_the_toolkit(folder, monkeypatch):
    """Load a handler as `check_and_register_custom_pipeline_from_directory` of the toolkit does."""
    spec = importlib.util.spec_from_file_location("handler.EndpointHandler", folder / "handler.py")
    module = importlib.util.module_from_spec(spec)
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.setitem(sys.modules, spec.name, module)
    spec.loader.exec_module(module)
    return module.EndpointHandler(str(folder))


def load_by_the_toolkit(folder, monkeypatch):
    reason = (
        "not on PyPI: pip install git+https://github.com/huggingface/huggingface-inference-toolkit"
    )
    toolkit = pytest.importorskip("huggingface_inference_toolkit.handler", reason=reason)
    monkeypatch.syspath_prepend(str(folder))
    return toolkit.get_inference_handler_either_custom_or_default_handler(str(folder))


@pytest.fixture(scope="module", params=[load_as_the_toolkit, load_by_the_toolkit])
def handler(request, downloaded):
    with pytest.MonkeyPatch.context() as patch:
        yield request.param(downloaded, patch)


def test_the_handler_answers_as_the_pipeline_does(handler, downloaded):
    pipe = pipeline("image-text-sentiment", model=str(downloaded), trust_remote_code=True)
    posts = [
        {"text": "a happy day", "image": FILE},
        {"image": FILE},
        {"text": "rain", "image": None},
    ]
    sent = [POST, {"image": f"{IMAGE[:76]}\r\n{IMAGE[76:]}"}, "rain"]
    for options in ({}, {"top_k": None}, {"explain": True, "batch_size": 2}):
        request = json.loads(json.dumps({"inputs": sent, "parameters": options}))
        assert json.loads(json.dumps(handler(request))) == pipe(posts, **options)
        assert handler({**request, "inputs": sent[0]}) == pipe(posts[0], **options)
    assert handler({"inputs": picture(1)}) == pipe(posts[1])  # of a body of type image/png
    assert handler({"inputs": "rain"}) == pipe(posts[2])


def test_the_handler_reads_no_url_and_no_path(handler, published, downloaded):
    image, hub = downloaded / "report" / "confusion.png", published[0]
    before = len(hub.requests)
    url = f"{hub.endpoint}/{REPO}/resolve/main/report/confusion.png"
    for given in (url, str(image), "data:image/png;base64,AAAA", {"path": str(image)}, [[0, 255]]):
        with pytest.raises(ValueError, match="must be the bytes of the file in base64") as error:
            handler({"inputs": [POST, {"image": given}]})
        assert "Post 1 of the input" in str(error.value)
    for name, value in {"image": str(image), "num_workers": 500, "inputs": {}}.items():
        with pytest.raises(TypeError, match=f"parameters has '{name}'; give top_k"):
            handler({"inputs": ["rain"], "parameters": {name: value}})
    assert len(hub.requests) == before


def test_the_request_of_the_page_is_answered(handler, tmp_path):
    picture(1).save(tmp_path / "photo.jpg")
    (block,) = blocks((ROOT / "docs" / "publishing.md").read_text(encoding="utf-8"), "python")
    body = json.loads(python_here(f"{block}\nimport json\nprint(json.dumps(body))", tmp_path))
    assert {answer["label"] for answer in handler(body)} == set(LABELS.values())


@pytest.mark.parametrize(
    ("request_body", "said"),
    [
        ({}, 'must be {"inputs": a post or a list of posts}, got {}'),
        ([POST], 'must be {"inputs": a post or a list of posts}, got [{'),
        ({"inputs": None}, 'must be {"text": ..., "image": ...}, got None'),
        ({"inputs": [POST, 7]}, "Post 1 of the input must be"),
        ({"inputs": {"image": base64.b64encode(b"no image").decode()}}, "its image"),
        ({"inputs": {"text": "rain", "photo": IMAGE}}, "did you mean 'image'"),
        ({"inputs": "rain", "parameters": []}, "parameters must be an object"),
        (
            {"inputs": "rain", "parameters": {"explain": "false"}},
            "explain='false': give True or False",
        ),
        ({"inputs": ["rain"], "parameters": {"batch_size": 10**9}}, "a whole number from 1 to 64"),
    ],
)
def test_a_wrong_request_is_one_error(handler, request_body, said):
    with pytest.raises(ValueError) as error:  # noqa: PT011 (asserted below)
        handler(request_body)
    assert said in str(error.value)


def test_requirements_have_the_floors_of_the_package_and_all_that_is_imported(downloaded):
    lines = (downloaded / "requirements.txt").read_text().splitlines()
    asked = {requirement.name: requirement for requirement in map(Requirement, lines)}
    floors = {requirement.name: floor_of(requirement) for requirement in OURS}
    assert {name: floor_of(asked[name]) for name in asked} == {name: floors[name] for name in asked}
    nodes = [
        node
        for file in downloaded.glob("*.py")
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Import | ast.ImportFrom) and not getattr(node, "level", 0)
    ]
    imported = {name.partition(".")[0] for node in nodes for name in
                (getattr(node, "module", None) or node.names[0].name,)}  # fmt: skip
    others = {name for name in imported if name not in sys.stdlib_module_names}
    assert {"PIL", "torch", "transformers"} <= others
    assert {{"PIL": "pillow", "huggingface_hub": "huggingface-hub"}.get(x, x) for x in others} <= {
        *asked
    }


def test_the_notebook_runs_as_it_is_published(published, tmp_path):
    hub, repo = published
    book = nbformat.reads(repo.head.files["notebook.ipynb"].decode(), as_version=4)
    nbformat.validate(book)
    where = {"metadata": {"path": str(tmp_path)}}
    kernel = NotebookClient(book, timeout=None, startup_timeout=3600, resources=where)
    kernel.execute(env=hub.env(tmp_path / "hf", OMP_NUM_THREADS="1", PYTHONPATH=""))
    outputs = [output for cell in book.cells for output in cell.get("outputs", [])]
    assert any("image/png" in output.get("data", {}) for output in outputs)
    printed = "".join(output.get("text", "") for output in outputs)
    assert str(list(LABELS.values())) in printed
    assert re.search(
        r"^ +text [+-]0\.\d{3}.*^ +lovely [+-]0\.\d{3}", printed, re.DOTALL | re.MULTILINE
    )


PINNED = """
from transformers import AutoModel, AutoProcessor, pipeline
for how in ({"revision": OLD}, {"code_revision": OLD}):
    pipe = pipeline("image-text-sentiment", model=REPO, trust_remote_code=True, **how)
    print(pipe({"text": "rain"})["label"])
    AutoModel.from_pretrained(REPO, trust_remote_code=True, **how)
try:
    AutoModel.from_pretrained(REPO, trust_remote_code=True)
except RuntimeError as error:
    print(error)
"""


def test_a_pinned_revision_runs_no_later_code_and_needs_no_network_again(published, tmp_path):
    hub, repo = published
    pinned = hub.create("model", "tester/pinned", repo.head.files)
    old, code = pinned.head.sha, "modeling_hybridsent.py"
    later = {**pinned.head.files, code: b"raise RuntimeError('later code')\n"}
    pinned.commit("later code", later, pinned.head.lfs)
    script = f"REPO, OLD = 'tester/pinned', {old!r}\n{PINNED}"
    for result in run_with_and_without_network(script, tmp_path, hub):
        assert result.stdout.splitlines()[-1] == "later code"
