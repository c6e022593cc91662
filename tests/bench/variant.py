"""
One variant in a process of its own: ``python -m tests.bench.variant NAME PREFIX POSTS COUNT BOOTSTRAP FOLDER``.

Prints JSON: CPU time of this process (all threads, user and system) from its first record to its last, a post. It reads
``COUNT`` posts from the topic ``POSTS``; all others are topics of this run alone, so their names get a prefix before anything
else is imported.
"""

import sys

from streams import topics

NAME, PREFIX, POSTS, BOOTSTRAP, FOLDER = sys.argv[1], sys.argv[2], int(sys.argv[4]), sys.argv[5], sys.argv[6]
topics.POSTS = topics.Topic(sys.argv[3], topics.POSTS.key, topics.POSTS.holds, 4, topics.POSTS.retention_ms)

for _name in ("WORK", "DESK_EVENTS", "ANSWERS", "CASE_EVENTS", "BOARDS", "CORRECTIONS", "DEAD_LETTERS"):
    _topic = getattr(topics, _name)
    setattr(topics, _name, topics.Topic(f"{PREFIX}-{_topic.name}", _topic.key, _topic.holds, 4, _topic.retention_ms))

# Dispatch by itself begins on an empty log, as a worker does, and gets what understand wrote once it is ready.
COPIED = topics.WORK.name
if NAME == "dispatch":
    topics.WORK = topics.Topic(f"{PREFIX}-again", topics.WORK.key, topics.WORK.holds, 4, topics.WORK.retention_ms)

import asyncio  # noqa: E402
import json  # noqa: E402
import logging  # noqa: E402
import time  # noqa: E402
from collections.abc import Sequence  # noqa: E402
from pathlib import Path  # noqa: E402
from typing import Any  # noqa: E402

import aiokafka  # noqa: E402
import uvloop  # noqa: E402
from aiokafka.partitioner import murmur2  # noqa: E402

import agents.app as app_module  # noqa: E402
from agents.understand import Understand  # noqa: E402
from agents.worker import Worker, now_ms  # noqa: E402
from models.labels import Classification, Confidence  # noqa: E402
from models.posts import Post  # noqa: E402
from models.records import DeskUp, Offered, Opened, SetPresence, Understood  # noqa: E402
from models.wire import CaseView, DeskEvent, OfferFrame  # noqa: E402
from streams import metrics  # noqa: E402
from streams.codec import Decoder, encode  # noqa: E402
from streams.settings import Settings  # noqa: E402
from tests.bench import load  # noqa: E402

PARTITIONS = 4


class Constant:
    """In place of the classifier where its cost is to be left out."""

    _labels = Classification("de", "neutral", "technical", "product", "important", True, False, Confidence())

    def classify(self, texts: Sequence[str]) -> list[Classification]:
        return [self._labels] * len(texts)


def classifier() -> Any:
    if NAME.endswith("without_model") or NAME in ("dispatch", "measure"):
        return Constant()
    from models.classifier import Classifier

    return Classifier()


# -- the engine


async def engine(steps: tuple[str, ...]) -> dict[str, Any]:
    """Run the steps over what lies in their topics, until all of it is folded."""
    app_module.APP_ID = f"zuruf-{PREFIX}-{NAME}"
    settings = Settings(tenants=load.tenants(), broker=(BOOTSTRAP,), data=Path(FOLDER) / NAME, session_s=10.0)
    partitions = dict.fromkeys((topics.POSTS.name, *(topic.name for topic in _topics())), PARTITIONS)
    app_module.TABLES = {"dispatch": topics.WORK.name, "measure": topics.CASE_EVENTS.name}
    await _make(list(app_module.changelogs(partitions)))
    if "understand" in steps:
        await _make([topic.name for topic in _topics()])
        await _seat_desks()
    if NAME == "dispatch":
        await _make([topics.WORK.name])
    settings.data.mkdir(parents=True, exist_ok=True)
    made = app_module.create_app(settings, classifier(), partitions, steps=steps)
    worker = Worker(made, ticks="dispatch" in steps)
    stop, marks = asyncio.Event(), asyncio.Event()
    running = asyncio.create_task(worker.run(ready=marks.set, stop=stop))
    while not worker.is_ready:  # noqa: ASYNC110  # the first record must not be missed
        await asyncio.sleep(0.002)
    probe = aiokafka.AIOKafkaConsumer(bootstrap_servers=BOOTSTRAP)
    await probe.start()
    copying: Any = None
    if NAME == "dispatch":
        copying = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.bench.copy", COPIED, topics.WORK.name, BOOTSTRAP
        )
    cpu, wall = time.process_time(), time.perf_counter()
    if copying is not None:
        await copying.wait()
    await _until_folded(made.app.consumer, [carrier.step.topic.name for carrier in made.carriers], probe)
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    stop.set()
    await running
    await probe.stop()
    return {"cpu": cpu, "wall": wall, "records": {step: _count(step) for step in steps}}


def _count(step: str) -> int:
    return int(metrics.RECORDS.labels(step)._value.get())


async def _until_folded(consumer: Any, sources: list[str], probe: Any) -> None:
    """
    Wait until the steps have nothing left to read, all that they made on the way included.

    Args:
        consumer: The engine's.
        sources: The steps' topics, in the order of the flow.
        probe: Asks for the topics' ends on a connection of its own: on the engine's it would wait behind a fetch.
    """
    while any(consumer.lag().values()) or not await _is_folded(consumer, sources, probe):  # noqa: ASYNC110
        await asyncio.sleep(0.02)


async def _is_folded(consumer: Any, sources: list[str], probe: Any) -> bool:
    # In the order of the flow: a step acknowledges its records once what they gave is written, so the next topic's end,
    # asked for after that, has all of it. What a fetch has told of the ends may be older.
    for source in sources:
        ends = await probe.end_offsets([tp for tp in consumer.assignment() if tp.topic == source])
        if any(consumer.done.get(f"{tp.topic}-{tp.partition}", 0) < end for tp, end in ends.items()):
            return False
    return True


def _topics() -> list[topics.Topic]:
    names = ("WORK", "DESK_EVENTS", "ANSWERS", "CASE_EVENTS", "BOARDS", "CORRECTIONS", "DEAD_LETTERS")
    return [getattr(topics, name) for name in names]


async def _make(names: list[str]) -> None:
    await load.create(BOOTSTRAP, names)


async def _seat_desks() -> None:
    """Desks that are there before the first post: every case is offered at once."""
    producer = aiokafka.AIOKafkaProducer(bootstrap_servers=BOOTSTRAP)
    await producer.start()
    for tenant in load.tenants():
        for rep in tenant.reps:
            up = DeskUp(now_ms(), tenant.id, rep.id, rep.id, "bench")
            here = SetPresence(now_ms(), tenant.id, rep.id, rep.id, f"{rep.id}-here", "available")
            for record in (up, here):
                await producer.send_and_wait(topics.WORK.name, encode(record), key=tenant.id.encode())
    await producer.stop()


# -- the hand-written loop


async def loop() -> dict[str, Any]:
    """Decode, brand watch, classify, encode, send to the same topics; no rows, no order of cases, no promise."""
    await _make([topic.name for topic in _topics()])
    step = Understand(load.tenants(), classifier())
    decode = Decoder[Post](Post, "post").decode
    consumer = aiokafka.AIOKafkaConsumer(
        topics.POSTS.name,
        bootstrap_servers=BOOTSTRAP,
        group_id=f"loop-{PREFIX}",
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        check_crcs=False,
    )
    producer = aiokafka.AIOKafkaProducer(bootstrap_servers=BOOTSTRAP, enable_idempotence=True, max_batch_size=512 << 10)
    await producer.start()
    await consumer.start()
    sender = _Sender(producer)
    seen, cpu, wall = 0, 0.0, 0.0
    while seen < POSTS:
        fetched = await consumer.getmany(timeout_ms=500, max_records=500)
        if not seen and fetched:
            cpu, wall = time.process_time(), time.perf_counter()
        for tp, run in fetched.items():
            await _carry_run(run, tp.partition, step, decode, sender)
            seen += len(run)
        await sender.flush()
        await consumer.commit()
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    await consumer.stop()
    await producer.stop()
    return {"cpu": cpu, "wall": wall, "records": {"posts": seen}}


async def _carry_run(run: list[Any], partition: int, step: Understand, decode: Any, sender: "_Sender") -> None:
    from streams.carry import Part, Record

    records = [Record(raw.offset, raw.timestamp, decode(raw.value), raw) for raw in run]
    for out in step.fold(records, Part(partition, None, "")):
        work: Understood = out.value
        await sender.add(topics.WORK.name, out.key, work)
        case_id = f"c{work.src[0]}-{work.src[1]}"
        await sender.add(topics.CASE_EVENTS.name, out.key, _opened(work, case_id))
        await sender.add(
            topics.CASE_EVENTS.name,
            out.key,
            Offered(work.at, work.src, work.tenant, work.brand_id, case_id, "rep-0", f"{case_id}.1", 1),
        )
        await sender.add(topics.DESK_EVENTS.name, out.key, _offer(work, case_id))


def _opened(work: Understood, case_id: str) -> Opened:
    return Opened(
        at=work.at,
        src=work.src,
        tenant=work.tenant,
        brand_id=work.brand_id,
        case_id=case_id,
        post_id=work.post.id,
        platform=work.post.platform,
        addressed=work.addressed,
        received_at=work.post.received_at,
        due_at=work.at,
        triage=work.triage,
        labels=work.labels,
        influence=work.influence,
    )


def _offer(work: Understood, case_id: str) -> DeskEvent:
    from models.cases import Entry

    entry = Entry(id=work.post.id, at=work.at, by="customer", text=work.post.text, uri=work.post.object_uri)
    case = CaseView(
        case_id=case_id,
        brand_id=work.brand_id,
        platform=work.post.platform,
        state="offered",
        version=2,
        triage=work.triage,
        addressed=work.addressed,
        labels=work.labels,
        influence=work.influence,
        author=work.post.author,
        received_at=work.at,
        due_at=work.at,
        thread=(entry,),
        offer=f"{case_id}.1",
        expires_at=work.at,
    )
    return DeskEvent(tenant=work.tenant, rep_id="rep-0", epoch=1, seq=1, frame=OfferFrame(1, 1, work.at, case))


class _Sender:
    """Batches by topic and partition, as the carrying loop has them."""

    def __init__(self, producer: Any) -> None:
        self._producer = producer
        self._batches: dict[tuple[str, int], Any] = {}
        self._sent: list[Any] = []
        self._keys: dict[bytes, int] = {}

    async def add(self, topic: str, key: bytes, value: Any) -> None:
        partition = self._keys.get(key)
        if partition is None:
            partition = self._keys[key] = (murmur2(key) & 0x7FFFFFFF) % PARTITIONS
        where, raw = (topic, partition), encode(value)
        batch = self._batches.get(where) or self._batches.setdefault(where, self._producer.create_batch())
        if batch.append(key=key, value=raw, timestamp=None) is None:
            self._sent.append(await self._producer.send_batch(batch, topic, partition=partition))
            batch = self._batches[where] = self._producer.create_batch()
            batch.append(key=key, value=raw, timestamp=None)

    async def flush(self) -> None:
        for (topic, partition), batch in self._batches.items():
            self._sent.append(await self._producer.send_batch(batch, topic, partition=partition))
        await asyncio.gather(*self._sent)
        self._batches, self._sent = {}, []


async def main() -> None:
    logging.basicConfig(level=logging.WARNING)
    if NAME.startswith("loop"):
        seen = await loop()
    elif NAME.startswith("pipeline"):
        seen = await engine(("understand", "dispatch", "measure"))
    else:
        seen = await engine((NAME,))
    detail = f"{seen['wall']:.1f} s wall, {seen['records']}"
    print(json.dumps({"cpu_us_per_post": round(seen["cpu"] / POSTS * 1e6, 1), "detail": detail}), flush=True)


if __name__ == "__main__":
    uvloop.run(main())
