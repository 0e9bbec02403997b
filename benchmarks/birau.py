"""Time BiRAU against torch.nn.GRU of the same sizes and against its own plain loop.

    python -m benchmarks.birau [--threads 1] [--seconds 2] [--output docs/birau_speed.md]

Every size is timed in rounds, each of which runs all forms once, so that whatever else the machine
does hits all of them; the shortest time of a form counts, and ratios are of those. The plain loop is
slow with long sequences: it takes part in the first two rounds at most.
"""

import argparse
import itertools
import platform
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import torch

from modeling_hybridsent import BiRAU

INPUT, HIDDEN = 256, 128
BATCHES, LENGTHS = (1, 32, 128), (32, 84, 256)
HEADER = """\
| type | pass | batch | length | BiRAU | torch.nn.GRU | plain loop | BiRAU / GRU | BiRAU / plain loop |
|---|---|--:|--:|--:|--:|--:|--:|--:|"""


def forms() -> dict[str, tuple[torch.nn.Module, Callable[[torch.Tensor], torch.Tensor]]]:
    """Return by name a module, for its parameters, and a function from inputs to states."""
    birau = BiRAU(INPUT, HIDDEN)
    gru = torch.nn.GRU(INPUT, HIDDEN, batch_first=True, bidirectional=True)
    return {
        "birau": (birau, birau),
        "gru": (gru, lambda inputs: gru(inputs)[0]),
        "plain": (birau, lambda inputs: birau.walk(inputs, None)),
    }


def timed(
    module: torch.nn.Module,
    run: Callable[[torch.Tensor], torch.Tensor],
    inputs: torch.Tensor,
    backward: bool,
    autocast: bool,
) -> float:
    """Return the seconds of one forward pass, or of forward and backward pass."""
    module.zero_grad()
    precision = torch.autocast("cpu", torch.bfloat16) if autocast else nullcontext()
    start = time.perf_counter()
    with torch.set_grad_enabled(backward), precision:
        states = run(inputs)
    if backward:
        states.backward(torch.ones_like(states))
    return time.perf_counter() - start


def measure(
    batch: int, length: int, backward: bool, autocast: bool, seconds: float
) -> dict[str, float]:
    """Return the shortest time of each form in seconds, from interleaved rounds.

    Args:
        batch: Posts.
        length: Tokens a post.
        backward: Time forward and backward pass, otherwise the forward pass alone.
        autocast: Run in bfloat16 by autocast, otherwise in float32.
        seconds: Begin no further round after so long; there are three rounds at least.
    """
    torch.manual_seed(0)
    inputs = torch.randn(batch, length, INPUT, requires_grad=backward)
    candidates, best, start = forms(), {}, time.perf_counter()
    for count in itertools.count():
        if count >= 3 and time.perf_counter() - start > seconds:
            return best
        for name, (module, run) in candidates.items():
            if name != "plain" or (count < 2 and best.get(name, 0.0) < seconds):
                spent = timed(module, run, inputs, backward, autocast)
                best[name] = min(spent, best.get(name, spent))


def table(seconds: float) -> str:
    """Time all sizes, print each row when it is there, and return the Markdown table."""
    lines = [HEADER]
    print(HEADER, flush=True)
    for autocast, backward, batch, length in itertools.product(
        (False, True), (False, True), BATCHES, LENGTHS
    ):
        best = measure(batch, length, backward, autocast, seconds)
        cells = [
            "bfloat16" if autocast else "float32",
            "forward + backward" if backward else "forward",
            str(batch),
            str(length),
            *(f"{1000 * best[name]:.1f} ms" for name in ("birau", "gru", "plain")),
            f"{best['birau'] / best['gru']:.2f}",
            f"{best['birau'] / best['plain']:.2f}",
        ]
        lines.append(f"| {' | '.join(cells)} |")
        print(lines[-1], flush=True)
    return "\n".join(lines) + "\n"


def main() -> None:
    """Read the command line, time, print and perhaps write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=1, help="threads of torch")
    parser.add_argument("--seconds", type=float, default=2.0, help="time for each size")
    parser.add_argument("--output", type=Path, help="Markdown file to write")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    title = (
        f"Both directions, {INPUT} -> {HIDDEN} each, torch {torch.__version__}, "
        f"{torch.backends.cpu.get_cpu_capability()} on {platform.machine()}, "
        f"{arguments.threads} thread(s). bfloat16 is by autocast; torch.nn.GRU supports it.\n"
    )
    print(title)
    text = title + "\n" + table(arguments.seconds)
    if arguments.output:
        arguments.output.parent.mkdir(parents=True, exist_ok=True)
        arguments.output.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
