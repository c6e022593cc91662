"""Records -> the broker: done when all of them are acknowledged, or refused within a bounded time."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError
from msgspec import Struct

from models.errors import ZurufError
from models.records import DeadLetter
from streams import topics
from streams.codec import encode
from streams.settings import Settings, client_options

ACK_WAIT_S: Final = 5.0  # A sender of webhooks gives up after 5 to 15 s; it should read why before.
RECORD_BYTES_MAX: Final = 1_000_000  # Below what broker and producer take for one record, with its framing.


class BrokerAway(ZurufError):
    """The broker did not acknowledge in time; whether it has the records is not known."""


class Record(Struct, frozen=True):
    """One record to write."""

    topic: str
    key: bytes
    value: bytes


Write = Callable[[Sequence[Record]], Awaitable[None]]
"""Returns when the broker has all records; raises BrokerAway."""


class Producer:
    """An idempotent producer: what is sent again inside it is written once, and nothing passes a failed batch."""

    def __init__(self, settings: Settings, client_id: str) -> None:
        self._kafka = AIOKafkaProducer(
            bootstrap_servers=list(settings.broker),
            client_id=client_id,
            enable_idempotence=True,
            acks="all",
            request_timeout_ms=10_000,
            **client_options(settings),
        )
        self.started = False

    async def start(self) -> None:
        """
        Connect.

        Raises:
            BrokerAway: If no broker answers.
        """
        try:
            await self._kafka.start()
        except KafkaError as error:
            raise BrokerAway(f"no broker answers: {error}") from error
        self.started = True

    async def write(self, records: Sequence[Record]) -> None:
        """
        Write records and await every acknowledgement.

        Raises:
            BrokerAway: If one of them is not acknowledged within ``ACK_WAIT_S``.
        """
        if not self.started:
            raise BrokerAway("no broker has answered yet")
        futures: list[asyncio.Future[Any]] = []
        try:
            async with asyncio.timeout(ACK_WAIT_S):
                for record in records:
                    # One by one, so that those sent are known where a later one is not taken.
                    future = await self._kafka.send(record.topic, key=record.key, value=record.value)
                    futures.append(future)
                if futures:
                    # Not gather: a time-out must not cancel what the producer will settle by itself.
                    await asyncio.wait(futures)
        except TimeoutError as error:
            raise BrokerAway(f"no acknowledgement within {ACK_WAIT_S:g} s") from error
        except KafkaError as error:
            raise BrokerAway(f"not written: {error!r}") from error
        finally:
            for future in futures:
                future.add_done_callback(_seen)
        for future in futures:
            if (failure := future.exception()) is not None:
                raise BrokerAway(f"not written: {failure!r}") from failure

    async def stop(self) -> None:
        """Send what is held and disconnect."""
        await self._kafka.stop()


def _seen(future: "asyncio.Future[Any]") -> None:
    """Look at a late failure, so that it is not reported as one that nobody saw."""
    if not future.cancelled():
        future.exception()


def dead_letter_record(letter: DeadLetter) -> Record:
    """Return the record of a dead letter."""
    return Record(topics.DEAD_LETTERS.name, letter.source.encode(), encode(letter))
