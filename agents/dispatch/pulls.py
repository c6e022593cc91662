"""A rep may look at what waits and take of it; who approves sees what waits for approval, a supervisor all there is."""

from collections.abc import Iterable
from heapq import nsmallest
from typing import Final

from agents.dispatch.approvals import check_approves
from agents.dispatch.moves import moved
from agents.dispatch.offers import show
from agents.dispatch.orders import check_brand, check_supervisor, error_of, for_all
from agents.dispatch.turn import Turn
from agents.dispatch.views import brief
from models import cases
from models.cases import Case
from models.errors import IllegalTransition
from models.records import ListCases, Pull
from models.reps import PRESENT
from models.wire import Listed, Result
from tables.reps import RepRow

LISTED_MAX: Final = 50  # A page of a screen or two; who looks for more searches.


def pull(turn: Turn, work: Pull) -> None:
    """A rep takes a waiting case that was not offered."""
    for_all(turn, work, _pull)


def _pull(turn: Turn, work: Pull) -> None:
    row = _puller(turn, work)
    case = _named(turn, work, row) if work.case_id else _next(turn, work, row)
    cases.check_writer(case, "pull", work.rep_id, turn.now)
    taken = cases.pulled(case, work.rep_id)
    turn.floor.save(case, taken)
    moved(turn, taken, "pulled", work.rep_id)
    show(turn, taken)


def _puller(turn: Turn, work: Pull) -> RepRow:
    row = turn.floor.rep(work.tenant, work.rep_id)
    if not turn.floor.house.profile(work.tenant, work.rep_id).pulls:
        raise IllegalTransition(f"pull: {work.rep_id} gets work offered and may not choose", "forbidden")
    if row.presence not in PRESENT:
        raise IllegalTransition(f"pull: {work.rep_id} is {row.presence}; who is there was meant", "absent")
    return row


def _named(turn: Turn, work: Pull, row: RepRow) -> Case:
    case = turn.floor.case(work.case_id)
    if case is None or case.tenant != work.tenant:
        raise IllegalTransition(f"there is no case {work.case_id}", "not_found")
    check_brand(work, case)
    cases.check(case, "pull")
    if not turn.floor.is_able(row, case):
        raise IllegalTransition(f"pull: case {case.case_id} needs skills that {work.rep_id} lacks", "illegal")
    if not turn.floor.fits(row, case):
        raise IllegalTransition(f"pull: case {case.case_id} does not fit beside what {work.rep_id} holds", "capacity")
    return case


def _next(turn: Turn, work: Pull, row: RepRow) -> Case:
    """Return the case that goes first of those that the rep may take, as if it had been offered."""

    def may_take(case: Case) -> bool:
        pen_is_free = not case.writer or case.writer == work.rep_id or turn.now >= case.writer_until
        return pen_is_free and _is_in(work, case) and turn.floor.is_able(row, case) and turn.floor.fits(row, case)

    for case in turn.floor.waiting_for(work.tenant, work.rep_id):
        if may_take(case):
            return case
    # Behind a head that somebody else writes in there may be more of its class.
    mine = [case for case in turn.floor.waiting_in(work.tenant) if may_take(case)]
    if not mine:
        raise IllegalTransition(f"pull: nothing waits that {work.rep_id} may take now", "not_found")
    return min(mine, key=_order)


def _takeable(turn: Turn, work: Pull | ListCases, row: RepRow) -> list[Case]:
    return [case for case in turn.floor.waiting_in(work.tenant) if _is_in(work, case) and turn.floor.is_able(row, case)]


def _order(case: Case) -> tuple[int, str]:
    return (case.due_at, case.case_id)


def _is_in(work: Pull | ListCases, case: Case) -> bool:
    return case.tenant == work.tenant and (not work.brands or case.brand_id in work.brands)


def list_cases(turn: Turn, work: ListCases) -> None:
    """Somebody asks what there is; nothing changes, and nothing is kept of it."""
    try:
        found = _found(turn, work)
    except IllegalTransition as refusal:
        refused = Result(re=work.id, ok=False, error=error_of(turn, work, refusal, None))
        turn.address(work.tenant, work.rep_id, work.connection, refused)
        return
    shown = tuple(brief(case) for case in nsmallest(LISTED_MAX, found, key=_order))
    turn.address(work.tenant, work.rep_id, work.connection, Listed(work.id, work.what, shown, len(found)))


def _found(turn: Turn, work: ListCases) -> list[Case]:
    match work.what:
        case "waiting":
            return _takeable(turn, work, turn.floor.rep(work.tenant, work.rep_id))
        case "approval":
            check_approves(turn, work)
            return _of(work, (turn.floor.open[case_id] for case_id in turn.floor.approvals))
        case "all":
            check_supervisor(work)
            return _of(work, turn.floor.open.values())


def _of(work: ListCases, found: Iterable[Case]) -> list[Case]:
    return [case for case in found if _is_in(work, case)]
