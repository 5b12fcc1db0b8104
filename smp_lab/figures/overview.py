"""The picture of the method on the first page."""

from __future__ import annotations

import numpy as np
from PIL import Image

from smp_lab.figures.style import FONT, INKS, KEPT_COLOR, REMOVED_COLOR
from smp_lab.masks import top_k

_SIDE = 6
_CELL = 16
_PITCH = 18
_TOP = 32
_SCORES, _KEPT, _WEIGHTS = "#0072B2", KEPT_COLOR, REMOVED_COLOR


def draw_method(theme: str) -> str:
    """Scores give the mask, the mask is laid over frozen weights: one SVG, for `LIGHT` or `DARK` pages."""
    rng = np.random.default_rng(3)
    scores, weights = rng.random(_SIDE**2), np.abs(rng.uniform(-1, 1, _SIDE**2))
    mask = top_k(scores, 11)
    panels = (
        (8, "Scores S", "trained, from 0", _SCORES, scores),
        (190, "Mask M", "1 bit a weight", _KEPT, mask),
        (340, "Weights W", "pre-trained, frozen", _WEIGHTS, weights),
        (490, "W * M", "what the layer uses", _WEIGHTS, weights * mask),
    )
    middle = _TOP + (_SIDE * _PITCH) // 2
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 606 214" width="606" height="214" '
        f"color=\"{INKS[theme].text}\" font-family='{FONT}'>"
        + "".join(_panel(*panel) for panel in panels)
        + _text(151, middle - 8, 13, "keep top v")
        + _arrow(f"M122 {middle} H178", (184, middle), "right")
        + _text(319, middle + 6, 18, "*")
        + _text(469, middle + 5, 18, "=")
        + _arrow("M543 164 V184 H61 V170", (61, 163), "up", dashed=True)
        + _text(302, 203, 13, "the gradient passes the mask as if it were not there, and moves S alone")
        + "</svg>"
    )


_MARK = np.array([[1, 0, 1, 1], [0, 1, 0, 0], [1, 1, 0, 1], [0, 0, 1, 0]], np.uint8)


def draw_icon() -> Image.Image:
    """A small mask, for the browser's tab."""
    icon = Image.fromarray(np.kron(_MARK, np.pad(np.ones((14, 14), np.uint8), 1)), "P")
    icon.putpalette([0, 0, 0, *(int(_SCORES[place : place + 2], 16) for place in (1, 3, 5))])
    icon.info["transparency"] = 0
    return icon.convert("RGBA")


def draw_wordmark(theme: str) -> str:
    """The icon and the name, as SVG for the head of `LIGHT` or `DARK` pages."""
    cells = "".join(
        f'<rect x="{6 * column}" y="{2 + 6 * row}" width="5" height="5" rx="1"/>' for row, column in np.argwhere(_MARK)
    )
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 110 28" width="110" height="28">'
        f'<g fill="{_SCORES}">{cells}</g><text x="33" y="20" font-size="17" font-weight="650" '
        f"fill=\"{INKS[theme].text}\" font-family='{FONT}'>SMP Lab</text></svg>"
    )


def _panel(left: int, title: str, note: str, color: str, values: np.ndarray) -> str:
    cells = "".join(
        f'<rect x="{left + place % _SIDE * _PITCH}" y="{_TOP + place // _SIDE * _PITCH}" width="{_CELL}" '
        f'height="{_CELL}" rx="2" fill="{color}" fill-opacity="{0.04 + 0.92 * float(value):.2f}" '
        'stroke="currentColor" stroke-opacity="0.25"/>'
        for place, value in enumerate(values)
    )
    center = left + (_SIDE * _PITCH) // 2 - 1
    return _text(center, 20, 14.5, title, 'font-weight="600"') + cells + _text(center, 157, 12.5, note, 'opacity="0.8"')


def _text(x: int, y: int, size: float, text: str, more: str = "") -> str:
    return f'<text x="{x}" y="{y}" font-size="{size}" fill="currentColor" text-anchor="middle" {more}>{text}</text>'


def _arrow(path: str, tip: tuple[int, int], direction: str, *, dashed: bool = False) -> str:
    x, y = tip
    head = {"right": f"M{x} {y}l-8 -4v8z", "up": f"M{x} {y}l-4 8h8z"}[direction]
    dash = 'stroke-dasharray="5 4"' if dashed else ""
    return (
        f'<path d="{path}" fill="none" stroke="currentColor" stroke-opacity="0.6" stroke-width="1.5" {dash}/>'
        f'<path d="{head}" fill="currentColor" fill-opacity="0.75"/>'
    )
