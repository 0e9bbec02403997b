"""Published layouts with made-up content, for tests that have no copy of the sets."""

import io
import json
from pathlib import Path

from tiny_models import picture

SPLITS = Path(__file__).parents[1] / "datasets_scripts" / "published" / "splits"
CONTRADICTORY_ID = "37"  # an id of MVSA-Single that is in no split


def clmlf_ids():
    content = json.loads((SPLITS / "mvsa_single_clmlf.json").read_text())
    return {name: [str(i) for i in content[name]] for name in ("train", "validation", "test")}


def jpeg(seed=0, **options):
    """The bytes of a small image; another seed, other bytes."""
    buffer = io.BytesIO()
    picture(seed, width=20, height=16).save(buffer, "JPEG", **options)
    return buffer.getvalue()


def write_mvsa_single(
    folder, posts=None, labels=None, held_back=(), newline="\n", bom=b"", extra=()
):
    """Write a label file with a row per id of the CLMLF split, and the posts asked for.

    Args:
        folder: An empty folder.
        posts: Bytes of the text by id; None for no text. Each gets an image of its own.
        labels: "text,image" by id, where it is not "positive,positive".
        held_back: Splits without rows.
        newline: Of the label file.
        bom: What the label file starts with.
        extra: Further lines.
    """
    rows = {i: "positive,positive" for name, ids in clmlf_ids().items() for i in ids
            if name not in held_back}  # fmt: skip
    rows |= {CONTRADICTORY_ID: "positive,negative"} | (labels or {})
    lines = ["ID\ttext,image", *(f"{i}\t{pair}" for i, pair in rows.items()), *extra, ""]
    (folder / "labelResultAll.txt").write_bytes(bom + newline.join(lines).encode())
    write_files(folder / "data", posts or {"1": b"one\n"})
    return folder


def write_files(folder, posts):
    """Write ID.txt and ID.jpg for each post, given the bytes of its text."""
    folder.mkdir(parents=True)
    for post_id, content in posts.items():
        if content is not None:
            (folder / f"{post_id}.txt").write_bytes(content)
        (folder / f"{post_id}.jpg").write_bytes(jpeg(int(post_id)))


def write_mvsa_multiple(folder, rows, posts=None):
    """Write a label file from "text,image" triples by id, and the posts (default: all of them)."""
    lines = ["\t".join(["ID", *["text,image"] * 3])]
    lines += ["\t".join([post_id, *pairs]) for post_id, pairs in rows.items()]
    (folder / "labelResultAll.txt").write_text("\r\n".join(lines) + "\r\n")
    write_files(folder / "data", posts or {i: f"post {i}".encode() for i in rows})
    return folder


def write_tumemo(folder, labels, texts=None):
    """Write a label file from names by id, without a line break at its end, and all posts."""
    lines = ["id\tlabel", *(f"{i}\t{label}" for i, label in labels.items())]
    (folder / "all_data_id_and_label.txt").write_text("\n".join(lines))
    texts = {i: f"post {i}".encode() for i in labels} | (texts or {})
    write_files(folder / "all_data", texts)
    return folder
