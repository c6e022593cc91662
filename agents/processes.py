"""
Child processes of ours, from both ends.

A child holds a pipe from its parent as standard input and ends when that ends, so nobody is left behind when the parent is
killed, on any system. It says that it is ready by one line of JSON on standard output.
"""

import asyncio
import contextlib
import json
import logging
import os
import signal
import sys
import sysconfig
import threading
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

log = logging.getLogger("zuruf.up")

READY_S: Final = 60.0  # A worker that reads a changelog of a day needs some seconds, on a busy machine more.
END_S: Final = 12.0  # Each process settles what is under way within five seconds of its own.
LINE_BYTES_MAX: Final = 64 * 1024

Announce = Callable[[Mapping[str, Any]], None]


class ChildFailed(Exception):
    """A child ended, or was not ready in its time; the message names it and its status."""

    def __init__(self, name: str, status: int, why: str = "") -> None:
        super().__init__(why or f"{name} {ended(status)}")
        self.status = status


def ended(status: int) -> str:
    """Say in words how a process ended."""
    return f"was ended by {signal.Signals(-status).name}" if status < 0 else f"ended with status {status}"


# -- the child's end ------------------------------------------------------------------------------------------------


def announce(facts: Mapping[str, Any]) -> None:
    """Print one line of JSON for whoever started this process."""
    sys.stdout.write(json.dumps(facts) + "\n")
    sys.stdout.flush()


def hold_on(stop: Callable[[], object], end_s: float = END_S) -> None:
    """Call ``stop`` when standard input ends, and end the process if it is still there ``end_s`` later."""
    threading.Thread(target=_hold_on, args=(stop, end_s), name="zuruf-parent", daemon=True).start()


def _hold_on(stop: Callable[[], object], end_s: float) -> None:
    while os.read(0, 4096):
        pass
    with contextlib.suppress(RuntimeError):  # The loop may have ended by itself just now.
        stop()
    time.sleep(end_s)
    os._exit(1)


def new_loop() -> asyncio.AbstractEventLoop:
    """Return a loop of uvloop where there is one."""
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop()
    loop: asyncio.AbstractEventLoop = uvloop.new_event_loop()
    return loop


def run(work: Callable[[asyncio.Event], Awaitable[int]], *, held: bool = False) -> int:
    """
    Run a process until it ends or is told to by SIGINT, SIGTERM or, if ``held``, by its parent's end.

    Args:
        work: Given the event that says stop; returns the exit status.
        held: Whether standard input is a parent's pipe.
    """

    async def main() -> int:
        loop, stop = asyncio.get_running_loop(), asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, _told, stop)
        if held:
            hold_on(partial(loop.call_soon_threadsafe, stop.set))
        return await work(stop)

    with asyncio.Runner(loop_factory=new_loop) as runner:
        return runner.run(main())


def _told(stop: asyncio.Event) -> None:
    """Stop in order; whoever asks a second time does not want to wait, and our children end with our pipes."""
    if stop.is_set():
        os._exit(130)
    stop.set()


# -- the parent's end -----------------------------------------------------------------------------------------------


class Child:
    """One of our commands as a child process."""

    def __init__(self, name: str, arguments: Sequence[str], environment: Mapping[str, str]) -> None:
        """
        Describe a child; nothing is started.

        Args:
            name: As people read it, as in ``worker-1``.
            arguments: Of ``zuruf``; ``--announce --held`` are added.
            environment: Beside our own.
        """
        self.name = name
        self.environment = dict(environment)
        self.facts: Mapping[str, Any] = {}
        self._arguments = tuple(arguments)
        self._process: asyncio.subprocess.Process | None = None
        self._drain: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int:
        """Its process number; 0 if it was not started."""
        return self._process.pid if self._process is not None else 0

    async def start(self) -> Mapping[str, Any]:
        """
        Start it and return what it announces.

        Raises:
            ChildFailed: If it ended before, or was not ready within a minute.
        """
        self._process = await asyncio.create_subprocess_exec(
            *_command(self._arguments),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            env={**os.environ, **_path(), **self.environment},
            limit=LINE_BYTES_MAX,
            start_new_session=True,  # Ctrl-C goes to the parent alone, who ends all in order.
        )
        try:
            async with asyncio.timeout(READY_S):
                self.facts = await self._announced()
        except TimeoutError:
            await self.end(1.0)
            raise ChildFailed(self.name, 1, f"{self.name} was not ready within {READY_S:.0f} s") from None
        self._drain = asyncio.create_task(self._pass_over())
        return self.facts

    async def _announced(self) -> Mapping[str, Any]:
        assert self._process is not None and self._process.stdout is not None
        async for line in self._process.stdout:
            with contextlib.suppress(ValueError):
                facts = json.loads(line)
                if isinstance(facts, dict) and "ready" in facts:
                    return facts
        raise ChildFailed(self.name, await self._process.wait())

    async def _pass_over(self) -> None:
        """Read on, so that a child that says more never waits for us."""
        assert self._process is not None and self._process.stdout is not None
        while await self._process.stdout.read(LINE_BYTES_MAX):
            pass

    async def wait(self) -> int:
        """Wait until it has ended; return its status."""
        assert self._process is not None
        return await self._process.wait()

    async def end(self, deadline_s: float = END_S) -> None:
        """End it by the end of its pipe, and after the deadline by SIGKILL."""
        process = self._process
        if process is None or process.returncode is not None:
            return
        assert process.stdin is not None
        process.stdin.close()
        try:
            async with asyncio.timeout(deadline_s):
                await process.wait()
        except TimeoutError:
            log.warning("%s did not end within %g s and is killed", self.name, deadline_s)
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()


def _command(arguments: Sequence[str]) -> list[str]:
    # -P: a folder named models where the user stands must not take the place of ours.
    return [sys.executable, "-P", "-m", "agents.cli", *arguments, "--announce", "--held"]


def _path() -> dict[str, str]:
    """Return PYTHONPATH for a checkout that is not installed; site-packages must not come before the standard library."""
    root = Path(__file__).parents[1]
    if root == Path(sysconfig.get_path("purelib")):
        return {}
    before = os.environ.get("PYTHONPATH", "")
    return {"PYTHONPATH": f"{root}{os.pathsep}{before}" if before else str(root)}
