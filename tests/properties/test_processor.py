"""Whatever posts come, the processor gives each its own row and marks what it lacks."""

import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from tiny_models import IMAGE_SIZE, WORDS, picture, tiny_processor

from modeling_hybridsent.inputs_hybridsent import has_text

PROCESSOR = tiny_processor(max_length=12)
blank = st.sampled_from(["", " ", "\n\t", "\u3000", "\u200b", "\ufeff\u200d"])
words = st.lists(st.sampled_from(WORDS), max_size=20).map(" ".join)
texts = st.none() | blank | words | st.text(max_size=30)
pictures = st.none() | st.builds(
    picture, st.integers(0, 99), st.integers(1, 40), st.integers(1, 40)
)


posts = st.tuples(texts, pictures)
whole_posts = posts.filter(lambda post: has_text(post[0]) or post[1] is not None)
batches = st.lists(whole_posts, min_size=1, max_size=4)


def process(batch):
    return PROCESSOR(text=[text for text, _ in batch], images=[image for _, image in batch])


@given(batches)
def test_marks_say_what_a_post_has_and_shapes_are_those_of_the_batch(batch):
    inputs = process(batch)
    assert inputs["has_text"].tolist() == [has_text(text) for text, _ in batch]
    assert inputs["has_image"].tolist() == [image is not None for _, image in batch]
    assert inputs["pixel_values"].shape == (len(batch), 3, IMAGE_SIZE, IMAGE_SIZE)
    assert inputs["input_ids"].shape == inputs["attention_mask"].shape
    assert inputs["input_ids"].shape[1] <= 12
    assert inputs["pixel_values"].isfinite().all()
    assert not inputs["pixel_values"][~inputs["has_image"]].any()


@given(batches)
def test_a_post_in_a_batch_is_the_post_alone(batch):
    together = process(batch)
    for i, post in enumerate(batch):
        alone = process([post])
        length = alone["input_ids"].shape[1]
        assert torch.equal(together["input_ids"][i, :length], alone["input_ids"][0])
        assert torch.equal(together["attention_mask"][i, :length], alone["attention_mask"][0])
        assert not together["attention_mask"][i, length:].any()
        assert torch.equal(together["pixel_values"][i], alone["pixel_values"][0])


@given(batches)
def test_texts_alone_are_encoded_as_in_a_whole_post(batch):
    encoded = PROCESSOR.encode_texts([text for text, _ in batch])
    inputs = process(batch)
    for name, tensor in encoded.items():
        assert torch.equal(tensor, inputs[name]), name


@example([(" ", None), ("a", None), (None, None)])
@given(st.lists(posts, min_size=1, max_size=5))
def test_exactly_the_posts_with_neither_are_named(batch):
    empty = [i for i, (text, image) in enumerate(batch) if not has_text(text) and image is None]
    if not empty:
        process(batch)
        return
    with pytest.raises(ValueError, match="neither text nor image") as caught:
        process(batch)
    assert str(empty) in str(caught.value)
