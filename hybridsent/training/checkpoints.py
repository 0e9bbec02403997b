"""Which checkpoint a run goes on from: the newest whole one, for a killed run may leave half of one."""

import json
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path

from safetensors import SafetensorError, safe_open
from transformers import TrainingArguments
from transformers.trainer_callback import TrainerState
from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR

STATE = "trainer_state.json"  # written last
WEIGHTS, INDEX = "model.safetensors", "model.safetensors.index.json"
# One of the names of each; the second ones are those of FSDP and DeepSpeed.
NEEDED = {
    "optimizer.pt": ("optimizer.pt", "optimizer.bin", "optimizer_*", "global_step*"),
    "scheduler.pt": ("scheduler.pt", "global_step*"),
    "rng_state.pth": ("rng_state.pth", "rng_state_*.pth"),
}


def announce_checkpoint(arguments: TrainingArguments) -> str | None:
    """Choose the checkpoint that the settings ask for, as `checkpoint_to_resume`, and say which."""
    chosen, told = checkpoint_to_resume(arguments.resume_from_checkpoint, arguments.output_dir)
    if told and arguments.process_index == 0:
        print(told, flush=True)
    return chosen


def checkpoint_to_resume(
    wanted: str | bool | None, output_dir: str | Path
) -> tuple[str | None, str]:
    """Choose the checkpoint to go on from.

    Args:
        wanted: What `--resume_from_checkpoint` says: a checkpoint's folder; "true": the newest whole
            one in the output folder; "false" or None: none.
        output_dir: The output folder.

    Returns:
        The checkpoint's folder, None to start from the beginning; and what to tell people, empty when
        nothing was wanted. Half-written checkpoints that "true" passes over are named there.

    Raises:
        ValueError: The folder that was named is no whole checkpoint; the message names what is missing.
    """
    answer = str(wanted).lower()
    if answer in ("none", "false", ""):
        return None, ""
    if answer != "true":
        if faults := faults_of(Path(str(wanted))):
            raise ValueError(
                f"--resume_from_checkpoint {wanted} is no whole checkpoint: {', '.join(faults)}; "
                "name another one, or say true for the newest whole one of --output_dir."
            )
        return str(wanted), f"Going on from {wanted}."
    said: list[str] = []
    for folder in _newest_first(Path(output_dir)):
        faults = faults_of(folder)
        if not faults:
            return str(folder), "\n".join([*said, f"Going on from {folder}."])
        said.append(f"Passing over {folder}, which is not whole: {', '.join(faults)}.")
    said.append(f"No whole checkpoint in {output_dir}: the training starts from the beginning.")
    return None, "\n".join(said)


def _newest_first(output_dir: Path) -> list[Path]:
    """Return the folders of checkpoints, that of the highest step first."""
    steps = {
        int(found[1]): folder
        for folder in output_dir.glob(f"{PREFIX_CHECKPOINT_DIR}-*")
        if (found := re.fullmatch(rf"{PREFIX_CHECKPOINT_DIR}-(\d+)", folder.name))
    }
    return [steps[step] for step in sorted(steps, reverse=True)]


def faults_of(folder: Path) -> list[str]:
    """Say what a folder lacks to be a whole checkpoint.

    Args:
        folder: Any folder.

    Returns:
        One entry for each file that is missing or damaged; empty for a whole checkpoint.
    """
    if not folder.is_dir():
        return ["there is no such folder"]
    faults = [*_faults_of_weights(folder)]
    for name, patterns in NEEDED.items():
        if not any(any(folder.glob(pattern)) for pattern in patterns):
            faults.append(f"{name} is missing")
    faults += [
        f"{file.relative_to(folder)} is damaged"
        for file in sorted(folder.rglob("*"))
        if file.suffix in (".pt", ".pth", ".bin")
        and file.name != "training_args.bin"  # taken away, and not read
        and not _is_whole_archive(file)
    ]
    return [*faults, *_faults_of_state(folder / STATE)]


def _faults_of_weights(folder: Path) -> Iterator[str]:
    """Look at the weights, in one file or in several that an index names."""
    names = [WEIGHTS]
    if not (folder / WEIGHTS).exists() and (folder / INDEX).exists():
        try:
            names = sorted(set(json.loads((folder / INDEX).read_text())["weight_map"].values()))
        except (ValueError, KeyError, TypeError, AttributeError):
            yield f"{INDEX} is damaged"
            return
    for name in names:
        try:
            with safe_open(folder / name, "pt"):  # compares the file's size with its header
                pass
        except FileNotFoundError:
            yield f"{name} is missing"
        except (SafetensorError, OSError):
            yield f"{name} is damaged"


def _is_whole_archive(file: Path) -> bool:
    """Tell whether what torch.save wrote, a ZIP archive, is there with every byte."""
    try:
        with zipfile.ZipFile(file) as archive:
            return archive.testzip() is None
    except (zipfile.BadZipFile, OSError, EOFError):
        return False


def _faults_of_state(file: Path) -> Iterator[str]:
    try:
        TrainerState.load_from_json(str(file))
    except FileNotFoundError:
        yield f"{file.name} is missing"
    except (ValueError, TypeError):
        yield f"{file.name} is damaged"
