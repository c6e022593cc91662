"""The gateway on the real broker, with a stand-in for dispatch that writes ``desk-events`` by hand."""

import asyncio
import functools
import json
import logging
import socket
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import TopicAlreadyExistsError
from msgspec.structs import replace
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.typing import Origin, Subprotocol

from models.brands import Brand, RepProfile, ServiceLevel, Tenant
from models.records import Accept, DeskDown, DeskUp, GatewayBeat, Resync, SetPresence
from models.records import Work as WorkRecord
from models.wire import (
    SUBPROTOCOL,
    BoardFrame,
    DeskEvent,
    DeskFrame,
    PresenceFrame,
    Result,
    Snapshot,
)
from streams import topics
from streams.broker import Broker
from streams.codec import encode
from streams.gateway.auth import Role, issue
from streams.gateway.server import Addresses, Limits, Page, run
from streams.settings import Secret, Settings

SECRET = "gateway-tests-secret-of-32-chars-or-more"
QUICK = Limits(sweep_s=0.2, beat_s=0.3)


def synchronous(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Run an async test in a loop of its own."""

    @functools.wraps(test)
    def run_it(*args: Any, **kwargs: Any) -> None:
        asyncio.run(asyncio.wait_for(test(*args, **kwargs), 120))

    return run_it


def now() -> int:
    return int(time.time() * 1000)


def a_tenant() -> Tenant:
    """A tenant of its own for each test: all of them share one broker."""
    reps = (RepProfile("anna", "Anna"), RepProfile("ben", "Ben"), RepProfile("robot", "R", simulated=True))
    brands = tuple(Brand(id=one, name=one.upper(), service_level=ServiceLevel()) for one in ("red", "blue"))
    return Tenant(id=f"t-{uuid.uuid4().hex[:10]}", name="Acme", brands=brands, reps=reps)


class House:
    """A running gateway, a stand-in for dispatch, and who connects."""

    def __init__(self, tenant: Tenant, bootstrap: str, producer: Any, addresses: Addresses) -> None:
        self.tenant = tenant
        self.bootstrap = bootstrap
        self.producer = producer
        self.addresses = addresses

    def token(self, rep: str = "anna", role: Role = "rep", **other: Any) -> str:
        return issue(SECRET, **{"tenant": self.tenant.id, "subject": rep, "role": role, "now": now(), **other})

    async def tell(self, frame: DeskFrame, *, epoch: int, seq: int = 0, to: str = "", **other: str) -> None:
        """Write one event, as dispatch would."""
        where = {"tenant": self.tenant.id, "rep_id": "anna", **other}
        event = DeskEvent(epoch=epoch, frame=frame, seq=seq, connection=to, **where)
        await self.producer.send_and_wait(topics.DESK_EVENTS.name, encode(event), key=where["tenant"].encode())

    async def tell_snapshot(self, epoch: int, seq: int = 0, *, to: str = "", **other: str) -> None:
        frame = Snapshot(epoch=epoch, seq=seq, ts=0, page=0, last=True, presence="available", cases=())
        await self.tell(frame, epoch=epoch, to=to, **other)

    async def tell_next(self, epoch: int, seq: int, **other: str) -> None:
        frame = PresenceFrame(epoch=epoch, seq=seq, ts=0, state="available")
        await self.tell(frame, epoch=epoch, seq=seq, **other)

    def socket(self, path: str = "/desk", **options: Any) -> connect:
        options = {"subprotocols": [Subprotocol(SUBPROTOCOL)], "compression": None, "ping_interval": None, **options}
        return connect(self.addresses.desk.replace("/desk", path), **options)

    async def desk(self, resume: tuple[int, int] | None = None, **who: Any) -> tuple[ClientConnection, dict[str, Any]]:
        """Connect and say hello; return the connection and its welcome."""
        ws = await self.socket()
        await say_hello(ws, self.token(**who), resume)
        return ws, await receive(ws)

    async def a_live_desk(self, epoch: int = 7, seq: int = 0, **who: Any) -> tuple[ClientConnection, str]:
        """A desk that was given its snapshot; return it and its connection's name."""
        ws, welcome = await self.desk(**who)
        await self.tell_snapshot(epoch, seq, to=welcome["connection"], rep_id=who.get("rep", "anna"))
        assert (await receive(ws))["type"] == "snapshot"
        return ws, welcome["connection"]

    async def work(self, count: int, kind: Any = object) -> list[Any]:
        """Return the first records of a kind that the gateway wrote for this tenant."""
        consumer = AIOKafkaConsumer(bootstrap_servers=self.bootstrap, group_id=None, auto_offset_reset="earliest")
        found: list[Any] = []
        await consumer.start()
        try:
            consumer.assign([TopicPartition(topics.WORK.name, one) for one in range(topics.EMBEDDED_PARTITIONS)])
            while len(found) < count:
                record = await asyncio.wait_for(consumer.getone(), 10)
                if record.key == self.tenant.id.encode():
                    value = msgspec.json.decode(record.value, type=WorkRecord)
                    found += [value] if isinstance(value, kind) else []
        finally:
            await consumer.stop()
        return found

    async def get(self, target: str, **headers: str) -> tuple[int, bytes]:
        def ask() -> tuple[int, bytes]:
            request = urllib.request.Request(self.addresses.http + target, headers=headers)
            try:
                with urllib.request.urlopen(request, timeout=5) as answer:
                    return answer.status, answer.read()
            except urllib.error.HTTPError as error:
                return error.code, error.read()

        return await asyncio.to_thread(ask)

    async def becomes_ready(self) -> bool:
        for _ in range(100):
            if (await self.get("/readyz"))[0] == 200:
                return True
            await asyncio.sleep(0.1)
        return False

    async def figure(self, name: str) -> float:
        """Return one figure of /metrics; 0 if it is not there yet."""
        _, body = await self.get("/metrics")
        lines = [line.rpartition(" ") for line in body.decode().splitlines() if line.startswith(name + " ")]
        return float(lines[0][2]) if lines else 0.0

    async def counts(self, name: str, value: float) -> bool:
        """Wait until a figure of /metrics is this one."""
        for _ in range(100):
            if await self.figure(name) == value:
                return True
            await asyncio.sleep(0.1)
        return False


async def say_hello(ws: ClientConnection, token: str, resume: tuple[int, int] | None = None, v: int = 1) -> None:
    hello: dict[str, Any] = {"type": "hello", "v": v, "token": token}
    if resume:
        hello["resume"] = {"epoch": resume[0], "seq": resume[1]}
    await ws.send(json.dumps(hello))


async def receive(ws: ClientConnection, timeout_s: float = 10.0) -> dict[str, Any]:
    """Return the next frame that is no heartbeat."""
    while True:
        frame: dict[str, Any] = json.loads(await asyncio.wait_for(ws.recv(), timeout_s))
        if frame["type"] != "hb":
            return frame


async def close_code(ws: ClientConnection) -> int:
    """Read until the server closes; return its code."""
    try:
        while True:
            await asyncio.wait_for(ws.recv(), 10)
    except ConnectionClosed as closed:
        return closed.rcvd.code if closed.rcvd else 1006


async def is_silent(ws: ClientConnection, for_s: float = 0.7) -> bool:
    try:
        await receive(ws, for_s)
    except TimeoutError:
        return True
    return False


async def make_topics(bootstrap: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        for topic in (topics.WORK, topics.DESK_EVENTS, topics.BOARDS):
            try:
                await admin.create_topics([NewTopic(topic.name, topics.EMBEDDED_PARTITIONS, 1)])
            except TopicAlreadyExistsError:
                continue
    finally:
        await admin.close()


def a_page(path: str) -> Page | None:
    return (
        Page(b"<p>desk</p>", "text/html", (("Content-Security-Policy", "default-src 'none'"),))
        if path == "/desk"
        else None
    )


@asynccontextmanager
async def a_gateway(
    bootstrap: str, tenants: tuple[Tenant, ...], limits: Limits = QUICK, **settings: Any
) -> AsyncIterator[Addresses]:
    """Run a gateway in this loop and stop it in the end."""
    started: asyncio.Future[Addresses] = asyncio.get_running_loop().create_future()
    stop = asyncio.Event()
    values = Settings(tenants=tenants, broker=(bootstrap,), secret=Secret(SECRET), **settings)
    task = asyncio.create_task(run(values, ready=started.set_result, stop=stop, pages=a_page, limits=limits))
    await asyncio.wait([started, task], return_when=asyncio.FIRST_COMPLETED)
    try:
        if task.done():
            task.result()
        yield started.result()
    finally:
        stop.set()
        await task


@asynccontextmanager
async def a_house(
    bootstrap: str, limits: Limits = QUICK, others: tuple[Tenant, ...] = (), **settings: Any
) -> AsyncIterator[House]:
    await make_topics(bootstrap)
    tenant = a_tenant()
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all")
    await producer.start()
    try:
        async with a_gateway(bootstrap, (tenant, *others), limits, **settings) as addresses:
            yield House(tenant, bootstrap, producer, addresses)
    finally:
        await producer.stop()


# -- hello and refusals


@synchronous
async def test_a_desk_is_welcomed_and_dispatch_is_told(kafka: Broker) -> None:
    async with a_house(kafka.bootstrap) as house:
        ws, welcome = await house.desk()
        up, resync = await house.work(2, (DeskUp, Resync))

        assert welcome["resumed"] is False
        assert (welcome["tenant"], welcome["subject"], welcome["role"]) == (house.tenant.id, "anna", "rep")
        assert welcome["name"] == "Anna" and welcome["brands"] == {"red": "RED", "blue": "BLUE"}
        assert abs(welcome["now"] - now()) < 5000
        assert isinstance(up, DeskUp) and (up.rep_id, up.connection) == ("anna", welcome["connection"])
        assert isinstance(resync, Resync) and resync.connection == up.connection
        await ws.close()
        (down,) = await house.work(1, DeskDown)
        assert (down.connection, down.gateway) == (up.connection, up.gateway)


@synchronous
async def test_each_refusal_has_its_code(kafka: Broker) -> None:
    other = a_tenant()
    async with a_house(kafka.bootstrap, replace(QUICK, hello_s=2.0)) as house:
        good = house.token()
        cases: list[tuple[str, dict[str, Any], str, int]] = [
            ("no subprotocol", {"subprotocols": None}, '{"type":"hello","v":1,"token":"x"}', 4406),
            ("other version", {}, json.dumps({"type": "hello", "v": 2, "token": good}), 4406),
            ("no token", {}, '{"type":"hello","v":1,"token":"x"}', 4401),
            ("expired", {}, json.dumps({"type": "hello", "v": 1, "token": house.token(now=now() - 700_000)}), 4401),
            ("unknown tenant", {}, json.dumps({"type": "hello", "v": 1, "token": house.token(tenant=other.id)}), 4403),
            ("something else first", {}, '{"type":"hb"}', 4400),
            ("no JSON", {}, "hello", 4400),
            ("nothing", {}, "", 4108),
            ("too long", {}, "x" * 65_537, 1009),
        ]
        for name, options, first, code in cases:
            ws = await house.socket(**options)
            with suppress(ConnectionClosed):  # Some are refused before they have said anything.
                await ws.send(first) if first else None
            assert await close_code(ws) == code, name
        ws = await house.socket()
        await ws.send(b"bytes")
        assert await close_code(ws) == 1003
        ws = await house.socket("/board")
        await say_hello(ws, good)
        assert await close_code(ws) == 4403, "a rep at a board"
        with pytest.raises(InvalidStatus, match="404"):
            await house.socket("/elsewhere")
        with pytest.raises(InvalidStatus, match="403"):
            await house.socket(origin=Origin("https://evil.example"))
        async with house.socket(origin=Origin(house.addresses.http)) as ws:
            await say_hello(ws, good)
            assert (await receive(ws))["type"] == "welcome"


@synchronous
async def test_a_supervisor_sits_at_a_desk_and_a_rep_who_gives_orders_is_refused(kafka: Broker) -> None:
    async with a_house(kafka.bootstrap) as house:
        order = json.dumps({"type": "sup_take", "id": "k1", "case_id": "c1"})
        for role, answered in (("supervisor", False), ("rep", True)):
            ws = await house.socket()
            await say_hello(ws, house.token(role=role))
            assert (await receive(ws))["role"] == role
            await ws.send(order)
            await ws.send('{"type":"sub","id":"k2","brands":[]}')
            refused = [await receive(ws) for _ in range(2 if answered else 1)]

            assert [one["error"]["code"] for one in refused] == ["forbidden"] * len(refused)
            assert [one["re"] for one in refused] == (["k1", ""] if answered else [""])


@synchronous
async def test_a_desk_is_closed_when_its_token_has_expired(kafka: Broker) -> None:
    limits = replace(QUICK, token_grace_s=0.0)
    async with a_house(kafka.bootstrap, limits) as house:
        ws, _ = await house.desk(lasts_s=2)

        assert await close_code(ws) == 4401


@synchronous
async def test_a_token_is_never_logged(kafka: Broker, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with a_house(kafka.bootstrap) as house:
        good, bad = house.token(), house.token(now=now() - 700_000)
        caplog.clear()
        logging.getLogger("websockets.client").setLevel(logging.WARNING)  # The test's own client shows its frames.
        for token in (good, bad):
            ws = await house.socket()
            await say_hello(ws, token)
            if token == bad:
                assert await close_code(ws) == 4401
            else:
                assert (await receive(ws))["type"] == "welcome"
            await ws.close()

    assert "hello refused: 4401" in caplog.text
    assert good not in caplog.text and bad not in caplog.text
    assert good.rpartition(".")[2] not in caplog.text


# -- commands


@synchronous
async def test_commands_become_records_of_the_tokens_rep_in_their_order(kafka: Broker) -> None:
    async with a_house(kafka.bootstrap) as house:
        ws, welcome = await house.desk()
        await ws.send(json.dumps({"type": "presence", "id": "1", "state": "available", "rep_id": "ben", "tenant": "x"}))
        await ws.send(json.dumps({"type": "accept", "id": "2", "case_id": "k", "offer": "k.1", "version": 3}))

        first, second = await house.work(2, (SetPresence, Accept))

        assert isinstance(first, SetPresence) and isinstance(second, Accept)
        assert (first.tenant, first.rep_id, first.connection) == (house.tenant.id, "anna", welcome["connection"])
        assert (second.id, second.case_id, second.version) == ("2", "k", 3)
        await house.tell(Result(re="2", ok=True), epoch=7, to=welcome["connection"])
        assert await receive(ws) == {"type": "result", "re": "2", "ok": True}


@synchronous
async def test_frames_that_make_no_sense_are_answered_and_too_many_end_the_connection(kafka: Broker) -> None:
    async with a_house(kafka.bootstrap) as house:
        ws, _ = await house.desk()
        for frame, code in [
            ('{"type":"dance","id":"1"}', "unknown_type"),
            ('{"type":"accept","id":"1"}', "bad_request"),
            ('{"type":"sub"}', "forbidden"),
            (json.dumps({"type": "hello", "v": 1, "token": "x"}), "bad_request"),
        ]:
            await ws.send(frame)
            assert (await receive(ws))["error"]["code"] == code
        for _ in range(20):
            await ws.send("{")
        assert await close_code(ws) == 4400


@synchronous
async def test_a_flood_is_refused_and_then_ended(kafka: Broker) -> None:
    async with a_house(kafka.bootstrap) as house:
        ws, _ = await house.desk()
        for number in range(200):
            await ws.send(json.dumps({"type": "hb", "id": str(number)}))
        answer = await receive(ws)

        assert answer["error"]["code"] == "rate_limited"
        assert answer["error"]["temporary"] and answer["error"]["retry_after_ms"] > 0
        assert await close_code(ws) == 4129


@synchronous
async def test_a_gateway_beats_for_tenants_with_a_desk_only(kafka: Broker) -> None:
    other = a_tenant()
    async with a_house(kafka.bootstrap, others=(other,)) as house:
        ws, _ = await house.desk()
        (up,) = await house.work(1, DeskUp)
        beats = await house.work(3, GatewayBeat)
        await ws.close()

        assert {beat.gateway for beat in beats} == {up.gateway}
        assert beats[0].at < beats[2].at
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1):
                await House(other, house.bootstrap, house.producer, house.addresses).work(1, GatewayBeat)


# -- the stream


@synchronous
async def test_a_desk_that_was_cut_resumes_without_gap_or_repeat(kafka: Broker) -> None:
    async with a_house(kafka.bootstrap) as house:
        ws, _ = await house.a_live_desk()
        for seq in (1, 2):
            await house.tell_next(7, seq)
        assert [(await receive(ws))["seq"] for _ in range(2)] == [1, 2]
        ws.transport.abort()
        for seq in (3, 4):
            await house.tell_next(7, seq)
        await asyncio.sleep(0.5)

        ws, welcome = await house.desk(resume=(7, 2))
        await house.tell_next(7, 5)

        assert welcome["resumed"] is True
        assert [(await receive(ws))["seq"] for _ in range(3)] == [3, 4, 5]


@synchronous
async def test_a_desk_resumes_at_a_gateway_that_has_just_started(kafka: Broker) -> None:
    async with a_house(kafka.bootstrap) as house:
        await house.a_live_desk()
        for seq in (1, 2, 3):
            await house.tell_next(7, seq)
        async with a_gateway(kafka.bootstrap, (house.tenant,)) as addresses:
            later = House(house.tenant, house.bootstrap, house.producer, addresses)
            ws, welcome = await later.desk(resume=(7, 1))
            assert welcome["resumed"] is True
            assert [(await receive(ws))["seq"] for _ in range(2)] == [2, 3]


@synchronous
async def test_a_desk_waits_for_its_snapshot_and_is_asked_for_again_until_it_comes(kafka: Broker) -> None:
    limits = replace(QUICK, resync_s=0.5)
    async with a_house(kafka.bootstrap, limits) as house:
        ws, welcome = await house.desk(resume=(7, 1))
        await house.tell_next(7, 1)
        await house.tell_next(7, 2)
        assert welcome["resumed"] is False
        assert await is_silent(ws)
        assert len(await house.work(2, Resync)) == 2

        await house.tell_snapshot(7, 2, to=welcome["connection"])
        await house.tell_next(7, 3)

        assert [(frame["type"], frame["seq"]) for frame in [await receive(ws), await receive(ws)]] == [
            ("snapshot", 2),
            ("presence_is", 3),
        ]


@synchronous
async def test_a_takeover_withdraws_what_its_snapshot_does_not_list_and_the_old_epoch_is_silent(kafka: Broker) -> None:
    async with a_house(kafka.bootstrap) as house:
        ws, connection = await house.a_live_desk(epoch=7)
        await house.tell_next(7, 1)
        await house.tell_snapshot(9)
        await house.tell_next(7, 2)
        await house.tell_snapshot(7, 2, to=connection)
        await house.tell(Result(re="old", ok=True), epoch=7, to=connection)
        await house.tell_next(9, 1)

        seen = [await receive(ws) for _ in range(3)]

        assert [(one["type"], one["epoch"], one["seq"]) for one in seen] == [
            ("presence_is", 7, 1),
            ("snapshot", 9, 0),
            ("presence_is", 9, 1),
        ]
        assert await is_silent(ws)
        _, welcome = await house.desk(resume=(7, 1))
        assert welcome["resumed"] is False


@synchronous
async def test_a_gap_closes_with_4000(kafka: Broker) -> None:
    async with a_house(kafka.bootstrap) as house:
        ws, _ = await house.a_live_desk()
        await house.tell_next(7, 2)

        assert await close_code(ws) == 4000


@synchronous
async def test_a_record_that_cannot_be_read_is_counted_and_passed_over(kafka: Broker) -> None:
    async with a_house(kafka.bootstrap) as house:
        ws, _ = await house.a_live_desk()
        key = house.tenant.id.encode()
        await house.producer.send_and_wait(topics.DESK_EVENTS.name, b"{", key=key)
        await house.producer.send_and_wait(topics.DESK_EVENTS.name, b'{"tenant":1}', key=key)
        await house.tell_next(7, 1)

        assert (await receive(ws))["seq"] == 1
        assert await house.figure('zuruf_gateway_bad_records_total{topic="desk-events"}') >= 2


@synchronous
async def test_another_tenant_and_another_rep_never_see_a_frame(kafka: Broker) -> None:
    other = a_tenant()
    async with a_house(kafka.bootstrap, others=(other,)) as house:
        anna, connection = await house.a_live_desk()
        ben, _ = await house.a_live_desk(rep="ben")
        foreign, welcome = await house.desk(tenant=other.id)
        await house.tell_snapshot(3, to=welcome["connection"], tenant=other.id)
        assert (await receive(foreign))["type"] == "snapshot"

        await house.tell_next(7, 1)
        await house.tell(Result(re="1", ok=True), epoch=7, to=connection)
        await house.tell(Result(re="2", ok=True), epoch=7, to=connection, tenant=other.id)

        assert [(await receive(anna))["type"] for _ in range(2)] == ["presence_is", "result"]
        assert await is_silent(ben) and await is_silent(foreign) and await is_silent(anna)


@synchronous
async def test_the_third_connection_of_a_rep_replaces_the_first(kafka: Broker) -> None:
    async with a_house(kafka.bootstrap) as house:
        first, _ = await house.desk()
        second, _ = await house.desk()
        third, _ = await house.desk()

        assert await close_code(first) == 4409
        await house.tell_snapshot(7)
        assert (await receive(second))["type"] == (await receive(third))["type"] == "snapshot"


# -- clients that do not read or do not speak


def raw_hello(addresses: Addresses, token: str) -> socket.socket:
    """A client that says hello and then reads nothing, with a small buffer of its own."""
    raw = socket.socket()
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    raw.connect((addresses.host, addresses.port))
    raw.sendall(
        f"GET /desk HTTP/1.1\r\nHost: {addresses.host}:{addresses.port}\r\nUpgrade: websocket\r\n"
        "Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
        f"Sec-WebSocket-Protocol: {SUBPROTOCOL}\r\n\r\n".encode()
    )
    hello = json.dumps({"type": "hello", "v": 1, "token": token, "resume": {"epoch": 7, "seq": 0}}).encode()
    head = bytes([0x81, 0x80 | 126]) + len(hello).to_bytes(2, "big") + bytes(4)
    while b"\r\n\r\n" not in raw.recv(1024):
        pass
    raw.sendall(head + hello)
    return raw


async def flood(house: House, rep: str, count: int, first: int = 1) -> None:
    """Write long frames for one rep, in order."""
    for seq in range(first, first + count):
        frame = PresenceFrame(epoch=7, seq=seq, ts=0, state="available")
        event = DeskEvent(tenant=house.tenant.id, rep_id=rep, epoch=7, frame=frame, seq=seq)
        padded = encode(event).replace(b'"ts":0', b'"ts":0,"pad":"' + b"x" * 8000 + b'"')
        await house.producer.send(topics.DESK_EVENTS.name, padded, key=house.tenant.id.encode())
        if seq % 8 == 0:
            await asyncio.sleep(0.005)
    await house.producer.flush()


@synchronous
async def test_a_client_that_stops_reading_is_cut_at_its_cap_and_the_other_is_served(kafka: Broker) -> None:
    async with a_house(kafka.bootstrap) as house:
        await house.tell_snapshot(7, rep_id="ben")
        anna, _ = await house.a_live_desk()  # Her snapshot lies behind his.
        stopped = await asyncio.to_thread(raw_hello, house.addresses, house.token("ben"))
        assert await house.counts('zuruf_ws_resumes_total{how="ring"}', 1)

        await flood(house, "ben", 300)
        for seq in range(1, 20):
            await house.tell_next(7, seq)

        assert [(await receive(anna))["seq"] for _ in range(19)] == list(range(1, 20))
        assert await house.figure('zuruf_ws_aborted_total{reason="buffer"}') == 1
        assert await house.figure('zuruf_ws_connections{role="rep"}') == 1
        assert len(await house.work(1, DeskDown)) == 1
        stopped.close()


@synchronous
async def test_a_client_that_stops_reading_below_its_cap_is_cut_by_the_sweep(kafka: Broker) -> None:
    limits = replace(QUICK, paused_s=1.0, buffer_bytes=64 * 1024 * 1024)
    async with a_house(kafka.bootstrap, limits) as house:
        await house.tell_snapshot(7, rep_id="ben")
        await house.a_live_desk()  # Her snapshot lies behind his.
        stopped = await asyncio.to_thread(raw_hello, house.addresses, house.token("ben"))
        assert await house.counts('zuruf_ws_resumes_total{how="ring"}', 1)

        await flood(house, "ben", 100)

        assert await house.counts('zuruf_ws_aborted_total{reason="paused"}', 1)
        stopped.close()


@synchronous
async def test_a_long_replay_is_no_sign_of_a_slow_reader(kafka: Broker) -> None:
    async with a_house(kafka.bootstrap) as house:
        await house.tell_snapshot(7)
        await flood(house, "anna", 100)
        await house.a_live_desk(rep="ben")  # His snapshot lies behind all of it.

        ws, welcome = await house.desk(resume=(7, 0))

        assert welcome["resumed"] is True
        assert [(await receive(ws))["seq"] for _ in range(100)] == list(range(1, 101))
        await house.tell_next(7, 101)
        assert (await receive(ws))["seq"] == 101


@synchronous
async def test_a_client_that_says_nothing_is_cut_and_one_that_answers_pings_is_not(kafka: Broker) -> None:
    limits = replace(QUICK, silent_s=1.5, heartbeat_s=0.5)
    async with a_house(kafka.bootstrap, limits) as house:
        silent, _ = await house.desk()
        speaking, _ = await house.desk(rep="ben")
        for _ in range(5):
            await speaking.ping()
            await asyncio.sleep(0.5)

        assert await close_code(silent) == 1006
        assert await house.figure('zuruf_ws_aborted_total{reason="silent"}') == 1
        assert json.loads(await speaking.recv())["type"] == "hb", "a quiet server says that it is there"


@synchronous
async def test_half_handshakes_beyond_the_bound_are_cut_and_a_full_gateway_says_so(kafka: Broker) -> None:
    limits = replace(QUICK, connections=2, unknown=3)
    async with a_house(kafka.bootstrap, limits) as house:
        await house.desk()
        await house.desk(rep="ben")
        with pytest.raises(InvalidStatus, match="503"):
            await house.socket()

        halves = [await asyncio.open_connection(house.addresses.host, house.addresses.port) for _ in range(8)]
        ends = [asyncio.create_task(reader.read(1)) for reader, _ in halves]
        async with asyncio.timeout(10):
            while sum(end.done() for end in ends) < 5:
                await asyncio.wait([end for end in ends if not end.done()], return_when=asyncio.FIRST_COMPLETED)
        await asyncio.wait(ends, timeout=0.3)
        assert sum(end.done() for end in ends) == 5, "five places in all, two of them taken"
        for end in ends:
            end.cancel()
        ended = await asyncio.gather(*ends, return_exceptions=True)
        assert all(one == b"" or isinstance(one, ConnectionResetError | asyncio.CancelledError) for one in ended)
        for _, writer in halves:
            writer.close()
        await asyncio.sleep(0.3)
        assert (await house.get("/healthz"))[0] == 200


# -- boards


async def tell_board(house: House, brand: str, at: int, tenant: str = "") -> None:
    frame = BoardFrame(tenant=tenant or house.tenant.id, brand_id=brand, at=at)
    await house.producer.send_and_wait(topics.BOARDS.name, encode(frame), key=f"{frame.tenant}|{brand}".encode())


@synchronous
async def test_a_board_is_shown_the_newest_frames_of_its_brands(kafka: Broker) -> None:
    other = a_tenant()
    async with a_house(kafka.bootstrap, others=(other,)) as house:
        before = await house.socket("/board")
        await say_hello(before, house.token("boss", "supervisor"))
        assert (await receive(before))["type"] == "welcome"
        await before.send('{"type":"sub"}')
        await tell_board(house, "red", 4, tenant=other.id)
        await tell_board(house, "red", 1)
        await tell_board(house, "red", 2)
        await tell_board(house, "blue", 3)
        newest: dict[str, int] = {}
        while newest != {"red": 2, "blue": 3}:
            frame = (await receive(before))["frame"]
            newest[frame["brand_id"]] = frame["at"]
        ws = await house.socket("/board")
        await say_hello(ws, house.token("chief", "supervisor", brands=("red",)))
        assert (await receive(ws))["brands"] == {"red": "RED"}

        await ws.send('{"type":"sub","brands":["blue"]}')
        assert (await receive(ws))["error"]["code"] == "forbidden"
        await ws.send('{"type":"sub"}')
        first = await receive(ws)
        await tell_board(house, "blue", 5)
        await tell_board(house, "red", 6)
        second = await receive(ws)

        assert (first["type"], first["frame"]["at"]) == ("board", 2)
        assert (second["frame"]["brand_id"], second["frame"]["at"]) == ("red", 6)
        await ws.send('{"type":"presence","id":"9","state":"away"}')
        assert (await receive(ws))["error"]["code"] == "forbidden"


# -- plain GETs


@synchronous
async def test_pages_health_and_figures_are_served(kafka: Broker) -> None:
    async with a_house(kafka.bootstrap) as house:
        assert await house.get("/desk?lang=de") == (200, b"<p>desk</p>")
        assert (await house.get("/nothing"))[0] == 404
        assert (await house.get("/healthz"))[0] == 200
        assert (await house.get("/readyz"))[0] == 200
        ws, _ = await house.a_live_desk()
        await house.tell_next(7, 1)
        assert (await receive(ws))["seq"] == 1
        assert await house.figure("zuruf_gateway_ready") == 1
        assert await house.figure("zuruf_desk_push_seconds_count") == 2
        assert await house.figure('zuruf_ws_frames_total{direction="out",type="presence_is"}') == 1
        assert await house.figure('zuruf_ws_resumes_total{how="new"}') == 1


@synchronous
async def test_seats_are_listed_and_given_on_this_machine_only(kafka: Broker) -> None:
    async with a_house(kafka.bootstrap) as house:
        tenant = house.tenant.id
        await house.desk()
        _, body = await house.get("/api/seats")
        assert {seat["rep_id"]: seat["free"] for seat in json.loads(body)} == {
            "anna": False,
            "ben": True,
            "robot": False,
        }

        assert (await house.get(f"/api/seats/{tenant}/ben/token"))[0] == 403, "a foreign page could ask"
        mark = {"X-Zuruf": "1"}
        assert (await house.get(f"/api/seats/{tenant}/ben/token", Host="desk.evil.example", **mark))[0] == 403
        assert (await house.get("/api/seats", Host="desk.evil.example"))[0] == 403
        assert (await house.get(f"/api/seats/{tenant}/robot/token", **mark))[0] == 403
        assert (await house.get(f"/api/seats/{tenant}/nobody/token", **mark))[0] == 404
        assert (await house.get("/api/seats/nowhere/ben/token", **mark))[0] == 404
        status, body = await house.get(f"/api/seats/{tenant}/ben/token", **mark)
        ws = await house.socket()
        await say_hello(ws, json.loads(body)["token"])
        assert status == 200 and (await receive(ws))["subject"] == "ben"
        status, body = await house.get(f"/api/board-token?tenant={tenant}", **mark)
        board = await house.socket("/board")
        await say_hello(board, json.loads(body)["token"])
        assert status == 200 and (await receive(board))["role"] == "supervisor"


@synchronous
async def test_no_seat_is_given_by_a_gateway_that_is_open_to_others(kafka: Broker) -> None:
    async with a_house(kafka.bootstrap, gateway_host="0.0.0.0") as house:
        assert (await house.get("/api/seats"))[0] == 404
        assert (await house.get("/api/board-token", **{"X-Zuruf": "1"}))[0] == 404
        with pytest.raises(InvalidStatus, match="403"):
            await house.socket()


# -- the end, and a broker that goes away


@synchronous
async def test_a_stop_sends_everybody_away_in_time_even_one_who_does_not_read(kafka: Broker) -> None:
    limits = replace(QUICK, buffer_bytes=64 * 1024 * 1024)
    async with a_house(kafka.bootstrap, limits) as house:
        await house.tell_snapshot(7, rep_id="ben")
        anna, _ = await house.a_live_desk()  # Her snapshot lies behind his.
        stopped = await asyncio.to_thread(raw_hello, house.addresses, house.token("ben"))
        assert await house.counts('zuruf_ws_resumes_total{how="ring"}', 1)
        await flood(house, "ben", 100)
        began = time.monotonic()
    took_s = time.monotonic() - began

    assert (await receive(anna))["type"] == "going_away"
    assert await close_code(anna) == 1012
    assert took_s < 8
    stopped.close()
    assert {down.rep_id for down in await house.work(2, DeskDown)} == {"anna", "ben"}


@pytest.mark.slow
@synchronous
async def test_desks_stay_while_the_broker_is_away_and_go_on_when_it_is_back(tmp_path: Path) -> None:
    broker = Broker(tmp_path, aot=False)
    await asyncio.to_thread(broker.start)
    limits = replace(QUICK, lease_s=1.0)
    try:
        async with a_house(broker.bootstrap, limits) as house:
            ws, welcome = await house.desk()
            connection = welcome["connection"]
            await house.work(1, Resync)  # Before that its hello is not done, and ends without a broker.
            await house.tell_snapshot(7, to=connection)
            assert (await receive(ws))["type"] == "snapshot"
            await asyncio.to_thread(broker.kill_node, 1)
            await ws.send(json.dumps({"type": "presence", "id": "1", "state": "away"}))
            refused = await receive(ws, 15)
            assert (await house.get("/readyz"))[0] == 503
            await asyncio.to_thread(broker.restart_node, 1)
            await house.tell_next(7, 1)

            assert refused["error"]["code"] == "unavailable" and refused["error"]["temporary"]
            assert (await receive(ws, 30))["seq"] == 1
            ups = await house.work(2, DeskUp)
            assert [up.connection for up in ups] == [connection, connection], "dispatch may have given it up"
            assert (await house.get("/readyz"))[0] == 200
            await ws.send(json.dumps({"type": "presence", "id": "2", "state": "away"}))
            assert (await house.work(1, SetPresence))[0].state == "away"
    finally:
        await asyncio.to_thread(broker.stop)


@pytest.mark.slow
@synchronous
async def test_a_log_that_was_begun_anew_sends_desks_away_and_shows_them_its_lower_epoch(tmp_path: Path) -> None:
    broker = Broker(tmp_path, aot=False)
    await asyncio.to_thread(broker.start)
    try:
        async with a_house(broker.bootstrap) as house:
            ws, _ = await house.a_live_desk(epoch=900)
            for seq in range(1, 50):
                await house.tell_next(900, seq)
            admin = AIOKafkaAdminClient(bootstrap_servers=broker.bootstrap)
            await admin.start()
            await admin.delete_topics([topics.DESK_EVENTS.name])
            await asyncio.sleep(2)
            await make_topics(broker.bootstrap)
            await admin.close()

            assert await close_code(ws) == 4000
            assert await house.becomes_ready()
            ws, welcome = await house.desk(resume=(900, 49))
            assert welcome["resumed"] is False
            await house.tell_snapshot(3, to=welcome["connection"])
            await house.tell_next(3, 1)
            assert [(await receive(ws))["epoch"] for _ in range(2)] == [3, 3]
    finally:
        await asyncio.to_thread(broker.stop)
