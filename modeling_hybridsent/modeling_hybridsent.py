"""The hybridsent model: image-text sentiment by cross-modal enhancement and hybrid fusion.

Implements the system of "Image-text sentiment analysis model based on cross-modal semantic
enhancement and hybrid fusion", ITM Web of Conferences 83 (2026) 01004, doi
10.1051/itmconf/20268301004, where its abstract is specific (S1 to S5 in the configuration); every
other choice is ours.
"""

from typing import Any

import torch
from torch import nn
from transformers import AutoConfig, AutoModel, PreTrainedModel
from transformers.processing_utils import Unpack
from transformers.utils import TransformersKwargs, can_return_tuple
from transformers.utils.generic import merge_with_config_defaults

from .configuration_hybridsent import HybridSentConfig
from .encoder_checks_hybridsent import count_positions, require_own_answer, require_positions
from .encoders_hybridsent import (
    EncoderOutputs,
    HybridSentImageFeatures,
    HybridSentTextFeatures,
    build_encoder,
    check_encoder_outputs,
    clear_encoder_outputs,
    drop_pooling_parts,
    encode_image,
    encode_text,
    freeze_unused_parameters,
    install_hooks,
    is_frozen,
    level_statistics,
    measure_vision_features,
    probe_encoder,
    without_hooks,
    without_unused_parts,
)
from .fusion_hybridsent import (
    HybridSentClassifier,
    HybridSentCrossModalLayer,
    HybridSentDecisionFusion,
    HybridSentFusionBranch,
    HybridSentUnimodalBranch,
)

# Saving copies the files that this one imports, and those that they import: so processor and
# pipeline go wherever the model goes, also where the library uploads what it has just saved.
from .pipeline_hybridsent import HybridSentPipeline  # noqa: F401
from .pretrained_hybridsent import (
    HybridSentModelOutput,
    HybridSentOutput,
    HybridSentPreTrainedModel,
)
from .problems_hybridsent import problem_of
from .processing_hybridsent import HybridSentProcessor  # noqa: F401

# Tokens, evidence (None in networks that read none) and mask of the tokens.
_Features = tuple[torch.Tensor, torch.Tensor | None, torch.Tensor]


class _LabelsByModality(TransformersKwargs, total=False):
    text_labels: torch.LongTensor | None
    image_labels: torch.LongTensor | None


def _require_a_modality(has_text: torch.Tensor, has_image: torch.Tensor) -> None:
    """Raise ValueError naming the posts that have neither text nor image."""
    if torch.compiler.is_compiling():  # a data-dependent check cannot be traced
        return
    empty = torch.nonzero(~(has_text | has_image)).flatten().tolist()
    if empty:
        raise ValueError(
            f"Posts {empty} of the batch have neither text nor image; give each post one of them."
        )


def _require_one_form(**forms: Any) -> None:
    """Raise ValueError if one modality is given in two forms."""
    given = [name for name, value in forms.items() if value is not None]
    if len(given) > 1:
        raise ValueError(f"Give {given[0]} or {given[1]}, not both.")


def _text_mask(
    input_ids: torch.Tensor | None,
    inputs_embeds: torch.Tensor | None,
    ready: EncoderOutputs | None,
    mask: torch.Tensor | None,
) -> torch.Tensor | None:
    """Return the mask of the text tokens, (batch, tokens), all visible if none is given."""
    vectors = inputs_embeds if ready is None else ready[0]
    tokens = input_ids if vectors is None else vectors[..., 0]
    if tokens is None:
        return None
    if mask is None:
        return torch.ones_like(tokens, dtype=torch.long)
    if ready is not None and mask.shape != tokens.shape:
        raise ValueError(
            f"text_encoder_outputs: states for (batch, tokens) = {tuple(tokens.shape)}, but "
            f"attention_mask is {tuple(mask.shape)}."
        )
    return mask


class HybridSentModel(HybridSentPreTrainedModel):
    """Encoders, unimodal branches, cross-modal layers and fusion branch, without classifiers.

    Args:
        config: The configuration; `vision_feature_sizes` is filled in where it is None.
    """

    def __init__(self, config: HybridSentConfig) -> None:
        super().__init__(config)
        self.text_model = build_encoder(config.text_config, "text")
        self.vision_model = build_encoder(config.vision_config, "vision")
        require_own_answer(self.text_model, "text")
        require_own_answer(self.vision_model, "vision")
        self.positions = count_positions(self.text_model)
        measure_vision_features(config)
        self.text_features = HybridSentTextFeatures(config)
        self.image_features = HybridSentImageFeatures(config)
        evidence = self.text_features.count, self.image_features.count
        self.text_branch, self.image_branch = None, None
        if config.use_unimodal_branches:
            self.text_branch, self.image_branch = (
                HybridSentUnimodalBranch(config, count) for count in evidence
            )
        self.cross_modal_layers = nn.ModuleList(
            HybridSentCrossModalLayer(config) for _ in range(config.num_cross_modal_layers)
        )
        self.fusion_branch = HybridSentFusionBranch(config, *evidence)
        self.post_init()

    def __getstate__(self) -> dict[str, Any]:
        """Return what copying and pickling keep: all but the hooks of the encoders."""
        parts = dict(self._modules)
        for name in ("text_model", "vision_model"):
            parts[name] = without_hooks(parts[name])
        return {**self.__dict__, "_modules": parts}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Restore a copy, with hooks of its own."""
        super().__setstate__(state)
        for encoder in (self.text_model, self.vision_model):
            install_hooks(encoder)

    def freeze_unused_parameters(self) -> None:
        """Freeze the encoders' parameters that their features do not depend on."""
        freeze_unused_parameters(self.text_model, "text")
        freeze_unused_parameters(self.vision_model, "vision")

    def get_input_embeddings(self) -> nn.Module:
        """Return the text encoder's token embeddings."""
        return self.text_model.get_input_embeddings()

    def set_input_embeddings(self, value: nn.Module) -> None:
        """Replace the text encoder's token embeddings."""
        self.text_model.set_input_embeddings(value)

    def train(self, mode: bool = True) -> "HybridSentModel":
        """Set training mode, but keep what is frozen of an encoder, and its batch norms, in eval.

        Else dropout would change features that cannot adapt to it, and a few small batches the
        statistics that the encoder was trained with.
        """
        super().train(mode)
        for encoder in (self.text_model, self.vision_model):
            for part in encoder.modules():
                if isinstance(part, nn.modules.batchnorm._BatchNorm) or is_frozen(part):
                    part.eval()
        return self

    def get_text_encoder_outputs(
        self,
        input_ids: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
        inputs_embeds: torch.Tensor | None = None,
    ) -> EncoderOutputs:
        """Run the text encoder alone, for what `forward` takes as `text_encoder_outputs`.

        Args:
            input_ids: (batch, tokens).
            attention_mask: Non-zero at real tokens, of which each text has one, (batch, tokens).
            inputs_embeds: Token embeddings in place of `input_ids`, (batch, tokens, text width).

        Returns:
            Token states of the last layer and of a middle layer, each (batch, tokens, text width); the
            second is None where the model uses no local features.

        Raises:
            ValueError: Texts have more tokens than the encoder has positions.
        """
        given = input_ids if inputs_embeds is None else inputs_embeds
        # Compiled, the number of tokens may be a symbol.
        if given is not None and not torch.compiler.is_compiling():
            require_positions(self.text_model, given.shape[1], self.positions)
        tokens = {"input_ids": input_ids, "inputs_embeds": inputs_embeds}
        tokens = {name: value for name, value in tokens.items() if value is not None}
        states, local = encode_text(self.text_model, {**tokens, "attention_mask": attention_mask})
        return states, local if self.text_features.reads_local else None

    def get_image_encoder_outputs(
        self, pixel_values: torch.Tensor, local: torch.Tensor | None = None
    ) -> EncoderOutputs:
        """Run the vision encoder alone, for what `forward` takes as `image_encoder_outputs`.

        Args:
            pixel_values: (batch, 3, height, width).
            local: The second result, where it is known beforehand.

        Returns:
            Tokens of the last stage (batch, tokens, channels) and statistics of the levels before it
            (batch, 1, 3 * sum of their channels); the second is None where the model uses no local
            features.
        """
        pixel_values = pixel_values.to(self.dtype)
        # Convolutions follow the memory order of their input; this one is twice as fast on a CPU.
        pixel_values = pixel_values.contiguous(memory_format=torch.channels_last)
        last, stages = encode_image(self.vision_model, pixel_values)
        if local is not None or not self.image_features.reads_local:
            return last, local
        return last, self._local_states(stages)

    def _local_states(self, stages: list[torch.Tensor]) -> torch.Tensor:
        """Return what is read of the hidden states of the vision encoder, (batch, tokens, width)."""
        return level_statistics(stages).to(self.dtype)

    def _encode_text(
        self,
        input_ids: torch.Tensor | None,
        inputs_embeds: torch.Tensor | None,
        attention_mask: torch.Tensor,
        has_text: torch.Tensor,
    ) -> EncoderOutputs:
        """Run the text encoder so that a missing text leaves no trace."""
        present = has_text[:, None]  # (batch, 1)
        filler = getattr(self.config.text_config, "pad_token_id", None) or 0
        # The encoder gets one constant visible token for a missing text: softmax over nothing is NaN.
        first = torch.arange(attention_mask.shape[1], device=attention_mask.device) == 0
        # Not torch.where: ONNX Runtime has none for booleans.
        visible = (present & attention_mask.bool()) | (~present & first)
        visible = visible.to(attention_mask.dtype)
        if inputs_embeds is None:
            return self.get_text_encoder_outputs(torch.where(present, input_ids, filler), visible)
        inputs_embeds = inputs_embeds.masked_fill(~present[..., None], 0.0)
        return self.get_text_encoder_outputs(None, visible, inputs_embeds)

    def _text(
        self,
        given: dict[str, torch.Tensor | None],
        outputs: EncoderOutputs | None,
        attention_mask: torch.Tensor,
        has_text: torch.Tensor,
    ) -> _Features:
        """Return text tokens, their evidence and mask; a missing text leaves no trace."""
        mask = attention_mask.bool() & has_text[:, None]
        if outputs is None:
            outputs = self._encode_text(**given, attention_mask=attention_mask, has_text=has_text)
        else:
            outputs = clear_encoder_outputs(outputs, mask, self.dtype)
        return *self.text_features(*outputs, mask), mask

    def _image(
        self,
        pixel_values: torch.Tensor | None,
        outputs: EncoderOutputs | None,
        has_image: torch.Tensor,
        local: torch.Tensor | None,
    ) -> _Features:
        """Return image tokens, their evidence and mask; a missing image leaves no trace."""
        if outputs is None:
            pixel_values = pixel_values.masked_fill(~has_image[:, None, None, None], 0.0)
            outputs = self.get_image_encoder_outputs(pixel_values, local)
        else:
            outputs = clear_encoder_outputs(outputs, has_image[:, None], self.dtype)
        return self.image_features(*outputs, has_image)

    def encoder_output_widths(self) -> dict[str, tuple[int, int | None]]:
        """Return the widths of precomputed states by modality: global, local (None: not read)."""
        text = self.config.text_config.hidden_size
        image, *levels = self.config.vision_feature_sizes
        return {
            "text": (text, text if self.text_features.reads_local else None),
            "image": (image, 3 * sum(levels) if self.image_features.reads_local else None),
        }

    def _nothing(self, batch: int, evidence: int | None = None) -> _Features:
        """Return what stands for a modality that the whole batch lacks: one masked token a post."""
        size = self.config.hidden_size
        like = {"device": self.device, "dtype": self.dtype}
        states = torch.zeros(batch, 1, size, **like)
        mask = torch.zeros(batch, 1, device=self.device, dtype=torch.bool)
        return (
            states,
            None if evidence is None else torch.zeros(batch, evidence, size, **like),
            mask,
        )

    @merge_with_config_defaults
    @can_return_tuple
    def forward(
        self,
        input_ids: torch.LongTensor | None = None,
        attention_mask: torch.Tensor | None = None,
        pixel_values: torch.FloatTensor | None = None,
        has_text: torch.BoolTensor | None = None,
        has_image: torch.BoolTensor | None = None,
        inputs_embeds: torch.FloatTensor | None = None,
        text_encoder_outputs: EncoderOutputs | None = None,
        image_encoder_outputs: EncoderOutputs | None = None,
        image_local_states: torch.FloatTensor | None = None,
        **kwargs: Unpack[TransformersKwargs],
    ) -> HybridSentModelOutput:
        """Encode and fuse a batch of posts.

        Args:
            input_ids: (batch, tokens); None when no post has a text.
            attention_mask: Non-zero at real tokens, (batch, tokens); None means no padding.
            pixel_values: (batch, 3, height, width); None when no post has an image.
            has_text: True where the post has a text, (batch,); None means all that `input_ids` give.
            has_image: True where the post has an image, (batch,); None means all that
                `pixel_values` give.
            inputs_embeds: Token embeddings in place of `input_ids`, (batch, tokens, text width).
            text_encoder_outputs: Result of `get_text_encoder_outputs` in place of `input_ids`: token
                states of two layers, each (batch, tokens, text width). The encoder does not run.
            image_encoder_outputs: Result of `get_image_encoder_outputs` in place of `pixel_values`:
                last stage (batch, tokens, channels), statistics of earlier ones (batch, 1, width).
            image_local_states: The second of these alone, beside `pixel_values` of which it cannot be
                computed: those of a vision encoder whose frozen front has run already.
            **kwargs: `output_attentions`, `output_hidden_states`, `return_dict`.

        Returns:
            The pooled vectors of the branches. What stands in the slot of a missing modality does
            not change a bit of them.

        Raises:
            ValueError: A post has neither text nor image; the message gives its index. Or a text
                has more tokens than the encoder has positions. Or a modality is given in two forms,
                or states that do not fit to the encoder.
        """
        tokens = {"input_ids": input_ids, "inputs_embeds": inputs_embeds}
        _require_one_form(**tokens, text_encoder_outputs=text_encoder_outputs)
        _require_one_form(pixel_values=pixel_values, image_encoder_outputs=image_encoder_outputs)
        ready = {"text": text_encoder_outputs, "image": image_encoder_outputs}
        for modality, widths in self.encoder_output_widths().items():
            check_encoder_outputs(f"{modality}_encoder_outputs", ready[modality], widths)
        attention_mask = _text_mask(**tokens, ready=text_encoder_outputs, mask=attention_mask)
        pixels = pixel_values if image_encoder_outputs is None else image_encoder_outputs[0]
        has_text, has_image = self._modalities(attention_mask, pixels, has_text, has_image)
        _require_a_modality(has_text, has_image)
        if attention_mask is None:
            text = self._nothing(has_text.shape[0], self.text_features.count)
        else:
            text = self._text(tokens, text_encoder_outputs, attention_mask, has_text)
        if pixels is None:
            image = self._nothing(has_text.shape[0], self.image_features.count)
        else:
            image = self._image(pixel_values, image_encoder_outputs, has_image, image_local_states)
        return HybridSentModelOutput(
            **self._only_asked(self._fuse(text, image), kwargs),
            has_text=has_text.long(),
            has_image=has_image.long(),
        )

    # Hidden states and attention weights are handed on by hand: recorded by the hooks of the
    # library's `capture_outputs`, those of the encoders would be recorded twice.
    def _fuse(self, text: _Features, image: _Features) -> dict[str, Any]:
        """Run everything behind the encoders; returns fields of `HybridSentModelOutput`."""
        text, text_evidence, text_mask = text
        # Spread over devices, the two encoders may have ended on different ones.
        image, image_evidence, image_mask = (part.to(text.device) for part in image)
        evidence = text_evidence, image_evidence
        text_embeds, image_embeds, attentions = None, None, []
        if self.text_branch is not None:
            text, text_embeds, text_weights = self.text_branch(text, text_mask, text_evidence)
            image, image_embeds, image_weights = self.image_branch(
                image, image_mask, image_evidence
            )
            attentions = [text_weights, image_weights]

        text_length = text.shape[1]
        states = [torch.cat([text, image], dim=1)]  # each (batch, text + image tokens, hidden_size)
        mask = torch.cat([text_mask, image_mask], dim=1)
        cross_attentions = []
        for layer in self.cross_modal_layers:
            after, *weights = layer(states[-1], mask, text_length, *evidence)
            states.append(after)
            cross_attentions += weights
        fused, fusion_embeds, weights = self.fusion_branch(states[-1], mask, text_length, *evidence)
        return {
            "last_hidden_state": fused,
            "fusion_embeds": fusion_embeds,
            "text_embeds": text_embeds,
            "image_embeds": image_embeds,
            "hidden_states": tuple(states) if self.cross_modal_layers else (),
            "attentions": tuple(x for x in (*attentions, weights) if x is not None),
            "cross_attentions": tuple(x for x in cross_attentions if x is not None),
        }

    def _only_asked(self, fields: dict[str, Any], asked: dict[str, Any]) -> dict[str, Any]:
        """Leave out hidden states and attention weights that nobody asked for."""

        def wanted(name: str) -> bool | int | list[int]:
            given = asked.get(name)
            return getattr(self.config, name) if given is None else given

        if not wanted("output_attentions"):
            fields.update(attentions=None, cross_attentions=None)
        which, states = wanted("output_hidden_states"), fields["hidden_states"]
        if which is False:
            fields["hidden_states"] = None
        elif which is not True:  # indices of layers: the others are None
            kept = {i % len(states) for i in ([which] if isinstance(which, int) else which)}
            fields["hidden_states"] = tuple(x if i in kept else None for i, x in enumerate(states))
        return fields

    def _modalities(
        self,
        attention_mask: torch.Tensor | None,
        pixels: torch.Tensor | None,
        has_text: torch.Tensor | None,
        has_image: torch.Tensor | None,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return which posts have a text and an image; without a visible token it is missing."""
        given = attention_mask if attention_mask is not None else pixels
        if given is None:
            raise ValueError("Give input_ids, pixel_values or both (or what stands for them).")
        nothing = torch.zeros(given.shape[0], dtype=torch.bool, device=given.device)
        text = nothing if attention_mask is None else attention_mask.bool().any(dim=1)
        image = nothing if pixels is None else ~nothing
        return (
            text if has_text is None else text & has_text.bool(),
            image if has_image is None else image & has_image.bool(),
        )


class HybridSentForSequenceClassification(HybridSentPreTrainedModel):
    """hybridsent with its three classifiers, its decision fusion and its loss.

    Args:
        config: The configuration; `num_labels` or `id2label` gives the labels.
    """

    def __init__(self, config: HybridSentConfig) -> None:
        super().__init__(config)
        config.validate_problem_type()  # it may have been set after the configuration was built
        self.problem = problem_of(config)
        self.hybridsent = HybridSentModel(config)
        self.text_classifier, self.image_classifier = None, None
        if config.use_unimodal_branches:
            self.text_classifier = HybridSentClassifier(config)
            self.image_classifier = HybridSentClassifier(config)
        self.own_label_classifiers = nn.ModuleDict()
        if config.own_label_loss_weight:
            for name in ("text", "image"):
                self.own_label_classifiers[name] = HybridSentClassifier(config)
        self.fusion_classifier = HybridSentClassifier(config)
        self.decision_fusion = HybridSentDecisionFusion(config)
        self.post_init()

    @classmethod
    def from_vision_text_pretrained(
        cls, vision_name: str, text_name: str, **kwargs: Any
    ) -> "HybridSentForSequenceClassification":
        """Start a model from two pretrained encoders, with a fresh fusion.

        Args:
            vision_name: Hub id or folder of the vision encoder. Of a model with both modalities,
                such as CLIP, the vision part is taken.
            text_name: Hub id or folder of the text encoder, likewise.
            **kwargs: Fields of `HybridSentConfig`, such as `id2label` or `hidden_size`.

        Returns:
            The model in evaluation mode. Saved, it reloads without the encoders' own folders.
        """
        text_model = _load_encoder(text_name, "text_config")
        vision_model = _load_encoder(vision_name, "vision_config")
        config = HybridSentConfig.from_vision_text_configs(
            vision_model.config, text_model.config, **kwargs
        )
        for part in (config.text_config, config.vision_config):
            part._name_or_path = ""  # a published configuration must not contain local paths
        model = cls(config)
        model.hybridsent.text_model.load_state_dict(text_model.state_dict())
        model.hybridsent.vision_model.load_state_dict(vision_model.state_dict())
        return model.eval()

    def _branch_logits(self, outputs: HybridSentModelOutput) -> dict[str, torch.Tensor | None]:
        logits = dict.fromkeys(("text", "image"))
        if self.text_classifier is not None:
            logits["text"] = self.problem.rescale(self.text_classifier(outputs.text_embeds))
            logits["image"] = self.problem.rescale(self.image_classifier(outputs.image_embeds))
        fusion = self.problem.rescale(self.fusion_classifier(outputs.fusion_embeds))
        return {**logits, "fusion": fusion}

    def _decide(
        self,
        outputs: HybridSentModelOutput,
        branch_logits: dict[str, torch.Tensor | None],
        present: torch.Tensor,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return calibrated logits (batch, num_labels) and decision weights (batch, 3)."""
        embeds = [outputs.text_embeds, outputs.image_embeds, outputs.fusion_embeds]
        embeds = [torch.zeros_like(embeds[2]) if x is None else x for x in embeds]
        logits = [branch_logits[name] for name in ("text", "image", "fusion")]
        logits = [torch.zeros_like(logits[2]) if x is None else x for x in logits]
        mixed, weights = self.decision_fusion(
            torch.stack(embeds, dim=1), torch.stack(logits, dim=1), present
        )
        return self.problem.temper(mixed, self._temperatures(outputs, mixed)), weights

    def _temperatures(self, outputs: HybridSentModelOutput, like: torch.Tensor) -> torch.Tensor:
        """Return what the logits of each post are divided by, (batch, 1): it depends on what it has."""
        config = self.config
        text_only, image_only, both = (
            like.new_full((), value)
            for value in (
                config.text_only_temperature,
                config.image_only_temperature,
                config.temperature,
            )
        )
        has_text, has_image = (has.bool()[:, None] for has in (outputs.has_text, outputs.has_image))
        one = torch.where(has_text, text_only, image_only)
        return torch.where(has_text & has_image, both, one)

    def _losses(
        self,
        decided: torch.Tensor,
        branch_logits: dict[str, torch.Tensor | None],
        present: torch.Tensor,
        labels: torch.Tensor,
    ) -> dict[str, torch.Tensor]:
        """Return the named parts; a branch that cannot decide learns nothing."""
        problem = self.problem
        labels = problem.check(labels)
        losses = {"decision": problem.loss(decided, labels)}
        for i, name in enumerate(("text", "image", "fusion")):
            if branch_logits[name] is not None:
                of_branch = problem.mask(labels, present[:, i])
                losses[name] = problem.loss(branch_logits[name].float(), of_branch)
        return losses

    def _own_label_losses(
        self, outputs: HybridSentModelOutput, labels: dict[str, torch.Tensor | None]
    ) -> dict[str, torch.Tensor]:
        """Return the parts that unimodal labels give; 0 where no post has one."""
        losses, problem = {}, self.problem
        for name, classifier in self.own_label_classifiers.items():
            has, own = outputs[f"has_{name}"].bool(), labels[name]
            own = problem.unknown(has) if own is None else problem.check(own)
            logits = problem.rescale(classifier(outputs[f"{name}_embeds"])).float()
            losses[f"own_{name}"] = problem.loss(logits, problem.mask(own, has))
        return losses

    @can_return_tuple
    def forward(
        self,
        input_ids: torch.LongTensor | None = None,
        attention_mask: torch.Tensor | None = None,
        pixel_values: torch.FloatTensor | None = None,
        has_text: torch.BoolTensor | None = None,
        has_image: torch.BoolTensor | None = None,
        labels: torch.Tensor | None = None,
        inputs_embeds: torch.FloatTensor | None = None,
        text_encoder_outputs: EncoderOutputs | None = None,
        image_encoder_outputs: EncoderOutputs | None = None,
        image_local_states: torch.FloatTensor | None = None,
        # In the signature, the library's Trainer would ask every batch for them, as for `labels`.
        **kwargs: Unpack[_LabelsByModality],
    ) -> HybridSentOutput:
        """Score a batch of posts and, given labels, compute the loss.

        Args:
            input_ids: As in `HybridSentModel.forward`, like the others without a description.
            attention_mask: (batch, tokens).
            pixel_values: (batch, 3, height, width).
            has_text: (batch,).
            has_image: (batch,).
            labels: Label of the post, (batch,); -100 is ignored. Several labels: 0 or 1 for each,
                (batch, num_labels). Regression: the score, (batch,); NaN is ignored.
            inputs_embeds: (batch, tokens, text width).
            text_encoder_outputs: See `get_text_encoder_outputs`.
            image_encoder_outputs: See `get_image_encoder_outputs`.
            image_local_states: (batch, tokens, width).
            **kwargs: `text_labels` and `image_labels`, labels of the text and of the image alone, like
                `labels`, None where unknown, learned where `own_label_loss_weight` is above 0;
                `output_attentions`, `output_hidden_states`, `return_dict`.

        Returns:
            Scores, branches, decision weights and, with labels, losses.

        Raises:
            ValueError: As in `HybridSentModel.forward`, or labels are of another problem type.
        """
        own_labels = {name: kwargs.pop(f"{name}_labels", None) for name in ("text", "image")}
        outputs = self.hybridsent(
            input_ids=input_ids,
            attention_mask=attention_mask,
            pixel_values=pixel_values,
            has_text=has_text,
            has_image=has_image,
            inputs_embeds=inputs_embeds,
            text_encoder_outputs=text_encoder_outputs,
            image_encoder_outputs=image_encoder_outputs,
            image_local_states=image_local_states,
            **{**kwargs, "return_dict": True},
        )
        branch_logits = self._branch_logits(outputs)
        present = self.decision_fusion.present_branches(
            outputs.has_text.bool(), outputs.has_image.bool()
        )
        decided, weights = self._decide(outputs, branch_logits, present)
        loss, losses = None, None
        if labels is not None:
            losses = self._losses(decided, branch_logits, present, labels)
            losses |= self._own_label_losses(outputs, own_labels)
            loss = self.config.total_loss(losses)
        return HybridSentOutput(
            loss=loss,
            logits=decided,
            text_logits=branch_logits["text"],
            image_logits=branch_logits["image"],
            fusion_logits=branch_logits["fusion"],
            decision_weights=weights,
            text_embeds=outputs.text_embeds,
            image_embeds=outputs.image_embeds,
            fusion_embeds=outputs.fusion_embeds,
            hidden_states=outputs.hidden_states,
            attentions=outputs.attentions,
            cross_attentions=outputs.cross_attentions,
            losses=losses,
        )


def _load_encoder(name: str, part: str) -> PreTrainedModel:
    """Load one encoder; of a checkpoint with both modalities, take the part asked for."""
    config = AutoConfig.from_pretrained(name)
    config = without_unused_parts(getattr(config, part, config))
    probe = probe_encoder(config, part.removesuffix("_config"))
    return drop_pooling_parts(AutoModel.from_pretrained(name, config=config), probe.drops_pooler)


__all__ = [
    "HybridSentForSequenceClassification",
    "HybridSentModel",
    "HybridSentPreTrainedModel",
]
