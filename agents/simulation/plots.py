"""Plots of a comparison as inline SVG: no library, no script; colours by the page's variables, so light and dark both read."""

import math
from collections.abc import Mapping, Sequence
from html import escape
from typing import Final

WIDTH: Final = 430
LEFT, TOP, RIGHT, BOTTOM = 46, 16, 14, 38
COLOURS: Final = ("var(--one)", "var(--two)", "var(--three)", "var(--four)", "var(--five)", "var(--six)")
DASHES: Final = ("", "7 4", "2 3", "9 3 2 3", "5 2", "1 4")
"""Of lines: who does not see colours must tell them apart too."""
WAIT_FROM_MIN: Final = 0.5
"""Where a logarithmic axis of waits begins; a wait below it stands there."""


def waits(title: str, curves: Mapping[str, Sequence[float]], shares: Sequence[float], promised_min: float) -> str:
    """
    Draw which share had waited how long at most, over a logarithmic axis of minutes, with the promise marked.

    Args:
        title: Of the plot.
        curves: By name, the waits in minutes at ``shares``, rising.
        shares: 0..1, rising.
        promised_min: Where the line of the promise stands; 0: nothing is promised.
    """
    height = 250
    longest = max(max(curve) for curve in curves.values())
    high = max(longest, promised_min, 10 * WAIT_FROM_MIN)

    def x(minutes: float) -> float:
        part = math.log(max(minutes, WAIT_FROM_MIN) / WAIT_FROM_MIN) / math.log(high / WAIT_FROM_MIN)
        return LEFT + part * (WIDTH - LEFT - RIGHT)

    def y(share: float) -> float:
        return height - BOTTOM - share * (height - TOP - BOTTOM)

    body = [_rule(y(share), f"{share:.0%}") for share in (0, 0.25, 0.5, 0.75, 1)]
    ticks = [tick for tick in (1, 5, 15, 60, 240, 720, 1440, 2880, 10080) if tick <= high]
    body += [_text(x(tick), height - BOTTOM + 15, _minutes(tick), "middle", "faint") for tick in ticks]
    if promised_min:
        at = x(promised_min)
        body.append(
            f'<line x1="{at:.1f}" x2="{at:.1f}" y1="{TOP}" y2="{y(0):.1f}" stroke="var(--ink)" stroke-width="1"/>'
        )
        body.append(_text(at + 4, y(0) - 6, f"promised {_minutes(promised_min)}", "start", "faint"))
    for number, (name, curve) in enumerate(curves.items()):
        points = " ".join(f"{x(wait):.1f},{y(share):.1f}" for wait, share in zip(curve, shares, strict=True))
        dashes = f' stroke-dasharray="{DASHES[number % 6]}"' if DASHES[number % 6] else ""
        body.append(
            f'<polyline points="{points}" fill="none" stroke="{COLOURS[number % 6]}" stroke-width="{2.4 if not number else 1.6}"'
            f"{dashes}><title>{escape(name)}</title></polyline>"
        )
    body.append(_text(LEFT, height - 6, "minutes until taken up →", "start", "faint"))
    return _svg(WIDTH, height, title, body)


def bars(title: str, groups: Sequence[str], series: Mapping[str, Sequence[float]], unit: str) -> str:
    """
    Draw bars in groups.

    Args:
        title: Of the plot.
        groups: Names, left to right.
        series: By name, a value of 0 or more for each group.
        unit: ``%`` for shares 0..1, else what stands behind the numbers.
    """
    height = 230
    high = 1.0 if unit == "%" else _round_up(max(max(values) for values in series.values()))
    wide = (WIDTH - LEFT - RIGHT) / len(groups)
    one = wide * 0.84 / len(series)

    def y(value: float) -> float:
        return height - BOTTOM - value / high * (height - TOP - BOTTOM)

    def told(value: float) -> str:
        return f"{value:.1%}" if unit == "%" else f"{value:,.0f} {unit}"

    body = [
        _rule(y(high * part / 4), f"{high * part / 4:.0%}" if unit == "%" else f"{high * part / 4:,.0f}")
        for part in range(5)
    ]
    for place, group in enumerate(groups):
        left = LEFT + place * wide + wide * 0.08
        body.append(_text(left + wide * 0.42, height - BOTTOM + 15, group, "middle"))
        for number, (name, values) in enumerate(series.items()):
            top = y(values[place])
            body.append(
                f'<rect x="{left + number * one:.1f}" y="{top:.1f}" width="{max(1.0, one - 1.5):.1f}" '
                f'height="{max(0.0, y(0) - top):.1f}" fill="{COLOURS[number % 6]}">'
                f"<title>{escape(name)}, {escape(group)}: {told(values[place])}</title></rect>"
            )
    return _svg(WIDTH, height, title, body)


def dots(title: str, rows: Mapping[str, Sequence[float]]) -> str:
    """
    Draw paired differences: a row a name, a dot a seed, the mean as a stroke, zero as a line.

    Args:
        title: Of the plot.
        rows: By name, differences in points.
    """
    left, step = 150, 26
    height = TOP + step * len(rows) + BOTTOM
    low, high = min(0.0, *(min(row) for row in rows.values())), max(0.0, *(max(row) for row in rows.values()))
    span = (high - low) or 1.0
    low, high = low - 0.06 * span, high + 0.06 * span

    def x(value: float) -> float:
        return left + (value - low) / (high - low) * (WIDTH - left - RIGHT)

    bottom = TOP + step * len(rows)
    body = [f'<line x1="{x(0):.1f}" x2="{x(0):.1f}" y1="{TOP}" y2="{bottom}" stroke="var(--ink)" stroke-width="1"/>']
    for number, (name, row) in enumerate(rows.items()):
        y = TOP + step * (number + 0.5)
        colour = COLOURS[(number + 1) % 6]
        middle = sum(row) / len(row)
        body.append(_text(left - 10, y + 4, name, "end"))
        body += [
            f'<circle cx="{x(value):.1f}" cy="{y:.1f}" r="3.5" fill="{colour}" fill-opacity="0.55">'
            f"<title>{value:+.2f}</title></circle>"
            for value in row
        ]
        at = x(middle)
        body.append(
            f'<line x1="{at:.1f}" x2="{at:.1f}" y1="{y - 9:.1f}" y2="{y + 9:.1f}" stroke="{colour}" stroke-width="3">'
            f"<title>mean {middle:+.2f}</title></line>"
        )
    ticks = sorted({round(low + (high - low) * part / 4, 1) for part in range(1, 4)} | {0.0})
    body += [_text(x(tick), bottom + 16, f"{tick:+g}" if tick else "0", "middle", "faint") for tick in ticks]
    body.append(_text(left, height - 6, "points in time, against the first row →", "start", "faint"))
    return _svg(WIDTH, height, title, body)


def legend(names: Sequence[str]) -> str:
    """Return the key of colours and dashes."""
    out = []
    for number, name in enumerate(names):
        dashes = f' stroke-dasharray="{DASHES[number % 6]}"' if DASHES[number % 6] else ""
        out.append(
            f'<span><svg width="34" height="12" aria-hidden="true"><line x1="1" x2="33" y1="6" y2="6" '
            f'stroke="{COLOURS[number % 6]}" stroke-width="3"{dashes}/></svg> {escape(name)}</span>'
        )
    return f'<p class="key">{"".join(out)}</p>'


# -- pieces ---------------------------------------------------------------------------------------------------------


def _round_up(value: float) -> float:
    """Return the next of 4, 8, 12, 20, 40, 80, ... that is as large: a quarter of it is a round number."""
    ten = math.pow(10, math.floor(math.log10(max(value, 4) / 4)))
    return next(step * ten for step in (4.0, 8.0, 12.0, 20.0, 40.0) if step * ten >= value)


def _minutes(minutes: float) -> str:
    return f"{minutes:g} min" if minutes < 120 else f"{minutes / 60:g} h" if minutes < 2880 else f"{minutes / 1440:g} d"


def _rule(y: float, name: str) -> str:
    line = f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}" stroke="var(--rule)" stroke-width="0.6"/>'
    return line + _text(LEFT - 6, y + 4, name, "end", "faint")


def _text(x: float, y: float, text: str, anchor: str, kind: str = "") -> str:
    marked = f' class="{kind}"' if kind else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{marked}>{escape(text)}</text>'


def _svg(width: float, height: float, title: str, body: Sequence[str]) -> str:
    return (
        f'<svg viewBox="0 0 {width:.0f} {height:.0f}" width="{width:.0f}" height="{height:.0f}" role="img" '
        f'aria-label="{escape(title, quote=True)}">{"".join(body)}</svg>'
    )
