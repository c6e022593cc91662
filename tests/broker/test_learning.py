"""From a label that a rep sets at a desk to other labels for the next post, and back: all processes, the real broker."""

import asyncio
import functools
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from websockets.asyncio.client import connect
from websockets.typing import Subprotocol

from models.classifier import HEADS, Classifier, columns_of
from models.learning import SHIFT_MIN
from models.relabels import Correction
from models.text import normalise
from streams import topics
from streams.codec import encode
from streams.gateway.auth import issue

ROOT = Path(__file__).parents[2]
SECRET = "learning-tests-secret-of-32-chars-or-more"
CONFIG = """
[engine]
deep_budget_s = 0

[[tenant]]
id = "alster"
name = "Alster"

[[tenant.rep]]
id = "anna"
name = "Anna"
capacity = 50

[[tenant.brand]]
id = "fennkom"
name = "Fennkom"
handles = ["fennkom"]

[tenant.brand.service_level]
urgent_min = 15
"""
MIXED = (
    "my parcel has not come, when will it be here",
    "the app shows the old price, which one holds",
    "i still have no seat for the train on monday",
    "how long does a refund take with you",
    "the router blinks red since the update",
)
"""A tenant whose reps see less anger in these than the classifier, or more: whichever is its second choice."""
PLAIN = "thank you so much, great service, i love it"


def synchronous(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Run an async test in a loop of its own."""

    @functools.wraps(test)
    def run_it(*args: Any, **kwargs: Any) -> None:
        asyncio.run(asyncio.wait_for(test(*args, **kwargs), 150))

    return run_it


class Up:
    """A running ``zuruf up`` with one tenant."""

    def __init__(self, folder: Path) -> None:
        (folder / "zuruf.toml").write_text(CONFIG, encoding="utf-8")
        self.config = str(folder / "zuruf.toml")
        clean = {key: value for key, value in os.environ.items() if not key.startswith("ZURUF_")}
        self.environment = clean | {"ZURUF_DATA": str(folder / "data"), "ZURUF_SECRET": SECRET, "PYTHONPATH": str(ROOT)}
        command = [sys.executable, "-m", "agents.cli", "up", "--config", self.config, "--announce"]
        self.errors = folder / "stderr"
        with self.errors.open("wb") as errors:
            self.process = subprocess.Popen(
                command, env=self.environment, stdout=subprocess.PIPE, stderr=errors, text=True, start_new_session=True
            )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, self.errors.read_text("utf-8")
        self.facts: dict[str, Any] = json.loads(line)
        self.broker = list(self.facts["broker"])

    def learned(self, *options: str) -> Any:
        """Run ``zuruf learned --json``."""
        environment = self.environment | {"ZURUF_BROKER": "kafka://" + ",".join(self.broker)}
        command = [sys.executable, "-m", "agents.cli", "learned", "--config", self.config, "--json", *options]
        run = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
        assert run.returncode == 0, run.stderr
        return json.loads(run.stdout)

    def close(self) -> None:
        assert self.process.stdout is not None
        self.process.terminate()
        self.process.wait(60)
        self.process.stdout.close()


@pytest.fixture
def up(tmp_path: Path) -> Iterator[Up]:
    running = Up(tmp_path)
    yield running
    running.close()


class Desk:
    """A rep's desk in plain JSON; and the topics, read and written by hand."""

    def __init__(self, ws: Any, producer: Any, up: Up) -> None:
        self.ws, self.producer, self.up = ws, producer, up
        self.posts = 0
        self.came: list[dict[str, Any]] = []

    async def frame(self, kind: str) -> dict[str, Any]:
        """Return the next frame of a kind; others that come before it are kept for whoever asks."""
        while True:
            for frame in self.came:
                if frame["type"] == kind:
                    self.came.remove(frame)
                    return frame
            self.came.append(json.loads(await asyncio.wait_for(self.ws.recv(), 20)))

    async def command(self, **fields: Any) -> None:
        await self.ws.send(json.dumps(fields))
        result = await self.frame("result")
        assert result["ok"], result

    async def post(self, text: str) -> dict[str, Any]:
        """Write a post to ``posts`` and return the case that the desk is offered."""
        self.posts += 1
        post = {
            "specversion": "1.0",
            "id": f"x:{self.posts}",
            "source": "/alster/x",
            "type": "zuruf.post.created",
            "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "data": {
                "tenant": "alster",
                "platform": "x",
                "account_id": "main",
                "object_uri": f"x:{self.posts}",
                "text": text,
                "brand": "fennkom",
                "author": {"handle": f"kunde{self.posts}"},
            },
        }
        await self.producer.send_and_wait("posts", json.dumps(post).encode(), key=f"alster|x:{self.posts}".encode())
        case: dict[str, Any] = (await self.frame("offer"))["case"]
        return case


def the_example(classifier: Classifier) -> tuple[str, str, str]:
    """Return the text that the classifier is least sure of, what it says of it, and its second choice."""
    logits = classifier.logits([normalise(text) for text in MIXED])[:, columns_of("sentiment")]
    order = logits.argsort(axis=1)
    gaps = [logits[at][order[at][-1]] - logits[at][order[at][-2]] for at in range(len(MIXED))]
    at = min((at for at in range(len(MIXED)) if order[at][-1] != 2 and order[at][-2] != 2), key=lambda at: gaps[at])
    return MIXED[at], HEADS["sentiment"][order[at][-1]], HEADS["sentiment"][order[at][-2]]


async def corrected_before(producer: Any, text: str, meant: str, count: int) -> None:
    """Write what reps have said in the weeks before: half of it confirms, half of it corrects."""
    for number in range(count):
        said, value = (text, meant) if number % 2 else (PLAIN, "positive")
        row = Correction(
            at=int(time.time() * 1000) - 1000 + number,
            src=(99, number, 1),
            tenant="alster",
            brand_id="fennkom",
            case_id=f"c99-{number}",
            post_id=f"before:{number}",
            text=said,
            head="sentiment",
            value=value,
            found="",
            confidence=0.5,
            rep_id="anna",
        )
        await producer.send(topics.CORRECTIONS.name, encode(row), key=b"alster")
    await producer.flush()


async def newest_board(broker: list[str]) -> dict[str, Any]:
    """Return the newest frame of the board."""
    consumer = AIOKafkaConsumer(bootstrap_servers=broker, group_id=None, auto_offset_reset="earliest")
    await consumer.start()
    try:
        consumer.assign([TopicPartition("boards", number) for number in range(4)])
        newest: dict[str, Any] = {"at": 0}
        while records := await consumer.getmany(timeout_ms=500):
            for value in (msgspec.json.decode(one.value) for part in records.values() for one in part):
                newest = value if value["at"] >= newest["at"] else newest
            if len(newest) > 1 and newest["at"] > time.time() * 1000 - 1500:
                break
        return newest
    finally:
        await consumer.stop()


async def until(
    call: Callable[[], Coroutine[Any, Any, Any]], is_it: Callable[[Any], bool], wait_s: float, what: str
) -> Any:
    """Call until it is so."""
    end = time.monotonic() + wait_s
    while True:
        found = await call()
        if is_it(found):
            return found
        assert time.monotonic() < end, f"not within {wait_s} s: {what}; last was {found}"
        await asyncio.sleep(0.5)


@synchronous
async def test_a_label_set_at_a_desk_changes_the_labels_of_the_posts_that_follow_and_can_be_taken_back(up: Up) -> None:
    text, said, meant = the_example(Classifier())
    producer = AIOKafkaProducer(bootstrap_servers=up.broker, acks="all")
    await producer.start()
    token = issue(SECRET, tenant="alster", subject="anna", role="rep", now=int(time.time() * 1000))
    try:
        async with connect(up.facts["desk"], subprotocols=[Subprotocol("zuruf.desk.v1")], compression=None) as ws:
            desk = Desk(ws, producer, up)
            await ws.send(json.dumps({"type": "hello", "v": 1, "token": token}))
            await desk.command(type="presence", id="p1", state="available")
            await corrected_before(producer, text, meant, SHIFT_MIN - 1)

            # A rep takes a case and sets its label: that is the hundredth correction.
            case = await desk.post(text)
            assert case["labels"]["sentiment"] == said
            await desk.command(
                type="accept", id="a1", case_id=case["case_id"], offer=case["offer"], version=case["version"]
            )
            taken = (await desk.frame("case"))["case"]
            await desk.command(
                type="relabel", id="l1", case_id=case["case_id"], version=taken["version"], labels={"sentiment": meant}
            )

            async def listed() -> Any:
                return await asyncio.to_thread(up.learned)

            found = await until(listed, lambda all_: bool(all_ and all_[0]["current"]), 40, "a promotion")
            change = found[0]["changes"][-1]
            assert (found[0]["head"], change["what"], change["corrections"]) == ("sentiment", "promoted", SHIFT_MIN)
            assert change["after"] > change["before"]

            # The next post of this tenant gets other labels.
            async def labelled() -> Any:
                return (await desk.post(text))["labels"]["sentiment"]

            await until(labelled, lambda value: value == meant, 20, f"a post labelled {meant}")
            board = await until(
                lambda: newest_board(up.broker), lambda frame: bool(frame.get("learned")), 20, "a line on the board"
            )
            assert board["learned"][0]["version"] == found[0]["current"]
            assert board["learned"][0]["after"] > board["learned"][0]["before"]

            # And back.
            back = await asyncio.to_thread(up.learned, "--rollback", "alster", "sentiment")
            assert back["current"] == ""
            await until(labelled, lambda value: value == said, 20, f"a post labelled {said} again")
            board = await until(
                lambda: newest_board(up.broker),
                lambda frame: bool(frame.get("learned")) and frame["learned"][0]["what"] == "rolled_back",
                20,
                "the rollback on the board",
            )
            assert [line["what"] for line in board["learned"]] == ["rolled_back", "promoted"]
    finally:
        await producer.stop()
