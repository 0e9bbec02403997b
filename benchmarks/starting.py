"""Train on 200 posts with labels of one's own, from the encoders and from the bundled model.

    python -m benchmarks.starting --data_dir mvsa_single --output outputs/starting

The posts are the 450 validation posts of the clmlf split, which the bundled model was not trained
on. Their labels are other ones: "pleased" for positive posts, "not pleased" for the others. 160 are
for training, 40 for validation, 250 are kept out. A finished training is not repeated.
"""

import argparse
import csv
import json
import random
import subprocess
import sys
from pathlib import Path
from statistics import mean, stdev

from hybridsent.training.arguments import DataArguments
from hybridsent.training.run_posts import load_posts

STARTS = {"the encoders": [], "bundled/mvsa-single": ["--model", "bundled/mvsa-single"]}
SPLITS = {"train": slice(160), "validation": slice(160, 200), "test": slice(200, None)}
SCORES = ("accuracy", "macro_f1", "nll")


def write_own_posts(data_dir: str, folder: Path) -> None:
    """Write the posts with their new labels, and their images."""
    arguments = DataArguments(dataset="mvsa_single", data_dir=data_dir, protocol="clmlf")
    posts = load_posts(arguments).posts["validation"]
    positive = posts.features["label"].str2int("positive")
    (folder / "images").mkdir(parents=True, exist_ok=True)
    rows = []
    for post in posts:
        image = folder / "images" / f"{post['id']}.jpg"
        image.write_bytes(post["image"]["bytes"] or Path(post["image"]["path"]).read_bytes())
        label = "pleased" if post["label"] == positive else "not pleased"
        rows.append((post["id"], post["text"], f"images/{image.name}", label))
    random.Random(0).shuffle(rows)  # noqa: S311 (no secret)
    for name, part in SPLITS.items():
        with (folder / f"{name}.csv").open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([("id", "text", "image", "label"), *rows[part]])


def train(posts: Path, folder: Path, seed: int, more: list[str]) -> dict[str, float]:
    """Train by the recipe for own posts; return the scores of the posts kept out, and seconds."""
    results = folder / "metrics.json"
    if not results.is_file():
        words = [sys.executable, "-m", "hybridsent", "train", "posts", "--data_dir", str(posts)]
        words += ["--output_dir", str(folder), "--seed", str(seed), "--bf16", "true", *more]
        subprocess.run([*words, "--disable_tqdm", "true"], check=True)  # noqa: S603 (our own)
    run = json.loads(results.read_text(encoding="utf-8"))
    return {name: run["scores"][-1][name] for name in SCORES} | {"seconds": run["seconds"]}


def main() -> None:
    """Train all, and print the mean and standard deviation over seeds."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data_dir", required=True, help="folder of MVSA-Single")
    parser.add_argument("--output", type=Path, required=True, help="folder of posts and runs")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    given = parser.parse_args()
    write_own_posts(given.data_dir, given.output / "posts")
    print("| start | acc | macro F1 | NLL | seconds |\n|---|---:|---:|---:|---:|")
    for start, more in STARTS.items():
        name = Path(start.replace(" ", "_")).name
        runs = [
            train(given.output / "posts", given.output / f"{name}_{seed}", seed, more)
            for seed in given.seeds
        ]
        cells = []
        for score, scale in zip((*SCORES, "seconds"), (100, 100, 1, 1), strict=True):
            values = [scale * run[score] for run in runs]
            spread = stdev(values) if len(values) > 1 else 0.0
            digits = {"nll": 3, "seconds": 0}.get(score, 1)
            cells.append(f"{mean(values):.{digits}f} ± {spread:.{digits}f}")
        print(f"| {start} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
