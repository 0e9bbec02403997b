"""Settings of every test: nothing asks a network, and nothing is left in the caches of the user."""

import atexit
import os
import shutil
import tempfile

import pytest
from hypothesis import settings

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
os.environ["HF_DATASETS_CACHE"] = tempfile.mkdtemp(prefix="datasets-cache-")
os.environ["HYPOTHESIS_STORAGE_DIRECTORY"] = tempfile.mkdtemp(prefix="hypothesis-")
for name in ("HF_DATASETS_CACHE", "HYPOTHESIS_STORAGE_DIRECTORY"):
    atexit.register(shutil.rmtree, os.environ[name], ignore_errors=True)

# The same examples on every machine, however slow it is.
settings.register_profile(
    "project", derandomize=True, deadline=None, database=None, max_examples=40
)
settings.load_profile("project")


@pytest.fixture
def hub(monkeypatch):
    """A hub on this machine, for the client in this process."""
    from loopback_hub import LoopbackHub, point_client_at  # heavy, and few tests ask for it

    with LoopbackHub() as hub:
        point_client_at(hub, monkeypatch)
        yield hub


@pytest.fixture(scope="session")
def exports(tmp_path_factory, worker_id):
    """Exports of one tiny model, shared by all workers, as `tiny_exports.TinyExports` tells."""
    from tiny_exports import TinyExports  # heavy, and few tests ask for it

    base = tmp_path_factory.getbasetemp()
    return TinyExports((base if worker_id == "master" else base.parent) / "exports")
