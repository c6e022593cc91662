"""
Each rule of the transport, the rows and the fence: its fault is provoked, and the test fails without the rule.

A worker of one step runs in the test's own process on the real broker (``tests.chaos.rig``). Where the fault cannot be had
on command, a subclass makes what must not hurt: a fetch that loses records, a seek that takes long, a broker that is slow.
"""

import asyncio
import functools
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Coroutine, Iterable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete
from aiokafka.errors import KafkaConnectionError, RequestTimedOutError
from faust.transport.drivers import aiokafka as driver
from faust.types import TP

from models.records import DeadLetter
from streams import carry, metrics, topics
from streams.broker import Broker
from streams.fence import EXIT_CODE, Fence, clock_s
from streams.pace import Spacing
from streams.rows import HEAD, PROGRESS_KEY, Progress, Rows
from streams.runs import RunsConsumer
from tests.chaos.rig import COUNTS, CountStep, Ended, Rig, RigCarrier, produce, read, topics_of


def synchronous(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Run an async test in a loop of its own."""

    @functools.wraps(test)
    def run_it(*args: Any, **kwargs: Any) -> None:
        asyncio.run(asyncio.wait_for(test(*args, **kwargs), 90))

    return run_it


# -- rule 1: positions are known from the resumption after a seek until the next stop --------------------------------


def hold(rig: Rig, every_s: float) -> None:
    """Let the next group wait for so long."""
    rig.carrier._spacing = Spacing(every_s)
    rig.carrier._spacing.took(time.monotonic())


class SlowSeek(RunsConsumer):
    """Leaves a second between the seek and Faust's ``flow_control.resume()``, which empties every queue."""

    slow_s = 0.0

    async def perform_seek(self) -> None:
        await super().perform_seek()
        await asyncio.sleep(self.slow_s)


@synchronous
async def test_nothing_is_delivered_between_the_seek_and_the_emptying_of_the_queues(
    kafka: Broker, tmp_path: Path
) -> None:
    async with topics_of(kafka.bootstrap) as name:
        rig = Rig(kafka.bootstrap, tmp_path, name, consumer=SlowSeek, group_every_s=0.3)
        await rig.start()
        rig.consumer.slow_s = 1.0
        flow = asyncio.create_task(produce(kafka.bootstrap, rig.source.name, range(1500), rate=600))
        await asyncio.sleep(0.3)
        await rig.rebalance()
        await flow
        await rig.all_counted(1500)
        await rig.stop()


@synchronous
async def test_a_seek_that_a_rebalance_has_overtaken_says_nothing_of_positions(kafka: Broker, tmp_path: Path) -> None:
    async with topics_of(kafka.bootstrap) as name:
        rig = Rig(kafka.bootstrap, tmp_path, name)
        await rig.start()
        consumer = rig.consumer
        seek = driver.Consumer.perform_seek

        async def overtaken(self: Any) -> None:
            await seek(self)
            self.stop_flow()

        consumer.stop_flow()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(driver.Consumer, "perform_seek", overtaken)
            await consumer.perform_seek()
        consumer.resume_flow()
        assert not consumer.positions_known
        await rig.stop()


# -- rule 2: what was never committed is sought to its beginning ------------------------------------------------------


class NoCommit(RunsConsumer):
    """The broker takes no commit."""

    async def commit(self, topics: Any = None, start_new_transaction: bool = True) -> bool:
        return False


class Prefetched(NoCommit):
    """A fetch of the rebalance before takes stream records away: it was given an emptied set, which means all."""

    taken = 0

    async def perform_seek(self) -> None:
        streams = {tp for tp in self.assignment() if self.is_run(tp)}
        records = await driver.Consumer._getmany(self, streams, 1.0)
        self.taken += sum(len(run) for run in (records or {}).values())
        await super().perform_seek()


@synchronous
async def test_a_partition_that_was_never_committed_is_read_from_its_beginning(kafka: Broker, tmp_path: Path) -> None:
    async with topics_of(kafka.bootstrap) as name:
        rig = Rig(kafka.bootstrap, tmp_path, name, consumer=Prefetched, keeps_rows=False)
        await produce(kafka.bootstrap, rig.source.name, range(50))
        await rig.start()
        await rig.until(lambda: len(rig.step.given) == 50, "given")
        await rig.rebalance()
        await rig.until(lambda: len(rig.step.given) == 100, "given again from the first")
        assert rig.step.given[50:] == rig.step.given[:50]
        assert rig.consumer.taken > 0
        await rig.stop()


# -- rule 3: holes, and runs that begin too early -----------------------------------------------------------------------


class LossyFetch(RunsConsumer):
    """Loses the first half of its third fetch."""

    fetches = 0

    async def _getmany(self, active_partitions: Any, timeout: float) -> Any:
        records = await super()._getmany(active_partitions, timeout)
        for tp, run in (records or {}).items():
            if self.is_run(tp) and len(run) > 1:
                self.fetches += 1
                if self.fetches == 3:
                    records = {**records, tp: run[len(run) // 2 :]}
        return records


@synchronous
async def test_a_hole_is_read_again(kafka: Broker, tmp_path: Path) -> None:
    async with topics_of(kafka.bootstrap) as name:
        rig = Rig(kafka.bootstrap, tmp_path, name, consumer=LossyFetch)
        holes = metrics.RUN_HOLES.labels(rig.source.name)._value
        await rig.start()
        await produce(kafka.bootstrap, rig.source.name, range(900), rate=900)
        await rig.all_counted(900)
        assert rig.consumer.fetches >= 3
        assert holes.get() == 1
        await rig.stop()


@synchronous
async def test_a_hole_that_is_there_again_is_taken_as_it_is(kafka: Broker, tmp_path: Path) -> None:
    async with topics_of(kafka.bootstrap) as name:
        rig = Rig(kafka.bootstrap, tmp_path / "a", name, keeps_rows=False)
        await rig.start()
        await produce(kafka.bootstrap, rig.source.name, range(10))
        await rig.until(lambda: len(rig.step.given) == 10, "given")
        await rig.stop()
        await produce(kafka.bootstrap, rig.source.name, range(10, 100))
        await delete_before(kafka.bootstrap, rig.source.name, 50)
        rig = Rig(kafka.bootstrap, tmp_path / "b", name, keeps_rows=False)
        await rig.start()
        await rig.until(lambda: len(rig.step.given) >= 50, "given what is left")
        assert [offset for _, offset in rig.step.given] == list(range(50, 100))
        assert metrics.RUN_ACCEPTED.labels(rig.source.name)._value.get() == 1
        await rig.stop()


async def delete_before(bootstrap: str, topic: str, offset: int) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        await admin.delete_records({TopicPartition(topic, 0): RecordsToDelete(before_offset=offset)})
    finally:
        await admin.close()


@synchronous
async def test_a_run_that_begins_before_the_expected_offset_is_cut(kafka: Broker, tmp_path: Path) -> None:
    async with topics_of(kafka.bootstrap) as name:
        rig = Rig(kafka.bootstrap, tmp_path, name, keeps_rows=False)
        await rig.start()
        await produce(kafka.bootstrap, rig.source.name, range(100))
        await rig.until(lambda: len(rig.step.given) == 100, "given")
        thread = rig.consumer._thread
        thread.thread_loop.call_soon_threadsafe(thread._consumer.seek, TopicPartition(rig.source.name, 0), 60)
        reread = metrics.RUN_REREAD.labels(rig.source.name)._value
        await rig.until(lambda: reread.get() == 40, "read again and cut")
        await produce(kafka.bootstrap, rig.source.name, range(100, 120))
        await rig.until(lambda: len(rig.step.given) >= 120, "given the rest")
        assert [offset for _, offset in rig.step.given] == list(range(120))
        await rig.stop()


@synchronous
async def test_a_long_fetch_is_given_in_runs_of_at_most_500(kafka: Broker, tmp_path: Path) -> None:
    async with topics_of(kafka.bootstrap) as name:
        lengths: list[int] = []

        class Measured(RigCarrier):
            def _take(self, event: Any) -> None:
                lengths.append(len(event.message.value))
                super()._take(event)

        rig = Rig(kafka.bootstrap, tmp_path, name, carrier=Measured, keeps_rows=False)
        await produce(kafka.bootstrap, rig.source.name, range(3000))
        await rig.start()
        await rig.until(lambda: len(rig.step.given) == 3000, "given")
        assert [offset for _, offset in rig.step.given] == list(range(3000))
        assert max(lengths) == 500
        await rig.stop()


# -- rule 4: fetches and seeks --------------------------------------------------------------------------------------------


class Thread:
    """In place of the consumer's thread: fetches end when they are let, and all is noted."""

    def __init__(self) -> None:
        self.told: list[Any] = []
        self.let = asyncio.Event()
        self.asked: Any = None

    async def getmany(self, active: Any, timeout: float) -> Any:
        self.asked = active
        self.told.append("fetch begins")
        await self.let.wait()
        self.told.append("fetch ends")
        return {}

    async def seek_wait(self, partitions: Any) -> None:
        self.told.append("seek")


@synchronous
async def test_a_fetch_keeps_its_partitions_when_a_rebalance_empties_the_set(kafka: Broker, tmp_path: Path) -> None:
    async with topics_of(kafka.bootstrap) as name:
        rig = Rig(kafka.bootstrap, tmp_path, name)
        rig.app.finalize()
        consumer, thread = rig.app.consumer, Thread()
        consumer._thread = thread
        active = {TP(rig.source.name, 0)}
        fetch = asyncio.create_task(consumer._getmany(active, 0.2))
        await asyncio.sleep(0)
        active.clear()  # To aiokafka an empty set means every partition, the changelogs among them.
        assert thread.asked == {TP(rig.source.name, 0)}
        thread.let.set()
        await fetch


@synchronous
async def test_a_seek_of_recovery_waits_for_the_fetch_in_flight(kafka: Broker, tmp_path: Path) -> None:
    async with topics_of(kafka.bootstrap) as name:
        rig = Rig(kafka.bootstrap, tmp_path, name)
        rig.app.finalize()
        consumer, thread = rig.app.consumer, Thread()
        consumer._thread = thread
        fetch = asyncio.create_task(consumer._getmany({TP(rig.source.name, 0)}, 0.2))
        await asyncio.sleep(0)
        consumer.stop_flow()
        seek = asyncio.create_task(consumer.seek_wait({TP(rig.changelog, 0): 0}))
        await asyncio.sleep(0.05)
        thread.let.set()
        await asyncio.gather(fetch, seek)
        assert thread.told == ["fetch begins", "fetch ends", "seek"]


# -- rule 5: progress is one number -----------------------------------------------------------------------------------------


@synchronous
async def test_progress_goes_over_the_gaps_that_transactions_leave(kafka: Broker, tmp_path: Path) -> None:
    async with topics_of(kafka.bootstrap) as name:
        rig = Rig(kafka.bootstrap, tmp_path, name, commit_every_s=0.2)
        await rig.start()
        producer = AIOKafkaProducer(bootstrap_servers=kafka.bootstrap, transactional_id=name)
        await producer.start()
        for turn in range(3):  # Each transaction ends with a marker, an offset that no record has.
            async with producer.transaction():
                for number in range(10):
                    await producer.send(rig.source.name, str(turn * 10 + number).encode(), partition=0)
        await producer.stop()
        await rig.all_counted(30)
        # The last marker has nothing behind it to be read, so it is not gone over: three times ten, and two markers.
        await rig.commits(32)
        await rig.stop()


# -- rule 6: a clean hand-over ----------------------------------------------------------------------------------------------


@synchronous
async def test_a_clean_rebalance_commits_all_that_was_given_and_gives_nothing_again(
    kafka: Broker, tmp_path: Path
) -> None:
    async with topics_of(kafka.bootstrap, partitions=4) as name:
        rig = Rig(kafka.bootstrap, tmp_path, name, partitions=4, keeps_rows=False, commit_every_s=3600)
        await rig.start()
        flow = asyncio.create_task(produce(kafka.bootstrap, rig.source.name, range(1200), rate=600))
        for _ in range(3):
            await asyncio.sleep(0.5)
            await rig.rebalance()
            assert rig.consumer.settled
        await flow
        await rig.until(lambda: len(set(rig.step.given)) == 1200, "given")
        await rig.rebalance()
        assert len(rig.step.given) == 1200
        assert [await rig.committed(number) for number in range(4)] == [300] * 4
        await rig.stop()


@synchronous
async def test_a_partition_that_went_idle_is_committed_at_the_hand_over_too(kafka: Broker, tmp_path: Path) -> None:
    async with topics_of(kafka.bootstrap, partitions=2) as name:
        rig = Rig(kafka.bootstrap, tmp_path, name, partitions=2, keeps_rows=False, commit_every_s=3600)
        await rig.start()
        await produce(kafka.bootstrap, rig.source.name, range(20))
        await rig.until(lambda: len(rig.step.given) == 20 and not rig.carrier._events, "settled long ago")
        await rig.rebalance()
        assert rig.consumer.settled
        assert [await rig.committed(number) for number in range(2)] == [10, 10]
        assert len(rig.step.given) == 20
        await rig.stop()


@synchronous
async def test_a_group_under_way_is_settled_before_its_partition_goes(kafka: Broker, tmp_path: Path) -> None:
    async with topics_of(kafka.bootstrap) as name:
        rig = Rig(kafka.bootstrap, tmp_path, name, group_every_s=30.0, commit_every_s=3600)
        await rig.start()
        hold(rig, 30.0)
        await produce(kafka.bootstrap, rig.source.name, range(30))
        await rig.until(lambda: len(rig.step.given) == 30, "given")
        assert rig.counts() == {}  # The group is held back for half a minute.
        await rig.rebalance()
        assert rig.counts() == dict.fromkeys(range(30), 1)
        assert await rig.committed() == 30
        assert len(rig.step.given) == 30
        await rig.stop()


@synchronous
async def test_a_group_that_ends_while_the_worker_stops_is_committed(kafka: Broker, tmp_path: Path) -> None:
    async with topics_of(kafka.bootstrap) as name:
        rig = Rig(kafka.bootstrap, tmp_path, name, keeps_rows=False, commit_every_s=3600)
        await rig.start()
        stop_fetcher, settled = rig.app._stop_fetcher, asyncio.Event()

        async def slow_stop() -> None:  # Faust stops its fetcher between the stop of the flow and our settling.
            await rig.carrier.settle()
            settled.set()
            await stop_fetcher()

        rig.app._stop_fetcher = slow_stop
        hold(rig, 30.0)
        await produce(kafka.bootstrap, rig.source.name, range(10))
        await rig.until(lambda: len(rig.step.given) == 10, "given")
        await rig.stop()
        assert settled.is_set()
        assert await rig.committed() == 10


@synchronous
async def test_a_hand_over_that_could_not_be_committed_does_not_count_as_settled(kafka: Broker, tmp_path: Path) -> None:
    async with topics_of(kafka.bootstrap) as name:
        rig = Rig(kafka.bootstrap, tmp_path, name, keeps_rows=False, commit_every_s=3600)
        await rig.start()
        await produce(kafka.bootstrap, rig.source.name, range(20))
        await rig.until(lambda: len(rig.step.given) == 20 and not rig.carrier._events, "given")

        async def refused(_offsets: Any) -> bool:
            return False

        rig.consumer._commit = refused
        await rig.rebalance()
        assert not rig.consumer.settled
        await rig.stop()


# -- the fence ----------------------------------------------------------------------------------------------------------------


def fence_that_tells(ended: list[str]) -> Fence:
    def end(why: str) -> None:
        ended.append(why)
        raise Ended(why)

    return Fence(3.0, end)


@synchronous
async def test_heartbeats_keep_the_fence_open_and_their_absence_closes_it(kafka: Broker, tmp_path: Path) -> None:
    async with topics_of(kafka.bootstrap) as name:
        ended: list[str] = []
        fence = fence_that_tells(ended)
        rig = Rig(kafka.bootstrap, tmp_path, name, fence=fence)
        await rig.start()
        await asyncio.sleep(2.0)
        assert fence.age_s() < 1.0  # A heartbeat every half second.
        fence.check()
        coordinator = rig.consumer._thread._consumer._coordinator

        async def unheard(_request: Any) -> Any:
            raise RequestTimedOutError

        coordinator._send_req = unheard
        await asyncio.sleep(2.2)
        with pytest.raises(Ended, match="last answer is"):
            fence.check()
        del coordinator._send_req
        await rig.stop()


@synchronous
async def test_a_worker_whose_coordinator_is_silent_ends_before_it_sends_a_group(kafka: Broker, tmp_path: Path) -> None:
    async with topics_of(kafka.bootstrap) as name:
        ended: list[str] = []
        fence = fence_that_tells(ended)
        rig = Rig(kafka.bootstrap, tmp_path, name, fence=fence, group_every_s=1.0)
        await rig.start()
        hold(rig, 1.0)
        await produce(kafka.bootstrap, rig.source.name, range(5))
        await rig.until(lambda: len(rig.step.given) == 5, "given")
        silence(fence)
        handed_over: list[str] = []

        async def send_batch(_batch: Any, topic: str, *, partition: int) -> Any:
            handed_over.append(f"{topic}-{partition}")

        rig.app.producer._producer.send_batch = send_batch
        with pytest.raises(Ended):
            await rig.carrier.settle()
        assert "last answer" in ended[0]
        assert handed_over == []
        assert await read(kafka.bootstrap, rig.target.name) == []
        await rig.abandon()


def silence(fence: Fence) -> None:
    """Let the coordinator's last answer be old, and stay so."""
    fence.answered = lambda: None  # type: ignore[method-assign]
    fence._answered_at -= 10


@synchronous
async def test_the_fence_stands_at_the_socket_too(kafka: Broker, tmp_path: Path) -> None:
    async with topics_of(kafka.bootstrap) as name:
        refused: list[str] = []

        def end(why: str) -> None:
            refused.append(why)
            raise KafkaConnectionError(why)  # The producer tries again, so the test can go on once the fence is open.

        fence = Fence(3.0, end)
        rig = Rig(kafka.bootstrap, tmp_path, name, fence=fence)
        await rig.start()
        producer = rig.app.producer._producer
        await producer.send_and_wait(rig.target.name, b"before", partition=0)
        silence(fence)
        # The batch lies in the producer already: only the socket is left to ask.
        batch = producer.create_batch()
        batch.append(key=None, value=b"late", timestamp=None)
        future = await producer.send_batch(batch, rig.target.name, partition=0)
        await asyncio.wait([future], timeout=1.0)
        assert refused
        assert [record.value for record in await read(kafka.bootstrap, rig.target.name)] == [b"before"]
        fence._answered_at = clock_s() + 60
        await future
        await rig.stop()


PAUSED = """
import sys, time
from streams.fence import Fence
Fence(1.0).watch()
print("began", flush=True)
while True:
    time.sleep(0.01)
    print(time.time(), flush=True)
"""


def test_a_process_that_stood_still_ends_itself_when_it_goes_on() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", PAUSED], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as one:
        assert one.stdout is not None and one.stderr is not None
        assert one.stdout.readline() == "began\n"
        one.send_signal(signal.SIGSTOP)
        time.sleep(1.2)
        went_on_at = time.time()
        one.send_signal(signal.SIGCONT)
        assert one.wait(5) == EXIT_CODE
        assert all(float(line) < went_on_at + 0.2 for line in one.stdout.read().split())
        assert "stood still" in one.stderr.read()


# -- groups: outputs, changelog, RocksDB, acknowledgement ---------------------------------------------------------------------


@synchronous
async def test_a_group_goes_out_in_order_and_each_part_waits_for_the_one_before(
    kafka: Broker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with topics_of(kafka.bootstrap) as name:
        told: list[str] = []
        rig = Rig(kafka.bootstrap, tmp_path, name)
        await rig.start()
        producer = rig.app.producer._producer
        send_batch, write, ack = producer.send_batch, carry.write, rig.consumer.ack

        async def late(batch: Any, topic: str, *, partition: int) -> Any:
            told.append(f"{topic} begins")
            future = await send_batch(batch, topic, partition=partition)

            async def acknowledged() -> Any:
                sent = await future
                await asyncio.sleep(0.2)  # A broker that takes its time.
                told.append(f"{topic} acknowledged")
                return sent

            return asyncio.ensure_future(acknowledged())

        def written(*args: Any) -> None:
            told.append("rows written")
            write(*args)

        def acked(message: Any) -> bool:
            told.append("acknowledged")
            return bool(ack(message))

        monkeypatch.setattr(producer, "send_batch", late)
        monkeypatch.setattr(carry, "write", written)
        monkeypatch.setattr(rig.consumer, "ack", acked)
        await produce(kafka.bootstrap, rig.source.name, [0])
        await rig.all_counted(1)
        await rig.until(lambda: "acknowledged" in told, "acknowledged")
        out, log = rig.target.name, rig.changelog
        assert told == [
            f"{out} begins",
            f"{out} acknowledged",
            f"{log} begins",
            f"{log} acknowledged",
            "rows written",
            "acknowledged",
        ]
        await rig.stop()


class Gathering(CountStep):
    """Keeps nothing, and is given what a group holds of all partitions as one run."""

    gathers = True


@synchronous
async def test_what_is_gathered_goes_out_in_the_order_in_which_it_came(kafka: Broker, tmp_path: Path) -> None:
    async with topics_of(kafka.bootstrap, partitions=2) as name:
        rig = Rig(kafka.bootstrap, tmp_path, name, partitions=2, step=Gathering, keeps_rows=False, group_every_s=1.5)
        await rig.start()
        for partition in (0, 1):  # So that the worker knows partition 0 before partition 1.
            await put(kafka.bootstrap, rig.source.name, partition, range(1))
            await rig.until(functools.partial(was_given, rig, partition + 1), "given")
        await rig.until(lambda: not rig.carrier._events, "settled")
        hold(rig, 1.5)
        # One group of two folds: the first begins with partition 1, the second with partition 0.
        await put(kafka.bootstrap, rig.source.name, 1, range(1, 501))
        await rig.until(lambda: len(rig.step.given) == 502, "folded once")
        await put(kafka.bootstrap, rig.source.name, 0, range(1, 11))
        await put(kafka.bootstrap, rig.source.name, 1, range(501, 551))
        await rig.until(lambda: len(rig.step.given) == 562 and not rig.carrier._events, "settled")
        written = [one for one in await read(kafka.bootstrap, rig.target.name) if one.partition == 1]
        assert [msgspec.json.decode(one.value)["number"] for one in written] == list(range(551))
        await rig.stop()


def was_given(rig: Rig, count: int) -> bool:
    return len(rig.step.given) >= count


async def put(bootstrap: str, topic: str, partition: int, numbers: Iterable[int]) -> None:
    """Write numbers to one partition."""
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap)
    await producer.start()
    for number in numbers:
        await producer.send(topic, str(number).encode(), partition=partition)
    await producer.stop()


@synchronous
@pytest.mark.parametrize("which", ["outputs", "changelog"])
async def test_a_group_that_could_not_be_written_ends_the_process_before_it_is_acknowledged(
    which: str, kafka: Broker, tmp_path: Path
) -> None:
    async with topics_of(kafka.bootstrap) as name:
        rig = Rig(kafka.bootstrap, tmp_path, name, commit_every_s=0.1)
        await rig.start()
        producer = rig.app.producer._producer
        send_batch = producer.send_batch
        wrong = rig.target.name if which == "outputs" else rig.changelog

        async def failing(batch: Any, topic: str, *, partition: int) -> Any:
            future = await send_batch(batch, topic, partition=partition)
            if topic == wrong:
                await future
                future = asyncio.get_running_loop().create_future()
                future.set_exception(RuntimeError("the broker refuses"))
            return future

        producer.send_batch = failing
        await produce(kafka.bootstrap, rig.source.name, range(5))
        await rig.until(lambda: bool(rig.carrier.ended), "ended")
        assert rig.counts() == {}
        await asyncio.sleep(0.5)
        assert await rig.committed() is None
        await rig.abandon()


# -- the pace ------------------------------------------------------------------------------------------------------------------


@synchronous
async def test_what_comes_thinly_is_read_in_gulps_and_whole(kafka: Broker, tmp_path: Path) -> None:
    async with topics_of(kafka.bootstrap) as name:
        rig = Rig(kafka.bootstrap, tmp_path, name)
        rig.app.rests[rig.source.name] = Spacing(0.25)
        await rig.start()
        runs: list[int] = []
        deliver = rig.consumer._deliver_run

        async def noted(tp: Any, run: list[Any]) -> None:
            runs.append(len(run))
            await deliver(tp, run)

        rig.consumer._deliver_run = noted
        await produce(kafka.bootstrap, rig.source.name, range(150), rate=100)
        await rig.all_counted(150)
        assert sum(runs) == 150
        assert len(runs) <= 15, runs  # 1.5 s; one each 10 ms without a rest.
        await rig.stop()


# -- bugs ---------------------------------------------------------------------------------------------------------------------


@synchronous
async def test_a_bug_buries_the_culprit_and_nothing_else(kafka: Broker, tmp_path: Path) -> None:
    async with topics_of(kafka.bootstrap) as name:
        rig = Rig(kafka.bootstrap, tmp_path, name)
        rig.step.bugs = {13, 77}
        await produce(kafka.bootstrap, rig.source.name, [*range(100), b"no number"])
        await rig.start()
        good = [number for number in range(100) if number not in (13, 77)]
        await rig.until(lambda: len(rig.counts()) == 98, "counted")
        assert rig.counts() == dict.fromkeys(good, 1)
        written = [msgspec.json.decode(one.value)["number"] for one in await read(kafka.bootstrap, rig.target.name)]
        assert written == good
        letters = await letters_of(kafka.bootstrap, rig.source.name)
        assert [(one.offset, one.value) for one in letters] == [(13, "13"), (77, "77"), (100, "no number")]
        assert "RuntimeError: 13 is a culprit" in letters[0].detail
        assert rig.carrier.ended == []
        await rig.stop()


@synchronous
async def test_a_bug_in_a_later_run_of_a_group_sends_nothing_of_the_earlier_ones_twice(
    kafka: Broker, tmp_path: Path
) -> None:
    async with topics_of(kafka.bootstrap) as name:
        rig = Rig(kafka.bootstrap, tmp_path, name, group_every_s=1.5)
        rig.step.bugs = {10}
        await rig.start()
        hold(rig, 1.5)
        await produce(kafka.bootstrap, rig.source.name, range(10))
        await rig.until(lambda: len(rig.step.given) == 10, "given")
        await produce(kafka.bootstrap, rig.source.name, [10, 11])
        await rig.until(lambda: len(rig.counts()) == 11, "counted")
        assert len(rig.step.given) > 12  # The group was folded again.
        written = [msgspec.json.decode(one.value)["number"] for one in await read(kafka.bootstrap, rig.target.name)]
        assert written == [*range(10), 11]
        assert rig.counts() == dict.fromkeys([*range(10), 11], 1)
        await rig.stop()


async def letters_of(bootstrap: str, source: str) -> list[DeadLetter]:
    found = [msgspec.json.decode(one.value, type=DeadLetter) for one in await read(bootstrap, topics.DEAD_LETTERS.name)]
    return sorted((one for one in found if one.source == source), key=lambda one: one.offset)


@synchronous
async def test_ten_culprits_in_a_minute_end_the_process(kafka: Broker, tmp_path: Path) -> None:
    async with topics_of(kafka.bootstrap) as name:
        rig = Rig(kafka.bootstrap, tmp_path, name, commit_every_s=0.1)
        rig.step.bugs = set(range(20, 30))
        await rig.start()
        await produce(kafka.bootstrap, rig.source.name, range(29))
        await rig.until(lambda: len(rig.counts()) == 20, "counted beside nine culprits")
        assert rig.carrier.ended == []
        await produce(kafka.bootstrap, rig.source.name, [29])
        await rig.until(lambda: bool(rig.carrier.ended), "ended at the tenth")
        assert rig.carrier.ended[0] == "10 culprits in a minute"
        await rig.abandon()


# -- rows and their changelog -------------------------------------------------------------------------------------------------


def a_row(epoch: int, offset: int, value: int) -> bytes:
    return HEAD.pack(epoch, offset) + msgspec.json.encode(value)


def a_progress(epoch: int, offset: int) -> bytes:
    return HEAD.pack(epoch, offset) + msgspec.json.encode(Progress(offset=offset, epoch=epoch))


async def log_rows(bootstrap: str, topic: str, rows: list[tuple[bytes, bytes | None]]) -> None:
    """Write a changelog by hand, as workers would have."""
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap)
    await producer.start()
    for key, value in rows:
        await producer.send(topic, value, key=key, partition=0)
    await producer.stop()


@synchronous
async def test_recovery_drops_what_a_worker_wrote_after_it_had_lost_its_partition(
    kafka: Broker, tmp_path: Path
) -> None:
    async with topics_of(kafka.bootstrap) as name:
        rig = Rig(kafka.bootstrap, tmp_path, name)
        newer = [(COUNTS.key("1"), a_row(9, 40, 5)), (PROGRESS_KEY, a_progress(9, 40))]
        late = [(COUNTS.key("1"), a_row(3, 41, 4)), (PROGRESS_KEY, a_progress(3, 41))]
        await log_rows(kafka.bootstrap, rig.changelog, [*newer, *late])
        await rig.start()
        assert rig.counts() == {1: 5}
        assert Rows(lambda: rig.carrier._table.data._db_for_partition(0)).progress.epoch == 9
        await rig.stop()


@synchronous
async def test_rows_come_back_from_the_changelog_into_an_empty_folder(kafka: Broker, tmp_path: Path) -> None:
    async with topics_of(kafka.bootstrap) as name:
        rig = Rig(kafka.bootstrap, tmp_path / "a", name)
        await rig.start()
        await produce(kafka.bootstrap, rig.source.name, range(300))
        await rig.all_counted(300)
        await rig.stop()
        rig = Rig(kafka.bootstrap, tmp_path / "b", name)
        await rig.start()
        assert rig.counts() == dict.fromkeys(range(300), 1)
        assert rig.step.given == []
        await rig.stop()


@synchronous
async def test_a_group_that_reached_the_changelog_in_part_is_folded_again_from_the_rows_before_it(
    kafka: Broker, tmp_path: Path
) -> None:
    async with topics_of(kafka.bootstrap) as name:
        whole = [(COUNTS.key("0"), a_row(0, 0, 1)), (PROGRESS_KEY, a_progress(0, 0))]
        in_part = [(COUNTS.key("1"), a_row(0, 2, 1)), (COUNTS.key("7"), a_row(0, 2, 1))]  # 2 and progress are missing.
        rig = Rig(kafka.bootstrap, tmp_path / "a", name)
        await log_rows(kafka.bootstrap, rig.changelog, [*whole, *in_part])
        await produce(kafka.bootstrap, rig.source.name, range(3))
        await rig.start()
        await rig.all_counted(3)
        await rig.stop()
        rig = Rig(kafka.bootstrap, tmp_path / "b", name)  # What nobody has decided must not come back later either.
        await rig.start()
        assert rig.counts() == {0: 1, 1: 1, 2: 1}
        await rig.stop()


def test_rows_and_the_changelog_offset_are_one_write_without_a_log() -> None:
    writes: list[Any] = []

    class Database:
        def write(self, batch: Any, how: Any) -> None:
            writes.append((batch.len(), how.disable_wal))

    carry.write(Database(), [(b"a", b"1"), (b"b", None), (PROGRESS_KEY, b"2")], b"offset", 7)
    assert writes == [(4, True)]
