"""Four eyes: an answer that waits, and the second person who lets it go out or gives it back."""

from agents.dispatch.moves import inform, moved
from agents.dispatch.offers import show
from agents.dispatch.orders import for_case
from agents.dispatch.publishing import publish
from agents.dispatch.turn import Turn
from models import cases
from models.cases import Case
from models.errors import IllegalTransition
from models.records import Approve, FromDesk, Return
from models.reps import PRESENT


def needs_approval(turn: Turn, case: Case, rep_id: str) -> bool:
    """Whether a rep's answer waits for a second person: by the brand, or by the rep."""
    rules = turn.floor.house.brands.get((case.tenant, case.brand_id))
    return (rules is not None and rules.brand.approval) or turn.floor.house.profile(case.tenant, rep_id).approval


def ask(turn: Turn, case: Case, by: str) -> None:
    """Tell everybody who is there and may approve it that an answer waits."""
    moved(turn, case, "approval_asked", by)
    for row in list(turn.floor.reps.values()):
        if row.tenant != case.tenant or row.rep_id == by or not (row.connections or row.presence in PRESENT):
            continue
        if row.role == "supervisor" or turn.floor.house.profile(row.tenant, row.rep_id).approves:
            inform(turn, row.tenant, row.rep_id, "approval", case.case_id, by=by)


def approve(turn: Turn, work: Approve) -> None:
    """A second person lets an answer go out."""
    for_case(turn, work, _approve)


def _approve(turn: Turn, work: Approve, case: Case) -> None:
    if any(entry.id == work.id for entry in case.thread):
        return
    check_approves(turn, work)
    entry = cases.check_approver(case, "approve", work.rep_id, work.version)
    cases.check_writer(case, "approve", work.rep_id, turn.now)
    passed, answer = cases.approved(case, entry, work.rep_id, work.text)
    turn.floor.save(case, passed)
    publish(turn, passed, answer)
    moved(turn, passed, "approved", work.rep_id, to=entry.rep_id)
    show(turn, passed)


def give_back(turn: Turn, work: Return) -> None:
    """A second person gives an answer back to its rep."""
    for_case(turn, work, _give_back)


def _give_back(turn: Turn, work: Return, case: Case) -> None:
    check_approves(turn, work)
    entry = cases.check_approver(case, "return", work.rep_id, work.version)
    back = cases.returned(case, entry, work.rep_id, work.note)
    turn.floor.save(case, back)
    moved(turn, back, "returned", work.rep_id, to=entry.rep_id, note=work.note)
    show(turn, back)


def check_approves(turn: Turn, work: FromDesk) -> None:
    """Raise IllegalTransition unless this person may approve others' answers."""
    if work.role != "supervisor" and not turn.floor.house.profile(work.tenant, work.rep_id).approves:
        raise IllegalTransition(f"{work.rep_id} may not approve answers", "forbidden")
