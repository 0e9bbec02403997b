"""The tab "One post": score, see what decided, share."""

import base64
import io
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np
from PIL import Image

from hybridsent_space.attention import look
from hybridsent_space.drawing import (
    AGAINST,
    FOR,
    answer_html,
    escape,
    figure,
    figures,
    marked_text,
    without_html,
)
from hybridsent_space.jpeg import as_base64, small_copy
from hybridsent_space.limits import FULL_DISK, MESSAGES
from hybridsent_space.posts import Post, RefusedError, check_post, require_size
from hybridsent_space.scorer import Scorer
from hybridsent_space.seen import as_seen, with_heat, with_regions
from hybridsent_space.settings import Settings
from hybridsent_space.shared_results import SharedResults
from hybridsent_space.turns import URGENT
from hybridsent_space.wording import as_json

SHARED_SIDE = 512  # pixels of a shared image
LINK = "(key) => key ? new URL('?result=' + key, window.location.href).href : ''"
CAUSAL = (
    "Attention shows where the model looked, not what moved its decision. So here each part was "
    "taken away and the model asked again. Blue speaks for the label, orange against it; the "
    "deepest colour is the largest effect."
)


class OnePost:
    """What the tab does, apart from how it looks.

    Args:
        scorer: With the model.
        settings: Limits.
        shared: Keeps results for links.
    """

    def __init__(self, scorer: Scorer, settings: Settings, shared: SharedResults) -> None:
        self.scorer = scorer
        self.settings = settings
        self.shared = shared

    def predict(self, text: list[Any], image: list[Any]) -> tuple[list[dict[str, Any]]]:
        """Score a post: a short text, an image, or both; the other may be null.

        Returns the label, its calibrated probability (score), the probabilities of all labels
        (scores), what the branches text, image and fusion say and how much each weighed, whether text
        and image agree, the energy and whether the post looks familiar, a summary and warnings. A
        post that cannot be scored gives only an error that says why.

        Args:
            text: The text, or null.
            image: The uploaded image, or null.
        """
        posts = (self._post(*given) for given in zip(text, image, strict=True))
        return (list(map(as_json, self.scorer.answer(posts, URGENT))),)

    def _post(self, text: Any, image: Any) -> Post | RefusedError:
        try:
            ratio = self.scorer.max_image_ratio(self.settings)
            return check_post(text, read_upload(image, self.settings), self.settings, ratio)
        except RefusedError as error:
            return error

    def explain(self, text: Any, image: Any, answer: dict[str, Any] | None) -> tuple[str, str]:
        """Draw where the model looked, and what each part did for the decision.

        Args:
            text: The post's text.
            image: Its image, as Gradio hands it over.
            answer: The answer that stands on the page.

        Returns:
            Both as HTML; "" where there is nothing to explain.
        """
        post = self._post(text, image) if answer and "error" not in answer else None
        if not isinstance(post, Post):
            return "", ""
        seen = None if post.image is None else as_seen(self.scorer, post.image)
        return self._looked(post, seen), self._mattered(post, seen)

    def explain_as_data(self, text: str | None, image: dict | None) -> dict:
        """Explain the label of a post, a short text, an image, or both; the other may be null.

        Returns the label, its probability (score), what text and image bring to it (shares, Shapley
        values that sum to the score less an even guess), the probabilities without each of them
        (without), and by how much the absence of each word (words) and region of the image (regions,
        row by row) lowers the score. A post that cannot be scored gives only an error that says why.
        """
        post = self._post(text, image)
        if isinstance(post, RefusedError):
            return {"error": str(post)}
        try:
            return self.scorer.explain(post).to_dict()
        except RefusedError as error:
            return {"error": str(error)}

    def _looked(self, post: Post, seen: Image.Image | None) -> str:
        found = look(self.scorer, post)
        if found is None or seen is None:
            return "<p>Cross-attention needs a text and an image, and a model that has it.</p>"
        text = marked_text(found.text, found.spans, "share of the attention")
        drawn = [figure(seen, "The image as the model sees it")]
        if found.heat is not None:
            drawn.append(figure(with_heat(seen, found.heat), "Bright: where the text looked"))
        return f"<p>Words that the image looked at:</p>{text}{figures(*drawn)}"

    def _mattered(self, post: Post, seen: Image.Image | None) -> str:
        try:
            found = self.scorer.explain(post)
        except RefusedError as error:
            return f"<p>{escape(str(error))}</p>"
        parts = [f"<p>{CAUSAL}</p>", without_html(found)]
        if found.words:
            words = [(word["start"], word["end"], word["effect"]) for word in found.words]
            parts.append(marked_text(post.text or "", words, "probability lost without it"))
        if seen is not None and found.regions is not None:
            tinted = with_regions(seen, np.array(found.regions), (FOR, AGAINST))
            parts.append(figures(figure(tinted, "Regions taken away one by one")))
        return "".join(parts)

    def share(self, text: Any, image: Any) -> str:
        """Keep a post with its answer, scored again, for a link; returns its key, "" if it has none.

        What a visitor sends as the answer is not kept: it could be anything.
        """
        post = self._post(text, image)
        (answer,) = self.scorer.answer([post], URGENT)
        if isinstance(post, RefusedError) or answer.error is not None:
            gr.Warning("Score a post first; then there is something to share.")
            return ""
        small = None if post.image is None else _small(post.image)
        try:
            return self.shared.keep({"text": post.text, "image": small, "answer": as_json(answer)})
        except OSError:
            gr.Warning(FULL_DISK)
            return ""

    def open_shared(self, request: gr.Request) -> tuple[Any, Any, Any]:
        """Show the result that the page's address names; leave the form alone where it names none."""
        key = request.query_params.get("result")
        if not key:
            return gr.skip(), gr.skip(), gr.skip()
        result = self.shared.find(key)
        if result is None:
            gr.Warning(MESSAGES["max_shared_results"])
            return gr.skip(), gr.skip(), gr.skip()
        stored = result["image"]
        image = stored and Image.open(io.BytesIO(base64.b64decode(stored)))
        return result["text"], image, result["answer"]


def read_upload(image: Any, settings: Settings) -> bytes | None:
    """Read what was uploaded as an image.

    Args:
        image: As Gradio hands it over unprocessed: None or a mapping with the path of the file,
            which the gate has checked.
        settings: Limits.

    Returns:
        Content of the file.

    Raises:
        RefusedError: The file is gone, or too large.
    """
    if image is None:
        return None
    path = image.get("path") if isinstance(image, dict) else None
    try:
        require_size(Path(path).stat().st_size, settings)
        return Path(path).read_bytes()
    except RefusedError:
        raise
    except (OSError, TypeError, ValueError) as error:
        raise RefusedError("The image is gone from the server; choose it again.") from error


def _small(image: Image.Image) -> str:
    return as_base64(small_copy(image, SHARED_SIDE, Image.Resampling.BICUBIC), quality=85)


def show(answer: dict[str, Any] | None) -> str:
    """Draw an answer; "" where there is none."""
    return answer_html(answer) if answer else ""


def build_one_post(work: OnePost, page: gr.Blocks, examples: list[list[Any]]) -> None:
    """Lay the tab out.

    Args:
        work: What it does.
        page: The page, for results that its address names.
        examples: Text and path of an image, either may be None.
    """
    with gr.Row():
        with gr.Column():
            text = gr.Textbox(
                label="Text", lines=3, max_length=work.settings.max_text_characters,
                placeholder="What the post says; may stay empty",
            )  # fmt: skip
            image = gr.Image(
                label="Image",
                placeholder="Upload, paste or take an image; may stay empty",
                type="filepath",
                sources=["upload", "clipboard", "webcam"],
                height=280,
            )
            button = gr.Button("Score", variant="primary")
            gr.Examples(examples, [text, image], label="Examples")
        with gr.Column():
            result = gr.HTML(label="Result", elem_id="result")
            share = gr.Button("Make a link to this result", size="sm")
            link = gr.Textbox(label="Link", interactive=False, elem_id="link")
            with gr.Accordion("The answer as JSON", open=False):
                answer = gr.JSON(label="Answer", elem_id="answer")
    with gr.Row():
        with gr.Column(), gr.Accordion("What moved the decision: parts taken away"):
            mattered = gr.HTML(elem_id="mattered")
        with gr.Column(), gr.Accordion("Where the model looked: cross-attention"):
            looked = gr.HTML(elem_id="looked")

    raw = {"preprocess": False}  # an image is read and checked by us, one by one
    hidden = {"api_visibility": "private", "show_progress": "minimal"}
    scored = gr.on(
        [button.click, text.submit],
        work.predict,
        [text, image],
        [answer],
        api_name="predict",
        batch=True,
        max_batch_size=work.settings.batch_size,
        concurrency_limit=1,
        show_progress_on=result,
        **raw,
    )
    opened = page.load(work.open_shared, None, [text, image, answer], **hidden)
    gr.api(work.explain_as_data, api_name="explain", concurrency_limit=1)
    for event in (scored, opened):
        event.then(show, [answer], [result], **hidden).then(
            work.explain, [text, image, answer], [looked, mattered], concurrency_limit=2,
            **raw, **hidden,
        )  # fmt: skip
    share.click(work.share, [text, image], [link], **raw, **hidden).then(
        None, [link], [link], js=LINK
    )
