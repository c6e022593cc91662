"""
The generic webhook's way in: signed posts over HTTP, answered when the broker has them.

``POST /webhook/{tenant}/{account}``, signed as Standard Webhooks has it; CloudEvents 1.0 as one JSON object or a list of
them. Each event stands for itself: in a list the good ones go on, the bad ones go to dead-letters with their reason.
"""

import asyncio
import hashlib
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Final

import msgspec
from aiohttp import web
from msgspec import Struct
from msgspec.structs import replace

from models.brands import Account, Tenant
from models.errors import BadEvent
from models.posts import Post, key_of
from streams import topics
from streams.codec import Decoder, dead_letter, encode
from streams.connectors.metrics import Metrics
from streams.connectors.producing import RECORD_BYTES_MAX, BrokerAway, Record, Write, dead_letter_record
from streams.connectors.signing import BadSignature, Secrets, check_age, check_signature, read_headers
from streams.settings import Settings

EVENTS_MAX: Final = 1_000  # Of one batch: each bad one costs a dead letter.
IN_FLIGHT_MAX: Final = 64  # Bodies held at once: 64 MB at the most.
BODY_WAIT_S: Final = 10.0  # A megabyte at 100 KB/s; who is slower than that holds a place for nothing.
REMEMBER_S: Final = 600.0  # Twice the age of a signature: after that a replay is refused for its age.
REMEMBERED_MAX: Final = 50_000
REMEMBERED_BYTES_MAX: Final = 4_096  # Of one remembered answer: 200 MB at the very most, 10 MB as it comes.
REASON_CHARS_MAX: Final = 300

SINGLE: Final = "application/cloudevents+json"
BATCH: Final = "application/cloudevents-batch+json"
EITHER: Final = "application/json"


class Refused(Exception):
    """A request is refused: status, a word for metrics and clients, and the reason in words."""

    def __init__(self, status: int, code: str, reason: str, retry_after_s: int = 0) -> None:
        super().__init__(reason)
        self.status, self.code, self.reason, self.retry_after_s = status, code, reason, retry_after_s


class Refusal(Struct, frozen=True):
    """One event of a batch that was refused."""

    index: int
    reason: str


class Took(Struct, frozen=True):
    """Body of an answer: how many events the broker has, and which were refused."""

    accepted: int
    refused: tuple[Refusal, ...] = ()


class No(Struct, frozen=True):
    """Body of a refusal."""

    error: str
    reason: str


class Reply(Struct, frozen=True):
    """An answer as it is remembered for a replay."""

    status: int
    body: bytes


class Door(Struct, frozen=True):
    """What the webhook knows of an account."""

    tenant: str
    account: Account
    secrets: tuple[bytes, ...]

    @property
    def source(self) -> str:
        """Its name in dead letters."""
        return f"webhook/{self.tenant}/{self.account.id}"


class Remembered:
    """Answers to requests of the last minutes, bounded by age and count; the oldest leave first."""

    def __init__(self, keep_s: float = REMEMBER_S, count_max: int = REMEMBERED_MAX) -> None:
        self._keep_ms, self._count_max = int(keep_s * 1000), count_max
        self._replies: OrderedDict[bytes, tuple[int, Reply]] = OrderedDict()

    def find(self, key: bytes, now: int) -> Reply | None:
        """Return the answer given before, or None."""
        self._forget(now)
        found = self._replies.get(key)
        return found[1] if found else None

    def add(self, key: bytes, reply: Reply, now: int) -> None:
        """Remember an answer."""
        self._replies[key] = (now, reply)
        self._replies.move_to_end(key)
        self._forget(now)

    def _forget(self, now: int) -> None:
        while self._replies:
            at, _ = next(iter(self._replies.values()))
            if len(self._replies) <= self._count_max and at > now - self._keep_ms:
                return
            self._replies.popitem(last=False)


# -- what is in a body ----------------------------------------------------------------------------------------------

_posts: Final[Decoder[Post]] = Decoder(Post, "post")
_list: Final = msgspec.json.Decoder(list[msgspec.Raw])


def is_batch(content_type: str, body: bytes) -> bool:
    """Return whether a body holds a list of events; plain JSON says so by its first character."""
    return content_type == BATCH or (content_type == EITHER and body.lstrip(b" \t\r\n")[:1] == b"[")


def events_of(body: bytes) -> list[bytes]:
    """
    Return the events of a batch, each as its own bytes.

    Raises:
        BadEvent: If it is no JSON list.
    """
    try:
        return [bytes(one) for one in _list.decode(body)]
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise BadEvent(f"batch: not a JSON list of events: {error}") from error


def read_post(event: bytes, door: Door, now: int, bytes_max: int) -> Post:
    """
    Return the post of one event, with its arrival and the account's brand where it names none.

    Args:
        event: One CloudEvent as JSON.
        door: Whose webhook it came to.
        now: Unix ms of its arrival.
        bytes_max: Of one event.

    Raises:
        BadEvent: If it is none, or may not come this way.
        NotYours: If it is another tenant's or account's.
    """
    if len(event) > bytes_max:
        raise BadEvent(f"post: {len(event)} bytes, at most {bytes_max} are allowed")
    post = _posts.decode(event)
    data = post.data
    if data.tenant != door.tenant or data.account_id != door.account.id:
        found, meant = f"{data.tenant}/{data.account_id}"[:160], f"{door.tenant}/{door.account.id}"
        raise NotYours(f"post: tenant/account_id is {found!r}, this webhook is {meant!r}")
    if post.type == "zuruf.tick":
        raise BadEvent("post: type zuruf.tick is for recorded days, not for a webhook")
    return replace(post, data=replace(data, received_at=now, brand=data.brand or door.account.brand or None))


class NotYours(BadEvent):
    """The event names a tenant or account that is not the webhook's."""


def record_of(post: Post) -> Record:
    """
    Return the record of a post.

    Raises:
        BadEvent: If the broker would not take it for its size.
    """
    value = encode(post)
    if len(value) > RECORD_BYTES_MAX:
        raise BadEvent(f"post: a record of {len(value)} bytes, at most {RECORD_BYTES_MAX} are allowed")
    return Record(topics.POSTS.name, key_of(post.data), value)


# -- the door -------------------------------------------------------------------------------------------------------


class Webhook:
    """Answers requests; holds no post for longer than the broker needs to acknowledge it."""

    def __init__(
        self, settings: Settings, secrets: Secrets, write: Write, metrics: Metrics, clock: Callable[[], int]
    ) -> None:
        """
        Open the door of every account whose connector is the webhook.

        Args:
            settings: Tenants with their accounts, and the bounds.
            secrets: Of every such account.
            write: Returns when the broker has the records.
            metrics: Where refusals are counted.
            clock: Unix ms.
        """
        self._doors = _doors(settings.tenants, secrets)
        self._body_max, self._batch_max = settings.body_bytes_max, settings.batch_bytes_max
        self._age_s_max = settings.webhook_age_s
        self._write, self._metrics, self._clock = write, metrics, clock
        self._remembered = Remembered(max(REMEMBER_S, 2 * settings.webhook_age_s))
        self._under_way: dict[bytes, asyncio.Future[Reply]] = {}
        self._in_flight = 0

    async def handle(self, request: web.Request) -> web.Response:
        """Answer one request."""
        try:
            if self._in_flight >= IN_FLIGHT_MAX:
                raise Refused(429, "too_many", f"{IN_FLIGHT_MAX} requests are under way already", retry_after_s=1)
            self._in_flight += 1
            try:
                reply = await self._answer(request)
            finally:
                self._in_flight -= 1
            return web.Response(status=reply.status, body=reply.body, content_type=EITHER)
        except Refused as refused:
            self._metrics.refused.labels(refused.code).inc()
            return _refusal(refused, request)

    async def _answer(self, request: web.Request) -> Reply:
        door = self._doors.get((request.match_info["tenant"], request.match_info["account"]))
        if door is None:
            raise Refused(404, "unknown_account", "no account of this name takes webhooks")
        try:
            signed = read_headers(request.headers)
            check_age(signed, self._clock(), self._age_s_max)
            content_type, body = await self._read(request)
            check_signature(signed, door.secrets, body)
        except BadSignature as error:
            raise Refused(401, error.code, str(error)) from error
        # The body is part of the key: an id used twice by mistake must not swallow another post.
        key = hashlib.sha256(f"{door.source}\n{signed.id}\n".encode() + hashlib.sha256(body).digest()).digest()
        return await self._once(key, door, content_type, body)

    async def _once(self, key: bytes, door: Door, content_type: str, body: bytes) -> Reply:
        """Take a body, or answer as the same request was answered before, or will be in a moment."""
        if (known := self._remembered.find(key, self._clock())) is not None:
            self._metrics.replays.inc()
            return known
        if (first := self._under_way.get(key)) is not None:
            self._metrics.replays.inc()
            return await asyncio.shield(first)
        # A task of its own, so that a sender who hangs up does not undo what a repeat waits for.
        task = asyncio.ensure_future(self._take_and_remember(key, door, content_type, body))
        self._under_way[key] = task
        return await asyncio.shield(task)

    async def _take_and_remember(self, key: bytes, door: Door, content_type: str, body: bytes) -> Reply:
        try:
            reply = await self._take(door, content_type, body)
            self._remembered.add(key, _short(reply), self._clock())
            return reply
        finally:
            del self._under_way[key]

    async def _read(self, request: web.Request) -> tuple[str, bytes]:
        """Return content type and raw body, and never hold more of it than is allowed."""
        content_type = request.content_type
        if content_type not in (SINGLE, BATCH, EITHER):
            raise Refused(415, "content_type", f"found {content_type[:80]}, wanted {SINGLE}, {BATCH} or {EITHER}")
        if request.headers.get("Content-Encoding", "identity") != "identity":
            raise Refused(415, "content_type", "a packed body came; the signature is of the plain one")
        most = self._body_max if content_type == SINGLE else self._batch_max
        if (request.content_length or 0) > most:
            raise self._oversize(request.content_length, most)
        body = bytearray()
        try:
            async with asyncio.timeout(BODY_WAIT_S):
                while chunk := await request.content.readany():
                    body += chunk
                    self._check_size(content_type, body, most)
        except TimeoutError as error:
            raise Refused(408, "slow", f"the body did not come within {BODY_WAIT_S:g} s") from error
        return content_type, bytes(body)

    def _check_size(self, content_type: str, body: bytearray, most: int) -> None:
        if len(body) > self._body_max and not is_batch(content_type, bytes(body[:1024])):
            most = self._body_max
        if len(body) > most:
            raise self._oversize(None, most)

    def _oversize(self, found: int | None, most: int) -> Refused:
        came = f"{found} bytes" if found else "more"
        bounds = f"{self._body_max} for one event, {self._batch_max} for a batch"
        return Refused(413, "oversize", f"{came} came, at most {most} bytes are allowed ({bounds})")

    async def _take(self, door: Door, content_type: str, body: bytes) -> Reply:
        try:
            if is_batch(content_type, body):
                return await self._take_batch(door, body)
            return await self._take_single(door, body)
        except BrokerAway as error:
            raise Refused(
                503, "broker_away", f"the broker is away, nothing is lost by trying again: {error}", 2
            ) from error

    async def _take_single(self, door: Door, body: bytes) -> Reply:
        now = self._clock()
        try:
            record = record_of(read_post(body, door, now, self._body_max))
        except NotYours as error:
            raise Refused(403, "not_yours", _reason(error)) from error
        except BadEvent as error:
            await self._bury(door, [(body, _reason(error))], now)
            return Reply(400, encode(No("bad_event", _reason(error))))
        await self._write([record])
        self._metrics.posts.labels(door.tenant, "webhook").inc()
        return Reply(202, encode(Took(1)))

    async def _take_batch(self, door: Door, body: bytes) -> Reply:
        now = self._clock()
        try:
            events = events_of(body)
        except BadEvent as error:
            await self._bury(door, [(body, _reason(error))], now)
            return Reply(400, encode(No("bad_event", _reason(error))))
        if len(events) > EVENTS_MAX:
            raise Refused(413, "too_many_events", f"{len(events)} events came, at most {EVENTS_MAX} are allowed")
        good, bad = self._sorted(events, door, now)
        await self._write(good)
        self._metrics.posts.labels(door.tenant, "webhook").inc(len(good))
        await self._bury(door, [(events[one.index], one.reason) for one in bad], now)
        return Reply(400 if bad and not good else 202, encode(Took(len(good), tuple(bad))))

    def _sorted(self, events: Sequence[bytes], door: Door, now: int) -> tuple[list[Record], list[Refusal]]:
        good: list[Record] = []
        bad: list[Refusal] = []
        for index, event in enumerate(events):
            try:
                good.append(record_of(read_post(event, door, now, self._body_max)))
            except BadEvent as error:
                bad.append(Refusal(index, _reason(error)))
        return good, bad

    async def _bury(self, door: Door, bad: Sequence[tuple[bytes, str]], now: int) -> None:
        """Write what was refused for its content to dead-letters, and count it."""
        letters = [dead_letter(now, reason, door.source, value=raw) for raw, reason in bad]
        await self._write([dead_letter_record(letter) for letter in letters])
        self._metrics.refused.labels("bad_event").inc(len(bad))


def _doors(tenants: Sequence[Tenant], secrets: Secrets) -> dict[tuple[str, str], Door]:
    return {
        (tenant.id, account.id): Door(tenant.id, account, tuple(secrets[tenant.id, account.id]))
        for tenant in tenants
        for account in tenant.accounts
        if account.connector == "webhook"
    }


def _reason(error: BadEvent) -> str:
    return str(error)[:REASON_CHARS_MAX]


def _short(reply: Reply) -> Reply:
    """Return a reply as it is remembered: a long list of refusals is not."""
    if len(reply.body) <= REMEMBERED_BYTES_MAX:
        return reply
    return Reply(reply.status, encode(Took(msgspec.json.decode(reply.body, type=Took).accepted)))


def _refusal(refused: Refused, request: web.Request) -> web.Response:
    body = encode(No(refused.code, refused.reason))
    response = web.Response(status=refused.status, body=body, content_type=EITHER)
    if refused.retry_after_s:
        response.headers["Retry-After"] = str(refused.retry_after_s)
    if request.can_read_body and not request.content.at_eof():
        # The rest of the body is not wanted.
        response.force_close()
    return response
