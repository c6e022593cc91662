"""
Reps for each hour of a week: a first number by Erlang, and what the engine's own rules make of it in virtual time.

Erlang knows nothing of what comes while nobody is there, of work that may wait for hours, of an order that saves what is due
first, and of an hour that leaves its queue to the next. So its numbers are a shape; the simulator says how much of it is needed.
"""

import math
import random
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from msgspec import Struct

from models.arrivals import LEVELS, Handling, Request
from models.brands import ServiceLevel
from models.forecast import HOURS_OF_WEEK
from models.labels import Triage
from models.queues import ClassQueues
from models.reps import RepProfile
from models.simulation import Floor, Outcome, Run, Span
from models.sla import OpenHours
from models.staffing import REPS_MAX, Load, erlangs, share_in_time, waits

HOUR_MS: Final = 3_600_000
DAY_MS: Final = 24 * HOUR_MS
WEEK_MS: Final = 7 * DAY_MS
BEFORE_H: Final = 72  # Of the days before the week, so that it begins with what a weekend has left in the queues.
AFTER_DAYS: Final = 31  # Shifts go on after the last arrival for as long as a run does.
STEP: Final = 1.03  # One step of the search: 3 % more of the shape, about a rep of thirty.
STEPS_MAX: Final = 40  # So a third to three times of Erlang's numbers; what lies beyond is another question.


class Demand(Struct, frozen=True):
    """What a week brings, and what was promised for it."""

    means: tuple[float, ...]
    """Cases by hour of the week, 168, from Monday's first hour on."""
    levels: Mapping[Triage, float]
    """Weights of triages in what comes."""
    brands: Mapping[str, float]
    """Weights of brands."""
    promises: Mapping[str, ServiceLevel]
    """By brand."""
    hours: Mapping[str, OpenHours]
    """By brand; of a week without holidays."""
    monday_at: int
    """Unix ms of the Monday, 0 o'clock, whose week is planned; no clock is set from three days before it to its end."""
    handling: Handling
    patience_min: float = 0.0
    """Mean time after which a waiting customer gives up; 0: never."""
    dispersion: float = 1.0
    """Variance over mean of an hour's count, at least 1."""


class Goal(Struct, frozen=True):
    """What a plan must reach."""

    share: float = 0.95
    """Of all cases, taken up by a rep when they were promised an answer, 0..1."""
    occupancy_max: float = 0.9
    """Share of their time that reps are busy at most: beyond about 0.9 nobody lasts, and every delay is passed on."""
    each_level: bool = False
    """Whether the share is wanted of each triage, and not only of all together: the order gives way where few come."""


class Check(Struct, frozen=True):
    """What the simulator found of a plan, over all seeds."""

    in_time: float
    """Share that a rep took up by its due time, 0..1; who gave up is not in time."""
    answered_in_time: float
    """Share whose answer was out by then: less, by those whose handling alone takes longer than the promise."""
    by_level: Mapping[Triage, float]
    """Share in time."""
    mean_wait_min: float
    """Of those who were taken up, in minutes of the clock, closed hours included."""
    longest_wait_min: float
    occupancy: float
    cases: int


class Plan(Struct, frozen=True):
    """Reps by hour of the week."""

    first: tuple[int, ...]
    """By Erlang alone."""
    reps: tuple[int, ...]
    """Proposed: ``first`` made larger or smaller as a whole until the simulator found the goal kept."""
    scale: float
    """Of the load that the proposal was made of, in that of ``first``."""
    checked_first: Check
    checked: Check
    is_kept: bool
    """Whether the proposal keeps the goal; False only if nothing within the search did."""


def open_by_hour(demand: Demand) -> tuple[float, ...]:
    """Return the share 0..1 of each hour of the week in which anybody is to be there."""
    starts = range(demand.monday_at, demand.monday_at + WEEK_MS, HOUR_MS)
    return tuple(
        max(hours.open_ms(start, start + HOUR_MS) for hours in demand.hours.values()) / HOUR_MS for start in starts
    )


def work_by_hour(demand: Demand) -> tuple[float, ...]:
    """
    Return the cases to be worked on in each hour of the week, an hour that is not wholly open scaled up to a whole one.

    What comes while nobody is there falls to the hours after the opening, spread over as many as its promise has.
    """
    opened = open_by_hour(demand)
    if not any(opened):
        raise ValueError("nobody is ever there; wanted service hours")
    total = sum(demand.levels.values())
    work = [0.0] * HOURS_OF_WEEK
    for hour, mean in enumerate(demand.means):
        for level, weight in demand.levels.items():
            part = mean * weight / total
            if opened[hour]:
                work[hour] += part
                continue
            later = _opened_after(hour, opened, max(1, round(_promised_min(demand, level) / 60)))
            for one in later:
                work[one] += part / len(later)
    return tuple(cases / share if share else 0.0 for cases, share in zip(work, opened, strict=True))


def _opened_after(hour: int, opened: Sequence[float], most: int) -> list[int]:
    """Return the next open hours of the week after one, at most so many and of one opening."""
    step = next(step for step in range(1, HOURS_OF_WEEK) if opened[(hour + step) % HOURS_OF_WEEK])
    found: list[int] = []
    while len(found) < most and opened[(hour + step) % HOURS_OF_WEEK]:
        found.append((hour + step) % HOURS_OF_WEEK)
        step += 1
    return found


def _promised_min(demand: Demand, level: Triage) -> float:
    """Return the minutes to the first answer of a level, the mean of all brands; a day where nothing is promised."""
    total = sum(demand.brands.values())
    promised = (
        (demand.promises[brand].terms.get(("first_answer", level)), weight) for brand, weight in demand.brands.items()
    )
    return sum((1440.0 if term is None else term.span_ms / 60_000) * weight for term, weight in promised) / total


def first_numbers(demand: Demand, goal: Goal, *, scale: float = 1.0) -> tuple[int, ...]:
    """
    Return the reps of each hour by Erlang: so many that the goal's share would be taken up in time, whatever its level.

    Args:
        demand: What comes. Customers who give up make it Erlang A, else it is C.
        goal: To be kept in every hour.
        scale: Times the load.
    """
    known: dict[float, int] = {}
    found: list[int] = []
    for cases in work_by_hour(demand):
        cases = round(cases * scale, 3)
        if cases not in known:
            known[cases] = _first_number(demand, goal, cases)
        found.append(known[cases])
    return tuple(found)


def _first_number(demand: Demand, goal: Goal, cases: float) -> int:
    if cases == 0:
        return 0
    load = Load(cases, demand.handling.mean_s, demand.patience_min * 60 or None)
    total = sum(demand.levels.values())
    within = [(_promised_min(demand, level) * 60, weight / total) for level, weight in demand.levels.items()]

    def is_enough(reps: int) -> bool:
        if waits(load, reps).occupancy > goal.occupancy_max:
            return False
        return sum(share_in_time(load, reps, within_s) * weight for within_s, weight in within) >= goal.share

    return _least(is_enough, max(1, math.floor(erlangs(load) / 4)))


def _least(is_enough: Callable[[int], bool], low: int) -> int:
    """Return the least number from ``low`` on that is enough, if more is never worse."""
    if is_enough(low):
        return low
    high = low * 2
    while not is_enough(high):
        low, high = high, high * 2
        if low > REPS_MAX // 2:
            raise ValueError(f"more than {low} reps in one hour are wanted; so much is no plan")
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if is_enough(middle) else (middle, high)
    return high


# -- in virtual time ------------------------------------------------------------------------------------------------


def week_of(demand: Demand, seed: int) -> list[Request]:
    """Return the cases of three days and the week after them, drawn hour by hour; the same seed gives the same."""
    draw = random.Random(seed)
    handling = demand.handling
    sigma = math.sqrt(math.log(1 + handling.cv**2))
    brands, brand_weights = list(demand.brands), list(demand.brands.values())
    levels, level_weights = list(demand.levels), list(demand.levels.values())
    made: list[Request] = []
    for hour in range(-BEFORE_H, HOURS_OF_WEEK):
        begin = demand.monday_at + hour * HOUR_MS
        for at in sorted(draw.randrange(HOUR_MS) for _ in range(_count(draw, demand, hour % HOURS_OF_WEEK))):
            level = draw.choices(levels, level_weights)[0]
            seconds = draw.lognormvariate(math.log(handling.mean_s) - sigma * sigma / 2, sigma)
            made.append(
                Request(
                    id=len(made),
                    at=begin + at,
                    triage=level,
                    language="",
                    brand_id=draw.choices(brands, brand_weights)[0],
                    handling_ms=max(1, round(seconds * 1000)),
                    seen=level,
                    patience_ms=round(draw.expovariate(1 / (demand.patience_min * 60_000))) + 1
                    if demand.patience_min
                    else 0,
                )
            )
    return made


def _count(draw: random.Random, demand: Demand, hour: int) -> int:
    """Draw an hour's count: Poisson around its mean, or around a gamma number where the past varied more than by chance."""
    mean, more = demand.means[hour], demand.dispersion - 1
    if mean > 0 and more > 1e-9:
        mean = draw.gammavariate(mean / more, more)
    count, at = 0, draw.expovariate(1.0)
    while at < mean:
        count += 1
        at += draw.expovariate(1.0)
    return count


def shifts_of(reps: Sequence[int], demand: Demand) -> dict[str, tuple[Span, ...]]:
    """Return when each rep is there, from three days before the week on: the n-th whenever n or more are wanted."""
    shifts: dict[str, tuple[Span, ...]] = {}
    for number in range(max(reps)):
        spans: list[Span] = []
        for hour in range(-BEFORE_H, HOURS_OF_WEEK + AFTER_DAYS * 24):
            start = demand.monday_at + hour * HOUR_MS
            if reps[hour % HOURS_OF_WEEK] <= number:
                continue
            if spans and spans[-1][1] == start:
                spans[-1] = (spans[-1][0], start + HOUR_MS)
            else:
                spans.append((start, start + HOUR_MS))
        shifts[f"r{number:04}"] = tuple(spans)
    return shifts


def check(demand: Demand, reps: Sequence[int], seeds: Sequence[int]) -> Check:
    """Play weeks by the engine's rules with so many reps; the three days before each only fill the queues."""
    profiles = tuple(RepProfile(id=f"r{number:04}", name="", capacity=1) for number in range(max(reps)))
    floor = Floor(profiles, shifts_of(reps, demand), demand.promises, demand.hours)
    weeks = [week_of(demand, seed) for seed in seeds]
    return _found(demand, sum(reps) * len(weeks), [Run(floor, ClassQueues()).go(week) for week in weeks if week])


def _found(demand: Demand, rep_hours: int, outcomes: Sequence[Outcome]) -> Check:
    came: Counter[Triage] = Counter()
    kept: Counter[Triage] = Counter()
    waited: list[int] = []
    answered = busy_ms = 0
    for served in (one for outcome in outcomes for one in outcome.served if one.request.at >= demand.monday_at):
        level = served.request.triage
        came[level] += 1
        if served.end == "answered":
            busy_ms += served.request.handling_ms
            waited.append(served.taken_at - served.request.at)
            kept[level] += served.taken_at <= served.due_at
            answered += served.ended_at <= served.due_at
    cases = sum(came.values())
    return Check(
        in_time=sum(kept.values()) / cases if cases else 1.0,
        answered_in_time=answered / cases if cases else 1.0,
        by_level={level: kept[level] / came[level] for level in LEVELS if came[level]},
        mean_wait_min=sum(waited) / len(waited) / 60_000 if waited else 0.0,
        longest_wait_min=max(waited, default=0) / 60_000,
        occupancy=busy_ms / (rep_hours * HOUR_MS) if rep_hours else 0.0,
        cases=cases,
    )


def plan(
    demand: Demand, goal: Goal, seeds: Sequence[int], progress: Callable[[float, Check], None] = lambda _s, _c: None
) -> Plan:
    """
    Propose reps for each hour of the week.

    Erlang's shape is made larger or smaller, ``STEP`` by ``STEP``, to the smallest that keeps the goal in all seeds together.

    Args:
        demand: What comes.
        goal: To be kept over the week.
        seeds: Of the weeks that are played; every plan is checked on the same.
        progress: Called after each check with its scale.
    """
    tried: dict[int, tuple[tuple[int, ...], Check]] = {}

    def keeps(step: int) -> bool:
        if step not in tried:
            reps = first_numbers(demand, goal, scale=STEP**step)
            tried[step] = reps, check(demand, reps, seeds)
            progress(STEP**step, tried[step][1])
        found = tried[step][1]
        return is_kept(goal, found)

    low, high = _around(keeps)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if keeps(middle) else (middle, high)
    best = high if keeps(high) else max(tried, key=lambda step: (tried[step][1].in_time, -step))
    reps, found = tried[best]
    return Plan(tried[0][0], reps, STEP**best, tried[0][1], found, keeps(best))


def is_kept(goal: Goal, found: Check) -> bool:
    """Return whether a plan that was checked keeps a goal."""
    shares = (found.in_time, *found.by_level.values()) if goal.each_level else (found.in_time,)
    return min(shares) >= goal.share and found.occupancy <= goal.occupancy_max


def _around(keeps: Callable[[int], bool]) -> tuple[int, int]:
    """Return a step that does not keep the goal and a larger one that does, as far as the search goes."""
    stride = 1
    if keeps(0):
        low, high = -stride, 0
        while low > -STEPS_MAX and keeps(low):
            stride *= 2
            low, high = max(-STEPS_MAX, low - stride), low
        return low, high
    low, high = 0, stride
    while high < STEPS_MAX and not keeps(high):
        stride *= 2
        low, high = high, min(STEPS_MAX, high + stride)
    return low, high
