"""
The life of a case through the real stream: posts by webhook, the whole engine on Apache Kafka, desks at real websockets.

Everything is started once. Each test has a tenant of its own, so that nobody else's cases come to its desks; each wait ends.
"""

import asyncio
import base64
import functools
import itertools
import json
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final

import pytest
from aiohttp import ClientSession
from aiokafka import AIOKafkaConsumer, TopicPartition
from websockets.asyncio.client import ClientConnection, connect
from websockets.typing import Subprotocol

from models.wire import SUBPROTOCOL
from streams.gateway.auth import Role, issue
from streams.topics import EMBEDDED_PARTITIONS
from tests.broker.test_up import SECRET, Up
from tests.e2e.sender import sign

TEST_S: Final = 60.0
WAIT_S: Final = 20.0
REPS: Final = {
    "follow": ("anna", "ben"),
    "talk": ("anna",),
    "transfer": ("anna", "ben", "cem", "dora"),
    "hold": ("anna",),
    "approval": ("anna",),
    "delete": ("anna",),
    "sup": ("anna", "ben"),
}
"""By tenant; a tenant for each test."""
TENANT: Final = """
[[tenant]]
id = "{tenant}"
name = "{tenant}"

[[tenant.kind]]
id = "talk"
visibility = "private"
idle_frees_s = 600

[[tenant.team]]
id = "night"
name = "Night"

[[tenant.account]]
id = "bridge"
connector = "webhook"
callback = "{callback}/{tenant}"
secret_env = "ZURUF_DEMO_SECRET"

[[tenant.brand]]
id = "acme"
name = "Acmewerk"
handles = ["acmewerk"]
approval = {approval}

[tenant.brand.service_level]
important_min = 60

[tenant.brand.hours]
zone = "Europe/Berlin"
mon-sun = "00:00-24:00"
"""
COMPLAINT: Final = "@acmewerk seit drei Tagen fällt mein Anschluss aus, das kommt vor Gericht!"
"""Important at least, by its words: whatever the classifier learns, somebody has to answer."""
REP: Final = """
[[tenant.rep]]
id = "{rep}"
name = "{rep}"
capacity = {capacity}
teams = {teams}
"""

Frame = dict[str, Any]
Seen = Callable[[Frame], bool]


class Answers:
    """The platform: it takes every answer and keeps it."""

    def __init__(self) -> None:
        self.texts: list[tuple[str, str]] = []
        """Tenant and text, as they came."""
        answers = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                event = json.loads(self.rfile.read(int(self.headers["content-length"])))
                answers.texts.append((event["data"]["tenant"], event["data"]["text"]))
                body = json.dumps({"object_uri": f"urn:answer:{event['id']}"}).encode()
                self.send_response(200)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def of(self, tenant: str) -> list[str]:
        return [text for found, text in self.texts if found == tenant]

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


class Desk:
    """One person's desk: what was read and nobody has asked for yet, and what the person holds."""

    _numbers = itertools.count(1)

    def __init__(self, ws: ClientConnection, name: str) -> None:
        self.ws, self.name = ws, name
        self.unread: list[Frame] = []
        self.all: list[Frame] = []

    async def read(self, seen: Seen, what: str) -> Frame:
        """Return the first frame that is meant, and forget it; what comes before it stays to be asked for."""
        for at, known in enumerate(self.unread):
            if seen(known):
                return self.unread.pop(at)
        try:
            async with asyncio.timeout(WAIT_S):
                while True:
                    frame: Frame = json.loads(await self.ws.recv())
                    if frame["type"] == "hb":
                        continue
                    self.all.append(frame)
                    if seen(frame):
                        return frame
                    self.unread.append(frame)
        except TimeoutError:
            types = [(one["type"], one.get("case", {}).get("state", "")) for one in self.unread]
            raise AssertionError(f"{self.name} was not told within {WAIT_S:g} s: {what}; but {types}") from None

    async def told(self, kind: str, /, **fields: Any) -> Frame:
        """Return the first frame of a type whose fields (of its case, if it has one) are these."""
        return await self.read(lambda frame: is_like(frame, kind, fields), f"{kind} {fields}")

    async def becomes(self, state: str, case: Frame) -> Frame:
        """
        Return the frame that shows a case in another state than it was last shown in.

        Later labels of the second reader show a case again as it was, at any time and in the same version; a change has a later one.
        """
        fields = {"case_id": case["case_id"], "state": state}

        def seen(frame: Frame) -> bool:
            return is_like(frame, "case", fields) and bool(frame["case"]["version"] > case["version"])

        return await self.read(seen, f"case {fields} after version {case['version']}")

    async def ask(self, kind: str, /, **fields: Any) -> Frame:
        """Give a command; return its answer."""
        name = f"{self.name}-{next(self._numbers)}"
        await self.ws.send(json.dumps({"type": kind, "id": name, **fields}))
        return await self.read(lambda one: one.get("re") == name, f"the result of {kind}")

    async def do(self, kind: str, /, **fields: Any) -> None:
        """Give a command that has to be carried out."""
        answer = await self.ask(kind, **fields)
        assert answer.get("ok"), answer

    async def act(self, kind: str, case: Frame, /, **fields: Any) -> None:
        """Give a command for a case as it was shown."""
        await self.do(kind, case_id=case["case_id"], version=case["version"], **fields)

    async def take(self) -> Frame:
        """Take what is offered; return it as it then is."""
        case = (await self.told("offer"))["case"]
        await self.act("accept", case, offer=case["offer"])
        shown: Frame = (await self.becomes("working", case))["case"]
        return shown

    async def is_available(self) -> "Desk":
        await self.do("presence", state="available")
        return self

    def has_read(self, text: str) -> bool:
        return any(text in json.dumps(frame) for frame in self.all)


def is_like(frame: Frame, kind: str, fields: Frame) -> bool:
    """Whether a frame is of a type, and fields of it, or of its case if it has one, are these."""
    inside = frame.get("case", frame)
    return bool(frame["type"] == kind and all(inside.get(name) == value for name, value in fields.items()))


class House:
    """Everything that stands, as a test sees it."""

    def __init__(self, up: Up, answers: Answers) -> None:
        self.up, self.answers = up, answers
        self.secret = (up.data / "secret").read_text("utf-8").strip()

    @asynccontextmanager
    async def desk(self, tenant: str, person: str, role: Role = "rep") -> Any:
        """Sit down; the snapshot has been read."""
        token = issue(self.secret, tenant=tenant, subject=person, role=role, now=time.time_ns() // 1_000_000)
        options: Any = {"subprotocols": [Subprotocol(SUBPROTOCOL)], "compression": None, "proxy": None}
        async with connect(self.up.facts["desk"], **options) as ws:
            await ws.send(json.dumps({"type": "hello", "v": 1, "token": token}))
            desk = Desk(ws, person)
            await desk.told("welcome")
            await desk.told("snapshot")
            yield desk

    async def post(
        self, tenant: str, name: str, text: str, *, kind: str = "created", thread: str = "", **data: Any
    ) -> None:
        """Send a post as a platform's bridge would."""
        now = time.time_ns() // 1_000_000
        event = {
            "id": f"{name}-{kind}-{now}",
            "specversion": "1.0",
            "source": "/life",
            "type": f"zuruf.post.{kind}",
            "time": "2026-01-01T00:00:00Z",
            "data": {
                "tenant": tenant,
                "platform": "x",
                "account_id": "bridge",
                "object_uri": f"urn:{tenant}:{name}",
                "conversation_uri": f"urn:{tenant}:{thread or name}",
                "text": text,
                "author": {"handle": "kunde"},
                "created_at": now,
                "brand": "acme",
                **data,
            },
        }
        body, stamp = json.dumps(event).encode(), str(now // 1000)
        key = base64.b64decode(SECRET.removeprefix("whsec_"))
        message_id = f"{tenant}-{event['id']}"
        headers = {"content-type": "application/json", "webhook-id": message_id, "webhook-timestamp": stamp}
        headers["webhook-signature"] = sign(key, message_id, stamp, body)
        address = f"{self.up.facts['connect']}/webhook/{tenant}/bridge"
        async with ClientSession() as session, session.post(address, data=body, headers=headers) as answer:
            assert answer.status == 202, await answer.text()

    async def records(self, topic: str, tenant: str, *, raw: bool = False) -> list[Any]:
        """Return what a topic holds now of a tenant, in its order; with ``raw`` (key, value) of all its records."""
        bootstrap = self.up.facts["broker"]
        consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, group_id=None, auto_offset_reset="earliest")
        await consumer.start()
        try:
            places = [TopicPartition(topic, one) for one in range(EMBEDDED_PARTITIONS)]
            consumer.assign(places)
            ends = await consumer.end_offsets(places)
            found: list[Any] = []
            while any([await consumer.position(place) < ends[place] for place in places]):
                for records in (await consumer.getmany(timeout_ms=500)).values():
                    found += records
        finally:
            await consumer.stop()
        if raw:
            return [(one.key or b"", one.value or b"") for one in found]
        return [json.loads(one.value) for one in found if one.key == tenant.encode()]

    async def moves(self, tenant: str) -> list[str]:
        """Return what has happened to the cases of a tenant."""
        return [one["what"] for one in await self.records("case-events", tenant) if one["type"] == "moved"]


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    folder = tmp_path_factory.mktemp("life")
    answers = Answers()
    config = folder / "zuruf.toml"
    config.write_text("".join(a_tenant(tenant, answers.address) for tenant in REPS), "utf-8")
    try:
        up = Up(folder / "data", config=config)
        try:
            yield House(up, answers)
            assert up.end() == 0
        finally:
            up.close()
    finally:
        answers.close()


def a_tenant(tenant: str, callback: str) -> str:
    text = TENANT.format(tenant=tenant, callback=callback, approval=str(tenant == "approval").lower())
    for rep in REPS[tenant]:
        teams = '["night"]' if rep == "cem" else "[]"
        text += REP.format(rep=rep, capacity=1 if tenant == "sup" else 4, teams=teams)
    return text


def bounded(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Run a test in a loop of its own, for a minute at most."""

    @functools.wraps(test)
    def run_it(house: House) -> None:
        asyncio.run(asyncio.wait_for(test(house), TEST_S))

    return run_it


async def first_of(desks: Mapping[str, Desk], wait: Callable[[Desk], Awaitable[Frame]]) -> tuple[Desk, Frame]:
    """Return the desk that hears of something first, and what."""
    tasks = {asyncio.create_task(wait(desk)): desk for desk in desks.values()}  # type: ignore[arg-type,var-annotated]
    done, late = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in late:
        task.cancel()
    await asyncio.gather(*late, return_exceptions=True)
    task = done.pop()
    return tasks[task], task.result()


async def answer(desk: Desk, case: Frame, text: str = "Gern!", *, close: bool = False) -> None:
    """Answer, and wait until the platform has it."""
    await desk.act("reply", case, text=text, close=close)
    await desk.told("publish", case_id=case["case_id"], status="sent")


async def opened(house: House, supervisor: Desk, tenant: str, name: str) -> str:
    """Send a post that nobody is there for; return the case that it opens, once it waits."""
    before = {one["case_id"] for one in (await supervisor.ask("list", what="all"))["cases"]}
    await house.post(tenant, name, COMPLAINT)
    for _ in range(round(WAIT_S / 0.1)):
        new = {one["case_id"] for one in (await supervisor.ask("list", what="all"))["cases"]} - before
        if new:
            return str(new.pop())
        await asyncio.sleep(0.1)
    raise AssertionError(f"post {name} of {tenant} has opened no case within {WAIT_S:g} s")


@bounded
async def test_a_follow_up_reaches_the_same_rep_and_never_one_who_is_away(house: House) -> None:
    async with AsyncExitStack() as stack:
        desks = {name: await stack.enter_async_context(house.desk("follow", name)) for name in REPS["follow"]}
        for desk in desks.values():
            await desk.is_available()
        await house.post("follow", "p1", COMPLAINT)
        mine, case = await first_of(desks, Desk.take)
        other = next(desk for desk in desks.values() if desk is not mine)
        await answer(mine, case)

        # The other has been idle for longer, and would get whatever is new.
        await house.post("follow", "p2", COMPLAINT, thread="p1")
        again = await mine.take()
        assert (again["case_id"], len(again["thread"])) == (case["case_id"], 3)
        await answer(mine, again)

        await mine.do("presence", state="away")
        await house.post("follow", "p3", COMPLAINT, thread="p1")
        third = await other.take()
        assert third["case_id"] == case["case_id"]
        assert not [one for one in mine.unread if one["type"] == "offer"]


@bounded
async def test_a_talk_comes_back_at_once_to_who_answered_it(house: House) -> None:
    async with house.desk("talk", "anna") as anna:
        await anna.is_available()
        await house.post("talk", "talk", COMPLAINT, visibility="private")
        case = await anna.take()
        assert case["kind"] == "talk"
        await answer(anna, case)

        await house.post("talk", "talk-2", COMPLAINT, thread="talk", visibility="private")
        back = (await anna.becomes("working", case))["case"]

        assert [one["by"] for one in back["thread"]] == ["customer", "rep", "customer"]
        assert not [one for one in anna.unread if one["type"] == "offer"], "it needs no offer"
        await answer(anna, back, close=True)


@bounded
async def test_a_transfer_reaches_the_rep_and_the_team_that_it_names(house: House) -> None:
    async with AsyncExitStack() as stack:
        desks = {name: await stack.enter_async_context(house.desk("transfer", name)) for name in REPS["transfer"]}
        anna, ben, cem, dora = desks.values()
        await anna.is_available()
        await house.post("transfer", "p1", COMPLAINT)
        case = await anna.take()
        refused = await anna.ask(
            "transfer", case_id=case["case_id"], version=case["version"], to="rep:ben", note="bitte"
        )
        assert refused["error"]["code"] == "absent", "ben is not there yet"
        for desk in (ben, cem, dora):
            await desk.is_available()

        await anna.act("transfer", case, to="rep:ben", note="Kennst du das?")
        assert (await anna.told("revoke", case_id=case["case_id"]))["reason"] == "transferred"
        his = await ben.take()
        assert [(note["by"], note["text"], note["to"]) for note in his["notes"]] == [
            ("anna", "Kennst du das?", "rep:ben")
        ]
        await ben.act("transfer", his, to="team:night", note="Für die Nacht")
        theirs = await cem.take()
        assert [note["to"] for note in theirs["notes"]] == ["rep:ben", "team:night"]
        await answer(cem, theirs, close=True)

        assert not [one for desk in (anna, dora) for one in desk.unread if one["type"] == "offer"]
        assert (await house.moves("transfer")) == ["forwarded", "forwarded"]
        assert house.answers.of("transfer") == ["Gern!"]


@bounded
async def test_a_case_is_laid_aside_and_comes_back_by_hand_and_by_itself(house: House) -> None:
    async with house.desk("hold", "anna") as anna:
        await anna.is_available()
        await house.post("hold", "p1", COMPLAINT)
        case = await anna.take()
        await anna.act("hold", case)
        held = (await anna.becomes("held", case))["case"]
        refused = await anna.ask("hold", case_id=held["case_id"], version=held["version"])
        assert refused["error"]["code"] == "illegal"
        await anna.act("resume", held)
        case = (await anna.becomes("working", held))["case"]

        # Far enough ahead for the command to arrive before, also on a machine under load: later it would be refused.
        until = time.time_ns() // 1_000_000 + 5_000
        await anna.act("hold", case, until=until)
        held = (await anna.becomes("held", case))["case"]
        assert held["until"] == until
        back = await anna.becomes("working", held)

        assert back["ts"] >= until
        await answer(anna, back["case"], close=True)
        assert (await house.moves("hold")) == ["held", "resumed", "held", "resumed"]


@bounded
async def test_an_answer_is_given_back_then_approved_then_published_once(house: House) -> None:
    async with house.desk("approval", "anna") as anna, house.desk("approval", "sue", "supervisor") as sue:
        await anna.is_available()
        await house.post("approval", "p1", COMPLAINT)
        case = await anna.take()
        await anna.act("reply", case, text="Pech gehabt.", close=True)
        waits = (await anna.becomes("awaiting_approval", case))["case"]
        assert (await sue.told("info", kind="approval"))["case_id"] == case["case_id"]
        listed = await sue.ask("list", what="approval")
        assert [one["case_id"] for one in listed["cases"]] == [case["case_id"]]
        own = await anna.ask("approve", case_id=waits["case_id"], version=waits["version"])
        assert own["error"]["code"] == "forbidden"

        await sue.act("return", waits, note="So nicht.")
        back = (await anna.becomes("working", waits))["case"]
        assert [(one.get("status"), one.get("error")) for one in back["thread"][1:]] == [("returned", "So nicht.")]
        assert house.answers.of("approval") == []

        await anna.act("reply", back, text="Das tut uns leid.", close=True)
        waits = (await anna.becomes("awaiting_approval", back))["case"]
        await sue.act("approve", waits)
        done = await anna.told("publish", case_id=case["case_id"], status="sent")
        assert done["state"] == "closed"
        assert house.answers.of("approval") == ["Das tut uns leid."]
        assert (await house.moves("approval")) == ["approval_asked", "returned", "approval_asked", "approved"]
        await sue.ask("list", what="all")  # Answered once all that was decided before it stands in every topic.
        events = await house.records("case-events", "approval")
        assert sum(one["type"] == "answered" for one in events) == 1


@bounded
async def test_a_post_that_its_author_takes_back_while_it_is_offered_is_gone_everywhere(house: House) -> None:
    text = COMPLAINT + " Meine Nummer ist vierzwanzigacht."
    async with house.desk("delete", "anna") as anna, house.desk("delete", "sue", "supervisor") as sue:
        await anna.is_available()
        await house.post("delete", "p1", text)
        case = (await anna.told("offer"))["case"]
        assert case["thread"][0]["text"] == text
        await sue.do("view", case_id=case["case_id"])
        await sue.told("shown", case_id=case["case_id"])

        await house.post("delete", "p1", "", kind="deleted")
        erased = await anna.told("erased", case_id=case["case_id"])
        assert erased["entry_id"] == case["thread"][0]["id"]
        assert (await anna.told("revoke", case_id=case["case_id"]))["reason"] == "deleted"
        late = await anna.ask("accept", case_id=case["case_id"], version=case["version"], offer=case["offer"])
        assert late["error"]["code"] == "offer_gone" and "vierzwanzigacht" not in json.dumps(late)
        assert "vierzwanzigacht" not in json.dumps(await sue.told("shown", state="closed"))

        listed = await sue.ask("list", what="all")
        assert listed["total"] == 0
        async with house.desk("delete", "anna") as again:
            assert not again.has_read("vierzwanzigacht")
    (closed,) = [one for one in await house.records("case-events", "delete") if one["type"] == "closed"]
    assert [(one.get("text", ""), one["deleted"]) for one in closed["case"]["thread"]] == [("", True)]
    rows = await house.records("zuruf-dispatch-changelog", "delete", raw=True)
    mine = [value for key, value in rows if case["case_id"].encode() in key]
    assert mine and b"vierzwanzigacht" not in mine[-1]


@bounded
async def test_a_supervisor_puts_a_case_first_and_gives_one_beyond_the_capacity(house: House) -> None:
    async with house.desk("sup", "anna") as anna, house.desk("sup", "sue", "supervisor") as sue:
        ids = [await opened(house, sue, "sup", f"p{number}") for number in range(3)]
        refused = await anna.ask("sup_priority", case_id=ids[2], triage="at_once")
        assert refused["error"]["code"] == "forbidden"

        for case_id, triage in zip(ids, ("less", "less", "at_once"), strict=True):
            await sue.do("sup_priority", case_id=case_id, triage=triage, reason="Presse")
        assert (await sue.ask("sup_assign", case_id=ids[1], to="anna"))["error"]["code"] == "absent"
        await anna.is_available()
        first = await anna.take()
        assert (first["case_id"], first["triage"]) == (ids[2], "at_once")
        assert "sue: at_once, Presse" in first["why"]

        await sue.do("sup_assign", case_id=ids[1], to="anna", reason="kennt sie")
        given = (await anna.told("case", case_id=ids[1]))["case"]
        assert (given["state"], given["rep_id"]) == ("working", "anna")
        assert not [one for one in anna.unread if one["type"] == "offer"], "her capacity of one is taken twice"
        await answer(anna, first, close=True)
        await answer(anna, given, close=True)
        assert (await anna.take())["case_id"] == ids[0]
        assert (await house.moves("sup")) == ["prioritised"] * 3 + ["assigned"]
