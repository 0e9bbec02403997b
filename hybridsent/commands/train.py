"""Train a model on posts: read a recipe, train, calibrate, test once, save model, card and report.

hybridsent train
hybridsent train mvsa_single --data_dir FOLDER --learning_rate 1.0e-4

First comes a recipe, by name or as a YAML file; without one it is that of the quickstart. Settings on
the command line win over the recipe, such as --data_dir, --output_dir, --num_train_epochs,
--per_device_train_batch_size, --seed, --push_to_hub.

  --model     start from a trained model, such as bundled/mvsa-single, also for other labels
  --hyperparameter_search N  first try N settings, judged on validation posts (extra search)
  --help_all  list every setting: ours and those of TrainingArguments (this loads torch)
  --debug     show where an error came from: the whole traceback

The same command with --resume_from_checkpoint true resumes from the newest complete checkpoint. On
SIGTERM the training writes one and exits with code 143, without calibration, scores and publishing.
Several processes: accelerate launch -m hybridsent train ...
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hybridsent.training.arguments import (
        DataArguments,
        HybridSentTrainingArguments,
        ModelArguments,
    )
    from hybridsent.training.encoder_states import EncoderStates
    from hybridsent.training.run_posts import RunPosts
    from modeling_hybridsent import HybridSentForSequenceClassification, HybridSentProcessor


def run(words: Sequence[str]) -> None:
    """Read the settings, and train where no other run does."""
    if {"-h", "--help"} & set(words):
        from hybridsent.support.recipes import recipe_names

        print(f"usage: hybridsent train [RECIPE] [settings]\n\n{__doc__}")
        print(f"Recipes: {', '.join(recipe_names())}")
        return

    from hybridsent.support.locking import one_run_in
    from hybridsent.training.arguments import parse_arguments

    given = ["--help" if word == "--help_all" else word for word in words]
    model_arguments, data_arguments, training_arguments = parse_arguments(given)
    first = training_arguments.process_index == 0
    with one_run_in(training_arguments.output_dir) if first else contextlib.nullcontext():
        train(model_arguments, data_arguments, training_arguments)


def train(
    model_arguments: ModelArguments,
    data_arguments: DataArguments,
    training_arguments: HybridSentTrainingArguments,
) -> None:
    """Run the steps of one training run."""
    start = time.perf_counter()
    # Heavy imports wait until the arguments are known to be right.
    from transformers import set_seed

    from hybridsent.evaluation.problem_scores import scores_of
    from hybridsent.publishing.results import checked_target, finish_run
    from hybridsent.training import run_posts
    from hybridsent.training.arguments import METRIC
    from hybridsent.training.checkpoints import checkpoint_to_resume
    from hybridsent.training.encoder_layers import prepare_encoders
    from hybridsent.training.model import (
        build_model,
        build_processor,
        require_unimodal_classifiers,
    )
    from hybridsent.training.trainer import HybridSentTrainer

    folder, is_first = training_arguments.output_dir, training_arguments.process_index == 0
    target = checked_target(training_arguments) if is_first else None
    checkpoint, message = checkpoint_to_resume(
        training_arguments.resume_from_checkpoint, folder, training_arguments.world_size
    )
    if message and is_first:
        print(message, flush=True)

    set_seed(training_arguments.seed)
    with training_arguments.main_process_first(desc="preparing posts and encoders"):
        run_posts.write_synthetic_posts(data_arguments)
        processor = build_processor(model_arguments)
        table = run_posts.load_posts(data_arguments, processor.max_image_pixels)
        mask = processor.tokenizer.mask_token
        posts = run_posts.choose_posts(table, data_arguments, mask)
        gaps = run_posts.describe_gaps(posts, training_arguments)
        model = build_model(model_arguments, posts.label_names, **posts.problem())
        require_unimodal_classifiers(model, data_arguments)
        scores = scores_of(model.config)
        by_default = METRIC if training_arguments.hyperparameter_search else None
        scores.require(training_arguments.metric_for_best_model or by_default)
    prepare_encoders(model, training_arguments)
    if is_first:
        print(f"Loaded {data_arguments.dataset}: {run_posts.describe_counts(posts.counts)}")
        if gaps:
            print(gaps)
        run_posts.write_rejected(table.rejected, folder)

    posts = soften_labels(model, posts, model_arguments, training_arguments)
    posts, states = cache_states(model, processor, posts, training_arguments)
    parts = {
        "scores": scores.of_logits,
        "states": states,
        "problem": model.problem,
        "train_dataset": posts.train,
        "eval_dataset": posts.validation,
        "processing_class": processor,
    }
    if training_arguments.hyperparameter_search:
        chosen = choose_settings(model_arguments, data_arguments, training_arguments, posts, parts)
        model, model_arguments, training_arguments = chosen
        # With its own thresholds.
        parts |= {"scores": scores_of(model.config).of_logits, "problem": model.problem}
    trainer = HybridSentTrainer(model=model, args=training_arguments, **parts)
    trainer.train(resume_from_checkpoint=checkpoint)

    finish_run(trainer, model_arguments, data_arguments, posts, target, start)
    # Left to the interpreter's end, threads of the process group abort it now and then.
    trainer.accelerator.end_training()


def soften_labels(
    model: HybridSentForSequenceClassification,
    posts: RunPosts,
    models: ModelArguments,
    arguments: HybridSentTrainingArguments,
) -> RunPosts:
    """Give the training posts soft labels, if asked for; return all posts.

    Raises:
        ValueError: The model is not one of single labels, or the posts are too few.
    """
    if not arguments.soft_label_weight:
        return posts
    from hybridsent.regression.soft_labels import with_soft_labels
    from modeling_hybridsent.problems_hybridsent import SingleLabel

    if model.problem.name != SingleLabel.name:
        raise ValueError(f"--soft_label_weight is for single labels, not {model.problem.name}.")
    with arguments.main_process_first(desc="answering training posts by a regression"):
        train = with_soft_labels(posts.train, posts.label_names, models, arguments)
    return posts.with_posts({**posts.by_name(), "train": train})


def cache_states(
    model: HybridSentForSequenceClassification,
    processor: HybridSentProcessor,
    posts: RunPosts,
    arguments: HybridSentTrainingArguments,
) -> tuple[RunPosts, dict[str, EncoderStates]]:
    """Run frozen encoders once, if asked for; return the posts that point to states, and these."""
    if not arguments.cache_features:
        return posts, {}
    from hybridsent.training.feature_cache import FeatureCache

    cache = FeatureCache(model, processor, arguments)
    with arguments.main_process_first(desc="caching encoder states"):
        named, states = cache.attach(posts.by_name())
    if arguments.process_index == 0:
        print(f"Cached encoder states: {cache.describe(states)}")
    return posts.with_posts(named), states


def choose_settings(
    model_arguments: ModelArguments,
    data_arguments: DataArguments,
    training_arguments: HybridSentTrainingArguments,
    posts: RunPosts,
    parts: dict[str, Any],
) -> tuple[HybridSentForSequenceClassification, ModelArguments, HybridSentTrainingArguments]:
    """Search for settings on the validation posts; return a new model with the best, and these.

    Args:
        model_arguments: Settings of the model.
        data_arguments: Settings of the data.
        training_arguments: Settings of the training.
        posts: Posts of the run.
        parts: Further arguments of `HybridSentTrainer`.
    """
    from transformers import set_seed

    from hybridsent.evaluation.report_page import chosen_settings
    from hybridsent.training.encoder_layers import prepare_encoders
    from hybridsent.training.model import build_model
    from hybridsent.training.search import SettingsSearch, with_settings

    def build(
        models: ModelArguments, training: HybridSentTrainingArguments
    ) -> HybridSentForSequenceClassification:
        set_seed(training.seed)
        model = build_model(models, posts.label_names, **posts.problem())
        prepare_encoders(model, training)
        return model

    groups = (model_arguments, data_arguments, training_arguments)
    what = {**chosen_settings(*groups), "posts": posts.counts["fingerprint"]}
    search = SettingsSearch(model_arguments, training_arguments, build, what, **parts)
    chosen = search.choose(training_arguments.hyperparameter_search)
    print(search.describe(posts.scored[0].split), flush=True)
    models, training = with_settings(chosen, model_arguments, training_arguments)
    return build(models, training), models, training
