"""Exports of one tiny model, which tests share: each takes seconds."""

import torch
from filelock import FileLock
from many_posts import good_posts, save_pictures, with_bad, write_csv
from tiny_models import tiny_config, tiny_processor

from hybridsent.exporting.export import export
from modeling_hybridsent import HybridSentForSequenceClassification

TOKENS = 40  # what the processor cuts texts to


def save_smallest(folder, seed=0):
    """Save the smallest model that has every part, with its processor."""
    config = tiny_config(
        num_cross_modal_layers=1,
        temperature=0.7,
        text_only_temperature=0.5,
        image_only_temperature=0.6,
    )
    config.text_config.num_hidden_layers = config.vision_config.num_hidden_layers = 1
    torch.manual_seed(seed)
    model = HybridSentForSequenceClassification(config).eval()
    for parameter in model.parameters():  # else all posts get nearly the same answer
        if parameter.dim() > 1:
            parameter.data *= 3
    model.save_pretrained(folder)
    tiny_processor(max_length=TOKENS).save_pretrained(folder)
    return model


class TinyExports:
    """The model, a table of posts, and exports that are made when first asked for, in any process.

    `exports["openvino"]` is compared on made-up posts, `exports["onnx"]` on the table.
    """

    def __init__(self, folder):
        self.folder = folder
        self.model = folder / "model"
        self.posts, self.errors = with_bad(good_posts(30))
        self.table = folder / "posts" / "posts.csv"
        folder.mkdir(exist_ok=True)
        with FileLock(folder / ".lock"):
            if not self.table.exists():
                save_smallest(self.model)
                save_pictures(folder / "posts")
                write_csv(self.table, self.posts)

    def __getitem__(self, name):
        target = self.folder / name
        with FileLock(self.folder / f".{name}.lock"):
            if not target.exists():
                posts = str(self.table) if name == "onnx" else None
                export(str(self.model), target, name, posts)
        return target
