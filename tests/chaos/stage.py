"""A stage for one scenario: a broker of its own, workers as processes of their own, and the referee."""

import asyncio
import itertools
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Final

from agents.app import changelogs
from streams.admin import ensure_topics
from streams.broker import Broker
from tests.chaos.referee import Referee
from tests.chaos.worker import READY
from tests.chaos.world import PARTITIONS

ROOT: Final = Path(__file__).parents[2]
READY_WITHIN_S: Final = 60.0
END_WITHIN_S: Final = 20.0


class Process:
    """One worker."""

    def __init__(self, name: str, folder: Path, bootstrap: str, *flags: str) -> None:
        self.name = name
        self.log = folder / f"{name}.log"
        arguments = ["--broker", bootstrap, "--data", str(folder / name), *flags]
        with self.log.open("ab") as out:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.chaos.worker", *arguments], cwd=ROOT, stdout=out, stderr=out
            )

    @property
    def code(self) -> int | None:
        """Exit code; None while it runs."""
        return self._process.poll()

    def signal(self, number: signal.Signals) -> None:
        if self.code is None:
            self._process.send_signal(number)

    async def ready(self) -> None:
        """Wait until it holds its partitions and has read their rows."""
        until = time.monotonic() + READY_WITHIN_S
        while READY not in self.log.read_text(errors="replace"):
            if self.code is not None or time.monotonic() > until:
                raise AssertionError(f"worker {self.name} is not ready (exit code {self.code}): see {self.log}")
            await asyncio.sleep(0.05)

    async def ended(self, within_s: float = END_WITHIN_S) -> int | None:
        """Wait for its end; return its exit code, or None if it did not end."""
        with suppress(subprocess.TimeoutExpired):
            await asyncio.to_thread(self._process.wait, within_s)
        return self.code

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()


class Stage:
    """What a scenario plays on."""

    def __init__(self, folder: Path, bootstrap: str, seed: int, *flags: str) -> None:
        self.folder = folder
        self.bootstrap = bootstrap
        self.referee = Referee(bootstrap, seed)
        self.workers: list[Process] = []
        """Those that ought to run, oldest first."""
        self.notes: list[str] = []
        """Violations that are seen on the way."""
        self.events: list[str] = []
        self._flags = flags
        self._numbers = itertools.count(1)
        self._all: list[Process] = []
        self._began = time.monotonic()

    def say(self, what: str) -> None:
        """Note what was done and when."""
        self.events.append(f"{time.monotonic() - self._began:6.1f} s  {what}")
        print(f"  {self.events[-1]}", flush=True)

    def join(self, *flags: str, name: str = "") -> Process:
        """Start a worker with a data folder of its own, or with that of ``name``."""
        name = name or f"w{next(self._numbers)}"
        worker = Process(name, self.folder, self.bootstrap, *self._flags, *flags)
        self.workers.append(worker)
        self._all.append(worker)
        self.say(f"{name} starts")
        return worker

    async def leave(self, worker: Process, how: signal.Signals) -> None:
        """End a worker; a clean end must be clean and soon."""
        self.workers.remove(worker)
        worker.signal(how)
        code = await worker.ended()
        self.say(f"{worker.name} has ended by {how.name} with {code}")
        if how == signal.SIGTERM and code != 0:
            self.notes.append(f"{worker.name} ended by SIGTERM with {code}, not 0; see {worker.log}")
        if code is None:
            worker.kill()

    def check_alive(self) -> None:
        """A worker that ended by itself is a violation, and is started again as a keeper of processes would."""
        for worker in [one for one in self.workers if one.code is not None]:
            self.notes.append(f"{worker.name} ended by itself with {worker.code}; see {worker.log}")
            self.workers.remove(worker)
            self.join(name=worker.name)

    async def over(self, wait_s: float) -> None:
        """Let a while pass, with an eye on the workers."""
        until = time.monotonic() + wait_s
        while time.monotonic() < until:
            self.check_alive()
            await asyncio.sleep(min(0.2, max(0.0, until - time.monotonic())))

    async def finish(self, settle_s: float) -> None:
        """Let everything settle, then stop the workers cleanly."""
        settling = asyncio.create_task(self.referee.settle(settle_s))
        while not settling.done():
            self.check_alive()
            await asyncio.wait([settling], timeout=0.2)
        if settling.result():
            self.notes.append(f"hang: {settling.result()}")
        self.say(f"settled: {settling.result() or 'all'}")
        for worker in list(self.workers):
            await self.leave(worker, signal.SIGTERM)

    def kill_all(self) -> None:
        for worker in self._all:
            worker.kill()


def _start_broker(folder: Path) -> Broker:
    folder.mkdir(parents=True, exist_ok=True)
    broker = Broker(folder / "broker", progress=lambda _text: None)
    broker.start()
    return broker


@asynccontextmanager
async def stage(folder: Path, seed: int, *flags: str) -> AsyncIterator[Stage]:
    """Set a stage up in an empty folder, and clear it whatever happened."""
    broker = await asyncio.to_thread(_start_broker, folder)
    try:
        await ensure_topics([broker.bootstrap], {}, PARTITIONS, changelogs(PARTITIONS))
        set_up = Stage(folder, broker.bootstrap, seed, *flags)
        await set_up.referee.start()
        try:
            yield set_up
        finally:
            set_up.kill_all()
            await set_up.referee.close()
    finally:
        await asyncio.to_thread(broker.stop)


@asynccontextmanager
async def flowing(set_up: Stage, rate: int) -> AsyncIterator[None]:
    """Let posts flow while the block runs."""
    stop = asyncio.Event()
    sending: asyncio.Task[Any] = asyncio.create_task(set_up.referee.send_posts(rate, stop))
    try:
        yield
    finally:
        stop.set()
        await sending
