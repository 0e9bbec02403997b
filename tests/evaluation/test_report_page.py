"""The page of the report: all facts, posts as data and never as code, nothing loaded, any screen."""

import base64
import io
from html.parser import HTMLParser

import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from finished_runs import LABELS, PRIVATE, finished_run, fitted, made_up_answers, made_up_posts
from hostile_pictures import encoded, readable, unreadable
from PIL import Image
from space.browser import DESKTOP, PHONE, browser, find_browser
from tiny_models import picture

from hybridsent.evaluation.figures import write_figures
from hybridsent.evaluation.report_page import (
    LONGEST_TEXT,
    MOST,
    SIDE,
    chosen_settings,
    confident_mistakes,
    thumbnail,
    write_page,
)

NASTY = "<script>document.title = 'hacked'</script><img src=x onerror=alert(1)>&amp; \"' 😀"
ARABIC = "يوم جميل جدا"
TEXT = f"{NASTY}\n{ARABIC} " + "long " * 400
LIMIT = 10**6  # pixels


class Page(HTMLParser):
    """A page taken apart: its tags with their attributes, and its text."""

    def __init__(self, source):
        super().__init__()
        self.tags, self.parts = [], []
        self.feed(source)
        self.text = " ".join("".join(self.parts).split())

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        if tag in ("td", "th"):
            self.parts.append(" ")

    def handle_data(self, data):
        self.parts.append(data)

    def all(self, *tags):
        return [attributes for tag, attributes in self.tags if tag in tags]


def write(folder, answers=None, run=None, drawn=False, **first):
    """Write a report on made-up answers; `first` goes into the worst mistake."""
    answers = made_up_answers() if answers is None else answers
    run = finished_run() if run is None else run
    (folder / "report").mkdir()
    if drawn:
        write_figures(answers, run, folder)
    posts = made_up_posts(answers, **first)
    file = write_page(run, answers, posts, LIMIT, {"seed": "7", "text_encoder": "<i>x</i>"}, folder)
    assert file == folder / "report" / "index.html"
    return Page(file.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    return write(tmp_path_factory.mktemp("page"), drawn=True, text=TEXT, id="<u>7</u>")


def test_nothing_can_be_loaded_and_no_text_becomes_code(page):
    names = {tag for tag, _ in page.tags}
    assert not names & {"script", "link", "iframe", "object", "form", "base", "i", "u", "b"}
    (policy,) = [x["content"] for x in page.all("meta") if "http-equiv" in x]
    assert policy == (
        "default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'; "
        "form-action 'none'"
    )
    attributes = [pair for _, found in page.tags for pair in found.items()]
    assert not [name for name, _ in attributes if name.startswith("on")]
    for name, value in attributes:
        if name in ("src", "href", "srcset"):
            assert value.startswith(("data:image/png;base64,", "data:image/jpeg;base64,", "#"))
    assert NASTY in page.text
    assert "url(" not in page.text


def test_images_say_what_they_show_and_tables_what_their_cells_are(page):
    images = page.all("img")
    assert len(images) >= 5 + 1
    for found in images:
        assert found["alt"].strip()
    assert {x.get("scope") for x in page.all("th")} == {"col", "row"}
    targets = {x["href"][1:] for x in page.all("a")}
    assert targets == {x["id"] for x in page.all("section")}
    assert page.all("html")[0]["lang"] == "en"


@pytest.mark.parametrize(
    "fact",
    [
        "75.1\xa0% were decided correctly",
        "both decision 75.1 65.2 74.3 3.1 400",
        "text only decision 60.0 65.2 74.3 3.1 376",
        "negative 70.0 100 105",
        "Errors among the most confident posts, percent posts kept errors 50.0 ",
        "Sets of labels with stated coverage, percent asked covered no answer labels in a set 80.0 ",
        "over all coverages: 12.3\xa0%. Classwise ECE 4.1\xa0%, Brier score 0.345.",
        "2 (kept) 0.500 75.1 65.2 74.3",
        "validation, both 1.234 8.0 2.1 3.4 2.9 0.700 0.600 0.620",
        "validation, text only 1.889 8.0",
        "validation, image only 0.778 8.0",
        "test, all posts - 9.0 3.0 - - 0.710 0.650 -",
        "temperature of the decision weights is 2.346",
        "positive 0.10 0.10 0.80",
        "neutral - - -",
        "protocol as given",
        "0123456789abcdef",
        "train 900 900 300 300 300",
        "90 without text",
        "text_encoder <i>x</i>",
        "torch 2.99",
        "28.4 million parameters, 25.0 million of them trained",
        "Publishing the model leaves it out",
        "post <u>7</u>",
    ],
)
def test_facts_of_the_run_stand_on_the_page(page, fact):
    assert " ".join(fact.split()) in page.text


def test_every_agreement_has_its_row(page):
    for name, group in finished_run()["agreement"].items():
        weights = " ".join(f"{x:.2f}" for x in group["weights"])
        assert f"{name} {group['posts']} {100 * group['accuracy']:.1f} {weights}" in page.text


def test_lost_modalities_and_own_labels_have_their_rows(page):
    found = finished_run()["robustness"]
    for row in found["lost_modality"]:
        shares = " ".join(f"{100 * row[name]:.1f}" for name in ("share", "accuracy", "macro_f1"))
        assert f" {shares} {row['nll']:.3f} " in page.text
    rises = [f"{100 * found['confidence_rises'][name]:.1f}" for name in ("text", "image")]
    assert f"in {rises[0]} % of the posts when the text is taken away" in page.text
    assert f"in {rises[1]} % without the image" in page.text
    group = found["own_labels"]["text and image"]
    assert f"text and image {group['posts']} {100 * group['accuracy']:.1f} " in page.text


def test_a_long_text_is_cut_and_any_direction_is_its_own(page):
    assert page.text.count("long") < 200
    assert f"… {len(TEXT) - LONGEST_TEXT} more characters" in " ".join(page.text.split())
    assert ARABIC in page.text
    assert {x["dir"] for x in page.all("blockquote")} == {"auto"}


def test_mistakes_are_the_ten_most_confident_first():
    answers = made_up_answers()
    posts = made_up_posts(answers, text=None)
    found = confident_mistakes(answers, posts, LABELS, LIMIT)
    assert len(found) == MOST
    assert found[0].text is None
    odds = np.exp(answers.logits)
    confidence = odds.max(axis=1) / odds.sum(axis=1)
    wrong = {
        f"post-{i}": confidence[i]
        for i in range(3, 60)  # the first three have no label
        if answers.decided[i] != answers.labels[i]
    }
    assert [mistake.id for mistake in found] == sorted(wrong, key=wrong.get, reverse=True)[:MOST]
    for mistake in found:
        i = int(mistake.id.split("-")[1])
        assert mistake.label == LABELS[answers.labels[i]]
        assert mistake.answer.label == LABELS[answers.logits[i].argmax()] != mistake.label
        assert mistake.answer.score == pytest.approx(confidence[i])
        assert list(mistake.answer.branches) == ["text", "image", "fusion"]
        for (name, branch), weight in zip(
            mistake.answer.branches.items(), answers.decision_weights[i], strict=True
        ):
            assert branch.label == LABELS[answers.branches[name][i].argmax()]
            assert branch.weight == weight


def test_a_branch_without_its_modality_says_nothing():
    answers = made_up_answers()
    weights = np.tile([1.0, 0.0, 0.0], (60, 1))
    answers = answers._replace(complete=np.zeros(60, dtype=bool), decision_weights=weights)
    for mistake in confident_mistakes(answers, made_up_posts(answers), LABELS, LIMIT):
        assert list(mistake.answer.branches) == ["text"]


def test_thumbnails_are_small_and_upright():
    for name, content in readable().items():
        uri, why = thumbnail({"bytes": content, "path": None}, LIMIT)
        assert why == ""
        small = Image.open(io.BytesIO(base64.b64decode(uri.split(",")[1])))
        size = {"turned": (16, 20), "one pixel": (1, 1)}.get(name, (20, 16))
        assert (small.format, small.size) == ("JPEG", size), name
    uri, _ = thumbnail({"bytes": encoded(picture(0, 900, 300), "PNG"), "path": None}, LIMIT)
    assert Image.open(io.BytesIO(base64.b64decode(uri.split(",")[1]))).size == (SIDE, SIDE // 3)


@pytest.mark.parametrize("name", sorted(set(unreadable()) - {"empty"}))
def test_an_image_that_cannot_be_shown_says_so(tmp_path, name):
    content, said = unreadable()[name]
    page = write(tmp_path, image={"bytes": content, "path": None})
    assert "The image cannot be shown" in page.text
    assert said.lower() in page.text.lower()


def test_a_missing_image_and_a_missing_text_say_so(tmp_path):
    gone = {"bytes": None, "path": str(tmp_path / "gone.jpg")}
    for i, (first, said) in enumerate(
        [
            ({"image": None}, "no image"),
            ({"text": None}, "no text"),
            ({"image": gone}, "cannot be shown"),
        ]
    ):
        (tmp_path / str(i)).mkdir()
        assert said in write(tmp_path / str(i), **first).text


def test_without_a_mistake_it_says_so(tmp_path):
    answers = made_up_answers()
    gold = np.where(answers.known, answers.decided, -100)
    page = write(tmp_path, answers._replace(labels=gold))
    assert "There are none" in page.text
    assert PRIVATE not in page.text


def test_without_test_posts_and_with_few_for_calibration_it_says_so(tmp_path, page):
    few = fitted(**dict.fromkeys(["folds", "ece_cross_fitted", "nll_cross_fitted"]))
    calibration = finished_run()["calibration"] | {"inputs": {"both": few}}
    text = write(
        tmp_path, run=finished_run(scored_split="validation", calibration=calibration)
    ).text
    assert "There were no labelled test posts" in text
    assert "validation, both 1.234 8.0 2.1 - 2.9 0.700 0.600 -" in text
    assert "too few for that" in text
    assert "no labelled test posts" not in page.text
    assert "too few" not in page.text


def test_averaged_weights_are_no_choice_of_an_epoch(tmp_path, page):
    learning = finished_run()["learning"] | {"averaged_steps": 75}
    text = write(tmp_path, run=finished_run(scored_split="validation", learning=learning)).text
    assert "the mean of the weights after each of the last 75 steps; no epoch was chosen" in text
    assert "no labelled test posts: the temperature was chosen on these posts" in text
    assert "mean of the weights" not in page.text


def test_a_model_with_a_fusion_branch_only_shows_no_agreement(tmp_path):
    answers = made_up_answers()
    fusion = answers._replace(
        branches={"fusion": answers.branches["fusion"]},
        decision_weights=np.tile([0.0, 0.0, 1.0], (60, 1)),
    )
    page = write(tmp_path, fusion, finished_run(agreement={}))
    assert "the fusion branch decides every post" in page.text
    assert "agree" not in page.text.split("What decides", 2)[2].split("Most confident")[0]


@pytest.mark.parametrize("labels", [[NASTY, "good", ARABIC], [f"emotion {i}" for i in range(7)]])
def test_labels_are_data_too(tmp_path, labels):
    answers = made_up_answers(labels=labels)
    run = finished_run(labels=labels, confusion=np.eye(len(labels), dtype=int).tolist())
    run["scores"] = [row | {f"f1_{name}": 0.5 for name in labels} for row in run["scores"]]
    run["decision_weights"] = {name: [0.2, 0.3, 0.5] for name in labels}
    page = write(tmp_path, answers, run)
    assert not page.all("script")
    for name in labels:
        assert f"{name} 50.0 1" in page.text


def test_settings_are_those_that_decide_and_hold_no_token():
    class Some:
        seed, learning_rate, hub_token, output_dir, max_steps = 3, 0.1, "hf_x", "/home", None

    assert chosen_settings(Some()) == {"seed": "3", "learning_rate": "0.1"}


needs_browser = pytest.mark.skipif(
    find_browser() is None, reason="needs a browser: apt-get install chromium"
)


@needs_browser
@pytest.mark.parametrize(("view", "scheme"), [(PHONE, "light"), (DESKTOP, "dark")])
def test_a_browser_shows_it_on_any_screen_and_loads_nothing(tmp_path, view, scheme):
    labels = [NASTY, "good", "w" * 90]
    run = finished_run(labels=labels)
    run["scores"] = [row | {f"f1_{name}": 0.5 for name in labels} for row in run["scores"]]
    text = f"{NASTY} {'w' * 500}"
    write(tmp_path, made_up_answers(labels=labels), run, drawn=True, text=text)
    asked = []
    with browser() as started:
        tab = started.new_context(**view, color_scheme=scheme).new_page()
        tab.on("request", lambda request: asked.append(request.url))
        tab.goto((tmp_path / "report" / "index.html").as_uri())
        assert tab.title() == "hybridsent on synthetic, seed 7: report"
        assert tab.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
        assert tab.evaluate("[...document.images].every(image => image.naturalWidth > 0)")
        background = tab.evaluate("getComputedStyle(document.body).backgroundColor")
        assert background == {"light": "rgb(255, 255, 255)", "dark": "rgb(20, 24, 28)"}[scheme]
        found = Axe().run(tab)
    assert not found.response["violations"], found.generate_report()
    assert [url for url in asked if not url.startswith("data:")] == asked[:1]
