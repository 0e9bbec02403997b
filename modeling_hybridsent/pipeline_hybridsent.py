"""The pipeline for task "image-text-sentiment": a post in, a label with its reasons out."""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence, Sized
from dataclasses import dataclass
from typing import Any

from torch.utils.data import Dataset, IterableDataset
from transformers import AutoModelForSequenceClassification, Pipeline
from transformers.dynamic_module_utils import custom_object_save
from transformers.pipelines import PIPELINE_REGISTRY

from .answers_hybridsent import (
    BRANCHES,
    explain_post,
    label_set,
    least_scores,
    make_answers,
    require_one_label,
)
from .encoder_checks_hybridsent import require_fitting_texts
from .inputs_hybridsent import has_text, load_image, misspelt, seems_image

TASK = "image-text-sentiment"
_COLUMNS = ("text", "image")
_FORM = 'A post is {"text": ..., "image": ...}'


@dataclass
class _Place:
    """A post and its index among those given, for errors."""

    index: int
    post: Any


class _Rows(Dataset[_Place]):
    """Posts that have a length."""

    def __init__(self, posts: Any) -> None:
        self.posts = posts

    def __len__(self) -> int:
        return len(self.posts)

    def __getitem__(self, index: int) -> _Place:
        try:
            return _Place(index, self.posts[index])
        except Exception as error:  # a dataset decodes its images here
            raise _at(index, f"it cannot be read: {error}.") from error


class _Stream(IterableDataset[_Place]):
    """Posts that stream: their number is unknown."""

    def __init__(self, posts: Iterable[Any]) -> None:
        self.posts = posts

    def __iter__(self) -> Iterator[_Place]:
        return (_Place(index, post) for index, post in enumerate(self.posts))


def _at(index: int, what: str) -> ValueError:
    return ValueError(f"Post {index} of the input: {what} Correct this post or leave it out.")


def refuse_misspelt(post: Iterable[Any]) -> None:
    """Refuse a key that stands for an absent one; others, such as an id, are ignored.

    Args:
        post: A post, or the names of columns.

    Raises:
        ValueError: A key is called nearly like an absent one, or holds the image instead of it.
    """
    names = list(post)
    absent = [name for name in _COLUMNS if name not in names]
    meant = misspelt(names, absent)
    if isinstance(post, Mapping) and "image" in absent:
        meant |= {str(name): "image" for name, value in post.items() if seems_image(value)}
    for name, one in meant.items():
        raise ValueError(f"{_FORM}; it has no key {name!r}, did you mean {one!r}?")


def _only_what_counts(posts: Any) -> Any:
    """Return a set of the `datasets` library with the columns of a post alone, images undecoded.

    So a broken image in another column is ignored, and `load_image` checks the size of an image
    before it is decoded. Sets with a transform of the user stay as they are.
    """
    if not (hasattr(posts, "select_columns") and hasattr(posts, "with_format")):
        return posts
    if (getattr(posts, "format", None) or {}).get("type") == "custom":
        return posts
    posts = posts.with_format(None)
    refuse_misspelt(posts.column_names or ())
    columns = [name for name in _COLUMNS if name in (posts.column_names or ())]
    if columns:
        posts = posts.select_columns(columns)
    feature = (posts.features or {}).get("image")
    if getattr(feature, "decode", False):
        posts = posts.cast_column("image", type(feature)(decode=False))
    return posts


def _several(inputs: Any) -> Dataset[_Place] | None:
    """Return the numbered posts of a list, set or stream; None for a single post."""
    if isinstance(inputs, (Mapping, str, bytes)):
        return None
    if isinstance(inputs, (Sequence, Dataset, Iterator)) or hasattr(inputs, "select_columns"):
        posts = _only_what_counts(inputs)
        is_stream = isinstance(posts, IterableDataset) or not isinstance(posts, Sized)
        return _Stream(posts) if is_stream else _Rows(posts)
    return None


class HybridSentPipeline(Pipeline):
    """Score posts, each a mapping with "text" and "image"; either may be None or left out.

    One post gives a dictionary with the best label and its calibrated probability, or the score of a
    regression; with several labels a post, a list of such dictionaries, of the labels that reach their
    thresholds, best first. Posts that have a length (a list, a tuple, a dataset) give a list; posts
    that stream (a generator, another iterator, an iterable dataset) give an iterator.
    """

    _load_processor = True
    _load_tokenizer = False
    _load_image_processor = False
    _load_feature_extractor = False

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.processor is None:
            raise ValueError(
                "image-text-sentiment needs processor=, for a model given as an object."
            )
        require_fitting_texts(self.processor, self.model.hybridsent.text_model)
        self.model.eval()
        self.tokenizer = self.processor.tokenizer  # the library pads batches with its pad token

    def __call__(self, inputs: Any = None, **options: Any) -> Any:
        """Score one post or several.

        Args:
            inputs: A post, a list or tuple of posts, a `Dataset` of torch or of the `datasets`
                library with columns `text` and `image` (others are ignored), or an iterator or
                iterable dataset of posts. Left out where `text=` and `image=` give one post.
            **options: `text` and `image` of one post; `batch_size` and `num_workers`.
                `top_k`: 1 gives the best label as a dictionary; more, or None for all, gives a
                list of such dictionaries, best first; left out, what the model decides.
                `return_branches`: True adds the scores and weights of text, image and fusion.
                `coverage`: such as 0.9, adds the set of labels that holds the right one for this
                share of posts. `explain`: True adds what text, image, words and regions did for the
                label, for up to 59 more posts to score.

        Returns:
            An answer, a list of answers or an iterator over answers: see the class.

        Raises:
            ValueError: A post is invalid; for several posts the message gives its index.
            TypeError: An unknown option.
        """
        post = {name: options.pop(name) for name in _COLUMNS if name in options}
        if post and inputs is not None:
            raise TypeError("Give posts, or text= and image= of one post, not both.")
        inputs = post or inputs
        several = _several(inputs)
        if several is None:
            return super().__call__(inputs, **options)
        answers = super().__call__(several, **options)
        return list(answers) if isinstance(several, _Rows) else iter(answers)

    def save_pretrained(self, save_directory: str | os.PathLike[str], **kwargs: Any) -> None:
        """Save model, processor and code, so that `pipeline(model=folder)` loads them again.

        Args:
            save_directory: Folder to write.
            **kwargs: For the model's and the processor's `save_pretrained`.
        """
        self.model.save_pretrained(save_directory, **kwargs)
        self.processor.save_pretrained(save_directory, **kwargs)
        # Model and processor do not import this file, and may have been loaded from elsewhere.
        custom_object_save(self, save_directory)

    def _sanitize_parameters(self, **options: Any) -> tuple[dict[str, Any], ...]:
        """Assign the options of a call to its steps.

        Args:
            **options: As in `__call__`.

        Returns:
            Options of preprocess, forward and postprocess.

        Raises:
            TypeError: An unknown option.
            ValueError: An option has another type or value, or the model cannot state `coverage`, or
                does not give each post one label to explain.
        """
        unknown = set(options) - {"top_k", "return_branches", "coverage", "explain"}
        if unknown:
            raise TypeError(f"image-text-sentiment does not take {sorted(unknown)}.")
        top_k = options.get("top_k")
        if top_k is not None and (type(top_k) is not int or top_k < 1):
            raise ValueError(
                f"top_k={top_k!r}: give a positive whole number, or None for all labels."
            )
        for name in ("return_branches", "explain"):
            if options.get(name) not in (None, True, False):
                raise ValueError(f"{name}={options[name]!r}: give True or False.")
        if options.get("coverage") is not None:
            least_scores(self.model.config, options["coverage"])  # an error before any post
        before = {"explain": options["explain"]} if "explain" in options else {}
        if options.get("explain"):
            require_one_label(self.model.config, "explain=True")
        return before, {}, options

    def preprocess(self, post: Any, explain: bool = False) -> dict[str, Any]:
        """Prepare one post.

        Args:
            post: "text": string or None; "image": what `load_image` takes.
            explain: As in `__call__`.

        Returns:
            Model inputs of a batch of one; to be explained, also its "text".

        Raises:
            ValueError: The post is not such a mapping, or has neither text nor image.
        """
        if not isinstance(post, _Place):
            return self._prepare(post, explain)
        try:
            return self._prepare(post.post, explain)
        except (ValueError, TypeError, OSError) as error:
            raise _at(post.index, str(error)) from error

    def _prepare(self, post: Any, explain: bool) -> dict[str, Any]:
        if isinstance(post, Mapping):
            refuse_misspelt(post)
        if not isinstance(post, Mapping) or not set(_COLUMNS) & set(post):
            what = (
                f"keys {sorted(map(str, post))}" if isinstance(post, Mapping) else f"{post!r:.80}"
            )
            raise ValueError(f"{_FORM}, not {what}.")
        text = post.get("text")
        processor = self.processor
        ratio = processor.max_image_ratio()
        image = load_image(post.get("image"), processor.max_image_pixels, "its image", ratio)
        if not has_text(text, "its text") and image is None:
            raise ValueError("The post has neither text nor image; give it one of them.")
        inputs = processor(text=[text], images=[image])
        return {**inputs, "text": text} if explain else inputs

    def _forward(self, inputs: dict[str, Any]) -> dict[str, Any]:
        outputs = self.model(**{name: x for name, x in inputs.items() if name != "text"})
        wanted = ("logits", "decision_weights", *(f"{name}_logits" for name in BRANCHES))
        kept = {name: outputs[name] for name in wanted if outputs.get(name) is not None}
        carried = ["has_text", "has_image", *(["text", "pixel_values"] if "text" in inputs else [])]
        return {**kept, **{name: inputs[name] for name in carried}}

    def postprocess(
        self,
        outputs: dict[str, Any],
        top_k: int | None = 0,
        return_branches: bool = False,
        coverage: float | None = None,
        explain: bool = False,
    ) -> dict[str, Any] | list[dict[str, Any]]:
        """Return the answer to one post as dictionaries.

        Args:
            outputs: Scores of a batch of one.
            top_k: As in `__call__`; 0 for what the model decides.
            return_branches: As in `__call__`.
            coverage: As in `__call__`.
            explain: As in `__call__`.

        Returns:
            {"label", "score"} or a list of them. The dictionary (or the first of the list) also has:
            with `return_branches`, "branches": name -> {"weight", "scores": label -> number}; with
            `coverage`, "label_set", the labels, and "abstains", True where these are none or all;
            with `explain`, "explanation": the fields of `Explanation`. The list of what a model with
            several labels decides may be empty: with `return_branches` it is "labels" of a dictionary
            that has "branches".
        """
        names = [name for _, name in sorted(self.model.config.id2label.items())]
        tensors = {name: x.float() for name, x in outputs.items() if name != "text"}
        (answer,) = make_answers(tensors, names, problem=self.model.problem)
        several = answer.labels if top_k == 0 else None
        ranked = sorted(answer.scores.items(), key=lambda item: -item[1])
        if several is not None:
            ranked = [item for item in ranked if item[0] in several]
        elif top_k is not None:
            ranked = ranked[: top_k or 1]
        found: list[dict[str, Any]] = [{"label": name, "score": score} for name, score in ranked]
        whole: dict[str, Any] = {"labels": found} if several is not None else found[0]
        if return_branches:
            whole["branches"] = {
                name: {"weight": branch.weight, "scores": branch.scores}
                for name, branch in answer.branches.items()
            }
        if several is not None:
            return whole if return_branches else found
        if coverage is not None:
            has = bool(outputs["has_text"]), bool(outputs["has_image"])
            least = least_scores(self.model.config, coverage)[has]
            whole["label_set"], whole["abstains"] = label_set(answer.scores, least)
        if explain:
            whole["explanation"] = explain_post(
                outputs["text"],
                outputs,
                self.processor.encode_texts,
                names,
                lambda batch: self.forward(batch)["logits"],
            ).to_dict()
        return found[0] if top_k in (0, 1) else found


if TASK not in PIPELINE_REGISTRY.get_supported_tasks():  # for a model that is given as an object
    PIPELINE_REGISTRY.register_pipeline(
        TASK,
        pipeline_class=HybridSentPipeline,
        pt_model=(AutoModelForSequenceClassification,),
        type="multimodal",
    )

__all__ = ["HybridSentPipeline", "refuse_misspelt"]
