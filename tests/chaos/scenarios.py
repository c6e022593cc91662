"""What is done to the engine, and what is asked of it afterwards."""

import asyncio
import base64
import json
import signal
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final

from msgspec import Struct
from msgspec.structs import asdict

from streams.fence import EXIT_CODE
from streams.rows import PROGRESS_KEY
from tests.chaos.judge import Verdict, judge, newest
from tests.chaos.referee import read_all
from tests.chaos.stage import Process, Stage, flowing, stage

SETTLE_S: Final = 90.0
PAUSE_S: Final = 20.0
"""Of a stopped worker: more than six sessions."""
FENCED_WITHIN_S: Final = 3.0


class Outcome(Struct):
    """One run of one scenario."""

    name: str
    verdict: Verdict
    notes: list[str]
    took_s: float

    @property
    def violations(self) -> list[str]:
        return self.notes + self.verdict.violations

    def as_dict(self) -> dict[str, Any]:
        return {"name": self.name, "took_s": round(self.took_s, 1), "notes": self.notes, **asdict(self.verdict)}


async def play(
    name: str,
    folder: Path,
    act: Callable[[Stage], Awaitable[None]],
    *flags: str,
    seed: int = 1,
    settle_s: float = SETTLE_S,
) -> Outcome:
    """Set a stage, play a scenario on it, let everything settle, and judge."""
    began = time.monotonic()
    print(f"{name}:", flush=True)
    async with stage(folder, seed, *flags) as set_up:
        await act(set_up)
        await set_up.finish(settle_s)
        verdict = judge(await set_up.referee.evidence())
        return Outcome(name, verdict, set_up.notes, time.monotonic() - began)


def kills(times: int, rate: int) -> Callable[[Stage], Awaitable[None]]:
    """Two workers; one of them is killed and started again, over and over, now the one and now the other."""

    async def act(set_up: Stage) -> None:
        for worker in [set_up.join(), set_up.join()]:
            await worker.ready()
        async with flowing(set_up, rate):
            await set_up.over(3)
            for turn in range(times):
                victim = set_up.workers[0]
                await set_up.leave(victim, signal.SIGKILL)
                await set_up.over(2 + turn % 4)
                await set_up.join(name=victim.name).ready()
                await set_up.over(8)

    return act


def rebalances(lasts_s: float, rate: int, every_s: float = 5.0) -> Callable[[Stage], Awaitable[None]]:
    """One worker stays at least; another joins, or the oldest leaves, every few seconds, by SIGTERM and SIGKILL in turn."""

    async def act(set_up: Stage) -> None:
        await set_up.join().ready()
        hows = [signal.SIGTERM, signal.SIGKILL]
        async with flowing(set_up, rate):
            await set_up.over(2)
            for turn in range(int(lasts_s / every_s)):
                if turn % 2 == 0:
                    set_up.join()
                else:
                    await set_up.leave(set_up.workers[0], hows[turn // 2 % 2])
                await set_up.over(every_s)

    return act


def pauses(times: int, rate: int, pause_s: float = PAUSE_S) -> Callable[[Stage], Awaitable[None]]:
    """A worker stands still for longer than its session; it must end itself when it goes on, and a new one comes."""

    async def act(set_up: Stage) -> None:
        for worker in [set_up.join(), set_up.join()]:
            await worker.ready()
        async with flowing(set_up, rate):
            await set_up.over(3)
            for _ in range(times):
                sleeper = set_up.workers.pop(0)
                sleeper.signal(signal.SIGSTOP)
                set_up.say(f"{sleeper.name} stands still")
                await set_up.over(pause_s)
                sleeper.signal(signal.SIGCONT)
                await _must_be_fenced(set_up, sleeper)
                await set_up.join(name=sleeper.name).ready()
                await set_up.over(5)

    return act


async def _must_be_fenced(set_up: Stage, sleeper: Process) -> None:
    code = await sleeper.ended(FENCED_WITHIN_S)
    set_up.say(f"{sleeper.name} goes on and ends with {code}")
    if code != EXIT_CODE:
        set_up.notes.append(f"{sleeper.name} went on after its pause: exit code {code}, not {EXIT_CODE}")
        sleeper.kill()


def restart(rate: int, lasts_s: float = 10.0) -> Callable[[Stage], Awaitable[None]]:
    """
    A stop in mid-work with nothing waiting in posts and work, and a start again.

    One worker comes back to its folder, the other to an empty one; before the first tick the rows are those of the stop.
    """

    async def act(set_up: Stage) -> None:
        for worker in [set_up.join(), set_up.join()]:
            await worker.ready()
        async with flowing(set_up, rate):
            await set_up.over(lasts_s)
        if why := await set_up.referee.settle(SETTLE_S):
            set_up.notes.append(f"hang: {why}")
        for worker in list(set_up.workers):
            await set_up.leave(worker, signal.SIGTERM)
        at_stop = await _rows_of_changelogs(set_up)
        await _start_without_ticks(set_up, at_stop)
        async with flowing(set_up, rate):
            await set_up.over(3)

    return act


async def _rows_of_changelogs(set_up: Stage) -> dict[str, dict[str, bytes]]:
    """Return the rows as the changelogs have them: step and partition -> key -> value."""
    found: dict[str, dict[str, bytes]] = {}
    for step in ("dispatch", "measure"):
        for key, value in newest(await read_all(set_up.bootstrap, f"zuruf-{step}-changelog")).items():
            partition, name = key.split("/", 1)
            found.setdefault(f"{step}-{partition}", {})[name] = value
    return found


async def _start_without_ticks(set_up: Stage, at_stop: dict[str, dict[str, bytes]]) -> None:
    """Start one worker on its old folder and one on none, and compare what they hold."""
    dumps = [set_up.folder / f"rows-{name}.json" for name in ("warm", "cold")]
    warm = set_up.join("--no-ticks", "--dump", str(dumps[0]), name="w1")
    await _fresh_ready(warm, dumps[0])
    _compare(set_up, "the old folder", at_stop, dumps[0])
    await set_up.leave(warm, signal.SIGTERM)
    cold = set_up.join("--no-ticks", "--dump", str(dumps[1]))
    await _fresh_ready(cold, dumps[1])
    _compare(set_up, "an empty folder", at_stop, dumps[1])
    await set_up.leave(cold, signal.SIGTERM)
    for worker in [set_up.join(), set_up.join()]:
        await worker.ready()


async def _fresh_ready(worker: Process, dump: Path) -> None:
    until = time.monotonic() + 60
    while not _is_whole(dump):
        if time.monotonic() > until or worker.code is not None:
            raise AssertionError(f"{worker.name} did not come up (exit code {worker.code}): see {worker.log}")
        await asyncio.sleep(0.05)


def _is_whole(dump: Path) -> bool:
    return dump.exists() and dump.read_text().endswith("}")


def _compare(set_up: Stage, where: str, at_stop: dict[str, dict[str, bytes]], dump: Path) -> None:
    """Compare row by row, but for progress, which the takeover has moved already."""
    rows = {
        part: {key: base64.b64decode(value) for key, value in held.items()}
        for part, held in json.loads(dump.read_text()).items()
    }
    wrong = []
    count = 0
    for part in sorted(at_stop.keys() | rows.keys()):
        before, after = at_stop.get(part, {}), rows.get(part, {})
        for key in sorted(before.keys() | after.keys()):
            count += 1
            if key != PROGRESS_KEY.decode() and before.get(key) != after.get(key):
                wrong.append(f"{part} {key}: {before.get(key)!r:.200} became {after.get(key)!r:.200}")
    set_up.say(f"{count} rows compared after a start on {where}: {len(wrong)} differ")
    if not count or wrong:
        set_up.notes.append(f"{len(wrong)} of {count} rows differ after a start on {where}: {'; '.join(wrong[:3])}")
