"""Train related methods and ablations side by side, under one protocol, and tabulate them.

    python -m benchmarks.accuracy run mvsa_single --data_dir FOLDER --folds 10 --results OUT
    python -m benchmarks.accuracy score OUT/answers.parquet --folds_file OUT/folds.json

Same encoders, same posts, same schedule, as many learning rates tried for each. A finished run is
not repeated: the same command goes on where it was stopped. `score` judges a file of answers.
"""

import argparse
import sys
from collections.abc import Sequence
from typing import Any

from hybridsent.training.arguments import DEFAULT_RECIPE, parse_arguments, read_recipe

DEFAULT_FOLDS = 10
# What decides nothing of a run's answers, or says where things are on this machine.
_NO_SETTING = (
    *("data_dir", "output_dir", "cache_features", "cache_folder", "cpu_threads", "use_cpu"),
    *("per_device_eval_batch_size", "logging_steps", "disable_tqdm", "save_total_limit"),
    *("dataloader_num_workers", "push_to_hub", "hub_model_id", "report_to"),
)


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of what run_train.py does not know."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.accuracy run",
        description=__doc__.splitlines()[0],
        epilog="First a recipe, and anywhere any setting of run_train.py, such as --data_dir, "
        "--num_train_epochs, --cache_features or --image_size; --output_dir is not used.",
        allow_abbrev=False,
    )
    parser.add_argument("--results", required=True, help="folder of the runs and the tables")
    protocol = parser.add_mutually_exclusive_group()
    protocol.add_argument(
        "--folds", type=int, help="folds over all labelled posts at hand (10 without --seeds)"
    )
    protocol.add_argument(
        "--seeds", type=int, nargs="+", help="of the recipe's own split, scored on validation"
    )
    parser.add_argument(
        "--repeats",
        type=int,
        default=1,
        help="how often the posts are cut into folds, each time anew (%(default)s)",
    )
    parser.add_argument("--methods", nargs="+", help="which methods; all unless given")
    parser.add_argument(
        "--trials", type=int, default=1, help="learning rates tried in each run (%(default)s)"
    )
    parser.add_argument(
        "--runs", type=int, nargs="+", help="numbers of folds, from 0, or seeds; all unless given"
    )
    parser.add_argument("--tables_only", action="store_true", help="make the tables again")
    return parser


def given_settings(argv: Sequence[str]) -> dict[str, list[str]]:
    """Read settings as they were given, the command line's over the recipe's.

    Args:
        argv: As run_train.py takes them.

    Returns:
        Name -> its words; without what decides nothing.
    """
    words = list(argv)
    named = bool(words) and not words[0].startswith("-")
    words = [*read_recipe(words.pop(0) if named else DEFAULT_RECIPE), *words]
    settings: dict[str, list[str]] = {}
    name = ""
    for word in words:
        if word.startswith("--"):
            name, _, value = word[2:].partition("=")
            settings[name] = [value] if value else []
        else:
            settings[name].append(word)
    return {name: value for name, value in sorted(settings.items()) if name not in _NO_SETTING}


def make_runs(given: argparse.Namespace, argv: Sequence[str]) -> None:
    """Make the runs that are not there yet."""
    from benchmarks.accuracy.methods.listing import methods_named
    from benchmarks.accuracy.protocol.layout import layout_of, write_layout_beside
    from benchmarks.accuracy.protocol.parts import posts_and_parts
    from benchmarks.accuracy.records import Results
    from benchmarks.accuracy.runs import Experiment, parts_of_runs, pending, trial_rates
    from benchmarks.accuracy.training import Setup
    from hybridsent.training.model import build_processor
    from hybridsent.training.run_posts import forms_of_texts, load_posts, write_synthetic_posts

    methods, results = methods_named(given.methods), Results(given.results)
    models, data, training = parse_arguments(argv)
    rates = trial_rates(training.learning_rate, given.trials)
    folds = DEFAULT_FOLDS if given.folds is None and not given.seeds else given.folds
    write_synthetic_posts(data)
    table = load_posts(data)
    label_names = table.posts["train"].features["label"].names
    settings: dict[str, Any] = given_settings(argv)
    settings |= {"folds": folds, "trials": given.trials, "posts": table.counts["fingerprint"]}
    settings["model_config"] = models.fields_of_config()
    mask = build_processor(models).tokenizer.mask_token
    posts = forms_of_texts(table, data, mask)[0][1].posts
    pooled, parts = posts_and_parts(posts, data, folds, given.seeds, training.seed, given.repeats)
    chosen = parts_of_runs(parts, given.runs)
    results.claim(settings, label_names)
    write_layout_beside(layout_of(pooled, parts, label_names), results.folder)
    experiment = Experiment(Setup(models, training, pooled, label_names))
    for name, method, part in pending(chosen, methods, results):
        figures, answers = experiment.run(method, part, rates)
        results.write(name, figures, answers)
        print(f"{name}: trained in {figures['seconds']:.1f} s", flush=True)


def main(argv: Sequence[str] | None = None) -> None:
    """Run what the command line asks for and print the tables."""
    words = list(sys.argv[1:] if argv is None else argv)
    if words[:1] == ["score"]:
        from benchmarks.accuracy.score import score

        return score(words[1:])
    given, settings = build_parser().parse_known_args(words[words[:1] == ["run"] :])
    if not given.tables_only:
        make_runs(given, settings)
    from benchmarks.accuracy.records import Results
    from benchmarks.accuracy.tables import write_tables

    print(f"\n{write_tables(Results(given.results))}")
    return None


if __name__ == "__main__":
    main()
