"""Draw one synthetic picture: a backdrop, clutter that means nothing, and a motif with a mood."""

import math
from random import Random

from PIL import Image, ImageDraw, ImageOps

from hybridsent.bundled.motifs import MOTIFS
from hybridsent.bundled.pen import Colour, Pen, star
from hybridsent.bundled.styles import STYLES, Palette, Style

OVERSAMPLING = 2  # drawn larger and shrunk, for PIL draws without antialiasing
SIDES = (224, 240, 256)  # pixels


def draw_picture(random: Random, split: str, mood: str) -> Image.Image:
    """Draw an image in the style of a split.

    Everything but the state of the motif is chosen without a look at the mood.

    Args:
        random: Where all choices come from.
        split: "train", "validation" or "test".
        mood: "negative", "neutral" or "positive".

    Returns:
        An RGB image with sides of 224 to 256 pixels.
    """
    style = STYLES[split]
    palette = random.choice(style.palettes)
    size = random.choice(SIDES), random.choice(SIDES)
    canvas_size = size[0] * OVERSAMPLING, size[1] * OVERSAMPLING
    canvas = _draw_backdrop(random.choice(style.backdrops), palette, canvas_size, random)
    pen = _take_pen(ImageDraw.Draw(canvas), style, palette, random)
    _scatter_clutter(pen, random.choice(style.clutter))
    random.choice(MOTIFS)(pen, mood, random.choice(style.variants))
    return canvas.resize(size, Image.Resampling.BOX)


def _take_pen(draw: ImageDraw.ImageDraw, style: Style, palette: Palette, random: Random) -> Pen:
    """Choose where, how large, how tilted and with what outline the motif is drawn."""
    width, height = draw.im.size
    across, down = random.choice(style.centres)
    outline, outline_width = random.choice(style.outlines)
    return Pen(
        draw=draw,
        random=random,
        colours=palette.motif,
        ink=palette.ink,
        outline=(255, 255, 255) if outline == "white" else palette.ink,
        outline_width=outline_width,
        origin=(
            width * (across + random.uniform(-0.03, 0.03)),
            height * (down + random.uniform(-0.03, 0.03)),
        ),
        unit=min(width, height) * random.uniform(*style.sizes),
        tilt=random.uniform(*style.tilts),
    )


def _draw_backdrop(
    kind: str, palette: Palette, size: tuple[int, int], random: Random
) -> Image.Image:
    """Return a canvas with one of the backdrops."""
    first, second = random.sample(palette.backdrop, 2)
    if kind == "gradient":
        return ImageOps.colorize(Image.linear_gradient("L").resize(size), first, second)
    canvas = Image.new("RGB", size, first)
    if kind != "flat":
        PATTERNS[kind](ImageDraw.Draw(canvas), size, second, random)
    return canvas


def _draw_spots(
    draw: ImageDraw.ImageDraw, size: tuple[int, int], colour: Colour, random: Random
) -> None:
    """Draw rows of spots."""
    step = random.randint(44, 70)
    for row, y in enumerate(range(0, size[1] + step, step)):
        for x in range((row % 2) * step // 2, size[0] + step, step):
            draw.ellipse((x - 9, y - 9, x + 9, y + 9), fill=colour)


def _draw_hills(
    draw: ImageDraw.ImageDraw, size: tuple[int, int], colour: Colour, random: Random
) -> None:
    """Draw a ground with two hills."""
    for _ in range(2):
        x, y = random.randint(0, size[0]), size[1] * random.uniform(0.65, 0.85)
        draw.ellipse((x - size[0], y, x + size[0], y + size[1]), fill=colour)


def _draw_columns(
    draw: ImageDraw.ImageDraw, size: tuple[int, int], colour: Colour, random: Random
) -> None:
    """Draw upright stripes."""
    step = random.randint(40, 90)
    for x in range(0, size[0], step):
        draw.rectangle((x, 0, x + step // 2, size[1]), fill=colour)


def _draw_bands(
    draw: ImageDraw.ImageDraw, size: tuple[int, int], colour: Colour, random: Random
) -> None:
    """Draw lying stripes."""
    step = random.randint(60, 120)
    for y in range(0, size[1], step):
        draw.rectangle((0, y, size[0], y + step // 2), fill=colour)


def _draw_checks(
    draw: ImageDraw.ImageDraw, size: tuple[int, int], colour: Colour, random: Random
) -> None:
    """Draw a chessboard."""
    step = random.randint(50, 90)
    for row, y in enumerate(range(0, size[1], step)):
        for x in range((row % 2) * step, size[0], 2 * step):
            draw.rectangle((x, y, x + step, y + step), fill=colour)


def _draw_table(
    draw: ImageDraw.ImageDraw, size: tuple[int, int], colour: Colour, random: Random
) -> None:
    """Draw a table top before a wall."""
    left, right = size[1] * random.uniform(0.5, 0.8), size[1] * random.uniform(0.5, 0.8)
    draw.polygon([(0, left), (size[0], right), size, (0, size[1])], fill=colour)


def _draw_rings(
    draw: ImageDraw.ImageDraw, size: tuple[int, int], colour: Colour, random: Random
) -> None:
    """Draw rings around a far corner."""
    x, y = random.choice((0, size[0])), random.choice((0, size[1]))
    for radius in range(60, sum(size), 110):
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), outline=colour, width=45)


def _scatter_clutter(pen: Pen, kind: str) -> None:
    """Draw some small shapes anywhere, most of which the motif will leave in sight at the edges."""
    random = pen.random
    for _ in range(random.randint(2, 6)):
        angle, far = random.uniform(0, 2 * math.pi), random.uniform(1.0, 1.6)
        small = pen.at(
            far * math.cos(angle), far * math.sin(angle), random.uniform(0.07, 0.13), angle
        )
        CLUTTER[kind](small, random.choice(pen.colours))


def _draw_cross(pen: Pen, colour: Colour) -> None:
    """Draw a small cross."""
    pen.stroke([(-1, 0), (1, 0)], 0.5, colour)
    pen.stroke([(0, -1), (0, 1)], 0.5, colour)


PATTERNS = {
    "spots": _draw_spots,
    "hills": _draw_hills,
    "columns": _draw_columns,
    "bands": _draw_bands,
    "checks": _draw_checks,
    "rings": _draw_rings,
    "table": _draw_table,
}
CLUTTER = {
    "discs": lambda pen, colour: pen.disc(0, 0, 1, colour),
    "boxes": lambda pen, colour: pen.box(-1, -1, 1, 1, colour),
    "crosses": _draw_cross,
    "triangles": lambda pen, colour: pen.polygon(star(0, 0, 1.2, 0.6, 3), colour),
    "hoops": lambda pen, colour: pen.stroke(
        [(math.cos(step / 3), math.sin(step / 3)) for step in range(20)], 0.4, colour
    ),
}
