"""Labels that are set anew: the case follows, the journal tells it, and what a person said becomes training rows."""

from collections.abc import Mapping

from msgspec.structs import replace

from agents.dispatch import moves
from agents.dispatch.offers import match, show
from agents.dispatch.orders import for_case
from agents.dispatch.posts import unanswered
from agents.dispatch.results import tell_result
from agents.dispatch.turn import Turn
from models.cases import Case, Entry
from models.errors import BadEvent, IllegalTransition
from models.relabels import (
    CORRECTION_CHARS_MAX,
    NAMES,
    Correction,
    HeadChanged,
    Learned,
    Relabel,
    changes,
    confidence_of,
    fault_of,
    relabelled,
    value_of,
)
from models.triage import final_triage, triage_of_text
from models.wire import CommandError
from streams import topics
from streams.carry import Out


def relabel(turn: Turn, work: Relabel) -> None:
    """A person or a machine sets labels of a case."""
    fault = fault_of(work.labels)
    if work.by == "deep":
        if fault is not None:
            raise BadEvent(fault)
        _by_machine(turn, work)
    elif fault is not None:
        tell_result(turn, work, CommandError(code="bad_request", message=fault))
    else:
        for_case(turn, work, _by_hand)


# -- a person -------------------------------------------------------------------------------------------------------


def _by_hand(turn: Turn, work: Relabel, case: Case) -> None:
    if work.by == "rep" and case.rep_id != work.rep_id:
        raise IllegalTransition(f"relabel: case {case.case_id} is {case.state}, not worked on by {work.rep_id}")
    if work.version != case.version:
        raise IllegalTransition(f"relabel: case {case.case_id} is at version {case.version}, not {work.version}")
    post = _last_post(case)
    if post is not None:
        _teach(turn, work, case, post)
    changed = replace(case, by_hand=tuple(dict.fromkeys((*case.by_hand, *work.labels))))
    if "triage" in work.labels:
        changed = turn.floor.house.prioritised(changed, work.labels["triage"])  # type: ignore[arg-type]  # fault_of has looked
    _set(turn, work, case, changed, work.labels)


def _teach(turn: Turn, work: Relabel, case: Case, post: Entry) -> None:
    """Write a training row for each label: what was confirmed teaches as much as what was changed."""
    for name, value in work.labels.items():
        row = Correction(
            at=turn.now,
            src=turn.src(),
            tenant=case.tenant,
            brand_id=case.brand_id,
            case_id=case.case_id,
            post_id=post.id,
            text=post.text[:CORRECTION_CHARS_MAX],
            head=NAMES[name],
            value=value,
            found=value_of(case.labels, name),
            confidence=confidence_of(case.labels, name),
            rep_id=work.rep_id,
            by=work.by,
        )
        turn.outs.append(Out(topics.CORRECTIONS, case.tenant.encode(), row))


# -- a machine ------------------------------------------------------------------------------------------------------


def _by_machine(turn: Turn, work: Relabel) -> None:
    """What no person has set may change; how soon the case goes, only while no person has had it in hand."""
    case = turn.floor.in_conversation(work.tenant, work.conversation_uri)
    post = _last_post(case) if case is not None else None
    if case is None or post is None or post.id != work.post_id:
        return  # Closed since, or its customer has written again: the labels are another post's by now.
    values = {name: value for name, value in work.labels.items() if name not in case.by_hand}
    changed = case
    if not case.by_hand and not case.rep_id and case.awaits_answer:
        triage, why = triage_of_text(relabelled(case.labels, values, work.confidence), post.text)
        triage, more = final_triage(
            triage, unanswered=max(0, unanswered(case) - 1), reply_until=case.reply_until, now=turn.now
        )
        changed = replace(
            turn.floor.house.prioritised(case, triage), why=tuple(dict.fromkeys((*case.why, *why, *more)))[:16]
        )
    _set(turn, work, case, changed, values)
    match(turn, work.tenant)


# -- both -----------------------------------------------------------------------------------------------------------


def _set(turn: Turn, work: Relabel, case: Case, changed: Case, values: Mapping[str, str]) -> None:
    """Write a case's new labels, tell whoever holds it, and the journal."""
    told = changes(case.labels, values)
    changed = replace(changed, labels=relabelled(case.labels, values, work.confidence))
    if changed == case:
        return
    if work.by != "deep":  # A machine's word must not make a rep's command, given meanwhile, a stale one.
        changed = replace(changed, version=case.version + 1)
    turn.floor.save(case, changed)
    show(turn, changed)
    moves.relabelled(turn, changed, work.by, told, work.rep_id, work.post_id)


def _last_post(case: Case) -> Entry | None:
    """Return what the customer wrote last, which is what the labels are about; None if its text has left the row."""
    last = next((entry for entry in reversed(case.thread) if entry.by == "customer"), None)
    return last if last is not None and last.text.strip() else None


# -- what was learnt ------------------------------------------------------------------------------------------------


def head_changed(turn: Turn, work: HeadChanged) -> None:
    """A tenant's head was promoted or taken back: the journal and the boards tell it."""
    turn.event(work.tenant, Learned(at=turn.now, src=turn.src(), tenant=work.tenant, change=work))
