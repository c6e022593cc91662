"""
A warning before a breach, and the breach, seen end to end: a post on Apache Kafka, the worker, the gateway, a rep's desk, a board.

The promises are of seconds, so that a test can wait for them: first answers within 9 s, warned of after a third; a resolution within
12 s, warned of 4 s before, whose clock stands still once the customer is awaited.
"""

import asyncio
import json
import time
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from websockets.asyncio.client import ClientConnection, connect
from websockets.typing import Subprotocol

from models.records import Published
from models.wire import SUBPROTOCOL
from streams.broker import Broker
from streams.codec import encode
from streams.gateway.auth import Role, issue
from tests.e2e.apart import Apart

PARTITIONS = 4
SECRET = "warnings-tests-secret-of-32-chars-or-more"
WAIT_S = 40.0
ANSWER_S, WARNED_S, RESOLUTION_S = 9.0, 3.0, 12.0
LATE_S = 2.5  # A tick comes every second, and a loaded machine takes its time.
TENANT = """
[[tenant]]
id = "main"
name = "Main"
[[tenant.brand]]
id = "fennkom"
name = "Fennkom"
handles = ["fennkom"]
[tenant.brand.service_level]
at_once_min = 0.15
urgent_min = 0.15
important_min = 0.15
less_min = 0.15
warn_share = 0.3334
[tenant.brand.service_level.resolution]
at_once_min = 0.2
urgent_min = 0.2
important_min = 0.2
less_min = 0.2
warn_before_min = 0.067
[tenant.brand.hours]
zone = "Europe/Berlin"
mon-sun = "00:00-24:00"
[[tenant.rep]]
id = "anna"
[engine]
offer_s = 60
"""

Frame = dict[str, Any]


class House:
    """The engine as it runs, and who speaks to it from outside."""

    def __init__(self, bootstrap: str, desk: str, board: str) -> None:
        self._producer = Producer({"bootstrap.servers": bootstrap, "partitioner": "murmur2_random"})
        self._addresses: dict[Role, str] = {"rep": desk, "supervisor": board}
        self._consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": uuid.uuid4().hex})
        self._consumer.assign([TopicPartition("case-events", n, 0) for n in range(PARTITIONS)])

    def post(self) -> str:
        """Write a complaint; return its id."""
        name = uuid.uuid4().hex
        data = {
            "tenant": "main",
            "platform": "x",
            "account_id": "elsewhere",
            "object_uri": f"urn:warned:{name}",
            "text": "@fennkom mein Internet geht seit gestern nicht, was soll ich tun?",
        }
        now = datetime.now(UTC).isoformat()
        event = {
            "specversion": "1.0",
            "id": name,
            "source": "/w",
            "type": "zuruf.post.created",
            "time": now,
            "data": data,
        }
        self._producer.produce("posts", json.dumps(event).encode(), f"main|{data['object_uri']}".encode())
        assert self._producer.flush(20) == 0
        return name

    def events(self, is_last: Callable[[Frame], bool]) -> list[Frame]:
        """Read what was told of cases until the last that is meant."""
        found: list[Frame] = []
        until = time.monotonic() + WAIT_S
        while time.monotonic() < until:
            for one in self._consumer.consume(500, 0.2):
                found.append(json.loads(one.value()))
                if is_last(found[-1]):
                    return found
        raise AssertionError(f"not within {WAIT_S:g} s; the last that came: {found[-3:]}")

    def publish(self, case_id: str, answer_id: str) -> None:
        """Tell that an answer stands at its platform, as the outbox does; accounts of nobody's have none."""
        sent = Published(time.time_ns() // 1_000_000, "main", case_id, answer_id, "sent", url="https://x/1")
        self._producer.produce("work", encode(sent), b"main")
        assert self._producer.flush(20) == 0

    async def a_case_of(self, desk: "Seat") -> Frame:
        """Let a post in whose case a rep takes; return the case as it was offered."""
        self.post()
        case: Frame = (await desk.until(lambda frame: frame["type"] == "offer"))["case"]
        await desk.say("accept", case_id=case["case_id"], version=case["version"], offer=case["offer"])
        return case

    @asynccontextmanager
    async def seat(self, role: Role) -> AsyncIterator["Seat"]:
        """Sit down at a desk, or before a board."""
        token = issue(SECRET, tenant="main", subject="anna", role=role, now=time.time_ns() // 1_000_000)
        async with connect(
            self._addresses[role], subprotocols=[Subprotocol(SUBPROTOCOL)], compression=None, proxy=None
        ) as ws:
            await ws.send(json.dumps({"type": "hello", "v": 1, "token": token}))
            yield Seat(ws)

    def close(self) -> None:
        self._consumer.close()


class Seat:
    """One connection, and all that it was shown."""

    def __init__(self, ws: ClientConnection) -> None:
        self._ws = ws
        self.seen: list[Frame] = []
        self._unasked: list[Frame] = []
        """What was seen on the way to something else: a notice may come before a command's result."""

    async def until(self, is_meant: Callable[[Frame], bool]) -> Frame:
        """Return the first frame that is meant and was not returned yet, and read on until it comes."""
        for at, known in enumerate(self._unasked):
            if is_meant(known):
                return self._unasked.pop(at)
        try:
            async with asyncio.timeout(WAIT_S):
                while True:
                    frame: Frame = json.loads(await self._ws.recv())
                    self.seen.append(frame)
                    if is_meant(frame):
                        return frame
                    self._unasked.append(frame)
        except TimeoutError:
            raise AssertionError(f"not within {WAIT_S:g} s; the last that came: {self.seen[-12:]}") from None

    async def send(self, kind: str) -> None:
        await self._ws.send(json.dumps({"type": kind}))

    async def say(self, kind: str, **fields: Any) -> Frame:
        """Give a command; return its result, which must be good."""
        number = uuid.uuid4().hex
        await self._ws.send(json.dumps({"type": kind, "id": number, **fields}))
        result = await self.until(lambda frame: frame["type"] == "result" and frame["re"] == number)
        assert result.get("error") is None, result
        return result

    def notices(self, case_id: str) -> list[tuple[str, str]]:
        return [
            (one["promise"], one["stage"]) for one in self.seen if one["type"] == "notice" and one["case_id"] == case_id
        ]


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    folder: Path = tmp_path_factory.mktemp("warnings")
    file = folder / "zuruf.toml"
    file.write_text(TENANT, encoding="utf-8")
    with Broker(folder / "broker") as broker:
        given = {
            "ZURUF_BROKER": f"kafka://{broker.bootstrap}",
            "ZURUF_DATA": str(folder / "data"),
            "ZURUF_SECRET": SECRET,
        }
        running = [Apart("worker", file, given, "--partitions", str(PARTITIONS))]
        try:
            running[0].facts()  # The worker makes the topics, which a gateway reads.
            running.append(Apart("gateway", file, given))
            facts = running[1].facts()
            found = House(broker.bootstrap, facts["desk"], facts["board"])
            yield found
            found.close()
        finally:
            statuses = {one.name: (one.end(), one.log.read_text()) for one in reversed(running)}
        assert {name: said for name, said in statuses.items() if said[0]} == {}


def near(at: int, since: int, after_s: float) -> bool:
    """Whether an instant lies as far after another as is meant, and no sooner; in ms."""
    return after_s * 1000 <= at - since <= (after_s + LATE_S) * 1000


def test_a_rep_is_warned_before_a_promise_is_broken_and_told_when_it_is(house: House) -> None:
    async def day() -> tuple[str, Seat, Seat, Frame]:
        async with house.seat("rep") as desk, house.seat("supervisor") as board:
            await desk.until(lambda frame: frame["type"] == "snapshot" and frame["last"])
            await board.send("sub")
            await desk.say("presence", state="available")
            case = await house.a_case_of(desk)
            await desk.until(lambda one: one["type"] == "notice" and one["stage"] == "warned")
            await board.until(lambda one: one["type"] == "board" and one["frame"].get("warned") == 1)
            await desk.until(lambda one: one["type"] == "notice" and one["stage"] == "breached")
            told = await board.until(lambda one: one["type"] == "board" and one["frame"].get("breached_1h", 0) >= 1)
            await desk.until(
                lambda one: one["type"] == "notice" and one["promise"] == "resolution" and one["stage"] == "breached"
            )
            return case["case_id"], desk, board, told

    case_id, desk, _, told = asyncio.run(day())

    assert desk.notices(case_id) == [
        ("first_answer", "warned"),
        ("resolution", "warned"),
        ("first_answer", "breached"),
        ("resolution", "breached"),
    ]
    assert told["frame"]["late"] >= 1
    is_last = lambda one: one["type"] == "breached" and one["promise"] == "resolution"  # noqa: E731
    events = [one for one in house.events(is_last) if one.get("case_id") == case_id]
    (opened,) = (one for one in events if one["type"] == "opened")
    warned, breached = (
        next(one for one in events if one["type"] == kind and one["promise"] == "first_answer")
        for kind in ("warned", "breached")
    )
    assert near(warned["at"], opened["received_at"], WARNED_S)
    assert near(breached["at"], opened["received_at"], ANSWER_S)
    assert warned["due_at"] == opened["due_at"] == opened["received_at"] + ANSWER_S * 1000
    assert (warned["rep_id"], breached["rep_id"]) == ("anna", "anna")


def test_who_is_answered_in_time_is_warned_of_nothing_and_the_resolution_waits_with_the_customer(house: House) -> None:
    async def day() -> tuple[str, Seat]:
        async with house.seat("rep") as desk:
            snapshot = await desk.until(lambda frame: frame["type"] == "snapshot" and frame["last"])
            if snapshot["presence"] != "available":
                await desk.say("presence", state="available")
            case = await house.a_case_of(desk)
            case_id = case["case_id"]
            result = await desk.say("reply", case_id=case_id, version=case["version"] + 1, text="Kommt sofort.")
            house.publish(case_id, result["re"])
            await desk.until(lambda one: one["type"] == "publish" and one["status"] == "sent")
            await asyncio.sleep(RESOLUTION_S + LATE_S)
            house.post()  # What comes after it shows that all before it has come.
            await desk.until(lambda frame: frame["type"] == "offer")
            return case_id, desk

    case_id, desk = asyncio.run(day())

    assert desk.notices(case_id) == []
