"""
Calendars against an oracle that shares nothing with them.

The oracle walks: it asks of every second, or every minute, which date and time a clock on the wall shows, and whether the rules
say that somebody is there. It knows no instants of opening, no sums and no bisection; of zones it knows ``zoneinfo``, and of
holidays a table that was written by hand from the lists of twenty-one regions. Between the calendars and this file stands nothing but
the rules as they are documented (docs/service-levels.md).
"""

from datetime import date, datetime, timedelta
from functools import lru_cache
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from models.brands import DayHours, ServiceHours, Shift
from models.calendars import holidays_of
from models.sla import OpenHours, due_at, open_hours

DAY_MIN = 1440
SECOND, MINUTE, DAY = 1_000, 60_000, 86_400_000


# -- the oracle -----------------------------------------------------------------------------------------------------


class Oracle:
    """Whether somebody is there, asked of the clock on the wall."""

    def __init__(self, rules: ServiceHours) -> None:
        self.rules = rules
        self.zone = ZoneInfo(rules.zone)

    def is_open(self, at: int) -> bool:
        """Answer for an instant in Unix ms."""
        wall = datetime.fromtimestamp(at / 1000, self.zone)
        second = wall.hour * 3600 + wall.minute * 60 + wall.second
        return any(start * 60 <= second < end * 60 for start, end in self.of_date(wall.date()))

    @lru_cache(maxsize=10_000)  # noqa: B019 - an oracle lives as long as its test
    def of_date(self, day: date) -> tuple[tuple[int, int], ...]:
        """Return the openings of a date, in minutes of its own 24 hours."""
        ruled = self.ruled(day)
        if ruled is not None and not ruled.usual:
            return tuple((start, min(end, DAY_MIN)) for start, end in ruled.spans)
        before = day - timedelta(days=1)
        found = [(s.start_min, min(s.end_min, DAY_MIN)) for s in self.rules.week if s.weekday == day.weekday()]
        found += [(0, s.end_min - DAY_MIN) for s in self.rules.week if s.weekday == before.weekday()]
        other = self.ruled(before)
        if other is not None:
            found += [(0, end - DAY_MIN) for _, end in other.spans]
        return tuple((start, end) for start, end in found if start < end)

    def ruled(self, day: date) -> DayHours | None:
        """Return what rules a date in the place of its weekday."""
        for key in (day.isoformat(), day.isoformat()[5:]):
            for rule in self.rules.exceptions:
                if rule.day == key:
                    return rule
        closed = day.isoformat() in self.rules.holidays
        return DayHours("") if closed or any(day in holidays_of(one, day.year) for one in self.rules.regions) else None

    def walk(self, begin: int, end: int, step: int) -> list[int]:
        """Return for each step from ``begin`` how much was open before it."""
        passed = [0]
        for at in range(begin, end, step):
            passed.append(passed[-1] + step * self.is_open(at))
        return passed


def agree(rules: ServiceHours, begin: int, end: int, step: int, waits: range = range(0)) -> int:
    """Hold the calendar against the oracle at every step; return how many answers were compared."""
    hours = open_hours(rules)
    passed = Oracle(rules).walk(begin, end, step)
    steps = len(passed) - 1
    for n in range(steps):
        at = begin + n * step
        assert hours.open_ms(begin, at) == passed[n], datetime.fromtimestamp(at / 1000, ZoneInfo(rules.zone))
        assert hours.is_open(at) == (passed[n + 1] > passed[n]), datetime.fromtimestamp(at / 1000, ZoneInfo(rules.zone))
    return steps + sum(agree_on_waits(hours, passed, begin, step, wait) for wait in waits)


def agree_on_waits(hours: OpenHours, passed: list[int], begin: int, step: int, wait: int) -> int:
    """Hold the due time of a wait (in steps, above 0) from every step against the walk, as far as the walk goes."""
    compared, due = 0, 0
    for n in range(len(passed)):
        due = max(due, n)
        while due < len(passed) and passed[due] - passed[n] < wait * step:
            due += 1
        if due == len(passed):
            break
        assert hours.due_at(begin + n * step, wait * step) == begin + due * step
        compared += 1
    return compared


def changed_hour(zone: str, begin: int) -> int:
    """Return the last hour before a zone's clocks are set, within two days."""
    hours = [begin + n * 3600 * SECOND for n in range(49)]
    offsets = [datetime.fromtimestamp(at / 1000, ZoneInfo(zone)).utcoffset() for at in hours]
    (found,) = (at for at, one, other in zip(hours, offsets, offsets[1:], strict=False) if one != other)
    return found


def instant(text: str, zone: str = "UTC") -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp() * 1000)


# -- clocks that are set, per second --------------------------------------------------------------------------------

SHIFTS = {
    "office": tuple(Shift(day, 480, 1200) for day in range(7)),
    "split": tuple(Shift(day, *span) for day in range(7) for span in ((30, 145), (150, 725), (780, 1080))),
    "night": tuple(Shift(day, 1320, 1800) for day in range(7)),
    "into the change": tuple(Shift(day, 65, 153) for day in range(7)),
    "round the clock": tuple(Shift(day, 0, 1440) for day in range(7)),
}

CHANGES = [
    ("Europe/Berlin", "2026-03-29", "one hour forward at 2"),
    ("Europe/Berlin", "2026-10-25", "one hour back at 3"),
    ("Europe/London", "2026-03-29", "one hour forward at 1"),
    ("Europe/London", "2026-10-25", "one hour back at 2"),
    ("America/New_York", "2026-03-08", "forward in the west"),
    ("America/New_York", "2026-11-01", "back in the west"),
    ("America/Havana", "2026-03-08", "midnight does not exist"),
    ("America/Havana", "2026-11-01", "midnight comes twice"),
    ("America/Sao_Paulo", "2018-02-17", "the last hour of a day comes twice"),
    ("Atlantic/Azores", "2026-10-24", "back over midnight"),
    ("Australia/Lord_Howe", "2026-04-05", "half an hour back"),
    ("Australia/Lord_Howe", "2026-10-04", "half an hour forward"),
    ("Pacific/Auckland", "2026-04-05", "back in the south"),
    ("Africa/Casablanca", "2026-02-15", "back for Ramadan"),
    ("Pacific/Apia", "2011-12-29", "a whole day is skipped"),
    ("Asia/Kathmandu", "1985-12-31", "a quarter of an hour, for good"),
]


@pytest.mark.parametrize("shifts", SHIFTS)
@pytest.mark.parametrize(("zone", "day", "_why"), CHANGES, ids=[f"{zone} {why}" for zone, _, why in CHANGES])
def test_every_second_around_a_change_of_clocks_is_as_the_wall_says(
    shifts: str, zone: str, day: str, _why: str
) -> None:
    rules = ServiceHours(zone, SHIFTS[shifts])
    begin = instant(f"{day} 12:00:00", zone) - DAY
    hour = changed_hour(zone, begin)

    assert agree(rules, hour - 2 * 3600 * SECOND, hour + 3 * 3600 * SECOND, SECOND) == 5 * 3600
    assert agree(rules, begin, begin + 3 * DAY, MINUTE, range(95, 96)) > 4_320


@pytest.mark.parametrize("wait", [1, 299, 900, 3600, 6 * 3600])
def test_due_times_are_exact_to_the_second_over_both_changes(wait: int) -> None:
    for day in ("2026-03-28", "2026-10-24"):
        begin = instant(f"{day} 20:00:00", "Europe/Berlin")
        compared = agree(
            ServiceHours("Europe/Berlin", SHIFTS["night"]),
            begin,
            begin + 20 * 3600 * SECOND,
            SECOND,
            range(wait, wait + 1),
        )
        assert compared > 20_000


def test_a_leap_day_is_a_day_and_a_rule_of_every_year_for_it_holds_in_leap_years() -> None:
    yearly = (DayHours("02-29", ((600, 660),)),)
    for year in (2024, 2027, 2028):
        rules = ServiceHours("Europe/Vienna", SHIFTS["office"], exceptions=yearly)
        begin = instant(f"{year}-02-27 00:00:00", "Europe/Vienna")
        assert agree(rules, begin, begin + 5 * DAY, MINUTE, range(61, 62)) > 7_000


# -- holidays of twenty-one regions, a year each --------------------------------------------------------------------

REGIONS: dict[str, tuple[str, str]] = {
    # Of 2026, by hand from the lists of each: fixed days, days after Easter (5 April) or another rule, days made up for.
    # Assumption is not among Bavaria's: only its Catholic places keep it.
    "DE-BY": (
        "Europe/Berlin",
        "01-01 01-06 04-03 04-06 05-01 05-14 05-25 06-04 10-03 11-01 12-25 12-26",
    ),
    "DE-BE": ("Europe/Berlin", "01-01 03-08 04-03 04-06 05-01 05-14 05-25 10-03 12-25 12-26"),
    "DE-HH": ("Europe/Berlin", "01-01 04-03 04-06 05-01 05-14 05-25 10-03 10-31 12-25 12-26"),
    "DE-SN": ("Europe/Berlin", "01-01 04-03 04-06 05-01 05-14 05-25 10-03 10-31 11-18 12-25 12-26"),
    "DE-NW": ("Europe/Berlin", "01-01 04-03 04-06 05-01 05-14 05-25 06-04 10-03 11-01 12-25 12-26"),
    "AT": ("Europe/Vienna", "01-01 01-06 04-06 05-01 05-14 05-25 06-04 08-15 10-26 11-01 12-08 12-25 12-26"),
    "CH-ZH": ("Europe/Zurich", "01-01 04-03 04-06 05-01 05-14 05-25 08-01 12-25 12-26"),
    "FR": ("Europe/Paris", "01-01 04-06 05-01 05-08 05-14 05-25 07-14 08-15 11-01 11-11 12-25"),
    "IT": ("Europe/Rome", "01-01 01-06 04-05 04-06 04-25 05-01 06-02 08-15 10-04 11-01 12-08 12-25 12-26"),
    "ES-MD": ("Europe/Madrid", "01-01 01-06 04-02 04-03 05-01 05-02 08-15 10-12 11-02 12-07 12-08 12-25"),
    "NL": ("Europe/Amsterdam", "01-01 04-03 04-05 04-06 04-27 05-14 05-24 05-25 12-25 12-26"),
    "BE": ("Europe/Brussels", "01-01 04-05 04-06 05-01 05-14 05-24 05-25 07-21 08-15 11-01 11-11 12-25"),
    "DK": ("Europe/Copenhagen", "01-01 04-02 04-03 04-05 04-06 05-14 05-24 05-25 12-25 12-26"),
    "NO": ("Europe/Oslo", "01-01 04-02 04-03 04-05 04-06 05-01 05-14 05-17 05-24 05-25 12-25 12-26"),
    "FI": (
        "Europe/Helsinki",
        "01-01 01-06 04-03 04-05 04-06 05-01 05-14 05-24 06-19 06-20 10-31 12-06 12-24 12-25 12-26",
    ),
    "PL": ("Europe/Warsaw", "01-01 01-06 04-05 04-06 05-01 05-03 05-24 06-04 08-15 11-01 11-11 12-24 12-25 12-26"),
    "CZ": ("Europe/Prague", "01-01 04-03 04-06 05-01 05-08 07-05 07-06 09-28 10-28 11-17 12-24 12-25 12-26"),
    "PT": ("Europe/Lisbon", "01-01 04-03 04-05 04-25 05-01 06-04 06-10 08-15 10-05 11-01 12-01 12-08 12-25"),
    "GB-ENG": ("Europe/London", "01-01 04-03 04-06 05-04 05-25 08-31 12-25 12-26 12-28"),
    "US-CA": (
        "America/Los_Angeles",
        "01-01 01-19 02-15 02-16 03-31 05-25 06-19 07-03 07-04 09-07 11-08 11-11 11-26 11-27 12-25",
    ),
    "AU-NSW": ("Australia/Sydney", "01-01 01-26 04-03 04-04 04-05 04-06 04-25 04-27 06-08 10-05 12-25 12-26 12-28"),
}


@pytest.mark.parametrize("region", REGIONS)
def test_a_regions_year_is_as_its_laws_say(region: str) -> None:
    zone, days = REGIONS[region]
    by_hand = ServiceHours(zone, SHIFTS["split"] + SHIFTS["night"], tuple(f"2026-{day}" for day in days.split()))
    by_region = ServiceHours(zone, by_hand.week, regions=(region,))
    begin = instant("2026-01-01 12:00:00", zone)
    end = instant("2026-12-31 12:00:00", zone)
    step = 5 * MINUTE  # All that these rules name is a multiple of it.
    hours, passed = open_hours(by_region), Oracle(by_hand).walk(begin, end, step)

    for n, open_before in enumerate(passed):
        at = begin + n * step
        assert hours.open_ms(begin, at) == open_before, datetime.fromtimestamp(at / 1000, ZoneInfo(zone))
    assert agree_on_waits(hours, passed, begin, step, wait=47) > 100_000


# -- calendars nobody thought of ------------------------------------------------------------------------------------

ZONES = ["Europe/Berlin", "America/Havana", "Australia/Lord_Howe", "Pacific/Chatham", "Asia/Kolkata", "UTC"]


@st.composite
def weeks(draw: st.DrawFn) -> tuple[Shift, ...]:
    """Draw up to ten shifts that do not overlap, of which any may cross midnight."""
    edges = sorted(draw(st.sets(st.integers(0, 7 * DAY_MIN - 1), min_size=2, max_size=20)))
    spans = list(zip(edges[::2], edges[1::2], strict=False))
    found = []
    for start, end in spans:
        day, start_min = divmod(start, DAY_MIN)
        found.append(Shift(day, start_min, start_min + min(end - start, DAY_MIN)))
    return tuple(sorted(found))


@st.composite
def exceptions(draw: st.DrawFn, around: date) -> tuple[DayHours, ...]:
    """Draw rules for dates near one: closed, usual, or other hours, of this year or every year."""
    found: dict[str, DayHours] = {}
    for _ in range(draw(st.integers(0, 4))):
        day = (around + timedelta(days=draw(st.integers(-1, 3)))).isoformat()
        day = day[5:] if draw(st.booleans()) else day
        edges = sorted(draw(st.sets(st.integers(0, DAY_MIN - 1), max_size=4)))
        spans = tuple(zip(edges[::2], edges[1::2], strict=False))
        if spans and draw(st.booleans()):
            spans = (*spans[:-1], (spans[-1][0], DAY_MIN + draw(st.integers(1, spans[0][0] + 1))))
        found[day] = DayHours(day, spans, usual=not spans and draw(st.booleans()))
    return tuple(sorted(found.values()))


@st.composite
def calendars(draw: st.DrawFn) -> tuple[ServiceHours, int]:
    """Draw rules, and a midnight near which they are looked at: changes of clocks, leap days, turns of years, any day."""
    special = [*(date.fromisoformat(day) for _, day, _ in CHANGES), date(2024, 2, 28), date(2025, 12, 31)]
    day = draw(st.sampled_from(special) | st.dates(date(1975, 1, 1), date(2037, 12, 1)))
    rules = ServiceHours(
        zone=draw(st.sampled_from(ZONES)),
        week=draw(weeks()),
        holidays=tuple(sorted(draw(st.sets(st.sampled_from([day.isoformat(), str(day + timedelta(days=1))]))))),
        regions=draw(st.sampled_from([(), ("DE-BY",), ("US",), ("AT", "GB-SCT")])),
        exceptions=draw(exceptions(day)),
    )
    return rules, instant(f"{day.isoformat()} 00:00:00")


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(calendars(), st.integers(1, 2_000))
def test_calendars_that_nobody_thought_of_agree_with_the_walk(drawn: tuple[ServiceHours, int], wait: int) -> None:
    rules, begin = drawn

    agree(rules, begin - DAY, begin + 3 * DAY, MINUTE, range(wait, wait + 1))


@settings(max_examples=200, deadline=None)
@given(calendars(), st.integers(0, 4 * DAY), st.integers(1, 40 * 3_600_000))
def test_a_due_time_is_the_first_instant_by_which_its_wait_has_passed(
    drawn: tuple[ServiceHours, int], later: int, wait: int
) -> None:
    """To the millisecond: just before it, less was open; it lies within an opening, or on its end."""
    rules, begin = drawn
    hours, since = open_hours(rules), begin - DAY + later
    a_week = sum(shift.end_min - shift.start_min for shift in rules.week) * MINUTE
    wait = min(wait, 1_000 * a_week)  # Hours of a minute a week would reach beyond the twenty years that are kept.

    due = hours.due_at(since, wait)

    assert hours.open_ms(since, due) == wait
    assert hours.open_ms(since, due - 1) == wait - 1
    assert hours.before(due, wait) <= max(since, hours.opens_at(since))


def test_no_zone_sets_its_clocks_twice_within_two_days() -> None:
    """The changes are looked for from midnight to midnight, one at most: see ``models.sla._pieces``."""
    for zone in {zone for zone, _, _ in CHANGES} | {zone for zone, _ in REGIONS.values()} | set(ZONES):
        there = ZoneInfo(zone)
        offsets = [
            datetime.fromtimestamp(at, there).utcoffset()
            for at in range(0, 2_145_916_800, 6 * 3600)  # 1970 to 2037
        ]
        changes = [n for n in range(1, len(offsets)) if offsets[n] != offsets[n - 1]]
        assert all(later - earlier > 9 for earlier, later in pairwise(changes)), zone


def test_the_oracle_can_fail() -> None:
    """Rules that differ by one minute of one shift in a year are told apart."""
    rules = ServiceHours("Europe/Berlin", SHIFTS["office"])
    other = ServiceHours("Europe/Berlin", (Shift(0, 480, 1199), *SHIFTS["office"][1:]))
    begin = instant("2026-11-02 00:00:00")

    passed = Oracle(other).walk(begin, begin + DAY, MINUTE)

    assert open_hours(rules).open_ms(begin, begin + DAY) == passed[-1] + MINUTE
    assert due_at(begin, 720, open_hours(rules)) != due_at(begin, 720, open_hours(other))
