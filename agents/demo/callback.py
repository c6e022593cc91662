"""Takes the answers of the demonstration where a bridge to the platforms would: checks and counts them."""

import contextlib
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Sequence
from typing import Final

from aiohttp import web

from streams.connectors.signing import BadSignature, check_age, check_signature, read_headers

AGE_S_MAX: Final = 300.0
REMEMBERED_MAX: Final = 100_000  # Nine hours of answers at three a second; 20 MB.
BODY_BYTES_MAX: Final = 1024 * 1024


class Receiver:
    """An address that answers are posted to."""

    def __init__(self, secrets: Sequence[bytes]) -> None:
        self._secrets = tuple(secrets)
        self._seen: OrderedDict[str, None] = OrderedDict()
        self.address = ""
        """As in ``http://127.0.0.1:9119``, once it is open."""
        self.published = 0
        """Answers by their webhook-id, each counted once."""
        self.repeats = 0
        """Posts of an answer that was here before: retries, which change nothing."""
        self.refused = 0
        """Posts that were not signed as agreed."""

    async def handle(self, request: web.Request) -> web.Response:
        """Take one answer."""
        body = await request.read()
        try:
            signed = read_headers(request.headers)
            check_age(signed, time.time_ns() // 1_000_000, AGE_S_MAX)
            check_signature(signed, self._secrets, body)
        except BadSignature as error:
            self.refused += 1
            return web.json_response({"error": error.code, "reason": str(error)}, status=401)
        self._count(signed.id)
        return web.json_response({"object_uri": f"urn:zuruf:demo:answer:{signed.id}"})

    def _count(self, message_id: str) -> None:
        if message_id in self._seen:
            self.repeats += 1
            return
        self.published += 1
        self._seen[message_id] = None
        if len(self._seen) > REMEMBERED_MAX:
            self._seen.popitem(last=False)


@contextlib.asynccontextmanager
async def receiving(secrets: Sequence[bytes]) -> AsyncIterator[Receiver]:
    """Open a receiver on a free port of this machine."""
    receiver = Receiver(secrets)
    app = web.Application(client_max_size=BODY_BYTES_MAX)
    app.router.add_post("/answers/{tenant}", receiver.handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        receiver.address = f"http://127.0.0.1:{runner.addresses[0][1]}"
        yield receiver
    finally:
        await runner.cleanup()
