"""
The orders that other systems serve by, to compare with: first in first out, strict levels, points, deadlines, Gc-mu.

Each compares the longest waiting case of every class by one number. Which product does so is told in docs/order.md.
"""

import heapq
from collections.abc import Callable, Hashable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final, TypeVar

from models.labels import TRIAGE_RANK, Triage
from models.priority import COST
from models.queues import Waiting

S = TypeVar("S")
Key = Callable[[Waiting, int], Any]
"""A case and now (Unix ms) -> what is compared; the greatest goes first."""

MINUTE_MS: Final = 60_000
POINTS_MIN: Final[Mapping[Triage, float]] = MappingProxyType(
    {"at_once": 30.0, "urgent": 20.0, "important": 10.0, "less": 0.0, "spam": -10.0}
)
"""Minutes of waiting that a level is worth: ten for each, as a supervisor would set them."""


def fifo(one: Waiting, now: int) -> Any:
    """First in, first out."""
    return -one.received_at


def strict(one: Waiting, now: int) -> Any:
    """The higher level first, whatever waits below it."""
    return (TRIAGE_RANK[one.triage], -one.received_at)


def points(one: Waiting, now: int) -> Any:
    """Minutes waited plus points of the level."""
    return (now - one.received_at) / MINUTE_MS + POINTS_MIN[one.triage]


def earliest_deadline(one: Waiting, now: int) -> Any:
    """What falls due first."""
    return -one.due_at


def gc_mu(one: Waiting, now: int) -> Any:
    """Cost of the level times waited over target: generalised c-mu with a quadratic cost of waiting."""
    return COST[one.triage] * (now - one.received_at) / max(1, one.due_at - one.received_at)


PEERS: Final[Mapping[str, Key]] = MappingProxyType(
    {"fifo": fifo, "strict": strict, "genesys": points, "edf": earliest_deadline, "gcmu": gc_mu}
)


class PeerQueues:
    """The waiting cases of one tenant, served by one of these orders."""

    def __init__(self, key: Key) -> None:
        self._key = key
        self._by_id: dict[str, Waiting] = {}
        self._heaps: dict[Hashable, list[tuple[int, int, Waiting]]] = {}
        self._number = 0

    def __len__(self) -> int:
        return len(self._by_id)

    def add(self, one: Waiting) -> None:
        """Let a case wait."""
        self._number += 1
        self._by_id[one.id] = one
        heapq.heappush(self._heaps.setdefault(one.key, []), (one.received_at, self._number, one))

    def remove(self, case_id: str) -> None:
        """Take a case out that is not served."""
        self._by_id.pop(case_id).gone = True

    def take(
        self, now: int, seat_of: Callable[[Waiting], S | None], free: Sequence[str] | None = None
    ) -> tuple[Waiting, S, None] | None:
        """Take the case that goes first of those that somebody can take; None if there is none."""
        heads = [head for head in map(self._head, list(self._heaps)) if head is not None]
        for one in sorted(heads, key=lambda head: self._key(head, now), reverse=True):
            seat = seat_of(one)
            if seat is not None:
                self.remove(one.id)
                return one, seat, None
        return None

    def _head(self, key: Hashable) -> Waiting | None:
        heap = self._heaps[key]
        while heap and heap[0][2].gone:
            heapq.heappop(heap)
        if not heap:
            del self._heaps[key]
            return None
        return heap[0][2]
