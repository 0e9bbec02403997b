"""Every promise of docs/promises.md and docs/transformers.md has a test that exists."""

import ast
import re

import pytest
from documented_commands import ROOT

PAGES = {
    name: (ROOT / "docs" / f"{name}.md").read_text(encoding="utf-8")
    for name in ("promises", "transformers")
}
HELD = re.compile(r"^\| (\d+) \| .+ \| `(\w+)` in `([\w/.]+)` \|$", re.MULTILINE)
REFUSED = re.compile(r"^\| \D.+ \| `(.+)` \| `(\w+)` in `([\w/.]+)` \|$", re.MULTILINE)
ROWS = [row for page in PAGES.values() for row in HELD.findall(page)]


def source_of(name, file):
    """The code of a test with its decorators, by its name."""
    code = (ROOT / file).read_text(encoding="utf-8")
    functions = [node for node in ast.parse(code).body if isinstance(node, ast.FunctionDef)]
    (found,) = [node for node in functions if node.name == name]
    parts = [*found.decorator_list, found]
    return "\n".join(ast.get_source_segment(code, part) for part in parts)


@pytest.mark.parametrize("page", PAGES)
def test_every_row_is_read_and_no_test_holds_two_promises(page):
    rows = HELD.findall(PAGES[page])
    written = re.findall(r"^\| \d", PAGES[page], re.MULTILINE)
    assert [int(number) for number, _, _ in rows] == list(range(1, len(written) + 1))
    assert len(rows) > 20
    assert len({(name, file) for _, name, file in rows}) == len(rows)


@pytest.mark.parametrize(("number", "name", "file"), ROWS)
def test_its_test_exists(number, name, file):
    assert source_of(name, file)


def test_what_is_refused_is_refused_in_these_words():
    page = PAGES["transformers"]
    rows = REFUSED.findall(page)
    assert len(rows) == page.count("` in `") - len(HELD.findall(page))
    for words, name, file in rows:
        assert words in source_of(name, file), words
