"""Read sentences with human ratings out of the source distribution of vaderSentiment.

Hutto and Gilbert (ICWSM 2014) had at least 20 people rate each of 4,200 tweets and of sentences of
film reviews, product reviews and editorials, from -4 (negative) to 4 (positive). Licence: MIT.
"""

import hashlib
import io
import re
import tarfile
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import NamedTuple

from hybridsent.support.errors import PostsError

NAME = "vaderSentiment-3.3.2.tar.gz"
DIGEST = "5d7c06e027fc8b99238edb0d53d970cf97066ef97654009890b83703849632f9"
DOWNLOAD = "pip download vaderSentiment==3.3.2 --no-deps --no-binary :all:"
RATINGS = "vaderSentiment-3.3.2/additional_resources/hutto_ICWSM_2014.tar.gz"
TABLES = {
    name: f"hutto_ICWSM_2014/{name}_GroundTruth.txt"
    for name in ("tweets", "movieReviewSnippets", "amazonReviewSnippets", "nytEditorialSnippets")
}
HIGHEST = 4  # rating
HELD_OUT = 400  # tweets
TRAINED = 9_300  # sentences: tweets, the two numbers below, and film reviews for the rest
MOST = {"amazonReviewSnippets": 2_000, "nytEditorialSnippets": 1_000}
# The one tweet that MVSA-Single has, too, and the same word as a product review: "wow" (its post 4211).
IN_MVSA = {("tweets", "40"), ("amazonReviewSnippets", "33_2"), ("amazonReviewSnippets", "297_9")}


class RatedText(NamedTuple):
    """A sentence and the mean of its ratings, from -1 to 1."""

    text: str
    rating: float


def read_rated_texts(sdist: Path, digest: str = DIGEST) -> dict[str, list[RatedText]]:
    """Read all rated sentences but those of MVSA-Single; nothing is unpacked to disk.

    Args:
        sdist: The source distribution.
        digest: Its SHA-256.

    Returns:
        The sentences of each table, in its order.

    Raises:
        PostsError: It is another file, or lacks a table, or a line is not id, rating and text.
    """
    content = _read_file(sdist)
    if hashlib.sha256(content).hexdigest() != digest:
        raise PostsError.about(
            sdist, f"this is not {NAME}: its SHA-256 is not {digest}", remedy=f"Type: {DOWNLOAD}"
        )
    ratings = _read_member(content, RATINGS, sdist)
    return {
        name: list(_read_lines(_read_member(ratings, table, sdist), name, f"{sdist}: {table}"))
        for name, table in TABLES.items()
    }


def split_texts(rated: dict[str, list[RatedText]]) -> tuple[list[RatedText], list[RatedText]]:
    """Choose the sentences to train on, and tweets to hold out that share no wording with them.

    Args:
        rated: Result of `read_rated_texts`.

    Returns:
        The first `TRAINED` of the shuffled sentences (fewer, if there are fewer), and the tweets.
    """
    random = Random(0)  # noqa: S311 - a fixed order, no secret
    shuffled = {name: random.sample(texts, len(texts)) for name, texts in rated.items()}
    held_out, tweets = shuffled["tweets"][:HELD_OUT], shuffled["tweets"][HELD_OUT:]
    known = {_wording(text) for text, _ in held_out} - {""}
    chosen = [rated for rated in tweets if _wording(rated.text) not in known]
    for name, most in MOST.items():
        chosen += shuffled[name][:most]
    return chosen + shuffled["movieReviewSnippets"][: max(0, TRAINED - len(chosen))], held_out


def _wording(text: str) -> str:
    """Return the words of a text without case, signs and emoticons."""
    return " ".join(re.findall(r"\w+", text.lower()))


def _read_file(sdist: Path) -> bytes:
    """Read the source distribution, or raise an error that says where to get it."""
    if not sdist.is_file():
        raise PostsError.about(sdist, "no such file", remedy=f"Type: {DOWNLOAD}")
    return sdist.read_bytes()


def _read_member(archive: bytes, name: str, sdist: Path) -> bytes:
    """Return the content of one file of a compressed tar."""
    with tarfile.open(fileobj=io.BytesIO(archive), mode="r:gz") as opened:
        if name not in opened.getnames() or not opened.getmember(name).isfile():
            raise PostsError.about(sdist, f"{name} is missing", remedy=f"Type: {DOWNLOAD}")
        file = opened.extractfile(name)
        assert file is not None  # it is a regular file
        return file.read()


def _read_lines(content: bytes, table: str, place: str) -> Iterator[RatedText]:
    """Yield the sentences of a table: id, rating and text between tabs."""
    for number, line in enumerate(content.decode("utf-8").splitlines(), start=1):
        fields = line.split("\t")
        if len(fields) != 3 or not re.fullmatch(r"-?\d+(\.\d+)?", fields[1]):
            raise PostsError.about(
                place, f"line {number} is not id, rating and text: {line[:80]!r}"
            )
        rating = float(fields[1]) / HIGHEST
        if not -1 <= rating <= 1:
            raise PostsError.about(place, f"line {number}: a rating beyond -4 to 4: {fields[1]}")
        if (table, fields[0]) not in IN_MVSA:
            yield RatedText(fields[2], rating)
