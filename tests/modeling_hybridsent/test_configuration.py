"""The configuration checks itself and survives a round trip."""

import pytest
from huggingface_hub.errors import StrictDataclassError
from tiny_models import tiny_config

from modeling_hybridsent import HybridSentConfig


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("text_config", {"model_type": "bert", "num_hidden_layers": 10**6}),
        ("vision_config", {"model_type": "convnext", "depths": [3, 10**6, 3, 3]}),
        ("vision_config", {"model_type": "timm_wrapper", "architecture": "hf-hub:me/x"}),
        ("vision_config", {"model_type": "detr", "backbone": "me/x", "use_timm_backbone": False}),
        (
            "vision_config",
            {
                "model_type": "timm_wrapper",
                "architecture": "resnet18",
                "model_args": {"checkpoint_path": "/x.pth"},
            },
        ),
    ],
)
def test_encoders_that_cannot_be_built_or_reach_elsewhere_are_refused(name, fields):
    with pytest.raises(Exception, match=rf"{name}: .*(at most 1000|from elsewhere)"):
        HybridSentConfig(**{name: fields})


def test_round_trip_keeps_every_field(tmp_path):
    config = tiny_config(recurrence="none", temperature=1.7)
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
        ({"temperature": 1e-300}, r"temperature \(1e-300\)"),
        ({"temperature": 1e300}, r"temperature \(1e\+300\)"),
        ({"score_std": 1e300}, r"score_std \(1e\+300\)"),
        ({"attn_implementation": "user/kernel"}, "would be loaded from elsewhere"),
        ({"id2label": {0: "a", 1: None}}, "names a label None; a name is a text"),
        ({"id2label": {0: "a", 1: "\ud800"}}, "a name is a text"),
        ({"text_only_temperature": 0}, r"text_only_temperature \(0\)"),
        ({"image_only_temperature": -2}, r"image_only_temperature \(-2\)"),
        ({"decision_weight_temperature": -1}, r"decision_weight_temperature \(-1\)"),
        ({"num_cross_modal_layers": -1}, r"num_cross_modal_layers \(-1\)"),
        ({"recurrence": "lstm"}, "recurrence"),
        ({"decision_fusion": "max"}, "decision_fusion"),
        ({"hidden_size": "big"}, "hidden_size"),
        ({"id2label": {0: "bad", 1: "good", 2: "bad"}}, "gives two labels one name: bad"),
        ({"id2label": {0: "bad", 1: "good"}, "label2id": {"bad": 1, "good": 0}}, "'bad' is 1"),
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
