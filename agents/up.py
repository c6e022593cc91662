"""
``zuruf up``: everything in one go, on an embedded broker.

This process holds the broker and starts worker, gateway, connect and the second reader as its children. A child that dies is
started again; the broker is not: whoever kills it wants to know. State outlives a stop, since the log and the tables lie in the
data folder.
"""

import asyncio
import contextlib
import logging
import os
import shutil
import sys
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any, Final

from msgspec import Struct
from msgspec.structs import replace

from agents import processes
from agents.app import changelogs
from agents.processes import Child, ChildFailed, ended
from models.errors import Misconfigured, ZurufError
from streams import broker as embedded
from streams.admin import ensure_topics, partitions_of
from streams.broker import Broker, BrokerFailed
from streams.settings import Settings, client_options, with_secret
from streams.topics import EMBEDDED_PARTITIONS

log = logging.getLogger("zuruf.up")

WORKERS_MAX: Final = EMBEDDED_PARTITIONS  # One more would hold nothing.
DEATHS_MAX: Final = 5
DEATHS_WITHIN_S: Final = 60.0
BACKOFF_S: Final = (0.2, 0.5, 1.0, 2.0, 5.0)
POLL_S: Final = 0.5
MISCONFIGURED: Final = 2
PORTS: Final = {
    "worker": "ZURUF_HEALTH_PORT",
    "gateway": "ZURUF_GATEWAY_PORT",
    "connect": "ZURUF_HTTP_PORT",
    "deep": "ZURUF_DEEP_PORT",
}
LARGE_PAGES: Final = "glibc.malloc.hugetlb=1"
"""GLIBC_TUNABLES of the second reader: its matrices in pages of 2 MB, where the kernel has them. A text costs 3 % less."""


class GaveUp(ZurufError):
    """Something that all else stands on has ended for good; ``status`` is for our own exit."""

    def __init__(self, message: str, status: int = 1) -> None:
        super().__init__(message)
        self.status = status


class Plan(Struct, frozen=True):
    """What to start."""

    settings: Settings
    workers: int = 1
    log_level: str = "info"
    environment: Mapping[str, str] = {}
    """For the children, beside our own."""
    say: Callable[[str], None] = lambda text: None
    """Told in words what takes long and what happens."""


class Standing(Struct, frozen=True):
    """Where everything is found."""

    settings: Settings
    """With the embedded broker's address and a secret."""
    gateway: str
    desk: str
    board: str
    connect: str
    health: tuple[str, ...]
    """Of the workers."""
    pids: dict[str, int]
    """By process, as in ``worker-1``; ``broker`` is Java's."""


class House:
    """The broker and its children, while they run."""

    def __init__(self, plan: Plan, settings: Settings, broker: Broker) -> None:
        self._plan, self._settings, self._broker = plan, settings, broker
        self._children: dict[str, Child] = {}
        self._keepers: list[asyncio.Task[None]] = []
        self._ending = False
        self._extras: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Start all: workers and connect side by side, then the gateway, whose start page links to connect's."""
        names = [f"worker-{number}" for number in range(1, self._plan.workers + 1)]
        async with asyncio.TaskGroup() as group:
            for name in names:
                group.create_task(self._start(name, "worker", "--partitions", str(EMBEDDED_PARTITIONS)))
            group.create_task(self._start_doors())
        self._keepers = [asyncio.create_task(self._keep(child)) for child in self._children.values()]
        self._keepers.append(asyncio.create_task(self._watch_broker()))
        self._extras = [asyncio.create_task(self._beside("learn", "nothing is learnt from corrections any more"))]
        if self._settings.deep_budget_s:
            self._extras.append(asyncio.create_task(self._beside("deep", "no post is read a second time any more")))

    async def _start_doors(self) -> None:
        connect = await self._start("connect", "connect")
        await self._start("gateway", "gateway", "--chat", f"{connect['http']}/chat")

    async def _start(self, name: str, command: str, *arguments: str) -> Mapping[str, Any]:
        common = ("--config", str(self._settings.file), "--log", self._plan.log_level)
        child = Child(name, (command, *common, *arguments), self._environment(name))
        self._children[name] = child
        facts = await child.start()
        # Started again, it must be found where it was.
        if command in PORTS:
            child.environment[PORTS[command]] = str(facts["port"])
        return facts

    def _environment(self, name: str) -> dict[str, str]:
        settings = self._settings
        # Tables of two workers cannot lie in one folder.
        data = settings.data / name if name.startswith("worker") else settings.data
        environment = {
            **self._plan.environment,
            "ZURUF_BROKER": "kafka://" + ",".join(settings.broker),
            "ZURUF_SECRET": settings.secret.reveal(),
            "ZURUF_DATA": str(data.absolute()),
        }
        if self._plan.workers > 1 and name.startswith("worker") and settings.health_port:
            environment["ZURUF_HEALTH_PORT"] = str(settings.health_port + int(name.rpartition("-")[2]) - 1)
        if name == "deep":
            environment["GLIBC_TUNABLES"] = os.environ.get("GLIBC_TUNABLES", LARGE_PAGES)
        return environment

    def standing(self) -> Standing:
        """Return where everything is found."""
        facts = {name: child.facts for name, child in self._children.items()}
        gateway = facts["gateway"]
        return Standing(
            settings=self._settings,
            gateway=gateway["http"],
            desk=gateway["desk"],
            board=gateway["board"],
            connect=facts["connect"]["http"],
            health=tuple(fact["health"] for name, fact in sorted(facts.items()) if name.startswith("worker")),
            pids={name: child.pid for name, child in self._children.items()} | {"broker": self._broker.pids[1]},
        )

    async def _keep(self, child: Child) -> None:
        """Start a child again whenever it dies, until it dies too often."""
        deaths: deque[float] = deque(maxlen=DEATHS_MAX)
        status = await child.wait()
        while not self._ending:
            now = time.monotonic()
            deaths.append(now)
            recent = sum(now - died < DEATHS_WITHIN_S for died in deaths)
            if status == MISCONFIGURED or recent >= DEATHS_MAX:
                times = f"{recent} times within a minute, " if recent > 1 else ""
                raise GaveUp(f"{child.name} {ended(status)}, {times}and is given up; why stands above", status)
            wait_s = BACKOFF_S[recent - 1]
            self._plan.say(f"{child.name} {ended(status)}; it starts again in {wait_s:g} s")
            await asyncio.sleep(wait_s)
            try:
                await child.start()
                self._plan.say(f"{child.name} is back")
                status = await child.wait()
            except ChildFailed as failure:
                status = failure.status

    async def _beside(self, name: str, without: str) -> None:
        """Keep what stands beside the stream, once all else stands; without it all else goes on."""
        try:
            await self._start(name, name)
            await self._keep(self._children[name])
        except (ChildFailed, GaveUp) as failure:
            self._plan.say(f"{without}: {failure}")

    async def _watch_broker(self) -> None:
        while True:
            await asyncio.sleep(POLL_S)
            if (death := self._broker.poll()) is not None and not self._ending:
                raise GaveUp(death)

    async def fall(self) -> None:
        """
        Wait until something falls that cannot be started again.

        Raises:
            GaveUp: Then.
        """
        done, _ = await asyncio.wait(self._keepers, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()

    async def end(self) -> None:
        """End all in order: first who lets people in, then who works for them."""
        self._ending = True
        tasks = [*self._keepers, *self._extras]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for kinds in (("gateway",), ("connect",), ("learn", "deep", "worker")):
            children = [child for name, child in self._children.items() if name.startswith(kinds)]
            await asyncio.gather(*(child.end() for child in children))


@contextlib.asynccontextmanager
async def running(plan: Plan) -> AsyncIterator[House]:
    """
    Start everything, and end it in order.

    Raises:
        BrokerFailed: If the broker cannot be started.
        GaveUp: If a child cannot.
        Misconfigured: If a broker of one's own is set, or more workers than partitions are asked for.
    """
    _check(plan)
    settings = with_secret(plan.settings)
    broker = Broker(settings.data / "broker", progress=plan.say)
    await asyncio.to_thread(broker.start)
    try:
        settings = replace(settings, broker=tuple(broker.bootstrap.split(",")))
        counts = partitions_of(embedded=True)
        await ensure_topics(settings.broker, client_options(settings), counts, changelogs(counts))
        house = House(plan, settings, broker)
        try:
            await _started(house)
            yield house
        finally:
            await house.end()
    finally:
        await asyncio.to_thread(broker.stop)


async def _started(house: House) -> None:
    try:
        await house.start()
    except* ChildFailed as failures:
        first = failures.exceptions[0]
        assert isinstance(first, ChildFailed)
        raise GaveUp(f"{first}; why stands above", first.status if first.status > 0 else 1) from None


def _check(plan: Plan) -> None:
    if not plan.settings.embedded:
        given = "kafka://" + ",".join(plan.settings.broker)
        meant = "nothing: `zuruf up` brings its own broker; on yours run `zuruf worker`, `gateway` and `connect`"
        raise Misconfigured.at("environment", "ZURUF_BROKER", given, meant)
    if not 1 <= plan.workers <= WORKERS_MAX:
        raise Misconfigured.at("command line", "--workers", plan.workers, f"1 to {WORKERS_MAX}, one for each partition")


def begin_anew(settings: Settings) -> None:
    """
    Remove the log, the tables made from it and the chats; the secret stays.

    Raises:
        BrokerFailed: If the broker runs in this folder.
    """
    embedded.fresh(settings.data / "broker")
    for folder in settings.data.glob("worker-*"):
        shutil.rmtree(folder)
    for file in settings.data.glob("chat.sqlite*"):
        file.unlink()


async def up(plan: Plan, stop: asyncio.Event, ready: Callable[[Standing], None]) -> int:
    """Run everything until told to stop; return the exit status."""
    try:
        async with running(plan) as house:
            ready(house.standing())
            await until(stop, house.fall())
            plan.say("Ending: gateway, connect, worker, broker ...")
    except (GaveUp, BrokerFailed) as error:
        sys.stderr.write(f"zuruf up: {error}\n")
        return error.status if isinstance(error, GaveUp) and error.status > 0 else 1
    return 0


async def until(stop: asyncio.Event, *works: Any) -> None:
    """Wait until told to stop, or until one of the works ends; what it raises is raised."""
    tasks: Sequence[asyncio.Future[Any]] = [asyncio.ensure_future(one) for one in (stop.wait(), *works)]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    for task in done:
        task.result()


def announce(standing: Standing) -> None:
    """Print the addresses and process numbers as one line of JSON."""
    names = ("gateway", "desk", "board", "connect", "health", "pids")
    facts = {"ready": "up", "broker": standing.settings.broker}
    processes.announce(facts | {name: getattr(standing, name) for name in names})


def block(standing: Standing) -> str:
    """Return the addresses as a block to read."""
    rows = [
        ("Desk", f"{standing.gateway}/desk", "take cases and answer them"),
        ("Board", f"{standing.gateway}/board", "see whether promises are kept"),
        ("Chat", f"{standing.connect}/chat", "write to a brand as a customer"),
        ("Webhooks", f"{standing.connect}/webhook/TENANT/ACCOUNT", "posts in, signed"),
        ("Kafka", ", ".join(standing.settings.broker), "posts in by any client, topic posts"),
        ("Health", ", ".join(standing.health), "of the workers; /metrics here and at all others"),
    ]
    lines = [f"  {name:<9} {address:<44} {what}" for name, address, what in rows]
    return "\n".join(["", "Zuruf is up.", "", *lines, "", "Ctrl-C ends it; what was taken in stays.", ""])
