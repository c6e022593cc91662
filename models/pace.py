"""How fast the machine may write in an account's name: at most so many answers in any minute, spread over its seconds."""

from collections import deque
from typing import Final

MINUTE_MS: Final = 60_000
SECOND_MS: Final = 1_000
RATE_MAX: Final = 6_000  # A minute; 100 a second is beyond what any platform takes from an account.

AccountKey = tuple[str, str, str]
"""Tenant, platform, account."""


class Pace:
    """When the machine's answers of the last minute went out, by account."""

    def __init__(self) -> None:
        self._times: dict[AccountKey, deque[int]] = {}

    def free(self, account: AccountKey, now: int, per_min: int) -> int:
        """Return how many answers may go out now: no more than ``per_min`` in a minute, nor a sixtieth of it in a second."""
        times = self._times.get(account)
        if times is None:
            return -(-per_min // 60)
        while times and times[0] <= now - MINUTE_MS:
            times.popleft()
        if not times:
            del self._times[account]
            return -(-per_min // 60)
        in_second = sum(1 for at in reversed(times) if at > now - SECOND_MS)
        return max(0, min(per_min - len(times), -(-per_min // 60) - in_second))

    def note(self, account: AccountKey, at: int) -> None:
        """Note that an answer went out; times may come in any order when they are read from rows."""
        times = self._times.setdefault(account, deque(maxlen=RATE_MAX))
        if times and times[-1] > at:
            times = self._times[account] = deque(sorted((*times, at)), maxlen=RATE_MAX)
        else:
            times.append(at)
