"""Queued cases meet free reps: offers, and what takes them back."""

from typing import Literal

from agents.dispatch.presence import settle
from agents.dispatch.turn import Turn
from models import cases
from models.cases import Case, holder_of, is_in_hand
from models.records import Offered, Requeued
from models.wire import CaseFrame, OfferFrame, Revoke

RevokeReason = Literal[
    "expired",
    "rejected",
    "away",
    "offline",
    "lost",
    "closed",
    "withdrawn",
    "transferred",
    "supervisor",
    "deleted",
    "logged_out",
    "answered",
]
RequeueReason = Literal["rejected", "expired", "away", "offline", "lost", "logged_out"]


def match(turn: Turn, tenant: str) -> None:
    """Offer queued cases to free reps until one of both runs out."""
    settle(turn)
    while turn.part.ready and (found := turn.floor.take_next(tenant)) is not None:
        case, seat, why = found
        offer(turn, case, case, seat.profile.id, why.words())


def offer(turn: Turn, old: Case | None, case: Case, rep_id: str, why: tuple[str, ...] = ()) -> None:
    """Show a case to a rep, and why now; ``old`` is its row so far."""
    turn.floor.decisions += 1
    shown = cases.offered(case, rep_id, turn.now, turn.rules.offer_ms, why)
    turn.floor.save(old, shown)
    assert shown.offer is not None
    turn.event(
        case.tenant,
        Offered(
            turn.now,
            turn.src(),
            case.tenant,
            case.brand_id,
            case.case_id,
            rep_id,
            shown.offer.offer,
            turn.floor.decisions,
            why,
        ),
    )
    turn.tell(case.tenant, rep_id, lambda epoch, seq, ts: OfferFrame(epoch, seq, ts, turn.view(shown)))


def requeue(turn: Turn, case: Case, reason: RequeueReason) -> None:
    """Put a case that is held back into its queue, with its age."""
    rep_id = holder_of(case)
    back = cases.requeued(case, declined=reason in ("rejected", "expired"))
    turn.floor.save(case, back)
    turn.event(
        case.tenant,
        Requeued(
            at=turn.now,
            src=turn.src(),
            tenant=case.tenant,
            brand_id=case.brand_id,
            case_id=case.case_id,
            rep_id=rep_id,
            reason=reason,
        ),
    )
    revoke(turn, back, rep_id, reason)


def revoke(turn: Turn, case: Case, rep_id: str, reason: RevokeReason) -> None:
    """Tell a rep that a case has left the desk."""
    if not rep_id:  # Nobody had it: the machine has seen to it.
        return
    turn.tell(
        case.tenant,
        rep_id,
        lambda epoch, seq, ts: Revoke(epoch, seq, ts, case.case_id, case.version, reason),
    )


def show(turn: Turn, case: Case) -> None:
    """Show a case as it now is to whoever holds it."""
    if is_in_hand(case):
        turn.tell(case.tenant, holder_of(case), lambda epoch, seq, ts: CaseFrame(epoch, seq, ts, turn.view(case)))
