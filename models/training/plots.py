"""Plots as inline SVG, drawn by hand: no library, no script, colours by the page's variables, so light and dark both read."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Final

import numpy as np
from numpy.typing import NDArray

Ids = NDArray[np.int64]
Floats = NDArray[np.float64]

CELL: Final = 46
BINS: Final = 10
FEW: Final = 20  # Texts of a bin below which its point is drawn small: it says little.
WIDTH: Final = 320
HEIGHT: Final = 260
LEFT, TOP, RIGHT, BOTTOM = 44, 26, 14, 40
LETTER: Final = 6.5  # Width of a letter of a name, on the mean.
COLOURS: Final = ("var(--one)", "var(--two)", "var(--three)", "var(--four)")
QUARTERS: Final = ((0.0, "0"), (0.25, "0.25"), (0.5, "0.5"), (0.75, "0.75"), (1.0, "1"))
MARKS: Final = ("", "6 4", "2 3", "9 3 2 3")
"""Dashes of lines: who does not see colours must tell them apart too."""


def confusion(labels: Ids, found: Ids, values: Sequence[str]) -> str:
    """
    Draw a confusion matrix: a row a true value, a column a found one; a cell is dark by its share of the row.

    Args:
        labels: True values, places in ``values``. Shape (n,).
        found: Found values. Shape (n,).
        values: Names, in order.
    """
    counts = np.zeros((len(values), len(values)), np.int64)
    np.add.at(counts, (labels, found), 1)
    left = 14 + 7 * max(map(len, values))
    top = 8 + 7 * max(map(len, values))
    body = [_cell(counts, row, column, left, top) for row in range(len(values)) for column in range(len(values))]
    for place, value in enumerate(values):
        middle = place * CELL + CELL / 2
        body.append(_text(left - 8, top + middle + 4, value, "end"))
        x, y = left + middle, top - 8
        body.append(f'<text x="{x:.1f}" y="{y}" transform="rotate(-60 {x:.1f} {y})">{escape(value)}</text>')
    side = len(values) * CELL
    return _svg(
        left + side + 30,
        top + side + 26,
        "Confusion matrix",
        [*body, _caption(left, top + side + 18, "found →, true ↓")],
    )


def _cell(counts: Ids, row: int, column: int, left: float, top: float) -> str:
    count, total = int(counts[row, column]), max(int(counts[row].sum()), 1)
    share = count / total
    x, y = left + column * CELL, top + row * CELL
    colour = "var(--one)" if row == column else "var(--two)"
    title = f"<title>{count} of {total}: {share:.0%}</title>"
    fill = f'fill="{colour}" fill-opacity="{0.06 + 0.6 * share:.2f}"'
    box = f'<rect x="{x}" y="{y}" width="{CELL - 2}" height="{CELL - 2}" rx="4" {fill}/>'
    if not count:
        return f"<g>{title}{box}</g>"
    middle = x + CELL / 2 - 1
    return (
        f"<g>{title}{box}{_text(middle, y + CELL / 2 - 2, f'{share:.0%}', 'middle', 'strong')}"
        f"{_text(middle, y + CELL / 2 + 12, f'{count:,}', 'middle', 'faint')}</g>"
    )


def reliability(confidence: Floats, right: NDArray[np.bool_]) -> str:
    """
    Draw how often labels of each confidence are right; on the diagonal a probability means what it says.

    Args:
        confidence: Of the found value, 0..1. Shape (n,).
        right: Whether it was the true one. Shape (n,).
    """
    bins = np.minimum((confidence * BINS).astype(np.int64), BINS - 1)
    body = [*_axes("confidence", "share right"), _line([(0.0, 0.0), (1.0, 1.0)], "var(--rule)", "4 4")]
    points: list[tuple[float, float]] = []
    largest = max(int(np.bincount(bins, minlength=BINS).max()), 1)
    for number in range(BINS):
        inside = bins == number
        count = int(inside.sum())
        if not count:
            continue
        share, mean = float(right[inside].mean()), float(confidence[inside].mean())
        title = f"<title>{count} texts, confidence {mean:.2f}, right {share:.2f}</title>"
        x, width = _x(number / BINS), (WIDTH - LEFT - RIGHT) / BINS - 1
        height = 46 * count / largest
        place = f'x="{x:.1f}" y="{HEIGHT - BOTTOM - height:.1f}" width="{width:.1f}" height="{height:.1f}"'
        body.append(f'<rect {place} fill="var(--rule)" fill-opacity="0.55">{title}</rect>')
        points.append((mean, share))
        body.append(
            f'<circle cx="{_x(mean):.1f}" cy="{_y(share):.1f}" r="{4 if count >= FEW else 2}" fill="var(--one)">{title}</circle>'
        )
    body.append(_line(points, "var(--one)"))
    return _svg(WIDTH, HEIGHT, "Reliability: confidence against the share that is right; bars are how many texts", body)


def coverage(confidence: Floats, right: NDArray[np.bool_], threshold: float) -> str:
    """Draw how often the surest labels are right, by the share of texts that keeps one; the threshold is marked."""
    order = np.argsort(-confidence, kind="stable")
    shares = np.arange(1, len(order) + 1) / len(order)
    good = np.cumsum(right[order]) / np.arange(1, len(order) + 1)
    places = np.unique(np.linspace(max(0, len(order) // 50), len(order) - 1, 80).astype(np.int64))
    body = [
        *_axes("share of texts labelled", "share right"),
        _line([(float(shares[at]), float(good[at])) for at in places], "var(--one)"),
    ]
    kept = int((confidence >= threshold).sum())
    if 0 < kept < len(order):
        x, y = _x(kept / len(order)), _y(float(good[kept - 1]))
        body.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="5" fill="none" stroke="var(--two)" stroke-width="2"/>')
        body.append(_text(min(x + 8, WIDTH - 60), y - 8, f"{threshold:.2f}", "start"))
    return _svg(WIDTH, HEIGHT, "Accuracy of the surest labels by the share of texts that gets one", body)


def curves(series: Mapping[str, Sequence[tuple[float, float]]], x_name: str, y_name: str) -> str:
    """
    Draw lines over a logarithmic axis of counts; a count of 0 stands at its left end.

    Args:
        series: By name: (count, value 0..1), by count.
    """
    counts = sorted({count for points in series.values() for count, _ in points})
    places = {count: place / max(len(counts) - 1, 1) for place, count in enumerate(counts)}
    values = [value for points in series.values() for _, value in points]
    low, high = max(0.0, min(values) - 0.05), min(1.0, max(values) + 0.03)
    body = _axes(x_name, y_name, [(places[count], f"{count:,.0f}") for count in counts], (low, high))
    for number, (name, points) in enumerate(series.items()):
        colour = COLOURS[number % len(COLOURS)]
        scaled = [(places[count], (value - low) / (high - low)) for count, value in points]
        body.append(_line(scaled, colour, MARKS[number % len(MARKS)]))
        body += [
            f'<circle cx="{_x(x):.1f}" cy="{_y(y):.1f}" r="4" fill="{colour}"><title>{escape(name)}: {value:.3f}</title></circle>'
            for (x, y), (_, value) in zip(scaled, points, strict=True)
        ]
        # Above all lines or below its own, whatever these do over the width of the name.
        end, on_top = _x(scaled[-1][0]) - 6, points[-1][1] == max(other[-1][1] for other in series.values())
        xs, ys = [_x(x) for x, _ in scaled], [_y(y) for _, y in scaled]
        begin = end - LETTER * len(name)
        under = [float(np.interp(begin, xs, ys)), *(y for x, y in zip(xs, ys, strict=True) if x >= begin)]
        body.append(_text(end, min(under) - 9 if on_top else max(under) + 18, name, "end"))
    return _svg(WIDTH, HEIGHT, f"{y_name} by {x_name}", body)


# -- pieces ---------------------------------------------------------------------------------------------------------


def _x(share: float) -> float:
    return LEFT + share * (WIDTH - LEFT - RIGHT)


def _y(share: float) -> float:
    return HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM)


def _axes(
    x_name: str,
    y_name: str,
    x_ticks: Sequence[tuple[float, str]] = QUARTERS,
    y_range: tuple[float, float] = (0.0, 1.0),
) -> list[str]:
    body: list[str] = []
    for number in range(5):
        y, value = _y(number / 4), y_range[0] + (y_range[1] - y_range[0]) * number / 4
        body.append(
            f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}" stroke="var(--rule)" stroke-width="0.6"/>'
        )
        body.append(_text(LEFT - 6, y + 4, f"{value:.2g}", "end", "faint"))
    body += [_text(_x(place), HEIGHT - BOTTOM + 16, name, "middle", "faint") for place, name in x_ticks]
    body.append(_caption(LEFT, HEIGHT - 6, f"{x_name} →"))
    body.append(_caption(4, 11, f"{y_name} ↑"))
    return body


def _line(points: Sequence[tuple[float, float]], colour: str, dashes: str = "") -> str:
    if len(points) < 2:
        return ""
    path = " ".join(f"{_x(x):.1f},{_y(y):.1f}" for x, y in points)
    dashed = f' stroke-dasharray="{dashes}"' if dashes else ""
    return f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"{dashed}/>'


def _text(x: float, y: float, text: str, anchor: str, kind: str = "") -> str:
    marked = f' class="{kind}"' if kind else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{marked}>{escape(text)}</text>'


def _caption(x: float, y: float, text: str) -> str:
    return _text(x, y, text, "start", "faint")


def _svg(width: float, height: float, title: str, body: Sequence[str]) -> str:
    return (
        f'<svg viewBox="0 0 {width:.0f} {height:.0f}" width="{width:.0f}" height="{height:.0f}" role="img" '
        f'aria-label="{escape(title, quote=True)}">{"".join(body)}</svg>'
    )
