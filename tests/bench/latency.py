"""
``python -m tests.bench.latency [--rates 20,200,1000] [--seconds 20] [--json]``: post received to the desk's frame.

Everything runs as a user has it: embedded broker, one worker, one gateway. Posts go straight into the topic ``posts``, stamped
``received_at`` when they are sent; desks are websocket clients that take and close each case at once. Counted are cases that
found a free rep, from ``received_at`` to the arrival of the offer's frame; the worker's CPU is the share of one core. Cases that the
second reader has opened wait for it, and those of an earlier rate for desks that have gone: neither counts.
"""

import argparse
import asyncio
import json
import logging
import os
import tempfile
import time
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import aiokafka
import msgspec
import uvloop
from msgspec.structs import replace
from websockets.asyncio.client import connect

from agents import up
from models.posts import key_of
from models.second import SECOND_READING
from models.wire import SUBPROTOCOL
from streams import topics
from streams.codec import encode
from streams.gateway.auth import issue
from streams.settings import load as load_settings
from tests.bench import load

WARM_UP_S = 4.0
SETTLE_S = 3.0
COMMANDS_A_DESK = 12  # A second: below the gateway's 20, of which each post takes three.
CLOCK_TICKS = os.sysconf("SC_CLK_TCK")


class Frame(msgspec.Struct):
    """What a desk reads of a frame."""

    type: str
    case: dict[str, Any] | None = None


class Desk:
    """A rep who takes and closes whatever is offered, at once."""

    def __init__(self, address: str, token: str, seen: list[tuple[int, float]]) -> None:
        self._address, self._token, self._seen = address, token, seen
        self.up = asyncio.Event()

    async def run(self) -> None:
        decode = msgspec.json.Decoder(Frame).decode
        async with connect(self._address, subprotocols=[SUBPROTOCOL], compression=None, proxy=None) as ws:  # type: ignore[list-item]
            await ws.send(json.dumps({"type": "hello", "v": 1, "token": self._token}))
            async for message in ws:
                now_ms = time.time() * 1000
                frame = decode(message)
                if frame.type == "snapshot":
                    await self._send(ws, "presence", state="available")
                    self.up.set()
                elif frame.type == "offer" and frame.case is not None:
                    case = frame.case
                    if SECOND_READING not in case.get("why", ()):
                        self._seen.append((case["received_at"], now_ms))
                    await self._send(
                        ws, "accept", case_id=case["case_id"], offer=case["offer"], version=case["version"]
                    )
                elif frame.type == "case" and frame.case is not None and frame.case["state"] == "working":
                    await self._send(ws, "close", case_id=frame.case["case_id"], version=frame.case["version"])

    async def _send(self, ws: Any, kind: str, **fields: Any) -> None:
        await ws.send(json.dumps({"type": kind, "id": uuid.uuid4().hex, **fields}))


def cpu_s(pid: int) -> float:
    """Return the CPU seconds of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / CLOCK_TICKS


def quantile(values: Sequence[float], q: float) -> float:
    """Return the q-quantile by nearest rank; values must be sorted."""
    return round(values[min(len(values) - 1, int(q * len(values)))], 1) if values else float("nan")


async def send_posts(bootstrap: str, rate: float, seconds: float) -> int:
    """Write posts at a steady rate, each stamped when it is sent; return how many open a case by their labels."""
    producer = aiokafka.AIOKafkaProducer(bootstrap_servers=bootstrap, linger_ms=0)
    await producer.start()
    began, number, marker = time.perf_counter(), 0, uuid.uuid4().hex[:6]
    while number < rate * seconds:
        late_s = began + number / rate - time.perf_counter()
        if late_s > 0.0005:
            await asyncio.sleep(late_s)
        post = load.post(number)
        uri = f"{marker}:{number}"
        post = replace(post, id=uri, data=replace(post.data, object_uri=uri, received_at=time.time_ns() // 1_000_000))
        await producer.send(topics.POSTS.name, encode(post), key=key_of(post.data))
        number += 1
    await producer.stop()
    return number


async def measure(house: Any, desks: int, rate: float, seconds: float) -> dict[str, Any]:
    """Return what one rate gave."""
    standing = house.standing()
    seen: list[tuple[int, float]] = []
    tenants = load.tenants()
    secret = standing.settings.secret.reveal()
    seats = []
    for number in range(desks):
        tenant = tenants[number % len(tenants)]
        token = issue(
            secret, tenant=tenant.id, subject=f"rep-{number}", role="rep", now=time.time_ns() // 1_000_000, lasts_s=3600
        )
        seats.append(Desk(standing.desk, token, seen))
    running = [asyncio.create_task(desk.run()) for desk in seats]
    await asyncio.gather(*(desk.up.wait() for desk in seats))
    await asyncio.sleep(1)
    await send_posts(standing.settings.broker[0], rate, WARM_UP_S)
    await asyncio.sleep(1)
    seen.clear()
    pids = {name: pid for name, pid in standing.pids.items() if name in ("worker-1", "gateway")}
    before = {name: cpu_s(pid) for name, pid in pids.items()}
    began, began_ms = time.perf_counter(), time.time() * 1000
    sent = await send_posts(standing.settings.broker[0], rate, seconds)
    wall = time.perf_counter() - began
    used = {name: (cpu_s(pid) - before[name]) / wall for name, pid in pids.items()}
    await asyncio.sleep(SETTLE_S)
    waits = sorted(arrived - received for received, arrived in seen if received >= began_ms)
    for task in running:
        task.cancel()
    await asyncio.gather(*running, return_exceptions=True)
    return {
        "rate": rate,
        "reached": round(sent / wall, 1),
        "desks": desks,
        "tenants": len(tenants),
        "offers": len(waits),
        "p50_ms": quantile(waits, 0.5),
        "p99_ms": quantile(waits, 0.99),
        "max_ms": quantile(waits, 1.0),
        "worker_core": round(used["worker-1"], 3),
        "gateway_core": round(used["gateway"], 3),
        "load": round(os.getloadavg()[0], 1),
    }


async def run(rates: Sequence[float], seconds: float, *, quiet: bool) -> None:
    """Measure each rate in turn."""
    with tempfile.TemporaryDirectory(prefix="zuruf-latency-") as folder:
        settings = load_settings(load.DEMO / "zuruf.toml", {"ZURUF_DATA": folder})
        secrets = {
            account.secret_env: "whsec_" + "A" * 44 for tenant in settings.tenants for account in tenant.accounts
        }
        plan = up.Plan(settings=settings, log_level="warning", environment={k: v for k, v in secrets.items() if k})
        results = []
        async with up.running(plan) as house:
            for rate in rates:
                desks = max(8, int(rate * 0.7 * 3 / COMMANDS_A_DESK) // 2 * 2)
                results.append(await measure(house, desks, rate, seconds))
                if not quiet:
                    print(results[-1], flush=True)
        print(json.dumps(results))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rates", default="20,200,1000")
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    logging.basicConfig(level=logging.WARNING)
    rates = [float(rate) for rate in options.rates.split(",")]
    uvloop.run(run(rates, options.seconds, quiet=options.json))


if __name__ == "__main__":
    main()
