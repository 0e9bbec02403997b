"""`config.json` of a model, read alone and with the weights beside it."""

import json
from pathlib import Path
from typing import Any

from hypothesis import strategies as st
from tiny_models import save_tiny

from fuzzing.mutations import damaged_json
from modeling_hybridsent import HybridSentConfig, HybridSentForSequenceClassification

WORDS = [
    "bert", "vit", "resnet", "swin", "hybridsent", "gelu", "bigru", "none", "fusion_only",
    16, 64, 10**6, 10**9, "single_label_classification", "float16", "bfloat16",
    {"model_type": "vit"},
]  # fmt: skip


class ModelConfigs:
    """A tiny model in a folder."""

    names = ("config.json", "model.safetensors")

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        save_tiny(folder)
        good = (folder / "config.json").read_bytes()
        self.inputs = st.tuples(
            damaged_json([good], WORDS), st.sampled_from(["config"] * 9 + ["model"])
        )

    def attempt(self, value: Any) -> None:
        """Load the configuration, or all of the model."""
        content, what = value
        (self.folder / "config.json").write_bytes(content)
        if what == "model":
            HybridSentForSequenceClassification.from_pretrained(self.folder)
            return
        config = HybridSentConfig.from_pretrained(self.folder)
        written = config.to_json_string(use_diff=False)
        again = HybridSentConfig.from_dict(json.loads(written))
        assert again.to_json_string(use_diff=False) == written  # as text: NaN is not NaN
