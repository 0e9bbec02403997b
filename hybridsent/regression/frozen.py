"""Features of posts from the encoders as they come; computed once and kept on disk."""

import hashlib
import json
from collections.abc import Callable, Iterator
from importlib import import_module
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from datasets import Dataset
from tqdm.auto import tqdm

from hybridsent.bundled.encoders import resolve_encoder
from hybridsent.regression.texts import clean_text, lexicon_features, surface_features
from hybridsent.support.digests import digest_of_weights
from hybridsent.support.folders import build_beside, cache_folder
from hybridsent.training.arguments import HybridSentTrainingArguments, ModelArguments
from hybridsent.training.collator import PostCollator
from hybridsent.training.encoder_states import content_of, describe_processor, digest_of_posts
from hybridsent.training.model import build_model, build_processor
from modeling_hybridsent.encoders_hybridsent import encode_image, mean_of_tokens

FORMAT_VERSION = 1  # raise it when the same encoders and posts give other features
FILE = "features.npz"
Blocks = dict[str, np.ndarray]  # name -> (posts, width), NaN for a missing modality


class FrozenFeatures:
    """Named blocks of features of all posts; a block's name begins with its modality.

    | block | what it is |
    |---|---|
    | text_raw_last | mean state of the last layer, texts as they are |
    | text_last, text_middle | of cleaned texts: of the last layer, and of one at two thirds |
    | text_surface | exclamations, lost emoji, capitals, retweets, ... |
    | text_lexicon | scores of vaderSentiment |
    | text_sentence | vectors of sentence-transformers |
    | image_last | mean state of the last stage |
    | image_stages | mean, standard deviation and maximum of every stage |

    Args:
        models: Which encoders.
        training: Batch size and folder of what is kept.
        posts: All posts.
        label_names: Names of the labels by index.
    """

    def __init__(
        self,
        models: ModelArguments,
        training: HybridSentTrainingArguments,
        posts: Dataset,
        label_names: list[str],
    ) -> None:
        self.models, self.training, self.posts = models, training, posts
        self.texts = [text or "" for text in posts["text"]]
        self.has_text = np.array([bool(text.strip()) for text in self.texts])
        self._model = build_model(models, label_names).eval().hybridsent
        self._processor = build_processor(models)
        self._blocks: Blocks = {}

    def of(self, names: tuple[str, ...]) -> dict[str, np.ndarray]:
        """Return blocks by name, each (posts, width), computing those that are not there yet."""
        makers: dict[str, Callable[[], Blocks]] = {
            "text_raw_last": lambda: self._kept("raw texts", self._raw_text_blocks),
            "text_last": lambda: self._kept("cleaned texts", self._clean_text_blocks),
            "text_middle": lambda: self._kept("cleaned texts", self._clean_text_blocks),
            "image_last": lambda: self._kept("images", self._image_blocks),
            "image_stages": lambda: self._kept("images", self._image_blocks),
            "text_sentence": lambda: self._kept("sentences", self._sentence_blocks),
            "text_surface": self._surface_blocks,
            "text_lexicon": self._lexicon_blocks,
        }
        for name in names:
            if name not in self._blocks:
                self._blocks |= makers[name]()
        return {name: self._blocks[name] for name in names}

    def _kept(self, kind: str, compute: Callable[[], Blocks]) -> Blocks:
        """Read blocks from the disk, or compute and write them."""
        base = Path(self.training.cache_folder or cache_folder() / "encoder_states")
        folder = base / f"frozen-{hashlib.sha256(self._key(kind).encode()).hexdigest()[:16]}"
        if not (folder / FILE).exists():
            with build_beside(folder) as draft:
                np.savez(draft / FILE, allow_pickle=False, **compute())
        with np.load(folder / FILE) as stored:
            return dict(stored)

    def _key(self, kind: str) -> str:
        """Describe everything that the blocks depend on, as JSON."""
        modality = "image" if kind == "images" else "text"
        encoder = self._model.vision_model if modality == "image" else self._model.text_model
        settings = {
            "format": [FORMAT_VERSION, kind],
            "versions": [version(name) for name in ("torch", "transformers", "pillow")],
            "encoder": [encoder.config.to_dict(), digest_of_weights(encoder)],
            "processor": describe_processor(self._processor, modality),
            "posts": digest_of_posts(self.posts, modality),
        }
        return json.dumps(settings, sort_keys=True, default=str)

    def _batches(self, kind: str, posts: int) -> Iterator[slice]:
        size = self.training.per_device_eval_batch_size
        for start in tqdm(range(0, posts, size), kind, disable=None):
            yield slice(start, start + size)

    @torch.no_grad()
    def _states_of_texts(self, texts: list[str], layers: list[int]) -> list[np.ndarray]:
        """Return mean token states of layers, each (posts, text width); NaN for a missing text."""
        batches = []
        for rows in self._batches("text encoder", len(texts)):
            # The tokenizer gets one word for an empty text, and the answer is dropped.
            inputs = self._processor.encode_texts([text or "a" for text in texts[rows]])
            mask = inputs["attention_mask"]
            states = self._model.text_model(
                input_ids=inputs["input_ids"], attention_mask=mask, output_hidden_states=True
            ).hidden_states
            batches.append([mean_of_tokens(states[i], mask).float() for i in layers])
        found = [torch.cat(parts).numpy() for parts in zip(*batches, strict=True)]
        return [np.where(self.has_text[:, None], values, np.nan) for values in found]

    def _raw_text_blocks(self) -> Blocks:
        (last,) = self._states_of_texts(self.texts, [-1])
        return {"text_raw_last": last}

    def _clean_text_blocks(self) -> Blocks:
        layers = self._model.config.text_config.num_hidden_layers
        texts = [clean_text(text) or text for text in self.texts]
        middle, last = self._states_of_texts(texts, [round(layers * 2 / 3), -1])
        return {"text_middle": middle, "text_last": last}

    def _sentence_blocks(self) -> Blocks:
        folder = resolve_encoder(self.models.text_encoder)
        encoder = import_module("sentence_transformers").SentenceTransformer(folder, device="cpu")
        vectors = encoder.encode(self.texts, show_progress_bar=False)
        return {"text_sentence": np.where(self.has_text[:, None], vectors, np.nan)}

    def _surface_blocks(self) -> Blocks:
        found = np.array([surface_features(text) for text in self.texts])
        return {"text_surface": np.where(self.has_text[:, None], found, np.nan)}

    def _lexicon_blocks(self) -> Blocks:
        found = lexicon_features(self.texts)
        return {"text_lexicon": np.where(self.has_text[:, None], found, np.nan)}

    @torch.no_grad()
    def _image_blocks(self) -> Blocks:
        """Run the vision encoder over all images; posts without one get NaN."""
        images = self.posts.select_columns(["id", "image"])
        has = [i for i, image in enumerate(images["image"]) if content_of(image) is not None]
        if not has:
            nothing = np.empty((len(images), 0), dtype=np.float32)
            return {"image_last": nothing, "image_stages": nothing}
        collator, batches = PostCollator(self._processor), []
        for rows in self._batches("vision encoder", len(has)):
            pixels = collator(images.select(has[rows]).to_list())["pixel_values"]
            last, stages = encode_image(self._model.vision_model, pixels)
            statistics = [f(stage) for stage in stages for f in (_mean, _deviation, _maximum)]
            batches.append((_mean(last), torch.cat(statistics, dim=1)))
        blocks = {}
        for name, parts in zip(("image_last", "image_stages"), zip(*batches), strict=True):  # noqa: B905
            blocks[name] = np.full((len(images), parts[0].shape[1]), np.nan, dtype=np.float32)
            blocks[name][has] = torch.cat(parts).numpy()
        return blocks


def _mean(tokens: torch.Tensor) -> torch.Tensor:
    """Map (batch, tokens, channels) to (batch, channels)."""
    return tokens.float().mean(dim=1)


def _deviation(tokens: torch.Tensor) -> torch.Tensor:
    """Map (batch, tokens, channels) to (batch, channels)."""
    return tokens.float().std(dim=1, correction=0)


def _maximum(tokens: torch.Tensor) -> torch.Tensor:
    """Map (batch, tokens, channels) to (batch, channels)."""
    return tokens.float().amax(dim=1)
