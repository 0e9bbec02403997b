"""Our commands in the process of the test, which saves the imports of one of its own."""

import os
import subprocess
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from io import StringIO

import torch

from hybridsent.cli import main


@contextmanager
def command_line(name, arguments, folder="."):
    """Take arguments and working folder of a command, on one thread unless told otherwise."""
    threads, here = torch.get_num_threads(), os.getcwd()
    argv = ["hybridsent", name, *map(str, arguments)]
    if name in ("train", "predict") and "--cpu_threads" not in argv:
        argv += ["--cpu_threads", "1"]
    try:
        os.chdir(folder)
        yield argv
    finally:
        os.chdir(here)
        torch.set_num_threads(threads)


def run_in_process(name, arguments, folder="."):
    """Run a command of hybridsent.

    Args:
        name: The command.
        arguments: Those of the command line.
        folder: Working folder.

    Returns:
        What `subprocess.run` would tell of the command.
    """
    with (
        command_line(name, arguments, folder) as argv,
        redirect_stdout(StringIO()) as out,
        redirect_stderr(StringIO()) as err,
    ):
        try:
            status = main(argv[1:])
        except SystemExit as stopped:  # by the parser of arguments
            status = stopped.code
    return subprocess.CompletedProcess(argv, status, out.getvalue(), err.getvalue())


def score_here(*arguments):
    """Run `hybridsent predict`, without workers unless told otherwise."""
    given = ["--num_workers", 0, "--device", "cpu", *arguments]
    return run_in_process("predict", given)


def train_here(*arguments, folder="."):
    """Run `hybridsent train`."""
    return run_in_process("train", arguments, folder)
