"""
The order of waiting cases: what is late beyond its bound, then what can still be in time, then the rest.

Within a class (triage, brand, what else routing asks for) cases wait by due time, so only two compete: the first that can
still be in time, and the first that is late. Among these, for each decision, in this order:

1. ``rushed``: a late case of a level that goes ``first`` and whose ``rush_min`` after the due time have passed; the higher level,
   then the longer wait.
2. ``owed``: with every ``every``-th decision of a rep, a late case of another level whose ``rush_min`` have passed; the one
   that is longest beyond them.
3. ``savable``: a case that can still be in time; the highest ``cost x weight / (time left + soon_min)``.
4. ``late``: any other; the highest ``cost x weight x waited / promised``.

So promises are kept as long as they can be, what was broken is mended within a bound, and the bound of a broken one never costs
more than its share of the promises that still hold. Why, and what it was measured against: docs/order.md.
"""

from collections.abc import Iterable, Iterator, Mapping
from itertools import pairwise
from types import MappingProxyType
from typing import Final, Literal

from msgspec import Struct, field

from models.labels import TRIAGE_RANK, Triage

MINUTE_MS: Final = 60_000
Stage = Literal["rushed", "owed", "savable", "late"]

COST: Final[Mapping[Triage, float]] = MappingProxyType(
    {"at_once": 8.0, "urgent": 4.0, "important": 2.0, "less": 1.0, "spam": 0.5}
)
"""Cost of a missed promise; each triage weighs twice the one below it."""
RUSH_MIN: Final[Mapping[Triage, float]] = MappingProxyType(
    {"at_once": 10.0, "urgent": 10.0, "important": 140.0, "less": 320.0, "spam": 1440.0}
)
"""
Minutes after the due time at which a late case goes first. With promises of 5, 15, 60 and 240 minutes: 15, 25, 200 and 560
minutes of waiting, so that 60 (at once, urgent) and 700 (less) hold with room for what is in work. Found by search.
"""
EVERY: Final = 5  # Below the slack of a usual day: the late ones then cost hardly a promise that still holds.
SOON_MIN: Final = 5.0  # About the handling of a case: below it, how little time is left makes no more difference.


class Order(Struct, frozen=True):
    """A tenant's parameters of the rule."""

    cost: Mapping[Triage, float] = field(default_factory=lambda: dict(COST))
    """Of a missed promise, by triage, 0.1..100; it never falls from a level to the next higher one."""
    rush_min: Mapping[Triage, float] = field(default_factory=lambda: dict(RUSH_MIN))
    """Minutes after the due time, 0..10080."""
    first: tuple[Triage, ...] = ("at_once", "urgent")
    """Levels whose rushed cases go before everything; the others' get a share."""
    every: int = EVERY
    """Every so many decisions of a rep are owed to rushed cases of the other levels, 2..100."""
    soon_min: float = SOON_MIN
    """Minutes, 0.1..120: the smaller, the more the order among savable cases is by deadline, the larger, by cost."""


DEFAULT: Final = Order()


class Head(Struct, frozen=True, gc=False):
    """The first case of a class, of those that can still be in time or of those that are late."""

    name: str
    """The class."""
    triage: Triage
    received_at: int
    due_at: int
    weight: float = 1.0
    """Of influence and brand, 1 is neutral."""
    id: str = ""
    """Of the case; decides between equals."""


class Why(Struct, frozen=True, gc=False):
    """Why a case went first."""

    stage: Stage
    waited_min: float
    promised_min: float
    left_min: float
    """Until its due time; negative if that has passed."""
    cost: float
    """Of a missed promise, with the weight of brand and influence."""
    waiting: int = 0
    """Cases that waited then, itself included."""

    def words(self) -> tuple[str, ...]:
        """Return it as a desk shows it: a code, a colon, numbers."""
        told = {
            "rushed": f"over its bound: waited {self.waited_min:.0f} min, promised {self.promised_min:.0f}",
            "owed": f"long overdue: waited {self.waited_min:.0f} min, promised {self.promised_min:.0f}",
            "savable": f"can be in time: {self.left_min:.0f} min left of {self.promised_min:.0f}",
            "late": f"late: waited {self.waited_min:.0f} min, promised {self.promised_min:.0f}",
        }
        return (f"order {self.stage}: {told[self.stage]}, cost {self.cost:g}, {self.waiting} waiting",)


def urgency(head: Head, now: int, order: Order = DEFAULT) -> float:
    """Return the cost of the wait so far: cost rate times the share of the promised time that has passed."""
    promised_ms = max(1, head.due_at - head.received_at)
    return order.cost[head.triage] * head.weight * max(0, now - head.received_at) / promised_ms


def pressure(head: Head, now: int, order: Order = DEFAULT) -> float:
    """Return what a minute of one rep may still save: cost over the time left, which counts from ``soon_min`` upwards."""
    left_ms = max(0, head.due_at - now)
    return order.cost[head.triage] * head.weight / (left_ms + order.soon_min * MINUTE_MS)


def rush_at(head: Head, order: Order = DEFAULT) -> int:
    """Return when a case goes first, Unix ms."""
    return head.due_at + rush_ms(head.triage, order)


def rush_ms(triage: Triage, order: Order = DEFAULT) -> int:
    """Return how long after its due time a case of a level goes first."""
    return round(order.rush_min[triage] * MINUTE_MS)


def is_owed(decision: int, order: Order = DEFAULT) -> bool:
    """Whether a rep's decision of this number, from 0, is owed to the long overdue."""
    return decision % order.every == order.every - 1


def first_of(heads: Iterable[Head], now: int, decision: int, order: Order = DEFAULT) -> tuple[Head, Stage] | None:
    """
    Return the head that is served next and its stage, or None if nothing waits.

    ``models.queues`` decides the same over arrays; this is the rule as it reads.

    Args:
        heads: Of each class the first that can still be in time and the first that is late, at most.
        now: Unix ms.
        decision: Number of this decision of the rep, from 0.
        order: The tenant's.
    """
    savable: list[Head] = []
    late: list[Head] = []
    for head in heads:
        (savable if head.due_at >= now else late).append(head)
    rushed = [head for head in late if rush_at(head, order) <= now]
    ahead = [head for head in rushed if head.triage in order.first]
    if ahead:
        return min(ahead, key=lambda head: (-TRIAGE_RANK[head.triage], head.received_at, head.id)), "rushed"
    if rushed and is_owed(decision, order):
        return min(rushed, key=lambda head: (rush_at(head, order), head.received_at, head.id)), "owed"
    if savable:
        return min(savable, key=lambda head: (-pressure(head, now, order), head.received_at, head.id)), "savable"
    if late:
        return min(late, key=lambda head: (-urgency(head, now, order), head.received_at, head.id)), "late"
    return None


def why_of(head: Head, stage: Stage, now: int, waiting: int, order: Order = DEFAULT) -> Why:
    """Return why a head went first."""
    return Why(
        stage=stage,
        waited_min=round((now - head.received_at) / MINUTE_MS, 1),
        promised_min=round((head.due_at - head.received_at) / MINUTE_MS, 1),
        left_min=round((head.due_at - now) / MINUTE_MS, 1),
        cost=round(order.cost[head.triage] * head.weight, 2),
        waiting=waiting,
    )


class Ahead(Struct, frozen=True):
    """What a bound is reckoned with."""

    promised_min: float
    cases: int
    """Rushed cases that go before it, at most: of its level and, for a level that goes first, of the higher ones."""
    reps: int
    """Who can take it and are there; at least 1."""
    handling_min: float
    """Mean time that one of them works on a case."""
    longest_min: float = 0.0
    """The longest that a case in work may still take: nobody is interrupted."""


def bound_min(triage: Triage, ahead: Ahead, order: Order = DEFAULT) -> float:
    """
    Return within how many minutes a case of a level is taken up.

    From its rush on, a case goes before all but the rushed ones ahead of it. Able reps finish one case in
    ``handling_min / reps`` minutes; of a level that goes first each such decision serves one of them, of another every
    ``every``-th. So: promised + rush + what is in work + (ahead + 1) x every x handling / reps. The decisions are exact, the
    minutes as good as the mean they are reckoned with.
    """
    if ahead.reps < 1:
        raise ValueError(f"a bound with {ahead.reps} reps; wanted at least one: nobody bounds the wait of a class")
    each = 1 if triage in order.first else order.every
    turns = (ahead.cases + 1) * each * ahead.handling_min / ahead.reps
    return ahead.promised_min + order.rush_min[triage] + ahead.longest_min + turns


def order_faults(order: Order) -> Iterator[tuple[str, float, str]]:
    """Yield what is wrong with a tenant's parameters: key, what was found, what was meant; usually nothing."""
    levels: tuple[Triage, ...] = ("at_once", "urgent", "important", "less")
    for higher, lower in pairwise(levels):
        if order.cost[higher] < order.cost[lower]:
            yield f"cost.{higher}", order.cost[higher], f"at least that of {lower}, {order.cost[lower]:g}"
        if order.rush_min[higher] > order.rush_min[lower]:
            yield f"rush_min.{higher}", order.rush_min[higher], f"at most that of {lower}, {order.rush_min[lower]:g}"
    if order.first != levels[: len(order.first)]:
        yield "first", 0.0, "the highest levels, at_once before urgent: a level goes first with all above it"
