"""
The referee: writes posts, plays desks and outbox, and keeps what it needs to judge; it lives outside the pipeline.

Desks act on what a gateway would show them: offers are taken, questions answered, a refused reply is sent again with the
version that holds. A command is written with ``acks=all`` and a new epoch makes every desk look at its snapshot again, so
nothing rests on a frame that was lost with a worker.
"""

import asyncio
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Coroutine
from typing import Any, Final

import msgspec
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from models.records import (
    Accept,
    Answer,
    CaseEvent,
    Counted,
    DeskUp,
    GatewayBeat,
    Joined,
    Opened,
    Published,
    Reply,
    Sending,
    SetPresence,
)
from models.wire import CaseFrame, CaseView, DeskEvent, Message, OfferFrame, Publish, Result, Revoke, Snapshot
from streams.codec import encode
from tests.chaos.judge import Evidence, Gateway, Raw
from tests.chaos.world import IDLE_TENANT, PARTITIONS, REPS, TENANTS, Sent, posts

GATEWAY: Final = "referee"
BEAT_EVERY_S: Final = 2.0
ANSWER_AFTER_S: Final = 0.1
OUTBOX_S: Final = 0.05

_case_event = msgspec.json.Decoder(CaseEvent).decode
_desk_event = msgspec.json.Decoder(DeskEvent).decode
_answer = msgspec.json.Decoder(Answer).decode


def now_ms() -> int:
    return time.time_ns() // 1_000_000


class Referee:
    """Everything that is not the engine."""

    def __init__(self, bootstrap: str, seed: int) -> None:
        self._bootstrap = bootstrap
        self._posts = posts(seed)
        self.sent: dict[str, Sent] = {}
        self.accounted: set[str] = set()
        self.flows: list[tuple[int, int]] = []
        """Unix ms of the first and the last post of each stretch in which posts flowed."""
        self.desks = Desks(self.tell)
        self.outbox = Outbox(self.tell)
        self._tasks: list[asyncio.Task[None]] = []
        self._producer: Any = None

    async def start(self) -> None:
        """Open the desks; what they do lies in ``work`` before the first worker is there."""
        self._producer = AIOKafkaProducer(bootstrap_servers=self._bootstrap, acks="all", enable_idempotence=True)
        await self._producer.start()
        await self.desks.open()
        for topic, take in (
            ("desk-events", self.desks.take),
            ("answers", self.outbox.take),
            ("case-events", self._note),
        ):
            self._tasks.append(asyncio.create_task(self._follow(topic, take)))
        self._tasks.append(asyncio.create_task(self.desks.beat()))

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        done = await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.desks.close()
        await self._producer.stop()
        for outcome in done:
            if isinstance(outcome, Exception):
                raise outcome

    async def tell(self, record: Any) -> None:
        """Write a command or result to ``work``."""
        await self._producer.send_and_wait("work", encode(record), key=record.tenant.encode())

    async def send_posts(self, rate: int, stop: asyncio.Event) -> None:
        """Send posts at ``rate`` a second until ``stop`` is set; all are acknowledged on return."""
        began, count = time.monotonic(), 0
        first_ms = now_ms()
        futures = []
        while not stop.is_set():
            due = int((time.monotonic() - began) * rate)
            for post in (next(self._posts) for _ in range(due - count)):
                self.sent[post.post_id] = post
                futures.append(await self._producer.send("posts", post.value, key=post.key))
            count = max(count, due)
            await asyncio.sleep(0.02)
        self.flows.append((first_ms, now_ms()))
        for future in futures:
            await future

    async def _follow(self, topic: str, take: Callable[[int, bytes], None]) -> None:
        consumer = AIOKafkaConsumer(bootstrap_servers=self._bootstrap, auto_offset_reset="earliest")
        await consumer.start()
        try:
            consumer.assign([TopicPartition(topic, number) for number in range(PARTITIONS[topic])])
            async for record in consumer:
                take(record.partition, record.value)
        finally:
            await consumer.stop()

    def _note(self, _partition: int, value: bytes) -> None:
        event = _case_event(value)
        if isinstance(event, Opened | Joined | Counted):
            self.accounted.add(event.post_id)

    def open_ends(self) -> dict[str, int]:
        """Return what is not settled yet: zeros say that the run is over."""
        good = {one.post_id for one in self.sent.values() if one.kind != "x"}
        return {
            "posts": len(good - self.accounted),
            "commands": len(self.desks.pending),
            "cases": self.desks.unfinished(),
            "answers": len(self.outbox.under_way),
        }

    async def settle(self, within_s: float) -> str:
        """Wait until nothing is open for two seconds; return "" or what still was after ``within_s``."""
        until, quiet_at = time.monotonic() + within_s, 0.0
        while time.monotonic() < until:
            ends = self.open_ends()
            now = time.monotonic()
            quiet_at = (quiet_at or now) if not any(ends.values()) else 0.0
            if quiet_at and now - quiet_at > 2:
                return ""
            await asyncio.sleep(0.1)
        return f"not settled after {within_s:.0f} s: {self.open_ends()}"

    async def evidence(self) -> Evidence:
        """Read every topic from its beginning to its end."""
        names = ["case-events", "desk-events", "answers", "dead-letters", "boards", "work"]
        names += ["zuruf-dispatch-changelog", "zuruf-measure-changelog"]
        return Evidence(
            sent=self.sent,
            refused=frozenset(self.desks.refused),
            topics={name: await read_all(self._bootstrap, name) for name in names},
            flows=tuple(self.flows),
            calls=dict(self.outbox.calls),
        )


async def read_all(bootstrap: str, topic: str) -> list[Raw]:
    """Return every record of a topic, each partition in its order."""
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, auto_offset_reset="earliest", check_crcs=False)
    await consumer.start()
    try:
        parts = [TopicPartition(topic, number) for number in range(PARTITIONS.get(topic, PARTITIONS["work"]))]
        consumer.assign(parts)
        ends = await consumer.end_offsets(parts)
        await consumer.seek_to_beginning(*parts)
        found: list[Raw] = []
        while [part for part in parts if await consumer.position(part) < ends[part]]:
            for records in (await consumer.getmany(timeout_ms=500, max_records=20_000)).values():
                found += [Raw(one.partition, one.offset, one.timestamp, one.key, one.value) for one in records]
        return found
    finally:
        await consumer.stop()


class Desks:
    """All reps at their desks."""

    def __init__(self, tell: Callable[[Any], Coroutine[Any, Any, None]]) -> None:
        self._tell = tell
        self._gateway = Gateway()
        self.views: dict[str, tuple[str, str, CaseView]] = {}
        """Case -> tenant, rep, and what the desk shows of it."""
        self.pending: dict[str, str] = {}
        """Command -> case, of those without a result."""
        self._told: dict[str, Any] = {}
        """Pending commands as they were written: a desk that never heard its result sends them again."""
        self.refused: set[str] = set()
        self._attempts: Counter[str] = Counter()
        self._doing: set[asyncio.Task[None]] = set()
        self._partition_of: dict[str, int] = {}

    async def open(self) -> None:
        """Every rep says hello and is available."""
        for tenant, rep in self._reps():
            await self._tell(DeskUp(at=now_ms(), tenant=tenant, rep_id=rep, connection=f"{rep}-c", gateway=GATEWAY))
            hello = SetPresence(
                at=now_ms(), tenant=tenant, rep_id=rep, connection=f"{rep}-c", id=f"hello-{rep}", state="available"
            )
            await self._tell(hello)

    @staticmethod
    def _reps() -> list[tuple[str, str]]:
        return [(tenant, f"{tenant}-r{n}") for tenant in TENANTS if tenant != IDLE_TENANT for n in range(REPS)]

    async def beat(self) -> None:
        """The gateway lives."""
        while True:
            for tenant in TENANTS:
                await self._tell(GatewayBeat(at=now_ms(), tenant=tenant, gateway=GATEWAY))
            await asyncio.sleep(BEAT_EVERY_S)

    async def close(self) -> None:
        for task in self._doing:
            task.cancel()
        await asyncio.gather(*self._doing, return_exceptions=True)

    def unfinished(self) -> int:
        """Return how many cases desks hold that still want something done."""
        return sum(_todo(view) != "" or view.state == "answered" for _, _, view in self.views.values())

    def take(self, partition: int, value: bytes) -> None:
        """Show a desk one event."""
        event = _desk_event(value)
        epoch = self._gateway.epochs.get(partition)
        if not self._gateway.take(partition, event):
            return
        if event.epoch != epoch:  # What the new epoch's snapshots do not list is withdrawn.
            self.views = {case: one for case, one in self.views.items() if self._partition_of[case] != partition}
            self._tell_again(partition)
        self._show(partition, event)

    def _tell_again(self, partition: int) -> None:
        for command_id, record in self._told.items():
            if self._partition_of[self.pending[command_id]] == partition:
                self._later(self._tell(record))

    def _later(self, doing: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(doing)
        self._doing.add(task)
        task.add_done_callback(self._doing.discard)

    def _show(self, partition: int, event: DeskEvent) -> None:
        match event.frame:
            case Snapshot(cases=cases):
                listed = {view.case_id for view in cases}
                for case_id in [one for one, (_, rep, _) in self.views.items() if rep == event.rep_id]:
                    if case_id not in listed and self._partition_of[case_id] == partition:
                        del self.views[case_id]
                for view in cases:
                    self._have(partition, event, view)
            case OfferFrame(case=view) | CaseFrame(case=view):
                self._have(partition, event, view)
            case Revoke(case_id=case_id):
                self.views.pop(case_id, None)
            case Message() | Publish() as frame:
                self._change(partition, event, frame)
            case Result() as result:
                self._result(event, result)

    def _have(self, partition: int, event: DeskEvent, view: CaseView) -> None:
        self.views[view.case_id] = (event.tenant, event.rep_id, view)
        self._partition_of[view.case_id] = partition
        self._do(event.tenant, event.rep_id, view)

    def _change(self, partition: int, event: DeskEvent, frame: Message | Publish) -> None:
        held = self.views.get(frame.case_id)
        if held is None or held[1] != event.rep_id:
            return
        thread = held[2].thread
        state = held[2].state
        if isinstance(frame, Message):
            thread = (*thread, frame.entry)
        else:
            state = frame.state
            thread = tuple(
                msgspec.structs.replace(one, status=frame.status) if one.id == frame.answer_id else one
                for one in thread
            )
        if state in ("closed", "awaiting_customer", "queued"):
            del self.views[frame.case_id]
            return
        self._have(
            partition, event, msgspec.structs.replace(held[2], state=state, version=frame.version, thread=thread)
        )

    def _result(self, event: DeskEvent, result: Result) -> None:
        case_id = self.pending.pop(result.re, None)
        self._told.pop(result.re, None)
        if result.ok or case_id is None:
            return
        self.refused.add(result.re)
        self._attempts[result.re.rsplit("-", 1)[0]] += 1
        # A result that was stored says no more than that it was refused: the desk looks at what it shows itself.
        told = result.error.case if result.error is not None else None
        shown = self.views.get(case_id)
        if shown is not None and shown[1] == event.rep_id:
            newest = told if told is not None and told.version > shown[2].version else shown[2]
            self._have(self._partition_of[case_id], event, newest)

    def _do(self, tenant: str, rep: str, view: CaseView) -> None:
        """Do what a rep would do about a case, a moment later."""
        todo = _todo(view)
        if not todo:
            return
        answers = sum(one.by == "rep" and one.status == "sent" for one in view.thread)
        aim = f"accept-{view.offer}" if todo == "accept" else f"answer-{view.case_id}-{answers}"
        command_id = f"{aim}-{self._attempts[aim]}"
        if command_id not in self.pending:
            self.pending[command_id] = view.case_id
            self._later(self._act(command_id, tenant, rep, view))

    async def _act(self, command_id: str, tenant: str, rep: str, view: CaseView) -> None:
        await asyncio.sleep(ANSWER_AFTER_S)
        held = self.views.get(view.case_id)
        who: dict[str, str] = {
            "tenant": tenant,
            "rep_id": rep,
            "connection": f"{rep}-c",
            "id": command_id,
            "case_id": view.case_id,
        }
        if held is None or held[1] != rep or _todo(held[2]) != _todo(view) or held[2].offer != view.offer:
            self.pending.pop(command_id, None)  # Withdrawn before anybody clicked.
            return
        shown = held[2]
        record: Accept | Reply
        if shown.offer:
            record = Accept(at=now_ms(), offer=shown.offer, version=shown.version, **who)
        else:
            close = not shown.thread[0].id.startswith("w")
            record = Reply(at=now_ms(), version=shown.version, text="Done.", close=close, **who)
        self._told[command_id] = record
        await self._tell(record)


def _todo(view: CaseView) -> str:
    """Return what a rep does next about a case: accept, reply or nothing."""
    if view.state == "offered":
        return "accept"
    if view.state == "working" and view.thread and not view.thread[0].id.startswith("k"):
        return "reply"
    return ""


class Outbox:
    """Publishes answers: one call an id, whatever comes again."""

    def __init__(self, tell: Callable[[Any], Coroutine[Any, Any, None]]) -> None:
        self._tell = tell
        self.calls: defaultdict[str, int] = defaultdict(int)
        self.under_way: set[str] = set()
        self._doing: set[asyncio.Task[None]] = set()

    def take(self, _partition: int, value: bytes) -> None:
        """Publish an answer, unless it was."""
        answer = _answer(value)
        if answer.answer_id in self.calls or answer.answer_id in self.under_way:
            return
        self.under_way.add(answer.answer_id)
        task = asyncio.create_task(self._publish(answer))
        self._doing.add(task)
        task.add_done_callback(self._doing.discard)

    async def _publish(self, answer: Answer) -> None:
        where: dict[str, Any] = {
            "tenant": answer.tenant,
            "case_id": answer.case_id,
            "answer_id": answer.answer_id,
        }
        await self._tell(Sending(at=now_ms(), **where))
        await asyncio.sleep(OUTBOX_S)
        self.calls[answer.answer_id] += 1
        await self._tell(Published(at=now_ms(), status="sent", **where))
        self.under_way.discard(answer.answer_id)
