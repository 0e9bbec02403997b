"""The wheel: three top-level names, every file that the checkout has of them, and no warning.

And the scripts that name it as their only requirement start without a clone.
"""

import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from importlib.metadata import requires, version
from pathlib import Path

import pytest
from documented_commands import BIN, ROOT
from packaging.requirements import Requirement
from tiny_runs import write_recipe

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


def write_stand_ins(folder):
    """Write wheels of what the package requires: each has its version, and all share what is here."""
    here = sysconfig.get_path("purelib")
    every = map(Requirement, requires("hybridsent"))
    wanted = {r.name for r in every if not r.marker or r.marker.evaluate({"extra": "quickstart"})}
    for name in wanted:
        stem = f"{name.lower().replace('-', '_')}-{version(name)}"
        with zipfile.ZipFile(folder / f"{stem}-py3-none-any.whl", "w") as wheel:
            about = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version(name)}\n"
            kind = (
                "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
            )
            wheel.writestr(f"{stem}.dist-info/METADATA", about)
            wheel.writestr(f"{stem}.dist-info/WHEEL", kind)
            wheel.writestr(f"{stem}.dist-info/RECORD", "")
            wheel.writestr("what_is_here.pth", here)


@pytest.mark.skipif(not (BIN / "uv").exists(), reason="needs uv: pip install 'hybridsent[gates]'")
def test_uv_runs_both_scripts_without_a_clone(built, tmp_path):
    """uv reads their headers, resolves them and installs our wheel; `make dist` does it with all."""
    wheels, there = tmp_path / "wheels", tmp_path / "there"
    wheels.mkdir()
    there.mkdir()
    (wheel,) = (built[0] / "out").iterdir()
    shutil.copy(wheel, wheels)
    write_stand_ins(wheels)
    recipe = write_recipe(tmp_path)
    for name in ("run_train.py", "run_predict.py"):
        shutil.copy(ROOT / name, there)
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"} | {
        "UV_CACHE_DIR": str(tmp_path / "cache"), "UV_FIND_LINKS": str(wheels), "UV_NO_INDEX": "1",
        "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1",
    }  # fmt: skip

    def uv_run(script, *words):
        command = [BIN / "uv", "run", "--offline", "--python", sys.executable, script, *words]
        result = subprocess.run(
            [*map(str, command)],
            cwd=there,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert result.returncode == 0, result.stderr
        return result

    trained = uv_run("run_train.py", recipe, "--output_dir", "out", "--max_steps", 1)
    assert f"Installed {len(list(wheels.iterdir()))} packages" in trained.stderr
    assert "| both | decision |" in trained.stdout
    table = tmp_path / "posts" / "test.csv"
    given = ("--model", "out", "--input", table, "--num_workers", 0)
    uv_run("run_predict.py", *given, "--output", "answers")
    assert [*Path(there, "answers").glob("*.parquet")]
