"""Simulated reps: real clients of the desk protocol that take what they are offered and answer it."""

import asyncio
import contextlib
import logging
import random
import time
import uuid
from collections.abc import Callable
from typing import Any, Final

import msgspec
from msgspec import Struct
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import WebSocketException
from websockets.typing import Subprotocol

from agents.demo.words import answer_text, note_text
from models.brands import Tenant
from models.reps import RepProfile
from models.wire import (
    SUBPROTOCOL,
    VERSION,
    AcceptOffer,
    Ack,
    Board,
    CaseFrame,
    CaseView,
    DeskFrame,
    Heartbeat,
    Hello,
    HoldCase,
    Message,
    OfferFrame,
    Presence,
    Publish,
    Result,
    ResumePoint,
    Revoke,
    SendReply,
    ServerFrame,
    Snapshot,
    TransferCase,
    Welcome,
)
from streams.gateway.auth import issue
from streams.settings import Settings

log = logging.getLogger("zuruf.demo")

ACCEPT_S: Final = (0.3, 1.0)
ANSWER_S: Final = (2.0, 6.0)
HOLD_SHARE: Final = 0.08  # Of the cases that somebody takes: laid aside for a moment, as for a question to a colleague.
HOLD_MS: Final = (2_000, 5_000)
TRANSFER_SHARE: Final = 0.06  # Handed on to another team, once at most.
BACK_S: Final = (0.2, 2.0)  # Before connecting again, spread so that twelve do not come at once.
ACK_EVERY_S: Final = 1.0
OPEN_WAIT_S: Final = 10.0
OFFERS_MAX: Final = 50_000  # Remembered of each desk, for a tally.

_frames: Final = msgspec.json.Decoder(ServerFrame)
_encode: Final = msgspec.json.Encoder().encode


class Seen(Struct):
    """What all desks saw."""

    offers: dict[str, int]
    """Offer -> Unix ms at which its desk had it."""
    repeats: int = 0
    """Offers that came twice as news to one desk."""
    first_at: int = 0
    """Unix ms of the first offer; 0: none yet."""
    moved_at: float = 0.0
    """Monotonic seconds at which anything last came that changes a case."""

    def offer(self, offer: str, now: int) -> None:
        """Note an offer that came as a frame of its own."""
        if offer in self.offers:
            self.repeats += 1
            return
        self.first_at = self.first_at or now
        if len(self.offers) < OFFERS_MAX:
            self.offers[offer] = now


class SimulatedRep:
    """One desk."""

    def __init__(
        self, address: str, tenant: Tenant, rep: RepProfile, token: Callable[[], str], seen: Seen, rng: random.Random
    ) -> None:
        self._address, self._tenant, self._rep, self._token = address, tenant, rep, token
        self._seen, self._rng = seen, rng
        self._cases: dict[str, CaseView] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._point: ResumePoint | None = None
        self._acked = 0
        self._socket: ClientConnection | None = None
        self._pages: list[CaseView] = []
        self._considered: set[str] = set()
        """Cases of which this rep has decided whether to lay them aside or to hand them on."""

    @property
    def busy(self) -> bool:
        """Whether something is offered, in work or laid aside that will be answered."""
        return bool(self._tasks) or any(case.state == "held" for case in self._cases.values())

    async def run(self) -> None:
        """Be at the desk until cancelled; come back whenever the connection is cut."""
        try:
            while True:
                try:
                    await self._sit()
                except (OSError, TimeoutError, WebSocketException) as error:
                    log.debug("%s was cut off: %s", self._rep.id, error)
                await asyncio.sleep(self._rng.uniform(*BACK_S))
        finally:
            for task in self._tasks.values():
                task.cancel()

    async def _sit(self) -> None:
        """One connection, from hello to its end."""
        protocol = Subprotocol(SUBPROTOCOL)
        async with connect(
            self._address, subprotocols=[protocol], compression=None, open_timeout=OPEN_WAIT_S, proxy=None
        ) as self._socket:
            await self._send(Hello(v=VERSION, token=self._token(), resume=self._point))
            acks = asyncio.create_task(self._ack())
            try:
                async for data in self._socket:
                    await self._take(_frames.decode(data))
            finally:
                acks.cancel()
                self._socket = None

    async def _ack(self) -> None:
        while True:
            await asyncio.sleep(ACK_EVERY_S)
            if self._point is not None and self._point.seq > self._acked:
                self._acked = self._point.seq
                with contextlib.suppress(OSError, WebSocketException):
                    await self._send(Ack(self._acked))

    async def _send(self, frame: Any) -> bool:
        """Send a frame; False if the connection is not there."""
        socket = self._socket
        if socket is None:
            return False
        await socket.send(_encode(frame).decode())
        return True

    # -- what comes

    async def _take(self, frame: DeskFrame | Welcome | Heartbeat | Board | Any) -> None:
        match frame:
            case Snapshot():
                await self._snapshot(frame)
                return
            case Heartbeat():
                await self._send(Heartbeat())
                return
            case Result():
                self._refused(frame)
                return
        if not isinstance(frame, OfferFrame | CaseFrame | Message | Publish | Revoke):
            self._note(frame)
            return
        self._note(frame)
        self._seen.moved_at = time.monotonic()
        match frame:
            case OfferFrame():
                self._seen.offer(frame.case.offer, time.time_ns() // 1_000_000)
                self._set(frame.case)
            case CaseFrame():
                self._set(frame.case)
            case Message():
                self._change(frame.case_id, version=frame.version)
            case Publish():
                self._change(frame.case_id, version=frame.version, state=frame.state)
            case Revoke():
                self._forget(frame.case_id)

    def _note(self, frame: Any) -> None:
        """Remember the place in the stream, for coming back."""
        if getattr(frame, "seq", 0):
            if self._point is None or frame.epoch != self._point.epoch:
                self._acked = 0
            self._point = ResumePoint(frame.epoch, frame.seq)

    async def _snapshot(self, frame: Snapshot) -> None:
        """What holds now; what it does not list is gone."""
        self._pages = [*(self._pages if frame.page else []), *frame.cases]
        if not frame.last:
            return
        self._point, self._acked = ResumePoint(frame.epoch, frame.seq), frame.seq
        for case_id in set(self._cases) - {case.case_id for case in self._pages}:
            self._forget(case_id)
        for case in self._pages:
            self._set(case)
        if frame.presence != "available":
            await self._send(Presence(id=uuid.uuid4().hex, state="available"))

    def _refused(self, result: Result) -> None:
        if result.error is None:
            return
        log.debug("%s was refused: %s", self._rep.id, result.error.message)
        if result.error.case is not None:
            self._set(result.error.case)

    # -- what is done

    def _set(self, case: CaseView) -> None:
        self._cases[case.case_id] = case
        self._work_on(case.case_id)

    def _change(self, case_id: str, **changes: Any) -> None:
        case = self._cases.get(case_id)
        if case is not None:
            self._set(msgspec.structs.replace(case, **changes))

    def _forget(self, case_id: str) -> None:
        self._cases.pop(case_id, None)
        self._considered.discard(case_id)
        task = self._tasks.pop(case_id, None)
        if task is not None:
            task.cancel()

    def _work_on(self, case_id: str) -> None:
        """Have somebody at it if it is for us to do something."""
        if case_id in self._tasks or self._cases[case_id].state not in ("offered", "working"):
            return
        task = asyncio.create_task(self._answer(case_id))
        self._tasks[case_id] = task
        task.add_done_callback(lambda done: self._done(case_id, done))

    def _done(self, case_id: str, task: "asyncio.Task[None]") -> None:
        if self._tasks.get(case_id) is task:
            del self._tasks[case_id]

    async def _answer(self, case_id: str) -> None:
        """Accept if it is offered, read and write for a while, answer; again where a command came too late."""
        while (case := self._cases.get(case_id)) is not None and case.state in ("offered", "working"):
            try:
                if case.state == "offered":
                    await asyncio.sleep(self._rng.uniform(*ACCEPT_S))
                    await self._accept(self._cases.get(case_id, case))
                else:
                    await asyncio.sleep(self._rng.uniform(*ANSWER_S))
                    case = self._cases.get(case_id, case)
                    if not await self._laid_aside_or_handed_on(case):
                        await self._reply(case)
            except (OSError, WebSocketException) as error:
                log.debug("%s could not act on %s: %s", self._rep.id, case_id, error)
            # The answer to a command comes as a frame; without one it is tried again.
            await self._changed(case_id, self._cases.get(case_id, case))

    async def _changed(self, case_id: str, before: CaseView) -> None:
        """Wait until a case is in another state than it was, for a second at most."""
        for _ in range(20):
            now = self._cases.get(case_id)
            if now is None or now.state != before.state:
                return
            await asyncio.sleep(0.05)

    async def _accept(self, case: CaseView) -> None:
        if case.state == "offered":
            await self._send(AcceptOffer(uuid.uuid4().hex, case.case_id, case.offer, case.version))

    async def _laid_aside_or_handed_on(self, case: CaseView) -> bool:
        """Now and then a case is not answered at once: it is laid aside for a moment, or another team gets it."""
        if case.state != "working" or case.case_id in self._considered:
            return False
        self._considered.add(case.case_id)
        chance, command = self._rng.random(), uuid.uuid4().hex
        if chance < HOLD_SHARE:
            until = time.time_ns() // 1_000_000 + self._rng.randint(*HOLD_MS)
            return await self._send(HoldCase(command, case.case_id, case.version, until))
        teams = [team.id for team in self._tenant.teams if team.id not in self._rep.teams]
        if chance < HOLD_SHARE + TRANSFER_SHARE and teams and not case.notes:
            to, note = f"team:{self._rng.choice(teams)}", note_text(case.labels.language)
            return await self._send(TransferCase(command, case.case_id, case.version, to, note))
        return False

    async def _reply(self, case: CaseView) -> None:
        if case.state != "working":
            return
        labels = case.labels
        text = answer_text(labels.language, labels.category, case.author.name, self._rep.name)
        # Who was asked something back has the next word.
        close = labels.category != "technical"
        await self._send(SendReply(uuid.uuid4().hex, case.case_id, case.version, text, close))


def simulated_reps(settings: Settings, address: str, seen: Seen) -> list[SimulatedRep]:
    """
    Return a desk for every simulated rep.

    Args:
        settings: With the secret that signs tokens.
        address: Of the desks' websocket.
        seen: Where offers are noted.
    """
    secret = settings.secret.reveal()

    def token_of(tenant: str, rep_id: str) -> Callable[[], str]:
        return lambda: issue(secret, tenant=tenant, subject=rep_id, role="rep", now=time.time_ns() // 1_000_000)

    return [
        SimulatedRep(address, tenant, rep, token_of(tenant.id, rep.id), seen, random.Random(f"{tenant.id}/{rep.id}"))
        for tenant in settings.tenants
        for rep in tenant.reps
        if rep.simulated
    ]
