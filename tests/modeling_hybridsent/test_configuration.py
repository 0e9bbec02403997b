"""The configuration checks itself and survives a round trip."""

import pytest
from huggingface_hub.errors import StrictDataclassError
from tiny_models import tiny_config

from modeling_hybridsent import HybridSentConfig


def test_round_trip_keeps_every_field(tmp_path):
    config = tiny_config(recurrence="none", temperature=1.7, text_ngram_sizes=[1, 5])
    config.save_pretrained(tmp_path)
    again = HybridSentConfig.from_pretrained(tmp_path)
    assert again.to_dict() == config.to_dict()
    assert type(again.text_config).__name__ == "BertConfig"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"hidden_size": 30, "num_attention_heads": 4}, r"hidden_size \(30\).*\(4\)"),
        ({"use_unimodal_branches": False}, "fusion_only"),
        ({"temperature": 0}, r"temperature \(0\)"),
        ({"text_only_temperature": 0}, r"text_only_temperature \(0\)"),
        ({"image_only_temperature": -2}, r"image_only_temperature \(-2\)"),
        ({"decision_weight_temperature": -1}, r"decision_weight_temperature \(-1\)"),
        ({"text_ngram_sizes": []}, "text_ngram_sizes"),
        ({"num_cross_modal_layers": -1}, r"num_cross_modal_layers \(-1\)"),
        ({"recurrence": "lstm"}, "recurrence"),
        ({"decision_fusion": "max"}, "decision_fusion"),
        ({"hidden_size": "big"}, "hidden_size"),
        ({"id2label": {0: "bad", 1: "good", 2: "bad"}}, "gives two labels one name: bad"),
        ({"id2label": {0: "bad", 2: "good"}}, "must number its labels from 0 on"),
    ],
)
def test_values_that_do_not_go_together_are_refused(settings, message):
    with pytest.raises((StrictDataclassError, ValueError), match=message):
        HybridSentConfig(**settings)


def test_misspelt_field_is_refused_with_a_hint():
    with pytest.raises(ValueError, match="did you mean 'hidden_dropout'"):
        HybridSentConfig(hiden_dropout=0.2)


def test_auto_map_names_every_auto_class():
    assert set(HybridSentConfig().auto_map) == {
        "AutoConfig",
        "AutoModel",
        "AutoModelForSequenceClassification",
        "AutoProcessor",
    }
