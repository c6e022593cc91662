"""
Makes the AOT cache, as a process of its own: ``python -m streams.embedded.aot``.

A throwaway broker with ``-XX:AOTCacheOutput`` is started, used a little and stopped; Java then writes the cache. Not
the first real run, because its stop would have to wait for the writing (measured: 5.1 s instead of 0.3).
This one has the lowest priority and nobody waits for it. What it brings (measured on two cores): a start takes
0.7-1.3 s and 1.0 s of CPU instead of 2.2-2.9 s and 2.0-2.7 s of CPU.
"""

import asyncio
import fcntl
import os
import shutil
import tempfile
from pathlib import Path

from streams.broker import Broker
from streams.embedded import jars, java

STOP_WAIT_S = 300.0  # Writing the cache takes 5 s of an idle core; at the lowest priority on a busy machine much more.
TOPIC, GROUP = "warm", "warm"


async def _use(bootstrap: str) -> None:
    """Do once what clients do, so that the classes and methods for it are in the cache: create, write, read, commit."""
    from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
    from aiokafka.admin import AIOKafkaAdminClient, NewTopic

    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    await admin.create_topics([NewTopic(TOPIC, 4, 1)])
    await admin.close()
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, enable_idempotence=True)
    await producer.start()
    for number in range(200):
        await producer.send_and_wait(TOPIC, b"%d" % number, key=b"%d" % number)
    await producer.stop()
    consumer = AIOKafkaConsumer(TOPIC, bootstrap_servers=bootstrap, group_id=GROUP, auto_offset_reset="earliest")
    await consumer.start()
    for _ in range(200):
        await consumer.getone()
    await consumer.commit()
    await consumer.stop()


def make(cache: Path) -> None:
    """Make the AOT cache in ``cache``, unless it is there or another process is making it."""
    paths = jars.class_path(lambda _: None, cache)
    file = java.aot_file(cache, java.java_path(), paths)
    with (cache / "aot.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return
        if file.exists():
            return
        note = file.with_suffix(".failed")
        note.write_text("begun, and killed\n", encoding="utf-8")
        try:
            _make(cache, file)
        except Exception as cause:  # Nobody listens here; the note is for who wonders why starts are slow.
            note.write_text(f"{cause}\n", encoding="utf-8")
            raise
        note.unlink()


def _make(cache: Path, file: Path) -> None:
    for left in cache.glob("aot-*"):  # Of a run that was killed.
        shutil.rmtree(left, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix="aot-", dir=cache) as folder:
        made = Path(folder) / "made.aot"
        flags = [f"-XX:AOTCacheOutput={made}"]
        with Broker(Path(folder) / "broker", aot=False, java_flags=flags, stop_wait_s=STOP_WAIT_S) as broker:
            asyncio.run(_use(broker.bootstrap))
        made.rename(file)
    java.prune(cache)


if __name__ == "__main__":
    os.nice(19)
    make(jars.cache_folder())
