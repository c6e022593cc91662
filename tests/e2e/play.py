"""One run: everything up, desks and callback in place, the plan sent, two processes killed, the end awaited and judged."""

import asyncio
import base64
import contextlib
import os
import re
import secrets
import signal
import time
from collections.abc import AsyncIterator, Callable
from functools import partial
from pathlib import Path
from typing import Any, Final

from aiohttp import ClientSession
from msgspec import Struct, field

from agents import up
from agents.demo.show import CONFIGURATION
from models.labels import LANGUAGES
from streams.gateway.auth import issue
from streams.settings import Settings, load
from streams.topics import EMBEDDED_PARTITIONS
from tests.e2e.callback import Callback, listening
from tests.e2e.desks import Desk, Effects
from tests.e2e.journal import Journal
from tests.e2e.judge import Evidence, Verdict, judge
from tests.e2e.posts import ACCOUNT, BRIDGE, Plan
from tests.e2e.sender import Sender

DESKS: Final = 8
"""Of each tenant."""
CAPACITY: Final = 12
SEATED_S: Final = 20.0
SENT_S: Final = 600.0
SETTLE_S: Final = 90.0
QUIET_S: Final = 3.0
KILLS: Final = ((1 / 3, "connect"), (2 / 3, "gateway"))
"""Share of the plan that is sent, and who is killed then."""
_DROPPED = re.compile(r"^zuruf_posts_dropped_total\{[^}]*\} (\S+)", re.MULTILINE)

SKILLS: Final = "\n".join(f'"lang:{language}" = 5' for language in LANGUAGES)
"""All languages well: no desk waits until the demonstration's widening lets it have a case."""
REPS: Final = """
[[tenant.rep]]
id = "desk-{number}"
name = "Desk {number}"
capacity = {capacity}

[tenant.rep.skills]
{skills}
"""
EXTRA: Final = """
[[tenant.account]]
id = "{account}"
connector = "webhook"
callback = "{callback}/{tenant}/{account}"
secret_env = "ZURUF_REFEREE_SECRET"

[[tenant.account]]"""


class Result(Struct):
    """What a run leaves."""

    verdict: Verdict
    evidence: Evidence
    killed: list[str] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)


async def play(
    plan: Plan, folder: Path, *, rate: float, kills: bool = True, say: Callable[[str], None] = print
) -> Result:
    """
    Play a plan and judge it.

    Args:
        plan: What is sent.
        folder: For configuration, broker and tables.
        rate: Posts a second.
        kills: Whether connect and gateway are killed on the way.
        say: Told what happens.
    """
    keys = {account: "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode() for account in (ACCOUNT, BRIDGE)}
    began = time.monotonic()
    async with listening(keys) as callback, ClientSession() as session:
        settings = _configure(folder, callback.address)
        environment = {"ZURUF_REFEREE_SECRET": keys[ACCOUNT], "ZURUF_DEMO_SECRET": keys[BRIDGE]}
        async with up.running(up.Plan(settings, log_level="warning", environment=environment, say=say)) as house:
            run = _Run(house, callback, session, keys, plan, rate)
            run.seconds["up"] = round(time.monotonic() - began, 1)
            return await run.play(kills=kills, say=say)


def _configure(folder: Path, callback: str) -> Settings:
    """Write the demonstration's brands with the referee's account and desks; load it without this machine's variables."""
    text = CONFIGURATION.read_text(encoding="utf-8")
    reps = "".join(REPS.format(number=number, capacity=CAPACITY, skills=SKILLS) for number in range(DESKS))
    for tenant in re.findall(r'^\[\[tenant\]\]\s+id = "(\w+)"', text, re.MULTILINE):
        start = text.index("[[tenant.account]]", text.index(f'id = "{tenant}"'))
        extra = EXTRA.format(account=ACCOUNT, callback=callback, tenant=tenant)
        text = text[:start] + reps + extra + text[start + len("[[tenant.account]]") :]
    text = re.sub(r"http://127\.0\.0\.1:9119/answers/(\w+)", rf"{callback}/\1/{BRIDGE}", text)
    file = folder.absolute() / "zuruf.toml"
    file.write_text(text, encoding="utf-8")
    secret = secrets.token_urlsafe(48)
    return load(file, {"ZURUF_DATA": str(folder.absolute() / "data"), "ZURUF_SECRET": secret})


class _Run:
    """Everything that stands while a plan is played."""

    def __init__(
        self, house: up.House, callback: Callback, session: ClientSession, keys: dict[str, str], plan: Plan, rate: float
    ) -> None:
        self._house, self._callback, self._session = house, callback, session
        self._standing = standing = house.standing()
        self._plan, self._effects = plan, Effects()
        self._journal = Journal(",".join(standing.settings.broker), EMBEDDED_PARTITIONS)
        known = {account: base64.b64decode(key.removeprefix("whsec_")) for account, key in keys.items()}
        self._sender = Sender(session, standing.connect, known, plan.calls, rate)
        self._killed: list[str] = []
        self.seconds: dict[str, float] = {}

    async def play(self, *, kills: bool, say: Callable[[str], None]) -> Result:
        async with self._company():
            await self._until(self._seated, SEATED_S)
            began = time.monotonic()
            say(f"{len(self._plan.calls)} calls with {self._plan.size} posts go out")
            async with asyncio.TaskGroup() as group:
                if kills:
                    group.create_task(self._kill(say))
                await up.until(asyncio.Event(), self._house.fall(), self._sender.run())
            self.seconds["sent"] = round(time.monotonic() - began, 1)
            say("all is sent; waiting for the end of it")
            await self._until(self._is_over, SETTLE_S)
            self.seconds["over"] = round(time.monotonic() - began, 1)
            # What comes too much comes late.
            await asyncio.sleep(QUIET_S)
            evidence = await self._evidence()
        return Result(judge(evidence), evidence, self._killed, self.seconds)

    @contextlib.asynccontextmanager
    async def _company(self) -> AsyncIterator[None]:
        """Reader and desks, while the rest goes on."""
        tasks = [asyncio.create_task(self._journal.run())]
        tasks += [asyncio.create_task(desk.run()) for desk in self._desks()]
        try:
            yield
            # A desk or the reader that failed must not look like silence.
            for task in tasks:
                if task.done():
                    task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def _desks(self) -> list[Desk]:
        settings = self._standing.settings
        return [
            Desk(
                self._standing.desk,
                tenant.id,
                rep.id,
                partial(_token, settings.secret.reveal(), tenant.id, rep.id),
                self._effects,
            )
            for tenant in settings.tenants
            for rep in tenant.reps
            if rep.id.startswith("desk-")
        ]

    async def _seated(self) -> bool:
        return self._effects.connections >= DESKS * len(self._standing.settings.tenants)

    async def _is_over(self) -> bool:
        return not judge(await self._evidence()).violations

    async def _until(self, done: Callable[[], Any], wait_s: float, every_s: float = 0.5) -> None:
        """Wait until something holds, or the time is over: then the judgement says what is missing."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(wait_s):
                while True:
                    if await done():
                        return
                    await asyncio.sleep(every_s)

    async def _evidence(self) -> Evidence:
        return Evidence(
            outcomes=self._sender.outcomes,
            records=self._journal.records,
            effects=self._effects,
            arrivals=self._callback.arrivals,
            dropped=await self._dropped(),
            shaken=self._callback.shaken,
            were_killed=bool(self._killed),
        )

    async def _dropped(self) -> int:
        total = 0.0
        for address in self._standing.health:
            async with self._session.get(f"{address}/metrics") as answer:
                total += sum(map(float, _DROPPED.findall(await answer.text())))
        return int(total)

    async def _kill(self, say: Callable[[str], None]) -> None:
        """Kill who is due, each once, and see that another took the place."""
        for share, name in KILLS:
            await self._until(partial(self._is_sent, share), SENT_S, every_s=0.01)
            pid = self._house.standing().pids[name]
            os.kill(pid, signal.SIGKILL)
            self._killed.append(name)
            say(f"{name} was killed after {share:.0%} of the calls")
            await self._until(partial(self._has_changed, name, pid), 30)

    async def _is_sent(self, share: float) -> bool:
        return self._sender.progress >= share

    async def _has_changed(self, name: str, pid: int) -> bool:
        return self._house.standing().pids[name] != pid


def _token(secret: str, tenant: str, rep_id: str) -> str:
    return issue(secret, tenant=tenant, subject=rep_id, role="rep", now=time.time_ns() // 1_000_000)
