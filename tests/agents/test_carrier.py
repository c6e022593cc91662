"""The carrying loop on a real RocksDB, with a producer that notes what was sent: culprits, letters, bounds, order, ownership."""

import asyncio
import functools
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from msgspec import Struct

from agents.app import Engine
from agents.worker import Worker
from models.errors import BadEvent
from models.records import DeadLetter, Takeover
from streams import topics
from streams.carry import OUT_BYTES_MAX, Carrier, Out, Part, Record, buried
from streams.codec import encode
from streams.rows import Kind, Rows
from tests.builders import NOW, a_database, a_raw


class Count(Struct, frozen=True):
    n: int = 0


class Said(Struct, frozen=True):
    word: str
    total: int


COUNTS = Kind("count", Count)


def synchronous(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Run an async test in a loop of its own."""

    @functools.wraps(test)
    def run(*args: Any, **kwargs: Any) -> None:
        asyncio.run(test(*args, **kwargs))

    return run


class Counting:
    """Counts words; ``bug`` is one it stumbles over after it has changed something, ``bad`` one that it refuses."""

    name = "dispatch"
    topic = topics.WORK
    gathers = False
    fold_max = 100

    def decode(self, value: bytes | None) -> str:
        word = (value or b"").decode()
        if word == "broken":
            raise BadEvent("not a word")
        return word

    def open(self, part: Part) -> None:
        part.index = dict(part.rows.all(COUNTS))

    def fold(self, records: Sequence[Record], part: Part) -> list[Out]:
        outs = []
        for record in records:
            word = record.value
            count = Count(part.index.get(word, Count()).n + 1)
            part.index[word] = count
            part.rows.set(COUNTS, word, count)
            if word.startswith("bug"):
                raise RuntimeError(word)
            if word == "bad":
                outs.append(buried(self.name, record, "refused"))
            elif word == "odd":
                outs.append(Out(topics.CASE_EVENTS, b"k", Said("\ud800", 1), 0))
            elif word == "huge":
                outs.append(Out(topics.CASE_EVENTS, b"k", Said("x" * OUT_BYTES_MAX, 1), 0))
            else:
                outs.append(Out(topics.CASE_EVENTS, b"k", Said(word, count.n), 0))
        return outs


class Echo:
    """Keeps nothing, and stumbles over a bug."""

    name = "understand"
    topic = topics.POSTS
    gathers = True
    fold_max = 100

    def decode(self, value: bytes | None) -> str:
        return (value or b"").decode()

    def open(self, part: Part) -> None:
        """Nothing is kept."""

    def fold(self, records: Sequence[Record], part: Part) -> list[Out]:
        if any(record.value == "bug" for record in records):
            raise RuntimeError("bug")
        return [Out(topics.CASE_EVENTS, b"k", Said(str(one.raw.partition), one.offset), 0) for one in records]


class Batch:
    """As aiokafka's: full after three records."""

    def __init__(self) -> None:
        self.records: list[tuple[bytes, bytes | None]] = []

    def append(self, *, key: bytes, value: bytes | None, timestamp: int | None) -> Any:
        if len(self.records) == 3:
            return None
        self.records.append((key, value))
        return True

    def record_count(self) -> int:
        return len(self.records)


class Producer:
    """Notes what is sent, in order; ``acknowledged`` says which futures are done."""

    def __init__(self, story: list[Any]) -> None:
        self.story = story
        self.sent: dict[str, list[Any]] = {}
        self.fails_for = ""

    def create_batch(self) -> Batch:
        return Batch()

    async def send_batch(self, batch: Batch, topic: str, partition: int) -> Any:
        values = self.sent.setdefault(topic, [])
        first = len(values)
        values += batch.records
        future = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_soon(self._acknowledge, future, topic, first)
        return future

    def _acknowledge(self, future: Any, topic: str, first: int) -> None:
        self.story.append(f"acknowledged {topic}")
        if topic == self.fails_for:
            future.set_exception(ConnectionError("the broker is away"))
        else:
            future.set_result(SimpleNamespace(offset=first))

    async def send_and_wait(self, topic: str, value: bytes, partition: int) -> Any:
        self.sent.setdefault(topic, []).append((partition, value))
        return SimpleNamespace(offset=len(self.sent[topic]) - 1)


class Ended(Exception):
    """In place of the end of the process."""


class Stage:
    """A carrier of ``Counting`` with its table."""

    def __init__(self, folder: Path, culprits_max: int = 10, step: Any = None) -> None:
        self.story: list[Any] = []
        self.db = a_database(folder)
        self.producer = Producer(self.story)
        self.app = SimpleNamespace(
            settlers=[],
            queues={},
            fence=SimpleNamespace(check=lambda: None, limit_s=2.0),
            producer=SimpleNamespace(_producer=self.producer),
            consumer=SimpleNamespace(current=lambda _message: True, settled=True),
            consumer_generation_id=1,
            on_partitions_assigned=SimpleNamespace(connect=lambda *_args, **_kwargs: None),
        )
        table = SimpleNamespace(
            data=SimpleNamespace(
                _db_for_partition=lambda _number: self.db, offset_key=b"offset", take_unfinished=lambda _number: {}
            ),
            changelog_topic=SimpleNamespace(get_topic_name=lambda: "changelog"),
        )
        self.carrier = Carrier(
            self.app,  # type: ignore[arg-type]  # the loop asks no more of an app than stands here
            step or Counting(),
            partitions={"dead-letters": 1},
            group_every_s=0.0,
            table=None if step else table,
            culprits_max=culprits_max,
        )
        self.ended: list[str] = []
        self.carrier._end = self.end  # type: ignore[method-assign]  # it would end the tests
        self.offset = -1

    def end(self, why: str) -> None:
        self.ended.append(why)
        raise Ended(why)

    def run(self, *words: str, at_offset: int | None = None) -> None:
        """Take one run into the group under way."""
        self.offset = self.offset if at_offset is None else at_offset - 1
        records = []
        for word in words:
            self.offset += 1
            records.append(a_raw(self.offset, value=word.encode()))
        message = SimpleNamespace(value=records, topic="work", partition=0, offset=self.offset)
        ack = lambda: self.story.append(f"source {message.offset}")  # noqa: E731
        self.carrier._take(SimpleNamespace(message=message, ack=ack))

    async def group(self, *runs: tuple[str, ...]) -> None:
        """Carry runs as one group."""
        for run in runs:
            self.run(*run)
        await self.carrier.settle()

    def said(self) -> list[str]:
        return [msgspec.json.decode(value, type=Said).word for _, value in self.producer.sent.get("case-events", [])]

    def letters(self) -> list[DeadLetter]:
        return [msgspec.json.decode(value, type=DeadLetter) for _, value in self.producer.sent.get("dead-letters", [])]

    def counts(self) -> dict[str, int]:
        return {word: count.n for word, count in Rows(lambda: self.db).all(COUNTS)}


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path / "db")


@synchronous
async def test_outputs_stand_before_rows_and_rows_before_the_source(stage: Stage) -> None:
    await stage.group(("a", "b"))

    assert stage.story == ["acknowledged case-events", "acknowledged changelog", "source 1"]
    assert stage.counts() == {"a": 1, "b": 1}
    assert stage.db.get(b"offset") == b"2"


@synchronous
async def test_a_group_whose_outputs_fail_writes_no_row_and_ends_the_worker(stage: Stage) -> None:
    stage.producer.fails_for = "case-events"
    with pytest.raises(Ended):
        await stage.group(("a",))

    assert stage.ended == ["a group could not be written"]
    assert (stage.counts(), "changelog" in stage.producer.sent) == ({}, False)


@synchronous
async def test_a_culprit_is_buried_and_nothing_else_is_lost_or_counted_twice(stage: Stage) -> None:
    await stage.group(("a", "b"), ("a", "bug", "c"), ("a",))

    assert stage.counts() == {"a": 3, "b": 1, "c": 1}
    assert stage.said() == ["a", "b", "a", "c", "a"]
    assert [letter.reason for letter in stage.letters()] == ["a bug in dispatch: RuntimeError('bug')"]
    assert "RuntimeError: bug" in stage.letters()[0].detail


@synchronous
async def test_a_group_that_is_folded_again_is_decoded_anew(stage: Stage) -> None:
    step, decoded = stage.carrier.step, []
    decode = step.decode
    step.decode = lambda value: (decoded.append(value), decode(value))[1]  # type: ignore[method-assign, func-returns-value]
    await stage.group(("a", "broken"), ("bug", "c"))

    assert decoded == [b"a", b"broken", b"bug", b"c", b"a", b"bug", b"c"]
    assert stage.said() == ["a", "c"]


@synchronous
async def test_a_run_is_folded_in_parts_as_large_as_its_step_wants_them(stage: Stage) -> None:
    step, folded = stage.carrier.step, []
    fold = step.fold
    step.fold = lambda records, part: (folded.append(len(records)), fold(records, part))[1]  # type: ignore[method-assign, func-returns-value]
    step.fold_max = 2
    await stage.group(("a", "b", "a", "b", "c"))

    assert (folded, stage.counts()) == ([2, 2, 1], {"a": 2, "b": 2, "c": 1})


@synchronous
async def test_a_bug_in_a_later_part_of_a_run_costs_its_record_alone(stage: Stage) -> None:
    stage.carrier.step.fold_max = 2
    await stage.group(("a", "b", "a", "bug", "c", "a"))

    assert (stage.said(), stage.counts()) == (["a", "b", "a", "c", "a"], {"a": 3, "b": 1, "c": 1})
    assert [letter.offset for letter in stage.letters()] == [3]


@synchronous
async def test_each_culprit_of_a_group_is_buried_once(stage: Stage) -> None:
    await stage.group(("a", "bug1"), ("bug2", "a"), ("bug3", "a"))

    assert [letter.offset for letter in stage.letters()] == [1, 2, 4]
    assert stage.counts() == {"a": 3}


@synchronous
async def test_culprits_are_counted_once_towards_the_end_of_the_worker(tmp_path: Path) -> None:
    stage = Stage(tmp_path / "db", culprits_max=4)
    await stage.group(("bug1",), ("bug2",), ("bug3",))

    assert stage.ended == []
    with pytest.raises(Ended, match="4 culprits in a minute"):
        await stage.group(("bug4",))


@synchronous
async def test_a_letter_is_written_once_although_its_group_is_folded_again(stage: Stage) -> None:
    await stage.group(("broken", "bad", "a"), ("bug",))

    assert sorted(letter.reason for letter in stage.letters()) == [
        "a bug in dispatch: RuntimeError('bug')",
        "not a word",
        "refused",
    ]


@synchronous
async def test_a_record_at_or_below_the_rows_changes_and_sends_nothing(stage: Stage) -> None:
    await stage.group(("a", "b"))
    stage.run("a", "b", "c", at_offset=0)
    await stage.carrier.settle()

    assert stage.counts() == {"a": 1, "b": 1, "c": 1}
    assert stage.said() == ["a", "b", "c"]


@synchronous
async def test_what_no_broker_would_take_is_buried_and_the_worker_goes_on(stage: Stage) -> None:
    await stage.group(("a", "huge", "b"))

    (letter,) = stage.letters()
    assert (stage.said(), letter.source) == (["a", "b"], "case-events")
    assert letter.reason.endswith(f"bytes came out, at most {OUT_BYTES_MAX} are meant")
    assert len(encode(letter)) < OUT_BYTES_MAX


@synchronous
async def test_what_cannot_be_encoded_is_its_records_fault_alone(stage: Stage) -> None:
    await stage.group(("a", "odd", "b"))

    assert (stage.said(), [letter.value for letter in stage.letters()]) == (["a", "b"], ["odd"])
    assert stage.counts() == {"a": 1, "b": 1}


@synchronous
async def test_a_group_holds_no_more_than_its_bounds(stage: Stage) -> None:
    """Sixty-four runs, or four thousand records: the loop settles although more is waiting."""
    settled: list[int] = []
    original = stage.carrier.settle

    async def settle() -> None:
        settled.append(len(stage.carrier._events))
        await original()

    stage.carrier.settle = settle  # type: ignore[method-assign]
    left = [200]

    async def events() -> Any:
        for number in range(200):
            left[0] = 199 - number
            record = a_raw(number, value=b"a")
            message = SimpleNamespace(value=[record], topic="work", partition=0, offset=number)
            yield SimpleNamespace(message=message, ack=lambda: None)

    stream = SimpleNamespace(
        noack=lambda: SimpleNamespace(events=events),
        channel=SimpleNamespace(queue=SimpleNamespace(empty=lambda: left[0] == 0)),
    )
    await stage.carrier.run(stream)

    assert settled == [64, 64, 64, 8]
    assert stage.counts() == {"a": 200}


# -- steps that gather


def a_fetch(stage: Stage, partition: int, *offsets: int, bug_at: int = -1) -> None:
    """Take one run of a partition into the group under way."""
    words = {bug_at: b"bug"}
    run = [a_raw(offset, "posts", words.get(offset, b"a"), partition) for offset in offsets]
    message = SimpleNamespace(value=run, topic="posts", partition=partition, offset=offsets[-1])
    stage.carrier._take(SimpleNamespace(message=message, ack=lambda: None))


@pytest.mark.parametrize("bug_at", [-1, 700], ids=["a good group", "a group with a bug"])
@synchronous
async def test_each_partition_s_order_outlives_the_gathering_of_runs(tmp_path: Path, bug_at: int) -> None:
    """The next step takes what comes with a lower source for a repeat: out of order is lost."""
    stage = Stage(tmp_path / "db", step=Echo())
    a_fetch(stage, 0, 0)
    a_fetch(stage, 1, 0)
    await stage.carrier.settle()
    a_fetch(stage, 1, 1)
    a_fetch(stage, 0, *range(1, 600))
    a_fetch(stage, 0, *range(600, 1_200), bug_at=bug_at)
    a_fetch(stage, 0, 1_200)
    a_fetch(stage, 1, *range(2, 600))
    await stage.carrier.settle()

    said = [msgspec.json.decode(value, type=Said) for _, value in stage.producer.sent["case-events"]]
    for partition, count in (("0", 1_201), ("1", 600)):
        offsets = [one.total for one in said if one.word == partition]
        assert offsets == [offset for offset in range(count) if (partition, offset) != ("0", bug_at)]
    assert [letter.offset for letter in stage.letters()] == [bug_at] * (bug_at >= 0)


# -- ownership


def a_worker(stage: Stage) -> Worker:
    return Worker(
        Engine(app=stage.app, carriers=(stage.carrier,), worker_id="w"),  # type: ignore[arg-type]  # see above
        clock=lambda: NOW,
    )


def held(*numbers: int) -> set[Any]:
    return {Partition("work", number) for number in numbers}


class Partition(Struct, frozen=True):
    """A partition as Faust names it."""

    topic: str
    partition: int


async def assigned(worker: Worker, stage: Stage, generation: int, *numbers: int, settled: bool = True) -> list[int]:
    """Give the worker partitions; return those it wrote a takeover for."""
    before = len(stage.producer.sent.get("work", []))
    stage.app.consumer_generation_id = generation
    stage.app.consumer.settled = settled
    await worker._on_assigned(stage.app, held(*numbers))
    return [number for number, _ in stage.producer.sent.get("work", [])[before:]]


@synchronous
async def test_what_was_kept_from_one_generation_to_the_next_is_not_taken_over(stage: Stage) -> None:
    worker = a_worker(stage)
    assert await assigned(worker, stage, 1, 0, 1, settled=False) == [0, 1]
    part = stage.carrier.part(0)

    assert await assigned(worker, stage, 2, 0, 2) == [2]
    assert stage.carrier.part(0) is part


@pytest.mark.parametrize(
    ("generation", "settled"), [(3, True), (2, False)], ids=["a generation missed", "a group that was not settled"]
)
@synchronous
async def test_memory_is_thrown_away_where_somebody_else_may_have_written(
    stage: Stage, generation: int, settled: bool
) -> None:
    worker = a_worker(stage)
    await assigned(worker, stage, 1, 0)
    stage.run("a")
    part = stage.carrier.part(0)

    assert await assigned(worker, stage, generation, 0, settled=settled) == [0]
    assert stage.carrier.part(0) is not part
    assert stage.counts() == {}


@synchronous
async def test_a_partition_that_comes_back_is_read_from_its_rows(stage: Stage) -> None:
    worker = a_worker(stage)
    await assigned(worker, stage, 1, 0)
    await stage.group(("a",))
    await assigned(worker, stage, 2)
    stage.db.put(COUNTS.key("a"), stage.db.get(COUNTS.key("a")).replace(b'"n":1', b'"n":7'))

    assert await assigned(worker, stage, 3, 0) == [0]
    assert stage.carrier.part(0).index == {"a": Count(7)}


@synchronous
async def test_a_partition_that_stays_silent_is_taken_over_again(stage: Stage) -> None:
    """A takeover of the last owner that came after ours would silence the partition for ever."""
    worker = a_worker(stage)
    await assigned(worker, stage, 1, 0)
    stage.carrier.part(0).rows.progress.offset = 10
    for _ in range(4):
        await worker._heal()
    assert len(stage.producer.sent["work"]) == 1
    await worker._heal()

    token = stage.carrier.tokens[0]
    assert stage.producer.sent["work"][1:] == [(0, encode(Takeover(at=NOW, owner=token)))]


@synchronous
async def test_a_partition_that_has_not_read_its_takeover_yet_is_left_in_peace(stage: Stage) -> None:
    worker = a_worker(stage)
    await assigned(worker, stage, 1, 0)
    stage.carrier.part(0)
    for _ in range(20):
        await worker._heal()

    assert len(stage.producer.sent["work"]) == 1
