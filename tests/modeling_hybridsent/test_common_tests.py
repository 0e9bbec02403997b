"""The library's own common tests of models, over our classes; they come with its source.

    pip install parameterized
    pip download --no-deps --no-binary transformers transformers==VERSION
    tar xf transformers-VERSION.tar.gz && touch transformers-VERSION/tests/__init__.py
    HYBRIDSENT_COMMON_TESTS=transformers-VERSION python -m pytest -o addopts=--import-mode=importlib \
        tests/modeling_hybridsent/test_common_tests.py

VERSION is that of the installed library.
"""

import copy
import os
import sys
import types
import unittest
from importlib import import_module

import pytest
import torch
from tiny_models import batch, tiny_config

from modeling_hybridsent import HybridSentConfig, HybridSentForSequenceClassification

FOLDER = os.environ.get("HYBRIDSENT_COMMON_TESTS")
if not FOLDER:
    pytest.skip("HYBRIDSENT_COMMON_TESTS names no source of transformers", allow_module_level=True)

# What the archive leaves out: bases with tests of exporters and of generation, and further settings.
ABSENT = {
    "exporters.test_export": {"ExportTesterMixin": type("ExportTesterMixin", (), {})},
    "generation.test_utils": {"GenerationTesterMixin": type("GenerationTesterMixin", (), {})},
    "utils.test_configuration_utils": {
        "config_common_kwargs": {
            "return_dict": False,
            "output_hidden_states": True,
            "output_attentions": True,
            "dtype": "float16",
            "id2label": {0: "label"},
            "label2id": {"label": 0},
            "problem_type": "regression",
        }
    },
}


def common(name):
    """Import a module of the library's tests."""
    package = types.ModuleType("common_tests")
    package.__path__ = [os.path.join(FOLDER, "tests")]
    sys.modules.setdefault("common_tests", package)
    for absent, content in ABSENT.items():
        file = os.path.join(FOLDER, "tests", *absent.split(".")) + ".py"
        if not os.path.exists(file):
            folder = types.ModuleType(f"common_tests.{absent.partition('.')[0]}")
            folder.__path__ = []
            module = types.ModuleType(f"common_tests.{absent}")
            vars(module).update(content)
            sys.modules |= {folder.__name__: folder, module.__name__: module}
    return import_module(f"common_tests.{name}")


class Tiny:
    """Sizes of a tiny model, by the names that the tests read."""

    batch_size, is_training, num_labels = 4, True, 3
    hidden_size, num_attention_heads = 16, 2
    num_hidden_layers, expected_num_hidden_layers = 2, 3
    seq_length = encoder_seq_length = 9

    def get_config(self):
        return tiny_config(hidden_dropout=0.0)

    def prepare_config_and_inputs_for_common(self):
        return self.get_config(), batch()


class TestCommon(common("test_modeling_common").ModelTesterMixin, unittest.TestCase):
    all_model_classes = (HybridSentForSequenceClassification,)
    pipeline_model_mapping = None
    is_encoder_decoder, _is_composite, has_attentions = False, True, True

    def setUp(self):
        self.model_tester = Tiny()

    def _prepare_for_class(self, inputs_dict, model_class, return_labels=False):
        inputs = copy.deepcopy(inputs_dict)
        if return_labels:
            inputs["labels"] = torch.zeros(Tiny.batch_size, dtype=torch.long)
        return inputs

    def test_config(self):
        settings = {"config_class": HybridSentConfig, "has_text_modality": False}
        common("test_configuration_common").ConfigTester(
            self, common_properties=["hidden_size"], **settings
        ).run_common_tests()

    def test_attention_outputs(self):
        self.model_tester.num_hidden_layers = 3  # those of text, image and fusion
        super().test_attention_outputs()

    def test_hidden_states_output(self):
        self.model_tester.encoder_seq_length = 26  # those of text and image, one after the other
        super().test_hidden_states_output()

    def test_reverse_loading_mapping(self):
        self.skipTest("names on disk are the model's: docs/transformers.md says why")
