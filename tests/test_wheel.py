"""The wheel: three top-level names, every file that the checkout has of them, and no warning."""

import os
import shutil
import subprocess
import sys
import zipfile

import pytest
from documented_commands import ROOT

TOP = {"hybridsent", "modeling_hybridsent", "datasets_scripts"}
LEFT_OUT = shutil.ignore_patterns("__pycache__", "*.pyc")


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """A copy of what is built, the wheel's names, and what building it printed."""
    folder = tmp_path_factory.mktemp("wheel")
    for name in (*TOP, "space"):
        shutil.copytree(ROOT / name, folder / name, ignore=LEFT_OUT)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copyfile(ROOT / name, folder / name)
    offline = ["--no-deps", "--no-build-isolation", "--no-index", "--verbose"]
    environment = {name: v for name, v in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    result = subprocess.run(
        [sys.executable, "-m", "pip", "wheel", *offline, "--wheel-dir", "out", "."],
        cwd=folder, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert result.returncode == 0, result.stdout
    (wheel,) = (folder / "out").iterdir()
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    return folder, names, result.stdout + result.stderr


def test_three_names_are_installed_and_one_command(built):
    _, names, _ = built
    top = {name.split("/")[0] for name in names}
    assert {name for name in top if not name.endswith(".dist-info")} == TOP


def test_every_file_of_the_packages_and_of_the_page_is_there(built):
    folder, names, _ = built
    for name in (*TOP, "space"):
        inside = "hybridsent/" if name == "space" else ""
        files = {file for file in (folder / name).rglob("*") if file.is_file()}
        wanted = {f"{inside}{file.relative_to(folder).as_posix()}" for file in files}
        assert wanted <= names
    assert "hybridsent/space/hybridsent_space/style.css" in names


def test_building_prints_no_warning(built):
    printed = built[2].lower()
    for word in ("warning", "deprecat", "would be ignored"):
        assert word not in printed
