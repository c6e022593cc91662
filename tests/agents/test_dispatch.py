"""Dispatch as lists in and lists out, on a real RocksDB."""

from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from agents.dispatch import Dispatch
from agents.dispatch.views import view
from agents.floor import House
from models import records as r
from models import wire
from models.brands import Account
from models.cases import Case, Entry, Offer
from models.labels import Confidence
from models.posts import Author
from models.wire import CaseView
from streams.codec import encode
from tests.builders import NOW, Bench, a_brand, a_rep, a_social_post, a_tenant, labels, told, understood

SECOND = 1000


@pytest.fixture
def floor(tmp_path: Path) -> Bench:
    """One tenant, two reps; the takeover is read."""
    return a_floor(tmp_path)


def a_floor(tmp_path: Path, **tenant: Any) -> Bench:
    bench = Bench(Dispatch(House((a_tenant(**tenant),))), tmp_path / "db")
    bench.feed(r.Takeover(at=NOW, owner="me"))
    return bench


def available(floor: Bench, rep_id: str = "anna", at: int = NOW) -> Any:
    return floor.feed(
        r.DeskUp(at, "alster", rep_id, f"{rep_id}-1", "g1"),
        r.SetPresence(at, "alster", rep_id, f"{rep_id}-1", f"p-{rep_id}-{at}", "available"),
    )


def the_case(floor: Bench) -> Case:
    (case,) = floor.part.index.open.values()
    return case


def offer_of(outs: Any) -> wire.CaseView:
    (frame,) = told(outs, "desk-events", wire.OfferFrame)
    return frame.case


def take(floor: Bench, shown: wire.CaseView, rep_id: str = "anna", command: str = "a1") -> Any:
    return floor.feed(
        r.Accept(NOW, "alster", rep_id, f"{rep_id}-1", command, shown.case_id, shown.offer, shown.version)
    )


def answer(floor: Bench, *, close: bool = True, command: str = "r1", rep_id: str = "anna") -> Any:
    case = the_case(floor)
    return floor.feed(
        r.Reply(NOW + SECOND, "alster", rep_id, f"{rep_id}-1", command, case.case_id, case.version, "Gern!", close)
    )


def a_taken_case(floor: Bench) -> Case:
    available(floor)
    take(floor, offer_of(floor.feed(understood())))
    return the_case(floor)


# -- posts


def test_a_post_opens_a_case_with_its_due_time(floor: Bench) -> None:
    (opened,) = told(floor.feed(understood()), "case-events", r.Opened)

    assert opened.due_at == NOW + 60 * 60_000
    assert the_case(floor).state == "queued"


def test_a_follow_up_joins_the_case_of_its_conversation(floor: Bench) -> None:
    floor.feed(understood())
    second = a_social_post("x:2", conversation_uri="x:1", text="hallo?")
    outs = floor.feed(understood(post=second))

    assert [entry.text for entry in the_case(floor).thread] == ["nichts geht", "hallo?"]
    assert [type(event) for event in told(outs, "case-events")] == [r.Joined]


def test_who_writes_a_third_time_without_an_answer_becomes_urgent(floor: Bench) -> None:
    floor.feed(understood())
    for number in (2, 3):
        floor.feed(understood(post=a_social_post(f"x:{number}", conversation_uri="x:1")))

    case = the_case(floor)
    assert (case.triage, case.due_at) == ("urgent", NOW + 15 * 60_000)


def test_a_platform_that_soon_shuts_its_door_makes_a_case_urgent(floor: Bench) -> None:
    floor.feed(understood(post=a_social_post(reply_until=NOW + 60 * 60_000)))

    assert the_case(floor).triage == "urgent"


def test_a_repeat_of_a_platform_is_counted_and_changes_nothing(floor: Bench) -> None:
    floor.feed(understood())
    before = the_case(floor)
    (counted,) = told(floor.feed(understood()), "case-events")

    assert (counted.reason, the_case(floor)) == ("repeat", before)


def test_a_repeat_is_known_after_a_restart_by_the_rows(floor: Bench) -> None:
    floor.feed(understood())
    floor.write()
    floor.restart()

    (counted,) = told(floor.feed(understood()), "case-events")
    assert counted.reason == "repeat"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"triage": "spam"}, "spam"),
        ({"triage": "less", "labels": labels(answer=False)}, "no_answer"),
        ({"post": a_social_post(created_at=NOW - 8 * 86_400_000)}, "too_old"),
    ],
    ids=["spam", "nothing to answer", "older than the horizon"],
)
def test_some_posts_are_counted_only(floor: Bench, change: dict[str, Any], reason: str) -> None:
    (counted,) = told(floor.feed(understood(**change)), "case-events")

    assert counted.reason == reason
    assert not floor.part.index.open


def test_praise_that_expects_an_answer_opens_a_case(floor: Bench) -> None:
    floor.feed(understood(triage="less"))

    assert the_case(floor).triage == "less"


def test_what_understand_sends_again_after_a_crash_changes_nothing(floor: Bench) -> None:
    post = understood()
    floor.feed(post)

    assert floor.feed(post) == []


def test_a_deleted_post_loses_its_text_and_keeps_its_place(floor: Bench) -> None:
    a_taken_case(floor)
    floor.feed(understood(action="deleted"))

    (entry,) = the_case(floor).thread
    assert (entry.text, entry.deleted) == ("", True)


def test_a_post_of_an_unknown_brand_is_a_bad_event(floor: Bench) -> None:
    (letter,) = told(floor.feed(understood(brand_id="nobody")), "dead-letters")

    assert letter.reason == "brand 'nobody' of tenant 'alster' is not configured (any more)"
    assert (letter.source, letter.offset) == ("work", floor.offset)


# -- offers


def test_a_case_is_offered_at_once_to_a_free_rep(floor: Bench) -> None:
    available(floor)
    shown = offer_of(floor.feed(understood()))

    assert (shown.state, shown.expires_at) == ("offered", NOW + 30_000)


def test_a_rep_who_becomes_available_gets_what_waits(floor: Bench) -> None:
    floor.feed(understood())

    assert offer_of(available(floor)).case_id == the_case(floor).case_id


def test_nobody_gets_more_than_their_capacity(tmp_path: Path) -> None:
    floor = a_floor(tmp_path, reps=(a_rep(capacity=2),))
    available(floor)
    for number in range(5):
        floor.feed(understood(f"x:{number}"))

    assert sorted(case.state for case in floor.part.index.open.values()) == ["offered"] * 2 + ["queued"] * 3


def test_the_pressing_case_goes_first_and_not_the_first_one_in(floor: Bench) -> None:
    floor.feed(understood("x:1"), understood("x:2", triage="at_once"), understood("x:3", triage="urgent"))
    frames = told(available(floor), "desk-events", wire.OfferFrame)

    assert [frame.case.triage for frame in frames] == ["at_once", "urgent", "important"]


def test_an_offer_says_why_it_is_this_case_and_says_it_again_in_a_snapshot(floor: Bench) -> None:
    floor.feed(understood("x:1"), understood("x:2", triage="urgent"))
    first, second = (frame.case for frame in told(available(floor), "desk-events", wire.OfferFrame))
    (snapshot,) = told(floor.feed(r.Resync(NOW, "alster", "anna", "anna-1")), "desk-events", wire.Snapshot)

    assert first.why == ("order savable: can be in time: 15 min left of 15, cost 4, 2 waiting",)
    assert second.why == ("order savable: can be in time: 60 min left of 60, cost 2, 1 waiting",)
    assert {case.why for case in snapshot.cases} == {first.why, second.why}


def test_a_rep_without_the_language_is_passed_over(tmp_path: Path) -> None:
    floor = a_floor(tmp_path, reps=(a_rep("anna", skills={"lang:en": 5}), a_rep("ben", skills={"lang:de": 1})))
    available(floor, "anna")
    available(floor, "ben")
    floor.feed(understood())

    assert the_case(floor).offer.rep_id == "ben"  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("language", "sure", "unsure", "gets"),
    [
        ("hi", 0.6, ("language",), "anna"),  # A guess that nobody speaks asks for nobody.
        ("hi", 0.99, (), ""),
        ("de", 0.6, ("language",), "ben"),  # A guess is better than none.
        ("de", 0.034, ("language",), "anna"),  # That is none.
    ],
)
def test_a_guess_at_a_language_that_nobody_speaks_keeps_no_case_waiting(
    tmp_path: Path, language: str, sure: float, unsure: tuple[str, ...], gets: str
) -> None:
    floor = a_floor(tmp_path, reps=(a_rep("anna", skills={"lang:en": 5}), a_rep("ben", skills={"lang:de": 1})))
    available(floor, "anna")
    available(floor, "ben")
    floor.feed(understood(labels=labels(language=language, unsure=unsure, confidence=Confidence(language=sure))))

    offer = the_case(floor).offer
    assert (offer.rep_id if offer is not None else "") == gets


def test_only_who_does_the_brand_counts_as_speaking_a_guess(tmp_path: Path) -> None:
    reps = (
        a_rep("anna", skills={"lang:en": 1, "brand:fennkom": 1}),
        a_rep("asha", skills={"lang:hi": 1, "brand:kranich": 1}),
    )
    floor = a_floor(tmp_path, reps=reps)
    available(floor, "anna")
    floor.feed(understood(labels=labels(language="hi", unsure=("language",), confidence=Confidence(language=0.6))))

    assert the_case(floor).offer.rep_id == "anna"  # type: ignore[union-attr]


def test_an_offer_that_is_not_taken_lapses_at_a_tick_and_goes_to_somebody_else(floor: Bench) -> None:
    available(floor, "anna")
    floor.feed(understood())
    available(floor, "ben")
    assert told(floor.feed(r.Tick(at=NOW + 29_000)), "case-events", r.Requeued) == []
    outs = floor.feed(r.Tick(at=NOW + 30_000))

    (requeued,) = told(outs, "case-events", r.Requeued)
    assert (requeued.rep_id, requeued.reason) == ("anna", "expired")
    assert the_case(floor).offer.rep_id == "ben"  # type: ignore[union-attr]


def test_a_rejected_case_keeps_its_age(floor: Bench) -> None:
    available(floor)
    shown = offer_of(floor.feed(understood()))
    available(floor, "ben")
    floor.feed(r.Reject(NOW + SECOND, "alster", "anna", "anna-1", "j1", shown.case_id, shown.offer, shown.version))

    case = the_case(floor)
    assert (case.received_at, case.offer.rep_id) == (NOW, "ben")  # type: ignore[union-attr]


def test_away_withdraws_offers_at_once(floor: Bench) -> None:
    available(floor)
    floor.feed(understood())
    outs = floor.feed(r.SetPresence(NOW, "alster", "anna", "anna-1", "p2", "away"))

    assert [frame.reason for frame in told(outs, "desk-events", wire.Revoke)] == ["away"]
    assert the_case(floor).state == "queued"


# -- commands


def test_an_offer_is_taken_once(floor: Bench) -> None:
    available(floor)
    shown = offer_of(floor.feed(understood()))
    (first,) = told(take(floor, shown), "desk-events", wire.Result)
    (second,) = told(take(floor, shown, command="a2"), "desk-events", wire.Result)

    assert first.ok
    assert second.error is not None and second.error.code == "version_conflict"


def test_another_rep_cannot_take_what_was_not_offered_to_them(floor: Bench) -> None:
    available(floor)
    shown = offer_of(floor.feed(understood()))
    (result,) = told(take(floor, shown, "ben"), "desk-events", wire.Result)

    assert result.error is not None and result.error.code == "offer_gone"
    assert result.error.case is None


def test_a_command_of_another_tenant_finds_no_case(floor: Bench) -> None:
    available(floor)
    shown = offer_of(floor.feed(understood()))
    outs = floor.feed(r.Accept(NOW, "harbour", "anna", "h-1", "a1", shown.case_id, shown.offer, shown.version))

    (result,) = told(outs, "desk-events", wire.Result)
    assert result.error is not None and result.error.code == "not_found"


def test_a_command_sent_again_gets_its_stored_result(floor: Bench) -> None:
    available(floor)
    shown = offer_of(floor.feed(understood()))
    take(floor, shown)
    floor.write()
    floor.restart()
    floor.feed(r.Takeover(at=NOW, owner="me again"))
    outs = take(floor, shown)

    (result,) = told(outs, "desk-events", wire.Result)
    assert result.ok
    assert told(outs, "case-events") == []


# -- answers


def test_an_answer_carries_the_command_s_id_and_where_it_goes(floor: Bench) -> None:
    a_taken_case(floor)
    (sent,) = told(answer(floor), "answers")

    assert (sent.answer_id, sent.in_reply_to, sent.text) == ("r1", "x:1", "Gern!")


def test_a_published_answer_closes_the_case_and_counts_its_wait(floor: Bench) -> None:
    case = a_taken_case(floor)
    answer(floor)
    floor.feed(r.Sending(NOW + SECOND, "alster", case.case_id, "r1"))
    outs = floor.feed(r.Published(NOW + 5 * SECOND, "alster", case.case_id, "r1", "sent", url="https://x/1"))

    (answered,) = told(outs, "case-events", r.Answered)
    (closed,) = told(outs, "case-events", r.Closed)
    assert (answered.wait_s, answered.in_time, answered.first) == (5.0, True, True)
    assert closed.case.thread[-1].status == "sent"
    assert not floor.part.index.open


def test_a_result_that_comes_twice_counts_once(floor: Bench) -> None:
    case = a_taken_case(floor)
    answer(floor)
    sent = r.Published(NOW, "alster", case.case_id, "r1", "sent")
    floor.feed(sent)

    assert told(floor.feed(sent), "case-events") == []


def test_a_failed_answer_comes_back_to_its_rep(floor: Bench) -> None:
    case = a_taken_case(floor)
    answer(floor)
    outs = floor.feed(r.Published(NOW, "alster", case.case_id, "r1", "failed", error="too long"))

    (publish,) = told(outs, "desk-events", wire.Publish)
    assert (publish.status, publish.state, publish.error) == ("failed", "working", "too long")


def test_what_the_customer_writes_after_the_answer_keeps_the_case_open(floor: Bench) -> None:
    case = a_taken_case(floor)
    answer(floor)
    later = a_social_post("x:2", conversation_uri="x:1", received_at=NOW + 2 * SECOND)
    floor.feed(understood(post=later))
    floor.feed(r.Published(NOW + 3 * SECOND, "alster", case.case_id, "r1", "sent"))

    assert the_case(floor).state == "working"


def test_a_case_that_waits_for_the_customer_goes_first_to_the_rep_who_knows_it(floor: Bench) -> None:
    case = a_taken_case(floor)
    answer(floor, close=False)
    floor.feed(r.Published(NOW + SECOND, "alster", case.case_id, "r1", "sent"))
    assert the_case(floor).state == "awaiting_customer"
    available(floor, "ben", NOW + 2 * SECOND)
    floor.feed(r.GatewayBeat(NOW + 2 * SECOND, "alster", "g1"), r.Tick(at=NOW + 8 * SECOND))
    floor.feed(understood(post=a_social_post("x:2", conversation_uri="x:1", received_at=NOW + 7 * SECOND)))

    case = the_case(floor)
    assert case.offer is not None and case.offer.rep_id == "anna"
    assert case.received_at == NOW + 7 * SECOND


def test_a_customer_who_writes_between_answer_and_result_is_not_counted_as_answered_twice(floor: Bench) -> None:
    case = a_taken_case(floor)
    answer(floor)
    floor.feed(r.GatewayBeat(NOW, "alster", "g1"), r.Tick(at=NOW + 2 * SECOND))
    floor.feed(understood(post=a_social_post("x:2", conversation_uri="x:1", received_at=NOW + 2 * SECOND)))
    (first,) = told(
        floor.feed(r.Published(NOW + 3 * SECOND, "alster", case.case_id, "r1", "sent")), "case-events", r.Answered
    )
    answer(floor, command="r2")
    (second,) = told(
        floor.feed(r.Published(NOW + 5 * SECOND, "alster", case.case_id, "r2", "sent")), "case-events", r.Answered
    )

    assert (first.wait_s, second.wait_s) == (3.0, 3.0)


def test_a_post_that_was_read_late_still_waits_for_an_answer(floor: Bench) -> None:
    case = a_taken_case(floor)
    answer(floor)
    floor.feed(understood(post=a_social_post("x:2", conversation_uri="x:1", received_at=NOW - SECOND)))
    floor.feed(r.Published(NOW + 3 * SECOND, "alster", case.case_id, "r1", "sent"))

    assert the_case(floor).state == "working"


def test_two_answers_under_way_both_count_as_under_way(floor: Bench) -> None:
    case = a_taken_case(floor)
    answer(floor, command="r1")
    answer(floor, command="r2")
    floor.feed(r.Published(NOW + SECOND, "alster", case.case_id, "r1", "sent"))
    assert the_case(floor).state == "answered"
    floor.feed(r.Published(NOW + 2 * SECOND, "alster", case.case_id, "r2", "sent"))

    assert not floor.part.index.open


def test_a_reply_sent_again_after_its_result_was_forgotten_goes_out_once(floor: Bench) -> None:
    a_taken_case(floor)
    reply = r.Reply(NOW, "alster", "anna", "anna-1", "r1", the_case(floor).case_id, the_case(floor).version, "Gern!")
    floor.feed(reply)
    for number in range(20):
        floor.feed(r.SetPresence(NOW, "alster", "anna", "anna-1", f"p{number}", "available"))
    outs = floor.feed(reply)

    assert told(outs, "answers") == []
    assert [result.ok for result in told(outs, "desk-events", wire.Result)] == [True]


# -- every state has an end


def ticks(floor: Bench, *at: int) -> Any:
    outs: list[Any] = []
    for moment in at:
        outs += floor.feed(r.Tick(at=moment))
    return outs


def test_an_answer_that_fails_after_its_rep_has_gone_goes_to_somebody_else(floor: Bench) -> None:
    case = a_taken_case(floor)
    answer(floor)
    floor.feed(r.DeskDown(NOW, "alster", "anna", "anna-1", "g1"))
    ticks(floor, NOW + 30 * SECOND, NOW + 20 * 60 * SECOND)
    floor.feed(r.Published(NOW, "alster", case.case_id, "r1", "failed", error="gone"))
    assert the_case(floor).state == "working"
    ticks(floor, NOW + 21 * 60 * SECOND)

    assert the_case(floor).state == "queued"


def test_an_answer_of_which_nothing_is_heard_for_a_day_is_unknown(floor: Bench) -> None:
    a_taken_case(floor)
    answer(floor)
    outs = ticks(floor, NOW + 25 * 3_600_000)

    (unpublished,) = told(outs, "case-events", r.Unpublished)
    assert (unpublished.answer_id, unpublished.status) == ("r1", "unknown")
    assert the_case(floor).state in ("working", "queued")


def test_a_result_that_comes_after_that_day_still_counts(floor: Bench) -> None:
    case = a_taken_case(floor)
    answer(floor)
    ticks(floor, NOW + 25 * 3_600_000)
    outs = floor.feed(r.Published(NOW, "alster", case.case_id, "r1", "sent"))

    assert len(told(outs, "case-events", r.Answered)) == 1


def test_a_case_whose_customer_stays_silent_for_a_week_is_closed(floor: Bench) -> None:
    case = a_taken_case(floor)
    answer(floor, close=False)
    floor.feed(r.Published(NOW + SECOND, "alster", case.case_id, "r1", "sent"))
    assert told(ticks(floor, NOW + 6 * 86_400_000), "case-events", r.Closed) == []
    (closed,) = told(ticks(floor, NOW + 7 * 86_400_000 + 2 * SECOND), "case-events", r.Closed)

    assert closed.case_id == case.case_id


def test_a_rep_of_whom_no_connection_is_known_does_not_stay_available(floor: Bench) -> None:
    floor.feed(r.SetPresence(NOW, "alster", "anna", "ghost", "p1", "available"))
    ticks(floor, NOW + SECOND, NOW + 32 * SECOND)

    assert floor.part.index.reps["alster|anna"].presence == "offline"


# -- odd values


def test_a_post_from_the_future_waits_like_any_other(floor: Bench) -> None:
    later = NOW + 365 * 86_400_000
    (opened,) = told(floor.feed(understood(at=later, post=a_social_post(received_at=later))), "case-events", r.Opened)

    assert (opened.received_at, opened.due_at) == (NOW, NOW + 60 * 60_000)


def test_a_repeat_that_memory_has_lost_is_known_by_the_row(floor: Bench) -> None:
    floor.feed(understood())
    floor.part.index.seen.clear()
    (counted,) = told(floor.feed(understood()), "case-events")

    assert (counted.reason, len(the_case(floor).thread)) == ("repeat", 1)


def test_memory_of_posts_is_bounded_and_the_oldest_leave(floor: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agents.floor.SEEN_MAX", 3)
    for number in range(5):
        floor.feed(understood(post=a_social_post(f"p{number}", conversation_uri=f"c{number}")))

    assert list(floor.part.index.seen) == ["alster|p2", "alster|p3", "alster|p4"]


def test_memory_of_posts_ends_with_its_span(floor: Bench) -> None:
    seen = floor.part.index.seen
    seen.update({f"alster|old{number}": NOW for number in range(1_001)})
    later = NOW + floor.step.seen_ms + SECOND
    floor.feed(r.Tick(later), understood(at=later, post=a_social_post("new", received_at=later)))

    assert "alster|old0" not in seen  # One leaves with each that comes.
    assert list(seen)[-1] == "alster|new"


def test_an_empty_text_is_a_post_like_any_other(floor: Bench) -> None:
    floor.feed(understood(post=a_social_post(text="")))

    assert the_case(floor).thread[0].text == ""


def test_one_conversation_s_name_in_two_tenants_is_two_cases(tmp_path: Path) -> None:
    floor = Bench(Dispatch(House((a_tenant(), a_tenant("harbour")))), tmp_path / "db")
    floor.feed(understood(), understood(tenant="harbour"))

    assert sorted(case.tenant for case in floor.part.index.open.values()) == ["alster", "harbour"]


def test_another_id_for_the_same_object_joins_its_conversation(floor: Bench) -> None:
    floor.feed(understood("a"), understood(post=a_social_post("b", object_uri="a", conversation_uri="a")))

    assert [entry.id for entry in the_case(floor).thread] == ["a", "b"]


def test_cases_of_a_brand_that_was_removed_can_still_be_worked_on(tmp_path: Path) -> None:
    floor = Bench(Dispatch(House((a_tenant(brands=(a_brand(), a_brand("kranich"))),))), tmp_path / "db")
    floor.feed(understood(brand_id="kranich"))
    floor.write()
    floor.step = Dispatch(House((a_tenant(),)))
    floor.restart("me")
    floor.feed(r.Takeover(at=NOW, owner="me"))

    take(floor, offer_of(available(floor)))
    answer(floor)
    case = the_case(floor)
    floor.feed(understood(post=a_social_post("x:2", conversation_uri="x:1")))
    floor.feed(r.Published(NOW, "alster", case.case_id, "r1", "sent"))
    floor.feed(r.Tick(at=NOW + SECOND))

    assert the_case(floor).state == "working"


def test_a_bad_event_costs_no_other_record_of_its_run(floor: Bench) -> None:
    outs = floor.feed(understood("x:1"), understood("x:2", brand_id="nobody"), understood("x:3"))

    assert len(told(outs, "case-events", r.Opened)) == 2
    assert len(told(outs, "dead-letters")) == 1


def test_a_snapshot_s_pages_fit_into_records(tmp_path: Path) -> None:
    floor = a_floor(tmp_path, reps=(a_rep(capacity=16),))
    available(floor)
    for number in range(16):
        floor.feed(understood(post=a_social_post(f"x:{number}", text="\U0001f600" * 40_000)))
    outs = floor.feed(r.Resync(NOW, "alster", "anna", "anna-1"))
    frames = told(outs, "desk-events", wire.Snapshot)

    assert sum(len(frame.cases) for frame in frames) == 16
    assert [frame.last for frame in frames] == [False] * (len(frames) - 1) + [True]
    assert max(len(encode(out.value)) for out in outs) < 400_000


def test_queues_and_offers_do_not_grow_with_talk(floor: Bench) -> None:
    floor.feed(understood())
    for number in range(500):
        floor.feed(understood(post=a_social_post(f"y:{number}", conversation_uri="x:1")))
    assert floor.part.index.queues["alster"].entries == 1
    available(floor)
    for number in range(500):
        floor.feed(understood(post=a_social_post(f"z:{number}", conversation_uri="x:1")))

    assert len(floor.part.index.offers) == 1


def test_an_offer_that_lapses_again_and_again_leaves_one_entry_in_its_queue(floor: Bench) -> None:
    available(floor)
    floor.feed(understood())
    for number in range(1, 50):
        at = NOW + number * 31_000
        floor.feed(r.DeskUp(at, "alster", "anna", "anna-1", "g1"), r.GatewayBeat(at, "alster", "g1"), r.Tick(at=at))
        floor.feed(r.SetPresence(at, "alster", "anna", "anna-1", f"p{number}", "available"))

    assert floor.part.index.queues["alster"].entries <= 1


def test_gateways_that_have_gone_are_forgotten(floor: Bench) -> None:
    for number in range(100):
        floor.feed(r.GatewayBeat(NOW, "alster", f"g{number}"))
    ticks(floor, NOW + 11 * SECOND)

    assert floor.part.index.beats == {}


# -- epochs, snapshots, restarts


def test_before_its_takeover_is_read_a_partition_tells_desks_nothing(tmp_path: Path) -> None:
    floor = Bench(Dispatch(House((a_tenant(),))), tmp_path / "db")
    available(floor)

    assert told(floor.feed(understood()), "desk-events") == []
    assert the_case(floor).state == "queued"


def test_somebody_else_s_takeover_ends_our_speaking(floor: Bench) -> None:
    floor.feed(r.Takeover(at=NOW, owner="another"))
    available(floor)

    assert told(floor.feed(understood()), "desk-events") == []


def test_a_takeover_begins_an_epoch_with_snapshots_of_what_the_rows_hold(floor: Bench) -> None:
    case = a_taken_case(floor)
    floor.write()
    floor.restart()
    outs = floor.feed(r.Takeover(at=NOW, owner="me again"))

    first = next(out.value for out in outs if out.topic.name == "desk-events")
    assert (first.frame.epoch, first.frame.seq) == (floor.offset, 0)
    assert [(one.case_id, one.state) for one in first.frame.cases] == [(case.case_id, "working")]


def test_numbers_of_frames_have_no_gap_within_an_epoch(floor: Bench) -> None:
    outs = available(floor)
    for number in range(3):
        outs += floor.feed(understood(f"x:{number}"))
    seqs = [out.value.seq for out in outs if out.topic.name == "desk-events" and out.value.seq]

    assert seqs == list(range(1, len(seqs) + 1))


def test_a_restart_decides_nothing_anew(floor: Bench) -> None:
    a_taken_case(floor)
    floor.feed(understood("x:9"))
    before = dict(floor.part.index.open)
    floor.write()
    floor.restart()
    floor.feed(r.Takeover(at=NOW, owner="me again"))

    assert floor.part.index.open == before


def test_a_lost_desk_keeps_its_offers_for_its_grace(floor: Bench) -> None:
    available(floor)
    floor.feed(understood())
    floor.feed(r.DeskDown(NOW, "alster", "anna", "anna-1", "g1"))
    floor.feed(r.Tick(at=NOW + 20_000))
    assert the_case(floor).state == "offered"
    outs = floor.feed(r.Tick(at=NOW + 30_000))

    assert the_case(floor).state == "queued"
    assert told(outs, "desk-events", wire.PresenceFrame)[-1].state == "offline"


def test_an_old_connection_s_end_does_not_lose_the_newer_one(floor: Bench) -> None:
    available(floor)
    floor.feed(r.DeskUp(NOW, "alster", "anna", "anna-2", "g1"), r.DeskDown(NOW, "alster", "anna", "anna-1", "g1"))
    for second in range(1, 40):
        floor.feed(r.GatewayBeat(NOW + second * SECOND, "alster", "g1"), r.Tick(at=NOW + second * SECOND))

    assert floor.part.index.reps["alster|anna"].presence == "available"


def test_a_gateway_that_says_nothing_loses_its_desks(floor: Bench) -> None:
    available(floor)
    floor.feed(r.Tick(at=NOW + 11_000))

    assert floor.part.index.reps["alster|anna"].connections == ()


def test_a_snapshot_lists_fifty_cases_a_page(tmp_path: Path) -> None:
    floor = a_floor(tmp_path, reps=(a_rep(capacity=64),))
    available(floor)
    for number in range(60):
        floor.feed(understood(f"x:{number}"))
    frames = told(floor.feed(r.Resync(NOW, "alster", "anna", "anna-1")), "desk-events", wire.Snapshot)

    assert [(len(frame.cases), frame.last) for frame in frames] == [(50, False), (10, True)]


def test_time_is_what_the_records_say_and_a_stray_clock_does_not_move_it(floor: Bench) -> None:
    floor.feed(r.GatewayBeat(NOW + 3_600_000, "alster", "g9"))
    assert floor.part.rows.progress.now == NOW
    floor.feed(r.Tick(at=NOW + 3_600_000))
    assert floor.part.rows.progress.now == NOW + 3_600_000


def test_closed_cases_leave_the_table_after_a_week(floor: Bench) -> None:
    case = a_taken_case(floor)
    floor.feed(r.CloseCase(NOW, "alster", "anna", "anna-1", "z1", case.case_id, case.version))
    floor.write()
    floor.feed(r.Tick(at=NOW + 7 * 86_400_000 + SECOND))

    assert floor.part.index.case(case.case_id) is None


def test_gauges_tell_what_stands_open(floor: Bench) -> None:
    available(floor)
    for number in range(6):
        floor.feed(understood(f"x:{number}"))
    (gauges,) = told(floor.feed(r.Tick(at=NOW + SECOND)), "case-events", r.Gauges)

    assert (gauges.queued, gauges.offered, gauges.oldest_at) == ({"important": 2}, 4, NOW)
    assert gauges.reps == {"available": 1}


def test_a_figure_that_has_fallen_to_nothing_is_told_after_a_restart_too(floor: Bench) -> None:
    case = a_taken_case(floor)
    floor.feed(r.CloseCase(NOW, "alster", "anna", "anna-1", "z1", case.case_id, case.version))
    floor.write()
    floor.restart()
    (gauges,) = told(floor.feed(r.Tick(at=NOW + SECOND)), "case-events", r.Gauges)

    assert (gauges.brand_id, gauges.working) == ("fennkom", 0)


def test_a_closed_case_does_not_hide_the_open_one_of_its_conversation(floor: Bench) -> None:
    """Rows come back in the order of their keys, in which c0-10 stands before c0-9."""
    available(floor)
    take(floor, offer_of(floor.feed(understood(src=(0, 9_000_000_000, 1)))))
    case = the_case(floor)
    floor.feed(r.CloseCase(NOW, "alster", "anna", "anna-1", "z1", case.case_id, case.version))
    floor.feed(understood(src=(0, 10_000_000_000, 1), post=a_social_post("x:2", conversation_uri="x:1")))
    floor.write()
    floor.restart()
    floor.feed(understood(src=(0, 10_000_000_001, 1), post=a_social_post("x:3", conversation_uri="x:1")))

    assert [entry.id for entry in the_case(floor).thread] == ["x:2", "x:3"]


def test_influence_weighs_a_case_and_a_brand_can_switch_it_off(tmp_path: Path) -> None:
    loud = Author(handle="laut", followers=2_000_000)
    for switched_on, first in ((True, "x:2"), (False, "x:1")):
        brand = a_brand(influence=switched_on)
        floor = a_floor(tmp_path / str(switched_on), brands=(brand,))
        quiet = understood("x:1", labels=labels(language="en"))
        famous = understood(
            "x:2", post=a_social_post("x:2", author=loud), influence=replace(quiet.influence, score=0.9)
        )
        floor.feed(quiet, famous, r.Tick(at=NOW + 60_000))
        frame = told(available(floor, at=NOW + 60_000), "desk-events", wire.OfferFrame)[0]

        assert frame.case.thread[0].id == first


def test_a_desk_is_told_how_long_an_answer_may_be(tmp_path: Path) -> None:
    accounts = (Account(id="main", connector="webhook", text_max=280),)
    floor = a_floor(tmp_path, accounts=accounts)
    floor.feed(understood("x:1"))
    [frame] = told(available(floor), "desk-events", wire.OfferFrame)

    assert frame.case.text_max == 280


def test_a_view_shows_each_field_of_its_case() -> None:
    # Each field another value, so that none can stand in the place of another.
    given = {name: f"<{name}>" for name in Case.__struct_fields__}
    own: dict[str, Any] = {"why": ("why",), "offer": Offer("<offer>", "<rep>", 1, 2, ("because",))}
    case = Case(**{**given, **own})
    shown = view(case, 280)

    same = set(CaseView.__struct_fields__) - {"why", "offer", "expires_at", "text_max"}
    assert {name: getattr(shown, name) for name in same} == {name: f"<{name}>" for name in same}
    assert (shown.why, shown.offer, shown.expires_at, shown.text_max) == (("why", "because"), "<offer>", 2, 280)


def test_each_field_of_a_post_stands_in_its_place_in_case_and_event(floor: Bench) -> None:
    post = a_social_post(
        "<id>",
        platform="<platform>",
        account_id="<account>",
        object_uri="<object>",
        conversation_uri="<conversation>",
        text="<text>",
        received_at=NOW - 1,
        created_at=NOW - 2,
        visibility="<visibility>",
        permalink="<permalink>",
        native={"a": "b"},
    )
    work = understood(post=post, also=("kranich",), why=("word",), sketch=b"sketch", triage="urgent")
    (event,) = told(floor.feed(work), "case-events", r.Opened)

    case = floor.part.index.open[f"c0-{work.src[1]}"]
    assert (event.src, event.at, event.received_at, event.due_at) == ((0, 1, 1), NOW, NOW - 1, case.due_at)
    assert (event.tenant, event.brand_id, event.case_id) == ("alster", "fennkom", case.case_id)
    assert (event.post_id, event.platform, event.addressed) == ("<id>", "<platform>", "mention")
    assert (event.triage, event.labels, event.influence, event.why) == (
        "urgent",
        work.labels,
        work.influence,
        ("word",),
    )
    assert (case.tenant, case.brand_id, case.platform, case.account_id) == (
        "alster",
        "fennkom",
        "<platform>",
        "<account>",
    )
    assert (case.conversation_uri, case.in_reply_to) == ("<conversation>", "<object>")
    assert (case.state, case.opened_at, case.received_at, case.version) == ("queued", NOW, NOW - 1, 1)
    assert (case.triage, case.addressed, case.labels, case.influence) == (
        "urgent",
        "mention",
        work.labels,
        work.influence,
    )
    assert (case.author, case.seen, case.also, case.why) == (post.author, ("<id>",), ("kranich",), ("word",))
    assert case.thread == (Entry(id="<id>", at=NOW - 1, by="customer", text="<text>", uri="<object>"),)
    assert (case.visibility, case.permalink, case.native) == ("<visibility>", "<permalink>", {"a": "b"})
