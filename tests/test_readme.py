"""What the README tells people to type is run here, or by CI as it stands."""

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from tiny_models import picture, save_tiny, save_tiny_encoders

from quickstart.posts import write_posts

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BIN = Path(sys.executable).parent
PRESENT = 40  # posts of a fabricated MVSA-Single that are on disk


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", README, flags=re.DOTALL)


COMMANDS = [
    shlex.split(line, comments=True) for block in blocks("bash") for line in block.splitlines()
]
TRAININGS = [command for command in COMMANDS if command[:2] == ["accelerate", "launch"]]
SEEDS = [command for command in TRAININGS if "--seed" in command]


def run(command, folder):
    return subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder as `make quickstart` leaves it, on a tiny scale, with the data sets beside it."""
    folder = tmp_path_factory.mktemp("readme")
    (folder / "run_train.py").symlink_to(ROOT / "run_train.py")
    (folder / "configs").symlink_to(ROOT / "configs")
    save_tiny(folder / "outputs" / "quickstart")
    save_tiny_encoders(folder)
    write_posts(folder / "outputs" / "synthetic-posts")
    fabricate_mvsa_single(folder / "mvsa_single")
    write_posts(folder / "my_posts", sizes={"train": 12, "validation": 8, "test": 8})
    return folder


def fabricate_mvsa_single(folder):
    """The published layout with the published ids, made-up labels and a few made-up posts."""
    splits = json.loads((ROOT / "datasets_scripts/splits/mvsa_single_clmlf.json").read_text())
    ids = [int(i) for name in ("train", "validation", "test") for i in splits[name]]
    labels = ["positive,positive", "neutral,negative", "neutral,neutral", "negative,neutral"]
    rows = [f"{i}\t{labels[n % 4]}" for n, i in enumerate(ids)]
    (folder / "data").mkdir(parents=True)
    (folder / "labelResultAll.txt").write_text("\n".join(["ID\ttext,image", *rows]) + "\n")
    some = [ids[0], ids[1], *splits["validation"], *splits["test"]][: PRESENT // 2]
    for i in {*ids[:PRESENT], *map(int, some)}:
        (folder / "data" / f"{i}.txt").write_text("a happy day\n")
        picture(i).save(folder / "data" / f"{i}.jpg")


def test_make_targets_exist_and_both_are_run_by_ci():
    targets = {command[1] for command in COMMANDS if command[0] == "make"}
    makefile, ci = (ROOT / "Makefile").read_text(), (ROOT / ".ci" / "run").read_text()
    assert targets == {"quickstart", "test"}
    for target in targets | {"demo"}:
        assert re.search(rf"^{target}:", makefile, flags=re.MULTILINE)
    for target in targets:
        assert f"make {target}" in ci


def train(command, folder, **overrides):
    """Run a training command of the README as it stands, on tiny encoders."""
    tiny = {
        "text_encoder": folder / "text",
        "vision_encoder": folder / "vision",
        "model_config": '{"hidden_size": 16, "intermediate_size": 24, "recurrent_hidden_size": 6}',
        "max_steps": 2,
        "bf16": "false",
        **overrides,
    }
    extra = [str(part) for name, value in tiny.items() for part in (f"--{name}", value)]
    result = run([str(BIN / command[0]), *command[1:], *extra], folder)
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize(
    "command", [c for c in TRAININGS if c not in SEEDS], ids=lambda command: command[3]
)
def test_training_command_runs(command, folder, tmp_path):
    train(command, folder, output_dir=tmp_path / "out")
    assert (tmp_path / "out" / "model.safetensors").is_file()


def test_commands_of_the_seeds_give_the_table(folder):
    for command in SEEDS:
        train(command, folder)
    (command,) = [c for c in COMMANDS if "training_hybridsent.over_seeds" in c]
    result = run([sys.executable, *command[1:]], folder)
    assert result.returncode == 0, result.stderr
    table = [line.split(" | ")[:2] for line in result.stdout.splitlines()]
    rows = [line for line in README.splitlines() if line.startswith("| ") and "±" in line]
    shown = [row.split(" | ")[:2] for row in rows]
    assert table[2:] == shown


def test_generating_command_runs(folder, tmp_path):
    (command,) = [c for c in COMMANDS if c[:3] == ["python", "-m", "quickstart.posts"]]
    result = run([sys.executable, *command[1:], "--train", "6", "--validation", "6"], tmp_path)
    assert result.returncode == 0, result.stderr
    assert (tmp_path / command[-1] / "train.csv").is_file()


@pytest.mark.parametrize("block", blocks("python"), ids=["pipeline", "classes"])
def test_python_block_runs(block, folder):
    result = run([sys.executable, "-c", block], folder)
    assert result.returncode == 0, result.stderr
    assert result.stdout.strip()


def test_showcase_draws_the_picture(folder):
    result = run([sys.executable, "-m", "training_hybridsent.showcase"], folder)
    assert result.returncode == 0, result.stderr
    assert (folder / "docs" / "quickstart.png").read_bytes().startswith(b"\x89PNG")
    assert (ROOT / "docs" / "quickstart.png").is_file()


def test_help_lists_every_setting_the_recipes_use():
    result = run([sys.executable, "run_train.py", "--help"], ROOT)
    assert result.returncode == 0, result.stderr
    for recipe in (ROOT / "configs").glob("*.yaml"):
        for name in yaml.safe_load(recipe.read_text()):
            assert f"--{name}" in result.stdout, (recipe.name, name)


def test_every_file_and_setting_that_is_named_exists():
    for path in re.findall(r"^\| `([\w./]+)`", README, flags=re.MULTILINE):
        if "/" in path or path.endswith((".py", ".md")):
            assert (ROOT / path).exists(), path
    config = (ROOT / "modeling_hybridsent" / "configuration_hybridsent.py").read_text()
    for setting in re.findall(r"`(\w+)=", README):
        if setting != "trust_remote_code":
            assert f"    {setting}:" in config, setting
