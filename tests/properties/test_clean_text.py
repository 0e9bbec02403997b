"""Whatever a text holds, cleaning it again changes nothing, and it stays a text."""

from hypothesis import given
from hypothesis import strategies as st

from modeling_hybridsent.inputs_hybridsent import clean_text, has_text

PARTS = [
    "RT ", "rt", "@", "\uff20", "@user", "#", "\uff03", "_", "http", "s", ":", "//", "www", ".", "...",
    "…", "ht", "t", " ", "\n", "\u200b", "&", "amp", "num", "38", ";", "&lt;", "A", "Www", "a", "2",
    "あ", "😀", "\ufe0f", "[MASK]", '"', "-",
]  # fmt: skip
texts = st.lists(st.sampled_from(PARTS), max_size=12).map("".join) | st.text(max_size=30)


@given(texts)
def test_cleaning_twice_is_cleaning_once(text):
    cleaned = clean_text(text)
    assert clean_text(cleaned) == cleaned


@given(texts)
def test_a_text_stays_one_and_masks_stay_in_it(text):
    assert has_text(clean_text(text)) == has_text(text)
    assert "a [MASK] day" in clean_text(f"{text} a [MASK] day")
