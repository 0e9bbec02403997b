"""How fast run_train.py trains, beside a bare PyTorch loop with the same encoders.

    python -m benchmarks.throughput --data_dir outputs/synthetic-posts

All train on the same posts with the same batches, precision and frozen vision encoder, in turns. The
bare loop is what one writes in an afternoon: both encoders, mean pooling, one linear layer, AdamW.
"""

import argparse
import tempfile
import time
from collections.abc import Sequence

import torch
from torch import nn
from torch.utils.data import DataLoader
from transformers import TrainerCallback

from benchmarks.turns import rates_table, take_turns
from hybridsent.evaluation.metrics import SentimentScores
from hybridsent.training.arguments import parse_arguments
from hybridsent.training.collator import PostCollator
from hybridsent.training.encoder_layers import prepare_encoders
from hybridsent.training.feature_cache import FeatureCache
from hybridsent.training.model import build_model, build_processor
from hybridsent.training.run_posts import load_posts, write_synthetic_posts
from hybridsent.training.trainer import HybridSentTrainer
from modeling_hybridsent import HybridSentForSequenceClassification

WARM_UP = 3  # steps that are not counted


class StepClock(TrainerCallback):
    """Note when each step ends."""

    def __init__(self) -> None:
        self.ends: list[float] = []

    def on_step_end(self, *_: object, **__: object) -> None:
        """Note the time."""
        self.ends.append(time.perf_counter())


class Concatenation(nn.Module):
    """Both encoders, mean pooling and one linear layer.

    Args:
        model: Whose encoders are used.
    """

    def __init__(self, model: HybridSentForSequenceClassification) -> None:
        super().__init__()
        self.base = model.hybridsent
        width = model.config.text_config.hidden_size + model.config.vision_feature_sizes[0]
        self.classifier = nn.Linear(width, model.config.num_labels)

    def forward(self, batch: dict[str, torch.Tensor]) -> torch.Tensor:
        """Return the loss of a batch, a scalar."""
        mask = batch["attention_mask"][..., None]
        text, _ = self.base.get_text_encoder_outputs(batch["input_ids"], batch["attention_mask"])
        image, _ = self.base.get_image_encoder_outputs(batch["pixel_values"])
        pooled = [(text * mask).sum(dim=1) / mask.sum(dim=1), image.mean(dim=1)]
        logits = self.classifier(torch.cat([x.float() for x in pooled], dim=1))
        return nn.functional.cross_entropy(logits, batch["labels"])


def rate(ends: list[float], batch_size: int) -> float:
    """Return posts a second from the times at which steps ended."""
    return (len(ends) - WARM_UP) * batch_size / (ends[-1] - ends[WARM_UP - 1])


class Contest:
    """The ways to train, on one set of posts.

    Args:
        argv: Settings as run_train.py takes them.
        steps: Steps of each way, the first of which are not counted.
    """

    def __init__(self, argv: list[str], steps: int) -> None:
        self.models, self.data, self.training = parse_arguments(argv)
        self.training.max_steps = steps
        self.training.eval_strategy = self.training.save_strategy = "no"
        self.training.load_best_model_at_end = False
        self.training.early_stopping_patience = None
        self.training.disable_tqdm = True
        self.training.logging_steps = steps + 1
        write_synthetic_posts(self.data)
        self.posts = load_posts(self.data).posts
        self.processor = build_processor(self.models)
        self.names = self.posts["train"].features["label"].names
        self.posts = {name: rows for name, rows in self.posts.items() if len(rows)}

    def _model(self) -> HybridSentForSequenceClassification:
        model = build_model(self.models, self.names)
        prepare_encoders(model, self.training)
        return model

    def trainer(self, cached: bool) -> float:
        """Train as run_train.py does; gives posts a second."""
        model, posts, states, clock = self._model(), self.posts, None, StepClock()
        if cached:
            posts, states = FeatureCache(model, self.processor, self.training).attach(posts)
        trainer = HybridSentTrainer(
            scores=SentimentScores(self.names).of_logits,
            states=states,
            model=model,
            args=self.training,
            train_dataset=posts["train"],
            processing_class=self.processor,
        )
        trainer.add_callback(clock)
        trainer.train()
        return rate(clock.ends, self.training.per_device_train_batch_size)

    def bare_loop(self) -> float:
        """Train the concatenation; gives posts a second."""
        model = Concatenation(self._model()).train()
        trained = [x for x in model.parameters() if x.requires_grad]
        optimizer = torch.optim.AdamW(trained, lr=1e-4)
        size = self.training.per_device_train_batch_size
        rows = enumerate(self.posts["train"])
        complete = [i for i, row in rows if None not in (row["text"], row["image"])]
        posts = self.posts["train"].select(complete)
        batches = DataLoader(posts, size, shuffle=True, collate_fn=PostCollator(self.processor))
        ends: list[float] = []
        while len(ends) < self.training.max_steps:
            for batch in batches:
                with torch.autocast("cpu", torch.bfloat16, enabled=self.training.bf16):
                    loss = model(batch)
                loss.backward()
                optimizer.step()
                optimizer.zero_grad()
                ends.append(time.perf_counter())
        return rate(ends[: self.training.max_steps], size)


def main(argv: Sequence[str] | None = None) -> None:
    """Measure and print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], allow_abbrev=False)
    parser.add_argument("--recipe", default="posts")
    parser.add_argument("--data_dir", default="outputs/synthetic-posts")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=3)
    given, more = parser.parse_known_args(argv)
    with tempfile.TemporaryDirectory() as folder:
        words = [given.recipe, "--data_dir", given.data_dir, "--output_dir", f"{folder}/out"]
        words += ["--vision_encoder_learning_rate", "0", "--cache_folder", f"{folder}/states"]
        contest = Contest([*words, *more], given.steps)
        ways = {
            "bare PyTorch loop, concatenation": contest.bare_loop,
            "run_train.py": lambda: contest.trainer(cached=False),
            "run_train.py --cache_features true": lambda: contest.trainer(cached=True),
        }
        rates = take_turns(ways, given.rounds)
    print(f"\n{rates_table(rates, {'times the bare loop': next(iter(ways))})}")


if __name__ == "__main__":
    main()
