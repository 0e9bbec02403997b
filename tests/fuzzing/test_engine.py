"""The fuzzer itself must find what is there to be found."""

import sys

import pytest
from hypothesis import strategies as st

from datasets_scripts import PostsError
from fuzzing.__main__ import main
from fuzzing.engine import Finding, fuzz, try_one
from fuzzing.guard import Hang, bounded
from fuzzing.mutations import LARGEST, damaged, damaged_json, edit
from hybridsent.training.recipes import json_object
from modeling_hybridsent import load_image


class Trial:
    """A target that does with an input whatever it is told."""

    names = ("posts.csv", "--option", "Picture of post 0")

    def __init__(self, attempt, inputs=None):
        self.attempt = attempt
        self.inputs = st.integers(0, 1000) if inputs is None else inputs


def reason(attempt):
    finding = try_one(Trial(attempt), None)
    return finding and finding.reason


def test_a_result_and_a_named_error_are_no_findings():
    assert reason(lambda value: value) is None
    assert reason(lambda value: json_object("--option", "[1]")) is None
    assert reason(lambda value: load_image(b"x", name="Picture of post 0")) is None


def test_what_a_library_or_python_raises_is_a_finding():
    assert "type" in reason(lambda value: [][0])
    assert "type" in reason(lambda value: b"\xff".decode())
    assert "line of ours" in reason(lambda value: int("posts.csv"))
    assert "type" in reason(lambda value: sys.exit(1))


def test_an_error_of_ours_must_name_a_place_and_what_to_do():
    assert "names none" in reason(lambda value: json_object("--other", "[1]"))
    assert reason(lambda value: load_image(b"x", name="image")).startswith("names none")


def test_an_error_without_advice_is_a_finding(monkeypatch):
    monkeypatch.setattr("fuzzing.verdict._is_ours", lambda file: True)

    def attempt(value):
        raise PostsError("posts.csv: bad")

    assert reason(attempt) == "does not say what to do"


def test_a_hang_and_a_bomb_are_findings():
    def hang():
        while True:
            pass

    with pytest.raises(Hang), bounded(seconds=0.05):
        hang()
    with pytest.raises(MemoryError), bounded(size=1 << 20):
        bytearray(1 << 28)
    assert len(bytearray(1 << 28)) == 1 << 28  # the bound is gone


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


def test_a_seed_gives_the_same_inputs_and_another_seed_others():
    def inputs(seed):
        tried = []
        list(fuzz(Trial(tried.append, damaged([b"abc,def"])), inputs=50, seed=seed))
        return tried

    assert inputs(1) == inputs(1) != inputs(2)


def test_edits_do_what_they_are_called():
    assert edit(b"abcdef", [("cut", 2, 0, b"")]) == b"ab"
    assert edit(b"abcdef", [("drop", 2, 3, b"")]) == b"abf"
    assert edit(b"abcdef", [("insert", 2, 1, b"X")]) == b"abXcdef"
    assert edit(b"abcdef", [("replace", 2, 1, b"X")]) == b"abXdef"
    assert edit(b"abc", [("flip", 0, 1, b"")]) == b"\x9ebc"
    assert edit(b"abcd", [("repeat", 1, 2, b"")]) == b"abcbcbcd"
    assert edit(b"ab", [("repeat many times", 0, 2, b"")]) == b"ab" * 20_000
    assert len(edit(b"a" * 20, [("repeat many times", 0, 20, b"")])) == LARGEST


def test_json_is_changed_in_all_its_places():
    tried = []
    good = b'{"a": {"b": [1, 2]}, "c": 3}'
    list(fuzz(Trial(tried.append, damaged_json([good])), inputs=600, seed=0))
    assert any(b'"b": [1' in content and b'"c": 3' not in content for content in tried)
    assert any(b'"c"' not in content and b'": 3' in content for content in tried)
    assert any(b'"c": 3' in content and b'"b": [1, 2]' not in content for content in tried)


def test_the_command_prints_a_table_and_knows_its_targets(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["fuzzing", "post_texts", "--inputs", "20"])
    assert main() == 0
    assert "| post_texts | 20 | 0 |" in capsys.readouterr().out
    monkeypatch.setattr(sys, "argv", ["fuzzing", "nothing"])
    with pytest.raises(SystemExit):
        main()
    assert "unknown nothing; one of label_files" in capsys.readouterr().err
