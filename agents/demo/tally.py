"""
An independent tally of a demonstration: what was sent against what the topics say became of it.

It shares nothing with the engine but the form of the records: a plain consumer reads the topics from their beginning, and every
record of ``posts`` is followed by its partition and offset through ``src``.
"""

import asyncio
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec
from aiohttp import ClientError, ClientSession, ClientTimeout
from aiokafka import AIOKafkaConsumer, TopicPartition
from msgspec import Struct

from models.posts import Post
from models.records import Accepted, Answered, CaseEvent, Counted, DeadLetter, Joined, Offered, Opened, Understood, Work
from models.wire import DeskEvent, OfferFrame
from streams import topics
from streams.settings import Settings, client_options
from streams.topics import EMBEDDED_PARTITIONS, Topic

Place = tuple[int, int]
"""Partition and offset."""

TOPICS: Final = (topics.POSTS, topics.WORK, topics.CASE_EVENTS, topics.DESK_EVENTS, topics.DEAD_LETTERS)
KINDS: Final[Mapping[str, Any]] = {
    topics.POSTS.name: Post,
    topics.WORK.name: Work,
    topics.CASE_EVENTS.name: CaseEvent,
    topics.DESK_EVENTS.name: DeskEvent,
    topics.DEAD_LETTERS.name: DeadLetter,
}
_DROPPED = re.compile(r"^zuruf_posts_dropped_total\{[^}]*\} (\S+)", re.MULTILINE)
GET_WAIT_S: Final = 5.0
DROPS_EVERY_S: Final = 0.5


class Read(Struct, frozen=True):
    """One record of a topic."""

    place: Place
    value: Any


class Told(Struct, frozen=True):
    """What the demonstration itself knows."""

    taken: Mapping[str, int]
    """How often the webhook answered 202, by post id."""
    dropped: int
    """Posts that concern no brand, as the workers count them."""
    seen: Mapping[str, int]
    """Offer -> Unix ms at which a desk had it."""
    repeats_seen: int
    """Offers and answers that came twice to whom they were for."""
    published: int
    """Answers at the callback address."""
    start_s: float
    """From the start of the process to the first offer at a desk."""


class Quantiles(Struct, frozen=True):
    """Of a set of times, in ms; None where there are none."""

    p50: float | None
    p99: float | None


class Tally(Struct, frozen=True):
    """The whole, as ``--json`` prints it."""

    posts_in: int
    """Accepted by the webhook, repeats included."""
    dropped_noise: int
    classified: int
    """Posts that went on to ``work``, each record of ``posts`` once."""
    cases: int
    joined: int
    counted_only: int
    repeats_known: int
    """Of ``counted_only``: posts that had come before."""
    offers: int
    accepted: int
    answered: int
    """Answers of which dispatch knows that they stand at their platform."""
    published: int
    """Answers that came to the callback address, each id once."""
    duplicates_seen: int
    """Offers shown twice to a desk, and answers that came twice to the callback address."""
    dead_letters: int
    lost: int
    """Posts of which nothing says what became of them."""
    post_to_desk_ms: Quantiles
    """From arrival at the webhook to the desk's socket, of cases that were offered as they opened."""
    start_s: float


def tally(read: Mapping[str, Sequence[Read]], told: Told) -> Tally:
    """
    Count.

    Args:
        read: All records of ``TOPICS``, by topic.
        told: What the demonstration knows.
    """
    understood = _by_source(read[topics.WORK.name])
    events = _once(read[topics.CASE_EVENTS.name])
    kinds = Counter(type(event) for event in events)
    shown = {one.value.frame.case.offer for one in read[topics.DESK_EVENTS.name] if _is_offer(one.value)}
    counted = [event for event in events if isinstance(event, Counted)]
    return Tally(
        posts_in=sum(told.taken.values()),
        dropped_noise=told.dropped,
        classified=len(understood),
        cases=kinds[Opened],
        joined=kinds[Joined],
        counted_only=len(counted) - sum(event.again for event in events if isinstance(event, Opened | Joined)),
        repeats_known=sum(event.reason == "repeat" for event in counted),
        offers=len(shown),
        accepted=kinds[Accepted],
        answered=kinds[Answered],
        published=told.published,
        duplicates_seen=told.repeats_seen,
        dead_letters=len(read[topics.DEAD_LETTERS.name]),
        lost=_lost(read, told, understood),
        post_to_desk_ms=_quantiles(_waits(events, told.seen)),
        start_s=round(told.start_s, 2),
    )


def _by_source(work: Iterable[Read]) -> dict[Place, list[Place]]:
    """Return where each understood post stands in ``work``, by its place in ``posts``; a crash can write it twice."""
    found: dict[Place, list[Place]] = {}
    for one in work:
        if isinstance(one.value, Understood):
            found.setdefault(one.value.src[:2], []).append(one.place)
    return found


def _once(reads: Iterable[Read]) -> list[Any]:
    """Return events, each source once."""
    return list({one.value.src: one.value for one in reads}.values())


def _is_offer(event: DeskEvent) -> bool:
    return isinstance(event.frame, OfferFrame)


def _lost(read: Mapping[str, Sequence[Read]], told: Told, understood: Mapping[Place, Sequence[Place]]) -> int:
    """Posts that were taken and not written; written and neither understood, buried nor dropped; understood and untold."""
    written = Counter(one.value.id for one in read[topics.POSTS.name])
    unwritten = sum(max(0, count - written[post_id]) for post_id, count in told.taken.items())
    letters = [one.value for one in read[topics.DEAD_LETTERS.name]]
    buried = {topic: {(one.partition, one.offset) for one in letters if one.source == topic} for topic in KINDS}
    places = {one.place for one in read[topics.POSTS.name]}
    unheard = len(places - understood.keys() - buried[topics.POSTS.name]) - told.dropped
    ends = {
        one.value.src[:2] for one in read[topics.CASE_EVENTS.name] if isinstance(one.value, Opened | Joined | Counted)
    } | buried[topics.WORK.name]
    untold = sum(not ends.intersection(work) for work in understood.values())
    return unwritten + max(0, unheard) + untold


def _waits(events: Iterable[Any], seen: Mapping[str, int]) -> list[int]:
    """Return ms from arrival to the desk, of cases whose offer was decided by the very record that opened them."""
    opened = {event.src[:2]: event for event in events if isinstance(event, Opened) and not event.again}
    waits = []
    for event in events:
        if isinstance(event, Offered) and event.offer in seen:
            case = opened.get(event.src[:2])
            if case is not None and case.case_id == event.case_id:
                waits.append(seen[event.offer] - case.received_at)
    return waits


def _quantiles(values: Sequence[int]) -> Quantiles:
    """Return the middle and the slowest hundredth, by nearest rank."""
    if not values:
        return Quantiles(None, None)
    ordered = sorted(values)
    last = len(ordered) - 1
    return Quantiles(float(ordered[last // 2]), float(ordered[min(last, -(-len(ordered) * 99 // 100) - 1)]))


# -- reading --------------------------------------------------------------------------------------------------------


async def read_all(settings: Settings, since: int) -> dict[str, list[Read]]:
    """
    Read the topics from a moment on to what is their end now.

    Args:
        settings: With the broker's addresses.
        since: Unix ms, by Kafka's timestamps.
    """
    consumer: Any = AIOKafkaConsumer(
        bootstrap_servers=list(settings.broker),
        group_id=None,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        **client_options(settings),
    )
    await consumer.start()
    try:
        return {topic.name: await _read(consumer, topic, since) for topic in TOPICS}
    finally:
        await consumer.stop()


async def _read(consumer: Any, topic: Topic, since: int) -> list[Read]:
    decode = msgspec.json.Decoder(KINDS[topic.name]).decode
    partitions = [TopicPartition(topic.name, number) for number in range(EMBEDDED_PARTITIONS)]
    consumer.assign(partitions)
    await consumer.seek_to_beginning(*partitions)
    ends = await consumer.end_offsets(partitions)
    found: list[Read] = []
    while any([await consumer.position(one) < ends[one] for one in partitions]):
        for records in (await consumer.getmany(timeout_ms=500)).values():
            found += [Read((one.partition, one.offset), decode(one.value)) for one in records if one.timestamp >= since]
    return found


class Drops:
    """
    Counts the posts that workers drop because they concern no brand, also over a worker's restart.

    A counter begins anew with its process, so it is read twice a second. After a kill it can err by what was dropped
    since the last reading, and by what the next worker read again.
    """

    def __init__(self, session: ClientSession, health: Sequence[str]) -> None:
        self._session, self._health = session, health
        self._last = dict.fromkeys(health, 0)
        self.count = 0

    async def run(self) -> None:
        """Read until cancelled."""
        while True:
            await self.read()
            await asyncio.sleep(DROPS_EVERY_S)

    async def read(self) -> None:
        """Read all counters once; a worker that does not answer is passed over."""
        for address in self._health:
            try:
                wait = ClientTimeout(total=GET_WAIT_S)
                async with self._session.get(f"{address}/metrics", timeout=wait) as answer:
                    self.take(address, dropped_in(await answer.text()))
            except (ClientError, OSError, TimeoutError):
                continue

    def take(self, address: str, value: int) -> None:
        """Add what a counter has gained since it was read last."""
        last = self._last[address]
        self.count += value - last if value >= last else value
        self._last[address] = value


def dropped_in(text: str) -> int:
    """Return the sum over tenants of what a worker's figures say was dropped."""
    return int(sum(map(float, _DROPPED.findall(text))))
