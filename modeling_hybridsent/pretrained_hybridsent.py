"""What the hybridsent model classes share: outputs, loading, saving, initialisation, capabilities."""

import contextlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import PreTrainedModel
from transformers import initialization as init
from transformers.modeling_outputs import ModelOutput
from transformers.modeling_utils import load_state_dict
from transformers.utils import CONFIG_NAME, cached_file

from .attention_hybridsent import HybridSentAttention, HybridSentFeedForward
from .birau_hybridsent import RAU
from .configuration_hybridsent import REMEDY, HybridSentConfig, as_sentence, is_explained
from .fusion_hybridsent import (
    HybridSentClassifierLinear,
    HybridSentDecisionFusion,
    HybridSentFusionBranch,
)


@dataclass
class HybridSentModelOutput(ModelOutput):
    """Fused levels and pooled vectors of the three branches.

    A level is one vector a post: of each layer or stage of an encoder that is read, and of each
    modality after the cross-modal layers.

    Attributes:
        last_hidden_state: Fused levels, (batch, levels, hidden_size), from the middle layer of the text
            encoder to the earliest stage of the vision encoder.
        fusion_embeds: (batch, hidden_size).
        text_embeds: (batch, hidden_size), zero where the text is missing; None without unimodal
            branches.
        image_embeds: (batch, hidden_size), zero where the image is missing; None without unimodal
            branches.
        has_text: 1 where the post has a text, else 0, (batch,).
        has_image: 1 where the post has an image, else 0, (batch,).
        hidden_states: With `output_hidden_states=True`, a tuple of num_cross_modal_layers + 1 tensors
            (batch, text + image tokens, hidden_size): what enters the first cross-modal layer and
            what leaves each; empty when there are none.
        attentions: With `output_attentions=True` and eager attention, the self-attention of text
            branch (batch, heads, text tokens, text tokens), image branch (batch, heads, image
            tokens, image tokens) and fusion branch (batch, heads, levels, levels); without unimodal
            branches only the last. Empty with sdpa, which does not keep weights.
        cross_attentions: With `output_attentions=True` and eager attention, a tuple of
            2 * num_cross_modal_layers tensors: for each layer the text's attention to the image
            (batch, heads, text tokens, image tokens + levels), then the image's to the text (batch,
            heads, image tokens, text tokens + levels). Empty with sdpa; meaningless for posts with a
            missing modality.
    """

    last_hidden_state: torch.FloatTensor | None = None
    fusion_embeds: torch.FloatTensor | None = None
    text_embeds: torch.FloatTensor | None = None
    image_embeds: torch.FloatTensor | None = None
    has_text: torch.LongTensor | None = None
    has_image: torch.LongTensor | None = None
    hidden_states: tuple[torch.FloatTensor, ...] | None = None
    attentions: tuple[torch.FloatTensor, ...] | None = None
    cross_attentions: tuple[torch.FloatTensor, ...] | None = None


@dataclass
class HybridSentOutput(ModelOutput):
    """Scores of a batch of posts, with each branch's part in the decision.

    Attributes:
        loss: Weighted sum of `losses`, scalar; None without labels.
        logits: Of the calibrated decision, (batch, num_labels), float32: log p, so that
            softmax(logits) is p itself; of several labels a post logit p, of regression the score.
        text_logits: Text branch, (batch, num_labels), not calibrated; None without unimodal branches.
        image_logits: Image branch, (batch, num_labels), not calibrated; None without unimodal branches.
        fusion_logits: Fusion branch, (batch, num_labels), not calibrated.
        decision_weights: Weights of text, image and fusion, (batch, 3), float32; each row sums to 1,
            exactly 0 for a branch that cannot decide.
        text_embeds: As in `HybridSentModelOutput`.
        image_embeds: As in `HybridSentModelOutput`.
        fusion_embeds: As in `HybridSentModelOutput`.
        hidden_states: As in `HybridSentModelOutput`; None unless asked for.
        attentions: As in `HybridSentModelOutput`; None unless asked for.
        cross_attentions: As in `HybridSentModelOutput`; None unless asked for.
        losses: Named parts of the loss before weighting, each scalar: `decision` (negative log
            likelihood of p), `text`, `image`, `fusion` (cross-entropies of the branches), and with
            `own_label_loss_weight` `own_text`, `own_image` (of unimodal labels); of regression squared
            errors; None without labels.
    """

    loss: torch.FloatTensor | None = None
    logits: torch.FloatTensor | None = None
    text_logits: torch.FloatTensor | None = None
    image_logits: torch.FloatTensor | None = None
    fusion_logits: torch.FloatTensor | None = None
    decision_weights: torch.FloatTensor | None = None
    text_embeds: torch.FloatTensor | None = None
    image_embeds: torch.FloatTensor | None = None
    fusion_embeds: torch.FloatTensor | None = None
    hidden_states: tuple[torch.FloatTensor, ...] | None = None
    attentions: tuple[torch.FloatTensor, ...] | None = None
    cross_attentions: tuple[torch.FloatTensor, ...] | None = None
    losses: dict[str, torch.FloatTensor] | None = None


def _require_grad(_module: nn.Module, _inputs: tuple[Any, ...], output: Any) -> None:
    """Require the gradient of what a module returns; not a local function, which no pickle holds."""
    (output[0] if isinstance(output, tuple) else output).requires_grad_(True)


def _last_of_residual(module: nn.Module) -> nn.Linear | None:
    """Return the layer whose output a residual branch adds, None for other modules.

    It starts near zero: a fresh fusion then hands the encoders' features on, and has to learn what to
    add to them.
    """
    if isinstance(module, HybridSentAttention):
        return module.output
    if isinstance(module, HybridSentFeedForward):
        return module.outer
    return module.recurrence_output if isinstance(module, HybridSentFusionBranch) else None


class HybridSentPreTrainedModel(PreTrainedModel):
    """Loading, saving, initialisation and capabilities shared by the hybridsent classes."""

    config: HybridSentConfig
    config_class = HybridSentConfig
    base_model_prefix = "hybridsent"
    main_input_name = "input_ids"
    input_modalities = ("text", "image")
    supports_gradient_checkpointing = True
    _no_split_modules = [  # noqa: RUF012
        "HybridSentCrossModalLayer",
        "HybridSentFusionBranch",
        "HybridSentSelfAttentionBlock",
    ]
    _supports_sdpa = True
    # The loss is a mean over posts; the Trainer must divide it by accumulation steps itself.
    accepts_loss_kwargs = False

    @classmethod
    def is_custom_code(cls) -> bool:
        """Return False: initialisation here leaves loaded tensors alone, as the library's own does.

        For other code it skips modules without parameters of their own, and with them part of the
        initialisation of CLIP, SigLIP and ModernBERT encoders.
        """
        return False

    def enable_input_require_grads(self) -> None:
        """Require gradients of the encoders' embeddings, which gradient checkpointing needs.

        The library's own fails on embeddings that return a tuple, as Swin's do.
        """
        embeddings = {}
        for model in self.modules():
            if isinstance(model, PreTrainedModel):
                with contextlib.suppress(NotImplementedError):
                    part = model.get_input_embeddings()
                    embeddings[id(part)] = part
        embeddings.pop(id(None), None)
        self._require_grads_hooks = [
            part.register_forward_hook(_require_grad) for part in embeddings.values()
        ]

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        super()._init_weights(module)
        if isinstance(module, RAU):
            bound = module.hidden_size**-0.5
            for parameter in module.parameters():
                init.uniform_(parameter, -bound, bound)
        elif isinstance(module, HybridSentClassifierLinear):
            init.normal_(module.weight, std=self.config.initializer_range)
            init.zeros_(module.bias)
        elif isinstance(module, HybridSentDecisionFusion) and module.kind == "global":
            init.zeros_(module.global_scores)
        elif (last := _last_of_residual(module)) is not None:
            init.normal_(last.weight, std=0.1 * self.config.initializer_range)

    @classmethod
    def from_pretrained(
        cls,
        pretrained_model_name_or_path: str | None,
        *args: Any,
        ignore_mismatched_sizes: bool = False,
        output_loading_info: bool = False,
        **kwargs: Any,
    ) -> "HybridSentPreTrainedModel | tuple[HybridSentPreTrainedModel, dict[str, Any]]":
        """Load a model, as `PreTrainedModel.from_pretrained` does, but never with fresh weights.

        Args:
            pretrained_model_name_or_path: Folder or Hub id; None with `state_dict=`.
            *args: As in the parent class.
            ignore_mismatched_sizes: True starts tensors of another shape fresh, as another number
                of labels needs it.
            output_loading_info: True returns also the names of tensors that were missing, unknown or
                of another shape; missing tensors then start fresh without an error.
            **kwargs: As in the parent class.

        Returns:
            The model in evaluation mode; with `output_loading_info=True` also that information.

        Raises:
            OSError: A file is absent or damaged; the message names it.
            RuntimeError: Tensors are missing or have another shape; the message names them.
            ValueError: The configuration is invalid; the message names its file.
        """
        name, place = pretrained_model_name_or_path, place_of(kwargs)
        options = {"ignore_mismatched_sizes": True, "output_loading_info": True, **kwargs}
        if name is None:  # the caller brings the weights
            options["ignore_mismatched_sizes"] = ignore_mismatched_sizes
            model, info = super().from_pretrained(name, *args, **options)
            model.base_model.freeze_unused_parameters()
            return (model, info) if output_loading_info else model

        def build() -> PreTrainedModel:
            return cls(cls.config_class.from_pretrained(name, **place))

        require_index_inside(local_folder(name, place))
        try:
            model, info = super().from_pretrained(name, *args, **options)
        except Exception as error:
            explained = explain_failure(error, local_folder(name, place), build)
            if explained is error:
                raise
            raise explained from error
        model.base_model.freeze_unused_parameters()
        require_complete(
            info, local_folder(name, place), ignore_mismatched_sizes, may_lack=output_loading_info
        )
        if any("classifier." in key for key, *_ in info["mismatched_keys"]):
            model.config.reset_calibration()
        return (model, info) if output_loading_info else model

    def save_pretrained(
        self, save_directory: str, *args: Any, save_original_format: bool = False, **kwargs: Any
    ) -> None:
        """Save weights, configuration and all code, as `PreTrainedModel.save_pretrained` does.

        Weights keep the names that the modules have now: the library's default renames some vision
        encoders' tensors to older names, and its own Trainer then resumes without them
        (huggingface/transformers issues 43701 and 48805).

        Args:
            save_directory: Folder to write.
            *args: As in the parent class.
            save_original_format: True asks for the older names.
            **kwargs: As in the parent class.
        """
        super().save_pretrained(
            save_directory, *args, save_original_format=save_original_format, **kwargs
        )
        for file in Path(save_directory).glob("*.safetensors"):
            file.chmod(0o644)  # written for the owner alone, which a shared folder cannot use


# Damaged files are one error that names the file and says what to do. The library itself starts a
# tensor that a file lacks from fresh weights, with a table in the log.

# What says where in the Hub, or in its cache, a file lies.
_PLACE = ("cache_dir", "revision", "subfolder", "token")


def place_of(arguments: dict[str, Any]) -> dict[str, Any]:
    """Return those arguments of `from_pretrained` that say where a file lies."""
    return {name: arguments[name] for name in _PLACE if arguments.get(name) is not None}


def local_folder(name: str, place: dict[str, Any]) -> Path:
    """Return the folder behind a name: itself, or the local copy of a repository of the Hub."""
    if Path(name).is_dir():
        return Path(name, place.get("subfolder", ""))
    try:
        return Path(cached_file(name, CONFIG_NAME, local_files_only=True, **place)).parent  # type: ignore[arg-type]
    except OSError:  # there is none
        return Path(name)


def require_index_inside(folder: Path) -> None:
    """Raise an OSError if an index of weights names a file outside its folder."""
    for file in folder.glob("*.safetensors.index.json"):
        with contextlib.suppress(
            ValueError, LookupError, TypeError, AttributeError, RecursionError
        ):  # loading says more
            for name in json.loads(file.read_text(encoding="utf-8"))["weight_map"].values():
                if not isinstance(name, str) or Path(name).name != name or "\\" in name:
                    raise OSError(
                        f"{file} names {name!r:.100}, which is no file beside it. {REMEDY}."
                    )


def _read(file: Path) -> None:
    """Read the header of a weight file, or the whole of an index; raises if it is damaged."""
    if file.suffix == ".json":
        json.loads(file.read_text(encoding="utf-8"))
    else:
        load_state_dict(str(file), map_location="meta")


def explain_failure(error: Exception, folder: Path, build: Callable[[], Any]) -> Exception:
    """Return an error that names the file that made loading fail.

    Args:
        error: What loading raised.
        folder: Where weights and configuration lie.
        build: Builds the model that the stored configuration describes, as stored.

    Returns:
        An error that names the file; `error` itself when the files are not to blame.
    """
    for file in sorted(folder.glob("*.safetensors*")):
        try:
            _read(file)
        except Exception as damage:
            return OSError(f"{file} is damaged ({damage}). {REMEDY}.")
    try:
        with torch.device("meta"):
            build()
    except Exception as nonsense:
        if is_explained(nonsense):  # found by the configuration itself
            return nonsense
        if isinstance(nonsense, OSError):  # there is no such file, as `error` says
            return error
        return ValueError(
            f"{folder / CONFIG_NAME} describes a model that cannot be built: "
            f"{as_sentence(nonsense)} {REMEDY}, or correct that value."
        )
    if isinstance(error, MemoryError) or "allocate memory" in str(error):
        return ValueError(
            f"{folder / CONFIG_NAME} describes a model that does not fit into memory "
            f"({error!s:.200}). {REMEDY}, correct its sizes, or use a larger machine."
        )
    return error


def _some(names: list[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def require_complete(
    info: dict[str, Any], folder: Path, ignore_mismatched_sizes: bool, may_lack: bool
) -> None:
    """Raise unless the files gave every tensor of the model in its shape.

    Args:
        info: Loading info of `from_pretrained(..., output_loading_info=True)`.
        folder: Where the weights lie.
        ignore_mismatched_sizes: The caller accepts fresh weights where shapes differ.
        may_lack: The caller accepts fresh weights where tensors are missing.

    Raises:
        RuntimeError: A tensor is missing or has another shape; the message names files and tensors.
    """
    files = [str(file) for file in sorted(folder.glob("*.safetensors"))] or [str(folder)]
    where = _some(files)
    missing, unknown = sorted(info["missing_keys"]), sorted(info["unexpected_keys"])
    if missing and not may_lack:
        if not any(name.startswith("hybridsent.") for name in missing) and not unknown:
            raise RuntimeError(
                f"{where} holds the model without its classifiers, as `model.hybridsent` is saved: "
                "load it with HybridSentModel, or save the whole model."
            )
        instead = f"; it holds tensors the model does not know: {_some(unknown)}" if unknown else ""
        raise RuntimeError(
            f"{where} lacks {len(missing)} tensor(s) of the model: {_some(missing)}{instead}. "
            f"{REMEDY}; if fresh weights are wanted there, pass output_loading_info=True, which "
            "returns the model together with the list of them."
        )
    differ = [
        f"{name} ({tuple(stored)} in the file, {tuple(wanted)} in the model)"
        for name, stored, wanted in sorted(info["mismatched_keys"])
    ]
    if differ and not ignore_mismatched_sizes:
        raise RuntimeError(
            f"{where} does not fit the configuration: {_some(differ)}. {REMEDY}; if the number of "
            "labels was changed on purpose, pass ignore_mismatched_sizes=True, and these tensors "
            "start fresh."
        )


__all__ = ["HybridSentModelOutput", "HybridSentOutput", "HybridSentPreTrainedModel"]
