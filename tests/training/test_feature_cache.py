"""Training from stored encoder states: same numbers, no encoder call, and never the wrong states."""

import copy

import pytest
import torch
from tiny_models import tiny_model, tiny_processor
from tiny_trainer import tiny_posts, trainer_of

from hybridsent.evaluation.final_scores import fit_temperatures, score_posts, store_temperatures
from hybridsent.training.arguments import HybridSentTrainingArguments
from hybridsent.training.encoder_layers import prepare_encoders
from hybridsent.training.encoder_states import describe_processor
from hybridsent.training.feature_cache import FeatureCache
from hybridsent.training.run_posts import ScoredSet

SIZES = {"train": 30, "validation": 10, "test": 12}
FROZEN = {"image": {"text_encoder_learning_rate": 0.001}, "both": {"text_encoder_learning_rate": 0}}


@pytest.fixture(scope="module")
def posts(tmp_path_factory):
    posts = tiny_posts(tmp_path_factory.mktemp("posts") / "posts", SIZES)
    assert None in posts["train"]["text"]
    assert None in posts["train"]["image"]
    return posts


def arguments(folder, **changed):
    settings = {
        "output_dir": str(folder / "out"),
        "cache_folder": str(folder / "cache"),
        "cache_features": True,
        "learning_rate": 0.01,
        "vision_encoder_learning_rate": 0,
        "num_train_epochs": 2,
        "per_device_train_batch_size": 4,
        "per_device_eval_batch_size": 4,
        "disable_tqdm": True,
        "cpu_threads": 1,
        "seed": 3,
    }
    return HybridSentTrainingArguments(**settings | changed)


def build(settings, **kwargs):
    model = tiny_model(hidden_dropout=0.2, **kwargs)
    prepare_encoders(model, settings)
    return model


def run(posts, settings, **kwargs):
    """Train and score: losses of all steps, what the end of a run reports, encoder calls, model."""
    model, processor, states = build(settings, **kwargs), tiny_processor(), {}
    if settings.cache_features:
        posts, states = FeatureCache(model, processor, settings).attach(posts)
    losses, calls = [], set()
    model.register_forward_hook(lambda *call: losses.append(call[2].loss.item()))
    for name in ("text", "vision"):
        encoder = getattr(model.hybridsent, f"{name}_model")
        encoder.register_forward_hook(lambda *_, name=name: calls.add(name))
    trainer = trainer_of(model, settings, posts, states=states, processing_class=processor)
    trainer.train()
    calibration = fit_temperatures(trainer, posts["validation"])
    store_temperatures(model.config, calibration)
    scored = score_posts(trainer, ScoredSet("test", "", posts["test"]))
    return losses, calibration, scored, calls, model


def assert_close(got, expected, tolerance=1e-4):
    torch.testing.assert_close(torch.tensor(got), torch.tensor(expected), atol=tolerance, rtol=0)


@pytest.mark.parametrize("frozen", FROZEN)
@pytest.mark.parametrize("vision", ["vit", "resnet"])
def test_losses_and_scores_are_those_without_cache(frozen, vision, posts, tmp_path):
    rates = FROZEN[frozen]
    plain = run(posts, arguments(tmp_path, cache_features=False, **rates), vision=vision)
    cached = run(posts, arguments(tmp_path, **rates), vision=vision)
    assert len(plain[0]) > 16  # two epochs of eight steps, and the scoring
    assert_close(cached[0], plain[0])
    for given, row in plain[1]["inputs"].items():
        for name in ("temperature", "nll_after", "ece_after"):
            assert_close(cached[1]["inputs"][given][name], row[name])
    assert cached[1]["energy_limits"] == pytest.approx(plain[1]["energy_limits"], abs=1e-4)
    for got, expected in zip(cached[2].rows, plain[2].rows, strict=True):
        assert got == pytest.approx(expected, abs=1e-4)
    assert_close(cached[2].logits, plain[2].logits)
    assert (cached[3], plain[3]) == ({"text"} if frozen == "image" else set(), {"text", "vision"})


@pytest.mark.parametrize("vision", ["timm", "resnet"])
def test_a_cached_front_trains_as_the_whole_encoder_does(vision, posts, tmp_path):
    settings = {"vision_encoder_learning_rate": 0.001, "vision_encoder_trained_layers": 1}
    plain = run(posts, arguments(tmp_path, cache_features=False, **settings), vision=vision)
    cached = run(posts, arguments(tmp_path, **settings), vision=vision)
    assert_close(cached[0], plain[0])
    assert_close(cached[2].logits, plain[2].logits)
    fresh = build(arguments(tmp_path, **settings), vision=vision).state_dict()
    moved = set()
    for name, tensor in cached[4].state_dict().items():
        torch.testing.assert_close(tensor, plain[4].state_dict()[name], atol=1e-4, rtol=0)
        moved |= {name} if not torch.equal(tensor, fresh[name]) else set()
    assert any("vision_model" in name for name in moved)


def test_batches_that_wholly_lack_a_modality(posts, tmp_path):
    """With one post a batch, dropout must draw for the same shapes as without the cache."""
    settings = {"per_device_train_batch_size": 1, "num_train_epochs": 1, **FROZEN["both"]}
    plain = run(posts, arguments(tmp_path, cache_features=False, **settings))
    assert_close(run(posts, arguments(tmp_path, **settings))[0], plain[0])


def test_half_the_space_costs_little_precision(posts, tmp_path):
    losses, sizes = [], []
    for dtype in ("float32", "bfloat16"):
        folder = tmp_path / dtype
        losses.append(run(posts, arguments(folder, cache_dtype=dtype), vision="resnet")[0])
        sizes.append(sum(file.stat().st_size for file in folder.glob("cache/*/*.arrow")))
    assert sizes[1] < 0.6 * sizes[0]
    assert losses[1] != losses[0]
    assert_close(losses[1], losses[0], tolerance=0.02)


def test_half_precision_training_is_encoded_in_half_precision(posts, tmp_path):
    settings = arguments(tmp_path, bf16=True, per_device_eval_batch_size=1)
    model = build(settings)
    attached, states = FeatureCache(model, tiny_processor(), settings).attach(posts)
    row = next(row for row in attached["test"] if row["image"] is not None)
    stored = states["image"].of_images([row["image_states"]])["image_encoder_outputs"]
    pixels = tiny_processor()(images=[row["image"]])["pixel_values"]
    with torch.no_grad():
        whole = model.hybridsent.get_image_encoder_outputs(pixels)
        with torch.autocast("cpu", torch.bfloat16):
            half = model.hybridsent.get_image_encoder_outputs(pixels)
    for got, expected, other in zip(stored, half, whole, strict=True):
        torch.testing.assert_close(got, expected.float(), atol=1e-6, rtol=0)
        assert (got - other).abs().max() > 1e-4


def test_the_saved_model_takes_images_and_texts(posts, tmp_path):
    model = run(posts, arguments(tmp_path, num_train_epochs=1, **FROZEN["both"]))[4].eval()
    model.save_pretrained(tmp_path / "saved")
    again = type(model).from_pretrained(tmp_path / "saved")
    row = next(row for row in posts["test"] if row["text"] and row["image"])
    inputs = tiny_processor()(text=[row["text"]], images=[row["image"]])
    inputs["labels"] = torch.tensor([row["label"]])
    with torch.no_grad():
        found, expected = again(**inputs).logits, model(**inputs).logits
    # Not to the bit: weights that lie elsewhere in memory may be multiplied in another order.
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=0)


def test_an_empty_split_and_one_without_images(posts, both):
    other = copy.copy(posts)
    gaps = [i for i, image in enumerate(posts["train"]["image"]) if image is None]
    other["validation"] = posts["train"].select(gaps)
    other["test"] = posts["test"].select([])
    attached, states = FeatureCache(build(both), tiny_processor(), both).attach(other)
    assert len(attached["test"]) == 0
    assert set(attached["validation"]["image_states"]) == {None}
    assert len(states["image"].rows) == SIZES["train"] - len(gaps)


# Which states are used


def folders(posts, settings, model=None, processor=None):
    """The folders of the cache that a run uses, by modality."""
    model = build(settings) if model is None else model
    cache = FeatureCache(model, processor or tiny_processor(), settings)
    _, states = cache.attach(posts)
    return {
        name: [file["filename"] for file in part.rows.cache_files] for name, part in states.items()
    }


@pytest.fixture
def both(tmp_path):
    return arguments(tmp_path, **FROZEN["both"])


def test_a_second_run_encodes_nothing(posts, both):
    expected = folders(posts, both)
    model, calls = build(both), []
    for encoder in (model.hybridsent.text_model, model.hybridsent.vision_model):
        encoder.register_forward_hook(lambda *_: calls.append(1))
    assert folders(posts, both, model) == expected
    assert not calls


def changed_weights(settings):
    model = build(settings)
    with torch.no_grad():
        next(model.hybridsent.vision_model.parameters()).view(-1)[0] += 1e-3
        next(model.hybridsent.text_model.parameters()).view(-1)[0] += 1e-3
    return {"model": model}


def changed_head(settings):
    model = build(settings)
    with torch.no_grad():
        model.fusion_classifier.linear.weight += 1
    return {"model": model}


def changed_processor(settings):
    processor = tiny_processor(max_length=5)
    processor.image_processor.image_mean = [0.4, 0.5, 0.5]
    return {"processor": processor}


def without_local_states(settings):
    return {"model": build(settings, use_local_features=False)}


@pytest.mark.parametrize(
    ("change", "same"),
    [
        (changed_head, True),
        (changed_weights, False),
        (changed_processor, False),
        (without_local_states, False),
    ],
)
def test_states_of_another_encoder_or_processor_are_not_used(change, same, posts, both):
    before, after = folders(posts, both), folders(posts, both, **change(both))
    for modality in ("text", "image"):
        for one, other in zip(before[modality], after[modality], strict=True):
            assert (one == other) == same


def test_texts_that_are_cleaned_have_other_states_and_images_have_not():
    plain, cleaning = tiny_processor(), tiny_processor(clean_text=True)
    for modality, same in (("text", False), ("image", True)):
        described = [describe_processor(x, modality) for x in (plain, cleaning)]
        assert (described[0] == described[1]) == same


@pytest.mark.parametrize("change", [{"bf16": True}, {"cache_dtype": "bfloat16"}])
def test_states_of_another_dtype_are_not_used(change, posts, both, tmp_path):
    other = arguments(tmp_path, **FROZEN["both"], **change)
    for modality, files in folders(posts, other).items():
        assert not {*files} & {*folders(posts, both)[modality]}


def test_states_of_other_posts_are_not_used(posts, both):
    before = folders(posts, both)
    other = copy.copy(posts)
    rows = posts["test"].to_list()
    row = next(i for i, row in enumerate(rows) if row["text"] and row["image"])
    rows[row]["text"] += " !"
    other["test"] = type(posts["test"]).from_list(rows, features=posts["test"].features)
    texts = folders(other, both)
    assert texts["image"] == before["image"]
    assert [a == b for a, b in zip(texts["text"], before["text"], strict=True)] == [1, 1, 0]
    rows[row]["image"] = next(
        x["image"] for x in posts["train"] if x["image"] not in (None, rows[row]["image"])
    )
    other["test"] = type(posts["test"]).from_list(rows, features=posts["test"].features)
    images = folders(other, both)
    assert images["text"] == texts["text"]
    assert [a == b for a, b in zip(images["image"], before["image"], strict=True)] == [1, 1, 0]


def test_labels_do_not_count(posts, both):
    before, other = folders(posts, both), copy.copy(posts)
    rows = [{**row, "label": 0} for row in posts["train"]]
    other["train"] = type(posts["train"]).from_list(rows, features=posts["train"].features)
    assert folders(other, both) == before


# Errors


def with_image(posts, image):
    """The posts, of which a late one of train has this image."""
    rows = posts["train"].to_list()
    rows[-1]["image"], rows[-1]["text"] = image, "a happy day"
    other = copy.copy(posts)
    other["train"] = type(posts["train"]).from_list(rows, features=posts["train"].features)
    return other


def test_a_broken_image_is_named_and_nothing_half_written_stays(posts, both, tmp_path):
    broken = with_image(posts, {"bytes": b"no image", "path": None})
    with pytest.raises(ValueError, match="train-00029"):
        folders(broken, both)
    left = {path.name.split("-")[0] for path in (tmp_path / "cache").iterdir()}
    assert left == {"text"}  # which was complete before


@pytest.mark.parametrize("cached", [False, True])
def test_an_image_whose_file_is_gone_is_an_error(cached, posts, tmp_path):
    gone = with_image(posts, {"bytes": None, "path": str(tmp_path / "gone.png")})
    with pytest.raises(ValueError, match=r"gone\.png': no such file\. Replace it"):
        run(gone, arguments(tmp_path, **{**FROZEN["both"], "cache_features": cached}))


def test_nothing_frozen_is_an_error_that_says_what_to_do(tmp_path):
    with pytest.raises(
        ValueError, match=r"all encoders are trained.*--vision_encoder_learning_rate 0"
    ):
        arguments(tmp_path, vision_encoder_learning_rate=None)


def test_the_log_tells_what_is_cached_and_what_is_not(posts, tmp_path):
    settings = arguments(tmp_path)
    cache = FeatureCache(build(settings), tiny_processor(), settings)
    text = cache.describe(cache.attach(posts)[1])
    count = sum(image is not None for split in posts.values() for image in split["image"])
    assert "text encoder: not cached, because it is trained" in text
    assert f"image encoder: {count} posts" in text
    assert str(tmp_path / "cache") in text


def test_states_are_mapped_from_the_disk_not_held(posts, both):
    _, states = FeatureCache(build(both), tiny_processor(), both).attach(posts)
    for part in states.values():
        assert len(part.rows.cache_files) == len(SIZES)  # a table in memory has none
