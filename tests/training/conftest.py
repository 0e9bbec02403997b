"""A few generated posts, shared by the trainings that leave them as they are."""

import pytest
from tiny_trainer import tiny_posts


@pytest.fixture(scope="session")
def posts(tmp_path_factory):
    return tiny_posts(tmp_path_factory.mktemp("posts") / "posts")
