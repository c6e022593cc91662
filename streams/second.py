"""
``zuruf deep``: the second reader beside the stream.

It reads ``work`` in a group of its own, picks what is worth a second reading, and writes later labels into ``work``, where
dispatch takes them like any other decision; a post that was passed over and asks for somebody after all goes there whole. It
follows ``heads``, and reads nothing before it has them all: without what a tenant's reps taught it would take that back.
Nothing waits for it: when more comes than it can read, posts are passed over and counted. A post that it misses over a restart
keeps its first labels; so it begins at the newest, and offsets are committed as read.
"""

import asyncio
import contextlib
import logging
import math
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, Protocol

from aiohttp import web
from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaError
from msgspec import Struct
from msgspec.structs import replace
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from models.errors import BadEvent
from models.labels import Classification, Triage
from models.learned import TenantHeads
from models.records import Reconsidered, Understood
from models.relabels import Relabel, relabelled
from models.second import REST_MAX, SECOND_READING, Waiting, found, rest_s_after, share_of, worth
from models.sketch import sketches_of
from models.triage import asks_for_somebody, triage_of_text
from streams import topics
from streams.background import SESSION_MS, Others, cores_allowed, limits_here, stand_back
from streams.codec import Decoder, encode
from streams.connectors.producing import BrokerAway, Producer, Record, Write
from streams.heads import Follower
from streams.settings import Settings, client_options

GROUP: Final = "zuruf-deep"
BATCH_MAX: Final = 16
"""Posts read in one go on a quiet machine."""
PAUSE_MAX: Final = 2
"""The same on a busy one, in a pause of the stream, of which there are some thirty a second: more would still be read when the
next posts come."""
EACH_S: Final = 0.008
WRITE_EVERY_S: Final = 1.0
"""Seconds between two writes, at least: each is a group of its own to dispatch, which holds up the posts that come then."""
PAUSE_S: Final = (0.012, 0.02)
"""From when to when, seconds after posts have come, nothing new is begun for them: dispatch has decided about them, and the next
ones are not read yet, see ``streams.pace``."""
BEAT_S: Final = 0.1
"""Seconds after which posts are not waited for any more."""
SAID_MAX: Final = 1_000
"""Later labels that wait to be written; beyond, nothing more is read."""
FETCH_MAX: Final = 2_000

# Only records that begin so are decoded: most of ``work`` are ticks and commands.
_UNDERSTOOD: Final = b'{"type":"understood"'

_log = logging.getLogger(__name__)


class Reads(Protocol):
    """What is asked of the reader."""

    def label_for(self, texts: Sequence[str], tenants: Sequence[str]) -> list[Classification]:
        """Return the labels of each text, as its tenant's heads have them."""


class Counts:
    """What the process counts."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        self.read = Counter("zuruf_deep_read", "Posts read again", registry=registry)
        self.skipped = Counter("zuruf_deep_skipped", "Posts passed over, by reason", ["reason"], registry=registry)
        self.relabelled = Counter("zuruf_deep_relabelled", "Labels set otherwise", ["label"], registry=registry)
        self.reconsidered = Counter(
            "zuruf_deep_reconsidered", "Posts that ask for somebody after all", registry=registry
        )
        self.rested_s = Counter(
            "zuruf_deep_rested_seconds",
            "Seconds rested while posts waited, since cores or the stream were busy",
            registry=registry,
        )
        self.share = Gauge("zuruf_deep_share", "Share of the time in which it may compute", registry=registry)
        self.waiting = Gauge("zuruf_deep_waiting", "Posts that wait", registry=registry)
        self.seconds = Histogram(
            "zuruf_deep_seconds",
            "From a post's record until it was read again",
            buckets=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
            registry=registry,
        )
        for reason in ("full", "late"):
            self.skipped.labels(reason)


class Addresses(Struct, frozen=True):
    """Where the process is found."""

    health: str


class Pauses:
    """
    The stream's pauses, between posts that it has read together and the next: who computes or writes then holds nobody up.

    Args:
        clock: Returns seconds that never go back.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._came_s = float("-inf")
        self._next = asyncio.Event()

    def end(self) -> None:
        """Note that posts came."""
        self._came_s = self._clock()
        self._next.set()
        self._next = asyncio.Event()

    async def wait(self, most_s: float = BEAT_S) -> None:
        """Return in a pause: in this one, else in the next; where no posts come, they are waited for so long at most."""
        ago_s = self._clock() - self._came_s
        if ago_s >= PAUSE_S[1]:
            came = self._next
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(max(0.0, min(most_s, BEAT_S - ago_s))):
                    await came.wait()
            if not came.is_set():
                return
            ago_s = self._clock() - self._came_s
        await asyncio.sleep(min(most_s, PAUSE_S[0] - ago_s))


class SecondReader:
    """The process, without its surroundings."""

    def __init__(
        self,
        settings: Settings,
        reader: Reads,
        share: Callable[[], float],
        clock: Callable[[], float] = time.time,
    ) -> None:
        """
        Make it.

        Args:
            settings: With the tenants and the time budget.
            reader: Labels texts.
            share: Returns in which share of the time it may compute; asked before each batch.
            clock: Returns Unix seconds.
        """
        self.counts = Counts()
        self.waiting = Waiting(settings.deep_budget_s, EACH_S)
        self.joined = False
        self._reader = reader
        self._clock = clock
        self._share = share
        self._budget_s = settings.deep_budget_s
        self._decode = Decoder[Understood](Understood, "work").decode
        self._sketched = {
            (tenant.id, brand.id)
            for tenant in settings.tenants
            for brand in tenant.brands
            if brand.incidents.mode != "off"
        }
        self.pauses = Pauses()
        self._more = asyncio.Event()
        # One thread: the session has one, and lets go of the interpreter while it computes.
        self._pool = ThreadPoolExecutor(1, "zuruf-deep")
        self.rests_until = 0.0
        """Of ``time.monotonic``: before it nothing is read."""

    def offer(self, records: Sequence[Any]) -> None:
        """Pick from a fetch of ``work`` what is worth a second reading."""
        now_ms = self._clock() * 1000
        posts = [one for one in records if one.value is not None and one.value.startswith(_UNDERSTOOD)]
        if posts:
            self.pauses.end()
        for record in posts:
            try:
                work = self._decode(record.value)
            except BadEvent:
                continue  # Dispatch buries it.
            if work.action != "created" or not work.post.text.strip():
                continue
            value = worth(work.labels, work.triage, work.influence.score)
            if not value:
                continue
            if now_ms - record.timestamp > self._budget_s * 1000:
                self.counts.skipped.labels("late").inc()
            else:
                self.counts.skipped.labels("full").inc(self.waiting.put(work, value, record.timestamp / 1000))
        self.counts.waiting.set(len(self.waiting))
        if len(self.waiting):
            self._more.set()

    def look(self) -> None:
        """See how much of the time is left by others."""
        self.counts.share.set(self._share())

    async def read_next(self) -> list[Relabel | Reconsidered]:
        """Wait for something to read and until it may, read it, and return what it changes."""
        await self._more.wait()
        rest_s = max(0.0, self.rests_until - time.monotonic())
        await asyncio.sleep(rest_s)
        share, pause_s = self._share(), 0.0
        if share < 1:
            began = time.monotonic()
            await self.pauses.wait(REST_MAX * self._budget_s)
            pause_s = time.monotonic() - began
        self.counts.rested_s.inc(rest_s + pause_s)
        most = min(math.ceil(share * BATCH_MAX), BATCH_MAX if share == 1 else PAUSE_MAX)
        batch, late = self.waiting.take(most, self._clock())
        self.counts.skipped.labels("late").inc(late)
        self.counts.waiting.set(len(self.waiting))
        if not len(self.waiting):
            self._more.clear()
        if not batch:
            return []
        labels, wall_s, cpu_s = await asyncio.get_running_loop().run_in_executor(self._pool, self._label, batch)
        # A pause was waited for instead of resting; it is a part of what a reading takes where no more could be read with it.
        self.rests_until = time.monotonic() + max(0.0, rest_s_after(cpu_s, share, self._budget_s) - pause_s)
        self.waiting.took(rest_s + wall_s + (pause_s if len(batch) == most else 0.0), len(batch))
        self.counts.read.inc(len(batch))
        return [said for work, second in zip(batch, labels, strict=True) if (said := self._says(work, second))]

    def _label(self, batch: Sequence[Understood]) -> tuple[list[Classification], float, float]:
        """Return the labels, and the seconds and the CPU seconds that they took."""
        began, cpu_began = time.perf_counter(), time.thread_time()
        labels = self._reader.label_for([work.post.text for work in batch], [work.tenant for work in batch])
        return labels, time.perf_counter() - began, time.thread_time() - cpu_began

    def _says(self, work: Understood, second: Classification) -> Relabel | Reconsidered | None:
        said = found(work.labels, second)
        now_s = self._clock()
        self.counts.seconds.observe(max(0.0, now_s - work.at / 1000))
        if not said.labels:
            return None
        for name in said.labels:
            self.counts.relabelled.labels(name).inc()
        if not asks_for_somebody(work.triage, work.labels):
            read = relabelled(work.labels, said.labels, said.confidence)
            triage, why = triage_of_text(read, work.post.text)
            if asks_for_somebody(triage, read):
                self.counts.reconsidered.inc()
                return self._reconsidered(work, read, triage, why)
        return Relabel(
            at=int(now_s * 1000),
            tenant=work.tenant,
            labels=said.labels,
            by="deep",
            conversation_uri=work.post.conversation_uri,
            post_id=work.post.id,
            confidence=said.confidence,
        )

    def _reconsidered(
        self, work: Understood, read: Classification, triage: Triage, why: tuple[str, ...]
    ) -> Reconsidered:
        sketch = sketches_of([work.post.text])[0] if (work.tenant, work.brand_id) in self._sketched else b""
        again = replace(work, labels=read, triage=triage, why=(SECOND_READING, *why), sketch=sketch, again=True)
        return Reconsidered(int(self._clock() * 1000), work.tenant, again)

    def close(self) -> None:
        """Let the thread go."""
        self._pool.shutdown(wait=False, cancel_futures=True)


class Later:
    """
    Later labels on their way: gathered, and written seldom and when it holds nobody up.

    Args:
        write: To the broker.
        pauses: Of the stream.
    """

    def __init__(self, write: Write, pauses: Pauses) -> None:
        self._write = write
        self._pauses = pauses
        self._said: list[Relabel | Reconsidered] = []
        self._some, self._room = asyncio.Event(), asyncio.Event()
        self._room.set()

    async def add(self, said: Sequence[Relabel | Reconsidered]) -> None:
        """Take labels, once there is room for them."""
        await self._room.wait()
        self._said += said
        if self._said:
            self._some.set()
        if len(self._said) >= SAID_MAX:
            self._room.clear()

    async def run(self) -> None:
        """Write what is taken, until cancelled."""
        while True:
            await self._some.wait()
            await self._pauses.wait()
            await self.write()
            await asyncio.sleep(WRITE_EVERY_S)

    async def write(self) -> None:
        """Write what waits; if no broker answers it is lost, and the log says how many."""
        said, self._said = self._said, []
        self._some.clear()
        self._room.set()
        if not said:
            return
        try:
            await self._write([record_of(one) for one in said])
        except BrokerAway as error:
            _log.warning("%d later labels are lost: %s", len(said), error)


def record_of(said: Relabel | Reconsidered) -> Record:
    """Return the record of later labels, in the partition of all that concerns their tenant."""
    return Record(topics.WORK.name, said.tenant.encode(), encode(said))


async def run(
    settings: Settings, reader: Reads, heads: TenantHeads, *, ready: Callable[[Addresses], None], stop: asyncio.Event
) -> None:
    """
    Run until ``stop`` is set.

    Args:
        settings: With the broker's addresses.
        reader: Labels texts, in a thread of its own.
        heads: The reader's, kept as the topic has them.
        ready: Told once, when posts are read.
        stop: Ends it.
    """
    stand_back()
    limits = limits_here()
    others, cores = Others(limits), cores_allowed(limits)
    second = SecondReader(settings, reader, lambda: share_of(others.share(), cores))
    producer = Producer(settings, "zuruf-deep")
    consumer = AIOKafkaConsumer(
        topics.WORK.name,
        bootstrap_servers=list(settings.broker),
        group_id=GROUP,
        client_id="zuruf-deep",
        auto_offset_reset="latest",
        enable_auto_commit=True,
        max_poll_records=FETCH_MAX,
        session_timeout_ms=SESSION_MS,
        **client_options(settings),
    )
    await producer.start()
    await consumer.start()
    runner, address = await _serve(second, settings)
    later = Later(producer.write, second.pauses)
    follower = Follower(settings.broker, client_options(settings), heads)

    async def fetch() -> None:
        await follower.caught_up.wait()
        second.joined = True
        ready(Addresses(address))
        await _fetch(consumer, second)

    tasks = [asyncio.create_task(work) for work in (follower.run(), fetch(), _read(second, later), later.run())]
    ends = asyncio.create_task(stop.wait())
    try:
        done, _ = await asyncio.wait([*tasks, ends], return_when=asyncio.FIRST_COMPLETED)
        for task in done - {ends}:
            task.result()
    finally:
        for task in (*tasks, ends):
            task.cancel()
        await asyncio.gather(*tasks, ends, return_exceptions=True)
        await later.write()
        second.close()
        await consumer.stop()
        await producer.stop()
        await runner.cleanup()


async def _fetch(consumer: Any, second: SecondReader) -> None:
    while True:
        try:
            fetched = await consumer.getmany(timeout_ms=500, max_records=FETCH_MAX)
        except KafkaError as error:
            _log.warning("the broker is away: %r", error)
            await asyncio.sleep(1.0)
            continue
        second.look()
        for records in fetched.values():
            second.offer(records)


async def _read(second: SecondReader, later: Later) -> None:
    while True:
        await later.add(await second.read_next())


async def _serve(second: SecondReader, settings: Settings) -> tuple[web.AppRunner, str]:
    async def healthz(_request: web.Request) -> web.Response:
        return web.json_response({"ok": True})

    async def readyz(_request: web.Request) -> web.Response:
        return web.json_response({"ready": second.joined}, status=200 if second.joined else 503)

    async def metricsz(_request: web.Request) -> web.Response:
        return web.Response(body=generate_latest(second.counts.registry), headers={"Content-Type": CONTENT_TYPE_LATEST})

    app = web.Application()
    app.add_routes([web.get("/healthz", healthz), web.get("/readyz", readyz), web.get("/metrics", metricsz)])
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, settings.http_host, settings.deep_port).start()
    return runner, f"http://{settings.http_host}:{runner.addresses[0][1]}"
