"""Measure as lists in and lists out, on a real RocksDB."""

import random
from pathlib import Path
from typing import Any

import pytest

from agents.measure import Measure
from models import records as r
from models.incidents import IncidentLine
from models.influence import Influence
from models.windows import response_bucket
from models.wire import BoardFrame
from streams.codec import encode
from tests.builders import NOW, Bench, a_case, labels, told

MINUTE = 60_000
_numbers = iter(range(1, 1_000_000))


@pytest.fixture
def board(tmp_path: Path) -> Bench:
    return Wired(Measure(), tmp_path / "db")


def src() -> r.Src:
    return (0, next(_numbers), 1)


def opened(at: int = NOW, **changes: Any) -> r.Opened:
    given: dict[str, Any] = {
        "at": at,
        "src": src(),
        "tenant": "alster",
        "brand_id": "fennkom",
        "case_id": "c",
        "post_id": "p",
        "platform": "x",
        "addressed": "mention",
        "received_at": at,
        "due_at": at,
        "triage": "important",
        "labels": labels(),
        "influence": Influence(),
    }
    return r.Opened(**{**given, **changes})


def answered(wait_s: float, at: int = NOW, *, in_time: bool = True, first: bool = True) -> r.Answered:
    return r.Answered(at, src(), "alster", "fennkom", "c", "anna", "r1", first, wait_s, in_time, "important")


class Wired(Bench):
    """Measure reads records as dispatch writes them: encoded."""

    def feed(self, *values: Any, at_offset: int | None = None) -> Any:
        return super().feed(*[self.step.decode(encode(value)) for value in values], at_offset=at_offset)


def test_incidents_and_what_the_machine_sees_to_are_shown_as_dispatch_tells_them(board: Bench) -> None:
    line = IncidentLine("i1", "suggested", 1, NOW, sample="kein Internet", posts=12, authors=11, grown=5, waiting=12)
    gauges = r.Gauges(NOW, src(), "alster", "fennkom", automatic=3, incidents=(line,))
    board.feed(gauges, r.IncidentTold(NOW, src(), "alster", "fennkom", "i1", "suggested"))
    shown = frame(board)

    assert (shown.automatic, shown.incidents) == (3, (line,))


def frame(board: Bench, at: int = NOW) -> BoardFrame:
    (only,) = told(board.feed(r.Clock(at, src())), "boards")
    assert isinstance(only, BoardFrame)
    return only


def test_a_clock_gives_each_brand_one_full_frame(board: Bench) -> None:
    board.feed(opened(), opened(), opened(brand_id="kranich"))
    frames = told(board.feed(r.Clock(NOW, src())), "boards")

    assert [(one.brand_id, one.posts_1h) for one in frames] == [("fennkom", 2), ("kranich", 1)]


def test_a_follow_up_is_a_post_and_no_case(board: Bench) -> None:
    first, second = opened(), opened()
    joined = r.Joined(**{name: getattr(second, name) for name in r.Joined.__struct_fields__})
    board.feed(first, joined)

    found = frame(board)
    assert (found.posts_1h, found.cases_1h) == (2, 1)


def test_a_post_that_is_read_again_is_counted_once_and_moves_to_the_cases(board: Bench) -> None:
    given = {name: getattr(opened(), name) for name in r.Opened.__struct_fields__}
    counted = [r.Counted(NOW, src(), "alster", "fennkom", "p", "x", reason="no_answer", received_at=NOW) for _ in "ab"]
    board.feed(*counted, opened(again=True))
    found = frame(board)
    assert (found.posts_1h, found.cases_1h, found.counted_only_1h) == (2, 1, 1)

    board.feed(r.Joined(**{**given, "src": src(), "again": True}))
    found = frame(board)
    assert (found.posts_1h, found.cases_1h, found.counted_only_1h) == (2, 1, 0)


def test_an_event_sent_again_counts_once(board: Bench) -> None:
    event = opened()
    board.feed(event)
    board.feed(event)

    assert frame(board).posts_1h == 1


def test_posts_count_in_the_minute_they_came_in(board: Bench) -> None:
    board.feed(opened(NOW - 5 * MINUTE), opened(NOW))

    series = frame(board).posts_per_min
    assert (len(series), series[-1], series[-6], sum(series)) == (60, 1, 1, 2)


def test_what_is_older_than_an_hour_leaves_the_hour_and_stays_in_the_day(board: Bench) -> None:
    board.feed(opened(NOW - 90 * MINUTE), answered(10, NOW - 90 * MINUTE))

    found = frame(board)
    assert (found.posts_1h, found.share_answered_24h) == (0, 1.0)


def test_a_slot_that_was_taken_over_is_not_written_into_the_past(board: Bench) -> None:
    board.feed(opened(NOW))
    board.feed(opened(NOW - 62 * MINUTE))

    assert frame(board).posts_1h == 1


def test_response_times_come_from_log_buckets_within_five_percent(board: Bench) -> None:
    board.feed(*[answered(float(wait)) for wait in range(1, 1001)])

    found = frame(board)
    assert found.response_p50_s == pytest.approx(500, rel=0.05)
    assert found.response_p90_s == pytest.approx(900, rel=0.05)


def test_a_case_that_waits_and_is_not_due_is_no_broken_promise(board: Bench) -> None:
    board.feed(opened(), opened(), opened(), answered(5))
    board.feed(r.Gauges(NOW, src(), "alster", "fennkom", queued={"urgent": 1}, working=1, late=1))

    assert frame(board).share_answered_24h == 0.5


def test_late_answers_stand_in_their_minute(board: Bench) -> None:
    board.feed(answered(5), answered(5, NOW - 3 * MINUTE, in_time=False))

    assert [at for at, count in enumerate(frame(board).late_per_min) if count] == [56]


def test_share_in_time_counts_first_answers(board: Bench) -> None:
    board.feed(answered(5), answered(5, in_time=False), answered(5, first=False))

    assert frame(board).share_in_time_1h == 0.5


def test_shares_of_nothing_are_none(board: Bench) -> None:
    board.feed(opened())

    assert frame(board).share_in_time_1h is None


def test_gauges_stand_on_the_board_as_dispatch_told_them(board: Bench) -> None:
    board.feed(
        r.Gauges(
            at=NOW,
            src=src(),
            tenant="alster",
            brand_id="fennkom",
            queued={"urgent": 3},
            offered=1,
            working=5,
            late=2,
            reps={"available": 4},
            held=2,
            awaiting_approval=1,
        )
    )

    found = frame(board)
    assert (found.working, found.held, found.awaiting_approval) == (5, 2, 1)
    assert (found.queued, found.offered, found.late, found.reps) == ({"urgent": 3}, 1, 2, {"available": 4})


def test_windows_outlive_a_restart(board: Bench) -> None:
    board.feed(opened(), answered(7))
    board.write()
    board.restart()

    found = frame(board)
    assert (found.posts_1h, found.answered_1h) == (1, 1)


def test_platforms_that_come_from_outside_are_bounded(board: Bench) -> None:
    board.feed(*[opened(platform=f"p{number}") for number in range(100)])

    found = frame(board).platform_1h
    assert len(found) == 33 and found["other"] == 68


@pytest.mark.parametrize("seed", range(8))
def test_a_run_counts_as_its_events_one_by_one(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    events: list[Any] = []
    for _ in range(300):
        at = NOW + chance.choice((0, 1, 61, 62, 63, 1_500)) * MINUTE + chance.randrange(MINUTE)  # Slots are taken over.
        brand_id = chance.choice(("fennkom", "kranich"))
        one = opened(at, brand_id=brand_id, platform=f"p{chance.randrange(50)}", labels=labels(language=f"l{at % 40}"))
        joined = r.Joined(*(getattr(one, name) for name in one.__struct_fields__))
        counted = r.Counted(at, src(), "alster", brand_id, "p", "x", "spam", received_at=at)
        events.append(chance.choice((one, joined, counted, answered(at % 90, at), promised(r.Warned, at))))

    at_once, singly = Wired(Measure(), tmp_path / "a"), Wired(Measure(), tmp_path / "b")
    at_once.feed(*events)
    for event in events:
        singly.feed(event)

    assert at_once.part.rows.dirty == singly.part.rows.dirty


@pytest.mark.parametrize(("wait_s", "bucket"), [(0.0, "0"), (1.0, "0"), (1.2, "1"), (3600.0, "85")])
def test_log_buckets(wait_s: float, bucket: str) -> None:
    assert response_bucket(wait_s) == bucket


def promised(kind: type, at: int = NOW) -> Any:
    return kind(at, src(), "alster", "fennkom", "c", "first_answer", at, "important")


def test_the_board_counts_warnings_breaches_and_what_was_resolved_in_time(board: Bench) -> None:
    board.feed(promised(r.Warned), promised(r.Warned), promised(r.Breached))
    for in_time in (True, False, True, None):
        board.feed(r.Closed(NOW, src(), "alster", "fennkom", "c", a_case(), in_time))
    board.feed(r.Gauges(at=NOW, src=src(), tenant="alster", brand_id="fennkom", warned=4))

    found = frame(board)
    assert (found.warned, found.warned_1h, found.breached_1h) == (4, 2, 1)
    assert (found.resolved_1h, found.share_resolved_in_time_1h) == (3, 0.6667)
