"""One running broker process and its keeper, and the question whether it answers."""

import signal
import socket
import ssl
import struct
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from streams.embedded.errors import BrokerFailed
from streams.embedded.java import environment
from streams.embedded.properties import HOST

KEEPER = Path(__file__).with_name("keeper.py")
KILL_WAIT_S = 5.0  # What the keeper needs beyond the time it gives Java.
TAIL_LINES = 15
ANSWER_BYTES_MAX = 64 * 1024  # Metadata of three nodes without topics is about 200 bytes.
METADATA, METADATA_VERSION = 3, 8


class Node:
    """One broker process, kept by ``keeper.py``."""

    def __init__(self, command: Sequence[str], log: Path, lock: int, stop_wait_s: float = 20.0) -> None:
        self._log, self._stop_wait_s = log, stop_wait_s
        self._end: str | None = None
        arguments = [str(log), str(lock), str(stop_wait_s), *command]
        self._keeper = subprocess.Popen(
            [sys.executable, "-I", "-S", str(KEEPER), *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            pass_fds=(lock,),
            env=environment(),
            start_new_session=True,  # Ctrl-C in a terminal goes to the owner alone, who stops things in order.
        )
        assert self._keeper.stdout is not None
        first = self._keeper.stdout.readline().decode("ascii", "replace").strip()
        if not first.isdecimal():
            rest = self._keeper.stdout.read().decode("utf-8", "replace")
            raise BrokerFailed(f"cannot run Java: {last_lines(first + rest)}")
        self.pid = int(first)

    def death(self) -> str | None:
        """Return None while the broker runs, else how it ended, with the last lines of its log."""
        if self._end is None and self._keeper.poll() is not None:
            self._end = self._ended()
        return self._end

    def _ended(self) -> str:
        assert self._keeper.stdout is not None and self._keeper.stdin is not None
        with self._keeper.stdout as out:
            tail = last_lines(out.read().decode("utf-8", "replace"))
        self._keeper.stdin.close()
        last = tail or self.tail() or "(it said nothing)"
        return f"ended {_how(self._keeper.returncode)}; the last lines of {self._log}:\n{last}"

    def tail(self) -> str:
        """Return the last lines of its log."""
        return last_lines(self._log.read_text("utf-8", "replace")) if self._log.exists() else ""

    def ask_to_stop(self) -> None:
        """Let the keeper stop the broker; returns at once."""
        assert self._keeper.stdin is not None
        self._keeper.stdin.close()

    def kill(self) -> None:
        """Kill the broker at once, as a crash would, and wait until it is gone."""
        assert self._keeper.stdin is not None
        try:
            self._keeper.stdin.write(b"k")
            self._keeper.stdin.flush()
        except BrokenPipeError:
            pass  # It has ended by itself.
        self.wait()

    def wait(self) -> None:
        """Wait until the broker is gone; one that does not stop in its time is killed."""
        try:
            self._keeper.wait(self._stop_wait_s + KILL_WAIT_S)
        except subprocess.TimeoutExpired:
            self._keeper.kill()
            self._keeper.wait()
        self.death()


def _how(status: int) -> str:
    """Say in words how a keeper and its broker ended."""
    if status < 0:
        return f"because its keeper was ended by {signal.Signals(-status).name}"
    return f"with status {status}" if status <= 128 else f"with signal {signal.Signals(status - 128).name}"


def last_lines(text: str) -> str:
    """Return the end of a log, without the frames of Java's stack traces."""
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("\tat ")]
    return "\n".join(lines[-TAIL_LINES:])


def brokers_seen(port: int, timeout_s: float = 1.0) -> int:
    """
    Ask the broker on a plaintext port how many brokers it knows of; 0 if it does not answer.

    Kafka's protocol in its smallest form (Metadata version 8, no topics), so that waiting needs no event loop.
    """
    body = struct.pack(">hhih", METADATA, METADATA_VERSION, 1, -1) + struct.pack(">i???", 0, False, False, False)
    try:
        with socket.create_connection((HOST, port), timeout_s) as connection:
            connection.settimeout(timeout_s)
            connection.sendall(struct.pack(">i", len(body)) + body)
            length = struct.unpack(">i", _read(connection, 4))[0]
            if not 12 <= length <= ANSWER_BYTES_MAX:
                return 0  # Somebody else listens here.
            answer = _read(connection, length)
    except OSError:
        return 0
    correlation, _throttle_ms, count = struct.unpack_from(">iii", answer)
    return int(count) if correlation == 1 else 0


def greets(port: int, ca_file: Path, timeout_s: float = 1.0) -> bool:
    """Say whether a server on this port answers with TLS and a certificate of this authority."""
    context = ssl.create_default_context(cafile=str(ca_file))
    context.check_hostname = False  # The certificate is for the name under which clients know the broker.
    try:
        with socket.create_connection((HOST, port), timeout_s) as plain, context.wrap_socket(plain):
            return True
    except OSError:
        return False


def _read(connection: socket.socket, length: int) -> bytes:
    data = b""
    while len(data) < length:
        more = connection.recv(length - len(data))
        if not more:
            raise ConnectionError(f"closed after {len(data)} of {length} bytes")
        data += more
    return data
