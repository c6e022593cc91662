"""
Records as the transport hands them out: each one small object, made in one loop.

aiokafka gives every record a dataclass of eleven fields and a dictionary, through three layers of calls; at three records a
post that was a tenth of what a post costs, and the garbage collector looked at all that waited. What is skipped and where
the next fetch begins is as aiokafka has it (the tests hold the two against each other).

It relies on private names of ``aiokafka.consumer.fetcher`` as they are in aiokafka 0.14.0, which is pinned:
``Fetcher._proc_fetch_request, Fetcher._records, FetchResult._partition_records`` and ``PartitionRecords``' own.
"""

from collections.abc import Iterator
from typing import Any

from aiokafka.consumer.fetcher import READ_UNCOMMITTED, FetchResult, PartitionRecords
from aiokafka.errors import CorruptRecordException
from msgspec import Struct


class Fetched(Struct, frozen=True, gc=False):
    """One record as it lies in Kafka."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    """Unix ms."""
    key: bytes | None
    value: bytes | None


class LeanRecords(PartitionRecords):  # type: ignore[misc]  # aiokafka is untyped
    """What one fetch brought of one partition, read uncommitted and raw."""

    next_fetch_offset: int

    def __iter__(self) -> Iterator[Fetched]:
        records: Iterator[Fetched] = self._records_iterator
        return records

    def _unpack_records(self) -> Iterator[Fetched]:
        topic, partition = self._tp
        batches = self._records
        while batches.has_next():
            batch = batches.next_batch()
            if self._check_crcs and not batch.validate_crc():
                raise CorruptRecordException(f"Invalid CRC - {self._tp}")
            if not batch.is_control_batch:
                for record in batch:
                    offset = record.offset
                    if offset >= self.next_fetch_offset:  # A fetch brings a whole batch, also from its middle on.
                        self.next_fetch_offset = offset + 1
                        yield Fetched(topic, partition, offset, record.timestamp, record.key, record.value)
            # Beyond records that compaction has taken out of the batch's end, else it would be fetched for ever.
            self.next_fetch_offset = batch.next_offset


def lean(records: Any) -> Any:
    """Return records that nobody has read yet as lean ones, or as they are where more than bytes is asked for."""
    if (
        type(records) is not PartitionRecords
        or records._isolation_level != READ_UNCOMMITTED
        or records._key_deserializer is not None
        or records._value_deserializer is not None
    ):
        return records
    return LeanRecords(
        records._tp,
        records._records,
        None,
        records.next_fetch_offset,
        None,
        None,
        records._check_crcs,
        READ_UNCOMMITTED,
    )


def hand_out_lean(fetcher: Any) -> None:
    """Let a fetcher of aiokafka hand out lean records from now on."""
    process = fetcher._proc_fetch_request

    async def processed(assignment: Any, node_id: int, request: Any) -> Any:
        has_new = await process(assignment, node_id, request)
        # Nobody has read them: between their arrival and here nothing else has run.
        for result in fetcher._records.values():
            if type(result) is FetchResult:
                result._partition_records = lean(result._partition_records)
        return has_new

    fetcher._proc_fetch_request = processed
