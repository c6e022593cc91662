"""
Simulated desks that take and answer at once, and write down everything that they were shown.

They speak the protocol in plain JSON, hold it to its word (no frame twice, none missing, no older epoch), and send a command
again under its id until they have its result, as a page does.
"""

import asyncio
import contextlib
import json
import time
import uuid
import zlib
from collections.abc import Callable
from typing import Any, Final

from msgspec import Struct, field
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import WebSocketException
from websockets.typing import Subprotocol

PROTOCOL: Final = "zuruf.desk.v1"
NUMBERED: Final = frozenset(
    {"offer", "revoke", "case", "message", "publish", "presence_is", "notice", "info", "erased"}
)
AGAIN_S: Final = 3.0  # Without a result.
ACK_EVERY: Final = 10
BACK_S: Final = 0.3
OPEN_EVERY: Final = 10
"""Each so many-th case, by its id, is answered without being closed."""

Frame = dict[str, Any]


class Shown(Struct, frozen=True):
    """An offer that a desk was shown."""

    offer: str
    case_id: str
    tenant: str
    rep_id: str
    epoch: int
    at: float
    """Unix seconds."""


class Said(Struct, frozen=True):
    """An answer that a rep has sent off."""

    answer_id: str
    case_id: str
    tenant: str
    rep_id: str
    text: str
    close: bool


class Effects(Struct):
    """What all desks saw and did."""

    shown: list[Shown] = field(default_factory=list)
    said: dict[str, Said] = field(default_factory=dict)
    agreed: set[str] = field(default_factory=set)
    """Answers whose command had a good result."""
    refused: dict[str, str] = field(default_factory=dict)
    """Commands with another result, and its code."""
    violations: list[str] = field(default_factory=list)
    connections: int = 0
    resumed: int = 0
    sent_again: int = 0


class _Pending(Struct):
    frame: Frame
    at: float


class Desk:
    """One rep at one desk."""

    def __init__(self, address: str, tenant: str, rep_id: str, token: Callable[[], str], effects: Effects) -> None:
        self._address, self._tenant, self._rep_id, self._token = address, tenant, rep_id, token
        self._effects = effects
        self._cases: dict[str, Frame] = {}
        self._pending: dict[str, _Pending] = {}
        self._place: tuple[int, int] | None = None
        self._pages: list[Frame] = []
        self._unacked = 0
        self._socket: ClientConnection | None = None

    async def run(self) -> None:
        """Be there until cancelled; come back whenever the line is cut."""
        while True:
            with contextlib.suppress(OSError, TimeoutError, WebSocketException):
                await self._sit()
            await asyncio.sleep(BACK_S)

    async def _sit(self) -> None:
        async with connect(
            self._address, subprotocols=[Subprotocol(PROTOCOL)], compression=None, proxy=None
        ) as self._socket:
            hello: Frame = {"type": "hello", "v": 1, "token": self._token()}
            if self._place is not None:
                hello["resume"] = {"epoch": self._place[0], "seq": self._place[1]}
            await self._send(hello)
            remind = asyncio.create_task(self._remind())
            try:
                async for data in self._socket:
                    await self._take(json.loads(data))
            finally:
                remind.cancel()
                self._socket = None

    async def _send(self, frame: Frame) -> None:
        if self._socket is not None:
            await self._socket.send(json.dumps(frame))

    async def _remind(self) -> None:
        """Send again what has no result yet, and acknowledge what was read."""
        with contextlib.suppress(OSError, WebSocketException):
            while True:
                await asyncio.sleep(0.5)
                await self._acknowledge()
                for pending in list(self._pending.values()):
                    if time.monotonic() - pending.at > AGAIN_S:
                        pending.at = time.monotonic()
                        self._effects.sent_again += 1
                        await self._send(pending.frame)

    async def _acknowledge(self) -> None:
        if self._unacked and self._place is not None:
            self._unacked = 0
            await self._send({"type": "ack", "seq": self._place[1]})

    # -- what comes

    async def _take(self, frame: Frame) -> None:
        kind = frame["type"]
        if kind == "hb":
            return await self._send({"type": "hb", "now": 0})
        if kind == "welcome":
            return await self._welcome(frame)
        if kind == "snapshot":
            return await self._snapshot(frame)
        if kind == "result":
            return await self._result(frame)
        if kind in NUMBERED:
            self._check_place(frame)
            await self._numbered(kind, frame)
            if self._unacked >= ACK_EVERY:
                await self._acknowledge()

    async def _welcome(self, frame: Frame) -> None:
        self._effects.connections += 1
        self._effects.resumed += bool(frame.get("resumed"))
        for pending in self._pending.values():
            pending.at = time.monotonic()
            await self._send(pending.frame)

    def _check_place(self, frame: Frame) -> None:
        """Hold the stream to its word: the very next frame of this epoch."""
        place, meant = (frame["epoch"], frame["seq"]), None
        if self._place is not None:
            meant = (self._place[0], self._place[1] + 1)
        if place != meant:
            self._blame(f"{frame['type']} came as {place}, meant was {meant}")
        self._place = place
        self._unacked += 1

    def _blame(self, what: str) -> None:
        self._effects.violations.append(f"desk {self._tenant}/{self._rep_id}: {what}")

    async def _numbered(self, kind: str, frame: Frame) -> None:
        if kind in ("offer", "case"):
            await self._set(frame["case"])
        elif kind == "revoke":
            self._cases.pop(frame["case_id"], None)
        elif kind == "message":
            await self._change(frame["case_id"], version=frame["version"])
        elif kind == "publish":
            await self._change(frame["case_id"], version=frame["version"], state=frame["state"])

    async def _snapshot(self, frame: Frame) -> None:
        self._pages = [*(self._pages if frame["page"] else []), *frame["cases"]]
        if not frame["last"]:
            return
        place = (frame["epoch"], frame["seq"])
        if self._place is not None and place < self._place:
            self._blame(f"a snapshot of {place} came after {self._place}")
        self._place = place
        self._cases = {}
        for case in self._pages:
            await self._set(case)
        if frame["presence"] != "available":
            await self._command({"type": "presence", "state": "available"})

    async def _result(self, frame: Frame) -> None:
        pending = self._pending.get(frame["re"])
        if pending is None:
            return
        error = frame.get("error")
        if error is not None and error.get("temporary"):
            # It was not read; it goes off again in its time.
            pending.at = time.monotonic() + error.get("retry_after_ms", 0) / 1000 - AGAIN_S
            return
        del self._pending[frame["re"]]
        self._settled(pending.frame, error)
        if error is not None and error.get("case"):
            self._cases[error["case"]["case_id"]] = error["case"]
        await self._act(pending.frame.get("case_id", ""))

    def _settled(self, command: Frame, error: Frame | None) -> None:
        if error is not None:
            self._effects.refused[command["id"]] = error["code"]
            if not error.get("case"):
                self._cases.pop(command.get("case_id", ""), None)
        elif command["type"] == "reply":
            self._effects.agreed.add(command["id"])

    # -- what is done

    async def _set(self, case: Frame) -> None:
        self._cases[case["case_id"]] = case
        if case["state"] == "offered":
            place = self._place[0] if self._place is not None else -1
            shown = Shown(case["offer"], case["case_id"], self._tenant, self._rep_id, place, time.time())
            self._effects.shown.append(shown)
        await self._act(case["case_id"])

    async def _change(self, case_id: str, **changes: Any) -> None:
        if case_id in self._cases:
            self._cases[case_id] |= changes
            await self._act(case_id)

    async def _act(self, case_id: str) -> None:
        """Accept what is offered, answer what is in work; one command a case at a time."""
        case = self._cases.get(case_id)
        if case is None or any(one.frame.get("case_id") == case_id for one in self._pending.values()):
            return
        common = {"case_id": case_id, "version": case["version"]}
        if case["state"] == "offered":
            await self._command({"type": "accept", "offer": case["offer"]} | common)
        elif case["state"] == "working":
            await self._reply(common)

    async def _reply(self, common: Frame) -> None:
        answer_id = uuid.uuid4().hex
        case_id: str = common["case_id"]
        close = zlib.crc32(case_id.encode()) % OPEN_EVERY != 0
        text = f"Wir kümmern uns darum. {answer_id}"
        self._effects.said[answer_id] = Said(answer_id, case_id, self._tenant, self._rep_id, text, close)
        await self._command({"type": "reply", "text": text, "close": close} | common, answer_id)

    async def _command(self, frame: Frame, command_id: str = "") -> None:
        frame["id"] = command_id or uuid.uuid4().hex
        self._pending[frame["id"]] = _Pending(frame, time.monotonic())
        await self._send(frame)
