"""Our scripts in the process of the test, which saves the imports of one of its own."""

import os
import subprocess
import sys
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from io import StringIO
from unittest.mock import patch

import torch

import run_predict
import run_train
from hybridsent.support.command_line import run_command


@contextmanager
def command_line(script, arguments, folder="."):
    """Take arguments and working folder of a command, on one thread unless told otherwise."""
    threads, here = torch.get_num_threads(), os.getcwd()
    argv = [f"{script.__name__}.py", *map(str, arguments)]
    if "--cpu_threads" not in argv:
        argv += ["--cpu_threads", "1"]
    try:
        os.chdir(folder)
        with patch.object(sys, "argv", argv):
            yield argv
    finally:
        os.chdir(here)
        torch.set_num_threads(threads)


def run_in_process(script, arguments, folder="."):
    """Run a script as its command does.

    Args:
        script: Its module.
        arguments: Those of the command line.
        folder: Working folder.

    Returns:
        What `subprocess.run` would tell of the command.
    """
    with (
        command_line(script, arguments, folder) as argv,
        redirect_stdout(StringIO()) as out,
        redirect_stderr(StringIO()) as err,
    ):
        try:
            status = run_command(script.main, debug="--debug" in argv)
        except SystemExit as stopped:  # by the parser of arguments
            status = stopped.code
    return subprocess.CompletedProcess(argv, status, out.getvalue(), err.getvalue())


def score_here(*arguments):
    """Score with run_predict.py, without workers unless told otherwise."""
    given = ["--num_workers", 0, "--device", "cpu", *arguments]
    return run_in_process(run_predict, given)


def train_here(*arguments, folder="."):
    """Train with run_train.py."""
    return run_in_process(run_train, arguments, folder)
