"""The three groups of settings of a training run, parsed from a recipe and the command line."""

import json
import os
import sys
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import Any, Literal, NoReturn

import torch
from transformers import HfArgumentParser, TrainingArguments

from hybridsent.support.machine import cores, keep_freed_memory
from hybridsent.support.recipes import json_object, load_recipe
from modeling_hybridsent.inputs_hybridsent import DEFAULT_MAX_IMAGE_PIXELS

DEFAULT_RECIPE = "quickstart"
METRIC = "macro_f1"  # where the recipe names none
LOWER_IS_BETTER = ("nll", "ece", "classwise_ece", "brier", "aurc", "mae", "rmse")
MOST_THREADS = 1024  # with more, torch ends the process instead of raising

# Settings of the library that would leave the evaluation without answers, or with answers in pieces.
_NEEDED_BY_SCORES = {
    "eval_do_concat_batches": True,
    "prediction_loss_only": False,
    "batch_eval_metrics": False,
}


# What a trained model brings; only a model that is built from encoders has settings for it.
FROM_MODEL = (
    *("text_encoder", "vision_encoder", "model_config"),
    *("max_text_length", "clean_text", "image_size", "max_image_pixels"),
)


@dataclass
class ModelArguments:
    """Which model to train."""

    text_encoder: str = field(
        default="bundled/all-minilm-l6-v2",
        metadata={"help": "Hub id or folder of any text encoder; bundled/... needs no Hub."},
    )
    vision_encoder: str = field(
        default="bundled/efficientnet-lite0",
        metadata={"help": "Hub id or folder of any vision encoder; bundled/... needs no Hub."},
    )
    model_config: dict | str | None = field(  # type: ignore[type-arg]
        default=None,
        metadata={"help": 'Fields of HybridSentConfig as JSON, such as {"recurrence": "none"}.'},
    )
    max_text_length: int = field(
        default=128, metadata={"help": "Cut texts to this many tokens, in training and afterwards."}
    )
    clean_text: bool = field(
        default=False,
        metadata={
            "help": "Clean texts, in training and afterwards: web addresses and retweet marks are "
            "removed, @name becomes @user, hashtags are split into words."
        },
    )
    image_size: int | None = field(
        default=None,
        metadata={
            "help": "Sides of the images in pixels as the vision encoder sees them, in training and "
            "afterwards. Convolutional encoders take almost any. Default: the size of its image "
            "processor."
        },
    )
    max_image_pixels: int = field(
        default=DEFAULT_MAX_IMAGE_PIXELS,
        metadata={"help": "Refuse images with more pixels, in training and afterwards."},
    )
    model: str | None = field(
        default=None,
        metadata={
            "help": "Start from this trained model (folder, Hub id or bundled/mvsa-single), which "
            "brings encoders, architecture and processor. Other labels than its own get new "
            "classifiers."
        },
    )

    def fields_of_config(self) -> dict[str, Any]:
        """Return `model_config` as a mapping, which the command line gives as JSON."""
        return json_object("--model_config", self.model_config)


@dataclass
class DataArguments:
    """Which posts to train on."""

    dataset: str = field(
        default="synthetic",
        metadata={
            "help": "mvsa_single, mvsa_multiple, tumemo, posts (own files) or synthetic (generated); "
            "see docs/datasets.md."
        },
    )
    data_dir: str | None = field(
        default=None,
        metadata={
            "help": "Folder with the raw files of the set, or one that hybridsent prepare "
            "wrote; not needed for synthetic."
        },
    )
    protocol: str | None = field(
        default=None, metadata={"help": "Named split of the set, such as clmlf for mvsa_single."}
    )
    dataset_options: dict | str | None = field(  # type: ignore[type-arg]
        default=None,
        metadata={
            "help": "Further options of the reader of raw files, as JSON, such as "
            '{"text_encoding": "gb18030"} for tumemo or {"columns": {"text": "tweet"}} for posts.'
        },
    )
    mask_label_words: bool = field(
        default=False,
        metadata={
            "help": "tumemo only: train on texts whose label words (happy, #happy, ...) are replaced "
            "by the tokenizer's mask. Scores are given with and without them in either case."
        },
    )
    on_bad_rows: str = field(
        default="stop",
        metadata={
            "help": "What to do about unusable rows of raw files: stop, or drop them and list them in "
            "rejected.jsonl."
        },
    )
    use_contradictory_posts: bool = field(
        default=False,
        metadata={
            "help": "Also learn the unimodal labels of posts whose text and image labels contradict, "
            "where the set keeps such posts; needs own_label_loss_weight in model_config."
        },
    )
    max_train_posts: int | None = field(
        default=None, metadata={"help": "Train on this many of the first posts, for a quick trial."}
    )

    @property
    def folder(self) -> str:
        """Folder of the posts.

        Raises:
            ValueError: The set needs a `data_dir`, and none is given.
        """
        if self.data_dir is None and self.dataset != "synthetic":
            raise ValueError(f"--dataset {self.dataset} needs --data_dir, the folder of its files.")
        return self.data_dir or "outputs/synthetic-posts"

    def reader_options(self) -> dict[str, Any]:
        """Return `dataset_options` as a mapping, which the command line gives as JSON."""
        return json_object("--dataset_options", self.dataset_options)

    def __post_init__(self) -> None:
        if self.mask_label_words and self.dataset != "tumemo":
            raise ValueError(f"--mask_label_words is for --dataset tumemo, not {self.dataset}.")


@dataclass
class HybridSentTrainingArguments(TrainingArguments):
    """How to train: all of transformers' TrainingArguments, and settings of the encoders."""

    text_encoder_learning_rate: float | None = field(
        default=None,
        metadata={
            "help": "Learning rate of the text encoder (default: learning_rate); 0 freezes it."
        },
    )
    vision_encoder_learning_rate: float | None = field(
        default=None,
        metadata={
            "help": "Learning rate of the vision encoder (default: learning_rate); 0 freezes it."
        },
    )
    vision_encoder_trained_layers: int | None = field(
        default=None,
        metadata={
            "help": "Train only this many last layers, or stages, of the vision encoder and freeze the "
            "others (default: train all, unless its rate is 0)."
        },
    )
    text_encoder_lora_rank: int | None = field(
        default=None,
        metadata={
            "help": "Train low-rank factors of this rank (LoRA, arXiv 2106.09685) in place of the text "
            "encoder's weights; they are merged into the weights at the end. Needs the extra lora."
        },
    )
    vision_encoder_lora_rank: int | None = field(
        default=None,
        metadata={
            "help": "The same for the vision encoder; with vision_encoder_trained_layers, for these."
        },
    )
    encoder_layer_decay: float = field(
        default=1.0,
        metadata={
            "help": "Factor on an encoder's learning rate from each layer to the one below it; 1 gives "
            "all layers the same rate."
        },
    )
    early_stopping_patience: int | None = field(
        default=None,
        metadata={"help": "Stop after this many evaluations without a better validation score."},
    )
    hyperparameter_search: int | None = field(
        default=None,
        metadata={
            "help": "Before training, run this many trials with other learning rates and dropout, and "
            "keep the settings that score best on the validation posts. Needs the extra search."
        },
    )
    average_weights_from: float | None = field(
        default=None,
        metadata={
            "help": "End with the mean of the weights after each of the last steps, those beyond this "
            "fraction of all steps (0.4: the last six tenths), arXiv 2212.05956. It replaces choosing "
            "an epoch: set load_best_model_at_end to false, and no early_stopping_patience."
        },
    )
    soft_label_weight: float = field(
        default=0.0,
        metadata={
            "help": "Share of soft labels in the loss, 0 to 1: what a logistic regression over the "
            "frozen encoders says of a training post that it has not seen (arXiv 1503.02531)."
        },
    )
    cpu_threads: int | None = field(
        default=None,
        metadata={
            "help": "Threads of each process on a machine without accelerator (default: an equal share "
            "of the cores; accelerate launch alone would give one process one thread)."
        },
    )

    cache_features: bool = field(
        default=False,
        metadata={
            "help": "Run each frozen encoder once over all posts, store its states on disk, and train "
            "and score from them, with the same results. Of an encoder whose last layers are trained, "
            "the frozen front is cached; an encoder that is trained as a whole is not."
        },
    )
    cache_dtype: Literal["float32", "bfloat16"] = field(
        default="float32",
        metadata={"help": "Type of the stored states; bfloat16 takes half the space but rounds."},
    )
    cache_folder: str | None = field(
        default=None,
        metadata={
            "help": "Folder of the stored states (default: encoder_states in the folder "
            "HYBRIDSENT_CACHE, or beside the cache of the Hub). It may be deleted between runs."
        },
    )

    resume_from_checkpoint: str | None = field(
        default=None,
        metadata={
            "help": "Resume from this checkpoint; true: from the newest complete one in output_dir, or "
            "from step 0 if there is none. Keep the rest of the command as it was."
        },
    )
    restore_callback_states_from_checkpoint: bool = field(
        default=True,
        metadata={"help": "Also restore the count of early stopping when resuming."},
    )

    publish_at_end: bool = field(default=False, init=False)  # what push_to_hub asked for

    def __post_init__(self) -> None:
        if self.push_to_hub and not self.hub_model_id:
            raise ValueError("--push_to_hub needs --hub_model_id USER/NAME.")
        rates = (self.text_encoder_learning_rate, self.vision_encoder_learning_rate)
        if self.cache_features and 0 not in rates and self.vision_encoder_trained_layers is None:
            raise ValueError(
                "--cache_features: there is nothing to cache, because all encoders are trained. Freeze "
                "one with --vision_encoder_learning_rate 0, --text_encoder_learning_rate 0 or "
                "--vision_encoder_trained_layers, or leave out --cache_features."
            )
        self._require_one_choice_of_weights()
        self._require_lora_where_it_works()
        self._require_search_where_it_works()
        self._require_one_kind_of_soft_labels()
        for name, wanted in _NEEDED_BY_SCORES.items():
            if getattr(self, name) != wanted:
                raise ValueError(
                    f"--{name} {str(not wanted).lower()}: scores and calibration need all answers "
                    "at once. Leave this option out."
                )
        if self.cpu_threads is not None and not 1 <= self.cpu_threads <= MOST_THREADS:
            raise ValueError(f"--cpu_threads {self.cpu_threads}: give 1 to {MOST_THREADS}.")
        if not 0 < self.encoder_layer_decay <= 1:
            raise ValueError(
                f"--encoder_layer_decay {self.encoder_layer_decay}: give a number above 0, at most 1."
            )
        metric = (self.metric_for_best_model or "").removeprefix("eval_")
        if self.greater_is_better is None and metric in LOWER_IS_BETTER:
            self.greater_is_better = False  # the library knows this of losses alone
        # The Trainer would push every checkpoint with its own card; we publish once, at the end.
        self.publish_at_end, self.push_to_hub = self.push_to_hub, False
        # Images and texts are raw columns until the collator processes them, and evaluation needs
        # only the label of the post.
        self.remove_unused_columns = False
        self.label_names = ["labels"]
        # A recipe with bf16 must run on machines with and without an accelerator.
        self.use_cpu = self.use_cpu or not torch.accelerator.is_available()
        super().__post_init__()
        if self.use_cpu:
            torch.set_num_threads(self.cpu_threads or cores())
            keep_freed_memory()

    def _is_deepspeed(self) -> bool:
        """Check whether accelerate launch or a setting asks for DeepSpeed."""
        return bool(self.deepspeed) or os.environ.get("ACCELERATE_USE_DEEPSPEED") == "true"

    def _require_lora_where_it_works(self) -> None:
        """Refuse ranks of factors that could not be trained or merged."""
        for name in ("text_encoder", "vision_encoder"):
            rank = getattr(self, f"{name}_lora_rank")
            if rank is None:
                continue
            given = f"--{name}_lora_rank {rank}"
            if rank < 1:
                raise ValueError(f"{given}: give 1 or more, or leave it out.")
            if getattr(self, f"{name}_learning_rate") == 0:
                raise ValueError(
                    f"{given}: --{name}_learning_rate 0 freezes it. Remove one of both."
                )
            if self._is_deepspeed() or os.environ.get("ACCELERATE_USE_FSDP") == "true":
                raise ValueError(
                    f"{given}: factors cannot be merged into weights that DeepSpeed or FSDP divide. "
                    "Train with DDP, or leave this option out."
                )

    def _require_one_kind_of_soft_labels(self) -> None:
        """Refuse a share that is none, and to smooth labels in two ways."""
        given = f"--soft_label_weight {self.soft_label_weight}"
        if not 0 <= self.soft_label_weight <= 1:
            raise ValueError(f"{given}: give a number from 0 to 1.")
        if self.soft_label_weight and self.label_smoothing_factor:
            raise ValueError(f"{given}: leave out --label_smoothing_factor, or this option.")

    def _require_search_where_it_works(self) -> None:
        """Refuse a search without trials, library or a process of its own."""
        if self.hyperparameter_search is None:
            return
        given = f"--hyperparameter_search {self.hyperparameter_search}"
        if self.hyperparameter_search < 1:
            raise ValueError(f"{given}: give the number of trials, 1 or more.")
        if int(os.environ.get("WORLD_SIZE", "1")) > 1:
            raise ValueError(f"{given}: a search runs in one process. Start it without a launcher.")
        if find_spec("optuna") is None:
            raise ImportError(f'{given} needs optuna: pip install "hybridsent[search]"')

    def _require_one_choice_of_weights(self) -> None:
        """Refuse to average weights where an epoch is chosen as well, or where it is impossible."""
        if self.average_weights_from is None:
            return
        given = f"--average_weights_from {self.average_weights_from}"
        if not 0 <= self.average_weights_from < 1:
            raise ValueError(f"{given}: give a fraction from 0 to below 1.")
        others = []
        if self.load_best_model_at_end:
            others.append("--load_best_model_at_end true")
        if self.early_stopping_patience is not None:
            others.append(f"--early_stopping_patience {self.early_stopping_patience}")
        if others:
            raise ValueError(
                f"{given} and {' and '.join(others)}: averaging replaces the choice of an epoch. Set "
                "load_best_model_at_end to false, remove early_stopping_patience from the recipe; or "
                "leave average_weights_from out."
            )
        launch = os.environ
        is_fsdp1 = launch.get("ACCELERATE_USE_FSDP") == "true" and launch.get("FSDP_VERSION") != "2"
        if self._is_deepspeed() or is_fsdp1:
            raise ValueError(
                f"{given}: the weights that DeepSpeed or FSDP1 hold cannot be averaged. Train with DDP "
                "or FSDP2, or leave this option out."
            )


def read_recipe(file: str, without: Collection[str] = ()) -> list[str]:
    """Convert a YAML recipe to command-line arguments, so that one parser checks both.

    Args:
        file: YAML file with one setting per line; a nested mapping becomes JSON.
        without: Settings to leave out.

    Returns:
        Arguments such as ["--learning_rate", "0.001"].

    Raises:
        FileNotFoundError: No such recipe.
        ValueError: The file is not a mapping of settings.
    """
    arguments: list[str] = []
    for name, value in load_recipe(file).items():
        if isinstance(value, dict):
            value = json.dumps(value, default=str)  # of a date, for instance
        values = value if isinstance(value, list) else [value]
        if value is not None and name not in without:
            arguments += [f"--{name}", *map(str, values)]
    return arguments


def _without_bare_debug(words: Sequence[str]) -> list[str]:
    """Remove a --debug without a value, which is ours; the library's option of that name has one."""
    pairs = zip(words, [*words, "--"][1:], strict=False)
    return [word for word, after in pairs if word != "--debug" or not after.startswith("--")]


def _names(words: Sequence[str]) -> set[str]:
    """Return the options among words of a command line, with their dashes."""
    return {word.partition("=")[0] for word in words if word.startswith("--")}


class _Parser(HfArgumentParser):
    """Parser whose errors name the recipe."""

    recipe: str = DEFAULT_RECIPE

    def error(self, message: str) -> NoReturn:
        super().error(f"{message}; correct {self.recipe} or the command line")


def parse_arguments(
    argv: Sequence[str] | None = None,
) -> tuple[ModelArguments, DataArguments, HybridSentTrainingArguments]:
    """Parse settings from a recipe and the command line; the command line wins.

    In `model_config` it wins field by field: other fields keep their values from the recipe. With
    `--model` there, the recipe's settings of encoders, architecture and processor do not count.

    Args:
        argv: Arguments without the program's name (default: those of this process); the first may be
            a recipe, by name or path, else the recipe is that of the quickstart.

    Returns:
        The settings of model, data and training.

    Raises:
        ValueError: Settings are invalid or contradict each other; the message names them.
    """
    given = _without_bare_debug(sys.argv[1:] if argv is None else argv)
    recipe = given.pop(0) if given and not given[0].startswith("-") else DEFAULT_RECIPE
    from_model = FROM_MODEL if "--model" in _names(given) else ()
    written = [] if {"-h", "--help"} & set(given) else read_recipe(recipe, from_model)
    try:
        return _parse(recipe, written, given)
    except ImportError:  # a missing package, not a wrong setting
        raise
    except Exception as error:  # many are the library's, and name neither recipe nor remedy
        raise ValueError(f"{error} Correct {recipe} or the command line.") from error


def _parse(recipe: str, written: list[str], given: list[str]) -> Any:
    """Parse the settings of a recipe, and those of the command line over them."""
    groups = (ModelArguments, DataArguments, HybridSentTrainingArguments)
    parser = _Parser(
        groups,
        prog="hybridsent train",
        usage="hybridsent train [RECIPE] [settings]",
        allow_abbrev=False,
    )
    parser.recipe = recipe
    parsed: Any = parser.parse_args_into_dataclasses(args=[*written, *given])
    model, data, _ = parsed
    data.reader_options()  # raises now rather than after the encoders are there
    if "--model_config" in written:
        fields = ModelArguments(model_config=written[written.index("--model_config") + 1])
        model.model_config = fields.fields_of_config() | model.fields_of_config()
    if model.model is not None:
        _leave_to_model(model, _names([*written, *given]))
    elif data.use_contradictory_posts and not model.fields_of_config().get("own_label_loss_weight"):
        raise ValueError(
            "--use_contradictory_posts: these posts have only unimodal labels, which are learned with "
            "own_label_loss_weight above 0 in model_config. Set it, or leave this option out."
        )
    return parsed


def _leave_to_model(arguments: ModelArguments, names: Collection[str]) -> None:
    """Clear what the trained model of `--model` brings; refuse settings that say otherwise."""
    if wrong := [f"--{name}" for name in FROM_MODEL if f"--{name}" in names]:
        raise ValueError(
            f"--model {arguments.model} and {', '.join(wrong)}: a trained model brings its encoders, "
            "architecture and processor. Leave out one of both."
        )
    for name in FROM_MODEL:
        setattr(arguments, name, None)
