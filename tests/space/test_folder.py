"""The folder that `hybridsent demo --write_to` writes needs nothing of this checkout."""

import ast
import math
import re
import sys
from pathlib import Path

import pytest
import yaml
from hostile_pictures import encoded
from isolated_python import run_isolated
from packaging.requirements import Requirement
from PIL import Image

from hybridsent.cli import main
from hybridsent_space.about import api_markdown
from hybridsent_space.limits import MESSAGES, limits_markdown, message_of
from hybridsent_space.page import EXAMPLES, read_examples
from hybridsent_space.posts import RefusedError, check_image
from hybridsent_space.settings import Settings

SPACE = Path(__file__).parents[2] / "space"
# Modules whose distribution has another name; starlette and python_multipart come with gradio; spaces
# only on the Hub;
# openvino is for servers that are given an exported model; the last two are written beside.
NAMED = {"PIL": "pillow", "huggingface_hub": "huggingface-hub"}
GIVEN = {"gradio", "python_multipart", "starlette", "spaces", "openvino", "hybridsent_space"}
GIVEN |= {"datasets_scripts", "modeling_hybridsent"}


def imported():
    found = set()
    for file in SPACE.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                found |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.level == 0:
                found.add(node.module.split(".")[0])
    return found - set(sys.stdlib_module_names)


def requirements(lines):
    return {Requirement(line).name: Requirement(line).specifier for line in lines if line.strip()}


def test_every_import_is_required_and_none_is_ours():
    named = requirements((SPACE / "requirements.txt").read_text().splitlines())
    needed = {NAMED.get(name, name) for name in imported() - GIVEN}
    assert needed <= set(named)
    indirect = {"safetensors", "timm", "torchvision"}  # transformers asks for them, by model
    assert set(named) == needed | indirect | {"gradio"}  # given, too, but perhaps without mcp


def test_it_works_where_the_project_is_not_installed(tmp_path):
    """The copies are namespace packages: installed packages win over them."""
    page = tmp_path / "page"
    assert main(["demo", "--write_to", str(page)]) == 0
    assert main(["demo", "--write_to", str(page)]) == 1  # it is there already
    code = f"""
import sys
sys.path.insert(0, {str(page)!r})
from pathlib import Path
from hybridsent_space.page import build_page
from hybridsent_space.settings import Settings
from hybridsent_space.table_files import open_upload
from hybridsent_space.wording import as_json
Path("a.csv").write_text("PK;text\\n1;hello, there\\n")
with open_upload(Path("a.csv"), Settings()) as table:
    assert [row.text for row in table.rows] == ["hello, there"]
for name in ("datasets_scripts.intake", "modeling_hybridsent.answers_hybridsent"):
    assert sys.modules[name].__file__.startswith({str(page)!r}), name
assert sys.modules["modeling_hybridsent"].__file__ is None
"""
    result = run_isolated(code, tmp_path)
    assert result.returncode == 0, result.stderr


def test_the_header_is_what_the_hub_reads():
    header = yaml.safe_load((SPACE / "README.md").read_text(encoding="utf-8").split("---")[1])
    assert header["sdk"] == "gradio"
    extra = re.search(r'"(gradio.*?)"', (SPACE.parent / "pyproject.toml").read_text())[1]
    assert header["sdk_version"] in Requirement(extra).specifier
    assert (SPACE / header["app_file"]).is_file()
    assert len(header["short_description"]) <= 60


def test_the_table_of_limits_is_that_of_the_settings():
    lines = re.findall(r"\| `max_\w+` \|.*", (SPACE / "README.md").read_text())
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines]
    shown = [f"| {' | '.join(row[:3])} |" for row in cells]
    assert shown == limits_markdown(Settings()).splitlines()[2:]
    assert {row[0].strip("`") for row in cells} == {k for k in vars(Settings()) if k[:4] == "max_"}
    tests = "".join(file.read_text() for file in Path(__file__).parent.glob("test_*.py"))
    for name, *_, test in cells:
        assert test == "none" or f"def {test.strip('`')}(" in tests, name


def test_the_tab_api_lists_the_limits_of_its_server():
    told = api_markdown(Settings(max_table_rows=7))
    assert limits_markdown(Settings(max_table_rows=7)) in told
    assert "| `max_table_rows` | 7 | The table has more than 7 rows. Split it. |" in told


def test_the_messages_of_others_are_as_listed():
    """Those of images come from the model's code, which does not know the page's list."""
    settings = Settings(max_image_pixels=50, max_image_ratio=2)
    for size, ratio in (((9, 8), math.inf), ((9, 1), 2.0)):
        name = "max_image_ratio" if ratio == 2 else "max_image_pixels"
        listed = message_of(name, getattr(settings, name), f"{size[0]} x {size[1]}")
        with pytest.raises(RefusedError) as refused:
            check_image(encoded(Image.new("RGB", size), "PNG"), settings, ratio)
        assert str(refused.value) == listed


def test_no_message_of_a_limit_names_another():
    for name in MESSAGES:
        assert set(re.findall(r"max_\w+", message_of(name, 7))) <= {name}


def test_examples_are_there_and_small():
    examples = read_examples()
    assert {(text is None, picture is None) for text, picture in examples} == {
        (False, False),
        (False, True),
        (True, False),
    }
    assert all(Path(picture).is_file() for _, picture in examples if picture)
    assert sum(file.stat().st_size for file in EXAMPLES.iterdir()) < 100_000
