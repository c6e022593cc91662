"""Worker, gateway and connect on a broker that asks for TLS and a password, started as an operator starts them."""

import asyncio
import base64
import json
import secrets
import ssl
import time
import uuid
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pytest
from aiohttp import ClientSession
from msgspec import Struct

from models.errors import Misconfigured
from streams.gateway.auth import issue
from streams.knock import knock
from tests.certificates import make_sasl_ssl
from tests.conftest import SecuredBroker
from tests.e2e.apart import Apart, said_at_its_end
from tests.e2e.callback import Callback, listening
from tests.e2e.desks import Desk, Effects
from tests.e2e.sender import sign

PROCESSES = ("worker", "gateway", "connect")
ENDS_WITHIN_S = 25.0
CONFIGURATION = """
[[tenant]]
id = "alster"
name = "Alster"

[[tenant.account]]
id = "bridge"
connector = "webhook"
callback = "{callback}/alster/bridge"
secret_env = "ZURUF_TEST_SECRET"

[[tenant.brand]]
id = "fennkom"
name = "Fennkom"
handles = ["fennkom"]

[tenant.brand.service_level]

[[tenant.rep]]
id = "anna"
name = "Anna"
"""


def configure(folder: Path, callback: str = "http://127.0.0.1:1") -> Path:
    file = folder / "zuruf.toml"
    file.write_text(CONFIGURATION.format(callback=callback), encoding="utf-8")
    return file


def environment(secured: SecuredBroker, folder: Path, **changes: str) -> dict[str, str]:
    """What an operator sets."""
    return {
        "ZURUF_BROKER": f"kafka://{secured.bootstrap}",
        "ZURUF_BROKER_CA": str(secured.sasl.ca_file),
        "ZURUF_BROKER_SASL": "PLAIN",
        "ZURUF_BROKER_USER": secured.sasl.user,
        "ZURUF_BROKER_PASSWORD": secured.sasl.password,
        "ZURUF_SECRET": "a secret for tests, long enough to be one",
        "ZURUF_TEST_SECRET": "whsec_" + base64.b64encode(b"a secret of some length").decode(),
        "ZURUF_DATA": str(folder / "data"),
        **changes,
    }


class Facts(Struct, frozen=True):
    """Where the three are found, and what happened there."""

    effects: Effects
    callback: Callback
    post_id: str


async def one_post(folder: Path, secured: SecuredBroker) -> Facts:
    """Start the three, let a post in, and wait until its answer is at the callback."""
    given = environment(secured, folder)
    async with listening({"bridge": given["ZURUF_TEST_SECRET"]}) as callback:
        file = configure(folder, callback.address)
        running = [Apart("worker", file, given, "--partitions", "4"), Apart("connect", file, given)]
        try:
            # The worker makes the topics, which a gateway reads.
            await asyncio.to_thread(running[0].facts)
            running.append(Apart("gateway", file, given))
            places = [await asyncio.to_thread(one.facts) for one in running[1:]]
            effects = Effects()
            post_id = await answered(places[0]["http"], places[1]["desk"], given, callback, effects)
        finally:
            statuses = {one.name: (await asyncio.to_thread(one.end), one.log.read_text()) for one in reversed(running)}
    assert {name: found for name, found in statuses.items() if found[0]} == {}
    return Facts(effects, callback, post_id)


async def answered(connect: str, desk: str, given: dict[str, str], callback: Callback, effects: Effects) -> str:
    """Let a post in and wait for its answer; return its id."""
    token = partial(token_of, given["ZURUF_SECRET"])
    sitting = asyncio.create_task(Desk(desk, "alster", "anna", token, effects).run())
    try:
        async with ClientSession() as session:
            post_id = await post(session, connect, base64.b64decode(given["ZURUF_TEST_SECRET"].removeprefix("whsec_")))
            async with asyncio.timeout(60):
                while not callback.arrivals:  # noqa: ASYNC110  # the server keeps a list
                    await asyncio.sleep(0.05)
    finally:
        sitting.cancel()
    return post_id


def token_of(secret: str) -> str:
    return issue(secret, tenant="alster", subject="anna", role="rep", now=time.time_ns() // 1_000_000)


async def post(session: ClientSession, connect: str, secret: bytes) -> str:
    name, stamp = uuid.uuid4().hex, str(int(time.time()))
    data = {"tenant": "alster", "platform": "x", "account_id": "bridge", "object_uri": f"urn:secured:{name}"}
    data["text"] = "@fennkom mein Internet geht seit gestern nicht, was soll ich tun?"
    event = {"specversion": "1.0", "id": name, "source": "/secured", "type": "zuruf.post.created", "data": data}
    body = json.dumps(event | {"time": datetime.now(UTC).isoformat()}).encode()
    headers = {"webhook-id": name, "webhook-timestamp": stamp, "webhook-signature": sign(secret, name, stamp, body)}
    headers["content-type"] = "application/cloudevents+json"
    async with session.post(f"{connect}/webhook/alster/bridge", data=body, headers=headers) as answer:
        assert answer.status == 202, await answer.text()
    return name


def test_a_post_becomes_a_case_and_its_answer_arrives_over_tls_with_a_password(
    kafka_tls: SecuredBroker, tmp_path: Path
) -> None:
    found = asyncio.run(one_post(tmp_path, kafka_tls))
    assert [shown.rep_id for shown in found.effects.shown] == ["anna"]
    assert found.effects.violations == []
    arrival = found.callback.arrivals[0]
    assert arrival.signed
    assert arrival.event["data"]["in_reply_to"] == f"urn:secured:{found.post_id}"


def refused(process: str, folder: Path, given: dict[str, str]) -> str:
    """Return the one line that a process says before it ends as misconfigured."""
    status, said, took_s = said_at_its_end(process, configure(folder), given, ENDS_WITHIN_S)
    assert (status, len(said.splitlines())) == (2, 1), said
    assert took_s < ENDS_WITHIN_S / 2
    assert given["ZURUF_BROKER_PASSWORD"] not in said
    return said


@pytest.mark.parametrize("process", PROCESSES)
def test_a_wrong_password_ends_a_process_with_one_line_that_names_it(
    kafka_tls: SecuredBroker, tmp_path: Path, process: str
) -> None:
    given = environment(kafka_tls, tmp_path, ZURUF_BROKER_PASSWORD=secrets.token_urlsafe(24))
    said = refused(process, tmp_path, given)
    assert "ZURUF_BROKER_PASSWORD" in said
    assert f"{kafka_tls.bootstrap} refuses them" in said


@pytest.mark.parametrize("process", PROCESSES)
def test_a_broker_that_another_authority_signed_is_not_spoken_to(
    kafka_tls: SecuredBroker, tmp_path: Path, process: str
) -> None:
    other = make_sasl_ssl(tmp_path).ca_file
    said = refused(process, tmp_path, environment(kafka_tls, tmp_path, ZURUF_BROKER_CA=str(other)))
    assert "ZURUF_BROKER_CA" in said
    assert "not to be trusted" in said


def test_a_way_to_sign_in_that_the_broker_does_not_have_is_named(kafka_tls: SecuredBroker, tmp_path: Path) -> None:
    given = environment(kafka_tls, tmp_path, ZURUF_BROKER_SASL="SCRAM-SHA-512")
    assert "ZURUF_BROKER_SASL" in refused("connect", tmp_path, given)


def test_tls_with_what_does_not_speak_it_is_named() -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await writer.drain()

    async def ask() -> None:
        async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
            address = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
            options = {"security_protocol": "SSL", "ssl_context": ssl.create_default_context()}
            await knock([address], options)

    with pytest.raises(Misconfigured, match=r"ZURUF_BROKER_TLS: no TLS with the broker at 127\.0\.0\.1:"):
        asyncio.run(ask())


def test_a_broker_that_is_away_is_no_fault_of_the_settings() -> None:
    options = {"security_protocol": "SSL", "ssl_context": ssl.create_default_context()}
    asyncio.run(knock(["127.0.0.1:1", "[::1]:1"], options))
