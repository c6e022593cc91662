import random
from datetime import UTC, datetime, timedelta
from time import perf_counter_ns
from zoneinfo import ZoneInfo

import pytest

from models.brands import ALWAYS, Minutes, ServiceHours, ServiceLevel, Shift
from models.promises import started
from models.sla import OpenHours, business_ms, due_at, open_hours, promise_due_at

BERLIN = ZoneInfo("Europe/Berlin")
MINUTE = 60_000
HOUR = 60 * MINUTE


def berlin(text: str, fold: int = 0) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=BERLIN, fold=fold).timestamp() * 1000)


def shown(at: int) -> str:
    return datetime.fromtimestamp(at / 1000, BERLIN).strftime("%a %Y-%m-%d %H:%M:%S%z")


def hours_of(*spans: str, days: range = range(5), holidays: tuple[str, ...] = ()) -> OpenHours:
    week = []
    for span in spans:
        start, end = (int(part[:2]) * 60 + int(part[3:]) for part in span.split("-"))
        week += [Shift(day, start, end if end > start else end + 1440) for day in days]
    return open_hours(ServiceHours(zone="Europe/Berlin", week=tuple(sorted(week)), holidays=holidays))


OFFICE = hours_of("08:00-20:00")
SPLIT = hours_of("08:00-12:00", "13:00-18:00")
NIGHT = hours_of("22:00-06:00", days=range(7))
ROUND = hours_of("00:00-24:00", days=range(7))
XMAS = hours_of("08:00-20:00", holidays=("2026-12-24", "2026-12-25"))


@pytest.mark.parametrize(
    ("hours", "received", "minutes", "due"),
    [
        pytest.param(OFFICE, "2026-11-04 10:00:00", 15, "2026-11-04 10:15:00", id="within the day"),
        pytest.param(OFFICE, "2026-11-04 08:00:00", 5, "2026-11-04 08:05:00", id="on the second of opening"),
        pytest.param(OFFICE, "2026-11-04 06:30:00", 5, "2026-11-04 08:05:00", id="before opening"),
        pytest.param(OFFICE, "2026-11-04 19:50:00", 10, "2026-11-04 20:00:00", id="used up on the second of closing"),
        pytest.param(OFFICE, "2026-11-04 19:50:01", 10, "2026-11-05 08:00:01", id="one second over closing"),
        pytest.param(OFFICE, "2026-11-04 20:00:00", 10, "2026-11-05 08:10:00", id="on the second of closing"),
        pytest.param(OFFICE, "2026-11-06 19:00:00", 120, "2026-11-09 09:00:00", id="over a weekend"),
        pytest.param(OFFICE, "2026-11-04 09:00:00", 0, "2026-11-04 09:00:00", id="zero length, open"),
        pytest.param(OFFICE, "2026-11-07 09:00:00", 0, "2026-11-09 08:00:00", id="zero length, closed"),
        pytest.param(OFFICE, "2026-11-04 20:00:00", 0, "2026-11-05 08:00:00", id="zero length, at closing"),
        pytest.param(OFFICE, "2026-11-04 09:00:00", 0.5, "2026-11-04 09:00:30", id="half a minute"),
        pytest.param(SPLIT, "2026-11-04 11:50:00", 20, "2026-11-04 13:10:00", id="over the midday break"),
        pytest.param(SPLIT, "2026-11-04 12:30:00", 60, "2026-11-04 14:00:00", id="in the midday break"),
        pytest.param(SPLIT, "2026-11-04 08:00:00", 9 * 60, "2026-11-04 18:00:00", id="a whole split day"),
        pytest.param(XMAS, "2026-12-23 19:30:00", 60, "2026-12-28 08:30:00", id="over two holidays and a weekend"),
        pytest.param(XMAS, "2026-12-24 10:00:00", 5, "2026-12-28 08:05:00", id="received on a holiday"),
        pytest.param(NIGHT, "2026-11-04 23:30:00", 60, "2026-11-05 00:30:00", id="a night shift over midnight"),
        pytest.param(NIGHT, "2026-11-05 05:30:00", 60, "2026-11-05 22:30:00", id="from one night to the next"),
        pytest.param(ROUND, "2026-11-04 23:59:00", 5, "2026-11-05 00:04:00", id="round the clock by shifts"),
        # In spring 02:00-03:00 is skipped: the night of 28 to 29 March 2026 has 7 hours.
        pytest.param(NIGHT, "2026-03-28 22:00:00", 7 * 60, "2026-03-29 06:00:00", id="a night with the gap"),
        pytest.param(NIGHT, "2026-03-29 01:59:00", 2, "2026-03-29 03:01:00", id="over the gap"),
        pytest.param(ROUND, "2026-03-28 12:00:00", 24 * 60, "2026-03-29 13:00:00", id="a day over the gap"),
        # In autumn 02:00-03:00 comes twice: the night of 24 to 25 October 2026 has 9 hours.
        pytest.param(NIGHT, "2026-10-24 22:00:00", 9 * 60, "2026-10-25 06:00:00", id="a night with the fold"),
        pytest.param(ROUND, "2026-10-24 12:00:00", 24 * 60, "2026-10-25 11:00:00", id="a day over the fold"),
        pytest.param(OFFICE, "2026-03-27 19:00:00", 120, "2026-03-30 09:00:00", id="office hours move with the clock"),
        pytest.param(OFFICE, "2026-10-23 19:00:00", 120, "2026-10-26 09:00:00", id="and move back"),
    ],
)
def test_a_promise_falls_due_after_its_minutes_of_service_time(
    hours: OpenHours, received: str, minutes: float, due: str
) -> None:
    assert shown(due_at(berlin(received), minutes, hours)) == shown(berlin(due))


def test_the_hour_that_comes_twice_is_told_apart() -> None:
    first, second = berlin("2026-10-25 02:30:00", fold=0), berlin("2026-10-25 02:30:00", fold=1)

    assert second - first == HOUR
    assert due_at(first, 30, NIGHT) == first + 30 * MINUTE
    assert business_ms(first, second, NIGHT) == HOUR


@pytest.mark.parametrize(
    ("span", "day", "open_min"),
    [
        ("01:00-02:30", "2026-03-29", 60),
        ("02:30-04:00", "2026-03-29", 60),
        ("02:10-02:50", "2026-03-29", 0),
        ("01:00-02:30", "2026-10-25", 120),
        ("02:30-04:00", "2026-10-25", 120),
        ("02:10-02:50", "2026-10-25", 80),
        ("01:00-02:00", "2026-10-25", 60),
        ("02:00-03:00", "2026-10-25", 120),
        ("03:00-04:00", "2026-10-25", 60),
    ],
)
def test_shifts_that_begin_or_end_in_the_changed_hour_have_the_minutes_that_were(
    span: str, day: str, open_min: int
) -> None:
    hours = hours_of(span, days=range(7))
    midnight = berlin(f"{day} 00:00:00")

    assert business_ms(midnight, midnight + 12 * HOUR, hours) == open_min * MINUTE


@pytest.mark.parametrize(
    ("hours", "start", "end", "open_min"),
    [
        pytest.param(OFFICE, "2026-11-04 10:00:00", "2026-11-04 10:00:00", 0, id="zero length"),
        pytest.param(OFFICE, "2026-11-04 21:00:00", "2026-11-05 07:00:00", 0, id="a closed night"),
        pytest.param(OFFICE, "2026-11-04 07:00:00", "2026-11-04 21:00:00", 720, id="a whole day"),
        pytest.param(SPLIT, "2026-11-04 11:00:00", "2026-11-04 14:00:00", 120, id="over the break"),
        pytest.param(XMAS, "2026-12-23 19:00:00", "2026-12-28 09:00:00", 120, id="over holidays"),
        pytest.param(OFFICE, "2026-11-05 09:00:00", "2026-11-04 19:00:00", -120, id="backwards"),
    ],
)
def test_business_time_counts_what_was_open(hours: OpenHours, start: str, end: str, open_min: int) -> None:
    assert business_ms(berlin(start), berlin(end), hours) == open_min * MINUTE


def test_a_holiday_takes_the_night_shifts_second_half_too() -> None:
    night = hours_of("22:00-06:00", days=range(7), holidays=("2026-12-25",))

    assert shown(due_at(berlin("2026-12-24 23:00:00"), 90, night)) == shown(berlin("2026-12-26 00:30:00"))


def test_open_at_the_instant_of_opening_and_not_at_that_of_closing() -> None:
    assert not OFFICE.is_open(berlin("2026-11-04 07:59:59"))
    assert OFFICE.is_open(berlin("2026-11-04 08:00:00"))
    assert OFFICE.is_open(berlin("2026-11-04 19:59:59"))
    assert not OFFICE.is_open(berlin("2026-11-04 20:00:00"))


def test_an_always_open_brand_counts_every_minute() -> None:
    hours = open_hours(ALWAYS)
    now = berlin("2026-03-29 01:59:00")

    assert due_at(now, 5, hours) == now + 5 * MINUTE
    assert business_ms(now, now + 7, hours) == 7
    assert hours.opens_at(now) == now


def test_due_times_agree_with_a_walk_through_the_minutes() -> None:
    rng = random.Random(7)
    week = (Shift(0, 480, 720), Shift(0, 780, 1080), Shift(4, 1320, 1800), Shift(6, 60, 150), Shift(6, 1200, 1500))
    rules = ServiceHours("Europe/Berlin", week, ("2026-03-30",))
    hours = open_hours(rules)
    closed = {datetime.fromisoformat(day).date() for day in rules.holidays}

    def is_open(at: datetime) -> bool:
        local = at.astimezone(BERLIN)
        minute = local.hour * 60 + local.minute
        spans = [(s.weekday, s.start_min, min(s.end_min, 1440)) for s in week]
        spans += [((s.weekday + 1) % 7, 0, s.end_min - 1440) for s in week if s.end_min > 1440]
        return local.date() not in closed and any(d == local.weekday() and a <= minute < b for d, a, b in spans)

    # Three weeks around the change of clocks. The walk knows nothing of instants: it asks each minute's wall time.
    begin = datetime(2026, 3, 16, tzinfo=UTC)
    opened = [is_open(begin + timedelta(minutes=minute)) for minute in range(21 * 1440)]
    origin = int(begin.timestamp() * 1000)
    for _ in range(300):
        start, wait = rng.randrange(14 * 1440), rng.randrange(1, 600)
        left, at = wait, start
        while left:
            left -= opened[at]
            at += 1
        assert due_at(origin + start * MINUTE, wait, hours) == origin + at * MINUTE
        end = rng.randrange(start, 21 * 1440)
        assert business_ms(origin + start * MINUTE, origin + end * MINUTE, hours) == sum(opened[start:end]) * MINUTE


def test_what_was_asked_before_does_not_change_an_answer() -> None:
    asked = [berlin(f"{year}-07-01 19:55:00") for year in (2026, 2009, 2031, 2026, 2090, 2025)]
    used = hours_of("08:00-20:00")

    assert [due_at(at, 10, used) for at in asked] == [due_at(at, 10, hours_of("08:00-20:00")) for at in asked]


def test_a_promise_longer_than_what_was_built_is_reached() -> None:
    monthly = hours_of("08:00-09:00", days=range(1))

    assert shown(due_at(berlin("2026-01-01 00:00:00"), 100 * 60, monthly)).startswith("Mon 2027-11-29 09:00:00")


def test_a_promise_that_no_hours_can_keep_is_refused() -> None:
    with pytest.raises(ValueError, match="service time over"):
        due_at(berlin("2026-01-01 00:00:00"), 60 * 24 * 365 * 20, OFFICE)
    with pytest.raises(ValueError, match="-1 minutes"):
        due_at(0, -1, OFFICE)
    with pytest.raises(ValueError, match="never open"):
        open_hours(ServiceHours())


def test_a_promise_is_looked_up_by_kind_triage_and_platform() -> None:
    on_x = ServiceLevel(first_answer=Minutes(at_once=1, urgent=2))
    level = ServiceLevel(platforms={"x": on_x})
    now = berlin("2026-11-04 10:00:00")

    assert promise_due_at(level, "first_answer", "urgent", "x", now, OFFICE) == now + 2 * MINUTE
    assert promise_due_at(level, "first_answer", "urgent", "mastodon", now, OFFICE) == now + 15 * MINUTE
    assert promise_due_at(level, "next_answer", "urgent", "", now, OFFICE) == now + 15 * MINUTE
    assert promise_due_at(level, "first_answer", "less", "x", now, OFFICE) is None
    assert promise_due_at(level, "resolution", "urgent", "", now, OFFICE) is None
    assert promise_due_at(level, "first_answer", "spam", "", now, OFFICE) is None


@pytest.mark.parametrize(
    ("level", "warned"),
    [
        pytest.param(ServiceLevel(), "2026-11-05 08:15:00", id="by the share that a level has unless told"),
        pytest.param(ServiceLevel(warn_share=0.25), "2026-11-04 19:45:00", id="by another share"),
        pytest.param(ServiceLevel(Minutes(important=60, warn_before=10)), "2026-11-05 08:20:00", id="minutes before"),
        pytest.param(
            ServiceLevel(Minutes(important=60, warn_before=90)), "2026-11-04 19:30:00", id="not before arrival"
        ),
        pytest.param(
            ServiceLevel(platforms={"x": ServiceLevel(warn_share=0.5)}), "2026-11-04 20:00:00", id="by the platform's"
        ),
    ],
)
def test_the_warning_comes_when_its_share_of_service_time_has_passed(level: ServiceLevel, warned: str) -> None:
    promise = started(level, "first_answer", "important", "x", berlin("2026-11-04 19:30:00"), OFFICE)

    assert promise is not None
    assert shown(promise.warn_at) == shown(berlin(warned))


@pytest.mark.parametrize("hours", [OFFICE, SPLIT, NIGHT, ROUND, XMAS, open_hours(ALWAYS)])
def test_going_back_undoes_going_forward(hours: OpenHours) -> None:
    rng = random.Random(11)
    for _ in range(300):
        since = berlin("2026-01-01 00:00:00") + rng.randrange(3 * 365 * 24) * HOUR + rng.randrange(60) * MINUTE
        long, short = sorted((rng.randrange(2, 9000), rng.randrange(1, 9000)), reverse=True)
        due = due_at(since, long, hours)

        assert hours.before(due, (long - short) * MINUTE) == due_at(since, short, hours)


def test_a_due_time_costs_microseconds() -> None:
    now = berlin("2026-11-04 19:50:00")
    due_at(now, 60, OFFICE)

    best = min(_nanoseconds(lambda: due_at(now, 60, OFFICE)) for _ in range(5))

    assert best < 20_000  # Ten times what it takes, so that a busy machine does not fail it.


def _nanoseconds(call: object) -> float:
    assert callable(call)
    start = perf_counter_ns()
    for _ in range(1000):
        call()
    return (perf_counter_ns() - start) / 1000
