"""
Class queues: what waits, by class, and which case goes next; only heads are compared.

Each class keeps two heaps by due time: cases that can still be in time, and those that are late. Their heads lie in arrays, a
column a class, so that a decision is a few operations over as many numbers as there are classes, however many cases wait.
``models.priority.first_of`` is the same rule as it reads; the tests hold the two against each other.
"""

import heapq
from collections import Counter
from collections.abc import Callable, Collection, Hashable, Iterator, Sequence
from itertools import count
from typing import Any, Final, TypeVar

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from models.labels import TRIAGE_RANK, Triage
from models.priority import DEFAULT, MINUTE_MS, Head, Order, Stage, Why, is_owed, rush_ms, why_of

S = TypeVar("S")

NEVER: Final = 1 << 60
"""A time that does not come, Unix ms; as a float it is exact."""
COLUMNS_MIN: Final = 64
EMPTY_MAX: Final = 4_096  # Columns of classes without a case that are kept; beyond them all is laid out anew.
GONE_MAX: Final = 1_024  # Dead entries beyond as many as there are cases: what is withdrawn far from the head.
FREE_MAX: Final = 16  # With more free reps than this nearly every class finds one: to ask each would cost more.
REPS_MAX: Final = 20_000  # Reps remembered with the classes they suit and with their decisions.
_FRESH, _LATE = 0, 1
_UNASKED: Final = (0, np.zeros(0, np.bool_))


class Waiting(Struct, gc=False):
    """A case as the queues see it."""

    id: str
    key: Hashable
    """Its class."""
    triage: Triage
    received_at: int
    due_at: int
    weight: float = 1.0
    what: Any = None
    """Whatever the caller wants back."""
    gone: bool = False


Entry = tuple[int, int, str, int, Waiting]
"""Due, received, id and a number of its own: what a heap compares; then the case."""
Mask = NDArray[np.bool_]
Suited = tuple[Mask, Mask]
"""By class: whether the fresh head suits, whether the late one does."""
Suits = Callable[[str, Waiting, int], bool]
"""
Whether a rep could take cases of a class at a step of widening, by one case of it, were there room.

It never says no to what ``seat_of`` would take.
"""


class ClassQueues:
    """The waiting cases of one tenant."""

    def __init__(self, order: Order = DEFAULT, suits: Suits | None = None, steps_ms: Sequence[float] = (0.0,)) -> None:
        """
        Begin empty.

        Args:
            order: The tenant's parameters.
            suits: Lets ``take`` look at the classes of the few who are free; None looks at all.
            steps_ms: After which waits the steps begin that ``suits`` is asked about, rising from 0.
        """
        self.order = order
        self._steps_ms = tuple(steps_ms)
        self._suits = suits
        self._by_id: dict[str, Waiting] = {}
        self._rush_ms = {triage: rush_ms(triage, order) for triage in order.rush_min}
        self._soon_ms = order.soon_min * MINUTE_MS
        self._number = count()
        self._made: Counter[str] = Counter()
        """Decisions by the rep who alone was free, else by nobody in particular."""
        self._lay_out()

    def _lay_out(self) -> None:
        self._column: dict[Hashable, int] = {}
        self._sample: list[Waiting] = []
        """A case of each class."""
        self._heaps: tuple[list[list[Entry]], list[list[Entry]]] = ([], [])
        self._empty = 0
        self._gone = 0
        """Entries of heaps whose case is not there any more."""
        self._masks: dict[tuple[str, int], tuple[int, Mask]] = {}
        """By rep and step: how many classes were asked for, and the answers."""
        self._unions: dict[int, tuple[tuple[str, ...], int, Mask]] = {}
        """By step: who was free last, how many classes there were, and which of them suited one of these."""
        self._late_at = self._rush_at = float(NEVER)
        """No fresh head becomes late, and no late one is rushed, before; they may be too early, never too late."""
        self._rows(COLUMNS_MIN)

    def _rows(self, columns: int) -> None:
        """Make room for so many classes; what is there is kept."""
        old = getattr(self, "_due", None) if self._sample else None
        fresh = {
            "_due": np.full((2, columns), NEVER, np.float64),
            "_received": np.full((2, columns), NEVER, np.float64),
            "_rate": np.zeros((2, columns), np.float64),
            "_rush": np.full(columns, NEVER, np.float64),
            "_rank": np.full(columns, -1, np.int64),
        }
        for name, array in fresh.items():
            if old is not None:
                before = getattr(self, name)
                array[..., : before.shape[-1]] = before
            setattr(self, name, array)

    _due: NDArray[np.float64]
    """Of the heads, by fresh or late and by class; NEVER where there is none."""
    _received: NDArray[np.float64]
    _rate: NDArray[np.float64]
    """Cost times weight of the heads; 0 where there is none."""
    _rush: NDArray[np.float64]
    """When the late heads go first; NEVER where there is none."""
    _rank: NDArray[np.int64]
    """Of the late head's triage, where its level goes first; else -1."""

    def __len__(self) -> int:
        return len(self._by_id)

    def __contains__(self, case_id: str) -> bool:
        return case_id in self._by_id

    @property
    def entries(self) -> int:
        """How many entries its heaps hold, dead ones included."""
        return sum(len(heap) for heaps in self._heaps for heap in heaps)

    def places(self) -> dict[str, tuple[Hashable, ...]]:
        """Return what decides where and when each case is served, by id."""
        return {one.id: _place(one) for one in self._by_id.values()}

    def get(self, case_id: str) -> Waiting | None:
        """Return a waiting case."""
        return self._by_id.get(case_id)

    # -- what comes and goes

    def add(self, one: Waiting) -> None:
        """Let a case wait. One of its id is replaced, unless nothing about its place is new: else talk would fill the heaps."""
        known = self._by_id.get(one.id)
        if known is not None:
            if _place(known) == _place(one):
                return
            self.remove(one.id)
        column = self._column.get(one.key)
        if column is None:
            column = self._new_column(one)
        self._by_id[one.id] = one
        heap = self._heaps[_FRESH][column]
        if not heap and not self._heaps[_LATE][column]:
            self._empty -= 1
        heapq.heappush(heap, (one.due_at, one.received_at, one.id, next(self._number), one))
        if heap[0][4] is one:
            self._show(_FRESH, column)

    def _new_column(self, one: Waiting) -> int:
        if self._empty > EMPTY_MAX:
            self._tidy()
        column = self._column[one.key] = len(self._sample)
        if column >= self._due.shape[1]:
            self._rows(2 * column)
        self._sample.append(one)
        for heaps in self._heaps:
            heaps.append([])
        self._empty += 1
        return column

    def _tidy(self) -> None:
        """Lay all out anew, without classes that nobody waits in and entries that are dead."""
        waiting = list(self._by_id.values())
        self._lay_out()
        self._by_id = {}
        for one in waiting:
            self.add(one)

    def remove(self, case_id: str) -> None:
        """Take a case out; KeyError if it does not wait."""
        one = self._by_id.pop(case_id)
        one.gone = True
        self._gone += 1
        column = self._column[one.key]
        for side in (_FRESH, _LATE):
            heap = self._heaps[side][column]
            if heap and heap[0][4] is one:
                self._show(side, column)
                break
        if not self._heaps[_FRESH][column] and not self._heaps[_LATE][column]:
            self._empty += 1
        if self._gone > len(self._by_id) + GONE_MAX:
            self._tidy()

    def _show(self, side: int, column: int) -> None:
        """Put a heap's head into the arrays; what is gone leaves the heap."""
        heap = self._heaps[side][column]
        while heap and heap[0][4].gone:
            heapq.heappop(heap)
            self._gone -= 1
        if not heap:
            self._due[side, column] = self._received[side, column] = NEVER
            self._rate[side, column] = 0.0
            if side == _LATE:
                self._rush[column], self._rank[column] = NEVER, -1
            return
        one = heap[0][4]
        self._due[side, column] = one.due_at
        self._received[side, column] = one.received_at
        self._rate[side, column] = self.order.cost[one.triage] * one.weight
        if side == _FRESH:
            self._late_at = min(self._late_at, one.due_at)
        else:
            rush_at = one.due_at + self._rush_ms[one.triage]
            self._rush[column] = rush_at
            self._rush_at = min(self._rush_at, rush_at)
            self._rank[column] = TRIAGE_RANK[one.triage] if one.triage in self.order.first else -1

    def _age(self, now: int) -> None:
        """Move what has become late from one heap of its class to the other."""
        if now <= self._late_at:
            return
        for column in np.flatnonzero(self._due[_FRESH] < now).tolist():
            fresh, late = self._heaps[_FRESH][column], self._heaps[_LATE][column]
            while fresh and (fresh[0][4].gone or fresh[0][0] < now):
                entry = heapq.heappop(fresh)
                if entry[4].gone:
                    self._gone -= 1
                else:
                    heapq.heappush(late, entry)
            self._show(_FRESH, column)
            self._show(_LATE, column)
        self._late_at = float(self._due[_FRESH].min())

    # -- decisions

    def take(
        self, now: int, seat_of: Callable[[Waiting], S | None], free: Collection[str] | None = None
    ) -> tuple[Waiting, S, Why] | None:
        """
        Take the case that goes next, of those that somebody gets; None if nobody gets any.

        Args:
            now: Unix ms.
            seat_of: Who gets a case; None if nobody can now.
            free: Ids of the reps with room; None if that is not known.
        """
        who = next(iter(free)) if free is not None and len(free) == 1 else ""
        for one, stage in self._in_order(now, self._made[who], self._suited(now, free)):
            seat = seat_of(one)
            if seat is not None:
                why = why_of(as_head(one), stage, now, len(self._by_id), self.order)
                self.remove(one.id)
                self._count(who)
                return one, seat, why
        return None

    def in_order(self, now: int, who: str) -> Iterator[Waiting]:
        """Yield what one rep could take, the case that goes next first; only the heads of classes. Nothing is taken out."""
        for one, _ in self._in_order(now, self._made[who], self._suited(now, (who,))):
            yield one

    def _count(self, who: str) -> None:
        if len(self._made) >= REPS_MAX:
            self._made.clear()
        self._made[who] += 1

    def heads(self, now: int) -> list[Head]:
        """Return the heads: of each class the first that can still be in time and the first that is late."""
        self._age(now)
        return [as_head(heap[0][4]) for heaps in self._heaps for heap in heaps if heap]

    def _suited(self, now: int, free: Collection[str] | None) -> Suited | None:
        """Return which heads somebody free could take by now; None stands for all."""
        if self._suits is None or free is None or len(free) > FREE_MAX:
            return None
        first = self._union(free, 0)
        if len(self._steps_ms) == 1:
            return (first, first)
        self._age(now)
        waited_ms = now - self._received
        found = np.stack((first, first))
        for step, after_ms in enumerate(self._steps_ms[1:], 1):
            found = np.where(waited_ms >= after_ms, self._union(free, step), found)
        return (found[_FRESH], found[_LATE])

    def _union(self, free: Collection[str], step: int) -> Mask:
        """Return which classes one of them suits; while the same few are free, as often where work waits in vain, it is kept."""
        names, classes = tuple(free), len(self._sample)
        known = self._unions.get(step)
        if known is not None and known[0] == names and known[1] == classes:
            return known[2]
        masks = [self._mask(who, step) for who in names]
        union: Mask = np.logical_or.reduce(masks) if masks else np.zeros(self._due.shape[1], np.bool_)
        self._unions[step] = (names, classes, union)
        return union

    def _mask(self, who: str, step: int) -> Mask:
        """Return which classes a rep suits at a step; a class that is new since the last time is asked for now."""
        assert self._suits is not None
        asked, mask = self._masks.get((who, step), _UNASKED)
        if asked < len(self._sample) or len(mask) < self._due.shape[1]:
            if len(self._masks) >= REPS_MAX:
                self._masks.clear()
            mask = np.concatenate((mask[:asked], np.zeros(self._due.shape[1] - asked, np.bool_)))
            for column in range(asked, len(self._sample)):
                mask[column] = self._suits(who, self._sample[column], step)
            self._masks[who, step] = (len(self._sample), mask)
        return mask

    def _in_order(self, now: int, decision: int, suited: Suited | None) -> Iterator[tuple[Waiting, Stage]]:
        """Yield the heads of classes that suit, the one that goes first first; most decisions see only the first stage."""
        self._age(now)
        fresh, late = suited or (None, None)
        rushed = self._rushed(now, late)
        if rushed is not None:
            ahead = rushed & (self._rank >= 0)
            # A rank is worth more than any wait: received_at stays below 2^43.
            yield from self._best(_LATE, ahead, self._rank * float(1 << 43) - self._received[_LATE], "rushed")
            shown = ahead
            if is_owed(decision, self.order):
                yield from self._best(_LATE, rushed & ~ahead, -self._rush, "owed")
                shown = rushed
        score = self._due[_FRESH] - now  # Not below 0: what is late has just been moved.
        score += self._soon_ms
        np.divide(self._rate[_FRESH], score, out=score)
        yield from self._best(_FRESH, fresh, score, "savable")
        left = self._rate[_LATE] > 0
        if late is not None:
            left &= late
        if rushed is not None:
            left &= ~shown
        yield from self._best(_LATE, left, self._lateness(now), "late")

    def _rushed(self, now: int, suited: Mask | None) -> Mask | None:
        """Return which late heads that suit are rushed; None if none is."""
        if now < self._rush_at:
            return None
        rushed: Mask = self._rush <= now
        self._rush_at = float(self._rush.min())
        if suited is not None:
            rushed &= suited
        return rushed if rushed.any() else None

    def _lateness(self, now: int) -> NDArray[np.float64]:
        """Return how late each late head is: its cost times waited over promised."""
        promised_ms = np.maximum(self._due[_LATE] - self._received[_LATE], 1)
        waited_ms = np.maximum(now - self._received[_LATE], 0)
        rate: NDArray[np.float64] = self._rate[_LATE] * waited_ms / promised_ms
        return rate

    def _best(
        self, side: int, among: Mask | None, score: NDArray[np.float64], stage: Stage
    ) -> Iterator[tuple[Waiting, Stage]]:
        """
        Yield the heads of these classes by score, the highest first; of equals who came first, then by id.

        Args:
            side: Of which heads.
            among: The classes; None stands for those whose score is above 0.
            score: It is used up.
            stage: What is yielded with each.
        """
        heaps = self._heaps[side]
        lowest = -np.inf
        if side == _FRESH:
            lowest = 0.0  # Where nobody waits the cost is 0; where somebody does the score is above it.
            if among is not None:
                score *= among
        else:
            assert among is not None
            score[~among] = lowest
        while True:
            column = int(score.argmax())
            best = score[column]
            if best <= lowest:
                return
            equals = (score == best).nonzero()[0]
            if len(equals) > 1:
                column = min(equals.tolist(), key=lambda at: heaps[at][0][1:3])
            yield heaps[column][0][4], stage
            score[column] = lowest


def _place(one: Waiting) -> tuple[Hashable, ...]:
    """Return all that decides where and when a case is served."""
    return (one.key, one.triage, one.received_at, one.due_at, one.weight)


def as_head(one: Waiting) -> Head:
    """Return a waiting case as the rule sees it."""
    return Head("", one.triage, one.received_at, one.due_at, one.weight, one.id)
