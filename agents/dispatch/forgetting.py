"""An author has asked to be forgotten: rows, name and words go, in all cases; these stay, as cases of nobody."""

from msgspec.structs import replace

from agents.authors import keys_of
from agents.dispatch.orders import check_supervisor, for_all
from agents.dispatch.posts import follow
from agents.dispatch.turn import Turn
from models.cases import Case
from models.people import account_key
from models.posts import Author
from models.records import Forget, Forgotten
from tables.cases import CASES


def forget(turn: Turn, work: Forget) -> None:
    """A supervisor lets an author be forgotten, who has asked for it."""
    for_all(turn, work, _forget)


def _forget(turn: Turn, work: Forget) -> None:
    """Remove it all. Every case's row is read for it, 20 us each: it is asked for rarely."""
    check_supervisor(work)
    asked = account_key(work.author)
    accounts = turn.floor.authors.accounts_of(work.tenant, asked.removeprefix("crm:"))
    keys = frozenset({asked, *(accounts if asked.startswith("crm:") else ())})
    mine = [
        case
        for _, case in turn.part.rows.all(CASES)
        if case.tenant == work.tenant and (not work.brands or case.brand_id in work.brands) and keys & keys_of(case)
    ]
    # Rows come in the order in which they were written; what follows must not depend on when that was.
    for case in sorted(mine, key=lambda one: one.case_id):
        follow(turn, case, _nobodys(case), deleted=True)
    rows = turn.floor.authors.forget(work.tenant, keys)
    told = Forgotten(at=turn.now, src=turn.src(), tenant=work.tenant, by=work.rep_id, rows=rows, cases=len(mine))
    turn.event(work.tenant, told)


def _nobodys(case: Case) -> Case:
    """Return a case without its author and the author's words; what the brand has said stays."""
    thread = tuple(replace(one, text="", deleted=True) if one.by == "customer" else one for one in case.thread)
    return replace(case, author=Author(), known=None, thread=thread, sketch=b"", version=case.version + 1)
