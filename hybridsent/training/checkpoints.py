"""Choose the checkpoint to resume from: a killed run may leave an incomplete one behind."""

import json
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path

from safetensors import SafetensorError, safe_open
from transformers.trainer_callback import TrainerState
from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR

STATE = "trainer_state.json"  # written last
WEIGHTS, INDEX = "model.safetensors", "model.safetensors.index.json"
# Each needs one of its names; the later ones are those of FSDP and DeepSpeed.
NEEDED = {
    "optimizer.pt": ("optimizer.pt", "optimizer.bin", "optimizer_*", "global_step*"),
    "scheduler.pt": ("scheduler.pt", "global_step*"),
    "rng_state.pth": ("rng_state.pth", "rng_state_*.pth"),
}


def checkpoint_to_resume(
    wanted: str | bool | None, output_dir: str | Path
) -> tuple[str | None, str]:
    """Return the checkpoint to resume from, and a message about the choice.

    Args:
        wanted: Value of `--resume_from_checkpoint`: a checkpoint's folder; "true" for the newest
            complete one in the output folder; "false" or None to start from step 0.
        output_dir: The output folder.

    Returns:
        The checkpoint's folder, None to start from step 0; and the message, which names incomplete
        checkpoints that "true" skipped, or is empty when nothing was wanted.

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
        return str(wanted), f"Resuming from {wanted}."
    lines: list[str] = []
    for folder in _newest_first(Path(output_dir)):
        faults = faults_of(folder)
        if not faults:
            return str(folder), "\n".join([*lines, f"Resuming from {folder}."])
        lines.append(f"Skipping incomplete checkpoint {folder}: {', '.join(faults)}.")
    lines.append(f"No complete checkpoint in {output_dir}: training starts from step 0.")
    return None, "\n".join(lines)


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
        f"{file.relative_to(folder)} is damaged"
        for file in sorted(folder.rglob("*"))
        if file.suffix in (".pt", ".pth", ".bin")
        and file.name != "training_args.bin"  # never read
        and not _is_complete_archive(file)
    ]
    return [*faults, *_faults_of_state(folder / STATE)]


def _faults_of_weights(folder: Path) -> Iterator[str]:
    """Check the weights, in one file or in several that an index names."""
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


def _is_complete_archive(file: Path) -> bool:
    """Check that a ZIP archive, as torch.save writes it, is complete."""
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
