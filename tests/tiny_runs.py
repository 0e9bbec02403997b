"""Runs of the public training command on tiny encoders and a few generated posts."""

import subprocess

import torch
import yaml
from documented_commands import BIN, ROOT, environment
from in_process import command_line
from safetensors.torch import load_file
from tiny_models import save_tiny_encoders

from hybridsent.bundled.synthetic import write_posts
from hybridsent.commands.train import run

SIZES = {"train": 24, "validation": 12, "test": 18}
MODEL = {
    "hidden_size": 16,
    "intermediate_size": 24,
    "recurrent_hidden_size": 6,
    "own_label_loss_weight": 0.5,
}
ONE = ("accelerate", "launch", "--num_processes", "1")
PLAIN = ("python",)
TWO = (
    "torchrun",
    "--nproc_per_node",
    "2",
    "--master_port",
    "0",
    "--rdzv_backend",
    "c10d",
    "--rdzv_endpoint",
    "localhost:0",
)


def write_recipe(folder, sizes=SIZES, **changed):
    """Write encoders, posts and a recipe over them, as a user's own would be; return the recipe."""
    save_tiny_encoders(folder)
    write_posts(folder / "posts", sizes=sizes)
    settings = yaml.safe_load((ROOT / "hybridsent" / "recipes" / "quickstart.yaml").read_text()) | {
        "dataset": "posts",
        "data_dir": str(folder / "posts"),
        "text_encoder": str(folder / "text"),
        "vision_encoder": str(folder / "vision"),
        "model_config": MODEL,
        "num_train_epochs": 2,
        "per_device_train_batch_size": 4,
        "disable_tqdm": True,
        **changed,
    }
    file = folder / "recipe.yaml"
    file.write_text(yaml.safe_dump(settings))
    return file


def start(*arguments, launcher=PLAIN, **variables):
    """Start a run in a group of processes of its own."""
    program, *rest = launcher
    return subprocess.Popen(
        [str(BIN / program), *rest, str(ROOT / "run_train.py"), *map(str, arguments)],
        cwd=ROOT, env={**environment(), "PYTHONUNBUFFERED": "1", **variables},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip


def run_here(*arguments):
    """Run to the end in this process, which saves the imports; on one thread, as `start` does."""
    with command_line("train", arguments) as argv:
        run(argv[2:])


def wait_for_losses(process, number):
    """Read what a run prints until it has logged so many training losses; return what was read."""
    read = []
    for line in process.stdout:
        read.append(line)
        number -= line.startswith("{'loss'")
        if number == 0:
            return "".join(read)
    raise AssertionError("".join(read) + process.stderr.read())


def launch(*arguments, launcher=PLAIN, **variables):
    """Run to the end; the result has returncode, stdout and stderr."""
    process = start(*arguments, launcher=launcher, **variables)
    out, err = process.communicate()
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


def assert_same_weights(folder, expected_folder):
    """Compare the models of two output folders tensor by tensor, bit by bit."""
    expected = load_file(expected_folder / "model.safetensors")
    found = load_file(folder / "model.safetensors")
    assert found.keys() == expected.keys()
    for name, tensor in found.items():
        assert torch.equal(tensor, expected[name]), name
