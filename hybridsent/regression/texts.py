"""Texts of posts: cleaned for an encoder, and what can be counted on their surface."""

import re
from importlib import import_module

import numpy as np

_RETWEET = re.compile(r"^(?:\s*RT\b:?\s*(?:@\w+:?)?\s*)+", re.IGNORECASE)
_ADDRESS = re.compile(r"(?:https?:|www\.)\S*", re.IGNORECASE)
_MENTION = re.compile(r"@\w+:?")
_HASHTAG = re.compile(r"#(\w+)")
# Between a small letter and a capital, before the last of several capitals, at digits and "_".
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+|[^\W\d_a-zA-Z]+")
_CAPITALS = re.compile(r"\b[A-Z]{2,}\b")
_STRETCHED = re.compile(r"([a-z])\1{2,}", re.IGNORECASE)
_EMOTICON = re.compile(r"[:;=]['-]?([)D(P/|])")


def _words_of_hashtag(found: re.Match[str]) -> str:
    return " ".join(_WORD.findall(found[1]))


def clean_text(text: str | None) -> str:
    """Remove what tells an encoder nothing: retweet marks, addresses, user names; split hashtags.

    Args:
        text: The text of a post, or None.

    Returns:
        The text; empty if nothing is left.
    """
    cleaned = _ADDRESS.sub(" ", _RETWEET.sub("", text or ""))
    cleaned = _HASHTAG.sub(_words_of_hashtag, _MENTION.sub(" ", cleaned))
    return " ".join(cleaned.split())


def surface_features(text: str) -> list[float]:
    """Count marks of feeling and of a tweet's kind: exclamations, lost emoji, capitals, retweets, ...

    Args:
        text: The text of a post, as it is.
    """
    words = text.split()
    letters = sum(character.isalpha() for character in text)
    capitals = sum(character.isupper() for character in text)
    smiles = _EMOTICON.findall(_ADDRESS.sub(" ", text))  # "http://" is no sad face
    return [
        float(np.log1p(text.count("!"))),
        float(np.log1p(text.count("??"))),
        float(text.count("?") == 1),
        capitals / max(letters, 1),
        float(np.log1p(len(_CAPITALS.findall(text)))),
        float(bool(_RETWEET.match(text))),
        float(np.log1p(text.count("#"))),
        float(np.log1p(text.count("@"))),
        float(bool(_ADDRESS.search(text))),
        float(len(_STRETCHED.findall(text)) > 0),
        float(sum(mark in ")DP" for mark in smiles) - sum(mark in "(/|" for mark in smiles)),
        float(np.log1p(len(words))),
    ]


def lexicon_features(texts: list[str]) -> np.ndarray:
    """Score texts with the lexicon of `vaderSentiment`: negative, neutral, positive, compound.

    Args:
        texts: As they are; the lexicon knows capitals and marks.

    Returns:
        (texts, 4).
    """
    analyzer = import_module("vaderSentiment.vaderSentiment").SentimentIntensityAnalyzer()
    scores = [analyzer.polarity_scores(text) for text in texts]
    return np.array([[score[x] for x in ("neg", "neu", "pos", "compound")] for score in scores])
