"""What a simulated run came to: shares in time, waits by class, load; means over seeds and differences between paired runs."""

import math
from collections.abc import Iterable, Sequence
from typing import Final

from msgspec import Struct

from models.arrivals import LEVELS
from models.labels import Triage
from models.priority import COST, MINUTE_MS
from models.simulation import Outcome, Served

QUANTILES: Final = (0.5, 0.9, 0.95, 0.99)
CURVE: Final = tuple(number / 40 for number in range(41))
"""Shares at which a distribution of waits is kept for a plot."""


class Waits(Struct, frozen=True):
    """What a level waited; minutes until a rep took it up. Who gave up or is left over is not in time."""

    requests: float
    in_time: float
    """Share 0..1."""
    mean_min: float
    p50_min: float
    p90_min: float
    p95_min: float
    p99_min: float
    longest_min: float
    curve: tuple[float, ...] = ()
    """Waits at the shares of ``CURVE``."""


class Figures(Struct, frozen=True):
    """One run."""

    requests: float
    in_time: float
    """Share 0..1 that a rep took up by its due time; by the true triage."""
    answered: float
    given_up: float
    left_over: float
    taken_for_spam: float
    missed_cost: float
    """Cost of the missed promises, 8/4/2/1 by level, for 100 requests."""
    mean_wait_min: float
    mean_answer_min: float
    """Until the answer was out, of those answered."""
    load: float
    """Handling over time on shift."""
    queued_max: float
    decisions: float
    by_triage: dict[Triage, Waits]
    by_brand: dict[str, float]
    """Share in time; empty with one brand."""


def figures_of(outcome: Outcome) -> Figures:
    """Return the figures of one run."""
    served = outcome.served
    many = len(served)
    taken = [one for one in served if one.taken_at]
    answered = [one for one in served if one.end == "answered"]
    brands = sorted({one.request.brand_id for one in served})
    return Figures(
        requests=many,
        in_time=_share(served),
        answered=len(answered) / many,
        given_up=sum(one.end == "given_up" for one in served) / many,
        left_over=sum(one.end == "left_over" for one in served) / many,
        taken_for_spam=sum(one.end == "taken_for_spam" for one in served) / many,
        missed_cost=100 * sum(COST[one.request.triage] for one in served if not is_in_time(one)) / many,
        mean_wait_min=mean([wait_min(one) for one in taken]),
        mean_answer_min=mean([(one.ended_at - one.request.at) / MINUTE_MS for one in answered]),
        load=outcome.busy_ms / max(1, outcome.staffed_ms),
        queued_max=outcome.queued_max,
        decisions=outcome.decisions,
        by_triage={level: found for level in LEVELS if (found := _waits(served, level)) is not None},
        by_brand={brand: _share([one for one in served if one.request.brand_id == brand]) for brand in brands}
        if len(brands) > 1
        else {},
    )


def is_in_time(one: Served) -> bool:
    """Whether a rep took it up by its due time."""
    return one.end == "answered" and one.taken_at <= one.due_at


def wait_min(one: Served) -> float:
    """Return the minutes until a rep took it up, or until the customer gave up."""
    return ((one.taken_at or one.ended_at) - one.request.at) / MINUTE_MS


def mean(values: Sequence[float]) -> float:
    """Return the mean, 0 of nothing."""
    return math.fsum(values) / len(values) if values else 0.0


def deviation(values: Sequence[float]) -> float:
    """Return the standard deviation of a sample, 0 of fewer than two."""
    if len(values) < 2:
        return 0.0
    middle = mean(values)
    return math.sqrt(math.fsum((value - middle) ** 2 for value in values) / (len(values) - 1))


def quantile(ordered: Sequence[float], share: float) -> float:
    """Return the smallest value that a share of them do not exceed; 0 of nothing."""
    return ordered[min(len(ordered) - 1, max(0, math.ceil(share * len(ordered)) - 1))] if ordered else 0.0


def _share(served: Sequence[Served]) -> float:
    return sum(map(is_in_time, served)) / len(served) if served else 0.0


def _waits(served: Iterable[Served], level: Triage) -> Waits | None:
    here = [one for one in served if one.request.triage == level]
    if not here:
        return None
    waits = sorted(wait_min(one) for one in here if one.taken_at or one.ended_at)
    p50, p90, p95, p99 = (quantile(waits, share) for share in QUANTILES)
    return Waits(
        requests=len(here),
        in_time=_share(here),
        mean_min=mean(waits),
        p50_min=p50,
        p90_min=p90,
        p95_min=p95,
        p99_min=p99,
        longest_min=waits[-1] if waits else 0.0,
        curve=tuple(quantile(waits, share) for share in CURVE),
    )


class Compared(Struct, frozen=True):
    """One rule or setting over all seeds, beside the base on the same seeds."""

    runs: tuple[Figures, ...]
    """By seed."""
    base: tuple[Figures, ...]

    def mean(self, name: str) -> float:
        """Return the mean of a figure over the seeds."""
        return mean([getattr(one, name) for one in self.runs])

    def difference(self, name: str) -> tuple[float, float]:
        """Return the mean of the paired differences to the base, and its standard error."""
        apart = [getattr(one, name) - getattr(base, name) for one, base in zip(self.runs, self.base, strict=True)]
        return mean(apart), deviation(apart) / math.sqrt(len(apart))

    def waits(self, level: Triage, name: str) -> float:
        """Return the mean over the seeds of what a level waited; 0 where it never came."""
        return mean([getattr(one.by_triage[level], name) for one in self.runs if level in one.by_triage])

    def longest_min(self, level: Triage) -> float:
        """Return the longest wait of a level in any of the runs."""
        return max((one.by_triage[level].longest_min for one in self.runs if level in one.by_triage), default=0.0)

    def curve(self, level: Triage) -> tuple[float, ...]:
        """Return the waits at the shares of ``CURVE``, their mean over the seeds."""
        curves = [one.by_triage[level].curve for one in self.runs if level in one.by_triage]
        return tuple(mean(values) for values in zip(*curves, strict=True))

    @property
    def levels(self) -> tuple[Triage, ...]:
        """Those that came."""
        return tuple(level for level in LEVELS if any(level in one.by_triage for one in self.runs))

    @property
    def brands(self) -> tuple[str, ...]:
        """Those that came, where there are several."""
        return tuple(sorted({brand for one in self.runs for brand in one.by_brand}))

    def brand(self, brand_id: str) -> float:
        """Return the share in time of a brand."""
        return mean([one.by_brand[brand_id] for one in self.runs if brand_id in one.by_brand])
