"""The comparison as JSON lines and as a table to read."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from agents.simulation.compare import AS_IS, Row
from models.labels import Triage
from models.outcomes import Compared

SHARES: Final = ("in_time", "answered", "given_up", "left_over", "taken_for_spam", "load")
NUMBERS: Final = ("missed_cost", "mean_wait_min", "mean_answer_min", "queued_max", "decisions", "requests")
WAITS: Final = ("mean_min", "p50_min", "p90_min", "p95_min", "p99_min")
LEVEL_NAMES: Final[Mapping[Triage, str]] = {
    "at_once": "at once",
    "urgent": "urgent",
    "important": "important",
    "less": "less",
}
CHANGE_CHARS: Final = 28


def as_json(case: str, row: Row, seeds: Sequence[int]) -> dict[str, Any]:
    """Return a row for a script; shares 0..1, times in minutes, means over the seeds unless the name says otherwise."""
    compared = row.compared
    return {
        "case": case,
        "rule": row.rule,
        "what_if": None if row.change == AS_IS else row.change,
        "seeds": list(seeds),
        **{name: round(compared.mean(name), 6) for name in SHARES},
        **{name: round(compared.mean(name), 3) for name in NUMBERS},
        "in_time_by_seed": [round(one.in_time, 6) for one in compared.runs],
        "classes": {level: _class(compared, level) for level in compared.levels},
        "brands": {brand: round(compared.brand(brand), 6) for brand in compared.brands},
        "difference": {
            name: dict(
                zip(("mean", "standard_error"), (round(one, 6) for one in compared.difference(name)), strict=True)
            )
            for name in ("in_time", "missed_cost", "mean_wait_min")
        },
    }


def _class(compared: Compared, level: Triage) -> dict[str, float]:
    return {
        "requests": round(compared.waits(level, "requests"), 1),
        "in_time": round(compared.waits(level, "in_time"), 6),
        **{name: round(compared.waits(level, name), 2) for name in WAITS},
        "longest_min": round(compared.longest_min(level), 1),
        "longest_mean_min": round(compared.waits(level, "longest_min"), 1),
    }


def as_table(rows: Sequence[Row]) -> str:
    """Return the rows as lines to read: in time, paired difference, cost, waits; of each level in time and longest wait."""
    levels = rows[0].compared.levels
    changed = any(row.change != AS_IS for row in rows)
    head = f"{'what if':{CHANGE_CHARS}}" if changed else ""
    head += (
        f"{'rule':9}{'in time':>9}{'difference':>17}{'missed':>9}{'wait':>8}{'answer':>8}{'answered':>10}{'load':>7}"
    )
    head += "".join(f"{LEVEL_NAMES[level]:>20}" for level in levels)
    return "\n".join([head, *(_line(row, levels, changed=changed) for row in rows)])


def _line(row: Row, levels: Sequence[Triage], *, changed: bool) -> str:
    compared = row.compared
    apart, error = compared.difference("in_time")
    same = compared.runs == compared.base
    difference = "" if same else f"{100 * apart:+.2f} ± {100 * error:.2f}"
    line = f"{row.change[: CHANGE_CHARS - 2]:{CHANGE_CHARS}}" if changed else ""
    line += f"{row.rule:9}{100 * compared.mean('in_time'):8.2f}%{difference:>17}{compared.mean('missed_cost'):9.2f}"
    line += f"{compared.mean('mean_wait_min'):8.1f}{compared.mean('mean_answer_min'):8.1f}"
    line += f"{100 * compared.mean('answered'):9.2f}%{compared.mean('load'):7.2f}"
    for level in levels:
        told = f"{100 * compared.waits(level, 'in_time'):.1f}% {compared.longest_min(level):.0f} min"
        line += f"{told:>20}"
    return line


LEGEND: Final = (
    "In time: taken up by a rep by its due time. Difference: paired, to the first row, in points, with its standard error.\n"
    "Missed: cost of missed promises, 8/4/2/1 by level, for 100 requests. Wait and answer: means in minutes, until a rep\n"
    "took it up and until the answer was out. By level: share in time, and the longest wait of all runs."
)
