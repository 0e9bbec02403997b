"""Show one model in a browser: HYBRIDSENT_MODEL=DIR_OR_REPO python space/app.py."""

import logging
import os
import signal
import sys
import tempfile
from pathlib import Path

# Gradio writes where this says; nothing of a visitor stays when the server ends.
FOLDER = tempfile.TemporaryDirectory(prefix="hybridsent-space-")
os.environ["GRADIO_TEMP_DIR"] = FOLDER.name
os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"

from hybridsent_space.model import load_model  # noqa: E402
from hybridsent_space.page import build_page, launch_options  # noqa: E402
from hybridsent_space.settings import Settings  # noqa: E402
from hybridsent_space.storage import Storage  # noqa: E402


def stop(*_: object) -> None:
    """End the server as Ctrl-C does, so that the temporary folder goes with it."""
    raise KeyboardInterrupt


def main() -> None:
    """Load the model and serve the page until the server is stopped."""
    logging.basicConfig(level=logging.WARNING)
    try:
        settings = Settings.from_environment()
        loaded = load_model(settings.model, settings.revision, settings.graph)
    except (OSError, ValueError) as error:
        sys.exit(f"The page cannot be served: {error}")
    storage = Storage(Path(FOLDER.name), settings.max_stored_bytes)
    page = build_page(loaded, settings, storage)
    for number in (signal.SIGINT, signal.SIGTERM):  # the second is how a container is stopped
        signal.signal(number, stop)
    page.launch(**launch_options(page, settings, storage))


if __name__ == "__main__":
    with FOLDER:
        main()
