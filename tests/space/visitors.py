"""Visitors of a running Space who come by Gradio's own client."""

from pathlib import Path

from gradio_client import Client, handle_file

PATIENCE = 120  # seconds, as long as a busy machine needs


def connect(url: str) -> Client:
    """A patient client."""
    patient = {"timeout": PATIENCE}
    return Client(url, verbose=False, analytics_enabled=False, httpx_kwargs=patient)


def ask(url: str, text: str | None, picture: str | Path | None) -> dict:
    """Score one post in a session of its own.

    The server ends a session's stream of answers with its last waiting post, and Gradio's client may
    just then have put another post on it, whose answer never comes.

    Raises:
        TimeoutError: There is no answer yet: it is lost.
    """
    job = connect(url).submit(text, picture and handle_file(picture), api_name="/predict")
    return job.result(timeout=PATIENCE)
