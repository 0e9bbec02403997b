"""All targets by name."""

from collections.abc import Callable
from pathlib import Path

from fuzzing.label_files import LabelFiles
from fuzzing.model_configs import ModelConfigs
from fuzzing.pictures import Pictures
from fuzzing.post_texts import PostTexts
from fuzzing.processor_files import ProcessorFiles
from fuzzing.recipes import Recipes
from fuzzing.scoring_rows import ScoringRows
from fuzzing.target import Target
from fuzzing.training_rows import TrainingRows

# Each takes an empty folder to work in.
TARGETS: dict[str, Callable[[Path], Target]] = {
    "label_files": LabelFiles,
    "post_texts": PostTexts,
    "images": Pictures,
    "training_rows": TrainingRows,
    "scoring_rows": ScoringRows,
    "recipes": Recipes,
    "model_configs": ModelConfigs,
    "processor_files": ProcessorFiles,
}
