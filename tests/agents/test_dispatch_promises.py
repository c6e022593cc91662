"""Promises in the stream: warned of once, broken once, paused while the customer is awaited. Lists in, lists out."""

from pathlib import Path
from typing import Any

import pytest

from agents.dispatch import Dispatch
from agents.floor import House
from models import records as r
from models import wire
from models.brands import Minutes, ServiceHours, ServiceLevel, Shift
from models.cases import Case
from models.promises import resolution_promise
from tests.builders import NOW, Bench, a_brand, a_social_post, a_tenant, labels, told, understood

SECOND = 1000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
LEVEL = ServiceLevel(Minutes(5, 15, 60, 240), resolution=Minutes(important=480, urgent=240))


@pytest.fixture
def floor(tmp_path: Path) -> Bench:
    """One tenant whose brand promises an answer in an hour and an end in eight; the takeover is read, anna is there."""
    bench = Bench(Dispatch(House((a_tenant(brands=(a_brand(service_level=LEVEL),)),))), tmp_path / "db")
    bench.feed(r.Takeover(at=NOW, owner="me"))
    return bench


def with_anna(floor: Bench) -> None:
    floor.feed(
        r.DeskUp(NOW, "alster", "anna", "anna-1", "g1"),
        r.SetPresence(NOW, "alster", "anna", "anna-1", "p1", "available"),
    )


def the_case(floor: Bench) -> Case:
    (case,) = floor.part.index.open.values()
    return case


def taken(floor: Bench) -> Case:
    """The case, in anna's hands."""
    with_anna(floor)
    floor.feed(understood())
    case = the_case(floor)
    assert case.offer is not None
    floor.feed(r.Accept(NOW, "alster", "anna", "anna-1", "a1", case.case_id, case.offer.offer, case.version))
    return the_case(floor)


def answered(floor: Bench, at: int, *, close: bool = False, command: str = "r1") -> list[Any]:
    case = the_case(floor)
    floor.feed(r.Reply(at, "alster", "anna", "anna-1", command, case.case_id, case.version, "Gern!", close))
    # The gateway lives: a desk that was lost would give the case up.
    return floor.feed(tick(at), r.Published(at, "alster", case.case_id, command, "sent"))


def tick(at: int) -> r.Tick:
    return r.Tick(at=at)


def notices(outs: Any) -> list[Any]:
    return told(outs, "case-events", r.Warned) + told(outs, "case-events", r.Breached)


def test_a_promise_is_warned_of_once_and_broken_once(floor: Bench) -> None:
    floor.feed(understood())
    seconds = [45 * 60 - 1, 45 * 60, 45 * 60 + 1, 3600, 3601, 3602, 7200]
    seen = {second: notices(floor.feed(tick(NOW + second * SECOND))) for second in seconds}

    assert {second: [type(one) for one in found] for second, found in seen.items() if found} == {
        45 * 60: [r.Warned],
        3601: [r.Breached],
    }
    (warned,), (breached,) = seen[45 * 60], seen[3601]
    assert (warned.promise, warned.due_at, warned.rep_id) == ("first_answer", NOW + HOUR, "")
    assert (breached.promise, breached.due_at) == ("first_answer", NOW + HOUR)


def test_a_desk_hears_of_its_case_without_a_new_version(floor: Bench) -> None:
    case = taken(floor)
    outs = floor.feed(r.GatewayBeat(NOW + 45 * MINUTE, "alster", "g1"), tick(NOW + 45 * MINUTE))

    (notice,) = told(outs, "desk-events", wire.Notice)
    assert (notice.case_id, notice.promise, notice.stage) == (case.case_id, "first_answer", "warned")
    assert (the_case(floor).version, told(outs, "case-events", r.Warned)[0].rep_id) == (case.version, "anna")


def test_a_desk_is_shown_what_is_promised(floor: Bench) -> None:
    with_anna(floor)
    (frame,) = told(floor.feed(understood()), "desk-events", wire.OfferFrame)

    assert [(one.kind, one.due_at - NOW) for one in frame.case.promises] == [
        ("first_answer", HOUR),
        ("resolution", 8 * HOUR),
    ]


def test_the_board_hears_how_many_are_warned_of(floor: Bench) -> None:
    floor.feed(understood("x:1"), understood("x:2", triage="urgent"))

    def gauges(minutes: int) -> tuple[int, int]:
        (found,) = told(floor.feed(tick(NOW + minutes * MINUTE)), "case-events", r.Gauges)
        return found.warned, found.late

    floor.feed(tick(NOW + 12 * MINUTE))
    assert gauges(13) == (1, 0)
    assert gauges(16) == (0, 1)
    assert gauges(46) == (1, 1)


def test_an_answer_ends_the_promise_to_answer_and_pauses_the_resolution(floor: Bench) -> None:
    taken(floor)
    (event,) = told(answered(floor, NOW + 10 * MINUTE), "case-events", r.Answered)
    case = the_case(floor)

    assert (case.state, event.in_time) == ("awaiting_customer", True)
    assert [(one.kind, one.paused_at) for one in case.promises] == [("resolution", NOW + 10 * MINUTE)]
    # Nobody is told of a promise that stands still, however long the customer takes.
    assert notices(floor.feed(tick(NOW + 20 * HOUR))) == []


def test_the_customers_reply_takes_the_resolution_up_again(floor: Bench) -> None:
    taken(floor)
    answered(floor, NOW + 10 * MINUTE)
    back = NOW + 20 * HOUR
    floor.feed(tick(back))
    floor.feed(
        understood(post=a_social_post("x:2", conversation_uri="x:1", received_at=back, created_at=back), at=back)
    )

    case = the_case(floor)
    assert [(one.kind, one.due_at) for one in case.promises] == [
        ("next_answer", back + HOUR),
        ("resolution", back + 8 * HOUR - 10 * MINUTE),
    ]
    assert case.due_at == back + HOUR
    later = notices(floor.feed(tick(back + HOUR + SECOND)))
    assert [(type(one), one.promise) for one in later] == [(r.Breached, "next_answer")]


def test_a_reply_that_expects_no_answer_leaves_the_clock_still(floor: Bench) -> None:
    taken(floor)
    answered(floor, NOW + 10 * MINUTE)
    thanks = understood(
        post=a_social_post("x:2", conversation_uri="x:1", received_at=NOW + HOUR, created_at=NOW + HOUR),
        labels=labels(answer=False, triage="less"),
        triage="less",
        at=NOW + HOUR,
    )
    floor.feed(tick(NOW + HOUR), thanks)

    case = the_case(floor)
    resolution = resolution_promise(case.promises)
    assert resolution is not None
    assert (case.state, resolution.paused_at) == ("awaiting_customer", NOW + 10 * MINUTE)


def test_what_is_late_between_two_ticks_is_told_with_the_answer(floor: Bench) -> None:
    taken(floor)
    case = the_case(floor)
    late = NOW + HOUR + 300
    floor.feed(r.Reply(late, "alster", "anna", "anna-1", "r1", case.case_id, case.version, "Gern!", False))
    floor.feed(r.GatewayBeat(late, "alster", "g1"), r.Tick(at=NOW + HOUR))
    outs = floor.feed(r.Tick(at=late), r.Published(late, "alster", case.case_id, "r1", "sent"))

    assert [type(one) for one in notices(outs)] == [r.Breached]
    (event,) = told(outs, "case-events", r.Answered)
    assert not event.in_time


@pytest.mark.parametrize(("minutes", "in_time"), [(30, True), (8 * 60 + 1, False)])
def test_a_closed_case_says_whether_it_was_resolved_in_time(floor: Bench, minutes: int, in_time: bool) -> None:
    taken(floor)
    (closed,) = told(answered(floor, NOW + minutes * MINUTE, close=True), "case-events", r.Closed)

    assert closed.in_time is in_time


def test_a_warning_that_was_written_is_not_told_again_by_who_comes_after(floor: Bench) -> None:
    floor.feed(understood())
    assert len(notices(floor.feed(tick(NOW + 45 * MINUTE)))) == 1
    floor.write()
    floor.restart()
    floor.feed(r.Takeover(at=NOW + 46 * MINUTE, owner="me again"))

    assert notices(floor.feed(tick(NOW + 46 * MINUTE))) == []
    assert [type(one) for one in notices(floor.feed(tick(NOW + 61 * MINUTE)))] == [r.Breached]


def test_a_night_without_a_worker_tells_of_the_breach_alone(floor: Bench) -> None:
    floor.feed(understood())

    assert [(type(one), one.promise) for one in notices(floor.feed(tick(NOW + 7 * HOUR)))] == [
        (r.Warned, "resolution"),
        (r.Breached, "first_answer"),
    ]


def test_at_most_a_thousand_cases_are_told_of_at_a_tick(floor: Bench) -> None:
    floor.feed(
        *[
            understood(f"x:{number}", post=a_social_post(f"x:{number}", conversation_uri=f"x:{number}"))
            for number in range(1100)
        ]
    )
    seen = [len(notices(floor.feed(tick(NOW + 45 * MINUTE + second * SECOND)))) for second in range(3)]

    assert seen == [1000, 100, 0]


def test_another_configuration_leaves_what_was_promised(tmp_path: Path) -> None:
    def step(minutes: float, hours: ServiceHours) -> Dispatch:
        level = ServiceLevel(Minutes(important=minutes), resolution=Minutes(important=8 * minutes))
        return Dispatch(House((a_tenant(brands=(a_brand(service_level=level, hours=hours),)),)))

    always = ServiceHours(always=True)
    bench = Bench(step(60, always), tmp_path / "db")
    bench.feed(r.Takeover(at=NOW, owner="me"), understood())
    given = the_case(bench)
    bench.write()
    bench.step = step(600, ServiceHours("UTC", (Shift(0, 0, 60),)))
    bench.restart()
    bench.feed(r.Takeover(at=NOW, owner="me again"))
    again = a_social_post("x:2", conversation_uri="x:1", received_at=NOW + MINUTE, created_at=NOW + MINUTE)
    bench.feed(tick(NOW + MINUTE), understood(post=again, at=NOW + MINUTE))

    assert the_case(bench).promises == given.promises
    assert the_case(bench).due_at == given.due_at
