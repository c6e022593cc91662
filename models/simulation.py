"""
The same rules in virtual time: requests, reps and hours in; who waited how long out.

Queues, routing and due times are those of the engine (``models.queues``, ``models.routing``, ``models.sla``). What happens
between is simplified: a rep takes what is offered at once, works on it for as long as it was drawn, and is free again.
"""

import heapq
from collections.abc import Callable, Mapping, Sequence
from itertools import count
from typing import Any, Final, Literal, Protocol

from msgspec import Struct

from models.arrivals import Request
from models.brands import ServiceLevel
from models.labels import Triage, at_least
from models.queues import Waiting
from models.reps import RepProfile
from models.routing import Ranked, Seat, choose_seat, ranked
from models.sla import OpenHours, promise_due_at
from models.triage import final_triage

PLATFORM: Final = "simulation"
DAY_MS: Final = 86_400_000
NOTHING_PROMISED_MS: Final = DAY_MS  # As on the floor: where nothing is promised, a day orders the queue.
RUNS_ON_MAX_MS: Final = 30 * DAY_MS  # What is not served a month after the last arrival never will be.

Span = tuple[int, int]
"""A shift: from, to, Unix ms."""
End = Literal["answered", "given_up", "left_over", "taken_for_spam"]
"""What the classifier takes for spam is counted and never answered, as in dispatch."""


class Line(Protocol):
    """What waits, in some order: the engine's queues, or those of another rule to compare with."""

    def __len__(self) -> int:
        """Return how many wait."""

    def add(self, one: Waiting) -> None:
        """Let a case wait."""

    def remove(self, case_id: str) -> None:
        """Take a case out that is not served."""

    def take(
        self, now: int, seat_of: Callable[[Waiting], Seat | None], free: Sequence[str] | None
    ) -> tuple[Waiting, Seat, Any] | None:
        """Take the case that goes next, of those that somebody can take; None if there is none."""


class Floor(Struct, frozen=True):
    """Who is there, and what is promised."""

    reps: tuple[RepProfile, ...]
    shifts: Mapping[str, tuple[Span, ...]]
    """By rep, sorted, none overlapping; a rep finishes what is in work when a shift ends."""
    levels: Mapping[str, ServiceLevel]
    """By brand."""
    hours: Mapping[str, OpenHours]
    """By brand."""


class Served(Struct, gc=False):
    """What became of a request."""

    request: Request
    due_at: int
    """By its true triage: promises are judged by it."""
    end: End = "left_over"
    taken_at: int = 0
    """When a rep took it up, Unix ms; 0 if nobody did."""
    ended_at: int = 0
    """When the answer was out, or the customer gave up."""
    rep_id: str = ""
    posts: int = 1
    """Those of the customer until then."""


class Outcome(Struct, frozen=True):
    """One run."""

    served: list[Served]
    """In the order of arrival."""
    busy_ms: int
    """Of all reps."""
    staffed_ms: int
    """Time on shift until the last arrival, times capacity."""
    decisions: int
    queued_max: int


_DONE, _SHIFT, _GIVE_UP, _REPEAT = range(4)


class Run:
    """One run of one line over one stream of requests."""

    def __init__(self, floor: Floor, line: Line) -> None:
        self._floor = floor
        self._line = line
        self._seats: dict[str, Seat] = {}
        self._all = {rep.id: Seat(profile=rep) for rep in floor.reps}
        self._free: dict[str, None] = {}
        self._ranked: dict[tuple[str, str, str], Ranked] = {}
        self._events: list[tuple[int, int, int, Any]] = []
        self._number = count()
        self._waiting: dict[int, Waiting] = {}
        self._now = 0
        self._decisions = 0
        self._queued_max = 0
        self._busy_ms = 0

    def go(self, requests: Sequence[Request]) -> Outcome:
        """
        Serve all requests; what cannot be served within a month of the last arrival is left over.

        Args:
            requests: In the order of their times.
        """
        if not requests:
            raise ValueError("no requests to simulate; wanted at least one")
        served = [Served(request=one, due_at=self._due_at(one, one.triage, one.at)) for one in requests]
        self._plan(requests)
        ends = requests[-1].at + RUNS_ON_MAX_MS
        coming = iter(served)
        nxt = next(coming, None)
        while nxt is not None or (self._events and (self._waiting or self._is_busy())):
            if nxt is not None and (not self._events or nxt.request.at <= self._events[0][0]):
                self._now = nxt.request.at
                self._arrive(nxt)
                nxt = next(coming, None)
                continue
            at, kind, _, what = heapq.heappop(self._events)
            if at > ends:
                break
            self._now = at
            self._happen(kind, what)
        return Outcome(
            served=served,
            busy_ms=self._busy_ms,
            staffed_ms=self._staffed_ms(requests[0].at, requests[-1].at),
            decisions=self._decisions,
            queued_max=self._queued_max,
        )

    def _is_busy(self) -> bool:
        return any(seat.held_units for seat in self._all.values())

    def _plan(self, requests: Sequence[Request]) -> None:
        """Note every coming and going; who is there at the first arrival sits down now."""
        self._now = requests[0].at
        for rep in self._floor.reps:
            for from_at, to_at in self._floor.shifts.get(rep.id, ()):
                if to_at <= self._now:
                    continue
                if from_at <= self._now:
                    self._sit(rep.id)
                else:
                    self._later(from_at, _SHIFT, (rep.id, True))
                self._later(to_at, _SHIFT, (rep.id, False))

    def _staffed_ms(self, low: int, high: int) -> int:
        total = 0
        for rep in self._floor.reps:
            spans = self._floor.shifts.get(rep.id, ())
            total += rep.capacity * sum(max(0, min(to_at, high) - max(from_at, low)) for from_at, to_at in spans)
        return total

    def _later(self, at: int, kind: int, what: Any) -> None:
        heapq.heappush(self._events, (at, kind, next(self._number), what))

    # -- what happens

    def _happen(self, kind: int, what: Any) -> None:
        if kind == _DONE:
            self._done(*what)
        elif kind == _SHIFT:
            self._come_or_go(*what)
        elif kind == _GIVE_UP:
            self._give_up(what)
        elif kind == _REPEAT:
            self._repeat(what)

    def _arrive(self, served: Served) -> None:
        request = served.request
        if request.seen == "spam":
            served.end = "taken_for_spam"
            return
        one = self._as_waiting(served, request.seen)
        if not len(self._line):  # As in dispatch: where nobody waits, a free rep gets it without a queue.
            seat = self._seat_of(one)
            if seat is not None:
                self._take(one, seat)
                return
        self._line.add(one)
        self._waiting[request.id] = one
        self._queued_max = max(self._queued_max, len(self._line))
        if request.patience_ms:
            self._later(request.at + request.patience_ms, _GIVE_UP, served)
        for after_ms in request.repeats_ms:
            self._later(request.at + after_ms, _REPEAT, served)
        self._match()

    def _as_waiting(self, served: Served, triage: Triage) -> Waiting:
        request = served.request
        return Waiting(
            id=str(request.id),
            key=(triage, request.brand_id, request.language),
            triage=triage,
            received_at=request.at,
            due_at=self._due_at(request, triage, request.at),
            weight=request.weight,
            what=served,
        )

    def _due_at(self, request: Request, triage: Triage, received_at: int) -> int:
        brand_id = request.brand_id
        due = promise_due_at(
            self._floor.levels[brand_id], "first_answer", triage, PLATFORM, received_at, self._floor.hours[brand_id]
        )
        return received_at + NOTHING_PROMISED_MS if due is None else due

    def _done(self, rep_id: str) -> None:
        seat = self._all[rep_id]
        seat.held_units -= 1
        seat.idle_since = self._now
        if rep_id in self._seats:
            self._free[rep_id] = None
            self._match()

    def _come_or_go(self, rep_id: str, comes: bool) -> None:
        if comes:
            self._sit(rep_id)
        else:
            self._ranked.clear()
            self._seats.pop(rep_id, None)
            self._free.pop(rep_id, None)
        # All who come at this moment sit down before anything is offered to one of them.
        if not (self._events and self._events[0][:2] == (self._now, _SHIFT)):
            self._match()

    def _sit(self, rep_id: str) -> None:
        seat = self._all[rep_id]
        self._ranked.clear()
        self._seats[rep_id] = seat
        if seat.held_units < seat.profile.capacity:
            self._free[rep_id] = None

    def _give_up(self, served: Served) -> None:
        one = self._waiting.pop(served.request.id, None)
        if one is not None:
            self._line.remove(one.id)
            served.end, served.ended_at = "given_up", self._now

    def _repeat(self, served: Served) -> None:
        """The customer writes again: the triage may rise, by the same rule as in dispatch."""
        one = self._waiting.get(served.request.id)
        if one is None:
            return
        triage, _ = final_triage(one.triage, unanswered=served.posts, reply_until=None, now=self._now)
        served.posts += 1
        if triage != one.triage:
            raised = self._as_waiting(served, at_least(one.triage, triage))
            self._line.remove(one.id)
            self._line.add(raised)
            self._waiting[served.request.id] = raised
            self._match()

    # -- matching

    def _match(self) -> None:
        while self._free and len(self._line):
            found = self._line.take(self._now, self._seat_of, tuple(self._free))
            if found is None:
                return
            self._take(found[0], found[1])

    def _seat_of(self, one: Waiting) -> Seat | None:
        request: Request = one.what.request
        kind = (request.language, request.subject, request.brand_id)
        able = self._ranked.get(kind)
        if able is None:
            able = self._ranked[kind] = ranked(self._seats.values(), *kind)
        return choose_seat(able)

    def _take(self, one: Waiting, seat: Seat) -> None:
        served: Served = one.what
        request = served.request
        self._decisions += 1
        self._waiting.pop(request.id, None)
        seat.held_units += 1
        seat.idle_since = self._now
        if seat.held_units >= seat.profile.capacity:
            self._free.pop(seat.profile.id, None)
        self._busy_ms += request.handling_ms
        served.end, served.rep_id = "answered", seat.profile.id
        served.taken_at, served.ended_at = self._now, self._now + request.handling_ms
        self._later(served.ended_at, _DONE, (seat.profile.id,))
