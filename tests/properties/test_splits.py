"""Whatever posts there are: splits are disjoint and complete, and duplicates do not part."""

from collections import Counter
from hashlib import sha256

from hypothesis import given, settings
from hypothesis import strategies as st

from datasets_scripts.grouping import divide_grouped, same_content
from datasets_scripts.post import CONTRADICTORY, SENTIMENTS, SPLITS, Picture, Post
from datasets_scripts.published.protocols import divide_by_ids, protocol_ids
from datasets_scripts.texts import normalise_text

TEXTS = ["sun", "SUN", "RT @a: sun", "rain http://t.co/1", "rain http://t.co/2", "http://t.co/3"]
texts = st.none() | st.sampled_from(TEXTS) | st.text(max_size=4)
labels = st.none() | st.sampled_from(SENTIMENTS)
shares = st.sampled_from([(0.8, 0.1, 0.1), (0.5, 0.5, 0.0), (0.34, 0.33, 0.33)])


def post_of(number, text, image, label):
    digest = sha256(bytes([image])).digest()
    picture = Picture(digest, 1, 1, "PNG", "RGB", 1, 1) if image < 9 else None
    return Post(
        str(number), f"row {number}", text, b"x" if picture else None, label, picture=picture
    )


@st.composite
def sets_of_posts(draw):
    parts = st.lists(st.tuples(texts, st.integers(0, 12), labels), max_size=25)
    return [post_of(i, *part) for i, part in enumerate(draw(parts))]


def ids_of(division):
    return {name: [post.id for post in posts] for name, posts in division.splits.items()}


@settings(max_examples=150)
@given(sets_of_posts(), shares, st.integers(0, 99))
def test_a_grouped_division_is_disjoint_and_complete(posts, parts, seed):
    division = divide_grouped(posts, parts, seed)
    placed = [i for ids in ids_of(division).values() for i in ids]
    left = [row.id for row in division.left_out]
    assert sorted(placed + left) == sorted(post.id for post in posts)
    for name in SPLITS:
        assert all(post.label is not None for post in division.splits[name])
    assert all(post.label is None for post in division.splits.get(CONTRADICTORY, []))
    assert parts[2] or not division.splits["test"]


@settings(max_examples=150)
@given(sets_of_posts(), shares, st.integers(0, 99))
def test_posts_with_a_text_or_image_in_common_are_in_one_split(posts, parts, seed):
    division = divide_grouped(posts, parts, seed)
    home = {post.id: name for name in SPLITS for post in division.splits[name]}
    home |= {post.id: "train" for post in division.splits.get(CONTRADICTORY, [])}
    for one in posts:
        for other in posts:
            text = normalise_text(one.text)
            same_text = text and text == normalise_text(other.text)
            same_picture = one.picture is not None and one.picture == other.picture
            if (same_text or same_picture) and {one.id, other.id} <= set(home):
                assert home[one.id] == home[other.id]


@settings(max_examples=150)
@given(sets_of_posts(), shares, st.integers(0, 99), st.randoms(use_true_random=False))
def test_a_division_is_the_same_again_and_in_any_order(posts, parts, seed, random):
    expected = ids_of(divide_grouped(posts, parts, seed))
    assert ids_of(divide_grouped(posts, parts, seed)) == expected
    got = ids_of(divide_grouped(random.sample(posts, len(posts)), parts, seed))
    assert got.keys() == expected.keys()
    assert all(sorted(got[name]) == sorted(ids) for name, ids in expected.items())


@settings(max_examples=150)
@given(sets_of_posts())
def test_groups_of_the_same_content_have_two_posts_or_more_and_no_post_twice(posts):
    for groups in same_content(posts):
        members = [post.id for group in groups for post in group]
        assert len(members) == len(set(members))
        assert all(len(group) > 1 for group in groups)


@settings(max_examples=150)
@given(sets_of_posts(), st.dictionaries(st.integers(0, 30).map(str), st.sampled_from(SPLITS)))
def test_lists_of_ids_place_their_posts_and_account_for_the_others(posts, places):
    ids = {name: [i for i, split in places.items() if split == name] for name in SPLITS}
    labelled = [post for post in posts if post.label]
    division = divide_by_ids(labelled, ids, {})
    there = {post.id for post in labelled}
    for name in SPLITS:
        assert ids_of(division)[name] == [i for i in ids[name] if i in there]
    assert [row.id for row in division.left_out] == [p.id for p in labelled if p.id not in places]


@given(
    st.sampled_from(["clmlf", "agreement", *(f"folds:{k}" for k in range(1, 11))]),
    st.lists(st.integers(1, 5129).map(str), max_size=30),
    st.data(),
)
def test_the_lists_in_circulation_are_disjoint_with_any_labels(protocol, chosen, data):
    pair = st.tuples(st.sampled_from(SENTIMENTS), st.sampled_from(SENTIMENTS))
    pairs = {i: data.draw(pair) for i in chosen}
    ids = protocol_ids(protocol, pairs)
    counts = Counter(i for members in ids.values() for i in members)
    assert set(ids) == set(SPLITS)
    assert max(counts.values()) == 1
