"""What the README tells people to type is run here, or by CI as it stands."""

import re

import pytest
import yaml
from documented_commands import ROOT, blocks, commands, here, python_here, train
from fabricated_sets import clmlf_ids, write_mvsa_single, write_tumemo
from finished_runs import save_finished_run
from loopback_hub import LoopbackHub, point_client_at
from tiny_models import save_tiny_encoders

from benchmarks.running_space import running_space
from datasets_scripts import EMOTIONS
from hybridsent.bundled.synthetic import write_posts
from hybridsent.cli import COMMANDS as COMMAND_NAMES

README = (ROOT / "README.md").read_text(encoding="utf-8")
COMMANDS = commands(README)
OURS = {name: [c for c in COMMANDS if c[:2] == ["hybridsent", name]] for name in COMMAND_NAMES}
LAUNCHED = [command for command in COMMANDS if command[:2] == ["accelerate", "launch"]]
TRAININGS = [*OURS["train"], *LAUNCHED]
SCORINGS = OURS["predict"]
SIZES = {"train": 6, "validation": 6, "test": 30}
SEEDS = [command for command in TRAININGS if "--seed" in command]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder as `make quickstart` leaves it, on a tiny scale, with the data sets beside it."""
    folder = tmp_path_factory.mktemp("readme")
    (folder / "run_train.py").symlink_to(ROOT / "run_train.py")
    (folder / "configs").symlink_to(ROOT / "configs")
    save_finished_run(folder / "outputs" / "quickstart")
    save_tiny_encoders(folder)
    write_posts(folder / "outputs" / "synthetic-posts", sizes=SIZES)
    fabricate_mvsa_single(folder / "mvsa_single")
    (folder / "tumemo").mkdir()
    write_tumemo(folder / "tumemo", {str(i): EMOTIONS[i % 7] for i in range(70)})
    write_posts(folder / "my_posts", sizes={"train": 12, "validation": 8, "test": 8})
    return folder


def fabricate_mvsa_single(folder):
    """A few made-up posts of every split, of all three classes."""
    folder.mkdir()
    ids = clmlf_ids()
    chosen = [*ids["train"][:40], *ids["validation"][:18], *ids["test"][:18]]
    pairs = ["positive,positive", "neutral,negative", "neutral,neutral", "negative,neutral"]
    labels = {post_id: pairs[n % 4] for n, post_id in enumerate(chosen)}
    write_mvsa_single(folder, {i: f"a happy day {i}".encode() for i in chosen}, labels)


def test_make_targets_exist_and_both_are_run_by_ci():
    targets = {command[1] for command in COMMANDS if command[0] == "make"}
    makefile, ci = (ROOT / "Makefile").read_text(), (ROOT / ".ci" / "run").read_text()
    assert targets == {"quickstart", "test"}
    for target in targets | {"demo"}:
        assert re.search(rf"^{target}:", makefile, flags=re.MULTILINE)
    for target in targets:
        assert f"make {target}" in ci


@pytest.mark.parametrize(
    "command", [c for c in TRAININGS if c not in SEEDS], ids=lambda command: command[-1]
)
def test_training_command_runs(command, folder, tmp_path):
    train(command, folder, output_dir=tmp_path / "out")
    assert (tmp_path / "out" / "model.safetensors").is_file()


def test_commands_of_the_seeds_give_the_table(folder):
    for command in SEEDS:
        train(command, folder)
    (command,) = OURS["card"]
    result = here(command, folder)
    assert result.returncode == 0, result.stderr
    table = [line.split(" | ")[:2] for line in result.stdout.splitlines() if line[0] == "|"]
    rows = [line for line in README.splitlines() if line.startswith("| ") and "±" in line]
    shown = [row.split(" | ")[:2] for row in rows]
    assert table[2:] == shown


def test_every_command_is_of_a_kind_that_is_tested():
    others = [c[0] for c in COMMANDS if c not in LAUNCHED and c[0] != "hybridsent"]
    assert set(others) <= {"make"}
    assert sum(map(len, OURS.values())) + len(LAUNCHED) + len(others) == len(COMMANDS)
    assert all("run_train.py" in command for command in LAUNCHED)


@pytest.fixture(scope="module")
def exported(folder):
    """The folder with what the command of the section on export makes of the model."""
    (command,) = OURS["export"]
    result = here(command, folder)
    assert result.returncode == 0, result.stderr
    assert "agrees with the model on 60 posts" in result.stdout
    return folder


@pytest.mark.parametrize("command", SCORINGS, ids=lambda command: command[-1])
def test_scoring_command_runs(command, folder, request):
    if "--backend" in command:
        request.getfixturevalue("exported")
    result = here(command, folder)
    assert result.returncode == 0, result.stderr
    assert f"Scored {SIZES['test']} posts, 0 with an error" in result.stdout
    assert list((folder / command[-1]).glob("rows-*.parquet"))


def test_data_commands_run(folder):
    chosen = [c for name in ("prepare", "audit") for c in OURS[name] if "synthetic" not in c]
    assert [command[2] for command in chosen] == ["mvsa_single", "prepared/mvsa_single"]
    for command in chosen:
        assert here(command, folder).returncode == 0
    assert (folder / "audit.parquet").is_file()


def test_publishing_commands_run(folder, monkeypatch):
    dry, real = OURS["publish"]
    assert [*dry[:-1], "--private"] == real
    assert dry[-1] == "--dry_run"
    with LoopbackHub(user="USER") as hub:
        point_client_at(hub, monkeypatch)
        assert here(real, folder).returncode == 0
        assert hub.repos["model", "USER/NAME"].private


def test_generating_command_runs(folder, tmp_path):
    (command,) = [c for c in OURS["prepare"] if "synthetic" in c]
    result = here([*command, "--train", "6", "--validation", "6"], tmp_path)
    assert result.returncode == 0, result.stderr
    assert (tmp_path / command[-1] / "train.csv").is_file()


*LOCAL_BLOCKS, CLIENT_BLOCK = blocks(README, "python")


@pytest.mark.parametrize("block", LOCAL_BLOCKS, ids=["pipeline", "classes"])
def test_python_block_runs(block, folder):
    assert python_here(block, folder).strip()


def test_page_is_served_and_called_as_told(folder, tmp_path):
    assert len(OURS["demo"]) == 1
    with running_space(folder / "outputs" / "quickstart", tmp_path / "log") as space:
        block = CLIENT_BLOCK.replace("http://127.0.0.1:7860", space.url)
        assert "'label'" in python_here(block, folder)


def test_showcase_draws_the_image(folder):
    (line,) = re.findall(r"`(hybridsent card .*? --figure .*?)`", README)
    result = here(line.split(), folder)
    assert result.returncode == 0, result.stderr
    assert (folder / "docs" / "quickstart.png").read_bytes().startswith(b"\x89PNG")
    assert (ROOT / "docs" / "quickstart.png").is_file()


def test_help_lists_every_setting_the_recipes_use():
    result = here(["hybridsent", "train", "--help_all"], ROOT)
    assert result.returncode == 0, result.stderr
    for recipe in (ROOT / "hybridsent" / "recipes").glob("*.yaml"):
        for name in yaml.safe_load(recipe.read_text()):
            assert f"--{name}" in result.stdout, (recipe.name, name)


def test_every_file_and_setting_that_is_named_exists():
    for path in re.findall(r"^\| `([\w./]+)`", README, flags=re.MULTILINE):
        if "/" in path or path.endswith((".py", ".md")):
            assert (ROOT / path).exists(), path
    config = (ROOT / "modeling_hybridsent" / "configuration_hybridsent.py").read_text()
    switches = README.split("## How it works")[1].split("## Layout")[0]
    settings = re.findall(r"`(\w+)=", switches)
    assert len(settings) >= 5
    for setting in settings:
        assert f"    {setting}:" in config, setting
