"""Runs of the public training command on tiny encoders and a few generated posts."""

import torch
import yaml
from documented_commands import ROOT
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


def run_here(*arguments):
    """Run to the end in this process, on one thread, as forked ones do."""
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


def assert_same_weights(folder, expected_folder):
    """Compare the models of two output folders tensor by tensor, bit by bit."""
    expected = load_file(expected_folder / "model.safetensors")
    found = load_file(folder / "model.safetensors")
    assert found.keys() == expected.keys()
    for name, tensor in found.items():
        assert torch.equal(tensor, expected[name]), name
