"""A short run of every target; `make fuzz` is the long one."""

import re

import pytest

from fuzzing import ROOT
from fuzzing.engine import Finding, fuzz
from fuzzing.guard import quiet
from fuzzing.targets import TARGETS

INPUTS = 150


@pytest.mark.parametrize("name", TARGETS)
def test_every_input_ends_in_a_result_or_a_named_error(name, tmp_path):
    with quiet():
        found = list(fuzz(TARGETS[name](tmp_path), INPUTS, seed=0))
    assert sum(count for count in found if isinstance(count, int)) >= INPUTS
    assert [finding.place for finding in found if isinstance(finding, Finding)] == []


def test_the_page_tells_of_every_target():
    page = (ROOT / "docs" / "fuzzing.md").read_text(encoding="utf-8")
    assert re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE) == list(TARGETS)
