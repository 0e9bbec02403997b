"""Rated sentences are read out of a source distribution made here, and MiniLM learns from them."""

import hashlib
import io
import tarfile

import pytest

from hybridsent.bundled import rated_texts, tune_text_encoder
from hybridsent.bundled.low_rank import read_difference
from hybridsent.support.errors import PostsError

TABLES = {
    "tweets": ["1\t2.0\tgood day", "40\t0.7\twow", "41\t-3.5\tRT @name bad day http://t.co/a"],
    "movieReviewSnippets": [f"{i}\t{i % 9 - 4}\tfilm number {i}" for i in range(32)],
    "amazonReviewSnippets": ["33_2\t2.6\twow!", "1_1\t1.0\tit works"],
    "nytEditorialSnippets": ["1_1\t0.4\tGood day!"],
}


def archive(files):
    """A compressed tar with these contents; None makes a link."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            if content is None:
                member.type, member.linkname = tarfile.SYMTYPE, "/etc/passwd"
            else:
                member.size = len(content)
            tar.addfile(member, io.BytesIO(content or b""))
    return buffer.getvalue()


@pytest.fixture
def write_sdist(tmp_path):
    """A function that writes a source distribution with these tables; returns file and digest."""

    def write(**changed):
        tables = {name: "\r\n".join(rows).encode() for name, rows in TABLES.items()} | changed
        ratings = archive({rated_texts.TABLES[name]: table for name, table in tables.items()})
        content = archive({rated_texts.RATINGS: ratings})
        file = tmp_path / rated_texts.NAME
        file.write_bytes(content)
        return file, hashlib.sha256(content).hexdigest()

    return write


def test_tables_are_read_and_nothing_is_unpacked(write_sdist, tmp_path):
    file, digest = write_sdist()
    rated = rated_texts.read_rated_texts(file, digest)
    assert {name: len(texts) for name, texts in rated.items()} == {
        "tweets": 2,  # "wow" is in MVSA-Single
        "movieReviewSnippets": 32,
        "amazonReviewSnippets": 1,
        "nytEditorialSnippets": 1,
    }
    assert rated["tweets"][0] == ("good day", 0.5)
    assert rated["movieReviewSnippets"][0] == ("film number 0", -1)
    assert list(tmp_path.iterdir()) == [file]


def test_another_file_is_refused_before_it_is_opened(write_sdist, tmp_path):
    file, _ = write_sdist()
    with pytest.raises(PostsError, match=r"this is not vaderSentiment-3\.3\.2(.|\n)*pip download"):
        rated_texts.read_rated_texts(file)
    with pytest.raises(PostsError, match=r"no such file\nType: pip download"):
        rated_texts.read_rated_texts(tmp_path / "absent")


@pytest.mark.parametrize(
    ("table", "problem"),
    [
        (None, "tweets_GroundTruth.txt is missing"),
        (b"1\t2.0\tgood\n2\tgood", "line 2 is not id, rating and text"),
        (b"1\tnan\tgood", "line 1 is not id, rating and text"),
        (b"1\t4.5\tgood", "line 1: a rating beyond -4 to 4: 4.5"),
    ],
    ids=["link", "field", "number", "range"],
)
def test_what_is_no_table_of_ratings_is_named(table, problem, write_sdist):
    with pytest.raises(PostsError, match=problem):
        rated_texts.read_rated_texts(*write_sdist(tweets=table))


def test_held_out_tweets_share_no_wording_with_the_others():
    def rows(name, count):
        return [rated_texts.RatedText(f"{name} {i}", 0.0) for i in range(count)]

    twins = [rated_texts.RatedText(f"Tweet {i}!!!", 0.5) for i in range(300)]
    rated = {name: rows(name, 9000) for name in rated_texts.TABLES}
    rated["tweets"] = rows("tweet", 600) + twins
    train, held_out = rated_texts.split_texts(rated)
    assert (len(train), len(held_out)) == (rated_texts.TRAINED, rated_texts.HELD_OUT)
    held = {text.lower().strip("!") for text, _ in held_out}
    trained = {text.lower().strip("!") for text, _ in train}
    assert len(trained) > 9000
    assert not held & trained
    assert rated_texts.split_texts(rated) == (train, held_out)


def test_without_the_file_the_command_says_how_to_get_it(capsys, tmp_path):
    with pytest.raises(SystemExit) as exit_:
        tune_text_encoder.main(["--output", str(tmp_path / "out")])
    assert exit_.value.code == 2
    assert rated_texts.DOWNLOAD in capsys.readouterr().err
    wrong = tmp_path / "sdist"
    wrong.write_bytes(b"")
    assert tune_text_encoder.main(["--sdist", str(wrong), "--output", str(tmp_path / "out")]) == 1
    assert rated_texts.DOWNLOAD in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_difference_is_learnt_and_written(write_sdist, tmp_path, capsys):
    file, digest = write_sdist()
    output = tmp_path / "difference.safetensors"
    tune_text_encoder.tune_text_encoder(file, output, digest=digest)
    assert "Pearson's r on 2 held-out tweets: " in capsys.readouterr().out
    difference = read_difference(output, hashlib.sha256(output.read_bytes()).hexdigest())
    assert len(difference.factors) == 2 * 36
    assert all(factor.any() for factor in difference.factors.values())  # B starts as zeros
    assert difference.about["sentences"] == 34
    assert difference.head["weight"].shape == (384,)


def test_texts_are_learnt_as_the_processor_cleans_them(write_sdist):
    tweets = rated_texts.read_rated_texts(*write_sdist())["tweets"]
    assert [text for text, _ in tune_text_encoder._clean(tweets)] == ["good day", "bad day"]
