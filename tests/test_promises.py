"""Every promise of docs/promises.md has a test that exists, and one of its own."""

import ast
import re

import pytest
from documented_commands import ROOT

PAGE = (ROOT / "docs" / "promises.md").read_text(encoding="utf-8")
ROWS = re.findall(r"^\| (\d+) \| .+ \| `(\w+)` in `([\w/.]+)` \|$", PAGE, re.MULTILINE)


def test_every_row_is_read_and_no_test_holds_two_promises():
    numbers = [int(number) for number, _, _ in ROWS]
    assert numbers == list(range(1, len(re.findall(r"^\| \d", PAGE, re.MULTILINE)) + 1))
    assert len(ROWS) > 20
    assert len({(name, file) for _, name, file in ROWS}) == len(ROWS)


@pytest.mark.parametrize(("number", "name", "file"), ROWS)
def test_its_test_exists(number, name, file):
    tests = ast.parse((ROOT / file).read_text(encoding="utf-8")).body
    assert name in {node.name for node in tests if isinstance(node, ast.FunctionDef)}
