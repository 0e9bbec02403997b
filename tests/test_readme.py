"""What README and the pages on training, scoring, export and publishing say to type is run here."""

import re

import pandas as pd
import pytest
import yaml
from documented_commands import BIN, ROOT, blocks, commands, here, python_here, run, train
from fabricated_sets import clmlf_ids, write_mvsa_single, write_tumemo
from finished_runs import save_finished_run
from loopback_hub import LoopbackHub, point_client_at
from pages import PAGES
from tiny_models import save_tiny_encoders

from benchmarks.running_space import running_space
from datasets_scripts import EMOTIONS
from hybridsent.bundled.synthetic import write_posts
from hybridsent.cli import COMMANDS as COMMAND_NAMES

README = PAGES["README.md"]
TEXT = "\n".join(
    [
        README,
        *(PAGES[f"docs/{name}.md"] for name in ("training", "scoring", "export", "publishing")),
    ]
)
COMMANDS = [list(command) for command in dict.fromkeys(map(tuple, commands(TEXT)))]  # each once
OURS = {name: [c for c in COMMANDS if c[:2] == ["hybridsent", name]] for name in COMMAND_NAMES}
LAUNCHED = [command for command in COMMANDS if command[:2] == ["accelerate", "launch"]]
# Run by test_problem_types.py and training/test_search.py, on posts that suit them.
OF_OTHER_TESTS = {"--dataset_options", "--hyperparameter_search"}
TRAININGS = [c for c in OURS["train"] if not OF_OTHER_TESTS & {*c}]
TRAININGS += [c for c in LAUNCHED if "run_train.py" in c]
SCORINGS = OURS["predict"]
SIZES = {"train": 6, "validation": 6, "test": 30}
SEEDS = [command for command in TRAININGS if "--seed" in command]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder as `make quickstart` leaves it, on a tiny scale, with the data sets beside it."""
    folder = tmp_path_factory.mktemp("readme")
    for name in ("run_train.py", "run_predict.py", "configs"):
        (folder / name).symlink_to(ROOT / name)
    for name in ("quickstart", "posts", "mine"):
        save_finished_run(folder / "outputs" / name)
    save_tiny_encoders(folder)
    write_posts(folder / "outputs" / "synthetic-posts", sizes=SIZES)
    fabricate_mvsa_single(folder / "mvsa_single")
    (folder / "tumemo").mkdir()
    write_tumemo(folder / "tumemo", {str(i): EMOTIONS[i % 7] for i in range(70)})
    for name in ("my_posts", "labelled"):
        write_posts(folder / name, sizes={"train": 12, "validation": 8, "test": 8})
    write_own_posts(folder)
    return folder


def write_own_posts(folder):
    """`posts.csv` with images beside it, as a user's own."""
    posts = pd.read_csv(folder / "outputs" / "synthetic-posts" / "test.csv")
    images = "outputs/synthetic-posts/" + posts["image"]
    posts.assign(image=images).drop(columns="label").to_csv(folder / "posts.csv", index=False)


def fabricate_mvsa_single(folder):
    """A few made-up posts of every split, of all three classes."""
    folder.mkdir()
    ids = clmlf_ids()
    chosen = [*ids["train"][:40], *ids["validation"][:18], *ids["test"][:18]]
    pairs = ["positive,positive", "neutral,negative", "neutral,neutral", "negative,neutral"]
    labels = {post_id: pairs[n % 4] for n, post_id in enumerate(chosen)}
    write_mvsa_single(folder, {i: f"a happy day {i}".encode() for i in chosen}, labels)


def test_make_targets_exist_and_both_are_run_by_ci():
    targets = set(re.findall(r"(?:^|`|: )make (\w+)", README, flags=re.MULTILINE))
    makefile, ci = (ROOT / "Makefile").read_text(), (ROOT / ".ci" / "run").read_text()
    assert targets == {"quickstart", "test", "demo"}
    for target in targets:
        assert re.search(rf"^{target}:", makefile, flags=re.MULTILINE)
    for target in targets - {"demo"}:
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
    inputs = "| text only |", "| image only |", "| both |"
    rows = [line for line in TEXT.splitlines() if line.startswith(inputs) and "±" in line]
    shown = [row.split(" | ")[:2] for row in rows]
    assert table[2:] == shown


def test_every_command_is_of_a_kind_that_is_tested():
    others = [c[0] for c in COMMANDS if c not in LAUNCHED and c[0] != "hybridsent"]
    assert set(others) <= {"make", ".", "uv", "hf"}  # test_wheel.py runs uv
    assert sum(map(len, OURS.values())) + len(LAUNCHED) + len(others) == len(COMMANDS)
    scripts = [{"run_train.py", "run_predict.py"} & {*command} for command in LAUNCHED]
    assert all(scripts)


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


def test_scoring_goes_on_with_two_processes(folder):
    (command,) = [c for c in LAUNCHED if "run_predict.py" in c]
    (alone,) = [c for c in SCORINGS if c[-1] == command[-1]]
    assert alone[2:] == command[-len(alone[2:]) :]
    assert here(alone, folder).returncode == 0
    (half,) = (folder / command[-1]).glob("rows-*.parquet")
    half.unlink()  # as a kill would leave it
    result = run([BIN / command[0], *command[1:]], folder)
    assert result.returncode == 0, result.stderr
    assert half.is_file()


def test_publishing_commands_run(folder, monkeypatch):
    mine, dry, real = OURS["publish"]
    assert [*dry[:-1], "--private"] == real
    assert mine == [word.replace("quickstart", "posts") for word in dry]
    assert dry[-1] == "--dry_run"
    listed = here(mine, folder)  # no Hub is there
    assert listed.returncode == 0, listed.stderr
    assert "model.safetensors" in listed.stdout
    with LoopbackHub(user="USER") as hub:
        point_client_at(hub, monkeypatch)
        assert here(real, folder).returncode == 0
        assert hub.repos["model", "USER/NAME"].private


@pytest.mark.parametrize("command", OURS["evaluate"], ids=lambda command: command[2])
def test_evaluating_command_runs(command, folder):
    result = here(command, folder)
    assert result.returncode == 0, result.stderr
    assert "both | decision" in result.stdout


def test_generating_command_runs(folder, tmp_path):
    (command,) = [c for c in OURS["prepare"] if "synthetic" in c]
    result = here([*command, "--train", "6", "--validation", "6"], tmp_path)
    assert result.returncode == 0, result.stderr
    assert (tmp_path / command[-1] / "train.csv").is_file()


# That of publishing.md is run by publishing/test_hosted_files.py.
*LOCAL_BLOCKS, CLIENT_BLOCK = blocks(README + PAGES["docs/scoring.md"], "python")


def score_what_is_read(block, folder):
    """Run the commands that write what a block reads."""
    for command in SCORINGS:
        if f'"{command[-1]}' in block:
            assert here(command, folder).returncode == 0


BLOCKS = ["README", "pipeline", "classes", "answers", "doubtful", "coverage", "explanation"]


@pytest.mark.parametrize("block", LOCAL_BLOCKS, ids=BLOCKS)
def test_python_block_runs(block, folder):
    score_what_is_read(block, folder)
    assert python_here(block, folder).strip()


CODE = r"```{}\n((?:(?!```).)*)```"
SHOWN = re.findall(CODE.format("python") + r"\n\n" + CODE.format("text"), TEXT, flags=re.DOTALL)


@pytest.mark.parametrize(("block", "shown"), SHOWN, ids=["README", "answers"])
def test_output_that_is_shown_has_the_form_of_what_is_printed(block, shown, folder):
    score_what_is_read(block, folder)
    labels = r"\b(negative|neutral|positive)\b|\d\.\d+"  # and figures, which the tiny model changes
    forms = [re.sub(labels, "_", output) for output in (shown, python_here(block, folder))]
    assert forms[0] == forms[1]


def test_page_is_served_and_called_as_told(folder, tmp_path):
    assert len(OURS["demo"]) == 1
    with running_space(folder / "outputs" / "quickstart", tmp_path / "log") as space:
        block = CLIENT_BLOCK.replace("http://127.0.0.1:7860", space.url)
        assert "'label'" in python_here(block, folder)


def test_showcase_draws_the_image(folder):
    (line,) = re.findall(r"`(hybridsent card .*? --figure .*?)`", TEXT)
    result = here(line.split(), folder)
    assert result.returncode == 0, result.stderr
    assert (folder / "outputs" / "posts.png").read_bytes().startswith(b"\x89PNG")


def test_help_lists_every_setting_the_recipes_use():
    result = here(["hybridsent", "train", "--help_all"], ROOT)
    assert result.returncode == 0, result.stderr
    for recipe in (ROOT / "hybridsent" / "recipes").glob("*.yaml"):
        for name in yaml.safe_load(recipe.read_text()):
            assert f"--{name}" in result.stdout, (recipe.name, name)


def test_every_setting_that_is_named_exists():
    config = (ROOT / "modeling_hybridsent" / "configuration_hybridsent.py").read_text()
    switches = README.split("## How it works")[1].split("## Limits")[0]
    settings = re.findall(r"`(\w+)=", switches)
    assert len(settings) >= 5
    for setting in settings:
        assert f"    {setting}:" in config, setting
