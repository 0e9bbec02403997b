"""The loopback hub answers huggingface_hub's own client as the real Hub would."""

import subprocess
import sys
import textwrap
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from huggingface_hub import (
    CommitOperationAdd,
    CommitOperationDelete,
    HfApi,
    constants,
    get_session,
    hf_hub_download,
    snapshot_download,
)
from huggingface_hub.errors import (
    EntryNotFoundError,
    HfHubHTTPError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.utils import httpx
from loopback_hub import Fault, LoopbackHub

WEIGHTS = bytes(range(256)) * 47_000  # 12 MB
MODEL = "tester/model"


@pytest.fixture(autouse=True)
def online_without_xet(monkeypatch):
    """The client reads these at import, perhaps from a conftest that keeps other tests offline."""
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)


@pytest.fixture
def hub():
    with LoopbackHub() as hub:
        yield hub


@pytest.fixture
def api(hub):
    return HfApi(endpoint=hub.endpoint, token=hub.token)


@pytest.fixture
def stranger(hub):
    hub.tokens["hf_other"] = "other"
    return HfApi(endpoint=hub.endpoint, token="hf_other")


@pytest.fixture
def nobody(hub):
    return HfApi(endpoint=hub.endpoint, token=False)


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "model"
    (folder / "sub").mkdir(parents=True)
    (folder / "README.md").write_text("---\ntags: [loopback]\npipeline_tag: other\n---\n# Model\n")
    (folder / "config.json").write_text("{}")
    (folder / "vocab.txt").write_text("word\n" * 400_000)  # 2 MB in the body of the commit itself
    (folder / "sub" / "ünï code.txt").write_text("text")
    (folder / "empty.safetensors").write_bytes(b"")
    (folder / "model.safetensors").write_bytes(WEIGHTS)
    return folder


def run_python(code, env):
    """Run `code` in a process of its own and return what it printed."""
    command = [sys.executable, "-c", textwrap.dedent(code)]
    run = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    return run.stdout.strip()


def sent(hub, method, part):
    return [path for verb, path, _ in hub.requests if verb == method and part in path]


def test_whoami(hub, api):
    assert api.whoami()["name"] == "tester"
    with pytest.raises(HfHubHTTPError, match="Invalid user token"):
        api.whoami(token="hf_wrong")


@pytest.mark.parametrize("kind", ["model", "dataset", "space"])
def test_create(hub, api, kind):
    more = {"repo_type": kind, "space_sdk": "gradio" if kind == "space" else None}
    url = api.create_repo(MODEL, **more)
    assert (url.repo_id, url.repo_type, url.endpoint) == (MODEL, kind, hub.endpoint)
    assert api.create_repo(MODEL, exist_ok=True, **more) == url
    with pytest.raises(HfHubHTTPError, match="409"):
        api.create_repo(MODEL, **more)


def test_create_and_write_need_the_owner(hub, api, stranger, nobody):
    api.create_repo(MODEL)
    for client, status in ((stranger, "403"), (nobody, "401")):
        with pytest.raises(HfHubHTTPError, match=status):
            client.create_repo("tester/new")
        with pytest.raises(HfHubHTTPError, match=status):
            client.upload_file(path_or_fileobj=b"x", path_in_repo="x.txt", repo_id=MODEL)
    assert len(hub.repos["model", MODEL].commits) == 1


def test_upload_folder_is_one_commit_and_comes_back_whole(hub, api, folder, tmp_path):
    api.create_repo(MODEL)
    done = api.upload_folder(repo_id=MODEL, folder_path=folder, commit_message="first")
    repo = hub.repos["model", MODEL]
    assert [commit.message for commit in repo.commits] == ["initial commit", "first"]
    assert done.oid == repo.head.sha
    assert repo.head.lfs == {"model.safetensors"}  # the client sends an empty file as a regular one
    assert len(sent(hub, "PUT", "/lfs-objects/")) == 1

    local = snapshot_download(MODEL, endpoint=hub.endpoint, cache_dir=tmp_path / "hf", token=False)
    assert local.endswith(done.oid)
    for path, data in repo.head.files.items():
        assert Path(local, path).read_bytes() == data
    names = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert repo.head.files.keys() == names | {".gitattributes"}


def test_listing(hub, api, folder):
    api.create_repo(MODEL)
    api.upload_folder(repo_id=MODEL, folder_path=folder)
    info = api.model_info(MODEL, files_metadata=True)
    sizes = {sibling.rfilename: sibling.size for sibling in info.siblings}
    assert (info.tags, info.pipeline_tag, info.private) == (["loopback"], "other", False)
    assert info.card_data.pipeline_tag == "other"
    assert sizes["model.safetensors"] == len(WEIGHTS)
    top = {entry.path for entry in api.list_repo_tree(MODEL)}
    assert {"sub", "config.json"} <= top
    assert "sub/ünï code.txt" not in top
    assert [e.path for e in api.list_repo_tree(MODEL, "sub", expand=True)] == ["sub/ünï code.txt"]
    assert set(api.list_repo_files(MODEL)) == set(sizes)
    found = api.get_paths_info(MODEL, ["sub", "model.safetensors", "no.txt"], expand=True)
    assert [entry.path for entry in found] == ["sub", "model.safetensors"]
    assert found[1].lfs.size == len(WEIGHTS)
    assert found[1].last_commit.oid == info.sha
    assert api.list_repo_refs(MODEL).branches[0].target_commit == info.sha


def test_unchanged_files_are_not_sent_again(hub, api, folder):
    api.create_repo(MODEL)
    first = api.upload_folder(repo_id=MODEL, folder_path=folder)
    assert api.upload_folder(repo_id=MODEL, folder_path=folder).oid == first.oid
    (folder / "config.json").write_text('{"new": 1}')
    api.upload_folder(repo_id=MODEL, folder_path=folder)
    assert len(sent(hub, "PUT", "/lfs-objects/")) == 1
    assert len(sent(hub, "POST", "/commit/")) == 2


def test_delete_and_parent_commit(hub, api):
    repo = hub.create("model", MODEL, {"a.txt": b"a", "sub/b.txt": b"b", "sub/c.txt": b"c"})
    parent = repo.head.sha
    api.create_commit(MODEL, [CommitOperationDelete("a.txt")], commit_message="one")
    api.create_commit(MODEL, [CommitOperationDelete("sub/")], commit_message="all")
    assert repo.head.files.keys() == {".gitattributes"}
    for delete, path in ((api.delete_file, "a.txt"), (api.delete_folder, "sub")):
        with pytest.raises(EntryNotFoundError):
            delete(path, MODEL)
    add = CommitOperationAdd("d.txt", b"d")
    with pytest.raises(HfHubHTTPError, match="412"):
        api.create_commit(MODEL, [add], commit_message="late", parent_commit=parent)


def test_revision_is_pinned_by_sha(hub, api, tmp_path):
    repo = hub.create("model", MODEL, {"config.json": b"old"})
    old = repo.head.sha
    api.upload_file(path_or_fileobj=b"new", path_in_repo="config.json", repo_id=MODEL)
    where = {"endpoint": hub.endpoint, "cache_dir": tmp_path, "token": False}
    for revision, content in ((old, "old"), ("main", "new"), (repo.head.sha, "new")):
        local = snapshot_download(MODEL, revision=revision, **where)
        assert Path(local, "config.json").read_text() == content
    assert api.model_info(MODEL, revision=old).sha == old


def test_private_repo(hub, api, stranger, nobody, tmp_path):
    api.create_repo(MODEL, private=True)
    api.upload_file(path_or_fileobj=b"{}", path_in_repo="config.json", repo_id=MODEL)
    assert api.model_info(MODEL).private
    assert api.hf_hub_download(MODEL, "config.json", cache_dir=tmp_path / "mine")
    for client, status in ((stranger, 404), (nobody, 401)):
        with pytest.raises(RepositoryNotFoundError) as refused:
            client.model_info(MODEL)
        assert refused.value.response.status_code == status
        with pytest.raises(RepositoryNotFoundError):
            client.hf_hub_download(MODEL, "config.json", cache_dir=tmp_path / "theirs")
        with pytest.raises(RepositoryNotFoundError):
            client.snapshot_download(MODEL, cache_dir=tmp_path / "theirs")
    with pytest.raises(HfHubHTTPError, match="Invalid credentials"):  # as the Hub: no "not found"
        api.model_info(MODEL, token="hf_wrong")


def test_missing_things_have_their_own_errors(hub, api, tmp_path):
    repo = hub.create("model", MODEL, {"config.json": b"{}"})
    where = {"endpoint": hub.endpoint, "cache_dir": tmp_path, "token": hub.token}
    with pytest.raises(EntryNotFoundError):
        hf_hub_download(MODEL, "no.json", **where)
    assert list(tmp_path.glob(f"*/.no_exist/{repo.head.sha}/no.json"))  # the client remembers it
    with pytest.raises(RepositoryNotFoundError):
        hf_hub_download("tester/none", "config.json", **where)
    with pytest.raises(RepositoryNotFoundError):
        hf_hub_download(MODEL, "config.json", repo_type="dataset", **where)
    for revision in ("v1", "0" * 40, "refs/pr/1"):
        with pytest.raises(RevisionNotFoundError):
            hf_hub_download(MODEL, "config.json", revision=revision, **where)
        with pytest.raises(RevisionNotFoundError):
            api.model_info(MODEL, revision=revision)
    with pytest.raises(EntryNotFoundError):
        list(api.list_repo_tree(MODEL, "no"))
    with pytest.raises(HfHubHTTPError, match="501"):
        next(iter(api.list_models(limit=1)))


def test_broken_metadata_is_refused(hub, api):
    api.create_repo(MODEL)
    broken = b"---\ntags: [\n---\n"
    with pytest.raises(ValueError, match=r"Invalid metadata in README\.md"):
        api.upload_file(path_or_fileobj=broken, path_in_repo="README.md", repo_id=MODEL)
    assert not sent(hub, "POST", "/commit/")


def test_offline_reload_from_the_cache(hub, tmp_path):
    config = b'{"model_type": "bert", "hidden_size": 48}'
    hub.create("model", MODEL, {"config.json": config}, private=True)
    load = """
        from transformers import AutoConfig
        print(AutoConfig.from_pretrained("tester/model").hidden_size)
    """
    assert run_python(load, hub.env(tmp_path)) == "48"
    hub.requests.clear()
    assert run_python(load, hub.env(tmp_path, HF_HUB_OFFLINE="1")) == "48"
    assert hub.requests == []


def test_dataset_push_and_load(hub, api, tmp_path):
    data = tmp_path / "data"
    data.mkdir()
    for split, labels in (("train", [0, 1, 2]), ("test", [3])):
        table = pa.table({"text": [f"post {label}" for label in labels], "label": labels})
        pq.write_table(table, data / f"{split}-00000-of-00001.parquet")
    name = "tester/posts"
    api.create_repo(name, repo_type="dataset", private=True)
    api.upload_folder(repo_id=name, folder_path=data, path_in_repo="data", repo_type="dataset")
    assert len(hub.repos["dataset", name].head.lfs) == 2
    load = """
        from datasets import load_dataset
        posts = load_dataset("tester/posts")
        print({split: rows["label"][:] for split, rows in posts.items()})
        print(load_dataset("tester/posts", split="test", streaming=True).take(1)._head(1)["text"])
        posts["test"].push_to_hub("tester/again")
        print(load_dataset("tester/again")["test"].num_rows)
    """
    printed = run_python(load, hub.env(tmp_path / "home")).splitlines()
    assert printed == ["{'train': [0, 1, 2], 'test': [3]}", "['post 3']", "1"]


def test_space_upload(hub, api, tmp_path):
    (tmp_path / "app.py").write_text("print('hello')")
    api.create_repo("tester/demo", repo_type="space", space_sdk="gradio")
    api.upload_folder(repo_id="tester/demo", folder_path=tmp_path, repo_type="space")
    assert hub.repos["space", "tester/demo"].head.files["app.py"] == b"print('hello')"
    assert api.space_info("tester/demo").sdk == "gradio"


@pytest.mark.parametrize(
    ("fault", "error"),
    [(Fault(status=503), HfHubHTTPError), (Fault(share=0.5), httpx.TransportError)],
)
def test_a_failed_commit_leaves_the_former_revision(hub, api, folder, tmp_path, fault, error):
    repo = hub.create("model", MODEL, {"config.json": b"old"})
    before = repo.head
    hub.faults["commit"].append(fault)
    with pytest.raises(error):
        api.upload_folder(repo_id=MODEL, folder_path=folder)
    assert repo.commits[-1] is before
    local = snapshot_download(MODEL, endpoint=hub.endpoint, cache_dir=tmp_path, token=False)
    assert Path(local, "config.json").read_bytes() == b"old"
    assert not Path(local, "model.safetensors").exists()

    api.upload_folder(repo_id=MODEL, folder_path=folder)  # the uploaded object is still there
    assert repo.head.files["model.safetensors"] == WEIGHTS
    assert len(sent(hub, "PUT", "/lfs-objects/")) == 1


def test_a_commit_whose_answer_is_lost_was_made(hub, api):
    repo = hub.create("model", MODEL)
    hub.faults["commit"].append(Fault(late=True))
    with pytest.raises(httpx.TransportError):
        api.upload_file(path_or_fileobj=b"{}", path_in_repo="config.json", repo_id=MODEL)
    assert repo.head.files["config.json"] == b"{}"


def test_a_refused_object_stops_the_commit(hub, api, folder):
    repo = hub.create("model", MODEL)
    hub.faults["lfs"].append(Fault(status=403))
    with pytest.raises(RuntimeError, match=r"Error while uploading 'model\.safetensors'"):
        api.upload_folder(repo_id=MODEL, folder_path=folder)
    assert len(repo.commits) == 1
    assert repo.objects == {}


@pytest.mark.parametrize("fault", [Fault(status=503), Fault(share=0.5), Fault(late=True)])
def test_the_client_sends_a_dropped_object_again(hub, api, folder, fault):
    repo = hub.create("model", MODEL)
    hub.faults["lfs"].append(fault)
    api.upload_folder(repo_id=MODEL, folder_path=folder)
    assert repo.head.files["model.safetensors"] == WEIGHTS
    assert len(sent(hub, "PUT", "/lfs-objects/")) == 2


def test_an_object_has_the_announced_content(hub):
    hub.tickets["ticket"] = (hub.create("model", MODEL), "0" * 64, 3)
    answer = get_session().put(f"{hub.endpoint}/lfs-objects/ticket", content=b"abc")
    assert answer.status_code == 400
    assert hub.repos["model", MODEL].objects == {}


def test_a_dropped_download_resumes_by_range(hub, tmp_path):
    hub.create("model", MODEL, {"model.safetensors": WEIGHTS})
    hub.faults["download"].append(Fault(share=0.95))
    where = {"endpoint": hub.endpoint, "cache_dir": tmp_path, "token": False}
    local = hf_hub_download(MODEL, "model.safetensors", **where)
    assert Path(local).read_bytes() == WEIGHTS
    ranges = [span for method, _, span in hub.requests if method == "GET"]
    assert ranges == [None, f"bytes={constants.DOWNLOAD_CHUNK_SIZE}-"]


@pytest.mark.parametrize(
    ("span", "status", "content"),
    [
        ("bytes=2-4", 206, b"234"),
        ("bytes=7-", 206, b"789"),
        ("bytes=-2", 206, b"89"),
        ("bytes=8-99", 206, b"89"),
        ("bytes=10-", 416, None),
        ("bytes=-", 200, b"0123456789"),
    ],
)
def test_ranges(hub, span, status, content):
    hub.create("model", MODEL, {"digits.txt": b"0123456789"})
    url = f"{hub.endpoint}/{MODEL}/resolve/main/digits.txt"
    answer = get_session().get(url, headers={"Range": span})
    assert answer.status_code == status
    assert content is None or answer.content == content
