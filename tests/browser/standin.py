"""
A stand-in for the gateway, for tests of the pages alone.

It is not the gateway: it knows one rep, keeps its cases in a list and decides nothing. It speaks the Structs of
``models.wire``, encoded by msgspec, so its frames have the real contract. Runs in a thread with a loop of its own:
``with StandIn() as gateway: gateway.offer(view)``; by hand ``python -m tests.browser.standin [PORT]``.
"""

import asyncio
import sys
import threading
import time
from collections.abc import Coroutine
from contextlib import suppress
from http import HTTPStatus
from types import TracebackType
from typing import Any, Self

import msgspec
from msgspec.structs import replace
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from dashboards.pages import load
from models import wire
from models.cases import OPEN, WAITING, Entry
from models.incidents import IncidentLine
from tests.browser import scenes

TENANT = "nordlicht"


def now_ms() -> int:
    return int(time.time() * 1000)


class StandIn:
    """One tenant, one rep's desk, a board for each brand, a chat that one rep answers."""

    def __init__(self, port: int = 0, boards: bool = True) -> None:
        self.port = port
        self.boards = boards
        self.loop = asyncio.new_event_loop()
        self.page = load()
        self.epoch, self.seq = 7, 0
        self.ring: list[tuple[int, bytes]] = []
        self.cases: dict[str, wire.CaseView] = {}
        self.others: dict[str, wire.CaseView] = {}
        self.presence = "available"
        self.desks: set[ServerConnection] = set()
        self.chats: dict[str, list[wire.ChatLine]] = {}
        self.chatting: set[ServerConnection] = set()
        self.heard: list[wire.ClientFrame] = []
        self.refuse: dict[str, wire.CommandError] = {}
        self.publish_as: str = "sent"
        self.shut = False
        self.board_brands = tuple(scenes.BRANDS)
        self.incidents: dict[str, tuple[IncidentLine, ...]] = {}
        """Of each brand's frames."""
        self.approves = False
        self.chat_refuses = ""
        self.no_chat = False
        self.close_hello = 0
        self.tokens = 0
        self.expired: set[str] = set()
        self.up = threading.Event()
        self.server: Server | None = None

    # -- the thread --------------------------------------------------------------------------------------------------

    def __enter__(self) -> Self:
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()
        assert self.up.wait(10), "the stand-in did not start within 10 s"
        return self

    def __exit__(self, kind: type[BaseException] | None, fault: BaseException | None, at: TracebackType | None) -> None:
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(10)

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def _run(self) -> None:
        asyncio.set_event_loop(self.loop)
        self.loop.run_until_complete(self.start())
        self.up.set()
        self.loop.run_forever()
        self.loop.run_until_complete(self.stop())
        self.loop.close()

    def do(self, step: Coroutine[Any, Any, None]) -> None:
        """Run something in the stand-in's loop and wait for it."""
        asyncio.run_coroutine_threadsafe(step, self.loop).result(10)

    async def start(self) -> None:
        self.server = await serve(
            self._serve,
            "127.0.0.1",
            self.port,
            process_request=self._get,
            subprotocols=[wire.SUBPROTOCOL],  # type: ignore[list-item]  # a str; the library has a NewType
            select_subprotocol=lambda _, offered: offered[0] if offered else None,
            compression=None,
        )
        self.port = next(iter(self.server.sockets)).getsockname()[1]

    async def stop(self) -> None:
        if self.server:
            self.server.close()
            await self.server.wait_closed()

    # -- GETs --------------------------------------------------------------------------------------------------------

    def _get(self, _: ServerConnection, request: Request) -> Response | None:
        path = request.path.partition("?")[0]
        if request.headers.get("Upgrade"):
            return Response(503, "Service Unavailable", Headers(), b"") if self.shut else None
        if path.startswith("/api/"):
            return self._api(path, request.headers)
        page = self.page(request.path)
        if page is None:
            return Response(404, "Not Found", Headers(), b"no such page\n")
        if "gzip" in request.headers.get("Accept-Encoding", "") and page.packed:
            packed = (*page.headers, ("Content-Encoding", "gzip"))
            return _answer(HTTPStatus.OK, page.packed, page.content_type, packed)
        return _answer(HTTPStatus.OK, page.body, page.content_type, page.headers)

    def _api(self, path: str, headers: Headers) -> Response:
        self.tokens += path.endswith("token")
        kind = "chief" if path == "/api/board-token" else "in"
        answer: object = {"token": f"stand-{kind}-{self.tokens}"}
        if path == "/api/seats":
            answer = [{"tenant": TENANT, "tenant_name": "Nordlicht Gruppe", **seat} for seat in scenes.SEATS]
        elif path == "/api/chat/brands":
            answer = [{"tenant": TENANT, "brand_id": key, "name": name} for key, name in scenes.BRANDS.items()]
        elif headers.get("X-Zuruf") != "1":
            return _answer(HTTPStatus.FORBIDDEN, b'{"error":"header X-Zuruf is missing"}', "application/json")
        return _answer(HTTPStatus.OK, msgspec.json.encode(answer), "application/json")

    # -- sockets -----------------------------------------------------------------------------------------------------

    async def _serve(self, socket: ServerConnection) -> None:
        assert socket.request
        if socket.request.path == "/chat/ws":
            return await self._chat(socket)
        hello = msgspec.json.decode(await socket.recv(), type=wire.Hello)
        self.heard.append(hello)
        if self.close_hello or hello.token in self.expired:
            return await socket.close(self.close_hello or 4401)
        board = socket.request.path == "/board"
        resumed = not board and hello.resume is not None and self._replayable(hello.resume)
        role = "supervisor" if board or hello.token.startswith("stand-chief") else "rep"
        await socket.send(_json(self._welcome(resumed, role)), text=True)
        if board:
            return await self._board(socket)
        if hello.resume is not None and resumed:
            for seq, frame in self.ring:
                if seq > hello.resume.seq:
                    await socket.send(frame, text=True)
        else:
            await self._snapshot(socket)
        self.desks.add(socket)
        try:
            await self._obey(socket)
        except ConnectionClosed:
            pass  # The page has gone; what it said last needs no answer.
        finally:
            self.desks.discard(socket)

    async def _obey(self, socket: ServerConnection) -> None:
        async for data in socket:
            await self._command(socket, msgspec.json.decode(data, type=wire.ClientFrame))

    def _welcome(self, resumed: bool, role: str) -> wire.Welcome:
        chief = role == "supervisor"
        return wire.Welcome(
            1,
            "conn-1",
            now_ms(),
            resumed,
            15.0,
            TENANT,
            "board" if chief else "mara",
            role,
            name="" if chief else str(scenes.SEATS[0]["name"]),
            brands=dict(scenes.BRANDS),
            reps={str(seat["rep_id"]): str(seat["name"]) for seat in scenes.SEATS},
            targets=dict(scenes.TARGETS),
            approves=chief or self.approves,
        )

    def _replayable(self, point: wire.ResumePoint) -> bool:
        first = self.ring[0][0] if self.ring else self.seq + 1
        return point.epoch == self.epoch and first - 1 <= point.seq <= self.seq

    async def _snapshot(self, socket: ServerConnection) -> None:
        views = list(self.cases.values())
        pages = [views[at : at + 2] for at in range(0, len(views), 2)] or [[]]
        for number, page in enumerate(pages):
            last = number == len(pages) - 1
            snapshot = wire.Snapshot(
                self.epoch,
                self.seq,
                now_ms(),
                number,
                last,
                self.presence,  # type: ignore[arg-type]  # set from a checked frame
                tuple(page),
            )
            await socket.send(_json(snapshot), text=True)

    async def sequenced(self, frame_type: type[msgspec.Struct], /, **fields: object) -> None:
        """Send a frame with the next number to every desk."""
        self.seq += 1
        frame = _json(frame_type(epoch=self.epoch, seq=self.seq, ts=now_ms(), **fields))
        self.ring = [*self.ring, (self.seq, frame)][-50:]
        for socket in list(self.desks):
            await socket.send(frame, text=True)

    async def _command(self, socket: ServerConnection, frame: wire.ClientFrame) -> None:
        self.heard.append(frame)
        if isinstance(frame, wire.Ack | wire.Heartbeat | wire.Hello | wire.Subscribe):
            return
        error = self.refuse.get(type(frame).__struct_config__.tag)  # type: ignore[arg-type]  # tags are strings here
        if isinstance(frame, wire.SupIncidentCases):
            shown = wire.IncidentCases(frame.id, frame.incident_id, scenes.briefs(now_ms()), 500)
            await socket.send(_json(shown), text=True)
        if isinstance(frame, wire.ListThem) and error is None:
            return await socket.send(_json(self._listed(frame)), text=True)
        await socket.send(_json(wire.Result(frame.id, error is None, error)), text=True)
        if isinstance(frame, wire.ViewCase) and frame.on and frame.case_id in self.others:
            await socket.send(_json(wire.Shown(self.others[frame.case_id])), text=True)
        if error is None and not isinstance(frame, wire.IncidentFrame):
            await self._done(frame)

    def _listed(self, frame: wire.ListThem) -> wire.Listed:
        states = {"waiting": WAITING, "approval": {"awaiting_approval"}, "all": OPEN}[frame.what]
        views = [view for view in (*self.others.values(), *self.cases.values()) if view.state in states]
        lines = tuple(_brief(view) for view in sorted(views, key=lambda view: view.due_at))
        return wire.Listed(frame.id, frame.what, lines[:50], len(lines))

    async def _done(self, frame: wire.ClientFrame) -> None:
        match frame:
            case wire.Presence():
                await self._presence(frame)
            case wire.AcceptOffer() | wire.ResumeCase():
                view = self.cases[frame.case_id]
                await self._hold(replace(view, state="working", version=view.version + 1, offer="", until=0))
            case wire.HoldCase():
                view = self.cases[frame.case_id]
                await self._hold(replace(view, state="held", version=view.version + 1, until=frame.until))
            case wire.RejectOffer():
                await self._give_up(frame.case_id, "rejected")
            case wire.Close():
                await self._give_up(frame.case_id, "closed")
            case wire.TransferCase():
                await self._give_up(frame.case_id, "transferred")
            case wire.PullCase() | wire.SupTake():
                await self._take(frame)
            case wire.RelabelCase():
                await self._relabel(frame)
            case wire.SendReply():
                await self._publish(self.cases[frame.case_id], frame)
            case _:
                pass  # It has its result; what follows is told by the test.

    async def _presence(self, frame: wire.Presence) -> None:
        if frame.when_done:
            return await self.sequenced(wire.PresenceFrame, state="busy", next=frame.state)
        self.presence = frame.state
        await self.sequenced(wire.PresenceFrame, state=frame.state)

    async def _give_up(self, case_id: str, reason: str) -> None:
        view = self.cases.pop(case_id)
        await self.sequenced(wire.Revoke, case_id=case_id, version=view.version + 1, reason=reason)

    async def _take(self, frame: wire.PullCase | wire.SupTake) -> None:
        view = self.others.pop(frame.case_id or next(iter(self.others)))
        await self._hold(replace(view, state="working", version=view.version + 1, rep_id="mara"))

    async def _relabel(self, frame: wire.RelabelCase) -> None:
        view = self.cases[frame.case_id]
        changed = {name: value for name, value in frame.labels.items() if name in ("subject", "category", "sentiment")}
        labels = replace(view.labels, unsure=(), **changed)
        await self._hold(replace(view, version=view.version + 1, labels=labels))

    async def _hold(self, view: wire.CaseView) -> None:
        self.cases[view.case_id] = view
        await self.sequenced(wire.CaseFrame, case=view)

    async def _publish(self, view: wire.CaseView, frame: wire.SendReply) -> None:
        entry = Entry(frame.id, now_ms(), "rep", frame.text, status="queued", rep_id="mara")
        view = replace(view, state="answered", version=view.version + 1, thread=(*view.thread, entry))
        await self._hold(view)
        sent = self.publish_as == "sent"
        state = "working" if not sent else "closed" if frame.close else "awaiting_customer"
        url, error = ("https://social.example/answer", "") if sent else ("", "the platform answered 503")
        done = replace(entry, status=self.publish_as, url=url, error=error)
        self.cases[view.case_id] = replace(
            view, state=state, version=view.version + 1, thread=(*view.thread[:-1], done)
        )
        fields = {"case_id": view.case_id, "version": view.version + 1, "state": state, "answer_id": frame.id}
        await self.sequenced(wire.Publish, status=self.publish_as, url=url, error=error, **fields)
        if state == "closed":
            del self.cases[view.case_id]

    # -- what a test does --------------------------------------------------------------------------------------------

    def offer(self, view: wire.CaseView) -> None:
        """Offer a case to the rep."""
        self.cases[view.case_id] = view
        self.do(self.sequenced(wire.OfferFrame, case=view))

    def revoke(self, case_id: str, reason: str = "expired") -> None:
        """Take a case back."""
        view = self.cases.pop(case_id)
        self.do(self.sequenced(wire.Revoke, case_id=case_id, version=view.version + 1, reason=reason))

    def write_again(self, case_id: str, text: str) -> None:
        """Let the customer write again."""
        view = self.cases[case_id]
        entry = Entry(f"{case_id}-p{len(view.thread) + 1}", now_ms(), "customer", text)
        view = replace(view, version=view.version + 1, thread=(*view.thread, entry))
        self.cases[case_id] = view
        fields = {"case_id": case_id, "version": view.version, "due_at": view.due_at, "triage": view.triage}
        self.do(self.sequenced(wire.Message, entry=entry, **fields))

    def frame(self, frame: type[msgspec.Struct], **fields: object) -> None:
        """Send a frame with the next number."""
        self.do(self.sequenced(frame, **fields))

    def aside(self, frame: msgspec.Struct) -> None:
        """Send a frame without a number to every desk."""

        async def send() -> None:
            for socket in list(self.desks):
                await socket.send(_json(frame), text=True)

        self.do(send())

    def skip(self) -> None:
        """Lose one number on the way to the desk, as a fault would; the ring has it."""
        self.seq += 1
        frame = _json(wire.PresenceFrame(self.epoch, self.seq, now_ms(), "busy"))
        self.ring = [*self.ring, (self.seq, frame)][-50:]

    def send_old(self, view: wire.CaseView) -> None:
        """Send an offer of the epoch before, as a worker that was away might."""
        frame = _json(wire.OfferFrame(self.epoch - 1, self.seq + 1, now_ms(), view))

        async def send() -> None:
            for socket in list(self.desks):
                await socket.send(frame, text=True)

        self.do(send())

    def expire(self) -> None:
        """Let all tokens given so far expire, and cut who came with them."""
        self.expired = {f"stand-in-{number}" for number in range(self.tokens + 1)}
        self.cut()

    def cut(self, code: int = 1012) -> None:
        """Close every desk's connection."""

        async def close() -> None:
            for socket in list(self.desks):
                await socket.close(code)

        self.do(close())

    def hang_up(self) -> None:
        """Close every chat's connection."""

        async def close() -> None:
            for socket in list(self.chatting):
                await socket.close(1012)

        self.do(close())

    def takeover(self) -> None:
        """Begin a new epoch: numbering anew, a snapshot to every desk."""

        async def begin() -> None:
            self.epoch, self.seq, self.ring = self.epoch + 5, 0, []
            for socket in list(self.desks):
                await self._snapshot(socket)

        self.do(begin())

    def say(self, text: str) -> None:
        """Answer in every chat."""

        async def line() -> None:
            for conversation, lines in self.chats.items():
                said = wire.ChatLine(f"{conversation}-{len(lines)}", now_ms(), "brand", text)
                lines.append(said)
                for socket in self.chatting:
                    await socket.send(_json(said), text=True)

        self.do(line())

    # -- boards and chats --------------------------------------------------------------------------------------------

    async def _board(self, socket: ServerConnection) -> None:
        self.heard.append(msgspec.json.decode(await socket.recv(), type=wire.Subscribe))
        with suppress(ConnectionClosed):
            await self._frames(socket)

    async def _frames(self, socket: ServerConnection) -> None:
        while True:
            if self.boards:
                for brand_id in self.board_brands:
                    figures = scenes.board(TENANT, brand_id, now_ms())
                    figures = replace(figures, incidents=self.incidents.get(brand_id, ()))
                    frame = wire.Board(msgspec.Raw(_json(figures)))
                    await socket.send(_json(frame), text=True)
            await asyncio.sleep(1)

    async def _chat(self, socket: ServerConnection) -> None:
        hello = msgspec.json.decode(await socket.recv(), type=wire.ChatHello)
        if self.no_chat:
            await socket.send(_json(wire.ChatError("", "there is no such chat")), text=True)
            return await socket.close(1008)
        conversation = hello.conversation or f"talk-{len(self.chats) + 1}"
        lines = self.chats.setdefault(conversation, [])
        welcome = wire.ChatWelcome(conversation, scenes.BRANDS[hello.brand_id], tuple(lines))
        await socket.send(_json(welcome), text=True)
        self.chatting.add(socket)
        try:
            async for data in socket:
                frame = msgspec.json.decode(data, type=wire.ChatClientFrame)
                if isinstance(frame, wire.ChatSay) and self.chat_refuses:
                    await socket.send(_json(wire.ChatError(frame.id, self.chat_refuses)), text=True)
                elif isinstance(frame, wire.ChatSay):
                    lines.append(wire.ChatLine(frame.id, now_ms(), "customer", frame.text))
                    await socket.send(_json(wire.ChatReceived(frame.id)), text=True)
        finally:
            self.chatting.discard(socket)


def _brief(view: wire.CaseView) -> wire.CaseBrief:
    same = (
        "case_id",
        "brand_id",
        "platform",
        "state",
        "version",
        "triage",
        "received_at",
        "due_at",
        "rep_id",
        "target",
    )
    return wire.CaseBrief(
        **{name: getattr(view, name) for name in same},
        author=view.author.handle or view.author.name,
        excerpt=view.thread[-1].text[:140],
        language=view.labels.language,
        subject=view.labels.subject,
    )


def _json(value: object) -> bytes:
    return msgspec.json.encode(value)


def _answer(status: HTTPStatus, body: bytes, content_type: str, headers: tuple[tuple[str, str], ...] = ()) -> Response:
    whole = Headers(
        [*headers, ("Content-Type", content_type), ("Content-Length", str(len(body))), ("Connection", "close")]
    )
    return Response(status.value, status.phrase, whole, body)


def main() -> None:
    """Serve by hand, with the scenes in the inbox."""
    with StandIn(int(sys.argv[1]) if len(sys.argv) > 1 else 8790) as gateway:
        print(gateway.base, flush=True)
        for at, scene in enumerate(scenes.SCENES):
            state = "offered" if at in (0, 3) else "working"
            gateway.cases[scene.case_id] = scenes.view(scene, now_ms(), state, offer_s=3600)  # type: ignore[arg-type]
        gateway.thread.join()


if __name__ == "__main__":
    main()
