"""The second reader's process on the real broker: what it has said when it is told to end."""

import asyncio
import contextlib
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from msgspec.structs import replace

import streams.second as second_module
from agents.app import changelogs
from models.classifier import Classifier
from models.labels import Classification, Confidence
from models.learned import TenantHeads
from models.relabels import Relabel
from streams import topics
from streams.admin import ensure_topics, partitions_of
from streams.broker import Broker
from streams.codec import Decoder, encode
from streams.second import BEAT_S, Addresses, run
from streams.settings import Settings
from tests.builders import labels, understood

SURE = Confidence(0.99, 0.95, 0.95, 0.95, 0.95, 0.99, 0.99)


class Says:
    """A reader that calls everything a complaint and tells when it has."""

    def __init__(self) -> None:
        self.has_read = asyncio.Event()
        self._loop = asyncio.get_running_loop()

    def label_for(self, texts: Sequence[str], _tenants: Sequence[str]) -> list[Classification]:
        self._loop.call_soon_threadsafe(self.has_read.set)
        return [replace(labels(category="complaint"), confidence=SURE) for _ in texts]


def test_what_is_said_and_not_yet_written_is_written_at_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(second_module.Pauses, "wait", _held)
    monkeypatch.setattr(second_module, "stand_back", lambda: None)  # There is no way back for the tests after this one.

    async def go(bootstrap: str) -> bytes:
        partitions = partitions_of(embedded=True)
        await ensure_topics([bootstrap], {}, partitions, changelogs(partitions))
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            settings = Settings(tenants=(), broker=(bootstrap,), deep_budget_s=60, deep_port=free.getsockname()[1])
        reader, ready, stop = Says(), asyncio.Event(), asyncio.Event()
        heads = TenantHeads(Classifier().version)
        running = asyncio.create_task(run(settings, reader, heads, ready=lambda at: _note(at, ready), stop=stop))
        consumer = AIOKafkaConsumer(topics.WORK.name, bootstrap_servers=bootstrap, auto_offset_reset="earliest")
        producer = AIOKafkaProducer(bootstrap_servers=bootstrap)
        await asyncio.gather(ready.wait(), consumer.start(), producer.start())
        try:
            while not reader.has_read.is_set():  # It begins at the newest once it has its partitions.
                work = understood(labels=labels(unsure=("category",)))
                await producer.send_and_wait(topics.WORK.name, encode(work), key=b"bank")
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(reader.has_read.wait(), 1)
            await asyncio.sleep(0.5)
            stop.set()
            await running
            async for record in consumer:
                if not record.value.startswith(b'{"type":"understood"'):
                    return record.value
        finally:
            await producer.stop()
            await consumer.stop()
        raise AssertionError("the consumer ended by itself")

    with Broker(tmp_path / "broker") as broker:
        value = asyncio.run(asyncio.wait_for(go(broker.bootstrap), 90))
    said = Decoder[Relabel](Relabel, "work").decode(value)
    assert (said.by, said.labels["category"]) == ("deep", "complaint")


async def _held(_self: Any, most_s: float = BEAT_S) -> None:
    """Let whoever writes, who waits for a beat at most, wait for ever; whoever reads reads on."""
    if most_s == BEAT_S:
        await asyncio.Event().wait()


def _note(_at: Addresses, ready: asyncio.Event) -> None:
    ready.set()
