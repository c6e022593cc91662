"""
The brand's own chat page: a customer's lines become posts, answers become lines on the page.

A line is confirmed when the broker has it. A line sent again is confirmed again, and produced again with the same id, which
dispatch drops; an answer is appended once, by its id.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import Final
from urllib.parse import urlsplit

import msgspec
from aiohttp import WSCloseCode, WSMsgType, web
from msgspec import Struct

from models.brands import Account, Brand, Tenant, brand_of
from models.errors import BadEvent
from models.posts import Author, Post, PostData, key_of
from models.records import Answer
from models.wire import (
    ChatClientFrame,
    ChatError,
    ChatHello,
    ChatLine,
    ChatReceived,
    ChatSay,
    ChatServerFrame,
    ChatWelcome,
    Heartbeat,
)
from streams import topics
from streams.codec import Decoder, encode
from streams.connectors.base import Capabilities, Failed, Found, NotThere, Outcome, Sent, refused_for_length
from streams.connectors.chat_store import ChatStore, Conversation, new_id
from streams.connectors.metrics import Metrics
from streams.connectors.producing import BrokerAway, Record, Write

CONNECTIONS_MAX: Final = 1_000  # About 100 KB each with its buffers.
SOCKETS_MAX: Final = 8  # Of one conversation: a customer has a few tabs.
FRAME_BYTES_MAX: Final = 64 * 1024
HELLO_WAIT_S: Final = 5.0
PING_EVERY_S: Final = 20.0
QUEUE_MAX: Final = 64  # Frames that wait for a socket; a page that does not read them begins anew.
LINES_PER_S: Final = 1.0
BURST: Final = 5
BAD_FRAMES_MAX: Final = 20
PREFIX: Final = "chat:"

_log = logging.getLogger(__name__)


# -- what needs no socket -------------------------------------------------------------------------------------------


class Tokens:
    """A bucket: so many at once, then so many a second."""

    def __init__(self, burst: int = BURST, per_s: float = LINES_PER_S) -> None:
        self._burst, self._per_s = burst, per_s
        self._left = float(burst)
        self._at = 0.0

    def take(self, now_s: float) -> float:
        """Take one, in advance if there is none, and return the seconds until it may be used."""
        self._left = min(self._burst, self._left + max(0.0, now_s - self._at) * self._per_s) - 1
        self._at = now_s
        return max(0.0, -self._left / self._per_s)


class ChatDoor(Struct, frozen=True):
    """A brand's chat."""

    tenant: str
    brand: Brand
    account: Account


def chats_of(tenants: Sequence[Tenant]) -> dict[tuple[str, str], ChatDoor]:
    """Return the chats by tenant and brand id."""
    return {
        (tenant.id, account.brand): ChatDoor(tenant.id, brand, account)
        for tenant in tenants
        for account in tenant.accounts
        if account.connector == "chat" and (brand := brand_of(tenant, account.brand)) is not None
    }


def uri_of(conversation_id: str, line_id: str = "") -> str:
    """Return the uri of a conversation, or of one of its lines."""
    return f"{PREFIX}{conversation_id}/{line_id}" if line_id else f"{PREFIX}{conversation_id}"


def post_of(door: ChatDoor, conversation: Conversation, line: ChatLine, last: ChatLine | None) -> Post:
    """
    Return a customer's line as a post; its id is the same whenever the line is sent.

    Args:
        door: The chat it was written in.
        conversation: Whose line it is.
        line: With the time of its arrival.
        last: The line before it, of either side.
    """
    uri = uri_of(conversation.id, line.id)
    data = PostData(
        tenant=door.tenant,
        platform="chat",
        account_id=door.account.id,
        object_uri=uri,
        text=line.text,
        brand=door.brand.id,
        kind="chat",
        visibility="private",
        author=Author(uri=uri_of(conversation.id), native_id=conversation.id, name=conversation.name),
        created_at=line.at,
        received_at=line.at,
        conversation_uri=uri_of(conversation.id),
        parent_uri=uri_of(conversation.id, last.id) if last else None,
        addressed="direct",
        can_reply_public=False,
        can_reply_private=True,
    )
    return Post(
        specversion="1.0",
        id=uri,
        source=f"/{door.tenant}/{door.brand.id}/chat/{door.account.id}",
        type="zuruf.post.created",
        time=datetime.fromtimestamp(line.at / 1000, UTC),
        data=data,
    )


def is_allowed_origin(origin: str | None, host: str, allowed: Collection[str]) -> bool:
    """
    Return whether a page may open a chat.

    Args:
        origin: The browser's header; None: no browser, so no visitor's rights can be borrowed.
        host: The Host header: a page of this server may always.
        allowed: Origins of other sites that show the chat, as in ``https://example.org``.
    """
    if origin is None or origin in allowed:
        return True
    return bool(host) and urlsplit(origin).netloc.casefold() == host.casefold()


_frames: Final[Decoder[ChatClientFrame]] = Decoder(ChatClientFrame, "frame")


class _OnlyId(Struct):
    id: str = ""


def id_in(frame: str) -> str:
    """Return the id in a frame that was refused, as far as it has one, so that the page knows which line it was."""
    try:
        return msgspec.json.decode(frame.encode(errors="replace"), type=_OnlyId).id[:256]
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return ""


# -- sockets --------------------------------------------------------------------------------------------------------


class Socket:
    """One open page: frames for it wait in a bounded queue, so that a slow page holds nobody up."""

    def __init__(self, ws: web.WebSocketResponse) -> None:
        self.ws = ws
        self._frames: deque[bytes] = deque()
        self._filled = asyncio.Event()
        self.overflowed = False

    def put(self, frame: ChatServerFrame) -> None:
        """Queue a frame; a page that does not read is told to come again."""
        if len(self._frames) >= QUEUE_MAX:
            self.overflowed = True
        else:
            self._frames.append(encode(frame))
        self._filled.set()

    async def pump(self) -> None:
        """Send what is queued, until the socket ends or the queue overflows."""
        while not self.ws.closed:
            await self._filled.wait()
            self._filled.clear()
            while self._frames and not self.overflowed:
                await self.ws.send_frame(self._frames.popleft(), WSMsgType.TEXT)
            if self.overflowed:
                await self.ws.close(code=WSCloseCode.TRY_AGAIN_LATER, message=b"too many lines unread")


class Room:
    """The open pages of one conversation; it is there while one is."""

    def __init__(self) -> None:
        self.sockets: set[Socket] = set()
        self.tokens = Tokens()
        self.order = asyncio.Lock()
        """Lines of a conversation are produced one after the other, whichever page they come from."""


class Rooms:
    """Rooms by conversation id."""

    def __init__(self) -> None:
        self._rooms: dict[str, Room] = {}

    @contextmanager
    def joined(self, conversation_id: str, socket: Socket) -> Iterator[Room]:
        """Let a socket hear a conversation."""
        room = self._rooms.setdefault(conversation_id, Room())
        room.sockets.add(socket)
        try:
            yield room
        finally:
            room.sockets.discard(socket)
            if not room.sockets:
                self._rooms.pop(conversation_id, None)

    def is_full(self, conversation_id: str) -> bool:
        """Return whether a conversation has as many pages open as it may."""
        room = self._rooms.get(conversation_id)
        return room is not None and len(room.sockets) >= SOCKETS_MAX

    def tell(self, conversation_id: str, line: ChatLine, but: Socket | None = None) -> None:
        """Queue a line for every page of a conversation, except the one it came from."""
        room = self._rooms.get(conversation_id)
        for socket in room.sockets if room else ():
            if socket is not but:
                socket.put(line)


class Chat:
    """All chats of the process: the websocket and the list of brands."""

    def __init__(
        self,
        tenants: Sequence[Tenant],
        store: ChatStore,
        write: Write,
        metrics: Metrics,
        clock: Callable[[], int],
        origins: Collection[str] = (),
    ) -> None:
        """
        Make one without sockets.

        Args:
            tenants: With their accounts.
            store: Where conversations lie.
            write: Returns when the broker has the records.
            metrics: Where connections are counted.
            clock: Unix ms.
            origins: Other sites that may show the chat.
        """
        self.store, self.rooms = store, Rooms()
        self._doors = chats_of(tenants)
        self._write, self._metrics, self._clock, self._origins = write, metrics, clock, frozenset(origins)
        self._open: set[web.WebSocketResponse] = set()
        self._closing = False

    async def brands(self, request: web.Request) -> web.Response:
        """Answer ``GET /api/chat/brands``: whom one can chat with."""
        rows = [
            {"tenant": door.tenant, "brand_id": door.brand.id, "name": door.brand.name} for door in self._doors.values()
        ]
        return web.Response(body=encode(rows), content_type="application/json")

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Serve one socket from its hello to its end."""
        if not is_allowed_origin(request.headers.get("Origin"), request.host, self._origins):
            return self._refused(403, "origin", "this page may not open a chat here")
        if self._closing or len(self._open) >= CONNECTIONS_MAX:
            return self._refused(503, "too_many", f"{CONNECTIONS_MAX} chats are open already")
        ws = web.WebSocketResponse(heartbeat=PING_EVERY_S, max_msg_size=FRAME_BYTES_MAX, compress=False)
        if not ws.can_prepare(request).ok:
            return self._refused(400, "no_websocket", "a websocket was meant")
        self._open.add(ws)
        self._metrics.chats.set(len(self._open))
        try:
            await ws.prepare(request)
            await self._serve(ws)
        except ConnectionError:
            # The page went away while we wrote to it.
            _log.debug("chat socket lost")
        finally:
            self._open.discard(ws)
            self._metrics.chats.set(len(self._open))
        return ws

    def _refused(self, status: int, code: str, reason: str) -> web.Response:
        self._metrics.chat_refused.labels(code).inc()
        body = encode({"error": code, "reason": reason})
        return web.Response(status=status, body=body, content_type="application/json")

    async def _serve(self, ws: web.WebSocketResponse) -> None:
        met = await self._meet(ws)
        if met is None:
            return
        door, conversation = met
        if self.rooms.is_full(conversation.id):
            await ws.close(code=WSCloseCode.TRY_AGAIN_LATER, message=b"this conversation has too many pages open")
            return
        socket = Socket(ws)
        # In the room before the lines are read: what is said meanwhile is heard twice rather than never.
        with self.rooms.joined(conversation.id, socket) as room:
            lines = await asyncio.to_thread(self.store.lines, conversation.id)
            await ws.send_frame(encode(ChatWelcome(conversation.id, door.brand.name, lines)), WSMsgType.TEXT)
            pump = asyncio.create_task(socket.pump())
            try:
                await self._listen(socket, room, door, conversation)
            finally:
                pump.cancel()
                with suppress(asyncio.CancelledError, ConnectionError):
                    await pump

    async def _meet(self, ws: web.WebSocketResponse) -> tuple[ChatDoor, Conversation] | None:
        """Read the hello; None if the socket was closed for want of one."""
        try:
            message = await ws.receive(timeout=HELLO_WAIT_S)
        except TimeoutError:
            await ws.close(code=WSCloseCode.POLICY_VIOLATION, message=b"no hello came")
            return None
        if message.type is not WSMsgType.TEXT:
            await ws.close(code=WSCloseCode.UNSUPPORTED_DATA, message=b"a hello as text was meant")
            return None
        try:
            hello = _frames.decode(message.data.encode())
        except (BadEvent, UnicodeEncodeError) as error:
            await self._dismiss(ws, str(error))
            return None
        if not isinstance(hello, ChatHello):
            await self._dismiss(ws, "a chat_hello was meant first")
            return None
        door = self._doors.get((hello.tenant, hello.brand_id))
        if door is None:
            await self._dismiss(ws, "there is no such chat")
            return None
        return door, await self._conversation(door, hello)

    async def _dismiss(self, ws: web.WebSocketResponse, reason: str) -> None:
        self._metrics.chat_refused.labels("hello").inc()
        await ws.send_frame(encode(ChatError("", reason[:300])), WSMsgType.TEXT)
        await ws.close(code=WSCloseCode.POLICY_VIOLATION, message=b"no such hello")

    async def _conversation(self, door: ChatDoor, hello: ChatHello) -> Conversation:
        """Return the earlier conversation, if it is one of this chat; else a new one, stored with its first line."""
        if hello.conversation:
            known = await asyncio.to_thread(self.store.find, hello.conversation)
            if known is not None and (known.tenant, known.brand_id) == (door.tenant, door.brand.id):
                return known
        return Conversation(new_id(), door.tenant, door.brand.id, " ".join(hello.name.split()))

    async def _listen(self, socket: Socket, room: Room, door: ChatDoor, conversation: Conversation) -> None:
        bad = 0
        async for message in socket.ws:
            if message.type is not WSMsgType.TEXT:
                await socket.ws.close(code=WSCloseCode.UNSUPPORTED_DATA, message=b"text was meant")
                return
            try:
                frame = _frames.decode(message.data.encode())
            except (BadEvent, UnicodeEncodeError) as error:
                bad += 1
                self._no(socket, "bad_frame", id_in(message.data), str(error)[:300])
                if bad >= BAD_FRAMES_MAX:
                    await socket.ws.close(code=WSCloseCode.POLICY_VIOLATION, message=b"too many bad frames")
                    return
                continue
            await self._act(frame, socket, room, door, conversation)

    async def _act(
        self, frame: ChatClientFrame, socket: Socket, room: Room, door: ChatDoor, conversation: Conversation
    ) -> None:
        match frame:
            case ChatHello():
                self._no(socket, "hello", "", "a hello came twice")
            case Heartbeat():
                socket.put(Heartbeat(self._clock()))
            case ChatSay(id, text):
                if not text.strip():
                    self._no(socket, "empty", id, "the line is empty")
                else:
                    await self._await_turn(room)
                    async with room.order:
                        await self._say(frame, socket, door, conversation)

    async def _await_turn(self, room: Room) -> None:
        """Read no further until the conversation may have another line: after an outage a page sends many at once."""
        await asyncio.sleep(room.tokens.take(asyncio.get_running_loop().time()))

    def _no(self, socket: Socket, code: str, line_id: str, message: str) -> None:
        self._metrics.chat_refused.labels(code).inc()
        socket.put(ChatError(line_id, message))

    async def _say(self, say: ChatSay, socket: Socket, door: ChatDoor, conversation: Conversation) -> None:
        """Produce a line, store it, confirm it, show it to the conversation's other pages."""
        line = ChatLine(id=say.id, at=self._clock(), by="customer", text=say.text)
        lines = await asyncio.to_thread(self.store.lines, conversation.id)
        # Sent again, it has the same text and the same line before it.
        at = next((n for n, one in enumerate(lines) if (one.by, one.id) == ("customer", say.id)), len(lines))
        said = lines[at] if at < len(lines) else line
        post = post_of(door, conversation, said, lines[at - 1] if at else None)
        try:
            await self._write([Record(topics.POSTS.name, key_of(post.data), encode(post))])
        except BrokerAway:
            self._no(socket, "broker_away", say.id, "not received: please send it again in a moment")
            return
        appended = await asyncio.to_thread(self.store.append, conversation, said)
        if appended.is_new:
            self._metrics.posts.labels(door.tenant, "chat").inc()
            self.rooms.tell(conversation.id, appended.line, but=socket)
        socket.put(ChatReceived(say.id))

    async def close(self) -> None:
        """Close all sockets; pages come again by themselves."""
        self._closing = True
        message = b"the server ends"
        closing = [ws.close(code=WSCloseCode.GOING_AWAY, message=message) for ws in list(self._open)]
        await asyncio.gather(*closing, return_exceptions=True)


class ChatAnswers:
    """The chat's way out: an answer becomes a line of its conversation."""

    def __init__(self, account: Account, store: ChatStore, rooms: Rooms, clock: Callable[[], int]) -> None:
        """
        Keep what is needed.

        Args:
            account: With its bound on answers.
            store: Where conversations lie.
            rooms: The pages that are open.
            clock: Unix ms.
        """
        self._account, self._store, self._rooms, self._clock = account, store, rooms, clock

    def capabilities(self) -> Capabilities:
        """Return the account's bound; a line's id makes repeats harmless."""
        return Capabilities(text_max=self._account.text_max, idempotent=True)

    async def publish(self, answer: Answer) -> Outcome:
        """Append the answer as the brand's line, once, and show it to the pages that are open."""
        if (too_long := refused_for_length(answer, self.capabilities())) is not None:
            return too_long
        conversation = await self._conversation(answer)
        if conversation is None:
            return Failed("no_conversation")
        line = ChatLine(id=answer.answer_id, at=self._clock(), by="brand", text=answer.text)
        appended = await asyncio.to_thread(self._store.append, conversation, line)
        self._rooms.tell(conversation.id, appended.line)
        return Sent(uri_of(conversation.id, answer.answer_id))

    async def lookup(self, answer: Answer) -> Found:
        """Look for the line."""
        conversation = await self._conversation(answer)
        if conversation is None:
            return NotThere()
        found = await asyncio.to_thread(self._store.line, conversation.id, "brand", answer.answer_id)
        return NotThere() if found is None else Sent(uri_of(conversation.id, answer.answer_id))

    async def _conversation(self, answer: Answer) -> Conversation | None:
        """Return the answer's conversation, if it is the tenant's."""
        conversation_id = answer.conversation_uri.removeprefix(PREFIX)
        found = await asyncio.to_thread(self._store.find, conversation_id)
        return found if found is not None and found.tenant == answer.tenant else None

    async def close(self) -> None:
        """Hold nothing: the store is not ours."""
