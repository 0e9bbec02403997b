"""Choose the checkpoint to resume from: a killed run may leave an incomplete one behind."""

import json
import pickle
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from transformers.trainer_callback import TrainerState
from transformers.trainer_pt_utils import safe_globals
from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR

STATE = "trainer_state.json"  # written last
WEIGHTS, INDEX = "model.safetensors", "model.safetensors.index.json"
AVERAGE = "weight_average.safetensors"  # the mean over steps, see averaging.py
AVERAGES = "weight_average*.safetensors"  # with those of shards
# Each needs one of its names; the later ones are those of FSDP and DeepSpeed.
NEEDED = {
    "optimizer.pt": ("optimizer.pt", "optimizer.bin", "optimizer_*", "global_step*"),
    "scheduler.pt": ("scheduler.pt", "global_step*"),
    "rng_state.pth": ("rng_state.pth", "rng_state_*.pth"),
}


def checkpoint_to_resume(
    wanted: str | bool | None, output_dir: str | Path, processes: int = 1
) -> tuple[str | None, str]:
    """Return the checkpoint to resume from, and a message about the choice.

    Args:
        wanted: Value of `--resume_from_checkpoint`: a checkpoint's folder; "true" for the newest
            complete one in the output folder; "false" or None to start from step 0.
        output_dir: The output folder.
        processes: Number of processes of this run.

    Returns:
        The checkpoint's folder, None to start from step 0; and the message, which names incomplete
        checkpoints that "true" skipped, says if another number of processes wrote the chosen one, and
        is empty when nothing was wanted.

    Raises:
        ValueError: The named checkpoint is incomplete; the message lists what is missing.
    """
    answer = str(wanted).lower()
    if answer in ("none", "false", ""):
        return None, ""
    if answer != "true":
        if faults := faults_of(Path(str(wanted))):
            raise ValueError(
                f"--resume_from_checkpoint {wanted}: incomplete checkpoint ({', '.join(faults)}). "
                "Give another one, or true for the newest complete one in --output_dir."
            )
        return str(wanted), _resuming(Path(str(wanted)), processes)
    lines: list[str] = []
    for folder in _newest_first(Path(output_dir)):
        faults = faults_of(folder)
        if not faults:
            return str(folder), "\n".join([*lines, _resuming(folder, processes)])
        lines.append(f"Skipping incomplete checkpoint {folder}: {', '.join(faults)}.")
    lines.append(f"No complete checkpoint in {output_dir}: training starts from step 0.")
    return None, "\n".join(lines)


def _resuming(folder: Path, processes: int) -> str:
    """Return the message that names the checkpoint, and another number of processes if it has one."""
    before = len([*folder.glob("rng_state_*.pth")])
    if (folder / "rng_state.pth").exists():
        before = 1
    message = f"Resuming from {folder}."
    if before == processes:
        return message
    return (
        f"{message} It was written by {before} process(es), and this run has {processes}: the weights "
        "at the end will differ from those of a run without interruption."
    )


def _newest_first(output_dir: Path) -> list[Path]:
    """Return the folders of checkpoints, that of the highest step first."""
    steps = {
        int(match[1]): folder
        for folder in output_dir.glob(f"{PREFIX_CHECKPOINT_DIR}-*")
        if (match := re.fullmatch(rf"{PREFIX_CHECKPOINT_DIR}-(\d+)", folder.name))
    }
    return [steps[step] for step in sorted(steps, reverse=True)]


def faults_of(folder: Path) -> list[str]:
    """Return what a folder lacks to be a complete checkpoint.

    Args:
        folder: Any folder.

    Returns:
        One entry for each file that is missing or damaged; empty for a complete checkpoint.
    """
    if not folder.is_dir():
        return ["there is no such folder"]
    faults = [*_faults_of_weights(folder)]
    for name, patterns in NEEDED.items():
        if not any(any(folder.glob(pattern)) for pattern in patterns):
            faults.append(f"{name} is missing")
    faults += [
        f"{file.relative_to(folder)} {fault}"
        for file in sorted(folder.rglob("*"))
        if file.suffix in (".pt", ".pth", ".bin")
        and file.name != "training_args.bin"  # never read
        and (fault := _fault_of_archive(file, is_ours=file.parent == folder))
    ]
    return [*faults, *_faults_of_state(folder / STATE)]


def _faults_of_weights(folder: Path) -> Iterator[str]:
    """Check the weights, in one file or in several that an index names, and their running means."""
    names = [WEIGHTS]
    averages = sorted(file.name for file in folder.glob(AVERAGES))
    if not (folder / WEIGHTS).exists() and (folder / INDEX).exists():
        try:
            names = sorted(set(json.loads((folder / INDEX).read_text())["weight_map"].values()))
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            yield f"{INDEX} is damaged"
            return
    for name in [*names, *averages]:
        if Path(str(name)).name != name:
            yield f"{INDEX} names {name!r}, which is no file of the folder"
            continue
        try:
            with safe_open(folder / name, "pt"):  # compares the file's size with its header
                pass
        except FileNotFoundError:
            yield f"{name} is missing"
        except (SafetensorError, OSError):
            yield f"{name} is damaged"


def _fault_of_archive(file: Path, is_ours: bool) -> str:
    """Return what is wrong with a file of torch.save: a cut archive, or objects that may run code.

    Args:
        file: The file.
        is_ours: Whether the Trainer wrote it, and not DeepSpeed.
    """
    try:
        with zipfile.ZipFile(file) as archive:
            if archive.testzip() is not None:
                return "is damaged"
        if is_ours:
            with safe_globals():
                torch.load(file, map_location="meta", weights_only=True)
    except pickle.UnpicklingError:
        return "holds objects other than tensors and numbers, which are not loaded"
    except (zipfile.BadZipFile, OSError, EOFError, RuntimeError, ValueError, LookupError):
        return "is damaged"
    return ""


def _faults_of_state(file: Path) -> Iterator[str]:
    try:
        state = TrainerState.load_from_json(str(file))
        is_log = isinstance(state.log_history, list)
        is_log = is_log and all(isinstance(entry, dict) for entry in state.log_history)
        step = state.global_step if is_log else None
    except FileNotFoundError:
        yield f"{file.name} is missing"
        return
    except (ValueError, TypeError, RecursionError):
        step = None
    named = re.fullmatch(rf"{PREFIX_CHECKPOINT_DIR}-(\d+)", file.parent.name)
    if type(step) is not int or step < 0:
        yield f"{file.name} is damaged"
    elif named and int(named[1]) != step:
        yield f"{file.name} is of step {step}, not {named[1]}"


def remove_averages(checkpoint: Path) -> None:
    """Delete the means in the folder of a checkpoint that is about to be written anew."""
    for file in checkpoint.glob(AVERAGES):
        file.unlink()
