"""
What a desk is shown and when: rings, resuming, epochs, limits. No socket, no clock.

Of every rep the newest epoch's last frames lie in a ring. A desk's session holds the place up to which it was shown the
stream; a frame goes to it only if it is the very next one, a snapshot only if it does not lead back. So whatever the log
brings, a desk never sees an older epoch after a newer one, a frame twice, or a gap.
"""

from collections import deque
from collections.abc import Collection
from typing import Any, Final, NamedTuple

import msgspec
from msgspec import Struct

from models import records
from models.records import Accept, CloseCase, Command, Reject, Reply, Role, SetPresence
from models.relabels import Relabel
from models.wire import (
    AcceptOffer,
    ApproveAnswer,
    ClientFrame,
    Close,
    CommandError,
    DeskEventRaw,
    ErrorCode,
    HoldCase,
    ListThem,
    Presence,
    PullCase,
    RejectOffer,
    RelabelCase,
    ReopenCase,
    RepFrame,
    Result,
    ResumeCase,
    ResumePoint,
    ReturnAnswer,
    SendReply,
    SupAssign,
    SupervisorFrame,
    SupForget,
    SupIncident,
    SupIncidentAnswer,
    SupIncidentApart,
    SupIncidentCases,
    SupLogout,
    SupMessage,
    SupPriority,
    SupTake,
    TransferCase,
    ViewCase,
)

RING_FRAMES_MAX: Final = 256  # What a desk misses in five minutes, many times over; beyond it a snapshot is shorter.
RING_BYTES_MAX: Final = 1024 * 1024  # Frames can carry whole threads; a replay beyond this is dearer than a snapshot.
RING_KEPT_MS: Final = 5 * 60_000  # A page that was away for longer has lost its rep's attention anyway.
SESSIONS_PER_REP: Final = 2  # A second screen or a reload; what is beyond that is a forgotten tab.

GAP: Final = 4000
REPLACED: Final = 4409
LOGGED_OUT: Final = 4403


class Ring:
    """The last frames of one rep in one epoch, without gaps."""

    __slots__ = ("_frames", "_size", "epoch", "last")

    def __init__(self, epoch: int, last: int) -> None:
        """Begin an empty ring; ``last`` is the sequence number before the first frame that will come."""
        self.epoch = epoch
        self.last = last
        self._frames: deque[bytes] = deque()
        self._size = 0

    def append(self, frame: bytes) -> None:
        """Put in the next frame; the oldest leave beyond 256 frames or 1 MB."""
        self._frames.append(frame)
        self._size += len(frame)
        self.last += 1
        while len(self._frames) > RING_FRAMES_MAX or self._size > RING_BYTES_MAX:
            self._size -= len(self._frames.popleft())

    def after(self, epoch: int, seq: int) -> list[bytes] | None:
        """Return what came after ``seq``, oldest first; None if only a snapshot will do."""
        missing = self.last - seq
        if epoch != self.epoch or not 0 <= missing <= len(self._frames):
            return None
        return list(self._frames)[len(self._frames) - missing :]


class Session:
    """One connection of a rep, and the place in the stream up to which it was shown everything."""

    __slots__ = ("brands", "connection", "epoch", "live", "paging", "rep_id", "role", "seq", "tenant")

    def __init__(
        self, tenant: str, rep_id: str, connection: str, role: Role = "rep", brands: tuple[str, ...] = ()
    ) -> None:
        self.tenant = tenant
        self.rep_id = rep_id
        self.connection = connection
        self.role = role
        """As the token says, like tenant and rep."""
        self.brands = brands
        """Brands that the token allows; empty: all of the tenant."""
        self.epoch = -1
        self.seq = -1
        self.live = False
        """Whether frames go to it as they come; if not, it waits for a snapshot."""
        self.paging: tuple[str, int, int] | None = None
        """The snapshot whose pages it is being given."""


class Send(NamedTuple):
    """Write a frame to a session's connection."""

    session: Session
    frame: bytes
    whole: bool = False
    """Part of a snapshot or a replay: it may come in one go, however long, and says nothing about a slow reader."""


class Drop(NamedTuple):
    """Close a session's connection; it has left the sessions already."""

    session: Session
    code: int
    reason: str


class Joined(NamedTuple):
    """What follows from a hello."""

    replay: list[bytes] | None
    """Frames that came after the resumed place; None: a snapshot has to be asked for."""
    drops: list[Drop]


class _Rep:
    """All that is known of one rep here."""

    __slots__ = ("pages", "ring", "sessions", "touched_at")

    def __init__(self) -> None:
        self.ring: Ring | None = None
        self.sessions: list[Session] = []
        self.pages: dict[str, tuple[int, int]] = {}
        """Snapshots of which more pages will come: address -> epoch and seq."""
        self.touched_at = 0


class _Head(Struct):
    """What must be known of a frame without a number of its own."""

    type: str = ""
    seq: int = 0
    last: bool = True


_head = msgspec.json.Decoder(_Head).decode


class Sessions:
    """Everybody connected here, and the rings of their tenants' reps."""

    def __init__(self, tenants: Collection[str]) -> None:
        """Serve these tenants; events of others are passed over."""
        self._epochs = dict.fromkeys(tenants, -1)
        self._reps: dict[tuple[str, str], _Rep] = {}
        self._sessions: dict[str, Session] = {}

    def join(self, session: Session, resume: ResumePoint | None) -> Joined:
        """Let a session in: resume it, or have it wait for a snapshot; the oldest beyond two a rep have to go."""
        rep = self._rep(session.tenant, session.rep_id)
        self._sessions[session.connection] = session
        rep.sessions.append(session)
        drops = [self._drop(old, REPLACED, "open elsewhere") for old in rep.sessions[:-SESSIONS_PER_REP]]
        if resume is None:
            return Joined(None, drops)
        session.epoch, session.seq = resume.epoch, resume.seq
        # A ring of an epoch that has ended shows what no longer holds, even if this rep has not heard of the new one.
        if rep.ring is None or rep.ring.epoch < self._epochs.get(session.tenant, -1):
            return Joined(None, drops)
        replay = rep.ring.after(resume.epoch, resume.seq)
        if replay is not None:
            session.live, session.seq = True, rep.ring.last
        return Joined(replay, drops)

    def leave(self, session: Session) -> None:
        """Forget a session; a second time changes nothing."""
        self._sessions.pop(session.connection, None)
        session.live, session.paging = False, None
        rep = self._reps.get((session.tenant, session.rep_id))
        if rep is not None and session in rep.sessions:
            rep.sessions.remove(session)

    def fold(self, event: DeskEventRaw, at: int) -> list[Send | Drop]:
        """
        Take in one record of ``desk-events`` and say what it makes us do.

        Args:
            at: The record's time, Unix ms.
        """
        newest = self._epochs.get(event.tenant)
        if newest is None or event.epoch < newest:
            return []
        self._epochs[event.tenant] = event.epoch
        if event.seq > 0:
            return self._sequenced(self._touched(event, at), event)
        frame = bytes(event.frame)
        head = _head(frame)
        if head.type == "snapshot":
            return self._snapshot(self._touched(event, at), event, head, frame)
        if head.type == "logged_out":
            return self._logged_out(event, frame)
        session = self._sessions.get(event.connection)
        return [Send(session, frame)] if session and _is_of(session, event) else []

    def forget(self, now: int) -> None:
        """Drop the rings of reps who have been away for longer than the resume window."""
        old = [key for key, rep in self._reps.items() if not rep.sessions and rep.touched_at < now - RING_KEPT_MS]
        for key in old:
            del self._reps[key]

    def reset(self) -> list[Send | Drop]:
        """Begin anew, because the log could not be followed: nothing known here may be trusted."""
        drops: list[Send | Drop] = [self._drop(one, GAP, "stream lost") for one in list(self._sessions.values())]
        self._reps.clear()
        self._epochs = dict.fromkeys(self._epochs, -1)
        return drops

    def seated(self, tenant: str, rep_id: str) -> bool:
        """Return whether a desk of this rep is connected here."""
        rep = self._reps.get((tenant, rep_id))
        return rep is not None and bool(rep.sessions)

    # -- how one record is folded

    def _rep(self, tenant: str, rep_id: str) -> _Rep:
        rep = self._reps.get((tenant, rep_id))
        if rep is None:
            rep = self._reps[(tenant, rep_id)] = _Rep()
        return rep

    def _touched(self, event: DeskEventRaw, at: int) -> _Rep:
        rep = self._rep(event.tenant, event.rep_id)
        rep.touched_at = at
        return rep

    def _sequenced(self, rep: _Rep, event: DeskEventRaw) -> list[Send | Drop]:
        ring = rep.ring
        if ring is None or ring.epoch < event.epoch or ring.last + 1 < event.seq:
            ring = rep.ring = Ring(event.epoch, event.seq - 1)
        elif event.seq <= ring.last:
            return []
        frame = bytes(event.frame)
        ring.append(frame)
        out: list[Send | Drop] = []
        for session in tuple(rep.sessions):
            if not session.live:
                continue  # Its snapshot comes first; then the ring gives it what it lacks.
            if session.epoch == event.epoch and session.seq + 1 == event.seq:
                session.seq = event.seq
                out.append(Send(session, frame))
            elif (session.epoch, session.seq) < (event.epoch, event.seq):
                out.append(self._drop(session, GAP, "gap in the stream"))
        return out

    def _snapshot(self, rep: _Rep, event: DeskEventRaw, head: _Head, frame: bytes) -> list[Send | Drop]:
        """Give a page to those whom its snapshot is for; its first page decides who they are."""
        place = (event.epoch, head.seq)
        first = rep.pages.get(event.connection) != place
        if first:
            self._begin(rep, event.connection, place)
        if head.last:
            del rep.pages[event.connection]
        addressed = self._sessions.get(event.connection)
        whom = tuple(rep.sessions) if not event.connection else (addressed,) if addressed else ()
        out: list[Send | Drop] = []
        for session in whom:
            if not _is_of(session, event) or not _takes(session, event.connection, place, first):
                continue
            session.live, session.paging = False, (event.connection, *place)
            out.append(Send(session, frame, whole=True))
            if head.last:
                out.extend(self._settle(rep, session, place))
        return out

    def _logged_out(self, event: DeskEventRaw, frame: bytes) -> list[Send | Drop]:
        """A supervisor has ended a rep's work: all desks of the rep are told and closed."""
        rep = self._reps.get((event.tenant, event.rep_id))
        out: list[Send | Drop] = []
        for session in tuple(rep.sessions) if rep is not None else ():
            out += [Send(session, frame), self._drop(session, LOGGED_OUT, "logged out by a supervisor")]
        return out

    def _begin(self, rep: _Rep, address: str, place: tuple[int, int]) -> None:
        rep.pages = {key: value for key, value in rep.pages.items() if value[0] == place[0]}
        rep.pages[address] = place
        if rep.ring is None or (rep.ring.epoch, rep.ring.last) < place:
            rep.ring = Ring(*place)

    def _settle(self, rep: _Rep, session: Session, place: tuple[int, int]) -> list[Send | Drop]:
        """A session has its whole snapshot: what came meanwhile follows, then it is live."""
        session.epoch, session.seq = place
        session.paging = None
        missed = rep.ring.after(*place) if rep.ring else None
        if missed is None or rep.ring is None:
            return [self._drop(session, GAP, "gap after the snapshot")]
        session.live, session.seq = True, rep.ring.last
        return [Send(session, frame, whole=True) for frame in missed]

    def _drop(self, session: Session, code: int, reason: str) -> Drop:
        self.leave(session)
        return Drop(session, code, reason)


def _is_of(session: Session, event: DeskEventRaw) -> bool:
    """Whether an event is this session's: tenant before rep, whatever connection it names."""
    return session.tenant == event.tenant and session.rep_id == event.rep_id


def _takes(session: Session, address: str, place: tuple[int, int], first: bool) -> bool:
    """
    Whether a session is to be given a snapshot's page.

    A waiting session takes the snapshot that was made for it even if it has seen higher numbers: then the log itself was
    begun anew. Any other snapshot must not lead back.
    """
    if not first:
        return session.paging == (address, *place)
    asked = bool(address) and not session.live
    return asked or place >= (session.epoch, session.seq)


# -- frames from a desk -------------------------------------------------------------------------------------------


class Refused(NamedTuple):
    """A frame that is not done, and what its sender is told."""

    re: str
    code: ErrorCode
    message: str


class _Loose(Struct):
    """What can be told of a frame that is no good."""

    type: Any = None
    id: Any = None


_frame = msgspec.json.Decoder(ClientFrame).decode
_loose = msgspec.json.Decoder(_Loose).decode
CLIENT_TYPES: Final = frozenset(str(kind.__struct_config__.tag) for kind in ClientFrame.__args__)


def decode(data: str) -> ClientFrame | Refused:
    """Return what a desk or a board says, or why it cannot be understood."""
    try:
        frame: ClientFrame = _frame(data)
        return frame
    except msgspec.ValidationError as error:
        return _refused(data, str(error))
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        return Refused("", "bad_request", f"not JSON: {error}")


def _refused(data: str, fault: str) -> Refused:
    try:
        loose = _loose(data)
    except msgspec.ValidationError:
        return Refused("", "bad_request", "a JSON object with a type was meant")
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        return Refused("", "bad_request", f"not JSON: {error}")
    re = loose.id[:256] if isinstance(loose.id, str) else ""
    if isinstance(loose.type, str) and loose.type not in CLIENT_TYPES:
        return Refused(re, "unknown_type", f"no frame has the type {loose.type[:40]!r}")
    return Refused(re, "bad_request", fault[:500])


def refusal(refused: Refused, *, temporary: bool = False, retry_after_ms: int = 0) -> Result:
    """Make the result that tells a desk that its command was not done."""
    error = CommandError(code=refused.code, message=refused.message, temporary=temporary, retry_after_ms=retry_after_ms)
    return Result(re=refused.re, ok=False, error=error)


def to_record(frame: ClientFrame, session: Session, now: int) -> Command | None:
    """Return the record of ``work`` that a command makes, None if the frame is no command; whose it is, the token says."""
    tenant, rep, line = session.tenant, session.rep_id, session.connection
    match frame:
        case Presence():
            return SetPresence(now, tenant, rep, line, frame.id, frame.state, frame.when_done)
        case AcceptOffer():
            return Accept(now, tenant, rep, line, frame.id, frame.case_id, frame.offer, frame.version)
        case RejectOffer():
            return Reject(now, tenant, rep, line, frame.id, frame.case_id, frame.offer, frame.version, frame.reason)
        case SendReply():
            text, close, anyway = frame.text, frame.close, frame.anyway
            return Reply(now, tenant, rep, line, frame.id, frame.case_id, frame.version, text, close, anyway)
        case Close():
            return CloseCase(now, tenant, rep, line, frame.id, frame.case_id, frame.version, frame.disposition)
        case RelabelCase():
            labels, case_id, version = frame.labels, frame.case_id, frame.version
            return Relabel(now, tenant, labels, "rep", rep, line, frame.id, case_id, version)
    if not isinstance(frame, RepFrame | SupervisorFrame):
        return None
    return _signed(frame, (now, tenant, rep, line, frame.id, session.role, session.brands))


def _signed(frame: Any, by: tuple[int, str, str, str, str, Role, tuple[str, ...]]) -> Command | None:
    """Return the record of a command that says in what role it is given."""
    match frame:
        case HoldCase():
            return records.Hold(*by, frame.case_id, frame.version, frame.until)
        case ResumeCase():
            return records.Resume(*by, frame.case_id, frame.version)
        case TransferCase():
            return records.Transfer(*by, frame.case_id, frame.version, frame.to, frame.note)
        case PullCase():
            return records.Pull(*by, frame.case_id)
        case ListThem():
            return records.ListCases(*by, frame.what)
        case ViewCase():
            return records.View(*by, frame.case_id, frame.on, frame.writing)
        case ApproveAnswer():
            return records.Approve(*by, frame.case_id, frame.version, frame.text)
        case ReturnAnswer():
            return records.Return(*by, frame.case_id, frame.version, frame.note)
        case ReopenCase():
            return records.Reopen(*by, frame.case_id)
        case SupAssign():
            return records.Assign(*by, frame.case_id, frame.to, frame.reason)
        case SupTake():
            return records.Take(*by, frame.case_id, frame.reason)
        case SupPriority():
            return records.Prioritise(*by, frame.case_id, frame.triage, frame.reason)
        case SupMessage():
            return records.Say(*by, frame.to, frame.text)
        case SupLogout():
            return records.LogOut(*by, frame.to, frame.reason)
        case SupForget():
            return records.Forget(*by, frame.author)
    return _of_incident(frame, by)


def _of_incident(frame: Any, by: tuple[int, str, str, str, str, Role, tuple[str, ...]]) -> Command | None:
    match frame:
        case SupIncident(act="group"):
            return records.GroupIncident(*by, frame.incident_id, frame.version)
        case SupIncident(act="ungroup"):
            return records.UngroupIncident(*by, frame.incident_id, frame.version)
        case SupIncident():
            return records.CloseIncident(*by, frame.incident_id, frame.version)
        case SupIncidentAnswer():
            return records.AnswerIncident(*by, frame.incident_id, frame.version, frame.text, frame.close)
        case SupIncidentApart():
            return records.TakeOut(*by, frame.incident_id, frame.case_id)
        case SupIncidentCases():
            return records.ListIncident(*by, frame.incident_id)
    return None


def is_for(frame: ClientFrame, role: Role) -> bool:
    """Whether a command may be given in a role; dispatch looks again, by what the record says."""
    return role == "supervisor" or not isinstance(frame, SupervisorFrame)


class Bucket:
    """A bucket of tokens: ``burst`` at once, ``rate`` a second in the long run."""

    __slots__ = ("_burst", "_full_at", "_rate")

    def __init__(self, rate: float, burst: int) -> None:
        self._rate = rate
        self._burst = burst
        self._full_at = float("-inf")

    def take(self, now: float) -> float:
        """Take one token and return 0.0; if there is none, return after how many seconds there will be one."""
        # All is said by when the bucket will be full: each token taken moves that by 1 / rate.
        full_at = max(self._full_at, now) + 1 / self._rate
        wait_s = full_at - now - self._burst / self._rate
        if wait_s > 1e-9:
            return wait_s
        self._full_at = full_at
        return 0.0
