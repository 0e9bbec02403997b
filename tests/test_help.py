"""README, docs and `--help` are held to each other: no option is told of that its command lacks."""

import re
import runpy
import sys
from contextlib import redirect_stdout
from functools import cache
from io import StringIO

import pytest
from documented_commands import ROOT, commands

PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
OPTION = re.compile(r"--[a-z][a-z_0-9-]*")
SUBCOMMANDS = ("mvsa_single", "mvsa_multiple", "tumemo", "posts", "audit")
# Of accelerate, torchrun, pip and git, not of ours.
OF_OTHERS = {"--config_file", "--num_processes", "--num_machines", "--machine_rank"}
OF_OTHERS |= {"--main_process_ip", "--main_process_port", "--multi_gpu", "--quiet"}
OF_OTHERS |= {"--require-hashes", "--sign", "--verify"}


def program(command):
    """The program of ours in a documented command and the words before its options, or None."""
    for place, word in enumerate(command):
        if word.endswith(".py") and (ROOT / word).is_file():
            return (word,)
        if word == "-m" and (ROOT / command[place + 1].split(".")[0]).is_dir():
            name, after = command[place + 1], command[place + 2 : place + 3]
            return (name, *after) if name == "datasets_scripts" else (name,)
    return None


def documented():
    """Each documented program of ours -> the options that the pages give it."""
    found = {}
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        inline = re.findall(r"`(python -m \w[^`]+)`", text)
        for command in commands(text) + [line.split() for line in inline]:
            if told := program(command):
                given = {word.split("=")[0] for word in command if OPTION.match(word)} - OF_OTHERS
                found.setdefault(told, set()).update(given)
    return {told: options for told, options in found.items() if told[0] != "space/app.py"}


DOCUMENTED = documented()


@cache
def options_of(told):
    """The options that a program's `--help` prints."""
    name, *subcommand = told
    start = runpy.run_path if name.endswith(".py") else runpy.run_module
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(StringIO()) as printed:
        patch.setattr(sys, "argv", [name, *subcommand, "--help"])
        with pytest.raises(SystemExit) as end:
            start(str(ROOT / name) if name.endswith(".py") else name, run_name="__main__")
    assert not end.value.code
    return set(OPTION.findall(printed.getvalue()))


@pytest.mark.parametrize("told", DOCUMENTED, ids=" ".join)
def test_every_option_of_a_documented_command_is_in_its_help(told):
    assert "--help" in options_of(told)
    known = options_of(told)
    if told == ("benchmarks.throughput",):  # hands what is not its own on to the training
        known = known | options_of(("run_train.py",))
    assert DOCUMENTED[told] <= known


def test_every_option_that_the_text_names_belongs_to_a_command():
    known = set().union(*map(options_of, DOCUMENTED))
    known |= set().union(*(options_of(("datasets_scripts", name)) for name in SUBCOMMANDS))
    for page in PAGES:
        prose = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
        named = {o for code in re.findall(r"`([^`]+)`", prose) for o in OPTION.findall(code)}
        assert named - known - OF_OTHERS <= set(), page.name
