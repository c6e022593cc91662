"""What is told of promises: a warning before each is broken, the breach, and how a case ended."""

from typing import Final

from msgspec.structs import replace

from agents.dispatch.turn import Turn
from models.cases import Case, holder_of, is_in_hand
from models.promises import Promise, is_kept, resolution_promise, told_at
from models.records import Breached, Closed, Warned
from models.wire import Notice

NOTICES_MAX: Final = 1_000  # Cases told of at one tick, as after a night's standstill; the rest follow a second later.


def tell_promises(turn: Turn) -> None:
    """Tell which promises will soon be broken and which are: by what the rows say, so that each is told once."""
    for case in turn.floor.due_notices(turn.now, NOTICES_MAX):
        changed = noticed(turn, case)
        if changed is not case:
            turn.floor.save(case, changed)


def noticed(turn: Turn, case: Case, *, warns: bool = True) -> Case:
    """
    Tell what is to be told of a case's promises; return it with that noted, or as it is.

    Args:
        turn: Of the record.
        case: Open, as it stands.
        warns: Whether of warnings too; what is just being answered or closed needs none.
    """
    promises = tuple(_noticed(turn, case, promise, warns=warns) for promise in case.promises)
    return case if promises == case.promises else replace(case, promises=promises)


def _noticed(turn: Turn, case: Case, promise: Promise, *, warns: bool) -> Promise:
    stage = told_at(promise, turn.now)
    if stage == "" or stage == promise.told or (stage == "warned" and not warns):
        return promise
    holder = holder_of(case) if is_in_hand(case) else ""
    turn.event(
        case.tenant,
        (Warned if stage == "warned" else Breached)(
            at=turn.now,
            src=turn.src(),
            tenant=case.tenant,
            brand_id=case.brand_id,
            case_id=case.case_id,
            promise=promise.kind,
            due_at=promise.due_at,
            triage=case.triage,
            rep_id=holder,
        ),
    )
    if holder:
        turn.tell(
            case.tenant,
            holder,
            lambda epoch, seq, ts: Notice(epoch, seq, ts, case.case_id, promise.kind, stage, promise.due_at),
        )
    return replace(promise, told=stage)


def tell_closed(turn: Turn, case: Case) -> None:
    """Tell that a case is closed, and whether it was resolved in time."""
    resolution = resolution_promise(case.promises)
    turn.event(
        case.tenant,
        Closed(
            at=turn.now,
            src=turn.src(),
            tenant=case.tenant,
            brand_id=case.brand_id,
            case_id=case.case_id,
            case=case,
            in_time=None if resolution is None else is_kept(resolution, turn.now),
        ),
    )
