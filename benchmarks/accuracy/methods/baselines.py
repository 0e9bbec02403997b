"""What all baselines share.

A baseline keeps hybridsent's encoders, projections, masks of missing modalities, stored encoder states
and loss, so that it trains under the same trainer, and puts another network behind them.
"""

from typing import Any

import torch
from torch import nn

from hybridsent.training.collator import NO_LABEL
from modeling_hybridsent import HybridSentConfig, HybridSentForSequenceClassification
from modeling_hybridsent.encoders_hybridsent import (
    HybridSentImageNorm,
    HybridSentProjection,
    mean_of_tokens,
)
from modeling_hybridsent.fusion_hybridsent import HybridSentClassifier
from modeling_hybridsent.modeling_hybridsent import HybridSentModel

# Field of a baseline's configuration: weight of the unimodal labels in its loss. That of hybridsent
# is refused without unimodal branches.
UNIMODAL_LABEL_WEIGHT = "baseline_own_labels"

# Tokens, what else a method reads or None, mask of the tokens.
Features = tuple[torch.Tensor, torch.Tensor | None, torch.Tensor]


class TextTokens(nn.Module):
    """Token states of the text encoder's last layer, at the width of the fusion."""

    count, reads_local = None, False

    def __init__(self, config: HybridSentConfig) -> None:
        super().__init__()
        self.global_projection = HybridSentProjection(config.text_config.hidden_size, config)

    def forward(
        self, states: torch.Tensor, local: torch.Tensor | None, mask: torch.Tensor
    ) -> tuple[torch.Tensor, None]:
        """Project (batch, tokens, text width), masked by (batch, tokens); nothing else is read."""
        return self.global_projection(states, mask), None


class ImageTokens(nn.Module):
    """Tokens of the vision encoder's last stage, at the width of the fusion."""

    count, reads_local = None, False

    def __init__(self, config: HybridSentConfig) -> None:
        super().__init__()
        width = config.vision_feature_sizes[0]
        self.global_projection = HybridSentProjection(width, config, HybridSentImageNorm)

    def forward(
        self, last: torch.Tensor, local: torch.Tensor | None, has_image: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor | None, torch.Tensor]:
        """Project (batch, tokens, channels) of the images there are, (batch,), and mask the rest."""
        mask = has_image[:, None].expand(-1, last.shape[1])
        return self.global_projection(last, mask), None, mask


class BaselineModel(HybridSentModel):
    """Encoders of hybridsent with another network behind them, which reads their last layers.

    Args:
        config: A configuration without cross-modal layers.
    """

    def __init__(self, config: HybridSentConfig) -> None:
        super().__init__(config)
        self.text_features, self.image_features = TextTokens(config), ImageTokens(config)
        self.text_branch, self.image_branch, self.fusion_branch = None, None, None
        self.pools_modalities = bool(getattr(config, UNIMODAL_LABEL_WEIGHT, 0))

    def _pooled(self, text: Features, image: Features) -> dict[str, Any]:
        """Return pooled vectors (batch, hidden_size) by the field that takes them."""
        raise NotImplementedError

    def _fuse(self, text: Features, image: Features) -> dict[str, Any]:
        """Run everything behind the encoders; returns fields of `HybridSentModelOutput`."""
        fields = dict.fromkeys(("last_hidden_state", "text_embeds", "image_embeds"))
        empty = {"hidden_states": (), "attentions": (), "cross_attentions": ()}
        if self.pools_modalities:
            fields |= self._by_modality(text, image)
        return {**fields, **empty, **self._pooled(text, image)}

    def _by_modality(self, text: Features, image: Features) -> dict[str, torch.Tensor]:
        """Return what the classifiers of unimodal labels read, each (batch, hidden_size)."""
        given = {"text_embeds": text, "image_embeds": image}
        return {name: mean_of_tokens(states, mask) for name, (states, _, mask) in given.items()}


class BaselineForSequenceClassification(HybridSentForSequenceClassification):
    """A baseline with its classifier and its loss.

    It is taught the unimodal labels if its configuration gives them a weight, by one more classifier
    for each modality that it reads, as hybridsent is.

    Attributes:
        base_class: The network behind the encoders.
        reads: The modalities whose unimodal labels it can be taught.
        unused_parts: Names of the modules that the baseline never reads; they are not trained.
        takes_text_states: Whether stored states of a frozen text encoder can stand for the texts.
        needs_numbers: Whether training needs the number of each post, as `post_numbers`.

    Args:
        config: The configuration; `num_labels` or `id2label` gives the labels.
    """

    _auto_class = None  # a baseline's code does not go into its folder
    base_class: type[BaselineModel]
    reads: tuple[str, ...] = ("text", "image")
    unused_parts: tuple[str, ...] = ()
    takes_text_states = True
    needs_numbers = False

    def __init__(self, config: HybridSentConfig) -> None:
        super().__init__(config)
        self.hybridsent = self.base_class(config)
        self.unimodal_classifiers = nn.ModuleDict()
        if self.hybridsent.pools_modalities:
            for name in self.reads:
                self.unimodal_classifiers[name] = HybridSentClassifier(config)
        self.post_init()

    def freeze_unused_parts(self) -> None:
        """Keep what this baseline never reads out of the training."""
        for name in self.unused_parts:
            self.get_submodule(name).requires_grad_(False)

    def extra_loss(self, outputs: Any, batch: dict[str, Any]) -> torch.Tensor | None:
        """Return what a publication adds to the cross-entropies in training, a scalar, or None.

        Args:
            outputs: The model's output for the batch.
            batch: All inputs of `forward`; `labels` (batch,) are -100 where unknown, `post_numbers`
                (batch,) are the same for a post in every epoch.
        """
        return None

    def forward(
        self,
        labels: torch.LongTensor | None = None,
        text_labels: torch.LongTensor | None = None,
        image_labels: torch.LongTensor | None = None,
        post_numbers: torch.LongTensor | None = None,
        **inputs: Any,
    ) -> Any:
        """Score a batch as hybridsent does; in training the extra loss counts to part `decision`.

        Args:
            labels: Label of the post, (batch,); -100 is ignored.
            text_labels: Label of the text alone, (batch,); likewise.
            image_labels: Label of the image alone, (batch,); likewise.
            post_numbers: As in `extra_loss`.
            **inputs: As in `HybridSentForSequenceClassification.forward`.

        Returns:
            A `HybridSentOutput`.

        Raises:
            ValueError: As in `HybridSentForSequenceClassification.forward`.
        """
        own = {"text_labels": text_labels, "image_labels": image_labels}
        outputs = super().forward(labels=labels, **own, **{**inputs, "return_dict": True})
        if labels is not None and self.training:
            batch = {**inputs, "labels": labels, "post_numbers": post_numbers}
            extra = self._unimodal_loss(outputs, {**inputs, **own})
            published = self.extra_loss(outputs, batch)
            extra = extra if published is None else extra + published
            outputs.losses["decision"] = outputs.losses["decision"] + extra
            outputs.loss = outputs.loss + extra
        return outputs

    def _unimodal_loss(self, outputs: Any, batch: dict[str, Any]) -> torch.Tensor:
        """Return the weighted cross-entropies of the unimodal labels, a scalar; 0 without any."""
        total = torch.zeros((), device=outputs.logits.device)
        for name, classifier in self.unimodal_classifiers.items():
            labels = batch[f"{name}_labels"]
            if labels is not None:
                known = (labels != NO_LABEL) & _has(batch, name, labels)
                logits = classifier(outputs[f"{name}_embeds"]).float()
                found = nn.functional.cross_entropy(
                    logits, labels.masked_fill(~known, NO_LABEL), reduction="sum"
                )
                total = total + found / known.sum().clamp(min=1)
        return getattr(self.config, UNIMODAL_LABEL_WEIGHT, 0) * total


def _has(batch: dict[str, Any], modality: str, like: torch.Tensor) -> torch.Tensor:
    """Return which posts of a batch have a modality, bool (batch,); all where it does not say."""
    has = batch.get(f"has_{modality}")
    return torch.ones_like(like, dtype=torch.bool) if has is None else has.bool()
