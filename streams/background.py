"""Processes beside the stream take next to no CPU while others want it, and can see how much others do."""

import contextlib
import logging
import os
import random
import time
from collections.abc import Sequence
from math import inf
from pathlib import Path, PurePosixPath
from typing import Final

import psutil
from msgspec import Struct

NICENESS_MAX: Final = 19
SESSION_MS: Final = 30_000
"""Of a consumer in such a process, whose heartbeats come late while others want the CPU."""

LOOK_S: Final = 0.5
"""The kernel counts in hundredths of a second: over less than this a share is not worth its name."""

_PROCESS: Final = Path("/proc/self")
_GROUPS: Final = Path("/sys/fs/cgroup")
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


class Limit(Struct, frozen=True):
    """What a group of control (cgroup, version 2) may use of the CPU, all its processes together."""

    folder: Path
    cores: float
    """CPU seconds a second."""

    def used_s(self) -> float | None:
        """Return the CPU seconds that its processes have used; None where the system does not say."""
        try:
            lines = (self.folder / "cpu.stat").read_text(encoding="ascii").splitlines()
            return next(int(line.split()[1]) / 1e6 for line in lines if line.startswith("usage_usec "))
        except (OSError, ValueError, StopIteration) as refused:  # No process must fail for it.
            _log.debug("what %s uses cannot be read: %r", self.folder, refused)
            return None


def limits_here(groups: Path = _GROUPS, process: Path = _PROCESS) -> tuple[Limit, ...]:
    """
    Return the limits of this process's group and of those that it is in.

    Args:
        groups: Where the kernel shows the groups; from a container, its own is the first.
        process: Where it shows this process.
    """
    try:
        lines = (process / "cgroup").read_text(encoding="utf-8").splitlines()
    except OSError:
        return ()  # Another system.
    own = next((PurePosixPath(line[4:]) for line in lines if line.startswith("0::/")), PurePosixPath())
    if ".." in own.parts:  # Above what the container sees.
        own = PurePosixPath()
    found = [Limit(folder, _cores_of(folder)) for folder in (groups / name for name in (own, *own.parents))]
    return tuple(limit for limit in found if 0 < limit.cores < inf)


def _cores_of(group: Path) -> float:
    try:
        quota, period = (group / "cpu.max").read_text(encoding="ascii").split()
        return int(quota) / int(period)
    except (OSError, ValueError, ZeroDivisionError):
        return inf  # "max": no limit; or a group that the container does not see.


class Others:
    """
    How busy others are: the whole machine, also as seen from a container, and within the limits that this process shares.

    To be asked by one thread, the one that makes it. Where the system does not say, the others count as quiet.

    Args:
        limits: Beyond one the kernel stops all processes of its group, whatever their order.
    """

    def __init__(self, limits: Sequence[Limit] = ()) -> None:
        self.cores: int = psutil.cpu_count() or 1
        """Of the machine."""
        self._limits = limits
        self._share = 0.0
        self._at, self._own_s, self._used_s = time.monotonic(), time.process_time(), self._used()
        _busy()  # What it says next is of the time from here.

    def share(self) -> float:
        """
        Return the share that other processes used of late, 0..1; looks every ``LOOK_S`` seconds at most.

        That is of all cores, or of what a limit allows, whichever is most.
        """
        now, own_s = time.monotonic(), time.process_time()
        if now - self._at >= LOOK_S:
            used_s = self._used()
            passed_s, own = now - self._at, own_s - self._own_s
            share = _busy() - own / (self.cores * passed_s)
            for limit, now_used, then_used in zip(self._limits, used_s, self._used_s, strict=True):
                if now_used is not None and then_used is not None:
                    share = max(share, (now_used - then_used - own) / (limit.cores * passed_s))
            self._share = min(1.0, max(0.0, share))
            self._at, self._own_s, self._used_s = now, own_s, used_s
        return self._share

    def _used(self) -> list[float | None]:
        return [limit.used_s() for limit in self._limits]


def _busy() -> float:
    try:
        return float(psutil.cpu_percent()) / 100
    except OSError as refused:  # No process must fail for it.
        _log.debug("how busy the machine is cannot be read: %s", refused)
        return 0.0


def cores_allowed(limits: Sequence[Limit] = ()) -> float:
    """Return how many cores this process may run on, or as many as the tightest limit amounts to, if these are fewer."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else psutil.cpu_count() or 1
    return min(float(cores), *(limit.cores for limit in limits), inf)
