"""Answers and explanations as HTML; every word of a visitor is escaped."""

import html
from typing import Any

import numpy as np
from PIL import Image

from hybridsent_space.jpeg import as_base64
from modeling_hybridsent.answers_hybridsent import BRANCHES, Explanation

# Of the branches and of for and against: told apart also by those who see fewer colours.
COLOURS = {"text": "#457b9d", "image": "#e9a23b", "fusion": "#5c8d5a"}
NARROW = 0.15  # weight
FOR, AGAINST = (69, 123, 157), (214, 93, 14)


def escape(text: str) -> str:
    """Escape text for HTML, also for an attribute."""
    return html.escape(text, quote=True)


def answer_html(answer: dict[str, Any]) -> str:
    """Draw the label, the sentence, the warnings and the three branches with their weights."""
    if "error" in answer:
        return f'<p role="alert" class="hs-note">{escape(answer["error"])}</p>'
    notes = "".join(f'<p role="status" class="hs-note">{escape(x)}</p>' for x in answer["warnings"])
    if answer.get("problem_type") == "regression":
        return (
            f'<p class="hs-answer">{answer["score"]:.3g}</p>'
            f"<p>{escape(answer['summary'])}</p>{notes}{_branches(answer)}"
        )
    return (
        f'<p class="hs-answer">{escape(answer["label"])} '
        f"<small>{100 * answer['score']:.0f} %</small></p>"
        f"{_bars(answer['scores'], 'var(--body-text-color-subdued)')}"
        f"<p>{escape(answer['summary'])}</p>{notes}{_branches(answer)}"
    )


def _branches(answer: dict[str, Any]) -> str:
    shown = [(name, answer["branches"].get(name)) for name in BRANCHES]
    weights = "".join(
        f'<span style="width:{100 * branch["weight"]:.2f}%;background:{COLOURS[name]}">'
        f"{_told(name, branch['weight'])}</span>"
        for name, branch in shown
        if branch
    )
    spoken = ", ".join(f"{name} {branch['weight']:.2f}" for name, branch in shown if branch)
    is_score = answer.get("problem_type") == "regression"
    cards = "".join(_card(name, branch, is_score) for name, branch in shown)
    return (
        f'<h2 class="hs-weights-title">Weights of the branches</h2><div class="hs-weights" role="img" '
        f'aria-label="Weights: {spoken}">{weights}</div><div class="hs-branches">{cards}</div>'
    )


def _told(name: str, weight: float) -> str:
    return f"{name} {weight:.2f}" if weight > NARROW else ""  # no room for words


def _card(name: str, branch: dict[str, Any] | None, is_score: bool) -> str:
    title = f"{name.capitalize()} branch"
    if branch is None:
        return f'<section class="hs-branch"><h3>{title}</h3>did not take part</section>'
    said = f"{branch['score']:.3g}" if is_score else _bars(branch["scores"], COLOURS[name])
    return (
        f'<section class="hs-branch"><h3>{title}: weight {branch["weight"]:.2f}</h3>'
        f"{said}</section>"
    )


def _bars(scores: dict[str, float], colour: str) -> str:
    return "".join(
        _row(label, score, colour, f"{100 * score:.0f} %") for label, score in scores.items()
    )


def _row(name: str, share: float, colour: str, told: str) -> str:
    return (
        f'<div class="hs-row"><span>{escape(name)}</span><span class="hs-track" aria-hidden="true">'
        f'<i style="width:{100 * share:.1f}%;background:{colour}"></i></span><span>{told}</span></div>'
    )


def marked_text(text: str, spans: list[tuple[int, int, float]], unit: str) -> str:
    """Colour parts of a text.

    Args:
        text: The text.
        spans: Begin, end and value of each part, between -1 and 1: blue for, orange against.
        unit: What the value is, said when a pointer rests on the part.

    Returns:
        HTML.
    """
    parts, done = [], 0
    largest = max((abs(value) for *_, value in spans), default=0.0) or 1.0
    for start, end, value in spans:
        colour = "{}, {}, {}".format(*(AGAINST if value < 0 else FOR))
        parts.append(escape(text[done:start]))
        parts.append(
            f'<mark style="background:rgba({colour}, {0.55 * abs(value) / largest:.3f})" '
            f'title="{escape(unit)} {value:+.3f}">{escape(text[start:end])}</mark>'
        )
        done = end
    return f'<div class="hs-text" tabindex="0">{"".join(parts)}{escape(text[done:])}</div>'


def figure(image: Image.Image, caption: str) -> str:
    """Draw an image with its caption, inside the page."""
    data = as_base64(image, quality=85)
    return (
        f'<figure><img alt="{escape(caption)}" src="data:image/jpeg;base64,{data}">'
        f"<figcaption>{escape(caption)}</figcaption></figure>"
    )


def figures(*drawn: str) -> str:
    """Return drawn figures side by side."""
    return f'<div class="hs-images">{"".join(drawn)}</div>'


def thumbnail_html(data: str) -> str:
    """Show a small image, given as data for a browser; "" shows none."""
    return f'<img src="{data}" alt="" width="56">' if data else ""


def counts_html(title: str, counts: dict[str, int]) -> str:
    """Draw how many there are of each."""
    largest = max(counts.values(), default=1)
    rows = "".join(
        f"{_row(name, count / largest, COLOURS['text'], f'{count:,}')}"
        for name, count in counts.items()
    )
    return f'<section class="hs-branch"><h2>{escape(title)}</h2>{rows}</section>'


def side_by_side(*sections: str) -> str:
    """Return sections side by side, where there is room."""
    return f'<div class="hs-branches">{"".join(sections)}</div>'


def without_html(found: Explanation) -> str:
    """Return what each modality brings, and the region that mattered most, as HTML."""
    lines = [f"<p>The whole post: {escape(found.label)}, {100 * found.score:.0f} %.</p>"]
    for name, scores in found.without.items():
        best = max(scores, key=scores.__getitem__)
        named = dict.fromkeys((best, found.label))  # one, where the label stays
        left = "; ".join(f"{escape(label)}, {100 * scores[label]:.0f} %" for label in named)
        lines.append(
            f"<p>Without the {name}: {left}. Shapley value of the {name}: "
            f"{100 * found.shares[name]:+.0f} points.</p>"
        )
    if found.regions is not None:
        regions = np.array(found.regions)
        row, column = np.unravel_index(np.abs(regions).argmax(), regions.shape)
        lines.append(
            f"<p>The region that matters most is in row {row + 1}, column {column + 1}: without it "
            f"{escape(found.label)} changes by {-100 * regions[row, column]:+.0f} points.</p>"
        )
    return "".join(lines)
