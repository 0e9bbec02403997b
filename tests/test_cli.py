"""The command `hybridsent` and the package's names: light until something is asked of them."""

import sys

import pytest
from documented_commands import BIN, ROOT, run

import hybridsent
from hybridsent.cli import COMMANDS, main
from hybridsent.scoring import answers, arguments, backends

HEAVY = {"torch", "transformers", "datasets", "evaluate", "matplotlib", "sklearn"}


def test_the_package_gives_its_names_when_asked():
    assert set(hybridsent.__all__) <= set(dir(hybridsent))
    for name in hybridsent.__all__:
        assert getattr(hybridsent, name) is not None
    assert hybridsent.bundled_encoder("user/encoder") == "user/encoder"
    with pytest.raises(AttributeError, match="no attribute 'trainer'"):
        hybridsent.trainer  # noqa: B018


def loaded_by(code):
    """The heavy packages that a process has loaded once it has run some code, and its output."""
    code += f"\nimport sys; print(sorted({HEAVY} & set(sys.modules)))"
    result = run([sys.executable, "-c", code])
    assert result.returncode == 0, result.stderr
    return result.stdout.splitlines()


def test_importing_the_package_loads_nothing_heavy():
    assert loaded_by("import hybridsent; dir(hybridsent)") == ["[]"]


def test_help_lists_the_commands_and_loads_nothing_heavy():
    *lines, heavy = loaded_by("from hybridsent.cli import main; main(['--help'])")
    listed = [line.split()[0] for line in lines if line.startswith("  ")]
    assert (tuple(listed), heavy) == (COMMANDS, "[]")


def test_help_of_every_command_shows_two_examples_and_loads_nothing_heavy():
    code = f"""
from contextlib import suppress
from hybridsent.cli import main
for name in {COMMANDS}:
    with suppress(SystemExit):
        main([name, "--help"])"""
    *lines, heavy = loaded_by(code)
    assert heavy == "[]"
    for name in COMMANDS:
        examples = [line for line in lines if line.startswith(f"hybridsent {name}")]
        assert len(examples) == 2, name


def test_the_choices_of_predict_are_those_of_the_code():
    assert tuple(answers.CHOICES) == arguments.COLUMNS
    assert tuple(backends.DTYPES) == arguments.DTYPES
    assert set(arguments.BACKENDS) == set(backends.BACKENDS)


@pytest.mark.parametrize(
    ("words", "status", "message"),
    [
        (["trian"], 2, "hybridsent has no command 'trian': give one of train, predict"),
        (["train", "mvsa-single"], 1, "No recipe 'mvsa-single': give a YAML file, or one of mvsa_"),
        (["audit", "absent"], 1, "absent"),
        (["card", "absent"], 1, "absent/metrics.json"),
    ],
)
def test_a_mistake_is_one_message(words, status, message, capsys):
    assert main(words) == status
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert message in error


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--concurrency", "3"], "--concurrency is for a cluster: add --ray, or leave it out."),
        (["--ray", "--split", "test"], "--split does not go with --ray"),
        (["--batch_size", "0"], "--batch_size 0: give a positive whole number."),
    ],
)
def test_settings_of_predict_that_do_not_fit_are_named(words, message, capsys):
    with pytest.raises(SystemExit, match="2"):
        main(["predict", "--model", "m", "--input", "i", "--output", "o", *words])
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    "command",
    [
        (sys.executable, "-m", "hybridsent"),
        (BIN / "accelerate", "launch", "--num_processes", "1", "-m", "hybridsent"),
        (sys.executable, ROOT / "run_predict.py"),
    ],
    ids=["module", "launched", "script"],
)
def test_it_starts_in_every_way(command, tmp_path):
    words = () if command[1] == ROOT / "run_predict.py" else ("predict",)
    result = run([*command, *words, "--help"], tmp_path)
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith("usage: hybridsent predict")


@pytest.mark.parametrize(
    ("before", "message"),
    [
        ("sys.modules['gradio'] = None", "Type: pip install 'hybridsent[space]'"),
        ("", "The page cannot be served: 'absent' is not a folder here"),
    ],
)
def test_a_page_that_cannot_be_served_is_one_message(before, message, tmp_path):
    code = f"import sys; {before or 'pass'}; from hybridsent.cli import main; sys.exit(main())"
    words = ["demo", "--model", "absent"]
    result = run([sys.executable, "-c", code, *words], tmp_path)
    assert result.returncode == 1
    assert message in result.stderr
    assert "Traceback" not in result.stderr
