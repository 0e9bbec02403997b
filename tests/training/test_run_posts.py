"""The posts of a run: what is learned from, chosen on and scored, and in which form of the texts."""

import json
from dataclasses import FrozenInstanceError

import pytest
from datasets import DatasetDict, Image
from fabricated_sets import write_tumemo
from PIL import Image as Picture
from tiny_models import IMAGE_SIZE, VISION_CONFIGS, picture, save_tiny_encoders
from transformers import CLIPImageProcessor, ResNetModel, ViltImageProcessor, ViTImageProcessor

from datasets_scripts import EMOTIONS
from datasets_scripts.post import CONTRADICTORY
from datasets_scripts.preparing import prepare
from datasets_scripts.published.label_words import MASKED
from datasets_scripts.published.text_forms import PUBLISHED
from datasets_scripts.table import Table
from hybridsent.bundled.synthetic import write_posts
from hybridsent.training.arguments import (
    DataArguments,
    HybridSentTrainingArguments,
    ModelArguments,
)
from hybridsent.training.model import build_model, build_processor
from hybridsent.training.run_posts import (
    choose_posts,
    describe_counts,
    describe_gaps,
    has_modality,
    load_posts,
    write_rejected,
)
from modeling_hybridsent import HybridSentProcessor

SIZES = {"train": 30, "validation": 8, "test": 8}
LABELS = {str(i): EMOTIONS[i % 7] for i in range(60)}
TEXTS = {i: f"so {label.lower()} today".encode() for i, label in LABELS.items()} | {"7": b""}


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    folder = write_posts(tmp_path_factory.mktemp("data") / "posts", sizes=SIZES)
    return load_posts(DataArguments(dataset="posts", data_dir=str(folder)))


@pytest.fixture(scope="module")
def tumemo(tmp_path_factory):
    return write_tumemo(tmp_path_factory.mktemp("tumemo"), LABELS, TEXTS)


def choose(splits, **settings):
    settings = {"dataset": "posts", **settings}
    return choose_posts(Table(DatasetDict(splits), {}, []), DataArguments(**settings), None)


def choose_tumemo(folder, mask, token="<mask>"):
    data = DataArguments(dataset="tumemo", data_dir=str(folder), mask_label_words=mask)
    return choose_posts(load_posts(data), data, token)


def expected(posts, masked):
    return [
        None if row["id"] == "7" else "so <mask> today" if masked else TEXTS[row["id"]].decode()
        for row in posts
    ]


def test_images_stay_undecoded_until_the_collator(table):
    assert table.posts["train"].features["image"] == Image(decode=False)


def test_posts_that_have_a_modality_are_found_in_any_order(table, monkeypatch):
    monkeypatch.setattr("hybridsent.training.run_posts.ROWS_AT_ONCE", 7)
    mixed = table.posts["train"].shuffle(seed=0).select(range(20))
    for modality in ("text", "image"):
        has = [value is not None for value in mixed[modality]]
        assert has_modality(mixed, modality).tolist() == has
        assert not all(has)
    assert has_modality(mixed.select([]), "image").tolist() == []


def test_contradictory_posts_join_only_when_asked(table):
    splits = {**table.posts, CONTRADICTORY: table.posts["test"]}
    assert len(choose(splits).train) == 30
    assert len(choose(splits, use_contradictory_posts=True).train) == 38
    assert len(choose(splits, max_train_posts=7).train) == 7


def test_test_posts_are_scored_only_if_they_have_labels(table):
    splits, test = dict(table.posts), table.posts["test"]
    unlabelled = test.map(lambda row: {"label": None}, features=test.features)
    assert choose(splits).scored[0].split == "test"
    del splits["test"]
    for more in ({}, {"test": unlabelled}, {"test": test.select([])}):
        (scored,) = choose(splits | more).scored
        assert (scored.name, scored.posts) == ("validation", splits["validation"])


def write_csv(folder, header="text,label", **splits):
    for name, rows in splits.items():
        (folder / f"{name}.csv").write_text("\n".join([header, *rows]) + "\n")
    return load_posts(DataArguments("posts", str(folder), on_bad_rows="drop"))


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ({"posts": [f"{i},{'abc'[i % 3]}" for i in range(3)]}, "there are no validation posts"),
        (
            {"train": ["one,a", "two,b"], "validation": ["three,C", "four,D"]},
            "2 rows became no post, among them:\n  ",
        ),
        (
            {"train": ["one,a", "two,b"], "validation": ["three,"]},
            "there are no validation posts; 1 rows",
        ),
    ],
)
def test_without_a_labelled_validation_post_nothing_starts(tmp_path, rows, said):
    with pytest.raises(ValueError, match="on validation posts with labels") as error:
        choose_posts(write_csv(tmp_path, **rows), DataArguments("posts", str(tmp_path)), None)
    assert said in str(error.value)
    assert str(tmp_path) in str(error.value)


def test_labels_without_posts_and_too_few_posts_are_said(table, tmp_path):
    train, validation = table.posts["train"], table.posts["validation"]
    few = train.filter(lambda row: row["label"] != 1)
    run = choose({"train": few, "validation": validation})
    arguments = HybridSentTrainingArguments(output_dir=str(tmp_path))
    name = run.label_names[1]
    assert f"no training post has the label {name}. Add posts" in describe_gaps(run, arguments)
    run = choose({"train": train, "validation": validation})
    assert describe_gaps(run, arguments) == ""
    arguments.dataloader_drop_last, arguments.per_device_train_batch_size = True, 31
    with pytest.raises(ValueError, match="There are 30 training posts, and a step needs 31"):
        describe_gaps(run, arguments)
    with pytest.raises(ValueError, match="There are 0 training posts, and a step needs 31"):
        describe_gaps(
            choose({"train": train, "validation": validation}, max_train_posts=0), arguments
        )


def test_the_limit_of_pixels_reaches_posts_and_processor(tmp_path):
    Picture.new("RGB", (40, 30)).save(tmp_path / "a.png")
    write_csv(tmp_path, "text,label,image", train=["one,a,a.png", "x,b,"], validation=["two,a,"])
    data = DataArguments("posts", str(tmp_path))
    assert load_posts(data, 1200).posts["train"].num_rows == 2
    with pytest.raises(ValueError, match="max_image_pixels=1199"):
        load_posts(data, 1199)
    save_tiny_encoders(tmp_path)
    models = ModelArguments(
        str(tmp_path / "text"), str(tmp_path / "vision"), max_image_pixels=2 * 10**8
    )
    assert build_processor(models).max_image_pixels == 2 * 10**8


def test_a_limit_of_tokens_above_the_encoders_positions_is_refused_before_training(tmp_path):
    save_tiny_encoders(tmp_path)
    encoders = str(tmp_path / "text"), str(tmp_path / "vision")
    sizes = {"hidden_size": 16, "num_attention_heads": 2}
    models = ModelArguments(*encoders, model_config=sizes, max_text_length=129)
    said = (
        "--max_text_length 129: the text encoder .*text has positions for 128 tokens; give at most"
    )
    with pytest.raises(ValueError, match=said):
        build_model(models, ["a", "b"])
    models.max_text_length = 128
    assert build_model(models, ["a", "b"]).base_model.positions == 128


@pytest.mark.parametrize(
    ("images", "kept"),
    [
        (ViTImageProcessor(), {"size": {"height": 96, "width": 96}, "crop_size": {}}),
        (
            CLIPImageProcessor(),
            {"size": {"shortest_edge": 96}, "crop_size": {"height": 96, "width": 96}},
        ),
    ],
)
def test_images_get_the_size_that_is_asked_for(images, kept, tmp_path):
    save_tiny_encoders(tmp_path)
    ResNetModel(VISION_CONFIGS["resnet"]()).save_pretrained(tmp_path / "vision")
    images.save_pretrained(tmp_path / "vision")
    models = ModelArguments(
        str(tmp_path / "text"),
        str(tmp_path / "vision"),
        model_config={"hidden_size": 16, "num_attention_heads": 2},
        image_size=96,
    )
    processor = build_processor(models)
    assert processor(images=[picture()])["pixel_values"].shape == (1, 3, 96, 96)
    processor.save_pretrained(tmp_path / "saved")
    saved = HybridSentProcessor.from_pretrained(tmp_path / "saved").image_processor
    assert {name: dict(getattr(saved, name) or {}) for name in kept} == kept
    assert build_model(models, ["a", "b"]).config.num_labels == 2
    models.image_size = 10_000  # the saved processor would not load
    with pytest.raises(ValueError, match="has more pixels than max_image_pixels="):
        build_processor(models)
    models.image_size = 0
    with pytest.raises(ValueError, match="--image_size 0: give the sides of the images"):
        build_processor(models)


def test_a_size_of_images_that_an_encoder_cannot_take_is_refused_before_training(tmp_path):
    save_tiny_encoders(tmp_path)
    encoders = str(tmp_path / "text"), str(tmp_path / "vision")
    sizes = {"hidden_size": 16, "num_attention_heads": 2}
    models = ModelArguments(*encoders, model_config=sizes, image_size=2 * IMAGE_SIZE)
    said = "--image_size 128: the vision encoder .*vision takes no images of that size. Give .* 64"
    with pytest.raises(ValueError, match=said):
        build_model(models, ["a", "b"])
    models.image_size = IMAGE_SIZE
    build_model(models, ["a", "b"])


def test_an_image_processor_that_makes_images_of_another_size_is_named(tmp_path):
    save_tiny_encoders(tmp_path)
    models = ModelArguments(str(tmp_path / "text"), str(tmp_path / "vision"), image_size=96)
    ViltImageProcessor().save_pretrained(tmp_path / "vision")  # keeps the shape of the image
    said = r"--image_size 96: the image processor of .*vision makes \(64, 128\) of an image. Give"
    with pytest.raises(ValueError, match=said):
        build_processor(models)
    (tmp_path / "vision" / "preprocessor_config.json").unlink()
    described = {"input_size": [3, 64, 64], "mean": [0.5] * 3, "std": [0.5] * 3}
    settings = {"architecture": "test_efficientnet", "num_classes": 9, "pretrained_cfg": described}
    (tmp_path / "vision" / "config.json").write_text(json.dumps(settings))
    with pytest.raises(ValueError, match=r"makes \(64, 64\) of an image"):
        build_processor(models)
    models.image_size = 64
    assert build_processor(models)(images=[picture()])["pixel_values"].shape == (1, 3, 64, 64)


def test_a_run_is_a_value_whose_posts_are_replaced_in_a_copy(table):
    run = choose(table.posts)
    assert list(run.by_name()) == ["train", "validation", "test"]
    copy = run.with_posts({name: rows.select([0]) for name, rows in run.by_name().items()})
    assert [len(rows) for rows in copy.by_name().values()] == [1, 1, 1]
    assert [len(rows) for rows in run.by_name().values()] == [30, 8, 8]
    with pytest.raises(FrozenInstanceError):
        run.train = copy.train


@pytest.mark.parametrize("mask", [True, False])
def test_all_posts_have_one_form_and_the_scored_ones_the_other_one_too(tumemo, mask):
    run = choose_tumemo(tumemo, mask)
    scored, other = run.scored
    for posts in (run.train, run.validation, scored.posts):
        assert posts["text"] == expected(posts, mask)
    assert other.posts["text"] == expected(other.posts, not mask)
    for column in ("id", "label", "image"):
        assert other.posts[column] == scored.posts[column]
    forms = [MASKED, PUBLISHED] if mask else [PUBLISHED, MASKED]
    assert [each.form for each in run.scored] == forms
    assert [each.name for each in run.scored] == [f"test, {form}" for form in forms]
    assert run.counts.get("masked_posts") == (59 if mask else None)
    assert run.counts["protocol"] == ("hash, label words masked by <mask>" if mask else "hash")


def test_the_mask_is_that_of_the_sets_reader_where_the_tokenizer_has_none(tumemo):
    assert "so [MASK] today" in choose_tumemo(tumemo, True, token=None).train["text"]


@pytest.mark.parametrize("early", [False, True])
@pytest.mark.parametrize("mask", [False, True])
def test_a_set_masked_when_it_was_prepared_has_one_form(tumemo, tmp_path, mask, early):
    """`early`: a folder from before the counts had a field for it."""
    prepare("tumemo", tumemo, tmp_path / "out", mask_label_words=True)
    if early:
        summary = tmp_path / "out" / "summary.json"
        content = json.loads(summary.read_text())
        del content["counts"]["masked_posts"]
        summary.write_text(json.dumps(content))
    (scored,) = choose_tumemo(tmp_path / "out", mask).scored
    assert scored.form == MASKED
    assert "so [MASK] today" in scored.posts["text"]


def test_other_sets_have_no_forms(table):
    assert [each.form for each in choose(table.posts).scored] == [""]
    with pytest.raises(ValueError, match="--mask_label_words is for --dataset tumemo, not posts"):
        DataArguments(dataset="posts", mask_label_words=True)


def test_options_of_the_reader_come_as_json_or_mapping(tumemo):
    for options in ('{"mask_label_words": true}', {"mask_label_words": True}):
        arguments = DataArguments("tumemo", str(tumemo), protocol="hash", dataset_options=options)
        assert "masked" in load_posts(arguments).counts["protocol"]
    with pytest.raises(ValueError, match=r"tumemo does not know masks; it takes protocol"):
        load_posts(DataArguments("tumemo", str(tumemo), dataset_options={"masks": 1}))


def test_rejected_rows_are_kept_in_the_output_folder(tmp_path):
    raw = write_tumemo(tmp_path, {str(i): EMOTIONS[i % 7] for i in range(40)})
    (raw / "all_data" / "5.jpg").write_bytes(b"")
    table = load_posts(DataArguments("tumemo", str(raw), on_bad_rows="drop"))
    write_rejected(table.rejected, str(tmp_path / "out"))
    (line,) = (tmp_path / "out" / "rejected.jsonl").read_text().splitlines()
    assert json.loads(line)["id"] == "5"
    write_rejected([], str(tmp_path / "out"))  # as after a run on corrected rows
    assert not list((tmp_path / "out").iterdir())
    write_rejected([], str(tmp_path / "none"))
    assert not (tmp_path / "none").exists()


def test_set_without_folder_is_named():
    with pytest.raises(ValueError, match=r"mvsa_single.*--data_dir"):
        load_posts(DataArguments(dataset="mvsa_single"))


def test_counts_tell_what_is_missing():
    counts = {
        "splits": {"train": {"wanted": 9, "present": 9}, "test": {"wanted": 4, "present": 0}},
        "image_missing": 2,
        "text_missing": 0,
        "rejected": {"image cannot be read": 3},
    }
    assert describe_counts(counts) == (
        "9 train, 0 of 4 test; 2 without image; 3 rejected (image cannot be read)"
    )
