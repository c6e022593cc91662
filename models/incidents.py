"""
An incident: many posts of one brand that say the same, answered once.

Its row holds what was decided about it and nothing that can be counted: which posts belong to it stands in their cases'
rows, each with the answer that it got. So an incident is one row, a decision about it changes that row alone, and what
follows for its cases is brought about step by step, from any state in which a crash may have left it:

    suggested   its cases wait in the queue as all do; a supervisor sees that they are one
    grouped     its cases have left the queue and wait for its answer, at most ``hold_min``
    answered    its cases get the answer, later ones too, as fast as the platforms take it
    closed      it takes no more posts; cases that have no answer yet are back in the queue

A case leaves an incident with its age and stays out of it. It is answered at most once by it, and never after a person has.
"""

from collections.abc import Iterable
from typing import Final, Literal

from msgspec import Struct
from msgspec.structs import replace

from models.brands import IncidentRules
from models.cases import UNDER_WAY, Case, Entry, closed, with_entry
from models.errors import IllegalTransition
from models.variations import Template

IncidentState = Literal["suggested", "grouped", "answered", "closed"]
LIVE: Final = frozenset({"suggested", "grouped", "answered"})
EndReason = Literal["", "dismissed", "closed", "quiet"]
Step = Literal["nothing", "group", "answer", "queue"]

MEMBERS_MAX: Final = (
    20_000  # Cases of one incident; what comes later waits in the queue. Four days of Telefonica's in one.
)
SHOWN_MAX: Final = 20  # Of a brand on a board, the largest: nobody decides about more at a time.
STEPS_MAX: Final = 500  # Cases that one record moves: all at once would hold up the loop; the next tick goes on.
LIVE_MAX: Final = 50  # Of a brand; while there are so many, nothing new is suggested.
SAMPLE_CHARS: Final = 300
MINUTE_MS: Final = 60_000
GRAVE: Final = ("life:", "danger:", "abuse:", "threat:")
"""Reasons of the triage (``models.triage``) for which a person reads a post, whatever else says the same."""


class IncidentAnswer(Struct, frozen=True):
    """What all posts of an incident are answered."""

    id: str
    """The command's."""
    text: str
    """With alternatives (``models.variations``)."""
    at: int
    by: str
    close: bool = True
    """Close each case once its answer is published; else it waits for the customer."""


class Incident(Struct, frozen=True, omit_defaults=True):
    """The row of an incident."""

    incident_id: str
    tenant: str
    brand_id: str
    state: IncidentState
    opened_at: int
    sketch: bytes
    sample: str
    """Text of the post that its others are like, at most 300 characters; empty once its author has taken it back."""
    sample_of: str = ""
    """Case of that post."""
    language: str = ""
    subject: str = ""
    version: int = 1
    """Rises with each decision; commands name the one they were given for."""
    decided_at: int = 0
    """When it came into its state; 0 while nobody has decided."""
    decided_by: str = ""
    """The supervisor; "" where a rule did."""
    answer: IncidentAnswer | None = None
    end: EndReason = ""


class IncidentLine(Struct, frozen=True, omit_defaults=True):
    """An incident as a board shows it."""

    incident_id: str
    state: IncidentState
    version: int
    opened_at: int
    sample: str = ""
    language: str = ""
    subject: str = ""
    posts: int = 0
    """Cases that belong to it."""
    authors: int = 0
    """Who have written within the window."""
    grown: int = 0
    """Posts of the last ten minutes."""
    waiting: int = 0
    """Cases that no answer has gone out to, whoever has them."""
    at_once: int = 0
    """Of these, cases that are at once by their triage: a look at them goes before a decision."""
    under_way: int = 0
    answered: int = 0
    """By the incident's answer."""
    decided_at: int = 0
    decided_by: str = ""
    hold_until: int = 0
    """When its cases go back to the queue unless it is answered; 0: they are not grouped, or it is answered."""
    answer: str = ""


# -- decisions: each changes the incident's row alone -----------------------------------------------------------------


def grouped(incident: Incident, by: str, now: int) -> Incident:
    """Take its cases out of the queue, to be answered as one."""
    if incident.state != "suggested":
        raise IllegalTransition(f"incident {incident.incident_id} is {incident.state}, not suggested", "illegal")
    return _decided(incident, "grouped", by, now)


def answered(incident: Incident, answer: IncidentAnswer) -> Incident:
    """Answer all its cases, also those that come later; a suggestion is grouped by it."""
    if incident.state not in ("suggested", "grouped"):
        held = "has its answer" if incident.state == "answered" else "is closed"
        raise IllegalTransition(
            f"incident {incident.incident_id} {held}; take the answer back before another one", "illegal"
        )
    return replace(_decided(incident, "answered", answer.by, answer.at), answer=answer)


def taken_back(incident: Incident, by: str, now: int) -> Incident:
    """Send its answer to nobody else; who has it, has it. Its other cases wait for another answer."""
    if incident.state != "answered":
        raise IllegalTransition(f"incident {incident.incident_id} is {incident.state}, not answered", "illegal")
    return replace(_decided(incident, "grouped", by, now), answer=None)


def ungrouped(incident: Incident, by: str, now: int) -> Incident:
    """Let its cases go back to the queue; it is a suggestion again."""
    if incident.state != "grouped":
        raise IllegalTransition(f"incident {incident.incident_id} is {incident.state}, not grouped", "illegal")
    return _decided(incident, "suggested", by, now)


def let_go(incident: Incident, now: int) -> Incident:
    """Nobody has answered a grouped incident: its cases go back to the queue, and it is a suggestion again."""
    return _decided(incident, "suggested", "", now)


def ended(incident: Incident, reason: EndReason, by: str, now: int) -> Incident:
    """Let it take no more posts; a suggestion that ends is dismissed."""
    if incident.state == "closed":
        raise IllegalTransition(f"incident {incident.incident_id} is closed", "illegal")
    said: EndReason = "dismissed" if reason == "closed" and incident.state == "suggested" else reason
    return replace(_decided(incident, "closed", by, now), end=said)


def _decided(incident: Incident, state: IncidentState, by: str, now: int) -> Incident:
    return replace(incident, state=state, version=incident.version + 1, decided_at=now, decided_by=by)


def check_version(incident: Incident, version: int) -> None:
    """Raise IllegalTransition if somebody else has decided since."""
    if version != incident.version:
        raise IllegalTransition(
            f"incident {incident.incident_id} is at version {incident.version}, not {version}", "version_conflict"
        )


def is_overdue(incident: Incident, rules: IncidentRules, now: int) -> bool:
    """Whether its cases have waited for an answer for too long."""
    return incident.state == "grouped" and now - incident.decided_at >= rules.hold_min * MINUTE_MS


def check_wordings(template: Template, size: int, rules: IncidentRules) -> None:
    """Raise IllegalTransition if so many posts would be answered with too few wordings."""
    least = min(rules.variations_min, size)
    if template.count() < least:
        raise IllegalTransition(
            f"the text has {template.count()} wordings for {size} posts, at least {least} are meant: "
            "write alternatives as in {Hello|Hi} {name}",
            "bad_request",
        )


# -- cases ------------------------------------------------------------------------------------------------------------


def is_grave(case: Case) -> bool:
    """Whether a post's own words name a danger, an abuse or a threat; spam is nobody's incident either."""
    return case.triage == "spam" or (bool(case.why) and any(one.startswith(GRAVE) for one in case.why))


def may_join(case: Case) -> bool:
    """Whether a case may belong to an incident: no person has taken it up or needs to read it, and nobody has answered."""
    return (
        case.state in ("queued", "offered")
        and not is_grave(case)
        and not case.author.is_bot
        and not case.target
        and _is_unanswered(case.thread)
    )


def _is_unanswered(thread: tuple[Entry, ...]) -> bool:
    """Whether nobody has answered, and something that its customer wrote still stands."""
    stands = False
    for entry in thread:
        if entry.by == "customer":
            stands = stands or not entry.deleted
        elif not entry.ack:
            return False
    return stands


def member(case: Case, incident_id: str) -> Case:
    """Note that a case belongs to an incident; nothing else changes."""
    return replace(case, incident_id=incident_id)


def set_aside(case: Case) -> Case:
    """Take a case out of the queue: an incident or the bot sees to it."""
    if case.state not in ("queued", "offered"):
        raise IllegalTransition(f"case {case.case_id} is {case.state}, it cannot be grouped", "illegal")
    return replace(case, state="automatic", offer=None, version=case.version + 1)


def given(case: Case, answer: Entry, *, close: bool) -> Case:
    """Put the machine's answer into the thread of a case that was set aside, to be published."""
    if case.state != "automatic":
        raise IllegalTransition(f"case {case.case_id} is {case.state}, not the machine's", "illegal")
    if is_given(case):
        raise IllegalTransition(f"case {case.case_id} has the machine's answer", "illegal")
    return replace(case, thread=with_entry(case.thread, answer), close_after=close, version=case.version + 1)


def back_in_queue(case: Case, why: str = "") -> Case:
    """Let a person see to a case: it goes to the queue with its age, and stays out of incidents."""
    if case.state != "automatic":
        raise IllegalTransition(f"case {case.case_id} is {case.state}, not grouped", "illegal")
    told = tuple(dict.fromkeys((*case.why, why)))[-16:] if why else case.why
    return replace(case, state="queued", incident_id="", close_after=False, why=told, version=case.version + 1)


def apart(case: Case) -> Case:
    """Take a case out of its incident, whatever its state; one that was set aside goes back to the queue."""
    if not case.incident_id:
        raise IllegalTransition(f"case {case.case_id} belongs to no incident", "illegal")
    if is_given(case):
        raise IllegalTransition(f"case {case.case_id} has been answered by its incident", "illegal")
    if case.state == "automatic":
        return back_in_queue(case, "taken out of an incident")
    return replace(case, incident_id="", version=case.version + 1)


def is_given(case: Case) -> bool:
    """Whether the machine has answered this case, or is about to."""
    return any(entry.by == "bot" and not entry.ack for entry in case.thread)


def is_due(case: Case) -> bool:
    """Whether an answer of the machine is under way."""
    return case.state == "automatic" and any(entry.status in UNDER_WAY and not entry.ack for entry in case.thread)


def published(case: Case, now: int) -> Case:
    """The machine's answer stands at its platform: the case is closed, or waits for the customer."""
    if case.close_after:
        return closed(case, now)
    return replace(case, state="awaiting_customer", awaits_answer=False, version=case.version + 1)


def unpublished(case: Case, error: str) -> Case:
    """The machine's answer did not get out: a person sees to the case."""
    return back_in_queue(case, f"an automatic answer did not get out: {error}"[:SAMPLE_CHARS])


def step_of(case: Case, state: IncidentState, *, by_rule: bool = False) -> Step:
    """
    Return what an incident in this state asks of one of its cases.

    It is a function of two rows alone, so it can be asked again after any crash, and what has been done asks for nothing.

    Args:
        by_rule: Whether no person has decided: then what is at once by its triage stays in the queue.
    """
    if case.state == "automatic":
        if is_given(case):
            return "nothing"
        return {"answered": "answer", "grouped": "nothing"}.get(state, "queue")  # type: ignore[return-value]  # the words of Step
    leaves = state in ("grouped", "answered") and not (by_rule and case.triage == "at_once")
    return "group" if leaves and may_join(case) else "nothing"


def answer_id(incident: Incident, case: Case) -> str:
    """Return the id of a case's answer: the same whoever decides it again."""
    return f"{incident.incident_id}:{case.case_id}"


def in_order(waiting: Iterable[Case]) -> list[Case]:
    """Return cases in the order in which they are answered: what falls due first goes first."""
    return sorted(waiting, key=lambda case: (case.due_at, case.case_id))
