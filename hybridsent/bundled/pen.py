"""Draw shapes in coordinates of their own, wherever and however large they stand on the image."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from random import Random

from PIL import ImageDraw

Colour = tuple[int, int, int]
Point = tuple[float, float]


@dataclass(frozen=True)
class Pen:
    """Draw for one motif, whose own square reaches from -1 to 1 on both axes, y downwards."""

    draw: ImageDraw.ImageDraw
    random: Random
    colours: tuple[Colour, Colour, Colour]  # body, its company, small bright things
    ink: Colour  # features and cracks
    outline: Colour
    outline_width: float  # in units of the square; 0 draws none
    origin: Point  # of the square's middle, in pixels
    unit: float  # pixels
    tilt: float = 0.0  # radians, clockwise

    def at(self, x: float, y: float, scale: float = 1.0, tilt: float = 0.0) -> "Pen":
        """Return a pen whose square stands at (x, y) of this one's, scaled and tilted."""
        (origin,) = self._place([(x, y)])
        return replace(self, origin=origin, unit=self.unit * scale, tilt=self.tilt + tilt)

    def polygon(self, points: Sequence[Point], fill: Colour) -> None:
        """Fill a polygon, with the pen's outline around it."""
        placed = self._place(points)
        self.draw.polygon(placed, fill=fill)
        width = round(self.outline_width * self.unit)
        if width:
            self.draw.line([*placed, *placed[:2]], fill=self.outline, width=width, joint="curve")

    def disc(self, x: float, y: float, radius: float, fill: Colour, flat: float = 1.0) -> None:
        """Fill an ellipse around (x, y), `flat` times as high as it is wide."""
        self.polygon(arc(x, y, radius, radius * flat), fill)

    def box(self, left: float, top: float, right: float, bottom: float, fill: Colour) -> None:
        """Fill a rectangle."""
        self.polygon([(left, top), (right, top), (right, bottom), (left, bottom)], fill)

    def stroke(self, points: Sequence[Point], width: float, colour: Colour | None = None) -> None:
        """Draw a line through the points, with round ends, in ink unless a colour is given."""
        colour, radius = colour or self.ink, max(1.0, width * self.unit / 2)
        placed = self._place(points)
        self.draw.line(placed, fill=colour, width=round(2 * radius), joint="curve")
        for x, y in (placed[0], placed[-1]):
            self.draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=colour)

    def _place(self, points: Sequence[Point]) -> list[Point]:
        """Turn points of the square into pixels."""
        cosine, sine = math.cos(self.tilt) * self.unit, math.sin(self.tilt) * self.unit
        left, top = self.origin
        return [(left + x * cosine - y * sine, top + x * sine + y * cosine) for x, y in points]


def arc(
    x: float, y: float, across: float, down: float, start: float = 0, stop: float = 360
) -> list[Point]:
    """Return points of an ellipse from `start` to `stop` degrees, clockwise from the right."""
    count = max(4, round(abs(stop - start) / 9))
    angles = [math.radians(start + (stop - start) * step / count) for step in range(count + 1)]
    return [(x + across * math.cos(angle), y + down * math.sin(angle)) for angle in angles]


def star(x: float, y: float, outer: float, inner: float, tips: int) -> list[Point]:
    """Return a star with its first tip at the top."""
    points = []
    for step in range(2 * tips):
        angle, radius = math.pi * (step / tips - 0.5), inner if step % 2 else outer
        points.append((x + radius * math.cos(angle), y + radius * math.sin(angle)))
    return points


def heart(x: float, y: float, size: float) -> list[Point]:
    """Return a heart that fills about a square of half-width `size`."""
    points = []
    for step in range(48):
        angle = 2 * math.pi * step / 48
        rise = 13 * math.cos(angle) - 5 * math.cos(2 * angle) - 2 * math.cos(3 * angle)
        points.append((x + size * math.sin(angle) ** 3, y - size * rise / 15))
    return points


def body(variant: int) -> list[Point]:
    """Return one of four closed shapes of radius 1: disc, soft square, egg, scalloped disc."""
    steps = [2 * math.pi * step / 72 for step in range(72)]
    circle = [(math.cos(step), math.sin(step)) for step in steps]
    if variant == 0:
        return circle
    if variant == 1:
        return [(_soften(x), _soften(y)) for x, y in circle]
    if variant == 2:
        return [(0.85 * x * (1 + 0.12 * y), y) for x, y in circle]
    radii = [0.93 + 0.07 * math.cos(9 * step) for step in steps]
    return [(radius * x, radius * y) for radius, (x, y) in zip(radii, circle, strict=True)]


def _soften(part: float) -> float:
    """Push a coordinate of the circle outwards, towards a square with round corners."""
    return 0.92 * math.copysign(abs(part) ** 0.45, part)
