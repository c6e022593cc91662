"""
Which hours a date has: the week, public holidays by country and region, and exceptions by date.

Each date rules its own 24 hours, in the wall time of its zone. What runs past midnight falls under the next date: a
holiday cuts the night before it at midnight, and does not touch the night that begins when it is over.
"""

from collections.abc import Iterator
from datetime import date, timedelta
from functools import lru_cache
from typing import Final

from models.brands import DayHours, ServiceHours

DAY_MIN: Final = 1440
_EPOCH: Final = date(1970, 1, 1)

Span = tuple[int, int]
"""Minutes after a date's midnight, 0..1440, the first below the second."""


@lru_cache(maxsize=1)
def regions() -> dict[str, tuple[str, ...]]:
    """Return the countries that are known, ISO 3166-1 alpha-2, each with its subdivisions, as in {"DE": ("BB", ...)}."""
    import holidays  # Here: whoever keeps no region need not wait for 250 countries.

    known = holidays.list_supported_countries()
    return {country: tuple(parts) for country, parts in known.items() if len(country) == 2}


def is_region(name: str) -> bool:
    """Return whether a name is a country or one of its subdivisions, as in DE or DE-BY."""
    country, dash, part = name.partition("-")
    return country in regions() and (not dash or part in regions()[country])


@lru_cache(maxsize=4096)
def holidays_of(region: str, year: int) -> frozenset[date]:
    """
    Return the public holidays of a year, with days on which they are made up for.

    Args:
        region: As ``is_region`` knows it. Days that only some places of it keep are not among them.
        year: Of the Gregorian calendar.
    """
    import holidays

    country, _, part = region.partition("-")
    return frozenset(holidays.country_holidays(country, subdiv=part or None, years=year, expand=False))


class Calendar:
    """The hours of each date, by the rules of a brand."""

    def __init__(self, hours: ServiceHours) -> None:
        """Keep the rules; holidays are looked up as years are asked for."""
        self._week = _by_weekday(hours)
        self._regions = hours.regions
        self._closed = frozenset(date.fromisoformat(day) for day in hours.holidays)
        self._dated = {date.fromisoformat(rule.day): rule for rule in hours.exceptions if len(rule.day) == 10}
        self._yearly = {rule.day: rule for rule in hours.exceptions if len(rule.day) == 5}

    def spans(self, first: int, last: int) -> Iterator[tuple[date, Span]]:
        """Yield the openings of days ``first`` to ``last`` (since 1970, the last not included), in order of days."""
        before = self._rule(_EPOCH + timedelta(days=first - 1))
        for number in range(first, last):
            day = _EPOCH + timedelta(days=number)
            rule = self._rule(day)
            for span in self._of(day, rule, before):
                yield day, span
            before = rule

    def is_holiday(self, day: date) -> bool:
        """Return whether nobody is there on a date, unless an exception says otherwise."""
        return day in self._closed or any(day in holidays_of(region, day.year) for region in self._regions)

    def _rule(self, day: date) -> DayHours | None:
        """Return what rules a date instead of its weekday: an exception of this year, of every year, a holiday."""
        rule = self._dated.get(day) or (self._yearly.get(f"{day:%m-%d}") if self._yearly else None)
        if rule is None and self.is_holiday(day):
            rule = DayHours(day.isoformat())
        return rule

    def _of(self, day: date, rule: DayHours | None, before: DayHours | None) -> Iterator[Span]:
        if rule is not None and not rule.usual:
            yield from _begun(rule.spans)
            return
        yield from self._week[day.weekday()]
        if before is not None:
            yield from _run_over(before.spans)


def _begun(spans: tuple[Span, ...]) -> Iterator[Span]:
    """Yield the parts of spans that lie on the day on which they begin."""
    for start, end in spans:
        yield start, min(end, DAY_MIN)


def _run_over(spans: tuple[Span, ...]) -> Iterator[Span]:
    """Yield the parts of spans that lie on the day after."""
    for _, end in spans:
        if end > DAY_MIN:
            yield 0, end - DAY_MIN


def _by_weekday(hours: ServiceHours) -> list[list[Span]]:
    """Return the openings of each weekday; a shift over midnight has a part on each of its two."""
    days: list[list[Span]] = [[] for _ in range(7)]
    for shift in hours.week:
        spans = ((shift.start_min, shift.end_min),)
        days[shift.weekday] += _begun(spans)
        days[(shift.weekday + 1) % 7] += _run_over(spans)
    return days
