"""Processes beside the stream take next to no CPU while others want it, and can see how much others do."""

import contextlib
import logging
import os
import random
import time
from pathlib import Path
from typing import Final

import psutil

NICENESS_MAX: Final = 19
SESSION_MS: Final = 30_000
"""Of a consumer in such a process, whose heartbeats come late while others want the CPU."""

LOOK_S: Final = 0.5
"""The kernel counts in hundredths of a second: over less than this a share is not worth its name."""

_PROCESS: Final = Path("/proc/self")
_TRIES: Final = 10
_AGAIN_S: Final = 0.1

_log = logging.getLogger("zuruf.background")


def stand_back() -> None:
    """
    Let every other process go before this one from now on: before all its threads, so that none waits for another of them.

    On Linux they get the policy SCHED_IDLE. It counts among the processes of a group alone, and groups among each other get
    equal shares: where the kernel groups by sessions (autogroup, see sched(7)), a process that leads one, as those of
    ``zuruf up`` do, has the whole of it stand back too; a group of control (cgroup) is weighed by whoever makes it. Elsewhere
    niceness must do.
    """
    try:
        for thread in (_PROCESS / "task").iterdir():
            with contextlib.suppress(ProcessLookupError):
                os.sched_setscheduler(int(thread.name), os.SCHED_IDLE, os.sched_param(0))
    except (AttributeError, OSError) as refused:  # No process must fail for it.
        _log.debug("no policy SCHED_IDLE here: %s", refused)
        with contextlib.suppress(AttributeError, OSError):
            os.nice(NICENESS_MAX)
    group = _PROCESS / "autogroup"
    if group.exists() and os.getsid(0) == os.getpid():
        _stand_back(group)


def _stand_back(group: Path) -> None:
    for _ in range(_TRIES):
        try:
            group.write_text(str(NICENESS_MAX), encoding="ascii")
            return
        except BlockingIOError:  # The kernel takes one in a tenth of a second, whosever it is.
            time.sleep(_AGAIN_S * (1 + random.random()))
        except OSError as error:
            _log.debug("the session does not stand back: %s", error)
            return
    _log.info("the session does not stand back: the kernel was asked by others each time")


class Others:
    """
    How busy the machine is but for this process: the whole machine, also as seen from a container.

    To be asked by one thread, the one that makes it. Where the system does not say, the others count as quiet.
    """

    def __init__(self) -> None:
        self.cores: int = psutil.cpu_count() or 1
        """Of the machine."""
        self._share = 0.0
        self._at, self._own_s = time.monotonic(), time.process_time()
        _busy()  # What it says next is of the time from here.

    def share(self) -> float:
        """Return the share of all cores that other processes used of late, 0..1; looks every ``LOOK_S`` seconds at most."""
        now, own_s = time.monotonic(), time.process_time()
        if now - self._at >= LOOK_S:
            own = (own_s - self._own_s) / (self.cores * (now - self._at))
            self._share = min(1.0, max(0.0, _busy() - own))
            self._at, self._own_s = now, own_s
        return self._share


def _busy() -> float:
    try:
        return float(psutil.cpu_percent()) / 100
    except OSError as refused:  # No process must fail for it.
        _log.debug("how busy the machine is cannot be read: %s", refused)
        return 0.0


def cores_allowed() -> int:
    """Return how many cores this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else psutil.cpu_count() or 1
