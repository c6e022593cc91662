"""What reps do with the cases they hold: each command is a transition of ``models.cases``."""

from msgspec.structs import replace

from agents.dispatch.approvals import ask, needs_approval
from agents.dispatch.moves import moved
from agents.dispatch.offers import RevokeReason, match, requeue, revoke, show
from agents.dispatch.orders import for_case
from agents.dispatch.promises import noticed, tell_closed
from agents.dispatch.publishing import publish
from agents.dispatch.turn import Turn
from models import cases
from models.cases import Case, Entry, Note
from models.errors import IllegalTransition
from models.promises import answered
from models.records import Accept, Accepted, CloseCase, Hold, Reject, Reopen, Reply, Resume, Transfer


def accept(turn: Turn, work: Accept) -> None:
    """A rep takes a case."""
    for_case(turn, work, _accept)


def _accept(turn: Turn, work: Accept, case: Case) -> None:
    taken = cases.accepted(case, work.rep_id, work.offer, work.version)
    turn.floor.save(case, taken)
    turn.event(
        work.tenant,
        Accepted(
            at=turn.now,
            src=turn.src(),
            tenant=work.tenant,
            brand_id=case.brand_id,
            case_id=case.case_id,
            rep_id=work.rep_id,
        ),
    )
    show(turn, taken)


def reject(turn: Turn, work: Reject) -> None:
    """A rep declines a case."""
    for_case(turn, work, _reject)


def _reject(turn: Turn, work: Reject, case: Case) -> None:
    cases.check_rejectable(case, work.rep_id, work.offer, work.version)
    requeue(turn, case, "rejected")


def reply(turn: Turn, work: Reply) -> None:
    """A rep answers."""
    for_case(turn, work, _reply)


def _reply(turn: Turn, work: Reply, case: Case) -> None:
    if any(entry.id == work.id and entry.by == "rep" for entry in case.thread):
        return  # It went out; only its result was forgotten.
    cases.check_owner(case, "reply", work.rep_id, work.version)
    cases.check_writer(case, "reply", work.rep_id, turn.now)
    if not work.anyway:
        cases.check_window(case, turn.now)
    waits = needs_approval(turn, case, work.rep_id)
    status: cases.AnswerStatus = "approval" if waits else "queued"
    entry = Entry(id=work.id, at=turn.now, by="rep", text=work.text, status=status, rep_id=work.rep_id)
    waiting = cases.replied(case, entry, close=work.close)
    turn.floor.save(case, waiting)
    if waits:
        ask(turn, waiting, work.rep_id)
    else:
        publish(turn, waiting, entry)
    show(turn, waiting)


def close(turn: Turn, work: CloseCase) -> None:
    """A rep ends a case without an answer."""
    for_case(turn, work, _close)


def _close(turn: Turn, work: CloseCase, case: Case) -> None:
    cases.check_owner(case, "close", work.rep_id, work.version)
    end(turn, case, work.rep_id)


def end(turn: Turn, case: Case, rep_id: str, reason: RevokeReason = "closed") -> None:
    """Close a case and tell its rep, if it has one."""
    case = noticed(turn, case, warns=False)
    ended = replace(cases.closed(case, turn.now), promises=answered(case.promises))
    turn.floor.save(case, ended)
    tell_closed(turn, ended)
    if rep_id:
        revoke(turn, ended, rep_id, reason)


def hold(turn: Turn, work: Hold) -> None:
    """A rep lays a case aside."""
    for_case(turn, work, _hold)


def _hold(turn: Turn, work: Hold, case: Case) -> None:
    cases.check_owner(case, "hold", work.rep_id, work.version)
    if work.until and not turn.now < work.until <= turn.now + cases.HOLD_MAX_MS:
        raise IllegalTransition(f"hold: until {work.until} was said at {turn.now}; a week at most was meant", "illegal")
    laid = cases.held(case, work.until)
    turn.floor.save(case, laid)
    moved(turn, laid, "held", work.rep_id)
    show(turn, laid)


def resume(turn: Turn, work: Resume) -> None:
    """A rep takes a case up again, or an answer back that waits for approval."""
    for_case(turn, work, _resume)


def _resume(turn: Turn, work: Resume, case: Case) -> None:
    cases.check_owner(case, "resume", work.rep_id, work.version)
    take_up(turn, case, work.rep_id)


def take_up(turn: Turn, case: Case, by: str = "") -> None:
    """A hold ends, by its rep or by its time; or an answer is taken back."""
    up = cases.resumed(case)
    turn.floor.save(case, up)
    moved(turn, up, "stopped" if case.state == "awaiting_approval" else "resumed", by)
    show(turn, up)


def transfer(turn: Turn, work: Transfer) -> None:
    """A rep hands a case on."""
    for_case(turn, work, _transfer)


def _transfer(turn: Turn, work: Transfer, case: Case) -> None:
    cases.check_owner(case, "transfer", work.rep_id, work.version)
    check_target(turn, work)
    note = Note(at=turn.now, by=work.rep_id, text=work.note, to=work.target)
    gone = cases.forwarded(case, work.target, note, turn.now + turn.floor.house.forward_ms(case.tenant))
    turn.floor.save(case, gone)
    moved(turn, gone, "forwarded", work.rep_id, to=work.target, note=work.note)
    revoke(turn, gone, work.rep_id, "transferred")


def check_target(turn: Turn, work: Transfer) -> None:
    """Raise IllegalTransition unless there is such a team, or such a rep at the desk."""
    kind, _, name = work.target.partition(":")
    if kind == "rep":
        if name == work.rep_id:
            raise IllegalTransition("transfer: the case is yours already", "illegal")
        if not turn.floor.is_present(work.tenant, name):
            raise IllegalTransition(f"transfer: {name} is not there; give it to a team, or to anybody", "absent")
    elif not turn.floor.house.is_target(work.tenant, work.target):
        raise IllegalTransition(f"transfer: there is no {kind} {name!r}", "not_found")


def reopen(turn: Turn, work: Reopen) -> None:
    """A closed case is opened again, by who had it last or by a supervisor."""
    for_case(turn, work, _reopen)


def _reopen(turn: Turn, work: Reopen, case: Case) -> None:
    if work.role != "supervisor" and case.rep_id != work.rep_id:
        raise IllegalTransition(f"reopen: {work.rep_id} did not have case {case.case_id}", "not_owner")
    cases.check(case, "reopen")
    if turn.floor.in_conversation(case.tenant, case.conversation_uri) is not None:
        raise IllegalTransition(f"reopen: the conversation of case {case.case_id} has an open case", "illegal")
    rested = turn.floor.house.at_rest(cases.reopened(case), case.closed_at, turn.now)
    again = turn.floor.house.due_again(rested, turn.now)
    turn.floor.save(case, again)
    moved(turn, again, "reopened", work.rep_id)
    match(turn, work.tenant)
