"""Serve this model on Inference Endpoints: text and bytes of an image in, the pipeline's answer out.

The body of a request, in JSON:

{"inputs": {"text": "what a day", "image": "BASE64"}, "parameters": {"return_branches": true}}

`inputs` may be a list of posts, or a text alone. An image is the bytes of its file in base64: what a
URL or a path names is never read.
"""

import base64
import binascii
from collections.abc import Mapping
from typing import Any

from PIL import Image
from transformers import pipeline

# Of a call of the pipeline; others would start processes or name files.
PARAMETERS = ("top_k", "return_branches", "coverage", "explain", "batch_size")
MOST_AT_ONCE = 64


class EndpointHandler:
    """Hold the pipeline of the model beside this file, and answer requests."""

    def __init__(self, path: str = ".") -> None:
        self.pipeline = pipeline("image-text-sentiment", model=path, trust_remote_code=True)

    def __call__(self, data: Mapping[str, Any]) -> Any:
        """Answer a request.

        Args:
            data: `inputs`: a post, a list of posts, or a text or an image alone; `parameters`, which
                may be absent: those options of a call of the pipeline that `PARAMETERS` names.

        Returns:
            The answer of the pipeline, or a list of them for a list; all of it can be JSON.

        Raises:
            ValueError: The body has no `inputs`, or a post or parameter is invalid; of several posts
                the message gives the index.
            TypeError: There is no such parameter.
        """
        if not isinstance(data, Mapping) or "inputs" not in data:
            raise ValueError(
                f'The body must be {{"inputs": a post or a list of posts}}, got {data!r:.80}.'
            )
        inputs, parameters = data["inputs"], data.get("parameters")
        parameters = {} if parameters is None else parameters
        _check(parameters)
        if not isinstance(inputs, list):
            return self.pipeline(_decode_post(inputs, "The post"), **parameters)
        posts = [_decode_post(post, f"Post {i} of the input") for i, post in enumerate(inputs)]
        return self.pipeline(posts, **parameters)


def _check(parameters: Any) -> None:
    if not isinstance(parameters, Mapping):
        raise ValueError(f"parameters must be an object, got {type(parameters).__name__}.")
    if unknown := sorted(str(name) for name in parameters if name not in PARAMETERS):
        raise TypeError(f"parameters has {unknown[0]!r:.80}; give {', '.join(PARAMETERS)}.")
    size = parameters.get("batch_size", 1)
    if not isinstance(size, int) or not 1 <= size <= MOST_AT_ONCE:
        raise ValueError(f"batch_size={size!r:.80}: give a whole number from 1 to {MOST_AT_ONCE}.")


def _decode_post(post: Any, name: str) -> dict[str, Any]:
    """Return a post with its image as bytes; `name` is what to call it in errors."""
    if isinstance(post, str):
        return {"text": post}
    if isinstance(post, Image.Image):  # the body was an image
        return {"image": post}
    if not isinstance(post, Mapping):
        raise ValueError(f'{name} must be {{"text": ..., "image": ...}}, got {post!r:.80}.')
    decoded = {"image": _decode_image(post["image"], name)} if "image" in post else {}
    return {**post, **decoded}


def _decode_image(image: Any, name: str) -> Any:
    """Return the bytes of an image in base64; None, bytes and images of PIL are given back."""
    if image is None or isinstance(image, (bytes, Image.Image)):
        return image
    try:
        return base64.b64decode(image.translate({10: None, 13: None}), validate=True)
    except (AttributeError, TypeError, ValueError, binascii.Error) as error:
        raise ValueError(
            f"{name}: its image must be the bytes of the file in base64, got {image!r:.80}. URLs and "
            "paths are never read; read the file and send base64.b64encode(content).decode()."
        ) from error


__all__ = ["EndpointHandler"]
