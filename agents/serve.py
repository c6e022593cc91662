"""The processes that can run apart, each until it is told to stop: worker, gateway, connect, learn, deep."""

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Any, Final

from aiokafka.errors import KafkaConnectionError, KafkaError

from agents.processes import Announce
from dashboards import pages
from models.errors import Misconfigured, ZurufError
from streams.knock import knock, reach
from streams.settings import Settings, client_options, with_secret

log = logging.getLogger("zuruf")

BROKER_WAIT_S: Final = 60.0  # Longer than a broker takes that is started together with us.
CHAT_PAGES: Final = ("/static/common/", "/static/chat/", "/static/vendor/", "/favicon.svg")


class BrokerAway(ZurufError):
    """The broker cannot be reached; the message says where it was looked for."""


async def patiently(settings: Settings, call: Callable[[], Any], stop: asyncio.Event) -> None:
    """
    Call until the broker answers, for a minute at most, or until told to stop.

    Raises:
        BrokerAway: If it does not.
    """
    until = time.monotonic() + BROKER_WAIT_S
    while not stop.is_set():
        try:
            return await call()  # type: ignore[no-any-return]  # a coroutine of None
        except (KafkaConnectionError, OSError) as error:
            where = ", ".join(settings.broker)
            if time.monotonic() > until:
                raise BrokerAway(f"no broker at {where} within {BROKER_WAIT_S:.0f} s: {error}") from error
            log.warning("waiting for the broker at %s", where)
            await _sleep(stop, 1.0)
        except KafkaError as error:
            raise BrokerAway(f"the broker at {', '.join(settings.broker)} refuses us: {error}") from error


async def worker(settings: Settings, *, each: int | None, announce: Announce, stop: asyncio.Event) -> None:
    """
    Run a worker.

    Args:
        settings: With the broker's addresses.
        each: Partitions of every topic; None: as the table of topics has it.
        announce: Told when partitions are held.
        stop: Ends it.
    """
    # Faust alone takes half a second to import: only a worker pays for it.
    from agents.app import changelogs, create_app
    from agents.worker import Worker, serve_health
    from models.classifier import Classifier
    from models.learned import TenantClassifier, TenantHeads
    from streams.admin import ensure_topics, partitions_of
    from streams.heads import Follower

    need_broker(settings)
    counts = partitions_of(embedded=each is not None, each=each or 1)
    options = client_options(settings)

    async def prepare() -> None:
        await knock(settings.broker, options)
        await ensure_topics(settings.broker, options, counts, changelogs(counts))

    await patiently(settings, prepare, stop)
    if stop.is_set():
        return
    classifier = Classifier()
    heads = TenantHeads(classifier.version)
    work = Worker(create_app(settings, classifier, counts, learned=TenantClassifier(classifier, heads)))
    runner, address = await serve_health(work, settings.http_host, settings.health_port)
    # Posts do not wait for it: what comes in the first moments is labelled as the shipped head does.
    following = asyncio.create_task(Follower(settings.broker, options, heads).run())
    following.add_done_callback(_say_why)
    try:
        await work.run(
            ready=lambda: announce({"ready": "worker", "health": address, "port": port_of(address)}), stop=stop
        )
    finally:
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
        await runner.cleanup()


async def gateway(settings: Settings, *, chat: str, announce: Announce, stop: asyncio.Event) -> None:
    """
    Run a gateway.

    Args:
        settings: With the broker's addresses.
        chat: Address of the chat's page, for the start page; "": none is known.
        announce: Told when desks are let in.
        stop: Ends it.
    """
    from streams.gateway.server import Addresses, run

    need_broker(settings)
    await knock(settings.broker, client_options(settings))

    def ready(at: Addresses) -> None:
        announce({"ready": "gateway", "http": at.http, "desk": at.desk, "board": at.board, "port": at.port})

    find = pages.load({"/chat": chat} if chat else {})
    await run(with_secret(settings), ready=ready, stop=stop, pages=find)


async def connect(settings: Settings, *, announce: Announce, stop: asyncio.Event) -> None:
    """Run the connectors: webhooks and chat in, answers out."""
    from streams.connectors.connect import Addresses, run

    need_broker(settings)
    await knock(settings.broker, client_options(settings))

    def ready(at: Addresses) -> None:
        announce({"ready": "connect", "http": at.http, "port": port_of(at.http)})

    await run(settings, ready=ready, stop=stop, pages=chat_pages())


async def learn(settings: Settings, *, announce: Announce, stop: asyncio.Event) -> None:
    """Learn from what reps correct; it opens no door, so it has no port."""
    from agents.learner import learn as run

    need_broker(settings)
    await patiently(settings, lambda: reach(settings.broker, client_options(settings)), stop)
    if stop.is_set():
        return
    await run(settings, lambda: announce({"ready": "learn"}), stop)


async def deep(settings: Settings, *, announce: Announce, stop: asyncio.Event) -> None:
    """
    Run the second reader.

    Raises:
        Misconfigured: If it is switched off.
    """
    from models.deep import DeepClassifier
    from models.learned import TenantHeads, TenantReader
    from streams.second import Addresses, run

    need_broker(settings)
    if not settings.deep_budget_s:
        raise Misconfigured.at(str(settings.file), "engine.deep_budget_s", 0, "above 0 where `zuruf deep` is to run")
    await patiently(settings, lambda: reach(settings.broker, client_options(settings)), stop)
    if stop.is_set():
        return

    def ready(at: Addresses) -> None:
        announce({"ready": "deep", "health": at.health, "port": port_of(at.health)})

    classifier = DeepClassifier()
    heads = TenantHeads(classifier.card.fast)
    await run(settings, TenantReader(classifier, heads), heads, ready=ready, stop=stop)


def chat_pages() -> Callable[[str], pages.Page | None]:
    """Return the pages that connect serves: the chat, also at ``/``, and what it is made of."""
    find = pages.load()

    def page(path: str) -> pages.Page | None:
        path = "/chat" if path == "/" else path
        return find(path) if path == "/chat" or path.startswith(CHAT_PAGES) else None

    return page


def port_of(address: str) -> int:
    """Return the port at the end of an address."""
    return int(address.rpartition(":")[2])


def need_broker(settings: Settings) -> None:
    """
    Refuse to run apart without a broker.

    Raises:
        Misconfigured: If no address is set.
    """
    if settings.embedded:
        raise Misconfigured("environment: ZURUF_BROKER: missing, wanted kafka://host:port; `zuruf up` brings its own")


def _say_why(following: "asyncio.Task[None]") -> None:
    """Posts go on with the heads that are there; but nobody should have to guess why new ones do not come."""
    if not following.cancelled() and (error := following.exception()) is not None:
        log.error("tenants' heads are not followed any more, those that are here stay: %r", error)


async def _sleep(stop: asyncio.Event, wait_s: float) -> None:
    try:
        await asyncio.wait_for(stop.wait(), wait_s)
    except TimeoutError:
        return
