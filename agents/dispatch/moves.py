"""What every act on a case writes and tells: the event of its move, and frames to those whom it concerns."""

from collections.abc import Mapping

from agents.dispatch.turn import Turn
from models.cases import Case
from models.records import Move, Moved
from models.relabels import By, Change, Relabelled
from models.wire import Erased, Info, InfoKind


def moved(turn: Turn, case: Case, what: Move, by: str = "", to: str = "", note: str = "") -> None:
    """Write what has happened to a case."""
    turn.event(
        case.tenant,
        Moved(
            at=turn.now,
            src=turn.src(),
            tenant=case.tenant,
            brand_id=case.brand_id,
            case_id=case.case_id,
            what=what,
            by=by,
            to=to,
            note=note,
            state=case.state,
        ),
    )


def relabelled(
    turn: Turn, case: Case, by: By, labels: Mapping[str, Change], rep_id: str = "", post_id: str = ""
) -> None:
    """Write that labels of a case were set anew; ``case`` is as it now is."""
    turn.event(
        case.tenant,
        Relabelled(
            at=turn.now,
            src=turn.src(),
            tenant=case.tenant,
            brand_id=case.brand_id,
            case_id=case.case_id,
            by=by,
            labels=dict(labels),
            triage=case.triage,
            due_at=case.due_at,
            rep_id=rep_id,
            post_id=post_id,
        ),
    )


def inform(
    turn: Turn, tenant: str, rep_id: str, kind: InfoKind, case_id: str = "", text: str = "", by: str = ""
) -> None:
    """Tell a rep something that changes nothing."""
    turn.tell(tenant, rep_id, lambda epoch, seq, ts: Info(epoch, seq, ts, kind, case_id, text, by))


def erase(turn: Turn, case: Case, rep_id: str, entry_ids: tuple[str, ...]) -> None:
    """Tell a rep's desks that posts were taken back by their author."""
    for entry_id in entry_ids:
        turn.tell(
            case.tenant,
            rep_id,
            lambda epoch, seq, ts, entry_id=entry_id: Erased(epoch, seq, ts, case.case_id, entry_id),  # type: ignore[misc]
        )
