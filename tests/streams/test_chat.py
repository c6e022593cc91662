"""The chat: its store, its bounds, and what a page is told. The broker is a list."""

import asyncio
import base64
import json
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiohttp import ClientSession, ClientWebSocketResponse, WSMsgType, WSServerHandshakeError, web
from aiohttp.test_utils import TestServer

from models.brands import Account, Brand, ServiceLevel, Tenant
from models.posts import Post
from models.wire import ChatLine
from streams.connectors import chat as chats
from streams.connectors.base import Failed, NotThere, Sent
from streams.connectors.chat import Chat, ChatAnswers, Tokens, id_in, is_allowed_origin
from streams.connectors.chat_store import KEEP_MS, ChatStore, Conversation, new_id
from streams.connectors.metrics import Metrics
from streams.connectors.producing import BrokerAway, Record
from tests.streams.test_outbox import an_answer

NOW = 1_770_000_000_000
BRANDS = tuple(Brand(id=one, name=one.title(), service_level=ServiceLevel()) for one in ("bahn", "bus"))
ACCOUNT = Account("page", "chat", brand="bahn", text_max=100)
TENANT = Tenant("acme", "Acme", BRANDS, accounts=(ACCOUNT,))
HELLO = {"type": "chat_hello", "tenant": "acme", "brand_id": "bahn", "name": "Ada"}
TALK = Conversation("talk", "acme", "bahn", "Ada")


def a_line(line_id: str = "l1", by: Any = "customer", at: int = NOW, text: str = "Hallo") -> ChatLine:
    return ChatLine(id=line_id, at=at, by=by, text=text)


# -- the store ----------------------------------------------------------------------------------------------------


def test_a_line_stands_once_however_often_it_is_written(tmp_path: Path) -> None:
    store = ChatStore(tmp_path / "chat.sqlite")

    assert store.append(TALK, a_line()).is_new
    again = store.append(TALK, a_line(text="something else", at=NOW + 1))

    assert (again.is_new, again.line) == (False, a_line())
    assert store.append(TALK, a_line(by="brand")).is_new
    assert store.lines("talk") == (a_line(), a_line(by="brand"))
    assert store.find("talk") == TALK
    assert store.find("other") is None


def test_what_was_written_is_there_after_a_new_start(tmp_path: Path) -> None:
    store = ChatStore(tmp_path / "deep" / "chat.sqlite")
    store.append(TALK, a_line())
    store.close()

    assert ChatStore(tmp_path / "deep" / "chat.sqlite").lines("talk") == (a_line(),)
    assert (tmp_path / "deep" / "chat.sqlite").stat().st_mode & 0o077 == 0


def test_the_oldest_lines_and_conversations_leave_first(tmp_path: Path) -> None:
    store = ChatStore(tmp_path / "chat.sqlite", lines_max=3, conversations_max=2)
    for n in range(5):
        store.append(TALK, a_line(f"l{n}"))
    assert [line.id for line in store.lines("talk")] == ["l2", "l3", "l4"]

    store.append(Conversation("old", "acme", "bahn"), a_line(at=NOW - KEEP_MS - 1))
    for n in (1, 2):
        store.append(Conversation(f"new{n}", "acme", "bahn"), a_line(at=NOW + n))
    assert store.forget(NOW) == 2
    assert [name for name in ("old", "talk", "new1", "new2") if store.find(name)] == ["new1", "new2"]
    assert store.lines("talk") == ()


def test_ids_of_conversations_cannot_be_guessed() -> None:
    ids = {new_id() for _ in range(1_000)}

    assert len(ids) == 1_000
    assert all(len(one) == 32 for one in ids)


# -- rules --------------------------------------------------------------------------------------------------------


def test_five_lines_at_once_and_then_one_a_second() -> None:
    tokens = Tokens()

    assert [tokens.take(100.0) for _ in range(7)] == [0, 0, 0, 0, 0, 1, 2]
    assert [tokens.take(102.5), tokens.take(104.0)] == [0.5, 0]
    assert [tokens.take(1_000.0) for _ in range(6)] == [0, 0, 0, 0, 0, 1]


@pytest.mark.parametrize(
    ("origin", "host", "allowed"),
    [
        (None, "a:1", True),
        ("http://a:1", "a:1", True),
        ("https://A:1", "a:1", True),
        ("https://friend.example", "a:1", True),
        ("http://a:2", "a:1", False),
        ("http://evil", "a:1", False),
        ("null", "a:1", False),
        ("", "", False),
    ],
)
def test_only_our_own_pages_may_open_a_chat(origin: str | None, host: str, allowed: bool) -> None:
    assert is_allowed_origin(origin, host, {"https://friend.example"}) is allowed


@pytest.mark.parametrize(("frame", "found"), [('{"id": "a"}', "a"), ('{"id": 1}', ""), ("{", ""), ("\ud800", "")])
def test_a_refused_frame_is_named_by_its_id(frame: str, found: str) -> None:
    assert id_in(frame) == found


# -- sockets ------------------------------------------------------------------------------------------------------


class Room:
    """A chat server with a list for a broker."""

    def __init__(self, chat: Chat, root: str, session: ClientSession) -> None:
        self.chat, self.root, self.session = chat, root, session
        self.records: list[Record] = []
        self.away = False

    async def write(self, records: Sequence[Record]) -> None:
        if self.away:
            raise BrokerAway("gone fishing")
        self.records += records

    def posts(self) -> list[Post]:
        return [msgspec.json.decode(record.value, type=Post) for record in self.records]

    async def open(self, conversation: str = "") -> tuple[ClientWebSocketResponse, dict[str, Any]]:
        ws = await self.session.ws_connect(self.root + "/chat/ws")
        await ws.send_json(HELLO | {"conversation": conversation})
        return ws, await ws.receive_json()

    def answers(self) -> ChatAnswers:
        return ChatAnswers(ACCOUNT, self.chat.store, self.chat.rooms, lambda: NOW)


def in_a_room(folder: Path, test: Callable[[Room], Awaitable[None]]) -> None:
    async def main() -> None:
        async def write(records: Sequence[Record]) -> None:
            await room.write(records)

        chat = Chat([TENANT], ChatStore(folder / "chat.sqlite"), write, Metrics(), lambda: NOW)
        app = web.Application()
        app.router.add_get("/chat/ws", chat.handle)
        async with asyncio.timeout(30), TestServer(app) as server, ClientSession() as session:
            room = Room(chat, str(server.make_url("")).rstrip("/"), session)
            try:
                await test(room)
            finally:
                await chat.close()

    asyncio.run(main())


async def say(ws: ClientWebSocketResponse, line_id: str, text: str = "Hallo") -> Any:
    await ws.send_json({"type": "chat_say", "id": line_id, "text": text})
    return await ws.receive_json(timeout=5)


def test_a_line_that_the_broker_does_not_have_is_not_confirmed_and_not_kept(tmp_path: Path) -> None:
    async def test(room: Room) -> None:
        ws, welcome = await room.open()
        room.away = True
        assert (await say(ws, "l1"))["type"] == "chat_error"
        room.away = False
        assert await say(ws, "l1") == {"type": "chat_received", "id": "l1"}

        assert [line.id for line in room.chat.store.lines(welcome["conversation"])] == ["l1"]
        assert len(room.posts()) == 1

    in_a_room(tmp_path, test)


def test_a_line_sent_again_is_the_same_post_word_for_word(tmp_path: Path) -> None:
    async def test(room: Room) -> None:
        ws, _ = await room.open()
        for line_id, text in (("l1", "eins"), ("l2", "zwei"), ("l2", "changed")):
            assert (await say(ws, line_id, text))["type"] == "chat_received"

        posts = room.posts()
        assert posts[2] == posts[1]
        assert posts[1].data.parent_uri == posts[0].data.object_uri
        assert posts[0].data.parent_uri is None

    in_a_room(tmp_path, test)


def test_all_pages_of_a_conversation_see_its_lines(tmp_path: Path) -> None:
    async def test(room: Room) -> None:
        first, welcome = await room.open()
        await say(first, "l1")
        second, seen = await room.open(welcome["conversation"])
        assert seen["conversation"] == welcome["conversation"]
        await say(second, "l2", "von der zweiten")

        assert (await first.receive_json(timeout=5))["text"] == "von der zweiten"
        outcome = await room.answers().publish(
            an_answer(account_id="page", conversation_uri=f"chat:{welcome['conversation']}")
        )
        assert outcome == Sent(f"chat:{welcome['conversation']}/a1")
        for ws in (first, second):
            assert (await ws.receive_json(timeout=5))["by"] == "brand"

    in_a_room(tmp_path, test)


def test_an_answer_is_found_by_its_id(tmp_path: Path) -> None:
    async def test(room: Room) -> None:
        room.chat.store.append(TALK, a_line())
        answer, answers = an_answer(conversation_uri="chat:talk"), room.answers()

        assert await answers.lookup(answer) == NotThere()
        await answers.publish(answer)
        assert await answers.lookup(answer) == Sent("chat:talk/a1")
        await answers.publish(answer)
        assert [line.by for line in room.chat.store.lines("talk")] == ["customer", "brand"]

    in_a_room(tmp_path, test)


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"conversation_uri": "chat:none"}, "no_conversation"),
        ({"conversation_uri": "chat:talk", "tenant": "other"}, "no_conversation"),
        ({"conversation_uri": "chat:talk", "text": "x" * 101}, "too_long: 101 characters, at most 100"),
    ],
)
def test_an_answer_that_cannot_stand_fails(tmp_path: Path, fields: dict[str, str], code: str) -> None:
    async def test(room: Room) -> None:
        room.chat.store.append(TALK, a_line())

        assert await room.answers().publish(an_answer(**fields)) == Failed(code)

    in_a_room(tmp_path, test)


def test_an_unknown_conversation_begins_anew(tmp_path: Path) -> None:
    async def test(room: Room) -> None:
        room.chat.store.append(Conversation("bus-talk", "acme", "bus"), a_line())
        for wrong in ("guessed", "bus-talk"):
            _, welcome = await room.open(wrong)
            assert welcome["conversation"] != wrong
            assert welcome["lines"] == []

    in_a_room(tmp_path, test)


@pytest.mark.parametrize(
    "hello",
    [
        "{",
        '{"type": "hb"}',
        '{"type": "chat_say", "id": "a", "text": "b"}',
        json.dumps(HELLO | {"tenant": "other"}),
        json.dumps(HELLO | {"brand_id": "bus"}),
        json.dumps(HELLO | {"name": "x" * 81}),
    ],
)
def test_a_wrong_hello_ends_the_socket_with_a_reason(tmp_path: Path, hello: str) -> None:
    async def test(room: Room) -> None:
        ws = await room.session.ws_connect(room.root + "/chat/ws")
        await ws.send_str(hello)

        assert (await ws.receive_json(timeout=5))["type"] == "chat_error"
        message = await ws.receive(timeout=5)
        assert (message.type, message.data) == (WSMsgType.CLOSE, 1008)

    in_a_room(tmp_path, test)


def test_lines_have_their_bounds(tmp_path: Path) -> None:
    async def test(room: Room) -> None:
        ws, _ = await room.open()
        for line_id, text in (("a", ""), ("b", " \n"), ("c", "x" * 4_001)):
            refused = await say(ws, line_id, text)
            assert (refused["type"], refused["id"]) == ("chat_error", line_id)
        assert (await say(ws, "d", "x" * 4_000))["type"] == "chat_received"
        assert len(room.posts()) == 1

    in_a_room(tmp_path, test)


def test_lines_that_come_too_fast_wait_for_their_turn(tmp_path: Path) -> None:
    async def test(room: Room) -> None:
        ws, _ = await room.open()
        begun = time.monotonic()
        for n in range(7):
            await ws.send_json({"type": "chat_say", "id": f"l{n}", "text": "Hallo"})
        came = [(await ws.receive_json(timeout=5))["id"] for _ in range(7)]

        assert came == [f"l{n}" for n in range(7)]
        assert 1.9 < time.monotonic() - begun < 5

    in_a_room(tmp_path, test)


@pytest.mark.parametrize(
    ("send", "code"),
    [("bytes", 1003), ("long", 1009), ("bad", 1008)],
)
def test_a_page_that_does_not_keep_to_it_is_closed(tmp_path: Path, send: str, code: int) -> None:
    async def test(room: Room) -> None:
        ws, _ = await room.open()
        if send == "bytes":
            await ws.send_bytes(b"\0")
        elif send == "long":
            await ws.send_str("x" * 65_537)
        else:
            for _ in range(chats.BAD_FRAMES_MAX):
                await ws.send_str("{")
        message = await ws.receive(timeout=5)
        while message.type is WSMsgType.TEXT:
            message = await ws.receive(timeout=5)

        assert (message.type, message.data) == (WSMsgType.CLOSE, code)

    in_a_room(tmp_path, test)


def test_a_page_that_reads_nothing_is_told_to_come_again(tmp_path: Path) -> None:
    async def test(room: Room) -> None:
        ws, welcome = await room.open()
        for n in range(chats.QUEUE_MAX + 2):
            room.chat.rooms.tell(welcome["conversation"], a_line(f"l{n}"))
        message = await ws.receive(timeout=5)
        while message.type is WSMsgType.TEXT:
            message = await ws.receive(timeout=5)

        assert (message.type, message.data) == (WSMsgType.CLOSE, 1013)

    in_a_room(tmp_path, test)


def test_a_conversation_has_few_pages(tmp_path: Path) -> None:
    async def test(room: Room) -> None:
        ws, welcome = await room.open()
        await say(ws, "l1")
        pages = [await room.open(welcome["conversation"]) for _ in range(chats.SOCKETS_MAX - 1)]
        extra = await room.session.ws_connect(room.root + "/chat/ws")
        await extra.send_json(HELLO | {"conversation": welcome["conversation"]})

        message = await extra.receive(timeout=5)
        assert (message.type, message.data) == (WSMsgType.CLOSE, 1013)
        assert not any(page.closed for page, _ in pages)

    in_a_room(tmp_path, test)


def test_a_strangers_page_and_a_plain_get_are_refused(tmp_path: Path) -> None:
    async def test(room: Room) -> None:
        with pytest.raises(WSServerHandshakeError) as caught:
            await room.session.ws_connect(room.root + "/chat/ws", headers={"Origin": "https://evil.example"})
        assert caught.value.status == 403
        async with room.session.get(room.root + "/chat/ws") as response:
            assert (response.status, (await response.json())["error"]) == (400, "no_websocket")

    in_a_room(tmp_path, test)


def test_a_page_that_answers_no_ping_is_closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chats, "PING_EVERY_S", 0.2)

    async def test(room: Room) -> None:
        host, port = room.root.removeprefix("http://").split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        lines = [
            "GET /chat/ws HTTP/1.1",
            f"Host: {host}:{port}",
            "Upgrade: websocket",
            "Connection: Upgrade",
            "Sec-WebSocket-Version: 13",
            f"Sec-WebSocket-Key: {base64.b64encode(bytes(16)).decode()}",
        ]
        writer.write(("\r\n".join(lines) + "\r\n\r\n").encode())
        assert b" 101 " in await reader.readline()
        hello = json.dumps(HELLO).encode()
        # A text frame, masked with zeros.
        writer.write(b"\x81" + bytes([0x80 | len(hello)]) + bytes(4) + hello)
        heard = await asyncio.wait_for(reader.read(-1), 5)
        writer.close()

        assert b"chat_welcome" in heard

    in_a_room(tmp_path, test)
