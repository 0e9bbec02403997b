"""Score a trained model on labelled posts, also where they lose a modality or are damaged.

hybridsent evaluate outputs/quickstart
hybridsent evaluate outputs/mvsa_single_0 mvsa_single --data_dir FOLDER

First comes the model, a folder or Hub id, then what `hybridsent train` was given: the recipe, and
settings such as --data_dir, --protocol, --per_device_eval_batch_size. The posts are those that this
training would score. The results are printed, and written to evaluation.json in the model's folder;
for a model of the Hub or a bundled one, in --output_dir.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path


def run(words: Sequence[str]) -> None:
    """Score, print and write."""
    if {"-h", "--help"} & set(words) or not words:
        print(f"usage: hybridsent evaluate MODEL [RECIPE] [settings]\n\n{__doc__}")
        return

    from hybridsent.evaluation.evaluate import describe_evaluation, evaluate
    from hybridsent.support.folders import write_whole
    from hybridsent.training.arguments import parse_arguments

    model, *settings = words
    if Path(model).is_dir():
        settings += ["--output_dir", model]
    _, data, training = parse_arguments(settings)
    found = evaluate(model, data, training)
    file = Path(str(training.output_dir)) / "evaluation.json"
    write_whole(json.dumps(found, indent=2) + "\n", file)
    print(f"{describe_evaluation(found)}\n\nWrote {file}")
