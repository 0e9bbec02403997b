"""Prepare a set of posts for training, or generate the synthetic one.

hybridsent prepare mvsa_single --data_dir mvsa_single --output_dir prepared --protocol grouped
hybridsent prepare synthetic --output_dir posts --seed 0

The options of a set: hybridsent prepare NAME --help. docs/datasets.md describes the sets.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

from hybridsent.support.command_line import add_debug, command_parser

# Written out, so that help loads neither torch nor the readers.
SETS = ("mvsa_multiple", "mvsa_single", "posts", "tumemo")
PROTOCOLS = ("clmlf", "folds:1 to folds:10", "agreement", "grouped")
SYNTHETIC = {"train": 900, "validation": 200, "test": 400}
MAX_IMAGE_PIXELS = 89_478_485
PROBLEM_TYPES = ("single_label_classification", "multi_label_classification", "regression")
SET_OPTIONS = (
    *("protocol", "seed", "text_encoding", "mask_label_words", "mask_token"),
    *("split", "columns", "label_names", "problem_type"),
)


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line: one for each set."""
    parser = command_parser("prepare", __doc__)
    names = parser.add_subparsers(dest="set", required=True, metavar="NAME")
    sets = {name: _add_set(names, name) for name in SETS}
    seeded: dict[str, Any] = {"type": int, "default": 0, "metavar": "N"}
    encoding: dict[str, Any] = {"default": "gb18030"}
    encoding["help"] = "of the texts; legacy: as older work misread them"
    sets["mvsa_single"].add_argument(
        "--protocol", default="clmlf", help=f"how to divide: {', '.join(PROTOCOLS)}"
    )
    sets["mvsa_multiple"].add_argument("--protocol", default="grouped", choices=["grouped"])
    sets["tumemo"].add_argument("--protocol", default="hash", choices=["hash"])
    for name in ("mvsa_single", "mvsa_multiple"):
        sets[name].add_argument("--seed", **seeded, help="of the protocol grouped")
        sets[name].add_argument("--text_encoding", **encoding)
    _add_tumemo_options(sets["tumemo"])
    _add_posts_options(sets["posts"], seeded)
    _add_synthetic(names, seeded)
    return parser


def _add_set(names: Any, name: str) -> argparse.ArgumentParser:
    parser = names.add_parser(name, allow_abbrev=False, help=f"prepare {name}")
    parser.add_argument("--data_dir", required=True, help="folder with the files of the set")
    parser.add_argument("--output_dir", required=True, help="folder to write, absent or empty")
    parser.add_argument(
        "--on_bad_rows",
        default="stop",
        choices=("stop", "drop"),
        help="stop: one error names the first ten; drop: go on, and list them in rejected.jsonl",
    )
    parser.add_argument("--push_to_hub", metavar="USER/NAME", help="upload as a dataset, too")
    parser.add_argument("--public", action="store_true", help="make the uploaded dataset public")
    add_max_pixels(parser)
    add_debug(parser)
    return parser


def add_max_pixels(parser: argparse.ArgumentParser) -> None:
    """Give a parser the limit on the size of images."""
    parser.add_argument(
        "--max_image_pixels",
        type=int,
        default=MAX_IMAGE_PIXELS,
        help="an image with more pixels is not decoded and its row is a bad one (%(default)s)",
    )


def _add_tumemo_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--text_encoding", default="utf-8", help="of the texts")
    parser.add_argument(
        "--mask_label_words",
        action="store_true",
        help="put a mask for the seven label words, their inflections and hashtags",
    )
    parser.add_argument("--mask_token", default="[MASK]", help="the mask; RoBERTa's is <mask>")


def _add_posts_options(parser: argparse.ArgumentParser, seeded: dict[str, Any]) -> None:
    parser.add_argument(
        "--split", metavar="A,B,C", help="shares of train, validation, test (0.8,0.1,0.1)"
    )
    parser.add_argument("--seed", **seeded, help="of the split")
    parser.add_argument("--columns", help="other names of columns: text=tweet,image=photo")
    parser.add_argument("--label_names", help="names by index, if labels are numbers: bad,good")
    parser.add_argument(
        "--problem_type",
        default=PROBLEM_TYPES[0],
        choices=PROBLEM_TYPES,
        help="what a label is: a name; several names, as joy|fear or a JSON list; a number",
    )


def _add_synthetic(names: Any, seeded: dict[str, Any]) -> None:
    parser = names.add_parser("synthetic", allow_abbrev=False, help="generate drawn posts")
    parser.add_argument("--output_dir", required=True, help="folder to write, absent or empty")
    parser.add_argument("--seed", **seeded, help="same seed, same posts")
    for split, size in SYNTHETIC.items():
        parser.add_argument(f"--{split}", type=int, default=size, help="posts (%(default)s)")
    add_debug(parser)


def run(words: Sequence[str]) -> None:
    """Prepare or generate a set."""
    given = build_parser().parse_args(words)
    (_generate if given.set == "synthetic" else _prepare)(given)


def _generate(given: argparse.Namespace) -> None:
    """Write synthetic posts and print where they are."""
    from hybridsent.bundled.synthetic import write_posts

    sizes = {split: getattr(given, split) for split in SYNTHETIC}
    print(write_posts(given.output_dir, given.seed, sizes))


def _prepare(given: argparse.Namespace) -> None:
    """Prepare a set, print its counts, and push it if asked."""
    from datasets_scripts.post import REJECTED
    from datasets_scripts.preparing import prepare
    from datasets_scripts.summary import as_text

    if given.public and not given.push_to_hub:
        raise ValueError("--public is for --push_to_hub: add it, or leave out --public.")
    values = vars(given)
    options = {name: values[name] for name in SET_OPTIONS if values.get(name) is not None}
    table = prepare(
        given.set,
        given.data_dir,
        given.output_dir,
        on_bad_rows=given.on_bad_rows,
        max_image_pixels=given.max_image_pixels,
        **options,
    )
    print(as_text(table.counts))
    print(f"\nPrepared: {given.output_dir} (rejected rows: {REJECTED} in it)")
    if given.push_to_hub:
        from datasets_scripts.preparing import push_dataset

        address = push_dataset(given.output_dir, given.push_to_hub, private=not given.public)
        print(f"Pushed: {address}")
