"""
A worker that was away must not write.

Somebody else may own its partitions by then. The group coordinator's last good answer (to a heartbeat or a join) is the
proof of membership; when it is older than 0.6 of the session time, the process ends, before it can send. A thread looks
whether the whole process stood still (SIGSTOP, a swapped laptop), which no coroutine could notice in time.
"""

import logging
import os
import threading
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final

from aiokafka.protocol.produce import ProduceRequest

logger = logging.getLogger(__name__)

EXIT_CODE: Final = 70
SHARE_OF_SESSION: Final = 0.6
"""The coordinator counts the session from the request, we from its answer; the rest is for the way of what we send."""
WATCH_EVERY_S: Final = 0.05

# CLOCK_BOOTTIME goes on while the machine sleeps; not every system has it.
_CLOCK: Final = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def clock_s() -> float:
    """Return seconds on a clock that no pause of the process or of the machine can hold back."""
    return time.clock_gettime(_CLOCK)


class Fence:
    """Guards all writes of one worker."""

    def __init__(self, session_s: float, end: Callable[[str], None] | None = None) -> None:
        self.limit_s = session_s * SHARE_OF_SESSION
        self._answered_at = clock_s()
        self._armed = False
        self._end = end or _end_process
        self._stop = threading.Event()

    def answered(self) -> None:
        """Note a good answer of the coordinator."""
        self._answered_at = clock_s()
        self._armed = True

    def age_s(self) -> float:
        """Return the age of the coordinator's last good answer."""
        return clock_s() - self._answered_at

    def check(self) -> None:
        """End the process if it may no longer be a member of its group."""
        if self._armed and self.age_s() > self.limit_s:
            self._end(
                f"the group coordinator's last answer is {self.age_s():.1f} s old, {self.limit_s:.1f} s are allowed"
            )

    def watch(self) -> None:
        """Start the thread that notices a pause of the whole process."""
        threading.Thread(target=self._watch, name="zuruf-fence", daemon=True).start()

    def close(self) -> None:
        """End the thread."""
        self._stop.set()

    def _watch(self) -> None:
        seen_at = clock_s()
        while not self._stop.wait(WATCH_EVERY_S):
            away_s = clock_s() - seen_at
            if away_s > self.limit_s:
                self._end(f"this process stood still for {away_s:.1f} s, {self.limit_s:.1f} s are allowed")
            seen_at = clock_s()

    def guard_coordinator(self, coordinator: Any) -> None:
        """Note the coordinator's good answers; touches two private methods of aiokafka 0.14.0."""
        coordinator._do_heartbeat = self._noting(coordinator._do_heartbeat)
        coordinator._on_join_complete = self._noting(coordinator._on_join_complete)

    def _noting(self, call: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        async def noted(*args: Any, **kwargs: Any) -> Any:
            if call.__name__ == "_on_join_complete":
                self.answered()
            answer = await call(*args, **kwargs)
            if answer is True:
                self.answered()
            return answer

        noted.__name__ = call.__name__
        return noted

    def guard_producer(self, producer: Any) -> None:
        """Check at the socket: aiokafka sends a batch whatever its age."""
        send = producer.client.send

        async def guarded(node_id: Any, request: Any, **kwargs: Any) -> Any:
            if isinstance(request, ProduceRequest):
                self.check()
            return await send(node_id, request, **kwargs)

        producer.client.send = guarded


def _end_process(why: str) -> None:
    """End at once: no handler, no flush, nothing that could still write."""
    os.write(2, f"zuruf: this worker ends itself: {why}\n".encode())
    os._exit(EXIT_CODE)
