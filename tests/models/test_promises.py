"""The rules of promises, over clocks that stand still, hours that change and triages that rise."""

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.brands import ALWAYS, Minutes, ServiceHours, ServiceLevel, Shift
from models.labels import Triage
from models.promises import (
    Promise,
    answer_promise,
    awaiting_answer,
    awaiting_customer,
    is_kept,
    next_at,
    paused,
    raised,
    reopened,
    resolution_promise,
    resumed,
    started,
    told_at,
)
from models.sla import OpenHours, open_hours

BERLIN = ZoneInfo("Europe/Berlin")
MINUTE = 60_000
HOUR = 60 * MINUTE
LEVEL = ServiceLevel(resolution=Minutes(at_once=60, urgent=120, important=480, less=960))
OPEN = open_hours(ALWAYS)
OFFICE = open_hours(ServiceHours("Europe/Berlin", tuple(Shift(day, 480, 1200) for day in range(5))))
SHORT = open_hours(ServiceHours("Europe/Berlin", tuple(Shift(day, 600, 840) for day in range(5))))


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=BERLIN).timestamp() * 1000)


def shown(moment: int) -> str:
    return datetime.fromtimestamp(moment / 1000, BERLIN).strftime("%a %Y-%m-%d %H:%M:%S")


def a_promise(since: str = "2026-11-04 10:00:00", hours: OpenHours = OFFICE, triage: Triage = "important") -> Promise:
    promise = started(LEVEL, "resolution", triage, "x", at(since), hours)
    assert promise is not None
    return promise


def test_nothing_starts_where_nothing_is_promised() -> None:
    assert started(ServiceLevel(), "resolution", "urgent", "x", 0, OPEN) is None
    assert started(LEVEL, "resolution", "spam", "x", 0, OPEN) is None


def test_the_clock_stands_still_while_the_customer_is_awaited() -> None:
    promise = a_promise()
    assert shown(promise.due_at) == "Wed 2026-11-04 18:00:00"

    waiting = paused(promise, at("2026-11-04 11:00:00"), OFFICE)
    assert (next_at(waiting), told_at(waiting, at("2027-01-01 00:00:00"))) == (None, "")

    again = resumed(waiting, at("2026-11-09 19:00:00"), OFFICE)  # Five days later, an hour before closing.
    assert shown(again.due_at) == "Tue 2026-11-10 14:00:00"  # Seven hours were left: one on Monday, six on Tuesday.
    assert shown(again.warn_at) == "Tue 2026-11-10 12:00:00"  # And five of them until the warning.
    assert again.paused_at == 0


def test_a_pause_within_closed_hours_moves_nothing() -> None:
    promise = a_promise("2026-11-04 19:00:00")

    again = resumed(paused(promise, at("2026-11-04 21:00:00"), OFFICE), at("2026-11-05 07:30:00"), OFFICE)

    assert again == promise


def test_a_reply_that_came_before_the_pause_takes_nothing_away() -> None:
    promise = a_promise()
    waiting = paused(promise, at("2026-11-04 11:00:00"), OFFICE)

    assert resumed(waiting, at("2026-11-04 10:59:00"), OFFICE) == promise


def test_a_pause_mends_no_breach() -> None:
    promise = a_promise()
    waiting = paused(promise, promise.due_at + 1, OFFICE)
    again = resumed(waiting, promise.due_at + 9 * HOUR, OFFICE)

    assert again.due_at == promise.due_at
    assert told_at(again, promise.due_at + 9 * HOUR) == "breached"
    assert not is_kept(waiting, promise.due_at + 9 * HOUR)


def test_a_pause_does_not_pause_twice_and_a_running_clock_does_not_resume() -> None:
    promise = a_promise()
    waiting = paused(promise, at("2026-11-04 11:00:00"), OFFICE)

    assert paused(waiting, at("2026-11-04 12:00:00"), OFFICE) is waiting
    assert resumed(promise, at("2026-11-04 12:00:00"), OFFICE) is promise


def test_other_hours_leave_open_promises_as_they_were_given() -> None:
    held = awaiting_answer((), LEVEL, OFFICE, "important", "x", at("2026-11-04 10:00:00"), first=True)
    slower = ServiceLevel(Minutes(important=600), resolution=Minutes(important=9_000))
    faster = ServiceLevel(Minutes(important=1), resolution=Minutes(important=2))

    for level in (slower, faster):
        # Another post of the same mind: neither the minutes nor the hours of today's configuration touch it ...
        kept = awaiting_answer(held, slower, SHORT, "important", "x", at("2026-11-04 10:30:00"), first=True)
        assert kept == held
        # ... and what is promised anew is promised by them.
        new = started(level, "next_answer", "important", "x", at("2026-11-05 12:00:00"), SHORT)
        assert new is not None
        assert new.span_ms == (600 if level is slower else 1) * MINUTE


def test_what_was_left_at_a_pause_is_counted_by_the_hours_of_the_day_it_ends() -> None:
    waiting = paused(a_promise(), at("2026-11-04 11:00:00"), OFFICE)  # Seven hours left, by the old hours.

    again = resumed(waiting, at("2026-11-05 10:00:00"), SHORT)  # Four hours a day by the new ones.

    assert shown(again.due_at) == "Fri 2026-11-06 13:00:00"


def test_a_case_that_becomes_more_pressing_is_due_sooner_by_the_difference() -> None:
    promise = a_promise()
    sooner = raised(promise, LEVEL, "urgent", "x", OFFICE)

    assert shown(sooner.due_at) == "Wed 2026-11-04 12:00:00"
    assert sooner.warn_at <= sooner.due_at - 30 * MINUTE
    assert raised(sooner, LEVEL, "less", "x", OFFICE) is sooner


def test_pauses_stay_in_when_a_case_becomes_more_pressing() -> None:
    before, after = at("2026-11-04 10:30:00"), at("2026-11-05 10:30:00")
    promise = a_promise()

    one = raised(resumed(paused(promise, before, OFFICE), after, OFFICE), LEVEL, "urgent", "x", OFFICE)
    other = resumed(raised(paused(promise, before, OFFICE), LEVEL, "urgent", "x", OFFICE), after, OFFICE)

    assert shown(one.due_at) == shown(other.due_at) == "Thu 2026-11-05 12:00:00"


@pytest.mark.parametrize(
    ("after_ms", "told"),
    [(0, ""), (45 * MINUTE - 1, ""), (45 * MINUTE, "warned"), (HOUR, "warned"), (HOUR + 1, "breached")],
    ids=["at the start", "just before the warning", "at the warning", "on the millisecond it is due", "just late"],
)
def test_a_promise_is_warned_of_and_then_broken(after_ms: int, told: str) -> None:
    promise = started(LEVEL, "first_answer", "important", "x", 0, OPEN)
    assert promise is not None

    assert told_at(promise, after_ms) == told
    assert is_kept(promise, after_ms) == (told != "breached")


def test_there_is_something_to_say_twice_at_most() -> None:
    promise = Promise("first_answer", 0, due_at=100, warn_at=75, span_ms=100)

    assert next_at(promise) == 75
    assert next_at(Promise("first_answer", 0, 100, 75, 100, told="warned")) == 101
    assert next_at(Promise("first_answer", 0, 100, 75, 100, told="breached")) is None


def test_a_case_that_is_taken_up_again_rested_from_its_end() -> None:
    promise = a_promise()

    (again,) = reopened((promise,), at("2026-11-04 11:00:00"), at("2026-11-05 11:00:00"), OFFICE)

    assert shown(again.due_at) == "Thu 2026-11-05 18:00:00"


moments = st.integers(min_value=at("2026-10-20 00:00:00"), max_value=at("2026-11-05 00:00:00"))
"""Over the night in which clocks are set back."""
gaps = st.lists(st.tuples(st.integers(1, 40 * HOUR), st.integers(0, 90 * HOUR)), max_size=5)
triages = st.sampled_from(["less", "important", "urgent", "at_once"])


@given(since=moments, gaps=gaps, triage=triages)
def test_pauses_add_up_to_the_service_time_that_was_promised(
    since: int, gaps: list[tuple[int, int]], triage: Triage
) -> None:
    """However often it is paused: time that ran, service hours only, is what was promised when it falls due."""
    promise = a_promise(triage=triage)
    promise = started(LEVEL, "resolution", triage, "x", since, OFFICE) or promise
    now, ran_ms = since, 0
    for runs_ms, rests_ms in gaps:
        if now + runs_ms >= promise.due_at:
            break
        ran_ms += OFFICE.open_ms(now, now + runs_ms)
        now += runs_ms
        promise = resumed(paused(promise, now, OFFICE), now + rests_ms, OFFICE)
        now += rests_ms

    assert ran_ms + OFFICE.open_ms(now, promise.due_at) == promise.span_ms
    assert promise.warn_at <= promise.due_at


@given(since=moments, changes=st.lists(st.tuples(triages, st.integers(0, 30 * HOUR)), max_size=6))
def test_no_change_of_triage_makes_a_promise_later(since: int, changes: list[tuple[Triage, int]]) -> None:
    held = awaiting_answer((), LEVEL, OFFICE, "less", "x", since, first=True)
    for triage, _ in changes:
        new = awaiting_answer(held, LEVEL, OFFICE, triage, "x", since, first=True)
        for one, other in zip(held, new, strict=True):
            assert other.due_at <= one.due_at
            assert other.warn_at <= min(one.warn_at, other.due_at)
        held = new
    most = min((triage for triage, _ in changes), key=["at_once", "urgent", "important", "less"].index, default="less")
    anew = awaiting_answer((), LEVEL, OFFICE, most, "x", since, first=True)
    # However it came there, it is due when it would be had it been seen at once what it is.
    assert [one.due_at for one in held] == [one.due_at for one in anew]


def test_an_answer_leaves_the_resolution_alone_and_the_customers_reply_starts_the_next_answer() -> None:
    since = at("2026-11-04 10:00:00")
    held = awaiting_answer((), LEVEL, OFFICE, "important", "x", since, first=True)
    assert [one.kind for one in held] == ["first_answer", "resolution"]

    rest = awaiting_customer(held, since + 10 * MINUTE, OFFICE)
    assert [(one.kind, one.paused_at) for one in rest] == [("resolution", since + 10 * MINUTE)]
    assert answer_promise(rest) is None

    back = awaiting_answer(rest, LEVEL, OFFICE, "important", "x", since + 2 * HOUR, first=False)
    assert [(one.kind, one.paused_at) for one in back] == [("next_answer", 0), ("resolution", 0)]
    resolution = resolution_promise(back)
    assert resolution is not None
    assert shown(resolution.due_at) == "Wed 2026-11-04 19:50:00"
