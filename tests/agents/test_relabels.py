"""Labels set anew at a desk or by a machine: lists in, lists out, on a real RocksDB."""

from pathlib import Path
from typing import Any

import pytest

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
