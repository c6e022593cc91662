"""
What gateway, desks, boards and chats say to each other: tagged Structs, one JSON object a text frame.

``zuruf.desk.v1``: the desk sends hello first; the gateway answers welcome, then either what came after the resumed sequence
number or a snapshot. Sequenced frames carry ``epoch`` and ``seq``, without gaps for a rep within an epoch; a higher epoch
starts anew with a snapshot, and what that does not list is withdrawn. Unknown fields are ignored, unknown types refused.
"""

from typing import Annotated, Final, Literal

from msgspec import Meta, Raw, Struct

from models.brands import PromiseKind
from models.cases import CaseState, Entry
from models.influence import Influence
from models.labels import Addressed, Classification, Triage
from models.posts import Author
from models.promises import Promises
from models.records import PresenceState

SUBPROTOCOL: Final = "zuruf.desk.v1"
VERSION: Final = 1

Key = Annotated[str, Meta(min_length=1, max_length=256)]
AnswerText = Annotated[str, Meta(min_length=1, max_length=20_000)]

ErrorCode = Literal[
    "bad_request",
    "unknown_type",
    "unauthorized",
    "forbidden",
    "not_found",
    "offer_gone",
    "not_owner",
    "version_conflict",
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
    state: PresenceState


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


class Ack(Struct, frozen=True, gc=False, tag="ack"):
    """All frames up to ``seq`` were read; sent once a second or every 20 frames."""

    seq: int


class Subscribe(Struct, frozen=True, gc=False, tag="sub"):
    """A board asks for a brand's frames; an empty list means all brands that the token allows."""

    brands: tuple[str, ...] = ()


class Heartbeat(Struct, frozen=True, gc=False, tag="hb"):
    """Still here, in either direction; ``now`` is the gateway's clock."""

    now: int = 0


ClientFrame = (
    Hello | Presence | AcceptOffer | RejectOffer | SendReply | Close | RelabelCase | Ack | Subscribe | Heartbeat
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
    reason: Literal["expired", "rejected", "away", "offline", "lost", "closed", "withdrawn"]


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


class PresenceFrame(Struct, frozen=True, gc=False, tag="presence_is"):
    """The rep's presence, as dispatch holds it."""

    epoch: int
    seq: int
    ts: int
    state: PresenceState


class Snapshot(Struct, frozen=True, gc=False, tag="snapshot"):
    """All that a rep holds, in pages of at most 50 cases; numbering goes on after ``seq``."""

    epoch: int
    seq: int
    ts: int
    page: int
    last: bool
    presence: PresenceState
    cases: tuple[CaseView, ...]


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
    | Snapshot
    | Result
    | GoingAway
    | Heartbeat
    | Board
)
DeskFrame = OfferFrame | Revoke | CaseFrame | Message | Notice | Publish | PresenceFrame | Snapshot | Result


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
