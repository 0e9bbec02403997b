"""A short run of every target; `make fuzz` is the long one."""

import pytest

from fuzzing.engine import Finding, fuzz
from fuzzing.quiet import quiet
from fuzzing.targets import TARGETS

INPUTS = 150


@pytest.mark.parametrize("name", TARGETS)
def test_every_input_ends_in_a_result_or_a_named_error(name, tmp_path):
    with quiet():
        found = list(fuzz(TARGETS[name](tmp_path), INPUTS, seed=0))
    assert sum(count for count in found if isinstance(count, int)) >= INPUTS
    assert [finding.place for finding in found if isinstance(finding, Finding)] == []
