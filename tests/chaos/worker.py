"""One worker of the chaos suite, a process of its own: the engine as it is, with a classifier that stands in."""

import argparse
import asyncio
import base64
import json
import logging
import signal
import sys
from pathlib import Path
from typing import Any

import uvloop

from agents.app import Engine, create_app
from agents.worker import Worker
from streams.runs import partitions_of
from tests.chaos import plain
from tests.chaos.world import PARTITIONS, StandIn, settings

READY = "chaos: ready"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--broker", required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--plain", action="store_true", help="Faust's own transport")
    parser.add_argument("--no-ticks", action="store_true")
    parser.add_argument("--dump", type=Path, help="write the rows there when ready, as JSON")
    chosen = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(levelname)s %(message)s")
    logging.getLogger("aiokafka").setLevel(logging.WARNING)
    if chosen.plain:
        plain.install()
    uvloop.install()
    asyncio.run(_work(chosen))


async def _work(chosen: argparse.Namespace) -> None:
    engine = create_app(settings(chosen.broker, chosen.data), StandIn(), PARTITIONS)
    if chosen.plain:
        plain.configure(engine.app)
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)

    def ready() -> None:
        if chosen.dump is not None:
            chosen.dump.write_text(json.dumps(stored_rows(engine)))
        print(READY, file=sys.stderr, flush=True)

    await Worker(engine, ticks=not chosen.no_ticks).run(ready=ready, stop=stop)


def stored_rows(engine: Engine) -> dict[str, dict[str, str]]:
    """Return what RocksDB holds of the partitions held: ``topic-partition`` -> key -> value in base64."""
    found: dict[str, dict[str, str]] = {}
    held = engine.app.consumer.assignment()
    for carrier in engine.carriers:
        table: Any = carrier._table
        if table is None:
            continue
        for number in partitions_of(held, carrier.step.topic.name):
            database = table.data._db_for_partition(number)
            rows = {
                key.decode(): base64.b64encode(value).decode()
                for key, value in database.items()
                if key != table.data.offset_key
            }
            found[f"{carrier.step.name}-{number}"] = rows
    return found


if __name__ == "__main__":
    main()
