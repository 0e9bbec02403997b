"""The page as a tool of agents, which send an image in the call itself."""

import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import gradio as gr

from hybridsent_space.calls import TOOL
from hybridsent_space.posts import RefusedError, check_post
from hybridsent_space.scorer import Scorer
from hybridsent_space.settings import Settings
from hybridsent_space.turns import URGENT
from hybridsent_space.wording import as_json

SHOWN = 20  # characters of what is no image


class Tool:
    """What agents can call.

    Args:
        scorer: With the model.
        settings: Limits.
    """

    def __init__(self, scorer: Scorer, settings: Settings) -> None:
        self.scorer, self.settings = scorer, settings

    def score_post(self, text: str | None = None, image: str | None = None) -> str:
        """Score the sentiment of a post: of a short text, an image in base64, or both together.

        Returns a JSON text: the label, its calibrated probability (score), the probabilities of all
        labels (scores), what the branches text, image and fusion say and how much each weighed,
        whether text and image agree, a summary in words, and warnings.

        Args:
            text: What the post says. Leave it out if the post has no text.
            image: Its image file as "data:image/png;base64,...". URLs and paths are refused.
        """
        try:
            content = None if image is None else read_data_url(image)
            ratio = self.scorer.max_image_ratio(self.settings)
            post = check_post(text, content, self.settings, ratio)
        except RefusedError as error:
            raise gr.Error(str(error), print_exception=False) from error
        (answer,) = self.scorer.answer([post], URGENT)
        if answer.error is not None:
            raise gr.Error(answer.error, print_exception=False)
        return json.dumps(as_json(answer), ensure_ascii=False)


def read_data_url(image: str) -> bytes:
    """Decode an image that stands in the call itself.

    Raises:
        RefusedError: It is an address, a path, or damaged.
    """
    head, _, encoded = image.partition(";base64,")
    try:
        if head.startswith("data:"):
            return base64.b64decode(encoded, validate=True)
    except ValueError as error:
        raise RefusedError(f"The image is not base64: {error}. Encode its file again.") from error
    raise RefusedError(
        f"The image begins with {image[:SHOWN]!r}. Give the file itself, as "
        '"data:image/png;base64,...": addresses are not fetched, and no file of the server is read.'
    )


def build_tool(work: Tool) -> None:
    """Make the tool an endpoint, past the queue: Gradio would call itself to put a call there."""
    gr.api(work.score_post, api_name=TOOL, queue=False)


@asynccontextmanager
async def one_tool(page: gr.Blocks) -> AsyncIterator[None]:
    """Take the functions of files from the tools: for these Gradio would fetch addresses."""
    tools = page.mcp_server_obj
    endpoints = tools.tool_to_endpoint.items()
    tools.tool_to_endpoint = {name: way for name, way in endpoints if way == f"/{TOOL}"}
    yield
