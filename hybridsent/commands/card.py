"""Write the card of a trained model anew; with runs of other seeds, the spread over them as well.

hybridsent card outputs/mvsa_single_0
hybridsent card outputs/mvsa_single_0 --runs outputs/mvsa_single_1 outputs/mvsa_single_2

With --runs the mean and standard deviation over all seeds are printed as a table. With --figure the
first posts of a folder are drawn with what the model says of them and which branch decided.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from hybridsent.support.command_line import command_parser


def run(words: Sequence[str]) -> None:
    """Write the card, and print or draw what is asked for besides."""
    parser = command_parser("card", __doc__)
    parser.add_argument("model", help="output folder of the model's run")
    parser.add_argument("--runs", nargs="+", default=[], help="those of runs with other seeds")
    parser.add_argument("--figure", metavar="FILE.png", help="also draw posts; needs --data_dir")
    parser.add_argument("--data_dir", help="folder of the posts to draw, with a test.csv")
    given = parser.parse_args(words)
    if (given.figure is None) != (given.data_dir is None):
        parser.error("--figure and --data_dir go together: give both or leave out both.")

    from hybridsent.evaluation.report import table_over_seeds
    from hybridsent.publishing.model_card import write_card
    from hybridsent.support.errors import PostsError

    files = [Path(folder) / "metrics.json" for folder in (given.model, *given.runs)]
    for file in files:
        if not file.is_file():
            remedy = "Give the output folder of a training that has ended."
            raise PostsError.about(file, "no such file", remedy=remedy)
    runs = [json.loads(file.read_text(encoding="utf-8")) for file in files]
    write_card(runs, given.model, given.model)
    if given.runs:
        print(table_over_seeds(runs))
    print(f"Wrote {Path(given.model) / 'README.md'}")
    if given.figure:
        from hybridsent.evaluation.showcase import draw_posts

        print(f"Drew {draw_posts(given.model, given.data_dir, given.figure)}")
