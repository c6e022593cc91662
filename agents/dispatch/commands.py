"""What reps do with a case: each command is a transition of ``models.cases``, refused by its name if it is none."""

from collections.abc import Callable
from typing import Any

from msgspec.structs import replace

from agents.dispatch.offers import match, requeue, revoke, show
from agents.dispatch.promises import noticed, tell_closed
from agents.dispatch.results import is_known, tell_result
from agents.dispatch.turn import Turn
from agents.dispatch.views import view
from agents.floor import holder_of
from models import cases
from models.cases import Case, Entry
from models.errors import IllegalTransition
from models.promises import answered
from models.records import Accept, Accepted, Answer, CloseCase, Reject, Reply
from models.wire import CommandError, ErrorCode
from streams import topics
from streams.carry import Out


def accept(turn: Turn, work: Accept) -> None:
    """A rep takes a case."""
    command(turn, work, _accept)


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
    command(turn, work, _reject)


def _reject(turn: Turn, work: Reject, case: Case) -> None:
    cases.check_rejectable(case, work.rep_id, work.offer, work.version)
    requeue(turn, case, "rejected")


def reply(turn: Turn, work: Reply) -> None:
    """A rep answers."""
    command(turn, work, _reply)


def _reply(turn: Turn, work: Reply, case: Case) -> None:
    if any(entry.id == work.id and entry.by == "rep" for entry in case.thread):
        return  # It went out; only its result was forgotten.
    cases.check_owner(case, work.rep_id, work.version)
    entry = Entry(id=work.id, at=turn.now, by="rep", text=work.text, status="queued", rep_id=work.rep_id)
    replied = cases.replied(case, entry, close=work.close)
    turn.floor.save(case, replied)
    answer = Answer(
        answer_id=work.id,
        src=turn.src(),
        at=turn.now,
        tenant=case.tenant,
        brand_id=case.brand_id,
        case_id=case.case_id,
        rep_id=work.rep_id,
        platform=case.platform,
        account_id=case.account_id,
        conversation_uri=case.conversation_uri,
        in_reply_to=case.in_reply_to,
        text=work.text,
        author_handle=case.author.handle,
        visibility=case.visibility,
        native=case.native,
    )
    turn.outs.append(Out(topics.ANSWERS, f"{case.tenant}|{case.account_id}".encode(), answer))
    show(turn, replied)


def close(turn: Turn, work: CloseCase) -> None:
    """A rep ends a case without an answer."""
    command(turn, work, _close)


def _close(turn: Turn, work: CloseCase, case: Case) -> None:
    cases.check_owner(case, work.rep_id, work.version)
    end(turn, case, work.rep_id)


def end(turn: Turn, case: Case, rep_id: str) -> None:
    """Close a case and tell its rep."""
    case = noticed(turn, case, warns=False)
    ended = replace(cases.closed(case, turn.now), promises=answered(case.promises))
    turn.floor.save(case, ended)
    tell_closed(turn, ended)
    revoke(turn, ended, rep_id, "closed")


def command(turn: Turn, work: Any, act: Callable[[Turn, Any, Case], None]) -> None:
    """Carry out a command on a case once, and tell its result."""
    row = turn.floor.rep(work.tenant, work.rep_id)
    if is_known(turn, row, work):
        return
    case = turn.floor.case(work.case_id)
    if case is None or case.tenant != work.tenant:
        tell_result(turn, work, CommandError(code="not_found", message=f"there is no case {work.case_id}"))
        return
    try:
        act(turn, work, case)
    except IllegalTransition as refusal:
        mine = holder_of(case) == work.rep_id
        tell_result(
            turn, work, CommandError(code=_code(work, mine), message=str(refusal), case=view(case) if mine else None)
        )
    else:
        tell_result(turn, work, None)
    match(turn, work.tenant)


def _code(work: Any, mine: bool) -> ErrorCode:
    if isinstance(work, Accept | Reject):
        return "version_conflict" if mine else "offer_gone"
    return "version_conflict" if mine else "not_owner"
