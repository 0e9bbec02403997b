"""Train one network on one part, and ask it."""

import copy
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import torch
from datasets import Dataset
from transformers import PrinterCallback, set_seed

from benchmarks.accuracy.methods.baselines import BaselineForSequenceClassification
from benchmarks.accuracy.methods.listing import Method
from benchmarks.accuracy.protocol.parts import NUMBER, Part, PooledPosts
from benchmarks.accuracy.records import BRANCHES, DECISION, ONLY, WEIGHT, Answers, Trained
from hybridsent.evaluation.metrics import SentimentScores
from hybridsent.regression.answers import Inputs
from hybridsent.regression.frozen import FrozenFeatures
from hybridsent.regression.soft_labels import BLOCKS, add_soft_labels, answer_each
from hybridsent.training.arguments import HybridSentTrainingArguments, ModelArguments
from hybridsent.training.encoder_layers import prepare_encoders
from hybridsent.training.feature_cache import FeatureCache
from hybridsent.training.model import build_model, build_processor
from hybridsent.training.run_posts import with_only
from hybridsent.training.trainer import HybridSentTrainer
from modeling_hybridsent import HybridSentForSequenceClassification
from modeling_hybridsent.encoders_hybridsent import is_frozen


class NumberedCollator:
    """Add to each batch the numbers of its posts.

    Args:
        collator: Makes the rest of the batch.
    """

    def __init__(self, collator: Callable[[list[dict]], dict[str, Any]]) -> None:
        self.collator = collator

    def __call__(self, rows: list[dict[str, Any]]) -> dict[str, Any]:
        """Make a batch with `post_numbers`, (batch,)."""
        numbers = torch.tensor([row[NUMBER] for row in rows])
        return {**self.collator(rows), "post_numbers": numbers}


class Setup(NamedTuple):
    """What all runs of a comparison share.

    Attributes:
        models: Settings of the model.
        training: Settings of the training.
        pool: All posts, numbered.
        label_names: Names of the labels by index.
    """

    models: ModelArguments
    training: HybridSentTrainingArguments
    pool: PooledPosts
    label_names: list[str]

    @property
    def posts(self) -> Dataset:
        """All posts as a table."""
        return self.pool.table


class NetworkTraining:
    """Trains any method that has a network, by the recipe.

    Args:
        setup: What all runs share.
    """

    def __init__(self, setup: Setup) -> None:
        self.setup = setup

    @cached_property
    def features(self) -> FrozenFeatures:
        """What logistic regressions read of all posts."""
        setup = self.setup
        return FrozenFeatures(setup.models, setup.training, setup.posts, setup.label_names)

    def train(self, method: Method, part: Part, rate: float) -> Trained:
        """Train a method on a part.

        Args:
            method: With a network.
            part: Posts to learn from and to choose the epoch on.
            rate: Learning rate of what is not an encoder.

        Returns:
            The trained method; `seconds` are those of the training proper.
        """
        with tempfile.TemporaryDirectory() as folder:
            trainer, posts = self._trainer(method, part, rate, folder)
            start = time.perf_counter()
            trainer.train()
            seconds = time.perf_counter() - start

        def answer(numbers: np.ndarray, alone: bool) -> Answers:
            return _ask(trainer, posts.select(numbers), method, alone)

        return Trained(
            answer, {"seconds": seconds, "trainable_parameters": trainer.trained_parameters}
        )

    def _trainer(
        self, method: Method, part: Part, rate: float, folder: str
    ) -> tuple[HybridSentTrainer, Dataset]:
        """Build the trainer of one run, and the posts with their stored states."""
        arguments = copy.copy(self.setup.training)
        arguments.output_dir, arguments.learning_rate = folder, rate
        arguments.disable_tqdm, arguments.seed = True, part.seed
        set_seed(part.seed)
        model = self._model(method)
        prepare_encoders(model, arguments)
        # A new one for each run: saving a checkpoint writes into it, and the cache looks at it.
        processor = build_processor(self.setup.models)
        posts, states = self.setup.posts, {}
        if arguments.cache_features:
            posts, states = self._stored(FeatureCache(model, processor, arguments), model)
        if isinstance(model, BaselineForSequenceClassification):
            model.freeze_unused_parts()
            _leave_frozen(model, arguments)
        trainer = HybridSentTrainer(
            scores=SentimentScores(self.setup.label_names).of_logits,
            states=states,
            model=model,
            args=arguments,
            train_dataset=self._teaching(method, part, posts),
            eval_dataset=posts.select(part.validation),
            processing_class=processor,
        )
        trainer.remove_callback(PrinterCallback)
        if getattr(model, "needs_numbers", False):
            trainer.data_collator = NumberedCollator(trainer.data_collator)
        return trainer, posts

    def _teaching(self, method: Method, part: Part, posts: Dataset) -> Dataset:
        """Return the posts to learn from; those without label teach some methods."""
        labels = self.setup.pool.labels
        numbers = part.train[method.contradictory | (labels[part.train] >= 0)]
        if not (method.soft_labels and self.setup.training.soft_label_weight):
            return posts.select(numbers)
        places = np.flatnonzero(labels[numbers] >= 0)
        known = numbers[places]
        found = answer_each(
            Inputs(self.features.of(BLOCKS), self.features.texts).select(known),
            list(posts.select(known)["id"]),
            labels[known],
            self.setup.pool.groups[known],
            len(self.setup.label_names),
        )
        return add_soft_labels(posts.select(numbers), places, found)

    def _model(self, method: Method) -> HybridSentForSequenceClassification:
        models = replace(
            self.setup.models, model_config=method.config_over(self.setup.models.fields_of_config())
        )
        return build_model(models, self.setup.label_names, method.model_class)

    def _stored(
        self, cache: FeatureCache, model: HybridSentForSequenceClassification
    ) -> tuple[Dataset, Mapping[str, Any]]:
        """Give all posts the stored states of the frozen encoders, where the method can use them."""
        if not getattr(model, "takes_text_states", True):
            cache.encoders.pop("text", None)
        if not cache.encoders:
            return self.setup.posts, {}
        posts, states = cache.attach({"posts": self.setup.posts})
        return posts["posts"], states


def _leave_frozen(
    model: BaselineForSequenceClassification, arguments: HybridSentTrainingArguments
) -> None:
    """Remove the rank of low-rank factors of an encoder that the method does not train."""
    encoders = {"text": model.hybridsent.text_model, "vision": model.hybridsent.vision_model}
    for name, encoder in encoders.items():
        if is_frozen(encoder):
            setattr(arguments, f"{name}_encoder_lora_rank", None)


def _ask(trainer: HybridSentTrainer, posts: Dataset, method: Method, alone: bool) -> Answers:
    """Score posts with both modalities and, where asked, with each alone that the method reads."""
    outputs, _ = trainer.predict_posts(posts)
    answers = {DECISION: outputs["logits"]}
    for modality in method.reads if alone else ():
        answers[ONLY[modality]] = _ask_alone(trainer, posts, modality, outputs["logits"].shape)
    if trainer.model.config.decision_fusion == "dynamic":
        answers |= {f"{name}_logit": outputs[f"{name}_logits"] for name in BRANCHES}
        answers[WEIGHT] = outputs["decision_weights"]
    return answers


def _ask_alone(
    trainer: HybridSentTrainer, posts: Dataset, modality: str, shape: tuple[int, ...]
) -> np.ndarray:
    """Return logits (posts, labels) from one modality; NaN for posts that lack it."""
    answers = np.full(shape, np.nan)
    having = with_only(posts, modality)
    if len(having):
        place = {number: i for i, number in enumerate(posts[NUMBER])}
        rows = [place[number] for number in having[NUMBER]]
        answers[rows] = trainer.predict_posts(having)[0]["logits"]
    return answers
