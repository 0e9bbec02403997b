"""Drive a running Space with the browser of this machine, and take its picture.

    python tests/space/browser.py --output_dir docs

writes space.png; `--views space_phone space_dark` writes the others.
"""

import argparse
import os
import shutil
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "space" / "examples"
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
# Chromium's own errands to its maker are no requests of the page; and root may not have a sandbox.
QUIET = ("--no-sandbox", "--disable-background-networking", "--disable-component-update")
DESKTOP = {"viewport": {"width": 1280, "height": 900}}
PHONE = {"viewport": {"width": 390, "height": 844}, "is_mobile": True, "has_touch": True}
VIEWS = {
    "space": (DESKTOP, "light"),
    "space_phone": (PHONE, "light"),
    "space_dark": (DESKTOP, "dark"),
}
IRONY = "Absolutely delighted, my old phone exceeded all my hopes"
HOLIDAY = "Worst holiday ever, they lost our bags and then it rained for a week"
PATIENCE = 60_000  # milliseconds
# No animation runs, but for those without end.
STILL = """() => document.getAnimations().every(
    x => x.playState !== "running" || x.effect.getTiming().iterations === Infinity)"""


def find_browser() -> str | None:
    """The path of a Chromium of this machine; None if there is none."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


@contextmanager
def browser() -> Iterator[Browser]:
    """Start the browser."""
    with sync_playwright() as play:
        started = play.chromium.launch(executable_path=find_browser(), args=list(QUIET))
        yield started
        started.close()


class Visit:
    """One page of the Space in a browser, with what went wrong there.

    Pages of one context share what the browser has loaded, and so load faster.

    Args:
        context: Of the browser.
        url: Address of the Space.
        theme: "light" or "dark".
        query: What else follows the address.
    """

    def __init__(
        self, context: BrowserContext, url: str, theme: str = "light", query: str = ""
    ) -> None:
        self.url = url
        self.page: Page = context.new_page()
        self.faults: list[str] = []
        self.elsewhere: list[str] = []
        self.page.set_default_timeout(PATIENCE)
        self.page.on("console", lambda x: self.faults.append(x.text) if x.type == "error" else None)
        self.page.on("pageerror", lambda error: self.faults.append(str(error)))
        self.page.on("request", self._note)
        self.page.on("dialog", lambda dialog: self.faults.append(f"dialog {dialog.message}"))
        self._answers = 0  # to what the page asked by itself
        for event in ("requestfinished", "requestfailed"):  # the page may hang up first
            self.page.on(event, self._count)
        self.page.goto(f"{url}/?__theme={theme}{query}")
        self._wait_until_ready()

    def _count(self, request: object) -> None:
        self._answers += "/queue/data" in request.url

    def _wait_until_ready(self) -> None:
        """Wait for the first answer: the page asks for a shared result once it listens to clicks."""
        for _ in range(PATIENCE // 100):
            if self._answers:
                return
            self.page.wait_for_timeout(100)
        raise TimeoutError("the page asked the server for nothing")

    def _note(self, request: object) -> None:
        if not request.url.startswith((self.url, "data:", "blob:")):
            self.elsewhere.append(request.url)

    def choose_table(self, file: Path) -> None:
        """Open the tab for many posts and upload the file there."""
        self.page.get_by_role("tab", name="Many posts").click()
        # Named by what it takes: Gradio's table below has a file input too, which may come first.
        self.page.locator("input[type=file][accept*='.jsonl']").set_input_files(file)
        # Not by its text: while the file goes up that is "posts.zip", and "posts .zip" ever after.
        self.page.get_by_role("cell", name=file.name, exact=True).wait_for()

    def score(self, text: str | None, picture: Path | None) -> str:
        """Fill in the form, score and wait for the explanations; gives the result's text."""
        if text is not None:
            self.page.get_by_label("Text", exact=True).fill(text)
        if picture is not None:
            self.page.locator("input[type=file][accept='image/*']").set_input_files(picture)
            self.page.locator("[data-testid=image] img, .image-frame img").first.wait_for()
        self.page.get_by_role("button", name="Score", exact=True).click()
        self.page.locator("#result .hs-answer").wait_for()
        self.page.locator("#mattered p").first.wait_for()
        return self.page.locator("#result").inner_text()

    def settle(self) -> None:
        """Wait for the explanations' images, and until nothing moves any more."""
        self.page.locator("#mattered img").wait_for()
        self.page.wait_for_function(STILL)

    def photograph(self, file: Path) -> Path:
        """Take a picture of the whole page."""
        self.page.screenshot(path=file, full_page=True)
        return file


def open_views(
    started: Browser,
    url: str,
    names: Iterable[str] = tuple(VIEWS),
    text: str = IRONY,
    image: str = "irony.jpg",
) -> dict[str, Visit]:
    """Score an example in each view: the one with a contradiction, unless another is given."""
    contexts: dict[str, BrowserContext] = {}
    visits = {}
    for name in names:
        options, theme = VIEWS[name]
        context = contexts.get(str(options)) or started.new_context(**options)
        contexts[str(options)] = context
        visits[name] = Visit(context, url, theme)
        visits[name].score(text, EXAMPLES / image)
        visits[name].settle()
    return visits


def main() -> None:
    """Run the Space on a model and take its pictures."""
    sys.path[:0] = [str(ROOT)]  # before tests/, which has benchmarks of its own
    from benchmarks.running_space import running_space
    from hybridsent.bundled.models import DEFAULT_MODEL, resolve_model

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], allow_abbrev=False)
    parser.add_argument("--model", default=DEFAULT_MODEL, help="folder, Hub id or bundled model")
    parser.add_argument("--output_dir", type=Path, default=Path("docs"), help="for the pictures")
    parser.add_argument("--views", nargs="+", default=["space"], choices=VIEWS)
    options = parser.parse_args()
    os.chdir(ROOT)
    with (
        tempfile.TemporaryDirectory() as folder,
        running_space(resolve_model(options.model), Path(folder, "log")) as space,
        browser() as started,
    ):
        visits = open_views(started, space.url, options.views, HOLIDAY, "china.jpg")
        for name, visit in visits.items():
            file = visit.photograph(options.output_dir / f"{name}.png")
            Image.open(file).convert("RGB").quantize(128).save(file, optimize=True)  # a third
            print(file)


if __name__ == "__main__":
    main()
