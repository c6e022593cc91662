"""A process of its own that runs `connect.run`: prints its address, ends when its standard input does."""

import asyncio
import os
import sys
from pathlib import Path

from streams.connectors.connect import run
from streams.settings import load


async def main(file: str) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_reader(sys.stdin.fileno(), stop.set)
    settings = load(Path(file), os.environ)
    await run(settings, ready=lambda addresses: print(addresses.http, flush=True), stop=stop, pages=None)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
