"""Images as strangers send them: odd ones that must be read, and bad ones that must be named."""

import io
import struct
import zlib

import numpy as np
from fabricated_sets import jpeg
from PIL import Image
from tiny_models import picture

SIZE = (20, 16)  # width, height


def encoded(image, format="JPEG", **options):
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


def png_of_size(width, height):
    """A PNG that says it is this large and holds next to nothing."""

    def chunk(kind, content):
        body = kind + content
        return struct.pack(">I", len(content)) + body + struct.pack(">I", zlib.crc32(body))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", b"") + chunk(b"IEND", b"")


def gif_with_frame(width, height):
    """A GIF of one pixel whose first frame says it is this large."""
    screen = b"GIF89a" + struct.pack("<HHBBB", 1, 1, 0, 0, 0)
    return screen + b"," + struct.pack("<HHHHB", 0, 0, width, height, 0) + b"\2\0;"


def _turned():
    image = picture(1, *SIZE)
    exif = image.getexif()
    exif[0x0112] = 6  # taken with the camera turned by 90 degrees
    return encoded(image, "JPEG", exif=exif)


def readable():
    """Bytes by name; all are 20 x 16 pixels as stored, but for the one of a single pixel."""
    image = picture(1, *SIZE)
    grey = np.linspace(0, 65535, 320).reshape(16, 20).astype(np.uint16)
    frames = [picture(i, *SIZE).convert("P") for i in range(3)]
    return {
        "png": encoded(image, "PNG"),
        "cmyk": encoded(image.convert("CMYK"), "JPEG"),
        "16-bit": encoded(Image.fromarray(grey), "PNG"),
        "palette": encoded(image.convert("P"), "PNG"),
        "rgba": encoded(image.convert("RGBA"), "PNG"),
        "animated": encoded(frames[0], "GIF", save_all=True, append_images=frames[1:]),
        "turned": _turned(),
        "one pixel": encoded(picture(1, 1, 1), "JPEG"),
    }


def unreadable():
    """Bytes and what must be said of them, by name."""
    return {
        "truncated": (jpeg()[:-120], "truncated"),
        "empty": (b"", "the file is empty"),
        "no image": (b"<html>404</html>", "is not a JPEG, PNG, "),
        "header only": (jpeg()[:10], "Truncated File Read"),
        "20,000 x 20,000": (png_of_size(20_000, 20_000), "pixels"),
        "10,000 x 10,000": (png_of_size(10_000, 10_000), "10000 x 10000 pixels"),
    }
