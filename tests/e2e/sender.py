"""Sends a plan, signed by hand, and keeps what was answered; tries again where nobody answers, as a platform would."""

import asyncio
import base64
import hashlib
import hmac
import json
import time
from collections.abc import Mapping, Sequence
from typing import Any, Final

from aiohttp import ClientError, ClientSession, ClientTimeout
from msgspec import Struct

from tests.e2e.posts import Call, size_of

AT_ONCE: Final = 8
TRIES_MAX: Final = 120
AGAIN_S: Final = 0.25  # Half a minute in all: connect is back from a crash by then.
CALL_WAIT_S: Final = 15.0
SKEW_S: Final = 3_600


class Outcome(Struct, frozen=True):
    """What became of one call."""

    call: Call
    status: int
    """0: nobody answered, however often it was tried."""
    body: Any
    attempts: int
    sent_at: float
    """Unix seconds of the first attempt."""


class Sender:
    """Sends calls in their order, some at once, not faster than asked."""

    def __init__(
        self, session: ClientSession, address: str, secrets: Mapping[str, bytes], calls: Sequence[Call], rate: float
    ) -> None:
        """
        Keep what is needed; nothing is sent.

        Args:
            session: For the calls; not closed here.
            address: Of connect.
            secrets: By account.
            calls: The plan.
            rate: Posts a second, at most.
        """
        self._session, self._address, self._secrets, self._rate = session, address, secrets, rate
        self._calls = calls
        self.outcomes: list[Outcome] = []
        self.progress = 0.0
        """Share of the plan that is under way, 0..1."""

    async def run(self) -> None:
        """Send everything."""
        free = asyncio.Semaphore(AT_ONCE)
        at = time.monotonic()
        async with asyncio.TaskGroup() as group:
            for number, call in enumerate(self._calls):
                await free.acquire()
                await asyncio.sleep(max(0.0, at - time.monotonic()))
                at = max(at + size_of(call) / self._rate, time.monotonic() - 1.0)
                group.create_task(self._send(call)).add_done_callback(lambda _: free.release())
                self.progress = (number + 1) / len(self._calls)

    async def _send(self, call: Call) -> None:
        sent_at = time.time()
        status, body, attempts = 0, None, 0
        while attempts < TRIES_MAX and status in (0, 429, 503):
            if attempts:
                await asyncio.sleep(AGAIN_S)
            attempts += 1
            status, body = await self._post(call)
        self.outcomes.append(Outcome(call, status, body, attempts, sent_at))

    async def _post(self, call: Call) -> tuple[int, Any]:
        """Post once; return status and body, or 0 if nobody answered."""
        try:
            async with self._session.post(
                self._address + call.path,
                data=call.body,
                headers=self._headers(call),
                timeout=ClientTimeout(total=CALL_WAIT_S),
            ) as answer:
                return answer.status, json.loads(await answer.read())
        except (ClientError, OSError, TimeoutError):
            return 0, None

    def _headers(self, call: Call) -> dict[str, str]:
        account = call.path.rpartition("/")[2]
        secret = self._secrets.get(account, b"nobody knows this one")
        shift_s = {"stale": -SKEW_S, "ahead": SKEW_S}.get(call.signing, 0)
        stamp = str(int(time.time()) + shift_s)
        headers = {"content-type": call.content_type, "webhook-id": call.message_id, "webhook-timestamp": stamp}
        if call.signing != "none":
            key = b"a secret of somebody else" if call.signing == "other_secret" else secret
            body = call.body + b" " if call.signing == "other_body" else call.body
            headers["webhook-signature"] = sign(key, call.message_id, stamp, body)
        return headers


def sign(secret: bytes, message_id: str, stamp: str, body: bytes) -> str:
    """Return a signature as the Standard Webhooks specification writes it down."""
    digest = hmac.new(secret, f"{message_id}.{stamp}.".encode() + body, hashlib.sha256).digest()
    return "v1," + base64.b64encode(digest).decode()
