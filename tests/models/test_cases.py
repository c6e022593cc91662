"""Cases: bounds of a thread, and who may do what."""

import msgspec
import pytest

from models import cases
from models.cases import Entry
from models.errors import IllegalTransition
from models.routing import Seat, choose_seat, ranked
from tests.builders import NOW, a_case, a_rep


def entry(number: int, text: str) -> Entry:
    return Entry(id=f"p{number}", at=NOW + number, by="customer", text=text)


def test_the_oldest_texts_leave_a_thread_first_and_ids_stay() -> None:
    thread: tuple[Entry, ...] = ()
    for number in range(10):
        thread = cases.with_entry(thread, entry(number, "ä" * 20_000))

    assert sum(len(one.text.encode()) for one in thread) <= cases.THREAD_BYTES_MAX
    assert [one.id for one in thread] == [f"p{number}" for number in range(10)]
    assert thread[0].text == "" and thread[-1].text


def test_a_thread_holds_two_hundred_entries() -> None:
    thread: tuple[Entry, ...] = ()
    for number in range(250):
        thread = cases.with_entry(thread, entry(number, "x"))

    assert (len(thread), thread[0].id) == (200, "p50")


def test_an_offer_names_itself_anew_each_time() -> None:
    first = cases.offered(a_case(), "anna", NOW, 30_000)
    second = cases.offered(cases.requeued(first, declined=True), "ben", NOW, 30_000)

    assert first.offer is not None and second.offer is not None
    assert first.offer.offer != second.offer.offer
    assert second.declined == ("anna",)


@pytest.mark.parametrize(
    ("rep_id", "offer", "version"),
    [("ben", "c0-1.1", 2), ("anna", "c0-1.0", 2), ("anna", "c0-1.1", 1)],
    ids=["another rep", "an older offer", "an older version"],
)
def test_only_the_offer_that_stands_can_be_taken(rep_id: str, offer: str, version: int) -> None:
    shown = cases.offered(a_case(), "anna", NOW, 30_000)

    with pytest.raises(IllegalTransition, match="c0-1"):
        cases.accepted(shown, rep_id, offer, version)


def test_a_queued_case_cannot_be_answered() -> None:
    with pytest.raises(IllegalTransition, match="is queued, not worked on by anna"):
        cases.check_owner(a_case(), "reply", "anna", 1)


def test_the_best_skilled_rep_gets_a_case_and_the_longest_idle_among_equals() -> None:
    idle = Seat(a_rep("idle", skills={"lang:de": 3}), idle_since=NOW - 1000)
    busy = Seat(a_rep("busy", skills={"lang:de": 3}), idle_since=NOW)
    able = Seat(a_rep("able", skills={"lang:de": 3, "subject:billing": 5}), idle_since=NOW)

    assert choose_seat(ranked([busy, idle], "de", "billing", "fennkom")) is idle
    assert choose_seat(ranked([busy, idle, able], "de", "billing", "fennkom")) is able
    assert choose_seat(ranked([busy, idle, able], "de", "billing", "fennkom"), preferred="busy") is busy


def test_who_gave_a_case_back_gets_it_only_if_nobody_else_can() -> None:
    anna, ben = Seat(a_rep("anna")), Seat(a_rep("ben"))

    assert choose_seat(ranked([anna, ben], "de", "billing", "fennkom"), declined=("ben",)) is anna
    assert choose_seat(ranked([ben], "de", "billing", "fennkom"), declined=("ben",)) is ben


def test_nobody_gets_a_language_they_do_not_speak() -> None:
    assert ranked([Seat(a_rep(skills={"lang:en": 5}))], "de", "billing", "fennkom") == []


def test_a_row_stays_bounded_whatever_ids_posts_have() -> None:
    thread: tuple[Entry, ...] = ()
    seen: tuple[str, ...] = ()
    for number in range(300):
        name = f"{number}".rjust(1000, "\U0001f600")
        thread = cases.with_entry(thread, Entry(id=name, at=number, by="customer", text="x", uri=name))
        seen = cases.with_seen(seen, name)

    assert len(msgspec.json.encode(thread)) <= cases.THREAD_BYTES_MAX
    assert thread[-1].at == 299 and seen[-1].startswith("\U0001f600")
    assert len(msgspec.json.encode(seen)) < 100_000


@pytest.mark.parametrize("letter", ["\U0001f600", "\x01", '"', "x"], ids=["four bytes", "escaped", "a quote", "plain"])
def test_short_threads_fit_without_being_measured(letter: str) -> None:
    thread: tuple[Entry, ...] = ()
    for number in range(8):
        thread = cases.with_entry(thread, Entry(id=f"x:{number}", at=number, by="customer", text=letter * 4_000))

    assert len(msgspec.json.encode(thread)) <= cases.THREAD_BYTES_MAX + 8 * 100


def test_an_answer_under_way_stays_in_a_thread_that_overflows() -> None:
    thread = (Entry(id="r1", at=0, by="rep", text="Gern!", status="sending"),)
    for number in range(400):
        thread = cases.with_entry(thread, Entry(id=f"x:{number}", at=number, by="customer", text="x"))

    assert len(thread) == cases.THREAD_MAX
    assert (thread[0].id, thread[-1].id) == ("r1", "x:399")
