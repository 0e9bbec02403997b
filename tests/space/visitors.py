"""Visitors of a running Space who come by Gradio's own client."""

from pathlib import Path

from gradio_client import Client, handle_file


def connect(url: str) -> Client:
    """A client that waits as long as a busy machine needs."""
    return Client(url, verbose=False, analytics_enabled=False, httpx_kwargs={"timeout": 120})


def ask(url: str, text: str | None, picture: str | Path | None) -> dict:
    """Score one post in a session of its own.

    The server ends a session's stream of answers with its last waiting post, and Gradio's client may
    just then have put another post on it, whose answer never comes.
    """
    return connect(url).predict(text, picture and handle_file(picture), api_name="/predict")
