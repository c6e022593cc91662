"""``zuruf up --demo``: everything, with invented brands, their posts, simulated reps, and an address for the answers."""

import argparse
import asyncio
import base64
import contextlib
import os
import secrets
import shutil
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import msgspec
from aiohttp import ClientSession

from agents import processes, up
from agents.demo.callback import Receiver, receiving
from agents.demo.feeder import Feeder, read_corpus
from agents.demo.seats import Seen, SimulatedRep, simulated_reps
from agents.demo.tally import Drops, Tally, Told, read_all, tally
from models.errors import Misconfigured
from streams import broker as embedded
from streams.broker import BrokerFailed
from streams.connectors.signing import PREFIX, secret_of
from streams.settings import Settings, load

CONFIGURATION: Final = Path(__file__).with_name("zuruf.toml")
CALLBACK: Final = "http://127.0.0.1:9119"
"""What stands in the configuration; the receiver's own address takes its place."""
SECRET_VARIABLE: Final = "ZURUF_DEMO_SECRET"
SETTLE_S: Final = 20.0
QUIET_S: Final = 3.0  # Longer than a publication takes; nobody who works at it lets as much time pass.
SEATED_S: Final = 1.0  # So that the first post finds somebody.


def run(args: argparse.Namespace, started_at: float) -> int:
    """
    Run the demonstration.

    Args:
        args: Of ``zuruf up``.
        started_at: Unix seconds at which the process began.
    """
    _check(args)
    return processes.run(lambda stop: _Show(args, started_at).run(stop))


def _check(args: argparse.Namespace) -> None:
    if not 0.01 <= args.pace <= 100:
        raise Misconfigured.at("command line", "--pace", args.pace, "0.01 to 100")
    if args.for_s is not None and not 1 <= args.for_s <= 86_400:
        raise Misconfigured.at("command line", "--for", args.for_s, "1 to 86400 seconds")
    if args.json and args.for_s is None:
        raise Misconfigured("command line: --json: needs --for, as in --for 30: the tally is made at the end")


class _Show:
    """One demonstration."""

    def __init__(self, args: argparse.Namespace, started_at: float) -> None:
        self._args, self._started_at = args, started_at
        self._data = Path(os.environ.get("ZURUF_DATA") or ".zuruf") / "demo"
        self._secret = PREFIX + base64.b64encode(secrets.token_bytes(32)).decode()
        self._seen = Seen({})

    async def run(self, stop: asyncio.Event) -> int:
        try:
            self._prepare()
            await self._run(stop)
        except (up.GaveUp, BrokerFailed) as error:
            sys.stderr.write(f"zuruf up: {error}\n")
            return 1
        return 0

    def _prepare(self) -> None:
        """Begin anew, unless told to go on."""
        if not self._args.keep or self._args.fresh:
            embedded.fresh(self._data / "broker")
            if self._data.exists():
                shutil.rmtree(self._data)
        self._data.mkdir(parents=True, exist_ok=True)

    async def _run(self, stop: asyncio.Event) -> None:
        async with receiving([secret_of(self._secret)]) as receiver, ClientSession() as session:
            settings = self._configure(receiver.address)
            plan = up.Plan(
                settings,
                workers=self._args.workers,
                log_level=self._args.log,
                environment={SECRET_VARIABLE: self._secret},
                say=self._say,
            )
            async with up.running(plan) as house:
                await self._play(house, receiver, session, stop)
                self._say("Ending: gateway, connect, worker, broker ...")

    def _configure(self, callback: str) -> Settings:
        """Load the configuration with the receiver's address in it; its copy lies in the data folder."""
        text = CONFIGURATION.read_text(encoding="utf-8")
        if CALLBACK not in text:
            raise Misconfigured(f"{CONFIGURATION}: no callback {CALLBACK}, wanted as the place of the answers' address")
        copy = self._data.absolute() / "zuruf.toml"
        copy.write_text(text.replace(CALLBACK, callback), encoding="utf-8")
        return load(copy, {**os.environ, "ZURUF_DATA": str(self._data.absolute())})

    async def _play(self, house: up.House, receiver: Receiver, session: ClientSession, stop: asyncio.Event) -> None:
        standing = house.standing()
        feeder = Feeder(
            session,
            standing.connect,
            secret_of(self._secret),
            read_corpus(),
            run=f"{int(self._started_at):x}",
            pace=self._args.pace,
            remember=self._args.for_s is not None,
        )
        drops = Drops(session, standing.health)
        async with self._seated(standing, drops) as reps:
            if self._args.announce:
                up.announce(standing)
            else:
                self._print(_welcome(standing))
            await asyncio.sleep(SEATED_S)
            await up.until(stop, house.fall(), feeder.run(self._args.for_s))
            if self._args.for_s is None:
                return
            self._say(f"{feeder.count} posts are in; waiting until they are answered, {SETTLE_S:.0f} s at most ...")
            await up.until(stop, house.fall(), self._settle(reps))
            result = await self._tally(standing, feeder, receiver, drops)
        self._print(_told(result, as_json=self._args.json))

    @contextlib.asynccontextmanager
    async def _seated(self, standing: up.Standing, drops: Drops) -> AsyncIterator[list[SimulatedRep]]:
        """Have everybody at their desks, and somebody who counts."""
        reps = simulated_reps(standing.settings, standing.desk, self._seen)
        tasks = [asyncio.create_task(drops.run()), *(asyncio.create_task(rep.run()) for rep in reps)]
        try:
            yield reps
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _settle(self, reps: list[SimulatedRep]) -> None:
        """Wait until nobody has anything to do any more."""
        until = time.monotonic() + SETTLE_S
        self._seen.moved_at = time.monotonic()
        while time.monotonic() < until:
            quiet_s = time.monotonic() - self._seen.moved_at
            if quiet_s >= QUIET_S and not any(rep.busy for rep in reps):
                return
            await asyncio.sleep(0.1)

    async def _tally(self, standing: up.Standing, feeder: Feeder, receiver: Receiver, drops: Drops) -> Tally:
        await drops.read()
        told = Told(
            taken=feeder.taken,
            dropped=drops.count,
            seen=self._seen.offers,
            repeats_seen=self._seen.repeats + receiver.repeats,
            published=receiver.published,
            start_s=max(0.0, self._seen.first_at / 1000 - self._started_at),
        )
        return tally(await read_all(standing.settings, int(self._started_at * 1000)), told)

    def _print(self, text: str) -> None:
        """Show on standard output; whoever asked for JSON gets it as the last line."""
        sys.stdout.write(f"{text}\n")
        sys.stdout.flush()

    def _say(self, text: str) -> None:
        sys.stderr.write(f"zuruf: {text}\n")
        sys.stderr.flush()


def _welcome(standing: up.Standing) -> str:
    return f"""
Zuruf is up, with two invented groups of companies, twelve simulated reps and about three posts a second.

  Start     {standing.gateway}
  Desk      {standing.gateway}/desk
  Board     {standing.gateway}/board
  Chat      {standing.connect}/chat

Try this:
  1. Open the board and watch posts come in, cases wait and promises be kept.
  2. Open the desk, choose a free seat, and set yourself available.
  3. Take a case that you are offered, answer it, and watch its publication.
  4. Open the chat, write to a brand, and answer yourself at your desk.
  5. Reload the desk in the middle of a case: nothing is gone, nothing comes twice.

Posts are also taken at {standing.connect}/webhook/alster/bridge and by Kafka at {", ".join(standing.settings.broker)}.
Ctrl-C ends it.
"""


def _told(result: Tally, *, as_json: bool) -> str:
    if as_json:
        return msgspec.json.encode(result).decode()
    wait = result.post_to_desk_ms
    return (
        f"\n{result.posts_in} posts came in: {result.dropped_noise} concerned nobody, {result.cases} opened a case, "
        f"{result.joined} joined one, {result.counted_only} were counted only, {result.lost} were lost.\n"
        f"{result.offers} offers, {result.accepted} accepted, {result.answered} answered, {result.published} published, "
        f"{result.duplicates_seen} seen twice, {result.dead_letters} dead letters.\n"
        f"From the webhook to a desk: {wait.p50} ms in the middle, {wait.p99} ms for the slowest of a hundred."
    )
