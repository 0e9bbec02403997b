"""Every promise has a test that exists, and a break that can still be made."""

import ast
from collections import Counter
from pathlib import Path

import pytest

from quality.__main__ import broken, table
from quality.promises import PROMISES

ROOT = Path(__file__).parents[1]


def test_the_page_has_the_table_of_all_promises():
    assert table() in (ROOT / "docs" / "promises.md").read_text()


@pytest.mark.parametrize("promise", PROMISES, ids=lambda promise: promise.test.partition("::")[2])
def test_its_test_exists_and_its_break_can_be_made(promise):
    file, _, name = promise.test.partition("::")
    tests = ast.parse((ROOT / file).read_text()).body
    assert name in {node.name for node in tests if isinstance(node, ast.FunctionDef)}
    changed = broken(promise, ROOT)
    ast.parse(changed)
    assert changed != (ROOT / promise.file).read_text()


def test_no_test_holds_two_promises():
    assert max(Counter(promise.test for promise in PROMISES).values()) == 1
