"""Print the scores of several runs as one table: mean and standard deviation over their seeds.

python -m hybridsent.evaluation.over_seeds outputs/mvsa_single_0 outputs/mvsa_single_1
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

from hybridsent.evaluation.report import table_over_seeds


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table of the folders that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folders", nargs="+", help="output folders, each with a metrics.json")
    folders = parser.parse_args(arguments).folders
    print(table_over_seeds([json.loads((Path(f) / "metrics.json").read_text()) for f in folders]))


if __name__ == "__main__":
    main()
