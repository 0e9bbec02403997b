"""A server with an exported graph answers as one without, and refuses the graph of another model."""

import pytest
from gradio_client import Client
from tiny_exports import save_smallest
from tiny_models import picture

from benchmarks.running_space import running_space
from hybridsent_space.attention import look
from hybridsent_space.model import load_model
from hybridsent_space.posts import Post
from hybridsent_space.scorer import Scorer

POSTS = [Post("a happy day", picture(0)), Post("not good !", None), Post(None, picture(1))]


def test_answers_are_those_of_the_model(exports):
    folder = str(exports.model)
    plain = Scorer(load_model(folder), batch_size=4)
    fast = Scorer(load_model(folder, graph=str(exports["openvino"])), batch_size=4)
    for parameter in fast.loaded.model.parameters():  # so that only the graph can say what it said
        parameter.data.zero_()
    for found, expected in zip(fast.answer(POSTS), plain.answer(POSTS), strict=True):
        assert found.scores == pytest.approx(expected.scores, abs=1e-4)
        assert found.energy == pytest.approx(expected.energy, abs=1e-4)
        for name, branch in expected.branches.items():
            assert found.branches[name].weight == pytest.approx(branch.weight, abs=1e-4)
    assert look(fast, POSTS[0]) is not None  # by the model, which alone tells where it looked


def test_a_text_is_not_padded_beyond_the_positions(exports, monkeypatch):
    monkeypatch.setattr("hybridsent_space.scorer.GRAPH_LENGTH_STEP", 48)
    fast = Scorer(load_model(str(exports.model), graph=str(exports["openvino"])), batch_size=4)
    fast.loaded.processor.max_length = 64  # all positions, of which the next length has 96
    (answer,) = fast.answer([Post("sun " * 100, None)])
    assert answer.error is None
    assert answer.notes == ("The model reads 64 tokens; what follows in the text did not count.",)


def test_a_graph_of_another_model_or_none_is_refused(exports, tmp_path):
    graph = str(exports["openvino"])
    save_smallest(tmp_path / "other", seed=1)
    with pytest.raises(ValueError, match="is not the graph of this model: a probability differs"):
        load_model(str(tmp_path / "other"), graph=graph)
    with pytest.raises(OSError, match=r"no openvino_model\.xml in it"):
        load_model(str(exports.model), graph=str(tmp_path))


def test_the_page_serves_it(exports, tmp_path):
    with running_space(exports.model, tmp_path / "log", graph=exports["openvino"]) as space:
        answer = Client(space.url, verbose=False).predict("a happy day", None, api_name="/predict")
    (expected,) = Scorer(load_model(str(exports.model)), 4).answer([Post("a happy day", None)])
    assert answer["scores"] == pytest.approx(expected.scores, abs=1e-4)
