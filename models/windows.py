"""
Windows of a brand: rings of buckets by event time, and response times in log buckets.

A minute ring gives the last hour, a ring of quarter hours the last day. A slot is taken over by the next round; what comes
later than its slot's round is counted in no window (and says so in a metric), as its minute has been told already.
"""

import math
from collections.abc import Iterable, Mapping
from typing import Final

from msgspec import Struct, field

from models.incidents import IncidentLine
from models.relabels import HeadChanged
from models.wire import BoardFrame, LearnedLine

MINUTE_MS: Final = 60_000
QUARTER_MS: Final = 15 * MINUTE_MS
HOUR_MS: Final = 60 * MINUTE_MS
DAY_MS: Final = 24 * HOUR_MS
MINUTE_SLOTS: Final = 62  # An hour, the minute that runs, and 60 s of lateness.
QUARTER_SLOTS: Final = 98  # A day, the quarter that runs, and lateness.
VALUES_MAX: Final = 32  # Distinct values of a label in a bucket; platforms come from outside, so they need a bound.

GROWTH: Final = 1.1
"""Ratio of two borders of response-time buckets: the middle of one is within 5 % of all that it holds."""
_LOG_GROWTH: Final = math.log(GROWTH)


class Bucket(Struct):
    """What happened to a brand in one minute or quarter hour."""

    start: int = 0
    """Unix ms."""
    posts: int = 0
    cases: int = 0
    counted: int = 0
    answered: int = 0
    """First answers to a customer's post, at the minute of the answer."""
    in_time: int = 0
    warned: int = 0
    breached: int = 0
    """Promises of any kind."""
    resolved: int = 0
    """Cases closed with a promise to resolve them."""
    resolved_in_time: int = 0
    responses: dict[str, int] = field(default_factory=dict)
    """First answers by log bucket of their wait."""
    labels: dict[str, dict[str, int]] = field(default_factory=dict)
    """Posts by label and value."""

    def copied(self) -> "Bucket":
        """Return an independent copy."""
        return Bucket(
            start=self.start,
            posts=self.posts,
            cases=self.cases,
            counted=self.counted,
            answered=self.answered,
            in_time=self.in_time,
            warned=self.warned,
            breached=self.breached,
            resolved=self.resolved,
            resolved_in_time=self.resolved_in_time,
            responses=dict(self.responses),
            labels={label: dict(values) for label, values in self.labels.items()},
        )


def slot_of(at: int, width_ms: int, slots: int) -> tuple[int, int]:
    """Return a moment's slot in a ring and the start of its bucket."""
    number = at // width_ms
    return number % slots, number * width_ms


def response_bucket(wait_s: float) -> str:
    """Return the log bucket of a wait: bucket n holds 1.1^n to 1.1^(n+1) seconds, the first one all below a second."""
    return str(int(math.log(wait_s) / _LOG_GROWTH)) if wait_s > 1 else "0"


def quantile_s(responses: Mapping[str, int], q: float) -> float | None:
    """Return the q-quantile (0..1) in seconds, by nearest rank, at its bucket's geometric middle; None of nothing."""
    total = sum(responses.values())
    if not total:
        return None
    rank = max(1, math.ceil(q * total))
    for bucket, count in sorted((int(name), count) for name, count in responses.items()):
        rank -= count
        if rank <= 0:
            return float(round(GROWTH ** (bucket + 0.5), 3))
    return None


def count_label(bucket: Bucket, label: str, value: str, count: int = 1) -> None:
    """Count posts under a label's value; beyond 32 values it is ``other``."""
    values = bucket.labels.setdefault(label, {})
    if value not in values and len(values) >= VALUES_MAX:
        value = "other"
    values[value] = values.get(value, 0) + count


def add_posts(bucket: Bucket, more: Bucket) -> None:
    """Count the posts of one minute; values of labels come in the order in which they were met first."""
    bucket.posts += more.posts
    bucket.cases += more.cases
    bucket.counted += more.counted
    for label, values in more.labels.items():
        for value, count in values.items():
            count_label(bucket, label, value, count)


def merged(buckets: Iterable[Bucket]) -> Bucket:
    """Return the sum of buckets."""
    total = Bucket()
    for bucket in buckets:
        total.posts += bucket.posts
        total.cases += bucket.cases
        total.counted += bucket.counted
        total.answered += bucket.answered
        total.in_time += bucket.in_time
        total.warned += bucket.warned
        total.breached += bucket.breached
        total.resolved += bucket.resolved
        total.resolved_in_time += bucket.resolved_in_time
        _add(total.responses, bucket.responses)
        for label, values in bucket.labels.items():
            _add(total.labels.setdefault(label, {}), values)
    return total


def _add(total: dict[str, int], more: Mapping[str, int]) -> None:
    for name, count in more.items():
        total[name] = total.get(name, 0) + count


class Standing(Struct, frozen=True, omit_defaults=True):
    """What stands open, as dispatch told it at its last tick."""

    queued: dict[str, int] = {}
    offered: int = 0
    working: int = 0
    awaiting_customer: int = 0
    due_soon: int = 0
    late: int = 0
    warned: int = 0
    oldest_at: int = 0
    reps: dict[str, int] = {}
    automatic: int = 0
    incidents: tuple[IncidentLine, ...] = ()
    held: int = 0
    awaiting_approval: int = 0


LEARNED_MAX: Final = 5
"""Lines of a board about heads that changed; `zuruf learned` tells all."""


class LearnedLines(Struct, frozen=True):
    """What changed last in a tenant's heads, the newest first."""

    lines: tuple[LearnedLine, ...] = ()


def with_change(kept: LearnedLines, change: HeadChanged) -> LearnedLines:
    """Put in a change; of one that is told twice, one line stays."""
    line = LearnedLine(
        head=change.head,
        version=change.version,
        what=change.what,
        at=change.at,
        corrections=change.corrections,
        before=change.before,
        after=change.after,
    )
    return LearnedLines((line, *(one for one in kept.lines if one != line))[:LEARNED_MAX])


def frame_of(
    tenant: str,
    brand_id: str,
    now: int,
    standing: Standing,
    minutes: Mapping[int, Bucket],
    quarters: Mapping[int, Bucket],
    learned: LearnedLines = LearnedLines(),  # noqa: B008  # frozen
) -> BoardFrame:
    """Return a brand's full frame. Buckets come by slot; those of an earlier round are left out."""
    this_minute = now // MINUTE_MS * MINUTE_MS
    hour = [bucket for bucket in minutes.values() if this_minute - HOUR_MS < bucket.start <= this_minute]
    day = [bucket for bucket in quarters.values() if now - DAY_MS < bucket.start <= now]
    last = merged(hour)
    answered, in_time = _series(minutes, this_minute, "answered"), _series(minutes, this_minute, "in_time")
    # A case that waits and is not due yet is no broken promise: it counts once it is answered, closed or late.
    waiting = sum(standing.queued.values()) + standing.offered + standing.working + standing.automatic
    judged_24h = sum(bucket.cases for bucket in day) - max(0, waiting - standing.late)
    answered_24h = sum(bucket.answered for bucket in day)
    return BoardFrame(
        tenant=tenant,
        brand_id=brand_id,
        at=now,
        queued=standing.queued,
        offered=standing.offered,
        working=standing.working,
        awaiting_customer=standing.awaiting_customer,
        due_soon=standing.due_soon,
        late=standing.late,
        warned=standing.warned,
        oldest_at=standing.oldest_at,
        reps=standing.reps,
        automatic=standing.automatic,
        held=standing.held,
        awaiting_approval=standing.awaiting_approval,
        incidents=standing.incidents,
        warned_1h=last.warned,
        breached_1h=last.breached,
        resolved_1h=last.resolved,
        share_resolved_in_time_1h=round(last.resolved_in_time / last.resolved, 4) if last.resolved else None,
        posts_1h=last.posts,
        cases_1h=last.cases,
        answered_1h=last.answered,
        counted_only_1h=last.counted,
        share_in_time_1h=round(last.in_time / last.answered, 4) if last.answered else None,
        share_answered_24h=round(min(1.0, answered_24h / judged_24h), 4) if judged_24h > 0 else None,
        response_p50_s=quantile_s(last.responses, 0.5),
        response_p90_s=quantile_s(last.responses, 0.9),
        posts_per_min=_series(minutes, this_minute, "posts"),
        answered_per_min=answered,
        late_per_min=tuple(all_ - good for all_, good in zip(answered, in_time, strict=True)),
        category_1h=last.labels.get("category", {}),
        sentiment_1h=last.labels.get("sentiment", {}),
        triage_1h=last.labels.get("triage", {}),
        addressed_1h=last.labels.get("addressed", {}),
        platform_1h=last.labels.get("platform", {}),
        language_1h=last.labels.get("language", {}),
        learned=learned.lines,
    )


def _series(minutes: Mapping[int, Bucket], this_minute: int, name: str) -> tuple[int, ...]:
    by_start = {bucket.start: bucket for bucket in minutes.values()}
    starts = range(this_minute - 59 * MINUTE_MS, this_minute + 1, MINUTE_MS)
    return tuple(getattr(by_start[start], name) if start in by_start else 0 for start in starts)
