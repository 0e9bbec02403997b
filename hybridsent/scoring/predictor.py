"""The model with all it needs to answer rows; loads on first use, so that it travels light."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa

from hybridsent.bundled.models import resolve_model
from hybridsent.scoring.answers import CHOICES, Layout, Window
from hybridsent.scoring.backends import BACKENDS, DTYPES, Backend, TorchBackend, open_backend
from hybridsent.scoring.preparing import Prepared, Preparer
from hybridsent.scoring.rows import row_of
from hybridsent.support.errors import PostsError
from modeling_hybridsent.answers_hybridsent import explain_post, least_scores, require_one_label
from modeling_hybridsent.encoder_checks_hybridsent import require_fitting_texts
from modeling_hybridsent.pipeline_hybridsent import refuse_misspelt
from modeling_hybridsent.problems_hybridsent import problem_of

AT_ONCE = 16  # rows; on a CPU more are no faster, and take more memory


class Predictor:
    """Score batches of posts; a bad post is an answer with an error, never an exception.

    Pickled, it is its arguments: each process that calls it loads the model once. So it can be given
    to what scores batches elsewhere, such as `map_batches` of Ray Data.

    Args:
        model: Folder, Hub id or bundled model; for a backend other than "torch"
            what `hybridsent export` wrote.
        columns: What to answer besides `label`, `score` and `error`: any of "probabilities",
            "branches", "weights", "embeddings", "explanation".
        coverage: Share of posts, such as 0.9, whose `label_set` shall hold the right label; adds
            `abstains`, whether that is none or all of the labels. None for no sets.
        revision: Of the Hub id.
        device: Such as "cpu" or "cuda:1".
        dtype: "float32"; or "bfloat16" or "float16", in which what can safely be is computed.
        max_image_pixels: Refuse larger images, undecoded; None means the processor's own limit.
        folder: Where paths of images start, and which they may not leave.
        backend: What runs the model: "torch", "openvino" or "onnx".
        optimise: Optimise a model of torch for inference; results differ only by rounding, and have no
            gradients.
        trust_remote_code: Run code that comes with the model; a model of hybridsent needs none.

    Raises:
        ValueError: An unknown column, dtype or backend.
    """

    def __init__(
        self,
        model: str,
        columns: Sequence[str] = (),
        *,
        coverage: float | None = None,
        revision: str | None = None,
        device: str = "cpu",
        dtype: str = "float32",
        max_image_pixels: int | None = None,
        folder: str = ".",
        backend: str = "torch",
        optimise: bool = True,
        trust_remote_code: bool = False,
    ) -> None:
        _require_known("column", columns, CHOICES)
        _require_known("dtype", [dtype], DTYPES)
        _require_known("backend", [backend], BACKENDS)
        model = resolve_model(model)
        self.model, self.revision, self.device, self.dtype = model, revision, device, dtype
        self.coverage = coverage
        self.columns, self.folder, self.backend_name = tuple(columns), folder, backend
        self.optimise, self.trust_remote_code = optimise, trust_remote_code
        explains = "explanation" in self.columns
        self.preparer = Preparer(model, revision, max_image_pixels, trust_remote_code, explains)

    @cached_property
    def backend(self) -> Backend:
        """What runs the model, loaded on first use."""
        settings = (self.model, self.revision, self.device, self.dtype, self.trust_remote_code)
        backend = open_backend(self.backend_name, *settings)
        require_fitting_texts(self.preparer.processor, backend.text_encoder)
        if self.optimise and isinstance(backend, TorchBackend):
            backend.optimise(self.preparer.noise_image())
        return backend

    @cached_property
    def layout(self) -> Layout:
        """What the answers look like.

        Raises:
            ValueError: The model cannot state the coverage, or has no single label to explain.
        """
        model, least = self.backend, None
        if self.preparer.keep_texts:
            try:
                require_one_label(model.config, "The column explanation")
            except ValueError as error:
                remedy = "Leave out this column."
                raise PostsError.about(
                    self.model, "no explanations", [str(error)], remedy
                ) from error
        if self.coverage is not None:
            least = least_scores(model.config, self.coverage)
        problem = problem_of(model.config)
        return Layout(model.labels, model.embedding_size, self.columns, least, problem)

    def load(self) -> None:
        """Load model and processor now rather than on first use."""
        _ = self.layout, self.preparer.processor

    def __getstate__(self) -> dict[str, Any]:
        """Leave the loaded model behind; the processes that unpickle this load their own."""
        return {k: v for k, v in self.__dict__.items() if k not in ("backend", "layout")}

    def __call__(
        self, batch: Mapping[str, Sequence[Any]] | pa.Table
    ) -> dict[str, list[Any]] | pa.Table:
        """Score one batch.

        Args:
            batch: Columns of one length: `text`, `image` or both, as `load_image` takes it or a path
                inside the folder; None, NaN, NA and empty mean that it is missing. `id`, if there,
                is carried through; other columns are ignored. A mapping, a pandas frame or, best for
                whole numbers with gaps, which the others turn into fractions, an Arrow table.

        Returns:
            Columns of the same length and order: `id`, `label` and `score`, None where `error` says
            what is wrong with the post, and the columns of choice. A table for a table.

        Raises:
            ValueError: The batch has neither texts nor images, or one of them by another name.
        """
        columns = _columns_of(batch, ("id", "text", "image"))
        posts = (
            dict(zip(columns, cells, strict=True)) for cells in zip(*columns.values(), strict=True)
        )
        rows = [row_of(number, post, self.folder) for number, post in enumerate(posts)]
        window = Window(rows, self.layout)
        size = AT_ONCE if self.device.startswith("cpu") else max(1, len(rows))
        for part in window.cut(rows, size, self.preparer.lengths):
            self.score(window, self.preparer[part])
        answers = window.table().drop_columns("row")
        return answers if isinstance(batch, pa.Table) else answers.to_pydict()

    def score(self, window: Window, prepared: Prepared) -> None:
        """Run the model on the prepared batch that a window handed out first, and give it back."""
        if prepared.inputs is None:
            window.take(prepared, {})
            return
        outputs = self.backend(prepared.inputs, self.layout.fields)
        if self.preparer.keep_texts:
            outputs["explanation"] = np.array(self._explain(prepared), dtype=object)
        window.take(prepared, outputs)

    def _explain(self, prepared: Prepared) -> list[dict[str, Any]]:
        """Return the fields of an `Explanation` of each row that was prepared."""
        inputs = prepared.inputs or {}
        return [
            explain_post(
                text,
                {name: x[i : i + 1] for name, x in inputs.items()},
                self.preparer.processor.encode_texts,
                self.backend.labels,
                lambda batch: self.backend(batch, ["logits"])["logits"],
            ).to_dict()
            for i, text in enumerate(prepared.texts)
        ]


def _require_known(what: str, names: Sequence[str], known: Mapping[str, Any]) -> None:
    for name in names:
        if name not in known:
            raise ValueError(f"{what} {name!r}: one of {', '.join(known)}")


def _columns_of(
    batch: Mapping[str, Sequence[Any]] | pa.Table, names: Sequence[str]
) -> dict[str, list[Any]]:
    """Return columns of a batch of any kind.

    Args:
        batch: Columns by name.
        names: The columns.

    Returns:
        Those that the batch has, as lists.

    Raises:
        ValueError: The batch has neither texts nor images, or one of them by another name; or a
            column is a single string, as of one post.
    """
    found = batch.column_names if isinstance(batch, pa.Table) else list(batch)
    if not {"text", "image"} & set(found):
        raise ValueError(f"A batch needs a column text or image, it has {sorted(found)}.")
    refuse_misspelt(found)
    for name in names:
        if name in found and isinstance(batch[name], (str, bytes)):
            raise ValueError(
                f'A batch has lists: "{name}": [...], got {type(batch[name]).__name__}.'
            )
    return {
        name: column.to_pylist() if isinstance(column, pa.ChunkedArray) else list(column)
        for name, column in ((name, batch[name]) for name in names if name in found)
    }
