"""Lean records skip and end where aiokafka's own do, whatever a fetch has brought."""

import struct
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.consumer.fetcher import READ_COMMITTED, READ_UNCOMMITTED, PartitionRecords
from aiokafka.errors import CorruptRecordException
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.record.memory_records import MemoryRecords
from hypothesis import given
from hypothesis import strategies as st

from streams.fetched import Fetched, LeanRecords, lean

TP = TopicPartition("source", 3)
_CONTROL, _ATTRIBUTES_AT = 0x20, 21

Batch = tuple[list[tuple[int, bytes | None, bytes | None]], int, bool]
"""Records as (delta of the offset, key, value), how far the batch reaches beyond the last one, whether it is a control batch."""

values = st.none() | st.binary(max_size=20)
batches = st.tuples(
    st.lists(st.tuples(st.integers(1, 3), values, values), min_size=1, max_size=6), st.integers(0, 4), st.booleans()
)


def built(made: list[Batch], base: int = 0) -> bytes:
    """Return batches one after the other as a broker sends them, with holes as compaction leaves them."""
    data = b""
    for records, beyond, is_control in made:
        builder = DefaultRecordBatchBuilder(2, 0, 0, -1, -1, 0, 1 << 20)
        delta = -1
        for step, key, value in records:
            delta += step
            builder.append(delta, 1_700_000_000_000 + delta, key, value, [("trace", b"1")])
        raw = bytearray(builder.build())
        last = delta + beyond
        struct.pack_into(">q", raw, 0, base)
        struct.pack_into(">i", raw, 23, last)
        if is_control:
            raw[_ATTRIBUTES_AT + 1] |= _CONTROL
        data += bytes(raw)
        base += last + 1
    return data


def both(data: bytes, position: int, *, check_crcs: bool = False) -> tuple[Any, Any]:
    """Return aiokafka's records of a fetch, and lean ones."""

    def fresh() -> Any:
        return PartitionRecords(TP, MemoryRecords(data), None, position, None, None, check_crcs, READ_UNCOMMITTED)

    return fresh(), lean(fresh())


def plain(records: Any, most: int) -> list[Any]:
    """Read at most so many, as ``FetchResult.getall`` does; the last entry is where the next fetch begins."""
    found: list[Any] = []
    for one in records:
        found.append((one.topic, one.partition, one.offset, one.timestamp, one.key, one.value))
        if len(found) == most:
            break
    return [*found, records.next_fetch_offset]


@given(made=st.lists(batches, min_size=1, max_size=5), position=st.integers(0, 30), most=st.integers(1, 8))
def test_lean_records_are_what_aiokafka_hands_out(made: list[Batch], position: int, most: int) -> None:
    theirs, ours = both(built(made), position)

    while True:  # In pieces, as max_records cuts them.
        wanted = plain(theirs, most)
        assert plain(ours, most) == wanted
        if len(wanted) <= most:
            break


def test_a_damaged_batch_is_refused_where_that_is_asked_for() -> None:
    data = bytearray(built([([(1, b"k", b"value")], 0, False)]))
    data[data.index(b"value")] ^= 1

    with pytest.raises(CorruptRecordException):
        list(both(bytes(data), 0, check_crcs=True)[1])
    assert [one.offset for one in both(bytes(data), 0)[1]] == [0]


def test_records_are_small_and_of_no_concern_to_the_collector() -> None:
    _, ours = both(built([([(1, b"k", b"v")], 0, False)]), 0)

    assert list(ours) == [Fetched("source", 3, 0, 1_700_000_000_000, b"k", b"v")]
    assert Fetched.__struct_config__.gc is False


def test_committed_reading_stays_aiokafkas() -> None:
    data = MemoryRecords(built([([(1, b"k", b"v")], 0, False)]))
    theirs = PartitionRecords(TP, data, None, 0, None, None, False, READ_COMMITTED)

    assert lean(theirs) is theirs
    assert not isinstance(theirs, LeanRecords)
