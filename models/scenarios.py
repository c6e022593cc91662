"""
Scenarios for the simulation: what comes, who is there, what is promised; those that are measured, and what if.

The staffing and the load of the cases c1, c2 and c3 are those of a published reference; see docs/order.md.
"""

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Final

from msgspec import Struct, field
from msgspec.structs import replace

from models.arrivals import (
    DAY_S,
    EVENING_HEAVY,
    HOUR_S,
    LEVELS,
    REQUESTS_MAX,
    Habits,
    Handling,
    Mix,
    Peak,
    Recorded,
    Request,
    recorded_requests,
    requests_of,
    shares_of_day,
)
from models.brands import ALWAYS, Minutes, ServiceHours, ServiceLevel
from models.labels import Triage
from models.priority import DEFAULT, Order
from models.queues import ClassQueues, Waiting
from models.reps import RepProfile, skill
from models.routing import Seat, ranked
from models.simulation import Floor, Span
from models.sla import OpenHours, open_hours

HOUR_MS: Final = HOUR_S * 1000
DAY_MS: Final = DAY_S * 1000
REPS_MAX: Final = 5_000
AFTER_DAYS: Final = 31  # Shifts go on after the last arrival for as long as a run does.
LEAST_REPS: Final = 6
"""At any hour of the reference's crew: below it one language has nobody."""
BRAND: Final = "brand"


class Crew(Struct, frozen=True):
    """Who is there, and when: by hour of the day, or by each rep's hours."""

    reps: tuple[RepProfile, ...]
    by_hour: tuple[int, ...] = ()
    """How many of them are there, from the first on, at each hour of the day; empty: by ``hours``."""
    hours: Mapping[str, ServiceHours] = field(default_factory=dict)
    """By rep; who is not listed is always there."""


class Scenario(Struct, frozen=True):
    """All that a run needs but its seed."""

    name: str
    crew: Crew
    days: float = 4.0
    per_day: float = 4500.0
    start_at: int = 0
    """Unix ms of the first midnight."""
    hourly: tuple[float, ...] = EVENING_HEAVY
    peak: Peak | None = None
    mix: Mix = field(default_factory=Mix)
    handling: Handling = field(default_factory=Handling)
    habits: Habits = field(default_factory=Habits)
    levels: Mapping[str, ServiceLevel] = field(default_factory=lambda: {BRAND: ServiceLevel()})
    """By brand."""
    hours: Mapping[str, ServiceHours] = field(default_factory=dict)
    """By brand; one that is not listed is always open."""
    order: Order = DEFAULT
    recorded: tuple[Recorded, ...] = ()
    """What came, in the order of time, in the place of the profile."""


# -- crews ----------------------------------------------------------------------------------------------------------


def offered_reps(per_day: float, handling_s: float, hourly: Sequence[float] = EVENING_HEAVY) -> tuple[float, ...]:
    """Return the mean number of reps at work in each hour of the day if nothing ever waited."""
    return tuple(per_day * share / 24 * handling_s / HOUR_S for share in shares_of_day(hourly))


def crew_for(per_day: float, handling_s: float, load: float, hourly: Sequence[float] = EVENING_HEAVY) -> Crew:
    """
    Return the reference's crew: 60 % speak one language, 30 % two, 10 % all three; one request at a time.

    Args:
        load: Offered work over reps, by hour; above 1 there are fewer than the work needs.
    """
    by_hour = tuple(
        max(LEAST_REPS, math.ceil(reps / load - 1e-9)) for reps in offered_reps(per_day, handling_s, hourly)
    )
    return Crew(tuple(linguist(number) for number in range(max(by_hour))), by_hour)


def linguist(number: int) -> RepProfile:
    """Return a rep of the reference's crew; who speaks fewer languages is the better fit, so that the others stay free."""
    spoken = 3 if number % 10 == 0 else 2 if number % 10 < 4 else 1
    skills = {skill("lang", language): 6 - spoken for language in ("de", "en", "fr")[:spoken]}
    return RepProfile(id=f"r{number:03}", name=f"Rep {number + 1}", skills=skills, capacity=1)


def with_more(crew: Crew, more: int) -> Crew:
    """
    Return a crew with so many more reps at all of its times, or fewer if negative; at least one stays.

    The new ones are as the crew is: of the reference's the next ones, of others copies, from the first on.
    """
    if crew.by_hour:
        by_hour = tuple(max(1, reps + more) for reps in crew.by_hour)
        fresh = [linguist(number) for number in range(len(crew.reps), max(by_hour))]
        return Crew((*crew.reps, *fresh)[: max(by_hour)], by_hour)
    if more <= 0:
        return replace(crew, reps=crew.reps[: max(1, len(crew.reps) + more)])
    models = [crew.reps[number % len(crew.reps)] for number in range(more)]
    copies = tuple(replace(rep, id=f"{rep.id}+{number}") for number, rep in enumerate(models, 1))
    hours = dict(crew.hours) | {
        copy.id: crew.hours[rep.id] for copy, rep in zip(copies, models, strict=True) if rep.id in crew.hours
    }
    return Crew((*crew.reps, *copies), hours=hours)


def shifts_of(crew: Crew, from_at: int, to_at: int) -> dict[str, tuple[Span, ...]]:
    """Return when each rep is there between two instants."""
    if crew.by_hour:
        return {rep.id: _hourly(number, crew.by_hour, from_at, to_at) for number, rep in enumerate(crew.reps)}
    built: dict[ServiceHours, OpenHours] = {}
    shifts: dict[str, tuple[Span, ...]] = {}
    for rep in crew.reps:
        hours = crew.hours.get(rep.id, ALWAYS)
        opened = built.get(hours)
        if opened is None:
            opened = built[hours] = open_hours(hours)
        shifts[rep.id] = tuple(opened.spans(from_at, to_at))
    return shifts


def _hourly(number: int, by_hour: Sequence[int], from_at: int, to_at: int) -> tuple[Span, ...]:
    """Return the hours of a rep who comes when more than ``number`` are wanted, joined where they touch."""
    spans: list[Span] = []
    for hour in range((to_at - from_at) // HOUR_MS):
        if by_hour[hour % 24] <= number:
            continue
        start = from_at + hour * HOUR_MS
        if spans and spans[-1][1] == start:
            spans[-1] = (spans[-1][0], start + HOUR_MS)
        else:
            spans.append((start, start + HOUR_MS))
    return tuple(spans)


# -- what a run needs -----------------------------------------------------------------------------------------------


def requests_for(scenario: Scenario, seed: int) -> list[Request]:
    """Return what comes, in the order of time; the same seed gives the same, whoever is there."""
    if scenario.recorded:
        return recorded_requests(seed, scenario.recorded, scenario.handling, scenario.habits)
    return requests_of(
        seed,
        scenario.days,
        scenario.per_day,
        start_at=scenario.start_at,
        hourly=scenario.hourly,
        peak=scenario.peak,
        mix=scenario.mix,
        handling=scenario.handling,
        habits=scenario.habits,
    )


def floor_for(scenario: Scenario) -> Floor:
    """Return who is there and what is promised; the same for all seeds."""
    if scenario.recorded:
        start_at = scenario.recorded[0].at // DAY_MS * DAY_MS
        last_at = scenario.recorded[-1].at
    else:
        start_at = scenario.start_at
        last_at = start_at + round(scenario.days * DAY_MS)
    to_at = (last_at // DAY_MS + 1 + AFTER_DAYS) * DAY_MS
    hours = {brand: open_hours(scenario.hours.get(brand, ALWAYS)) for brand in scenario.levels}
    return Floor(scenario.crew.reps, shifts_of(scenario.crew, start_at, to_at), scenario.levels, hours)


def engine_line(scenario: Scenario) -> ClassQueues:
    """Return empty queues of the engine's own order."""
    seats = {rep.id: Seat(profile=rep) for rep in scenario.crew.reps}

    def could_take(who: str, one: Waiting, step: int) -> bool:
        request = one.what.request
        return bool(ranked((seats[who],), request.language, request.subject, request.brand_id))

    return ClassQueues(scenario.order, could_take)


# -- those that are measured ----------------------------------------------------------------------------------------

_BURST: Final = (DAY_S + 17 * HOUR_S, DAY_S + 20 * HOUR_S)
_TELEFONICA: Final = {"mobile": 0.6, "prepaid": 0.25, "business": 0.15}


def scenario_of(name: str) -> Scenario:
    """
    Return a measured case.

    Args:
        name: ``c1``: 4,500 a day and as many reps as make first-in-first-out wait 30 minutes; ``c2``: enough reps, twice
            as much for three hours; ``c3``: five times as much, and of what is beyond the usual 70 % is one incident that
            is answered in 30 s; ``telefonica``: as ``c1`` with three brands and customers who give up.
    """
    if name == "c1":
        return Scenario(name, crew_for(4500, 480, 1.045))
    if name == "telefonica":
        return Scenario(
            name,
            crew_for(4500, 480, 1.07),
            mix=replace(Mix(), brands=_TELEFONICA),
            levels=dict.fromkeys(_TELEFONICA, ServiceLevel()),
            habits=Habits(patience_min=1440.0),
        )
    if name in ("c2", "c3"):
        peak = Peak(*_BURST, factor=2) if name == "c2" else Peak(*_BURST, factor=5, incident_share=0.7)
        return Scenario(name, crew_for(4500, 480, 0.85), peak=peak)
    raise ValueError(f"no case is called {name!r}; there are c1, c2, c3 and telefonica")


# -- what if --------------------------------------------------------------------------------------------------------

CHANGES: Final = (
    *("reps", "load", "handling", "patience", "repeats", "every", "soon_min"),
    *(f"{table}.{level}" for table in ("cost", "rush_min", "promise") for level in LEVELS),
)
"""What may be changed."""

UNITS: Final = {
    "load": "requests a day",
    "handling": "seconds on average",
    "patience": "minutes",
    "repeats": "as a share",
}


def what_if(scenario: Scenario, change: str) -> Scenario:
    """
    Return a scenario with a change, as in ``reps=+3``, ``load=*1.2`` or ``every=8,rush_min.less=200``.

    Raises:
        ValueError: If it is not of this form; the text says what is.
    """
    for part in change.split(","):
        key, found, value = part.strip().partition("=")
        if not found or key not in CHANGES:
            raise ValueError(
                f"{part.strip()!r} is no change; meant is KEY=+N, -N, *N or N with KEY of {' '.join(CHANGES)}"
            )
        scenario = _changed(scenario, key, value.strip())
    return scenario


def _changed(scenario: Scenario, key: str, value: str) -> Scenario:
    table, _, level = key.partition(".")
    if level:
        return _changed_level(scenario, table, level, value)  # type: ignore[arg-type]  # CHANGES holds the levels
    if key == "reps":
        now = len(scenario.crew.reps)
        more = round(_number(key, value, now, 1, REPS_MAX)) - now
        return replace(scenario, crew=with_more(scenario.crew, more))
    if key == "load":
        if scenario.recorded:
            raise ValueError("load: what came is recorded, so it cannot be more or less; wanted a profile for that")
        most = REQUESTS_MAX / scenario.days
        return replace(scenario, per_day=_number(key, value, scenario.per_day, 1, most))
    if key == "handling":
        mean_s = _number(key, value, scenario.handling.mean_s, 1, DAY_S)
        return replace(scenario, handling=replace(scenario.handling, mean_s=mean_s))
    if key in ("patience", "repeats"):
        name, most = ("patience_min", 525_600.0) if key == "patience" else ("repeat_share", 0.95)
        found = _number(key, value, getattr(scenario.habits, name), 0, most)
        return replace(scenario, habits=replace(scenario.habits, **{name: found}))
    found = _number(key, value, getattr(scenario.order, key), *((2, 100) if key == "every" else (0.1, 120)))
    return replace(scenario, order=replace(scenario.order, **{key: round(found) if key == "every" else found}))


def _changed_level(scenario: Scenario, table: str, level: Triage, value: str) -> Scenario:
    if table == "promise":
        levels = {brand: _promised(one, level, value) for brand, one in scenario.levels.items()}
        return replace(scenario, levels=levels)
    low, high = (0.1, 100.0) if table == "cost" else (0.0, 10_080.0)
    known: Mapping[Triage, float] = getattr(scenario.order, table)
    changed = dict(known) | {level: _number(f"{table}.{level}", value, known[level], low, high)}
    order = replace(scenario.order, **{table: changed})
    for higher, lower in pairwise(LEVELS):
        if order.cost[higher] < order.cost[lower] or order.rush_min[higher] > order.rush_min[lower]:
            raise ValueError(
                f"{table}.{level}={value}: {higher} would come after {lower}; a higher level costs more, and rushes no later"
            )
    return replace(scenario, order=order)


def _promised(promise: ServiceLevel, level: Triage, value: str) -> ServiceLevel:
    minutes: Minutes = promise.first_answer
    found = _number(f"promise.{level}", value, getattr(minutes, level) or 0.0, 0.1, 525_600)
    return replace(promise, first_answer=replace(minutes, **{level: found}))


def _number(key: str, text: str, now: float, low: float, high: float) -> float:
    """Read ``+3``, ``-3``, ``*1.2`` or ``7``."""
    sign = text[:1] if text[:1] in "+-*" and text else ""
    try:
        given = float(text.removeprefix(sign))
    except ValueError:
        given = math.nan
    found = now * given if sign == "*" else now + given if sign == "+" else now - given if sign == "-" else given
    if not low <= found <= high:
        unit = f" {UNITS[key]}" if key in UNITS else ""
        raise ValueError(f"{key}={text}: gives {found:g}; wanted {low:.12g} to {high:.12g}{unit}, as +N, -N, *N or N")
    return found
