"""What becomes of answers at their platforms."""

from typing import Any

from msgspec.structs import replace

from agents.dispatch.offers import match
from agents.dispatch.promises import noticed, tell_closed
from agents.dispatch.turn import Turn
from models import cases, incidents
from models.cases import Case, Entry
from models.promises import answer_promise, answered, is_kept
from models.records import Answered, Published, Sending, Unpublished
from models.wire import Publish


def sending(turn: Turn, work: Sending) -> None:
    """The outbox calls the platform."""
    _answer_is(turn, work, "sending")


def published(turn: Turn, work: Published) -> None:
    """The platform has an answer, or not."""
    _answer_is(turn, work, work.status, work.url, work.error)


def _answer_is(turn: Turn, work: Sending | Published, status: Any, url: str = "", error: str = "") -> None:
    case = turn.floor.case(work.case_id)
    if case is None or case.tenant != work.tenant:
        return
    before = next((entry for entry in case.thread if entry.id == work.answer_id and entry.by != "customer"), None)
    # What is sent stays sent: a result may come twice, and a late "sending" says nothing new.
    if (
        before is None
        or before.status == status
        or before.status == "sent"
        or (status == "sending" and before.status in ("failed", "unknown"))
    ):
        return
    changed = cases.answer_status(case, work.answer_id, status, url, error)
    if before.ack:  # It answers nothing, so nothing depends on it.
        turn.floor.save(case, changed)
        return
    if status == "sent":
        changed = _sent(turn, case, changed, before)
    elif status in ("failed", "unknown"):
        changed = _not_sent(turn, case, changed, work, status, error)
    turn.floor.save(case, changed)
    if before.by == "rep":
        turn.tell(
            case.tenant,
            before.rep_id,
            lambda epoch, seq, ts: Publish(
                epoch, seq, ts, case.case_id, changed.version, changed.state, work.answer_id, status, url, error
            ),
        )
    if changed.state == "closed" and case.state != "closed":
        tell_closed(turn, changed)
    match(turn, case.tenant)


def _sent(turn: Turn, case: Case, changed: Case, entry: Entry) -> Case:
    if case.state == "closed":
        return changed
    changed = noticed(turn, changed, warns=False)
    promise = answer_promise(changed.promises)
    turn.event(
        case.tenant,
        Answered(
            at=turn.now,
            src=turn.src(),
            tenant=case.tenant,
            brand_id=case.brand_id,
            case_id=case.case_id,
            rep_id=entry.rep_id,
            answer_id=entry.id,
            first=case.awaits_answer,
            wait_s=max(0, turn.now - case.received_at) / 1000,
            in_time=is_kept(promise, turn.now) if promise is not None else turn.now <= case.due_at,
            triage=case.triage,
        ),
    )
    # By place, not by time: what the rep could not have read when answering still waits for an answer.
    place = next(at for at, one in enumerate(case.thread) if one is entry)
    later = next((one for one in case.thread[place:] if one.by == "customer" and not one.deleted), None)
    if later is not None:
        return _still_waiting(turn, changed, later.at)
    if changed.state == "automatic":
        done = incidents.published(changed, turn.now)
    else:
        done = cases.published(changed, turn.now, _idle_ms(turn, changed))
    rules = turn.rules.house.brands.get((case.tenant, case.brand_id))
    if done.state == "awaiting_customer" and rules is not None:
        return rules.awaiting_customer(done, turn.now)
    return replace(done, promises=answered(done.promises))


def _idle_ms(turn: Turn, case: Case) -> int:
    """Return how long a talk goes on taking units of its rep, who must be there for it."""
    if not turn.floor.is_present(case.tenant, case.rep_id):
        return 0
    return round(turn.floor.house.kind(case).idle_frees_s * 1000)


def _still_waiting(turn: Turn, case: Case, since: int) -> Case:
    """The answer is out, and the customer has written since: waiting counts from there, so that it counts once."""
    moved = turn.floor.house.due_again(replace(case, version=case.version + 1), since)
    if case.state == "automatic":
        return incidents.back_in_queue(moved)
    return moved if cases.is_under_way(case) else replace(cases.unpublished(moved), close_after=False)


def _not_sent(turn: Turn, case: Case, changed: Case, work: Any, status: Any, error: str) -> Case:
    turn.event(
        case.tenant,
        Unpublished(
            at=turn.now,
            src=turn.src(),
            tenant=case.tenant,
            brand_id=case.brand_id,
            case_id=case.case_id,
            answer_id=work.answer_id,
            status=status,
            error=error,
        ),
    )
    return (
        incidents.unpublished(changed, error or status) if changed.state == "automatic" else cases.unpublished(changed)
    )
