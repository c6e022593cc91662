"""
The topic ``heads``: what each tenant's heads are, compacted, and who reads and writes it.

Two kinds of record: a standing (key ``tenant|head``) says which version is the current one, and what came before; a version's
weights (key ``tenant|head|version``) lie beside it. A tenant's records share a partition, and weights are written before the
standing that names them, so whoever has read a standing has its weights.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.partitioner import murmur2

from models.errors import BadEvent
from models.learned import TenantHeads
from models.learning import Standing, Weights
from streams import topics
from streams.codec import Decoder, encode
from streams.gateway.link import Offsets, Reader, Work

log = logging.getLogger("zuruf.heads")

_decode = Decoder[Standing | Weights](Standing | Weights, topics.HEADS.name).decode


def standing_key(tenant: str, head: str) -> bytes:
    """Return the key of a standing."""
    return f"{tenant}|{head}".encode()


def weights_key(tenant: str, head: str, version: str) -> bytes:
    """Return the key of a version's weights."""
    return f"{tenant}|{head}|{version}".encode()


def fold(heads: TenantHeads, record: Any) -> None:
    """Take in one record of ``heads``; one that is no good is passed over, and what stood before stands."""
    if record.value is None:
        return  # A version that was thrown away; no standing names it any more.
    try:
        known = _decode(record.value)
        if isinstance(known, Weights):
            heads.keep(known)
        else:
            heads.stand(known)
    except (BadEvent, ValueError) as error:
        log.error("%s %d/%d passed over: %s", record.topic, record.partition, record.offset, error)


async def beginnings(consumer: Any, partitions: list[TopicPartition]) -> Offsets:
    """Return where a topic begins: a compacted one is read whole."""
    found: Offsets = await consumer.beginning_offsets(partitions)
    return found


class Follower:
    """Keeps a ``TenantHeads`` as the topic has it, for as long as its process lives."""

    def __init__(self, servers: Sequence[str], options: Mapping[str, Any], heads: TenantHeads) -> None:
        """Set up; ``run`` reads."""
        self._work = Work(servers, options)
        self._reader = Reader(
            self._work,
            servers,
            options,
            topics.HEADS.name,
            beginnings,
            lambda record, is_news: fold(heads, record),
            lambda: None,  # Read again from the beginning, each key's last record says the same.
        )

    async def run(self) -> None:
        """Read until cancelled."""
        try:
            await self._work.start()
            await self._reader.run()
        finally:
            await self._work.stop()

    @property
    def caught_up(self) -> asyncio.Event:
        """Set once all that was in the topic has been taken in."""
        return self._reader.caught_up


class Shelf:
    """Writes the topic."""

    def __init__(self, servers: Sequence[str], options: Mapping[str, Any]) -> None:
        """Set up; ``start`` connects."""
        self._producer = AIOKafkaProducer(
            bootstrap_servers=list(servers),
            acks="all",
            enable_idempotence=True,
            max_request_size=RECORD_BYTES_MAX + 4096,
            **options,
        )

    async def start(self) -> None:
        """Connect."""
        await self._producer.start()

    async def stop(self) -> None:
        """Disconnect."""
        await self._producer.stop()

    async def put(self, standing: Standing, weights: Weights | None, gone: Sequence[str] = ()) -> None:
        """
        Write a standing, its new weights before it, and tombstones of versions that it does not keep any more after it.

        Returns when all in-sync replicas have it.
        """
        tenant, head = standing.tenant, standing.head
        if weights is not None:
            await self._send(tenant, weights_key(tenant, head, weights.version), encode(weights))
        await self._send(tenant, standing_key(tenant, head), encode(standing))
        for version in gone:
            await self._send(tenant, weights_key(tenant, head, version), None)

    async def _send(self, tenant: str, key: bytes, value: bytes | None) -> None:
        count = len(await self._producer.partitions_for(topics.HEADS.name))
        partition = (murmur2(tenant.encode()) & 0x7FFFFFFF) % count
        await self._producer.send_and_wait(topics.HEADS.name, value, key=key, partition=partition)


RECORD_BYTES_MAX: Final = 1_000_000


async def read_all(servers: Sequence[str], options: Mapping[str, Any], heads: TenantHeads, work: Work) -> None:
    """Read the topic once, up to its end."""
    # Not by seek_to_beginning: a reset to the end that is under way since the assignment may come after it.
    consumer = AIOKafkaConsumer(
        bootstrap_servers=list(servers),
        group_id=None,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        **options,
    )
    await consumer.start()
    try:
        partitions = await work.partitions(topics.HEADS.name)
        consumer.assign(partitions)
        ends = await consumer.end_offsets(partitions)
        while any([await consumer.position(one) < ends[one] for one in partitions]):
            for records in (await consumer.getmany(timeout_ms=500)).values():
                for record in records:
                    fold(heads, record)
    finally:
        await consumer.stop()


Put = Callable[[Standing, Weights | None, Sequence[str]], Awaitable[None]]
"""``Shelf.put``, as those see it who only write."""
