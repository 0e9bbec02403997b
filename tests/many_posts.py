"""Files of posts to score, good and bad ones, and what a model says of each when asked directly."""

import csv
import json
from functools import cache

import pyarrow as pa
import pyarrow.parquet as pq
import torch
from hostile_pictures import encoded, png_of_size
from tiny_models import WORDS, picture

FIELDS = ("id", "text", "image", "label")


def good_posts(count, pictures=4):
    """Posts as cells of a file; texts of many lengths, every third post without an image."""
    return [
        {
            "id": f"post-{i}",
            "text": " ".join(WORDS[(i + k) % len(WORDS)] for k in range(i * 7 % 11 + 1)),
            "image": "" if i % 3 == 2 else f"images/{i % pictures}.png",
            "label": "positive",
        }
        for i in range(count)
    ]


def save_pictures(folder, pictures=4):
    """Save small images of noise, and bad ones, in `images/`; one lies outside."""
    (folder / "images").mkdir(parents=True)
    for i in range(pictures):
        picture(i).save(folder / "images" / f"{i}.png")
    (folder / "images" / "broken.jpg").write_bytes(b"<html>404</html>")
    (folder / "images" / "huge.png").write_bytes(png_of_size(20_000, 20_000))
    (folder / "images" / "empty.png").write_bytes(b"")
    picture(9).save(folder.parent / "outside.png")


BAD = {  # cells by what must be said of them
    "is not a JPEG, PNG, ": {"text": "a day", "image": "images/broken.jpg"},
    "20000 x 20000 pixels": {"text": "a day", "image": "images/huge.png"},
    "the file is empty": {"text": "a day", "image": "images/empty.png"},
    "image does not exist": {"text": "a day", "image": "images/absent.png"},
    "image leaves the folder": {"text": "a day", "image": "../outside.png"},
    "image is a URL": {"text": "a day", "image": "http://127.0.0.1/1.png"},
    "neither text nor image": {"text": "  ", "image": ""},
}


def with_bad(posts, every=5):
    """Put a bad post before every so many good ones; returns posts and errors by place."""
    mixed, errors, bad = [], {}, list(BAD.items())
    for i, post in enumerate(posts):
        if i % every == 0:
            error, cells = bad[i // every % len(bad)]
            errors[len(mixed)] = error
            mixed.append({"id": f"bad-{i}", "label": "", **cells})
        mixed.append(post)
    return mixed, errors


def write_csv(file, posts):
    with file.open("w", encoding="utf-8", newline="") as lines:
        writer = csv.DictWriter(lines, FIELDS)
        writer.writeheader()
        writer.writerows(posts)
    return file


def write_jsonl(file, posts):
    file.write_text("".join(json.dumps(post) + "\n" for post in posts), encoding="utf-8")
    return file


def write_parquet(file, posts, row_group_size=7):
    pq.write_table(pa.Table.from_pylist(posts), file, row_group_size=row_group_size)
    return file


def embedded(posts, folder):
    """The same posts with the bytes of their images, as `datasets` stores them."""
    return [
        {**post, "image": {"bytes": (folder / post["image"]).read_bytes(), "path": None}}
        if post["image"]
        else {**post, "image": None}
        for post in posts
    ]


def png(seed=0):
    return encoded(picture(seed), "PNG")


def direct(model, processor, posts, folder):
    """The model's outputs for each post, one call for each that differs; images lie in the folder."""

    @cache
    def outputs_of(text, image):
        return model(**processor(text=[text], images=[str(folder / image) if image else None]))

    with torch.no_grad():
        return [outputs_of(post["text"], post["image"]) for post in posts]


def read_answers(folder):
    """All rows of a finished run, whose folder is read as any folder of Parquet files is."""
    return pq.read_table(folder).to_pylist()
