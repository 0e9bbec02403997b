"""Settings of every test: nothing asks a network, and nothing is left in the caches of the user."""

import atexit
import os
import shutil
import tempfile

import pytest

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
os.environ["HF_DATASETS_CACHE"] = tempfile.mkdtemp(prefix="datasets-cache-")
atexit.register(shutil.rmtree, os.environ["HF_DATASETS_CACHE"], ignore_errors=True)


@pytest.fixture(scope="session")
def exports(tmp_path_factory):
    """Exports of one tiny model, as `tiny_exports.TinyExports` tells."""
    from tiny_exports import TinyExports  # heavy, and few tests ask for it

    return TinyExports(tmp_path_factory.mktemp("exports"))
