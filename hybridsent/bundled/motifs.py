"""Draw the motifs of the synthetic posts, each in a positive, a neutral and a negative state.

Every motif takes a pen, a mood and a variant from 0 to 3; the variant changes its build, never its
mood. No motif, variant or colour belongs to one mood: only the state of the thing drawn tells.
"""

import math
from dataclasses import replace

from hybridsent.bundled.pen import Pen, Point, arc, body, heart, star

WHITE = (252, 250, 244)
FLAME = (240, 120, 40)
WATER = (70, 140, 215)


def face(pen: Pen, mood: str, variant: int) -> None:
    """Draw a face that smiles, looks on, or cries."""
    pen.polygon(body(variant), pen.colours[0])
    for side in (-1, 1):
        if variant % 2:
            pen.stroke([(0.36 * side, -0.38), (0.36 * side, -0.16)], 0.13)
        else:
            pen.disc(0.34 * side, -0.26, 0.12, pen.ink, flat=1.3)
    if mood == "positive":
        smile = arc(0, 0.1, 0.56, 0.56, 0, 180)
        pen.polygon(smile, WHITE if variant < 2 else (150, 30, 50))
        pen.stroke([*smile, smile[0]], 0.07)
        for side in (-1, 1):
            pen.stroke(arc(0.36 * side, -0.5, 0.2, 0.12, 200, 340), 0.07)
            pen.disc(0.62 * side, 0.08, 0.16, pen.colours[2], flat=0.8)
    elif mood == "neutral":
        pen.stroke([(-0.36, 0.36), (0.36, 0.36)], 0.1)
    else:
        pen.stroke(arc(0, 0.72, 0.46, 0.4, 200, 340), 0.1)
        for side in (-1, 1):
            pen.stroke([(0.2 * side, -0.62), (0.56 * side, -0.48)], 0.08)
            pen.polygon(_drop(0.44 * side, 0.3, 0.3), WATER)


def weather(pen: Pen, mood: str, variant: int) -> None:
    """Draw a sun under a rainbow, flat clouds, or a thunderstorm."""
    if mood == "positive":
        for band, colour in enumerate(((225, 70, 70), (245, 190, 60), (80, 170, 90), WATER)):
            pen.stroke(arc(0, 0.85, 0.98 - band * 0.13, 1.0 - band * 0.13, 190, 350), 0.13, colour)
        rays = star(0, 0, 0.72, 0.42, 9 + 2 * variant)
        sun = pen.at(-0.35 + 0.2 * variant, -0.25)
        sun.polygon(rays, pen.colours[2])
        sun.disc(0, 0, 0.4, pen.colours[0])
    elif mood == "neutral":
        for row in range(2 + variant % 2):
            _cloud(pen.at((-0.25, 0.3, -0.1)[row], -0.5 + 0.55 * row, 0.62), variant)
    else:
        for step in range(9):
            x = -0.85 + 0.21 * step + pen.random.uniform(-0.05, 0.05)
            y = 0.1 + pen.random.uniform(0, 0.35)
            pen.stroke([(x, y), (x - 0.12, y + 0.32)], 0.06, WATER)
        bolt = [(0.1, 0.0), (-0.25, 0.55), (0.0, 0.52), (-0.15, 1.0), (0.38, 0.36), (0.12, 0.38)]
        pen.polygon(bolt, (250, 205, 50))
        _cloud(pen.at(0, -0.3, 0.95), variant)


def flower(pen: Pen, mood: str, variant: int) -> None:
    """Draw a flower in bloom, in bud, or wilted with its petals on the ground."""
    main, leaf, bright = pen.colours
    if mood == "negative":
        stem = [*arc(0.3, -0.1, 0.3, 0.5, 180, 360), (0.62, 0.1)]
        pen.stroke([(0, 1), (0.02, 0.4), *stem], 0.09, leaf)
        for step in range(4):
            pen.at(0.62, 0.12, 1, 0.5 - 0.33 * step).polygon(_petal(0.45, 0.12), main)
        for x in (-0.75, -0.35, 0.35, 0.8):
            pen.at(x, 0.95, 1, pen.random.uniform(1, 2)).polygon(_petal(0.3, 0.1), main)
        return
    pen.stroke([(0, 1), (0.05, 0.5), (0, -0.2)], 0.09, leaf)
    for side in (-1, 1):
        pen.at(0.02, 0.75, 1, -side * 1.9).polygon(_petal(0.55, 0.16), leaf)
    if mood == "neutral":
        pen.polygon([(0, -0.75), *arc(0, -0.25, 0.26, 0.32, -30, 210)], main)
        pen.polygon([(-0.27, -0.2), (0, -0.42), (0.27, -0.2), (0, 0.1)], leaf)
        return
    count = (6, 8, 5, 11)[variant]
    for step in range(count):
        turned = pen.at(0, -0.3, 1, 2 * math.pi * step / count)
        turned.polygon(_petal(0.68, 2.0 / count), main)
    pen.disc(0, -0.3, 0.24, bright)


def love(pen: Pen, mood: str, variant: int) -> None:
    """Draw a whole heart among small ones, a plain shape, or a heart in two halves."""
    main, other, bright = pen.colours
    if mood == "positive":
        pen.polygon(heart(0, 0.05, 0.85), main)
        pen.stroke(arc(-0.38, -0.3, 0.24, 0.24, 180, 280), 0.09, WHITE)
        for step in range(2 + variant):
            pen.at(*_around(step, 2 + variant, 1.0), 0.24).polygon(heart(0, 0, 0.85), bright)
    elif mood == "neutral":
        if variant < 2:
            pen.at(0, 0, 0.8).polygon(body(variant), main)
            pen.at(0, 0, 0.45).polygon(body(1 - variant), other)
        else:
            pen.box(-0.85, -0.55, 0.85, 0.55, main)
            pen.box(-0.55, -0.3, 0.55, 0.3, other)
    else:
        crack = [(0.0, -0.6), (0.16, -0.3), (-0.14, 0.0), (0.14, 0.3), (0.0, 0.95)]
        outline = heart(0, 0.05, 0.85)
        right = [*outline[:25], *crack[::-1]]
        left = [*outline[24:], *crack]
        pen.at(0.18, 0.05, 1, 0.14 + 0.05 * variant).polygon(right, main)
        pen.at(-0.18, 0, 1, -0.14 - 0.05 * variant).polygon(left, main)


def party(pen: Pen, mood: str, variant: int) -> None:
    """Draw balloons aloft, a shut parcel, or a burst balloon."""
    main, other, bright = pen.colours
    if mood == "positive":
        places = [(-0.5, -0.2), (0.5, -0.25), (0.0, -0.55)]
        for (x, y), colour in zip(places, (other, bright, main), strict=True):
            pen.stroke([(x, y + 0.4), (x * 0.4, 0.6), (0, 1)], 0.04)
            pen.at(x, y, 0.44).polygon(body((0, 2, 3, 1)[variant]), colour)
            pen.stroke(arc(x - 0.12, y - 0.14, 0.13, 0.15, 180, 270), 0.06, WHITE)
    elif mood == "neutral":
        pen.box(-0.7, -0.25, 0.7, 0.8, main)
        pen.box(-0.8, -0.5, 0.8, -0.2 + 0.05 * variant, other)
    else:
        for step in range(7):
            shard = pen.at(*_around(step, 7, 0.62), 0.3, pen.random.uniform(0, 6))
            shard.polygon([(-0.9, -0.2), (0.2, -0.9), (0.5, 0.1), (0.1, 0.9)], main)
        pen.polygon(star(0, -0.05, 0.42, 0.16, 6 + variant), WHITE)
        pen.stroke([(0.05, 0.4), (0.2, 0.6), (-0.15, 0.75), (0.2, 0.95)], 0.05)


def cake(pen: Pen, mood: str, variant: int) -> None:
    """Draw a cake with candles lit, a plain loaf, or a cake dropped and broken."""
    main, cream, bright = pen.colours
    pen.disc(0, 0.85, 0.98, WHITE, flat=0.12)
    if mood == "neutral":
        pen.box(-0.8, 0.15, 0.8, 0.82, main)
        pen.polygon(arc(0, 0.18, 0.8, 0.3 + 0.06 * variant, 180, 360), main)
        return
    if mood == "positive":
        pen.box(-0.8, 0.2, 0.8, 0.82, main)
        if variant % 2:
            pen.box(-0.55, -0.15, 0.55, 0.22, main)
        top = -0.15 if variant % 2 else 0.2
        half = 0.55 if variant % 2 else 0.8
        pen.box(-half, top, half, top + 0.16, cream)
        for step in range(3 + variant // 2):
            x = (step - 1 - variant // 2 / 2) * 0.34
            pen.box(x - 0.06, top - 0.42, x + 0.06, top, bright)
            pen.polygon(_drop(x, top - 0.52, 0.16), FLAME)
        return
    for side in (-1, 1):
        slab = pen.at(0.44 * side, 0.36, 0.52, side * (0.4 + 0.06 * variant))
        slab.box(-0.75, -0.4, 0.75, 0.6, main)
        slab.polygon(
            [(-0.75, -0.6), (0.75, -0.6), (0.75, -0.2), (0.2, -0.35), (-0.75, -0.2)], cream
        )
    for step in range(7):
        pen.disc(*_around(step, 7, 0.85), 0.06 + 0.02 * (step % 3), (main, cream)[step % 2])
    for x in (-0.3, 0.25):
        pen.at(x, -0.3, 1, 1.2 + x).box(-0.06, -0.2, 0.06, 0.2, bright)


def house(pen: Pen, mood: str, variant: int) -> None:
    """Draw a house with flags and hearts, a plain one, or one on fire."""
    main, roof, bright = pen.colours
    left, top = -0.7, -0.1 - 0.15 * (variant == 2)
    ridge = [
        [(0, -0.8)],
        [(-0.3, -0.65), (0.3, -0.65)],
        [(-0.5, -0.85), (0.5, -0.6)],
        [(-0.7, -0.7)],
    ]
    if mood == "negative":
        for step in range(6):
            x = -0.75 + 0.3 * step
            pen.polygon(_drop(x, -0.45 - 0.25 * pen.random.random(), 0.5), FLAME)
            pen.polygon(_drop(x, -0.3, 0.26), (250, 205, 50))
    pen.box(left, top, -left, 0.9, main)
    if mood != "negative":
        pen.polygon([(left - 0.2, top), *ridge[variant], (0.2 - left, top)], roof)
    pen.box(-0.16, 0.4, 0.16, 0.9, pen.ink)
    for x in (-0.45, 0.42):
        pen.box(x - 0.14, 0.1, x + 0.14, 0.36, pen.ink if mood == "negative" else WHITE)
        if mood == "negative":
            pen.polygon(_drop(x, 0.0, 0.34), FLAME)
    if mood == "negative":
        pen.stroke([(-0.1, top), (0.08, 0.15), (-0.06, 0.3)], 0.06)
        pen.disc(-0.2, -0.95, 0.22, (95, 92, 96))
        pen.disc(0.1, -1.0, 0.16, (120, 116, 120))
    elif mood == "positive":
        for step in range(5):
            x = -0.72 + 0.36 * step
            pen.polygon(
                [(x - 0.18, top), (x + 0.18, top), (x, top + 0.34)], (bright, WHITE)[step % 2]
            )
        for x, y in ((0.6, -0.7), (0.95, -0.95), (-0.75, -0.75)):
            pen.polygon(heart(x, y, 0.24), bright)


def mug(pen: Pen, mood: str, variant: int) -> None:
    """Draw a steaming mug with a heart, a plain one, or one that broke and spilled."""
    main, other, bright = pen.colours
    if mood == "negative":
        pen.disc(0.15, 0.86, 1.0, other, flat=0.16)
        pen.stroke(arc(0.95, 0.7, 0.2, 0.24, -90, 90), 0.13, main)
        jags = [(-0.6, 0.05), (-0.38, -0.22), (-0.15, 0.2), (0.08, -0.1), (0.3, 0.28), (0.58, 0.0)]
        pen.polygon([*jags, (0.48, 0.85), (-0.48, 0.85)], main)
        pen.stroke([(-0.15, 0.2), (0.0, 0.4), (-0.16, 0.52), (0.05, 0.78)], 0.06)
        for step in range(4 + variant):
            shard = pen.at(-0.7 + 1.4 * step / (3 + variant), -0.5 + 0.25 * (step % 2), 0.17, step)
            shard.polygon([(-1, 0.6), (0, -1), (0.9, 0.8)], main)
        return
    narrow = (0.0, 0.12, -0.1, 0.2)[variant]
    pen.stroke(arc(0.55, 0.25, 0.36, 0.32, -90, 90), 0.13, main)
    pen.polygon([(-0.6, -0.3), (0.6, -0.3), (0.6 - narrow, 0.85), (narrow - 0.6, 0.85)], main)
    pen.disc(0, -0.3, 0.6, other, flat=0.18)
    if mood == "positive":
        pen.polygon(heart(0, 0.3, 0.4), bright)
        for x in (-0.3, 0.0, 0.3):
            wave = [(x + 0.08 * math.sin(step), -0.5 - 0.09 * step) for step in range(6)]
            pen.stroke(wave, 0.09, WHITE)


MOTIFS = (face, weather, flower, love, party, cake, house, mug)


def _cloud(pen: Pen, variant: int) -> None:
    """Draw a cloud about two units wide; its puffs are drawn as one body, without seams."""
    puffs = [(-0.5, 0.05, 0.4), (0.05, -0.15, 0.5), (0.5, 0.08, 0.38)]
    if variant % 2:
        puffs = [(-0.6, 0.1, 0.3), (-0.15, -0.1, 0.45), (0.3, -0.05, 0.4), (0.7, 0.1, 0.28)]
    puffs_and_foot = [arc(x, y, radius, radius) for x, y, radius in puffs]
    puffs_and_foot.append([(-0.55, 0.0), (0.6, 0.0), (0.6, 0.42), (-0.55, 0.42)])
    for layer in (pen, replace(pen, outline_width=0.0)):
        for part in puffs_and_foot:
            layer.polygon(part, pen.colours[1])


def _petal(length: float, width: float) -> list[Point]:
    """Return a petal that grows upwards from the origin."""
    return arc(0, -length / 2, width, length / 2)


def _drop(x: float, y: float, size: float) -> list[Point]:
    """Return a drop or flame that points upwards."""
    return [(x, y - 1.2 * size), *arc(x, y + 0.1 * size, 0.5 * size, 0.55 * size, -20, 200)]


def _around(step: int, count: int, radius: float) -> Point:
    """Return the step-th of `count` places on a circle."""
    angle = 2 * math.pi * (step + 0.3) / count
    return radius * math.cos(angle), radius * math.sin(angle)
