"""
The loop that carries every step: decode, step, outputs, rows, acknowledge; in groups.

A group is what waited in the step's queue, at most ``RUNS_MAX`` runs, at most one in ``group_every_ms``, or a burst of them after
a pause. Its outputs go out and are acknowledged; then its rows' changelog goes out and is acknowledged; then RocksDB gets the
rows and the changelog's offset as one batch; then the source is acknowledged. Every future is awaited. What goes wrong on that
way ends the process: whoever owns the partitions then begins again from the last commit, and ``src`` and the rows' offsets make
repeats harmless.

Nothing leaves the loop as an exception: Faust would restart the agent in place and commit past the runs it held.
"""

import asyncio
import logging
import os
import time
import traceback
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Final, Protocol

import msgspec
from aiokafka.partitioner import murmur2
from msgspec import Struct

from models.errors import BadEvent
from streams import metrics, topics
from streams.codec import dead_letter
from streams.pace import Spacing
from streams.rows import Rows, write
from streams.runs import RunsApp
from streams.topics import Topic

logger = logging.getLogger(__name__)

RUNS_MAX: Final = 64
RECORDS_MAX: Final = 4_096  # Of a group: about 0.2 s of work through the classifier.
GATHERED_MAX: Final = 2_000
"""
Records of all partitions folded as one run. The classifier sorts a run by length: of texts that are all different, one costs
30 us in runs of 500 and 28 in runs of 2,000, which hold up the loop for half as long as a whole group may.
"""
EXIT_CODE: Final = 71
KEYS_MAX: Final = 100_000  # Remembered partitions of keys; reckoning one costs 20 us.
OUT_BYTES_MAX: Final = (
    1_000_000  # Of a record's value: brokers refuse a batch above 1,048,588 bytes unless told otherwise.
)

_encode = msgspec.json.Encoder().encode


class Record(Struct, frozen=True, gc=False):
    """One record of a run, decoded."""

    offset: int
    timestamp: int
    """Unix ms, Kafka's."""
    value: Any
    raw: Any
    """The ConsumerRecord, for dead letters."""


class Out(Struct, frozen=True, gc=False):
    """One record to write. ``value`` is a Struct, encoded as JSON; ``partition`` None means by key."""

    topic: Topic
    key: bytes
    value: Any
    partition: int | None = None


class Part:
    """One partition of a step: its rows, and whatever the step keeps in memory of them."""

    def __init__(
        self, number: int, rows: Rows | None, token: str, create_batch: Callable[[], Any] | None = None
    ) -> None:
        self.number = number
        self._rows = rows
        self.token = token
        """Names this ownership: the takeover record that carries it makes the partition ready."""
        self.ready = False
        self.index: Any = None
        self.outs = Batches(create_batch)
        """What the step has given in the group under way."""
        self.letters: list[Out] = []
        """What the loop itself has buried in the group under way; a group that is folded again keeps it."""
        self.raws: list[Any] = []
        """
        ConsumerRecords of the group under way, without culprits, to fold again if a bug is met. They are decoded anew for it:
        what was made of them is let go with its run, while it is still near the core.
        """

    @property
    def rows(self) -> Rows:
        """The partition's rows; only steps that have a table ask."""
        assert self._rows is not None
        return self._rows

    @property
    def keeps_rows(self) -> bool:
        """Whether the step has a table."""
        return self._rows is not None

    def is_new(self, src: tuple[int, int, int]) -> bool:
        """Whether a record's source was not seen before; notes it as seen."""
        partition, offset, number = src
        seen = self.rows.progress.src
        high = seen.get(partition)
        if high is not None and (offset, number) <= high:
            return False
        seen[partition] = (offset, number)
        return True


class Step(Protocol):
    """A step of the flow: a synchronous fold over runs, without clock, topic handle or await."""

    name: str
    topic: Topic
    gathers: bool
    """Whether it keeps nothing, so that what a group holds of all partitions may be folded as one run."""
    fold_max: int
    """
    How many records of a run to decode, fold and encode before the next ones. With a hundred all of it stays near the core;
    a step that counts a run first and keeps the sums wants the whole run.
    """

    def decode(self, value: bytes | None) -> Any:
        """Decode one record; BadEvent sends it to the dead letters."""

    def open(self, part: Part) -> None:
        """Build ``part.index`` from the partition's rows."""

    def fold(self, records: Sequence[Record], part: Part) -> list[Out]:
        """Fold a run into the partition and return what it gives."""


class Carrier:
    """Carries one step over the partitions that this worker holds."""

    def __init__(
        self,
        app: RunsApp,
        step: Step,
        *,
        partitions: dict[str, int],
        group_every_s: float,
        burst: int = 1,
        table: Any = None,
        culprits_max: int = 10,
    ) -> None:
        self.step = step
        self.parts: dict[int, Part] = {}
        self.tokens: dict[int, str] = {}
        self._app = app
        self._table = table
        self._partitions = partitions
        self._keys: dict[tuple[str, bytes], int] = {}
        self._spacing = Spacing(group_every_s, burst)
        self._events: list[Any] = []
        self._count = 0
        self._gathered: list[Record] = []
        self._records_total = metrics.RECORDS.labels(step.name)
        self._group_records = metrics.GROUP_RECORDS.labels(step.name)
        self._flush_seconds = metrics.FLUSH_SECONDS.labels(step.name)
        self._lock = asyncio.Lock()
        self._culprits: deque[float] = deque(maxlen=culprits_max)
        self.on_reset: Callable[[Part], None] | None = None
        """Called when a partition's indexes were thrown away after a bug."""
        app.settlers.append(self.settle)

    # -- the loop

    async def run(self, stream: Any) -> None:
        """Carry the step: the body of its Faust agent."""
        try:
            async for event in stream.noack().events():
                self._take(event)
                queue = self._app.queues[self.step.topic.name] = stream.channel.queue
                if queue.empty():
                    await self._wait_out()
                if queue.empty() or len(self._events) >= RUNS_MAX or self._count >= RECORDS_MAX:
                    await self.settle()
        except asyncio.CancelledError:
            raise
        except Exception:
            self._end("the carrying loop failed")

    async def _wait_out(self) -> None:
        """Hold a group back that would come too soon: a bound on groups makes latency better."""
        rest_s = self._spacing.until() - time.monotonic()
        if rest_s > 0 and self._events:
            await asyncio.sleep(rest_s)

    def _take(self, event: Any) -> None:
        message = event.message
        if not self._app.consumer.current(message):
            metrics.RUN_STALE.labels(message.topic).inc()
            return
        part = self.part(message.partition)
        self._events.append(event)
        self._count += len(message.value)
        run, fold_max = message.value, self.step.fold_max
        for start in range(0, len(run), fold_max):
            self._take_in(part, self._decoded(run[start : start + fold_max], part))

    def _take_in(self, part: Part, records: list[Record]) -> None:
        part.raws += [record.raw for record in records]
        if not self.step.gathers:
            self._fold(part, records)
            return
        self._gathered += records
        if len(self._gathered) >= GATHERED_MAX:
            self._fold_gathered()

    def part(self, number: int) -> Part:
        """Return a partition's state, built from its rows when it is asked for first."""
        part = self.parts.get(number)
        if part is None:
            rows = self._rows(number) if self._table is not None else None
            part = Part(number, rows, self.tokens.get(number, ""), self._create_batch)
            self.step.open(part)
            self.parts[number] = part
        return part

    def _create_batch(self) -> Any:
        return self._app.producer._producer.create_batch()

    def _rows(self, number: int) -> Rows:
        store = self._table.data
        return Rows(lambda: store._db_for_partition(number), store.take_unfinished(number))

    def _decoded(self, run: Sequence[Any], part: Part) -> list[Record]:
        after = part.rows.progress.offset if part.keeps_rows else -1
        records: list[Record] = []
        decode = self.step.decode
        for raw in run:
            if raw.offset <= after:
                continue
            try:
                records.append(Record(raw.offset, raw.timestamp, decode(raw.value), raw))
            except BadEvent as error:
                self._bury(part, raw, str(error), "bad_event")
        return records

    # -- folding, and what a bug costs

    def _fold(self, part: Part, records: list[Record]) -> None:
        if not records:
            return
        try:
            self._fold_into(part, records)
        except Exception:
            logger.exception("%s: a group of partition %d is folded again one by one", self.step.name, part.number)
            self._fold_singly(part)
        if part.keeps_rows:
            part.rows.progress.offset = records[-1].offset
        self._records_total.inc(len(records))

    def _fold_into(self, part: Part, records: list[Record]) -> None:
        """Fold a run and encode what came of it, so that what cannot be encoded counts as a bug of that run."""
        outs = self._encoded(self.step.fold(records, part))
        if part.keeps_rows:
            part.rows.pack()
        part.outs.add(outs)

    def _fold_gathered(self) -> None:
        """Fold what came of all partitions as one run: a batch through the classifier costs little more than one text."""
        records, self._gathered = self._gathered, []
        if not records:
            return
        # All outputs of a group lie with one part, in the order of the folds: the next step takes what comes after a
        # higher source of its partition for a repeat.
        first, *others = self.parts.values()
        try:
            self._fold_into(first, records)
        except Exception:
            logger.exception("%s: a group is folded again one by one", self.step.name)
            self._fold_singly(first)
            for part in others:
                self._fold_singly(part)
                first.outs.take(part.outs)
        self._records_total.inc(len(records))

    def _fold_singly(self, part: Part) -> None:
        """Throw the partition's group away and fold it again one record at a time; the culprit is buried."""
        raws, part.raws = part.raws, []
        part.outs.clear()
        self._rebuild(part, None)
        for raw in raws:
            checkpoint = part.rows.checkpoint() if part.keeps_rows else None
            record = Record(raw.offset, raw.timestamp, self.step.decode(raw.value), raw)
            try:
                self._fold_into(part, [record])
                part.raws.append(raw)
            except Exception as error:
                self._rebuild(part, checkpoint)
                self._blame(part, record, error)
            if part.keeps_rows:
                part.rows.progress.offset = record.offset

    def _rebuild(self, part: Part, checkpoint: Any) -> None:
        if part.keeps_rows:
            if checkpoint is None:
                part.rows.forget()
            else:
                part.rows.restore(checkpoint)
        part.ready = False
        self.step.open(part)
        if self.on_reset is not None:
            self.on_reset(part)

    def _blame(self, part: Part, record: Record, error: Exception) -> None:
        if isinstance(error, BadEvent):
            self._bury(part, record.raw, str(error), "bad_event")
            return
        metrics.STEP_BUGS.labels(self.step.name).inc()
        detail = "".join(traceback.format_exception(error))
        logger.error("%s: offset %d is a culprit: %s", self.step.name, record.offset, detail)
        self._bury(part, record.raw, f"a bug in {self.step.name}: {error!r}", "bug", detail)
        self._culprits.append(time.monotonic())
        if len(self._culprits) == self._culprits.maxlen and self._culprits[-1] - self._culprits[0] < 60:
            self._end(f"{self._culprits.maxlen} culprits in a minute")

    def _bury(self, part: Part, raw: Any, reason: str, cause: str, detail: str = "") -> None:
        part.letters.append(_letter(self.step.name, raw, reason, cause, detail))

    # -- groups

    async def settle(self) -> None:
        """Finish the group under way; also called from outside, before partitions are handed over."""
        # Shielded: a cancelled agent must not leave a group half written.
        await asyncio.shield(asyncio.ensure_future(self._settle()))

    async def _settle(self) -> None:
        async with self._lock:
            if not self._events:
                return
            began = time.monotonic()
            try:
                self._fold_gathered()
                await self._commit_group()
            except Exception:
                self._end("a group could not be written")
            self._group_records.observe(self._count)
            self._flush_seconds.observe(time.monotonic() - began)
            for event in self._events:
                event.ack()
            self._events = []
            self._count = 0
            self._spacing.took(time.monotonic())

    async def _commit_group(self) -> None:
        self._app.fence.check()
        await self._send_outs()
        if self._table is not None:
            await self._write_rows([part for part in self.parts.values() if part.raws])
        for part in self.parts.values():
            part.raws = []

    async def _send_outs(self) -> None:
        batches = Batches(self._create_batch)
        for part in self.parts.values():
            batches.add(self._encoded(part.letters))
            batches.take(part.outs)
            part.letters = []
        await batches.send(self._app.producer._producer)

    def _encoded(self, outs: Sequence[Out]) -> list[Out]:
        """Encode what a run has given, while it is still near the core, and say where it goes."""
        encoded: list[Out] = []
        for out in outs:
            value = _encode(out.value)
            if len(value) > OUT_BYTES_MAX:
                out, value = self._too_large(out, value)
            where = out.partition if out.partition is not None else self._partition(out.topic.name, out.key)
            encoded.append(Out(out.topic, out.key, value, where))
        return encoded

    def _too_large(self, out: Out, value: bytes) -> tuple[Out, bytes]:
        """Bury a record that no broker would take: it would end this worker, and the next one at the same place."""
        logger.error("%s: a record of %d bytes for %s is buried", self.step.name, len(value), out.topic.name)
        metrics.DEAD_LETTERS.labels(self.step.name, "too_large").inc()
        reason = f"{len(value)} bytes came out, at most {OUT_BYTES_MAX} are meant"
        letter = dead_letter(getattr(out.value, "at", 0), reason, out.topic.name, key=out.key, value=value)
        buried_out = Out(topics.DEAD_LETTERS, out.topic.name.encode(), letter)
        return buried_out, _encode(letter)

    def _partition(self, topic: str, key: bytes) -> int:
        found = self._keys.get((topic, key))
        if found is None:
            if len(self._keys) >= KEYS_MAX:
                self._keys.clear()
            found = self._keys[topic, key] = (murmur2(key) & 0x7FFFFFFF) % self._partitions[topic]
        return found

    async def _write_rows(self, parts: list[Part]) -> None:
        changelog = self._table.changelog_topic.get_topic_name()
        store = self._table.data
        batches = Batches(self._create_batch)
        drained = [(part, part.rows.drain()) for part in parts]
        for part, rows in drained:
            for key, value in rows:
                batches.append(changelog, part.number, key, value)
        ends = await batches.send(self._app.producer._producer)
        self._app.fence.check()
        for part, rows in drained:
            end = ends[changelog, part.number] if part.rows.is_whole else None
            write(store._db_for_partition(part.number), rows, store.offset_key, end)

    # -- ownership

    def keep_only(self, numbers: frozenset[int]) -> None:
        """Forget all partitions but these: somebody else may have written their rows since."""
        self.parts = {number: part for number, part in self.parts.items() if number in numbers}

    def drop_group(self) -> None:
        """Forget the group under way: its partitions are not ours any more."""
        self._events = []
        self._gathered = []
        self._count = 0

    def _end(self, why: str) -> None:
        logger.exception("%s: this worker ends itself: %s", self.step.name, why)
        logging.shutdown()
        os._exit(EXIT_CODE)


def buried(step: str, record: Record, reason: str) -> Out:
    """Return the dead letter of a record that a step itself has found to be a bad event, before it changed anything."""
    return _letter(step, record.raw, reason, "bad_event", "")


def _letter(step: str, raw: Any, reason: str, cause: str, detail: str) -> Out:
    metrics.DEAD_LETTERS.labels(step, cause).inc()
    letter = dead_letter(
        raw.timestamp,
        reason,
        raw.topic,
        partition=raw.partition,
        offset=raw.offset,
        key=raw.key,
        value=raw.value,
        detail=detail,
    )
    return Out(topics.DEAD_LETTERS, raw.topic.encode(), letter)


class Batches:
    """
    Record batches by topic and partition, acknowledged together.

    A record is put into its batch as soon as it is encoded, while it is near the core; nothing is sent before the group ends.
    """

    def __init__(self, create_batch: Callable[[], Any] | None) -> None:
        self._create_batch = create_batch
        self._open: dict[tuple[str, int], Any] = {}
        self._full: list[tuple[tuple[str, int], Any]] = []

    def add(self, outs: Sequence[Out]) -> None:
        """Append records that were encoded."""
        for out in outs:
            assert out.partition is not None
            self.append(out.topic.name, out.partition, out.key, out.value)

    def append(self, topic: str, partition: int, key: bytes, value: bytes | None) -> None:
        """Append a record; what no batch holds is a bug, for it was measured before."""
        where = (topic, partition)
        batch = self._open.get(where)
        if batch is None:
            batch = self._begin(where)
        if batch.append(key=key, value=value, timestamp=None) is None:
            self._full.append((where, batch))
            if self._begin(where).append(key=key, value=value, timestamp=None) is None:
                raise ValueError(f"a record of {len(value or b'')} bytes for {topic} is larger than a batch may be")

    def _begin(self, where: tuple[str, int]) -> Any:
        assert self._create_batch is not None
        batch = self._open[where] = self._create_batch()
        return batch

    def take(self, others: "Batches") -> None:
        """Take all batches of others, behind what is here; they are empty then."""
        self._full += [*self._open.items(), *others._full]
        self._open = others._open
        others._open, others._full = {}, []

    def clear(self) -> None:
        """Throw all away."""
        self._open, self._full = {}, []

    async def send(self, producer: Any) -> dict[tuple[str, int], int]:
        """Send all and await every acknowledgement; return the last offset written, by topic and partition."""
        sent: list[tuple[tuple[str, int], int, asyncio.Future[Any]]] = []
        for where, batch in (*self._full, *self._open.items()):
            future = await producer.send_batch(batch, where[0], partition=where[1])
            sent.append((where, batch.record_count(), future))
        self.clear()
        ends: dict[tuple[str, int], int] = {}
        for where, count, future in sent:
            ends[where] = (await future).offset + count - 1
        return ends
