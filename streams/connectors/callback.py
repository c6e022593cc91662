"""
The generic webhook's way out: an account's answers, posted to its callback address as signed CloudEvents.

The ``webhook-id`` is the answer's id in every attempt, so a receiver that drops what it has seen has each answer once.
"""

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final, Literal

import msgspec
from aiohttp import ClientError, ClientResponse, ClientSession, ClientTimeout
from msgspec import Struct

from models.brands import Account
from models.records import Answer
from streams.codec import encode
from streams.connectors.base import (
    Capabilities,
    Failed,
    Found,
    NotThere,
    Outcome,
    Retry,
    Sent,
    refused_for_length,
)
from streams.connectors.signing import signed_headers

TYPE: Final = "zuruf.answer.created"
CALL_WAIT_S: Final = 15.0  # As long as senders of webhooks commonly wait.
REPLY_BYTES_MAX: Final = 64 * 1024  # Of a receiver's answer; only two short fields of it are read.
FIELD_CHARS_MAX: Final = 1_024
_HEADER_SAFE = re.compile(r"[A-Za-z0-9_-]{1,200}")


class AnswerEvent(Struct, frozen=True, kw_only=True):
    """An answer as a CloudEvent."""

    specversion: Literal["1.0"] = "1.0"
    id: str
    source: str
    type: str = TYPE
    time: datetime
    datacontenttype: str = "application/json"
    data: Answer


class _Told(Struct, frozen=True):
    """What a receiver may say about where the answer stands."""

    object_uri: str = ""
    url: str = ""


_told: Final = msgspec.json.Decoder(_Told)


def message_id(answer_id: str) -> str:
    """Return the id as a header can hold it: itself, or its digest where it has other characters or is long."""
    if _HEADER_SAFE.fullmatch(answer_id):
        return answer_id
    return "sha256_" + hashlib.sha256(answer_id.encode()).hexdigest()


def body_of(answer: Answer) -> bytes:
    """Return the CloudEvent of an answer as JSON; the same bytes in every attempt."""
    return encode(
        AnswerEvent(
            id=answer.answer_id,
            source=f"/{answer.tenant}/{answer.brand_id}/{answer.platform}/{answer.account_id}",
            time=datetime.fromtimestamp(answer.at / 1000, UTC),
            data=answer,
        )
    )


def seconds_asked(headers: Mapping[str, str], now: int) -> float | None:
    """
    Return how long Retry-After asks to wait, or None if it does not, or not in one of its two forms.

    Args:
        headers: Of the answer.
        now: Unix ms; the second form is a date.
    """
    text = headers.get("Retry-After", "").strip()
    if text.isascii() and text.isdecimal():
        return float(text[:9])
    try:
        until = parsedate_to_datetime(text)
    except (ValueError, TypeError):
        return None
    # A date without a zone is GMT by RFC 9110.
    until = until if until.tzinfo else until.replace(tzinfo=UTC)
    return max(0.0, until.timestamp() - now / 1000)


def outcome_of(status: int, headers: Mapping[str, str], body: bytes, now: int) -> Outcome:
    """
    Return what an answer to a callback means.

    Args:
        status: HTTP's.
        headers: Of the answer.
        body: Its first bytes.
        now: Unix ms.
    """
    if 200 <= status < 300:
        return _sent(body)
    if status in (408, 425, 429) or status >= 500:
        return Retry(f"http_{status}", seconds_asked(headers, now))
    return Failed(f"http_{status}")


def _sent(body: bytes) -> Sent:
    try:
        told = _told.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        # A receiver need not say anything, and may say it in any form.
        return Sent()
    return Sent(told.object_uri[:FIELD_CHARS_MAX], told.url[:FIELD_CHARS_MAX])


class Callback:
    """One account's callback address."""

    def __init__(
        self, account: Account, secrets: Sequence[bytes], session: ClientSession, clock: Callable[[], int]
    ) -> None:
        """
        Keep what a call needs; nothing is called.

        Args:
            account: With its callback, or "" where it takes no answers.
            secrets: All of them sign.
            session: Shared by all accounts and closed by whoever made it.
            clock: Unix ms.
        """
        self._account, self._secrets, self._session, self._clock = account, tuple(secrets), session, clock

    def capabilities(self) -> Capabilities:
        """Return the account's bound; the webhook-id makes repeats harmless."""
        return Capabilities(text_max=self._account.text_max, idempotent=True)

    async def publish(self, answer: Answer) -> Outcome:
        """Post the answer once."""
        if not self._account.callback:
            return Failed("no_callback")
        if (too_long := refused_for_length(answer, self.capabilities())) is not None:
            return too_long
        body = body_of(answer)
        headers = signed_headers(self._secrets, message_id(answer.answer_id), self._clock(), body)
        headers["Content-Type"] = "application/cloudevents+json"
        try:
            async with self._session.post(
                self._account.callback,
                data=body,
                headers=headers,
                timeout=ClientTimeout(total=CALL_WAIT_S),
                # A signed answer goes where the operator said, and nowhere else.
                allow_redirects=False,
            ) as response:
                return outcome_of(response.status, response.headers, await _head(response), self._clock())
        except TimeoutError:
            return Retry(f"no answer within {CALL_WAIT_S:g} s")
        except (ClientError, OSError) as error:
            return Retry(f"{type(error).__name__}: {error}"[:300])

    async def lookup(self, answer: Answer) -> Found:
        """Say that it may be sent: the receiver drops an id that it has seen."""
        return NotThere()

    async def close(self) -> None:
        """Hold nothing: the session is not ours."""


async def _head(response: ClientResponse) -> bytes:
    """Return the first bytes of an answer; a longer one is cut and then is no JSON."""
    head = bytearray()
    async for chunk in response.content.iter_chunked(8_192):
        head += chunk
        if len(head) > REPLY_BYTES_MAX:
            break
    return bytes(head[:REPLY_BYTES_MAX])
