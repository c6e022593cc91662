"""
``python -m tests.bench promises [--json]``: what a due time costs, and the promises of a case that opens.

CPU time of one process, the least of several rounds, since a shared machine adds to it and never takes away. Hours are of each kind that
a file can give: an office, split shifts, nights, and a region's holidays with exceptions.
"""

import json
import random
import time
from collections.abc import Callable, Sequence

from models.brands import DayHours, Minutes, ServiceHours, ServiceLevel, Shift
from models.promises import awaiting_answer, awaiting_customer
from models.sla import OpenHours, open_hours

CALLS, ROUNDS = 20_000, 7
BAR_DUE_US, BAR_CASE_US = 1.0, 3.0
DAY_MS = 86_400_000
START = 1_790_000_000_000

KINDS = {
    "always": ServiceHours(always=True),
    "office": ServiceHours("Europe/Berlin", tuple(Shift(day, 480, 1200) for day in range(5))),
    "split": ServiceHours(
        "Europe/Berlin", tuple(Shift(day, *span) for day in range(6) for span in ((480, 720), (780, 1080)))
    ),
    "nights": ServiceHours("Europe/Berlin", tuple(Shift(day, 1320, 1800) for day in range(7))),
    "DE-BY": ServiceHours(
        "Europe/Berlin",
        tuple(Shift(day, 480, 1200) for day in range(5)),
        regions=("DE-BY",),
        exceptions=(DayHours("12-24", ((480, 720),)), DayHours("12-31")),
    ),
}
LEVEL = ServiceLevel(resolution=Minutes(at_once=60, urgent=120, important=480, less=960))


def cost_us(call: Callable[[int], object], arguments: Sequence[int]) -> float:
    """Return the CPU time of one call in us, that of the loop taken away."""

    def round_s(one: Callable[[int], object]) -> float:
        began = time.process_time()
        for argument in arguments:
            one(argument)
        return time.process_time() - began

    least = min(round_s(call) for _ in range(ROUNDS))
    idle = min(round_s(_nothing) for _ in range(ROUNDS))
    return (least - idle) / len(arguments) * 1e6


def _nothing(_argument: int) -> None:
    return None


def measured(rules: ServiceHours) -> dict[str, float]:
    """Return the costs over one kind of hours, in us; ``build_ms`` is that of the first question, in ms."""
    moments = [START + random.Random(5).randrange(200 * DAY_MS) for _ in range(CALLS)]
    hours = open_hours(rules)
    began = time.process_time()
    hours.due_at(START, 1)
    build_ms = (time.process_time() - began) * 1e3
    return {
        "due_15min": cost_us(lambda at: hours.due_at(at, 15 * 60_000), moments),
        "due_40h": cost_us(lambda at: hours.due_at(at, 40 * 3_600_000), moments),
        "between": cost_us(lambda at: hours.open_ms(START, at), moments),
        "case_opens": cost_us(lambda at: _opened(hours, at), moments),
        "pause_and_back": cost_us(lambda at: _paused(hours, at), moments),
        "build_ms": build_ms,
    }


def _opened(hours: OpenHours, at: int) -> object:
    return awaiting_answer((), LEVEL, hours, "urgent", "x", at, first=True)


def _paused(hours: OpenHours, at: int) -> object:
    held = awaiting_answer((), LEVEL, hours, "urgent", "x", at, first=True)
    held = awaiting_customer(held, at + 600_000, hours)
    return awaiting_answer(held, LEVEL, hours, "urgent", "x", at + 6_000_000, first=False)


def run(*, only_json: bool) -> None:
    """Print a table, and the figures as JSON in the last line."""
    found = {name: measured(rules) for name, rules in KINDS.items()}
    if not only_json:
        names = list(next(iter(found.values())))
        print("us a call   " + "".join(f"{name:>16}" for name in names))
        for kind, costs in found.items():
            print(f"{kind:12}" + "".join(f"{costs[name]:16.2f}" for name in names))
        due = max(max(costs["due_15min"], costs["due_40h"]) for costs in found.values())
        case = max(costs["case_opens"] for costs in found.values())
        print(f"a due time costs at most {due:.2f} us (bar {BAR_DUE_US:g}),", end=" ")
        print(f"answer and resolution of a case that opens {case:.2f} us (bar {BAR_CASE_US:g})")
    print(json.dumps({kind: {name: round(cost, 3) for name, cost in costs.items()} for kind, costs in found.items()}))
