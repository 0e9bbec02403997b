"""Whatever a configuration holds, it comes back from a dictionary, from JSON and from a folder."""

import json
import tempfile
from string import ascii_lowercase

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny_models import tiny_config
from transformers import AutoConfig

from modeling_hybridsent import HybridSentConfig

rates = st.floats(0, 1)
weights = st.floats(0, 100) | st.integers(0, 5)
names = st.lists(st.text(min_size=1, max_size=6), min_size=2, max_size=5, unique=True)


@st.composite
def configurations(draw):
    """A valid configuration, all of whose fields may differ from their defaults."""
    heads = draw(st.integers(1, 6))
    unimodal = draw(st.booleans())
    fusions = ["dynamic", "global", "uniform", "fusion_only"] if unimodal else ["fusion_only"]
    labels = dict(enumerate(draw(names)))
    return tiny_config(
        num_attention_heads=heads,
        hidden_size=heads * draw(st.integers(1, 8)),
        intermediate_size=draw(st.integers(1, 99)),
        hidden_act=draw(st.sampled_from(["gelu", "relu", "silu"])),
        hidden_dropout=draw(rates),
        attention_dropout=draw(rates),
        use_local_features=draw(st.booleans()),
        use_unimodal_branches=unimodal,
        num_cross_modal_layers=draw(st.integers(0, 4)),
        recurrence=draw(st.sampled_from(["birau", "bigru", "none"])),
        recurrent_hidden_size=draw(st.integers(1, 64)),
        decision_fusion=draw(st.sampled_from(fusions)),
        text_loss_weight=draw(weights),
        image_loss_weight=draw(weights),
        fusion_loss_weight=draw(weights),
        own_label_loss_weight=draw(weights) if unimodal else 0.0,
        temperature=draw(st.floats(0.01, 100)),
        text_only_temperature=draw(st.floats(0.01, 100)),
        image_only_temperature=draw(st.floats(0.01, 100)),
        id2label=labels,
        label2id={name: i for i, name in labels.items()},
    )


@given(configurations())
def test_a_dictionary_and_json_give_it_back(config):
    assert HybridSentConfig.from_dict(config.to_dict()).to_dict() == config.to_dict()
    for use_diff in (True, False):
        content = json.loads(config.to_json_string(use_diff=use_diff))
        assert HybridSentConfig.from_dict(content).to_dict() == config.to_dict()


@given(configurations())
def test_a_folder_gives_it_back(config):
    with tempfile.TemporaryDirectory() as folder:
        config.save_pretrained(folder)
        ours, by_auto_class = (x.from_pretrained(folder) for x in (HybridSentConfig, AutoConfig))
    expected = without_origin(config)
    assert without_origin(ours) == expected
    assert without_origin(by_auto_class) == expected


def without_origin(config):
    """Leave out where it was read, and what the library notes on saving."""
    content = config.to_dict()
    return {name: value for name, value in content.items() if name != "_name_or_path"}


@given(configurations(), st.sampled_from(ascii_lowercase))
def test_a_letter_too_many_in_a_name_is_refused(config, letter):
    content = {**config.to_dict(), f"recurrence{letter}": "none"}
    with pytest.raises(ValueError, match="did you mean 'recurrence'"):
        HybridSentConfig.from_dict(content)
