"""
The process ``zuruf replay``: a user's own history through the real topics and the real steps, in virtual time.

An embedded broker of its own, one partition a topic, and the engine in this process. Posts are written in the order of their
times, with ticks between them, so the stream's clock is theirs: a year passes as fast as it can be read, and the same file
gives the same results. What the steps write is read back from ``work``, ``case-events`` and ``dead-letters``, each post found by
the offsets that lead back to it. At the end every post has one line.
"""

import argparse
import asyncio
import gc
import logging
import os
import shutil
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import msgspec
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from msgspec import Struct
from msgspec.structs import replace

from agents.app import Engine, changelogs, create_app
from agents.floor import House
from agents.understand import Classifies
from agents.worker import Worker
from models.cases import Case
from models.errors import Misconfigured, ZurufError
from models.influence import Influence
from models.labels import CATEGORIES, SENTIMENTS, TRIAGES, Addressed, Classification, Triage
from models.posts import Post, PostData, key_of
from models.queues import ClassQueues
from models.records import DeadLetter
from models.triage import triage_of_text
from streams import broker, topics
from streams.admin import ensure_topics, partitions_of
from streams.codec import encode
from streams.connectors.replay import History, Row, read_history
from streams.settings import Secret, Settings, load

MINUTE_MS: Final = 60_000
SECOND_MS: Final = 1_000
LONG_GAP_MS: Final = 2 * 60 * MINUTE_MS
"""In longer gaps no tick comes but at their ends: a month's silence is not 43,200 ticks."""
BATCH_BYTES: Final = 256 << 10  # A quarter of what the broker takes; some 400 posts.
STALL_S: Final = 60.0  # Twice the worker's own bound: it should find its fault first, and say so better.
TELL_EVERY_S: Final = 2.0
SUMMARY_ROWS_MAX: Final = 30  # Languages or brands of a table; the rest is one line.
EXIT_FAILED: Final = 1
EXIT_MISUSED: Final = 2
EXIT_STOPPED: Final = 130
"""As shells have it for Ctrl-C."""

Say = Callable[[str], None]


class ReplayFailed(ZurufError):
    """The engine did not settle every post."""


# -- results --------------------------------------------------------------------------------------------------------


class Label(Struct, frozen=True):
    """One label's value, with the calibrated probability of it, 0..1."""

    value: str | bool
    confidence: float


class Labels(Struct, frozen=True):
    """What the classifier reads in a text."""

    language: Label
    sentiment: Label
    category: Label
    subject: Label
    triage: Label
    answer: Label
    toxic: Label


class TriageTold(Struct, frozen=True):
    """How soon a person should look."""

    text: Triage
    """By the text: labels, time words, danger words."""
    final: Triage
    """By all that dispatch knows; of a joined post, its case's then. What concerns no brand is spam to it."""


class Due(Struct, frozen=True):
    """Promises that run, Unix ms."""

    first_answer: int | None


class Result(Struct, frozen=True):
    """One line of the results: what became of one post."""

    id: str
    where: str
    """Its place in the file."""
    tenant: str
    brand: str | None
    """None: it concerns none."""
    addressed: Addressed | None
    labels: Labels | None
    """None, like what follows, of a post that went to the dead letters."""
    unsure: tuple[str, ...]
    """Names of labels that are less sure than their head's threshold."""
    triage: TriageTold | None
    why: tuple[str, ...]
    influence: Influence | None
    case: str | None
    outcome: str
    """``opened``, ``joined``, ``counted:<reason>`` or ``dead_letter:<reason>``."""
    received_at: int
    due: Due
    rank: int | None
    """Place of its case in the order of offers, from 1, if all waited at the end; None without a case."""


class Ran(Struct, frozen=True):
    """A replay that came to its end."""

    results: list[Result]
    """One a post, in the file's order."""
    took_s: float
    """From the first post's write to the last one's settling."""

    def __repr__(self) -> str:
        # asyncio.run has its task's result written out, unseen, where it takes its signal handler back.
        return f"Ran({len(self.results)} results, {self.took_s:.1f} s)"


# -- virtual time ---------------------------------------------------------------------------------------------------


class Entry(Struct, frozen=True, gc=False):
    """One record to write to ``posts``."""

    at: int
    place: int
    """Of the row in the history; -1: a tick."""
    post: Post


def schedule(rows: Sequence[Row]) -> Iterator[Entry]:
    """Yield the posts in the order of their times, equal times in the file's, with the ticks that move the stream's clock."""
    told: int | None = None
    for place in sorted(range(len(rows)), key=lambda place: rows[place].at):
        row = rows[place]
        for at in ticks_between(told, row.at):
            yield Entry(at, -1, _tick(at))
            told = at
        if told is None:
            told = row.at  # The takeover carries the first post's time.
        yield Entry(row.at, place, row.post)
    if told is not None:
        # The last post's minute ends, and its lateness with it: its window closes.
        for at in (rows[place].at + MINUTE_MS, rows[place].at + 2 * MINUTE_MS):
            yield Entry(at, -1, _tick(at))


def ticks_between(told: int | None, at: int) -> Iterator[int]:
    """
    Yield when ticks come before a post.

    Args:
        told: Of the last tick, Unix ms; None: there was none.
        at: Of the post. It gets a tick of its own if a second has passed, and every minute before gets one; in a gap
            of more than two hours only the first minute does.
    """
    if told is None or at - told < SECOND_MS:
        return
    if at - told > LONG_GAP_MS:
        yield told + MINUTE_MS
    else:
        yield from range(told + MINUTE_MS, at - SECOND_MS, MINUTE_MS)
    yield at


def _tick(at: int) -> Post:
    moment = datetime.fromtimestamp(0, UTC) + timedelta(milliseconds=at)
    data = PostData(tenant="-", platform="-", account_id="-", object_uri="-", text="")
    return Post(specversion="1.0", id=f"tick-{at}", source="replay", type="zuruf.tick", time=moment, data=data)


# -- into the stream ------------------------------------------------------------------------------------------------


class Feed:
    """Writes the schedule to ``posts``, as fast as the broker takes it or at a multiple of real time."""

    def __init__(self, rows: Sequence[Row], speed: float | None) -> None:
        self._rows = rows
        self._speed = speed
        self.places: list[int] = []
        """Of each offset of ``posts``: the row's place, or -1 for a tick."""
        self.written = 0
        """Posts that the broker has."""

    async def run(self, bootstrap: str) -> None:
        """
        Write all.

        Raises:
            ReplayFailed: If the broker puts a record where it was not meant.
        """
        producer = AIOKafkaProducer(
            bootstrap_servers=bootstrap, acks="all", enable_idempotence=True, max_batch_size=2 * BATCH_BYTES
        )
        await producer.start()
        try:
            began = time.monotonic()
            first_at = min(row.at for row in self._rows)
            left = len(self._rows)
            batch, size = producer.create_batch(), 0
            for entry in schedule(self._rows):
                # What comes after the last post closes windows, and nobody waits for that.
                wait_s = self._wait_s(entry.at - first_at, began) if left else 0.0
                value = encode(entry.post)
                if size and (size + len(value) > BATCH_BYTES or wait_s > 0):
                    await self._write(producer, batch)
                    batch, size = producer.create_batch(), 0
                if wait_s > 0:
                    await asyncio.sleep(wait_s)
                batch.append(key=key_of(entry.post.data), value=value, timestamp=None)
                size += len(value)
                self.places.append(entry.place)
                left -= entry.place >= 0
            await self._write(producer, batch)
        finally:
            await producer.stop()

    def _wait_s(self, passed_ms: int, began: float) -> float:
        """Return how long it is until a record is due; 0 without a speed."""
        return 0.0 if self._speed is None else began + passed_ms / 1000 / self._speed - time.monotonic()

    async def _write(self, producer: Any, batch: Any) -> None:
        held = batch.record_count()
        meant = len(self.places) - held
        future = await producer.send_batch(batch, topics.POSTS.name, partition=0)
        offset = (await future).offset
        if offset != meant:
            raise ReplayFailed(f"{topics.POSTS.name}: a batch was written at offset {offset}, meant was {meant}")
        self.written += sum(place >= 0 for place in self.places[meant:])


# -- out of the stream ----------------------------------------------------------------------------------------------

Src = tuple[int, int, int]


class Told(Struct, frozen=True, gc=False):
    """Of a record of ``work``, what case events do not pass on."""

    type: str
    src: Src | None = None
    triage: Triage | None = None
    why: tuple[str, ...] = ()


class Event(Struct, frozen=True, gc=False):
    """Of a record of ``case-events``, what a result needs."""

    type: str
    src: Src
    brand_id: str = ""
    case_id: str = ""
    reason: str = ""
    addressed: Addressed | None = None
    due_at: int = 0
    triage: Triage | None = None
    labels: Classification | None = None
    influence: Influence | None = None
    why: tuple[str, ...] = ()


class Settled(Struct, frozen=True, gc=False):
    """How one post ended."""

    told: Told | None
    event: Event | None
    letter: str = ""
    """Reason of its dead letter."""


_decode_told = msgspec.json.Decoder(Told).decode
_decode_event = msgspec.json.Decoder(Event).decode
_decode_letter = msgspec.json.Decoder(DeadLetter).decode
_ARRIVALS: Final = frozenset({"opened", "joined", "counted"})


class Collector:
    """
    Finds out what became of each post, from what the steps write; no I/O.

    A record of ``work`` names the offset of its post, a case event that of its record of ``work``. The topics come side by
    side, so an event may be read before the record that it stands for: it waits.
    """

    def __init__(self, places: Sequence[int]) -> None:
        """Begin; ``places`` may grow, and holds an offset before its record is written."""
        self._places = places
        self._work: dict[int, tuple[int, Told]] = {}
        self._early: dict[int, Event | str] = {}
        self.settled: dict[int, Settled] = {}
        """By the row's place."""

    def take(self, topic: str, offset: int, value: bytes) -> None:
        """Take one record of one of the three topics."""
        if topic == topics.WORK.name:
            self._told(offset, _decode_told(value))
        elif topic == topics.CASE_EVENTS.name:
            event = _decode_event(value)
            if event.type in _ARRIVALS:
                self._ended(event.src[1], event)
        else:
            self._buried(_decode_letter(value))

    def _told(self, offset: int, told: Told) -> None:
        if told.type not in ("understood", "dropped") or told.src is None:
            return
        self._work[offset] = (self._places[told.src[1]], told)
        early = self._early.pop(offset, None)
        if early is not None:
            self._ended(offset, early)

    def _ended(self, offset: int, end: Event | str) -> None:
        """Note what a record of ``work`` came to: an event, or a dead letter with its reason."""
        found = self._work.pop(offset, None)
        if found is None:
            self._early[offset] = end
            return
        place, told = found
        self.settled[place] = Settled(told, None, end) if isinstance(end, str) else Settled(told, end)

    def _buried(self, letter: DeadLetter) -> None:
        if letter.source == topics.POSTS.name:
            self.settled[self._places[letter.offset]] = Settled(None, None, letter.reason)
        elif letter.source == topics.WORK.name:
            self._ended(letter.offset, letter.reason)


async def _collect(collector: Collector, feed: Feed, total: int, bootstrap: str, say: Say) -> None:
    """Read until every post is settled."""
    consumer = AIOKafkaConsumer(
        bootstrap_servers=bootstrap, group_id=None, auto_offset_reset="earliest", check_crcs=False
    )
    await consumer.start()
    try:
        read = (topics.WORK, topics.CASE_EVENTS, topics.DEAD_LETTERS)
        consumer.assign([TopicPartition(topic.name, 0) for topic in read])
        moved_at = told_at = time.monotonic()
        while len(collector.settled) < total:
            before = len(collector.settled)
            for place, records in (await consumer.getmany(timeout_ms=200)).items():
                for record in records:
                    collector.take(place.topic, record.offset, record.value)
            now = time.monotonic()
            if len(collector.settled) > before or feed.written == before:
                moved_at = now
            elif now - moved_at > STALL_S:
                raise ReplayFailed(
                    f"nothing has moved for {STALL_S:.0f} s: {before} posts of {feed.written} written are settled"
                )
            if now - told_at >= TELL_EVERY_S:
                told_at = now
                say(f"{len(collector.settled):,} of {total:,} posts")
    finally:
        await consumer.stop()


# -- order of offers ------------------------------------------------------------------------------------------------


def ranks_of(cases: Iterable[Case], house: House, now: int) -> dict[str, int]:
    """
    Return the place of each waiting case, from 1, in the order in which free reps of its tenant would be offered them.

    Args:
        cases: Those that wait.
        house: For the tenants' orders and the weights of brands.
        now: Unix ms: the moment at which all are offered; it stands still meanwhile.
    """
    queues: dict[str, ClassQueues] = {}
    for case in cases:
        queues.setdefault(case.tenant, ClassQueues(house.order(case.tenant))).add(house.waiting(case))
    ranks: dict[str, int] = {}
    for waiting in queues.values():
        for place in range(1, len(waiting) + 1):
            found = waiting.take(now, lambda one: one)
            assert found is not None
            ranks[found[0].id] = place
    return ranks


# -- one line a post ------------------------------------------------------------------------------------------------


def result_of(row: Row, settled: Settled, ranks: Mapping[str, int]) -> Result:
    """Return a post's line."""
    event, told = settled.event, settled.told
    data = row.post.data
    labels = event.labels if event is not None else None
    triage, why = _triage(settled, data)
    return Result(
        id=row.post.id,
        where=row.where,
        tenant=data.tenant,
        brand=(event.brand_id or None) if event is not None else None,
        addressed=event.addressed if event is not None else None,
        labels=_labels(labels) if labels is not None else None,
        unsure=labels.unsure if labels is not None else (),
        triage=triage,
        why=(event.why if event is not None else ()) or (told.why if told is not None else ()) or why,
        influence=event.influence if event is not None else None,
        case=(event.case_id or None) if event is not None else None,
        outcome=_outcome(settled),
        received_at=row.at,
        due=Due(first_answer=(event.due_at or None) if event is not None else None),
        rank=ranks.get(event.case_id) if event is not None else None,
    )


def _outcome(settled: Settled) -> str:
    if settled.event is None:
        return f"dead_letter:{settled.letter}"
    return f"counted:{settled.event.reason}" if settled.event.type == "counted" else settled.event.type


def _triage(settled: Settled, data: PostData) -> tuple[TriageTold | None, tuple[str, ...]]:
    """Return both triages; of what concerns no brand the text's is read here, since the stream has no use for it."""
    event, told = settled.event, settled.told
    if event is None or event.labels is None:
        return None, ()
    if told is not None and told.triage is not None:
        return TriageTold(told.triage, event.triage or told.triage), told.why
    triage, why = triage_of_text(event.labels, data.text)
    return TriageTold(triage, event.triage or "spam"), why


def _labels(labels: Classification) -> Labels:
    sure = labels.confidence
    return Labels(
        language=Label(labels.language, sure.language),
        sentiment=Label(labels.sentiment, sure.sentiment),
        category=Label(labels.category, sure.category),
        subject=Label(labels.subject, sure.subject),
        triage=Label(labels.triage, sure.triage),
        answer=Label(labels.answer, sure.answer),
        toxic=Label(labels.toxic, sure.toxic),
    )


# -- the whole ------------------------------------------------------------------------------------------------------


async def replayed(
    history: History,
    settings: Settings,
    classifier: Classifies,
    bootstrap: str,
    *,
    folder: Path,
    speed: float | None = None,
    say: Say = lambda _text: None,
) -> Ran:
    """
    Run a history through the engine.

    Args:
        history: What was read.
        settings: Those of the configuration; broker and folder are replaced.
        classifier: Labels texts.
        bootstrap: Address of a broker without topics.
        folder: For the tables; it must be there, and empty.
        speed: Times real time; None: as fast as possible.
        say: Told of the progress.

    Raises:
        ReplayFailed: If posts stay unsettled though nothing moves.
    """
    own = _on_own_broker(settings, bootstrap, folder)
    partitions = partitions_of(embedded=True, each=1)
    await ensure_topics(own.broker, {}, partitions, changelogs(partitions))
    engine = create_app(own, classifier, partitions, replay=True)
    first_at = min(row.at for row in history.rows)
    worker = Worker(engine, ticks=False, clock=lambda: first_at)
    stop = asyncio.Event()
    ready = asyncio.Event()
    working = asyncio.create_task(worker.run(ready=ready.set, stop=stop))
    try:
        await _first(ready.wait(), working)
        began = time.monotonic()
        collector = await _through(history, bootstrap, speed, say, working)
        took_s = time.monotonic() - began
        waiting = _waiting(engine)
    finally:
        stop.set()
        await asyncio.wait([working])
    working.result()
    ranks = ranks_of(waiting, House(settings.tenants), max(row.at for row in history.rows))
    results = [result_of(row, collector.settled[place], ranks) for place, row in enumerate(history.rows)]
    return Ran(results, took_s)


def _on_own_broker(settings: Settings, bootstrap: str, folder: Path) -> Settings:
    """Return settings without what belongs to another broker."""
    return replace(
        settings,
        broker=(bootstrap,),
        broker_tls=False,
        broker_ca=None,
        broker_cert=None,
        broker_key=None,
        broker_sasl="",
        broker_user="",
        broker_password=Secret(""),
        data=folder,
    )


async def _through(
    history: History, bootstrap: str, speed: float | None, say: Say, working: "asyncio.Task[None]"
) -> Collector:
    feed = Feed(history.rows, speed)
    collector = Collector(feed.places)
    feeding = asyncio.create_task(feed.run(bootstrap))
    collecting = asyncio.create_task(_collect(collector, feed, len(history.rows), bootstrap, say))
    try:
        await _first(feeding, working, collecting)
        await _first(collecting, working)
        await feeding
    finally:
        for task in (feeding, collecting):
            task.cancel()
        await asyncio.wait([feeding, collecting])
    return collector


async def _first(wanted: Any, *others: "asyncio.Task[None]") -> None:
    """Await the first; raise if another ends before it with a fault, or the worker ends at all."""
    task = asyncio.ensure_future(wanted)
    pending = {task, *others}
    while not task.done():
        done, _ = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
        for one in done - {task}:
            one.result()
        pending -= done - {task}
    await task


def _waiting(engine: Engine) -> list[Case]:
    """Return the cases that wait, as dispatch's own floor has them."""
    part = engine.dispatch.parts.get(0) if engine.dispatch is not None else None
    return [case for case in part.index.open.values() if case.state == "queued"] if part is not None else []


def write_results(results: Iterable[Result], path: Path) -> None:
    """Write JSON lines, whole or not at all."""
    fresh = path.with_name(f"{path.name}.{os.getpid()}.new")
    try:
        with fresh.open("wb") as file:
            for result in results:
                file.write(encode(result) + b"\n")
        fresh.replace(path)
    finally:
        fresh.unlink(missing_ok=True)


# -- the summary ----------------------------------------------------------------------------------------------------


def summary(history: History, ran: Ran, all_s: float) -> str:
    """
    Return what a person reads at the end.

    Args:
        history: For what was wrong in the file.
        ran: The results.
        all_s: Seconds of the whole command, with the broker's start.
    """
    results = ran.results
    of_brands = [result for result in results if result.brand is not None]
    known = [result for result in results if result.labels is not None]
    cases = len({(result.tenant, result.case) for result in results if result.outcome == "opened"})
    letters = sum(result.outcome.startswith("dead_letter") for result in results)
    pace = f"{len(results) / ran.took_s:,.0f} posts/s" if ran.took_s > 0 else ""
    lines = [
        f"posts           {len(results):>9,}",
        f"  of a brand    {len(of_brands):>9,}",
        f"  noise         {sum(result.outcome == 'counted:noise' for result in results):>9,}",
        f"bad rows        {history.bad_count:>9,}",
        f"dead letters    {letters:>9,}",
        f"cases           {cases:>9,}",
        f"seconds         {ran.took_s:>9.1f}   {pace}; {all_s:.1f} s with starting and stopping",
    ]
    tables = [
        ("brand", _counts((f"{one.tenant}/{one.brand}" for one in of_brands), ())),
        (
            "outcome",
            _counts((one.outcome.partition(":")[0] if one.triage is None else one.outcome for one in results), ()),
        ),
        ("triage, of a brand", _counts((one.triage.final for one in of_brands if one.triage), reversed(TRIAGES))),
        ("category", _counts((one.labels.category.value for one in known if one.labels), CATEGORIES)),
        ("sentiment", _counts((one.labels.sentiment.value for one in known if one.labels), SENTIMENTS)),
        ("language", _counts((one.labels.language.value for one in known if one.labels), ())),
    ]
    for title, counts in tables:
        lines += ["", title, *_table(counts)]
    return "\n".join(lines) + "\n"


def _counts(values: Iterable[Any], order: Iterable[str]) -> list[tuple[str, int]]:
    """Return how often each value comes: in the order given, or the most frequent first where there is none."""
    counts = Counter(str(value) for value in values)
    known = [(value, counts[value]) for value in order]
    return known or sorted(counts.items(), key=lambda one: (-one[1], one[0]))


def _table(counts: Sequence[tuple[str, int]]) -> Iterator[str]:
    total = sum(number for _, number in counts) or 1
    rest = sum(number for _, number in counts[SUMMARY_ROWS_MAX:])
    shown = [*counts[:SUMMARY_ROWS_MAX], *([(f"{len(counts) - SUMMARY_ROWS_MAX} others", rest)] if rest else [])]
    for name, number in shown:
        yield f"  {name:<28} {number:>9,}  {number / total:>6.1%}"


def bad_rows(history: History) -> str:
    """Return what was wrong in the file; "" if nothing was."""
    if not history.bad_count:
        return ""
    lines = [f"{history.bad_count} rows are wrong and were left out:"]
    lines += [f"  {bad.where}: {bad.reason}" for bad in history.bad]
    if history.bad_count > len(history.bad):
        lines.append(f"  and {history.bad_count - len(history.bad)} more")
    return "\n".join(lines)


# -- the command ----------------------------------------------------------------------------------------------------


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what ``zuruf replay`` understands."""
    parser.add_argument(
        "file", metavar="FILE", type=Path, help="JSON lines or CSV: id, time, author, platform, text, ..."
    )
    parser.add_argument("--config", type=Path, default=Path("zuruf.toml"), metavar="FILE", help="default: zuruf.toml")
    parser.add_argument(
        "--out", type=Path, default=Path("results.jsonl"), metavar="FILE", help="default: results.jsonl"
    )
    parser.add_argument("--speed", type=_speed, metavar="N", help="times real time; default: as fast as possible")
    parser.add_argument("--tenant", default="", metavar="ID", help="of rows that name none")
    parser.add_argument(
        "--map", action="append", default=[], metavar="OURS=THEIRS", help="a column's name in FILE, as time=created_at"
    )
    parser.add_argument("--keep", action="store_true", help="keep the broker's data and the tables")


def _speed(text: str) -> float:
    speed = float(text)
    if not 0 < speed <= 1e9:
        raise argparse.ArgumentTypeError(f"found {text}, wanted a number above 0")
    return speed


def run(args: argparse.Namespace) -> int:
    """
    Replay a file; the results go to ``--out``, the summary to the screen, progress and complaints to stderr.

    Returns:
        0; 130 if it was stopped; 2 if file, arguments or configuration are not what was meant; 1 if broker or engine failed.
    """
    began = time.monotonic()
    try:
        settings = load(args.config, os.environ)
        _check_out(args.out, args.file)
        history = read_history(args.file, settings.tenants, columns=_columns(args.map), tenant=args.tenant)
        if complaint := bad_rows(history):
            _tell(complaint)
        classifier = _classifier()
    except Misconfigured as error:
        _tell(str(error))
        return EXIT_MISUSED
    try:
        ran = _run(history, settings, classifier, args)
        write_results(ran.results, args.out)
    except (ZurufError, broker.BrokerFailed, OSError) as error:
        _tell(str(error))
        return EXIT_FAILED
    except KeyboardInterrupt:
        _tell("stopped; there are no results")
        return EXIT_STOPPED
    sys.stdout.write(summary(history, ran, time.monotonic() - began))
    sys.stdout.write(f"\nresults: {args.out}\n")
    return 0


def _run(history: History, settings: Settings, classifier: Classifies, args: argparse.Namespace) -> Ran:
    """Start what is needed, replay, and leave nothing behind."""
    folder = settings.data / "replay"
    kafka, tables = folder / "broker", folder / "tables"
    # A fresh broker makes its groups' topic when the first asks, and aiokafka calls that an error; real faults are raised.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    broker.fresh(kafka)  # Refuses if a replay is under way there.
    shutil.rmtree(tables, ignore_errors=True)
    tables.mkdir(parents=True)
    try:
        _tell(f"{len(history.rows):,} posts; the broker starts")
        with _seldom_collected(), broker.Broker(kafka, progress=_tell) as node:
            return asyncio.run(
                replayed(history, settings, classifier, node.bootstrap, folder=tables, speed=args.speed, say=_tell)
            )
    finally:
        if not args.keep:
            shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _seldom_collected() -> Iterator[None]:
    """
    Look for cycles of garbage seldom, and not in what was read: history and cases stay to the end.

    Measured over 20,000 posts: 250 us of CPU a post as Python has it, 160 so.
    """
    before = gc.get_threshold()
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()


def _classifier() -> Classifies:
    # Imported late: ONNX takes half a second, and what is wrong with the file can be told before.
    from models.classifier import Classifier

    return Classifier()


def _columns(given: Sequence[str]) -> dict[str, str]:
    columns: dict[str, str] = {}
    for one in given:
        ours, sign, theirs = one.partition("=")
        if not sign or ours in columns:
            raise Misconfigured.at("arguments", "--map", one, "OURS=THEIRS, each of ours once")
        columns[ours.strip()] = theirs.strip()
    return columns


def _check_out(out: Path, file: Path) -> None:
    """Refuse before the work what could not be written after it, and to write over what is read."""
    parent = out.absolute().parent
    if not parent.is_dir() or not os.access(parent, os.W_OK) or out.is_dir():
        raise Misconfigured.at("arguments", "--out", str(out), "a file in a folder that is there and can be written")
    if out.exists() and file.exists() and out.samefile(file):
        raise Misconfigured.at("arguments", "--out", str(out), "another file than the one that is read")


def _tell(text: str) -> None:
    sys.stderr.write(f"replay: {text}\n")
    sys.stderr.flush()
