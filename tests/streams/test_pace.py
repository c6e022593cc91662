"""A topic that brought little rests: it is left out of fetches, and no other topic waits for it."""

import asyncio
from types import SimpleNamespace
from typing import Any

from aiokafka import TopicPartition
from aiokafka.consumer.fetcher import READ_UNCOMMITTED, FetchResult, PartitionRecords
from aiokafka.protocol.fetch import FetchRequest
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.record.memory_records import MemoryRecords

from streams.fetched import hand_out_lean
from streams.pace import LITTLE_BYTES, Pace, Spacing

BOTH = [("posts", [(0, 5, 1000), (1, 7, 1000)]), ("work", [(0, 3, 1000)])]


class Clock:
    """Stands until it is moved."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


def request(topics: list[Any] = BOTH) -> FetchRequest:
    return FetchRequest(1500, 1, 1 << 20, READ_UNCOMMITTED, topics, "here")


def asked(requests: list[tuple[int, Any]]) -> list[tuple[int, list[str], int]]:
    """Return node, topics and ms at the broker of each request."""
    return [(node, [topic for topic, _ in one.topics], one._max_wait_ms) for node, one in requests]


def paced(burst: int = 1, **rests: float) -> tuple[Pace, Clock]:
    clock = Clock()
    return Pace({topic: Spacing(rest_s, burst) for topic, rest_s in rests.items()}, clock), clock


def test_without_a_burst_each_waits_for_the_one_before() -> None:
    spacing = Spacing(0.25)
    assert spacing.until() < 0.0
    for at in (8.0, 8.25, 9.0):
        spacing.took(at)
        assert spacing.until() == at + 0.25


def test_after_a_pause_two_may_come_in_a_row_and_a_third_waits() -> None:
    spacing = Spacing(0.25, burst=2)
    assert spacing.until() < 0.0
    spacing.took(8.0)
    assert spacing.until() == 8.0
    spacing.took(8.125)
    assert spacing.until() == 8.25


def test_a_burst_comes_once_where_one_waits_always() -> None:
    spacing, at, came = Spacing(0.25, burst=2), 8.0, []
    for _ in range(6):
        at = max(at, spacing.until())
        spacing.took(at)
        came.append(at)
    assert came == [8.0, 8.0, 8.25, 8.5, 8.75, 9.0]


def test_those_that_come_all_the_same_hold_the_next_one_up_no_longer() -> None:
    for burst in (1, 2):
        spacing = Spacing(0.25, burst)
        for _ in range(5):  # As from five brokers.
            spacing.took(8.0)
        assert spacing.until() == 8.25


def test_a_command_alone_does_not_hold_up_what_comes_after_it() -> None:
    pace, clock = paced(burst=2, work=0.03125)
    pace.note("work", 600)
    assert asked(pace.spared([(1, request())], 0.2)[0]) == [(1, ["posts", "work"], 1500)]

    clock.now += 0.0078125
    pace.note("work", 600)
    kept, look_again_s = pace.spared([(1, request())], 0.2)
    assert (asked(kept), look_again_s) == ([(1, ["posts"], 24)], 0.0234375)


def test_nothing_rests_before_something_came() -> None:
    pace, _ = paced(posts=0.0625)
    requests = [(1, request())]

    assert pace.spared(requests, 0.2) == (requests, 0.2)


def test_a_topic_that_brought_little_is_left_out_until_it_has_rested() -> None:
    pace, clock = paced(posts=0.0625)
    pace.note("posts", 600)
    clock.now += 0.03125

    kept, look_again_s = pace.spared([(1, request())], 0.2)
    assert asked(kept) == [(1, ["work"], 32)]
    assert (kept[0][1]._min_bytes, kept[0][1]._max_bytes, kept[0][1]._rack_id) == (1, 1 << 20, "here")
    assert look_again_s == 0.03125

    clock.now += 0.03125
    assert asked(pace.spared([(1, request())], 0.2)[0]) == [(1, ["posts", "work"], 1500)]


def test_where_all_rest_nothing_is_asked_for() -> None:
    pace, _ = paced(posts=0.0625, work=0.03125)
    pace.note("posts", 600)
    pace.note("work", 600)

    kept, look_again_s = pace.spared([(1, request())], 0.2)
    assert kept == []
    assert look_again_s == 0.03125


def test_each_broker_is_asked_by_itself() -> None:
    pace, _ = paced(posts=0.0625)
    pace.note("posts", 600)

    kept, _ = pace.spared([(1, request()), (2, request([BOTH[1]])), (3, request([BOTH[0]]))], 0.2)
    assert asked(kept) == [(1, ["work"], 63), (2, ["work"], 1500)]


def test_who_is_behind_does_not_rest() -> None:
    pace, _ = paced(posts=0.0625)
    pace.note("posts", LITTLE_BYTES)

    assert asked(pace.spared([(1, request())], 0.2)[0]) == [(1, ["posts", "work"], 1500)]


def test_an_empty_fetch_and_a_topic_without_a_rest_change_nothing() -> None:
    pace, _ = paced(posts=0.0625, work=0.0)
    pace.note("posts", 0)
    pace.note("work", 600)
    pace.note("a-changelog", 600)

    assert asked(pace.spared([(1, request())], 0.2)[0]) == [(1, ["posts", "work"], 1500)]


def _result(tp: TopicPartition, value: bytes) -> FetchResult:
    builder = DefaultRecordBatchBuilder(2, 0, 0, -1, -1, 0, 1 << 20)
    builder.append(0, 1_700_000_000_000, b"k", value, [])
    records = PartitionRecords(tp, MemoryRecords(bytes(builder.build())), None, 0, None, None, False, READ_UNCOMMITTED)
    return FetchResult(tp, assignment=None, partition_records=records, backoff=0.1)


def test_a_fetcher_is_guided_by_what_its_fetches_bring() -> None:
    pace, _ = paced(posts=0.0625)
    brings = {TopicPartition("posts", 1): b"x" * 600}
    fetcher = SimpleNamespace(_records={})
    fetcher._get_actions_per_node = lambda _assignment: ([(1, request())], {}, 0.2, False, [])

    async def process(_assignment: Any, _node: int, _request: Any) -> bool:
        fetcher._records = {tp: _result(tp, value) for tp, value in brings.items()}
        return bool(brings)

    fetcher._proc_fetch_request = process
    hand_out_lean(fetcher)
    pace.guide(fetcher)

    assert asked(fetcher._get_actions_per_node(None)[0]) == [(1, ["posts", "work"], 1500)]
    assert asyncio.run(fetcher._proc_fetch_request(None, 1, request()))
    requests, resets, look_again_s, has_invalid_metadata, resumes = fetcher._get_actions_per_node(None)
    assert asked(requests) == [(1, ["work"], 63)]
    assert (resets, look_again_s, has_invalid_metadata, resumes) == ({}, 0.0625, False, [])

    brings = {TopicPartition("posts", 0): b"x" * LITTLE_BYTES}
    pace, _ = paced(posts=0.0625)
    pace.guide(fetcher)
    assert asyncio.run(fetcher._proc_fetch_request(None, 1, request()))
    assert asked(pace.spared([(1, request())], 0.2)[0]) == [(1, ["posts", "work"], 1500)]
