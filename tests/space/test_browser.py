"""The page in a real browser: mouse, keyboard, phone, dark; no error, nothing from outside."""

import csv
import zipfile
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from PIL import Image
from space.browser import (
    DESKTOP,
    EXAMPLES,
    IRONY,
    Visit,
    browser,
    find_browser,
    open_views,
)

pytestmark = pytest.mark.skipif(
    find_browser() is None, reason="needs a browser: apt-get install chromium"
)
NASTY = "<img src=x onerror=alert(1)><b>sad</b>"


@pytest.fixture(scope="module")
def started():
    with browser() as one:
        yield one


@pytest.fixture(scope="module")
def views(started, space):
    """The example with a contradiction, scored in each view."""
    return open_views(started, space.url)


@pytest.fixture(scope="module")
def desktop(started):
    return started.new_context(**DESKTOP)


@pytest.fixture
def visit(desktop, space):
    visit = Visit(desktop, space.url)
    yield visit
    assert visit.faults == []
    assert visit.elsewhere == []
    visit.page.close()


@pytest.mark.parametrize(
    ("text", "picture", "told", "left_out"),
    [
        (IRONY, "irony.jpg", "branch", None),
        ("disgusted by the office", None, "There is no image", "Image branch"),
        (None, "joy.jpg", "There is no text", "Text branch"),
    ],
    ids=["both", "text only", "picture only"],
)
def test_a_post_is_scored_and_explained(visit, text, picture, told, left_out):
    said = visit.score(text, picture and EXAMPLES / picture)
    assert told in said
    assert "%" in said
    assert said.count("did not take part") == (0 if left_out is None else 2)
    page = visit.page
    assert page.locator("#result [role=img]").get_attribute("aria-label").startswith("Weights: ")
    assert page.locator("#mattered mark").count() == len((text or "").split())
    if picture:
        page.locator("#mattered img").wait_for()
    page.get_by_role("button", name="The answer as JSON").click()
    assert '"decision' not in page.locator("#answer").inner_text()
    assert "branches" in page.locator("#answer").inner_text()


def test_an_example_fills_the_form(visit):
    visit.page.get_by_text(IRONY).first.click()
    visit.page.wait_for_function(
        "text => [...document.querySelectorAll('textarea')].some(x => x.value === text)", arg=IRONY
    )
    assert IRONY in visit.page.get_by_label("Text", exact=True).input_value()
    assert "contradict" in visit.score(None, None) or visit.page.locator("#result").inner_text()


def test_an_empty_form_says_what_to_do_and_html_is_shown_as_text(visit):
    page = visit.page
    page.get_by_role("button", name="Score", exact=True).click()
    page.get_by_role("alert").filter(has_text="post is empty").wait_for()
    visit.score(NASTY, None)
    assert NASTY.split()[0] in page.locator("#mattered").inner_text()
    assert page.locator("#mattered img[src=x], #looked img[src=x]").count() == 0


def test_a_link_shows_the_result_to_others(visit, started):
    said = visit.score("a happy day", EXAMPLES / "joy.jpg")
    visit.page.get_by_role("button", name="Make a link to this result").click()
    field = visit.page.locator("#link textarea, #link input")
    visit.page.wait_for_function(
        "() => document.querySelector('#link textarea, #link input').value"
    )
    link = field.input_value()
    assert link.startswith(f"{visit.url}/?result=")
    other = started.new_context(**DESKTOP).new_page()
    other.goto(link)
    other.locator("#result .hs-answer").wait_for()
    assert other.locator("#result").inner_text() == said
    assert other.get_by_label("Text", exact=True).input_value() == "a happy day"
    other.goto(f"{visit.url}/?result=nothing")
    other.get_by_text("the server keeps only the newest").wait_for()


def table_of(folder):
    file = folder / "posts.zip"
    rows = [
        "id,text,image",
        "a,so happy today,joy.jpg",
        "b,sad rain,irony.jpg",
        f"-3,{NASTY},",
        "d,,",
    ]
    with zipfile.ZipFile(file, "w") as made:
        made.writestr("f/posts.csv", "\n".join(rows))
        for name in ("joy.jpg", "irony.jpg"):
            made.write(EXAMPLES / name, f"f/{name}")
    return file


def test_a_table_is_scored_filtered_and_taken_away(visit, tmp_path):
    page = visit.page
    visit.choose_table(table_of(tmp_path))
    page.get_by_role("button", name="Score all").click()
    page.get_by_text("4 of 4 rows").wait_for()
    page.locator("#table img:visible").nth(1).wait_for()
    assert page.locator("#table img[src=x]").count() == 0
    assert any(NASTY in text for text in page.locator("#table").all_inner_texts())
    page.get_by_label("failed").uncheck()
    page.get_by_text("3 of 4 rows").wait_for()
    page.get_by_label("failed").check()
    page.get_by_text("4 of 4 rows").wait_for()
    with page.expect_download() as started:
        page.locator("#downloads a[download]").first.click()
    file = tmp_path / started.value.suggested_filename
    started.value.save_as(file)
    with file.open(newline="", encoding="utf-8") as opened:
        rows = list(csv.DictReader(opened))
    assert [row["id"] for row in rows] == ["a", "b", "'-3", "d"]
    assert [bool(row["error"]) for row in rows] == [False, False, False, True]
    assert rows[2]["text"] == NASTY


def test_a_table_that_cannot_be_used_says_why(visit, tmp_path):
    file = tmp_path / "posts.csv"
    file.write_text("<img src=x onerror=alert(1)>\n1\n")
    page = visit.page
    visit.choose_table(file)
    page.get_by_role("button", name="Score all").click()
    page.get_by_text("needs a column named text").first.wait_for()
    assert page.locator("img[src=x]").count() == 0


def test_the_other_tabs_tell_of_model_and_api(visit):
    page = visit.page
    page.get_by_role("tab", name="About").click()
    page.get_by_text("energy limits").wait_for()
    page.get_by_role("tab", name="API").click()
    page.get_by_text("/predict_table(file)").wait_for()


def test_a_post_is_scored_without_a_mouse(visit):
    page = visit.page
    page.get_by_label("Text", exact=True).focus()
    page.keyboard.type("a sad day")
    passed = []
    while "Score" not in passed:
        assert len(passed) < 12, passed
        page.keyboard.press("Tab")
        passed.append(page.evaluate("document.activeElement.innerText").strip())
    page.keyboard.press("Enter")
    page.locator("#result p").first.wait_for()
    assert "There is no image" in page.locator("#result").inner_text()


@pytest.mark.parametrize("name", ["space", "space_dark"])
def test_accessibility_rules_hold_in_what_we_draw(views, name):
    for part in ("#result", "#mattered", "#looked"):
        found = Axe().run(views[name].page, context=part).response["violations"]
        assert [(rule["id"], len(rule["nodes"])) for rule in found] == [], part


def test_a_phone_needs_no_scrolling_sideways(views):
    visit = views["space_phone"]
    wide = "document.documentElement.scrollWidth > document.documentElement.clientWidth"
    assert not visit.page.evaluate(wide)
    assert visit.faults == []


def test_pictures_of_all_views_are_taken(views):
    folder = Path(__file__).parents[2] / "outputs" / "screenshots"  # to be looked at
    folder.mkdir(parents=True, exist_ok=True)
    sizes = {
        name: Image.open(visit.photograph(folder / f"{name}.png")).size
        for name, visit in views.items()
    }
    assert set(sizes) == {"space", "space_phone", "space_dark"}
    assert sizes["space_phone"][0] < sizes["space"][0]
