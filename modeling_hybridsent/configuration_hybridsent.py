"""Configuration of hybridsent: two encoders, the fusion between them and its ablation switches."""

import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from difflib import get_close_matches
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

import torch
from huggingface_hub.dataclasses import strict
from huggingface_hub.errors import StrictDataclassError
from transformers import AutoConfig, PreTrainedConfig
from transformers.activations import ACT2FN
from transformers.configuration_utils import SubConfigSpec
from transformers.utils import CONFIG_NAME

from .problems_hybridsent import PROBLEMS

# What a post may have; each has its own thresholds of label sets.
INPUTS = ("both", "text only", "image only")
# The end of messages about damaged files; a message with it needs no further explanation.
REMEDY = "Save or download it again"
# In its place where the files are sound, but of a form of the model that is no more.
RETRAIN = "Train it again"
_OLDER_FIELDS = ("evidence", "text_ngram_sizes", "vision_local_layer")
# Building more takes minutes, before loading can report that the weights lack them.
_MOST_LAYERS = 1000
_SURROGATE = r"[\ud800-\udfff]"  # fits no UTF-8
_EXTREME = 1e6  # a temperature beyond it or its inverse leaves what float32 holds
# Settings of backbones and of timm by which building a model loads weights.
_LOADED_FROM_ELSEWHERE = ("use_pretrained_backbone", "checkpoint_path", "pretrained")
_TEMPERATURES = (
    "decision_weight_temperature",
    "temperature",
    "text_only_temperature",
    "image_only_temperature",
)
# Where the Auto classes and pipeline() find the code, in the folder or repository of the weights.
_AUTO_MAP = {
    "AutoConfig": "configuration_hybridsent.HybridSentConfig",
    "AutoModel": "modeling_hybridsent.HybridSentForSequenceClassification",
    "AutoModelForSequenceClassification": (
        "modeling_hybridsent.HybridSentForSequenceClassification"
    ),
    "AutoProcessor": "processing_hybridsent.HybridSentProcessor",
}
_PIPELINES = {
    "image-text-sentiment": {
        "impl": "pipeline_hybridsent.HybridSentPipeline",
        "pt": ["AutoModelForSequenceClassification"],
        "type": "multimodal",
    }
}


@strict
class HybridSentConfig(PreTrainedConfig):
    """Describe a hybridsent model: encoders, fusion, ablation switches, loss weights, calibration.

    S1 to S5 are the parts that the abstract of the paper specifies (ITM Web of Conferences 83 (2026)
    01004): S1 global and local features, S2 unimodal self-attention and classifiers, S3 multi-layer
    cross-attention, S4 BiRAU and self-attention fusion, S5 decision fusion with dynamic weights.
    Every size below is our choice, since the abstract gives none.

    Attributes:
        text_config: Configuration of the text encoder (any `AutoModel` that takes `input_ids`).
        vision_config: Configuration of the vision encoder (any `AutoModel` that takes
            `pixel_values`); it may return tokens or a feature map.
        hidden_size: Width of the fusion; a multiple of `num_attention_heads`.
        num_attention_heads: Heads of every attention block of the fusion.
        intermediate_size: Inner width of every feed-forward block of the fusion.
        hidden_act: Activation function of the feed-forward blocks.
        hidden_dropout: Dropout probability on projections, residual branches and heads.
        attention_dropout: Dropout probability on attention weights.
        layer_norm_eps: Epsilon of the layer normalisations.
        initializer_range: Standard deviation of newly initialised weights.
        use_local_features: S1. False removes the middle layer of the text encoder and the earlier
            stages of the vision encoder: only last layers are read.
        vision_feature_sizes: Channels of the vision encoder's last stage and of each earlier stage
            that is read; None lets the model measure them once, after which they are stored here.
        use_unimodal_branches: S2. False removes the unimodal self-attention and classifiers; only
            `decision_fusion="fusion_only"` is possible then.
        num_cross_modal_layers: S3. Number of cross-modal layers; 0 removes them.
        recurrence: S4. "birau", "bigru" (the same without its attention gate) or "none". It runs over
            one vector a level, from the words to the earliest stage of the image.
        recurrent_hidden_size: S4. Hidden units of the recurrence per direction.
        decision_fusion: S5. "dynamic" weights per post, one learned "global" vector of weights,
            "uniform" weights, or "fusion_only".
        text_loss_weight: Weight of the text branch's cross-entropy in the loss.
        image_loss_weight: Weight of the image branch's cross-entropy in the loss.
        fusion_loss_weight: Weight of the fusion branch's cross-entropy in the loss.
        own_label_loss_weight: S2. Weight of the unimodal labels in the loss. Above
            0, two further classifiers learn them from what the unimodal branches read; they teach the
            branches and decide nothing.
        decision_weight_temperature: S5. Divides the scores that the "dynamic" weights are the softmax
            of; fitted with `temperature`. Above 1 it brings the weights closer together, for the gate
            has seen the branches on posts that they had learnt by heart. 1 changes nothing.
        temperature: Divides the decision's log-probabilities of posts with text and image; fitted
            on validation data after training so that the confidence is calibrated. 1 changes nothing.
        text_only_temperature: The same for posts that have no image.
        image_only_temperature: The same for posts that have no text.
        label_thresholds: With several labels a post, the least probability of each label that is
            decided, fitted with `temperature`; None means 0.5.
        score_mean: With regression, the score that a branch gives without evidence.
        score_std: With regression, the unit of the branches and of the loss; set before training.
        problem_type: As in transformers: "single_label_classification", which None means,
            "multi_label_classification" or "regression".
        label_set_thresholds: For posts with "both" modalities, "text only" and "image only": the least
            probability of a label in the set that holds the right one for 1 %, 2 %, ... of the posts;
            fitted with `temperature`. None, or without one of them: too few posts to tell.

    Raises:
        ValueError: A misspelt keyword, or values that do not go together; the message names them.
    """

    model_type = "hybridsent"
    sub_configs_defaults = {  # noqa: RUF012 (transformers reads it as a plain class attribute)
        "text_config": SubConfigSpec(config_class=AutoConfig, model_type="bert"),
        "vision_config": SubConfigSpec(config_class=AutoConfig, model_type="vit"),
    }
    attribute_map = {  # noqa: RUF012
        "num_hidden_layers": "num_cross_modal_layers",
        "layer_norm_epsilon": "layer_norm_eps",  # the library's other name for it
    }
    # So that the library's Trainer gathers the logits alone, as of any classifier.
    keys_to_ignore_at_inference = [  # noqa: RUF012
        "text_logits",
        "image_logits",
        "fusion_logits",
        "decision_weights",
        "losses",
        "text_embeds",
        "image_embeds",
        "fusion_embeds",
        "hidden_states",
        "attentions",
        "cross_attentions",
    ]

    # encoders
    text_config: PreTrainedConfig | dict[str, Any] | None = None
    vision_config: PreTrainedConfig | dict[str, Any] | None = None

    # fusion
    hidden_size: int = 256
    num_attention_heads: int = 4
    intermediate_size: int = 512
    hidden_act: str = "gelu"
    hidden_dropout: float | int = 0.1
    attention_dropout: float | int = 0.0
    layer_norm_eps: float = 1e-5
    initializer_range: float = 0.02

    # S1 to S5
    use_local_features: bool = True
    vision_feature_sizes: list[int] | tuple[int, ...] | None = None
    use_unimodal_branches: bool = True
    num_cross_modal_layers: int = 2
    recurrence: Literal["birau", "bigru", "none"] = "birau"
    recurrent_hidden_size: int = 128
    decision_fusion: Literal["dynamic", "global", "uniform", "fusion_only"] = "dynamic"

    # loss and calibration
    text_loss_weight: float | int = 0.5
    image_loss_weight: float | int = 0.5
    fusion_loss_weight: float | int = 0.5
    own_label_loss_weight: float | int = 0.0
    decision_weight_temperature: float | int = 1.0
    temperature: float | int = 1.0
    text_only_temperature: float | int = 1.0
    image_only_temperature: float | int = 1.0
    label_thresholds: list[float | int] | None = None
    score_mean: float | int = 0.0
    score_std: float | int = 1.0
    label_set_thresholds: dict[str, list[float | int]] | None = None

    def __post_init__(self, **kwargs: Any) -> None:
        _drop_older_fields(kwargs)
        self._refuse_misspelt(kwargs)
        for name in ("text_config", "vision_config"):  # at once: the library may look on the Hub
            _refuse_places(name, getattr(self, name))
        super().__post_init__(**kwargs)
        # Always all entries: saving writes only that of the class being saved.
        self.auto_map = dict(_AUTO_MAP)
        self.custom_pipelines = {name: dict(spec) for name, spec in _PIPELINES.items()}

    @property
    def loss_weights(self) -> dict[str, float | int]:
        """Weight of each part of the loss, by its name in `HybridSentOutput.losses`."""
        return {
            "decision": 1.0,
            "text": self.text_loss_weight,
            "image": self.image_loss_weight,
            "fusion": self.fusion_loss_weight,
            "own_text": self.own_label_loss_weight,
            "own_image": self.own_label_loss_weight,
        }

    def total_loss(self, parts: Mapping[str, Any]) -> Any:
        """Sum parts of the loss, scalars by their names in `loss_weights`, each times its weight."""
        weights = self.loss_weights
        return sum(weights[name] * part for name, part in parts.items())

    def reset_calibration(self) -> None:
        """Forget temperatures and thresholds: fitted ones fit no fresh classifier."""
        for name in _TEMPERATURES:
            setattr(self, name, 1.0)
        self.label_thresholds = None
        self.label_set_thresholds = None

    @classmethod
    def _refuse_misspelt(cls, unknown: Iterable[str]) -> None:
        """Raise on a keyword close to a field's name: transformers would store it silently."""
        fields = [name for name in cls.__dataclass_fields__ if not name.startswith("_")]
        for name in set(unknown) - set(cls.attribute_map) - set(fields):
            if meant := get_close_matches(name, fields, n=1, cutoff=0.8):
                raise ValueError(f"HybridSentConfig has no {name!r}; did you mean {meant[0]!r}?")

    def validate_fusion_sizes(self) -> None:
        """Check that the sizes of the fusion go together."""
        for name in ("hidden_size", "num_attention_heads", "intermediate_size"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} ({getattr(self, name)}) must be positive.")
        if self.hidden_act not in ACT2FN:
            raise ValueError(
                f"hidden_act ({self.hidden_act!r}) is not an activation of transformers."
            )
        if self.hidden_size % self.num_attention_heads:
            raise ValueError(
                f"hidden_size ({self.hidden_size}) must be a multiple of num_attention_heads "
                f"({self.num_attention_heads})."
            )
        if not 0 <= self.num_cross_modal_layers <= _MOST_LAYERS or self.recurrent_hidden_size < 1:
            raise ValueError(
                f"num_cross_modal_layers ({self.num_cross_modal_layers}) must lie between 0 and "
                f"{_MOST_LAYERS} and recurrent_hidden_size ({self.recurrent_hidden_size}) be positive."
            )

    def validate_encoders(self) -> None:
        """Check that building the encoders is possible and reaches neither the Hub nor other files."""
        for name in ("text_config", "vision_config"):
            encoder = getattr(self, name)
            _refuse_places(name, encoder)
            for field, value in _fields_of(encoder):
                if isinstance(value, float) and not math.isfinite(value):
                    raise ValueError(f"{name}: {field} must be a finite number, not {value}.")
                sizes = [x for x in _flat(value) if isinstance(x, int)]
                if re.search("layer|depth|block", field) and max(sizes, default=0) > _MOST_LAYERS:
                    raise ValueError(
                        f"{name}: {field} ({value!r:.80}) must be at most {_MOST_LAYERS}."
                    )

    def validate_labels(self) -> None:
        """Check that each label has an index and a name, a text, that no other label has."""
        id2label = self.id2label or {}
        names = list(id2label.values())
        if set(id2label) != set(range(len(names))):
            raise ValueError(f"id2label ({self.id2label}) must number its labels from 0 on.")
        if wrong := [x for x in names if not isinstance(x, str) or re.search(_SURROGATE, x)]:
            raise ValueError(f"id2label names a label {wrong[0]!r:.80}; a name is a text.")
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"id2label gives two labels one name: {', '.join(map(str, twice))}.")
        indices = {name: index for index, name in id2label.items()}
        for name, index in (self.label2id or {}).items():
            if indices.get(name, index) != index:
                raise ValueError(f"label2id says {name!r} is {index!r}, id2label {indices[name]}.")

    def validate_attention(self) -> None:
        """Check that no attention is code that the library would load from the Hub."""
        for part in (self, self.text_config, self.vision_config):
            named = getattr(part, "_attn_implementation", None)
            for name in named.values() if isinstance(named, dict) else [named]:
                if isinstance(name, str) and re.search("[/:]", name):
                    raise ValueError(
                        f"attn_implementation ({name!r:.80}) would be loaded from elsewhere; name one "
                        'of the installed library, such as "sdpa".'
                    )

    def validate_decision(self) -> None:
        """Check that the decision has branches to weigh and a usable temperature."""
        if not self.use_unimodal_branches and self.own_label_loss_weight:
            raise ValueError(
                f"own_label_loss_weight ({self.own_label_loss_weight}) teaches the unimodal branches, "
                "which use_unimodal_branches=False removes; set it to 0."
            )
        if not self.use_unimodal_branches and self.decision_fusion != "fusion_only":
            raise ValueError(
                f'decision_fusion="{self.decision_fusion}" weighs the unimodal branches, which '
                'use_unimodal_branches=False removes; use decision_fusion="fusion_only".'
            )
        for name in _TEMPERATURES:
            if not 1 / _EXTREME <= getattr(self, name) <= _EXTREME:
                raise ValueError(
                    f"{name} ({getattr(self, name)}) must be positive, and no extreme number."
                )

    def validate_label_sets(self) -> None:
        """Check that the thresholds of label sets are probabilities that fall as coverage rises."""
        for name, table in (self.label_set_thresholds or {}).items():
            falls = all(a >= b for a, b in pairwise([1, *table, 0]))
            if name not in INPUTS or len(table) > 99 or not falls:
                raise ValueError(
                    f"label_set_thresholds ({name!r}: {table!r:.80}) must hold, for each of "
                    f"{', '.join(INPUTS)}, at most 99 falling numbers between 1 and 0."
                )

    def validate_dtype(self) -> None:
        """Check that the type of the weights is one of torch's."""
        # Types by part are what the library's `from_pretrained` takes.
        kinds = self.dtype.values() if isinstance(self.dtype, dict) else [self.dtype]
        for kind in kinds:
            named = getattr(torch, kind, None) if isinstance(kind, str) else kind
            if kind is not None and not isinstance(named, torch.dtype):
                raise ValueError(f'dtype ({kind!r}) must name a type of torch, such as "float32".')

    def validate_problem_type(self) -> None:
        """Check that the problem type is known; that labels, thresholds and unit go with it."""
        if self.problem_type not in (None, *PROBLEMS):
            raise ValueError(
                f"problem_type ({self.problem_type!r}) must be one of {', '.join(PROBLEMS)}."
            )
        if self.problem_type == "regression" and self.num_labels != 1:
            raise ValueError(
                f'problem_type="regression" gives one score, but num_labels is {self.num_labels}; set '
                "num_labels=1."
            )
        if (limits := self.label_thresholds) is not None and (
            self.problem_type != "multi_label_classification"
            or len(limits) != self.num_labels
            or not all(0 < limit < 1 for limit in limits)
        ):
            raise ValueError(
                f"label_thresholds ({limits}) must be a probability for each of {self.num_labels} "
                'labels, with problem_type="multi_label_classification".'
            )
        least, most = 1 / _EXTREME**4, _EXTREME**4
        if not (abs(self.score_mean) <= most and least <= self.score_std <= most):
            raise ValueError(
                f"score_mean ({self.score_mean}) must be finite, and score_std ({self.score_std}) "
                "positive; neither may be extreme."
            )

    def validate_rates(self) -> None:
        """Check that probabilities are probabilities and weights of the loss are not negative."""
        for name in ("hidden_dropout", "attention_dropout"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} ({getattr(self, name)}) must lie between 0 and 1.")
        parts = ("text", "image", "fusion", "own_label")
        for name in (f"{part}_loss_weight" for part in parts):
            if not 0 <= getattr(self, name) < math.inf:
                raise ValueError(f"{name} ({getattr(self, name)}) must not be negative.")

    @classmethod
    def from_pretrained(  # type: ignore[override]
        cls, pretrained_model_name_or_path: str, *args: Any, **kwargs: Any
    ) -> "HybridSentConfig":
        """Load a configuration, as `PreTrainedConfig.from_pretrained` does.

        Args:
            pretrained_model_name_or_path: Folder, file or Hub id.
            *args: As in the parent class.
            **kwargs: As in the parent class.

        Returns:
            The configuration; with `return_unused_kwargs=True` also the keywords it has no use for.

        Raises:
            OSError: There is no such file, or it is not JSON.
            ValueError: It describes another kind of model or holds invalid values.
        """
        try:
            return super().from_pretrained(pretrained_model_name_or_path, *args, **kwargs)
        except Exception as error:
            raise _naming(pretrained_model_name_or_path, error) from error

    @classmethod
    def from_dict(cls, config_dict: dict[str, Any], **kwargs: Any) -> "HybridSentConfig":
        """Build the configuration from a dictionary, as `PreTrainedConfig.from_dict` does.

        Args:
            config_dict: Fields of this class, for instance those of a file.
            **kwargs: Fields to override; `name_or_path` says where the dictionary was read.

        Returns:
            The configuration; with `return_unused_kwargs=True` also the keywords it has no use for.

        Raises:
            ValueError: It describes another kind of model or holds invalid values.
        """
        if (
            kwargs.get("dtype") == "auto"
        ):  # the stored one, which the Auto classes pass on like this
            kwargs.pop("dtype")
        try:
            kind = config_dict.get("model_type", cls.model_type)
            if kind != cls.model_type:
                raise ValueError(f"its model_type is {kind!r}, not {cls.model_type!r}.")
            built = super().from_dict(dict(config_dict), **kwargs)  # which writes overrides into it
            # Overrides are set one by one, which leaves out the checks across fields.
            (built[0] if isinstance(built, tuple) else built).validate()
        except Exception as error:
            if overrides := _bad_overrides(cls, config_dict, kwargs):
                raise _OverrideError(f"{overrides} cannot be used: {as_sentence(error)}") from error
            if "name_or_path" not in kwargs:  # AutoConfig comes here directly, and gives it
                if isinstance(error, StrictDataclassError):
                    raise ValueError(as_sentence(error)) from error
                raise
            raise _naming(kwargs["name_or_path"], error) from error
        return built

    @classmethod
    def from_vision_text_configs(
        cls, vision_config: PreTrainedConfig, text_config: PreTrainedConfig, **kwargs: Any
    ) -> "HybridSentConfig":
        """Build the configuration from those of the two encoders.

        Args:
            vision_config: Configuration of the vision encoder.
            text_config: Configuration of the text encoder.
            **kwargs: Further fields of this class.

        Returns:
            The composite configuration; the configurations of the encoders are copied.
        """
        return cls(
            text_config=text_config.to_dict(), vision_config=vision_config.to_dict(), **kwargs
        )


def _drop_older_fields(fields: dict[str, Any]) -> None:
    """Drop fields that are no more; raises ValueError if they describe a model that is no more.

    Such a model had a recurrence over all tokens and n-grams as local features. Each configuration
    of it was saved with these fields; one that says "levels" is today's model.
    """
    older = {name: fields.pop(name) for name in _OLDER_FIELDS if name in fields}
    if older and older.get("evidence") != "levels":
        name, value = next(iter(older.items()))
        raise ValueError(
            f"{name}={value!r} belongs to the form that the model had before hybridsent 0.2, whose "
            f"weights do not fit any more. {RETRAIN}, or use it with hybridsent 0.1."
        )


class _OverrideError(ValueError):
    """A keyword of the caller does not fit a sound configuration."""


def _bad_overrides(
    kind: type[PreTrainedConfig], stored: dict[str, Any], given: dict[str, Any]
) -> str:
    """Return the overrides as text if the configuration is sound without them, else ""."""
    known = (*dir(kind), "attn_implementation")
    fields = {x: y for x, y in given.items() if x in known and x != "name_or_path"}
    if not fields or stored.get("model_type", kind.model_type) != kind.model_type:
        return ""
    try:
        kind.from_dict(stored)
    except Exception:  # the file itself is at fault
        return ""
    return ", ".join(f"{name}={value!r}" for name, value in fields.items())


def _flat(value: Any) -> list[Any]:
    return [y for x in value for y in _flat(x)] if isinstance(value, (list, tuple)) else [value]


def _refuse_places(name: str, encoder: Any) -> None:
    """Raise ValueError where the configuration of an encoder names files of the Hub or elsewhere."""
    for field, value in _fields_of(encoder):
        marks = {"architecture": ":", "backbone": "[/:]"}.get(field)
        is_place = marks is not None and re.search(marks, str(value))
        if value and (is_place or field in _LOADED_FROM_ELSEWHERE):
            raise ValueError(
                f"{name}: {field} ({value!r:.80}) would load files from elsewhere; name an "
                "architecture of the installed library."
            )


def _fields_of(content: Any) -> Iterator[tuple[str, Any]]:
    """Yield names and values of a configuration, also of those nested in it."""
    content = content.to_dict() if isinstance(content, PreTrainedConfig) else content
    if isinstance(content, Mapping):
        for name, value in content.items():
            yield str(name), value
            yield from _fields_of(value)


def _naming(name: str, error: Exception) -> Exception:
    """Return an error that names the configuration it is about and says what to do."""
    no_json = isinstance(error.__context__, (UnicodeDecodeError, json.JSONDecodeError))
    complete = isinstance(error, _OverrideError) or is_explained(error)
    if complete or (isinstance(error, OSError) and not no_json):
        return error  # complete already
    kind = OSError if isinstance(error, OSError) else ValueError
    file = Path(name, CONFIG_NAME) if Path(name).is_dir() else name
    remedy = "" if RETRAIN in str(error) else f" {REMEDY}, or correct it."
    return kind(f"{file} cannot be used: {as_sentence(error)}{remedy}")


def is_explained(error: Exception) -> bool:
    """Check whether an error names the configuration's file and says what to do."""
    named = " cannot be used: " in str(error)
    return REMEDY in str(error) or (named and RETRAIN in str(error))


def as_sentence(error: Exception) -> str:
    """Return an error's message with its full stop."""
    return str(error) if str(error).endswith((".", "?", "!")) else f"{error}."


__all__ = ["HybridSentConfig"]
