"""
What the topics ``work``, ``answers``, ``case-events`` and ``dead-letters`` hold, one tagged Struct a record.

Every record of ``work`` carries ``at`` (Unix ms), the only clock that dispatch knows. Every record that a step writes carries
``src``: partition and offset of the record it was made from, and its number among that record's outputs. The next step
drops what it has seen, by the highest ``src`` of each source partition.
"""

from typing import Literal

from msgspec import Struct

from models.brands import PromiseKind
from models.cases import Case, CaseState
from models.incidents import IncidentLine
from models.influence import Influence
from models.labels import Addressed, Classification, Triage
from models.posts import SocialPost
from models.relabels import HeadChanged, Learned, Relabel, Relabelled
from models.reps import PresenceState

Src = tuple[int, int, int]
"""Source partition, its offset, number among its outputs."""

Role = Literal["rep", "supervisor"]
PublishStatus = Literal["sent", "failed", "unknown"]


# -- work ---------------------------------------------------------------------------------------------------------


class Understood(Struct, frozen=True, gc=False, tag="understood", omit_defaults=True):
    """A post that concerns a brand, with all that its text tells."""

    at: int
    src: Src
    tenant: str
    post: SocialPost
    brand_id: str
    addressed: Addressed
    labels: Classification
    influence: Influence
    triage: Triage
    """By the text: labels, time words, danger words."""
    why: tuple[str, ...] = ()
    also: tuple[str, ...] = ()
    """Other brands of the tenant that the post names."""
    action: Literal["created", "updated", "deleted"] = "created"
    sketch: bytes = b""
    """Of the text (``models.sketch``), where posts that say the same are looked for and it may open a case."""
    again: bool = False
    """Read a second time, in a ``Reconsidered``."""


class Reconsidered(Struct, frozen=True, gc=False, tag="reconsidered"):
    """A post that nobody was asked to look at; the second reader says that somebody should."""

    at: int
    tenant: str
    work: Understood
    """As it came, with the labels that both readings give."""


class Dropped(Struct, frozen=True, gc=False, tag="dropped", omit_defaults=True):
    """A post that concerns no brand; written to ``work`` only in a replay, which must account for every post."""

    at: int
    src: Src
    tenant: str
    post_id: str
    labels: Classification | None = None
    influence: Influence | None = None


class DeskUp(Struct, frozen=True, gc=False, tag="desk_up", omit_defaults=True):
    """A desk has said hello at a gateway."""

    at: int
    tenant: str
    rep_id: str
    connection: str
    gateway: str
    role: Role = "rep"


class DeskDown(Struct, frozen=True, gc=False, tag="desk_down"):
    """A desk's connection has ended; an older connection's end does not matter while a newer one stands."""

    at: int
    tenant: str
    rep_id: str
    connection: str
    gateway: str


class GatewayBeat(Struct, frozen=True, gc=False, tag="gateway_beat"):
    """A gateway lives; without beats for its lease, its desks count as lost."""

    at: int
    tenant: str
    gateway: str


class SetPresence(Struct, frozen=True, gc=False, tag="presence", omit_defaults=True):
    """A rep says whether work may come."""

    at: int
    tenant: str
    rep_id: str
    connection: str
    id: str
    state: PresenceState
    when_done: bool = False
    """Only once all that is in hand is done; nothing new comes from now on."""


class Accept(Struct, frozen=True, gc=False, tag="accept"):
    """A rep takes an offered case."""

    at: int
    tenant: str
    rep_id: str
    connection: str
    id: str
    case_id: str
    offer: str
    version: int


class Reject(Struct, frozen=True, gc=False, tag="reject", omit_defaults=True):
    """A rep declines an offered case, which goes back with its age."""

    at: int
    tenant: str
    rep_id: str
    connection: str
    id: str
    case_id: str
    offer: str
    version: int
    reason: str = ""


class Reply(Struct, frozen=True, gc=False, tag="reply", omit_defaults=True):
    """A rep answers; the command's id is the answer's id, whoever decides it again."""

    at: int
    tenant: str
    rep_id: str
    connection: str
    id: str
    case_id: str
    version: int
    text: str
    close: bool = True
    """Close the case once the answer is published; else it waits for the customer."""
    anyway: bool = False
    """Send it although the platform's reply window is over."""


class CloseCase(Struct, frozen=True, gc=False, tag="close", omit_defaults=True):
    """A rep closes a case without a further answer."""

    at: int
    tenant: str
    rep_id: str
    connection: str
    id: str
    case_id: str
    version: int
    disposition: str = ""


class FromDesk(Struct, frozen=True, gc=False, omit_defaults=True):
    """Who gives a command, as the gateway read it in the token; never as a frame says."""

    at: int
    tenant: str
    rep_id: str
    connection: str
    id: str
    role: Role
    brands: tuple[str, ...]
    """Brands that the token allows; empty: all of the tenant."""


class Hold(FromDesk, frozen=True, gc=False, tag="hold"):
    """A rep lays a case aside, until a time or until it is taken up again."""

    case_id: str
    version: int
    until: int = 0


class Resume(FromDesk, frozen=True, gc=False, tag="resume"):
    """A rep takes a case up again: out of a hold, or an answer back that waits for approval."""

    case_id: str
    version: int


class Transfer(FromDesk, frozen=True, gc=False, tag="transfer"):
    """A rep hands a case on."""

    case_id: str
    version: int
    target: str
    """``rep:<id>``, ``team:<id>``, ``department:<name>`` or ``site:<name>``."""
    note: str = ""


class Pull(FromDesk, frozen=True, gc=False, tag="pull"):
    """A rep takes a waiting case that was not offered."""

    case_id: str = ""
    """"": the one that goes first of those that the rep may take."""


class ListCases(FromDesk, frozen=True, gc=False, tag="list"):
    """Somebody asks what there is; nothing changes."""

    what: Literal["waiting", "approval", "all"]


class View(FromDesk, frozen=True, gc=False, tag="view"):
    """Somebody looks at a case, or writes in it; said again while it lasts."""

    case_id: str
    on: bool = True
    writing: bool = False


class Approve(FromDesk, frozen=True, gc=False, tag="approve"):
    """A second person lets an answer go out."""

    case_id: str
    version: int
    text: str = ""
    """Instead of the answer's own; "": as it is."""


class Return(FromDesk, frozen=True, gc=False, tag="return"):
    """A second person gives an answer back to its rep."""

    case_id: str
    version: int
    note: str


class Reopen(FromDesk, frozen=True, gc=False, tag="reopen"):
    """A closed case is opened again, by who had it last or by a supervisor."""

    case_id: str


class Assign(FromDesk, frozen=True, gc=False, tag="assign"):
    """A supervisor gives a case to a rep."""

    case_id: str
    to: str
    reason: str = ""


class Take(FromDesk, frozen=True, gc=False, tag="take"):
    """A supervisor takes a case."""

    case_id: str
    reason: str = ""


class Prioritise(FromDesk, frozen=True, gc=False, tag="prioritise"):
    """A supervisor gives a case another triage."""

    case_id: str
    triage: Triage
    reason: str = ""


class Say(FromDesk, frozen=True, gc=False, tag="say"):
    """A supervisor tells reps something."""

    to: str
    """``rep:<id>``, ``team:<id>``, ``department:<name>``, ``site:<name>``; "": everybody who is there."""
    text: str


class LogOut(FromDesk, frozen=True, gc=False, tag="log_out"):
    """A supervisor ends a rep's work; what the rep holds goes back."""

    to: str
    reason: str = ""


class GroupIncident(FromDesk, frozen=True, gc=False, tag="incident_group"):
    """A supervisor lets the cases of a suggested incident leave the queue, to be answered as one."""

    incident_id: str
    version: int


class AnswerIncident(FromDesk, frozen=True, gc=False, tag="incident_answer"):
    """A supervisor answers all cases of an incident, those to come too; the command's id names the answer."""

    incident_id: str
    version: int
    text: str
    """With alternatives (``models.variations``)."""
    close: bool = True
    """Close each case once its answer is published; else it waits for its customer."""


class UngroupIncident(FromDesk, frozen=True, gc=False, tag="incident_ungroup"):
    """A supervisor takes back what was decided last: the answer, which then goes to nobody else, or the grouping."""

    incident_id: str
    version: int


class CloseIncident(FromDesk, frozen=True, gc=False, tag="incident_close"):
    """A supervisor ends an incident, or dismisses a suggestion."""

    incident_id: str
    version: int


class TakeOut(FromDesk, frozen=True, gc=False, tag="incident_take_out"):
    """A supervisor takes one case out of its incident."""

    incident_id: str
    case_id: str


class ListIncident(FromDesk, frozen=True, gc=False, tag="incident_list"):
    """A supervisor looks at the cases of an incident; nothing changes."""

    incident_id: str


class Forget(FromDesk, frozen=True, gc=False, tag="forget"):
    """A supervisor lets an author be forgotten who has asked for it."""

    author: str
    """Address of the account, ``platform:handle``, or ``crm:<id>``."""


class Resync(Struct, frozen=True, gc=False, tag="resync"):
    """A connection needs a snapshot; it comes through the log, so it has a place in the stream's order."""

    at: int
    tenant: str
    rep_id: str
    connection: str


class Sending(Struct, frozen=True, gc=False, tag="sending"):
    """The outbox is about to call the platform."""

    at: int
    tenant: str
    case_id: str
    answer_id: str


class Published(Struct, frozen=True, gc=False, tag="published", omit_defaults=True):
    """What became of an answer at its platform."""

    at: int
    tenant: str
    case_id: str
    answer_id: str
    status: PublishStatus
    object_uri: str = ""
    url: str = ""
    error: str = ""


class Tick(Struct, frozen=True, gc=False, tag="tick", omit_defaults=True):
    """A second has passed. In a replay it came through ``posts`` and carries its ``src``."""

    at: int
    src: Src | None = None


class Takeover(Struct, frozen=True, gc=False, tag="takeover"):
    """The partition has a new owner; the record's offset is the partition's new epoch."""

    at: int
    owner: str


OfCases = Hold | Resume | Transfer | Approve | Return | Reopen | Assign | Take | Prioritise
Others = Pull | ListCases | View | Say | LogOut
OfIncidents = GroupIncident | AnswerIncident | UngroupIncident | CloseIncident | TakeOut | ListIncident
Command = SetPresence | Accept | Reject | Reply | CloseCase | Relabel | OfCases | Others | OfIncidents | Forget
Work = (
    Understood
    | Reconsidered
    | Dropped
    | DeskUp
    | DeskDown
    | GatewayBeat
    | SetPresence
    | Accept
    | Reject
    | Reply
    | CloseCase
    | Relabel
    | HeadChanged
    | OfCases
    | Others
    | OfIncidents
    | Forget
    | Resync
    | Sending
    | Published
    | Tick
    | Takeover
)


# -- answers ------------------------------------------------------------------------------------------------------


class Answer(Struct, frozen=True, gc=False, omit_defaults=True):
    """An answer to publish. Kafka key: tenant and account."""

    answer_id: str
    src: Src
    at: int
    tenant: str
    brand_id: str
    case_id: str
    rep_id: str
    platform: str
    account_id: str
    conversation_uri: str
    in_reply_to: str
    """``object_uri`` of the customer's last post."""
    text: str
    author_handle: str = ""
    visibility: str = "public"
    native: dict[str, str] = {}


# -- case-events --------------------------------------------------------------------------------------------------


class Opened(Struct, frozen=True, gc=False, tag="opened", omit_defaults=True):
    """A post has opened a case."""

    at: int
    src: Src
    tenant: str
    brand_id: str
    case_id: str
    post_id: str
    platform: str
    addressed: Addressed
    received_at: int
    due_at: int
    triage: Triage
    labels: Classification
    influence: Influence
    why: tuple[str, ...] = ()
    again: bool = False
    """It was told as ``Counted`` before, and is no other post."""


class Joined(Struct, frozen=True, gc=False, tag="joined", omit_defaults=True):
    """A post has joined the open case of its conversation."""

    at: int
    src: Src
    tenant: str
    brand_id: str
    case_id: str
    post_id: str
    platform: str
    addressed: Addressed
    received_at: int
    due_at: int
    triage: Triage
    labels: Classification
    influence: Influence
    why: tuple[str, ...] = ()
    again: bool = False
    """As in ``Opened``."""


class Counted(Struct, frozen=True, gc=False, tag="counted", omit_defaults=True):
    """A post opens no case: spam, nothing to answer, a repeat, too old, an edit or a deletion."""

    at: int
    src: Src
    tenant: str
    brand_id: str
    post_id: str
    platform: str
    reason: Literal["spam", "no_answer", "repeat", "too_old", "updated", "deleted", "noise"]
    addressed: Addressed | None = None
    received_at: int = 0
    triage: Triage | None = None
    labels: Classification | None = None
    influence: Influence | None = None
    case_id: str = ""


class Offered(Struct, frozen=True, gc=False, tag="offered"):
    """A case is shown to a rep."""

    at: int
    src: Src
    tenant: str
    brand_id: str
    case_id: str
    rep_id: str
    offer: str
    rank: int
    """Number of this offer in the partition's life."""
    why: tuple[str, ...] = ()
    """Why this case went first; empty where nobody else waited."""


class Accepted(Struct, frozen=True, gc=False, tag="accepted"):
    """A rep has taken a case."""

    at: int
    src: Src
    tenant: str
    brand_id: str
    case_id: str
    rep_id: str


class Requeued(Struct, frozen=True, gc=False, tag="requeued"):
    """A case went back to its queue, with its age."""

    at: int
    src: Src
    tenant: str
    brand_id: str
    case_id: str
    rep_id: str
    reason: Literal["rejected", "expired", "away", "offline", "lost", "logged_out"]


Move = Literal[
    "pulled",
    "held",
    "resumed",
    "forwarded",
    "unclaimed",
    "approval_asked",
    "approved",
    "returned",
    "stopped",
    "assigned",
    "taken",
    "prioritised",
    "reopened",
]


class Moved(Struct, frozen=True, gc=False, tag="moved", omit_defaults=True):
    """What else has happened to a case, and by whom: the audit of its life."""

    at: int
    src: Src
    tenant: str
    brand_id: str
    case_id: str
    what: Move
    by: str = ""
    """A rep or supervisor; "": a customer, or time."""
    to: str = ""
    note: str = ""
    state: CaseState | None = None
    """What the case is now."""


class Answered(Struct, frozen=True, gc=False, tag="answered"):
    """An answer stands at its platform."""

    at: int
    src: Src
    tenant: str
    brand_id: str
    case_id: str
    rep_id: str
    answer_id: str
    first: bool
    """Whether it is the first answer since the customer last wrote."""
    wait_s: float
    """From the arrival of the post that it answers."""
    in_time: bool
    triage: Triage


class Unpublished(Struct, frozen=True, gc=False, tag="unpublished"):
    """An answer did not get out, or nobody can tell whether it did."""

    at: int
    src: Src
    tenant: str
    brand_id: str
    case_id: str
    answer_id: str
    status: Literal["failed", "unknown"]
    error: str


class Warned(Struct, frozen=True, gc=False, tag="warned", omit_defaults=True):
    """A promise will soon be broken; once a promise."""

    at: int
    src: Src
    tenant: str
    brand_id: str
    case_id: str
    promise: PromiseKind
    due_at: int
    triage: Triage
    rep_id: str = ""
    """Who holds the case; "": nobody."""


class Breached(Struct, frozen=True, gc=False, tag="breached", omit_defaults=True):
    """A promise is broken: its due time has passed without what was promised; once a promise."""

    at: int
    src: Src
    tenant: str
    brand_id: str
    case_id: str
    promise: PromiseKind
    due_at: int
    triage: Triage
    rep_id: str = ""


class Closed(Struct, frozen=True, gc=False, tag="closed", omit_defaults=True):
    """A case is closed; the event carries the whole of it."""

    at: int
    src: Src
    tenant: str
    brand_id: str
    case_id: str
    case: Case
    in_time: bool | None = None
    """Whether the promise to resolve it was kept; None: there was none."""


IncidentMove = Literal[
    "suggested", "grouped", "answered", "taken_back", "ungrouped", "let_go", "closed", "joined", "left"
]


class IncidentTold(Struct, frozen=True, gc=False, tag="incident", omit_defaults=True):
    """What was decided about an incident, or which case has come to it or left it."""

    at: int
    src: Src
    tenant: str
    brand_id: str
    incident_id: str
    what: IncidentMove
    by: str = ""
    """A supervisor; "": a rule, or time."""
    case_id: str = ""
    text: str = ""
    """Of its answer, with alternatives."""


class Forgotten(Struct, frozen=True, gc=False, tag="forgotten"):
    """An author was forgotten; who it was is not said."""

    at: int
    src: Src
    tenant: str
    by: str
    rows: int
    """Rows of authors that were removed."""
    cases: int
    """Cases that were made nobody's."""


class Gauges(Struct, frozen=True, gc=False, tag="gauges", omit_defaults=True):
    """What stands open for a brand at a tick, by dispatch's own rows."""

    at: int
    src: Src
    tenant: str
    brand_id: str
    queued: dict[str, int] = {}
    """By triage."""
    offered: int = 0
    working: int = 0
    """In the hands of reps, however far."""
    awaiting_customer: int = 0
    due_soon: int = 0
    """Open and due within 15 minutes."""
    late: int = 0
    warned: int = 0
    """Open cases with a promise that was warned of and is not broken."""
    oldest_at: int = 0
    """Arrival of the longest waiting queued case; 0 if none waits."""
    reps: dict[str, int] = {}
    """The tenant's reps by presence."""
    automatic: int = 0
    """Open cases that an incident or the bot sees to."""
    incidents: tuple[IncidentLine, ...] = ()
    """Those that live, the largest first."""
    held: int = 0
    """Of ``working``: laid aside."""
    awaiting_approval: int = 0
    """Of ``working``: with an answer that a second person has to read."""


class Clock(Struct, frozen=True, gc=False, tag="clock"):
    """A tick, passed on, so that measure closes its windows by dispatch's time."""

    at: int
    src: Src


CaseEvent = (
    Opened
    | Joined
    | Counted
    | Offered
    | Accepted
    | Requeued
    | Moved
    | Relabelled
    | Learned
    | Answered
    | Unpublished
    | Warned
    | Breached
    | Closed
    | IncidentTold
    | Forgotten
    | Gauges
    | Clock
)


# -- dead letters -------------------------------------------------------------------------------------------------


class DeadLetter(Struct, frozen=True, gc=False, omit_defaults=True):
    """What could not be processed, with its reason."""

    at: int
    reason: str
    source: str
    """Topic, or the connector's name."""
    partition: int = -1
    offset: int = -1
    detail: str = ""
    """A traceback where a bug was met."""
    key: str = ""
    value: str = ""
    """The raw record: UTF-8 where it is that, else base64, marked by ``base64``; cut at 64 KB."""
    base64: bool = False
