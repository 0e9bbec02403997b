"""Write a trained model as a bundle, and compare both on the validation posts."""

import json
import re
import shutil
from pathlib import Path
from string import Template
from typing import NamedTuple

import numpy as np
import torch
from scipy.special import softmax

from hybridsent.bundled.compression import (
    MEGABYTE,
    compress,
    encoder_weights,
    read_compressed,
    restore,
    write_compressed,
)
from hybridsent.bundled.models import DIFFERENCE, write_manifest
from hybridsent.evaluation.evaluate import posts_for
from hybridsent.publishing.published_files import file_problems, link_problems, published_files
from hybridsent.support.errors import PostsError
from hybridsent.support.folders import build_beside, is_taken, write_whole
from hybridsent.training.arguments import DataArguments, HybridSentTrainingArguments
from hybridsent.training.collator import NO_LABEL
from hybridsent.training.trainer import HybridSentTrainer
from modeling_hybridsent import (
    HybridSentConfig,
    HybridSentForSequenceClassification,
    HybridSentProcessor,
)
from modeling_hybridsent.answers_hybridsent import require_one_label

MOST_LOST = 0.003  # of accuracy
MOST_MOVED = 0.02  # of a probability of the decision
NOTE = """
## Bundled form

`hybridsent.bundled_model("$name")` builds the folder of this model in the cache and returns it.
`bundled/$name` names it in every command of `hybridsent`. The package holds it in $megabytes MB: as the
difference to its encoders, which come from the Python package index. On the $posts validation posts
this form has an accuracy of $after %, and the trained model $before %; no probability of a decision
differs by more than $moved.
"""


class Comparison(NamedTuple):
    """What bundling did to the answers to the validation posts.

    Attributes:
        posts: Number of posts.
        before: Accuracy of the trained model.
        after: Accuracy of the bundled form.
        moved: Greatest change of a probability of the decision.
    """

    posts: int
    before: float
    after: float
    moved: float

    @property
    def is_faithful(self) -> bool:
        """Whether accuracy and probabilities stay within the limits."""
        return self.before - self.after <= MOST_LOST and self.moved <= MOST_MOVED

    def __str__(self) -> str:
        return (
            f"accuracy {100 * self.after:.1f} % on {self.posts} validation posts, that of the trained "
            f"model {100 * self.before:.1f} %; probabilities differ by {self.moved:.4f} at most"
        )


def bundle(
    model: str,
    target: str,
    data: DataArguments,
    arguments: HybridSentTrainingArguments,
    largest: int = 10 * MEGABYTE,
) -> tuple[Comparison, int]:
    """Write the bundle of a trained model, if it is small and faithful enough.

    Args:
        model: Folder that a training run wrote.
        target: Folder to write, absent or empty.
        data: Whose validation posts to compare on.
        arguments: Batch size and device.
        largest: Bytes that the bundle may have.

    Returns:
        The comparison, and the bytes of the bundle.

    Raises:
        ValueError: The model does not give each post one label.
        PostsError: The model has other encoders than bundled ones, the bundle is too large or its
            answers are too different, or the target is taken; nothing is left behind.
    """
    source, folder = Path(model), Path(target)
    if is_taken(folder):
        raise PostsError.about(folder, "is not empty", remedy="Give another folder.")
    encoders = _encoders_of(source)
    require_one_label(HybridSentConfig.from_pretrained(model), f"{model}: hybridsent bundle")
    with build_beside(folder) as draft:
        _copy_checked(source, draft)
        loaded = HybridSentForSequenceClassification.from_pretrained(model)
        base, digests = encoder_weights(encoders)
        room = largest - _size_of(draft) - 100_000  # for the manifest and names of tensors
        write_compressed(compress(loaded.state_dict(), base, room), draft / DIFFERENCE)
        compared = _compare(loaded, base, draft / DIFFERENCE, model, data, arguments)
        if not compared.is_faithful:
            limits = f"limits: {100 * MOST_LOST:.1f} points and {MOST_MOVED}"
            remedy = "Allow more with --largest, or train fewer layers, or with LoRA."
            raise PostsError.about(model, f"{compared} ({limits})", remedy=remedy)
        _add_note(draft / "README.md", folder.name, _size_of(draft), compared)
        write_manifest(draft, encoders=encoders, encoder_digests=digests)
        size = _size_of(draft)
        if size > largest:
            problem = f"the bundle has {size:,} bytes, more than {largest:,}"
            raise PostsError.about(model, problem, remedy="Allow more with --largest.")
    return compared, size


def _copy_checked(source: Path, draft: Path) -> None:
    """Copy the files but weights and code; what may not be published may not be bundled, either."""
    left_out = (".safetensors", ".safetensors.index.json", ".py")
    names = [name for name in published_files(source) if not name.endswith(left_out)]
    links = link_problems(source, names)
    problems = list(links.values())
    for name in (name for name in names if name not in links):
        (draft / name).parent.mkdir(exist_ok=True)
        shutil.copyfile(source / name, draft / name)
        problems += file_problems(draft, name, source)
    if problems:
        remedy = "Save model and processor again with save_pretrained, or train again."
        raise PostsError.about(source, "cannot be bundled", problems, remedy)


def _encoders_of(source: Path) -> dict[str, str]:
    """Return the names of the encoders by modality, from the record of the training."""
    file = source / "metrics.json"
    if not file.is_file():
        remedy = "Give the output folder of a training that has ended."
        raise PostsError.about(file, "no such file", remedy=remedy)
    try:
        named = json.loads(file.read_text(encoding="utf-8"))["encoders"]
        return {modality: str(named[modality]) for modality in ("text", "vision")}
    except (ValueError, LookupError, TypeError) as error:
        raise PostsError.about(file, "is not the record of a training", [repr(error)]) from error


def _size_of(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def _compare(
    loaded: HybridSentForSequenceClassification,
    base: dict[str, torch.Tensor],
    difference: Path,
    name: str,
    data: DataArguments,
    arguments: HybridSentTrainingArguments,
) -> Comparison:
    """Score the validation posts with the model, then with what is restored from the file."""
    processor = HybridSentProcessor.from_pretrained(name)
    posts = posts_for(name, loaded, processor, data)
    trainer = HybridSentTrainer(
        scores=lambda logits, gold: {},
        model=loaded,
        args=arguments,
        eval_dataset=posts.validation,
        processing_class=processor,
    )
    before, gold = trainer.predict_posts(posts.validation)
    loaded.load_state_dict(restore(read_compressed(difference), base))
    after, _ = trainer.predict_posts(posts.validation)
    known = gold != NO_LABEL
    answers = [outputs["logits"] for outputs in (before, after)]
    before_right, after_right = (float((x.argmax(axis=1) == gold)[known].mean()) for x in answers)
    moved = np.abs(np.subtract(*(softmax(x, axis=1) for x in answers))).max()
    return Comparison(len(gold), before_right, after_right, float(moved))


def _add_note(card: Path, name: str, size: int, compared: Comparison) -> None:
    """Write into the card how the bundled form is loaded, and how it compares, before how to cite."""
    note = Template(NOTE).substitute(
        name=name,
        megabytes=f"{size / MEGABYTE:.1f}",
        posts=compared.posts,
        before=f"{100 * compared.before:.1f}",
        after=f"{100 * compared.after:.1f}",
        moved=f"{compared.moved:.4f}",
    )
    text, end, rest = card.read_text(encoding="utf-8").partition("\n## Cite")
    text = text.replace("import pipeline\n", "import pipeline\n\nimport hybridsent\n", 1)
    loads = f'"image-text-sentiment", model=hybridsent.bundled_model("{name}")'
    loads = f"pipe = pipeline(\n    {loads}, trust_remote_code=True\n)"
    text = re.sub(r"^pipe = pipeline\(.*\)$", loads, text, count=1, flags=re.MULTILINE)
    write_whole(f"{text}{note}{end}{rest}", card)
