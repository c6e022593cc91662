"""
Arrivals of requests for a simulation: from a profile of the day, by thinning, each with its class and its handling.

The same seed gives the same day, whatever rule orders it. What may be switched on or off (wrong triage, patience, repeats)
is drawn from streams of its own, so that switching one does not move the others: differences between settings are paired.
"""

import math
import random
from collections.abc import Mapping, Sequence
from typing import Final

from msgspec import Struct, field

from models.labels import Triage

MINUTE_MS: Final = 60_000
HOUR_S: Final = 3_600
DAY_S: Final = 86_400
DAYS_MAX: Final = 370
REQUESTS_MAX: Final = 2_000_000  # About 1 GB in memory with what happened to each.
LEVELS: Final[tuple[Triage, ...]] = ("at_once", "urgent", "important", "less")
"""Those that are promised something, the most pressing first; the order in which shares of a mix stand."""

EVENING_HEAVY: Final = (
    *(0.4, 0.25, 0.2, 0.15, 0.15, 0.25, 0.5, 0.8, 1.1, 1.4, 1.6, 1.6),
    *(1.5, 1.5, 1.5, 1.5, 1.6, 1.7, 1.8, 1.8, 1.6, 1.3, 0.9, 0.6),
)
"""Weights by hour of the day: quiet nights, a plateau by day, the top from 18 to 20 h."""


class Peak(Struct, frozen=True):
    """A time in which more comes than usual."""

    from_s: float
    """Seconds after the start."""
    to_s: float
    factor: float
    """Times the usual rate, above 1."""
    incident_share: float = 0.0
    """Share 0..1 of what comes beyond the usual that is about one incident."""
    incident_s: float = 30.0
    """Handling of a post of the incident: its answer is known, a rep looks at it and sends it."""


class Mix(Struct, frozen=True):
    """Of what the requests consist; every table is weights, which need not sum to 1."""

    levels: Mapping[Triage, float] = field(
        default_factory=lambda: {"at_once": 0.05, "urgent": 0.20, "important": 0.45, "less": 0.30}
    )
    languages: Mapping[str, float] = field(default_factory=lambda: {"de": 0.80, "en": 0.15, "fr": 0.05})
    brands: Mapping[str, float] = field(default_factory=lambda: {"brand": 1.0})


class Handling(Struct, frozen=True):
    """How long a rep works on a request: lognormal."""

    mean_s: float = 480.0
    cv: float = 1.0
    """Deviation over mean; 0 is always the mean."""


class Habits(Struct, frozen=True):
    """What customers and the classifier do; with the defaults nothing of it."""

    patience_min: float = 0.0
    """Mean of the exponential patience after which a customer gives up; 0: endless."""
    repeat_share: float = 0.0
    """Share 0..1 of customers who write again while they wait."""
    repeat_after_min: float = 60.0
    """Mean of the exponential time between writing and writing again."""
    confusion: Mapping[Triage, Mapping[Triage, float]] = field(default_factory=dict)
    """What the classifier sees, as weights, by what is true; a level that is missing is always seen right."""


class Request(Struct, gc=False):
    """One request as it comes; times are Unix ms, lengths are ms."""

    id: int
    at: int
    triage: Triage
    """The true one: promises are judged by it."""
    language: str
    brand_id: str
    handling_ms: int
    seen: Triage
    """What the classifier sees: the order goes by it."""
    subject: str = "other"
    weight: float = 1.0
    incident: bool = False
    patience_ms: int = 0
    """0: endless."""
    repeats_ms: tuple[int, ...] = ()
    """When the customer writes again, ms after ``at``, rising."""


class Recorded(Struct, frozen=True, gc=False):
    """A request that once came."""

    at: int
    triage: Triage
    language: str
    brand_id: str
    subject: str = "other"
    weight: float = 1.0


def shares_of_day(hourly: Sequence[float]) -> tuple[float, ...]:
    """Return 24 weights scaled to the mean 1."""
    if len(hourly) != 24 or min(hourly) < 0 or sum(hourly) <= 0:
        raise ValueError(f"a day's profile is 24 weights of 0 or more, not all 0; got {len(hourly)}: {list(hourly)}")
    mean = sum(hourly) / 24
    return tuple(weight / mean for weight in hourly)


def requests_of(
    seed: int,
    days: float,
    per_day: float,
    *,
    start_at: int = 0,
    hourly: Sequence[float] = EVENING_HEAVY,
    peak: Peak | None = None,
    mix: Mix | None = None,
    handling: Handling | None = None,
    habits: Habits | None = None,
) -> list[Request]:
    """
    Return the requests of some days, in the order of their times.

    Args:
        seed: Of all draws; the order of the draws is part of what it means.
        days: Length, above 0.
        per_day: Mean number on a day without a peak.
        start_at: Unix ms of the first midnight; the profile's hour 0.
        hourly: 24 weights.
        peak: A time of more.
        mix: Levels, languages and brands.
        handling: Of requests that are no incident.
        habits: Patience, repeats, wrong triage.
    """
    if not 0 < days <= DAYS_MAX or not 0 < per_day * days <= REQUESTS_MAX:
        raise ValueError(f"{per_day} a day for {days} days; wanted 1 to {REQUESTS_MAX} requests in {DAYS_MAX} days")
    mix, handling, habits = mix or Mix(), handling or Handling(), habits or Habits()
    draw = random.Random(seed)
    times = _times(draw, days, per_day, shares_of_day(hourly), peak, mix)
    made = [
        _request(number, start_at, one, *_handled(draw, one[0], handling, peak)) for number, one in enumerate(times)
    ]
    _brands(made, seed, mix)
    _habits(made, seed, habits)
    return made


def recorded_requests(
    seed: int, recorded: Sequence[Recorded], handling: Handling | None = None, habits: Habits | None = None
) -> list[Request]:
    """
    Return recorded requests with a handling drawn for each.

    Args:
        seed: Of all draws.
        recorded: In the order of time.
        handling: Of each.
        habits: Patience, repeats, wrong triage; what was recorded counts as true.
    """
    draw = random.Random(seed)
    handling = handling or Handling()
    made = []
    for number, one in enumerate(recorded):
        seconds, _ = _handled(draw, 0.0, handling, None)
        made.append(
            Request(
                id=number,
                at=one.at,
                triage=one.triage,
                language=one.language,
                brand_id=one.brand_id,
                handling_ms=max(1, round(seconds * 1000)),
                seen=one.triage,
                subject=one.subject,
                weight=one.weight,
            )
        )
    _habits(made, seed, habits or Habits())
    return made


def _times(
    draw: random.Random, days: float, per_day: float, shares: Sequence[float], peak: Peak | None, mix: Mix
) -> list[tuple[float, Triage, str]]:
    """Thin a Poisson stream of the highest rate; level and language are drawn as each request is kept."""
    base = per_day / DAY_S
    highest = base * max(shares) * (peak.factor if peak else 1)
    levels, level_weights = list(mix.levels), list(mix.levels.values())
    languages, language_weights = list(mix.languages), list(mix.languages.values())
    kept: list[tuple[float, Triage, str]] = []
    at = 0.0
    while at < days * DAY_S:
        at += draw.expovariate(highest)
        rate = base * shares[int(at // HOUR_S) % 24]
        if peak and peak.from_s <= at < peak.to_s:
            rate *= peak.factor
        if draw.random() < rate / highest:
            level = draw.choices(levels, level_weights)[0]
            kept.append((at, level, draw.choices(languages, language_weights)[0]))
    return kept


def _handled(draw: random.Random, at: float, handling: Handling, peak: Peak | None) -> tuple[float, bool]:
    """Return seconds of handling, and whether the request belongs to the incident."""
    sigma = math.sqrt(math.log(1 + handling.cv**2))
    seconds = draw.lognormvariate(math.log(handling.mean_s) - sigma * sigma / 2, sigma)
    chance = draw.random()
    if peak and peak.from_s <= at < peak.to_s and chance < peak.incident_share * (1 - 1 / peak.factor):
        return peak.incident_s, True
    return seconds, False


def _request(number: int, start_at: int, one: tuple[float, Triage, str], seconds: float, incident: bool) -> Request:
    at, level, language = one
    return Request(
        id=number,
        at=start_at + round(at * 1000),
        triage=level,
        language=language,
        brand_id="",
        handling_ms=max(1, round(seconds * 1000)),
        seen=level,
        incident=incident,
    )


def _brands(made: Sequence[Request], seed: int, mix: Mix) -> None:
    names, weights = list(mix.brands), list(mix.brands.values())
    draw = random.Random(f"{seed}/brands")
    for request in made:
        request.brand_id = names[0] if len(names) == 1 else draw.choices(names, weights)[0]


def _habits(made: Sequence[Request], seed: int, habits: Habits) -> None:
    """Draw what customers and classifier do, each from a stream of its own."""
    if habits.patience_min > 0:
        draw = random.Random(f"{seed}/patience")
        for request in made:
            request.patience_ms = max(1, round(draw.expovariate(1 / (habits.patience_min * MINUTE_MS))))
    if habits.repeat_share > 0:
        draw = random.Random(f"{seed}/repeats")
        for request in made:
            request.repeats_ms = _repeats(draw, habits)
    if habits.confusion:
        draw = random.Random(f"{seed}/confusion")
        for request in made:
            row = habits.confusion.get(request.triage)
            chance = draw.random()
            request.seen = request.triage if row is None else _seen(row, chance)


def _repeats(draw: random.Random, habits: Habits) -> tuple[int, ...]:
    """Return up to three further posts; who writes again may do so again."""
    at = 0.0
    repeats: list[int] = []
    while len(repeats) < 3 and draw.random() < habits.repeat_share:
        at += draw.expovariate(1 / (habits.repeat_after_min * MINUTE_MS))
        repeats.append(max(1, round(at)))
    return tuple(repeats)


def _seen(row: Mapping[Triage, float], chance: float) -> Triage:
    left = chance * sum(row.values())
    for triage, weight in row.items():
        left -= weight
        if left < 0:
            return triage
    return list(row)[-1]
