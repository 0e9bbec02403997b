"""Define how the images of each split look, so that a model has to generalise from one to another.

Disjoint across train, validation and test: every palette, backdrop, kind of clutter, outline, centre
and motif variant. Shared are the motifs, what their three states mean, and the ranges of size and
tilt, which overlap; parts of a motif, such as eyes or a cloud, may recur in two of its variants.
No backdrop has slanting stripes: an encoder takes those for rain, and with it for bad weather.
"""

from dataclasses import dataclass

from hybridsent.bundled.pen import Colour


@dataclass(frozen=True)
class Palette:
    """Name the colours of one picture: two for the backdrop, three for the motif, one of ink."""

    backdrop: tuple[Colour, Colour]
    motif: tuple[Colour, Colour, Colour]
    ink: Colour


@dataclass(frozen=True)
class Style:
    """What the images of one split are made of."""

    palettes: tuple[Palette, ...]
    backdrops: tuple[str, ...]
    clutter: tuple[str, ...]
    outlines: tuple[tuple[str, float], ...]  # colour ("ink" or "white") and width
    variants: tuple[int, ...]  # of the motifs
    centres: tuple[tuple[float, float], ...]  # of the motif, in parts of the image
    sizes: tuple[float, float]  # least and largest half-width of the motif, in parts
    tilts: tuple[float, float]  # radians


def _palette(*codes: str) -> Palette:
    """Read a palette from six colours like `f4d35e`: two of backdrop, three of motif, ink."""
    colours = [tuple(bytes.fromhex(code)) for code in codes]
    return Palette((colours[0], colours[1]), (colours[2], colours[3], colours[4]), colours[5])


STYLES = {
    "train": Style(
        palettes=(
            _palette("bfe3f2", "8cc8e0", "f4b942", "5a8f5c", "e4572e", "2b2d42"),
            _palette("f7e1d7", "edafb8", "5b8e7d", "bc4b51", "f4e285", "3a2e39"),
            _palette("3d405b", "2a2c44", "e07a5f", "81b29a", "f2cc8f", "14141f"),
            _palette("d8e2dc", "b8c9bf", "9d4edd", "3c8d6b", "ff9e00", "22223b"),
            _palette("274c77", "1b3658", "f6ae2d", "a3cef1", "f26419", "0b132b"),
            _palette("fff3b0", "f0d98a", "e09f3e", "335c67", "9e2a2b", "2f1b0c"),
            _palette("cdb4db", "b392c6", "ffc8dd", "4a7c59", "d62246", "33202a"),
            _palette("5f0f40", "4a0a31", "fb8b24", "7fb069", "ffe066", "1c0613"),
            _palette("edf6f9", "cfe6e8", "e29578", "006d77", "ff006e", "12292b"),
            _palette("4f772d", "41632a", "ecf39e", "90a955", "f9844a", "132a13"),
            _palette("fefae0", "ece5bf", "577590", "f3722c", "f94144", "1f2a33"),
            _palette("10002b", "210b43", "e0aaff", "48bfe3", "ffca3a", "05000f"),
            _palette("ffd7ba", "f7bd94", "2ec4b6", "7d5ba6", "c1121f", "2b1d14"),
            _palette("ced4da", "b4bcc4", "ff6b6b", "495057", "ffd43b", "16191d"),
        ),
        backdrops=("flat", "gradient", "spots", "hills", "columns", "rings"),
        clutter=("discs", "boxes"),
        outlines=(("ink", 0.045), ("none", 0.0), ("white", 0.06)),
        variants=(0, 3),
        centres=((0.5, 0.5), (0.46, 0.54), (0.55, 0.48)),
        sizes=(0.28, 0.40),
        tilts=(-0.2, 0.2),
    ),
    "validation": Style(
        palettes=(
            _palette("e9f5db", "cfe1b9", "d68c45", "87986a", "c8553d", "31361f"),
            _palette("14213d", "233a66", "fca311", "e5e5e5", "d90368", "05080f"),
            _palette("ffe5ec", "ffc2d1", "6a4c93", "52a675", "ff595e", "2a1a3d"),
            _palette("6b705c", "585c4b", "ffe8d6", "cb997e", "ddbea9", "23241d"),
        ),
        backdrops=("table",),
        clutter=("crosses",),
        outlines=(("ink", 0.07),),
        variants=(2,),
        centres=((0.4, 0.52), (0.6, 0.52)),
        sizes=(0.27, 0.34),
        tilts=(-0.22, 0.22),
    ),
    "test": Style(
        palettes=(
            _palette("dee2ff", "c3c8f5", "ffb703", "219ebc", "d00000", "1d1a31"),
            _palette("264653", "1d3640", "e9c46a", "2a9d8f", "e76f51", "0c191e"),
            _palette("faedcd", "ead9ab", "d4a373", "6b9080", "bb3e03", "3b2a1a"),
            _palette("f8f9fa", "dfe3e6", "ef476f", "06a77d", "ffd166", "26232b"),
            _palette("432371", "341a59", "faae7b", "9bd1c8", "f5f06f", "160a28"),
            _palette("a8dadc", "86c3c6", "f1faee", "457b9d", "e63946", "10263b"),
        ),
        backdrops=("checks", "bands"),
        clutter=("triangles", "hoops"),
        outlines=(("ink", 0.025), ("white", 0.035)),
        variants=(1,),
        centres=((0.5, 0.57), (0.44, 0.45), (0.58, 0.58)),
        sizes=(0.30, 0.42),
        tilts=(-0.25, 0.25),
    ),
}
