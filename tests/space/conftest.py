"""A tiny model as a published folder, in this process and behind a running Space."""

import json

import pytest
from space.hostile_uploads import SMALL_LIMITS
from tiny_models import save_tiny

from benchmarks.running_space import running_space
from hybridsent_space.model import load_model
from hybridsent_space.scorer import Scorer

# So wide that random posts fall on both sides.
LIMITS = {"text": -1.2, "image": -1.2, "fusion": -1.3}


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("published")
    save_tiny(folder)
    (folder / "metrics.json").write_text(json.dumps({"calibration": {"energy_limits": LIMITS}}))
    return folder


@pytest.fixture(scope="session")
def scorer(model_folder):
    return Scorer(load_model(str(model_folder)), batch_size=4)


@pytest.fixture(scope="session")
def space(model_folder, tmp_path_factory):
    log = tmp_path_factory.mktemp("space") / "log.txt"
    with running_space(model_folder, log, **SMALL_LIMITS) as running:
        yield running
