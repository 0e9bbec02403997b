"""The floors of pyproject.toml are read in full, agree with the Space's, and leave no major open."""

import pytest
from documented_commands import ROOT
from packaging.requirements import Requirement

from quality.oldest_versions import main, oldest_versions

PYPROJECT = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
# Libraries whose next major version has broken every user before.
BOUNDED = ("accelerate", "datasets", "gradio", "huggingface-hub", "numpy", "timm", "torch")
BOUNDED = (*BOUNDED, "transformers")


def requirements():
    """All requirements that stand in quotes in pyproject.toml."""
    lines = [line.split("#")[0] for line in PYPROJECT.split("[tool.", 1)[0].splitlines()]
    quoted = [part for line in lines for part in line.split('"')[1::2] if ">=" in part]
    return [Requirement(text) for text in quoted if not text.startswith(">=")]


def test_every_requirement_has_a_floor_and_each_is_found():
    found = oldest_versions(PYPROJECT)
    assert len(found) > 30
    assert {r.name for r in requirements()} == set(found)
    for requirement in requirements():
        assert requirement.specifier.contains(found[requirement.name]), requirement


def test_two_floors_of_one_distribution_are_refused():
    with pytest.raises(ValueError, match="numpy has two floors: 1 and 2"):
        oldest_versions('["numpy>=1"]\n["numpy[extra]>=2,<3"]')


def test_a_major_version_that_nobody_has_tried_is_not_installed():
    specifiers = {r.name: r.specifier for r in requirements()}
    floors = oldest_versions(PYPROJECT)
    for name in BOUNDED:
        following = int(floors[name].split(".")[0]) + 1
        assert f"{following}.0" not in specifiers[name], name


def test_the_space_asks_for_the_same_floors():
    lines = (ROOT / "space" / "requirements.txt").read_text(encoding="utf-8").splitlines()
    ours = oldest_versions(PYPROJECT)
    for name, version in oldest_versions("".join(f'"{line}"' for line in lines)).items():
        assert version == ours[name], name


def test_the_constraints_are_printed_one_a_line(monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    main()
    printed = capsys.readouterr().out.splitlines()
    assert f"torch=={oldest_versions(PYPROJECT)['torch']}" in printed
    assert len(printed) == len(oldest_versions(PYPROJECT))
