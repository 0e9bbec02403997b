"""A trainer of a tiny model on a few generated posts."""

from tiny_models import LABELS, tiny_model, tiny_processor

from hybridsent.bundled.synthetic import write_posts
from hybridsent.evaluation.metrics import SentimentScores
from hybridsent.training.arguments import DataArguments, HybridSentTrainingArguments
from hybridsent.training.encoder_layers import prepare_encoders
from hybridsent.training.run_posts import load_posts
from hybridsent.training.trainer import HybridSentTrainer

SIZES = {"train": 8, "validation": 6, "test": 6}


def tiny_posts(folder, sizes=SIZES):
    """Generate posts and load them."""
    write_posts(folder, sizes=sizes)
    return load_posts(DataArguments(dataset="posts", data_dir=str(folder))).posts


def trainer_of(model, arguments, posts=None, **kwargs):
    """Build the trainer of a model."""
    return HybridSentTrainer(
        scores=SentimentScores(list(LABELS.values())).of_logits,
        model=model,
        args=arguments,
        train_dataset=posts and posts["train"],
        eval_dataset=posts and posts["validation"],
        **{"processing_class": tiny_processor(), **kwargs},
    )


def tiny_trainer(posts, folder, **changed):
    """Build a trainer of two steps; the vision encoder is frozen."""
    settings = {
        "learning_rate": 0.01,
        "text_encoder_learning_rate": 0.001,
        "vision_encoder_learning_rate": 0,
        "weight_decay": 0.1,
        "max_steps": 2,
        "per_device_train_batch_size": 4,
        "lr_scheduler_type": "constant",
        "disable_tqdm": True,
        **changed,
    }
    arguments = HybridSentTrainingArguments(output_dir=str(folder), **settings)
    model = tiny_model()
    prepare_encoders(model, arguments)
    return trainer_of(model, arguments, posts)
