"""Whatever rows come, the collator's batch is the processor's, with labels and -100 in their gaps."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from many_posts import png
from tiny_models import WORDS, tiny_processor

from hybridsent.training.collator import LABEL_COLUMNS, PostCollator

PROCESSOR = tiny_processor()
COLLATOR = PostCollator(PROCESSOR)


texts = st.none() | st.lists(st.sampled_from(WORDS), min_size=1, max_size=9).map(" ".join)
images = st.none() | st.integers(0, 9).map(lambda seed: {"bytes": png(seed), "path": None})
labels = st.none() | st.integers(0, 2)
rows = st.fixed_dictionaries(
    {
        "id": st.uuids().map(str),
        "text": texts,
        "image": images,
        **dict.fromkeys(LABEL_COLUMNS, labels),
    }
)
posts = rows.filter(lambda row: row["text"] is not None or row["image"] is not None)


@given(st.lists(posts, min_size=1, max_size=5))
def test_a_batch_is_what_the_processor_gives_and_the_labels(chosen):
    batch = COLLATOR(chosen)
    inputs = PROCESSOR(
        text=[row["text"] for row in chosen], images=[row["image"] for row in chosen]
    )
    for name, tensor in inputs.items():
        assert torch.equal(batch[name], tensor), name
    for column, name in LABEL_COLUMNS.items():
        given_labels = [row[column] for row in chosen]
        assert batch[name].tolist() == [-100 if x is None else x for x in given_labels]
    assert set(batch) == {*inputs, *LABEL_COLUMNS.values()}


@given(st.lists(posts, min_size=1, max_size=5), st.data())
def test_the_order_of_the_rows_is_that_of_the_batch(chosen, data):
    order = data.draw(st.permutations(range(len(chosen))))
    expected, got = COLLATOR(chosen), COLLATOR([chosen[i] for i in order])
    for name, tensor in expected.items():
        assert torch.equal(got[name], tensor[list(order)]), name


@given(st.lists(posts, max_size=3), st.lists(posts, max_size=3), rows)
def test_a_row_that_cannot_be_processed_is_named_with_its_batch(before, after, row):
    empty = {**row, "text": None, "image": None}
    with pytest.raises(ValueError, match=rf"\[{len(before)}\] have neither") as caught:
        COLLATOR([*before, empty, *after])
    assert empty["id"] in str(caught.value)
