"""What supervisors do: give a case to somebody, take it, move it forward, speak to reps, end a rep's work."""

from agents.dispatch.desks import set_presence
from agents.dispatch.moves import inform, moved
from agents.dispatch.offers import requeue, revoke, show
from agents.dispatch.orders import check_supervisor, for_all, for_case
from agents.dispatch.turn import Turn
from models import cases
from models.cases import Case, holder_of, is_in_hand
from models.errors import IllegalTransition
from models.records import Assign, FromDesk, LogOut, Prioritise, Say, Take
from models.reps import PRESENT
from models.wire import LoggedOut
from tables.reps import RepRow


def assign(turn: Turn, work: Assign) -> None:
    """A supervisor gives a case to a rep."""
    for_case(turn, work, _assign)


def _assign(turn: Turn, work: Assign, case: Case) -> None:
    check_supervisor(work)
    cases.check(case, "assign")
    if not turn.floor.is_present(work.tenant, work.to):
        raise IllegalTransition(f"assign: {work.to} is not there", "absent")
    _give(turn, case, cases.assigned(case, work.to, "assign"), work)


def take(turn: Turn, work: Take) -> None:
    """A supervisor takes a case."""
    for_case(turn, work, _take)


def _take(turn: Turn, work: Take, case: Case) -> None:
    check_supervisor(work)
    _give(turn, case, cases.assigned(case, work.rep_id, "take"), work)


def _give(turn: Turn, case: Case, given: Case, work: Assign | Take) -> None:
    before = holder_of(case) if is_in_hand(case) else ""
    turn.floor.save(case, given)
    moved(turn, given, "assigned" if isinstance(work, Assign) else "taken", work.rep_id, given.rep_id, work.reason)
    if before and before != given.rep_id:
        revoke(turn, given, before, "supervisor")
    show(turn, given)


def prioritise(turn: Turn, work: Prioritise) -> None:
    """A supervisor gives a case another triage."""
    for_case(turn, work, _prioritise)


def _prioritise(turn: Turn, work: Prioritise, case: Case) -> None:
    check_supervisor(work)
    why = f"{work.rep_id}: {work.triage}" + (f", {work.reason}" if work.reason else "")
    changed = turn.floor.house.prioritised(cases.prioritised(case, why), work.triage)
    turn.floor.save(case, changed)
    moved(turn, changed, "prioritised", work.rep_id, to=work.triage, note=work.reason)
    show(turn, changed)


def say(turn: Turn, work: Say) -> None:
    """A supervisor tells reps something."""
    for_all(turn, work, _say)


def _say(turn: Turn, work: Say) -> None:
    check_supervisor(work)
    for row in _reached(turn, work):
        inform(turn, row.tenant, row.rep_id, "message", text=work.text, by=work.rep_id)


def _reached(turn: Turn, work: Say) -> list[RepRow]:
    """Return the reps at a desk whom a message is for; nobody at all is an error that its writer should know."""
    there = [
        row
        for row in turn.floor.reps.values()
        if row.tenant == work.tenant and (row.connections or row.presence in PRESENT)
    ]
    found = [row for row in there if not work.to or work.to in turn.floor.house.groups(row.tenant, row.rep_id)]
    if not found:
        raise IllegalTransition(f"message: nobody is there for {work.to or 'all'}", "absent")
    return found


def log_out(turn: Turn, work: LogOut) -> None:
    """A supervisor ends a rep's work."""
    for_all(turn, work, _log_out)


def _log_out(turn: Turn, work: LogOut) -> None:
    check_supervisor(work)
    row = turn.floor.rep(work.tenant, work.to)
    if not row.connections and row.presence == "offline":
        raise IllegalTransition(f"log out: {work.to} is not there", "absent")
    for case in turn.floor.held_by(row.tenant, row.rep_id):
        _take_away(turn, work, case)
    set_presence(turn, row, "offline")
    turn.address(row.tenant, row.rep_id, "", LoggedOut(by=work.rep_id, reason=work.reason))


def _take_away(turn: Turn, work: FromDesk, case: Case) -> None:
    """What is in work goes back to its queue; an answer on its way is awaited, and a talk that rests goes on resting."""
    if case.state in ("offered", "working", "held", "awaiting_approval"):
        requeue(turn, case, "logged_out")
    elif case.state == "awaiting_customer":
        freed = cases.freed(case)
        turn.floor.save(case, freed)
        revoke(turn, freed, case.rep_id, "answered")
