"""
``zuruf connect``: the process that takes posts in and brings answers out.

One HTTP server with the webhook, the chat and its page, health and metrics; and the outbox.
"""

import asyncio
import logging
import os
import time
from collections.abc import Callable, Collection, Mapping
from typing import Final

from aiohttp import ClientSession, DummyCookieJar, TCPConnector, web
from msgspec import Struct
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from models.errors import Misconfigured
from models.pages import Page, answer_of
from models.records import Answer
from streams.codec import encode
from streams.connectors.base import Connector
from streams.connectors.callback import Callback
from streams.connectors.chat import Chat, ChatAnswers
from streams.connectors.chat_store import ChatStore
from streams.connectors.metrics import Metrics
from streams.connectors.outbox import UNDER_WAY_MAX, Outbox
from streams.connectors.producing import BrokerAway, Producer
from streams.connectors.signing import Secrets, secrets_of
from streams.connectors.webhook import Webhook
from streams.settings import Settings

STOP_S: Final = 15.0  # The outbox settles within 5, the rest is quick; beyond it, what is open is cut.
SHUTDOWN_S: Final = 3.0  # For requests under way.
BROKER_RETRY_S: Final = 1.0
FORGET_EVERY_S: Final = 3_600.0

_log = logging.getLogger(__name__)


Pages = Callable[[str], Page | None]


class Addresses(Struct, frozen=True):
    """Where the process is found."""

    http: str
    """As in ``http://127.0.0.1:8080``."""


def now_ms() -> int:
    """Return the clock: Unix ms."""
    return time.time_ns() // 1_000_000


class Health:
    """What /readyz asks."""

    def __init__(self, producer: Producer, outbox: Outbox) -> None:
        self._producer, self._outbox = producer, outbox

    def missing(self) -> str:
        """Return what the process waits for; "" if it is ready."""
        if not self._producer.started:
            return "broker"
        return "" if self._outbox.joined else "outbox"


async def run(
    settings: Settings,
    *,
    ready: Callable[[Addresses], None],
    stop: asyncio.Event,
    pages: Pages | None,
    secrets: Secrets | None = None,
    origins: Collection[str] = (),
) -> None:
    """
    Run until ``stop`` is set, then end in order.

    Args:
        settings: With the broker's addresses: whoever runs an embedded broker puts them in.
        ready: Told once, when requests are answered and the broker is there.
        stop: Ends it.
        pages: Path -> page of the chat; None: no pages.
        secrets: Of the accounts; None: read from the variables that the accounts name.
        origins: Other sites that may show the chat, as in ``https://example.org``.

    Raises:
        Misconfigured: If there is no broker's address, or an account's secret is missing.
    """
    if not settings.broker:
        raise Misconfigured("environment: ZURUF_BROKER: missing, wanted kafka://host:port; `zuruf up` brings its own")
    held = secrets_of(settings.tenants, os.environ) if secrets is None else secrets
    async with ClientSession(
        connector=TCPConnector(limit=2 * UNDER_WAY_MAX),
        # No cookies: one account's callback must not speak with another's.
        cookie_jar=DummyCookieJar(),
        headers={"User-Agent": "zuruf"},
    ) as session:
        store = ChatStore(settings.data / "chat.sqlite")
        try:
            await _Process(settings, held, store, session, pages, origins).run(ready, stop)
        finally:
            store.close()


class _Process:
    """Everything of one process, wired."""

    def __init__(
        self,
        settings: Settings,
        secrets: Secrets,
        store: ChatStore,
        session: ClientSession,
        pages: Pages | None,
        origins: Collection[str],
    ) -> None:
        self._settings, self._store, self._pages = settings, store, pages
        self._metrics = Metrics()
        self._producer = Producer(settings, "zuruf-connect")
        write = self._producer.write
        self._webhook = Webhook(settings, secrets, write, self._metrics, now_ms)
        self._chat = Chat(settings.tenants, store, write, self._metrics, now_ms, origins)
        self._connectors = _connectors(settings, secrets, self._chat, session)
        self._outbox = Outbox(settings, self._choose, write, self._metrics, now_ms)
        self._health = Health(self._producer, self._outbox)

    def _choose(self, answer: Answer) -> Connector | None:
        return self._connectors.get((answer.tenant, answer.account_id))

    async def run(self, ready: Callable[[Addresses], None], stop: asyncio.Event) -> None:
        runner = web.AppRunner(self._app(), access_log=None, shutdown_timeout=SHUTDOWN_S)
        await runner.setup()
        try:
            site = web.TCPSite(runner, self._settings.http_host, self._settings.http_port)
            await site.start()
            addresses = Addresses(_address(runner))
            if await self._connect(stop):
                ready(addresses)
                await self._work(stop)
        finally:
            await self._end(runner)

    async def _connect(self, stop: asyncio.Event) -> bool:
        """Wait for the broker; False if the process was stopped before."""
        while not stop.is_set():
            try:
                await self._producer.start()
                return True
            except BrokerAway as error:
                _log.warning("connect: %s", error)
                await _sleep(stop, BROKER_RETRY_S)
        return False

    async def _work(self, stop: asyncio.Event) -> None:
        """Run the outbox and the housekeeping; a fault of either ends both."""
        tasks = [asyncio.create_task(self._outbox.run(stop)), asyncio.create_task(self._forget(stop))]
        stopped = asyncio.create_task(stop.wait())
        try:
            await asyncio.wait([*tasks, stopped], return_when=asyncio.FIRST_COMPLETED)
            if stop.is_set():
                await asyncio.wait(tasks, timeout=STOP_S)
        finally:
            for task in (*tasks, stopped):
                task.cancel()
            results = await asyncio.gather(*tasks, return_exceptions=True)
        for result in results:
            if isinstance(result, Exception):
                raise result

    async def _forget(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            await asyncio.to_thread(self._store.forget, now_ms())
            await _sleep(stop, FORGET_EVERY_S)

    async def _end(self, runner: web.AppRunner) -> None:
        try:
            async with asyncio.timeout(STOP_S):
                await self._chat.close()
                # No new requests; those under way still have the broker.
                await runner.cleanup()
                for connector in self._connectors.values():
                    await connector.close()
                await self._producer.stop()
        except TimeoutError:
            _log.warning("connect: cut off %g s after the stop", STOP_S)

    # -- HTTP

    def _app(self) -> web.Application:
        app = web.Application()
        app.router.add_post("/webhook/{tenant}/{account}", self._webhook.handle)
        app.router.add_get("/chat/ws", self._chat.handle)
        app.router.add_get("/api/chat/brands", self._chat.brands)
        app.router.add_get("/healthz", self._healthz)
        app.router.add_get("/readyz", self._readyz)
        app.router.add_get("/metrics", self._metrics_page)
        app.router.add_get("/{path:.*}", self._page)
        return app

    async def _healthz(self, request: web.Request) -> web.Response:
        return _json(200, {"status": "ok"})

    async def _readyz(self, request: web.Request) -> web.Response:
        missing = self._health.missing()
        return _json(503, {"status": "waiting", "for": missing}) if missing else _json(200, {"status": "ready"})

    async def _metrics_page(self, request: web.Request) -> web.Response:
        return web.Response(body=generate_latest(self._metrics.registry), headers={"Content-Type": CONTENT_TYPE_LATEST})

    async def _page(self, request: web.Request) -> web.Response:
        page = self._pages(request.path) if self._pages else None
        if page is None:
            return _json(404, {"error": "not_found", "reason": "there is nothing at this address"})
        status, body, headers = answer_of(page, request.headers)
        return web.Response(status=status, body=body, headers={**dict(headers), "Content-Type": page.content_type})


def _connectors(
    settings: Settings, secrets: Secrets, chat: Chat, session: ClientSession
) -> dict[tuple[str, str], Connector]:
    """Return the connector of every account."""
    made: dict[tuple[str, str], Connector] = {}
    for tenant in settings.tenants:
        for account in tenant.accounts:
            name = tenant.id, account.id
            if account.connector == "chat":
                made[name] = ChatAnswers(account, chat.store, chat.rooms, now_ms)
            else:
                made[name] = Callback(account, secrets[name], session, now_ms)
    return made


def _json(status: int, body: Mapping[str, str]) -> web.Response:
    return web.Response(status=status, body=encode(body), content_type="application/json")


def _address(runner: web.AppRunner) -> str:
    host, port = runner.addresses[0][:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


async def _sleep(stop: asyncio.Event, wait_s: float) -> None:
    """Wait, or until the process is to stop."""
    try:
        await asyncio.wait_for(stop.wait(), wait_s)
    except TimeoutError:
        return
