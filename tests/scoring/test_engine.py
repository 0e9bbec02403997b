"""The engine answers every row once, in order, ahead of nothing it cannot hold."""

import os
import time
from contextlib import suppress

import psutil
import pyarrow as pa
import pytest
from file_limit import limited_files
from many_posts import direct, good_posts, save_pictures, with_bad, write_csv
from tiny_models import save_tiny

from hybridsent import Predictor
from hybridsent.scoring import engine
from hybridsent.scoring.answers import BATCHES, MAX_BYTES, Window, windows
from hybridsent.scoring.engine import AHEAD, score_rows
from hybridsent.scoring.inputs import find_input
from hybridsent.scoring.rows import Assignment, Row
from hybridsent.support.command_line import explain


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tiny")
    return str(folder), *save_tiny(folder)


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    folder = tmp_path_factory.mktemp("engine") / "posts"
    save_pictures(folder)
    posts, errors = with_bad(good_posts(170))
    return write_csv(folder / "posts.csv", posts), posts, errors


@pytest.mark.parametrize(("workers", "batch_size"), [(0, 2), (1, 2), (2, 4)])
def test_every_row_has_its_own_answer_in_its_place(tiny, table, workers, batch_size):
    """Two posts a batch make several windows; answers are told apart by text and image."""
    name, model, processor = tiny
    file, posts, errors = table
    rows = find_input(str(file)).rows(Assignment(1000))
    parts = list(score_rows(rows, Predictor(name), batch_size, workers))
    assert len(parts) > 1
    answers = [answer for part in parts for answer in part.to_pylist()]
    assert [answer["row"] for answer in answers] == list(range(len(posts)))
    assert [answer["id"] for answer in answers] == [post["id"] for post in posts]
    good = [i for i in range(len(posts)) if i not in errors]
    expected = direct(model, processor, [posts[i] for i in good], file.parent)
    for i, outputs in zip(good, expected, strict=True):
        best = float(outputs.logits.softmax(dim=-1).max())
        assert answers[i]["score"] == pytest.approx(best, abs=1e-5)
    for i, error in errors.items():
        assert error in answers[i]["error"]


def test_a_batch_holds_texts_of_like_length_and_is_full(tiny):
    rows = [
        Row(i, None, "a" * (i * 37 % 100), problem="x" if i % 9 == 0 else None) for i in range(90)
    ]
    window = Window(rows, Predictor(tiny[0]).layout)
    batches = list(window.cut(list(rows), 8, lambda given: [len(row.text) for row in given]))
    assert [len(batch) for batch in batches] == [8] * 10
    lengths = [len(row.text) for batch in batches for row in batch]
    assert lengths == sorted(lengths, reverse=True)


def test_texts_share_a_batch_by_their_tokens_not_by_their_characters(tiny):
    words = [
        f"{'sun ' * (i % 7)}{'x' * 40 * (7 - i % 7)}" for i in range(35)
    ]  # few words, long text
    rows = [Row(i, None, text) for i, text in enumerate(words)]
    predictor, padded, counted = Predictor(tiny[0]), [], []
    score = predictor.score

    def note(window, prepared):
        mask = prepared.inputs["attention_mask"]
        padded.append(mask.shape[1])
        counted.extend(mask.sum(dim=1).tolist())
        score(window, prepared)

    predictor.score = note
    answers = pa.concat_tables(score_rows(iter(rows), predictor, 5, num_workers=0))
    assert answers["row"].to_pylist() == list(range(35))
    assert counted == sorted(counted, reverse=True)
    assert len(set(counted)) > 3
    assert counted != [predictor.preparer.lengths([row])[0] for row in rows]
    assert padded == counted[::5]


def test_lengths_are_of_texts_as_the_model_gets_them(tiny):
    preparer = Predictor(tiny[0]).preparer
    texts = ["sun", None, "a rainy day", "", "day \ud800", "sun " * 200, "sun " * 500]
    rows = [Row(i, None, text) for i, text in enumerate(texts)]
    rows.append(Row(9, None, "sun", problem="x"))
    whole = [rows[i] for i in (0, 2, 5)]
    counted = preparer[whole].inputs["attention_mask"].sum(dim=1).tolist()
    assert preparer.lengths(whole) == counted
    assert preparer.lengths([rows[1], rows[3], rows[7]]) == [0, 0, 0]
    found = preparer.lengths(rows)
    assert [found[i] for i in (0, 2, 5)] == counted
    assert found[4] == len("day \ud800")  # refused
    assert found[6] == 2000  # too long to be tokenized twice
    assert preparer.lengths(rows[4:5] + whole * 11)[1:] == counted * 11
    assert preparer.lengths([]) == []


def test_windows_are_bounded_by_posts_by_bytes_and_by_bad_posts():
    good = (Row(i, None, "a") for i in range(BATCHES * 4 + 1))
    assert [len(window) for window in windows(good, 4)] == [BATCHES * 4, 1]
    bad = (Row(i, None, problem="x") for i in range(10_000))
    assert max(len(window) for window in windows(bad, 2)) == 4 * BATCHES * 2
    picture = bytes(MAX_BYTES // 4)
    large = (Row(i, None, image=picture) for i in range(10))
    assert [len(window) for window in windows(large, 4)] == [5, 5]


@pytest.mark.parametrize("text", ["", "a day"])
def test_no_more_rows_are_read_than_are_ahead_of_the_model(tiny, text):
    """Also where no row can be scored, which gives the model nothing to wait for."""
    read = []

    def rows():
        for i in range(4000):
            read.append(i)
            yield Row(i, None, text, problem=None if text else "x")

    at_once = 4 * BATCHES * 2  # rows of the largest window
    for part, _ in zip(score_rows(rows(), Predictor(tiny[0]), 2, 1), range(3), strict=False):
        answered = part["row"][-1].as_py() + 1
        assert len(read) <= answered + (AHEAD + 2) * at_once
    assert len(read) < 3500


@pytest.mark.parametrize("workers", [0, 1])
def test_file_handles_do_not_grow(tiny, tmp_path, workers):
    save_pictures(tmp_path / "posts")
    posts, _ = with_bad(good_posts(400))
    file = write_csv(tmp_path / "posts" / "posts.csv", posts)
    rows = find_input(str(file)).rows(Assignment(1000))
    scored = score_rows(rows, Predictor(tiny[0]), 2, workers)
    handles = [len(os.listdir("/proc/self/fd")) for _ in scored]
    assert len(handles) > 4
    in_flight = 5 * (AHEAD + 1) * workers  # a handle for each tensor of a batch
    assert max(handles) <= handles[0] + in_flight


def test_a_worker_that_cannot_hand_its_batch_over_is_not_waited_for_for_ever(tiny, table):
    """What workers hand over lies in shared memory, which counts as files and is refused."""
    rows = find_input(str(table[0])).rows(Assignment(1000))
    predictor = Predictor(tiny[0])
    predictor.load()
    with limited_files(100), pytest.raises(RuntimeError, match="timed out after 3 seconds"):
        list(score_rows(rows, predictor, 4, num_workers=1, patience=3))


def children():
    return {child.pid: child for child in psutil.Process().children()}


def kill_one(before):
    """Kill a worker, and see torch's handler raise where this process is."""
    workers = [child for pid, child in children().items() if pid not in before]
    if workers:
        workers[0].kill()
        time.sleep(60)


def some_rows():
    return (Row(i, None, "a day") for i in range(10_000))


@pytest.mark.parametrize("is_wrapped", [False, True])
def test_a_worker_that_dies_while_tokens_are_counted_is_the_error(is_wrapped, tiny, monkeypatch):
    """Also where a library makes an error of its own of it, as transformers does."""
    predictor = Predictor(tiny[0])
    processor, before = predictor.preparer.processor, children()
    encode_texts, score, scored = processor.encode_texts, predictor.score, []

    def note(*given):
        score(*given)
        scored.append(given)

    def die(texts):
        try:
            if scored:  # not while torch still starts: its iterator would stay, half made
                kill_one(before)
        except RuntimeError as error:
            if is_wrapped:
                raise ValueError("no tensor") from error
            raise
        return encode_texts(texts)

    predictor.score = note
    monkeypatch.setattr(processor, "encode_texts", die)
    with pytest.raises(RuntimeError, match="is killed by signal") as caught:
        list(score_rows(some_rows(), predictor, 4, num_workers=1))
    assert "A worker process died" in explain(caught.value)


def test_each_death_of_a_worker_is_noticed_and_ends_the_other_workers(tiny):
    """The error is kept here, as a notebook keeps it, and with it what torch has at hand."""
    predictor, before = Predictor(tiny[0]), children()
    score = predictor.score

    def die(*given):
        kill_one(before)
        score(*given)

    predictor.score = die
    for _ in range(2):
        with pytest.raises(RuntimeError, match="is killed by signal") as kept:
            list(score_rows(some_rows(), predictor, 4, num_workers=2))
        assert kept.tb
        assert children().keys() <= before.keys()


def test_a_death_of_which_nobody_heard_is_noticed_long_before_the_patience_ends(tiny, monkeypatch):
    monkeypatch.setattr(engine, "ASK_AFTER", 1)
    before = children()

    def rows():
        with suppress(RuntimeError):  # as readers of files and finalisers do
            kill_one(before)
        yield from some_rows()

    with pytest.raises(RuntimeError, match="exited unexpectedly"):
        list(score_rows(rows(), Predictor(tiny[0]), 4, num_workers=2, patience=3600))


def test_an_error_of_the_rows_takes_the_workers_down(tiny):
    def rows():
        yield from (Row(i, None, "a day") for i in range(400))
        raise ValueError("no more")

    before = children()
    with pytest.raises(ValueError, match="no more") as kept:
        list(score_rows(rows(), Predictor(tiny[0]), 4, num_workers=2))
    assert kept.tb
    assert children().keys() <= before.keys()
