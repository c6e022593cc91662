"""A command of a desk: carried out once, refused by its name, with its result told and remembered."""

from collections.abc import Callable
from typing import Any

from agents.dispatch.offers import match
from agents.dispatch.results import is_known, tell_result
from agents.dispatch.turn import Turn
from models.cases import Case, holder_of
from models.errors import IllegalTransition
from models.records import Accept, FromDesk, Reject
from models.wire import CommandError, ErrorCode


def for_case(turn: Turn, work: Any, act: Callable[[Turn, Any, Case], None]) -> None:
    """Carry out a command that names a case."""
    case = turn.floor.case(work.case_id)

    def carry_out() -> None:
        if case is None or case.tenant != work.tenant:
            raise IllegalTransition(f"there is no case {work.case_id}", "not_found")
        check_brand(work, case)
        act(turn, work, case)

    _order(turn, work, carry_out, case)


def for_all(turn: Turn, work: Any, act: Callable[[Turn, Any], None]) -> None:
    """Carry out a command that names no case."""
    _order(turn, work, lambda: act(turn, work), None)


def _order(turn: Turn, work: Any, carry_out: Callable[[], None], case: Case | None) -> None:
    if is_known(turn, turn.floor.rep(work.tenant, work.rep_id), work):
        return
    try:
        carry_out()
    except IllegalTransition as refusal:
        tell_result(turn, work, error_of(turn, work, refusal, case))
    else:
        tell_result(turn, work, None)
    match(turn, work.tenant)


def error_of(turn: Turn, work: Any, refusal: IllegalTransition, case: Case | None) -> CommandError:
    """Return what a desk is told of a refusal, with what holds now if it is the desk's to see."""
    mine = case is not None and case.tenant == work.tenant and holder_of(case) == work.rep_id
    code: Any = refusal.code or _code(work, mine)
    known = case is not None and code not in ("forbidden", "not_found")
    sees = known and (mine or isinstance(work, FromDesk))
    return CommandError(code=code, message=str(refusal), case=turn.view(case) if case is not None and sees else None)


def _code(work: Any, mine: bool) -> ErrorCode:
    if isinstance(work, Accept | Reject):
        return "version_conflict" if mine else "offer_gone"
    return "version_conflict" if mine else "not_owner"


def check_brand(work: Any, case: Case) -> None:
    """Raise IllegalTransition if the token does not reach the case's brand."""
    if isinstance(work, FromDesk) and work.brands and case.brand_id not in work.brands:
        raise IllegalTransition(f"brand {case.brand_id} is not among those of {work.rep_id}", "forbidden")


def check_supervisor(work: FromDesk) -> None:
    """Raise IllegalTransition unless the command comes from a supervisor, by the token's word."""
    if work.role != "supervisor":
        raise IllegalTransition(f"{work.rep_id} is a {work.role}; a supervisor was meant", "forbidden")
