"""A finished run, and the same run published on a Hub of this machine."""

import pytest
from finished_runs import PRIVATE, save_finished_run
from loopback_hub import LoopbackHub, point_client_at

from hybridsent.publishing.publish import Target, publish

REPO = "tester/tiny"


@pytest.fixture(scope="session")
def trained(tmp_path_factory):
    """Folder, model and processor; beside the report lies what must stay at home."""
    folder = tmp_path_factory.mktemp("trained") / "out"
    model, processor = save_finished_run(folder)
    for name in ("post.png", "post.jpg", "posts.json", "README.md", "notes_hybridsent.py"):
        (folder / "report" / name).write_bytes(PRIVATE.encode())
    return folder, model, processor


@pytest.fixture(scope="session")
def published(trained):
    """The folder, published once, on a hub that stays."""
    with LoopbackHub() as hub:
        with pytest.MonkeyPatch.context() as patch:
            point_client_at(hub, patch)
            publish(trained[0], Target(REPO))
        yield hub, hub.repos["model", REPO]


@pytest.fixture(scope="session")
def downloaded(published, tmp_path_factory):
    """A folder with all files of the repository."""
    folder = tmp_path_factory.mktemp("downloaded")
    for name, content in published[1].head.files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder
