"""The embedded broker keeps its promises: on the real Kafka, by provoking each fault."""

import asyncio
import functools
import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError
from confluent_kafka import Producer

from streams.broker import Broker, BrokerFailed, fresh
from tests.conftest import SecuredBroker

ROOT = Path(__file__).parents[2]

OWNER = """
import sys, time
from pathlib import Path
from streams.broker import Broker
broker = Broker(Path(sys.argv[1]), progress=lambda text: None, aot=False)
broker.start()
print(broker.pids[1], broker.bootstrap, flush=True)
time.sleep(600)
"""


def synchronous(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Run an async test in a loop of its own."""

    @functools.wraps(test)
    def run(*args: Any, **kwargs: Any) -> None:
        asyncio.run(test(*args, **kwargs))

    return run


async def make_topic(bootstrap: str, copies: int = 1, **security: Any) -> str:
    topic = f"t-{uuid.uuid4()}"
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap, **security)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(topic, 1, copies)])
    finally:
        await admin.close()
    return topic


async def write(bootstrap: str, topic: str, values: list[bytes], **security: Any) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, enable_idempotence=True, **security)
    await producer.start()
    try:
        for value in values:
            await producer.send_and_wait(topic, value)
    finally:
        await producer.stop()


async def read(bootstrap: str, topic: str, count: int, **security: Any) -> list[bytes]:
    consumer = AIOKafkaConsumer(topic, bootstrap_servers=bootstrap, auto_offset_reset="earliest", **security)
    await consumer.start()
    try:
        return [(await asyncio.wait_for(consumer.getone(), 20)).value for _ in range(count)]
    finally:
        await consumer.stop()


def gone_within(pid: int, wait_s: float) -> bool:
    until = time.monotonic() + wait_s
    while psutil.pid_exists(pid):
        if time.monotonic() > until:
            return False
        time.sleep(0.05)
    return True


@pytest.fixture
def owner(tmp_path: Path) -> Iterator[Callable[[], tuple[subprocess.Popen[str], int, str]]]:
    """Starts a process of its own that owns a broker in ``tmp_path``; gives it, Java's number and the bootstrap."""
    started: list[subprocess.Popen[str]] = []

    def start() -> tuple[subprocess.Popen[str], int, str]:
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        command = [sys.executable, "-c", OWNER, str(tmp_path)]
        process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
        started.append(process)
        assert process.stdout is not None
        pid, bootstrap = process.stdout.readline().split()
        return process, int(pid), bootstrap

    yield start
    for process in started:
        process.kill()
        process.communicate()


def test_what_was_written_outlives_a_stop(tmp_path: Path) -> None:
    values = [b"%d" % number for number in range(100)]
    with Broker(tmp_path) as broker:
        first_at = broker.bootstrap
        topic = asyncio.run(make_topic(broker.bootstrap))
        asyncio.run(write(broker.bootstrap, topic, values))
    with Broker(tmp_path) as broker:
        assert broker.bootstrap == first_at
        assert asyncio.run(read(broker.bootstrap, topic, 100)) == values


def test_a_folder_may_have_any_name_in_any_locale(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LC_ALL", "C")
    monkeypatch.setenv("JAVA_TOOL_OPTIONS", "-Xmx1g -XX:+UseG1GC")
    folder = tmp_path / "Büro = am #Fluß \\ 🎈"
    with Broker(folder) as broker:
        asyncio.run(make_topic(broker.bootstrap))
    assert (folder / "n1" / "data" / "meta.properties").exists()


def test_a_folder_with_a_comma_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="has a comma in its path"):
        Broker(tmp_path / "a,b")


def test_the_broker_outlives_the_thread_that_started_it(tmp_path: Path) -> None:
    broker = Broker(tmp_path)
    thread = threading.Thread(target=broker.start)
    thread.start()
    thread.join()
    try:
        time.sleep(0.5)
        assert broker.poll() is None
    finally:
        broker.stop()


def test_what_was_acknowledged_outlives_a_kill(tmp_path: Path) -> None:
    values = [b"%d" % number for number in range(100)]
    with Broker(tmp_path) as broker:
        topic = asyncio.run(make_topic(broker.bootstrap))
        asyncio.run(write(broker.bootstrap, topic, values))
        broker.kill_node(1)
        broker.restart_node(1)
        assert asyncio.run(read(broker.bootstrap, topic, 100)) == values


def test_a_port_taken_meanwhile_is_replaced(tmp_path: Path) -> None:
    with Broker(tmp_path) as broker:
        topic = asyncio.run(make_topic(broker.bootstrap))
        asyncio.run(write(broker.bootstrap, topic, [b"kept"]))
        host, port = broker.bootstrap.split(":")
    with socket.create_server((host, int(port))), Broker(tmp_path) as broker:
        assert broker.bootstrap != f"{host}:{port}"
        assert asyncio.run(read(broker.bootstrap, topic, 1)) == [b"kept"]


def test_a_port_taken_during_the_start_is_replaced(tmp_path: Path) -> None:
    with Broker(tmp_path) as broker:
        host, port = broker.bootstrap.split(":")
    settings = tmp_path / "n1" / "server.properties"
    settings.unlink()

    def take_port() -> None:
        while not settings.exists():  # Written after the ports were seen to be free, before Java opens them.
            time.sleep(0.005)
        taken.append(socket.create_server((host, int(port))))

    taken: list[socket.socket] = []
    thread = threading.Thread(target=take_port)
    thread.start()
    try:
        with Broker(tmp_path) as broker:
            assert broker.bootstrap != f"{host}:{port}"
            assert asyncio.run(topics_of(broker.bootstrap)) == []
    finally:
        thread.join()
        taken[0].close()


def test_a_taken_folder_names_the_process_that_holds_it(tmp_path: Path) -> None:
    with Broker(tmp_path):
        with pytest.raises(BrokerFailed, match=rf"in use by process {os.getpid()}"):
            Broker(tmp_path).start()
        with pytest.raises(BrokerFailed, match=rf"in use by process {os.getpid()}"):
            fresh(tmp_path)


def test_fresh_removes_the_data_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("kept")
    with Broker(tmp_path) as broker:
        topic = asyncio.run(make_topic(broker.bootstrap))
    fresh(tmp_path)
    assert (tmp_path / "mine.txt").read_text() == "kept"
    with Broker(tmp_path) as broker:
        assert topic not in asyncio.run(topics_of(broker.bootstrap))


async def topics_of(bootstrap: str) -> list[str]:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        return list(await admin.list_topics())
    finally:
        await admin.close()


def test_a_folder_made_for_one_node_is_not_opened_with_three(tmp_path: Path) -> None:
    with Broker(tmp_path):
        pass
    with pytest.raises(BrokerFailed, match="was made for 1 nodes, asked for were 3"):
        Broker(tmp_path, nodes=3).start()


def test_the_broker_ends_with_its_owner_even_when_that_is_killed(
    tmp_path: Path, owner: Callable[[], tuple[subprocess.Popen[str], int, str]]
) -> None:
    process, java_pid, _ = owner()
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert gone_within(java_pid, 10)


def test_the_next_start_waits_for_the_broker_of_a_killed_owner(
    tmp_path: Path, owner: Callable[[], tuple[subprocess.Popen[str], int, str]]
) -> None:
    process, java_pid, bootstrap = owner()
    process.send_signal(signal.SIGKILL)
    process.wait()
    with Broker(tmp_path) as broker:
        assert not psutil.pid_exists(java_pid)
        assert broker.bootstrap == bootstrap


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere nothing ends a process whose parent is killed")
def test_the_broker_ends_with_its_keeper(tmp_path: Path) -> None:
    with Broker(tmp_path) as broker:
        java_pid = broker.pids[1]
        keeper = psutil.Process(java_pid).parent()
        assert keeper is not None
        keeper.kill()
        assert gone_within(java_pid, 5)
        assert "its keeper was ended by SIGKILL" in str(broker.poll())


def test_an_end_of_the_owner_without_stop_leaves_nothing(tmp_path: Path) -> None:
    code = OWNER.replace("time.sleep(600)", "")
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], env=environment, capture_output=True, text=True, check=True
    )
    assert gone_within(int(done.stdout.split()[0]), 10)


def test_a_killed_broker_says_so_with_the_end_of_its_log(tmp_path: Path) -> None:
    with Broker(tmp_path) as broker:
        assert broker.poll() is None
        os.kill(broker.pids[1], signal.SIGKILL)
        until = time.monotonic() + 5
        while broker.poll() is None and time.monotonic() < until:
            time.sleep(0.02)
        assert "broker node 1 ended with signal SIGKILL" in str(broker.poll())
        assert "QuorumController" in str(broker.poll())


def test_a_broker_that_cannot_start_says_why(tmp_path: Path) -> None:
    with Broker(tmp_path):
        pass
    meta = tmp_path / "n1" / "data" / "meta.properties"
    meta.write_text(meta.read_text().replace("node.id=1", "node.id=7"))
    for _ in range(2):  # The folder was given free: the same answer twice, not "in use".
        with pytest.raises(BrokerFailed, match=r"did not start: broker node 1 ended with status 1[\s\S]*node id"):
            Broker(tmp_path).start()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 320 MB, so that it can be filled; needs the right to mount."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = shutil.which("mount") and subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=320m", "tmpfs", str(disk)], capture_output=True, check=False
    )
    if not mounted or mounted.returncode:
        pytest.skip("needs the right to mount a small disk")
    yield disk
    subprocess.run(["umount", "-l", str(disk)], check=True)


def test_a_full_disk_is_named_as_the_reason(small_disk: Path) -> None:
    with Broker(small_disk) as broker:
        topic = asyncio.run(make_topic(broker.bootstrap))
        (small_disk / "filler").write_bytes(bytes(shutil.disk_usage(small_disk).free - 2**20))
        # Not aiokafka: its producer waits for ever in stop() when the broker is gone.
        producer = Producer({"bootstrap.servers": broker.bootstrap, "log_level": 0})
        for _ in range(20):
            producer.produce(topic, os.urandom(500_000))
        producer.flush(5)
        producer.purge()
        until = time.monotonic() + 20
        while broker.poll() is None and time.monotonic() < until:
            time.sleep(0.1)
        assert f"the disk that holds {small_disk} is full; broker node 1 ended with status" in str(broker.poll())
        assert "No space left on device" in str(broker.poll())
    with pytest.raises(BrokerFailed, match="is nearly full"):
        Broker(small_disk).start()


@synchronous
async def test_three_nodes_go_on_when_one_is_killed(kafka3: Broker) -> None:
    bootstrap = kafka3.bootstrap
    topic = await make_topic(bootstrap, copies=3)
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all", enable_idempotence=True)
    await producer.start()
    try:
        for number in range(50):
            await producer.send_and_wait(topic, b"%d" % number)
        victim = producer.client.cluster.leader_for_partition(TopicPartition(topic, 0))
        await asyncio.to_thread(kafka3.kill_node, victim)
        for number in range(50, 100):
            await asyncio.wait_for(producer.send_and_wait(topic, b"%d" % number), 30)
    finally:
        await producer.stop()
    assert "SIGKILL" in str(kafka3.poll())
    assert await read(bootstrap, topic, 100) == [b"%d" % number for number in range(100)]
    await asyncio.to_thread(kafka3.restart_node, victim)
    assert kafka3.poll() is None


def test_what_three_nodes_acknowledged_outlives_a_stop(kafka3: Broker) -> None:
    values = [b"%d" % number for number in range(100)]
    topic = asyncio.run(make_topic(kafka3.bootstrap, copies=3))
    asyncio.run(write(kafka3.bootstrap, topic, values, acks="all"))
    kafka3.stop()
    assert kafka3.poll() == "the broker is not started"
    kafka3.start()
    assert asyncio.run(read(kafka3.bootstrap, topic, 100)) == values


def secured(tls: SecuredBroker, password: str) -> dict[str, Any]:
    return {
        "security_protocol": "SASL_SSL",
        "sasl_mechanism": "PLAIN",
        "sasl_plain_username": tls.sasl.user,
        "sasl_plain_password": password,
        "ssl_context": ssl.create_default_context(cafile=str(tls.sasl.ca_file)),
    }


@synchronous
async def test_tls_with_the_right_password_writes_and_reads(kafka_tls: SecuredBroker) -> None:
    security = secured(kafka_tls, kafka_tls.sasl.password)
    topic = await make_topic(kafka_tls.bootstrap, **security)
    await write(kafka_tls.bootstrap, topic, [b"sealed"], **security)
    assert await read(kafka_tls.bootstrap, topic, 1, **security) == [b"sealed"]


@synchronous
async def test_tls_with_a_wrong_password_is_refused(kafka_tls: SecuredBroker) -> None:
    with pytest.raises(KafkaError, match=r"Authentication failed|Unable to bootstrap"):
        await make_topic(kafka_tls.bootstrap, **secured(kafka_tls, "wrong"))


@synchronous
async def test_plain_text_is_refused_where_tls_is_asked(kafka_tls: SecuredBroker) -> None:
    with pytest.raises((KafkaError, asyncio.TimeoutError)):
        await asyncio.wait_for(make_topic(kafka_tls.bootstrap), 10)


def test_settings_with_a_password_are_for_this_user_only(kafka_tls: SecuredBroker) -> None:
    files = [path for path in kafka_tls.sasl.key_file.parent.rglob("*.properties") if path.name == "server.properties"]
    assert [oct(path.stat().st_mode & 0o777) for path in files] == ["0o600"]
