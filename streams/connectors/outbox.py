"""
Answers -> platforms, each with one effect.

For each answer: ``Sending`` goes to ``work`` and is acknowledged before the platform is called, ``Published`` after, and only
then may the answer's offset be committed. What was read and not committed may have been sent before a crash: it is looked
up, or sent again where its id makes that harmless, else reported as unknown; never sent blindly twice.
"""

import asyncio
import logging
import random
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final, TypeVar

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import KafkaError
from msgspec import Struct

from models.errors import BadEvent
from models.records import Answer, Published, Sending
from streams import topics
from streams.codec import Decoder, dead_letter, encode
from streams.connectors.base import CannotTell, Connector, Failed, NotThere, Outcome, Retry, Sent, Unknown
from streams.connectors.metrics import Metrics
from streams.connectors.producing import BrokerAway, Record, Write, dead_letter_record
from streams.settings import Settings, client_options

GROUP: Final = "zuruf-outbox"
UNDER_WAY_MAX: Final = 64  # Calls at once: as many sockets, and as many answers to look up after a crash.
LANE_MAX: Final = 200  # Answers waiting for one account; beyond, its partition rests until half of them are gone.
TRY_FOR_S: Final = 15 * 60.0  # A customer who waits longer is better served by a rep who knows that it failed.
BACKOFF_S: Final = 0.5
BACKOFF_MAX_S: Final = 30.0
DONE_MAX: Final = 10_000  # Answers remembered with their result; a rebalance brings back a few hundred at most.
SETTLE_S: Final = 5.0  # Half a session: a rebalance waits for us no longer than this.
COMMIT_EVERY_S: Final = 0.2
BROKER_RETRY_S: Final = 1.0
FETCH_MAX: Final = 100

T = TypeVar("T")

_log = logging.getLogger(__name__)


# -- what needs no socket -------------------------------------------------------------------------------------------


class Progress:
    """Which offsets of a partition are done, in whatever order they end."""

    def __init__(self, expected: int) -> None:
        self.expected = expected
        """The offset that comes next."""
        self._open: OrderedDict[int, None] = OrderedDict()
        self._committed = expected
        self._hole_at: int | None = None

    def is_hole(self, first: int) -> bool:
        """
        Return whether records are missing before ``first``, to be read again.

        A fetch that a rebalance has overtaken brings what comes too late. The same hole met twice is none: the records
        are no longer kept.
        """
        if first <= self.expected or self._hole_at == self.expected:
            return False
        self._hole_at = self.expected
        return True

    def begin(self, offset: int) -> None:
        """Note that a record was read; offsets come in rising order."""
        self._open[offset] = None
        self.expected = offset + 1

    def finish(self, offset: int) -> None:
        """Note that a record is settled."""
        self._open.pop(offset, None)

    def to_commit(self) -> int | None:
        """Return the first offset that is not settled, if it is further than what was committed; else None."""
        reached = next(iter(self._open), self.expected)
        return reached if reached > self._committed else None

    def committed(self, offset: int) -> None:
        """Note that the broker has this offset."""
        self._committed = max(self._committed, offset)

    def __len__(self) -> int:
        return len(self._open)


def backoff_s(tries: int, jitter: float) -> float:
    """
    Return the wait before the next attempt: half a second doubling to thirty, times 0.5..1.

    Args:
        tries: Attempts so far, from 1.
        jitter: 0..1; spreads the attempts of many accounts of one platform.
    """
    # The exponent is bounded, since 2.0 ** 1024 is no float.
    return min(BACKOFF_MAX_S, BACKOFF_S * 2.0 ** min(tries - 1, 10)) * (0.5 + jitter / 2)


def published(answer: Answer, outcome: Sent | Failed | Unknown, now: int) -> Published:
    """Return the record that tells dispatch what became of an answer."""
    common: dict[str, Any] = {
        "at": now,
        "tenant": answer.tenant,
        "case_id": answer.case_id,
        "answer_id": answer.answer_id,
    }
    match outcome:
        case Sent(object_uri, url):
            return Published(**common, status="sent", object_uri=object_uri, url=url)
        case Failed(code):
            return Published(**common, status="failed", error=code[:500])
        case Unknown(error):
            return Published(**common, status="unknown", error=error[:500])


def _sending(answer: Answer, now: int) -> Sending:
    return Sending(at=now, tenant=answer.tenant, case_id=answer.case_id, answer_id=answer.answer_id)


class Item(Struct, eq=False):
    """One answer as it was read."""

    answer: Answer
    partition: int
    offset: int
    progress: Progress
    suspect: bool
    """It may have been sent before: it stood in the topic when the partition came."""
    abandoned: bool = False
    """Its partition has gone: no further attempt."""


class Done:
    """Results of the last answers, by tenant and answer id; the oldest leave first."""

    def __init__(self, count_max: int = DONE_MAX) -> None:
        self._results: OrderedDict[tuple[str, str], Sent | Failed | Unknown] = OrderedDict()
        self._count_max = count_max

    def find(self, answer: Answer) -> Sent | Failed | Unknown | None:
        """Return what became of an answer, if it was settled here."""
        return self._results.get((answer.tenant, answer.answer_id))

    def add(self, answer: Answer, outcome: Sent | Failed | Unknown) -> None:
        """Remember what became of an answer."""
        self._results[answer.tenant, answer.answer_id] = outcome
        if len(self._results) > self._count_max:
            self._results.popitem(last=False)


# -- delivery: lanes of accounts ------------------------------------------------------------------------------------

Choose = Callable[[Answer], Connector | None]
"""Answer -> its account's connector, or None where there is none."""


class Delivery:
    """Settles answers: one at a time for an account, at most 64 at a time in all."""

    def __init__(self, choose: Choose, write: Write, metrics: Metrics, clock: Callable[[], int]) -> None:
        """
        Make an idle one.

        Args:
            choose: Which connector an answer goes to.
            write: Returns when the broker has the records.
            metrics: Where results are counted.
            clock: Unix ms.
        """
        self._choose, self._write, self._metrics, self._clock = choose, write, metrics, clock
        self._lanes: dict[tuple[str, str], deque[Item]] = {}
        self._tasks: dict[tuple[str, str], asyncio.Task[None]] = {}
        self._slots = asyncio.Semaphore(UNDER_WAY_MAX)
        self._done = Done()
        self._bug: BaseException | None = None
        self._wake = asyncio.Event()
        self.pending = 0

    def add(self, item: Item) -> None:
        """Take an answer into its account's lane; its offset is finished in the item's progress when it is settled."""
        lane = (item.answer.tenant, item.answer.account_id)
        item.progress.begin(item.offset)
        self._lanes.setdefault(lane, deque()).append(item)
        self._count(1)
        if lane not in self._tasks:
            self._tasks[lane] = task = asyncio.create_task(self._run(lane))
            task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and task.exception() is not None:
            self._bug = task.exception()

    def check(self) -> None:
        """Raise what ended a lane by mistake: its answers are no longer worked on, so the process must begin again."""
        if self._bug is not None:
            raise self._bug

    def full(self, least: int = LANE_MAX) -> set[int]:
        """Return the partitions of which an account has at least so many answers waiting."""
        return {lane[-1].partition for lane in self._lanes.values() if len(lane) >= least}

    async def leave(self, partitions: Iterable[int], settle_s: float) -> None:
        """
        Let go of partitions: drop what waits, make no further attempt, give the calls under way some time.

        Args:
            partitions: Those that go elsewhere.
            settle_s: How long calls under way may take; their results are reported later too, for they are true.
        """
        gone = set(partitions)
        under_way = [self._tasks[lane] for lane in list(self._lanes) if self._clear(lane, gone)]
        self._wake.set()
        self._wake = asyncio.Event()
        if under_way:
            await asyncio.wait(under_way, timeout=settle_s)

    def _clear(self, lane: tuple[str, str], gone: set[int]) -> bool:
        """Drop what waits; the first of a lane is under way and stays: return whether it is one of these partitions."""
        items = self._lanes[lane]
        kept = [item for index, item in enumerate(items) if index == 0 or item.partition not in gone]
        self._count(len(kept) - len(items))
        items.clear()
        items.extend(kept)
        items[0].abandoned = items[0].abandoned or items[0].partition in gone
        return items[0].abandoned

    async def stop(self) -> None:
        """End what is still under way, after ``leave``."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _count(self, change: int) -> None:
        self.pending += change
        self._metrics.pending.set(self.pending)

    async def _run(self, lane: tuple[str, str]) -> None:
        """Settle a lane's answers in their order, until it is empty."""
        items = self._lanes[lane]
        try:
            while items:
                if await self._settle(items[0]):
                    items[0].progress.finish(items[0].offset)
                items.popleft()
                self._count(-1)
        finally:
            del self._lanes[lane], self._tasks[lane]
            self._count(-len(items))

    async def _settle(self, item: Item) -> bool:
        """Bring one answer to its end; False if it was abandoned before."""
        outcome = self._done.find(item.answer)
        if outcome is None and item.abandoned:
            return False
        if outcome is None:
            outcome = await self._deliver(item)
            if outcome is None:
                return False
            self._done.add(item.answer, outcome)
            self._metrics.published.labels(published(item.answer, outcome, 0).status).inc()
        return await self._report(item, lambda: published(item.answer, outcome, self._clock()))

    async def _deliver(self, item: Item) -> Sent | Failed | Unknown | None:
        """Return what became of the answer; None if it was abandoned without one."""
        answer = item.answer
        connector = self._choose(answer)
        if connector is None:
            return Failed(f"no_account: {answer.tenant}/{answer.account_id} is not configured")
        if not await self._report(item, lambda: _sending(answer, self._clock())):
            return None
        if item.suspect:
            found = await self._guarded(item, connector.lookup)
            if isinstance(found, Sent | Unknown):
                return found
            if isinstance(found, CannotTell):
                return Unknown("the process ended while it may have been sent, and the platform cannot tell")
        return await self._try(item, connector)

    async def _try(self, item: Item, connector: Connector) -> Sent | Failed | Unknown | None:
        """Call until there is a result, the time is over or the answer is abandoned."""
        # From the answer's birth: a lane of a dead platform then fails together, not one after the other.
        now, try_for = self._clock(), int(TRY_FOR_S * 1000)
        until = min(now, max(item.answer.at, now - try_for)) + try_for
        tries = 0
        while not item.abandoned:
            tries += 1
            outcome = await self._call(item, connector)
            if isinstance(outcome, Sent | Failed | Unknown):
                return outcome
            self._metrics.retries.inc()
            # Never sooner than our own wait: a platform may ask for 0 seconds again and again.
            wait_s = max(backoff_s(tries, random.random()), outcome.after_s or 0.0)
            if self._clock() + wait_s * 1000 >= until:
                return Failed(f"gave up after {tries} attempts: {outcome.error}")
            await self._rest(item, wait_s)
        return None

    async def _call(self, item: Item, connector: Connector) -> Outcome:
        """Call once; an unknown result is looked up."""
        outcome = await self._guarded(item, connector.publish)
        if not isinstance(outcome, Unknown):
            return outcome
        found = await self._guarded(item, connector.lookup)
        if isinstance(found, NotThere):
            return Retry(outcome.error)
        return found if isinstance(found, Sent) else outcome

    async def _guarded(self, item: Item, ask: Callable[[Answer], Awaitable[T]]) -> T | Unknown:
        async with self._slots:
            try:
                return await ask(item.answer)
            except Exception as error:
                # A bug in one connector must not hold up all accounts; as it may have been sent, it is looked up.
                _log.exception("connector of %s/%s", item.answer.tenant, item.answer.account_id)
                return Unknown(f"internal error: {error!r}")

    async def _report(self, item: Item, make: Callable[[], Sending | Published]) -> bool:
        """Write a record to ``work`` until the broker has it; False if the answer was abandoned before."""
        key = item.answer.tenant.encode()
        while True:
            try:
                await self._write([Record(topics.WORK.name, key, encode(make()))])
                return True
            except BrokerAway as error:
                _log.warning("outbox waits for the broker: %s", error)
                await self._rest(item, BROKER_RETRY_S)
                if item.abandoned:
                    return False

    async def _rest(self, item: Item, wait_s: float) -> None:
        """Wait, or until the answer is abandoned."""
        until = asyncio.get_running_loop().time() + wait_s
        while not item.abandoned and (left_s := until - asyncio.get_running_loop().time()) > 0:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), left_s)


# -- the consumer ---------------------------------------------------------------------------------------------------


class Outbox(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka is untyped
    """Reads ``answers`` in the group ``zuruf-outbox`` and has each one delivered."""

    def __init__(
        self, settings: Settings, choose: Choose, write: Write, metrics: Metrics, clock: Callable[[], int]
    ) -> None:
        """
        Make one that is not connected.

        Args:
            settings: Where the broker is.
            choose: Which connector an answer goes to.
            write: Returns when the broker has the records.
            metrics: Where results are counted.
            clock: Unix ms.
        """
        self._write, self._clock = write, clock
        self._delivery = Delivery(choose, write, metrics, clock)
        self._progress: dict[int, Progress] = {}
        self._known_until: dict[int, int] = {}
        self._resting: set[int] = set()
        self._decoder: Decoder[Answer] = Decoder(Answer, "answer")
        self.joined = False
        session_ms = int(settings.session_s * 1000)
        self._consumer = AIOKafkaConsumer(
            bootstrap_servers=list(settings.broker),
            group_id=GROUP,
            client_id="zuruf-outbox",
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            session_timeout_ms=session_ms,
            heartbeat_interval_ms=max(300, session_ms // 3),
            rebalance_timeout_ms=int(SETTLE_S * 2_000),
            metadata_max_age_ms=10_000,
            **client_options(settings),
        )

    async def run(self, stop: asyncio.Event) -> None:
        """Work until ``stop`` is set; then finish what is under way, commit and leave the group."""
        await self._start(stop)
        try:
            while not stop.is_set():
                await self._turn()
        finally:
            await self._end()

    async def _start(self, stop: asyncio.Event) -> None:
        self._consumer.subscribe([topics.ANSWERS.name], listener=self)
        while not stop.is_set():
            try:
                return await self._consumer.start()  # type: ignore[no-any-return]  # aiokafka is untyped
            except KafkaError as error:
                _log.warning("outbox waits for the broker: %s", error)
                await asyncio.sleep(BROKER_RETRY_S)

    async def _turn(self) -> None:
        """Fetch, hand over, commit."""
        self._delivery.check()
        try:
            batch = await self._consumer.getmany(timeout_ms=int(COMMIT_EVERY_S * 1000), max_records=FETCH_MAX)
            for place, records in batch.items():
                await self._take(place, records)
            await self._commit(self._progress)
        except (KafkaError, BrokerAway) as error:
            _log.warning("outbox: %r", error)
            await asyncio.sleep(BROKER_RETRY_S)
        self._rest()

    async def _take(self, place: TopicPartition, records: Sequence[Any]) -> None:
        """Hand the records of a partition over; None of them is committed before it is settled."""
        progress = self._progress.get(place.partition)
        if progress is None:
            # The partition has gone, or is only just coming: then the hole is seen and read again.
            return
        if progress.is_hole(records[0].offset):
            return self._consumer.seek(place, progress.expected)  # type: ignore[no-any-return]  # aiokafka is untyped
        for record in records:
            if self._progress.get(place.partition) is not progress:
                # It went while a dead letter was written.
                return
            if record.offset < progress.expected:
                continue
            try:
                answer = self._decoder.decode(record.value)
            except BadEvent as error:
                await self._bury(record, str(error))
                progress.begin(record.offset)
                progress.finish(record.offset)
                continue
            suspect = record.offset < self._known_until.get(record.partition, 0)
            self._delivery.add(Item(answer, record.partition, record.offset, progress, suspect))

    async def _bury(self, record: Any, reason: str) -> None:
        letter = dead_letter(
            self._clock(),
            reason,
            topics.ANSWERS.name,
            partition=record.partition,
            offset=record.offset,
            key=record.key,
            value=record.value,
        )
        while True:
            try:
                return await self._write([dead_letter_record(letter)])
            except BrokerAway as error:
                _log.warning("outbox waits for the broker: %s", error)
                await asyncio.sleep(BROKER_RETRY_S)

    async def _commit(self, by_partition: Mapping[int, Progress]) -> None:
        reached = {
            partition: (progress, offset)
            for partition, progress in by_partition.items()
            if (offset := progress.to_commit()) is not None
        }
        if reached:
            offsets = {TopicPartition(topics.ANSWERS.name, one): offset for one, (_, offset) in reached.items()}
            await self._consumer.commit(offsets)
        for progress, offset in reached.values():
            progress.committed(offset)

    def _rest(self) -> None:
        """Let partitions rest in which an account has too many answers waiting, until half of them are gone."""
        full, half = self._delivery.full(), self._delivery.full(LANE_MAX // 2)
        resting = (full | (self._resting & half)) & set(self._progress)
        places = {partition: TopicPartition(topics.ANSWERS.name, partition) for partition in full | self._resting}
        held = self._consumer.assignment()
        for partition, place in places.items():
            if place in held and partition in resting - self._resting:
                self._consumer.pause(place)
            if place in held and partition in self._resting - resting:
                self._consumer.resume(place)
        self._resting = resting

    # aiokafka calls the next two while it rejoins the group; nothing is fetched meanwhile.

    async def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        """Finish or abandon what is under way, and commit what is done."""
        partitions = [place.partition for place in revoked]
        # Taken out first: what a fetch still brings is no longer ours.
        leaving = {one: self._progress.pop(one) for one in partitions if one in self._progress}
        self._resting -= set(partitions)
        await self._delivery.leave(partitions, SETTLE_S)
        try:
            await self._commit(leaving)
        except KafkaError as error:
            # What is not committed is read again by the next owner, and looked up.
            _log.warning("outbox: not committed before leaving: %r", error)

    async def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        """Note where each partition begins for us, and where it ends now: what lies between may have been sent."""
        places = list(assigned)
        while places:
            try:
                await self._begin(places)
                break
            except KafkaError as error:
                _log.warning("outbox waits for the broker: %r", error)
                await asyncio.sleep(BROKER_RETRY_S)
        self.joined = True

    async def _begin(self, places: Sequence[TopicPartition]) -> None:
        ends = await self._consumer.end_offsets(places)
        starts = await self._consumer.beginning_offsets(places)
        committed = {place: await self._consumer.committed(place) for place in places}
        for place in places:
            expected = starts[place] if committed[place] is None else committed[place]
            self._known_until[place.partition] = ends[place]
            self._progress[place.partition] = Progress(expected)
            # aiokafka fetches before this callback has ended; what it brought till now was dropped.
            self._consumer.seek(place, expected)

    async def _end(self) -> None:
        held = [TopicPartition(topics.ANSWERS.name, partition) for partition in self._progress]
        await self.on_partitions_revoked(held)
        await self._delivery.stop()
        await self._consumer.stop()
