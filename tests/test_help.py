"""README, docs and `--help` are held to each other: no option is named that its command lacks."""

import re
import runpy
import sys
from contextlib import redirect_stdout
from functools import cache
from io import StringIO

import pytest
from documented_commands import ROOT, commands

from hybridsent.cli import COMMANDS
from hybridsent.commands.prepare import SETS

SCRIPTS = {"run_train.py": ("hybridsent", "train"), "run_predict.py": ("hybridsent", "predict")}
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
OPTION = re.compile(r"--[a-z][a-z_0-9-]*")
# Of accelerate, torchrun, pip and git, not of ours.
OF_OTHERS = {"--config_file", "--num_processes", "--num_machines", "--machine_rank"}
OF_OTHERS |= {"--main_process_ip", "--main_process_port", "--multi_gpu", "--quiet"}
OF_OTHERS |= {"--require-hashes", "--sign", "--verify"}


def program(command):
    """The program of ours in a documented command and the words before its options, or None."""
    for place, word in enumerate(command):
        if word in SCRIPTS:
            return SCRIPTS[word]
        if word == "hybridsent" and command[place + 1 : place + 2]:
            return ("hybridsent", *command[place + 1 : place + (3 if "prepare" in command else 2)])
        if word == "-m" and command[place + 1].startswith(("benchmarks.", "hybridsent.bundled.")):
            is_score = command[place + 2 : place + 3] == ["score"]
            return (command[place + 1], "score") if is_score else (command[place + 1],)
    return None


def documented():
    """Each documented program of ours -> the options that the pages give it."""
    found = {}
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        inline = re.findall(r"`((?:python -m|hybridsent) \w[^`]+)`", text)
        for command in commands(text) + [line.split() for line in inline]:
            if program_of_ours := program(command):
                given = {word.split("=")[0] for word in command if OPTION.match(word)} - OF_OTHERS
                found.setdefault(program_of_ours, set()).update(given)
    return found


DOCUMENTED = documented()


@cache
def options_of(program):
    """The options that a program's `--help` prints."""
    name, *words = program
    words += ["--help_all"] if words == ["train"] else ["--help"]
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(StringIO()) as printed:
        patch.setattr(sys, "argv", [name, *words])
        with pytest.raises(SystemExit) as end:
            runpy.run_module(name, run_name="__main__")
    assert not end.value.code
    return {*OPTION.findall(printed.getvalue()), words[-1]}


@pytest.mark.parametrize("program", DOCUMENTED, ids=" ".join)
def test_every_option_of_a_documented_command_is_in_its_help(program):
    known = options_of(program)
    if program == ("benchmarks.throughput",):  # hands what is not its own on to the training
        known = known | options_of(("hybridsent", "train"))
    assert DOCUMENTED[program] <= known


def test_every_option_that_the_text_names_belongs_to_a_command():
    known = set().union(*map(options_of, DOCUMENTED))
    known |= set().union(*(options_of(("hybridsent", name)) for name in COMMANDS))
    known |= set().union(*(options_of(("hybridsent", "prepare", name)) for name in SETS))
    for page in PAGES:
        prose = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
        named = {o for code in re.findall(r"`([^`]+)`", prose) for o in OPTION.findall(code)}
        assert named - known - OF_OTHERS <= set(), page.name
