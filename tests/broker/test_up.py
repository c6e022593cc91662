"""``zuruf up`` as a process: what it starts, what it starts again, and what it leaves behind, which is nothing."""

import asyncio
import itertools
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from msgspec.structs import replace

import agents.demo
from agents.up import LARGE_PAGES
from models.classifier import ARTIFACTS, read_card
from models.learning import Head, Standing, Weights
from models.posts import Post, key_of
from models.records import CaseEvent, Understood
from models.relabels import Relabelled
from streams import topics
from streams.codec import encode
from streams.heads import Shelf
from tests.bench import load
from tests.builders import a_social_post, labels, understood

ROOT = Path(__file__).parents[2]
DEMO = Path(agents.demo.__file__).with_name("zuruf.toml")
SECRET = "whsec_" + "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0"


class Up:
    """A running ``zuruf up``."""

    def __init__(self, data: Path, *options: str, config: Path = DEMO, **variables: str) -> None:
        self.data = data
        data.mkdir(exist_ok=True)
        self.errors = data / "stderr"
        environment = {key: value for key, value in os.environ.items() if not key.startswith("ZURUF_")}
        environment |= {"ZURUF_DATA": str(data), "ZURUF_DEMO_SECRET": SECRET, "PYTHONPATH": str(ROOT)}
        environment |= {"ZURUF_SESSION_S": "3"} | variables
        command = [sys.executable, "-m", "agents.cli", "up", "--config", str(config), "--announce", *options]
        with self.errors.open("ab") as errors:
            self.process = subprocess.Popen(
                command, env=environment, stdout=subprocess.PIPE, stderr=errors, text=True, start_new_session=True
            )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, self.said()
        self.facts: dict[str, Any] = json.loads(line)
        self.pids: dict[str, int] = self.facts["pids"]

    def said(self) -> str:
        return self.errors.read_text("utf-8")

    def end(self, number: int = signal.SIGTERM) -> int:
        """End it; return its status."""
        self.process.send_signal(number)
        return self.process.wait(60)

    def close(self) -> None:
        if self.process.poll() is None:
            self.end(signal.SIGKILL)
        assert self.process.stdout is not None
        self.process.stdout.close()

    def records(self, topic: str) -> int:
        """Return how many records a topic holds."""

        async def count() -> int:
            consumer = AIOKafkaConsumer(bootstrap_servers=self.facts["broker"], group_id=None)
            await consumer.start()
            try:
                ends = await consumer.end_offsets([TopicPartition(topic, number) for number in range(4)])
                return sum(ends.values())
            finally:
                await consumer.stop()

        return asyncio.run(count())


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Up]]:
    """Start ``zuruf up`` in a folder of the test's own."""
    started: list[Up] = []

    def started_one(*options: str, **variables: str) -> Up:
        started.append(Up(tmp_path / "data", *options, **variables))
        return started[-1]

    yield started_one
    for one in started:
        one.close()


def is_there(pid: int) -> bool:
    """Return whether a process runs; one that has ended and that nobody has asked for counts as gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text("ascii", "replace").rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def wait_for(condition: Callable[[], object], wait_s: float, what: str) -> None:
    until = time.monotonic() + wait_s
    while not condition():
        assert time.monotonic() < until, f"not within {wait_s} s: {what}"
        time.sleep(0.1)


def children_of(parent: int) -> dict[int, list[str]]:
    """Return the command line of each child process, by its number."""
    children = Path(f"/proc/{parent}/task/{parent}/children").read_text(encoding="ascii").split()
    return {int(child): Path(f"/proc/{child}/cmdline").read_bytes().decode().split("\0") for child in children}


async def write(broker: list[str], posts: Iterable[Post]) -> None:
    """Write posts, and return once the broker has them."""
    producer = AIOKafkaProducer(bootstrap_servers=broker)
    await producer.start()
    try:
        for post in posts:
            await producer.send(topics.POSTS.name, encode(post), key=key_of(post.data))
    finally:
        await producer.stop()


def answers(address: str) -> bool:
    try:
        with urllib.request.urlopen(address, timeout=2) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def test_everything_answers_and_ends_in_order(start: Callable[..., Up]) -> None:
    up = start("--workers", "2")

    assert set(up.pids) == {"worker-1", "worker-2", "gateway", "connect", "broker"}
    for page in ("/", "/desk", "/board", "/readyz", "/metrics"):
        wait_for(lambda page=page: answers(up.facts["gateway"] + page), 20, page)  # type: ignore[misc]
    for page in ("/", "/chat", "/static/chat/chat.js", "/readyz", "/metrics"):
        wait_for(lambda page=page: answers(up.facts["connect"] + page), 20, page)  # type: ignore[misc]
    for address in up.facts["health"]:
        # The second worker's coming takes partitions from the first, which says so meanwhile.
        ready = address + "/readyz"
        wait_for(lambda ready=ready: answers(ready), 20, ready)  # type: ignore[misc]
        assert answers(address + "/metrics")
    with urllib.request.urlopen(up.facts["gateway"] + "/") as page_:
        assert f"{up.facts['connect']}/chat" in page_.read().decode()

    assert up.end(signal.SIGINT) == 0
    assert [name for name, pid in up.pids.items() if is_there(pid)] == []
    assert "killed" not in up.said()


def test_the_example_of_the_readme_sends_a_post(start: Callable[..., Up]) -> None:
    up = start()
    readme = (ROOT / "README.md").read_text("utf-8")
    example = readme.partition("```sh\n")[2].partition("```")[0].replace("main", "alster")
    environment = {**os.environ, "CONNECT": up.facts["connect"], "BRIDGE_SECRET": SECRET}
    run = subprocess.run(["bash", "-euc", example], env=environment, capture_output=True, text=True)

    assert "HTTP/1.1 202" in run.stdout, run.stdout + run.stderr
    assert '{"accepted":1,"refused":[]}' in run.stdout
    assert up.records("posts") == 1
    assert up.end() == 0


def test_a_child_that_is_killed_comes_back_where_it_was(start: Callable[..., Up]) -> None:
    up = start()
    for name, address in (("gateway", "gateway"), ("connect", "connect")):
        os.kill(up.pids[name], signal.SIGKILL)
        wait_for(lambda name=name: f"{name} is back" in up.said(), 30, f"{name} is back")  # type: ignore[misc]
        ready = up.facts[address] + "/readyz"
        wait_for(lambda ready=ready: answers(ready), 20, ready)  # type: ignore[misc]
    os.kill(up.pids["worker-1"], signal.SIGKILL)
    wait_for(lambda: "worker-1 is back" in up.said(), 60, "worker-1 is back")
    assert "worker-1 was ended by SIGKILL; it starts again in 0.2 s" in up.said()

    # Ticks flow again: the new worker has the partitions.
    before = up.records("case-events")
    wait_for(lambda: up.records("case-events") > before, 30, "ticks")
    assert up.end() == 0


def test_nobody_is_left_when_it_is_killed(start: Callable[..., Up]) -> None:
    up = start()
    up.end(signal.SIGKILL)
    wait_for(lambda: not any(map(is_there, up.pids.values())), 40, f"all of {up.pids} are gone")


def test_a_broker_that_dies_ends_everything_and_says_why(start: Callable[..., Up]) -> None:
    up = start()
    os.kill(up.pids["broker"], signal.SIGKILL)

    assert up.process.wait(60) == 1
    assert "zuruf up: broker node 1 ended with signal SIGKILL; the last lines of" in up.said()
    assert [name for name, pid in up.pids.items() if is_there(pid)] == []


def test_a_child_that_dies_too_often_is_given_up(start: Callable[..., Up]) -> None:
    up = start()
    port = int(up.facts["gateway"].rpartition(":")[2])
    # Somebody else takes its port, so that it cannot come back: at once, since it starts again within the second.
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        os.kill(up.pids["gateway"], signal.SIGKILL)
        until = time.monotonic() + 10
        while True:
            try:
                taken.bind(("127.0.0.1", port))
                break
            except OSError:
                assert time.monotonic() < until, "the gateway's port is not given up"
        taken.listen()
        assert up.process.wait(90) == 1

    assert "zuruf up: gateway ended with status 1, 5 times within a minute, and is given up" in up.said()
    assert "in use" in up.said()
    assert [name for name, pid in up.pids.items() if is_there(pid)] == []


def test_what_was_taken_in_outlives_a_stop_and_fresh_begins_anew(start: Callable[..., Up]) -> None:
    up = start()
    asyncio.run(write(up.facts["broker"], [load.post(0)]))
    wait_for(lambda: up.records("work") > 8, 30, "ticks")
    count = up.records("work")
    assert up.end() == 0

    up = start()
    assert up.records("posts") == 1
    assert up.records("work") >= count
    assert up.end() == 0

    # Not the ticks: on a slow machine there are as many again before everything is ready.
    up = start("--fresh")
    assert up.records("posts") == 0
    assert up.end() == 0
    assert (up.data / "secret").exists()


def test_the_demonstration_loses_nothing(tmp_path: Path) -> None:
    environment = {key: value for key, value in os.environ.items() if not key.startswith("ZURUF_")}
    environment |= {"ZURUF_DATA": str(tmp_path), "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "agents.cli", "up", "--demo", "--for", "15", "--pace", "2", "--json"]
    run = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=180)

    assert run.returncode == 0, run.stderr
    tally = json.loads(run.stdout.splitlines()[-1])
    assert tally["posts_in"] >= 60
    assert tally["lost"] == tally["duplicates_seen"] == tally["dead_letters"] == 0
    assert tally["posts_in"] == tally["dropped_noise"] + tally["classified"]
    assert tally["classified"] == tally["cases"] + tally["joined"] + tally["counted_only"]
    assert tally["repeats_known"] >= 1
    assert tally["answered"] == tally["published"] > 10
    assert tally["post_to_desk_ms"]["p50"] is not None


def a_post(number: int) -> Post:
    uri = f"second:{number}"
    post = load.post(number)
    return replace(post, id=uri, data=replace(post.data, object_uri=uri, received_at=None))


def with_second_reader(start: Callable[..., Up]) -> tuple[Up, str]:
    """Start with a second reader, and return its address too once it reads."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    up = start(ZURUF_DEEP_PORT=str(port))
    health = f"http://127.0.0.1:{port}"
    wait_for(lambda: answers(health + "/readyz"), 30, "the second reader is ready")
    return up, health


def test_the_second_reader_sets_what_the_first_left_open(start: Callable[..., Up]) -> None:
    up, health = with_second_reader(start)

    async def relabelled() -> Relabelled:
        broker = up.facts["broker"]
        consumer = AIOKafkaConsumer("case-events", bootstrap_servers=broker, auto_offset_reset="earliest")
        await consumer.start()
        try:
            await write(broker, map(a_post, range(200)))
            async with asyncio.timeout(30):
                async for record in consumer:
                    event = msgspec.json.decode(record.value, type=CaseEvent)
                    if isinstance(event, Relabelled):
                        return event
        finally:
            await consumer.stop()
        raise AssertionError("the consumer ended by itself")

    event = asyncio.run(relabelled())
    assert event.by == "deep"
    with urllib.request.urlopen(health + "/metrics", timeout=5) as answer:
        figures = dict(line.rsplit(" ", 1) for line in answer.read().decode().splitlines() if line[0] != "#")
    assert float(figures["zuruf_deep_read_total"]) > 0
    assert 0 < float(figures["zuruf_deep_share"]) <= 1


def test_the_second_reader_keeps_to_what_a_tenants_reps_taught(start: Callable[..., Up]) -> None:
    up, _ = with_second_reader(start)
    broker = up.facts["broker"]
    tenant = load.post(0).data.tenant
    # Nobody is ever glad, say this tenant's reps.
    head = Head("sentiment", read_card(ARTIFACTS).sha256[:12], "shift", 1.0, (50.0, 0.0, 0.0))

    async def taught() -> None:
        shelf = Shelf(broker, {})
        await shelf.start()
        try:
            standing = Standing(tenant, head.head, current=head.version, kept=(head.version,))
            await shelf.put(standing, Weights(tenant, head.head, head.version, head))
        finally:
            await shelf.stop()

    def read_first(number: int) -> Understood:
        """Return a post whose sentiment the first reader left open, before that was learnt."""
        glad = replace(a_social_post(f"glad:{number}"), text="thank you so much, great service, i love it")
        return understood(post=glad, tenant=tenant, labels=labels(unsure=("sentiment",)))

    async def second_words(said: set[str]) -> None:
        consumer = AIOKafkaConsumer("work", bootstrap_servers=broker, auto_offset_reset="earliest")
        producer = AIOKafkaProducer(bootstrap_servers=broker)
        await consumer.start()
        await producer.start()
        try:
            until = time.monotonic() + 60
            for number in itertools.count():
                await producer.send_and_wait("work", encode(read_first(number)), key=tenant.encode())
                next_at = time.monotonic() + 0.5  # So that it is the time that runs out, and not the posts.
                while time.monotonic() < next_at:
                    for records in (await consumer.getmany(timeout_ms=200)).values():
                        for record in records:
                            again = msgspec.json.decode(record.value)
                            if again.get("by") == "deep":
                                said.add(again["labels"].get("sentiment", ""))
                if "negative" in said or next_at > until:
                    return
        finally:
            await producer.stop()
            await consumer.stop()

    asyncio.run(taught())
    said: set[str] = set()
    asyncio.run(second_words(said))
    assert "negative" in said


@pytest.mark.skipif(sys.platform != "linux", reason="the policies and groups of Linux")
def test_who_works_beside_the_stream_lets_all_others_go_first(start: Callable[..., Up]) -> None:
    parent = start().process.pid

    def idle() -> set[str]:
        return {
            kind
            for child, line in children_of(parent).items()
            for kind in ("worker", "gateway", "connect", "learn", "deep")
            if kind in line and os.sched_getscheduler(child) == os.SCHED_IDLE
        }

    wait_for(lambda: idle() == {"learn", "deep"}, 30, "learn and deep stand back")


@pytest.mark.skipif(sys.platform != "linux", reason="the environment as Linux shows it")
def test_only_the_second_reader_asks_for_large_pages(start: Callable[..., Up], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GLIBC_TUNABLES", raising=False)
    parent = start().process.pid

    def asking() -> list[list[str]]:
        asked = f"GLIBC_TUNABLES={LARGE_PAGES}".encode()
        children = children_of(parent).items()
        return [line for child, line in children if asked in Path(f"/proc/{child}/environ").read_bytes().split(b"\0")]

    wait_for(lambda: len(asking()) == 1, 30, "deep asks for large pages")
    assert "deep" in asking()[0]
