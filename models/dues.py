"""
How many open cases are due soon and late, and since when the longest has waited, by brand: kept up as cases change.

Told once a second. Counting anew walked all open cases each time; here a case is looked at when it has changed, and once more
when it comes to be due soon and when it comes to be late. The tests hold it against the plain count.
"""

import heapq
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Final, Literal

from msgspec import Struct

from models.cases import WAITING, Case

SOON_MS: Final = 15 * 60_000
DEAD_MAX: Final = 1_000  # Entries of a heap that name no waiting case, beyond as many as wait; then it is built anew.

BrandKey = tuple[str, str]
"""Tenant, brand."""
Stage = Literal["far", "soon", "late"]


class Figures(Struct, frozen=True):
    """What boards are told of open cases that await an answer."""

    soon: Mapping[BrandKey, int]
    """Due within a quarter of an hour."""
    late: Mapping[BrandKey, int]
    oldest: Mapping[BrandKey, int]
    """Arrival of the longest waiting queued one, Unix ms."""


class _Known(Struct, gc=False):
    """A case as it was counted."""

    brand: BrandKey
    due_at: int
    stage: Stage
    waits_since: int | None = None
    """Arrival of one that waits in a queue; None: it does not."""


class Dues:
    """The figures of one partition."""

    def __init__(self) -> None:
        self._changed: dict[str, None] = {}
        self._known: dict[str, _Known] = {}
        self._counts: dict[Stage, Counter[BrandKey]] = {"far": Counter(), "soon": Counter(), "late": Counter()}
        self._next: list[tuple[int, int, str]] = []
        """Heap of (the last instant of a case's stage, due_at, case id); dead unless the case is still due then."""
        self._queued: dict[BrandKey, list[tuple[int, str]]] = {}
        """Heaps of (received_at, case id); dead unless the case still waits since then."""
        self._waiting: Counter[BrandKey] = Counter()

    def change(self, case_id: str) -> None:
        """Note that a case has come, changed or ended; it is looked at when figures are asked for."""
        self._changed[case_id] = None

    def tell(self, now: int, cases: Mapping[str, Case]) -> Figures:
        """
        Return the figures.

        Args:
            now: Unix ms; not before the last one.
            cases: All that are open, by id.
        """
        for case_id in self._changed:
            self._look_at(case_id, cases.get(case_id), now)
        self._changed.clear()
        self._tidy()
        while self._next and self._next[0][0] < now:
            _, due_at, case_id = heapq.heappop(self._next)
            known = self._known.get(case_id)
            # A due time that was moved and moved back has left an entry twice.
            if known is not None and known.due_at == due_at and known.stage != (stage := _stage_of(due_at, now)):
                self._counts[known.stage][known.brand] -= 1
                known.stage = stage
                self._count(case_id, known)
        return Figures(dict(self._counts["soon"]), dict(self._counts["late"]), dict(self._oldest()))

    def _look_at(self, case_id: str, case: Case | None, now: int) -> None:
        old = self._known.get(case_id)
        if case is None or not case.awaits_answer:
            if old is not None:
                self._leave(case_id, old)
            return
        brand = (case.tenant, case.brand_id)
        waits_since = case.received_at if case.state in WAITING else None
        if old is not None and old.brand == brand and old.due_at == case.due_at:
            known = old
        else:
            if old is not None:
                self._leave(case_id, old)
            known = self._known[case_id] = _Known(brand, case.due_at, _stage_of(case.due_at, now))
            self._count(case_id, known)
        if known.waits_since != waits_since:
            self._wait(case_id, known, waits_since)

    def _leave(self, case_id: str, known: _Known) -> None:
        del self._known[case_id]
        self._counts[known.stage][known.brand] -= 1
        self._waiting[known.brand] -= known.waits_since is not None

    def _count(self, case_id: str, known: _Known) -> None:
        """Count a case where it stands now, and note until when."""
        self._counts[known.stage][known.brand] += 1
        if known.stage != "late":
            heapq.heappush(self._next, _entry(case_id, known))

    def _wait(self, case_id: str, known: _Known, since: int | None) -> None:
        self._waiting[known.brand] += (since is not None) - (known.waits_since is not None)
        known.waits_since = since
        if since is not None:
            heapq.heappush(self._queued.setdefault(known.brand, []), (since, case_id))

    def _tidy(self) -> None:
        """Build heaps anew that hold too much of what is gone."""
        if len(self._next) > 2 * len(self._known) + DEAD_MAX:
            self._next = [_entry(case_id, known) for case_id, known in self._known.items() if known.stage != "late"]
            heapq.heapify(self._next)
        for brand, queued in self._queued.items():
            if len(queued) > 2 * self._waiting[brand] + DEAD_MAX:
                queued[:] = {entry for entry in queued if self._is_waiting(brand, entry)}
                heapq.heapify(queued)

    def _is_waiting(self, brand: BrandKey, entry: tuple[int, str]) -> bool:
        since, case_id = entry
        known = self._known.get(case_id)
        return known is not None and known.brand == brand and known.waits_since == since

    def _oldest(self) -> Iterator[tuple[BrandKey, int]]:
        for brand, queued in self._queued.items():
            while queued and not self._is_waiting(brand, queued[0]):
                heapq.heappop(queued)
            if queued:
                yield brand, queued[0][0]


def _entry(case_id: str, known: _Known) -> tuple[int, int, str]:
    return (known.due_at if known.stage == "soon" else known.due_at - SOON_MS, known.due_at, case_id)


def _stage_of(due_at: int, now: int) -> Stage:
    """Return where a case stands: it is late once its due time has passed, soon a quarter of an hour before."""
    if due_at < now:
        return "late"
    return "soon" if due_at < now + SOON_MS else "far"
