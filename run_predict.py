"""Score many posts: a file, a folder or a data set of the Hub in, Parquet files of answers out.

accelerate launch run_predict.py --model outputs/quickstart --input posts.csv --output answers
accelerate launch run_predict.py --model USER/MODEL --input USER/DATASET --split test --output answers
accelerate launch run_predict.py --model MODEL --input FOLDER --output answers --columns probabilities

Killed or stopped, the same command goes on where it ended, with any number of processes.
"""

import sys

from hybridsent.scoring.arguments import parse_arguments
from hybridsent.support.command_line import run_command


def main() -> None:
    """Run the steps of one scoring run."""
    arguments = parse_arguments()

    # Heavy imports wait until the arguments are known to be right.
    from hybridsent.scoring.processes import start_process
    from hybridsent.scoring.run import run

    state = start_process(arguments.device, arguments.cpu_threads)
    count = run(arguments, state)
    if state.is_main_process:
        print(f"Scored {count.scored} posts, {count.failed} with an error instead of a label.")
        print(f"Answers, in files named by the rows in them: {arguments.output}")
    state.destroy_process_group()  # left to the interpreter's end, it aborts a process now and then


if __name__ == "__main__":
    sys.exit(run_command(main, debug="--debug" in sys.argv))
