"""Two people at one case see each other, and one writes: leases that are said again while they last."""

from typing import Final

from agents.dispatch.orders import check_brand, error_of
from agents.dispatch.turn import Turn
from agents.floor import VIEWERS_MAX, Viewing
from models import cases
from models.cases import Case, holder_of, is_in_hand
from models.errors import IllegalTransition
from models.records import View
from models.wire import Result, Shown, Viewer, Viewers

LEASE_MS: Final = 30_000  # Three times what a page takes to say it again: one lost frame takes nobody's pen.


def look(turn: Turn, work: View) -> None:
    """Somebody looks at a case, writes in it, or leaves it; the result is told and not kept, for it comes all the time."""
    case = turn.floor.case(work.case_id)
    try:
        if case is None or case.tenant != work.tenant:
            raise IllegalTransition(f"there is no case {work.case_id}", "not_found")
        check_brand(work, case)
        _look(turn, work, case)
    except IllegalTransition as refusal:
        result = Result(re=work.id, ok=False, error=error_of(turn, work, refusal, case))
    else:
        result = Result(re=work.id, ok=True)
    turn.address(work.tenant, work.rep_id, work.connection, result)


def _look(turn: Turn, work: View, case: Case) -> None:
    before = _seen(turn, case)
    if work.on:
        _begin(turn, work, case)
    else:
        _leave(turn, case.case_id, work.connection)
    pen = _pen(turn, work, case)
    if pen is not case:
        turn.floor.save(case, pen)
        turn.floor.changed.pop(case.case_id, None)  # Who looks is told who writes; nothing else is new.
    if _seen(turn, pen) != before:
        tell_viewers(turn, pen)
    if pen.writer and pen.writer != work.rep_id and work.on and work.writing:
        raise IllegalTransition(f"view: {pen.writer} writes in case {case.case_id}", "being_written")


def _begin(turn: Turn, work: View, case: Case) -> None:
    here = turn.floor.viewing.setdefault(case.case_id, {})
    known = work.connection in here
    if not known and len(here) >= VIEWERS_MAX:
        raise IllegalTransition(f"view: {VIEWERS_MAX} look at case {case.case_id} already", "capacity")
    here[work.connection] = Viewing(work.rep_id, work.connection, turn.now + LEASE_MS)
    if not known and not (is_in_hand(case) and holder_of(case) == work.rep_id):
        turn.address(work.tenant, work.rep_id, work.connection, Shown(turn.view(case)))


def _leave(turn: Turn, case_id: str, connection: str) -> None:
    here = turn.floor.viewing.get(case_id, {})
    here.pop(connection, None)
    if not here:
        turn.floor.viewing.pop(case_id, None)


def _pen(turn: Turn, work: View, case: Case) -> Case:
    """Give the pen to who asks for it and take it from who puts it down; it is nobody's once its lease has passed."""
    free = not case.writer or case.writer == work.rep_id or turn.now >= case.writer_until
    if work.on and work.writing and free and case.state != "closed":
        return cases.written_by(case, work.rep_id, turn.now + LEASE_MS)
    if case.writer == work.rep_id:
        return cases.written_by(case, "", 0)
    return case


def _seen(turn: Turn, case: Case) -> list[tuple[str, bool]]:
    here = turn.floor.viewing.get(case.case_id, {})
    return sorted({(one.rep_id, one.rep_id == case.writer) for one in here.values()})


def tell_viewers(turn: Turn, case: Case) -> None:
    """Tell everybody at a case, and who holds it, who is there."""
    here = turn.floor.viewing.get(case.case_id, {})
    names = turn.floor.house
    there = tuple(
        Viewer(rep_id, names.profile(case.tenant, rep_id).name, writing) for rep_id, writing in _seen(turn, case)
    )
    addresses = {(one.rep_id, one.connection) for one in here.values()}
    if is_in_hand(case):
        holder = turn.floor.rep(case.tenant, holder_of(case))
        addresses |= {(holder.rep_id, one.connection) for one in holder.connections}
    for rep_id, connection in sorted(addresses):
        turn.address(case.tenant, rep_id, connection, Viewers(case.case_id, there))


def show_changes(turn: Turn) -> None:
    """Show cases that have changed to those who look at them and do not hold them."""
    changed = turn.floor.changed
    while changed:
        case_id = changed.popitem()[0]
        case = turn.floor.case(case_id)
        for one in list(turn.floor.viewing.get(case_id, {}).values()):
            if case is not None and not (is_in_hand(case) and holder_of(case) == one.rep_id):
                turn.address(case.tenant, one.rep_id, one.connection, Shown(turn.view(case)))


def end_views(turn: Turn) -> None:
    """Forget who has not said for a lease that they still look."""
    for case_id, here in list(turn.floor.viewing.items()):
        gone = [one.connection for one in here.values() if one.until <= turn.now]
        for connection in gone:
            _leave(turn, case_id, connection)
        case = turn.floor.case(case_id) if gone else None
        if case is not None:
            tell_viewers(turn, case)
