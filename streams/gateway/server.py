"""
The gateway: desks and boards on one side, the broker on the other, and nothing in between that could be lost.

It holds sockets and rings; both may vanish at any time. Every write is synchronous and looks at the socket's buffer first: a
client that does not read is cut, and nobody waits for it. ``ws.send()`` and ``ws.close()`` would wait for it, and websockets'
own keepalive stops watching it once its buffer is full.
"""

import asyncio
import contextlib
import logging
import random
import secrets
import socket as sockets
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence
from functools import partial
from http import HTTPStatus
from typing import Any, Final, TypeVar

import msgspec
from msgspec import Struct
from websockets.asyncio.server import Server, ServerConnection, broadcast, serve
from websockets.datastructures import Headers, MultipleValuesError
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response
from websockets.typing import Subprotocol

from models.brands import Tenant, rep_of
from models.errors import BadEvent, Misconfigured
from models.pages import Page
from models.records import DeskDown, DeskUp, GatewayBeat, Resync
from models.reps import targets_of
from models.wire import (
    SUBPROTOCOL,
    VERSION,
    DeskEventRaw,
    GoingAway,
    Heartbeat,
    Hello,
    Subscribe,
    Welcome,
)
from streams import topics
from streams.codec import Decoder, encode
from streams.gateway.auth import Claims, Unauthorized, verify
from streams.gateway.boards import BoardHead, Boards, Watcher
from streams.gateway.http import Answer, Door, is_welcome
from streams.gateway.line import Limits, Line, Socket
from streams.gateway.link import Reader, Unavailable, Work, last_records, since
from streams.gateway.metrics import Metrics
from streams.gateway.session import Drop, Refused, Send, Session, Sessions, decode, is_for, refusal, to_record
from streams.settings import Settings, client_options, is_loopback

log = logging.getLogger("zuruf.gateway")
T = TypeVar("T")

DESK: Final = "/desk"
BOARD: Final = "/board"


class Addresses(Struct, frozen=True):
    """Where a gateway listens."""

    host: str
    port: int

    @property
    def http(self) -> str:
        """Address of the pages, without a slash at its end."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}"

    @property
    def desk(self) -> str:
        """Address of the desks' websocket."""
        return f"ws{self.http[4:]}{DESK}"

    @property
    def board(self) -> str:
        """Address of the boards' websocket."""
        return f"ws{self.http[4:]}{BOARD}"


class Gateway:
    """All that one gateway process holds."""

    def __init__(self, settings: Settings, limits: Limits, pages: Callable[[str], Page | None]) -> None:
        self.name = f"gateway-{secrets.token_hex(6)}"  # New at each start: an earlier one's desks must lapse.
        self.limits = limits
        self.metrics = Metrics()
        self.tenants = {tenant.id: tenant for tenant in settings.tenants}
        self.sessions = Sessions(self.tenants)
        self.boards = Boards({tenant.id: [brand.id for brand in tenant.brands] for tenant in settings.tenants})
        self.lines: dict[str, Line] = {}
        self.watching: dict[Watcher, Line] = {}
        self.by_session: dict[Session, Line] = {}
        self.downs: dict[str, DeskDown] = {}
        self.stopping = False
        self.unknown = 0
        self.addresses: Counter[str] = Counter()
        self.loop = asyncio.get_running_loop()
        self.secret = settings.secret.reveal()
        self.here_only = is_loopback(settings.gateway_host)
        self.tasks: set[asyncio.Task[None]] = set()
        options = client_options(settings)
        self.work = Work(settings.broker, options)
        self.desk_reader = Reader(
            self.work,
            settings.broker,
            options,
            topics.DESK_EVENTS.name,
            partial(since, ago_ms=5 * topics.MINUTE_MS),
            self.on_desk_event,
            self.on_desk_reset,
        )
        self.board_reader = Reader(
            self.work,
            settings.broker,
            options,
            topics.BOARDS.name,
            partial(last_records, count=400),  # Each brand writes once a second: minutes, even of many brands.
            self.on_board_frame,
            lambda: self.metrics.restarts.labels(topics.BOARDS.name).inc(),
        )
        self.door = Door(settings, pages, ready=self.is_ready, figures=self.figures, seated=self.sessions.seated)
        self._event: Decoder[DeskEventRaw] = Decoder(DeskEventRaw, topics.DESK_EVENTS.name)
        self._board: Decoder[BoardHead] = Decoder(BoardHead, topics.BOARDS.name)
        self._unflushed: set[Watcher] = set()
        self._flusher: asyncio.TimerHandle | None = None

    # -- health

    def is_ready(self) -> bool:
        """Return whether a desk that comes now would be served."""
        open_to_all = not self.stopping and len(self.downs) < self.limits.downs
        return open_to_all and self.desk_reader.caught_up.is_set() and not self.work.failing

    def figures(self) -> bytes:
        """Return all figures as Prometheus reads them."""
        self.metrics.ready.set(self.is_ready())
        roles = Counter(line.claims.role for line in self.lines.values())
        for role in ("rep", "supervisor"):
            self.metrics.connections.labels(role).set(roles[role])
        return self.metrics.text()

    # -- the door

    def on_request(self, socket: ServerConnection, request: Request) -> Response | None:
        """Answer a plain GET, or let an upgrade pass."""
        try:
            return self._on_request(socket, request)
        except MultipleValuesError as error:
            return socket.respond(400, f"{error} stands more than once\n")

    def _on_request(self, socket: ServerConnection, request: Request) -> Response | None:
        if request.method != "GET":
            response = socket.respond(405, "Only GET is answered here.\n")
            response.headers["Allow"] = "GET"
            return response
        if "websocket" not in request.headers.get("Upgrade", "").lower():
            return _response(self.door.get(request.path, request.headers, _now()))
        if request.path.partition("?")[0] not in (DESK, BOARD):
            return socket.respond(404, "Websockets are at /desk and /board.\n")
        if not is_welcome(request.headers, self.limits.origins, none_allowed=self.here_only):
            log.warning("origin refused: %.100r from %s", request.headers.get("Origin"), _address(socket))
            return socket.respond(403, "Pages of this origin may not connect.\n")
        if self._is_full(_address(socket)) or not self.is_ready():
            response = socket.respond(503, "Come back in a second.\n")
            response.headers["Retry-After"] = "1"
            return response
        return None

    def _is_full(self, address: str) -> bool:
        many = len(self.lines) + self.unknown >= self.limits.connections or self.unknown >= self.limits.unknown
        return many or (not is_loopback(address) and self.addresses[address] >= self.limits.per_address)

    async def serve_socket(self, socket: ServerConnection) -> None:
        """Serve one connection from its first frame to its end."""
        assert isinstance(socket, Socket)
        address = _address(socket)
        self.addresses[address] += 1
        try:
            greeted = await self._greet(socket)
            if greeted is not None:
                await self._attend(self._line(socket, greeted.claims), greeted.hello)
        except ConnectionClosed:
            pass  # However it ended: what follows from it is done below.
        except Exception:
            log.exception("a connection met a bug")
            await self._close(socket, 1011, "internal error")
        finally:
            self.addresses[address] -= 1
            if not self.addresses[address]:
                del self.addresses[address]

    async def _greet(self, socket: Socket) -> "_Greeted | None":
        """Read the hello; return it, or None if the connection had to be closed."""
        self.unknown += 1
        try:
            outcome = await self._hello(socket)
        finally:
            self.unknown -= 1
        if isinstance(outcome, _Greeted):
            return outcome
        code, reason = outcome
        log.warning("hello refused: %d %s, from %s", code, reason, _address(socket))
        await self._close(socket, code, reason)
        return None

    async def _hello(self, socket: Socket) -> "_Greeted | tuple[int, str]":
        if socket.subprotocol != SUBPROTOCOL:
            return 4406, f"the subprotocol {SUBPROTOCOL} was meant"
        try:
            async with asyncio.timeout(self.limits.hello_s):
                data = await socket.recv()
        except TimeoutError:
            return 4108, "no hello"
        if not isinstance(data, str):
            return 1003, "text was meant"
        hello = decode(data)
        self.metrics.came("hello" if isinstance(hello, Hello) else "other")
        if not isinstance(hello, Hello):
            return 4400, "a hello was meant"
        if hello.v != VERSION:
            return 4406, f"version {VERSION} was meant"
        return self._admitted(socket, hello)

    def _admitted(self, socket: Socket, hello: Hello) -> "_Greeted | tuple[int, str]":
        try:
            claims = verify(hello.token, self.secret, _now())
        except Unauthorized as error:
            return 4401, str(error)
        if claims.tenant not in self.tenants:
            return 4403, "unknown tenant"
        if _path(socket) == BOARD and claims.role != "supervisor":
            return 4403, "a supervisor was meant"
        return _Greeted(hello, claims)

    def _line(self, socket: Socket, claims: Claims) -> Line:
        connection = secrets.token_hex(8)
        if _path(socket) == DESK:
            session = Session(claims.tenant, claims.subject, connection, claims.role, claims.brands)
            return Line(socket, claims, session, connection, self.limits)
        allowed = frozenset(_brands(self.tenants[claims.tenant], claims))
        return Line(socket, claims, Watcher(claims.tenant, allowed), connection, self.limits)

    async def _attend(self, line: Line, hello: Hello) -> None:
        """Serve a client from its welcome to its end."""
        self.lines[line.connection] = line
        try:
            if isinstance(line.place, Watcher):
                self._open_board(line, line.place)
            else:
                self._open_desk(line, line.place, hello)
            await self._converse(line)
        finally:
            self._forget(line)

    def _open_board(self, line: Line, watcher: Watcher) -> None:
        self.boards.join(watcher)
        self.watching[watcher] = line
        self._push(line, encode(self._welcome(line, resumed=False)))

    def _open_desk(self, line: Line, session: Session, hello: Hello) -> None:
        """Welcome a desk. There is no await in it: a frame that comes in between would be missed or shown twice."""
        self.by_session[session] = line
        joined = self.sessions.join(session, hello.resume)
        resumed = joined.replay is not None
        self.metrics.resumes.labels("ring" if resumed else "snapshot" if hello.resume else "new").inc()
        self._push(line, encode(self._welcome(line, resumed=resumed)))
        for frame in joined.replay or ():
            self._push(line, frame, whole=True)
        self._act(joined.drops)

    def _welcome(self, line: Line, *, resumed: bool) -> Welcome:
        claims = line.claims
        tenant = self.tenants[claims.tenant]
        rep = rep_of(tenant, claims.subject)
        return Welcome(
            v=VERSION,
            connection=line.connection,
            now=_now(),
            resumed=resumed,
            heartbeat_s=self.limits.heartbeat_s,
            tenant=claims.tenant,
            subject=claims.subject,
            role=claims.role,
            name=rep.name if rep else "",
            brands=_brands(tenant, claims),
            reps={one.id: one.name for one in tenant.reps},
            targets=targets_of(tenant.teams),
            approves=claims.role == "supervisor" or (rep is not None and rep.approves),
            pulls=rep is None or rep.pulls,
        )

    # -- a conversation

    async def _converse(self, line: Line) -> None:
        if isinstance(line.place, Session) and not await self._announce(line, line.place):
            return
        async for data in line.socket:
            if not isinstance(data, str):
                return await self._close(line.socket, 1003, "text was meant")
            await self._on_frame(line, data)

    async def _announce(self, line: Line, session: Session) -> bool:
        """Tell dispatch that a desk is there, and ask for what it lacks; without the broker it cannot be served."""
        who = (session.tenant, session.rep_id, session.connection)
        line.asked_at = self.loop.time()
        try:
            await self.work.send(DeskUp(_now(), *who, self.name, session.role))
            if not session.live:
                await self.work.send(Resync(_now(), *who))
        except Unavailable:
            self.metrics.unsent.inc()
            await self._close(line.socket, 4100, "the broker does not answer")
            return False
        return True

    def _forget(self, line: Line) -> None:
        """A connection has ended, or is about to."""
        line.gone = True
        if self.lines.pop(line.connection, None) is None:
            return
        if isinstance(line.place, Watcher):
            self.boards.leave(line.place)
            self.watching.pop(line.place, None)
            self._unflushed.discard(line.place)
            return
        self.sessions.leave(line.place)
        self.by_session.pop(line.place, None)
        who = (line.place.tenant, line.place.rep_id, line.connection)
        self.downs[line.connection] = DeskDown(_now(), *who, self.name)

    async def _on_frame(self, line: Line, data: str) -> None:
        wait_s = line.bucket.take(self.loop.time())
        if wait_s:
            return await self._too_fast(line, data, wait_s)
        frame = decode(data)
        if isinstance(frame, Refused):
            self.metrics.came("other")
            self._push(line, encode(refusal(frame)))
            if line.faults.take(self.loop.time()):
                await self._close(line.socket, 4400, "too many frames that cannot be understood")
            return
        self.metrics.came(str(frame.__struct_config__.tag))
        match frame:
            case Hello():
                self._push(line, encode(refusal(Refused("", "bad_request", "hello was said already"))))
            case Subscribe():
                self._subscribe(line, frame)
            case _:
                await self._command(line, frame)

    async def _too_fast(self, line: Line, data: str, wait_s: float) -> None:
        self.metrics.came("other")
        if line.refusals.take(self.loop.time()):
            return await self._close(line.socket, 4129, "too many frames")
        frame = decode(data)
        re = str(getattr(frame, "id", "") or getattr(frame, "re", ""))
        refused = Refused(re, "rate_limited", f"at most {self.limits.rate:g} frames a second")
        self._push(line, encode(refusal(refused, temporary=True, retry_after_ms=int(wait_s * 1000) + 1)))

    def _subscribe(self, line: Line, frame: Subscribe) -> None:
        if not isinstance(line.place, Watcher):
            self._push(line, encode(refusal(Refused("", "forbidden", "sub is for boards"))))
            return
        refused = self.boards.subscribe(line.place, frame.brands)
        if refused:
            message = f"these brands are not yours to see: {', '.join(refused)[:400]}"
            self._push(line, encode(refusal(Refused("", "forbidden", message))))
        else:
            self._flush(line.place)

    async def _command(self, line: Line, frame: Any) -> None:
        """Pass a rep's command on; heartbeats and acks have done their work by coming."""
        if not isinstance(line.place, Session):
            if hasattr(frame, "id"):
                self._push(line, encode(refusal(Refused(frame.id, "forbidden", "commands are for desks"))))
            return
        if not is_for(frame, line.place.role):
            self._push(line, encode(refusal(Refused(frame.id, "forbidden", "that is for supervisors"))))
            return
        record = to_record(frame, line.place, _now())
        if record is None:
            return
        try:
            await self.work.send(record)
        except Unavailable as error:
            self.metrics.unsent.inc()
            refused = Refused(record.id, "unavailable", str(error))
            self._push(line, encode(refusal(refused, temporary=True, retry_after_ms=1000)))

    # -- writing

    def _push(self, line: Line, frame: bytes, *, whole: bool = False) -> None:
        """Write a frame at once, or cut a client that does not read."""
        if line.gone:
            return
        buffered = line.buffered
        if buffered == 0:
            line.granted = 0
        if buffered > self.limits.buffer_bytes + line.granted:
            return self._abort(line, "buffer")
        if whole:
            line.granted += len(frame)
        line.written += len(frame)
        line.sent_at = self.loop.time()
        broadcast((line.socket,), frame, text=True)
        self.metrics.went(frame)

    def _abort(self, line: Line, reason: str) -> None:
        log.warning("%s of %s/%s cut: %s", line.connection, line.claims.tenant, line.claims.subject, reason)
        self.metrics.aborted.labels(reason).inc()
        self._forget(line)
        line.socket.transport.abort()

    async def _close(self, socket: Socket, code: int, reason: str) -> None:
        """Close with a code; who does not answer within two seconds is cut."""
        self.metrics.closed.labels(str(code)).inc()
        try:
            async with asyncio.timeout(2):
                await socket.close(code, reason.encode()[:120].decode(errors="ignore"))
        except TimeoutError:
            socket.transport.abort()

    def _close_soon(self, line: Line, code: int, reason: str) -> None:
        """The same without waiting; nothing more is written to it from now on."""
        self._forget(line)
        self._spawn(self._close(line.socket, code, reason))

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = self.loop.create_task(work)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    # -- what the broker brings

    def on_desk_event(self, record: Any, is_news: bool) -> None:
        """Take in one record of ``desk-events``."""
        try:
            event = self._event.decode(record.value)
            actions = self.sessions.fold(event, record.timestamp)
        except (BadEvent, msgspec.MsgspecError) as error:
            self.metrics.bad_records.labels(topics.DESK_EVENTS.name).inc()
            log.error("%s %d/%d passed over: %s", record.topic, record.partition, record.offset, error)
            return
        if actions:
            self._act(actions)
            if is_news:
                self.metrics.push_s.observe(max(0.0, time.time() - record.timestamp / 1000))

    def _act(self, actions: Sequence[Send | Drop]) -> None:
        for action in actions:
            line = self.by_session.get(action.session)
            if line is None:
                continue
            if isinstance(action, Drop):
                self._close_soon(line, action.code, action.reason)
            else:
                self._push(line, action.frame, whole=action.whole)
                if action.whole:
                    line.asked_at = self.loop.time()

    def on_desk_reset(self) -> None:
        """The stream could not be followed: all desks come again and are shown what holds."""
        self.metrics.restarts.labels(topics.DESK_EVENTS.name).inc()
        self._act(self.sessions.reset())

    def on_board_frame(self, record: Any, is_news: bool) -> None:
        """Take in one record of ``boards``; boards are written to once all that came with it is in its slots."""
        try:
            head = self._board.decode(record.value)
        except BadEvent as error:
            self.metrics.bad_records.labels(topics.BOARDS.name).inc()
            log.error("%s %d/%d passed over: %s", record.topic, record.partition, record.offset, error)
            return
        touched = self.boards.fold(head, record.value)
        if touched:
            self._unflushed.update(touched)
            self._flush_in(0.0)

    def _flush_in(self, delay_s: float) -> None:
        if self._flusher is None:
            self._flusher = self.loop.call_later(delay_s, self._flush_all)

    def _flush_all(self) -> None:
        self._flusher = None
        waiting, self._unflushed = self._unflushed, set()
        for watcher in waiting:
            self._flush(watcher)

    def _flush(self, watcher: Watcher) -> None:
        """Write what lies in a board's slots, if it has read what was written before; else it stays and is overwritten."""
        line = self.watching.get(watcher)
        if line is None:
            return
        if line.buffered:
            self._unflushed.add(watcher)
            return self._flush_in(0.2)
        slots, watcher.slots = watcher.slots, {}
        for frame in slots.values():
            self._push(line, frame, whole=True)

    # -- what time brings

    async def sweep(self) -> None:
        """Look after all connections, until cancelled."""
        while True:
            await asyncio.sleep(self.limits.sweep_s)
            now = self.loop.time()
            self.sessions.forget(_now())
            for line in list(self.lines.values()):
                self._look_after(line, now)

    def _look_after(self, line: Line, now: float) -> None:
        if self._is_stuck(line, now):
            return self._abort(line, "paused")
        if now - line.socket.heard_at > self.limits.silent_s:
            return self._abort(line, "silent")
        if _now() > line.claims.expires_at + self.limits.token_grace_s * 1000:
            return self._close_soon(line, 4401, "the token has expired")
        if now - line.sent_at > self.limits.heartbeat_s - self.limits.sweep_s:
            self._push(line, encode(Heartbeat(now=_now())))
        if isinstance(line.place, Session) and not line.place.live and now - line.asked_at > self.limits.resync_s:
            line.asked_at = now
            self._spawn(self._ask_again(line.place))

    def _is_stuck(self, line: Line, now: float) -> bool:
        """Whether a client has taken too little for too long."""
        drained = line.written - line.buffered
        if line.buffered <= self.limits.paused_bytes:
            line.paused_at = None
        elif line.paused_at is None or drained - line.drained >= 64 * 1024:
            line.paused_at, line.drained = now, drained
        return line.paused_at is not None and now - line.paused_at >= self.limits.paused_s

    async def _ask_again(self, session: Session) -> None:
        with contextlib.suppress(Unavailable):
            await self.work.send(Resync(_now(), session.tenant, session.rep_id, session.connection))

    async def report_ends(self) -> None:
        """Tell dispatch which connections have ended, until cancelled; what is not taken is said again."""
        while True:
            await asyncio.sleep(1.0 if self.work.failing else 0.05)
            with contextlib.suppress(Unavailable):
                await self._send_downs()

    async def _send_downs(self) -> None:
        for downs in _batched(list(self.downs.values())):
            await self._send_all(downs)

    async def _send_all(self, records: Sequence[DeskDown | DeskUp | GatewayBeat]) -> None:
        """
        Send at once what need not be in order.

        Raises:
            Unavailable: If one was not taken; the others may have been.
        """
        outcomes = await asyncio.gather(*(self.work.send(one, probe=True) for one in records), return_exceptions=True)
        for record, outcome in zip(records, outcomes, strict=True):
            if outcome is None and isinstance(record, DeskDown):
                self.downs.pop(record.connection, None)
        faults = [one for one in outcomes if one is not None]
        if faults:
            self.metrics.unsent.inc(len(faults))
            raise faults[0]

    async def beat(self) -> None:
        """Tell dispatch that we live, until cancelled."""
        beaten_at = self.loop.time()
        while True:
            await asyncio.sleep(1.0 if self.work.failing else self.limits.beat_s)
            # Silent for a lease, whatever the cause: dispatch may have given our desks up.
            again = self.loop.time() - beaten_at > self.limits.lease_s
            try:
                await self._beat(again=again)
            except Unavailable as error:
                log.warning("no beat got through: %s", error)
            else:
                beaten_at = self.loop.time()

    async def _beat(self, *, again: bool) -> None:
        """
        Beat for each tenant that has a desk here.

        Args:
            again: Name all desks again, too.
        """
        tenants = sorted({one.tenant for one in self.by_session})
        await self._send_all([GatewayBeat(_now(), tenant, self.name) for tenant in tenants])
        for sessions in _batched(list(self.by_session) if again else []):
            # One that has left meanwhile is passed over: its end is on its way.
            here = [one for one in sessions if one in self.by_session]
            await self._send_all(
                [DeskUp(_now(), one.tenant, one.rep_id, one.connection, self.name, one.role) for one in here]
            )

    # -- the end

    async def close_all(self) -> None:
        """Let nobody in and send everybody away, spread over a while; done after the hard deadline at the latest."""
        self.stopping = True
        lines = list(self.lines.values())
        spread_ms = min(10_000, 250 + 10 * len(lines))
        for line in lines:
            self._push(line, encode(GoingAway(reconnect_in_ms=random.randrange(spread_ms))))
        for line in lines:
            self._close_soon(line, 1012, "the gateway stops")
        if self.tasks:
            await asyncio.wait(set(self.tasks), timeout=self.limits.stop_s)
        for line in lines:
            line.socket.transport.abort()

    async def tell_ends(self) -> None:
        """Tell dispatch which connections have ended, for the last time; what does not get through, its lease ends."""
        with contextlib.suppress(Unavailable, TimeoutError):
            async with asyncio.timeout(self.limits.stop_s):
                await self._send_downs()


class _Greeted(Struct, frozen=True):
    hello: Hello
    claims: Claims


async def run(
    settings: Settings,
    *,
    ready: Callable[[Addresses], None],
    stop: asyncio.Event,
    pages: Callable[[str], Page | None],
    limits: Limits | None = None,
) -> None:
    """
    Serve desks and boards until ``stop`` is set.

    Args:
        settings: With the broker's addresses (of the embedded one too) and a secret.
        ready: Called once when desks are let in.
        pages: Returns the page of a path, None if there is none.

    Raises:
        Misconfigured: If broker or secret are missing.
        OSError: If the port is taken.
    """
    if not settings.broker or not settings.secret:
        missing = "ZURUF_SECRET" if settings.broker else "ZURUF_BROKER"
        raise Misconfigured(f"environment: {missing}: missing, wanted by the gateway")
    limits = limits or Limits()
    gateway = Gateway(settings, limits, pages)
    await gateway.work.start()
    try:
        async with _listening(gateway, settings) as server:
            await _until_stopped(gateway, server, ready, stop)
    finally:
        await gateway.work.stop()


async def _until_stopped(
    gateway: Gateway, server: Server, ready: Callable[[Addresses], None], stop: asyncio.Event
) -> None:
    """Run the loops until told to stop; a loop that ends by a bug ends the gateway with it."""
    host, port = next(iter(server.sockets)).getsockname()[:2]
    loops = [
        asyncio.create_task(work)
        for work in (
            gateway.desk_reader.run(),
            gateway.board_reader.run(),
            gateway.sweep(),
            gateway.beat(),
            gateway.report_ends(),
        )
    ]
    caught_up = asyncio.create_task(gateway.desk_reader.caught_up.wait())
    stopped = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait([caught_up, stopped, *loops], return_when=asyncio.FIRST_COMPLETED)
        if caught_up.done():
            ready(Addresses(host, port))
        done, _ = await asyncio.wait([stopped, *loops], return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        await gateway.close_all()
        for task in (caught_up, stopped, *loops):
            task.cancel()
        await asyncio.gather(caught_up, stopped, *loops, return_exceptions=True)
        await gateway.tell_ends()


@contextlib.asynccontextmanager
async def _listening(gateway: Gateway, settings: Settings) -> AsyncIterator[Server]:
    limits = gateway.limits
    bounded = type("BoundedSocket", (Socket,), {"sockets_max": limits.connections + limits.unknown})
    # The library logs whole frames at DEBUG, and the first one holds a token.
    logger = logging.getLogger("zuruf.gateway.websockets")
    logger.setLevel(logging.WARNING)
    server = await serve(
        gateway.serve_socket,
        sock=_listener(settings.gateway_host, settings.gateway_port, limits.socket_bytes),
        select_subprotocol=_choose,
        compression=None,
        process_request=gateway.on_request,
        server_header=None,
        open_timeout=5,
        ping_interval=15,
        ping_timeout=None,  # The sweep looks for pongs; the library's own watch stops at a full buffer.
        close_timeout=2,
        max_size=limits.frame_bytes,
        logger=logger,
        create_connection=bounded,
    )
    try:
        yield server
    finally:
        server.close()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(3):
                await server.wait_closed()


def _listener(host: str, port: int, buffer_bytes: int) -> sockets.socket:
    """Return a listening socket whose connections have a small send buffer; it must be set before they are accepted."""
    family = sockets.AF_INET6 if ":" in host else sockets.AF_INET
    listener = sockets.create_server((host, port), family=family, backlog=1024)
    listener.setsockopt(sockets.SOL_SOCKET, sockets.SO_SNDBUF, buffer_bytes)
    listener.setblocking(False)
    return listener


def _batched(whole: Sequence[T], size: int = 200) -> Iterator[Sequence[T]]:
    """Cut into pieces: as many records as the producer can hold well."""
    for at in range(0, len(whole), size):
        yield whole[at : at + size]


def _choose(socket: ServerConnection, offered: Any) -> Subprotocol | None:
    """Choose our protocol; without it the connection is opened all the same, so that it can be closed with a code."""
    return Subprotocol(SUBPROTOCOL) if SUBPROTOCOL in offered else None


def _brands(tenant: Tenant, claims: Claims) -> dict[str, str]:
    """Return the brands that a token's bearer may see, id to name."""
    return {brand.id: brand.name for brand in tenant.brands if not claims.brands or brand.id in claims.brands}


def _response(answer: Answer) -> Response:
    headers = Headers(
        [
            ("Connection", "close"),
            ("Content-Length", str(len(answer.body))),
            ("Content-Type", answer.content_type),
            *answer.headers,
        ]
    )
    return Response(answer.status, HTTPStatus(answer.status).phrase, headers, answer.body)


def _path(socket: ServerConnection) -> str:
    return socket.request.path.partition("?")[0] if socket.request else ""


def _address(socket: ServerConnection) -> str:
    peer = socket.remote_address
    return str(peer[0]) if isinstance(peer, tuple) else ""


def _now() -> int:
    return int(time.time() * 1000)


__all__ = ["Addresses", "Limits", "Page", "run"]
