"""Time passes and partitions change hands: what lapses, lapses; figures are told; a new owner begins its epoch."""

import heapq
from collections import Counter
from typing import Final

from msgspec.structs import replace

from agents.dispatch.answers import published
from agents.dispatch.commands import end, take_up
from agents.dispatch.desks import set_presence, snapshot
from agents.dispatch.incidents import pass_time
from agents.dispatch.moves import inform, moved
from agents.dispatch.offers import match, requeue, revoke, show
from agents.dispatch.presence import end_wrapups
from agents.dispatch.promises import tell_promises
from agents.dispatch.turn import DAY_MS, Turn
from agents.dispatch.viewing import end_views
from agents.floor import without_connection
from models import cases
from models.cases import Case, CaseState, holder_of, is_in_hand
from models.records import Clock, Gauges, Published, Takeover, Tick
from tables.reps import RepRow, rep_key

ABANDONED_MS: Final = 10 * 60_000  # A case in work stays this long with a rep who is gone: a lunch, not a shift.
UNREPORTED_MS: Final = DAY_MS
"""After it nobody can tell what became of an answer: the outbox tries for a quarter of an hour and may have stood still."""
SILENT_MS: Final = 7 * DAY_MS
"""A customer who has not written for so long has no question any more; what comes later opens a case of its own."""
RESTING_MAX: Final = 500  # Cases that lapse at one tick: after a week's standstill all at once would hold up the loop.


def tick(turn: Turn, work: Tick) -> None:
    """A second has passed: what lapses lapses, and figures are told."""
    _expire_offers(turn)
    _lose_desks(turn)
    _end_rests(turn)
    _end_states(turn)
    _close_windows(turn)
    end_wrapups(turn)
    end_views(turn)
    _forget_closed(turn)
    tell_promises(turn)
    pass_time(turn)
    turn.floor.authors.forget_silent(turn.now)
    for tenant in [tenant for tenant, count in turn.floor.waiting.items() if count]:
        match(turn, tenant)
    if turn.offset == turn.last_tick:
        _gauges(turn)
    turn.event(f"p{turn.part.number}", Clock(at=turn.now, src=turn.src()))


def _expire_offers(turn: Turn) -> None:
    if not turn.part.ready:
        return
    heap = turn.floor.offers
    while heap and heap[0][0] <= turn.now:
        _, offer, case_id = heapq.heappop(heap)
        case = turn.floor.open.get(case_id)
        if case is not None and case.offer is not None and case.offer.offer == offer:
            requeue(turn, case, "expired")


def _lose_desks(turn: Turn) -> None:
    """Leases and graces; they began anew at the takeover."""
    if not turn.part.ready:
        return
    for row in list(turn.floor.reps.values()):
        if row.connections:
            row = _without_dead_gateways(turn, row)
        if not row.connections:
            _lose(turn, row)
    turn.floor.forget_beats(turn.now - turn.rules.lease_ms)


def _lose(turn: Turn, row: RepRow) -> None:
    """
    A rep without a desk goes offline after a grace, and gives up what is in work some minutes later.

    That is looked at again at every tick: an answer that fails puts its case back into the hands of a rep who may be
    gone for long by then.
    """
    holds = bool(turn.floor.held.get(rep_key(row.tenant, row.rep_id)))
    if row.presence == "offline" and not holds:
        return
    if row.lost_at == 0:  # Known by a command alone: no connection was ever noted.
        turn.floor.save_rep(replace(row, lost_at=turn.now))
        return
    gone_ms = turn.now - row.lost_at
    if row.presence != "offline" and gone_ms >= turn.rules.grace_ms:
        set_presence(turn, row, "offline")
    if holds and gone_ms >= ABANDONED_MS:
        for case in turn.floor.held_by(row.tenant, row.rep_id):
            if _is_abandoned(case):
                requeue(turn, case, "lost")


def _is_abandoned(case: Case) -> bool:
    """
    Whether a case is left behind by a rep who has gone.

    One that was laid aside until a time waits for it, and so does one whose answer waits for a second person.
    """
    return case.state in ("offered", "working") or (case.state == "held" and not case.until)


def _end_states(turn: Turn) -> None:
    """States that end by themselves: holds, transfers that nobody takes, talks that have gone idle."""
    if not turn.part.ready:
        return
    heap = turn.floor.ends
    while heap and heap[0][0] <= turn.now:
        until, case_id = heapq.heappop(heap)
        case = turn.floor.open.get(case_id)
        if case is not None and case.until == until:
            _end_state(turn, case)


def _end_state(turn: Turn, case: Case) -> None:
    match case.state:
        case "held":
            take_up(turn, case)
        case "forwarded":
            back = cases.unclaimed(case)
            turn.floor.save(case, back)
            moved(turn, back, "unclaimed", to=case.target)
        case "awaiting_customer":
            idle = cases.freed(case)
            turn.floor.save(case, idle)
            revoke(turn, idle, case.rep_id, "answered")
        case _:  # Offered to whom it was handed to: it is looked at again when the offer lapses.
            pass


def _close_windows(turn: Turn) -> None:
    """Tell who holds a case that its platform takes no answer any more."""
    if not turn.part.ready:
        return
    heap = turn.floor.windows
    while heap and heap[0][0] < turn.now:
        until, case_id = heapq.heappop(heap)
        case = turn.floor.open.get(case_id)
        if case is None or case.reply_until != until or case.window_told:
            continue
        turn.floor.save(case, replace(case, window_told=True))
        if case.awaits_answer and is_in_hand(case):  # Who takes it later sees it in the offer.
            inform(turn, case.tenant, holder_of(case), "window_closed", case_id)


def _end_rests(turn: Turn) -> None:
    """What waits for somebody outside does so for a while: for a platform's word, for a customer's."""
    if not turn.part.ready:
        return
    for case in _rested(turn, "answered", UNREPORTED_MS) + _rested(turn, "automatic", UNREPORTED_MS):
        _give_up(turn, case)
    for case in _rested(turn, "awaiting_customer", SILENT_MS):
        end(turn, case, case.rep_id)


def _give_up(turn: Turn, case: Case) -> None:
    """Nobody has told what became of a case's answers: it goes back to its rep, who may look."""
    error = "nobody has told what became of it"
    for entry in case.thread:
        if entry.status in cases.UNDER_WAY:
            published(turn, Published(turn.now, case.tenant, case.case_id, entry.id, "unknown", error=error))
    left = turn.floor.open.get(case.case_id)
    if left is not None and left.state == "answered":  # Its answer has left the thread.
        back = cases.unpublished(left)
        turn.floor.save(left, back)
        show(turn, back)


def _rested(turn: Turn, state: CaseState, for_ms: int) -> list[Case]:
    return turn.floor.resting_since(state, turn.now - for_ms, RESTING_MAX)


def _without_dead_gateways(turn: Turn, row: RepRow) -> RepRow:
    for one in row.connections:
        beat = turn.floor.beats.get((row.tenant, one.gateway))
        if beat is not None and turn.now - beat > turn.rules.lease_ms:
            row = without_connection(row, one.connection, turn.now)
            turn.floor.save_rep(row)
    return row


def _forget_closed(turn: Turn) -> None:
    closed = turn.floor.closed
    while closed and closed[0][0] < turn.now - turn.rules.closed_keep_ms:
        closed_at, case_id = closed.popleft()
        case = turn.floor.case(case_id)
        if case is not None and case.state == "closed" and case.closed_at == closed_at:
            turn.floor.forget(case)


def _gauges(turn: Turn) -> None:
    figures = turn.floor.dues.tell(turn.now, turn.floor.open)
    warned = Counter(turn.floor.warned.values())
    presence = {tenant: turn.floor.presence(tenant) for tenant in {key[0] for key in turn.floor.counts}}
    for key, counts in turn.floor.counts.items():
        tenant, brand_id = key
        turn.event(
            tenant,
            Gauges(
                at=turn.now,
                src=turn.src(),
                tenant=tenant,
                brand_id=brand_id,
                queued=turn.floor.queued_by_triage(counts),
                offered=counts["offered"],
                working=sum(counts[state] for state in ("working", "answered", "held", "awaiting_approval")),
                awaiting_customer=counts["awaiting_customer"],
                due_soon=figures.soon.get(key, 0),
                late=figures.late.get(key, 0),
                warned=warned[key],
                oldest_at=figures.oldest.get(key, 0),
                reps=presence[tenant],
                automatic=counts["automatic"],
                incidents=turn.floor.incidents.lines(key, turn.now),
                held=counts["held"],
                awaiting_approval=counts["awaiting_approval"],
            ),
        )


def takeover(turn: Turn, work: Takeover) -> None:
    """A new owner: its epoch begins with the snapshots of all desks, made from the rows."""
    turn.progress.epoch = turn.offset
    turn.floor.seqs.clear()
    turn.part.ready = bool(turn.part.token) and work.owner == turn.part.token
    if not turn.part.ready:
        return
    for row in list(turn.floor.reps.values()):
        for one in row.connections:
            turn.floor.beats[row.tenant, one.gateway] = turn.now
        if row.lost_at and (row.presence != "offline" or turn.floor.held.get(rep_key(row.tenant, row.rep_id))):
            turn.floor.save_rep(replace(row, lost_at=turn.now))
        if row.connections or row.presence != "offline":
            snapshot(turn, row.tenant, row.rep_id, "")
    for tenant in [tenant for tenant, count in turn.floor.waiting.items() if count]:
        match(turn, tenant)
