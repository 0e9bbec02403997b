"""Commands that the documentation tells people to type, and how tests run them."""

import os
import re
import shlex
import subprocess
import sys
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from types import MappingProxyType

import pytest
from in_process import run_in_process, train_here
from tiny_models import IMAGE_SIZE

ROOT = Path(__file__).parents[1]
BIN = Path(sys.executable).parent


def blocks(text, language):
    """The fenced blocks of a language."""
    return re.findall(rf"```{language}\n(.*?)```", text, flags=re.DOTALL)


def commands(text):
    """The command lines, each as a list of words."""
    lines = [line for block in blocks(text, "bash") for line in block.splitlines()]
    return [words for words in (shlex.split(line, comments=True) for line in lines) if words]


def environment():
    """Variables of a process that has this checkout's packages, one thread and no network."""
    ours = {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    return os.environ | ours


def typed(file, ending, values=MappingProxyType({})):
    """The command in the head of a settings file up to `ending`, with some options of other values."""
    comment = re.sub(r"\s*\\?\n#\s*", " ", file.read_text(encoding="utf-8"))
    words = shlex.split(re.search(rf"accelerate launch .*? {ending} \w+", comment)[0])
    for name, value in values.items():
        words[words.index(f"--{name}") + 1] = value
    return words


def on_two_machines(command_of, folder):
    """Start the command of each rank as if on a machine of its own; what the two said, once done."""
    machines = []
    for rank in (0, 1):
        program, *rest = command_of(rank)
        with (folder / f"log-{rank}").open("w") as log:
            machines.append(
                subprocess.Popen(
                    [str(BIN / program), *map(str, rest)],
                    cwd=ROOT, env=environment(), stdout=log, stderr=log,
                )
            )  # fmt: skip
    codes = [machine.wait() for machine in machines]
    said = [folder.joinpath(f"log-{rank}").read_text() for rank in (0, 1)]
    assert codes == [0, 0], "".join(said)
    return said


def run(command, folder=ROOT, **variables):
    """Run a command in a folder with this checkout's packages."""
    env = environment() | variables
    return subprocess.run(
        [*map(str, command)], cwd=folder, env=env, capture_output=True, text=True, check=False
    )


def python_here(block, folder, **names):
    """Run a block of Python that may use these names in a folder, here; return what it prints."""
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(StringIO()) as printed:
        patch.chdir(folder)
        exec(compile(block, "block", "exec"), {"__name__": "__main__", **names})
    return printed.getvalue()


def here(command, folder):
    """Run a command `hybridsent ...` in this process; its result is that of `run`."""
    return run_in_process(command[1], command[2:], folder)


def train(command, folder, **overrides):
    """Run a training command as it stands, on tiny encoders unless it starts from a model."""
    encoders = {
        "text_encoder": folder / "text",
        "vision_encoder": folder / "vision",
        "image_size": IMAGE_SIZE,
        "model_config": '{"hidden_size": 16, "intermediate_size": 24, "recurrent_hidden_size": 6}',
    }
    tiny = {"max_steps": 2, "bf16": "false", **overrides}
    if "--model" not in command:
        tiny |= encoders
    extra = [str(part) for name, value in tiny.items() for part in (f"--{name}", value)]
    for start in (["accelerate", "launch", "run_train.py"], ["hybridsent", "train"]):
        if command[: len(start)] == start:  # one process: without the launcher
            result = train_here(*command[len(start) :], *extra, folder=folder)
            break
    else:
        result = run([str(BIN / command[0]), *command[1:], *extra], folder)
    assert result.returncode == 0, result.stderr
