# /// script
# requires-python = ">=3.10,<3.14"
# dependencies = ["autogluon.multimodal>=1.6,<2", "numpy", "pandas", "pyarrow", "scipy"]
# ///
"""Train AutoGluon's AutoMM, in its own code and its own environment, on the folds of protocol 2.

    uv run benchmarks/automm.py --data_dir mvsa_single --runs 0 1 2 --output outputs/automm
    python -m benchmarks.accuracy score outputs/automm/automm.parquet --runs 0 1 2

AutoGluon asks for older releases of transformers and timm than hybridsent, so this file imports
nothing of hybridsent. Without uv: `pip install autogluon.multimodal pyarrow` in an environment of
its own, then `python benchmarks/automm.py ...`.

AutoMM reads the posts as they are: no cleaned texts, unimodal labels or soft labels. It fits on the
labelled posts that a run does not score, less about a tenth of their groups of duplicates. By that
tenth it chooses and averages its checkpoints, and this script fits one temperature. Answers of a
finished run are kept and skipped; other settings in the same folder are refused.
"""

import argparse
import hashlib
import json
import os
import signal
import sys
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd
from scipy.optimize import minimize_scalar
from scipy.special import softmax

PROTOCOL = 2
FOLDS_FILE = Path(__file__).parents[1] / "docs" / "accuracy_folds.json"
SHARE_OF_CHOICES = 10  # one group in so many is for choices


def read_folds(file: Path) -> dict[str, Any]:
    """Read what `benchmarks.accuracy` wrote of the posts and runs of a comparison.

    Raises:
        ValueError: It is no such file, or of another protocol.
    """
    try:
        layout = json.loads(file.read_text(encoding="utf-8"))
        protocol = layout["protocol"]
        layout["runs"] = {int(run): part["held_out"] for run, part in layout["runs"].items()}
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ValueError(f"{file} is not a folds.json of a comparison ({error!r}).") from error
    if protocol != PROTOCOL:
        raise ValueError(f"{file} is of protocol {protocol}, not {PROTOCOL}.")
    return layout


def read_posts(data_dir: Path, layout: dict[str, Any]) -> pd.DataFrame:
    """Return the labelled posts, a row each: text, image, label and group, by id.

    Args:
        data_dir: MVSA-Single as published, with `data/ID.txt` and `data/ID.jpg`.
        layout: Result of `read_folds`.

    Raises:
        FileNotFoundError: A post of the folds has no text or image.
    """
    rows = {}
    for name, (label, group) in layout["posts"].items():
        files = [data_dir / "data" / f"{name}.{ending}" for ending in ("txt", "jpg")]
        if absent := [file for file in files if not file.is_file()]:
            raise FileNotFoundError(f"{absent[0]}: no such file, but the folds have post {name}.")
        text = files[0].read_bytes().decode("gb18030", errors="replace").strip()
        rows[name] = (text, str(files[1]), layout["labels"][label], group)
    return pd.DataFrame.from_dict(rows, "index", columns=["text", "image", "label", "group"])


def cut_posts(posts: pd.DataFrame, held_out: list[str], run: int) -> dict[str, pd.DataFrame]:
    """Cut posts into those that teach, those that choose and those that are scored.

    No group of duplicates is in two parts: what has a copy among the scored posts is left out.

    Args:
        posts: All posts, by id.
        held_out: Ids of those to score.
        run: Number of the run; another tenth chooses in each.
    """
    scored = posts.loc[held_out]
    rest = posts[~posts["group"].isin(scored["group"])]
    chooses = rest["group"].map(lambda group: _chooses(run, group)).astype(bool)
    return {"train": rest[~chooses], "choices": rest[chooses], "held_out": scored}


def _chooses(run: int, group: int) -> bool:
    """Pick one group in so many by its hash: no version of a library decides."""
    digest = hashlib.sha256(f"{run} {group}".encode()).hexdigest()
    return int(digest, 16) % SHARE_OF_CHOICES == 0


def temperature_of(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """Return the number by which to divide logarithms of probabilities so that the NLL is least.

    Args:
        probabilities: (posts, labels).
        labels: Index of each post's label, (posts,).
    """

    def nll(logarithm: float) -> float:
        calibrated = calibrate(probabilities, float(np.exp(logarithm)))
        return float(-np.log(calibrated[np.arange(len(labels)), labels]).mean())

    return float(np.exp(minimize_scalar(nll, bounds=(-3, 3), method="bounded").x))


def calibrate(probabilities: np.ndarray, temperature: float) -> np.ndarray:
    """Return softmax(log p / temperature), (posts, labels)."""
    return softmax(np.log(np.clip(probabilities, 1e-12, 1)) / temperature, axis=1)


def answer(parts: dict[str, pd.DataFrame], label_names: list[str], settings: Any) -> pd.DataFrame:
    """Fit AutoMM, and return its calibrated probabilities of the held-out posts, by id.

    Args:
        parts: As `cut_posts` gives them.
        label_names: Names of the labels by index.
        settings: The command's arguments.
    """
    from autogluon.multimodal import MultiModalPredictor

    columns = ["text", "image", "label"]
    with TemporaryDirectory(dir=settings.output) as folder:
        predictor = MultiModalPredictor(
            "label", problem_type="multiclass", presets=settings.presets, path=f"{folder}/model"
        )
        predictor.fit(
            parts["train"][columns],
            tuning_data=parts["choices"][columns],
            column_types={"text": "text", "image": "image_path"},
            hyperparameters=hyperparameters_of(settings),
            time_limit=settings.time_limit,
            seed=settings.seed,
        )
        choices, held_out = (
            predictor.predict_proba(parts[name][columns[:2]])[label_names].to_numpy(np.float64)
            for name in ("choices", "held_out")
        )
    true = parts["choices"]["label"].map(label_names.index).to_numpy()
    calibrated = calibrate(held_out, temperature_of(choices, true))
    names = [f"p_{name}" for name in label_names]
    return pd.DataFrame(calibrated, parts["held_out"].index, names)


def hyperparameters_of(settings: Any) -> dict[str, Any]:
    """Return what differs from AutoMM's preset: the encoders that are named, and `--set`."""
    given = {}
    if settings.text_encoder or settings.image_encoder:
        given["model.names"] = ["hf_text", "timm_image", "fusion_mlp"]
    if settings.text_encoder:
        given["model.hf_text.checkpoint_name"] = settings.text_encoder
    if settings.image_encoder:
        given["model.timm_image.checkpoint_name"] = settings.image_encoder
    return given | dict(settings.set)


def write_run(answers: pd.DataFrame, posts: pd.DataFrame, run: int, file: Path) -> None:
    """Write a run's answers as `benchmarks.accuracy score` reads them."""
    table = answers.assign(
        protocol=PROTOCOL, method="automm", run=run, label=posts.loc[answers.index, "label"]
    )
    _write(table.rename_axis("id").reset_index().to_parquet(index=False), file)


def claim(settings: argparse.Namespace, autogluon: str) -> None:
    """Keep what decides the answers beside them, or hold it against what the folder was made with.

    Raises:
        ValueError: The folder has answers of other settings; the message names the first.
    """
    decides = {x: v for x, v in vars(settings).items() if x not in ("runs", "output", "data_dir")}
    folds = hashlib.sha256(settings.folds_file.read_bytes()).hexdigest()
    decides |= {"folds_file": folds, "set": dict(settings.set), "autogluon": autogluon}
    file = settings.output / "automm.json"
    settings.output.mkdir(parents=True, exist_ok=True)
    if not file.exists():
        _write((json.dumps(decides, indent=2) + "\n").encode(), file)
        return
    kept = json.loads(file.read_text(encoding="utf-8"))
    for name, value in decides.items():
        if kept.get(name) != value:
            raise ValueError(
                f"{settings.output} has answers with {name} = {kept.get(name)!r}, not {value!r}: give "
                "another --output, or the settings that it was made with."
            )


def join_runs(folder: Path) -> Path:
    """Write the answers of all finished runs into one file, and return its path."""
    files = folder.glob("automm-*.parquet")
    runs = sorted((pd.read_parquet(file) for file in files), key=lambda table: table["run"][0])
    _write(pd.concat(runs).to_parquet(index=False), folder / "automm.parquet")
    return folder / "automm.parquet"


def _write(content: bytes, file: Path) -> None:
    """Write a file, whole or not at all."""
    draft = file.with_suffix(".draft")
    draft.write_bytes(content)
    os.replace(draft, file)


def _assignment(text: str) -> tuple[str, Any]:
    """Read KEY=VALUE, the value as JSON where it is such."""
    key, found, value = text.partition("=")
    if not found or not key:
        raise argparse.ArgumentTypeError(f"{text!r} is not KEY=VALUE")
    try:
        return key, json.loads(value)
    except ValueError:
        return key, value


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("--data_dir", type=Path, required=True, help="folder of MVSA-Single")
    add("--output", type=Path, required=True, help="folder of the answers")
    add("--folds_file", type=Path, default=FOLDS_FILE, help="folds.json of a comparison")
    add("--runs", type=int, nargs="+", help="numbers of the folds; all of them if left out")
    add("--presets", help="AutoMM's preset, such as best_quality")
    add("--text_encoder", help="Hub id or folder; AutoMM's own if left out")
    add("--image_encoder", help="name of a timm network; AutoMM's own if left out")
    add("--time_limit", type=float, help="seconds of a fit; none if left out")
    add("--seed", type=int, default=0)
    add(
        "--set",
        type=_assignment,
        nargs="+",
        action="extend",
        default=[],
        metavar="KEY=VALUE",
        help="further hyperparameters of AutoMM, such as optim.max_epochs=5",
    )
    return parser.parse_args()


def main() -> None:
    """Fit and answer for each run, and join the answers of all finished ones."""
    settings = parse_arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what is half-made is removed
    try:
        layout = read_folds(settings.folds_file)
        runs = layout["runs"]
        if unknown := [run for run in settings.runs or () if run not in runs]:
            raise ValueError(f"--runs {unknown[0]}: {settings.folds_file} has {list(runs)}.")
        posts = read_posts(settings.data_dir, layout)
        claim(settings, version("autogluon.multimodal"))
    except (ValueError, OSError, PackageNotFoundError) as error:
        sys.exit(f"error: {error}")
    for run in settings.runs or runs:
        file = settings.output / f"automm-{run}.parquet"
        if not file.exists():
            start = time.perf_counter()
            parts = cut_posts(posts, runs[run], run)
            write_run(answer(parts, layout["labels"], settings), posts, run, file)
            print(f"run {run}: {time.perf_counter() - start:.0f} s")
        print(f"Answers: {join_runs(settings.output)}")


if __name__ == "__main__":
    main()
