"""run_predict.py in the process of the test, which saves the imports of one of its own."""

import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from unittest.mock import patch

import torch

import run_predict
from datasets_scripts.command_line import run_command


def score_here(*arguments):
    """Score on one thread and without workers, unless told otherwise; as `subprocess.run` tells it."""
    threads = torch.get_num_threads()
    given = ["--cpu_threads", 1, "--num_workers", 0, "--device", "cpu", *arguments]
    argv = ["run_predict.py", *map(str, given)]
    out, err = StringIO(), StringIO()
    try:
        with patch.object(sys, "argv", argv), redirect_stdout(out), redirect_stderr(err):
            status = run_command(run_predict.main)
    except SystemExit as stopped:  # by the parser of arguments
        status = stopped.code
    finally:
        torch.set_num_threads(threads)
    return subprocess.CompletedProcess(argv, status, out.getvalue(), err.getvalue())
