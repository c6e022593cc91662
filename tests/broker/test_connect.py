"""`zuruf connect` on the real broker: posts in, answers out, and what a crash between the two leaves."""

import asyncio
import base64
import json
import os
import signal
import socket
import sys
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
import standardwebhooks
from aiohttp import ClientSession, WSMsgType, web
from aiohttp.test_utils import TestServer
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from msgspec import Struct
from msgspec.structs import replace

from dashboards.pages import load
from models.brands import Account, Brand, ServiceLevel, Tenant
from models.errors import Misconfigured
from models.posts import Post
from models.records import Answer, DeadLetter, Published, Sending, Work
from streams import topics
from streams.broker import Broker
from streams.codec import encode
from streams.connectors.connect import run
from streams.connectors.outbox import GROUP
from streams.connectors.signing import secret_of
from streams.settings import Settings

SECRET = "whsec_" + base64.b64encode(b"a secret of some length, for tests").decode()
ROOT = Path(__file__).parents[2]
USED = (topics.POSTS, topics.WORK, topics.ANSWERS, topics.DEAD_LETTERS)


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """A broker of this module's own: the outbox's group and topics have fixed names."""
    with Broker(tmp_path_factory.mktemp("connect")) as broker:
        asyncio.run(make_topics(broker.bootstrap))
        yield broker


async def make_topics(bootstrap: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(topic.name, 4, 1) for topic in USED])
    finally:
        await admin.close()


class Log:
    """What is written to the topics from now on."""

    def __init__(self, bootstrap: str) -> None:
        self.consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, enable_auto_commit=False)
        self.records: list[tuple[str, bytes, bytes]] = []

    async def start(self) -> None:
        await self.consumer.start()
        self.consumer.assign([TopicPartition(topic.name, n) for topic in USED for n in range(4)])
        await self.consumer.seek_to_end()
        for place in self.consumer.assignment():
            await self.consumer.position(place)

    async def until(self, enough: Callable[[], bool], wait_s: float = 30) -> None:
        """Read on until enough has come."""
        end = time.monotonic() + wait_s
        while not enough():
            assert time.monotonic() < end, f"not within {wait_s} s; came: {[r[2][:200] for r in self.records]}"
            batch = await self.consumer.getmany(timeout_ms=100)
            self.records += [(r.topic, r.key, r.value) for rs in batch.values() for r in rs]

    def of(self, topic: topics.Topic, kind: Any) -> list[Any]:
        return [msgspec.json.decode(value, type=kind) for name, _, value in self.records if name == topic.name]

    def work(self) -> list[Any]:
        return self.of(topics.WORK, Work)

    def has_sent(self, answers: Sequence[Answer]) -> bool:
        """Whether all of these were sent; the log is read once for all, as callbacks are served by the same loop."""
        results = self.results()
        return all("sent" in results.get(answer.answer_id, []) for answer in answers)

    def results(self) -> dict[str, list[str]]:
        """Answer id -> its statuses in their order."""
        found: dict[str, list[str]] = {}
        for record in self.work():
            status = record.status if isinstance(record, Published) else "sending"
            found.setdefault(record.answer_id, []).append(status)
        return found


class Receiver:
    """A callback address that keeps what it gets and answers as it is told."""

    def __init__(self) -> None:
        self.got: list[tuple[dict[str, str], bytes]] = []
        self.answers: list[web.Response] = []
        self.on_post: Callable[[], Awaitable[None]] | None = None

    async def handle(self, request: web.Request) -> web.Response:
        self.got.append((dict(request.headers), await request.read()))
        if self.on_post is not None:
            await self.on_post()
        return self.answers.pop(0) if self.answers else web.json_response({"url": "https://example.org/1"})

    def ids(self) -> list[str]:
        return [headers["webhook-id"] for headers, _ in self.got]


class House(Struct):
    """A running connect and all that is around it."""

    http: str
    log: Log
    receiver: Receiver
    callback: str
    session: ClientSession
    producer: AIOKafkaProducer
    broker: Broker

    async def answer(self, **fields: Any) -> Answer:
        """Write an answer as dispatch does."""
        answer = an_answer(**fields)
        await self.producer.send_and_wait(
            topics.ANSWERS.name, encode(answer), key=f"{answer.tenant}|{answer.account_id}".encode()
        )
        return answer

    async def hook(self, body: object, content_type: str = "application/json") -> tuple[int, Any]:
        raw, message_id, now = json.dumps(body), uuid.uuid4().hex, datetime.now(UTC)
        headers = {
            "Content-Type": content_type,
            "webhook-id": message_id,
            "webhook-timestamp": str(int(now.timestamp())),
            "webhook-signature": standardwebhooks.Webhook(SECRET).sign(message_id, now, raw),
        }
        async with self.session.post(f"{self.http}/webhook/acme/crm", data=raw, headers=headers) as response:
            return response.status, await response.json()

    async def metric(self, line: str) -> float:
        async with self.session.get(f"{self.http}/metrics") as response:
            for row in (await response.text()).splitlines():
                if row.startswith(line + " "):
                    return float(row.rpartition(" ")[2])
        raise AssertionError(f"no {line} in /metrics")

    async def counts(self, line: str, value: float) -> bool:
        """Wait until a figure is this one: a record stands in its topic before its writer has heard so and counts on."""
        for _ in range(100):
            if await self.metric(line) == value:
                return True
            await asyncio.sleep(0.1)
        return False


def an_answer(**fields: Any) -> Answer:
    return Answer(
        **{
            "answer_id": uuid.uuid4().hex,
            "src": (0, 0, 0),
            "at": int(time.time() * 1000),
            "tenant": "acme",
            "brand_id": "bahn",
            "case_id": "c1",
            "rep_id": "r1",
            "platform": "x",
            "account_id": "crm",
            "conversation_uri": "x:0",
            "in_reply_to": "x:1",
            "text": "Sie kommt um 8.",
            **fields,
        }
    )


def an_event(event_id: str, **data: Any) -> dict[str, Any]:
    required = {
        "tenant": "acme",
        "platform": "x",
        "account_id": "crm",
        "object_uri": event_id,
        "text": "Wo ist die Bahn?",
    }
    return {
        "specversion": "1.0",
        "id": event_id,
        "source": "/acme/x/crm",
        "type": "zuruf.post.created",
        "time": datetime.now(UTC).isoformat(),
        "data": required | data,
    }


def settings_without(folder: Path) -> Settings:
    """All but the broker's address."""
    return settings_at((), folder, "")


def settings_for(broker: Broker, folder: Path, callback: str) -> Settings:
    return settings_at((broker.bootstrap,), folder, callback)


def settings_at(bootstrap: tuple[str, ...], folder: Path, callback: str) -> Settings:
    brand = Brand(id="bahn", name="Nordbahn", service_level=ServiceLevel())
    accounts = (
        Account("crm", "webhook", callback=callback, secret_env="S"),
        Account("second", "webhook", callback=callback + "/second", secret_env="S"),
        Account("page", "chat", brand="bahn"),
    )
    tenant = Tenant("acme", "Acme", (brand,), accounts=accounts)
    return Settings(tenants=(tenant,), broker=bootstrap, data=folder, session_s=3.0)


SECRETS = {("acme", "crm"): (secret_of(SECRET),), ("acme", "second"): (secret_of(SECRET),)}


@asynccontextmanager
async def a_connect(settings: Settings) -> AsyncIterator[str]:
    """Run connect in this process; the address comes when it is ready, and its outbox too."""
    stop, ready = asyncio.Event(), asyncio.get_running_loop().create_future()
    task = asyncio.create_task(
        run(settings, ready=lambda one: ready.set_result(one.http), stop=stop, pages=None, secrets=SECRETS)
    )
    await asyncio.wait([task, ready], timeout=30, return_when=asyncio.FIRST_COMPLETED)
    try:
        if task.done():
            await task
        async with ClientSession() as session:
            await until_ready(session, ready.result())
        yield ready.result()
    finally:
        stop.set()
        await asyncio.wait_for(task, 30)


async def until_ready(session: ClientSession, http: str) -> None:
    for _ in range(300):
        async with session.get(f"{http}/readyz") as response:
            if response.status == 200:
                return
        await asyncio.sleep(0.1)
    raise AssertionError(f"{http} is not ready within 30 s")


@asynccontextmanager
async def around(broker: Broker) -> AsyncIterator[House]:
    """All that a test needs but connect itself."""
    receiver, log = Receiver(), Log(broker.bootstrap)
    app = web.Application()
    app.router.add_post("/{path:.*}", receiver.handle)
    producer = AIOKafkaProducer(bootstrap_servers=broker.bootstrap)
    await producer.start()
    await log.start()
    try:
        async with TestServer(app) as server, ClientSession() as session:
            yield House("", log, receiver, str(server.make_url("/answers")), session, producer, broker)
    finally:
        await log.consumer.stop()
        await producer.stop()


def in_a_house(broker: Broker, folder: Path, test: Callable[[House], Awaitable[None]]) -> None:
    async def main() -> None:
        async with (
            asyncio.timeout(120),
            around(broker) as house,
            a_connect(settings_for(broker, folder, house.callback)) as http,
        ):
            house.http = http
            await test(house)

    asyncio.run(main())


# -- in -----------------------------------------------------------------------------------------------------------


def test_a_202_means_that_the_broker_has_the_post(broker: Broker, tmp_path: Path) -> None:
    async def test(house: House) -> None:
        before = int(time.time() * 1000)
        assert await house.hook(an_event("x:202", conversation_uri="x:200")) == (202, {"accepted": 1, "refused": []})

        await house.log.until(lambda: len(house.log.records) == 1)
        (post,) = house.log.of(topics.POSTS, Post)
        assert post.id == "x:202"
        assert before <= post.data.received_at <= int(time.time() * 1000)
        assert house.log.records[0][1] == b"acme|x:200"
        assert await house.metric('zuruf_posts_received_total{connector="webhook",tenant="acme"}') == 1

    in_a_house(broker, tmp_path, test)


def test_the_bad_of_a_batch_lie_in_dead_letters(broker: Broker, tmp_path: Path) -> None:
    async def test(house: House) -> None:
        status, answer = await house.hook([an_event("x:1"), an_event("x:2", tenant="other")])

        assert (status, answer["accepted"]) == (202, 1)
        await house.log.until(lambda: len(house.log.records) == 2)
        (letter,) = house.log.of(topics.DEAD_LETTERS, DeadLetter)
        assert letter.reason == answer["refused"][0]["reason"]
        assert json.loads(letter.value)["id"] == "x:2"

    in_a_house(broker, tmp_path, test)


def test_while_the_broker_is_away_posts_are_refused_and_later_taken(broker: Broker, tmp_path: Path) -> None:
    async def test(house: House) -> None:
        await asyncio.to_thread(broker.kill_node, 1)
        try:
            status, answer = await house.hook(an_event("x:away"))
            assert (status, answer["error"]) == (503, "broker_away")
        finally:
            await asyncio.to_thread(broker.restart_node, 1)
        for _ in range(20):
            status, _ = await house.hook(an_event("x:back"))
            if status == 202:
                break
        assert status == 202

    in_a_house(broker, tmp_path, test)


def test_a_start_without_a_broker_waits_for_it_and_can_be_stopped(tmp_path: Path) -> None:
    async def main() -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
        with socket.create_server(("127.0.0.1", 0)) as taken:
            http = taken.getsockname()[1]
        settings = replace(settings_without(tmp_path), broker=(f"127.0.0.1:{port}",), http_port=http)
        stop, ready = asyncio.Event(), []
        task = asyncio.create_task(run(settings, ready=ready.append, stop=stop, pages=None, secrets=SECRETS))
        async with ClientSession() as session:
            await asyncio.sleep(1.5)
            found = []
            for path in ("/healthz", "/readyz"):
                async with session.get(f"http://127.0.0.1:{http}{path}") as response:
                    found.append((response.status, (await response.json())["status"]))
        stop.set()
        await asyncio.wait_for(task, 10)

        assert (found, ready) == ([(200, "ok"), (503, "waiting")], [])

    asyncio.run(main())


def test_without_an_address_of_a_broker_nothing_starts(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="ZURUF_BROKER"):
        asyncio.run(run(settings_without(tmp_path), ready=print, stop=asyncio.Event(), pages=None, secrets=SECRETS))


def test_pages_are_served_with_their_headers_and_nothing_else_is(broker: Broker, tmp_path: Path) -> None:
    async def main() -> None:
        stop, ready = asyncio.Event(), asyncio.get_running_loop().create_future()
        settings = replace(settings_without(tmp_path), broker=(broker.bootstrap,))
        page = load()("/chat")
        assert page is not None
        task = asyncio.create_task(run(settings, ready=ready.set_result, stop=stop, pages=load(), secrets=SECRETS))
        http = (await asyncio.wait_for(ready, 30)).http
        async with ClientSession() as session:
            async with session.get(f"{http}/chat?tenant=acme") as response:
                assert (response.status, await response.read()) == (200, page.body)
                assert response.headers["Content-Type"] == "text/html; charset=utf-8"
                assert response.headers["Content-Security-Policy"] == dict(page.headers)["Content-Security-Policy"]
            async with session.get(f"{http}/chat", headers={"If-None-Match": dict(page.headers)["ETag"]}) as response:
                assert response.status == 304
            async with session.get(f"{http}/../etc/passwd") as response:
                assert (response.status, (await response.json())["error"]) == (404, "not_found")
        stop.set()
        await asyncio.wait_for(task, 30)

    asyncio.run(main())


# -- out ----------------------------------------------------------------------------------------------------------


def test_an_answer_reaches_the_callback_signed_and_dispatch_hears_of_it(broker: Broker, tmp_path: Path) -> None:
    async def test(house: House) -> None:
        answer = await house.answer(text="Sie kommt um 8. 🚆")
        await house.log.until(lambda: "sent" in house.log.results().get(answer.answer_id, []))

        sending, published = house.log.work()
        assert isinstance(sending, Sending)
        assert (published.status, published.url) == ("sent", "https://example.org/1")
        assert {key for name, key, _ in house.log.records if name == "work"} == {b"acme"}
        ((headers, body),) = house.receiver.got
        event = standardwebhooks.Webhook(SECRET).verify(body, headers)
        assert (event["id"], event["type"]) == (answer.answer_id, "zuruf.answer.created")
        assert headers["webhook-id"] == answer.answer_id
        assert headers["Content-Type"] == "application/cloudevents+json"
        assert msgspec.convert(event["data"], Answer) == answer
        assert await house.metric('zuruf_answers_published_total{status="sent"}') == 1
        assert await house.counts("zuruf_outbox_pending", 0)

    in_a_house(broker, tmp_path, test)


def test_a_callback_that_is_busy_is_asked_again_and_then_has_it(broker: Broker, tmp_path: Path) -> None:
    async def test(house: House) -> None:
        house.receiver.answers = [web.Response(status=503), web.Response(status=429, headers={"Retry-After": "1"})]
        begun = time.monotonic()
        answer = await house.answer()
        await house.log.until(lambda: "sent" in house.log.results().get(answer.answer_id, []))

        assert house.receiver.ids() == [answer.answer_id] * 3
        assert time.monotonic() - begun > 1.2
        assert house.log.results()[answer.answer_id] == ["sending", "sent"]

    in_a_house(broker, tmp_path, test)


def test_a_callback_that_stays_away_fails_after_a_quarter_of_an_hour(broker: Broker, tmp_path: Path) -> None:
    async def test(house: House) -> None:
        house.receiver.answers = [web.Response(status=500) for _ in range(50)]
        # It was written a quarter of an hour ago, but for two seconds.
        answer = await house.answer(at=int(time.time() * 1000) - 15 * 60_000 + 2_000)
        await house.log.until(lambda: "failed" in house.log.results().get(answer.answer_id, []))

        assert len(house.receiver.got) >= 3
        (published,) = [one for one in house.log.work() if isinstance(one, Published)]
        assert "http_500" in published.error

    in_a_house(broker, tmp_path, test)


def test_a_callback_that_says_no_is_not_asked_again(broker: Broker, tmp_path: Path) -> None:
    async def test(house: House) -> None:
        house.receiver.answers = [web.Response(status=422)]
        answer = await house.answer()
        unknown = await house.answer(account_id="gone")
        await house.log.until(lambda: len(house.log.work()) == 3)

        assert house.log.results()[answer.answer_id] == ["sending", "failed"]
        assert house.log.results()[unknown.answer_id] == ["failed"]
        assert len(house.receiver.got) == 1

    in_a_house(broker, tmp_path, test)


def test_a_slow_account_does_not_hold_up_another(broker: Broker, tmp_path: Path) -> None:
    async def test(house: House) -> None:
        free = asyncio.Event()

        async def slow() -> None:
            if len(house.receiver.got) == 1:
                await free.wait()

        house.receiver.on_post = slow
        first = [await house.answer() for _ in range(3)]
        await house.log.until(lambda: len(house.receiver.got) == 1)
        second = [await house.answer(account_id="second") for _ in range(3)]
        await house.log.until(lambda: house.log.has_sent(second))

        assert house.receiver.ids() == [a.answer_id for a in (first[0], *second)]
        free.set()
        await house.log.until(lambda: house.log.has_sent(first))
        assert house.receiver.ids()[4:] == [a.answer_id for a in first[1:]]

    in_a_house(broker, tmp_path, test)


def test_what_is_no_answer_goes_to_dead_letters_and_the_next_one_out(broker: Broker, tmp_path: Path) -> None:
    async def test(house: House) -> None:
        await house.producer.send_and_wait(topics.ANSWERS.name, b"{", key=b"acme|crm")
        answer = await house.answer()
        await house.log.until(lambda: "sent" in house.log.results().get(answer.answer_id, []))

        (letter,) = house.log.of(topics.DEAD_LETTERS, DeadLetter)
        assert (letter.source, letter.value) == ("answers", "{")

    in_a_house(broker, tmp_path, test)


# -- crashes and rebalances -----------------------------------------------------------------------------------------


TOML = """
[engine]
session_s = 3
[[tenant]]
id = "acme"
[[tenant.brand]]
id = "bahn"
name = "Nordbahn"
[tenant.brand.service_level]
"""
ACCOUNT = """
[[tenant.account]]
id = "{id}"
connector = "webhook"
secret_env = "CRM_SECRET"
callback = "{callback}"
"""
MANY = tuple(f"many{n}" for n in range(12))
"""Enough accounts for each partition to have some."""


@asynccontextmanager
async def a_child(house: House, folder: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    """A connect in a process of its own."""
    file = folder / "zuruf.toml"
    file.write_text(TOML + "".join(ACCOUNT.format(id=one, callback=house.callback) for one in ("crm", *MANY)))
    env = {**os.environ, "ZURUF_BROKER": f"kafka://{house.broker.bootstrap}", "ZURUF_DATA": str(folder)}
    env |= {"CRM_SECRET": SECRET, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "tests.broker.connect_child", str(file)]
    pipe = asyncio.subprocess.PIPE
    child = await asyncio.create_subprocess_exec(*command, env=env, stdin=pipe, stdout=pipe, cwd=ROOT)
    try:
        assert child.stdout is not None
        http = (await asyncio.wait_for(child.stdout.readline(), 30)).decode().strip()
        await until_ready(house.session, http)
        yield child
    finally:
        if child.returncode is None and child.stdin is not None:
            child.stdin.close()
            assert await asyncio.wait_for(child.wait(), 30) == 0
        await child.wait()


async def committed(house: House) -> dict[int, int]:
    """Partition of answers -> what is not yet committed of it."""
    consumer = AIOKafkaConsumer(bootstrap_servers=house.broker.bootstrap, group_id=GROUP, enable_auto_commit=False)
    await consumer.start()
    try:
        places = [TopicPartition(topics.ANSWERS.name, n) for n in range(4)]
        ends = await consumer.end_offsets(places)
        return {one.partition: ends[one] - (await consumer.committed(one) or 0) for one in places if ends[one]}
    finally:
        await consumer.stop()


def test_killed_between_sending_and_published_an_answer_has_one_effect(broker: Broker, tmp_path: Path) -> None:
    async def main() -> None:
        async with asyncio.timeout(120), around(broker) as house:
            async with a_child(house, tmp_path) as child:

                async def kill() -> None:
                    # The callback has it; the process that sent it never hears so.
                    child.send_signal(signal.SIGKILL)
                    await child.wait()

                house.receiver.on_post = kill
                answer = await house.answer()
                await house.log.until(lambda: house.log.results().get(answer.answer_id) == ["sending"])
                await child.wait()
            house.receiver.on_post = None

            async with a_child(house, tmp_path):
                await house.log.until(lambda: "sent" in house.log.results().get(answer.answer_id, []))
            assert house.log.results()[answer.answer_id] == ["sending", "sending", "sent"]
            raw, effects = len(house.receiver.got), len(set(house.receiver.ids()))
            assert (raw, effects) == (2, 1)
            assert len({body for _, body in house.receiver.got}) == 1
            assert set((await committed(house)).values()) == {0}

            # What is committed is not sent a third time.
            async with a_child(house, tmp_path):
                last = await house.answer()
                await house.log.until(lambda: "sent" in house.log.results().get(last.answer_id, []))
            assert house.receiver.ids() == [answer.answer_id, answer.answer_id, last.answer_id]

    asyncio.run(main())


@pytest.mark.slow
def test_through_rebalances_and_a_kill_every_answer_has_one_effect(broker: Broker, tmp_path: Path) -> None:
    async def main() -> None:
        async with asyncio.timeout(200), around(broker) as house:

            async def slowly() -> None:
                await asyncio.sleep(0.3)

            house.receiver.on_post = slowly
            answers: list[Answer] = []

            async def load() -> None:
                for n in range(300):
                    answers.append(await house.answer(account_id=MANY[n % len(MANY)]))
                    await asyncio.sleep(0.04)

            folders = [tmp_path / "a", tmp_path / "b"]
            for folder in folders:
                folder.mkdir()
            async with a_child(house, folders[0]):
                writing = asyncio.create_task(load())
                for kill in (False, True, False):
                    async with a_child(house, folders[1]) as second:
                        await asyncio.sleep(1.5)
                        if kill:
                            second.send_signal(signal.SIGKILL)
                            await second.wait()
                await writing
                await house.log.until(lambda: house.log.has_sent(answers), 60)
            print(len(house.receiver.got), "calls for", len(answers), "answers")
            assert set(house.receiver.ids()) == {a.answer_id for a in answers}
            results = house.log.results()
            assert all(set(results[a.answer_id]) == {"sending", "sent"} for a in answers)
            assert set((await committed(house)).values()) == {0}

    asyncio.run(main())


# -- chat ---------------------------------------------------------------------------------------------------------


def test_a_chat_goes_from_the_page_to_posts_and_from_answers_to_the_page(broker: Broker, tmp_path: Path) -> None:
    async def test(house: House) -> None:
        async with house.session.get(f"{house.http}/api/chat/brands") as response:
            assert await response.json() == [{"tenant": "acme", "brand_id": "bahn", "name": "Nordbahn"}]
        hello = {"type": "chat_hello", "tenant": "acme", "brand_id": "bahn", "name": "Ada"}

        async with house.session.ws_connect(f"{house.http}/chat/ws", headers={"Origin": house.http}) as ws:
            await ws.send_json(hello)
            welcome = await ws.receive_json()
            conversation = welcome["conversation"]
            assert (welcome["brand"], welcome["lines"], len(conversation)) == ("Nordbahn", [], 32)
            await ws.send_json({"type": "chat_say", "id": "l1", "text": "Wo bleibt sie?"})
            assert await ws.receive_json() == {"type": "chat_received", "id": "l1"}
            await house.log.until(lambda: len(house.log.of(topics.POSTS, Post)) == 1)
            (post,) = house.log.of(topics.POSTS, Post)
            data = post.data
            assert (data.platform, data.kind, data.visibility, data.addressed) == ("chat", "chat", "private", "direct")
            assert (data.brand, data.author.name, data.conversation_uri) == ("bahn", "Ada", f"chat:{conversation}")

            answer = await house.answer(
                platform="chat",
                account_id="page",
                conversation_uri=data.conversation_uri,
                in_reply_to=data.object_uri,
                text="Um 8.",
            )
            line = await ws.receive_json(timeout=30)
            assert (line["by"], line["text"], line["id"]) == ("brand", "Um 8.", answer.answer_id)
            await ws.send_json({"type": "chat_say", "id": "l2", "text": "Danke!"})
            assert (await ws.receive_json())["id"] == "l2"

        await house.log.until(lambda: "sent" in house.log.results().get(answer.answer_id, []))
        posts = house.log.of(topics.POSTS, Post)
        assert posts[1].data.parent_uri == f"chat:{conversation}/{answer.answer_id}"

        # A page that comes again sees all of it; a line sent again is the same post.
        async with house.session.ws_connect(f"{house.http}/chat/ws") as ws:
            await ws.send_json(hello | {"conversation": conversation})
            lines = (await ws.receive_json())["lines"]
            assert [(one["by"], one["text"]) for one in lines] == [
                ("customer", "Wo bleibt sie?"),
                ("brand", "Um 8."),
                ("customer", "Danke!"),
            ]
            await ws.send_json({"type": "chat_say", "id": "l1", "text": "Wo bleibt sie?"})
            assert (await ws.receive_json())["id"] == "l1"
        await house.log.until(lambda: len(house.log.of(topics.POSTS, Post)) == 3)
        again = house.log.of(topics.POSTS, Post)[2]
        assert again == post

    in_a_house(broker, tmp_path, test)


def test_an_answer_that_comes_twice_stands_once_in_the_chat(broker: Broker, tmp_path: Path) -> None:
    async def test(house: House) -> None:
        async with house.session.ws_connect(f"{house.http}/chat/ws") as ws:
            await ws.send_json({"type": "chat_hello", "tenant": "acme", "brand_id": "bahn"})
            conversation = (await ws.receive_json())["conversation"]
            await ws.send_json({"type": "chat_say", "id": "l1", "text": "Hallo"})
            assert (await ws.receive_json())["type"] == "chat_received"
            fields = {"account_id": "page", "conversation_uri": f"chat:{conversation}", "answer_id": uuid.uuid4().hex}
            for _ in range(2):
                await house.answer(**fields)
            await house.log.until(lambda: house.log.results().get(fields["answer_id"]) == ["sending", "sent", "sent"])
            assert (await ws.receive_json())["id"] == fields["answer_id"]
            with pytest.raises(TimeoutError):
                await ws.receive(timeout=0.5)

    in_a_house(broker, tmp_path, test)


def test_a_stop_tells_the_pages_to_come_again(broker: Broker, tmp_path: Path) -> None:
    async def main() -> None:
        async with asyncio.timeout(60), around(broker) as house:
            async with a_connect(settings_for(broker, tmp_path, house.callback)) as http:
                ws = await house.session.ws_connect(f"{http}/chat/ws")
                await ws.send_json({"type": "chat_hello", "tenant": "acme", "brand_id": "bahn"})
                await ws.receive_json()
            message = await ws.receive()
            assert (message.type, message.data) == (WSMsgType.CLOSE, 1001)

    asyncio.run(main())
