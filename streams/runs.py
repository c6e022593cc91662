"""
Our Faust transport: one Faust event is a run, the records of one partition that one fetch brought; in order and complete.

It relies on private names of ``faust.transport.consumer.Consumer`` and of the aiokafka driver as they are in faust-streaming
0.15.3, which is pinned: ``_drain_messages, _wait_next_records, _getmany, seek_wait, perform_seek, stop_flow, resume_flow,
wait_empty, _new_offset, ack, _acked, _committed_offset, _read_offset, _buffered_partitions, _to_message``. The broker
tests and the chaos suite guard it. Each rule was learnt from a run that went wrong with Faust's own transport:

1. Positions are known only from ``resume_flow`` after a finished seek until the next ``stop_flow``: ``flow_control.resume``
   empties every agent's queue, so what was delivered between the seek and it is gone. Until then runs are dropped.
2. A partition that was never committed is sought to its beginning: Faust leaves it where prefetching has brought it.
3. The next expected offset of each partition is set before its run is delivered. A run beyond it is a hole and is read
   again; a hole that comes again is real (retention, compaction) and is taken. A run below it is cut.
4. A fetch gets a copy of the active partitions: an empty set means all of them to aiokafka. A seek waits for the fetch in
   flight while the flow is stopped, else that fetch takes the changelog's records away and recovery waits for ever.
5. A partition's progress is one number, the end of its last finished run; gaps and lists of acks are left alone.
6. Before partitions are handed over, the steps settle what they hold, and it is committed.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any, Final

import faust
from faust.events import Event
from faust.serializers.schemas import Schema
from faust.transport.drivers import TRANSPORTS
from faust.transport.drivers import aiokafka as driver
from faust.types import ConsumerMessage
from mode.threads import WorkerThread
from mode.utils.futures import notify

from streams import metrics
from streams.fence import Fence
from streams.fetched import Fetched, hand_out_lean
from streams.pace import Pace, Spacing

RUN_MAX: Final = 500
"""Records of a run: one ONNX batch of 20 ms; a longer one would hold up the loop."""
FETCH_WAIT_S: Final = 0.2
"""A rebalance waits for the fetch in flight, so it must not wait the second that Faust gives it."""

Settle = Callable[[], Awaitable[None]]


class RunsConsumer(driver.Consumer):  # type: ignore[misc]  # Faust is untyped
    """Delivers runs; see the rules above."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._expected: dict[Any, int] | None = None
        self._sought: dict[Any, int] | None = None
        self._stops = 0
        self._done: dict[Any, int] = {}
        self._finishing: frozenset[Any] = frozenset()
        self._no_fetch = asyncio.Event()
        self._no_fetch.set()
        self._holes: dict[Any, tuple[int, int]] = {}
        self.settled = False
        """Whether all that the steps held was finished and committed at the last revocation."""

    def _new_consumer_thread(self) -> Any:
        return _FencedThread(self, loop=self.loop, beacon=self.beacon, thread_loop=_fast_loop(), Worker=_DaemonThread)

    def is_run(self, tp: Any) -> bool:
        """Whether a partition is read in runs: all but changelogs are."""
        return not self._is_changelog_tp(tp)

    def current(self, message: Any) -> bool:
        """Whether a delivered run is still this worker's to fold."""
        return (
            self.flow_active and self._expected is not None and message.generation_id == self.app.consumer_generation_id
        )

    @property
    def positions_known(self) -> bool:
        """Whether runs are delivered now."""
        return self._expected is not None

    @property
    def done(self) -> dict[str, int]:
        """Next offset to commit, by partition."""
        return {f"{tp.topic}-{tp.partition}": offset for tp, offset in self._done.items()}

    # -- positions

    def stop_flow(self) -> None:
        """Positions become unknown (rule 1); what was delivered may still be finished (rule 6)."""
        if self._expected is not None:
            self._finishing = frozenset(self._expected)
        self._expected = self._sought = None
        self._stops += 1
        super().stop_flow()

    def resume_flow(self) -> None:
        """Positions are known from here on, if a seek came before (rule 1)."""
        super().resume_flow()
        if self._sought is not None:
            self._expected, self._sought = self._sought, None

    async def perform_seek(self) -> None:
        """Seek to what is committed, or to the beginning (rule 2)."""
        self._expected = self._sought = None
        stops = self._stops
        await super().perform_seek()
        runs = [tp for tp in self.assignment() if self.is_run(tp)]
        positions = {tp: offset for tp in runs if (offset := self._committed_offset.get(tp)) is not None}
        fresh = [tp for tp in runs if tp not in positions]
        if fresh:
            for tp, offset in (await self.earliest_offsets(*fresh)).items():
                await self.seek(tp, offset)
                positions[tp] = offset
        self._done = {}
        self._finishing = frozenset()
        self._holes = {}
        # A rebalance may have begun meanwhile: Faust would resume the flow all the same, with positions of the last one.
        if stops == self._stops:
            self._sought = positions

    async def _getmany(self, active_partitions: Any, timeout: float) -> Any:
        self._no_fetch.clear()
        try:  # a copy (rule 4)
            return await super()._getmany(active_partitions=set(active_partitions), timeout=timeout)
        finally:
            self._no_fetch.set()

    async def seek_wait(self, partitions: Mapping[Any, int]) -> None:
        """Let the fetch in flight end before a seek (rule 4)."""
        if not self.flow_active:
            await self._no_fetch.wait()
        await super().seek_wait(partitions)

    # -- progress

    def ack(self, message: Any) -> bool:
        """Note that a run is finished (rule 5)."""
        if not self.is_run(message.tp):
            return bool(super().ack(message))
        self._unacked_messages.discard(message)
        message.acked = True
        if self.current(message) or message.tp in self._finishing:
            self._acked[message.tp]  # commit looks for the key alone
            self._done[message.tp] = max(self._done.get(message.tp, 0), message.offset + 1)
        notify(self._waiting_for_ack)
        return True

    def _new_offset(self, tp: Any) -> int | None:
        if self.is_run(tp):
            return self._done.get(tp)
        offset: int | None = super()._new_offset(tp)
        return offset

    async def wait_empty(self) -> None:
        """End what is begun and commit it, then let the partitions go (rule 6)."""
        self.settled = False
        try:
            for settle in self.app.settlers:
                await settle()
            while self._commit_fut is not None:  # a commit under way may have begun before the last acks
                await self.maybe_wait_for_commit_to_finish()
            for tp in self._done:
                self._acked[tp]  # the revocation has thrown the keys away that commit goes by
            committed = await self.commit()
            self.settled = bool(committed) or not self._done
        finally:
            self._finishing = frozenset()
            self._done = {}  # somebody else may go on from here: nothing of this may be committed again

    # -- reading

    async def _drain_messages(self, fetcher: Any) -> None:
        try:
            while not (self._stopped.is_set() or fetcher._stopped.is_set()):
                records, active = await self._wait_next_records(FETCH_WAIT_S)
                if self.should_stop:
                    return
                if records and self.flow_active:
                    await self._deliver(records, active)
                await asyncio.sleep(0)
        except self.consumer_stopped_errors:
            if not self.transport.app.should_stop:
                raise
        except asyncio.CancelledError:
            if not self.transport.app.should_stop:
                raise

    async def _deliver(self, records: Mapping[Any, list[Any]], active: Any) -> None:
        generation = self.app.consumer_generation_id
        for tp, fetched in records.items():
            if not self.flow_active or generation != self.app.consumer_generation_id:
                return
            if not (active is None or tp in active or tp in self._buffered_partitions):
                continue
            if not self.is_run(tp):
                await self._deliver_changelog(tp, fetched)
            elif (run := await self._fitting(tp, fetched)) is not None:
                await self._deliver_run(tp, run)

    def _to_message(self, tp: Any, record: Fetched) -> Any:
        return ConsumerMessage(
            record.topic,
            record.partition,
            record.offset,
            record.timestamp / 1000,
            0,
            None,
            record.key,
            record.value,
            None,
            tp=tp,
            generation_id=self.app.consumer_generation_id,
        )

    async def _deliver_changelog(self, tp: Any, fetched: list[Any]) -> None:
        """Hand over changelog records one by one, as Faust's recovery has it."""
        self.app.monitor.track_tp_end_offset(tp, self.highwater(tp))
        for record in fetched:
            read = self._read_offset[tp]
            if read is None or record.offset >= read:
                await self._hand_over(self._to_message(tp, record))
                self._read_offset[tp] = record.offset

    async def _fitting(self, tp: Any, fetched: list[Any]) -> list[Any] | None:
        """Return the part of a fetch that follows what was delivered; None if it is stale or beyond a hole (rule 3)."""
        expected = self._expected.get(tp) if self._expected is not None else None
        if expected is None:
            metrics.RUN_STALE.labels(tp.topic).inc()
            return None
        first = fetched[0].offset
        if first > expected and not await self._real_hole(tp, expected, first):
            return None
        if first < expected:
            metrics.RUN_REREAD.labels(tp.topic).inc(sum(record.offset < expected for record in fetched))
            fetched = [record for record in fetched if record.offset >= expected]
        return fetched

    async def _real_hole(self, tp: Any, expected: int, first: int) -> bool:
        """Read a hole again; the same hole met twice is taken as it is."""
        if self._holes.get(tp) == (expected, first):
            del self._holes[tp]
            metrics.RUN_ACCEPTED.labels(tp.topic).inc()
            self.log.warning("%s: offsets %s to %s do not exist any more; going on after them", tp, expected, first - 1)
            if self._expected is not None:
                self._expected[tp] = first
            return True
        self._holes[tp] = (expected, first)
        metrics.RUN_HOLES.labels(tp.topic).inc()
        await self.seek(tp, expected)
        return False

    async def _deliver_run(self, tp: Any, run: list[Any]) -> None:
        for start in range(0, len(run), RUN_MAX):
            chunk = run[start : start + RUN_MAX]
            # Flow and position may have changed in the await before.
            if self._expected is None or not self.flow_active:
                return
            if start and self._expected.get(tp) != run[start - 1].offset + 1:
                return
            message = self._to_message(tp, chunk[-1])
            message.value = chunk
            self._expected[tp] = message.offset + 1
            self._read_offset[tp] = message.offset
            await self._hand_over(message)

    async def _hand_over(self, message: Any) -> None:
        """Deliver; a full queue must not keep a rebalance waiting."""
        queue = self.app.queues.get(message.topic)
        if queue is not None and not queue.full():
            # Nothing to wait for: racing it, as below, would cost two tasks for each run.
            await self.callback(message)
        else:
            await self.wait_first(self.callback(message), self.suspend_flow.wait())

    def lag(self) -> dict[str, int]:
        """Return records that were not committed yet, by topic, of the partitions held."""
        lags: dict[str, int] = {}
        for tp in self.assignment():
            highwater = self.highwater(tp) if self.is_run(tp) else None
            if highwater is not None:
                done = self._done.get(tp) or self._committed_offset.get(tp) or 0
                lags[tp.topic] = lags.get(tp.topic, 0) + max(0, highwater - done)
        return lags


class _DaemonThread(WorkerThread):  # type: ignore[misc]  # mode is untyped
    """A thread that keeps no process alive: a consumer that cannot reach its broker tries for ever."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.daemon = True


class _FencedThread(driver.AIOKafkaConsumerThread):  # type: ignore[misc]  # Faust is untyped
    """Aiokafka's consumer in its thread, with the coordinator's answers noted, lean records, and topics that rest."""

    async def on_start(self) -> None:
        await super().on_start()
        self.app.fence.guard_coordinator(self._consumer._coordinator)
        hand_out_lean(self._consumer._fetcher)
        Pace(self.app.rests).guide(self._consumer._fetcher)


def _fast_loop() -> asyncio.AbstractEventLoop:
    """Return a loop for the consumer's thread: uvloop where there is one, as in the main thread."""
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop()
    loop: asyncio.AbstractEventLoop = uvloop.new_event_loop()
    return loop


class FencedProducer(driver.Producer):  # type: ignore[misc]  # Faust is untyped
    """Idempotent, so no later batch passes a failed one; fenced at its socket."""

    def _settings_extra(self) -> dict[str, Any]:
        return {"acks": "all", "enable_idempotence": True}

    async def on_start(self) -> None:
        """Start the producer and guard its socket."""
        await super().on_start()
        self.app.fence.guard_producer(self._producer)


class RunsTransport(driver.Transport):  # type: ignore[misc]  # Faust is untyped
    """The transport behind ``runs://`` addresses."""

    Consumer = RunsConsumer
    Producer = FencedProducer


TRANSPORTS.aliases["runs"] = "streams.runs:RunsTransport"


class RunSchema(Schema):  # type: ignore[misc]  # Faust is untyped
    """Passes the records of a run through as the event's value."""

    def compile(self, app: Any, **_options: Any) -> Callable[..., Awaitable[Any]]:
        """Return a decoder that decodes nothing: the carrying loop decodes each record in a try of its own."""

        async def decode(message: Any, *, propagate: bool = False) -> Any:
            return Event(app, message.key, message.value, None, message)

        return decode


class RunsApp(faust.App):  # type: ignore[misc]  # Faust is untyped
    """A Faust app whose steps are carried in runs."""

    def __init__(self, *args: Any, fence: Fence, **kwargs: Any) -> None:
        self.fence = fence
        self.settlers: list[Settle] = []
        self.queues: dict[str, Any] = {}
        """Of the steps' streams, by topic, from their first run on."""
        self.rests: dict[str, Spacing] = {}
        """How far apart fetches are that bring little of a topic, by its name; see ``streams.pace``."""
        super().__init__(*args, **kwargs)

    def runs_topic(self, name: str, partitions: int) -> Any:
        """Return a topic that is read in runs."""
        return self.topic(
            name,
            partitions=partitions,
            schema=RunSchema(key_type=bytes, value_type=bytes, key_serializer="raw", value_serializer="raw"),
        )


def partitions_of(tps: Iterable[Any], topic: str) -> frozenset[int]:
    """Return the numbers of a topic's partitions."""
    return frozenset(tp.partition for tp in tps if tp.topic == topic)
