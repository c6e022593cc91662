"""Labels set anew at a desk or by a machine: lists in, lists out, on a real RocksDB."""

from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from agents.dispatch import Dispatch
from agents.floor import House
from models import records as r
from models import wire
from models.cases import Case
from models.relabels import Correction, HeadChanged, Learned, Relabel, Relabelled
from tests.builders import NOW, Bench, a_social_post, a_tenant, labels, told, understood

HOUR = 3_600_000


@pytest.fixture
def floor(tmp_path: Path) -> Bench:
    """One tenant, two reps; the takeover is read."""
    bench = Bench(Dispatch(House((a_tenant(),))), tmp_path / "db")
    bench.feed(r.Takeover(at=NOW, owner="me"))
    return bench


def the_case(floor: Bench) -> Case:
    (case,) = floor.part.index.open.values()
    return case


def a_case_in_hand(floor: Bench, rep_id: str = "anna") -> Case:
    floor.feed(
        r.DeskUp(NOW, "alster", rep_id, f"{rep_id}-1", "g1"),
        r.SetPresence(NOW, "alster", rep_id, f"{rep_id}-1", f"p-{rep_id}", "available"),
    )
    (frame,) = told(floor.feed(understood()), "desk-events", wire.OfferFrame)
    case = frame.case
    floor.feed(r.Accept(NOW, "alster", rep_id, f"{rep_id}-1", "a1", case.case_id, case.offer, case.version))
    return the_case(floor)


def relabel(floor: Bench, command: str = "l1", rep_id: str = "anna", version: int = 0, **set_: str) -> Any:
    case = the_case(floor)
    return floor.feed(
        Relabel(
            at=NOW,
            tenant="alster",
            labels=set_,
            rep_id=rep_id,
            connection=f"{rep_id}-1",
            id=command,
            case_id=case.case_id,
            version=version or case.version,
        )
    )


def deep(floor: Bench, post_id: str = "x:1", number: int = 1, **set_: str) -> Any:
    return floor.feed(
        Relabel(
            at=NOW,
            tenant="alster",
            labels=set_,
            by="deep",
            conversation_uri="x:1",
            post_id=post_id,
            confidence=dict.fromkeys(set_, 0.9),
            src=(9, number, 1),
        )
    )


def result_of(outs: Any) -> wire.Result:
    (result,) = told(outs, "desk-events", wire.Result)
    return result


# -- a person


def test_a_rep_sets_labels_and_they_become_training_rows(floor: Bench) -> None:
    a_case_in_hand(floor)
    outs = relabel(floor, category="complaint", subject="product")

    assert result_of(outs).ok
    assert the_case(floor).labels.category == "complaint"
    rows = told(outs, "corrections", Correction)
    assert [(row.head, row.found, row.value, row.text) for row in rows] == [
        ("category", "technical", "complaint", "nichts geht"),
        ("subject", "product", "product", "nichts geht"),
    ]
    assert {row.src for row in rows} != {rows[0].src}


def test_only_what_has_changed_is_told_to_the_journal(floor: Bench) -> None:
    a_case_in_hand(floor)
    (event,) = told(relabel(floor, category="complaint", subject="product"), "case-events", Relabelled)

    assert event.labels == {"category": ("technical", "complaint")}
    assert (event.by, event.rep_id) == ("rep", "anna")


def test_a_label_that_a_person_has_set_is_certain_and_not_unsure(floor: Bench) -> None:
    a_case_in_hand(floor)
    relabel(floor, toxicity="yes", answer="no")

    case = the_case(floor)
    assert (case.labels.toxic, case.labels.answer) == (True, False)
    assert case.labels.confidence.toxic == 1.0


def test_a_triage_moves_the_due_time_and_the_desk_is_shown_it(floor: Bench) -> None:
    a_case_in_hand(floor)
    outs = relabel(floor, triage="at_once")

    assert the_case(floor).due_at == NOW + 5 * 60_000
    (frame,) = told(outs, "desk-events", wire.CaseFrame)
    assert (frame.case.triage, frame.case.due_at) == ("at_once", NOW + 5 * 60_000)


def test_a_case_relabelled_stays_so_when_the_engine_starts_again(floor: Bench) -> None:
    a_case_in_hand(floor)
    relabel(floor, category="complaint")
    floor.write()
    floor.restart()

    assert the_case(floor).labels.category == "complaint"
    assert the_case(floor).by_hand == ("category",)


@pytest.mark.parametrize(
    ("set_", "says"),
    [
        ({"category": "angry"}, "labels.category: found 'angry', meant one of urgent"),
        ({"mood": "good"}, "labels: found 'mood', meant some of language"),
        ({}, "labels: found none"),
    ],
)
def test_labels_that_do_not_exist_are_refused_by_name(floor: Bench, set_: dict[str, str], says: str) -> None:
    a_case_in_hand(floor)
    error = result_of(relabel(floor, **set_)).error

    assert error is not None
    assert error.code == "bad_request"
    assert error.message.startswith(says)


def test_who_does_not_have_the_case_cannot_relabel_it(floor: Bench) -> None:
    a_case_in_hand(floor)
    outs = relabel(floor, rep_id="ben", category="praise")

    error = result_of(outs).error
    assert error is not None and error.code == "not_owner"
    assert not told(outs, "corrections")


def test_an_old_version_is_refused(floor: Bench) -> None:
    a_case_in_hand(floor)
    error = result_of(relabel(floor, version=1, category="praise")).error

    assert error is not None and error.code == "version_conflict"


def test_a_command_sent_twice_teaches_once(floor: Bench) -> None:
    a_case_in_hand(floor)
    version = the_case(floor).version
    assert told(relabel(floor, version=version, category="praise"), "corrections")
    again = relabel(floor, version=version, category="praise")

    assert result_of(again).ok
    assert not told(again, "corrections")


def test_a_closed_case_can_still_be_relabelled_by_who_had_it(floor: Bench) -> None:
    case = a_case_in_hand(floor)
    floor.feed(r.CloseCase(NOW, "alster", "anna", "anna-1", "x1", case.case_id, case.version))
    closed = floor.part.index.case(case.case_id)
    outs = floor.feed(
        Relabel(NOW, "alster", {"category": "praise"}, "rep", "anna", "anna-1", "l9", case.case_id, closed.version)
    )

    assert result_of(outs).ok
    assert told(outs, "corrections")
    assert floor.part.index.case(case.case_id).state == "closed"


def test_what_a_person_said_of_the_conversation_holds_for_the_posts_that_follow(floor: Bench) -> None:
    a_case_in_hand(floor)
    relabel(floor, subject="billing", category="complaint")
    follow_up = a_social_post("x:2", conversation_uri="x:1", text="danke!")
    floor.feed(understood(post=follow_up, labels=labels(subject="staff", category="praise")))

    case = the_case(floor)
    assert (case.labels.subject, case.labels.category) == ("billing", "praise")
    assert case.by_hand == ("subject",)


# -- a machine


def test_a_machine_moves_a_case_that_nobody_has_had_in_hand(floor: Bench) -> None:
    floor.feed(understood())
    (event,) = told(deep(floor, triage="urgent"), "case-events", Relabelled)

    assert (event.by, event.triage, event.due_at) == ("deep", "urgent", NOW + 15 * 60_000)
    case = the_case(floor)
    assert (case.triage, case.due_at) == ("urgent", NOW + 15 * 60_000)
    assert case.labels.confidence.triage == 0.9


def test_a_case_that_a_machine_has_moved_is_offered_before_others(floor: Bench) -> None:
    floor.feed(understood("x:0", post=a_social_post("x:0")), understood())
    deep(floor, triage="at_once")
    floor.feed(r.Tick(NOW + 60_000))
    outs = floor.feed(
        r.DeskUp(NOW, "alster", "anna", "anna-1", "g1"),
        r.SetPresence(NOW, "alster", "anna", "anna-1", "p1", "available"),
    )

    offers = told(outs, "desk-events", wire.OfferFrame)
    assert offers[0].case.thread[0].id == "x:1"


def test_a_machine_does_not_move_a_case_that_somebody_has_in_hand(floor: Bench) -> None:
    before = a_case_in_hand(floor)
    deep(floor, triage="at_once", category="complaint")

    case = the_case(floor)
    assert (case.triage, case.due_at) == (before.triage, before.due_at)
    assert (case.labels.triage, case.labels.category) == ("at_once", "complaint")


def test_a_machine_never_overrides_what_a_person_has_set(floor: Bench) -> None:
    a_case_in_hand(floor)
    relabel(floor, category="praise")
    deep(floor, category="complaint", sentiment="negative")

    case = the_case(floor)
    assert (case.labels.category, case.labels.sentiment) == ("praise", "negative")


def test_a_machine_that_comes_too_late_changes_nothing(floor: Bench) -> None:
    floor.feed(understood())
    floor.feed(understood(post=a_social_post("x:2", conversation_uri="x:1", text="hallo?")))
    outs = deep(floor, triage="at_once")

    assert not outs
    assert the_case(floor).triage == "important"


def test_what_a_machine_says_again_changes_nothing(floor: Bench) -> None:
    floor.feed(understood())
    assert deep(floor, triage="urgent")
    assert not deep(floor, triage="less")


def test_a_machine_teaches_nobody(floor: Bench) -> None:
    floor.feed(understood())
    assert not told(deep(floor, category="complaint"), "corrections")


def test_a_machine_that_speaks_of_labels_that_do_not_exist_is_buried(floor: Bench) -> None:
    floor.feed(understood())
    (letter,) = told(deep(floor, category="angry"), "dead-letters")
    assert "labels.category" in letter.reason


# -- what was learnt


def test_a_promotion_is_passed_on_to_the_boards(floor: Bench) -> None:
    change = HeadChanged(NOW, "alster", "sentiment", "abc", "promoted", 100, 0.7, 0.8, 20)
    (event,) = told(floor.feed(change), "case-events", Learned)

    assert event.change == change


# -- a post that was passed over


def passed_over(post_id: str = "x:1", uri: str = "x:1", **changes: Any) -> Any:
    post = a_social_post(id=post_id, conversation_uri=uri, object_uri=f"o:{post_id}")
    return understood(post_id, post=post, labels=labels(category="other", answer=False), triage="less", **changes)


def seen_again(floor: Bench, first: Any) -> Any:
    read = replace(first, labels=labels(category="complaint", answer=True), triage="important", again=True)
    return floor.feed(r.Reconsidered(NOW, "alster", replace(read, why=("found by the second reading",))))


def test_a_post_that_was_passed_over_opens_a_case_if_the_second_reading_says_so(floor: Bench) -> None:
    first = passed_over()
    assert told(floor.feed(first), "case-events", r.Counted)
    (opened,) = told(seen_again(floor, first), "case-events", r.Opened)

    case = the_case(floor)
    assert (opened.again, opened.post_id, opened.case_id) == (True, "x:1", case.case_id)
    assert (case.labels.category, case.triage) == ("complaint", "important")
    assert "found by the second reading" in case.why


def test_what_the_second_reader_says_twice_opens_one_case(floor: Bench) -> None:
    first = passed_over()
    floor.feed(first)
    seen_again(floor, first)

    assert not told(seen_again(floor, first), "case-events", r.Opened | r.Joined)
    case = the_case(floor)
    floor.feed(r.Take(NOW, "alster", "sven", "sven-1", "t", "supervisor", (), case.case_id, case.version))
    floor.feed(r.CloseCase(NOW, "alster", "sven", "sven-1", "c", case.case_id, the_case(floor).version))
    assert not floor.part.index.open
    assert not told(seen_again(floor, first), "case-events", r.Opened | r.Joined)
    assert not floor.part.index.open
    # Nor does it join what its customer opens then: it was with somebody before.
    floor.feed(understood("x:2", post=a_social_post(id="x:2", conversation_uri="x:1", object_uri="o:x:2")))
    assert not told(seen_again(floor, first), "case-events", r.Opened | r.Joined)
    assert [entry.id for entry in the_case(floor).thread] == ["x:2"]


def test_a_post_that_was_read_again_after_a_takeover_and_comes_twice_is_a_repeat(floor: Bench) -> None:
    first = passed_over()
    floor.feed(first)
    floor.write()
    floor.restart()
    floor.feed(r.Takeover(at=NOW, owner="me again"))
    seen_again(floor, first)
    case = the_case(floor)
    floor.feed(r.Take(NOW, "alster", "sven", "sven-1", "t", "supervisor", (), case.case_id, case.version))
    floor.feed(r.CloseCase(NOW, "alster", "sven", "sven-1", "c", case.case_id, the_case(floor).version))
    (counted,) = told(floor.feed(replace(understood(), post=first.post)), "case-events", r.Counted)

    assert counted.reason == "repeat"
    assert not floor.part.index.open


@pytest.mark.parametrize("action", ["updated", "deleted"])
def test_a_post_that_has_changed_since_is_left_alone(floor: Bench, action: Any) -> None:
    first = passed_over()
    floor.feed(first)
    floor.feed(replace(first, src=understood().src, action=action))

    assert not told(seen_again(floor, first), "case-events", r.Opened)


def test_a_post_that_is_too_old_is_left_alone(floor: Bench) -> None:
    first = passed_over()
    old = replace(first, post=replace(first.post, created_at=NOW - 8 * 24 * HOUR))
    floor.feed(old)

    assert not told(seen_again(floor, old), "case-events", r.Opened)


def test_a_brand_that_has_left_buries_it(floor: Bench) -> None:
    (letter,) = told(seen_again(floor, replace(passed_over(), brand_id="gone")), "dead-letters", r.DeadLetter)

    assert "gone" in letter.reason


def test_a_post_that_was_passed_over_joins_the_case_that_its_customer_has_by_now(floor: Bench) -> None:
    first = passed_over()
    floor.feed(first)
    floor.feed(understood("x:2", post=a_social_post(id="x:2", conversation_uri="x:1", object_uri="o:x:2")))
    (joined,) = told(seen_again(floor, first), "case-events", r.Joined)

    assert joined.again
    assert [entry.id for entry in the_case(floor).thread] == ["x:2", "x:1"]


def test_a_post_that_joined_as_if_it_wanted_nothing_wakes_its_case(floor: Bench) -> None:
    case = a_case_in_hand(floor)
    floor.feed(r.Reply(NOW, "alster", "anna", "anna-1", "r1", case.case_id, case.version, "Gern!", close=False))
    floor.feed(r.Published(NOW, "alster", case.case_id, "r1", "sent", "o:a1"))
    assert (the_case(floor).state, the_case(floor).awaits_answer) == ("awaiting_customer", False)
    later = passed_over("x:2", the_case(floor).conversation_uri)
    assert told(floor.feed(later), "case-events", r.Joined)
    assert not the_case(floor).awaits_answer
    outs = seen_again(floor, later)

    assert the_case(floor).awaits_answer
    assert (the_case(floor).state, the_case(floor).rep_id) == ("offered", "anna")
    assert not told(outs, "case-events", r.Joined)
    (event,) = told(outs, "case-events", Relabelled)
    assert (event.by, event.post_id, event.labels["category"]) == ("deep", "x:2", ("technical", "complaint"))


@pytest.mark.parametrize(
    ("later", "unsure", "stands"),
    [("de", ("language",), "pl"), ("de", (), "de")],
    ids=["a post without words", "a post in another language"],
)
def test_a_later_post_that_tells_no_language_leaves_the_first_ones(
    later: str, unsure: tuple[str, ...], stands: str, floor: Bench
) -> None:
    first, second = a_social_post("x:1"), a_social_post("x:2")
    second = replace(second, conversation_uri=first.conversation_uri)
    floor.feed(understood(post=first, labels=labels(language="pl")))
    floor.feed(understood(post=second, labels=labels(language=later, unsure=unsure)))

    case = the_case(floor)
    assert (case.labels.language, "language" in case.labels.unsure, len(case.thread)) == (stands, False, 2)
