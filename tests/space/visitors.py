"""Visitors of a running Space: by Gradio's own client, and as the page itself calls the server."""

import json
import uuid
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

import httpx
from gradio_client import Client
from gradio_client.exceptions import AppError

PATIENCE = 120  # seconds, as long as a busy machine needs
API = "/gradio_api"
# One for all: each new one reads the certificates of the system anew, which takes longer than a call.
HTTP = httpx.Client(
    timeout=PATIENCE, trust_env=False, limits=httpx.Limits(max_keepalive_connections=0)
)


def connect(url: str) -> Client:
    """Return a patient client of Gradio."""
    patient = {"timeout": PATIENCE}
    return Client(url, verbose=False, analytics_enabled=False, httpx_kwargs=patient)


@lru_cache
def functions_of(url: str) -> dict[str, int]:
    """Return the numbers of the page's functions by name, as the page reads them."""
    functions = HTTP.get(f"{url}/config").json()["dependencies"]
    return {x["api_name"]: x["id"] for x in functions if x["api_name"]}


def upload(url: str, name: str, content: bytes) -> dict[str, Any]:
    """Upload a file; return what names it in a call."""
    answer = HTTP.post(f"{url}{API}/upload", files={"files": (name, content)})
    answer.raise_for_status()
    return {"path": answer.json()[0], "meta": {"_type": "gradio.FileData"}}


def call(
    url: str, name: str, *data: Any, session: str | None = None, **query: str
) -> Iterator[dict[str, Any]]:
    """Call a function, as the page does.

    Args:
        url: Address of the Space.
        name: Name of the function.
        *data: Its inputs.
        session: Name of the session; a new one unless given.
        **query: What the address of the page holds.

    Yields:
        The server's messages up to the last one of the call.
    """
    session = session or uuid.uuid4().hex
    body = {"data": data, "fn_index": functions_of(url)[name], "session_hash": session}
    HTTP.post(f"{url}{API}/queue/join", json=body, params=query).raise_for_status()
    address = f"{url}{API}/queue/data"
    with HTTP.stream("GET", address, params={"session_hash": session}) as stream:
        for line in filter(None, stream.iter_lines()):
            message = json.loads(line.removeprefix("data:"))
            yield message
            if message["msg"] == "process_completed":
                return


def result(url: str, name: str, *data: Any) -> list[Any]:
    """Call a function and return its outputs.

    Raises:
        AppError: The function refused.
    """
    *_, last = call(url, name, *data)
    if not last["success"]:
        raise AppError(last["output"]["error"])
    return last["output"]["data"]


def ask(url: str, text: str | None, image: str | Path | bytes | None) -> dict[str, Any]:
    """Score one post, whose image is a file or its content."""
    if isinstance(image, (str, Path)):
        image = Path(image).read_bytes()
    sent = None if image is None else upload(url, "photo.png", image)
    return result(url, "predict", text, sent)[0]


def ask_table(url: str, content: bytes) -> tuple[dict[str, Any], list[Path]]:
    """Score a table; return its summary and where the server wrote the files.

    Raises:
        AppError: The table was refused.
    """
    _, summary, files = result(url, "predict_table", upload(url, "posts.csv", content))
    return summary, [Path(file["path"]) for file in files]
