"""The pipeline for task "image-text-sentiment": a post in, a label with its reasons out."""

from typing import Any

import torch
from transformers import Pipeline

_BRANCHES = ("text", "image", "fusion")


class HybridSentPipeline(Pipeline):
    """Score posts, each a dictionary with "text" and "image"; either may be None or left out.

    A post gives a dictionary with the best label and its calibrated probability; a list gives a
    list. See `_sanitize_parameters` for what a call may ask for.
    """

    _load_processor = True
    _load_tokenizer = False
    _load_image_processor = False
    _load_feature_extractor = False

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.model.eval()
        self.tokenizer = self.processor.tokenizer  # the library pads batches with its pad token

    def _sanitize_parameters(
        self, top_k: int | None = 1, return_branches: bool = False, **unknown: Any
    ) -> tuple[dict, dict, dict]:
        """Sort a call's options.

        Args:
            top_k: 1 gives the best label as a dictionary; more, or None for all, gives a list of
                such dictionaries, best first.
            return_branches: Add what text, image and fusion say and how much each weighs.
            **unknown: Refused.

        Returns:
            Options of preprocess, forward and postprocess.

        Raises:
            TypeError: An unknown option.
        """
        if unknown:
            raise TypeError(f"image-text-sentiment does not know {sorted(unknown)}.")
        return {}, {}, {"top_k": top_k, "return_branches": return_branches}

    def preprocess(self, post: dict[str, Any]) -> dict[str, torch.Tensor]:
        """Prepare one post.

        Args:
            post: "text": string or None; "image": path, bytes, PIL image or None.

        Returns:
            Model inputs of a batch of one.

        Raises:
            ValueError: The post is no such dictionary, or has neither text nor picture.
        """
        if not isinstance(post, dict) or not {"text", "image"} & set(post):
            raise ValueError(f'A post is {{"text": ..., "image": ...}}, not {post!r}.')
        return self.processor(text=[post.get("text")], images=[post.get("image")])

    def _forward(self, inputs: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        outputs = self.model(**inputs)
        wanted = ("logits", "decision_weights", *(f"{name}_logits" for name in _BRANCHES))
        return {name: outputs[name] for name in wanted if outputs.get(name) is not None}

    def postprocess(
        self, outputs: dict[str, torch.Tensor], top_k: int | None = 1, return_branches: bool = False
    ) -> dict[str, Any] | list[dict[str, Any]]:
        """Name the labels of one post.

        Args:
            outputs: Scores of a batch of one.
            top_k: As in `_sanitize_parameters`.
            return_branches: As in `_sanitize_parameters`.

        Returns:
            {"label", "score"} or a list of them; with `return_branches` the dictionary (or the
            first of the list) also has "branches": name -> {"weight", "scores": label -> number}.
        """
        scores = self._named(outputs["logits"])
        ranked = sorted(scores.items(), key=lambda item: -item[1])[:top_k]
        answer: list[dict[str, Any]] = [{"label": name, "score": score} for name, score in ranked]
        if return_branches:
            weights = outputs["decision_weights"][0].tolist()
            answer[0]["branches"] = {
                name: {"weight": weight, "scores": self._named(outputs[f"{name}_logits"])}
                for name, weight in zip(_BRANCHES, weights, strict=True)
                if f"{name}_logits" in outputs and weight > 0
            }
        return answer[0] if top_k == 1 else answer

    def _named(self, logits: torch.Tensor) -> dict[str, float]:
        probabilities = torch.softmax(logits[0].float(), dim=-1).tolist()
        return {self.model.config.id2label[i]: p for i, p in enumerate(probabilities)}


__all__ = ["HybridSentPipeline"]
