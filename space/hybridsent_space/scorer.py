"""Posts in, answers out: what the model says, how sure it is and what decided."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any

import torch

from hybridsent_space.model import LoadedModel
from hybridsent_space.posts import Post, RefusedError
from hybridsent_space.settings import Settings
from hybridsent_space.turns import PATIENT, Turns
from modeling_hybridsent.answers_hybridsent import (
    BRANCHES,
    Answer,
    Explanation,
    explain_post,
    make_answers,
    require_one_label,
)

OUTPUTS = ("logits", "decision_weights", *(f"{name}_logits" for name in BRANCHES))
GRAPH_LENGTH_STEP = 8  # tokens; OpenVINO prepares its kernels anew for each length it has not met

try:
    from spaces import GPU as on_gpu  # noqa: N811 (only on a Space with shared graphics cards)
except ImportError:

    def on_gpu(function: Callable) -> Callable:
        """Leave a function as it is."""
        return function


# By number, since shared graphics cards run a function in another process: a model that is an
# argument would be copied there with every call.
_MODELS: dict[int, Any] = {}


@on_gpu
def run_model(number: int, inputs: dict[str, torch.Tensor], **options: bool) -> dict[str, Any]:
    """Run a model on one batch.

    Args:
        number: Of the model in `_MODELS`.
        inputs: What its processor made.
        **options: For instance `output_attentions`.

    Returns:
        `logits`, `decision_weights`, `NAME_logits` of each branch that there is and, if asked for,
        `cross_attentions`; on the CPU.
    """
    model = _MODELS[number]
    there = {name: value.to(model.device) for name, value in inputs.items()}
    with torch.inference_mode():
        outputs = model(**there, **options)
    kept = {name: outputs[name].float().cpu() for name in OUTPUTS if outputs.get(name) is not None}
    if outputs.cross_attentions:
        kept["cross_attentions"] = [x.float().cpu() for x in outputs.cross_attentions]
    return kept


class Scorer:
    """Score posts with one model, for everybody who asks.

    Args:
        loaded: The model.
        batch_size: Posts in one pass.
    """

    def __init__(self, loaded: LoadedModel, batch_size: int) -> None:
        self.loaded = loaded
        self.batch_size = batch_size
        self.labels = loaded.labels
        self.turns = Turns()
        self._number = len(_MODELS)
        _MODELS[self._number] = loaded.model
        self.energy_limits = loaded.metrics.get("calibration", {}).get("energy_limits", {})

    def max_image_ratio(self, settings: Settings) -> float:
        """Return the ratio of sides that an image may have: any, unless one side is resized alone."""
        ratio = self.loaded.processor.max_image_ratio()
        return min(ratio, settings.max_image_ratio) if math.isfinite(ratio) else ratio

    def prepare(self, post: Post) -> dict[str, torch.Tensor]:
        """Turn a post into model inputs of a batch of one.

        Raises:
            RefusedError: The processor cannot use it.
        """
        try:
            return dict(self.loaded.processor(text=[post.text], images=[post.image]))
        except ValueError as error:
            raise RefusedError(f"The post cannot be used: {error}") from error

    def run(
        self, prepared: Sequence[dict[str, torch.Tensor]], urgency: int = PATIENT, **options: bool
    ) -> list[dict[str, Any]]:
        """Run the model on posts, batch by batch, each batch when its turn comes.

        Args:
            prepared: Results of `prepare`.
            urgency: `URGENT` or `PATIENT`.
            **options: As in `run_model`.

        Returns:
            What `run_model` gave, one a batch.
        """
        graph = None if options else self.loaded.graph  # what options ask for, only the model gives
        given = []
        for start in range(0, len(prepared), self.batch_size):
            batch = self._collate(prepared[start : start + self.batch_size], graph is not None)
            with self.turns.take(urgency):
                given.append(
                    graph(batch, OUTPUTS) if graph else run_model(self._number, batch, **options)
                )
        return given

    def _collate(
        self, prepared: Sequence[dict[str, torch.Tensor]], for_graph: bool
    ) -> dict[str, torch.Tensor]:
        """Join posts to one batch, texts padded to the longest; for a graph to one of few lengths."""
        tokens = [
            {name: post[name][0] for name in ("input_ids", "attention_mask")} for post in prepared
        ]
        processor, longest = self.loaded.processor, max(len(x["input_ids"]) for x in tokens)
        is_near_end = longest > processor.max_length - GRAPH_LENGTH_STEP  # of the positions
        multiple = GRAPH_LENGTH_STEP if for_graph and not is_near_end else None
        padded = processor.tokenizer.pad(tokens, pad_to_multiple_of=multiple, return_tensors="pt")
        rest = ("pixel_values", "has_text", "has_image")
        return {**padded, **{name: torch.cat([post[name] for post in prepared]) for name in rest}}

    def answer(self, posts: Iterable[Post | RefusedError], urgency: int = PATIENT) -> list[Answer]:
        """Score posts.

        Args:
            posts: Posts, taken one by one, so that only one image is decoded at a time; an error in
                the place of one becomes its answer.
            urgency: `URGENT` or `PATIENT`.

        Returns:
            One answer a post.
        """
        answers: list[Answer] = []
        prepared, places = [], []
        for post in posts:
            try:
                if isinstance(post, RefusedError):
                    raise post
                prepared.append(self.prepare(post))
                places.append(len(answers))
                answers.append(Answer())  # until the model has run
            except RefusedError as error:
                answers.append(Answer(error=str(error)))
        outputs = self.run(prepared, urgency)
        problem = self.loaded.model.problem
        made = [
            answer
            for batch in outputs
            for answer in make_answers(batch, self.labels, self.energy_limits, problem)
        ]
        for place, post, answer in zip(places, prepared, made, strict=True):
            tokens = int(post["attention_mask"].sum())
            answers[place] = replace(answer, notes=self._notes(tokens))
        return answers

    def explain(self, post: Post) -> Explanation:
        """Score a post without each of its parts.

        Raises:
            RefusedError: The model does not give each post one label.
        """
        try:
            require_one_label(self.loaded.model.config, "An explanation")
        except ValueError as error:
            raise RefusedError(str(error)) from error

        def score(batch: dict[str, torch.Tensor]) -> torch.Tensor:
            rows = range(len(batch["has_text"]))
            posts = [{name: x[i : i + 1] for name, x in batch.items()} for i in rows]
            return torch.cat([outputs["logits"] for outputs in self.run(posts)])

        encode = self.loaded.processor.encode_texts
        inputs = self.prepare(post)
        return explain_post(post.text, inputs, encode, self.labels, score, self.batch_size)

    def _notes(self, tokens: int) -> tuple[str, ...]:
        longest = getattr(self.loaded.processor, "max_length", None)
        if tokens != longest:
            return ()
        return (f"The model reads {longest} tokens; what follows in the text did not count.",)
