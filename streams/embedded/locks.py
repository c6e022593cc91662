"""A lock on a folder, held by an open file: it ends with the processes that hold it, however they end."""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from streams.embedded.errors import BrokerFailed

DYING_WAIT_S = 25.0  # A broker whose owner was killed has 20 s to stop; then its keeper kills it.


def is_alive(pid: int) -> bool:
    """Say whether a process with this number exists."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def holder_of(file: Path) -> int | None:
    """Return the number of the process that wrote itself into a lock file, None if there is none."""
    text = file.read_text(encoding="ascii", errors="replace").strip()
    return int(text) if text.isdecimal() else None


def _try_lock(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def take(folder: Path) -> int:
    """
    Lock a data folder and return the open file that holds the lock, inheritable by the broker.

    A folder whose owner is dead is waited for (at most ``DYING_WAIT_S``): its broker is about to stop.

    Raises:
        BrokerFailed: If another process holds it; names that process.
    """
    file = folder / "lock"
    handle = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    until = time.monotonic() + DYING_WAIT_S
    while not _try_lock(handle):
        pid = holder_of(file)
        if (pid is not None and is_alive(pid)) or time.monotonic() > until:
            os.close(handle)
            raise BrokerFailed(f"the broker's folder {folder} is in use by process {pid or 'unknown'}; stop that first")
        time.sleep(0.05)
    os.ftruncate(handle, 0)
    os.pwrite(handle, f"{os.getpid()}\n".encode("ascii"), 0)
    return handle


@contextmanager
def waiting(file: Path) -> Iterator[None]:
    """Hold the lock ``file``; wait for it as long as another process holds it."""
    file.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
