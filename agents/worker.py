"""The process ``zuruf worker``: an engine with its ticks, takeovers, watchdog and health door."""

import asyncio
import ctypes
import gc
import logging
import os
import time
from collections.abc import Callable, Iterable
from typing import Any, Final

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from agents.app import Engine
from models.records import Takeover, Tick
from streams import metrics, topics
from streams.carry import Part
from streams.codec import encode
from streams.runs import partitions_of

logger = logging.getLogger(__name__)

STALL_S: Final = 30.0  # Three sessions: a rebalance with a dead member takes one.
EXIT_CODE: Final = 72
M_ARENA_MAX: Final = -8  # As glibc's malloc.h has it.


def now_ms() -> int:
    """Return Unix ms."""
    return time.time_ns() // 1_000_000


class Worker:
    """
    Runs one engine until it is told to stop, or dies so that another can take over.

    Args:
        engine: What to run.
        ticks: Write a tick a second; a replay brings its own.
        clock: Returns Unix ms, for ticks and takeovers; a replay's stands at its first post, since both move the
            partition's time.
    """

    def __init__(self, engine: Engine, *, ticks: bool = True, clock: Callable[[], int] = now_ms) -> None:
        self._engine = engine
        self._app: Any = engine.app
        self._ticks = ticks
        self._clock = clock
        self._generation = -1
        self._held: frozenset[Any] = frozenset()
        self._takeovers = 0
        self._epochs: dict[int, int | None] = {}
        """Where the last takeover of each partition stands in its log; None while it is written, -1 if that failed."""
        self._silent_s: dict[int, int] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._dispatch = engine.dispatch
        if self._dispatch is not None:
            self._dispatch.on_reset = self._on_reset
        self._app.on_partitions_assigned.connect(self._on_assigned, weak=False)

    async def run(self, *, ready: Callable[[], None], stop: asyncio.Event) -> None:
        """Work until ``stop`` is set; ``ready`` is called when partitions are held and read."""
        self._app.finalize()
        self._app.conf.datadir.mkdir(parents=True, exist_ok=True)  # Faust makes the last folder only.
        _spare_the_collector()
        _keep_one_arena()
        self._app.fence.watch()
        await self._app.start()
        tasks = [asyncio.create_task(self._watch(ready))]
        if self._ticks:
            tasks.append(asyncio.create_task(self._tick()))
        try:
            await stop.wait()
        finally:
            for task in tasks:
                task.cancel()
            metrics.READY.set(0)
            await self._app.stop()
            self._app.fence.close()

    @property
    def is_ready(self) -> bool:
        """Whether partitions are held and their positions known."""
        consumer = self._app.consumer
        return bool(consumer is not None and consumer.flow_active and consumer.positions_known)

    # -- ownership

    async def _on_assigned(self, app: Any, assigned: Iterable[Any], **_kwargs: Any) -> None:
        """Forget what may have changed hands, and write a takeover for each partition that is new to us."""
        metrics.REBALANCES.inc()
        assigned = frozenset(assigned)
        generation = app.consumer_generation_id
        unbroken = app.consumer.settled and generation == self._generation + 1
        kept = self._held & assigned if unbroken else frozenset()
        self._generation, self._held = generation, assigned
        for carrier in self._engine.carriers:
            carrier.drop_group()
            carrier.keep_only(partitions_of(kept, carrier.step.topic.name))
        for number in sorted(self._numbers() - partitions_of(kept, topics.WORK.name)):
            await self._take_over(number)

    def _numbers(self) -> frozenset[int]:
        return partitions_of(self._held, topics.WORK.name) if self._dispatch is not None else frozenset()

    async def _take_over(self, number: int) -> None:
        self._takeovers += 1
        token = f"{self._engine.worker_id}:{self._generation}:{self._takeovers}"
        assert self._dispatch is not None
        self._dispatch.tokens[number] = token
        part = self._dispatch.parts.get(number)
        if part is not None:
            part.token = token
        metrics.TAKEOVERS.inc()
        self._epochs[number] = None
        try:
            self._epochs[number] = await self._write(number, Takeover(at=self._clock(), owner=token))
        finally:
            if self._epochs[number] is None:
                self._epochs[number] = -1

    def _on_reset(self, part: Part) -> None:
        """After a bug the partition's numbering is gone: a new epoch begins."""
        task = asyncio.get_running_loop().create_task(self._take_over(part.number))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _heal(self) -> None:
        """
        Take partitions over again that stay silent although our takeover was read.

        A takeover of their last owner came after ours, or ours could not be written after a bug. Twice the fence's time
        goes by before: if somebody else owns the partition by now, this process has ended itself by then.
        """
        assert self._dispatch is not None
        for number in self._numbers():
            part, epoch = self._dispatch.parts.get(number), self._epochs.get(number)
            if part is None or part.ready or epoch is None or part.rows.progress.offset < epoch:
                self._silent_s.pop(number, None)
                continue
            self._silent_s[number] = self._silent_s.get(number, 0) + 1
            if self._silent_s[number] > 2 * self._app.fence.limit_s:
                del self._silent_s[number]
                logger.warning("partition %d is silent although it is ours: it is taken over again", number)
                await self._take_over(number)

    async def _write(self, number: int, record: Takeover | Tick) -> int:
        """Write a record and return its offset."""
        self._app.fence.check()
        producer = self._app.producer._producer
        written = await producer.send_and_wait(topics.WORK.name, encode(record), partition=number)
        offset: int = written.offset
        return offset

    # -- time

    async def _tick(self) -> None:
        """Write a tick a second into each partition that we own."""
        while True:
            await asyncio.sleep(1 - time.time() % 1)
            if not self.is_ready:
                continue
            try:
                await asyncio.gather(*(self._write(number, Tick(at=self._clock())) for number in self._numbers()))
                if self._dispatch is not None:
                    await self._heal()
            except Exception:
                logger.exception("ticks could not be written")

    # -- the watchdog

    async def _watch(self, ready: Callable[[], None]) -> None:
        """End the process when commits stand still while there is lag, or recovery stands still."""
        moved_at, last, told = time.monotonic(), "", False
        while True:
            await asyncio.sleep(0.1 if not told else 1.0)
            if self._app.crashed:
                self._end(f"the engine crashed: {self._app.crash_reason!r}")
            metrics.READY.set(self.is_ready)
            if self.is_ready and not told:
                told = True
                ready()
            marks, lagging = self._marks()
            if marks != last or not lagging:
                moved_at, last = time.monotonic(), marks
            elif time.monotonic() - moved_at > STALL_S:
                self._end(f"nothing has moved for {STALL_S:.0f} s although there is work: {marks}")

    def _marks(self) -> tuple[str, bool]:
        """Return something that changes when work moves, and whether there is work."""
        consumer = self._app.consumer
        if consumer is None:
            return "", False
        if self._app.in_recovery:
            return f"recovery {dict(self._app.tables.recovery.active_offsets)}", True
        if not self.is_ready:
            return f"generation {self._generation}", bool(self._held)
        lags = consumer.lag()
        for topic, lag in lags.items():
            metrics.LAG_RECORDS.labels(topic).set(lag)
        return f"committed {consumer.done}", any(lags.values())

    def _end(self, why: str) -> None:
        logger.critical("this worker ends itself: %s", why)
        logging.shutdown()
        os._exit(EXIT_CODE)


def _spare_the_collector() -> None:
    """
    Let the garbage collector look seldom.

    Steps make tens of thousands of short-lived values a second, none of them in a cycle; its default looks through
    them every 700 and through all that is alive again and again, which cost a quarter of the CPU.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)


def _keep_one_arena() -> None:
    """
    Let all threads take their memory from the same arenas, where the C library would give each one of its own.

    What the thread that reads from the broker takes is given back by the main thread, which gets what it asks for next from
    elsewhere, where it is cold: between 3 and 10 % of the CPU a post, measured in turn on a quiet and on a busy machine.
    """
    try:
        ctypes.CDLL(None).mallopt(M_ARENA_MAX, 1)
    except (OSError, AttributeError, TypeError):  # No glibc: there is nothing to be told.
        logger.debug("memory: this C library has no arenas to be kept")


async def serve_health(worker: Worker, host: str, port: int) -> tuple[web.AppRunner, str]:
    """Open /healthz, /readyz and /metrics; return the runner and the address."""

    async def healthz(_request: web.Request) -> web.Response:
        return web.json_response({"ok": True})

    async def readyz(_request: web.Request) -> web.Response:
        return web.json_response({"ready": worker.is_ready}, status=200 if worker.is_ready else 503)

    async def metricsz(_request: web.Request) -> web.Response:
        return web.Response(body=generate_latest(), headers={"Content-Type": CONTENT_TYPE_LATEST})

    app = web.Application()
    app.add_routes([web.get("/healthz", healthz), web.get("/readyz", readyz), web.get("/metrics", metricsz)])
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, host, port)
    await site.start()
    bound = runner.addresses[0][1]
    return runner, f"http://{host}:{bound}"
