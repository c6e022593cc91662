"""A comparison as one HTML file: table and plots, no script, nothing fetched, light and dark."""

from collections.abc import Sequence
from html import escape
from typing import Final

from agents.simulation import plots
from agents.simulation.compare import AS_IS, Row
from agents.simulation.show import LEVEL_NAMES
from models.labels import Triage
from models.outcomes import CURVE

DRAWN_MAX: Final = 6
"""Rows that are drawn; all stand in the table. As many as there are colours."""


def page(headline: str, facts: str, rows: Sequence[Row], seeds: int, promised: dict[Triage, float]) -> str:
    """
    Return the report.

    Args:
        headline: What was simulated.
        facts: What else is to be said of it; may be empty.
        rows: As they were compared.
        seeds: How many runs each row has.
        promised: Minutes to the first answer by level, for the plots; a level that is missing is not marked.
    """
    drawn = {_name(row, rows): row.compared for row in rows[:DRAWN_MAX]}
    levels = rows[0].compared.levels
    names = [LEVEL_NAMES[level] for level in levels]
    in_time = {name: [one.waits(level, "in_time") for level in levels] for name, one in drawn.items()}
    longest = {name: [one.longest_min(level) for level in levels] for name, one in drawn.items()}
    apart = {
        name: [100 * (mine.in_time - base.in_time) for mine, base in zip(one.runs, one.base, strict=True)]
        for name, one in list(drawn.items())[1:]
    }
    figures = [
        _figure("Share in time by level", plots.bars("In time by level", names, in_time, "%")),
        _figure("Longest wait of all runs by level", plots.bars("Longest wait by level", names, longest, "min")),
    ]
    if apart:
        title = "Share in time against the first row; a dot is a run with the same requests"
        figures.append(_figure(title, plots.dots(title, apart)))
    for level, name in zip(levels, names, strict=True):
        curves = {key: one.curve(level) for key, one in drawn.items()}
        drawing = plots.waits(f"Waits of {name}", curves, CURVE, promised.get(level, 0.0))
        figures.append(_figure(f"Waits of “{name}”: share taken up within", drawing))
    body = (
        f"<h1>{escape(headline)}</h1><p>{seeds} runs of each row, on the same requests. {escape(facts)}</p>"
        f"<section><h2>Figures</h2>{_table(rows, levels)}</section>"
        f'<section><h2>Plots</h2>{plots.legend(list(drawn))}<div class="plots">{"".join(figures)}</div></section>'
    )
    return _html(f"Zuruf: {headline}", body)


def _name(row: Row, rows: Sequence[Row]) -> str:
    if all(one.change == AS_IS for one in rows):
        return row.rule
    return row.change if all(one.rule == rows[0].rule for one in rows) else f"{row.change}: {row.rule}"


def _figure(title: str, drawing: str) -> str:
    return f"<figure><figcaption>{escape(title)}</figcaption>{drawing}</figure>"


def _table(rows: Sequence[Row], levels: Sequence[Triage]) -> str:
    heads = ["", "in time", "difference", "missed", "wait", "answer", "answered", "load"]
    heads += [f"{LEVEL_NAMES[level]}: {what}" for level in levels for what in ("in time", "p95", "longest")]
    head = "".join(f"<th>{escape(one)}</th>" for one in heads)
    lines = []
    for row in rows:
        one = row.compared
        apart, error = one.difference("in_time")
        cells = [
            _name(row, rows),
            f"{one.mean('in_time'):.2%}",
            "" if one.runs == one.base else f"{100 * apart:+.2f} ± {100 * error:.2f}",
            f"{one.mean('missed_cost'):.2f}",
            f"{one.mean('mean_wait_min'):.1f} min",
            f"{one.mean('mean_answer_min'):.1f} min",
            f"{one.mean('answered'):.2%}",
            f"{one.mean('load'):.2f}",
        ]
        for level in levels:
            cells += [
                f"{one.waits(level, 'in_time'):.1%}",
                f"{one.waits(level, 'p95_min'):.0f} min",
                f"{one.longest_min(level):.0f} min",
            ]
        lines.append("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in cells) + "</tr>")
    return (
        f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{"".join(lines)}</tbody></table></div>'
        "<p>In time: taken up by a rep by its due time. Difference: paired, in points, with its standard error. Missed: cost "
        "of missed promises, 8/4/2/1 by level, for 100 requests. Wait and answer: means, until a rep took it up and until "
        "the answer was out.</p>"
    )


STYLE: Final = """
:root { color-scheme: light dark; --ink: #1c2230; --faint: #5d6675; --paper: #fbfbf9; --card: #fff; --rule: #d5d9df;
  --one: #1f6f8b; --two: #c2571a; --three: #5b7f2b; --four: #7a4fa3; --five: #9a7a12; --six: #a83a5f; }
@media (prefers-color-scheme: dark) { :root { --ink: #e8eaee; --faint: #a2abb8; --paper: #14171c; --card: #1c2027;
  --rule: #3a414c; --one: #58b4d1; --two: #ec8c4f; --three: #9cc46a; --four: #b893dd; --five: #d9bb55; --six: #e27d9f; } }
* { box-sizing: border-box; }
body { margin: 0; padding: 2rem clamp(1rem, 4vw, 3.5rem) 4rem; background: var(--paper); color: var(--ink);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", sans-serif; }
h1 { font-size: 1.6rem; margin: 0 0 .5rem; } h2 { font-size: 1.2rem; margin: 0 0 .75rem; }
section { background: var(--card); border: 1px solid var(--rule); border-radius: 10px; padding: 1.25rem 1.5rem;
  margin-top: 1.5rem; }
.wide { overflow-x: auto; } table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th { text-align: right; font-weight: 600; color: var(--faint); vertical-align: bottom; min-width: 4.5rem; }
th, td { padding: .3rem 0 .3rem 1rem; border-bottom: 1px solid var(--rule); }
td { text-align: right; white-space: nowrap; }
td:first-child, th:first-child { text-align: left; padding-left: 0; font-weight: 600; }
.plots { display: flex; flex-wrap: wrap; gap: 1.25rem 2.5rem; align-items: flex-start; }
.key { display: flex; flex-wrap: wrap; gap: .25rem 1.5rem; max-width: none; }
figure { margin: 0; max-width: 100%; overflow-x: auto; } figcaption { color: var(--faint); font-size: .85rem; }
svg text { font: 12px system-ui, sans-serif; fill: var(--ink); } svg .faint { fill: var(--faint); font-size: 10.5px; }
p { max-width: 75ch; }
"""


def _html(title: str, body: str) -> str:
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><style>{STYLE}</style></head>\n'
        f"<body>{body}</body></html>\n"
    )
