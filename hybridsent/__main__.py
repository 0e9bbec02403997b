"""Run the command `hybridsent` as `python -m hybridsent`."""

import sys

from hybridsent.cli import main

if __name__ == "__main__":
    sys.exit(main())
