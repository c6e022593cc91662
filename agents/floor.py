"""
The floor of one partition: what dispatch keeps in memory of its rows.

Everything here is derived: queues, loads, due times and conversations are rebuilt from the rows when a partition arrives, so
nothing can disagree with a decision for longer than a rebuild. Sequence numbers, beats of gateways and ids of posts without
a case live here alone; a takeover begins them anew.
"""

import heapq
from collections import Counter, OrderedDict, deque
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from agents.authors import Authors
from agents.incidents import Incidents
from models.brands import FORWARD_S, Brand, Tenant
from models.cases import MINE, WAITING, Case, CaseState, holder_of, is_in_hand, was_answered
from models.dues import Dues
from models.incidents import is_due
from models.influence import cost_factor
from models.labels import TRIAGES, Classification, Triage
from models.priority import DEFAULT, Order, Why
from models.promises import Promises, answer_promise, answered, awaiting_answer, awaiting_customer, next_at, reopened
from models.queues import ClassQueues, Waiting
from models.reps import (
    AS_EVER,
    PRESENT,
    RepProfile,
    Team,
    WideningStep,
    WorkKind,
    groups_of,
    kind_of,
    step_at,
)
from models.routing import Able, Room, Seat, has_room, language_asked, ranked, spoken_by
from models.sla import OpenHours, open_hours
from streams.carry import Part
from tables.cases import CASES
from tables.reps import REPS, RepRow, rep_key

SEEN_MAX: Final = 500_000  # Post ids of a partition kept in memory: 72 hours at two a second.
RANKED_MAX: Final = 10_000  # Kinds of case whose seats are remembered; each is made anew in 20 us and more.
RANKED_SEATS_MAX: Final = 1_000_000  # Of all of these kinds together, at about 130 bytes.
LISTED_MAX: Final = 500  # Cases looked at for a list of 50: the longest in the pool, whatever else waits.
VIEWERS_MAX: Final = 8  # Of one case: beyond it nobody reads who else is there.
NOTHING: Final[frozenset[str]] = frozenset()
NOTHING_PROMISED_MS: Final = 24 * 3_600_000  # Where a brand promises nothing, a day orders the queue.

ClassKey = tuple[str, Triage, str, str]
"""Tenant, triage, brand, and what else routing asks for: cases of one class differ only by their age."""


class BrandRules(Struct, frozen=True):
    """A brand with its service hours built."""

    brand: Brand
    hours: OpenHours

    def awaiting_answer(self, case: Case, *, first: bool) -> Case:
        """Give a case that awaits an answer its promises and due time, by its triage and ``received_at``."""
        promises = awaiting_answer(
            case.promises,
            self.brand.service_level,
            self.hours,
            case.triage,
            case.platform,
            case.received_at,
            first=first,
        )
        if promises == case.promises:
            promises = case.promises  # The same tuple says that there is nothing new to watch for.
        return replace(case, promises=promises, due_at=due_by(promises, case.received_at, case.reply_until))

    def opening(self, triage: Triage, platform: str, received_at: int, reply_until: int | None) -> tuple[Promises, int]:
        """Return the promises and the due time of a case that is opened now; as ``awaiting_answer``, before it is made."""
        promises = awaiting_answer((), self.brand.service_level, self.hours, triage, platform, received_at, first=True)
        return promises, due_by(promises, received_at, reply_until)

    def awaiting_customer(self, case: Case, now: int) -> Case:
        """Pause what is promised while the customer is awaited."""
        return replace(case, promises=awaiting_customer(case.promises, now, self.hours))


def due_by(promises: Promises, received_at: int, reply_until: int | None) -> int:
    """Return when a case that awaits an answer is due, Unix ms."""
    answer = answer_promise(promises)
    due_at = received_at + NOTHING_PROMISED_MS if answer is None else answer.due_at
    # Past it the platform takes no answer, whatever is promised.
    if reply_until is not None and reply_until > received_at:
        return min(due_at, reply_until)
    return due_at


class House:
    """All tenants with their rules; the same for every partition."""

    def __init__(self, tenants: tuple[Tenant, ...]) -> None:
        self.tenants = {tenant.id: tenant for tenant in tenants}
        self.brands = {
            (tenant.id, brand.id): BrandRules(brand, open_hours(brand.hours))
            for tenant in tenants
            for brand in tenant.brands
        }
        self._text_max = {
            (tenant.id, account.id): account.text_max for tenant in tenants for account in tenant.accounts
        }
        self.profiles = {(tenant.id, rep.id): rep for tenant in tenants for rep in tenant.reps}
        self.teams: dict[str, dict[str, Team]] = {
            tenant.id: {team.id: team for team in tenant.teams} for tenant in tenants
        }
        self.listed = {tenant.id: _listed(tenant) for tenant in tenants}
        """Kinds of skill that reps of a tenant list; of others it makes no difference what a case asks."""
        self.spoken = {
            (tenant.id, brand.id): spoken_by(tenant.reps, brand.id) for tenant in tenants for brand in tenant.brands
        }
        """Languages that reps of a brand list; None where one of them speaks all."""
        self.asks = {tenant.id: _asks(tenant) for tenant in tenants}
        """Kinds of skill beside language and brand that cases of a tenant are told apart by."""

    def order(self, tenant: str) -> Order:
        """Return the parameters of a tenant's order."""
        known = self.tenants.get(tenant)
        return known.order if known is not None else DEFAULT

    def language_of(self, tenant: str, brand_id: str, labels: Classification) -> str:
        """Return the language that a post asks of reps."""
        return language_asked(labels, self.spoken.get((tenant, brand_id)))

    def waiting(self, case: Case) -> Waiting:
        """Return a case as its queue sees it."""
        key = class_of(
            case, self.language_of(case.tenant, case.brand_id, case.labels), self.asks.get(case.tenant, frozenset())
        )
        rules = self.brands.get((case.tenant, case.brand_id))
        weight = weight_of(case, rules.brand if rules else None)
        return Waiting(case.case_id, key, case.triage, case.received_at, case.due_at, weight, case)

    def profile(self, tenant: str, rep_id: str) -> RepProfile:
        """Return a rep's profile; one who is not in the configuration came by token and has no skills listed."""
        return self.profiles.get((tenant, rep_id)) or RepProfile(id=rep_id, name=rep_id)

    def text_max(self, tenant: str, account_id: str) -> int:
        """Return how many code points an answer of an account may have; 0: no bound that we know."""
        return self._text_max.get((tenant, account_id), 0)

    def groups(self, tenant: str, rep_id: str) -> frozenset[str]:
        """Return the targets of a transfer that reach a rep."""
        return groups_of(self.profile(tenant, rep_id), self.teams.get(tenant, {}))

    def kind_of(self, tenant: str, platform: str, visibility: str) -> WorkKind:
        """Return the kind of work that a case is."""
        known = self.tenants.get(tenant)
        return kind_of(known.kinds if known is not None else (), platform, visibility)

    def kind(self, case: Case) -> WorkKind:
        """Return the kind of work that a case was opened as, as it is configured now."""
        known = self.tenants.get(case.tenant)
        kinds = known.kinds if known is not None else ()
        return next((kind for kind in kinds if kind.id == case.kind), WorkKind(case.kind, units=case.units))

    def widening(self, tenant: str) -> tuple[WideningStep, ...]:
        """Return the steps by which more reps come into question."""
        known = self.tenants.get(tenant)
        return known.widening if known is not None else AS_EVER

    def steps_ms(self, tenant: str) -> tuple[float, ...]:
        """Return after which waits these steps begin, the first at 0."""
        return tuple(step.after_s * 1000 for step in self.widening(tenant))

    def forward_ms(self, tenant: str) -> int:
        """Return how long a transfer waits for whom it was handed to."""
        known = self.tenants.get(tenant)
        return round((known.forward_s if known is not None else FORWARD_S) * 1000)

    def prioritised(self, case: Case, triage: Triage) -> Case:
        """Return a case with another triage; while its customer waits, its promises follow, and never later."""
        rules = self.brands.get((case.tenant, case.brand_id))
        if triage == case.triage or rules is None or not case.awaits_answer:
            return replace(case, triage=triage)
        return rules.awaiting_answer(replace(case, triage=triage), first=not was_answered(case))

    def due_again(self, case: Case, since: int) -> Case:
        """Return a case of which an answer is awaited since then, what went before being answered."""
        case = replace(case, received_at=since, awaits_answer=True, promises=answered(case.promises))
        rules = self.brands.get((case.tenant, case.brand_id))
        return case if rules is None else rules.awaiting_answer(case, first=not was_answered(case))

    def at_rest(self, case: Case, since: int, until: int) -> Case:
        """Return a case that rested from its end until it was opened again: its promises stood still."""
        rules = self.brands.get((case.tenant, case.brand_id))
        return case if rules is None else replace(case, promises=reopened(case.promises, since, until, rules.hours))

    def is_target(self, tenant: str, target: str) -> bool:
        """Whether there is a team, department or site of this name."""
        kind, _, name = target.partition(":")
        teams = self.teams.get(tenant, {}).values()
        match kind:
            case "team":
                return name in self.teams.get(tenant, {})
            case "department":
                return any(team.department == name for team in teams)
            case "site":
                return any(team.site == name for team in teams)
        return False


class Viewing(Struct, frozen=True):
    """Somebody looks at a case, for as long as it is said again."""

    rep_id: str
    connection: str
    until: int


def _asks(tenant: Tenant) -> frozenset[str]:
    """Return what beside language and brand decides who may get a case: subjects if a step asks, platforms if a rep lists."""
    stepwise = {kind for step in tenant.widening for kind in step.levels}
    return _listed(tenant) & stepwise & {"subject", "platform"}


def _listed(tenant: Tenant) -> frozenset[str]:
    return frozenset(name.partition(":")[0] for rep in tenant.reps for name in rep.skills)


class Floor:
    """Indexes over the rows of one partition."""

    def __init__(self, part: Part, house: House) -> None:
        self._part = part
        self.house = house
        self.open: dict[str, Case] = {}
        self.by_conversation: dict[tuple[str, str], str] = {}
        """The open case of each conversation."""
        self.seen: OrderedDict[str, int] = OrderedDict()
        """
        When each post was noted, Unix ms. In a plain dict the oldest is sought behind the places of all that have left: beyond
        the bound that took 70 us a post.
        """
        self.reps: dict[str, RepRow] = {}
        self.seats: dict[str, dict[str, Seat]] = {}
        """Available reps by tenant and id."""
        self.held: dict[str, dict[str, None]] = {}
        """Cases in the hands of a rep, by key."""
        self.queues: dict[str, ClassQueues] = {}
        """What waits, by tenant."""
        self.rooms: dict[str, Room] = {}
        """Who of these has room, by tenant; each knows all reps that are configured."""
        self.units: dict[str, Counter[str]] = {}
        """Units that these take, by kind of work."""
        self.pool: dict[str, dict[str, None]] = {}
        """Waiting cases by tenant, those first that have come into the pool first."""
        self.forwarded: dict[str, None] = {}
        """Cases that wait for whom they were handed to."""
        self.approvals: dict[str, None] = {}
        """Cases whose answer waits for a second person."""
        self.ends: list[tuple[int, str]] = []
        """Heap of (until, case id): states that end by themselves."""
        self.windows: list[tuple[int, str]] = []
        """Heap of (reply_until, case id): until when platforms take answers."""
        self.closed_in: dict[tuple[str, str], dict[str, None]] = {}
        """Closed cases of each conversation, the latest last."""
        self.done: dict[str, float] = {}
        """Reps who have given something out of their hands in this record, with the seconds of wrap-up that it earns them."""
        self.viewing: dict[str, dict[str, Viewing]] = {}
        """Who looks at a case, by case and connection; kept here alone, like beats."""
        self.changed: dict[str, None] = {}
        """Cases that somebody looks at and that this record has changed."""
        self.waiting: Counter[str] = Counter()
        """Waiting cases by tenant."""
        self._ranked: dict[tuple[str, str, str, str, str, str, int], Able] = {}
        """Who suits what a case asks for, the best first; thrown away when a rep comes who was not known."""
        self.offers: list[tuple[int, str, str]] = []
        """Heap of (expires_at, offer, case id)."""
        self.notices: list[tuple[int, str]] = []
        """Heap of (when something is to be told of a promise, case id); an entry is dead unless the case says so too."""
        self.warned: dict[str, tuple[str, str]] = {}
        """Open cases that were warned of and are not late yet: case id -> tenant and brand."""
        self.resting: dict[CaseState, dict[str, int]] = {"answered": {}, "awaiting_customer": {}, "automatic": {}}
        """Cases that wait for somebody outside: case id -> when their thread last grew, the longest resting first."""
        self.closed: deque[tuple[int, str]] = deque()
        """(closed_at, case id), oldest first."""
        self.counts: dict[tuple[str, str], Counter[str]] = {}
        """Open cases by brand: by state, and queued:<triage>; all brands of the tenants that have rows are listed."""
        self.seqs: Counter[str] = Counter()
        self.beats: dict[tuple[str, str], int] = {}
        self.dues = Dues()
        self.decisions = 0
        self.incidents = Incidents(part, {key: rules.brand for key, rules in house.brands.items()})
        self.authors = Authors(part, house.tenants)
        self._load()

    def _load(self) -> None:
        closed: list[tuple[int, str, tuple[str, str]]] = []
        social: list[Case] = []
        for key, row in self._part.rows.all(REPS):
            self.reps[key] = row
            self._count_brands(row.tenant)
            self._seat(row)
        for case_id, case in self._part.rows.all(CASES):
            self._count_brands(case.tenant)
            for post_id in case.seen:
                self.seen[f"{case.tenant}|{post_id}"] = case.received_at
            if case.state == "closed":
                closed.append((case.closed_at, case_id, (case.tenant, case.conversation_uri)))
            else:
                self._enter(case)
                self.dues.change(case_id)
            if case.sketch or case.incident_id or any(entry.by == "bot" for entry in case.thread):
                social.append(case)
        self.incidents.load(social)
        for closed_at, case_id, conversation in sorted(closed):
            self.closed.append((closed_at, case_id))
            self.closed_in.setdefault(conversation, {})[case_id] = None
        for state, since in self.resting.items():
            self.resting[state] = dict(sorted(since.items(), key=lambda one: (one[1], one[0])))

    def _count_brands(self, tenant: str) -> None:
        """List a tenant's brands among the counts: a figure that has fallen to 0 must be told as well."""
        known = self.house.tenants.get(tenant)
        for brand in known.brands if known is not None else ():
            self.counts.setdefault((tenant, brand.id), Counter())

    # -- cases

    def save(self, old: Case | None, new: Case) -> None:
        """Write a case's row and bring all that is derived from it up to date."""
        self._part.rows.set(CASES, new.case_id, new)
        self.dues.change(new.case_id)
        was_open = old is not None and old.state != "closed"
        if old is not None and was_open:
            self._leave(old)
            if old.state in MINE and new.state in ("awaiting_customer", "closed"):
                self._finish(old)
        if new.state != "closed":
            self._enter(new, old)
        elif old is None or was_open:
            self._end(new)
        if new.incident_id or (old is not None and old.incident_id):
            self.incidents.follow(old, new)
        if new.case_id in self.viewing:
            self.changed[new.case_id] = None

    def _finish(self, case: Case) -> None:
        """Note that a rep is done with a case."""
        key = rep_key(case.tenant, holder_of(case))
        self.done[key] = max(self.done.get(key, 0.0), self.house.kind(case).wrapup_s)

    def _end(self, case: Case) -> None:
        self.open.pop(case.case_id, None)
        self._line(case)
        self.closed_in.setdefault((case.tenant, case.conversation_uri), {})[case.case_id] = None
        conversation = (case.tenant, case.conversation_uri)
        if self.by_conversation.get(conversation) == case.case_id:
            del self.by_conversation[conversation]
        self.closed.append((case.closed_at, case.case_id))
        self.warned.pop(case.case_id, None)

    def _enter(self, case: Case, old: Case | None = None) -> None:
        self.open[case.case_id] = case
        self._line(case)
        if old is not None and old.state == "closed":
            old = None  # What was to come of it was let go when it ended.
        if old is None or old.promises is not case.promises:
            self._watch(case)
        if old is None:
            conversation = (case.tenant, case.conversation_uri)
            earlier = self.closed_in.get(conversation)
            if earlier:
                earlier.pop(case.case_id, None)
            self.by_conversation[conversation] = case.case_id
        counts = self.counts.get((case.tenant, case.brand_id))
        if counts is None:
            self._count_brands(case.tenant)
            counts = self.counts.setdefault((case.tenant, case.brand_id), Counter())
        state = case.state
        counts[state] += 1
        if case.until or case.reply_until:
            self._await(case, old)
        if state in WAITING:
            counts["queued:" + case.triage] += 1
            self.waiting[case.tenant] += 1
            pool = self.pool.setdefault(case.tenant, {})
            pool[case.case_id] = None
            if state == "forwarded":
                self.forwarded[case.case_id] = None
            return
        if is_in_hand(case):
            self._hold(case, holds=True)
            if case.offer is not None and (old is None or old.offer != case.offer):
                heapq.heappush(self.offers, (case.offer.expires_at, case.offer.offer, case.case_id))
        if state == "awaiting_approval":
            self.approvals[case.case_id] = None
        if state in self.resting and (state != "automatic" or is_due(case)):
            self.resting[state][case.case_id] = case.thread[-1].at

    def _watch(self, case: Case) -> None:
        """Note when there is something to tell of a case's promises, and whether one is warned of."""
        self.warned.pop(case.case_id, None)
        for promise in case.promises:
            if promise.told == "warned" and not promise.paused_at:
                self.warned[case.case_id] = (case.tenant, case.brand_id)
            at = next_at(promise)
            if at is not None:
                heapq.heappush(self.notices, (at, case.case_id))

    def due_notices(self, now: int, most: int) -> list[Case]:
        """Take at most so many open cases off the heap of which something may be told."""
        found: dict[str, Case] = {}
        heap = self.notices
        while heap and heap[0][0] <= now and len(found) < most:
            case = self.open.get(heapq.heappop(heap)[1])
            if case is not None:
                found[case.case_id] = case
        return list(found.values())

    def _await(self, case: Case, old: Case | None) -> None:
        """Note when the case's state ends by itself, and when its platform takes no answer any more."""
        if case.until and (old is None or (old.until, old.state) != (case.until, case.state)):
            heapq.heappush(self.ends, (case.until, case.case_id))
        if case.reply_until and not case.window_told and (old is None or old.reply_until != case.reply_until):
            heapq.heappush(self.windows, (case.reply_until, case.case_id))

    def _leave(self, case: Case) -> None:
        counts = self.counts[case.tenant, case.brand_id]
        state = case.state
        counts[state] -= 1
        if state in WAITING:
            counts["queued:" + case.triage] -= 1
            self.waiting[case.tenant] -= 1
            del self.pool[case.tenant][case.case_id]
            self.forwarded.pop(case.case_id, None)
            return
        if is_in_hand(case):
            self._hold(case, holds=False)
        self.approvals.pop(case.case_id, None)
        if state in self.resting:
            self.resting[state].pop(case.case_id, None)

    def _hold(self, case: Case, *, holds: bool) -> None:
        rep_id = holder_of(case)
        key = rep_key(case.tenant, rep_id)
        held = self.held.get(key)
        if held is None:
            held = self.held[key] = {}
        units = self.units.get(key)
        if units is None:
            units = self.units[key] = Counter()
        gained = case.units if holds else -case.units
        units[case.kind] += gained
        if holds:
            held[case.case_id] = None
        else:
            del held[case.case_id]
            self.done.setdefault(key, 0.0)
        seats = self.seats.get(case.tenant)
        seat = seats.get(rep_id) if seats else None
        if seat is not None:  # Its units by kind are the very counter.
            seat.held_units += gained
            seat.idle_since = self._part.rows.progress.now
            self.rooms[case.tenant].note(seat)

    def forget(self, case: Case) -> None:
        """Remove a closed case whose time has passed."""
        self._part.rows.delete(CASES, case.case_id)
        if case.incident_id:
            self.incidents.gone(case)
        conversation = (case.tenant, case.conversation_uri)
        others = self.closed_in.get(conversation, {})
        others.pop(case.case_id, None)
        if not others:
            self.closed_in.pop(conversation, None)

    def case(self, case_id: str) -> Case | None:
        """Return a case, open or closed."""
        return self.open.get(case_id) or self._part.rows.get(CASES, case_id)

    def in_conversation(self, tenant: str, conversation_uri: str) -> Case | None:
        """Return the open case of a conversation."""
        case_id = self.by_conversation.get((tenant, conversation_uri))
        return self.open.get(case_id) if case_id is not None else None

    def closed_of(self, tenant: str, conversation_uri: str) -> list[Case]:
        """Return the closed cases of a conversation that are still kept, the latest first."""
        names = self.closed_in.get((tenant, conversation_uri), {})
        found = [self._part.rows.get(CASES, name) for name in reversed(list(names))]
        return [case for case in found if case is not None]

    def _line(self, case: Case) -> None:
        """Let a case wait in its class, or no longer, as its state says; one that only got another text keeps its place."""
        queues = self.queues.get(case.tenant)
        if case.state not in WAITING:
            if queues is not None and case.case_id in queues:
                queues.remove(case.case_id)
            return
        if queues is None:
            queues = self.queues[case.tenant] = ClassQueues(
                self.house.order(case.tenant), self._could_take, self.house.steps_ms(case.tenant)
            )
        queues.add(self.house.waiting(case))

    def _could_take(self, rep_id: str, one: Waiting, step: int) -> bool:
        """Whether a rep suits the class of a case at a step of widening."""
        return rep_id in self._able_at(one.what, step)

    def take_next(self, tenant: str) -> tuple[Case, Seat, Why] | None:
        """Take the case that goes next out of its queue, with who gets it and why; None if nobody free can take any."""
        queues, room = self.queues.get(tenant), self.rooms.get(tenant)
        if not queues or room is None or not room.free:
            return None
        now = self._part.rows.progress.now
        found = queues.take(now, self._seat_of, room.free)
        return None if found is None else (self.open[found[0].id], found[1], found[2])

    def waiting_for(self, tenant: str, rep_id: str) -> Iterator[Case]:
        """Yield what waits at the heads of its classes and suits a rep, the case that goes next first."""
        queues = self.queues.get(tenant)
        for one in queues.in_order(self._part.rows.progress.now, rep_id) if queues else ():
            yield self.open[one.id]

    def _seat_of(self, one: Waiting) -> Seat | None:
        return self.seat_for(self.open[one.id])

    def held_by(self, tenant: str, rep_id: str) -> list[Case]:
        """Return the cases that a rep holds, oldest first."""
        held = [self.open[case_id] for case_id in self.held.get(rep_key(tenant, rep_id), ())]
        return sorted(held, key=lambda case: (case.received_at, case.case_id))

    def resting_since(self, state: CaseState, before: int, most: int) -> list[Case]:
        """Return at most so many of the cases whose thread has not grown since, the longest resting first."""
        found: list[Case] = []
        for case_id, since in self.resting[state].items():
            if since > before or len(found) == most:
                break
            found.append(self.open[case_id])
        return found

    def waiting_in(self, tenant: str) -> Iterable[Case]:
        """Return waiting cases of a tenant, at most 500: those that came into the pool first."""
        return [self.open[case_id] for case_id in islice(self.pool.get(tenant, ()), LISTED_MAX)]

    # -- reps

    def rep(self, tenant: str, rep_id: str) -> RepRow:
        """Return a rep's row, or a new one."""
        return self.reps.get(rep_key(tenant, rep_id)) or RepRow(tenant=tenant, rep_id=rep_id)

    def save_rep(self, row: RepRow) -> None:
        """Write a rep's row."""
        key = rep_key(row.tenant, row.rep_id)
        if key not in self.reps:
            self._count_brands(row.tenant)
        self.reps[key] = row
        self._part.rows.set(REPS, key, row)
        self._seat(row)

    def _seat(self, row: RepRow) -> None:
        seats = self.seats.setdefault(row.tenant, {})
        if (row.presence == "available") == (row.rep_id in seats):
            return
        room = self._room(row.tenant)
        if row.presence != "available":
            del seats[row.rep_id]
            room.leave(row.rep_id)
            return
        seat = seats[row.rep_id] = self.seat_of(row)
        if row.rep_id not in room.known:
            room.know(seat)
            self._ranked.clear()
        room.note(seat)

    def _room(self, tenant: str) -> Room:
        """Return the room of a tenant's reps, and at first tell it of all that are configured."""
        room = self.rooms.get(tenant)
        if room is None:
            room = self.rooms[tenant] = Room()
            configured = self.house.tenants.get(tenant)
            for profile in configured.reps if configured is not None else ():
                room.know(Seat(profile=profile, groups=self.house.groups(tenant, profile.id)))
        return room

    def seat_of(self, row: RepRow) -> Seat:
        """Return a rep's seat as it is now, also that of one who gets no offers."""
        units = self.units.setdefault(rep_key(row.tenant, row.rep_id), Counter())
        return Seat(
            profile=self.house.profile(row.tenant, row.rep_id),
            held_units=units.total(),
            idle_since=row.idle_since,
            kind_units=units,
            groups=self.house.groups(row.tenant, row.rep_id),
        )

    def is_present(self, tenant: str, rep_id: str) -> bool:
        """Whether a rep sits at the desk."""
        return self.rep(tenant, rep_id).presence in PRESENT

    def _able(self, case: Case) -> Able:
        """Return who may get a case by now."""
        widening = self.house.widening(case.tenant)
        if len(widening) == 1:
            return self._able_at(case, 0)
        return self._able_at(case, step_at(widening, self._part.rows.progress.now - case.received_at))

    def _able_at(self, case: Case, step: int) -> Able:
        """Return who may get a case at a step of widening."""
        labels, tenant = case.labels, case.tenant
        listed = self.house.listed.get(tenant, NOTHING)
        subject = labels.subject if "subject" in listed else ""
        platform = case.platform if "platform" in listed else ""
        language = self.house.language_of(tenant, case.brand_id, labels)
        kind = (tenant, language, subject, case.brand_id, platform, case.target, step)
        return self._ranked.get(kind) or self._rank(kind)

    def _rank(self, kind: tuple[str, str, str, str, str, str, int]) -> Able:
        """Make out who suits a kind of case, once."""
        tenant, language, subject, brand_id, platform, target, step = kind
        room = self._room(tenant)
        if len(self._ranked) >= min(RANKED_MAX, RANKED_SEATS_MAX // (len(room.known) + 1)):
            self._ranked.clear()
        levels = self.house.widening(tenant)[step].levels
        seats = ranked(room.known.values(), language, subject, brand_id, platform, levels=levels, target=target)
        able = self._ranked[kind] = Able(seats, room)
        return able

    def seat_for(self, case: Case) -> Seat | None:
        """Return the free seat that gets a case, or None if no able rep is available with room."""
        return self._able(case).choose(case.declined, case.rep_id, case.kind, case.units)

    def is_able(self, row: RepRow, case: Case) -> bool:
        """Whether a case may go to a rep by now, were there room."""
        widening = self.house.widening(case.tenant)
        levels = widening[step_at(widening, self._part.rows.progress.now - case.received_at)].levels
        able = ranked(
            (self.seat_of(row),),
            self.house.language_of(case.tenant, case.brand_id, case.labels),
            case.labels.subject,
            case.brand_id,
            case.platform,
            levels=levels,
            target=case.target,
        )
        return bool(able)

    def fits(self, row: RepRow, case: Case) -> bool:
        """Whether a case fits beside what a rep holds."""
        return has_room(self.seat_of(row), case.kind, case.units)

    def presence(self, tenant: str) -> dict[str, int]:
        """Return how many reps of a tenant stand in each presence."""
        return dict(Counter(row.presence for row in self.reps.values() if row.tenant == tenant))

    # -- posts

    def is_repeat(self, tenant: str, post_id: str, at: int, keep_ms: int) -> bool:
        """Whether a post was seen before; notes it as seen."""
        if f"{tenant}|{post_id}" in self.seen:
            return True
        self.note_seen(tenant, post_id, at, keep_ms)
        return False

    def note_seen(self, tenant: str, post_id: str, at: int, keep_ms: int) -> None:
        """Note that a post was seen."""
        self._remember(f"{tenant}|{post_id}", at, keep_ms)

    def note_changed(self, tenant: str, object_uri: str, at: int, keep_ms: int) -> None:
        """Note that a post was edited or deleted, so that what was made of its first text comes to nothing."""
        self._remember(f"{tenant}|changed|{object_uri}", at, keep_ms)

    def was_changed(self, tenant: str, object_uri: str) -> bool:
        """Whether a post is known to have been edited or deleted."""
        return f"{tenant}|changed|{object_uri}" in self.seen

    def _remember(self, key: str, at: int, keep_ms: int) -> None:
        self.seen[key] = at
        while len(self.seen) > SEEN_MAX:
            self.seen.popitem(last=False)
        if len(self.seen) > 1_000:
            first = next(iter(self.seen))
            if self.seen[first] < at - keep_ms:
                del self.seen[first]

    def forget_beats(self, before: int) -> None:
        """Forget gateways whose lease has ended: they had their connections taken away, and come back with new names."""
        for key in [key for key, at in self.beats.items() if at < before]:
            del self.beats[key]

    # -- figures

    def queued_by_triage(self, counts: Mapping[str, int]) -> dict[str, int]:
        """Return queued cases by triage, only those above 0."""
        return {triage: count for triage in TRIAGES if (count := counts.get("queued:" + triage, 0))}


def class_of(case: Case, language: str, asks: frozenset[str] = frozenset()) -> ClassKey:
    """
    Return the class that a case waits in.

    Args:
        language: That it asks of reps.
        asks: Kinds of skill beside language and brand that cases are told apart by.
    """
    wants = language
    if asks:
        wants += f";{case.labels.subject}" if "subject" in asks else ""
        wants += f";{case.platform}" if "platform" in asks else ""
    if case.kind or case.target:
        wants += f";{case.kind};{case.target}"
    return (case.tenant, case.triage, case.brand_id, wants)


def weight_of(case: Case, brand: Brand | None) -> float:
    """Return how much a case's waiting weighs: by brand, and by influence within the brand's cap."""
    return 1.0 if brand is None else brand.weight * cost_factor(case.influence, brand)


def without_connection(row: RepRow, connection: str, now: int) -> RepRow:
    """Return a rep's row after one connection has ended; the others stand."""
    left = tuple(one for one in row.connections if one.connection != connection)
    if len(left) == len(row.connections):
        return row
    return replace(row, connections=left, lost_at=0 if left else now)
