"""
Scenarios of one's own: a profile (TOML), or a recorded history with the brands and reps of a zuruf.toml.

A profile is a table of what comes, who is there and what is promised; docs/order.md has one whole. What is left out is as in
the case c1. Every complaint names the file, the key, what was found and what was meant.
"""

import re
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec
from msgspec import Struct, field
from msgspec.structs import replace

from agents.floor import House
from agents.simulation.understood import request_of, understand, why_counted
from agents.understand import Classifies
from models.arrivals import DAYS_MAX, EVENING_HEAVY, HOUR_S, Habits, Handling, Mix, Peak, shares_of_day
from models.brands import ALWAYS, DAYS, ServiceHours, ServiceLevel, Shift, Tenant
from models.errors import Misconfigured
from models.labels import Triage
from models.posts import Post
from models.priority import DEFAULT, Order
from models.reps import RepProfile
from models.scenarios import REPS_MAX, Crew, Scenario, crew_for, linguist

FILE_BYTES_MAX: Final = 4 << 20
_SHIFT: Final = re.compile(r"(?:([a-z]{3})(?:-([a-z]{3}))? )?(\d\d):(\d\d)-(\d\d):(\d\d)")
SHIFT_MEANT: Final = 'shifts as in "mon-fri 08:00-16:00", "sat 10:00-14:00" or "22:00-06:00" for every day'


class _Peak(Struct, frozen=True, forbid_unknown_fields=True):
    from_h: float
    to_h: float
    factor: float
    incident_share: float = 0.0
    incident_s: float = 30.0


class _Mix(Struct, frozen=True, forbid_unknown_fields=True):
    levels: dict[Literal["at_once", "urgent", "important", "less"], float] = field(default_factory=dict)
    languages: dict[str, float] = field(default_factory=dict)
    brands: dict[str, float] = field(default_factory=dict)


class _Rep(Struct, frozen=True, forbid_unknown_fields=True):
    id: str
    skills: dict[str, int] = field(default_factory=dict)
    capacity: int = 1
    shifts: tuple[str, ...] = ()
    """Empty: always there."""


class _Crew(Struct, frozen=True, forbid_unknown_fields=True):
    """The reference's crew: so many at each hour of the day, or as the load wants."""

    by_hour: tuple[int, ...] = ()
    load: float = 0.0


class _Handling(Struct, frozen=True, forbid_unknown_fields=True):
    mean_s: float = 480.0
    cv: float = 1.0


class _Habits(Struct, frozen=True, forbid_unknown_fields=True):
    patience_min: float = 0.0
    repeat_share: float = 0.0
    repeat_after_min: float = 60.0


class _Profile(Struct, frozen=True, forbid_unknown_fields=True):
    """The file as it stands."""

    days: float = 4.0
    per_day: float = 4500.0
    hourly: tuple[float, ...] = EVENING_HEAVY
    zone: str = "UTC"
    """Of the shifts; the profile's first hour is midnight UTC of Monday, 2026-01-05."""
    peak: _Peak | None = None
    mix: _Mix = _Mix()
    handling: _Handling = _Handling()
    habits: _Habits = _Habits()
    promises: dict[str, dict[Literal["at_once", "urgent", "important", "less"], float]] = field(default_factory=dict)
    """Minutes to the first answer, by brand."""
    crew: _Crew | None = None
    reps: tuple[_Rep, ...] = ()
    order: dict[str, Any] = field(default_factory=dict)


MONDAY_AT: Final = 1_767_571_200_000
"""2026-01-05T00:00:00Z."""


def profile_of(path: Path, tenant: Tenant | None = None) -> Scenario:
    """
    Read a profile.

    Args:
        path: A TOML file.
        tenant: Whose brands, promises, hours, reps and order hold where the profile says nothing; None: the defaults.

    Raises:
        Misconfigured: If it is not what was meant.
    """
    try:
        text = path.read_bytes()
        if len(text) > FILE_BYTES_MAX:
            raise Misconfigured.at(str(path), "", f"{len(text)} bytes", f"at most {FILE_BYTES_MAX}")
        given = msgspec.convert(tomllib.loads(text.decode()), _Profile)
    except (OSError, ValueError) as error:  # msgspec's and tomllib's errors are ValueErrors.
        raise Misconfigured(f"{path}: {error}") from error
    _check(path, given)
    scenario = _scenario(path, given)
    return scenario if tenant is None else _of_tenant(scenario, tenant, given)


def _check(path: Path, given: _Profile) -> None:
    def refuse(key: str, found: object, meant: str) -> None:
        raise Misconfigured.at(str(path), key, found, meant)

    if not 0 < given.days <= DAYS_MAX:
        refuse("days", given.days, f"above 0, at most {DAYS_MAX}")
    if not 0 < given.per_day <= 1_000_000:
        refuse("per_day", given.per_day, "above 0, at most 1000000")
    try:
        shares_of_day(given.hourly)
        ZoneInfo(given.zone)
    except ZoneInfoNotFoundError:
        refuse("zone", given.zone, "a time zone, as in Europe/Berlin")
    except ValueError as error:
        refuse("hourly", list(given.hourly), str(error))
    if given.peak is not None:
        peak = given.peak
        if not (0 <= peak.from_h < peak.to_h and 1 < peak.factor <= 1000 and 0 <= peak.incident_share <= 1):
            refuse("peak", msgspec.to_builtins(peak), "from_h below to_h, factor above 1, incident_share 0 to 1")
    if not (given.handling.mean_s > 0 and given.handling.cv >= 0):
        refuse("handling", msgspec.to_builtins(given.handling), "mean_s above 0, cv of 0 or more")
    habits = given.habits
    if not (habits.patience_min >= 0 and 0 <= habits.repeat_share < 1 and habits.repeat_after_min > 0):
        refuse(
            "habits",
            msgspec.to_builtins(habits),
            "patience_min of 0 or more, repeat_share 0 to below 1, repeat_after_min above 0",
        )
    for name in ("levels", "languages", "brands"):
        weights = getattr(given.mix, name)
        if weights and not (min(weights.values()) >= 0 and sum(weights.values()) > 0):
            refuse(f"mix.{name}", weights, "weights of 0 or more, not all 0")
    for brand, minutes in given.promises.items():
        if minutes and min(minutes.values()) <= 0:
            refuse(f"promises.{brand}", minutes, "minutes above 0")
    if given.crew is not None and given.reps:
        refuse("reps", len(given.reps), "either [crew] or [[reps]]")
    if len(given.reps) > REPS_MAX or len({rep.id for rep in given.reps}) < len(given.reps):
        refuse("reps", len(given.reps), f"at most {REPS_MAX}, each id once")


def _scenario(path: Path, given: _Profile) -> Scenario:
    mix = Mix(**{name: table for name in ("levels", "languages", "brands") if (table := getattr(given.mix, name))})
    peak = None if given.peak is None else _peak(given.peak)
    unknown = set(given.promises) - set(mix.brands)
    if unknown:
        raise Misconfigured.at(str(path), "promises", sorted(unknown), f"brands of mix.brands: {', '.join(mix.brands)}")
    levels = {
        brand: ServiceLevel(first_answer=replace(ServiceLevel().first_answer, **given.promises.get(brand, {})))
        for brand in mix.brands
    }
    return Scenario(
        path.stem,
        _crew(path, given),
        days=given.days,
        per_day=given.per_day,
        start_at=MONDAY_AT,
        hourly=given.hourly,
        peak=peak,
        mix=mix,
        handling=Handling(given.handling.mean_s, given.handling.cv),
        habits=Habits(given.habits.patience_min, given.habits.repeat_share, given.habits.repeat_after_min),
        levels=levels,
        order=_order(path, given.order),
    )


def _peak(given: _Peak) -> Peak:
    from_s, to_s = given.from_h * HOUR_S, given.to_h * HOUR_S
    return Peak(from_s, to_s, given.factor, given.incident_share, given.incident_s)


def _crew(path: Path, given: _Profile) -> Crew:
    if given.reps:
        reps = tuple(RepProfile(rep.id, rep.id, skills=rep.skills, capacity=rep.capacity) for rep in given.reps)
        for rep in given.reps:
            if not 1 <= rep.capacity <= 64:
                raise Misconfigured.at(str(path), f"reps.{rep.id}.capacity", rep.capacity, "1 to 64")
        return Crew(reps, hours={rep.id: _hours(path, rep, given.zone) for rep in given.reps if rep.shifts})
    crew = given.crew or _Crew()
    if crew.by_hour:
        if len(crew.by_hour) != 24 or not 0 < max(crew.by_hour) <= REPS_MAX or min(crew.by_hour) < 0:
            raise Misconfigured.at(
                str(path), "crew.by_hour", list(crew.by_hour), f"24 numbers of reps, 0 to {REPS_MAX}"
            )
        return Crew(tuple(map(linguist, range(max(crew.by_hour)))), crew.by_hour)
    load = crew.load or 0.93
    if not 0.1 <= load <= 2:
        raise Misconfigured.at(str(path), "crew.load", load, "0.1 to 2: offered work over reps")
    return crew_for(given.per_day, given.handling.mean_s, load, given.hourly)


def _hours(path: Path, rep: _Rep, zone: str) -> ServiceHours:
    week: list[Shift] = []
    for index, text in enumerate(rep.shifts):
        found = _SHIFT.fullmatch(text)
        if found is None or any(day and day not in DAYS for day in found.group(1, 2)):
            raise Misconfigured.at(str(path), f"reps.{rep.id}.shifts[{index}]", text, SHIFT_MEANT)
        first, last = found.group(1) or "mon", found.group(2) or found.group(1) or "sun"
        hours = [int(number) for number in found.group(3, 4, 5, 6)]
        start, end = hours[0] * 60 + hours[1], hours[2] * 60 + hours[3]
        end += 1440 if end <= start else 0
        days = range(DAYS.index(first), DAYS.index(last) + 1)
        if not days or start >= 1440 or end > 2880:
            raise Misconfigured.at(str(path), f"reps.{rep.id}.shifts[{index}]", text, SHIFT_MEANT)
        week += [Shift(day, start, end) for day in days]
    return ServiceHours(zone=zone, week=tuple(sorted(week)))


def _order(path: Path, given: Mapping[str, Any]) -> Order:
    """Read ``[order]`` as ``[tenant.order]`` is written; see ``streams.ordering``."""
    from streams.configuration import Keys
    from streams.ordering import order_of

    return order_of(Keys(str(path), "", {"order": dict(given)})) if given else DEFAULT


def _of_tenant(scenario: Scenario, tenant: Tenant, given: _Profile) -> Scenario:
    """Return a scenario with a tenant's brands, reps and order where the profile says nothing of them."""
    brands = dict(given.mix.brands) or {brand.id: brand.weight for brand in tenant.brands}
    known = {brand.id: brand for brand in tenant.brands}
    unknown = set(brands) - set(known)
    if unknown:
        raise Misconfigured.at(
            scenario.name, "mix.brands", sorted(unknown), f"brands of the tenant: {', '.join(known)}"
        )
    levels = {
        brand: ServiceLevel(
            first_answer=replace(known[brand].service_level.first_answer, **given.promises.get(brand, {}))
        )
        if brand in given.promises
        else known[brand].service_level
        for brand in brands
    }
    return replace(
        scenario,
        mix=replace(scenario.mix, brands=brands),
        levels=levels,
        hours={brand: known[brand].hours for brand in brands},
        crew=scenario.crew if given.reps or given.crew else crew_of(tenant),
        order=scenario.order if given.order else tenant.order,
    )


def crew_of(tenant: Tenant) -> Crew:
    """Return a tenant's reps; each is there in the service hours of the first brand that they serve."""
    if not tenant.reps:
        raise Misconfigured(f"tenant {tenant.id}: has no reps, wanted at least one to simulate")
    hours: dict[str, ServiceHours] = {}
    for rep in tenant.reps:
        own = [brand for brand in tenant.brands if f"brand:{brand.id}" in rep.skills] or list(tenant.brands)
        hours[rep.id] = own[0].hours if own else ALWAYS
    return Crew(tenant.reps, hours=hours)


def recorded_scenario(name: str, posts: Sequence[Post], tenant: Tenant, classifier: Classifies) -> tuple[Scenario, int]:
    """
    Return a recorded history as a scenario, and how many of its posts open no case.

    Raises:
        Misconfigured: If none of its posts opens one.
    """
    house = House((tenant,))
    works = sorted(understand((tenant,), posts, classifier).values(), key=lambda work: work.at)
    recorded = tuple(request_of(work, house) for work in works if not why_counted(work))
    if not recorded:
        raise Misconfigured(
            f"{name}: none of {len(posts)} posts would open a case for {tenant.id}; nothing to simulate"
        )
    scenario = Scenario(
        name,
        crew_of(tenant),
        levels={brand.id: brand.service_level for brand in tenant.brands},
        hours={brand.id: brand.hours for brand in tenant.brands},
        order=tenant.order,
        recorded=recorded,
    )
    return scenario, len(posts) - len(recorded)


def confusion_of(path: Path) -> dict[Triage, dict[Triage, float]]:
    """
    Read what the classifier sees by what is true: a JSON object of objects of counts.

    Raises:
        Misconfigured: If it is not that.
    """
    try:
        found = msgspec.json.decode(path.read_bytes(), type=dict[Triage, dict[Triage, float]])
    except (OSError, ValueError) as error:
        raise Misconfigured(f"{path}: {error}; wanted counts by true and by seen triage") from error
    for level, row in found.items():
        if not row or min(row.values()) < 0 or sum(row.values()) <= 0:
            raise Misconfigured.at(str(path), level, row, "counts of 0 or more, not all 0")
    return found
