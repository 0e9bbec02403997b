"""Look for faults in a set: copies, contradictions, leaks between splits, odd images, label words.

hybridsent audit prepared/mvsa_single
hybridsent audit my_posts --output_file findings.parquet
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from hybridsent.commands.prepare import SETS, add_max_pixels
from hybridsent.support.command_line import command_parser

LABEL_FILES = {"labelResultAll.txt": "mvsa_single", "all_data_id_and_label.txt": "tumemo"}


def guess_set(folder: str | Path) -> str:
    """Return the name of the set that a folder of raw files holds."""
    for file, name in LABEL_FILES.items():
        if (path := Path(folder) / file).is_file():
            first = path.open(encoding="utf-8-sig", errors="replace").readline()
            return "mvsa_multiple" if first.count("text,image") > 1 else name
    return "posts"


def run(words: Sequence[str]) -> None:
    """Audit a folder, print what was found, and write it."""
    parser = command_parser("audit", __doc__)
    parser.add_argument("folder", help="a prepared folder, or one with raw files")
    parser.add_argument("--set", choices=SETS, help="what the raw files are; guessed")
    parser.add_argument("--output_file", default="audit.parquet", help="where the findings go")
    add_max_pixels(parser)
    given = parser.parse_args(words)

    from datasets_scripts.audit import as_text, audit, write_findings
    from datasets_scripts.loading import load_table
    from datasets_scripts.post_files import is_prepared
    from datasets_scripts.prepared import read_summary

    folder, file = given.folder, Path(given.output_file)
    if is_prepared(folder):
        table = load_table(read_summary(folder).name, folder)
    else:
        name, pixels = given.set or guess_set(folder), given.max_image_pixels
        table = load_table(name, folder, on_bad_rows="drop", max_image_pixels=pixels)
    findings = audit(table, given.max_image_pixels)
    write_findings(findings, file)
    print(as_text(findings, table))
    print(f"\n{len(findings)} findings: {file}")
