"""Run frozen encoders once over all posts and store their states for every later epoch and run."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from pathlib import Path

import torch
from datasets import Dataset, DatasetDict, Value
from PIL import Image
from torch.utils.data import DataLoader
from tqdm.auto import tqdm

from hybridsent.support.digests import digest_of_weights
from hybridsent.support.folders import build_beside, cache_folder
from hybridsent.training.arguments import HybridSentTrainingArguments
from hybridsent.training.collator import STATES_COLUMNS, PostCollator
from hybridsent.training.encoder_layers import FrozenFront
from hybridsent.training.encoder_states import (
    FILE,
    EncoderStates,
    StoredPost,
    describe_processor,
    digest_of_posts,
    write_states,
)
from modeling_hybridsent import HybridSentForSequenceClassification, HybridSentProcessor
from modeling_hybridsent.inputs_hybridsent import has_text

FORMAT_VERSION = 3  # raise it when the same encoder and posts give different files


class FeatureCache:
    """Stored states of the frozen encoders of one model.

    Args:
        model: Its encoders whose parameters are all frozen are cached; of a vision encoder whose last
            layers are trained, the frozen front.
        processor: The joint processor.
        arguments: Settings of the training: dtype, folder, precision, batch size of evaluation.
    """

    def __init__(
        self,
        model: HybridSentForSequenceClassification,
        processor: HybridSentProcessor,
        arguments: HybridSentTrainingArguments,
    ) -> None:
        self.model, self.processor, self.arguments = model, processor, arguments
        base = model.hybridsent
        self.encoders = {
            modality: encoder
            for modality, encoder in (("text", base.text_model), ("image", base.vision_model))
            if not any(parameter.requires_grad for parameter in encoder.parameters())
        }
        self.front: FrozenFront | None = None
        if arguments.vision_encoder_trained_layers is not None and "image" not in self.encoders:
            self.front = FrozenFront(base.vision_model, processor)
            self._require_frozen_levels()
            self.encoders["image"] = base.vision_model
        self.folder = Path(arguments.cache_folder or cache_folder() / "encoder_states")

    def attach(self, posts: Mapping[str, Dataset]) -> tuple[DatasetDict, dict[str, EncoderStates]]:
        """Link posts to their stored states; encoders run over posts whose states are not there yet.

        Args:
            posts: Posts by name of the split, with undecoded images.

        Returns:
            The posts with a column of row numbers; and the states by modality, for
            `HybridSentTrainer`. The model skips a cached front from now on.

        Raises:
            ValueError: An image cannot be read; the message names the posts of its batch.
        """
        posts, states = dict(posts), {}
        for modality in self.encoders:
            shared = self._shared_key(modality)
            folders = [self._stored(modality, name, rows, shared) for name, rows in posts.items()]
            front = self._front_of(modality)
            states[modality] = EncoderStates(folders, front and front.shape)
            for part, (name, rows) in enumerate(posts.items()):
                numbers = states[modality].numbers(part, len(rows))
                posts[name] = rows.add_column(
                    STATES_COLUMNS[modality], numbers, feature=Value("int64")
                )
        if self.front is not None:
            self.front.skip()
        return DatasetDict(posts), states

    def describe(self, states: Mapping[str, EncoderStates]) -> str:
        """Return in one line which encoders are cached, where, and how large the files are."""
        parts = []
        for modality in STATES_COLUMNS:
            if modality in states:
                table = states[modality].rows
                size = table.data.nbytes / 1e9
                part = "front of the encoder" if states[modality].map_shape else "encoder"
                parts.append(f"{modality} {part}: {len(table)} posts, {size:.2f} GB")
            else:
                parts.append(f"{modality} encoder: not cached, because it is trained")
        return f"{'; '.join(parts)} (in {self.folder})"

    def _stored(self, modality: str, name: str, posts: Dataset, shared: str) -> Path:
        """Return the folder of the states of one split; build it if it is not there."""
        key = hashlib.sha256((shared + digest_of_posts(posts, modality)).encode()).hexdigest()[:16]
        folder = self.folder / f"{modality}-{key}"
        if not (folder / FILE).exists():
            with build_beside(folder) as draft:
                batches = self._encode(modality, name, posts)
                write_states(batches, self._widths(modality), self.arguments.cache_dtype, draft)
        return folder

    def _front_of(self, modality: str) -> FrozenFront | None:
        """Return the front whose states are stored; None where those of a whole encoder are."""
        return self.front if modality == "image" else None

    def _widths(self, modality: str) -> tuple[int, int | None]:
        """Return the widths of the stored states; a front stores one row for each channel."""
        front = self._front_of(modality)
        if front is not None:
            _, rows, columns = front.shape
            return rows * columns, self._level_width()
        return self.model.hybridsent.encoder_output_widths()[modality]

    def _front_outputs(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Return the front's output as tokens, and statistics of the levels where they are stored."""
        assert self.front is not None
        if self._level_width() is None:
            return self.front(images).flatten(2), None
        found: list[torch.Tensor] = []
        hook = self.front.modules[-1].register_forward_hook(lambda *call: found.append(call[2]))
        try:  # the encoder runs whole, once: its front comes by
            statistics = self.model.hybridsent.get_image_encoder_outputs(images)[1]
        finally:
            hook.remove()
        return found[0].flatten(2), statistics

    def _level_width(self) -> int | None:
        """Return the width of what a front stores beside its output: statistics of the levels."""
        return self.model.hybridsent.encoder_output_widths()["image"][1]

    def _require_frozen_levels(self) -> None:
        """Raise ValueError if a level whose statistics are stored is still trained."""
        if self._level_width() is None:
            return
        image = self.processor(text=[None], images=[Image.new("RGB", (64, 64))])["pixel_values"]
        base = self.model.hybridsent
        with torch.enable_grad():
            _, statistics = base.get_image_encoder_outputs(image.to(base.device))
        if statistics.requires_grad:
            raise ValueError(
                "--cache_features: stages that are trained are read as levels. Train fewer stages "
                "(--vision_encoder_trained_layers), or leave out --cache_features."
            )

    def _half_precision(self) -> torch.dtype | None:
        """Return the dtype of autocast in training; None without autocast."""
        if self.arguments.fp16:
            return torch.float16
        return torch.bfloat16 if self.arguments.bf16 else None

    @torch.no_grad()
    def _encode(self, modality: str, name: str, posts: Dataset) -> Iterator[list[StoredPost]]:
        """Run one encoder over the posts that have its modality, batch by batch."""
        has = has_text if modality == "text" else lambda image: image is not None
        keep = [i for i, value in enumerate(posts[modality]) if has(value)]
        rows = posts.select(keep)
        loader = DataLoader(
            # The text stays: a post whose image file is gone would be empty without it.
            rows.remove_columns("image") if modality == "text" else rows,
            batch_size=self.arguments.per_device_eval_batch_size,
            collate_fn=PostCollator(self.processor, problem=self.model.problem),
            num_workers=self.arguments.dataloader_num_workers,
        )
        self.model.eval()
        self.encoders[modality].to(self.arguments.device)
        progress = f"{modality} encoder, {name}"
        position = iter(keep)
        for batch in tqdm(loader, progress, disable=self.arguments.disable_tqdm):
            stored = self._encode_batch(modality, batch)
            numbered = [(next(position), states) for states in stored]
            yield [(post, *states) for post, states in numbered if states]

    def _encode_batch(
        self, modality: str, batch: dict[str, torch.Tensor]
    ) -> list[tuple[torch.Tensor, torch.Tensor | None] | None]:
        """Return global and local states, each (tokens, width), of each post; None without image."""
        base, device = self.model.hybridsent, self.arguments.device
        present = batch[f"has_{modality}"]
        half = self._half_precision()
        with torch.autocast(device.type, half, enabled=half is not None):
            if modality == "text":
                mask = batch["attention_mask"]
                outputs = base.get_text_encoder_outputs(
                    batch["input_ids"].to(device), mask.to(device)
                )
                kept = [row.bool() for row in mask.cpu()]
            else:
                images, kept = batch["pixel_values"].to(device), [slice(None)] * len(present)
                if self.front is None:
                    outputs = base.get_image_encoder_outputs(images)
                else:
                    images = images.contiguous(memory_format=torch.channels_last)
                    outputs = self._front_outputs(images)
        outputs = [None if x is None else x.float().cpu() for x in outputs]
        return [
            tuple(None if x is None else x[i][kept[i]] for x in outputs) if has else None
            for i, has in enumerate(present.tolist())
        ]

    def _shared_key(self, modality: str) -> str:
        """Describe everything that the states depend on, except the posts, as JSON."""
        encoder = self.encoders[modality]
        settings = {
            "format": FORMAT_VERSION,
            "versions": [version(name) for name in ("torch", "transformers", "pillow")],
            "encoder": [encoder.config.to_dict(), digest_of_weights(encoder)],
            "trained_layers": self._front_of(modality)
            and self.arguments.vision_encoder_trained_layers,
            "widths": self._widths(modality),
            "processor": describe_processor(self.processor, modality),
            "dtypes": [encoder.dtype, self._half_precision(), self.arguments.cache_dtype],
        }
        return json.dumps(settings, sort_keys=True, default=str)
