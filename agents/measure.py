"""``case-events`` -> windows by brand -> ``boards``: event time in, one full frame a second and brand out."""

from collections.abc import Sequence
from typing import Final

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
    count_label,
    frame_of,
    response_bucket,
    slot_of,
    with_change,
)
from streams import metrics, topics
from streams.carry import Out, Part, Record
from streams.codec import Decoder
from streams.rows import Kind
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

    def __init__(self) -> None:
        self.decode = Decoder[Event](Event, "case-events").decode

    def open(self, part: Part) -> None:
        """Rebuild the rings from the rows."""
        part.index = Windows(part)

    def fold(self, records: Sequence[Record], part: Part) -> list[Out]:
        """Count a run's events; at a clock, return each brand's frame, once a run."""
        turn = _Turn(part)
        for record in records:
            event: Event = record.value
            if part.is_new(event.src):
                turn.take(event)
            else:
                metrics.REPEATED.labels(self.name).inc()
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

    def take(self, event: Event) -> None:
        """Count one event."""
        progress = self.part.rows.progress
        progress.now = max(progress.now, event.at)
        match event:
            case Opened() | Joined() | Counted():
                self._post(event)
            case records.Answered():
                self._answer(event)
            case records.Warned():
                for bucket in self._buckets((event.tenant, event.brand_id), event.at):
                    bucket.warned += 1
            case records.Breached():
                for bucket in self._buckets((event.tenant, event.brand_id), event.at):
                    bucket.breached += 1
            case Closed(in_time=bool(in_time)):
                for bucket in self._buckets((event.tenant, event.brand_id), event.at):
                    bucket.resolved += 1
                    bucket.resolved_in_time += in_time
            case records.Gauges():
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
            case Learned():
                self._learned(event)
            case records.Clock():
                self.clock = event.at
            case _:
                pass

    def _post(self, event: Opened | Joined | Counted) -> None:
        if not event.brand_id:
            return
        for bucket in self._buckets((event.tenant, event.brand_id), event.received_at or event.at):
            bucket.posts += 1
            bucket.cases += type(event) is Opened
            bucket.counted += isinstance(event, Counted)
            if event.labels is not None:
                count_label(bucket, "category", event.labels.category)
                count_label(bucket, "sentiment", event.labels.sentiment)
                count_label(bucket, "language", event.labels.language)
            count_label(bucket, "triage", event.triage or "spam")
            count_label(bucket, "addressed", event.addressed or "keyword")
            count_label(bucket, "platform", event.platform)

    def _answer(self, event: records.Answered) -> None:
        if not event.first:
            return
        name = response_bucket(event.wait_s)
        for bucket in self._buckets((event.tenant, event.brand_id), event.at):
            bucket.answered += 1
            bucket.in_time += event.in_time
            bucket.responses[name] = bucket.responses.get(name, 0) + 1

    def _learned(self, event: Learned) -> None:
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
