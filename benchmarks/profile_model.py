"""Where the time of a scoring pass and of a training step goes.

    python -m benchmarks.profile_model --model outputs/quickstart

Each part runs alone on the inputs that it gets in a real batch, in turns with the whole, so that
whatever else the machine does falls on all of them alike. Training tunes the text encoder and leaves
the vision encoder frozen, as the recipes do. The posts are the quickstart's synthetic ones.
"""

import argparse
import statistics
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import AutoModelForSequenceClassification, AutoProcessor

from benchmarks.turns import take_turns
from datasets_scripts import load_table
from hybridsent.training.collator import PostCollator

ENCODERS = ("text encoder", "vision encoder")
Call = Callable[[], Any]


def parts_of(model: nn.Module) -> dict[str, list[nn.Module]]:
    """Name the parts of a model whose time is taken, in the order in which a post meets them."""
    inner = model.hybridsent
    classifiers = [model.text_classifier, model.image_classifier, model.fusion_classifier]
    parts = {
        "text encoder": [inner.text_model],
        "vision encoder": [inner.vision_model],
        "features": [inner.text_features, inner.image_features],
        "unimodal branches": [inner.text_branch, inner.image_branch],
        "cross-modal layers": list(inner.cross_modal_layers),
        "BiRAU": [inner.fusion_branch.recurrence],
        "fusion branch, with BiRAU": [inner.fusion_branch],
        "classifiers and decision": [*classifiers, model.decision_fusion],
    }
    present = {name: [x for x in modules if x is not None] for name, modules in parts.items()}
    return {name: modules for name, modules in present.items() if modules}


def record_inputs(model: nn.Module, batch: dict[str, torch.Tensor]) -> dict[nn.Module, tuple]:
    """Run one batch and keep what each part was given."""
    given: dict[nn.Module, tuple] = {}
    modules = [module for some in parts_of(model).values() for module in some]

    def keep(module: nn.Module, inputs: tuple, options: dict[str, Any]) -> None:
        given[module] = (inputs, options)

    hooks = [x.register_forward_pre_hook(keep, with_kwargs=True) for x in modules]
    model(**batch)
    for hook in hooks:
        hook.remove()
    return given


def _tensors(value: Any) -> list[torch.Tensor]:
    if isinstance(value, torch.Tensor):
        return [value]
    values = value.values() if isinstance(value, dict) else value
    is_nested = isinstance(value, (list, tuple, dict))
    return [x for one in values for x in _tensors(one)] if is_nested else []


def _fresh(value: Any, train: bool) -> Any:
    """Cut tensors off from what made them; in training they ask for a gradient as they did there."""
    if isinstance(value, torch.Tensor):
        return value.detach().requires_grad_(train and value.requires_grad)
    if isinstance(value, (list, tuple)):
        return type(value)(_fresh(x, train) for x in value)
    return {k: _fresh(v, train) for k, v in value.items()} if isinstance(value, dict) else value


def call_of(modules: list[nn.Module], given: dict[nn.Module, tuple], train: bool) -> Call:
    """Return a function that runs modules on what they were given; in training, backward too."""

    def call() -> None:
        for module in modules:
            inputs, options = (_fresh(x, train) for x in given[module])
            outputs = [x for x in _tensors(module(*inputs, **options)) if x.requires_grad]
            if train and outputs:
                sum(x.float().sum() for x in outputs).backward()

    return call


def seconds_of(call: Call) -> float:
    """Return how long a call takes."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def measure(
    model: nn.Module,
    load: Call,
    train: bool,
    precision: Callable[[], AbstractContextManager],
    rounds: int,
) -> dict[str, float]:
    """Return seconds a batch: of the whole, of each part and of loading the data.

    Args:
        model: The model.
        load: Makes the batch.
        train: Forward and backward with labels, else forward alone.
        precision: The context to run in.
        rounds: How often.
    """
    model.train(train)
    batch = load()
    scored = {name: x for name, x in batch.items() if train or not name.endswith("labels")}

    def whole() -> None:
        outputs = model(**scored)
        if train:
            outputs.loss.backward()

    with precision(), nullcontext() if train else torch.inference_mode():
        given = record_inputs(model, scored)
        calls = {"whole": whole, "data loading, one process": load}
        calls |= {name: call_of(some, given, train) for name, some in parts_of(model).items()}
        ways = {name: partial(seconds_of, call) for name, call in calls.items()}
        return {k: statistics.median(x) for k, x in take_turns(ways, rounds, warm_up=1).items()}


def as_rows(times: dict[str, float]) -> dict[str, tuple[float, float]]:
    """Return milliseconds and share of the whole; all but the encoders is what is left of the whole."""
    whole = times["whole"]
    own = whole - sum(times[name] for name in ENCODERS)
    found = {**times, "all but the encoders": own}
    return {name: (1000 * seconds, seconds / whole) for name, seconds in found.items()}


def main(argv: Sequence[str] | None = None) -> None:
    """Measure and print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], allow_abbrev=False)
    parser.add_argument("--model", default="outputs/quickstart", help="folder or Hub id")
    parser.add_argument("--posts", type=Path, default=Path("outputs/synthetic-posts"), help="a set")
    parser.add_argument("--batch_size", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--bf16", action="store_true", help="run under autocast in bfloat16")
    options = parser.parse_args(argv)
    torch.set_num_threads(options.threads)
    model = AutoModelForSequenceClassification.from_pretrained(
        options.model, trust_remote_code=True
    )
    collate = PostCollator(AutoProcessor.from_pretrained(options.model, trust_remote_code=True))
    posts = load_table("posts", str(options.posts)).posts["train"].select(range(options.batch_size))
    rows = list(posts)

    def precision() -> AbstractContextManager:
        return torch.autocast("cpu", torch.bfloat16) if options.bf16 else nullcontext()

    print(f"{options.batch_size} posts a batch, {options.threads} threads, bf16: {options.bf16}\n")
    for pass_name, train in (("scoring", False), ("training", True)):
        model.hybridsent.vision_model.requires_grad_(False)
        times = measure(model, lambda: collate(rows), train, precision, options.rounds)
        print(f"| {pass_name} | ms a batch | share |\n|---|---:|---:|")
        for name, (milliseconds, share) in as_rows(times).items():
            print(f"| {name} | {milliseconds:.1f} | {100 * share:.1f} % |")
        print(flush=True)


if __name__ == "__main__":
    main()
