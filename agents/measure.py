"""``case-events`` -> windows by brand -> ``boards``: event time in, one full frame a second and brand out."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from msgspec import Struct

from models import records
from models.labels import Addressed, Triage
from models.records import Src
from models.relabels import Learned
from models.windows import (
    MINUTE_MS,
    MINUTE_SLOTS,
    QUARTER_MS,
    QUARTER_SLOTS,
    Bucket,
    LearnedLines,
    Standing,
    add_posts,
    frame_of,
    response_bucket,
    slot_of,
    with_change,
)
from streams import metrics, topics
from streams.carry import Out, Part, Record
from streams.codec import Decoder
from streams.rows import Kind
from streams.runs import RUN_MAX
from tables.windows import LEARNED, MINUTES, QUARTERS, STANDINGS

BrandKey = tuple[str, str]


# What measure reads of each case event: the rest of a record is skipped, which costs a third of decoding it.


class Labels(Struct, frozen=True, gc=False):
    """The labels that are counted."""

    language: str
    sentiment: str
    category: str


class Opened(Struct, frozen=True, gc=False, tag="opened"):
    """A post opened a case."""

    at: int
    src: Src
    tenant: str
    brand_id: str
    platform: str
    addressed: Addressed
    received_at: int
    triage: Triage
    labels: Labels
    again: bool = False


class Joined(Opened, frozen=True, gc=False, tag="joined"):
    """A post joined a case."""


class Counted(Struct, frozen=True, gc=False, tag="counted"):
    """A post opened no case."""

    at: int
    src: Src
    tenant: str
    brand_id: str
    platform: str
    addressed: Addressed | None = None
    received_at: int = 0
    triage: Triage | None = None
    labels: Labels | None = None


class Other(Struct, frozen=True, gc=False):
    """An event that no window counts."""

    at: int
    src: Src


class Offered(Other, frozen=True, gc=False, tag="offered"):
    """A case was shown."""


class Accepted(Other, frozen=True, gc=False, tag="accepted"):
    """A case was taken."""


class Requeued(Other, frozen=True, gc=False, tag="requeued"):
    """A case went back."""


class Relabelled(Other, frozen=True, gc=False, tag="relabelled"):
    """Labels of a case were set anew; the windows count posts as they came."""


class Moved(Other, frozen=True, gc=False, tag="moved"):
    """Something else happened to a case."""


class Unpublished(Other, frozen=True, gc=False, tag="unpublished"):
    """An answer did not get out."""


class IncidentTold(Other, frozen=True, gc=False, tag="incident"):
    """Something was decided about an incident."""


class Forgotten(Other, frozen=True, gc=False, tag="forgotten"):
    """An author was forgotten."""


class Closed(Other, frozen=True, gc=False, tag="closed"):
    """A case ended."""

    tenant: str
    brand_id: str
    in_time: bool | None = None


Event = (
    Opened
    | Joined
    | Counted
    | Offered
    | Accepted
    | Requeued
    | Relabelled
    | Learned
    | Moved
    | records.Answered
    | Unpublished
    | records.Warned
    | records.Breached
    | Closed
    | IncidentTold
    | Forgotten
    | records.Gauges
    | records.Clock
)

_RINGS: Final = ((MINUTES, MINUTE_MS, MINUTE_SLOTS), (QUARTERS, QUARTER_MS, QUARTER_SLOTS))


class Windows:
    """The rings of all brands of one partition, as they stand in its rows."""

    def __init__(self, part: Part) -> None:
        self.rings: dict[Kind[Bucket], dict[BrandKey, dict[int, Bucket]]] = {MINUTES: {}, QUARTERS: {}}
        self.standing: dict[BrandKey, Standing] = {}
        self.learned: dict[str, LearnedLines] = dict(part.rows.all(LEARNED))
        for kind, rings in self.rings.items():
            for key, bucket in part.rows.all(kind):
                tenant, brand_id, slot = key.split("|")
                rings.setdefault((tenant, brand_id), {})[int(slot)] = bucket
        for key, standing in part.rows.all(STANDINGS):
            tenant, brand_id = key.split("|")
            self.standing[tenant, brand_id] = standing


class Measure:
    """The step."""

    name = "measure"
    topic = topics.CASE_EVENTS
    gathers = False
    fold_max = RUN_MAX

    def __init__(self) -> None:
        self.decode = Decoder[Event](Event, "case-events").decode

    def open(self, part: Part) -> None:
        """Rebuild the rings from the rows."""
        part.index = Windows(part)

    def fold(self, records: Sequence[Record], part: Part) -> list[Out]:
        """Count a run's events; at a clock, return each brand's frame, once a run."""
        turn = _Turn(part)
        progress, is_new = part.rows.progress, part.is_new
        for record in records:
            event: Event = record.value
            if not is_new(event.src):
                metrics.REPEATED.labels(self.name).inc()
                continue
            if event.at > progress.now:
                progress.now = event.at
            count = COUNTS.get(type(event))
            if count is not None:
                count(turn, event)
        turn.keep()
        return turn.frames() if turn.clock is not None else []


def _slot_name(brand: BrandKey, slot: int) -> str:
    return f"{brand[0]}|{brand[1]}|{slot}"


class _Turn:
    """One run's counts over one partition."""

    def __init__(self, part: Part) -> None:
        self.part = part
        self.windows: Windows = part.index
        self.clock: int | None = None
        self._touched: dict[tuple[Kind[Bucket], BrandKey, int], Bucket] = {}
        self._standing: dict[BrandKey, Standing] = {}
        self._posts: dict[tuple[str, str, int], list[Opened | Joined | Counted]] = {}
        """By tenant, brand and minute since 1970."""

    def post(self, event: Opened | Joined | Counted) -> None:
        """Lay a post by: those of a brand's minute are counted in one go."""
        if event.brand_id:
            minute = (event.received_at or event.at) // MINUTE_MS
            self._posts.setdefault((event.tenant, event.brand_id, minute), []).append(event)

    def _count_posts(self) -> None:
        for (tenant, brand_id, minute), events in self._posts.items():
            more = _counted(events)
            for bucket in self._buckets((tenant, brand_id), minute * MINUTE_MS):
                add_posts(bucket, more)

    def warned(self, event: records.Warned) -> None:
        """Count a promise that was nearly broken."""
        for bucket in self._buckets((event.tenant, event.brand_id), event.at):
            bucket.warned += 1

    def breached(self, event: records.Breached) -> None:
        """Count a promise that was broken."""
        for bucket in self._buckets((event.tenant, event.brand_id), event.at):
            bucket.breached += 1

    def closed(self, event: Closed) -> None:
        """Count a case that was promised to be resolved."""
        if event.in_time is not None:
            for bucket in self._buckets((event.tenant, event.brand_id), event.at):
                bucket.resolved += 1
                bucket.resolved_in_time += event.in_time

    def gauges(self, event: records.Gauges) -> None:
        """Note what stands open."""
        self._standing[event.tenant, event.brand_id] = Standing(
            queued=event.queued,
            offered=event.offered,
            working=event.working,
            awaiting_customer=event.awaiting_customer,
            due_soon=event.due_soon,
            late=event.late,
            warned=event.warned,
            oldest_at=event.oldest_at,
            reps=event.reps,
            automatic=event.automatic,
            incidents=event.incidents,
            held=event.held,
            awaiting_approval=event.awaiting_approval,
        )

    def tell(self, event: records.Clock) -> None:
        """Note that frames are due."""
        self.clock = event.at

    def answer(self, event: records.Answered) -> None:
        """Count a first answer."""
        if not event.first:
            return
        name = response_bucket(event.wait_s)
        for bucket in self._buckets((event.tenant, event.brand_id), event.at):
            bucket.answered += 1
            bucket.in_time += event.in_time
            bucket.responses[name] = bucket.responses.get(name, 0) + 1

    def learned(self, event: Learned) -> None:
        """Keep a tenant's latest changes of heads, few as they are, in a row of their own."""
        kept = with_change(self.windows.learned.get(event.tenant, LearnedLines()), event.change)
        self.windows.learned[event.tenant] = kept
        self.part.rows.set(LEARNED, event.tenant, kept)

    def _buckets(self, brand: BrandKey, at: int) -> list[Bucket]:
        found = (self._bucket(kind, brand, at, width_ms, slots) for kind, width_ms, slots in _RINGS)
        return [bucket for bucket in found if bucket is not None]

    def _bucket(self, kind: Kind[Bucket], brand: BrandKey, at: int, width_ms: int, slots: int) -> Bucket | None:
        slot, start = slot_of(at, width_ms, slots)
        bucket = self._touched.get((kind, brand, slot))
        if bucket is None:
            stored = self.windows.rings[kind].get(brand, {}).get(slot)
            bucket = stored.copied() if stored is not None else Bucket(start=start)
        if bucket.start > start:
            metrics.WINDOW_LATE.inc()
            return None
        if bucket.start < start:
            bucket = Bucket(start=start)
        self._touched[kind, brand, slot] = bucket
        return bucket

    def keep(self) -> None:
        """Put what the run has changed into rows and rings."""
        self._count_posts()
        for (kind, brand, slot), bucket in self._touched.items():
            self.part.rows.set(kind, _slot_name(brand, slot), bucket)
            self.windows.rings[kind].setdefault(brand, {})[slot] = bucket
        for brand, standing in self._standing.items():
            if self.windows.standing.get(brand) != standing:
                self.part.rows.set(STANDINGS, f"{brand[0]}|{brand[1]}", standing)
                self.windows.standing[brand] = standing

    def frames(self) -> list[Out]:
        """Return the full frame of each brand."""
        assert self.clock is not None
        brands = sorted({*self.windows.standing, *self.windows.rings[QUARTERS]})
        return [
            Out(
                topics.BOARDS,
                f"{tenant}|{brand_id}".encode(),
                frame_of(
                    tenant,
                    brand_id,
                    self.clock,
                    self.windows.standing.get((tenant, brand_id), Standing()),
                    self.windows.rings[MINUTES].get((tenant, brand_id), {}),
                    self.windows.rings[QUARTERS].get((tenant, brand_id), {}),
                    self.windows.learned.get(tenant, LearnedLines()),
                ),
            )
            for tenant, brand_id in brands
        ]


def _counted(events: Sequence[Opened | Joined | Counted]) -> Bucket:
    """Return what a brand's posts of one minute add to its windows; one that was read again stands there already."""
    kinds = Counter(map(type, events))
    told = len(events)
    events = [event for event in events if isinstance(event, Counted) or not event.again]
    labels = [event.labels for event in events if event.labels is not None]
    found: dict[str, list[str]] = {
        "category": [one.category for one in labels],
        "sentiment": [one.sentiment for one in labels],
        "language": [one.language for one in labels],
        "triage": [event.triage or "spam" for event in events],
        "addressed": [event.addressed or "keyword" for event in events],
        "platform": [event.platform for event in events],
    }
    return Bucket(
        posts=len(events),
        cases=kinds[Opened],
        counted=kinds[Counted] - (told - len(events)),
        labels={label: Counter(values) for label, values in found.items()},
    )


COUNTS: Final[Mapping[type, Callable[[_Turn, Any], None]]] = {
    Opened: _Turn.post,
    Joined: _Turn.post,
    Counted: _Turn.post,
    records.Answered: _Turn.answer,
    records.Warned: _Turn.warned,
    records.Breached: _Turn.breached,
    Closed: _Turn.closed,
    records.Gauges: _Turn.gauges,
    Learned: _Turn.learned,
    records.Clock: _Turn.tell,
}
"""What each kind of event changes; the others are in no window."""
