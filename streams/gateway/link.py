"""The gateway's two ends at the broker: what desks do goes out, whole topics come in without a group."""

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError

from models.errors import ZurufError
from models.records import Command, DeskDown, DeskUp, GatewayBeat, Resync
from models.relabels import HeadChanged
from streams import topics
from streams.codec import encode

log = logging.getLogger("zuruf.gateway")

SEND_S: Final = 5.0  # A rep waits that long for an answer to a click, not longer.
START_S: Final = 30.0  # A broker that starts together with us is up by then.
AGAIN_S: Final = 1.0
STOP_S: Final = 2.0
CHUNK_RECORDS: Final = 64  # Between two chunks the sockets get their turn: a few milliseconds of folding.

Report = DeskUp | DeskDown | GatewayBeat | Command | HeadChanged | Resync
Offsets = dict[TopicPartition, int]


class Unavailable(ZurufError):
    """The broker does not take what a desk does; to be tried again."""


class Work:
    """What desks and their gateway say, on its way to ``work``: keyed by tenant, in order, acknowledged by all replicas."""

    def __init__(self, servers: Sequence[str], options: Mapping[str, Any]) -> None:
        self._servers = list(servers)
        self._options = dict(options)
        self._producer: Any = None
        self._broken = False
        self._renewing = asyncio.Lock()
        self.failing = False
        """Whether the last record was not taken. Until a probe gets through, others are refused at once."""

    async def start(self) -> None:
        """Connect, waiting up to 30 s for a broker that is starting."""
        await _patiently(self._connect)

    async def _connect(self) -> None:
        producer = AIOKafkaProducer(
            bootstrap_servers=self._servers, acks="all", enable_idempotence=True, linger_ms=0, **self._options
        )
        try:
            await producer.start()
        except BaseException:
            await producer.stop()
            raise
        self._producer = producer

    async def partitions(self, topic: str) -> list[TopicPartition]:
        """Return all partitions of a topic, waiting for one that is being made."""
        return [TopicPartition(topic, one) for one in sorted(await self._producer.partitions_for(topic))]

    async def send(self, record: Report, *, probe: bool = False) -> None:
        """
        Write one record and wait until it is acknowledged.

        Args:
            probe: Try even while the broker is failing.

        Raises:
            Unavailable: If it was not acknowledged within 5 s. It may still arrive later: commands carry ids.
        """
        if self.failing and not probe:
            raise Unavailable("the broker does not answer")
        try:
            async with asyncio.timeout(SEND_S):
                await self._renew()
                await self._producer.send_and_wait(topics.WORK.name, encode(record), key=record.tenant.encode())
        except (KafkaError, TimeoutError, OSError) as error:
            # A time-out heals by itself; any other refusal may have ended an idempotent producer for good.
            self._broken = self._broken or (isinstance(error, KafkaError) and not error.retriable)
            self.failing = True
            raise Unavailable(f"the broker did not take it: {type(error).__name__}") from error
        self.failing = False

    async def _renew(self) -> None:
        if not self._broken:
            return
        async with self._renewing:
            if self._broken:  # Others may have waited for the same.
                await self.stop()
                await self._connect()
                self._broken = False

    async def stop(self) -> None:
        """Disconnect; what is unacknowledged was reported as such."""
        await _stop_within(self._producer)


class Reader:
    """All partitions of one topic, from a place in the past on, for as long as the gateway lives."""

    def __init__(
        self,
        work: Work,
        servers: Sequence[str],
        options: Mapping[str, Any],
        topic: str,
        begin: Callable[[Any, list[TopicPartition]], Awaitable[Offsets]],
        fold: Callable[[Any, bool], None],
        reset: Callable[[], None],
    ) -> None:
        """
        Set up; ``run`` reads.

        Args:
            begin: Says from which offsets to read.
            fold: Takes in one record, and whether it is news (else it was there before we began).
            reset: Called when the topic could not be followed: all that came from it is to be forgotten.
        """
        self._work = work
        self._servers = list(servers)
        self._options = dict(options)
        self._topic = topic
        self._begin = begin
        self._fold = fold
        self._reset = reset
        self.caught_up = asyncio.Event()
        """Set once all that was in the topic at the beginning has been taken in."""

    async def run(self) -> None:
        """Read until cancelled; after a fault, begin anew."""
        while True:
            try:
                await self._follow()
            except (KafkaError, TimeoutError, OSError) as error:
                # A lost broker is no fault: the consumer waits for it and goes on at its place. This is a place that is
                # no longer there, a topic that is gone, or a right that was taken away.
                log.warning("%s cannot be followed, beginning anew: %s", self._topic, error)
            self.caught_up.clear()
            self._reset()
            await asyncio.sleep(AGAIN_S)

    async def _follow(self) -> None:
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self._servers,
            group_id=None,
            enable_auto_commit=False,
            # An offset that is gone must be an error: a jump would be a gap that nobody sees.
            auto_offset_reset="none",
            **self._options,
        )
        try:
            await consumer.start()
            partitions = await self._work.partitions(self._topic)
            consumer.assign(partitions)
            # Ends first: what is written between the two questions is then read, and not passed over.
            ends: Offsets = await consumer.end_offsets(partitions)
            starts = await self._begin(consumer, partitions)
            for partition in partitions:
                consumer.seek(partition, min(starts.get(partition, ends[partition]), ends[partition]))
            await self._read(consumer, ends)
        finally:
            await _stop_within(consumer)

    async def _read(self, consumer: Any, ends: Offsets) -> None:
        while True:
            await self._note_progress(consumer, ends)
            fetched = await consumer.getmany(timeout_ms=1000 if self.caught_up.is_set() else 100, max_records=500)
            for records in fetched.values():
                for at in range(0, len(records), CHUNK_RECORDS):
                    for record in records[at : at + CHUNK_RECORDS]:
                        self._fold(record, self.caught_up.is_set())
                    await asyncio.sleep(0)

    async def _note_progress(self, consumer: Any, ends: Offsets) -> None:
        if self.caught_up.is_set():
            return
        for partition, end in ends.items():
            if await consumer.position(partition) < end:
                return
        self.caught_up.set()


async def since(consumer: Any, partitions: list[TopicPartition], ago_ms: int) -> Offsets:
    """Return the offsets of the first records not older than this; partitions without any are left out."""
    at = max(0, int(time.time() * 1000) - ago_ms)
    found = await consumer.offsets_for_times(dict.fromkeys(partitions, at))
    return {partition: place.offset for partition, place in found.items() if place is not None}


async def last_records(consumer: Any, partitions: list[TopicPartition], count: int) -> Offsets:
    """Return the offsets at which at most ``count`` records are left in each partition."""
    ends = await consumer.end_offsets(partitions)
    firsts = await consumer.beginning_offsets(partitions)
    return {partition: max(firsts[partition], ends[partition] - count) for partition in partitions}


async def _patiently(connect: Callable[[], Awaitable[None]]) -> None:
    deadline = time.monotonic() + START_S
    while True:
        try:
            return await connect()
        except (KafkaError, OSError):
            if time.monotonic() > deadline:
                raise
            await asyncio.sleep(AGAIN_S)


async def _stop_within(client: Any) -> None:
    """Stop a producer or consumer; one whose broker is gone may not keep us."""
    if client is None:
        return
    with contextlib.suppress(KafkaError, OSError, TimeoutError):
        async with asyncio.timeout(STOP_S):
            await client.stop()
