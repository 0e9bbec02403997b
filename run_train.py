"""Train hybridsent on posts: read a recipe, train, calibrate, test once, save model, card and report.

accelerate launch run_train.py
accelerate launch run_train.py configs/mvsa_single.yaml --data_dir DIR --learning_rate 1.0e-4
"""

import time

from training_hybridsent.arguments import parse_arguments


def main() -> None:
    """Run the steps of one training run."""
    start = time.perf_counter()
    model_arguments, data_arguments, training_arguments = parse_arguments()

    # Heavy imports wait until the arguments are known to be right.
    from transformers import set_seed

    from training_hybridsent.card import write_card
    from training_hybridsent.data import describe_counts, keep_rejected, load_posts, training_posts
    from training_hybridsent.metrics import SentimentScores
    from training_hybridsent.model import build_model, build_processor, freeze_encoders
    from training_hybridsent.report import as_markdown, calibrate, compare_inputs, describe_run
    from training_hybridsent.trainer import HybridSentTrainer

    set_seed(training_arguments.seed)
    with training_arguments.main_process_first(desc="preparing posts and encoders"):
        posts, counts, rejected = load_posts(data_arguments)
        processor = build_processor(model_arguments)
        label_names = posts["train"].features["label"].names
        model = build_model(model_arguments, label_names)
    freeze_encoders(model, training_arguments)
    if training_arguments.process_index == 0:
        print(f"Posts of {data_arguments.dataset}: {describe_counts(counts)}")
        keep_rejected(rejected, training_arguments.output_dir)

    trainer = HybridSentTrainer(
        scores=SentimentScores(label_names),
        model=model,
        args=training_arguments,
        train_dataset=training_posts(posts, data_arguments),
        eval_dataset=posts["validation"],
        processing_class=processor,
    )
    trainer.train(resume_from_checkpoint=training_arguments.resume_from_checkpoint)

    # Everything is chosen by now: calibrate on validation, then touch the test posts once.
    calibration = calibrate(trainer, posts["validation"])
    trainer.save_model()
    scored = "test" if len(posts.get("test", [])) else "validation"
    rows = compare_inputs(trainer, posts[scored])

    if trainer.is_world_process_zero():
        seconds = time.perf_counter() - start
        run = describe_run(trainer, data_arguments, counts, calibration, scored, rows, seconds)
        write_card(run, training_arguments.output_dir)
        print(f"\nScores in percent on the {scored} posts of {run['dataset']['name']}:\n")
        print(as_markdown(rows))
        print(f"\nModel, model card (README.md) and metrics.json: {training_arguments.output_dir}")


if __name__ == "__main__":
    main()
