"""The rules for the parts of one post: what is missing, what is a text, cleaning, what is an image.

Processor, pipeline, data sets, scoring and page all follow these rules. This file needs Pillow alone.
"""

import contextlib
import html
import io
import logging
import math
import numbers
import os
import re
import unicodedata
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from html.entities import html5
from pathlib import Path
from typing import Any, cast

from PIL import Image, ImageChops

logger = logging.getLogger(__name__)

# Pillow warns above this size; a larger image is an attack or a mistake more often than a post.
DEFAULT_MAX_IMAGE_PIXELS = 89_478_485
# Characters of a text that are tokenized where it is cut to some tokens anyway: a tokenizer takes
# gigabytes for millions.
LONGEST_TEXT = 100_000
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF")
_BYTES = (bytes, bytearray, memoryview)
_SHOWN = 100  # characters of a path in a message
_ORIENTATION = 0x0112  # EXIF tag
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
# What else people call them; not "url" and "file", which sets of texts have of their source.
_OTHER_NAMES = {
    "text": re.compile(
        r"(caption|tweet|sentence|content|body|message|comment)s?|\w+[ _-]?texts?|texts?[ _-]?\d*"
    ),
    "image": re.compile(
        r"(img|image|pic|picture|photo|photograph|jpe?g|png)s?"
        r"([ _-]?(path|url|uri|link|file|file[ _-]?name|name|bytes|data|b64|base64|\d+))?s?"
        r"|file[ _-]?name|pixel_values"
    ),
}
# Decoders raise these with a message that explains the damage, and nearly anything else without one.
_TELLING = (ValueError, OSError, SyntaxError, EOFError, Image.DecompressionBombError)
# Characters without ink that Unicode counts among letters, marks and symbols.
_BLANK = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\ufe0e\ufe0f\uffa0")

# All patterns take linear time on any text. Addresses and names end at the first character that is
# not ASCII: scripts without spaces continue right behind them.
_REFERENCE = re.compile(r"&(?:#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{0,31});\Z")
_LONGEST_REFERENCE = 34  # characters
_ADDRESS = re.compile(r"(?:https?:|(?<![a-z0-9_])www\.(?=[_#\uff03]*[a-z0-9]))[!#-;=?-~]*…?", re.I)
_CUT_ADDRESS = re.compile(r"(?<![A-Za-z0-9_])ht(?:t(?:ps?)?)?(?:…|\.{3,})")
_CUT_LAST_WORDS = frozenset({"ht", "htt", "http", "https"})
# Hash signs (as \uff20, \uff03 is of Japanese keyboards) with what they mark, in a row; not the emoji
# of a # key. Only the first sign of several starts a match, since each start reads all of them.
_HASHTAGS = re.compile(
    r"([A-Za-z0-9_&]?)(?<![#\uff03])"
    r"((?:[#\uff03]+(?![\ufe0f\u20e3])[^\x00-/:-@\[-^`{-\x7f\s\uff03\uff20]+)+)"
)
_MENTION = re.compile(r"(?<![A-Za-z0-9_])[@\uff20][A-Za-z0-9_]+")
_RETWEET = re.compile(r"(?:rt @user(?: ?: ?| |\Z))+", re.I)


def is_missing(value: Any) -> bool:
    """Check whether a cell is empty: None, NaN, NA or NaT of pandas, an empty string or no bytes."""
    if value is None or type(value).__name__ in ("NAType", "NaTType"):
        return True
    if isinstance(value, (str, *_BYTES)):
        return not value
    is_scalar = isinstance(value, numbers.Number) or type(value).__name__ == "datetime64"
    return is_scalar and bool(value != value)


def misspelt(names: Iterable[Any], absent: Iterable[str]) -> dict[str, str]:
    """Return which keys or columns seem to be meant for which absent ones of a post."""
    found = {}
    for name in map(str, names):
        spelt = name.strip().casefold()
        close = get_close_matches(spelt, absent, n=1, cutoff=0.8)
        if meant := close or [x for x in absent if _OTHER_NAMES[x].fullmatch(spelt)]:
            found[name] = meant[0]
    return found


def seems_image(value: Any) -> bool:
    """Check whether a value is an image, whatever its key is called."""
    if isinstance(value, _BYTES):
        with contextlib.suppress(ValueError, OSError, SyntaxError):
            return open_image(value) is not None
    shape = getattr(value, "shape", ())
    is_array = isinstance(shape, tuple) and len(shape) == 3 and {shape[0], shape[2]} & {1, 3, 4}
    return isinstance(value, Image.Image) or bool(is_array)


def has_text(value: Any, name: str = "text") -> bool:
    """Check whether a post has a text that a reader would see.

    Args:
        value: Text of one post.
        name: What to call the text in errors.

    Returns:
        False for a missing value, and for white space, zero-width and format characters alone.

    Raises:
        ValueError: Not a string, or a string that is not valid Unicode.
    """
    if is_missing(value):
        return False
    if not isinstance(value, str):
        raise ValueError(f"{name} must be str or None, got {type(value).__name__}")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise ValueError(
            f"{name} has an unpaired surrogate at character {error.start}; remove it"
        ) from None
    return any(map(_has_ink, value))


def _has_ink(character: str) -> bool:
    blank = character.isspace() or character in _BLANK
    return not blank and unicodedata.category(character) not in ("Cc", "Cf")


def cut_text(text: str, side: str = "right") -> str:
    """Return a text of which what is far too long is cut off, on the right or on the left."""
    if len(text) <= LONGEST_TEXT:
        return text
    return text.rstrip()[-LONGEST_TEXT:] if side == "left" else text.lstrip()[:LONGEST_TEXT]


def clean_text(text: str) -> str:
    """Remove from the text of a post what says nothing about its sentiment.

    Character references ("&amp;") become characters. Retweet marks at the start ("RT @name:") and web
    addresses are removed, also addresses cut short ("htt..."). "@name" becomes "@user". Hashtags lose
    the hash sign and are split into words. White space is joined.

    Args:
        text: The text.

    Returns:
        The cleaned text, which cleaning again leaves as it is; the given text if nothing would be left.

    Raises:
        ValueError: Not a string, or not valid Unicode.
    """
    if not has_text(text):
        return text
    cleaned = _ADDRESS.sub(" ", _resolve_references(text))
    cleaned = _MENTION.sub("@user", _HASHTAGS.sub(_split_hashtags, cleaned))
    words = _CUT_ADDRESS.sub(" ", cleaned).split()
    while words and words[-1] in _CUT_LAST_WORDS:
        words.pop()
    cleaned = " ".join(words)
    mark = _RETWEET.match(cleaned)
    cleaned = cleaned[mark.end() :] if mark else cleaned
    return cleaned if has_text(cleaned) else text


def _resolve_references(text: str) -> str:
    """Replace the character references of HTML, also those that others resolve to ("&amp;lt;")."""
    if "&" not in text:
        return text
    *parts, rest = text.split(";")
    done: list[str] = []  # characters
    for part in parts:
        done += [*part, ";"]
        while done[-1:] == [";"]:
            found = _REFERENCE.search("".join(done[-_LONGEST_REFERENCE:]))
            if found is None or not (found[0][1] == "#" or found[0][1:] in html5):
                break
            done[-len(found[0]) :] = html.unescape(found[0])
    return "".join(done) + rest


def _split_hashtags(found: re.Match[str]) -> str:
    """Split hashtags in a row into words, apart from a word that stands right before them."""
    before, tags = found.groups()
    tags = re.sub(r"[_#\uff03]", " ", tags) + " "
    words = "".join(
        f" {this}" if _starts_word(last, this, following) else this
        for last, this, following in zip(f" {tags}", tags, tags[1:], strict=False)
    ).strip()
    # Else what stands behind could make the last word the start of an address.
    after = " " if words[-5:].lower().endswith(("www", "http", "https")) else ""
    return f"{before} {words}{after}" if before else f"{words}{after}"


def _starts_word(last: str, this: str, following: str) -> bool:
    """Check whether a character of a hashtag starts a word: "|Love|My|NASA|Dog|2015"."""
    if this.isdecimal():
        return not last.isdecimal()
    return this.isupper() and (last.islower() or (last.isalnum() and following.islower()))


def image_source(value: Any) -> Any:
    """Return what an image is read from.

    Args:
        value: What `load_image` takes.

    Returns:
        The value itself, or the bytes (else the path) of the mapping that `datasets` stores; None
        if that is missing.

    Raises:
        ValueError: The mapping has neither bytes nor path, or something else in their place.
    """
    if isinstance(value, Mapping):
        if not {"bytes", "path"} & set(value):
            keys = sorted(map(str, value))
            raise ValueError(f"has neither bytes nor path but {keys!s:.{_SHOWN}}")
        is_stored = not is_missing(value.get("bytes"))
        value = value["bytes"] if is_stored else value.get("path")
        if not is_missing(value) and not isinstance(
            value, (str, os.PathLike, *_BYTES, Image.Image)
        ):
            kind = type(value).__name__
            raise ValueError(f"holds a {kind} where bytes or a path should be")
    is_blank = isinstance(value, str) and not value.strip()
    return None if is_blank or is_missing(value) else value


def open_image(
    source: Any, max_pixels: int = DEFAULT_MAX_IMAGE_PIXELS, max_ratio: float = math.inf
) -> Image.Image:
    """Open an image without decoding it.

    Args:
        source: Path, bytes of a file in one of `FORMATS`, image of PIL, array or tensor.
        max_pixels: Refuse an image with more pixels.
        max_ratio: Refuse an image whose longer side is more than this many times the shorter one,
            which resizing its shorter side would blow up.

    Returns:
        The image as it is stored: in any mode, not turned upright.

    Raises:
        ValueError: A URL, no file, another format or kind, or too large.
        OSError: The file cannot be read.
    """
    if isinstance(source, Image.Image):
        image = source
    elif isinstance(source, (str, os.PathLike, *_BYTES)):
        image = _open_file(source)
    else:
        image = _from_array(source, max_pixels)
    try:
        _require_size(image.width, image.height, max_pixels, max_ratio)
    except ValueError:
        if image is not source:
            image.close()
        raise
    return image


def _require_size(width: int, height: int, max_pixels: int, max_ratio: float = math.inf) -> None:
    if width * height > max_pixels:
        raise ValueError(f"has {width} x {height} pixels, more than max_image_pixels={max_pixels}")
    if max(width, height) > max_ratio * min(width, height):
        raise ValueError(
            f"has {width} x {height} pixels; as images are resized by their shorter side, the longer "
            f"one may be max_image_ratio={int(max_ratio)} times as long"
        )


def _open_file(source: Any) -> Image.Image:
    """Open a file by the first decoder that takes it.

    `Image.open` would do, but for its own limit on pixels, which contradicts a larger one here.
    """
    file: Any
    if isinstance(source, _BYTES):
        file = io.BytesIO(source)
        start = file.read(16)
        file.seek(0)
    else:
        file = _local_path(source)
        with open(file, "rb") as stream:
            start = stream.read(16)
    if not start:
        raise ValueError("the file is empty")
    Image.init()
    for name in FORMATS:
        factory, accept = Image.OPEN.get(name, (None, None))
        accepted = accept is not None and accept(start)
        if isinstance(accepted, str):
            raise ValueError(accepted)  # this Pillow lacks the decoder
        if accepted and factory is not None:
            return factory(file, "")
    raise ValueError(f"is not a {', '.join(FORMATS[:-1])} or {FORMATS[-1]} image")


def _local_path(source: str | os.PathLike[str]) -> str:
    path = os.fspath(source)
    if path[:5].lower() == "data:":
        raise ValueError("is a data URI; decode it and give its bytes")
    if "://" in path:
        raise ValueError("is a URL; download the image and give its path")
    if not Path(path).is_file():
        raise ValueError("no such file")
    return path


def _from_array(array: Any, max_pixels: int) -> Image.Image:
    """Build an image from an array (height, width[, channels]) or tensor (channels, height, width)."""
    if is_tensor := hasattr(array, "is_floating_point"):
        array = array.detach().cpu()
        array = (array.float() if array.is_floating_point() else array).numpy()
    elif hasattr(array, "__array__"):
        array = array.__array__()
    if not hasattr(array, "dtype") or array.dtype.kind not in "biuf":
        kind = f"{type(array).__name__} {getattr(array, 'dtype', '')}".strip()
        raise ValueError(f"is a {kind}; give a path, bytes, an image or an array of numbers")
    shape = array.shape
    if array.ndim == 3:
        fits = [axis for axis in (0, 2) if shape[axis] in (1, 3, 4)]
        if fits and (fits == [0] or (is_tensor and 0 in fits)):
            array = array.transpose(1, 2, 0)
        array = array[..., 0] if array.shape[2] == 1 else array
    if not array.size or array.ndim not in (2, 3) or array.shape[2:] not in ((), (3,), (4,)):
        raise ValueError(
            f"is an array of shape {tuple(shape)}; give (height, width) or (height, width, 3 or 4)"
        )
    _require_size(array.shape[1], array.shape[0], max_pixels)
    return Image.fromarray(_as_bytes(array))


def _as_bytes(array: Any) -> Any:
    """Scale an array to 8 bits."""
    kind = array.dtype.kind
    if array.dtype == "uint8":
        return array
    if kind == "b":
        return array.astype("uint8") * 255
    factor = _scale(float(array.min()), float(array.max()), is_float=kind == "f")
    scaled = array * factor + (0.5 if kind == "f" else 0)
    return scaled.clip(0, 255).astype("uint8")


def _scale(low: float, high: float, is_float: bool) -> float:
    """Return what brings values into 0..255: they come as 0..1, 0..255, 16 bits or more.

    Args:
        low: Least value.
        high: Greatest value.
        is_float: Whether 0..1 may be meant.
    """
    if not (math.isfinite(low) and math.isfinite(high)):
        raise ValueError("has NaN or infinite values")
    if low < -1e-3:
        raise ValueError(f"has values from {low:g} to {high:g}; give 0 to 1 or 0 to 255")
    if is_float and high <= 1 + 1e-3:
        return 255.0
    # Resizing shoots a little over 1 or 255, and what is meant would become black.
    if (is_float and high <= 2) or 256 <= high <= 512:
        raise ValueError(f"has values up to {high:g}; cut them at 1, at 255 or at 65535")
    if high < 256:
        return 1.0
    return 1 / 256 if high < 1 << 16 else 255 / high


def as_upright_rgb(image: Image.Image, name: str = "image") -> Image.Image:
    """Decode an image, turn it as its EXIF block says, and convert it to RGB of 8 bits.

    Args:
        image: An opened image, in any mode.
        name: What to call it in the warning about an EXIF block that cannot be read.

    Returns:
        A new image without EXIF block, so that it is turned once. Transparent parts are white.
    """
    image.load()
    orientation = read_orientation(image)
    if orientation is None:
        logger.warning(f"{name}: its EXIF block cannot be read, so it is not turned.")
    rgb = _as_rgb(image)
    if orientation in _TURNS:
        rgb = rgb.transpose(_TURNS[orientation])
    rgb.info = {}
    return rgb


def read_orientation(image: Image.Image) -> int | None:
    """Return the orientation that the EXIF block of an image gives: 1 to 8; None if it is broken."""
    try:
        # Pillow's JPEG decoder has swallowed the error of a broken block, and getexif repeats nothing.
        Image.Exif().load(image.info.get("exif") or b"")
        orientation = image.getexif().get(_ORIENTATION, 1)
    except Exception:  # parsing garbage raises nearly anything
        return None
    return orientation if isinstance(orientation, int) else None


def _as_rgb(image: Image.Image) -> Image.Image:
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        grey = _grey_in_8_bits(image)
        clear = image.info.get("transparency")  # the one grey that is transparent
        if isinstance(clear, int):
            grey.paste(255, mask=_where(image, clear))
        return grey.convert("RGB")
    if not image.has_transparency_data:
        return image.convert("RGB")
    image = image.convert("RGBA")
    white = Image.new("RGB", image.size, "white")
    white.paste(image, mask=image)
    return white


def _grey_in_8_bits(image: Image.Image) -> Image.Image:
    """Scale 16 or 32 bits, which Pillow would clip at 255."""
    is_float, is_16_bit_file = image.mode == "F", image.mode.startswith("I;16") and image.format
    image = image if is_float else image.convert("I").convert("F")
    low, high = cast("tuple[float, float]", image.getextrema())
    factor = 1 / 256 if is_16_bit_file else _scale(low, high, is_float)
    shift = 0.5 if is_float else 0.0
    return image.point(lambda grey: grey * factor + shift).convert("L")


def _where(image: Image.Image, grey: int) -> Image.Image:
    """Return a mask of the pixels that have a grey of 16 bits."""
    values = image.convert("I").convert("F")
    steps = [values.point(lambda x, s=sign: x * s * 255 + 255 - s * grey * 255) for sign in (1, -1)]
    return ImageChops.darker(*(step.convert("L") for step in steps))


def image_damage(error: Exception) -> str:
    """Return what is wrong with an image whose decoding raised this error."""
    if isinstance(error, OSError) and error.strerror:  # the rest of its message is the whole path
        return error.strerror
    if isinstance(error, _TELLING) and str(error):
        return f"{error!s:.200}"
    return f"is damaged ({type(error).__name__}: {error!s:.200})"


def load_image(
    source: Any,
    max_pixels: int = DEFAULT_MAX_IMAGE_PIXELS,
    name: str = "image",
    max_ratio: float = math.inf,
) -> Image.Image | None:
    """Load the image of a post.

    Args:
        source: What is missing by `is_missing`, a path, bytes of a file, an image of PIL, an array
            (height, width[, 3 or 4]), a tensor (3, height, width), or the mapping with "bytes" and
            "path" that `datasets` stores. Numbers are 0 to 1, 0 to 255, or 16 bits.
        max_pixels: Refuse an image with more pixels, before it is decoded.
        name: What to call the image in errors and warnings.
        max_ratio: As in `open_image`.

    Returns:
        An upright RGB image; None if it is missing.

    Raises:
        ValueError: The image cannot be read, is a URL, or is too large; there is no such file.
    """
    try:
        source = image_source(source)
        if source is None:
            return None
        image = open_image(source, max_pixels, max_ratio)
        with contextlib.nullcontext() if image is source else image:
            return as_upright_rgb(image, _named(name, source))
    except Exception as error:
        why = image_damage(error)
        raise ValueError(f"{_named(name, source)}: {why}. Replace it or leave it out.") from error


def _named(name: str, source: Any) -> str:
    """Return the name of an image, with its path if it has one."""
    if not isinstance(source, (str, os.PathLike)) or os.fspath(source)[:5].lower() == "data:":
        return name
    path = os.fspath(source)
    cut = path if len(path) <= _SHOWN else f"...{path[-_SHOWN:]}"
    return f"{name} {cut!r}"


__all__ = [
    "DEFAULT_MAX_IMAGE_PIXELS",
    "FORMATS",
    "LONGEST_TEXT",
    "as_upright_rgb",
    "clean_text",
    "cut_text",
    "has_text",
    "image_damage",
    "image_source",
    "is_missing",
    "load_image",
    "misspelt",
    "open_image",
    "read_orientation",
    "seems_image",
]
