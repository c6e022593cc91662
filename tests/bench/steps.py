"""
``python -m tests.bench.steps [--rates 1,200,1000] [--seconds 20] [--deep]``: post received to the offer in ``desk-events``.

Through understand and dispatch alone: a broker, one worker and reps with endless room who never answer, so what is measured is what a
post costs, not what desks send back. Counted is from ``received_at`` to the time at which the producer stamped the offer; the worker's
CPU is the share of one core. With ``--deep`` a load runs through, and the second reader beside it is stopped and let go on in turn, four
seconds each: machines drift by more than it costs, and neighbouring turns share the drift. How far the latency moves is the mean
of the turns' differences, with its standard error.
"""

import argparse
import asyncio
import contextlib
import json
import logging
import os
import signal
import sys
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from time import perf_counter, time
from typing import Any

import aiohttp
import aiokafka
import numpy as np
import uvloop

from agents.app import changelogs, create_app
from agents.worker import Worker, now_ms
from models.classifier import Classifier
from models.deep import DeepClassifier
from models.learned import TenantHeads, TenantReader
from models.records import DeskUp, SetPresence
from models.second import SECOND_READING
from streams import topics
from streams.admin import ensure_topics, partitions_of
from streams.broker import Broker
from streams.codec import encode
from streams.second import run as run_second
from streams.settings import Settings
from tests.bench import load
from tests.bench.latency import cpu_s, quantile, send_posts

WARM_UP_S = 4.0
TURN_S = 4.0
DEEP_RATE_MIN = 20
LEFT_OUT_S = 1.0
"""Of each turn's beginning: a reader that goes on has what came meanwhile to look through first."""


async def work(bootstrap: str, folder: Path) -> None:
    """Run the worker until SIGTERM; says ready on its output."""
    partitions = partitions_of(embedded=True)
    await ensure_topics([bootstrap], {}, partitions, changelogs(partitions))
    producer = aiokafka.AIOKafkaProducer(bootstrap_servers=bootstrap)
    await producer.start()
    for tenant in load.tenants():
        for rep in tenant.reps:
            for record in (
                DeskUp(now_ms(), tenant.id, rep.id, rep.id, "g"),
                SetPresence(now_ms(), tenant.id, rep.id, rep.id, rep.id, "available"),
            ):
                await producer.send_and_wait(topics.WORK.name, encode(record), key=tenant.id.encode())
    await producer.stop()
    settings = Settings(
        tenants=load.tenants(), broker=(bootstrap,), data=folder, offer_s=3600.0, grace_s=3600.0, lease_s=300.0
    )
    worker, stop = Worker(create_app(settings, Classifier(), partitions)), asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    await worker.run(ready=lambda: print("ready", flush=True), stop=stop)


async def read_again(bootstrap: str) -> None:
    """Run the second reader until SIGTERM; says where its figures are."""
    settings, stop = Settings(tenants=load.tenants(), broker=(bootstrap,)), asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    deep = DeepClassifier()
    heads = TenantHeads(deep.card.fast)
    await run_second(
        settings, TenantReader(deep, heads), heads, ready=lambda at: print(at.health, flush=True), stop=stop
    )


@contextlib.asynccontextmanager
async def child(*arguments: str) -> AsyncIterator[tuple[int, str]]:
    """Run this module as a process of its own; yields its number and the line that it says when it is ready."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "tests.bench.steps", *arguments),
        stdout=asyncio.subprocess.PIPE,
        start_new_session=True,  # As under `zuruf up`: the kernel may weigh sessions, not processes.
    )
    assert process.stdout is not None
    try:
        yield process.pid, (await process.stdout.readline()).decode().strip()
    finally:
        process.terminate()
        await process.wait()


async def read_figures(address: str) -> dict[str, float]:
    """Return what the second reader has read and passed over."""
    names = ("zuruf_deep_read_total", "zuruf_deep_skipped_total")
    async with aiohttp.ClientSession() as session, session.get(address + "/metrics") as answer:
        lines = [line.rpartition(" ") for line in (await answer.text()).splitlines()]
    return {name: sum(float(value) for key, _, value in lines if key.startswith(name)) for name in names}


async def measure(bootstrap: str, pid: int, consumer: Any, rate: float, seconds: float) -> dict[str, Any]:
    """Return what one rate gave."""
    await send_posts(bootstrap, rate, WARM_UP_S)
    await asyncio.sleep(1)
    while await consumer.getmany(timeout_ms=300):
        pass
    before, began = cpu_s(pid), perf_counter()
    sent = await send_posts(bootstrap, rate, seconds)
    wall_s = perf_counter() - began
    core = (cpu_s(pid) - before) / wall_s
    await asyncio.sleep(1.5)
    waits = sorted(wait for _, wait in await offered(consumer))
    return {
        "rate": rate,
        "reached": round(sent / wall_s, 1),
        "offers": len(waits),
        "p50_ms": quantile(waits, 0.5),
        "p99_ms": quantile(waits, 0.99),
        "max_ms": quantile(waits, 1.0),
        "worker_core": round(core, 3),
        "load": round(os.getloadavg()[0], 1),
    }


async def offered(consumer: Any) -> list[tuple[int, int]]:
    """Return when each case was received, and the milliseconds until its offer, but of cases that the second reader has opened."""
    found = []
    while got := await consumer.getmany(timeout_ms=500):
        for record in (record for run in got.values() for record in run):
            frame = json.loads(record.value)["frame"]
            if frame["type"] == "offer" and SECOND_READING not in frame["case"].get("why", ()):
                received_ms = frame["case"]["received_at"]
                found.append((received_ms, record.timestamp - received_ms))
    return found


async def measure_beside(bootstrap: str, consumer: Any, rate: float, seconds: float) -> dict[str, Any]:
    """Return what one rate gave with the second reader stopped, and with it, in turn."""
    turns = max(2, round(seconds / TURN_S))
    began: dict[str, list[float]] = {"alone": [], "beside": []}
    async with child("--read", bootstrap) as (pid, address):
        await send_posts(bootstrap, rate, WARM_UP_S)
        await offered(consumer)
        sending = asyncio.create_task(send_posts(bootstrap, rate, 2 * turns * TURN_S + LEFT_OUT_S))
        before = await read_figures(address)
        try:
            for turn in range(turns):
                for name in sorted(began, reverse=turn % 2 == 1):
                    os.kill(pid, signal.SIGSTOP if name == "alone" else signal.SIGCONT)
                    began[name].append(time() * 1000)
                    await asyncio.sleep(TURN_S)
        finally:
            os.kill(pid, signal.SIGCONT)  # A stopped one would not end either.
        await sending
        after = await read_figures(address)
    await asyncio.sleep(1.5)
    received, waited = np.array(sorted(await offered(consumer))).T
    found: dict[str, Any] = {"rate": rate, "turns": turns, "load": round(os.getloadavg()[0], 1)}
    means = []
    for name, starts in began.items():
        places = [(received >= at + LEFT_OUT_S * 1000) & (received < at + TURN_S * 1000) for at in starts]
        means.append(np.array([waited[place].mean() for place in places]))
        waits = waited[np.any(places, axis=0)]
        found[name] = {"offers": len(waits), "mean_ms": round(float(waits.mean()), 1)} | {
            f"p{percent}_ms": round(float(np.percentile(waits, percent)), 1) for percent in (50, 90, 99)
        }
    moved = means[1] - means[0]
    error = moved.std(ddof=1) / len(moved) ** 0.5
    return found | {
        "moved_ms": round(float(moved.mean()), 2),
        "standard_error_ms": round(float(error), 2),
        **{name: after[name] - before[name] for name in after},
    }


async def run(rates: list[float], seconds: float, *, deep: bool) -> None:
    """Measure each rate in turn."""
    with tempfile.TemporaryDirectory(prefix="zuruf-steps-") as folder, Broker(Path(folder) / "broker") as broker:
        data = Path(folder) / "worker"
        data.mkdir()
        async with child("--work", broker.bootstrap, str(data)) as (pid, _):
            consumer = await offers(broker.bootstrap)
            for rate in rates:
                if deep:
                    found = await measure_beside(broker.bootstrap, consumer, rate, seconds)
                else:
                    found = await measure(broker.bootstrap, pid, consumer, rate, seconds)
                print(json.dumps(found), flush=True)
            await consumer.stop()


async def offers(bootstrap: str) -> Any:
    """Return a consumer at the end of ``desk-events``."""
    consumer = aiokafka.AIOKafkaConsumer(bootstrap_servers=bootstrap, fetch_max_wait_ms=100)
    await consumer.start()
    count = partitions_of(embedded=True)[topics.DESK_EVENTS.name]
    parts = [aiokafka.TopicPartition(topics.DESK_EVENTS.name, number) for number in range(count)]
    consumer.assign(parts)
    await consumer.seek_to_end()
    for part in parts:
        await consumer.position(part)
    return consumer


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rates", default="1,200,1000")
    parser.add_argument(
        "--seconds",
        type=float,
        default=20.0,
        help="of each rate; with --deep so many with the second reader, and as many without",
    )
    parser.add_argument("--deep", action="store_true", help="with the second reader beside it, and without, in turn")
    parser.add_argument("--work", nargs=2, metavar=("BOOTSTRAP", "FOLDER"), help="be the worker")
    parser.add_argument("--read", metavar="BOOTSTRAP", help="be the second reader")
    options = parser.parse_args()
    rates = [float(rate) for rate in options.rates.split(",")]
    if options.deep and min(rates) < DEEP_RATE_MIN:
        parser.error(f"--rates {min(rates):g}: with --deep {DEEP_RATE_MIN} at least, else a turn may have no offer")
    logging.basicConfig(level=logging.WARNING)
    if options.work:
        uvloop.run(work(options.work[0], Path(options.work[1])))
    elif options.read:
        uvloop.run(read_again(options.read))
    else:
        uvloop.run(run(rates, options.seconds, deep=options.deep))


if __name__ == "__main__":
    main()
