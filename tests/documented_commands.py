"""Commands that the documentation tells people to type, and how tests run them."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

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
    """Variables of a process that has this checkout's packages and one thread."""
    return {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}


def run(command, folder):
    """Run a command in a folder with this checkout's packages."""
    return subprocess.run(
        command,
        cwd=folder,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )


def train(command, folder, **overrides):
    """Run a training command as it stands, on tiny encoders."""
    tiny = {
        "text_encoder": folder / "text",
        "vision_encoder": folder / "vision",
        "model_config": '{"hidden_size": 16, "intermediate_size": 24, "recurrent_hidden_size": 6}',
        "max_steps": 2,
        "bf16": "false",
        **overrides,
    }
    extra = [str(part) for name, value in tiny.items() for part in (f"--{name}", value)]
    result = run([str(BIN / command[0]), *command[1:], *extra], folder)
    assert result.returncode == 0, result.stderr
