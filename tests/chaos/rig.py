"""
A small worker in the test's own process: one step over one topic, on a real broker, with every part open to a test.

Each test gives the rig the consumer, carrier or fence that provokes its fault; all the rest is as the engine has it.
"""

import asyncio
import time
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, ClassVar

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from msgspec import Struct

from models.errors import BadEvent
from streams import topics
from streams.carry import Carrier, Out, Part, Record
from streams.fence import Fence
from streams.rows import Kind
from streams.runs import RUN_MAX, RunsApp, RunsConsumer, RunsTransport, partitions_of
from streams.topics import Topic

SESSION_S = 3.0
COUNTS = Kind("count", int)


class Number(Struct, frozen=True):
    """What the step writes: the number that it read."""

    number: int


class CountStep:
    """Counts each number in a row of its own and writes it on; remembers what it was given, and when."""

    name = "count"
    gathers = False
    fold_max = RUN_MAX

    def __init__(self, source: Topic, target: Topic, *, keeps_rows: bool = True) -> None:
        self.topic = source
        self.target = target
        self.keeps_rows = keeps_rows
        self.given: list[tuple[int, int]] = []
        """(partition, offset) of each record folded."""
        self.bugs: set[int] = set()
        """Numbers that hit a bug."""

    def decode(self, value: bytes | None) -> int:
        try:
            return int(value or b"")
        except ValueError as error:
            raise BadEvent(f"{value!r} is no number") from error

    def open(self, part: Part) -> None:
        part.index = {name for name, _ in part.rows.all(COUNTS)} if part.keeps_rows else set()

    def fold(self, records: Sequence[Record], part: Part) -> list[Out]:
        outs = []
        for record in records:
            self.given.append((part.number, record.offset))
            if part.keeps_rows:
                key = f"{record.value}"
                part.rows.set(COUNTS, key, (part.rows.get(COUNTS, key) or 0) + 1)
            if record.value in self.bugs:
                raise RuntimeError(f"{record.value} is a culprit")
            outs.append(Out(self.target, b"k", Number(record.value), record.raw.partition))
        return outs


class Ended(BaseException):
    """In place of the process's end."""


class RigCarrier(Carrier):
    """A carrier that says why it would end the process."""

    ended: list[str]

    def _end(self, why: str) -> None:
        self.ended.append(why)
        raise Ended(why)


class Rig:
    """One worker with one step; several of the same names form a group."""

    running: ClassVar[set["Rig"]] = set()

    def __init__(
        self,
        bootstrap: str,
        folder: Path,
        name: str,
        *,
        partitions: int = 1,
        consumer: type[RunsConsumer] = RunsConsumer,
        carrier: type[RigCarrier] = RigCarrier,
        fence: Fence | None = None,
        keeps_rows: bool = True,
        step: type[CountStep] = CountStep,
        commit_every_s: float = 1.0,
        **carried: Any,
    ) -> None:
        self.bootstrap = bootstrap
        self.name = name
        self.partitions = partitions
        self.source = Topic(f"{name}-in", "", int, partitions, topics.DAY_MS)
        self.target = Topic(f"{name}-out", "", Number, partitions, topics.DAY_MS)
        self.changelog = f"{name}-count-changelog"
        self.app: Any = _app(bootstrap, folder, name, consumer, fence or Fence(SESSION_S), commit_every_s, partitions)
        self.step = step(self.source, self.target, keeps_rows=keeps_rows)
        table = self.app.Table("count", partitions=partitions, key_type=bytes, value_type=bytes) if keeps_rows else None
        counts = {self.source.name: partitions, self.target.name: partitions, topics.DEAD_LETTERS.name: 4}
        carried.setdefault("group_every_s", 0.0)
        self.carrier = carrier(self.app, self.step, table=table, partitions=counts, **carried)  # type: ignore[arg-type]
        self.carrier.ended = []
        self.app.on_partitions_assigned.connect(self._on_assigned, weak=False)
        self._bind()

    def _bind(self) -> None:
        async def agent(stream: Any) -> None:
            await self.carrier.run(stream)

        agent.__name__ = agent.__qualname__ = "count"
        self.app.agent(self.app.runs_topic(self.source.name, self.partitions), name="count", concurrency=1)(agent)

    async def _on_assigned(self, app: Any, assigned: Any, **_kwargs: Any) -> None:
        self.carrier.drop_group()
        self.carrier.keep_only(frozenset())

    @property
    def consumer(self) -> Any:
        return self.app.consumer

    async def start(self) -> None:
        self.app.finalize()
        self.app.conf.datadir.mkdir(parents=True, exist_ok=True)
        self.running.add(self)
        await self.app.start()
        await self.until(lambda: self.is_ready, "ready")

    async def stop(self) -> None:
        self.running.discard(self)
        await self.app.stop()

    async def abandon(self) -> None:
        """Stop whatever the state is that a failed test has left: its threads would outlive it."""
        self.carrier.drop_group()
        self.app.settlers.clear()
        with suppress(Exception, Ended):
            await asyncio.wait_for(self.stop(), 15)

    @property
    def is_ready(self) -> bool:
        return bool(self.consumer.flow_active and self.consumer.positions_known)

    async def until(self, holds: Callable[[], bool], what: str, within_s: float = 20.0) -> None:
        """Wait until something holds."""
        until = time.monotonic() + within_s
        while not holds():
            if time.monotonic() > until:
                raise AssertionError(f"not {what} after {within_s:.0f} s: {len(self.step.given)} records were given")
            await asyncio.sleep(0.02)

    async def rebalance(self) -> None:
        """Let the group rebalance, as a join or a leave would."""
        before = self.app.consumer_generation_id
        coordinator = self.consumer._thread._consumer._coordinator
        self.consumer._thread.thread_loop.call_soon_threadsafe(coordinator.request_rejoin)
        await self.until(lambda: self.app.consumer_generation_id != before and self.is_ready, "rebalanced")

    def counts(self) -> dict[int, int]:
        """Return the rows: how often each number was counted."""
        table = self.carrier._table.data
        found: Counter[int] = Counter()
        for number in partitions_of(self.consumer.assignment(), self.source.name):
            for key, value in table._db_for_partition(number).items(from_key=COUNTS.prefix):
                if key.startswith(COUNTS.prefix):
                    found[int(key[len(COUNTS.prefix) :])] += COUNTS.decode(value[16:])
        return dict(found)

    async def all_counted(self, count: int, within_s: float = 20.0) -> None:
        """Wait until the rows hold the numbers below ``count``, each of them once."""
        await self.until(lambda: self._pending() == 0 and len(self.counts()) >= count, f"{count} counted", within_s)
        assert self.counts() == dict.fromkeys(range(count), 1)

    def _pending(self) -> int:
        return len(self.carrier._events)

    async def committed(self, partition: int = 0) -> int | None:
        """Return what the broker has as the group's progress."""
        admin = AIOKafkaAdminClient(bootstrap_servers=self.bootstrap)
        await admin.start()
        try:
            found = await admin.list_consumer_group_offsets(self.name)
        finally:
            await admin.close()
        one = found.get(TopicPartition(self.source.name, partition))
        return one.offset if one is not None and one.offset >= 0 else None

    async def commits(self, offset: int, partition: int = 0, within_s: float = 20.0) -> None:
        """Wait until the group's progress is this one; what is counted is committed a while after."""
        until = time.monotonic() + within_s
        while (found := await self.committed(partition)) != offset:
            if time.monotonic() > until:
                raise AssertionError(f"progress is {found}, not {offset}, after {within_s:.0f} s")
            await asyncio.sleep(0.1)


def _app(
    bootstrap: str,
    folder: Path,
    name: str,
    consumer: type[RunsConsumer],
    fence: Fence,
    commit_every_s: float,
    partitions: int,
) -> Any:
    app: Any = RunsApp(
        name,
        fence=fence,
        broker=f"runs://{bootstrap}",
        store="rows://",
        datadir=str(folder),
        web_enabled=False,
        topic_allow_declare=False,
        topic_disable_leader=True,
        topic_partitions=partitions,
        table_standby_replicas=0,
        stream_wait_empty=True,
        stream_buffer_maxsize=32,
        stream_recovery_delay=0.0,
        broker_session_timeout=SESSION_S,
        broker_heartbeat_interval=0.5,
        broker_rebalance_timeout=10.0,
        broker_request_timeout=30.0,
        broker_commit_interval=commit_every_s,
        producer_linger=0.0,
    )

    class Transport(RunsTransport):
        Consumer = consumer

    app.transport = Transport(app.conf.broker_consumer, app)
    app.producer_transport = Transport(app.conf.broker_producer, app)
    return app


@asynccontextmanager
async def topics_of(bootstrap: str, partitions: int = 1) -> AsyncIterator[str]:
    """Make the topics of a rig; yield the name that they share."""
    name = f"rig-{uuid.uuid4().hex[:8]}"
    wanted = [NewTopic(f"{name}-{end}", partitions, 1) for end in ("in", "out")]
    wanted.append(NewTopic(f"{name}-count-changelog", partitions, 1, topic_configs={"cleanup.policy": "compact"}))
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        standing = await admin.list_topics()
        if topics.DEAD_LETTERS.name not in standing:
            wanted.append(NewTopic(topics.DEAD_LETTERS.name, 4, 1))
        await admin.create_topics(wanted)
        yield name
    finally:
        for rig in list(Rig.running):
            await rig.abandon()
        await admin.close()


async def produce(bootstrap: str, topic: str, numbers: Sequence[int | bytes], rate: float = 0.0) -> None:
    """Write numbers to the topic's partitions in turn; with a rate, so many a second."""
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, enable_idempotence=True)
    await producer.start()
    try:
        count = len(await producer.partitions_for(topic))
        began = time.monotonic()
        for at, number in enumerate(numbers):
            value = number if isinstance(number, bytes) else str(number).encode()
            await producer.send(topic, value, partition=at % count)
            if rate and (ahead_s := at / rate - (time.monotonic() - began)) > 0:
                await asyncio.sleep(ahead_s)
        await producer.flush()
    finally:
        await producer.stop()


async def read(bootstrap: str, topic: str) -> list[Any]:
    """Return all records of a topic."""
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, auto_offset_reset="earliest")
    await consumer.start()
    try:
        await consumer._client.force_metadata_update()
        parts = [TopicPartition(topic, number) for number in sorted(consumer.partitions_for_topic(topic) or {0})]
        consumer.assign(parts)
        ends = await consumer.end_offsets(parts)
        await consumer.seek_to_beginning(*parts)
        found: list[Any] = []
        while [part for part in parts if await consumer.position(part) < ends[part]]:
            for records in (await consumer.getmany(timeout_ms=200)).values():
                found += records
        return found
    finally:
        await consumer.stop()


__all__ = ["COUNTS", "Ended", "Number", "Rig", "RigCarrier", "produce", "read", "topics_of"]
