"""The pages of the documentation, and their paragraphs and sentences as a reader meets them."""

import re
import textwrap

from documented_commands import ROOT

PAGES = {
    file.relative_to(ROOT).as_posix(): file.read_text(encoding="utf-8")
    for file in (
        *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")),
        *sorted((ROOT / "docs").glob("*.md")),
        ROOT / "space" / "README.md",
    )
}
LINE = 120  # characters of a line, however the source is wrapped
NOT_PROSE = re.compile(r"\A---\n.*?\n---\n|^ *```.*?^ *```$|^#.*?$", re.DOTALL | re.MULTILINE)
ITEM = re.compile(r"^ *(?:[-*]|\d+\.) +", re.MULTILINE)
END = re.compile(r"(?<=[.!?])[)\"'*_`]*\s+")


def paragraphs(text):
    """The paragraphs of a page: also each item of a list and each cell of a table."""
    text = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", NOT_PROSE.sub("\n\n", text))
    rows = re.findall(r"^ *\|.*$", text, re.MULTILINE)
    cells = [cell for row in rows for cell in row.split(" | ")]
    blocks = re.split(r"\n\s*\n", ITEM.sub("\n\n", re.sub(r"^ *\|.*$", "\n", text, flags=re.M)))
    return [found for block in [*blocks, *cells] if (found := " ".join(block.split()))]


def lines(paragraph):
    """How many lines a paragraph fills."""
    return len(textwrap.wrap(paragraph, LINE))


def words(sentence):
    """How many words a sentence has: what has a letter or a digit."""
    return sum(any(map(str.isalnum, word)) for word in sentence.split())


def sentences(text):
    """The sentences of a page."""
    return [sentence for paragraph in paragraphs(text) for sentence in END.split(paragraph)]
