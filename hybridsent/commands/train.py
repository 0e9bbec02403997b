"""Train a model on posts: read a recipe, train, calibrate, test once, save model, card and report.

hybridsent train
hybridsent train mvsa_single --data_dir FOLDER --learning_rate 1.0e-4

First comes a recipe, by name or as a YAML file; without one it is that of the quickstart. Settings on
the command line win over the recipe, such as --data_dir, --output_dir, --num_train_epochs,
--per_device_train_batch_size, --seed, --push_to_hub.

  --help_all  list every setting: ours and those of TrainingArguments (this loads torch)
  --debug     show where an error came from: the whole traceback

The same command with --resume_from_checkpoint true goes on from the newest whole checkpoint. SIGTERM
makes the training write one and end with exit code 143, without calibration, scores and publishing.
Several processes: accelerate launch -m hybridsent train ...
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hybridsent.training.arguments import (
        DataArguments,
        HybridSentTrainingArguments,
        ModelArguments,
    )


def run(words: Sequence[str]) -> None:
    """Read the settings, and train where no other run does."""
    if {"-h", "--help"} & set(words):
        from hybridsent.training.recipes import recipe_names

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

    from hybridsent.evaluation.final_scores import calibrate, score_posts, split_to_score
    from hybridsent.evaluation.metrics import SentimentScores
    from hybridsent.evaluation.report import describe_run
    from hybridsent.evaluation.report_page import chosen_settings
    from hybridsent.publishing.publish import Target, prepare_target
    from hybridsent.publishing.results import write_results
    from hybridsent.training.checkpoints import announce_checkpoint
    from hybridsent.training.data import describe_counts, keep_rejected, load_posts, training_posts
    from hybridsent.training.encoder_layers import prepare_encoders
    from hybridsent.training.feature_cache import FeatureCache
    from hybridsent.training.label_words import scored_forms, with_both_forms
    from hybridsent.training.model import build_model, build_processor
    from hybridsent.training.trainer import HybridSentTrainer

    target = Target.of_arguments(training_arguments)
    if target and training_arguments.process_index == 0:
        prepare_target(target)  # a wrong token or name should not wait for the end of the training

    checkpoint = announce_checkpoint(training_arguments)

    set_seed(training_arguments.seed)
    with training_arguments.main_process_first(desc="preparing posts and encoders"):
        posts, counts, rejected = load_posts(data_arguments)
        processor = build_processor(model_arguments)
        label_names = posts["train"].features["label"].names
        model = build_model(model_arguments, label_names)
    posts, counts = with_both_forms(posts, counts, data_arguments, processor.tokenizer.mask_token)
    prepare_encoders(model, training_arguments)
    if training_arguments.process_index == 0:
        print(f"Posts of {data_arguments.dataset}: {describe_counts(counts)}")
        keep_rejected(rejected, training_arguments.output_dir)

    posts["train"] = training_posts(posts, data_arguments)
    posts.pop("contradictory", None)  # those wanted are among the training posts now
    states = {}
    if training_arguments.cache_features:
        cache = FeatureCache(model, processor, training_arguments)
        with training_arguments.main_process_first(desc="caching encoder states"):
            posts, states = cache.attach(posts)
        if training_arguments.process_index == 0:
            print(f"Cache: {cache.describe(states)}")

    trainer = HybridSentTrainer(
        scores=SentimentScores(label_names),
        states=states,
        model=model,
        args=training_arguments,
        train_dataset=posts["train"],
        eval_dataset=posts["validation"],
        processing_class=processor,
    )
    trainer.train(resume_from_checkpoint=checkpoint)

    # Everything is chosen by now: calibrate on validation, then touch the test posts once.
    calibration = calibrate(trainer, posts["validation"])
    trainer.save_model()
    split, forms = split_to_score(posts), scored_forms(posts, counts, data_arguments)
    scored = score_posts(trainer, split, posts[split], **forms)

    if trainer.is_world_process_zero():
        folder, seconds = training_arguments.output_dir, time.perf_counter() - start
        run = describe_run(trainer, data_arguments, counts, calibration, scored, seconds)
        settings = chosen_settings(model_arguments, data_arguments, training_arguments)
        pixels = processor.max_image_pixels
        write_results(run, scored, posts[split], pixels, settings, folder, target)
    # Left to the interpreter's end, threads of the process group abort it now and then.
    trainer.accelerator.end_training()
