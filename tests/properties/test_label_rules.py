"""Whatever annotators choose: the majority, and a label file that loses no line."""

import tempfile
from collections import Counter
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from datasets_scripts import majority_label
from datasets_scripts.post import SENTIMENTS
from datasets_scripts.published.label_file import read_label_file
from datasets_scripts.published.mvsa_single import HEADER, LABELS

labels = st.sampled_from(SENTIMENTS)


@given(st.lists(labels, min_size=1, max_size=7), st.randoms(use_true_random=False))
def test_the_majority_is_more_than_half_in_any_order(votes, random):
    found = majority_label(votes)
    counts = Counter(votes)
    assert [found] == [x for x, n in counts.items() if 2 * n > len(votes)] or (
        found is None and max(counts.values()) * 2 <= len(votes)
    )
    shuffled = list(votes)
    random.shuffle(shuffled)
    assert majority_label(shuffled) == found


ids = st.integers(0, 12).map(str)
good_rows = st.builds("{}\t{},{}".format, ids, labels, labels)
bad_rows = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\n"), max_size=12)


@given(
    st.lists(good_rows | bad_rows, max_size=8),
    st.sampled_from(["\n", "\r\n"]),
    st.sampled_from(["", "\ufeff"]),
)
def test_every_line_of_a_label_file_is_a_row_or_a_reason(lines, newline, mark):
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "labels.txt"
        file.write_bytes((mark + newline.join([HEADER, *lines, ""])).encode())
        found = read_label_file(file, HEADER, LABELS, "a row", "layout")
    assert len(found.rows) + len(found.rejected) == found.count <= len(lines)
    numbers = [int(row.where.rpartition(" ")[2]) for row in [*found.rows, *found.rejected]]
    assert sorted(numbers) == list(range(2, found.count + 2))
    for row in found.rows:
        line = lines[int(row.where.rpartition(" ")[2]) - 2]
        assert line.rstrip() == f"{row.id}\t{','.join(row.labels)}"
    assert len({row.id for row in found.rows}) == len(found.rows)
