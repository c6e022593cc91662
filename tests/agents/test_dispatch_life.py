"""The life of a case: held, handed on, approved, taken by supervisors, deleted, reopened; each seen from its desks."""

from pathlib import Path
from typing import Any

import pytest

from agents.dispatch import Dispatch
from agents.floor import House
from models import records as r
from models import wire
from models.cases import Case
from models.labels import Triage
from models.reps import Team, WideningStep, WorkKind
from tests.builders import NOW, Bench, a_brand, a_rep, a_social_post, a_tenant, labels, told, understood

SECOND = 1000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE


def a_floor(path: Path, **tenant: Any) -> Bench:
    bench = Bench(Dispatch(House((a_tenant(**tenant),))), path / "db")
    bench.feed(r.Takeover(at=NOW, owner="me"))
    return bench


@pytest.fixture
def floor(tmp_path: Path) -> Bench:
    """Anna and Ben, who sits in the night team in Kiel; Cem, who may approve; Sue supervises."""
    reps = (
        a_rep("anna", capacity=2),
        a_rep("ben", capacity=2, teams=("night",)),
        a_rep("cem", capacity=2, approves=True),
        a_rep("sue"),
    )
    return a_floor(tmp_path, reps=reps, teams=(Team("night", "Night", "billing", "kiel"), Team("day", "Day")))


def desk(floor: Bench, rep_id: str, presence: str = "available", at: int = NOW) -> Any:
    role: r.Role = "supervisor" if rep_id == "sue" else "rep"
    return floor.feed(
        r.DeskUp(at, "alster", rep_id, f"{rep_id}-1", "g1", role),
        r.SetPresence(at, "alster", rep_id, f"{rep_id}-1", f"p-{rep_id}-{at}-{presence}", presence),  # type: ignore[arg-type]
    )


def alive(floor: Bench, at: int) -> Any:
    """A tick before which the gateway has said that it lives."""
    return floor.feed(r.GatewayBeat(at, "alster", "g1"), r.Tick(at=at))


def ticks(floor: Bench, until: int, every: int = 5 * SECOND) -> Any:
    outs: list[Any] = []
    at = floor.part.rows.progress.now
    while at < until:
        at = min(until, at + every)
        outs += alive(floor, at)
    return outs


def the_case(floor: Bench) -> Case:
    (case,) = floor.part.index.open.values()
    return case


_number = iter(range(1_000_000))


def by(floor: Bench, rep_id: str, brands: tuple[str, ...] = ()) -> tuple[Any, ...]:
    """Who gives a command, as the gateway says it."""
    role: r.Role = "supervisor" if rep_id == "sue" else "rep"
    return (floor.part.rows.progress.now, "alster", rep_id, f"{rep_id}-1", f"k{next(_number)}", role, brands)


def taken(floor: Bench, rep_id: str = "anna") -> Case:
    """A case in work with a rep."""
    desk(floor, rep_id)
    floor.feed(understood())
    return accept(floor, rep_id)


def accept(floor: Bench, rep_id: str) -> Case:
    case = the_case(floor)
    assert case.offer is not None and case.offer.rep_id == rep_id
    now, number = floor.part.rows.progress.now, f"k{next(_number)}"
    floor.feed(r.Accept(now, "alster", rep_id, f"{rep_id}-1", number, case.case_id, case.offer.offer, case.version))
    return the_case(floor)


def reply(floor: Bench, rep_id: str = "anna", *, close: bool = True, anyway: bool = False, command: str = "r1") -> Any:
    case, now = the_case(floor), floor.part.rows.progress.now
    return floor.feed(
        r.Reply(now, "alster", rep_id, f"{rep_id}-1", command, case.case_id, case.version, "Gern!", close, anyway)
    )


def published(floor: Bench, command: str = "r1", status: Any = "sent") -> Any:
    now = floor.part.rows.progress.now
    return floor.feed(r.Published(now, "alster", the_case(floor).case_id, command, status))


def error(outs: Any) -> str:
    (result,) = told(outs, "desk-events", wire.Result)
    return result.error.code if result.error is not None else ""


def moves(outs: Any) -> list[str]:
    return [event.what for event in told(outs, "case-events", r.Moved)]


def to(outs: Any, rep_id: str, kind: type) -> list[Any]:
    """Return the frames of a kind that a rep's desks get."""
    found = [out.value for out in outs if out.topic.name == "desk-events"]
    return [event.frame for event in found if event.rep_id == rep_id and isinstance(event.frame, kind)]


def post(name: str, at: int, **changes: Any) -> Any:
    return understood(post=a_social_post(name, conversation_uri="x:1", received_at=at, created_at=at, **changes), at=at)


# -- holds


def test_a_case_on_hold_stays_its_rep_s_and_takes_its_units(floor: Bench) -> None:
    case = taken(floor)
    outs = floor.feed(r.Hold(*by(floor, "anna"), case.case_id, case.version))

    assert (the_case(floor).state, floor.part.index.units["alster|anna"].total()) == ("held", 1)
    assert to(outs, "anna", wire.CaseFrame)[0].case.state == "held"
    assert moves(outs) == ["held"]


def test_a_hold_ends_by_itself_at_its_time(floor: Bench) -> None:
    case = taken(floor)
    floor.feed(r.Hold(*by(floor, "anna"), case.case_id, case.version, NOW + MINUTE))
    ticks(floor, NOW + MINUTE - SECOND)
    assert the_case(floor).state == "held"
    ticks(floor, NOW + MINUTE)

    assert the_case(floor).state == "working"


def test_a_hold_is_taken_up_by_its_rep_and_by_nobody_else(floor: Bench) -> None:
    case = taken(floor)
    floor.feed(r.Hold(*by(floor, "anna"), case.case_id, case.version))
    case = the_case(floor)

    assert error(floor.feed(r.Resume(*by(floor, "ben"), case.case_id, case.version))) == "not_owner"
    floor.feed(r.Resume(*by(floor, "anna"), case.case_id, case.version))
    assert the_case(floor).state == "working"


@pytest.mark.parametrize("until", [NOW, NOW - 1, NOW + 8 * 24 * HOUR], ids=["now", "in the past", "for over a week"])
def test_a_hold_is_for_a_week_at_most(floor: Bench, until: int) -> None:
    case = taken(floor)

    assert error(floor.feed(r.Hold(*by(floor, "anna"), case.case_id, case.version, until))) == "illegal"


def test_a_hold_with_a_time_outlasts_the_rep_s_shift_and_one_without_does_not(floor: Bench) -> None:
    case = taken(floor)
    floor.feed(r.Hold(*by(floor, "anna"), case.case_id, case.version, NOW + 2 * HOUR))
    floor.feed(r.DeskDown(NOW, "alster", "anna", "anna-1", "g1"))
    ticks(floor, NOW + HOUR, MINUTE)
    assert the_case(floor).state == "held"
    ticks(floor, NOW + 2 * HOUR + MINUTE, MINUTE)

    assert the_case(floor).state == "queued"


# -- transfers


@pytest.mark.parametrize("target", ["rep:ben", "team:night", "department:billing", "site:kiel"])
def test_a_transfer_reaches_whom_it_names_and_leaves_the_giver(floor: Bench, target: str) -> None:
    case = taken(floor)
    desk(floor, "cem")
    desk(floor, "ben")
    outs = floor.feed(r.Transfer(*by(floor, "anna"), case.case_id, case.version, target, "kennt sich aus"))

    (offer,) = told(outs, "desk-events", wire.OfferFrame)
    assert [frame.reason for frame in to(outs, "anna", wire.Revoke)] == ["transferred"]
    assert to(outs, "ben", wire.OfferFrame) == [offer]
    assert [(note.by, note.text, note.to) for note in offer.case.notes] == [("anna", "kennt sich aus", target)]
    assert accept(floor, "ben").target == ""


def test_a_transfer_waits_for_a_team_that_is_busy_and_then_for_anybody(floor: Bench) -> None:
    case = taken(floor)
    desk(floor, "cem")
    desk(floor, "ben", "busy")
    floor.feed(r.Transfer(*by(floor, "anna"), case.case_id, case.version, "team:night"))
    assert the_case(floor).state == "forwarded"
    ticks(floor, NOW + 15 * MINUTE - SECOND)
    assert the_case(floor).state == "forwarded"
    outs = ticks(floor, NOW + 15 * MINUTE)

    assert moves(outs) == ["unclaimed"]
    assert the_case(floor).offer.rep_id == "cem"  # type: ignore[union-attr]


def test_what_one_of_a_team_lets_lapse_waits_for_the_team_again(floor: Bench) -> None:
    case = taken(floor)
    desk(floor, "ben")
    desk(floor, "cem")
    floor.feed(r.Transfer(*by(floor, "anna"), case.case_id, case.version, "team:night"))
    floor.feed(r.SetPresence(NOW, "alster", "ben", "ben-1", "away", "away"))

    assert (the_case(floor).state, the_case(floor).target) == ("forwarded", "team:night")


def test_who_declines_what_was_handed_to_them_alone_gives_it_to_anybody(floor: Bench) -> None:
    case = taken(floor)
    desk(floor, "ben")
    desk(floor, "cem")
    floor.feed(r.Transfer(*by(floor, "anna"), case.case_id, case.version, "rep:ben"))
    shown = the_case(floor)
    assert shown.offer is not None
    floor.feed(r.Reject(NOW, "alster", "ben", "ben-1", "j1", case.case_id, shown.offer.offer, shown.version))

    assert the_case(floor).offer.rep_id == "cem"  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("target", "code"),
    [("rep:ben", "absent"), ("rep:anna", "illegal"), ("team:dawn", "not_found"), ("site:rome", "not_found")],
)
def test_a_transfer_to_nobody_is_refused(floor: Bench, target: str, code: str) -> None:
    case = taken(floor)

    assert error(floor.feed(r.Transfer(*by(floor, "anna"), case.case_id, case.version, target))) == code
    assert the_case(floor).state == "working"


def test_a_transfer_keeps_the_age_of_a_case(floor: Bench) -> None:
    case = taken(floor)
    ticks(floor, NOW + MINUTE)
    floor.feed(r.Transfer(*by(floor, "anna"), case.case_id, case.version, "team:day"))

    assert (the_case(floor).received_at, the_case(floor).due_at) == (case.received_at, case.due_at)


# -- four eyes


@pytest.fixture
def strict(tmp_path: Path) -> Bench:
    """Every answer of the brand waits for a second person."""
    reps = (a_rep("anna"), a_rep("ben"), a_rep("cem", approves=True), a_rep("sue"))
    return a_floor(tmp_path, brands=(a_brand(approval=True),), reps=reps)


def waits(floor: Bench) -> Case:
    """A case whose answer waits for approval."""
    taken(floor)
    desk(floor, "cem", "busy")
    reply(floor)
    return the_case(floor)


def test_an_answer_that_needs_approval_does_not_go_out(strict: Bench) -> None:
    taken(strict)
    desk(strict, "cem", "busy")
    outs = reply(strict)

    assert told(outs, "answers") == []
    assert the_case(strict).state == "awaiting_approval"
    assert [frame.kind for frame in to(outs, "cem", wire.Info)] == ["approval"]
    assert to(outs, "anna", wire.Info) == []


def test_an_approved_answer_goes_out_in_its_writer_s_name(strict: Bench) -> None:
    case = waits(strict)
    outs = strict.feed(r.Approve(*by(strict, "cem"), case.case_id, case.version))

    (answer,) = told(outs, "answers")
    assert (answer.answer_id, answer.rep_id, answer.text) == ("r1", "anna", "Gern!")
    assert to(outs, "anna", wire.CaseFrame)[0].case.thread[-1].approved_by == "cem"
    closed = told(published(strict), "case-events", r.Closed)
    assert len(closed) == 1


def test_a_second_person_may_change_the_text(strict: Bench) -> None:
    case = waits(strict)
    (answer,) = told(strict.feed(r.Approve(*by(strict, "sue"), case.case_id, case.version, "Sehr gern!")), "answers")

    assert answer.text == the_case(strict).thread[-1].text == "Sehr gern!"


def test_an_answer_that_is_given_back_is_in_work_again_with_the_reason(strict: Bench) -> None:
    case = waits(strict)
    outs = strict.feed(r.Return(*by(strict, "cem"), case.case_id, case.version, "freundlicher"))

    (frame,) = to(outs, "anna", wire.CaseFrame)
    entry = frame.case.thread[-1]
    assert (frame.case.state, entry.status, entry.error) == ("working", "returned", "freundlicher")
    assert told(outs, "answers") == []


def test_nobody_approves_their_own_answer(tmp_path: Path) -> None:
    floor = a_floor(tmp_path, brands=(a_brand(approval=True),), reps=(a_rep("anna", approves=True),))
    case = waits(floor)

    assert error(floor.feed(r.Approve(*by(floor, "anna"), case.case_id, case.version))) == "forbidden"


def test_who_may_not_approve_is_refused(strict: Bench) -> None:
    case = waits(strict)

    assert error(strict.feed(r.Approve(*by(strict, "ben"), case.case_id, case.version))) == "forbidden"


def test_what_the_customer_writes_meanwhile_must_be_read_before_approval(strict: Bench) -> None:
    case = waits(strict)
    strict.feed(post("x:2", NOW))

    assert error(strict.feed(r.Approve(*by(strict, "cem"), case.case_id, case.version))) == "version_conflict"


def test_a_rep_takes_an_answer_back_that_waits(strict: Bench) -> None:
    case = waits(strict)
    outs = strict.feed(r.Resume(*by(strict, "anna"), case.case_id, case.version))

    assert (the_case(strict).state, the_case(strict).thread[-1].status) == ("working", "stopped")
    assert moves(outs) == ["stopped"]


def test_a_rep_whose_answers_need_approval_needs_it_for_every_brand(tmp_path: Path) -> None:
    floor = a_floor(tmp_path, reps=(a_rep("anna", approval=True), a_rep("cem", approves=True)))

    assert waits(floor).state == "awaiting_approval"


def test_an_answer_sent_again_while_it_waits_is_the_same_answer(strict: Bench) -> None:
    case = waits(strict)
    again = r.Reply(NOW, "alster", "anna", "anna-1", "r1", case.case_id, case.version, "Gern!", True)

    assert error(strict.feed(again)) == ""
    assert the_case(strict) == case


# -- supervisors


def test_a_supervisor_gives_a_case_to_somebody_who_is_there_whoever_has_it(floor: Bench) -> None:
    case = taken(floor)
    desk(floor, "ben", "busy")
    desk(floor, "sue", "away")
    outs = floor.feed(r.Assign(*by(floor, "sue"), case.case_id, "ben", "kennt den Kunden"))

    assert (the_case(floor).state, the_case(floor).rep_id) == ("working", "ben")
    assert [frame.reason for frame in to(outs, "anna", wire.Revoke)] == ["supervisor"]
    assert [frame.case.state for frame in to(outs, "ben", wire.CaseFrame)] == ["working"]
    (event,) = told(outs, "case-events", r.Moved)
    assert (event.what, event.by, event.to, event.note) == ("assigned", "sue", "ben", "kennt den Kunden")


def test_nobody_is_given_a_case_who_is_not_there(floor: Bench) -> None:
    case = taken(floor)
    desk(floor, "ben", "away")

    assert error(floor.feed(r.Assign(*by(floor, "sue"), case.case_id, "ben"))) == "absent"


def test_a_supervisor_takes_a_case(floor: Bench) -> None:
    case = taken(floor)
    desk(floor, "sue", "busy")
    floor.feed(r.Take(*by(floor, "sue"), case.case_id))

    assert the_case(floor).rep_id == "sue"


def test_a_case_that_waits_can_be_given_and_its_old_place_is_empty(floor: Bench) -> None:
    floor.feed(understood())
    desk(floor, "ben", "busy")
    floor.feed(r.Assign(*by(floor, "sue"), the_case(floor).case_id, "ben"))
    outs = desk(floor, "anna")

    assert told(outs, "desk-events", wire.OfferFrame) == []


def test_an_answer_that_waits_is_stopped_when_its_case_is_given_away(strict: Bench) -> None:
    case = waits(strict)
    desk(strict, "ben", "busy")
    strict.feed(r.Assign(*by(strict, "sue"), case.case_id, "ben"))

    assert the_case(strict).thread[-1].status == "stopped"


@pytest.mark.parametrize(("triage", "minutes"), [("at_once", 5), ("less", 60)], ids=["sooner", "never later"])
def test_a_supervisor_moves_a_case_and_its_due_time_follows(floor: Bench, triage: Triage, minutes: int) -> None:
    case = taken(floor)
    outs = floor.feed(r.Prioritise(*by(floor, "sue"), case.case_id, triage, "Presse"))

    moved = the_case(floor)
    assert (moved.triage, moved.due_at, moved.why[-1]) == (triage, NOW + minutes * MINUTE, f"sue: {triage}, Presse")
    assert to(outs, "anna", wire.CaseFrame)[0].case.triage == triage


def test_a_queued_case_that_is_moved_forward_goes_first(floor: Bench) -> None:
    floor.feed(understood("x:1"), understood("x:2"))
    late = list(floor.part.index.open.values())[1]
    floor.feed(r.Prioritise(*by(floor, "sue"), late.case_id, "at_once"))
    frames = told(desk(floor, "anna"), "desk-events", wire.OfferFrame)

    assert frames[0].case.case_id == late.case_id


@pytest.mark.parametrize(
    ("target", "reached"), [("", {"anna", "ben", "sue"}), ("team:night", {"ben"}), ("rep:anna", {"anna"})]
)
def test_a_message_reaches_whom_it_is_for(floor: Bench, target: str, reached: set[str]) -> None:
    for rep_id in ("anna", "ben", "sue"):
        desk(floor, rep_id, "busy")
    outs = floor.feed(r.Say(*by(floor, "sue"), target, "Bitte auf Störung Kiel achten"))

    frames = {rep_id: to(outs, rep_id, wire.Info) for rep_id in ("anna", "ben", "cem", "sue")}
    assert {rep_id for rep_id, got in frames.items() if got} == reached
    (info,) = frames[min(reached)]
    assert (info.kind, info.by, info.text) == ("message", "sue", "Bitte auf Störung Kiel achten")


def test_a_message_to_nobody_is_an_error(floor: Bench) -> None:
    assert error(floor.feed(r.Say(*by(floor, "sue"), "team:night", "Hallo?"))) == "absent"


def test_a_rep_who_is_logged_out_keeps_nothing(floor: Bench) -> None:
    case = taken(floor)
    outs = floor.feed(r.LogOut(*by(floor, "sue"), "anna", "Feierabend"))

    assert (the_case(floor).state, floor.part.index.reps["alster|anna"].presence) == ("queued", "offline")
    assert [frame.reason for frame in to(outs, "anna", wire.LoggedOut)] == ["Feierabend"]
    (requeued,) = told(outs, "case-events", r.Requeued)
    assert (requeued.case_id, requeued.reason) == (case.case_id, "logged_out")


@pytest.mark.parametrize("kind", ["assign", "take", "prioritise", "say", "log_out"])
def test_what_is_for_supervisors_is_refused_to_reps(floor: Bench, kind: str) -> None:
    case = taken(floor)
    desk(floor, "ben")
    who = by(floor, "ben")
    command: Any = {
        "assign": r.Assign(*who, case.case_id, "ben"),
        "take": r.Take(*who, case.case_id),
        "prioritise": r.Prioritise(*who, case.case_id, "less"),
        "say": r.Say(*who, "", "Hallo"),
        "log_out": r.LogOut(*who, "anna"),
    }[kind]

    assert error(floor.feed(command)) == "forbidden"
    assert the_case(floor) == case


def test_a_supervisor_of_some_brands_reaches_no_other(floor: Bench) -> None:
    case = taken(floor)
    desk(floor, "sue")

    assert error(floor.feed(r.Take(*by(floor, "sue", ("kranich",)), case.case_id))) == "forbidden"


def test_a_supervisor_reaches_no_case_of_another_tenant(floor: Bench) -> None:
    case = taken(floor)
    command = r.Take(NOW, "harbour", "sue", "sue-1", "k-h", "supervisor", (), case.case_id)

    assert error(floor.feed(command)) == "not_found"


# -- what the author does


@pytest.mark.parametrize("state", ["queued", "offered"])
def test_a_case_ends_when_all_that_asked_is_taken_back_before_anybody_had_it(floor: Bench, state: str) -> None:
    if state == "offered":
        desk(floor, "anna")
    floor.feed(understood())
    assert the_case(floor).state == state
    outs = floor.feed(understood(action="deleted"))

    (closed,) = told(outs, "case-events", r.Closed)
    assert closed.case.thread[0].text == ""
    assert [frame.reason for frame in to(outs, "anna", wire.Revoke)] == (["deleted"] if state == "offered" else [])
    assert len(to(outs, "anna", wire.Erased)) == (1 if state == "offered" else 0)


def test_a_case_in_work_goes_on_without_the_text(floor: Bench) -> None:
    taken(floor)
    outs = floor.feed(understood(action="deleted"))

    assert the_case(floor).state == "working"
    assert [frame.entry_id for frame in to(outs, "anna", wire.Erased)] == ["x:1"]
    assert to(outs, "anna", wire.CaseFrame)[-1].case.thread[0].text == ""


def test_an_answer_that_waits_for_approval_stops_when_its_question_is_taken_back(strict: Bench) -> None:
    waits(strict)
    outs = strict.feed(understood(action="deleted"))

    assert (the_case(strict).state, the_case(strict).thread[-1].status) == ("working", "stopped")
    assert [frame.kind for frame in to(outs, "anna", wire.Info)] == ["deleted"]


@pytest.mark.parametrize("action", ["deleted", "updated"])
def test_a_rep_is_told_of_a_change_while_the_answer_is_under_way(floor: Bench, action: Any) -> None:
    taken(floor)
    reply(floor)
    outs = floor.feed(understood(action=action, post=a_social_post(text="doch alles gut")))

    assert [frame.kind for frame in to(outs, "anna", wire.Info)] == ["deleted" if action == "deleted" else "edited"]
    assert the_case(floor).thread[0].text == ("" if action == "deleted" else "doch alles gut")


def test_a_deletion_reaches_a_case_that_is_closed(floor: Bench) -> None:
    case = taken(floor)
    floor.feed(r.CloseCase(NOW, "alster", "anna", "anna-1", "z1", case.case_id, case.version))
    floor.write()
    outs = floor.feed(understood(action="deleted"))
    floor.write()
    floor.restart()

    kept = floor.part.index.case(case.case_id)
    assert kept.thread[0].text == "" and kept.state == "closed"
    assert [frame.entry_id for frame in to(outs, "anna", wire.Erased)] == ["x:1"]


def test_what_was_taken_back_does_not_come_back_by_an_older_edit(floor: Bench) -> None:
    taken(floor)
    floor.feed(understood(action="deleted"), understood(action="updated"))

    assert the_case(floor).thread[0].text == ""


# -- the platform's reply window


def test_the_window_bounds_the_due_time(floor: Bench) -> None:
    floor.feed(understood(triage="less", post=a_social_post(reply_until=NOW + 3 * HOUR)))

    assert the_case(floor).due_at == NOW + 3 * HOUR


def test_past_the_window_the_rep_is_told_once_and_an_answer_is_refused_unless_meant(floor: Bench) -> None:
    desk(floor, "anna")
    floor.feed(understood(post=a_social_post(reply_until=NOW + MINUTE)))
    assert told(ticks(floor, NOW + SECOND), "desk-events", wire.Info) == []
    accept(floor, "anna")
    outs = ticks(floor, NOW + 2 * MINUTE)

    assert [frame.kind for frame in to(outs, "anna", wire.Info)] == ["window_closed"]
    assert error(reply(floor)) == "window_closed"
    assert error(reply(floor, anyway=True, command="r2")) == ""


# -- reopened


def test_a_rep_opens_a_case_again_and_gets_it_first(floor: Bench) -> None:
    case = taken(floor)
    floor.feed(r.CloseCase(NOW, "alster", "anna", "anna-1", "z1", case.case_id, case.version))
    desk(floor, "ben")
    outs = floor.feed(r.Reopen(*by(floor, "anna"), case.case_id))

    assert moves(outs) == ["reopened"]
    assert the_case(floor).offer.rep_id == "anna"  # type: ignore[union-attr]


def test_a_case_is_not_opened_beside_another_of_its_conversation(floor: Bench) -> None:
    case = taken(floor)
    floor.feed(r.CloseCase(NOW, "alster", "anna", "anna-1", "z1", case.case_id, case.version))
    floor.feed(understood(post=a_social_post("x:2", conversation_uri="x:1")))

    assert error(floor.feed(r.Reopen(*by(floor, "anna"), case.case_id))) == "illegal"


def test_who_did_not_have_a_case_does_not_open_it_again(floor: Bench) -> None:
    case = taken(floor)
    floor.feed(r.CloseCase(NOW, "alster", "anna", "anna-1", "z1", case.case_id, case.version))

    assert error(floor.feed(r.Reopen(*by(floor, "ben"), case.case_id))) == "not_owner"


@pytest.mark.parametrize(("after_h", "same"), [(1, True), (3, False)], ids=["within the hours", "after them"])
def test_a_customer_who_comes_back_opens_the_same_case_where_the_tenant_wants_it(
    tmp_path: Path, after_h: int, same: bool
) -> None:
    floor = a_floor(tmp_path, reopen_h=2.0)
    case = taken(floor)
    floor.feed(r.CloseCase(NOW, "alster", "anna", "anna-1", "z1", case.case_id, case.version))
    ticks(floor, NOW + after_h * HOUR, MINUTE)
    floor.feed(post("x:2", NOW + after_h * HOUR))

    assert (the_case(floor).case_id == case.case_id) is same
    assert len(the_case(floor).thread) == (2 if same else 1)


def test_a_case_that_was_opened_again_is_kept_for_a_week_after_its_second_end(floor: Bench) -> None:
    case = taken(floor)
    floor.feed(r.CloseCase(NOW, "alster", "anna", "anna-1", "z1", case.case_id, case.version))
    ticks(floor, NOW + 24 * HOUR, HOUR)
    desk(floor, "anna", at=NOW + 24 * HOUR)
    floor.feed(r.Reopen(*by(floor, "anna"), case.case_id))
    case = accept(floor, "anna")
    floor.feed(r.CloseCase(NOW, "alster", "anna", "anna-1", "z2", case.case_id, case.version))
    floor.feed(r.Tick(at=NOW + 7 * 24 * HOUR + SECOND))
    assert floor.part.index.case(case.case_id) is not None
    floor.feed(r.Tick(at=NOW + 8 * 24 * HOUR + SECOND))

    assert floor.part.index.case(case.case_id) is None


# -- presence


def test_a_presence_that_is_queued_begins_when_all_in_hand_is_done(floor: Bench) -> None:
    case = taken(floor)
    outs = floor.feed(r.SetPresence(NOW, "alster", "anna", "anna-1", "p9", "away", True))
    (frame,) = to(outs, "anna", wire.PresenceFrame)
    assert (frame.state, frame.next) == ("busy", "away")
    floor.feed(understood("y:1"))
    outs = floor.feed(r.CloseCase(NOW, "alster", "anna", "anna-1", "z1", case.case_id, case.version))

    assert [frame.state for frame in to(outs, "anna", wire.PresenceFrame)] == ["away"]
    assert to(outs, "anna", wire.OfferFrame) == []


def test_nothing_in_hand_means_that_a_queued_presence_begins_at_once(floor: Bench) -> None:
    desk(floor, "anna")
    floor.feed(r.SetPresence(NOW, "alster", "anna", "anna-1", "p9", "offline", True))

    assert floor.part.index.reps["alster|anna"].presence == "offline"


def test_a_wrap_up_keeps_new_work_away_for_its_time(tmp_path: Path) -> None:
    floor = a_floor(tmp_path, kinds=(WorkKind("post", wrapup_s=20.0),))
    case = taken(floor)
    floor.feed(r.CloseCase(NOW, "alster", "anna", "anna-1", "z1", case.case_id, case.version))
    outs = floor.feed(understood("y:1"))
    assert floor.part.index.reps["alster|anna"].presence == "wrapup"
    assert told(outs, "desk-events", wire.OfferFrame) == []
    outs = ticks(floor, NOW + 20 * SECOND)

    assert len(told(outs, "desk-events", wire.OfferFrame)) == 1


# -- capacity and idle talks


def test_a_case_takes_the_units_of_its_kind(tmp_path: Path) -> None:
    kinds = (WorkKind("chat", platforms=("chat",), units=3), WorkKind("post"))
    floor = a_floor(tmp_path, reps=(a_rep("anna", capacity=4),), kinds=kinds)
    desk(floor, "anna")
    for name in ("a", "b"):
        floor.feed(understood(post=a_social_post(name, platform="chat")))
    floor.feed(understood("c"))

    shown = {case.conversation_uri: case.state for case in floor.part.index.open.values()}
    assert shown == {"a": "offered", "b": "queued", "c": "offered"}


def test_a_kind_has_a_bound_of_its_own(tmp_path: Path) -> None:
    floor = a_floor(tmp_path, reps=(a_rep("anna", capacity=8, kind_units={"post": 2}),), kinds=(WorkKind("post"),))
    desk(floor, "anna")
    floor.feed(*(understood(f"x:{number}") for number in range(4)))

    assert [case.state for case in floor.part.index.open.values()].count("offered") == 2


@pytest.fixture
def idle(tmp_path: Path) -> Bench:
    """One conversation fits; it takes its units for a minute after the answer."""
    floor = a_floor(tmp_path, reps=(a_rep("anna", capacity=1), a_rep("ben", capacity=1)))
    floor.step = Dispatch(House((a_tenant(reps=floor_reps(), kinds=(WorkKind("talk", idle_frees_s=60.0),)),)))
    floor.restart("me")
    floor.feed(r.Takeover(at=NOW, owner="me"))
    taken(floor)
    reply(floor, close=False)
    published(floor)
    return floor


def floor_reps() -> tuple[Any, ...]:
    return (a_rep("anna", capacity=1), a_rep("ben", capacity=1))


def test_an_answered_talk_takes_its_units_until_it_has_gone_idle(idle: Bench) -> None:
    assert the_case(idle).state == "awaiting_customer"
    assert told(idle.feed(understood("y:1")), "desk-events", wire.OfferFrame) == []
    outs = ticks(idle, NOW + MINUTE)

    assert [frame.reason for frame in to(outs, "anna", wire.Revoke)] == ["answered"]
    assert len(to(outs, "anna", wire.OfferFrame)) == 1


def test_a_customer_who_comes_back_before_that_has_his_rep_at_once(idle: Bench) -> None:
    desk(idle, "ben")
    outs = idle.feed(post("x:2", NOW))

    assert (the_case(idle).state, the_case(idle).rep_id) == ("working", "anna")
    assert [frame.case.state for frame in to(outs, "anna", wire.CaseFrame)] == ["working"]


def test_after_that_the_same_rep_gets_it_only_if_free(idle: Bench) -> None:
    ticks(idle, NOW + MINUTE)
    idle.feed(understood("y:1"))
    desk(idle, "ben", at=NOW + MINUTE)
    idle.feed(post("x:2", NOW + MINUTE))

    back = next(case for case in idle.part.index.open.values() if case.conversation_uri == "x:1")
    assert back.offer is not None and back.offer.rep_id == "ben"


def test_a_follow_up_goes_to_nobody_who_is_absent(idle: Bench) -> None:
    idle.feed(r.SetPresence(NOW, "alster", "anna", "anna-1", "p9", "away"))
    desk(idle, "ben")
    idle.feed(post("x:2", NOW))

    assert the_case(idle).offer.rep_id == "ben"  # type: ignore[union-attr]


# -- widening


def test_more_reps_come_into_question_with_the_wait(tmp_path: Path) -> None:
    steps = (WideningStep(0.0, {"lang": 3}), WideningStep(60.0, {"lang": 1}))
    floor = a_floor(tmp_path, reps=(a_rep("anna", skills={"lang:de": 1}),), widening=steps)
    desk(floor, "anna")
    floor.feed(understood())
    ticks(floor, NOW + 59 * SECOND)
    assert the_case(floor).state == "queued"
    ticks(floor, NOW + 60 * SECOND)

    assert the_case(floor).state == "offered"


# -- pull and lists


def test_a_rep_takes_of_what_waits_and_of_nothing_else(floor: Bench) -> None:
    floor.feed(understood("x:1"), understood("x:2", triage="at_once"))
    desk(floor, "anna", "busy")
    outs = floor.feed(r.Pull(*by(floor, "anna")))

    (frame,) = to(outs, "anna", wire.CaseFrame)
    assert (frame.case.triage, frame.case.state) == ("at_once", "working")
    assert error(floor.feed(r.Pull(*by(floor, "ben"), frame.case.case_id))) == "absent"
    desk(floor, "ben", "busy")
    assert error(floor.feed(r.Pull(*by(floor, "ben"), frame.case.case_id))) == "illegal"


def test_a_pull_without_a_case_takes_what_would_have_been_offered_first(floor: Bench) -> None:
    soon = a_social_post("x:1", received_at=NOW - 4 * HOUR + 10 * SECOND)
    floor.feed(understood(post=soon, triage="less"), understood("x:2", triage="at_once"))
    due = sorted(floor.part.index.open.values(), key=lambda case: case.due_at)
    assert [case.triage for case in due] == ["less", "at_once"]
    desk(floor, "anna", "busy")
    outs = floor.feed(r.Pull(*by(floor, "anna")))

    (frame,) = to(outs, "anna", wire.CaseFrame)
    assert frame.case.triage == "at_once"


def test_a_pull_passes_over_what_somebody_writes_in(floor: Bench) -> None:
    floor.feed(understood("x:1"), understood("x:2"))
    desk(floor, "anna", "busy")
    desk(floor, "sue", "busy")
    first, second = floor.part.index.open.values()
    floor.feed(r.View(*by(floor, "sue"), first.case_id, True, True))
    outs = floor.feed(r.Pull(*by(floor, "anna")))

    (frame,) = to(outs, "anna", wire.CaseFrame)
    assert frame.case.case_id == second.case_id
    assert error(floor.feed(r.Pull(*by(floor, "anna")))) == "not_found"


def test_what_is_laid_aside_and_what_waits_for_approval_are_figures_of_their_own(strict: Bench) -> None:
    waits(strict)
    desk(strict, "sue", "busy")
    strict.feed(understood("x:2"))
    case = next(case for case in strict.part.index.open.values() if case.state == "offered")
    strict.feed(r.Take(*by(strict, "sue"), case.case_id))
    strict.feed(r.Hold(*by(strict, "sue"), case.case_id, case.version + 1))
    (gauges,) = told(alive(strict, NOW + SECOND), "case-events", r.Gauges)

    assert (gauges.working, gauges.held, gauges.awaiting_approval) == (2, 1, 1)


def test_nobody_pulls_beyond_their_capacity(floor: Bench) -> None:
    floor.feed(*(understood(f"x:{number}") for number in range(3)))
    desk(floor, "anna", "busy")
    for _ in range(2):
        assert error(floor.feed(r.Pull(*by(floor, "anna")))) == ""
    left = next(case for case in floor.part.index.open.values() if case.state == "queued")

    assert error(floor.feed(r.Pull(*by(floor, "anna"), left.case_id))) == "capacity"
    assert error(floor.feed(r.Pull(*by(floor, "anna")))) == "not_found"


def test_a_list_shows_what_a_rep_may_take_the_first_due_in_front(tmp_path: Path) -> None:
    floor = a_floor(tmp_path, reps=(a_rep("anna", skills={"lang:de": 1}),))
    desk(floor, "anna", "busy")
    floor.feed(understood("x:1"), understood("x:2", triage="urgent"), understood("x:3", labels=labels(language="fr")))
    outs = floor.feed(r.ListCases(*by(floor, "anna"), "waiting"))

    (listed,) = to(outs, "anna", wire.Listed)
    assert ([line.triage for line in listed.cases], listed.total) == (["urgent", "important"], 2)
    assert listed.cases[0].excerpt == "nichts geht"


def test_only_a_supervisor_lists_all_and_only_who_approves_lists_approvals(strict: Bench) -> None:
    case = waits(strict)
    desk(strict, "sue")

    assert error(strict.feed(r.ListCases(*by(strict, "anna"), "all"))) == "forbidden"
    assert error(strict.feed(r.ListCases(*by(strict, "anna"), "approval"))) == "forbidden"
    for rep_id, what in (("cem", "approval"), ("sue", "all")):
        (listed,) = to(strict.feed(r.ListCases(*by(strict, rep_id), what)), rep_id, wire.Listed)  # type: ignore[arg-type]
        assert [line.case_id for line in listed.cases] == [case.case_id]


# -- two at one case


def test_two_who_look_at_a_case_see_each_other(floor: Bench) -> None:
    case = taken(floor)
    desk(floor, "cem", "busy")
    floor.feed(r.View(*by(floor, "anna"), case.case_id))
    outs = floor.feed(r.View(*by(floor, "cem"), case.case_id))

    (shown,) = to(outs, "cem", wire.Shown)
    assert shown.case.case_id == case.case_id
    for rep_id in ("anna", "cem"):
        assert [one.rep_id for one in to(outs, rep_id, wire.Viewers)[-1].viewers] == ["anna", "cem"]


def test_one_writes_and_the_other_cannot_answer_until_the_pen_is_put_down(floor: Bench) -> None:
    case = taken(floor)
    desk(floor, "sue", "busy")
    floor.feed(r.View(*by(floor, "sue"), case.case_id, True, True))

    assert error(reply(floor)) == "being_written"
    assert error(floor.feed(r.View(*by(floor, "anna"), case.case_id, True, True))) == "being_written"
    floor.feed(r.View(*by(floor, "sue"), case.case_id, False))
    assert error(reply(floor, command="r2")) == ""


def test_a_lease_that_is_not_said_again_ends(floor: Bench) -> None:
    case = taken(floor)
    desk(floor, "sue", "busy")
    floor.feed(r.View(*by(floor, "sue"), case.case_id, True, True))
    outs = ticks(floor, NOW + 31 * SECOND)

    assert to(outs, "anna", wire.Viewers)[-1].viewers == ()
    assert error(reply(floor)) == ""


def test_who_looks_sees_what_changes(floor: Bench) -> None:
    case = taken(floor)
    desk(floor, "sue", "busy")
    floor.feed(r.View(*by(floor, "sue"), case.case_id))
    outs = floor.feed(post("x:2", NOW))

    assert len(to(outs, "sue", wire.Shown)[-1].case.thread) == 2
    assert to(outs, "anna", wire.Shown) == []
