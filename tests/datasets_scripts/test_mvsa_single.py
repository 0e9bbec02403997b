import os

import pytest
from datasets import ClassLabel, Image
from fabricated_sets import CONTRADICTORY_ID, clmlf_ids, jpeg, write_mvsa_single

from datasets_scripts import PostsError, joint_label, load_table
from datasets_scripts.post import SENTIMENTS
from datasets_scripts.published.protocols import read_ids

# A row a label of the text, a column a label of the image: negative, neutral, positive.
RULE = [
    ["negative", "negative", None], ["negative", "neutral", "positive"], [None, "positive", "positive"],
]  # fmt: skip


@pytest.fixture(scope="module")
def ids():
    return clmlf_ids()


@pytest.fixture
def write_set(tmp_path):
    def write(*arguments, **options):
        return write_mvsa_single(tmp_path, *arguments, **options)

    return write


def load(folder, **options):
    return load_table("mvsa_single", folder, **options)


def test_the_rule_covers_all_nine_pairs():
    assert [[joint_label(text, image) for image in SENTIMENTS] for text in SENTIMENTS] == RULE


def test_the_published_split_is_whole_and_disjoint(ids):
    sizes = {name: len(members) for name, members in ids.items()}
    assert sizes == {"train": 3611, "validation": 450, "test": 450}
    assert len({post_id for members in ids.values() for post_id in members}) == 4511


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
@pytest.mark.parametrize("bom", [b"", b"\xef\xbb\xbf"])
def test_line_endings_and_byte_order_mark_make_no_difference(write_set, newline, bom):
    folder = write_set(labels={"1": "neutral,negative"}, newline=newline, bom=bom, extra=["", ""])
    table = load(folder)
    assert table.counts["rows"] == 4512
    assert table.posts["train"].features["label"] == ClassLabel(names=list(SENTIMENTS))
    row = table.posts["train"][0]
    assert (row["id"], row["text"], row["image"].size) == ("1", "one", (20, 16))
    assert (row["label"], row["text_label"], row["image_label"]) == (0, 1, 0)


def test_contradictory_posts_keep_their_own_labels_and_get_no_joint_one(write_set):
    posts, counts, _ = load(write_set({"1": b"one", CONTRADICTORY_ID: b"mixed"}))
    row = posts["contradictory"][0]
    assert (row["id"], row["label"]) == (CONTRADICTORY_ID, None)
    assert (row["text_label"], row["image_label"]) == (2, 0)
    assert counts["splits"]["contradictory"]["present"] == 1
    assert CONTRADICTORY_ID not in posts["train"]["id"]


def test_texts_are_gb18030(write_set):
    text = "It\u2019s 你好 \u20ac"
    content = text.encode("gb18030") + b"\n"
    with pytest.raises(UnicodeDecodeError):
        content.decode("utf-8")
    folder = write_set({"1": content})
    assert load(folder).posts["train"][0]["text"] == text


def test_texts_that_do_not_decode_are_named_with_file_and_row(write_set):
    folder = write_set({"1": b"fine", "2": b"broken \xff"})
    with pytest.raises(
        PostsError, match=r"labelResultAll\.txt line 3: 2\.txt: .*not gb18030.*byte 7"
    ) as error:
        load(folder)
    assert "1.txt" not in str(error.value)
    assert load(folder, text_encoding="legacy").posts["train"]["text"][:] == ["fine", "broken"]


def test_legacy_decoding_loses_what_older_work_lost(write_set):
    content = "caf\u00e9 \u4f60 ok".encode("gb18030")
    posts = load(write_set({"1": content}), text_encoding="legacy").posts
    assert posts["train"][0]["text"] == content.decode("utf-8", errors="ignore").strip()
    assert posts["train"][0]["text"] != content.decode("gb18030")


def test_images_stay_paths_until_a_row_is_read(write_set):
    folder = write_set()
    column = load(folder).posts["train"].cast_column("image", Image(decode=False))
    assert column[0]["image"] == {"bytes": None, "path": str(folder / "data" / "1.jpg")}


def test_missing_files_are_counted_and_a_post_keeps_what_is_left(write_set, ids):
    folder = write_set({"1": b"one", "2": b"two", "3": b"three", "4": b" \n"})
    (folder / "data" / "2.jpg").unlink()
    (folder / "data" / "3.txt").unlink()
    (folder / "data" / "5.txt").write_bytes(b"")
    posts, counts, rejected = load(folder)
    rows = {row["id"]: row for row in posts["train"]}
    assert list(rows) == ["1", "2", "3", "4"]
    assert (rows["2"]["text"], rows["2"]["image"]) == ("two", None)
    assert rows["3"]["text"] is None
    assert rows["4"]["text"] is None
    assert (counts["kept"], len(rejected), counts["rows"]) == (4, 4508, 4512)
    assert counts["rejected"] == {
        "neither text nor image is on disk": 4507,
        "text is empty and no image on disk": 1,
    }
    assert counts["notes"]["image file is missing"]["first"][0].endswith("line 3: 2.jpg")
    assert counts["notes"]["text file is missing"]["first"] == ["labelResultAll.txt line 4: 3.txt"]
    assert counts["notes"]["text is empty"]["first"][0] == "labelResultAll.txt line 5: 4.txt"
    assert (counts["text_missing"], counts["image_missing"]) == (2, 1)
    assert counts["splits"]["train"] == {
        "wanted": 3611,
        "present": 4,
        "classes": {"negative": 0, "neutral": 0, "positive": 4},
    }


@pytest.mark.parametrize(("held_back", "named"), [((), []), (("test",), ["test"])])
def test_an_empty_split_stays_with_its_columns(write_set, held_back, named):
    posts, counts, _ = load(write_set(held_back=held_back))
    assert list(posts) == ["train", "validation", "test", "contradictory"]
    assert posts["test"].num_rows == 0
    assert posts["test"].features == posts["train"].features
    assert counts["splits"]["test"]["wanted"] == 450
    assert counts["held_back"] == named


def test_labelled_posts_outside_the_split_are_counted(write_set):
    folder = write_set({"1": b"one", "6000": b"new"}, labels={"6000": "neutral,neutral"})
    (row,) = [r for r in load(folder).rejected if r.id == "6000"]
    assert (row.why, row.bad) == ("in no split of the protocol", False)


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("6000\tpositive,good", "is not ID<TAB>text,image"),
        ("6000\tpositive", "is not ID<TAB>text,image"),
        ("6000 positive,positive", "is not ID<TAB>text,image"),
        ("../1\tpositive,positive", "is not ID<TAB>text,image"),
        ("\n6000\tpositive,positive", "the line is blank"),
        ("6000\tPositive,positive", "is not ID<TAB>text,image"),
        ("1\tpositive,positive", "id 1 stands in the file already"),
    ],
)
def test_a_bad_row_is_named_with_its_line(write_set, row, said):
    with pytest.raises(PostsError, match=r"labelResultAll\.txt line 4514: ") as error:
        load(write_set(extra=[row]))
    assert said in str(error.value)


def test_only_the_first_ten_offenders_are_listed(write_set):
    with pytest.raises(PostsError, match=r"\(12 in all\)") as error:
        load(write_set(extra=["bad"] * 12))
    assert str(error.value).count("line 45") == 10


def test_another_header_is_refused(write_set):
    folder = write_set()
    file = folder / "labelResultAll.txt"
    file.write_text(file.read_text().replace("text,image", "text,image\ttext,image", 1))
    with pytest.raises(PostsError, match="unexpected header"):
        load(folder)


@pytest.mark.parametrize("missing", ["label file", "data folder", "all posts"])
def test_missing_files_say_what_the_layout_is_and_whom_to_ask(write_set, tmp_path, missing):
    if missing != "label file":
        write_set()
        for file in (tmp_path / "data").iterdir():
            file.unlink()
        if missing == "data folder":
            (tmp_path / "data").rmdir()
    with pytest.raises(PostsError, match=r"ID\.jpg(.|\n)*MCRLab of the University of Ottawa"):
        load(tmp_path)


@pytest.mark.parametrize("split", ["train", "test"])
def test_a_label_file_with_gaps_in_the_split_is_refused(write_set, ids, split):
    folder = write_set()
    file = folder / "labelResultAll.txt"
    gap = ids[split][5]
    file.write_text(file.read_text().replace(f"\n{gap}\tpositive,positive", "", 1))
    with pytest.raises(PostsError, match=f"id {gap} of {split} has no row"):
        load(folder)


def test_a_split_id_without_a_joint_label_is_refused(write_set):
    with pytest.raises(PostsError, match="id 1 of train is positive against negative"):
        load(write_set(labels={"1": "positive,negative"}))


def test_unknown_names_list_the_known_ones(write_set):
    folder = write_set()
    for protocol in ("other", "folds:11", "folds", "folds:"):
        with pytest.raises(ValueError, match=f"'{protocol}'.*clmlf, folds:1 to folds:10"):
            load(folder, protocol=protocol)
    with pytest.raises(
        ValueError, match=r"'other'.*\['mvsa_multiple', 'mvsa_single', 'posts', 'tumemo'\]"
    ):
        load_table("other", "anywhere")
    with pytest.raises(ValueError, match="does not know mask_token; it takes protocol, seed"):
        load(folder, mask_token="x")
    with pytest.raises(ValueError, match="text_encoding 'gb1803'"):
        load(folder, text_encoding="gb1803")
    with pytest.raises(ValueError, match="on_bad_rows 'skip': one of stop, drop"):
        load(folder, on_bad_rows="skip")


def test_bad_rows_are_dropped_on_demand_and_none_is_lost(write_set):
    lines = ["6000\tpositive,good", "", "1\tpositive,positive", "nonsense"]
    folder = write_set({"1": b"one", "2": b"\xff", "3": b"three"}, extra=lines)
    (folder / "data" / "3.jpg").write_bytes(jpeg()[:300])
    posts, counts, rejected = load(folder, on_bad_rows="drop")
    assert posts["train"]["id"][:] == ["1"]
    bad = {row.where.split()[-1]: row.why for row in rejected if row.bad}
    assert bad == {
        "4514": "row is not ID<TAB>text,image",
        "4515": "row is not ID<TAB>text,image",
        "4516": "id stands in the file twice",
        "4517": "row is not ID<TAB>text,image",
        "3": "text is not gb18030",
        "4": "image cannot be read",
    }
    assert counts["kept"] + len(rejected) == counts["rows"] == 4512 + len(lines)
    assert sum(counts["rejected"].values()) == len(rejected)


def test_an_id_whose_row_is_bad_is_no_gap_in_the_split(write_set):
    folder = write_set({"1": b"one"}, labels={"3": "positive,good"})
    with pytest.raises(PostsError, match=r"line \d+: '3.tpositive,good' is not ID"):
        load(folder)
    counts = load(folder, on_bad_rows="drop").counts
    assert counts["splits"]["train"]["wanted"] == 3611


COMPLETE = {"positive,positive": 2683, "neutral,neutral": 470, "neutral,negative": 1358}


def complete_labels(changed=0):
    """Labels of a made-up complete set: 4,869 rows, the published classes, 358 contradictory."""
    pairs = [pair for pair, number in COMPLETE.items() for _ in range(number)]
    ids = [i for members in clmlf_ids().values() for i in members]
    others = [str(i) for i in range(1, 5130) if str(i) not in set(ids)][:358]
    labels = dict(zip(ids, pairs, strict=True)) | dict.fromkeys(others, "negative,positive")
    return labels | dict.fromkeys(ids[:changed], "neutral,neutral")


def test_a_complete_set_has_the_published_counts(write_set):
    labels = complete_labels()
    folder = write_set({i: i.encode() for i in ("1", "16", "17", "37")}, labels=labels)
    posts, counts, rejected = load(folder)
    assert counts["rows"] == 4869 == len(labels)
    assert {name: len(split) for name, split in posts.items()} == dict.fromkeys(posts, 1)
    wanted = {name: split["wanted"] for name, split in counts["splits"].items()}
    assert wanted == {"train": 3611, "validation": 450, "test": 450, "contradictory": 358}
    assert counts["kept"] + len(rejected) == 4869


def test_a_complete_set_with_other_classes_is_refused(write_set):
    folder = write_set(labels=complete_labels(changed=3))
    with pytest.raises(
        PostsError, match=r"differ from the published ones(.|\n)*neutral: 473, published 470"
    ):
        load(folder)


@pytest.mark.parametrize("number", [1, 10])
def test_a_fold_has_its_lists_and_trains_on_the_rest(write_set, ids, number):
    fold = read_ids("folds")[str(number)]
    chosen = [fold["validation"][0], fold["test"][-1]]
    train = next(i for i in ids["train"] if i not in {*fold["validation"], *fold["test"]})
    folder = write_set({i: i.encode() for i in [*chosen, train]})
    posts, counts, _ = load(folder, protocol=f"folds:{number}")
    assert posts["validation"]["id"][:] == chosen[:1]
    assert posts["test"]["id"][:] == chosen[1:]
    assert posts["train"]["id"][:] == [train]
    wanted = {name: split["wanted"] for name, split in counts["splits"].items()}
    size = len(fold["test"])
    assert wanted == {
        "train": 4511 - 2 * size, "validation": size, "test": size, "contradictory": 1,
    }  # fmt: skip
    assert counts["protocol"] == f"folds:{number}"


def test_the_lists_of_the_folds_are_those_in_circulation(ids):
    every = {i for members in ids.values() for i in members}
    folds = read_ids("folds")
    assert list(folds) == [str(number) for number in range(1, 11)]
    tests = [i for fold in folds.values() for i in fold["test"]]
    assert len(tests) == len(set(tests)) == 4511
    assert set(tests) == every
    for fold in folds.values():
        assert len(fold["validation"]) == len(fold["test"]) in (451, 452)
        assert not set(fold["validation"]) & set(fold["test"])
        assert set(fold["validation"]) <= every


def test_the_agreement_lists_are_those_of_the_published_split(ids):
    lists = read_ids("agreement")
    sizes = {name: len(set(members)) for name, members in lists.items()}
    assert sizes == {"validation": 518, "test": 519}
    assert not set(lists["validation"]) & set(lists["test"])
    # As counted on the published files: the two splits may never be mixed.
    assert len(set(lists["test"]) & set(ids["train"])) == 407


def test_agreement_takes_pairs_of_equal_labels_only(write_set):
    lists = read_ids("agreement")
    posts = {i: i.encode() for i in ("1", "2", lists["validation"][0], lists["test"][0])}
    folder = write_set(posts, labels={"2": "neutral,positive"})
    splits, counts, rejected = load(folder, protocol="agreement")
    assert splits["train"]["id"][:] == ["1"]
    assert splits["validation"]["id"][:] == lists["validation"][:1]
    assert splits["test"]["id"][:] == lists["test"][:1]
    assert [row.id for row in rejected if row.why == "in no split of the protocol"] == ["2"]
    assert counts["splits"]["train"]["wanted"] == 1555


def test_agreement_refuses_listed_ids_of_unequal_labels(write_set):
    listed = read_ids("agreement")["test"][0]
    folder = write_set(labels={listed: "neutral,positive"})
    with pytest.raises(PostsError, match=f"id {listed} of test has unequal labels"):
        load(folder, protocol="agreement")


@pytest.mark.parametrize(("protocol", "size"), [("folds:1", 452), ("agreement", 519)])
def test_other_protocols_live_with_a_part_held_back(write_set, ids, protocol, size):
    rest = set(ids["train"]).difference(*read_ids("folds")["1"].values())
    rest = rest.difference(*read_ids("agreement").values())
    folder = write_set({min(rest): b"one"}, held_back=["test"])
    counts = load(folder, protocol=protocol).counts
    assert counts["splits"]["test"]["wanted"] == size
    assert counts["held_back"] == ["test"]


def test_grouped_keeps_copies_together_and_contradictory_copies_out(write_set, ids):
    chosen = ids["train"][:40]
    texts = {i: f"text {int(i) // 3}".encode() for i in chosen}
    first = ["3", "4"]  # a group of three with the contradictory post, as most others are
    texts |= dict.fromkeys(first, b"RT @somebody: The  SAME text http://t.co/abc")
    texts[CONTRADICTORY_ID] = b"the same text"
    folder = write_set(texts)
    same_picture = [chosen[10], chosen[20]]
    for post_id in same_picture:
        (folder / "data" / f"{post_id}.jpg").write_bytes(jpeg(5000))
    homes = set()
    for seed in range(8):
        posts, counts, rejected = load(folder, protocol="grouped", seed=seed)
        split_of = {i: name for name, split in posts.items() for i in split["id"]}
        assert len({split_of[i] for i in same_picture}) == 1
        (home,) = {split_of[i] for i in first}
        homes.add(home)
        others = [leak for pair, leak in counts["leakage"].items() if "contradictory" not in pair]
        assert all(leak == {"image": 0, "text": 0} for leak in others)
        aside = posts["contradictory"]["id"][:]
        left_out = [row.id for row in rejected if "shares its image or text" in row.why]
        assert (aside, left_out) == (
            ([CONTRADICTORY_ID], []) if home == "train" else ([], [CONTRADICTORY_ID])
        )
        assert counts["protocol"] == f"grouped, seed {seed}"
        assert counts["kept"] + len(rejected) == counts["rows"]
    assert len(homes) > 1


@pytest.fixture(scope="module")
def real_folder():
    folder = os.environ.get("HYBRIDSENT_MVSA_SINGLE")
    if not folder:
        pytest.skip("HYBRIDSENT_MVSA_SINGLE is not set to a folder with MVSA-Single")
    return folder


@pytest.fixture(scope="module")
def real(real_folder):
    return load(real_folder)


def test_real_counts_fit_the_published_ones(real):
    splits = real.counts["splits"]
    labelled = [split for name, split in splits.items() if name != "contradictory"]
    found = {label: sum(split["classes"][label] for split in labelled) for label in SENTIMENTS}
    complete = {"negative": 1358, "neutral": 470, "positive": 2683}
    unlabelled = sum(splits[name]["wanted"] for name in real.counts["held_back"])
    assert splits["contradictory"]["present"] == 358
    assert real.counts["rows"] == 4869 - unlabelled
    assert sum(found.values()) == 4511 - unlabelled
    assert all(found[label] <= complete[label] for label in SENTIMENTS)
    # The split was drawn by class: what is held back must have the shares of the whole.
    for label in SENTIMENTS:
        assert complete[label] - found[label] == pytest.approx(
            complete[label] * unlabelled / 4511, abs=1
        )


def test_real_files_are_all_there(real):
    splits = real.counts["splits"]
    assert (real.rejected, real.counts["text_missing"], real.counts["image_missing"]) == ([], 0, 0)
    assert (splits["train"]["present"], splits["validation"]["present"]) == (3611, 450)
    assert splits["test"]["present"] == (0 if "test" in real.counts["held_back"] else 450)


def test_real_grouped_split_shares_nothing(real_folder):
    counts = load(real_folder, protocol="grouped").counts
    leaks = [leak for pair, leak in counts["leakage"].items() if "contradictory" not in pair]
    assert leaks == [{"image": 0, "text": 0}] * 3
    for label in SENTIMENTS:
        train, validation, test = (
            counts["splits"][name]["classes"][label] for name in ("train", "validation", "test")
        )
        tenth = (train + validation + test) / 10
        assert (validation, test) == pytest.approx((tenth, tenth), abs=1.5)


def test_real_joint_label_is_mostly_the_image_label(real):
    rows = [
        row
        for name in ("train", "validation", "test")
        for row in real.posts[name].select_columns(["label", "text_label", "image_label"])
    ]
    shares = {
        column: sum(row[column] == row["label"] for row in rows) / len(rows)
        for column in ("image_label", "text_label")
    }
    assert shares["image_label"] == pytest.approx(0.896, abs=0.002)
    assert shares["text_label"] == pytest.approx(0.678, abs=0.002)


def test_real_images_and_texts_can_be_read(real):
    for row in real.posts["train"].select(range(0, 3611, 400)):
        assert row["image"].mode == "RGB"
        assert 0 < len(row["text"]) <= 160
