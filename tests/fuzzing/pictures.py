"""Bytes of pictures: damaged, cut short, and larger than they look."""

import struct
import zlib
from pathlib import Path
from typing import Any

from hostile_pictures import encoded, png_of_size, readable
from tiny_models import picture

from datasets_scripts.pictures import decode_picture
from fuzzing.mutations import damaged
from modeling_hybridsent import load_image

MAX_PIXELS = 1 << 20
NAME = "Image of post 0"
PNG = b"\x89PNG\r\n\x1a\n"
WORDS = [
    b"IHDR", b"IDAT", b"tRNS", b"eXIf", b"iCCP", b"acTL", b"\xff\xd8", b"\xff\xe1",
    b"Exif\0", b"MM\0*", b"II*\0", b"GIF89a", b"\x21\xff", b"VP8X", b"ANIM", b"RIFF",
    b"\x7f\xff\xff\xff",
]  # fmt: skip


def good_pictures() -> list[bytes]:
    """Return small images of all the formats and modes that posts come in."""
    image = picture(1, 12, 9)
    exif = image.getexif()
    exif[0x0112], exif[0x010E] = 6, "an image"
    frames = [picture(i, 12, 9) for i in range(3)]
    animated = {"save_all": True, "append_images": frames}
    made = [
        encoded(image, "JPEG", progressive=True, exif=exif),
        encoded(image, "PNG", exif=exif),
        encoded(image.convert("LA"), "PNG"),
        encoded(image.convert("1"), "PNG"),
        encoded(image, "PNG", **animated),
        encoded(image, "WEBP", exif=exif),
        encoded(image.convert("RGBA"), "WEBP", lossless=True),
        encoded(image, "WEBP", **animated),
        encoded(image, "TIFF", compression="tiff_lzw", exif=exif),
        encoded(image.convert("F"), "TIFF"),
        *(encoded(image, name) for name in ("BMP", "PPM", "ICO", "TGA", "JPEG2000", "GIF")),
    ]
    bombs = [png_of_size(1 << 30, 1 << 30), png_of_size(1 << 20, 1), png_of_size(1000, 1000)]
    return [*readable().values(), *made, *bombs]


def with_right_checksums(content: bytes) -> bytes:
    """Make the chunks of a damaged PNG pass for whole, so that what is in them is looked at."""
    if not content.startswith(PNG):
        return content
    made, start = PNG, len(PNG)
    while start + 12 <= len(content):
        (length,) = struct.unpack(">I", content[start : start + 4])
        body = content[start + 4 : start + 8 + min(length, len(content))]
        made += struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))
        start += 12 + len(body) - 4
    return made


class Pictures:
    """The bytes of one image."""

    names = (NAME,)

    def __init__(self, folder: Path) -> None:
        content = damaged(good_pictures(), WORDS)
        self.inputs = content | content.map(with_right_checksums)

    def attempt(self, value: Any) -> None:
        """Decode it as data set and processor do."""
        try:
            _, decoded = decode_picture(value, MAX_PIXELS)
        except ValueError:  # later frames count there, too, which the processor passes over
            decoded = None
        image = load_image(value, MAX_PIXELS, NAME)
        assert (image is None) == (not value)
        assert image is None or decoded is None or image.tobytes() == decoded.tobytes()
        assert decoded is None or image is not None
        assert image is None or (image.mode == "RGB" and image.width * image.height <= MAX_PIXELS)
