"""Prepare a set of posts for training, or audit one.

python -m datasets_scripts mvsa_single --data_dir mvsa_single --output_dir prepared --protocol grouped
python -m datasets_scripts audit prepared
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from datasets_scripts.loading import ON_BAD_ROWS, READERS, load_table
from datasets_scripts.post_files import is_prepared
from datasets_scripts.prepared import REJECTED, read_summary
from datasets_scripts.preparing import prepare
from datasets_scripts.published.label_words import MASK
from datasets_scripts.published.protocols import PROTOCOLS
from datasets_scripts.summary import as_text
from hybridsent.support.command_line import add_debug, run_command
from modeling_hybridsent.inputs_hybridsent import DEFAULT_MAX_IMAGE_PIXELS

LABEL_FILES = {"labelResultAll.txt": "mvsa_single", "all_data_id_and_label.txt": "tumemo"}
SET_OPTIONS = (
    *("protocol", "seed", "text_encoding", "mask_label_words", "mask_token"),
    *("split", "columns", "label_names"),
)


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line: a command for each set, and audit."""
    parser = argparse.ArgumentParser(
        prog="python -m datasets_scripts",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    commands = parser.add_subparsers(dest="command", required=True)
    sets = {name: _add_set(commands, name) for name in READERS}
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
    audit = commands.add_parser("audit", allow_abbrev=False, help="look for faults in a set")
    audit.add_argument("folder", help="a prepared folder, or one with raw files")
    audit.add_argument("--set", choices=sorted(READERS), help="what the raw files are; guessed")
    audit.add_argument("--output_file", default="audit.parquet", help="where the findings go")
    _add_max_pixels(audit)
    add_debug(audit)
    return parser


def _add_set(commands: Any, name: str) -> argparse.ArgumentParser:
    parser = commands.add_parser(name, allow_abbrev=False, help=f"prepare {name}")
    parser.add_argument("--data_dir", required=True, help="folder with the files of the set")
    parser.add_argument("--output_dir", required=True, help="folder to write, absent or empty")
    parser.add_argument(
        "--on_bad_rows",
        default="stop",
        choices=ON_BAD_ROWS,
        help=f"stop: one error names the first ten; drop: go on, and write them to {REJECTED}",
    )
    parser.add_argument("--push_to_hub", metavar="USER/NAME", help="upload as a dataset, too")
    parser.add_argument("--public", action="store_true", help="make the uploaded dataset public")
    _add_max_pixels(parser)
    add_debug(parser)
    return parser


def _add_max_pixels(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--max_image_pixels",
        type=int,
        default=DEFAULT_MAX_IMAGE_PIXELS,
        help="a picture with more pixels is not decoded and its row is a bad one",
    )


def _add_tumemo_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--text_encoding", default="utf-8", help="of the texts")
    parser.add_argument(
        "--mask_label_words",
        action="store_true",
        help="put a mask for the seven label words, their inflections and hashtags",
    )
    parser.add_argument("--mask_token", default=MASK, help="the mask; RoBERTa's is <mask>")


def _add_posts_options(parser: argparse.ArgumentParser, seeded: dict[str, Any]) -> None:
    parser.add_argument(
        "--split", metavar="A,B,C", help="shares of train, validation, test (0.8,0.1,0.1)"
    )
    parser.add_argument("--seed", **seeded, help="of the split")
    parser.add_argument("--columns", help="other names of columns: text=tweet,image=photo")
    parser.add_argument("--label_names", help="names by index, if labels are numbers: bad,good")


def guess_set(folder: str | Path) -> str:
    """Name the set that a folder of raw files holds."""
    for file, name in LABEL_FILES.items():
        if (path := Path(folder) / file).is_file():
            first = path.open(encoding="utf-8-sig", errors="replace").readline()
            return "mvsa_multiple" if first.count("text,image") > 1 else name
    return "posts"


def run_prepare(arguments: argparse.Namespace) -> None:
    """Prepare a set, print its counts, and push it if asked."""
    given = vars(arguments)
    options = {name: given[name] for name in SET_OPTIONS if given.get(name) is not None}
    table = prepare(
        arguments.command,
        arguments.data_dir,
        arguments.output_dir,
        on_bad_rows=arguments.on_bad_rows,
        max_image_pixels=arguments.max_image_pixels,
        **options,
    )
    print(as_text(table.counts))
    print(f"\nPrepared: {arguments.output_dir} (rejected rows: {REJECTED} in it)")
    if arguments.push_to_hub:
        from datasets_scripts.hub import push_dataset

        address = push_dataset(
            arguments.output_dir, arguments.push_to_hub, private=not arguments.public
        )
        print(f"Pushed: {address}")


def run_audit(arguments: argparse.Namespace) -> None:
    """Audit a folder, print what was found, and write it."""
    from datasets_scripts.audit import as_text, audit, write_findings

    folder, file = arguments.folder, Path(arguments.output_file)
    if is_prepared(folder):
        table = load_table(read_summary(folder).name, folder)
    else:
        pixels = arguments.max_image_pixels
        name = arguments.set or guess_set(folder)
        table = load_table(name, folder, on_bad_rows="drop", max_image_pixels=pixels)
    findings = audit(table, arguments.max_image_pixels)
    write_findings(findings, file)
    print(as_text(findings, table))
    print(f"\n{len(findings)} findings: {file}")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; a failure is one message and exit status 1."""
    arguments = build_parser().parse_args(argv)
    run = run_audit if arguments.command == "audit" else run_prepare
    return run_command(partial(run, arguments), arguments.debug)


if __name__ == "__main__":
    sys.exit(main())
