"""Sends the posts of the demonstration to the webhook, signed, as a bridge to the platforms would."""

import asyncio
import json
import logging
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from aiohttp import ClientError, ClientSession, ClientTimeout

from streams.connectors.signing import signed_headers

log = logging.getLogger("zuruf.demo")

CORPUS: Final = Path(__file__).with_name("corpus.jsonl")
ACCOUNT: Final = "bridge"
TRIES_MAX: Final = 20
AGAIN_S: Final = 0.5  # Ten seconds in all: connect is back from a crash by then.
CALL_WAIT_S: Final = 10.0

Line = Mapping[str, Any]


def read_corpus(path: Path = CORPUS) -> list[Line]:
    """Return the posts in the order in which they are sent."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def event_of(line: Line, run: str, number: int, now: datetime) -> dict[str, Any]:
    """
    Return a post as a CloudEvent.

    Args:
        line: Of the corpus.
        run: Names this run of the demonstration, so that a later one on the same log brings other posts.
        number: Of the round, from 0; later rounds bring other posts by other authors.
        now: When it was written.
    """

    def uri(post: str) -> str:
        return f"urn:zuruf:demo:{run}:{number}:{post}"

    kind = "chat" if line["platform"] == "chat" else "reply" if "reply_to" in line else "post"
    data = {
        "tenant": line["tenant"],
        "platform": line["platform"],
        "account_id": ACCOUNT,
        "object_uri": uri(line["id"]),
        "conversation_uri": uri(line.get("conversation", line["id"])),
        "text": line["text"],
        "kind": kind,
        "author": _author(line, number),
        "created_at": now.isoformat(),
    }
    if "reply_to" in line:
        data["parent_uri"] = uri(line["reply_to"])
    if "brand" in line:
        data["brand"] = line["brand"]
    return {
        "specversion": "1.0",
        "id": f"{run}-{number}-{line['id']}",
        "source": f"/demo/{line['platform']}",
        "type": "zuruf.post.created",
        "time": now.isoformat(),
        "data": data,
    }


def _author(line: Line, number: int) -> dict[str, Any]:
    handle = line["author"].removeprefix("@") + (f".{number}" if number else "")
    author: dict[str, Any] = {"handle": handle, "name": line["author_name"], "uri": f"urn:zuruf:demo:author:{handle}"}
    if line["author_followers"] is not None:
        author["followers"] = line["author_followers"]
    if "verified" in line:
        author["verified"] = line["verified"]
    return author


class Feeder:
    """Sends the corpus in its order and pace, round after round."""

    def __init__(
        self,
        session: ClientSession,
        address: str,
        secret: bytes,
        lines: Sequence[Line],
        *,
        run: str,
        pace: float,
        remember: bool,
    ) -> None:
        """
        Keep what is needed; nothing is sent.

        Args:
            session: For the calls; not closed here.
            address: Of connect, as in ``http://127.0.0.1:8080``.
            secret: Of the accounts.
            lines: Of the corpus.
            run: See ``event_of``.
            pace: 1: the corpus's own times, 2.5 posts a second.
            remember: Whether to keep the ids of what was taken, for a tally.
        """
        self._session, self._address, self._secret, self._lines = session, address, secret, lines
        self._run, self._pace, self._remember = run, pace, remember
        self.taken: Counter[str] = Counter()
        """How often each id was answered with 202, repeats included."""
        self.count = 0
        self.refused = 0
        self._calls = 0

    async def run(self, for_s: float | None) -> None:
        """Send for so many seconds, or until cancelled."""
        at = began = time.monotonic()
        number = 0
        while True:
            for line in self._lines:
                at += line.get("after_s", 0.0) / self._pace
                if for_s is not None and at - began > for_s:
                    return
                await asyncio.sleep(max(0.0, at - time.monotonic()))
                await self._send(line, number)
            number += 1

    async def _send(self, line: Line, number: int) -> None:
        event = event_of(line, self._run, number, datetime.now(UTC))
        body = json.dumps(event, ensure_ascii=False).encode()
        self._calls += 1
        # What comes again comes under a new id, as from a platform that forgot: the engine has to notice.
        message_id = f"{event['id']}-{self._calls}"
        for _ in range(TRIES_MAX):
            status = await self._post(line["tenant"], message_id, body)
            if status == 202:
                self.count += 1
                if self._remember:
                    self.taken[event["id"]] += 1
                return
            if 400 <= status < 500 and status != 429:
                break
            await asyncio.sleep(AGAIN_S)
        self.refused += 1
        log.warning("post %s was not taken, the last answer was %d", event["id"], status)

    async def _post(self, tenant: str, message_id: str, body: bytes) -> int:
        """Post once; return the status, or 0 if there was no answer."""
        headers = signed_headers([self._secret], message_id, time.time_ns() // 1_000_000, body)
        headers["Content-Type"] = "application/cloudevents+json"
        url = f"{self._address}/webhook/{tenant}/{ACCOUNT}"
        try:
            wait = ClientTimeout(total=CALL_WAIT_S)
            async with self._session.post(url, data=body, headers=headers, timeout=wait) as answer:
                return answer.status
        except (ClientError, OSError, TimeoutError):
            return 0
