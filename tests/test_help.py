"""README, docs and `--help` are held to each other: no option is named that its command lacks.

Every command of a code block is read by the parser of the program that it names.
"""

import argparse
import re
import runpy
import sys
from contextlib import redirect_stdout
from functools import cache
from io import StringIO
from itertools import pairwise

import pytest
from documented_commands import ROOT, commands
from pages import PAGES as ALL_PAGES

from hybridsent.cli import COMMANDS, overview
from hybridsent.commands.prepare import SETS

SCRIPTS = {"run_train.py": ("hybridsent", "train"), "run_predict.py": ("hybridsent", "predict")}
PAGES = {name: text for name, text in ALL_PAGES.items() if name != "CHANGELOG.md"}
OPTION = re.compile(r"--[a-z][a-z_0-9-]*")
# Of accelerate, torchrun, pip, git and hf, not of ours.
OF_OTHERS = {"--config_file", "--num_processes", "--num_machines", "--machine_rank"}
OF_OTHERS |= {"--main_process_ip", "--main_process_port", "--multi_gpu", "--quiet"}
OF_OTHERS |= {
    "--logdir",
    "--require-hashes",
    "--sign",
    "--verify",
    "--flavor",
    "--secrets",
    "--volume",
}


def program_and_words(command):
    """The program of ours in a documented command, with its subcommand, and the words after it."""
    for place, word in enumerate(command):
        if word in SCRIPTS:
            return SCRIPTS[word], [SCRIPTS[word][1], *command[place + 1 :]]
        rest = command[place + 1 :]
        if word == "hybridsent" and rest:
            return ("hybridsent", *rest[: 2 if "prepare" in command else 1]), rest
        if word == "-m" and rest[0].startswith(("benchmarks.", "hybridsent.bundled.")):
            name, *words = rest
            return (name, "score") if words[:1] == ["score"] else (name,), words
    return None, []


def documented():
    """Each documented program of ours -> the options that the pages give it."""
    found = {}
    for text in PAGES.values():
        inline = re.findall(r"`((?:python -m|hybridsent) \w[^`]+)`", text)
        for command in commands(text) + [line.split() for line in inline]:
            program, _ = program_and_words(command)
            if program:
                given = {word.split("=")[0] for word in command if OPTION.match(word)} - OF_OTHERS
                found.setdefault(program, set()).update(given)
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
    known = {*OPTION.findall(overview())}.union(*map(options_of, DOCUMENTED))
    known |= set().union(*(options_of(("hybridsent", name)) for name in COMMANDS))
    known |= set().union(*(options_of(("hybridsent", "prepare", name)) for name in SETS))
    for page, text in PAGES.items():
        prose = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
        named = {o for code in re.findall(r"`([^`]+)`", prose) for o in OPTION.findall(code)}
        assert named - known - OF_OTHERS <= set(), page


class Parsed(BaseException):
    """The parser of a program took its words; those that it left are the argument."""


def parse(program, words):
    """Let a program's parser read words; return those that it does not know."""
    depth, usual = [], argparse.ArgumentParser.parse_known_args

    def parse_and_stop(self, *arguments, **more):
        depth.append(self)  # the parser of a subcommand is called by the outer one
        known = usual(self, *arguments, **more)
        depth.pop()
        if depth:
            return known
        raise Parsed(known[1])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", [program, *words])
        patch.setattr(argparse.ArgumentParser, "parse_known_args", parse_and_stop)
        try:
            runpy.run_module(program, run_name="__main__")
        except Parsed as parsed:
            return parsed.args[0]
    raise AssertionError(f"{program} parses nothing")


BLOCKS = {
    " ".join(command): command for text in PAGES.values() for command in commands(text)
}  # each once
HANDS_ON = ("benchmarks.accuracy", "benchmarks.throughput")  # the rest goes to the training
TOOLS = {".", "cp", "git", "hf", "make", "pip", "python"}


@pytest.mark.parametrize("command", BLOCKS.values(), ids=BLOCKS)
def test_every_command_of_a_block_is_taken_by_its_parser(command):
    program, words = program_and_words(command)
    if program is None:
        assert command[0] in TOOLS
        return
    left = parse(program[0], words)
    if program[0] in HANDS_ON and program[-1] != "score":
        left = parse("hybridsent", ["train", *(word for word in left if word != "run")])
    assert left == []
    for option, value in pairwise(command):
        assert option != "--config_file" or (ROOT / value).is_file()


def test_every_make_target_and_extra_that_is_named_exists():
    text = "\n".join(PAGES.values())
    makefile, project = ((ROOT / name).read_text() for name in ("Makefile", "pyproject.toml"))
    for target in re.findall(r"(?:^|`)make ([a-z][a-z-]*)", text, flags=re.MULTILINE):
        assert re.search(rf"^{target}:", makefile, flags=re.MULTILINE), target
    for extras in re.findall(r"(?:\.|hybridsent)\[([a-z,]+)\]", text):
        for extra in extras.split(","):
            assert re.search(rf"^{extra} = \[", project, flags=re.MULTILINE), extra
