"""Write a trained model as a small difference to the bundled encoders, as the package carries one.

hybridsent bundle outputs/quickstart bundles/quickstart
hybridsent bundle outputs/mvsa_single hybridsent/bundled/mvsa-single mvsa_single --data_dir FOLDER

First come the folder of the model and that of the bundle, then what `hybridsent train` was given: the
recipe, and settings such as --data_dir. The bundle is compared with the model on the validation posts
of this training. If it loses more than 0.3 points of accuracy, a probability moves by more than 0.02,
or it has more than --largest MB (10), the command ends with an error and writes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence


def run(words: Sequence[str]) -> None:
    """Bundle, compare and print."""
    if {"-h", "--help"} & set(words) or not words:
        usage = "hybridsent bundle MODEL BUNDLE [RECIPE] [settings] [--largest MB]"
        print(f"usage: {usage}\n\n{__doc__}")
        return
    settings = [*words]
    largest = 10.0
    if "--largest" in settings:
        place = settings.index("--largest")
        largest = _megabytes(settings[place + 1 : place + 2])
        del settings[place : place + 2]
    if len(settings) < 2 or settings[0].startswith("-") or settings[1].startswith("-"):
        raise ValueError("Give two folders: that of the model, and that of the bundle to write.")

    from hybridsent.bundled.compression import MEGABYTE
    from hybridsent.publishing.bundling import bundle
    from hybridsent.training.arguments import parse_arguments

    model, target, *settings = settings
    # In half precision, rounding alone would move probabilities.
    _, data, training = parse_arguments([*settings, "--bf16", "false", "--fp16", "false"])
    compared, size = bundle(model, target, data, training, round(largest * MEGABYTE))
    print(f"Wrote {target}, {size:,} bytes: {compared}.")


def _megabytes(value: Sequence[str]) -> float:
    try:
        return float(value[0])
    except (IndexError, ValueError):
        raise ValueError(f"--largest {' '.join(value)}: give a number of MB, such as 10.") from None
