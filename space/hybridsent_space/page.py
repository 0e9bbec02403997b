"""The whole page, and how it is served."""

import json
from pathlib import Path
from typing import Any

import gradio as gr
from starlette.middleware import Middleware

from hybridsent_space.about import api_markdown, card_markdown, facts
from hybridsent_space.calls import Calls
from hybridsent_space.gate import Gate
from hybridsent_space.many_posts import ManyPosts, build_many_posts
from hybridsent_space.model import LoadedModel
from hybridsent_space.one_post import OnePost, build_one_post
from hybridsent_space.scorer import Scorer
from hybridsent_space.settings import Settings
from hybridsent_space.shared_results import SharedResults
from hybridsent_space.storage import Storage
from hybridsent_space.tool import Tool, build_tool, one_tool

EXAMPLES = Path(__file__).parents[1] / "examples"
HOUR = 3600  # seconds
SESSIONS = 200  # whose tables are remembered
FONTS = ("system-ui", "sans-serif")  # of the visitor's machine: none is loaded from elsewhere
MONO_FONTS = ("ui-monospace", "monospace")


def build_page(loaded: LoadedModel, settings: Settings, storage: Storage) -> gr.Blocks:
    """Build the page.

    Args:
        loaded: The model.
        settings: Limits.
        storage: Temporary folder for all that the server writes; also Gradio's own.

    Returns:
        The page, with the endpoints /predict, /explain, /predict_table and the tool /score_post.
    """
    scorer = Scorer(loaded, settings.batch_size)
    shared = SharedResults(storage.folder / "shared", settings.max_shared_results)
    with gr.Blocks(
        title="hybridsent", analytics_enabled=False, delete_cache=(HOUR, HOUR), fill_width=True
    ) as page:
        gr.Markdown(
            "# hybridsent\nWhat feeling does a post carry, how sure is the model, and what decided: "
            f"the text, the image or their fusion? Model: `{loaded.name}`."
        )
        with gr.Tab("One post"):
            build_one_post(OnePost(scorer, settings, shared), page, read_examples())
        with gr.Tab("Many posts"):
            build_many_posts(ManyPosts(scorer, settings, storage))
        with gr.Tab("About"):
            gr.Markdown(facts(loaded))
            gr.Markdown(card_markdown(loaded), elem_id="card")
        with gr.Tab("API"):
            gr.Markdown(api_markdown(settings))
        build_tool(Tool(scorer, settings))
    return page.queue(max_size=settings.max_waiting)


def read_examples() -> list[list[Any]]:
    """Read the examples: text and path of the image, either may be None."""
    lines = (EXAMPLES / "posts.jsonl").read_text(encoding="utf-8").splitlines()
    posts = [json.loads(line) for line in lines]
    return [[post["text"], post["image"] and str(EXAMPLES / post["image"])] for post in posts]


def launch_options(page: gr.Blocks, settings: Settings, storage: Storage) -> dict[str, Any]:
    """Return how to launch the page.

    Args:
        page: The page.
        settings: Limits.
        storage: As in `build_page`.

    Returns:
        Arguments of `Blocks.launch`.
    """
    theme = gr.themes.Default(font=FONTS, font_mono=MONO_FONTS)
    sizes = {number: len(function.inputs) for number, function in page.fns.items()}
    names = {number: function.api_name or None for number, function in page.fns.items()}
    gate = Middleware(
        Gate,
        calls=Calls(names, sizes, storage.folder),
        storage=storage,
        settings=settings,
    )
    return {
        "theme": theme,
        "css_paths": Path(__file__).with_name("style.css"),
        "max_file_size": settings.max_table_bytes,
        "state_session_capacity": SESSIONS,
        "app_kwargs": {"middleware": [gate], "lifespan": lambda app: one_tool(page)},
        "mcp_server": True,
        "show_error": True,
        "ssr_mode": False,
        "enable_monitoring": False,
        "run_history": False,  # of a visitor's posts
        "footer_links": ["api", "settings"],
    }
