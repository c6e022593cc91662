"""A case: the unit of work. Its row holds all that was decided about it; each transition is one function."""

from typing import Final, Literal

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from models.errors import IllegalTransition
from models.influence import Influence
from models.labels import Addressed, Classification, Triage
from models.posts import Author
from models.promises import Promises

CaseState = Literal["queued", "offered", "working", "awaiting_customer", "answered", "automatic", "closed"]
"""``automatic``: an incident or the bot sees to it; neither queued nor held by a rep."""
OPEN: Final = frozenset({"queued", "offered", "working", "awaiting_customer", "answered", "automatic"})
HELD: Final = frozenset({"offered", "working", "answered"})
"""States in which a case takes capacity of its rep."""

SEEN_MAX: Final = 200  # Post ids in a row: as many as a thread may hold.
SEEN_CHARS_MAX: Final = 20_000  # 100 an id: the platforms' are shorter, but anybody may write posts.
THREAD_MAX: Final = 200  # Entries of a thread; the oldest leave first.
THREAD_BYTES_MAX: Final = 192 * 1024  # A thread as JSON, so that a row stays below 256 KB.
_SHORT_ENTRIES: Final = 8
_SHORT_CHARS: Final = 4_000
"""Eight entries of at most so many characters, each of at most six bytes in JSON, fit without being measured."""

_encode = msgspec.json.Encoder().encode

AnswerStatus = Literal["queued", "sending", "sent", "failed", "unknown"]
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
    deleted: bool = False
    ack: bool = False
    """Of the bot's: it only says that the post has come, and answers nothing."""


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
        kept[at] = replace(entry, text="")
        excess -= len(_encode(entry)) - len(_encode(kept[at]))
    first = 0
    while excess > 0 and first < len(kept) - 1:
        excess -= len(_encode(kept[first])) + 1
        first += 1
    return tuple(kept[first:])


def _latest(thread: tuple[Entry, ...]) -> tuple[Entry, ...]:
    """Return the last entries, and answers under way before them: their results must find them."""
    pending = tuple(one for one in thread[:-THREAD_MAX] if one.status in UNDER_WAY)[-UNDER_WAY_MAX:]
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


def offered(case: Case, rep_id: str, now: int, lasts_ms: int, why: tuple[str, ...] = ()) -> Case:
    """Show a queued case to a rep, and why it is this one."""
    if case.state != "queued":
        raise IllegalTransition(f"case {case.case_id} is {case.state}, not queued")
    number = case.offers + 1
    offer = Offer(offer=f"{case.case_id}.{number}", rep_id=rep_id, offered_at=now, expires_at=now + lasts_ms, why=why)
    return replace(case, state="offered", offer=offer, offers=number, version=case.version + 1)


def accepted(case: Case, rep_id: str, offer: str, version: int) -> Case:
    """Take an offered case."""
    _check_offer(case, rep_id, offer, version)
    return replace(case, state="working", offer=None, rep_id=rep_id, version=case.version + 1)


def requeued(case: Case, *, declined: bool) -> Case:
    """Put a case that is held back into its queue, with its age."""
    if case.state not in HELD:
        raise IllegalTransition(f"case {case.case_id} is {case.state}, held by nobody")
    rep_id = case.offer.rep_id if case.offer else case.rep_id
    names = (*(name for name in case.declined if name != rep_id), rep_id)[-16:] if declined else case.declined
    return replace(case, state="queued", offer=None, declined=names, version=case.version + 1)


def check_rejectable(case: Case, rep_id: str, offer: str, version: int) -> None:
    """Raise IllegalTransition unless this rep holds this offer."""
    _check_offer(case, rep_id, offer, version)


def replied(case: Case, answer: Entry, *, close: bool) -> Case:
    """Put an answer into the thread, to be published."""
    _check_owner(case, answer.rep_id, case.version)
    return replace(
        case,
        state="answered",
        thread=with_entry(case.thread, answer),
        close_after=close,
        version=case.version + 1,
    )


def check_owner(case: Case, rep_id: str, version: int) -> None:
    """Raise IllegalTransition unless this rep works on this version of the case."""
    _check_owner(case, rep_id, version)


def answer_status(case: Case, answer_id: str, status: AnswerStatus, url: str = "", error: str = "") -> Case:
    """Note what became of an answer; the same case if the row does not hold it."""
    thread = tuple(
        replace(entry, status=status, url=url or entry.url, error=error)
        if entry.id == answer_id and entry.by == "rep"
        else entry
        for entry in case.thread
    )
    return replace(case, thread=thread)


def published(case: Case, now: int) -> Case:
    """The answer stands at its platform: the case is closed or waits for the customer, unless another is under way."""
    if case.state == "answered" and is_under_way(case):
        return replace(case, awaits_answer=False, declined=(), version=case.version + 1)
    if case.close_after and case.state == "answered":
        return closed(case, now)
    state: CaseState = "awaiting_customer" if case.state == "answered" else case.state
    return replace(case, state=state, awaits_answer=False, declined=(), version=case.version + 1)


def is_under_way(case: Case) -> bool:
    """Whether the result of an answer is still to come."""
    return any(entry.status in UNDER_WAY for entry in case.thread)


def unpublished(case: Case) -> Case:
    """The answer did not get out: its rep works on the case again."""
    state: CaseState = "working" if case.state == "answered" else case.state
    return replace(case, state=state, version=case.version + 1)


def closed(case: Case, now: int) -> Case:
    """End a case."""
    return replace(case, state="closed", offer=None, awaits_answer=False, closed_at=now, version=case.version + 1)


def _check_offer(case: Case, rep_id: str, offer: str, version: int) -> None:
    held = case.offer
    if case.state != "offered" or held is None or held.offer != offer or held.rep_id != rep_id:
        raise IllegalTransition(f"offer {offer} no longer stands: case {case.case_id} is {case.state}")
    if version != case.version:
        raise IllegalTransition(f"case {case.case_id} is at version {case.version}, not {version}")


def _check_owner(case: Case, rep_id: str, version: int) -> None:
    if case.state not in ("working", "answered") or case.rep_id != rep_id:
        raise IllegalTransition(f"case {case.case_id} is {case.state}, not worked on by {rep_id}")
    if version != case.version:
        raise IllegalTransition(f"case {case.case_id} is at version {case.version}, not {version}")
