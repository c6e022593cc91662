"""The address where answers arrive: it keeps every request, right or wrong, and now and then says 503 after having taken one."""

import contextlib
import json
import zlib
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from typing import Any, Final

import standardwebhooks
from aiohttp import web
from msgspec import Struct

SHAKY_EVERY: Final = 60
"""Each so many-th answer, by its id, is refused once after it was taken: it must come again under the same id."""


class Arrival(Struct, frozen=True):
    """One request at the callback."""

    message_id: str
    signed: bool
    place: str
    """Tenant and account of the address, as in ``alster/referee``."""
    event: Any
    """The CloudEvent; None if it is no JSON."""


class Callback:
    """The server's memory."""

    def __init__(self, secrets: Mapping[str, str]) -> None:
        """Know the secrets, by account, as ``whsec_...``."""
        self._keys = {account: standardwebhooks.Webhook(secret) for account, secret in secrets.items()}
        self.arrivals: list[Arrival] = []
        self.counts: Counter[str] = Counter()
        self.shaken = 0
        """Requests that were answered 503 on purpose."""
        self.address = ""

    async def handle(self, request: web.Request) -> web.Response:
        """Take one answer."""
        tenant, account = request.match_info["tenant"], request.match_info["account"]
        body = await request.read()
        message_id = request.headers.get("webhook-id", "")
        signed = self._is_signed(account, body, dict(request.headers))
        self.arrivals.append(Arrival(message_id, signed, f"{tenant}/{account}", _json(body)))
        self.counts[message_id] += 1
        if self.counts[message_id] == 1 and zlib.crc32(message_id.encode()) % SHAKY_EVERY == 0:
            self.shaken += 1
            return web.Response(status=503)
        return web.json_response({"object_uri": f"urn:referee:answer:{message_id}"})

    def _is_signed(self, account: str, body: bytes, headers: dict[str, str]) -> bool:
        try:
            self._keys[account].verify(body, {name.lower(): value for name, value in headers.items()})
        except (KeyError, ValueError, standardwebhooks.WebhookVerificationError):
            return False
        return True


def _json(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        return None


@contextlib.asynccontextmanager
async def listening(secrets: Mapping[str, str]) -> AsyncIterator[Callback]:
    """Open the address on a free port of this machine."""
    callback = Callback(secrets)
    app = web.Application(client_max_size=1024 * 1024)
    app.router.add_post("/{tenant}/{account}", callback.handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        callback.address = f"http://127.0.0.1:{runner.addresses[0][1]}"
        yield callback
    finally:
        await runner.cleanup()
