"""The webhook's door: signatures, bounds, replays, single events and batches. The broker is a list."""

import asyncio
import base64
import gzip
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
import standardwebhooks
from aiohttp import ClientSession, web
from aiohttp.test_utils import TestServer

from models.brands import Account, Brand, ServiceLevel, Tenant
from models.errors import Misconfigured
from models.posts import Post
from models.records import DeadLetter
from streams.connectors import signing
from streams.connectors.metrics import Metrics
from streams.connectors.producing import BrokerAway, Record
from streams.connectors.webhook import Remembered, Reply, Webhook
from streams.settings import Settings

OLD = "whsec_" + base64.b64encode(b"an old secret of some length").decode()
NEW = "whsec_" + base64.b64encode(b"a new secret of some length.").decode()
NOW = 1_770_000_000_000
SINGLE, BATCH, EITHER = "application/cloudevents+json", "application/cloudevents-batch+json", "application/json"

BRAND = Brand(id="bahn", name="Nordbahn", service_level=ServiceLevel())
ACCOUNTS = (Account("crm", "webhook", brand="bahn", secret_env="S"), Account("page", "chat", brand="bahn"))
SETTINGS = Settings(tenants=(Tenant("acme", "Acme", (BRAND,), accounts=ACCOUNTS),))
SECRETS = {("acme", "crm"): (signing.secret_of(NEW), signing.secret_of(OLD))}


def an_event(**data: Any) -> dict[str, Any]:
    attributes = {name: data.pop(name) for name in ("id", "type", "specversion") if name in data}
    event = {
        "specversion": "1.0",
        "id": "x:1",
        "source": "/acme/x/crm",
        "type": "zuruf.post.created",
        "time": "2026-02-02T02:40:00Z",
        "data": {
            "tenant": "acme",
            "platform": "x",
            "account_id": "crm",
            "object_uri": "x:1",
            "text": "Where is my train?",
            **data,
        },
    }
    return event | attributes


def body_of(event: object) -> bytes:
    return json.dumps(event).encode()


class Broker:
    """Keeps what is written; says that it is away as often as it is told."""

    def __init__(self) -> None:
        self.records: list[Record] = []
        self.away = 0
        self.hold: asyncio.Event | None = None

    async def write(self, records: Sequence[Record]) -> None:
        if self.hold is not None:
            await self.hold.wait()
        if self.away:
            self.away -= 1
            raise BrokerAway("gone fishing")
        self.records += records

    def posts(self) -> list[Post]:
        return [msgspec.json.decode(one.value, type=Post) for one in self.records if one.topic == "posts"]

    def letters(self) -> list[DeadLetter]:
        return [msgspec.json.decode(one.value, type=DeadLetter) for one in self.records if one.topic == "dead-letters"]


class Sender:
    """A customer of the webhook, who signs as the Standard Webhooks library does."""

    def __init__(self, session: ClientSession, root: str, broker: Broker, metrics: Metrics) -> None:
        self.session, self.root, self.broker, self.metrics = session, root, broker, metrics
        self.now = NOW
        self.count = 0

    async def post(
        self,
        body: bytes,
        *,
        content_type: str = SINGLE,
        path: str = "/webhook/acme/crm",
        secret: str = NEW,
        message_id: str = "",
        at: int | None = None,
        headers: dict[str, str | None] | None = None,
        data: Any = None,
    ) -> tuple[int, Any]:
        self.count += 1
        message_id = message_id or f"msg_{self.count}"
        moment = datetime.fromtimestamp((self.now if at is None else at) / 1000, UTC)
        signature = standardwebhooks.Webhook(secret).sign(message_id, moment, body.decode(errors="surrogateescape"))
        sent: dict[str, str | None] = {
            "Content-Type": content_type,
            "webhook-id": message_id,
            "webhook-timestamp": str(int(moment.timestamp())),
            "webhook-signature": signature,
        }
        sent |= headers or {}
        kept = {name: value for name, value in sent.items() if value is not None}
        async with self.session.post(self.root + path, data=body if data is None else data, headers=kept) as response:
            self.headers = response.headers
            return response.status, await response.json()

    def refused(self, reason: str) -> float:
        return self.metrics.registry.get_sample_value("zuruf_webhook_refused_total", {"reason": reason}) or 0.0


@asynccontextmanager
async def a_door(settings: Settings = SETTINGS) -> AsyncIterator[Sender]:
    broker, metrics = Broker(), Metrics()
    webhook = Webhook(settings, SECRETS, broker.write, metrics, lambda: sender.now)
    app = web.Application()
    app.router.add_post("/webhook/{tenant}/{account}", webhook.handle)
    async with TestServer(app) as server, ClientSession() as session:
        sender = Sender(session, str(server.make_url("")).rstrip("/"), broker, metrics)
        yield sender


def at_the_door(test: Callable[[Sender], Awaitable[None]], settings: Settings = SETTINGS) -> None:
    async def main() -> None:
        async with asyncio.timeout(30), a_door(settings) as sender:
            await test(sender)

    asyncio.run(main())


# -- signatures ---------------------------------------------------------------------------------------------------


def test_our_signature_is_the_librarys() -> None:
    body = '{"name": "Müller"}'

    ours = signing.signature(signing.secret_of(OLD), "msg_1", "1770000000", body.encode())

    assert ours == standardwebhooks.Webhook(OLD).sign("msg_1", datetime.fromtimestamp(1_770_000_000, UTC), body)


def test_the_library_verifies_what_we_sign_with_two_secrets() -> None:
    body = b'{"a": 1}'
    now = int(datetime.now(UTC).timestamp() * 1000)

    headers = signing.signed_headers((signing.secret_of(NEW), signing.secret_of(OLD)), "a-1", now, body)

    for secret in (OLD, NEW):
        assert standardwebhooks.Webhook(secret).verify(body, headers) == {"a": 1}


@pytest.mark.parametrize("text", ["", "s3cret-in-the-clear", "whsec_", "whsec_!!!!", "whsec_c2hvcnQ="])
def test_what_is_no_secret_is_refused_and_not_shown(text: str) -> None:
    accounts = (Account("a", "webhook", secret_env="HOOK"),)
    with pytest.raises(Misconfigured) as caught:
        signing.secrets_of([Tenant("t", "T", (BRAND,), accounts=accounts)], {"HOOK": f"{OLD} {text}" if text else ""})

    assert "HOOK" in str(caught.value)
    for part in ("s3cret", "!!!!", "c2hvcnQ", OLD):
        assert part not in str(caught.value)


def test_secrets_are_read_from_the_variable_an_account_names() -> None:
    accounts = (Account("a", "webhook", secret_env="HOOK"), Account("b", "chat", brand="bahn"))
    tenant = Tenant("t", "T", (BRAND,), accounts=accounts)

    held = signing.secrets_of([tenant], {"HOOK": f"{NEW} {OLD}"})

    assert held == {("t", "a"): (signing.secret_of(NEW), signing.secret_of(OLD))}


# -- what is taken ------------------------------------------------------------------------------------------------


def test_a_signed_post_is_produced_with_its_arrival_and_the_accounts_brand() -> None:
    async def test(sender: Sender) -> None:
        status, answer = await sender.post(body_of(an_event(received_at=5, conversation_uri="x:0")))

        assert (status, answer) == (202, {"accepted": 1, "refused": []})
        (post,) = sender.broker.posts()
        assert (post.data.received_at, post.data.brand, post.data.text) == (NOW, "bahn", "Where is my train?")
        assert sender.broker.records[0].key == b"acme|x:0"

    at_the_door(test)


def test_a_brand_that_the_event_names_stays() -> None:
    async def test(sender: Sender) -> None:
        await sender.post(body_of(an_event(brand="bus")))

        assert sender.broker.posts()[0].data.brand == "bus"

    at_the_door(test)


@pytest.mark.parametrize("content_type", [SINGLE, EITHER, "application/json; charset=utf-8"])
def test_one_event_may_come_under_either_type(content_type: str) -> None:
    async def test(sender: Sender) -> None:
        assert (await sender.post(body_of(an_event()), content_type=content_type))[0] == 202

    at_the_door(test)


def test_either_secret_signs_while_one_replaces_the_other() -> None:
    async def test(sender: Sender) -> None:
        for secret in (OLD, NEW):
            assert (await sender.post(body_of(an_event()), secret=secret))[0] == 202

    at_the_door(test)


def test_one_good_signature_among_several_is_enough() -> None:
    async def test(sender: Sender) -> None:
        body = body_of(an_event())
        good = signing.signature(signing.secret_of(OLD), "m", str(NOW // 1000), body)
        several = f"v1a,AAAA v1,AAAA v2 {good} é"

        assert (await sender.post(body, message_id="m", headers={"webhook-signature": several}))[0] == 202

    at_the_door(test)


@pytest.mark.parametrize("content_type", [BATCH, EITHER])
def test_in_a_batch_the_good_go_on_and_the_bad_go_to_dead_letters(content_type: str) -> None:
    events = [
        an_event(id="a"),
        {"specversion": "1.0"},
        an_event(id="b", tenant="other"),
        an_event(id="c", account_id="other"),
        an_event(id="d", type="zuruf.tick"),
        "nonsense",
        an_event(id="e"),
    ]

    async def test(sender: Sender) -> None:
        status, answer = await sender.post(b" \n" + body_of(events), content_type=content_type)

        assert status == 202
        assert answer["accepted"] == 2
        assert [one["index"] for one in answer["refused"]] == [1, 2, 3, 4, 5]
        assert "'other/crm'" in answer["refused"][1]["reason"]
        assert [post.id for post in sender.broker.posts()] == ["a", "e"]
        letters = sender.broker.letters()
        assert [letter.reason for letter in letters] == [one["reason"] for one in answer["refused"]]
        assert json.loads(letters[1].value) == events[2]
        assert {letter.source for letter in letters} == {"webhook/acme/crm"}
        assert sender.refused("bad_event") == 5

    at_the_door(test)


def test_a_batch_without_a_good_event_is_refused_with_all_reasons() -> None:
    async def test(sender: Sender) -> None:
        status, answer = await sender.post(b"[{}, 1]", content_type=BATCH)

        assert (status, answer["accepted"], len(answer["refused"])) == (400, 0, 2)
        assert len(sender.broker.letters()) == 2

    at_the_door(test)


def test_an_empty_batch_is_taken() -> None:
    async def test(sender: Sender) -> None:
        assert await sender.post(b"[]", content_type=BATCH) == (202, {"accepted": 0, "refused": []})

    at_the_door(test)


# -- what is refused ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changed", "status", "error"),
    [
        ({"path": "/webhook/acme/none"}, 404, "unknown_account"),
        ({"path": "/webhook/none/crm"}, 404, "unknown_account"),
        ({"path": "/webhook/acme/page"}, 404, "unknown_account"),
        ({"secret": "whsec_" + base64.b64encode(b"x" * 24).decode()}, 401, "bad_signature"),
        ({"headers": {"webhook-signature": "v1,é"}}, 401, "bad_signature"),
        ({"headers": {"webhook-signature": "v1a,AAAA"}}, 401, "bad_signature"),
        ({"headers": {"webhook-id": "msg_2"}}, 401, "bad_signature"),
        ({"headers": {"webhook-signature": None}}, 401, "unsigned"),
        ({"headers": {"webhook-id": None}}, 401, "unsigned"),
        ({"headers": {"webhook-id": "m" * 300}}, 401, "unsigned"),
        ({"headers": {"webhook-timestamp": None}}, 401, "unsigned"),
        ({"headers": {"webhook-timestamp": "1770000000.0"}}, 401, "unsigned"),
        ({"headers": {"webhook-timestamp": "٣"}}, 401, "unsigned"),
        ({"at": NOW - 301_000}, 401, "too_old"),
        ({"at": NOW + 301_000}, 401, "too_new"),
        ({"content_type": "text/plain"}, 415, "content_type"),
        ({"headers": {"Content-Encoding": "gzip"}}, 415, "content_type"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_wrong_request_is_refused(changed: dict[str, Any], status: int, error: str) -> None:
    async def test(sender: Sender) -> None:
        found, answer = await sender.post(body_of(an_event()), message_id="msg_1", **changed)

        assert (found, answer["error"]) == (status, error)
        assert answer["reason"]
        assert sender.broker.records == []
        assert sender.refused(error) == 1

    if changed.get("headers", {}).get("Content-Encoding"):
        changed["data"] = gzip.compress(body_of(an_event()))
    at_the_door(test)


@pytest.mark.parametrize("at", [NOW - 300_000, NOW + 300_000])
def test_five_minutes_either_way_are_allowed(at: int) -> None:
    async def test(sender: Sender) -> None:
        assert (await sender.post(body_of(an_event()), at=at))[0] == 202

    at_the_door(test)


def test_a_body_that_was_changed_is_refused() -> None:
    async def test(sender: Sender) -> None:
        body = body_of(an_event())

        status, answer = await sender.post(body, data=body.replace(b"train", b"money"))

        assert (status, answer["error"]) == (401, "bad_signature")

    at_the_door(test)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"{", "not JSON"),
        (b"", "not JSON"),
        (b"\xff\xfe", "not JSON"),
        (b"[" * 5_000, "batch: not a JSON list"),
        (b'{"a":' * 5_000, "not JSON"),
        (b'"text"', "Expected `object`"),
        (body_of(an_event(specversion="0.3")), "specversion"),
        (body_of(an_event(text=None)), "$.data.text"),
        (body_of(an_event(text="x" * 40_001)), "$.data.text"),
        (body_of({**an_event(), "time": "yesterday"}), "$.time"),
        (body_of({**an_event(), "time": "2026-02-02T02:40:00"}), "$.time"),
        (body_of(an_event(type="zuruf.tick")), "zuruf.tick"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_a_signed_body_that_is_no_post_is_refused_with_its_reason_and_kept(body: bytes, reason: str) -> None:
    async def test(sender: Sender) -> None:
        signed = signing.signature(signing.secret_of(NEW), "m", str(NOW // 1000), body)
        headers: dict[str, str | None] = {"webhook-signature": signed}
        status, answer = await sender.post(b"", data=body, message_id="m", headers=headers, content_type=EITHER)

        assert status == 400
        assert reason in answer["reason"]
        (letter,) = sender.broker.letters()
        assert letter.reason == answer["reason"]
        kept = base64.b64decode(letter.value) if letter.base64 else letter.value.encode()
        assert kept == body
        assert sender.refused("bad_event") == 1

    at_the_door(test)


@pytest.mark.parametrize("wrong", [{"tenant": "other"}, {"account_id": "other"}])
def test_anothers_post_is_forbidden(wrong: dict[str, str]) -> None:
    async def test(sender: Sender) -> None:
        status, answer = await sender.post(body_of(an_event(**wrong)))

        assert (status, answer["error"]) == (403, "not_yours")
        assert sender.broker.records == []

    at_the_door(test)


@pytest.mark.parametrize(
    ("content_type", "body", "status"),
    [
        (SINGLE, b"{" + b" " * (256 * 1024), 413),
        (EITHER, b"{" + b" " * (256 * 1024), 413),
        (EITHER, b"[" + b" " * (256 * 1024) + b"]", 202),
        (BATCH, b"[" + b" " * (1024 * 1024), 413),
        (EITHER, b"[" + b" " * (1024 * 1024), 413),
        (BATCH, b"[" + b",".join([b"{}"] * 1_001) + b"]", 413),
    ],
    ids=["single", "object", "list", "batch", "long list", "many events"],
)
@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])
def test_a_body_has_its_bound(content_type: str, body: bytes, status: int, chunked: bool) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for start in range(0, len(body), 65_536):
            yield body[start : start + 65_536]

    async def test(sender: Sender) -> None:
        found, _ = await sender.post(body, content_type=content_type, data=chunks() if chunked else None)

        assert found == status
        assert sender.broker.records == []

    at_the_door(test)


def test_an_endless_body_is_refused_before_it_ends() -> None:
    async def test(sender: Sender) -> None:
        host, port = sender.root.removeprefix("http://").split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        lines = [
            "POST /webhook/acme/crm HTTP/1.1",
            "Host: x",
            f"Content-Type: {BATCH}",
            "webhook-id: a",
            f"webhook-timestamp: {NOW // 1000}",
            "webhook-signature: v1,AAAA",
            "Transfer-Encoding: chunked",
        ]
        writer.write(("\r\n".join(lines) + "\r\n\r\n").encode())
        for _ in range(40):
            writer.write(b"10000\r\n" + b" " * 65_536 + b"\r\n")
        status = await reader.readline()
        writer.close()

        assert b" 413 " in status

    at_the_door(test)


def test_the_broker_away_is_said_with_when_to_come_again() -> None:
    async def test(sender: Sender) -> None:
        sender.broker.away = 1
        status, answer = await sender.post(body_of(an_event()), message_id="m")

        assert (status, answer["error"], sender.headers["Retry-After"]) == (503, "broker_away", "2")
        assert await sender.post(body_of(an_event()), message_id="m") == (202, {"accepted": 1, "refused": []})
        assert len(sender.broker.posts()) == 1

    at_the_door(test)


def test_more_requests_at_once_than_allowed_are_told_to_wait() -> None:
    async def test(sender: Sender) -> None:
        sender.broker.hold = asyncio.Event()
        waiting = [asyncio.create_task(sender.post(body_of(an_event()))) for _ in range(64)]
        await asyncio.sleep(0.5)

        status, answer = await sender.post(body_of(an_event()))

        assert (status, answer["error"], sender.headers["Retry-After"]) == (429, "too_many", "1")
        sender.broker.hold.set()
        assert {status for status, _ in await asyncio.gather(*waiting)} == {202}
        assert (await sender.post(body_of(an_event())))[0] == 202

    at_the_door(test)


# -- replays --------------------------------------------------------------------------------------------------------


def test_a_replay_is_answered_again_and_not_produced_again() -> None:
    async def test(sender: Sender) -> None:
        body = body_of([an_event(), {}])
        first = await sender.post(body, content_type=BATCH, message_id="m")
        sender.now += 60_000

        assert await sender.post(body, content_type=BATCH, message_id="m") == first
        assert len(sender.broker.records) == 2

    at_the_door(test)


def test_two_at_the_same_time_are_produced_once() -> None:
    async def test(sender: Sender) -> None:
        sender.broker.hold = asyncio.Event()
        both = [asyncio.create_task(sender.post(body_of(an_event()), message_id="m")) for _ in range(2)]
        await asyncio.sleep(0.2)
        sender.broker.hold.set()

        assert [status for status, _ in await asyncio.gather(*both)] == [202, 202]
        assert len(sender.broker.records) == 1

    at_the_door(test)


def test_an_id_used_again_for_another_post_loses_nothing() -> None:
    async def test(sender: Sender) -> None:
        await sender.post(body_of(an_event(id="a")), message_id="m")
        await sender.post(body_of(an_event(id="b")), message_id="m")

        assert [post.id for post in sender.broker.posts()] == ["a", "b"]

    at_the_door(test)


def test_a_captured_request_is_refused_for_its_age_when_it_is_no_longer_remembered() -> None:
    async def test(sender: Sender) -> None:
        body = body_of(an_event())
        await sender.post(body, message_id="m", at=NOW + 300_000)
        sender.now += 601_000

        status, answer = await sender.post(body, message_id="m", at=NOW + 300_000)

        assert (status, answer["error"]) == (401, "too_old")
        assert len(sender.broker.records) == 1

    at_the_door(test)


def test_what_is_remembered_is_bounded_by_age_and_count() -> None:
    remembered = Remembered(keep_s=1, count_max=2)
    for n, key in enumerate((b"a", b"b", b"c")):
        remembered.add(key, Reply(202, key), 1_000 + n)

    assert remembered.find(b"a", 1_003) is None
    assert remembered.find(b"b", 2_000) == Reply(202, b"b")
    assert remembered.find(b"b", 2_001) is None
    assert remembered.find(b"c", 2_001) == Reply(202, b"c")
