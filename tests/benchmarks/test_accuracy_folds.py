"""Folds do not leak, do not depend on the order of rows, and are written by id."""

import json

import numpy as np
import pytest
from datasets import Dataset, DatasetDict, concatenate_datasets
from documented_commands import ROOT

from benchmarks.accuracy.protocol.layout import (
    LAYOUT,
    layout_of,
    read_layout,
    write_layout,
    write_layout_beside,
)
from benchmarks.accuracy.protocol.parts import folds_of, pool_posts, posts_and_parts, seed_of_run
from benchmarks.accuracy.runs import parts_of_runs
from hybridsent.regression.folds import cut_posts
from hybridsent.training.arguments import DataArguments

DOCS = ROOT / "docs"
NAMES = ["negative", "neutral", "positive"]
ALL_SPLITS = ("train", "validation", "test")


def posts_with_duplicates():
    """60 labelled posts in three splits, a third of them copies, and 6 without label."""
    rows = [
        {
            "id": str(i),
            # Posts 3k and 3k + 1 share a text, 3k + 1 and 3k + 2 an image, for every fourth k.
            "text": f"text {i - (i % 3 == 1 and i // 3 % 4 == 0)}",
            "image": {"bytes": b"%d" % (i - (i % 3 == 2 and i // 3 % 4 == 0)), "path": None},
            "label": i % 5 % 3,
        }
        for i in range(60)
    ]
    contradictory = [
        {"id": f"c{i}", "text": f"text {12 * i}", "image": None, "label": None} for i in range(5)
    ] + [{"id": "c5", "text": "of its own", "image": None, "label": None}]
    tables = {"train": rows[:40], "validation": rows[40:50], "test": rows[50:]}
    built = {name: Dataset.from_list(part) for name, part in tables.items()}
    features = built["train"].features
    built["contradictory"] = Dataset.from_list(contradictory, features=features)
    return DatasetDict(built)


def test_folds_cover_each_post_once_and_keep_copies_together():
    arguments = DataArguments(use_contradictory_posts=True)
    posts, parts = posts_and_parts(posts_with_duplicates(), arguments, 4, None, 0)
    rows = posts.table.to_list()
    assert [row["number"] for row in rows] == list(range(66))
    assert sorted(np.concatenate([part.held_out for part in parts])) == list(range(60))
    teaching = set()
    for part in parts:
        pieces = [set(part.train), set(part.validation), set(part.held_out)]
        for i, one in enumerate(pieces):
            for other in pieces[i + 1 :]:
                assert not one & other
                assert not {rows[n]["text"] for n in one} & {rows[n]["text"] for n in other}
                images = [
                    {rows[n]["image"]["bytes"] for n in piece if rows[n]["image"]}
                    for piece in (one, other)
                ]
                assert not images[0] & images[1]
        assert pieces[0] | pieces[1] | pieces[2] >= set(range(60))
        assert 2 <= len(part.validation) <= 10
        counts = np.bincount([rows[n]["label"] for n in part.held_out], minlength=3)
        assert counts.min() >= 2  # of 12 to 24 posts of a label
        teaching.update(rows[n]["id"] for n in part.train if n >= 60)
        assert "c5" in teaching
    assert len(teaching) > 1  # those with copies teach where their copies do


def ids_of(posts, parts):
    ids = posts.table["id"]
    return [[[ids[n] for n in numbers] for numbers in part[2:]] for part in parts]


def test_neither_the_order_of_rows_nor_their_split_nor_a_seed_changes_a_fold():
    posts = posts_with_duplicates()
    arguments = DataArguments(use_contradictory_posts=True)
    expected = ids_of(*posts_and_parts(posts, arguments, 3, None, 0))
    mixed = concatenate_datasets([posts["test"], posts["train"], posts["validation"]])
    turned = DatasetDict(
        train=mixed.shuffle(seed=3), contradictory=posts["contradictory"].shuffle(seed=4)
    )
    assert ids_of(*posts_and_parts(turned, arguments, 3, None, 7)) == expected


def test_posts_that_do_not_teach_still_hold_their_groups_together():
    posts = posts_with_duplicates()
    alone, with_them = (
        pool_posts(posts, ALL_SPLITS, DataArguments(use_contradictory_posts=teach))
        for teach in (False, True)
    )
    assert len(alone.table) == 60
    assert len(with_them.table) == 66
    assert np.array_equal(alone.groups, with_them.groups[:60])


def test_the_cut_of_protocol_2_stays_as_it_is():
    ids = [f"p{i}" for i in range(12)]
    labels = np.array([0, 1, 1] * 4)
    groups = np.array([0, 0, 0, *range(1, 10)])
    folds = cut_posts(ids, labels, groups, 3, seed=0)
    assert folds.tolist() == FROZEN
    assert np.bincount(folds).tolist() == [4, 4, 4]
    assert cut_posts(ids, labels, groups, 3, seed=1).tolist() != FROZEN


FROZEN = [0, 0, 0, 2, 1, 2, 1, 2, 0, 2, 1, 1]


def test_folds_obey_the_limit_of_posts():
    posts = pool_posts(posts_with_duplicates(), ALL_SPLITS, DataArguments())
    whole, limited = folds_of(posts, 3, 0, None)[0], folds_of(posts, 3, 0, 7)[0]
    assert np.array_equal(limited.train, whole.train[:7])
    assert np.array_equal(limited.held_out, whole.held_out)


def test_a_repeat_cuts_all_posts_anew():
    posts = pool_posts(posts_with_duplicates(), ALL_SPLITS, DataArguments())
    once, twice = folds_of(posts, 3, 5, None), folds_of(posts, 3, 5, None, repeats=2)
    assert [part.run for part in twice] == list(range(6))
    assert all(np.array_equal(a.held_out, b.held_out) for a, b in zip(once, twice, strict=False))
    assert sorted(np.concatenate([part.held_out for part in twice[3:]])) == list(range(60))
    assert not any(np.array_equal(once[0].held_out, part.held_out) for part in twice[3:])


def test_the_largest_group_is_not_kept_for_choices_in_every_run():
    posts = posts_with_duplicates()
    one_text = posts["train"].map(
        lambda row: {"text": "the same" if int(row["id"]) < 8 else row["text"]}
    )
    pooled = pool_posts(DatasetDict(posts | {"train": one_text}), ALL_SPLITS, DataArguments())
    largest = np.flatnonzero(pooled.groups == np.bincount(pooled.groups).argmax())
    parts = folds_of(pooled, 4, 0, None)
    assert sum(largest[0] in part.validation for part in parts) <= 1
    assert sum(largest[0] in part.train for part in parts) >= 2


def test_every_run_has_a_seed_of_its_own():
    posts = pool_posts(posts_with_duplicates(), ALL_SPLITS, DataArguments())
    seeds = [part.seed for seed in (0, 1) for part in folds_of(posts, 3, seed, None, repeats=2)]
    assert len(set(seeds)) == 12
    assert seeds[1] == seed_of_run(0, 1) != seed_of_run(1, 0)


def test_seeds_score_the_validation_posts_and_choose_on_training_posts():
    posts, parts = posts_and_parts(posts_with_duplicates(), DataArguments(), None, [3, 4], 0)
    ids = posts.table["id"]
    for part, run in zip(parts, (3, 4), strict=True):
        assert part.run == run
        assert sorted(ids[n] for n in part.held_out) == [str(i) for i in range(40, 50)]
        assert not set(part.validation) & set(part.held_out)
        assert len(part.train) + len(part.validation) == 40


def test_bad_folds_ids_and_runs_are_named():
    posts = posts_with_duplicates()
    pooled = pool_posts(posts, ("train",), DataArguments())
    with pytest.raises(ValueError, match="--folds 1: give at least 2"):
        folds_of(pooled, 1, 0, None)
    with pytest.raises(ValueError, match="--repeats 0: give at least 1"):
        folds_of(pooled, 3, 0, None, repeats=0)
    with pytest.raises(ValueError, match="--repeats is for --folds"):
        posts_and_parts(posts, DataArguments(), None, [0, 1], 0, repeats=2)
    parts = folds_of(pooled, 3, 0, None)
    assert [part.run for part in parts_of_runs(parts, [2, 0])] == [2, 0]
    with pytest.raises(ValueError, match="--runs 3: no such run; there are 0, 1, 2"):
        parts_of_runs(parts, [0, 3])
    posts["test"] = posts["train"]
    with pytest.raises(ValueError, match="same id"):
        pool_posts(posts, ("train", "test"), DataArguments())


def test_the_layout_says_by_id_what_each_run_scores(tmp_path):
    arguments = DataArguments(use_contradictory_posts=True)
    posts, parts = posts_and_parts(posts_with_duplicates(), arguments, 3, None, 0)
    layout = layout_of(posts, parts, NAMES)
    write_layout(layout, tmp_path / LAYOUT)
    assert read_layout(tmp_path / LAYOUT) == layout
    assert set(layout.labels) == {str(i) for i in range(60)}
    assert layout.labels["7"] == 7 % 5 % 3
    assert layout.groups["0"] == layout.groups["1"] == layout.groups["2"] != layout.groups["3"]
    assert sorted(x for run in layout.runs.values() for x in run.held_out) == sorted(layout.labels)
    ratios = [len(run.held_out) / (60 - len(run.held_out)) for run in layout.runs.values()]
    assert layout.ratio([0, 1, 2]) == pytest.approx(np.mean(ratios))
    _, more = posts_and_parts(posts_with_duplicates(), arguments, 3, None, 0, repeats=2)
    write_layout_beside(layout_of(posts, more, NAMES), tmp_path)
    write_layout_beside(layout, tmp_path)  # runs that are there stay
    assert list(read_layout(tmp_path / LAYOUT).runs) == list(range(6))


def test_a_layout_of_another_protocol_is_refused(tmp_path):
    file = tmp_path / LAYOUT
    with pytest.raises(FileNotFoundError, match="no such file"):
        read_layout(file)
    file.write_text("{}")
    with pytest.raises(ValueError, match=r"is not a folds\.json of a comparison"):
        read_layout(file)
    file.write_text(json.dumps({"protocol": 1, "labels": [], "posts": {}, "runs": {}}))
    with pytest.raises(ValueError, match="is of protocol 1, not 2"):
        read_layout(file)


def test_the_published_folds_of_mvsa_single_hold_every_group_together():
    layout = read_layout(DOCS / "accuracy_folds.json")
    assert list(layout.runs) == list(range(10))
    fold_of = {post: run for run, part in layout.runs.items() for post in part.held_out}
    assert len(fold_of) == sum(len(part.held_out) for part in layout.runs.values()) == 4061
    assert fold_of.keys() == layout.labels.keys()
    groups = {(layout.groups[post], run) for post, run in fold_of.items()}
    assert len(groups) == len(set(layout.groups.values()))
    counts = np.zeros((10, 3), dtype=int)
    for post, run in fold_of.items():
        counts[run, layout.labels[post]] += 1
    assert np.ptp(counts, axis=0).max() <= 1


def test_the_published_folds_are_those_that_ids_labels_and_groups_give():
    layout = read_layout(DOCS / "accuracy_folds.json")
    ids = sorted(layout.labels)
    labels, groups = (np.array([x[post] for post in ids]) for x in (layout.labels, layout.groups))
    folds = cut_posts(ids, labels, groups, 10, seed=0)
    for run, part in layout.runs.items():
        assert {ids[i] for i in np.flatnonzero(folds == run)} == set(part.held_out)
