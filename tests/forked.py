"""Commands of hybridsent in processes that are forked from one with the libraries in it.

What tests kill, stop or let meet has to be a process of its own. Starting Python and importing torch
and transformers takes seconds for each; a forked process starts at once.
"""

import os
import subprocess
import sys
from multiprocessing import get_context, set_start_method
from tempfile import NamedTemporaryFile

import torch

from benchmarks.running_space import free_port
from hybridsent.cli import main

CONTEXT = get_context("forkserver")
CONTEXT.set_forkserver_preload(
    [
        "datasets",
        "matplotlib.pyplot",
        "scipy.optimize",
        "sklearn.metrics",
        "torch.distributed",
        "torchvision",
        "transformers.models.auto.modeling_auto",
        "transformers.models.bert.modeling_bert",
        "transformers.models.vit.modeling_vit",
        "transformers.pipelines",
        "transformers.trainer",
    ]
)


def run_apart(main, words, variables, out, errors):
    """Run `hybridsent WORDS`, or another function, in this process, whose group it leads."""
    os.setsid()
    os.dup2(out.fileno(), 1)
    with open(errors, "wb") as file:
        os.dup2(file.fileno(), 2)
    sys.stdout.reconfigure(line_buffering=True)
    os.environ.update(variables)
    sys.argv = ["hybridsent", *words]
    torch.set_num_threads(1)
    set_start_method(None, force=True)  # for its own workers: the usual way, as in any process
    sys.exit(main())


class Forked:
    """`hybridsent WORDS` at work, with what tests use of `subprocess.Popen`.

    Args:
        *words: Those of the command line.
        main: Another function to run.
        **variables: Of the environment.
    """

    def __init__(self, *words, main=main, **variables):
        self.args = [*map(str, words)]
        self.stderr = NamedTemporaryFile("r")  # noqa: SIM115 - open as long as the process
        read, write = CONTEXT.Pipe(duplex=False)
        given = (main, self.args, variables, write, self.stderr.name)
        self.process = CONTEXT.Process(target=run_apart, args=given)
        self.process.start()
        self.pid = self.process.pid
        self.stdout = open(os.dup(read.fileno()))  # noqa: SIM115
        for end in (read, write):
            end.close()

    @property
    def returncode(self):
        return self.process.exitcode

    def poll(self):
        return self.returncode

    def send_signal(self, number):
        os.kill(self.pid, number)

    def kill(self):
        """Kill the process, also a stopped one, and wait for its end; what it started lives on."""
        self.process.kill()
        self.process.join()

    def communicate(self):
        """Wait for the end; return what was printed and not yet read, and the errors."""
        said = self.stdout.read()
        self.process.join()
        return said, self.stderr.read()

    def finish(self):
        """Wait for the end; return what `subprocess.run` does."""
        said, errors = self.communicate()
        return subprocess.CompletedProcess(self.args, self.returncode, said, errors)


def two_forked(*words, main=main):
    """Start a command in two processes that meet, as a launcher does."""
    meeting = {"WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1"}
    meeting |= {"MASTER_PORT": str(free_port())}
    ranks = [{"RANK": rank, "LOCAL_RANK": rank} for rank in ("0", "1")]
    return [Forked(*words, main=main, **meeting, **rank) for rank in ranks]


def run_two(*words, main=main):
    """Run a command in two processes to the end; return what each of them left."""
    return [process.finish() for process in two_forked(*words, main=main)]
