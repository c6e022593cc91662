"""
What gateway, desks, boards and chats say to each other: tagged Structs, one JSON object a text frame.

``zuruf.desk.v1``: the desk sends hello first; the gateway answers welcome, then either what came after the resumed sequence
number or a snapshot. Sequenced frames carry ``epoch`` and ``seq``, without gaps for a rep within an epoch; a higher epoch
starts anew with a snapshot, and what that does not list is withdrawn. Unknown fields are ignored, unknown types refused.
"""

from typing import Annotated, Final, Literal

from msgspec import Meta, Raw, Struct

from models.brands import PromiseKind
from models.cases import CaseState, Entry, Known, Note
from models.incidents import IncidentLine
from models.influence import Influence
from models.labels import Addressed, Classification, Triage
from models.posts import Author
from models.promises import Promises
from models.reps import PresenceState

SUBPROTOCOL: Final = "zuruf.desk.v1"
VERSION: Final = 1

Key = Annotated[str, Meta(min_length=1, max_length=256)]
AnswerText = Annotated[str, Meta(min_length=1, max_length=20_000)]
Remark = Annotated[str, Meta(max_length=500)]
Target = Annotated[str, Meta(max_length=256, pattern=r"^(rep|team|department|site):.")]
"""Whom something is handed to, as in ``rep:ben``, ``team:night``, ``department:billing``, ``site:kiel``."""

ErrorCode = Literal[
    "bad_request",
    "unknown_type",
    "unauthorized",
    "forbidden",
    "not_found",
    "offer_gone",
    "not_owner",
    "version_conflict",
    "illegal",
    "capacity",
    "absent",
    "being_written",
    "window_closed",
    "too_long",
    "rate_limited",
    "unavailable",
    "internal",
]


# -- from the desk or the board -----------------------------------------------------------------------------------


class ResumePoint(Struct, frozen=True, gc=False):
    """The last frame that the desk has seen."""

    epoch: int
    seq: int


class Hello(Struct, frozen=True, gc=False, tag="hello"):
    """First frame, within five seconds. The token says tenant, subject and role."""

    v: int
    token: Annotated[str, Meta(max_length=4096)]
    resume: ResumePoint | None = None
    locale: str = ""


class Presence(Struct, frozen=True, gc=False, tag="presence"):
    """Whether work may come; away and offline withdraw open offers at once."""

    id: Key
    state: Literal["available", "busy", "away", "offline"]
    when_done: bool = False
    """Only once all that is in hand is done; until then nothing new comes."""


class AcceptOffer(Struct, frozen=True, gc=False, tag="accept"):
    """Take an offered case."""

    id: Key
    case_id: Key
    offer: Key
    version: int


class RejectOffer(Struct, frozen=True, gc=False, tag="reject"):
    """Decline an offered case."""

    id: Key
    case_id: Key
    offer: Key
    version: int
    reason: Annotated[str, Meta(max_length=500)] = ""


class SendReply(Struct, frozen=True, gc=False, tag="reply"):
    """Answer the customer; the result says queued, the ``publish`` frame says what became of it."""

    id: Key
    case_id: Key
    version: int
    text: AnswerText
    close: bool = True
    anyway: bool = False
    """Send it although the platform's reply window is over: it will most likely refuse."""


class Close(Struct, frozen=True, gc=False, tag="close"):
    """End a case without a further answer."""

    id: Key
    case_id: Key
    version: int
    disposition: Annotated[str, Meta(max_length=500)] = ""


class RelabelCase(Struct, frozen=True, gc=False, tag="relabel"):
    """
    Set labels of a case; name also those that are right as they are, for they teach as much.

    By language, sentiment, category, subject, triage, answer, toxicity; the last two are yes or no.
    """

    id: Key
    case_id: Key
    version: int
    labels: Annotated[
        dict[Annotated[str, Meta(max_length=20)], Annotated[str, Meta(max_length=40)]], Meta(max_length=7)
    ]


class HoldCase(Struct, frozen=True, gc=False, tag="hold"):
    """Lay a case aside; it stays in hand, and its promises run on."""

    id: Key
    case_id: Key
    version: int
    until: Annotated[int, Meta(ge=0, lt=2**53)] = 0
    """Unix ms, at most a week ahead; 0: until it is taken up."""


class ResumeCase(Struct, frozen=True, gc=False, tag="resume"):
    """Take a case up again: out of a hold, or an answer back that waits for approval."""

    id: Key
    case_id: Key
    version: int


class TransferCase(Struct, frozen=True, gc=False, tag="transfer"):
    """Hand a case on, with a note that only reps see."""

    id: Key
    case_id: Key
    version: int
    to: Target
    note: Annotated[str, Meta(max_length=2_000)] = ""


class PullCase(Struct, frozen=True, gc=False, tag="pull"):
    """Take a waiting case; without ``case_id`` the one that goes first."""

    id: Key
    case_id: Annotated[str, Meta(max_length=256)] = ""


class ListThem(Struct, frozen=True, gc=False, tag="list"):
    """Ask what waits (and may be taken), what awaits approval, or, as a supervisor, for all that is open."""

    id: Key
    what: Literal["waiting", "approval", "all"] = "waiting"


class ViewCase(Struct, frozen=True, gc=False, tag="view"):
    """Look at a case, and say so every ten seconds while it lasts; ``writing`` asks for the pen."""

    id: Key
    case_id: Key
    on: bool = True
    writing: bool = False


class ApproveAnswer(Struct, frozen=True, gc=False, tag="approve"):
    """Let somebody else's answer go out, as it is or with another text."""

    id: Key
    case_id: Key
    version: int
    text: Annotated[str, Meta(max_length=20_000)] = ""


class ReturnAnswer(Struct, frozen=True, gc=False, tag="return"):
    """Give somebody else's answer back, and say why."""

    id: Key
    case_id: Key
    version: int
    note: Annotated[str, Meta(min_length=1, max_length=500)]


class ReopenCase(Struct, frozen=True, gc=False, tag="reopen"):
    """Open a closed case again."""

    id: Key
    case_id: Key


class SupAssign(Struct, frozen=True, gc=False, tag="sup_assign"):
    """Give a case to a rep who is there, whoever has it; it may go beyond the capacity."""

    id: Key
    case_id: Key
    to: Key
    """The rep's id."""
    reason: Remark = ""


class SupTake(Struct, frozen=True, gc=False, tag="sup_take"):
    """Take a case oneself, whoever has it."""

    id: Key
    case_id: Key
    reason: Remark = ""


class SupPriority(Struct, frozen=True, gc=False, tag="sup_priority"):
    """Give a case another triage; its due time follows."""

    id: Key
    case_id: Key
    triage: Literal["less", "important", "urgent", "at_once"]
    reason: Remark = ""


class SupMessage(Struct, frozen=True, gc=False, tag="sup_message"):
    """Tell reps something; without ``to`` everybody who is there."""

    id: Key
    text: Annotated[str, Meta(min_length=1, max_length=2_000)]
    to: Target | Literal[""] = ""


class SupLogout(Struct, frozen=True, gc=False, tag="sup_logout"):
    """End a rep's work: what the rep holds goes back, and the desk is closed."""

    id: Key
    to: Key
    """The rep's id."""
    reason: Remark = ""


class SupIncident(Struct, frozen=True, gc=False, tag="sup_incident"):
    """
    Decide about an incident.

    ``group`` lets its cases leave the queue; ``ungroup`` takes back what was decided last, the answer or the grouping;
    ``close`` ends it, and dismisses one that was only suggested.
    """

    id: Key
    incident_id: Key
    version: int
    act: Literal["group", "ungroup", "close"]


class SupIncidentAnswer(Struct, frozen=True, gc=False, tag="sup_incident_answer"):
    """Answer all cases of an incident, those to come too: ``{Hello|Hi} {name}, ...``."""

    id: Key
    incident_id: Key
    version: int
    text: AnswerText
    close: bool = True


class SupIncidentApart(Struct, frozen=True, gc=False, tag="sup_incident_apart"):
    """Take one case out of its incident: a rep sees to it."""

    id: Key
    incident_id: Key
    case_id: Key


class SupIncidentCases(Struct, frozen=True, gc=False, tag="sup_incident_cases"):
    """Look at the cases of an incident; ``incident_cases`` brings them."""

    id: Key
    incident_id: Key


class SupForget(Struct, frozen=True, gc=False, tag="sup_forget"):
    """Forget an author who has asked for it: rows, name and words, in all cases."""

    id: Key
    author: Annotated[str, Meta(min_length=3, max_length=1024, pattern=":.")]
    """Address of the account, ``platform:handle``, or ``crm:<id>``."""


class Ack(Struct, frozen=True, gc=False, tag="ack"):
    """All frames up to ``seq`` were read; sent once a second or every 20 frames."""

    seq: int


class Subscribe(Struct, frozen=True, gc=False, tag="sub"):
    """A board asks for a brand's frames; an empty list means all brands that the token allows."""

    brands: tuple[str, ...] = ()


class Heartbeat(Struct, frozen=True, gc=False, tag="hb"):
    """Still here, in either direction; ``now`` is the gateway's clock."""

    now: int = 0


RepFrame = (
    HoldCase | ResumeCase | TransferCase | PullCase | ListThem | ViewCase | ApproveAnswer | ReturnAnswer | ReopenCase
)
IncidentFrame = SupIncident | SupIncidentAnswer | SupIncidentApart | SupIncidentCases
SupervisorFrame = SupAssign | SupTake | SupPriority | SupMessage | SupLogout | IncidentFrame | SupForget
ClientFrame = (
    Hello
    | Presence
    | AcceptOffer
    | RejectOffer
    | SendReply
    | Close
    | RelabelCase
    | RepFrame
    | SupervisorFrame
    | Ack
    | Subscribe
    | Heartbeat
)


# -- to the desk --------------------------------------------------------------------------------------------------


class CaseView(Struct, frozen=True, gc=False, omit_defaults=True):
    """A case as its rep sees it."""

    case_id: str
    brand_id: str
    platform: str
    state: CaseState
    version: int
    triage: Triage
    addressed: Addressed
    labels: Classification
    influence: Influence
    author: Author
    received_at: int
    due_at: int
    thread: tuple[Entry, ...] = ()
    also: tuple[str, ...] = ()
    why: tuple[str, ...] = ()
    offer: str = ""
    expires_at: int = 0
    permalink: str = ""
    reply_until: int | None = None
    text_max: int = 0
    """Code points that the platform allows in an answer; 0 if it sets no bound that we know."""
    rep_id: str = ""
    """Who works on it, or had it last."""
    kind: str = ""
    """Kind of work."""
    units: int = 1
    until: int = 0
    """When its state ends by itself: a hold, a transfer that nobody takes, the units of an idle talk; 0: never."""
    target: str = ""
    """Whom it was handed to."""
    notes: tuple[Note, ...] = ()
    writer: str = ""
    writer_until: int = 0
    known: Known | None = None
    """What was known of the author before."""
    incident_id: str = ""
    promises: Promises = ()
    """Those that run or are paused; of each when it is due and when a warning comes."""


class Welcome(Struct, frozen=True, gc=False, tag="welcome", omit_defaults=True):
    """The connection stands. If not ``resumed``, a snapshot follows."""

    v: int
    connection: str
    now: int
    resumed: bool
    heartbeat_s: float
    tenant: str
    subject: str
    role: str
    name: str = ""
    brands: dict[str, str] = {}
    """Brand id -> name."""
    reps: dict[str, str] = {}
    """Rep id -> name, of the configuration: whom a case may be handed to."""
    targets: dict[str, str] = {}
    """Teams, departments and sites as a transfer names them (``team:night``) -> name."""
    approves: bool = False
    """Whether this seat may approve others' answers; supervisors may."""
    pulls: bool = True
    """Whether this seat may take of what waits."""


class OfferFrame(Struct, frozen=True, gc=False, tag="offer"):
    """A case is offered to this rep."""

    epoch: int
    seq: int
    ts: int
    case: CaseView


class Revoke(Struct, frozen=True, gc=False, tag="revoke"):
    """An offer or a case is taken back."""

    epoch: int
    seq: int
    ts: int
    case_id: str
    version: int
    reason: Literal[
        "expired",
        "rejected",
        "away",
        "offline",
        "lost",
        "closed",
        "withdrawn",
        "transferred",
        "supervisor",
        "deleted",
        "logged_out",
        "answered",
    ]
    """``deleted``: its author has taken the post back; forget its text. ``answered``: it awaits its customer elsewhere."""


class CaseFrame(Struct, frozen=True, gc=False, tag="case"):
    """A case that this rep holds has changed; the whole of it."""

    epoch: int
    seq: int
    ts: int
    case: CaseView


class Message(Struct, frozen=True, gc=False, tag="message"):
    """The customer wrote again in a thread that this rep holds."""

    epoch: int
    seq: int
    ts: int
    case_id: str
    version: int
    due_at: int
    triage: Triage
    entry: Entry
    promises: Promises = ()


class Notice(Struct, frozen=True, gc=False, tag="notice"):
    """A promise of a case that this rep holds will soon be broken, or is; once each. The case's version stays."""

    epoch: int
    seq: int
    ts: int
    case_id: str
    promise: PromiseKind
    stage: Literal["warned", "breached"]
    due_at: int


class Publish(Struct, frozen=True, gc=False, tag="publish", omit_defaults=True):
    """What became of an answer."""

    epoch: int
    seq: int
    ts: int
    case_id: str
    version: int
    state: CaseState
    answer_id: str
    status: Literal["sending", "sent", "failed", "unknown"]
    url: str = ""
    error: str = ""


class PresenceFrame(Struct, frozen=True, gc=False, tag="presence_is", omit_defaults=True):
    """The rep's presence, as dispatch holds it."""

    epoch: int
    seq: int
    ts: int
    state: PresenceState
    next: PresenceState | None = None
    """What it becomes once all that is in hand is done."""
    until: int = 0
    """When a wrap-up ends, Unix ms."""


InfoKind = Literal["message", "window_closed", "deleted", "edited", "approval"]


class Info(Struct, frozen=True, gc=False, tag="info", omit_defaults=True):
    """Something that a person should know; it changes nothing."""

    epoch: int
    seq: int
    ts: int
    kind: InfoKind
    """``message``: from a supervisor; ``deleted`` and ``edited``: while an answer is under way; ``approval``: one waits."""
    case_id: str = ""
    text: str = ""
    by: str = ""


class Erased(Struct, frozen=True, gc=False, tag="erased"):
    """A post was deleted by its author: whatever a page still shows of it has to go."""

    epoch: int
    seq: int
    ts: int
    case_id: str
    entry_id: str


class CaseBrief(Struct, frozen=True, gc=False, omit_defaults=True):
    """A line of a list."""

    case_id: str
    brand_id: str
    platform: str
    state: CaseState
    version: int
    triage: Triage
    received_at: int
    due_at: int
    author: str = ""
    """Handle, or name."""
    excerpt: str = ""
    """The first 140 characters of the customer's last post."""
    language: str = ""
    subject: str = ""
    kind: str = ""
    units: int = 1
    rep_id: str = ""
    target: str = ""
    reply_until: int | None = None


class Listed(Struct, frozen=True, gc=False, tag="listed"):
    """The answer to ``list``: at most 50 cases, those that go first in front."""

    re: str
    what: Literal["waiting", "approval", "all"]
    cases: tuple[CaseBrief, ...]
    total: int
    """All there are, also beyond the 50."""


class IncidentCases(Struct, frozen=True, gc=False, tag="incident_cases"):
    """Cases of an incident, those that are at once before the latest; at most 50."""

    re: str
    incident_id: str
    cases: tuple[CaseBrief, ...]
    total: int
    """All there are, also beyond the 50."""


class Shown(Struct, frozen=True, gc=False, tag="shown"):
    """A case as somebody looks at it who does not hold it; given at the first ``view`` and when it changes."""

    case: CaseView


class Viewer(Struct, frozen=True, gc=False, omit_defaults=True):
    """Somebody who looks at a case."""

    rep_id: str
    name: str = ""
    writing: bool = False


class Viewers(Struct, frozen=True, gc=False, tag="viewers"):
    """Everybody who looks at a case, told to all of them and to who holds it; the latest wins."""

    case_id: str
    viewers: tuple[Viewer, ...]


class LoggedOut(Struct, frozen=True, gc=False, tag="logged_out", omit_defaults=True):
    """A supervisor has ended this rep's work; the connection closes with 4403."""

    by: str
    reason: str = ""


class Snapshot(Struct, frozen=True, gc=False, tag="snapshot", omit_defaults=True):
    """All that a rep holds, in pages of at most 50 cases; numbering goes on after ``seq``."""

    epoch: int
    seq: int
    ts: int
    page: int
    last: bool
    presence: PresenceState
    cases: tuple[CaseView, ...]
    next: PresenceState | None = None
    until: int = 0


class CommandError(Struct, frozen=True, gc=False, omit_defaults=True):
    """Why a command was refused."""

    code: ErrorCode
    message: str
    temporary: bool = False
    retry_after_ms: int = 0
    case: CaseView | None = None
    """What holds now, where a version or an owner was wrong."""


class Result(Struct, frozen=True, gc=False, tag="result", omit_defaults=True):
    """The answer to a command, once; a command sent again gets the stored one."""

    re: str
    ok: bool
    error: CommandError | None = None


class GoingAway(Struct, frozen=True, gc=False, tag="going_away"):
    """The gateway ends; come back after this long."""

    reconnect_in_ms: int


class Board(Struct, frozen=True, gc=False, tag="board"):
    """One brand's figures, a full frame; the latest wins."""

    frame: Raw


ServerFrame = (
    Welcome
    | OfferFrame
    | Revoke
    | CaseFrame
    | Message
    | Notice
    | Publish
    | PresenceFrame
    | Info
    | Erased
    | Listed
    | IncidentCases
    | Shown
    | Viewers
    | LoggedOut
    | Snapshot
    | Result
    | GoingAway
    | Heartbeat
    | Board
)
Unsequenced = Listed | IncidentCases | Shown | Viewers | LoggedOut | Snapshot | Result
DeskFrame = OfferFrame | Revoke | CaseFrame | Message | Notice | Publish | PresenceFrame | Info | Erased | Unsequenced


class DeskEvent(Struct, frozen=True, gc=False, omit_defaults=True):
    """
    One record of ``desk-events``: a frame and whom it is for.

    ``seq`` 0 means not sequenced (a result, a snapshot): addressed to one connection, or to all of the rep's.
    """

    tenant: str
    rep_id: str
    epoch: int
    frame: DeskFrame
    seq: int = 0
    connection: str = ""


class DeskEventRaw(Struct, frozen=True, gc=False):
    """The same as a gateway reads it: the frame stays bytes and goes to the socket as it is."""

    tenant: str
    rep_id: str
    epoch: int
    frame: Raw
    seq: int = 0
    connection: str = ""


# -- boards -------------------------------------------------------------------------------------------------------


class LearnedLine(Struct, frozen=True, gc=False, omit_defaults=True):
    """A tenant's head of one label was promoted over the one before, or taken back. Accuracies are 0..1."""

    head: str
    version: str
    """"" for the head that ships."""
    what: Literal["promoted", "rolled_back"]
    at: int
    corrections: int = 0
    before: float = 0.0
    after: float = 0.0


class BoardFrame(Struct, frozen=True, gc=False, omit_defaults=True):
    """One record of ``boards``: a brand's figures at a second. Shares are 0..1, None where nothing was counted."""

    tenant: str
    brand_id: str
    at: int
    queued: dict[str, int] = {}
    """Waiting now, by triage."""
    offered: int = 0
    working: int = 0
    awaiting_customer: int = 0
    due_soon: int = 0
    late: int = 0
    warned: int = 0
    """Open cases with a promise that was warned of and is not broken."""
    oldest_at: int = 0
    reps: dict[str, int] = {}
    warned_1h: int = 0
    breached_1h: int = 0
    """Promises that were warned of, or broken, in the last hour: to answer and to resolve."""
    resolved_1h: int = 0
    """Cases closed that were promised to be resolved by some time."""
    share_resolved_in_time_1h: float | None = None
    posts_1h: int = 0
    cases_1h: int = 0
    answered_1h: int = 0
    counted_only_1h: int = 0
    share_in_time_1h: float | None = None
    share_answered_24h: float | None = None
    """First answers of cases opened in the last 24 hours, by event time; cases that wait and are not due are left out."""
    response_p50_s: float | None = None
    response_p90_s: float | None = None
    """First answers of the last hour, from log buckets: exact to 5 percent."""
    posts_per_min: tuple[int, ...] = ()
    """The last 60 whole minutes, oldest first."""
    answered_per_min: tuple[int, ...] = ()
    late_per_min: tuple[int, ...] = ()
    """First answers that came after their due time."""
    category_1h: dict[str, int] = {}
    sentiment_1h: dict[str, int] = {}
    triage_1h: dict[str, int] = {}
    addressed_1h: dict[str, int] = {}
    platform_1h: dict[str, int] = {}
    language_1h: dict[str, int] = {}
    automatic: int = 0
    """Open cases that an incident or the bot sees to."""
    incidents: tuple[IncidentLine, ...] = ()
    """Those that live, the largest first; at most 20."""
    held: int = 0
    """Of ``working``: laid aside."""
    awaiting_approval: int = 0
    """Of ``working``: with an answer that waits for a second person."""
    longest_waiting: tuple[str, ...] = ()
    """Case ids, longest waiting first; at most five."""
    learned: tuple[LearnedLine, ...] = ()
    """What the tenant's reps have taught the classifier last, the newest first; at most five."""


# -- chat ---------------------------------------------------------------------------------------------------------


class ChatHello(Struct, frozen=True, gc=False, tag="chat_hello"):
    """A customer opens the chat page of a brand; ``conversation`` resumes an earlier one."""

    tenant: Key
    brand_id: Key
    name: Annotated[str, Meta(max_length=80)] = ""
    conversation: Annotated[str, Meta(max_length=64)] = ""


class ChatSay(Struct, frozen=True, gc=False, tag="chat_say"):
    """The customer writes; ``id`` makes a repeat harmless."""

    id: Key
    text: Annotated[str, Meta(min_length=1, max_length=4_000)]


class ChatLine(Struct, frozen=True, gc=False, tag="chat_line"):
    """A line of the conversation, from either side."""

    id: str
    at: int
    by: Literal["customer", "brand"]
    text: str


class ChatWelcome(Struct, frozen=True, gc=False, tag="chat_welcome"):
    """The conversation stands; its lines so far."""

    conversation: str
    brand: str
    lines: tuple[ChatLine, ...] = ()


class ChatReceived(Struct, frozen=True, gc=False, tag="chat_received"):
    """The broker has the customer's line."""

    id: str


class ChatError(Struct, frozen=True, gc=False, tag="chat_error"):
    """A line was refused."""

    id: str
    message: str


ChatClientFrame = ChatHello | ChatSay | Heartbeat
ChatServerFrame = ChatWelcome | ChatLine | ChatReceived | ChatError | Heartbeat
