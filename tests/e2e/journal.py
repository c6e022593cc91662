"""What stands in the topics, read along from their beginning by a plain consumer: JSON as anybody would read it."""

import json
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, TopicPartition
from msgspec import Struct

TOPICS: Final = ("posts", "case-events", "answers", "dead-letters")
PASSED_OVER: Final = (b'"type":"gauges"', b'"type":"clock"')
"""Figures and ticks: they come each second and say nothing about a single post."""


class Read(Struct, frozen=True):
    """One record."""

    partition: int
    offset: int
    key: str
    value: Any


class Journal:
    """All records so far, each partition in its order."""

    def __init__(self, bootstrap: str, partitions: int) -> None:
        self._consumer = AIOKafkaConsumer(
            bootstrap_servers=bootstrap, enable_auto_commit=False, auto_offset_reset="earliest"
        )
        self._places = [TopicPartition(topic, number) for topic in TOPICS for number in range(partitions)]
        self.records: dict[str, list[Read]] = {topic: [] for topic in TOPICS}

    async def run(self) -> None:
        """Read until cancelled."""
        await self._consumer.start()
        try:
            self._consumer.assign(self._places)
            await self._consumer.seek_to_beginning(*self._places)
            while True:
                for place, records in (await self._consumer.getmany(timeout_ms=200)).items():
                    self.records[place.topic] += [_read(one) for one in records if not _is_passed_over(one.value)]
        finally:
            await self._consumer.stop()


def _is_passed_over(value: bytes) -> bool:
    return any(mark in value[:40] for mark in PASSED_OVER)


def _read(record: Any) -> Read:
    return Read(record.partition, record.offset, (record.key or b"").decode(), json.loads(record.value))
