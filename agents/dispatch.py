"""
``work`` -> ``desk-events``, ``answers``, ``case-events``: one writer per tenant, a fold over one log.

Matching is level-triggered: after every record that frees or fills something, and at every tick, queued cases meet free reps.
Until the partition's takeover record is read, records are folded, but no offer is made and no desk hears anything; the
takeover's offset is the epoch, its snapshots come first in it. Time is what the records say.
"""

import heapq
from collections.abc import Callable, Sequence
from itertools import takewhile
from typing import Any, Final, Literal

import msgspec
from msgspec.structs import replace

from agents.floor import BrandRules, Floor, House, holder_of, without_connection
from models import cases
from models.cases import HELD, Case, CaseState, Entry
from models.errors import BadEvent, IllegalTransition
from models.labels import TRIAGE_RANK, at_least
from models.priority import first_of
from models.records import (
    Accept,
    Accepted,
    Answer,
    Answered,
    Clock,
    CloseCase,
    Closed,
    Counted,
    DeskDown,
    DeskUp,
    Dropped,
    GatewayBeat,
    Gauges,
    Joined,
    Offered,
    Opened,
    Published,
    Reject,
    Reply,
    Requeued,
    Resync,
    Sending,
    SetPresence,
    Takeover,
    Tick,
    Understood,
    Unpublished,
    Work,
)
from models.triage import final_triage
from models.wire import (
    CaseFrame,
    CaseView,
    CommandError,
    DeskEvent,
    ErrorCode,
    Message,
    OfferFrame,
    PresenceFrame,
    Publish,
    Result,
    Revoke,
    Snapshot,
)
from streams import topics
from streams.carry import Out, Part, Record, buried
from streams.codec import Decoder
from tables.cases import CASES as _CASES
from tables.reps import CONNECTIONS_MAX, REPS, RESULTS_MAX, Connection, RepRow, rep_key

SNAPSHOT_PAGE: Final = 50
SNAPSHOT_BYTES: Final = 256 * 1024
"""Of a page, unless one case alone is larger: a desk may hold 64 long threads, and a record holds a megabyte."""
ABANDONED_MS: Final = 10 * 60_000  # A case in work stays this long with a rep who is gone: a lunch, not a shift.
DAY_MS: Final = 24 * 3_600_000
UNREPORTED_MS: Final = DAY_MS
"""After it nobody can tell what became of an answer: the outbox tries for a quarter of an hour and may have stood still."""
SILENT_MS: Final = 7 * DAY_MS
"""A customer who has not written for so long has no question any more; what comes later opens a case of its own."""
RESTING_MAX: Final = 500  # Cases that lapse at one tick: after a week's standstill all at once would hold up the loop.

_encode = msgspec.json.Encoder().encode

RevokeReason = Literal["expired", "rejected", "away", "offline", "lost", "closed", "withdrawn"]
RequeueReason = Literal["rejected", "expired", "away", "offline", "lost"]


class Dispatch:
    """The step; one instance serves all partitions of a worker."""

    name = "dispatch"
    topic = topics.WORK
    gathers = False

    def __init__(
        self,
        house: House,
        *,
        offer_ms: int = 30_000,
        lease_ms: int = 10_000,
        grace_ms: int = 30_000,
        ahead_ms: int = 5_000,
        closed_keep_ms: int = 7 * DAY_MS,
        seen_ms: int = 3 * DAY_MS,
        oldest_every: int = 8,
    ) -> None:
        self.house = house
        self.offer_ms = offer_ms
        self.lease_ms = lease_ms
        self.grace_ms = grace_ms
        self.ahead_ms = ahead_ms
        self.closed_keep_ms = closed_keep_ms
        self.seen_ms = seen_ms
        self.oldest_every = oldest_every
        self.decode = Decoder[Work](Work, "work").decode

    def open(self, part: Part) -> None:
        """Rebuild the floor from the rows."""
        part.index = Floor(part, self.house)

    def fold(self, records: Sequence[Record], part: Part) -> list[Out]:
        """Fold a run; see the module."""
        turn = _Turn(self, part)
        # Figures are told once a run: a run of many ticks is history being caught up on, and counting costs every open case.
        turn.last_tick = max((record.offset for record in records if isinstance(record.value, Tick)), default=-1)
        for record in records:
            turn.take(record)
        return turn.outs


class _Turn:
    """One run's fold over one partition."""

    def __init__(self, rules: Dispatch, part: Part) -> None:
        self.rules = rules
        self.part = part
        self.floor: Floor = part.index
        self.progress = part.rows.progress
        self.outs: list[Out] = []
        self.offset = -1
        self.number = 0
        self.last_tick = -1

    def take(self, record: Record) -> None:
        """Fold one record."""
        work: Any = record.value
        self.offset, self.number = record.offset, 0
        src = getattr(work, "src", None)
        if src is not None and not self.part.is_new(src):
            return
        # The owner writes ticks and takeovers by its own clock: they move the time however long nobody was there.
        self._move_clock(work.at, always=isinstance(work, Tick | Takeover))
        handler = _HANDLERS[type(work)]
        try:
            handler(self, work)
        except BadEvent as error:  # Raised before anything has changed.
            self.outs.append(buried(self.rules.name, record, str(error)))

    def _move_clock(self, at: int, *, always: bool) -> None:
        now = self.progress.now
        if at > now and (always or now == 0 or at <= now + self.rules.ahead_ms):
            self.progress.now = at

    @property
    def now(self) -> int:
        """Unix ms, as the records say."""
        return self.progress.now

    # -- what goes out

    def src(self) -> tuple[int, int, int]:
        """Return the source of the next output of this record."""
        self.number += 1
        return (self.part.number, self.offset, self.number)

    def event(self, tenant: str, event: Any) -> None:
        """Write a case event."""
        self.outs.append(Out(topics.CASE_EVENTS, tenant.encode(), event, self.part.number))

    def tell(self, tenant: str, rep_id: str, frame: Callable[[int, int, int], Any]) -> None:
        """Send a sequenced frame to a rep's desks."""
        if not self.part.ready:
            return
        key = rep_key(tenant, rep_id)
        self.floor.seqs[key] = seq = self.floor.seqs[key] + 1
        epoch = self.progress.epoch
        self.outs.append(
            Out(
                topics.DESK_EVENTS,
                tenant.encode(),
                DeskEvent(tenant=tenant, rep_id=rep_id, epoch=epoch, seq=seq, frame=frame(epoch, seq, self.now)),
                self.part.number,
            )
        )

    def address(self, tenant: str, rep_id: str, connection: str, frame: Any) -> None:
        """Send a frame without a number to one connection, or to all of a rep's."""
        if self.part.ready:
            event = DeskEvent(
                tenant=tenant, rep_id=rep_id, epoch=self.progress.epoch, frame=frame, connection=connection
            )
            self.outs.append(Out(topics.DESK_EVENTS, tenant.encode(), event, self.part.number))

    # -- posts

    def understood(self, work: Understood) -> None:
        """A post opens a case, joins one, or is counted."""
        rules = self.rules.house.brands.get((work.tenant, work.brand_id))
        if rules is None:
            raise BadEvent(f"brand {work.brand_id!r} of tenant {work.tenant!r} is not configured (any more)")
        if work.post.received_at > self.now:
            work = self._not_from_the_future(work)
        if work.action != "created":
            self._changed(work)
            return
        if self.floor.is_repeat(work.tenant, work.post.id, self.now, self.rules.seen_ms):
            self._count(work, "repeat")
        elif work.post.created_at < self.now - rules.brand.horizon_days * DAY_MS:
            self._count(work, "too_old")
        else:
            case = self.floor.in_conversation(work.tenant, work.post.conversation_uri)
            if case is not None and work.post.id in case.seen:  # Its memory may have left already.
                self._count(work, "repeat", case.case_id)
            elif case is not None:
                self._join(work, rules, case)
            elif work.triage == "spam":
                self._count(work, "spam")
            elif not work.labels.answer and TRIAGE_RANK[work.triage] < TRIAGE_RANK["important"]:
                self._count(work, "no_answer")
            else:
                self._open(work, rules)

    def _not_from_the_future(self, work: Understood) -> Understood:
        """A clock that goes wrong somewhere must neither hide a post behind all others nor count it years ahead."""
        post = work.post
        return replace(work, post=replace(post, received_at=self.now, created_at=min(post.created_at, self.now)))

    def _count(self, work: Understood, reason: Any, case_id: str = "") -> None:
        self.event(
            work.tenant,
            Counted(
                at=self.now,
                src=self.src(),
                tenant=work.tenant,
                brand_id=work.brand_id,
                post_id=work.post.id,
                platform=work.post.platform,
                reason=reason,
                addressed=work.addressed,
                received_at=work.post.received_at,
                triage=work.triage,
                labels=work.labels,
                influence=work.influence,
                case_id=case_id,
            ),
        )

    def _open(self, work: Understood, rules: BrandRules) -> None:
        post = work.post
        triage, more = final_triage(work.triage, unanswered=0, reply_until=post.reply_until, now=self.now)
        due_at = rules.due_at(triage, post.platform, post.received_at, first=True)
        case_id = f"c{work.src[0]}-{work.src[1]}"
        if self.part.rows.is_ahead(_CASES, case_id, self.offset):
            return
        case = Case(
            case_id=case_id,
            tenant=work.tenant,
            brand_id=work.brand_id,
            platform=post.platform,
            account_id=post.account_id,
            conversation_uri=post.conversation_uri,
            state="queued",
            opened_at=self.now,
            received_at=post.received_at,
            due_at=due_at,
            triage=triage,
            addressed=work.addressed,
            labels=work.labels,
            influence=work.influence,
            author=post.author,
            thread=(_entry_of(work),),
            seen=(post.id,),
            also=work.also,
            why=work.why + more,
            native=post.native,
            in_reply_to=post.object_uri,
            visibility=post.visibility,
            permalink=post.permalink,
            reply_until=post.reply_until,
        )
        self._tell_arrival(Opened, work, case)
        # Where nobody waits and somebody is free, the case is never queued: one row, no heap.
        idle = self.part.ready and not self.floor.waiting[work.tenant]
        seat = self.floor.seat_for(case) if idle else None
        if seat is not None:
            self._offer(None, case, seat.profile.id)
        else:
            self.floor.save(None, case)
            self.match(work.tenant)

    def _tell_arrival(self, kind: type[Opened] | type[Joined], work: Understood, case: Case) -> None:
        self.event(
            work.tenant,
            kind(
                at=self.now,
                src=self.src(),
                tenant=work.tenant,
                brand_id=case.brand_id,
                case_id=case.case_id,
                post_id=work.post.id,
                platform=work.post.platform,
                addressed=work.addressed,
                received_at=work.post.received_at,
                due_at=case.due_at,
                triage=case.triage,
                labels=work.labels,
                influence=work.influence,
                why=case.why,
            ),
        )

    def _join(self, work: Understood, rules: BrandRules, case: Case) -> None:
        if self.part.rows.is_ahead(_CASES, case.case_id, self.offset):
            return
        post = work.post
        wants = work.triage != "spam" and (work.labels.answer or TRIAGE_RANK[work.triage] >= TRIAGE_RANK["important"])
        changed = replace(
            case,
            thread=cases.with_entry(case.thread, _entry_of(work)),
            seen=cases.with_seen(case.seen, post.id),
            version=case.version + 1,
        )
        if wants:
            changed = self._awaiting(work, rules, case, changed)
        self.floor.save(case, changed)
        self._tell_arrival(Joined, work, changed)
        if case.state in HELD:
            entry = changed.thread[-1]
            self.tell(
                case.tenant,
                holder_of(case),
                lambda epoch, seq, ts: Message(
                    epoch, seq, ts, case.case_id, changed.version, changed.due_at, changed.triage, entry
                ),
            )
        self.match(work.tenant)

    def _awaiting(self, work: Understood, rules: BrandRules, case: Case, changed: Case) -> Case:
        """A follow-up that wants an answer: waiting counts on from the oldest unanswered post, or begins now."""
        post = work.post
        text_triage = at_least(case.triage, work.triage) if case.awaits_answer else work.triage
        triage, more = final_triage(
            text_triage,
            unanswered=_unanswered(case),
            reply_until=post.reply_until or case.reply_until,
            now=self.now,
        )
        received_at = case.received_at if case.awaits_answer else post.received_at
        due_at = rules.due_at(triage, post.platform, received_at, first=case.awaits_answer and not _was_answered(case))
        return replace(
            changed,
            state="queued" if case.state == "awaiting_customer" else case.state,
            awaits_answer=True,
            triage=triage,
            received_at=received_at,
            due_at=min(case.due_at, due_at) if case.awaits_answer else due_at,
            labels=work.labels,
            why=tuple(dict.fromkeys((*case.why, *work.why, *more)))[:16],
            in_reply_to=post.object_uri,
            reply_until=post.reply_until or case.reply_until,
            native=post.native or case.native,
        )

    def _changed(self, work: Understood) -> None:
        """An edit or a deletion: the text in the thread follows it."""
        case_id = self.floor.by_conversation.get((work.tenant, work.post.conversation_uri), "")
        case = self.floor.open.get(case_id)
        deleted = work.action == "deleted"
        if case is not None and self.part.rows.is_ahead(_CASES, case_id, self.offset):
            return
        if case is not None and any(entry.uri == work.post.object_uri for entry in case.thread):
            thread = tuple(
                replace(entry, text="" if deleted else work.post.text, deleted=deleted)
                if entry.uri == work.post.object_uri
                else entry
                for entry in case.thread
            )
            changed = replace(case, thread=cases.bounded(thread), version=case.version + 1)
            self.floor.save(case, changed)
            self._show(changed)
        self._count(work, work.action, case_id)

    def dropped(self, work: Dropped) -> None:
        """In a replay every post is accounted for."""
        self.event(
            work.tenant,
            Counted(
                at=self.now,
                src=self.src(),
                tenant=work.tenant,
                brand_id="",
                post_id=work.post_id,
                platform="",
                reason="noise",
                labels=work.labels,
                influence=work.influence,
            ),
        )

    # -- matching

    def match(self, tenant: str) -> None:
        """Offer queued cases to free reps until one of both runs out."""
        if self.part.ready:
            while self.floor.waiting[tenant] and self.floor.has_room(tenant) and self._offer_next(tenant):
                pass

    def _offer_next(self, tenant: str) -> bool:
        """Offer the case that goes first of those that somebody can take."""
        heads = {head.name: (head, case) for head, case in self.floor.heads(tenant)}
        while heads:
            head = first_of(
                (head for head, _ in heads.values()), self.now, self.floor.decisions, self.rules.oldest_every
            )
            assert head is not None
            case = heads.pop(head.name)[1]
            seat = self.floor.seat_for(case)
            if seat is not None:
                self.floor.take_head(case)
                self._offer(case, case, seat.profile.id)
                return True
        return False

    def _offer(self, old: Case | None, case: Case, rep_id: str) -> None:
        """Show a case to a rep; ``old`` is its row so far."""
        self.floor.decisions += 1
        shown = cases.offered(case, rep_id, self.now, self.rules.offer_ms)
        self.floor.save(old, shown)
        assert shown.offer is not None
        self.event(
            case.tenant,
            Offered(
                at=self.now,
                src=self.src(),
                tenant=case.tenant,
                brand_id=case.brand_id,
                case_id=case.case_id,
                rep_id=rep_id,
                offer=shown.offer.offer,
                rank=self.floor.decisions,
            ),
        )
        self.tell(case.tenant, rep_id, lambda epoch, seq, ts: OfferFrame(epoch, seq, ts, view(shown)))

    def _requeue(self, case: Case, reason: RequeueReason) -> None:
        if self.part.rows.is_ahead(_CASES, case.case_id, self.offset):
            return
        rep_id = holder_of(case)
        back = cases.requeued(case, declined=reason in ("rejected", "expired"))
        self.floor.save(case, back)
        self.event(
            case.tenant,
            Requeued(
                at=self.now,
                src=self.src(),
                tenant=case.tenant,
                brand_id=case.brand_id,
                case_id=case.case_id,
                rep_id=rep_id,
                reason=reason,
            ),
        )
        self._revoke(back, rep_id, reason)

    def _revoke(self, case: Case, rep_id: str, reason: RevokeReason) -> None:
        self.tell(
            case.tenant,
            rep_id,
            lambda epoch, seq, ts: Revoke(epoch, seq, ts, case.case_id, case.version, reason),
        )

    def _show(self, case: Case) -> None:
        if case.state in HELD:
            self.tell(case.tenant, holder_of(case), lambda epoch, seq, ts: CaseFrame(epoch, seq, ts, view(case)))

    # -- desks

    def desk_up(self, work: DeskUp) -> None:
        """A desk has connected."""
        if self._rep_is_ahead(work):
            return
        row = self.floor.rep(work.tenant, work.rep_id)
        mine = Connection(work.connection, work.gateway)
        others = tuple(one for one in row.connections if one.connection != work.connection)
        self.floor.beats[work.tenant, work.gateway] = self.now
        self.floor.save_rep(replace(row, connections=(*others, mine)[-CONNECTIONS_MAX:], lost_at=0))

    def desk_down(self, work: DeskDown) -> None:
        """A desk's connection has ended; its grace begins if it was the last."""
        row = self.floor.rep(work.tenant, work.rep_id)
        left = without_connection(row, work.connection, self.now)
        if left is not row and not self._rep_is_ahead(work):
            self.floor.save_rep(left)

    def _rep_is_ahead(self, work: Any) -> bool:
        return self.part.rows.is_ahead(REPS, rep_key(work.tenant, work.rep_id), self.offset)

    def gateway_beat(self, work: GatewayBeat) -> None:
        """A gateway lives."""
        self.floor.beats[work.tenant, work.gateway] = self.now

    def presence(self, work: SetPresence) -> None:
        """A rep says whether work may come."""
        row = self.floor.rep(work.tenant, work.rep_id)
        if not self._is_known(row, work):
            self._set_presence(row, work.state)
            self._result(work, None)
            self.match(work.tenant)

    def _set_presence(self, row: RepRow, state: Any) -> None:
        if row.presence != state:
            idle_since = self.now if state == "available" else row.idle_since
            self.floor.save_rep(replace(row, presence=state, idle_since=idle_since))
        self.tell(row.tenant, row.rep_id, lambda epoch, seq, ts: PresenceFrame(epoch, seq, ts, state))
        if state in ("away", "offline"):
            for case in self.floor.held_by(row.tenant, row.rep_id):
                if case.state == "offered":
                    self._requeue(case, state)

    def resync(self, work: Resync) -> None:
        """A connection needs a snapshot."""
        self._snapshot(work.tenant, work.rep_id, work.connection)

    def _snapshot(self, tenant: str, rep_id: str, connection: str) -> None:
        held = [view(case) for case in self.floor.held_by(tenant, rep_id)]
        pages = _pages(held)
        row = self.floor.rep(tenant, rep_id)
        for number, page in enumerate(pages):
            frame = Snapshot(
                epoch=self.progress.epoch,
                seq=self.floor.seqs[rep_key(tenant, rep_id)],
                ts=self.now,
                page=number,
                last=number == len(pages) - 1,
                presence=row.presence,
                cases=page,
            )
            self.address(tenant, rep_id, connection, frame)

    # -- commands

    def accept(self, work: Accept) -> None:
        """A rep takes a case."""
        self._command(work, self._accept)

    def _accept(self, work: Accept, case: Case) -> None:
        taken = cases.accepted(case, work.rep_id, work.offer, work.version)
        self.floor.save(case, taken)
        self.event(
            work.tenant,
            Accepted(
                at=self.now,
                src=self.src(),
                tenant=work.tenant,
                brand_id=case.brand_id,
                case_id=case.case_id,
                rep_id=work.rep_id,
            ),
        )
        self._show(taken)

    def reject(self, work: Reject) -> None:
        """A rep declines a case."""
        self._command(work, self._reject)

    def _reject(self, work: Reject, case: Case) -> None:
        cases.check_rejectable(case, work.rep_id, work.offer, work.version)
        self._requeue(case, "rejected")

    def reply(self, work: Reply) -> None:
        """A rep answers."""
        self._command(work, self._reply)

    def _reply(self, work: Reply, case: Case) -> None:
        if any(entry.id == work.id and entry.by == "rep" for entry in case.thread):
            return  # It went out; only its result was forgotten.
        cases.check_owner(case, work.rep_id, work.version)
        entry = Entry(id=work.id, at=self.now, by="rep", text=work.text, status="queued", rep_id=work.rep_id)
        answered = cases.replied(case, entry, close=work.close)
        self.floor.save(case, answered)
        answer = Answer(
            answer_id=work.id,
            src=self.src(),
            at=self.now,
            tenant=case.tenant,
            brand_id=case.brand_id,
            case_id=case.case_id,
            rep_id=work.rep_id,
            platform=case.platform,
            account_id=case.account_id,
            conversation_uri=case.conversation_uri,
            in_reply_to=case.in_reply_to,
            text=work.text,
            author_handle=case.author.handle,
            visibility=case.visibility,
            native=case.native,
        )
        self.outs.append(Out(topics.ANSWERS, f"{case.tenant}|{case.account_id}".encode(), answer))
        self._show(answered)

    def close(self, work: CloseCase) -> None:
        """A rep ends a case without an answer."""
        self._command(work, self._close)

    def _close(self, work: CloseCase, case: Case) -> None:
        cases.check_owner(case, work.rep_id, work.version)
        self._end(case, work.rep_id)

    def _end(self, case: Case, rep_id: str) -> None:
        ended = cases.closed(case, self.now)
        self.floor.save(case, ended)
        self.event(
            case.tenant,
            Closed(
                at=self.now,
                src=self.src(),
                tenant=case.tenant,
                brand_id=case.brand_id,
                case_id=case.case_id,
                case=ended,
            ),
        )
        self._revoke(ended, rep_id, "closed")

    def _command(self, work: Any, act: Callable[[Any, Case], None]) -> None:
        row = self.floor.rep(work.tenant, work.rep_id)
        if self._is_known(row, work):
            return
        case = self.floor.case(work.case_id)
        if case is None or case.tenant != work.tenant:
            self._result(work, CommandError(code="not_found", message=f"there is no case {work.case_id}"))
            return
        if self.part.rows.is_ahead(_CASES, case.case_id, self.offset):
            return
        try:
            act(work, case)
        except IllegalTransition as refusal:
            mine = holder_of(case) == work.rep_id
            self._result(
                work, CommandError(code=_code(work, mine), message=str(refusal), case=view(case) if mine else None)
            )
        else:
            self._result(work, None)
        self.match(work.tenant)

    def _is_known(self, row: RepRow, work: Any) -> bool:
        """Whether a command was carried out before; its result is sent again."""
        for command_id, result in row.results:
            if command_id == work.id:
                self.address(work.tenant, work.rep_id, work.connection, result)
                return True
        return self._rep_is_ahead(work)  # Its result has left the row since.

    def _result(self, work: Any, error: CommandError | None) -> None:
        row = self.floor.rep(work.tenant, work.rep_id)
        result = Result(re=work.id, ok=error is None, error=error)
        kept = replace(result, error=replace(error, case=None)) if error is not None else result
        self.floor.save_rep(replace(row, results=(*row.results, (work.id, kept))[-RESULTS_MAX:]))
        self.address(work.tenant, work.rep_id, work.connection, result)

    # -- answers

    def sending(self, work: Sending) -> None:
        """The outbox calls the platform."""
        self._answer_is(work, "sending")

    def published(self, work: Published) -> None:
        """The platform has an answer, or not."""
        self._answer_is(work, work.status, work.url, work.error)

    def _answer_is(self, work: Sending | Published, status: Any, url: str = "", error: str = "") -> None:
        case = self.floor.case(work.case_id)
        if case is None or case.tenant != work.tenant or self.part.rows.is_ahead(_CASES, work.case_id, self.offset):
            return
        before = next((entry for entry in case.thread if entry.id == work.answer_id and entry.by == "rep"), None)
        # What is sent stays sent: a result may come twice, and a late "sending" says nothing new.
        if (
            before is None
            or before.status == status
            or before.status == "sent"
            or (status == "sending" and before.status in ("failed", "unknown"))
        ):
            return
        changed = cases.answer_status(case, work.answer_id, status, url, error)
        if status == "sent":
            changed = self._sent(case, changed, before)
        elif status in ("failed", "unknown"):
            changed = self._not_sent(case, changed, work, status, error)
        self.floor.save(case, changed)
        rep_id = before.rep_id
        self.tell(
            case.tenant,
            rep_id,
            lambda epoch, seq, ts: Publish(
                epoch, seq, ts, case.case_id, changed.version, changed.state, work.answer_id, status, url, error
            ),
        )
        if changed.state == "closed" and case.state != "closed":
            self._tell_closed(changed)
        self.match(case.tenant)

    def _sent(self, case: Case, changed: Case, entry: Entry) -> Case:
        if case.state == "closed":
            return changed
        self.event(
            case.tenant,
            Answered(
                at=self.now,
                src=self.src(),
                tenant=case.tenant,
                brand_id=case.brand_id,
                case_id=case.case_id,
                rep_id=entry.rep_id,
                answer_id=entry.id,
                first=case.awaits_answer,
                wait_s=max(0, self.now - case.received_at) / 1000,
                in_time=self.now <= case.due_at,
                triage=case.triage,
            ),
        )
        # By place, not by time: what the rep could not have read when answering still waits for an answer.
        place = next(at for at, one in enumerate(case.thread) if one is entry)
        later = next((one for one in case.thread[place:] if one.by == "customer" and not one.deleted), None)
        if later is not None:
            return self._still_waiting(changed, later.at)
        return cases.published(changed, self.now)

    def _still_waiting(self, case: Case, since: int) -> Case:
        """The answer is out, and the customer has written since: waiting counts from there, so that it counts once."""
        rules = self.rules.house.brands.get((case.tenant, case.brand_id))
        due_at = rules.due_at(case.triage, case.platform, since, first=False) if rules is not None else case.due_at
        moved = replace(case, awaits_answer=True, received_at=since, due_at=due_at, version=case.version + 1)
        return moved if cases.is_under_way(case) else replace(cases.unpublished(moved), close_after=False)

    def _not_sent(self, case: Case, changed: Case, work: Any, status: Any, error: str) -> Case:
        self.event(
            case.tenant,
            Unpublished(
                at=self.now,
                src=self.src(),
                tenant=case.tenant,
                brand_id=case.brand_id,
                case_id=case.case_id,
                answer_id=work.answer_id,
                status=status,
                error=error,
            ),
        )
        return cases.unpublished(changed)

    def _tell_closed(self, case: Case) -> None:
        self.event(
            case.tenant,
            Closed(
                at=self.now,
                src=self.src(),
                tenant=case.tenant,
                brand_id=case.brand_id,
                case_id=case.case_id,
                case=case,
            ),
        )

    # -- time and ownership

    def tick(self, work: Tick) -> None:
        """A second has passed: what lapses lapses, and figures are told."""
        self._expire_offers()
        self._lose_desks()
        self._end_rests()
        self._forget_closed()
        for tenant in [tenant for tenant, count in self.floor.waiting.items() if count]:
            self.match(tenant)
        if self.offset == self.last_tick:
            self._gauges()
        self.event(f"p{self.part.number}", Clock(at=self.now, src=self.src()))

    def _expire_offers(self) -> None:
        if not self.part.ready:
            return
        heap = self.floor.offers
        while heap and heap[0][0] <= self.now:
            _, offer, case_id = heapq.heappop(heap)
            case = self.floor.open.get(case_id)
            if case is not None and case.offer is not None and case.offer.offer == offer:
                self._requeue(case, "expired")

    def _lose_desks(self) -> None:
        """Leases and graces; they began anew at the takeover."""
        if not self.part.ready:
            return
        for row in list(self.floor.reps.values()):
            if row.connections:
                row = self._without_dead_gateways(row)
            if not row.connections:
                self._lose(row)
        self.floor.forget_beats(self.now - self.rules.lease_ms)

    def _lose(self, row: RepRow) -> None:
        """
        A rep without a desk goes offline after a grace, and gives up what is in work some minutes later.

        That is looked at again at every tick: an answer that fails puts its case back into the hands of a rep who may be
        gone for long by then.
        """
        holds = bool(self.floor.held.get(rep_key(row.tenant, row.rep_id)))
        if row.presence == "offline" and not holds:
            return
        if row.lost_at == 0:  # Known by a command alone: no connection was ever noted.
            self.floor.save_rep(replace(row, lost_at=self.now))
            return
        gone_ms = self.now - row.lost_at
        if row.presence != "offline" and gone_ms >= self.rules.grace_ms:
            self._set_presence(row, "offline")
        if holds and gone_ms >= ABANDONED_MS:
            for case in self.floor.held_by(row.tenant, row.rep_id):
                if case.state in ("offered", "working"):
                    self._requeue(case, "lost")

    def _end_rests(self) -> None:
        """What waits for somebody outside does so for a while: for a platform's word, for a customer's."""
        if not self.part.ready:
            return
        for case in self._rested("answered", UNREPORTED_MS):
            self._give_up(case)
        for case in self._rested("awaiting_customer", SILENT_MS):
            self._end(case, case.rep_id)

    def _give_up(self, case: Case) -> None:
        """Nobody has told what became of a case's answers: it goes back to its rep, who may look."""
        error = "nobody has told what became of it"
        for entry in case.thread:
            if entry.status in cases.UNDER_WAY:
                self.published(Published(self.now, case.tenant, case.case_id, entry.id, "unknown", error=error))
        left = self.floor.open.get(case.case_id)
        if left is not None and left.state == "answered":  # Its answer has left the thread.
            back = cases.unpublished(left)
            self.floor.save(left, back)
            self._show(back)

    def _rested(self, state: CaseState, for_ms: int) -> list[Case]:
        return self.floor.resting_since(state, self.now - for_ms, RESTING_MAX)

    def _without_dead_gateways(self, row: RepRow) -> RepRow:
        for one in row.connections:
            beat = self.floor.beats.get((row.tenant, one.gateway))
            if beat is not None and self.now - beat > self.rules.lease_ms:
                row = without_connection(row, one.connection, self.now)
                self.floor.save_rep(row)
        return row

    def _forget_closed(self) -> None:
        closed = self.floor.closed
        while closed and closed[0][0] < self.now - self.rules.closed_keep_ms:
            case = self.floor.case(closed.popleft()[1])
            if case is not None and case.state == "closed":
                self.floor.forget(case)

    def _gauges(self) -> None:
        soon, late, oldest = self.floor.soon_and_late(self.now)
        presence = {tenant: self.floor.presence(tenant) for tenant in {key[0] for key in self.floor.counts}}
        for key, counts in self.floor.counts.items():
            tenant, brand_id = key
            self.event(
                tenant,
                Gauges(
                    at=self.now,
                    src=self.src(),
                    tenant=tenant,
                    brand_id=brand_id,
                    queued=self.floor.queued_by_triage(counts),
                    offered=counts["offered"],
                    working=counts["working"] + counts["answered"],
                    awaiting_customer=counts["awaiting_customer"],
                    due_soon=soon[key],
                    late=late[key],
                    oldest_at=oldest.get(key, 0),
                    reps=presence[tenant],
                ),
            )

    def takeover(self, work: Takeover) -> None:
        """A new owner: its epoch begins with the snapshots of all desks, made from the rows."""
        self.progress.epoch = self.offset
        self.floor.seqs.clear()
        self.part.ready = bool(self.part.token) and work.owner == self.part.token
        if not self.part.ready:
            return
        for row in list(self.floor.reps.values()):
            for one in row.connections:
                self.floor.beats[row.tenant, one.gateway] = self.now
            if row.lost_at and (row.presence != "offline" or self.floor.held.get(rep_key(row.tenant, row.rep_id))):
                self.floor.save_rep(replace(row, lost_at=self.now))
            if row.connections or row.presence != "offline":
                self._snapshot(row.tenant, row.rep_id, "")
        for tenant in [tenant for tenant, count in self.floor.waiting.items() if count]:
            self.match(tenant)


_HANDLERS: Final[dict[type, Callable[[_Turn, Any], None]]] = {
    Understood: _Turn.understood,
    Dropped: _Turn.dropped,
    DeskUp: _Turn.desk_up,
    DeskDown: _Turn.desk_down,
    GatewayBeat: _Turn.gateway_beat,
    SetPresence: _Turn.presence,
    Accept: _Turn.accept,
    Reject: _Turn.reject,
    Reply: _Turn.reply,
    CloseCase: _Turn.close,
    Resync: _Turn.resync,
    Sending: _Turn.sending,
    Published: _Turn.published,
    Tick: _Turn.tick,
    Takeover: _Turn.takeover,
}


def view(case: Case) -> CaseView:
    """Return a case as its rep sees it."""
    return CaseView(
        case_id=case.case_id,
        brand_id=case.brand_id,
        platform=case.platform,
        state=case.state,
        version=case.version,
        triage=case.triage,
        addressed=case.addressed,
        labels=case.labels,
        influence=case.influence,
        author=case.author,
        received_at=case.received_at,
        due_at=case.due_at,
        thread=case.thread,
        also=case.also,
        why=case.why,
        offer=case.offer.offer if case.offer is not None else "",
        expires_at=case.offer.expires_at if case.offer is not None else 0,
        permalink=case.permalink,
        reply_until=case.reply_until,
    )


def _pages(held: Sequence[CaseView]) -> list[tuple[CaseView, ...]]:
    """Cut a desk's cases into pages, none of which is too large a record; nothing held is one empty page."""
    pages: list[tuple[CaseView, ...]] = [()]
    size = 0
    for one in held:
        more = len(_encode(one))
        if pages[-1] and (len(pages[-1]) == SNAPSHOT_PAGE or size + more > SNAPSHOT_BYTES):
            pages.append(())
            size = 0
        pages[-1] = (*pages[-1], one)
        size += more
    return pages


def _entry_of(work: Understood) -> Entry:
    return Entry(
        id=work.post.id, at=work.post.received_at, by="customer", text=work.post.text, uri=work.post.object_uri
    )


def _unanswered(case: Case) -> int:
    """Return the customer's posts since the last answer."""
    since = takewhile(lambda entry: entry.by == "customer", reversed(case.thread))
    return sum(1 for _ in since)


def _was_answered(case: Case) -> bool:
    return any(entry.by == "rep" and entry.status == "sent" for entry in case.thread)


def _code(work: Any, mine: bool) -> ErrorCode:
    if isinstance(work, Accept | Reject):
        return "version_conflict" if mine else "offer_gone"
    return "version_conflict" if mine else "not_owner"
