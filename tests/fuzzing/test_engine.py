"""The fuzzer itself must find what is there to be found."""

import sys

import numpy as np
import pytest
from hypothesis import strategies as st

from fuzzing.engine import Finding, fuzz, try_one
from fuzzing.guard import Hang, bounded
from hybridsent.support.recipes import json_object
from modeling_hybridsent import load_image


class Trial:
    """A target that does what a test wants with an input."""

    names = ("posts.csv", "--option", "Image of post 0")

    def __init__(self, attempt, inputs=None):
        self.attempt = attempt
        self.inputs = st.integers(0, 1000) if inputs is None else inputs


def reason(attempt):
    finding = try_one(Trial(attempt), None)
    return finding and finding.reason


def test_a_result_and_a_named_error_are_no_findings():
    assert reason(lambda value: value) is None
    assert reason(lambda value: json_object("--option", "[1]")) is None
    assert reason(lambda value: load_image(b"x", name="Image of post 0")) is None


def test_what_a_library_or_python_raises_is_a_finding():
    assert "type" in reason(lambda value: [][0])
    assert "type" in reason(lambda value: b"\xff".decode())
    assert "line of ours" in reason(lambda value: int("posts.csv"))
    assert "type" in reason(lambda value: sys.exit(1))


def test_an_error_of_ours_must_name_a_place_and_what_to_do():
    assert "names none" in reason(lambda value: json_object("--other", "[1]"))
    assert reason(lambda value: load_image(b"x", name="image")).startswith("names none")


def test_a_hang_and_a_bomb_are_findings():
    def hang():
        while True:
            pass

    with pytest.raises(Hang), bounded(seconds=0.05):
        hang()
    much = 1 << 32  # more than a process has left over from what it freed, which no bound counts
    with pytest.raises(MemoryError), bounded(size=1 << 20):
        np.empty(much, np.uint8)
    assert len(np.empty(much, np.uint8)) == much  # the bound is gone; no page is touched


def test_memory_that_ran_out_on_the_way_is_a_finding_even_when_named():
    def attempt(value):
        try:
            raise MemoryError
        except MemoryError:
            json_object("--option", "[1]")

    assert reason(attempt) == "took too much memory"


def test_the_least_input_is_found_and_the_search_goes_on():
    def attempt(value):
        assert value < 100

    found = list(fuzz(Trial(attempt), inputs=1200, seed=0))
    findings = [finding for finding in found if isinstance(finding, Finding)]
    assert len(findings) >= 2
    assert {finding.value for finding in findings} == {100}
    assert sum(count for count in found if isinstance(count, int)) >= 1200
