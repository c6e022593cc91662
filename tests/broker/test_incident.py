"""
An incident through the whole of the real stream: broker, worker, gateway, connect, a supervisor's websockets, a callback.

500 posts of 500 authors say nearly the same and 50 others say something else; nobody is free. The supervisor decides once. The
worker is killed while the answers go out.
"""

import asyncio
import base64
import contextlib
import functools
import json
import os
import random
import secrets
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from aiokafka import AIOKafkaProducer
from websockets.asyncio.client import ClientConnection, connect
from websockets.typing import Subprotocol

import agents.demo
from agents import up
from models.posts import Author, Post, PostData, key_of
from models.wire import SUBPROTOCOL
from streams import topics
from streams.codec import encode
from streams.gateway.auth import issue
from streams.settings import Settings, load
from streams.topics import EMBEDDED_PARTITIONS
from tests.e2e.callback import Callback, listening
from tests.e2e.journal import Journal

SAME, OTHERS = 500, 50
TENANT, BRAND, ACCOUNT = "alster", "fennkom", "social"
CORPUS: Final = Path(agents.demo.__file__).with_name("corpus.jsonl")
CONFIGURATION: Final = """
[[tenant]]
id = "alster"
name = "Alster"

[[tenant.account]]
id = "social"
connector = "webhook"
callback = "{callback}/alster/social"
secret_env = "ZURUF_INCIDENT_SECRET"

[[tenant.brand]]
id = "fennkom"
name = "Fennkom"
handles = ["fennkom"]
[tenant.brand.service_level]
at_once_min = 5
urgent_min = 15
important_min = 60
less_min = 240
[tenant.brand.incidents]
size = 10
variations_min = 3
rate_per_min = 3000
[tenant.brand.incidents.platforms]
x = 3000

[[tenant.rep]]
id = "anna"
"""
ANSWER: Final = (
    "{Hallo|Guten Tag|Moin} {name}, {danke für den Hinweis|danke, dass Sie sich melden}: "
    "{wir kennen die Störung|die Störung ist uns bekannt} und {arbeiten daran|sind dran}."
)
GREETINGS: Final = ("", "Hallo, ", "Hey @fennkom, ", "Guten Morgen! ", "Sagt mal, ")
TOWNS: Final = ("Kiel", "Lübeck", "Bremen", "Husum", "Emden", "Plön", "Eutin", "Jever", "Leer", "Norden", "Aurich")
ENDS: Final = ("", " Bitte um Antwort!", " 😡", " #fennkom", " Kundennummer {number}.")


def synchronous(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Run an async test in a loop of its own."""

    @functools.wraps(test)
    def run_it(*args: Any, **kwargs: Any) -> None:
        asyncio.run(asyncio.wait_for(test(*args, **kwargs), 300))

    return run_it


def the_same(number: int) -> str:
    """Return an outage's post in words of its own."""
    draw = random.Random(number)
    town, end = draw.choice(TOWNS), draw.choice(ENDS).format(number=10_000 + number)
    return f"{draw.choice(GREETINGS)}seit heute Morgen geht bei mir in {town} kein Internet mehr, was ist da los?{end}"


def others() -> list[str]:
    """Return posts of the demonstration's corpus that open a case, each of another kind."""
    rows = [json.loads(line) for line in CORPUS.read_text(encoding="utf-8").splitlines()]
    return [
        row["text"]
        for row in rows
        if row["expect"].get("answer") and not row["expect"].get("noise") and "again" not in row
        if row["expect"]["triage"] in ("less", "important", "urgent") and row["tenant"] == TENANT
    ]


def a_post(name: str, text: str, number: int) -> Post:
    now = datetime.now(UTC)
    data = PostData(
        tenant=TENANT,
        platform="x",
        account_id=ACCOUNT,
        object_uri=f"urn:{name}",
        text=text,
        brand=BRAND,
        author=Author(handle=f"kunde{number}", name="Anna Muster"),
        received_at=int(now.timestamp() * 1000),
    )
    return Post("1.0", f"urn:{name}", "/test", "zuruf.post.created", now, data)


class House:
    """Everything that stands, and what a supervisor sees and does."""

    def __init__(self, standing: up.House, callback: Callback, journal: Journal, producer: Any) -> None:
        self.up, self.callback, self.journal, self.producer = standing, callback, journal, producer
        self.frame: dict[str, Any] = {}
        """The brand's newest, as the board is shown it."""
        self.desk: ClientConnection | None = None
        self.tasks: list[asyncio.Task[None]] = []
        """What hears the journal and the board; neither ends by itself."""

    async def send(self, posts: list[Post]) -> None:
        for post in posts:
            await self.producer.send(topics.POSTS.name, encode(post), key=key_of(post.data))
        await self.producer.flush()

    def incident(self) -> dict[str, Any]:
        """Return the one incident that the board shows, or what is like none."""
        lines = self.frame.get("incidents", [])
        assert len(lines) <= 1, f"one incident was meant: {lines}"
        return lines[0] if lines else {"posts": 0, "answered": 0, "state": ""}

    def queued(self) -> int:
        return sum(self.frame.get("queued", {}).values())

    async def until(self, holds: Callable[[], bool], what: str, wait_s: float = 60.0) -> None:
        end = time.monotonic() + wait_s
        while not holds():
            for task in self.tasks:
                assert not task.done(), task.result()
            told = {name: self.frame.get(name) for name in ("queued", "automatic", "incidents")}
            assert time.monotonic() < end, f"not within {wait_s} s: {what}; board: {told}"
            await asyncio.sleep(0.1)

    async def watch(self, token: str) -> None:
        """Be a board."""
        async with _socket(self.up.standing().board) as board:
            await _hello(board, token)
            await board.send(json.dumps({"type": "sub", "brands": []}))
            async for data in board:
                frame = json.loads(data)
                if frame["type"] == "board":
                    self.frame = frame["frame"]
            raise AssertionError(f"the board's socket was closed: {board.close_code} {board.close_reason}")

    async def order(self, frame: dict[str, Any], brings: str = "") -> dict[str, Any]:
        """Give a supervisor's command; return its result, or the frame that it brings."""
        assert self.desk is not None
        command = secrets.token_hex(8)
        await self.desk.send(json.dumps({"id": command, **frame}))
        found: dict[str, Any] = {}
        async with asyncio.timeout(30):
            while True:
                heard = json.loads(await self.desk.recv())
                if heard.get("re") == command and heard["type"] == brings:
                    found = heard
                if heard.get("re") == command and heard["type"] == "result":
                    assert heard["ok"], heard
                    return found or heard

    def about(self) -> dict[str, Any]:
        """Return the incident as a command names it."""
        line = self.incident()
        return {"incident_id": line["incident_id"], "version": line["version"]}

    def answered(self) -> dict[str, str]:
        """Return the cases of the answers that have arrived, by answer."""
        return {one.message_id: one.event["data"]["case_id"] for one in self.callback.arrivals}

    def events(self, kind: str) -> list[dict[str, Any]]:
        """
        Return what was told of cases.

        A worker that is killed between outputs and rows leaves outputs that its successor writes again: what has the same
        ``src`` is the same event, as for every reader of a step's records.
        """
        told: dict[tuple[int, ...], dict[str, Any]] = {}
        for one in self.journal.records["case-events"]:
            told.setdefault(tuple(one.value["src"]), one.value)
        return [one for one in told.values() if one["type"] == kind]

    def is_settled(self, posts: list[Post]) -> bool:
        """Whether the journal says of each post what has become of it."""
        told = {one["post_id"] for kind in ("opened", "joined", "counted") for one in self.events(kind)}
        return all(post.id in told for post in posts)

    def cases(self) -> dict[str, str]:
        """Return all cases by the post that opened them."""
        return {one["post_id"]: one["case_id"] for one in self.events("opened")}


def _socket(address: str) -> connect:
    return connect(address, subprotocols=[Subprotocol(SUBPROTOCOL)], compression=None, proxy=None, max_size=None)


async def _hello(socket: ClientConnection, token: str) -> None:
    await socket.send(json.dumps({"type": "hello", "v": 1, "token": token}))
    assert json.loads(await socket.recv())["type"] == "welcome"


def configured(folder: Path, callback: str) -> Settings:
    file = folder / "zuruf.toml"
    file.write_text(CONFIGURATION.format(callback=callback), encoding="utf-8")
    return load(file, {"ZURUF_DATA": str(folder / "data"), "ZURUF_SECRET": secrets.token_urlsafe(48)})


@contextlib.asynccontextmanager
async def standing(folder: Path) -> AsyncIterator[House]:
    """Start all of it."""
    key = "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()
    environment = {"ZURUF_INCIDENT_SECRET": key}
    async with listening({ACCOUNT: key}) as callback:
        settings = configured(folder, callback.address)
        async with up.running(up.Plan(settings, log_level="warning", environment=environment)) as house:
            everything = house.standing()
            bootstrap, secret = ",".join(everything.settings.broker), everything.settings.secret.reveal()
            journal = Journal(bootstrap, EMBEDDED_PARTITIONS)
            producer = AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all")
            await producer.start()
            made = House(house, callback, journal, producer)
            now = int(time.time() * 1000)
            token = issue(secret, tenant=TENANT, subject="mia", role="supervisor", now=now)
            tasks = made.tasks = [asyncio.create_task(journal.run()), asyncio.create_task(made.watch(token))]
            try:
                async with _socket(everything.desk) as made.desk:
                    await _hello(made.desk, token)
                    yield made
                for task in tasks:
                    assert not task.done(), task.result()
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
                await producer.stop()


@synchronous
async def test_500_posts_are_one_incident_and_one_decision_answers_each_of_them_once(tmp_path: Path) -> None:
    async with standing(tmp_path) as house:
        same = [a_post(f"same:{n}", the_same(n), n) for n in range(SAME)]
        rest = [a_post(f"other:{n}", text, SAME + n) for n, text in enumerate(others()[:OTHERS])]
        sent = [*same, *rest]
        random.Random(7).shuffle(sent)
        await house.send(sent)

        await house.until(lambda: house.incident()["posts"] == SAME, "500 posts are suggested as one incident")
        # Posts lie in several partitions: the last of the others may come behind the last of the same.
        await house.until(lambda: house.is_settled(sent), "the journal has all posts")
        untouched = len(house.cases()) - SAME
        assert house.incident()["state"] == "suggested"
        assert untouched >= OTHERS * 0.8, "most of the others open a case"
        await house.until(lambda: house.queued() == SAME + untouched, "all of them wait, the board says")

        await house.order({"type": "sup_incident", "act": "group", **house.about()})
        await house.until(lambda: house.incident()["state"] == "grouped", "it is grouped")
        await house.until(lambda: house.queued() == untouched, "only the others wait in the queue")

        shown = await house.order(
            {"type": "sup_incident_cases", "incident_id": house.incident()["incident_id"]}, "incident_cases"
        )
        assert (shown["total"], len(shown["cases"])) == (SAME, 50)
        apart = shown["cases"][0]["case_id"]
        await house.order(
            {"type": "sup_incident_apart", "incident_id": house.incident()["incident_id"], "case_id": apart}
        )
        await house.until(lambda: house.queued() == untouched + 1, "one was taken out")

        await house.order({"type": "sup_incident_answer", "text": ANSWER, **house.about()})
        await house.until(lambda: len(house.answered()) >= 100, "answers go out")
        killed = house.up.standing().pids["worker-1"]
        os.kill(killed, signal.SIGKILL)
        await house.until(lambda: house.up.standing().pids["worker-1"] != killed, "another worker")
        await house.send([a_post("same:late", the_same(4711), 4711)])
        await house.until(lambda: house.incident()["answered"] == SAME, "all are answered, the late one too", 120)

        await house.until(
            lambda: len(house.events("closed")) >= SAME, "their cases are closed"
        )  # None of the others is.
        await house.until(lambda: house.queued() == untouched + 1, "the others wait, and the one that was taken out")
        await asyncio.sleep(5)  # What comes too much comes late.
        cases, answered = house.cases(), house.answered()
        expected = {case for post, case in cases.items() if post.startswith("urn:same:")} - {apart}
        assert len(expected) == SAME
        assert Counter(answered.values()) == Counter(dict.fromkeys(expected, 1)), "each once, and nobody else"
        assert house.queued() == untouched + 1
        decisions = Counter(one["what"] for one in house.events("incident"))
        assert (decisions["suggested"], decisions["grouped"], decisions["answered"]) == (1, 1, 1)
        closed = Counter(one["case_id"] for one in house.events("closed"))
        assert closed == Counter(dict.fromkeys(expected, 1))
        words = {one.event["data"]["text"] for one in house.callback.arrivals}
        assert len(words) == 24 and all("Anna Muster" in text for text in words)
        repeated = len(house.callback.arrivals) - len(answered) - house.callback.shaken
        raw = [tuple(one.value["src"]) for one in house.journal.records["case-events"]]
        print(
            f"{len(cases)} cases, {len(answered)} answers, {house.callback.shaken} refused on purpose, {repeated} repeated, "
            f"{len(raw) - len(set(raw))} events written twice"
        )
