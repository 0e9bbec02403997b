"""Texts of like length share a batch; every post comes once an epoch, in an order of its own."""

from itertools import pairwise

from datasets import Dataset
from tiny_models import tiny_processor

from hybridsent.training.collator import LengthGroupedOrder, text_lengths

LENGTHS = [(7 * i) % 50 for i in range(1003)]


def batches(order, size=8):
    indices = list(order)
    return [indices[i : i + size] for i in range(0, len(indices), size)]


def spread(rows):
    return sum(max(LENGTHS[i] for i in row) - min(LENGTHS[i] for i in row) for row in rows)


def test_every_post_comes_once_and_batches_are_alike():
    order = LengthGroupedOrder(LENGTHS, 8, seed=0)
    assert len(order) == len(LENGTHS)
    assert sorted(order) == list(range(len(LENGTHS)))
    plain = [list(range(i, min(i + 8, 1003))) for i in range(0, 1003, 8)]
    assert spread(batches(order)) < 0.3 * spread(plain)
    assert len(batches(order)[-1]) == 3


def test_the_order_is_that_of_seed_and_epoch():
    order = LengthGroupedOrder(LENGTHS, 8, seed=0)
    first = list(order)
    assert list(order) == first
    order.set_epoch(1)
    assert list(order) != first
    order.set_epoch(0)
    assert list(order) == first


def test_no_two_seeds_share_an_order_at_any_epoch():
    orders = set()
    for seed in range(3):
        order = LengthGroupedOrder(LENGTHS, 8, seed)
        for epoch in range(3):
            order.set_epoch(epoch)
            orders.add(tuple(order))
    assert len(orders) == 9


def test_batches_do_not_come_sorted():
    means = [sum(LENGTHS[i] for i in row) / 8 for row in batches(LengthGroupedOrder(LENGTHS, 8, 0))]
    rising = sum(a < b for a, b in pairwise(means))
    assert 0.35 < rising / len(means) < 0.65


def test_lengths_are_tokens_up_to_the_limit():
    posts = Dataset.from_dict({"text": ["happy day", None, "", "sun " * 20]})
    assert text_lengths(posts, tiny_processor(max_length=6)) == [2, 0, 0, 6]
    assert text_lengths(Dataset.from_dict({"image": [None] * 4}), tiny_processor()) == [
        0, 0, 0, 0,
    ]  # fmt: skip


def test_lengths_are_those_of_cleaned_texts_where_the_processor_cleans():
    posts = Dataset.from_dict({"text": ["RT @cat: #happy_day http://t.co/a", None, "sun"]})
    assert text_lengths(posts, tiny_processor(clean_text=True)) == [2, 0, 1]
    assert text_lengths(posts, tiny_processor())[0] > 10


def test_no_posts():
    assert list(LengthGroupedOrder([], 8, 0)) == []
