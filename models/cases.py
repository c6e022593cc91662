"""
A case: the unit of work. Its row holds all that was decided about it; each transition is one function.

``ALLOWED`` is the table of what may be done in which state; whatever it does not list is refused by its name. Who may do it
(the one who holds the case, a second person, a supervisor) is checked beside it.
"""

from collections.abc import Mapping
from typing import Final, Literal

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from models.errors import IllegalTransition
from models.influence import Influence
from models.labels import Addressed, Classification, Triage
from models.posts import Author
from models.promises import Promises

CaseState = Literal[
    "queued",
    "offered",
    "working",
    "held",
    "forwarded",
    "awaiting_customer",
    "awaiting_approval",
    "answered",
    "automatic",
    "closed",
    "reopened",
]
"""``automatic``: an incident or the bot sees to it; neither queued nor held by a rep."""
WAITING: Final[frozenset[CaseState]] = frozenset({"queued", "forwarded", "reopened"})
"""States in which a case waits for somebody to take it: for anybody, for whom it was handed to, or once more."""
IN_HAND: Final[frozenset[CaseState]] = frozenset({"offered", "working", "held", "awaiting_approval", "answered"})
"""States in which a case takes units of its rep. A hold does too: it is no way to get more work."""
OPEN: Final[frozenset[CaseState]] = WAITING | IN_HAND | {"awaiting_customer", "automatic"}
MINE: Final[frozenset[CaseState]] = frozenset({"working", "held", "awaiting_approval", "answered"})
"""States in which a case has an owner who may act on it."""

Act = Literal[
    "offer",
    "accept",
    "reject",
    "requeue",
    "pull",
    "reply",
    "hold",
    "resume",
    "transfer",
    "close",
    "approve",
    "return",
    "assign",
    "take",
    "prioritise",
    "reopen",
]
ALLOWED: Final[Mapping[Act, frozenset[CaseState]]] = {
    "offer": WAITING,
    "accept": frozenset({"offered"}),
    "reject": frozenset({"offered"}),
    "requeue": IN_HAND,
    "pull": WAITING,
    "reply": frozenset({"working", "held", "answered"}),
    "hold": frozenset({"working"}),
    "resume": frozenset({"held", "awaiting_approval"}),
    "transfer": frozenset({"working", "held"}),
    "close": frozenset({"working", "held", "answered"}),
    "approve": frozenset({"awaiting_approval"}),
    "return": frozenset({"awaiting_approval"}),
    "assign": OPEN - {"automatic"},
    "take": OPEN - {"automatic"},
    "prioritise": OPEN,
    "reopen": frozenset({"closed"}),
}
"""The states in which each act is one. What customers, platforms and time do is possible in all of them."""

SEEN_MAX: Final = 200  # Post ids in a row: as many as a thread may hold.
SEEN_CHARS_MAX: Final = 20_000  # 100 an id: the platforms' are shorter, but anybody may write posts.
THREAD_MAX: Final = 200  # Entries of a thread; the oldest leave first.
THREAD_BYTES_MAX: Final = 192 * 1024  # A thread as JSON, so that a row stays below 256 KB.
_SHORT_ENTRIES: Final = 8
_SHORT_CHARS: Final = 4_000
"""Eight entries of at most so many characters, each of at most six bytes in JSON, fit without being measured."""

_encode = msgspec.json.Encoder().encode

AnswerStatus = Literal["approval", "returned", "stopped", "queued", "sending", "sent", "failed", "unknown"]
"""``approval``: waits for a second person; ``returned``: given back by that one; ``stopped``: never went out."""
UNDER_WAY: Final = frozenset({"queued", "sending"})
UNDER_WAY_MAX: Final = 16  # Answers under way that a thread keeps beyond its entries: as many as a desk has commands.


class Entry(Struct, frozen=True, gc=False, omit_defaults=True):
    """One post or answer of a thread. ``text`` is empty where it left the row for its size, or was deleted."""

    id: str
    at: int
    by: Literal["customer", "rep", "bot"]
    """``bot``: what the bot says, and the answers of incidents, which a supervisor (``rep_id``) wrote once for all."""
    text: str = ""
    uri: str = ""
    status: AnswerStatus | None = None
    """Of an answer."""
    rep_id: str = ""
    url: str = ""
    error: str = ""
    """Why it did not get out, or what the second person said."""
    deleted: bool = False
    ack: bool = False
    """Of the bot's: it only says that the post has come, and answers nothing."""
    edited: bool = False
    approved_by: str = ""


NOTES_MAX: Final = 16  # Of a case; the oldest leave first.
HOLD_MAX_MS: Final = 7 * 86_400_000  # A week; what needs longer is no case that somebody works on.


class Note(Struct, frozen=True, gc=False, omit_defaults=True):
    """What reps tell each other about a case; customers never see it."""

    at: int
    by: str
    """A rep's id."""
    text: str
    to: str = ""
    """Whom the case was handed to with it, as in ``team:night``."""


class Offer(Struct, frozen=True, gc=False):
    """A case shown to a rep, to be taken before it lapses."""

    offer: str
    rep_id: str
    offered_at: int
    expires_at: int
    why: tuple[str, ...] = ()
    """Why this case went first; empty where nobody else waited."""


class Known(Struct, frozen=True, gc=False, omit_defaults=True):
    """What was known of an author before a case: see ``models.people``."""

    contacts: int = 0
    """Earlier conversations, of the accounts that the CRM links too."""
    last_at: int = 0
    platforms: tuple[str, ...] = ()
    active: bool = False
    """An active socializer."""
    crm_id: str = ""
    vip: bool = False


class Case(Struct, frozen=True, gc=False, omit_defaults=True):
    """One conversation of one customer with one brand."""

    case_id: str
    tenant: str
    brand_id: str
    platform: str
    account_id: str
    conversation_uri: str
    state: CaseState
    opened_at: int
    received_at: int
    """Arrival of the oldest post that awaits an answer: waiting counts from here."""
    due_at: int
    triage: Triage
    addressed: Addressed
    labels: Classification
    influence: Influence
    author: Author
    version: int = 1
    """Rises with each change that a rep sees; commands name the one they were given for."""
    thread: tuple[Entry, ...] = ()
    seen: tuple[str, ...] = ()
    also: tuple[str, ...] = ()
    why: tuple[str, ...] = ()
    offer: Offer | None = None
    rep_id: str = ""
    """Who works on it, or answered it last."""
    offers: int = 0
    """How often it was offered; part of the offer's id, so an old offer never names a newer one."""
    declined: tuple[str, ...] = ()
    """Reps who rejected it or let it lapse, the latest last; others come first."""
    awaits_answer: bool = True
    close_after: bool = False
    """Close it when the answer under way is published."""
    native: dict[str, str] = {}
    in_reply_to: str = ""
    """``object_uri`` of the customer's last post."""
    visibility: str = "public"
    permalink: str = ""
    reply_until: int | None = None
    closed_at: int = 0
    by_hand: tuple[str, ...] = ()
    """Names of the labels that a person has set; no machine changes them."""
    sketch: bytes = b""
    """Of the text that opened it (``models.sketch``); empty where nothing is compared."""
    incident_id: str = ""
    """The incident that it belongs to."""
    known: Known | None = None
    """What was known of its author when it was opened."""
    promises: Promises = ()
    """To answer and to resolve, with their due times; ``due_at`` is the order's, also where nothing is promised."""
    kind: str = ""
    """Kind of work; "": none is configured."""
    units: int = 1
    """What it takes of its rep while it is in hand."""
    until: int = 0
    """When its state ends by itself, Unix ms: a hold, a transfer that nobody takes, the units of a talk gone idle; 0: never."""
    target: str = ""
    """Whom it was handed to, as in ``rep:ben``, ``team:night``, ``department:billing``, ``site:kiel``; until it is taken."""
    notes: tuple[Note, ...] = ()
    writer: str = ""
    """Who writes in it now; nobody else may until the lease has passed."""
    writer_until: int = 0
    assigned: bool = False
    """Given by a supervisor, or taken: it may go beyond its rep's capacity."""
    window_told: bool = False
    """Whether its rep was told that the platform takes no answer any more."""


def bounded(thread: tuple[Entry, ...]) -> tuple[Entry, ...]:
    """Keep a thread within its bounds: the oldest texts leave first, then the oldest entries; the last one stays."""
    if len(thread) > THREAD_MAX:
        thread = _latest(thread)
    excess = len(_encode(thread)) - THREAD_BYTES_MAX
    if excess <= 0:
        return thread
    kept = list(thread)
    for at, entry in enumerate(kept[:-1]):
        if excess <= 0:
            break
        if entry.status == "approval":
            continue  # It is still to be published.
        kept[at] = replace(entry, text="")
        excess -= len(_encode(entry)) - len(_encode(kept[at]))
    first = 0
    while excess > 0 and first < len(kept) - 1:
        excess -= len(_encode(kept[first])) + 1
        first += 1
    return tuple(kept[first:])


def _latest(thread: tuple[Entry, ...]) -> tuple[Entry, ...]:
    """Return the last entries, and answers under way before them: their results must find them."""
    awaited = (*UNDER_WAY, "approval")
    pending = tuple(one for one in thread[:-THREAD_MAX] if one.status in awaited)[-UNDER_WAY_MAX:]
    return (*pending, *thread[len(pending) - THREAD_MAX :])


def with_entry(thread: tuple[Entry, ...], entry: Entry) -> tuple[Entry, ...]:
    """Append an entry; most threads are short, and only long ones are measured."""
    thread = (*thread, entry)
    if len(thread) > _SHORT_ENTRIES or len(entry.text) > _SHORT_CHARS:
        return bounded(thread)
    return thread


def with_seen(seen: tuple[str, ...], post_id: str) -> tuple[str, ...]:
    """Append a post's id; the oldest leave first."""
    seen = (*seen, post_id)[-SEEN_MAX:]
    while len(seen) > 1 and sum(map(len, seen)) > SEEN_CHARS_MAX:
        seen = seen[1:]
    return seen


def check(case: Case, act: Act) -> None:
    """Raise IllegalTransition unless this may be done in the case's state."""
    if case.state not in ALLOWED[act]:
        meant = ", ".join(sorted(ALLOWED[act]))
        raise IllegalTransition(f"{act}: case {case.case_id} is {case.state}; it is for one that is {meant}", "illegal")


def is_in_hand(case: Case) -> bool:
    """Whether a case takes units of a rep: also an answered talk, until it has gone idle."""
    return case.state in IN_HAND or (case.state == "awaiting_customer" and case.until > 0)


def holder_of(case: Case) -> str:
    """Return who holds a case: the rep it is offered to, else the one who works on it."""
    return case.offer.rep_id if case.offer is not None else case.rep_id


def _moved(case: Case, state: CaseState, **changes: object) -> Case:
    """Return the case in another state, which leaves nothing of the time and the writing in the old one."""
    kept = {"until": 0, "writer": "", "writer_until": 0, "version": case.version + 1}
    return replace(case, state=state, **{**kept, **changes})


# -- offers -------------------------------------------------------------------------------------------------------


def offered(case: Case, rep_id: str, now: int, lasts_ms: int, why: tuple[str, ...] = ()) -> Case:
    """Show a waiting case to a rep, and why it is this one."""
    check(case, "offer")
    number = case.offers + 1
    offer = Offer(offer=f"{case.case_id}.{number}", rep_id=rep_id, offered_at=now, expires_at=now + lasts_ms, why=why)
    # Written out: each case is offered, and most of what leaves a state lies at its default.
    version = case.version + 1
    return replace(case, state="offered", offer=offer, offers=number, version=version, writer="", writer_until=0)


def accepted(case: Case, rep_id: str, offer: str, version: int) -> Case:
    """Take an offered case."""
    _check_offer(case, "accept", rep_id, offer, version)
    return _moved(case, "working", offer=None, rep_id=rep_id, target="", assigned=False)


def pulled(case: Case, rep_id: str) -> Case:
    """Take a waiting case that was not offered."""
    check(case, "pull")
    return _moved(case, "working", rep_id=rep_id, target="", assigned=False)


def requeued(case: Case, *, declined: bool) -> Case:
    """
    Put a case that is in hand back where it waited, with its age.

    What was handed to several waits for them again; what was handed to the one who declines it is for anybody.
    """
    check(case, "requeue")
    rep_id = holder_of(case)
    names = (*(name for name in case.declined if name != rep_id), rep_id)[-16:] if declined else case.declined
    target = case.target if case.state == "offered" and case.target != f"rep:{rep_id}" else ""
    state: CaseState = "forwarded" if target else "queued"
    case = stopped(case, "its rep has gone")
    until = case.until if target else 0
    return _moved(case, state, offer=None, declined=names, target=target, until=until, assigned=False)


def check_rejectable(case: Case, rep_id: str, offer: str, version: int) -> None:
    """Raise IllegalTransition unless this rep holds this offer."""
    _check_offer(case, "reject", rep_id, offer, version)


# -- what its rep does --------------------------------------------------------------------------------------------


def check_owner(case: Case, act: Act, rep_id: str, version: int) -> None:
    """Raise IllegalTransition unless this rep holds this version of the case, in a state for this act."""
    if case.state not in MINE or case.rep_id != rep_id:
        raise IllegalTransition(f"{act}: case {case.case_id} is {case.state}, not worked on by {rep_id}")
    check(case, act)
    _check_version(case, act, version)


def check_window(case: Case, now: int) -> None:
    """Raise IllegalTransition if the platform takes no answer any more."""
    if case.reply_until is not None and now > case.reply_until:
        told = f"reply: the platform of case {case.case_id} takes no answer since {case.reply_until}; it will refuse"
        raise IllegalTransition(told, "window_closed")


def replied(case: Case, answer: Entry, *, close: bool) -> Case:
    """Put an answer into the thread, to be published; ``approval`` as its status lets it wait for a second person."""
    state: CaseState = "awaiting_approval" if answer.status == "approval" else "answered"
    return _moved(case, state, thread=with_entry(case.thread, answer), close_after=close)


def held(case: Case, until: int) -> Case:
    """Lay a case aside; it stays its rep's and takes its units, and its promises run on."""
    check(case, "hold")
    return _moved(case, "held", until=until)


def resumed(case: Case) -> Case:
    """Take a case up again: out of a hold, or back from whoever was to approve its answer."""
    check(case, "resume")
    return _moved(stopped(case, "taken back"), "working")


def forwarded(case: Case, target: str, note: Note, until: int) -> Case:
    """Hand a case to somebody else; what nobody takes until then is for anybody."""
    check(case, "transfer")
    # Whoever hands it on is the last who should get it back, also as one of the team that gets it.
    left = (*(name for name in case.declined if f"rep:{name}" != target and name != case.rep_id), case.rep_id)[-16:]
    notes = with_note(case.notes, note)
    case = _moved(case, "forwarded", target=target, notes=notes, until=until, declined=left, assigned=False)
    return replace(case, rep_id="")


def unclaimed(case: Case) -> Case:
    """Nobody whom the case was handed to has taken it: it is for anybody."""
    return _moved(case, "queued", target="") if case.state == "forwarded" else case


def with_note(notes: tuple[Note, ...], note: Note) -> tuple[Note, ...]:
    """Append a note; the oldest leave first."""
    return (*notes, note)[-NOTES_MAX:] if note.text or note.to else notes


# -- a second person ----------------------------------------------------------------------------------------------


def pending_answer(case: Case) -> Entry | None:
    """Return the answer that waits for approval."""
    return next((entry for entry in reversed(case.thread) if entry.status == "approval"), None)


def check_approver(case: Case, act: Act, by: str, version: int) -> Entry:
    """
    Return the answer that waits, if this person may decide about it.

    Raises:
        IllegalTransition: If none waits, if it is this person's own, or if the case has changed since.
    """
    check(case, act)
    _check_version(case, act, version)
    entry = pending_answer(case)
    if entry is None:
        raise IllegalTransition(f"{act}: no answer waits in case {case.case_id}", "illegal")
    if entry.rep_id == by:
        told = f"{act}: the answer in case {case.case_id} is {by}'s own; four eyes were meant"
        raise IllegalTransition(told, "forbidden")
    return entry


def approved(case: Case, entry: Entry, by: str, text: str = "") -> tuple[Case, Entry]:
    """Let an answer go out, as it is or with another text; return it too."""
    check(case, "approve")
    passed = replace(entry, text=text or entry.text, status="queued", approved_by=by)
    thread = tuple(passed if one is entry else one for one in case.thread)
    return _moved(case, "answered", thread=bounded(thread)), passed


def returned(case: Case, entry: Entry, by: str, note: str) -> Case:
    """Give an answer back to its rep."""
    check(case, "return")
    back = replace(entry, status="returned", error=note, approved_by=by)
    thread = tuple(back if one is entry else one for one in case.thread)
    return _moved(case, "working", thread=thread)


def stopped(case: Case, why: str) -> Case:
    """Stop an answer that waits for approval; the same case if none does."""
    if not any(entry.status == "approval" for entry in case.thread):
        return case
    thread = tuple(
        replace(entry, status="stopped", error=why) if entry.status == "approval" else entry for entry in case.thread
    )
    return replace(case, thread=thread)


def check_writer(case: Case, act: Act, by: str, now: int) -> None:
    """Raise IllegalTransition if somebody else writes in the case."""
    if case.writer and case.writer != by and now < case.writer_until:
        raise IllegalTransition(f"{act}: {case.writer} writes in case {case.case_id}", "being_written")


def written_by(case: Case, rep_id: str, until: int) -> Case:
    """Give somebody the pen, or take it back with ``until`` 0; no version: nothing has changed for who looks."""
    return replace(case, writer=rep_id if until else "", writer_until=until)


# -- supervisors --------------------------------------------------------------------------------------------------


def assigned(case: Case, rep_id: str, act: Literal["assign", "take"] = "assign") -> Case:
    """Give a case to somebody, whoever has it."""
    check(case, act)
    case = stopped(case, "the case was given to somebody else")
    return _moved(case, "working", offer=None, rep_id=rep_id, target="", assigned=True)


def prioritised(case: Case, why: str) -> Case:
    """Note why a supervisor has given a case another triage, which no machine changes from now on."""
    check(case, "prioritise")
    said = tuple(dict.fromkeys((*case.why, why)))[-16:]
    return replace(case, why=said, by_hand=tuple(dict.fromkeys((*case.by_hand, "triage"))), version=case.version + 1)


# -- customers, platforms, time -----------------------------------------------------------------------------------


def reopened(case: Case) -> Case:
    """Open a closed case again; it waits, first for who had it."""
    check(case, "reopen")
    return _moved(case, "reopened", closed_at=0, close_after=False, declined=(), assigned=False)


def taken_up(case: Case, *, at_once: bool) -> Case:
    """
    The customer has written: a case that awaited him goes on.

    Args:
        at_once: Whether it still takes units of its rep, who is there: then the rep has it back without a queue.
    """
    if case.state != "awaiting_customer":
        return case
    kept = case.assigned and at_once
    return _moved(case, "working" if at_once else "queued", version=case.version, assigned=kept)


def freed(case: Case) -> Case:
    """A talk has gone idle: it takes no units any more, until its customer writes."""
    return replace(case, until=0) if case.state == "awaiting_customer" else case


def was_answered(case: Case) -> bool:
    """Whether an answer stands at the platform."""
    return any(entry.by != "customer" and not entry.ack and entry.status == "sent" for entry in case.thread)


def is_moot(case: Case) -> bool:
    """Whether nothing is left to be answered: the author has taken back all that was written since the last answer."""
    for entry in reversed(case.thread):
        if entry.by == "customer":
            if not entry.deleted:
                return False
        elif not entry.ack and (entry.status == "sent" or entry.status in UNDER_WAY):
            return True
    return True


def rewritten(case: Case, uri: str, text: str, *, deleted: bool) -> Case:
    """
    Follow what an author has done to a post: edited, or taken back; what is taken back stays so.

    Returns:
        The same case if no post of its thread is meant, or nothing has changed.
    """

    def follow(entry: Entry) -> Entry:
        if entry.by != "customer" or entry.uri != uri or entry.deleted:
            return entry
        return replace(entry, text="", deleted=True) if deleted else replace(entry, text=text, edited=True)

    thread = tuple(follow(entry) for entry in case.thread)
    return case if thread == case.thread else replace(case, thread=bounded(thread), version=case.version + 1)


def answer_status(case: Case, answer_id: str, status: AnswerStatus, url: str = "", error: str = "") -> Case:
    """Note what became of an answer; the same case if the row does not hold it."""
    thread = tuple(
        replace(entry, status=status, url=url or entry.url, error=error)
        if entry.id == answer_id and entry.by != "customer"
        else entry
        for entry in case.thread
    )
    return replace(case, thread=thread)


def published(case: Case, now: int, idle_ms: int = 0) -> Case:
    """
    The answer stands at its platform: the case is closed or waits for the customer, unless another is under way.

    Args:
        idle_ms: How long it goes on taking its units while it waits for the customer; 0: not at all.
    """
    if case.state == "answered" and is_under_way(case):
        return replace(case, awaits_answer=False, declined=(), version=case.version + 1)
    if case.close_after and case.state == "answered":
        return closed(case, now)
    if case.state == "answered":
        return _moved(
            case, "awaiting_customer", awaits_answer=False, declined=(), until=now + idle_ms if idle_ms else 0
        )
    return replace(case, awaits_answer=False, declined=(), version=case.version + 1)


def is_under_way(case: Case) -> bool:
    """Whether the result of an answer is still to come."""
    return any(entry.status in UNDER_WAY and not entry.ack for entry in case.thread)


def unpublished(case: Case) -> Case:
    """The answer did not get out: its rep works on the case again."""
    state: CaseState = "working" if case.state == "answered" else case.state
    return replace(case, state=state, version=case.version + 1)


def closed(case: Case, now: int) -> Case:
    """End a case."""
    case = stopped(case, "the case was closed")
    return _moved(case, "closed", offer=None, awaits_answer=False, closed_at=now, target="", assigned=False)


def _check_offer(case: Case, act: Act, rep_id: str, offer: str, version: int) -> None:
    mine = case.offer
    if case.state != "offered" or mine is None or mine.offer != offer or mine.rep_id != rep_id:
        raise IllegalTransition(f"{act}: offer {offer} no longer stands: case {case.case_id} is {case.state}")
    _check_version(case, act, version)


def _check_version(case: Case, act: Act, version: int) -> None:
    if version != case.version:
        told = f"{act}: case {case.case_id} is at version {case.version}, not {version}"
        raise IllegalTransition(told, "version_conflict")
