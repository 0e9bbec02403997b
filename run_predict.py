# /// script
# requires-python = ">=3.10"
# dependencies = ["hybridsent[quickstart]>=0.2,<0.3"]
# ///
"""Score many posts, as `hybridsent predict` does.

uv run run_predict.py --model USER/MODEL --input posts.csv --output answers
accelerate launch run_predict.py --model outputs/quickstart --input posts.csv --output answers
accelerate launch run_predict.py --model USER/MODEL --input USER/DATASET --split test --output answers
"""

import sys

from hybridsent.cli import main

if __name__ == "__main__":
    sys.exit(main(["predict", *sys.argv[1:]]))
