"""
The process that keeps one broker: a script of its own, standard library only, run as ``python -I -S keeper.py``.

Its standard input is a pipe from its owner. End of input means stop, so the broker ends with its owner however that
ends, on Linux and macOS alike. (PR_SET_PDEATHSIG on the broker itself would not do: it exists on Linux only, and fires
when the *thread* that started the child ends, not the process. It is used here one step further down, where it is
exact: the keeper has one thread, so Java gets it when the keeper itself is killed.)
A byte ``k`` means kill at once. Java's output goes to a log that is turned over at a bound; its last lines are kept in
memory and handed to the owner on standard output at the end, because on a full disk the log may not have them.
First line on standard output: Java's process number. Exit status: Java's, or 128 + the signal that ended it.
"""

import os
import select
import signal
import subprocess
import sys
import time
from collections import deque
from types import FrameType

LOG_BYTES_MAX = 4 * 1024 * 1024  # One full log and the one before it are kept.
TAIL_BYTES_MAX = 8 * 1024  # Fits into a pipe that nobody reads yet (64 KB on Linux, 16 KB on macOS).


class Log:
    """The broker's log file, turned over at its bound, and the end of what it said."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._handle = -1
        self._length = 0
        self._tail: deque[bytes] = deque()
        self._tail_length = 0

    def write(self, data: bytes) -> None:
        """Add what the broker said; on a full disk only the end of it is remembered."""
        self._remember(data)
        try:
            self._append(data)
        except OSError:
            return  # The disk is full or gone. The owner gets the last lines from memory.

    def _remember(self, data: bytes) -> None:
        self._tail.append(data[-TAIL_BYTES_MAX:])
        self._tail_length += len(self._tail[-1])
        while self._tail_length - len(self._tail[0]) >= TAIL_BYTES_MAX:
            self._tail_length -= len(self._tail.popleft())

    def _append(self, data: bytes) -> None:
        if self._handle < 0 or self._length > LOG_BYTES_MAX:
            self._turn_over()
        self._length += len(data)
        os.write(self._handle, data)

    def _turn_over(self) -> None:
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1
        if os.path.exists(self._path):  # noqa: PTH110 (pathlib would double the time this script needs to start)
            os.replace(self._path, self._path + ".1")  # noqa: PTH105
        self._handle = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        self._length = 0

    def tail(self) -> bytes:
        """Return the end of what was written, at most ``TAIL_BYTES_MAX`` bytes."""
        return b"".join(self._tail)[-TAIL_BYTES_MAX:]


def _die_with_keeper() -> None:
    """Let Linux end this process when the keeper is killed; runs between fork and exec."""
    import ctypes

    pr_set_pdeathsig = 1
    ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGKILL)


def start(command: list[str], handle: int) -> "subprocess.Popen[bytes]":
    """Start Java; it inherits the open file ``handle``, so the folder's lock is held until Java itself is gone."""
    return subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        pass_fds=(handle,),
        preexec_fn=_die_with_keeper if sys.platform == "linux" else None,
    )


def keep(java: "subprocess.Popen[bytes]", log: Log, stop_wait_s: float) -> int:
    """Pass Java's output on until it has ended; stop it when the owner says so or is gone."""
    assert java.stdout is not None
    output, orders = java.stdout.fileno(), sys.stdin.fileno()
    watched = [output, orders]
    kill_at = float("inf")
    while True:
        wait_s = None if kill_at == float("inf") else max(0.0, kill_at - time.monotonic())
        ready, _, _ = select.select(watched, [], [], wait_s)
        if output in ready:
            data = os.read(output, 65536)
            if not data:  # Java closes its output only by ending.
                return java.wait()
            log.write(data)
        if orders in ready:
            if os.read(orders, 1) == b"k":
                java.kill()
                continue
            watched = [output]
            java.terminate()
            kill_at = time.monotonic() + stop_wait_s
        if time.monotonic() >= kill_at:
            java.kill()
            kill_at = float("inf")


def main(log_path: str, handle_text: str, stop_wait_text: str, *command: str) -> int:
    """Keep one broker: the log's path, the open file to pass on, seconds for a clean stop, Java's command line."""
    log = Log(log_path)
    java = start(list(command), int(handle_text))

    def stop(_signal: int, _frame: FrameType | None) -> None:
        java.terminate()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the owner's to handle.
    os.write(1, f"{java.pid}\n".encode("ascii"))
    status = keep(java, log, float(stop_wait_text))
    try:
        os.write(1, log.tail())
    except BrokenPipeError:
        return 1  # The owner is gone, and nobody asks.
    return status if status >= 0 else 128 - status


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
