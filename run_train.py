# /// script
# requires-python = ">=3.10"
# dependencies = ["hybridsent[quickstart]>=0.2,<0.3"]
# ///
"""Train hybridsent on posts, as `hybridsent train` does.

accelerate launch run_train.py
uv run run_train.py posts --data_dir DIR
accelerate launch run_train.py mvsa_single --data_dir DIR --learning_rate 1.0e-4
"""

import sys

from hybridsent.cli import main

if __name__ == "__main__":
    sys.exit(main(["train", *sys.argv[1:]]))
