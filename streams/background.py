"""Processes beside the stream take the CPU that nobody else wants."""

import contextlib
import os
from pathlib import Path
from typing import Final

NICENESS_MAX: Final = 19


def stand_back() -> None:
    """
    Let every other process go before this one from now on: before its threads too, so none waits for another of them.

    On Linux a thread of the policy SCHED_IDLE yields to any other at once, where the nicest of the usual ones first runs its
    slice out. Both are weighed within a session alone where the kernel groups processes by sessions (autogroup, see sched(7)),
    so a process that leads one, as those of ``zuruf up`` do, has the whole of it stand back. Elsewhere niceness must do.

    Call it before threads are started: those that run keep what they have.
    """
    with contextlib.suppress(OSError):  # A system may refuse, and no process must fail for it.
        if hasattr(os, "SCHED_IDLE"):
            os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
        else:
            os.nice(NICENESS_MAX)
    with contextlib.suppress(OSError, AttributeError):
        if os.getsid(0) == os.getpid():
            Path("/proc/self/autogroup").write_text(str(NICENESS_MAX), encoding="ascii")
