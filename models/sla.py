"""
Service hours and due times.

People are there in a second if the clock on their wall shows a time within their hours. Weekly shifts in wall time become sorted
instants with sums of what is open before each, so that a due time and a difference are one or two bisections. Time elapses
as it really does: what clocks skip in spring was never open, what they repeat in autumn is open twice.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from itertools import accumulate, islice
from typing import Final
from zoneinfo import ZoneInfo

from models.brands import PromiseKind, ServiceHours, ServiceLevel, level_on
from models.calendars import Calendar
from models.labels import Triage

MINUTE_MS: Final = 60_000
_DAY_MS: Final = 86_400_000
_DAYS_AT_ONCE: Final = 400  # Over a year, so that a worker builds about twice in its life; 400 days take some ms.
_DAYS_MAX: Final = 8_000  # 20 years of service time in memory, about 1 MB a brand: beyond it, a time is a mistake.
_DAY_S: Final = 86_400
_EPOCH_AT: Final = datetime(1970, 1, 1, tzinfo=UTC)
_EPOCH_ORDINAL: Final = _EPOCH_AT.toordinal()
_DAY_LAST: Final = date(9998, 1, 1).toordinal() - _EPOCH_ORDINAL


class OpenHours:
    """
    The instants at which a brand's people are there.

    Days are built as they are asked for, so no clock is needed; what was built before does not change an answer.
    """

    def __init__(self, hours: ServiceHours) -> None:
        """
        Keep the rules; nothing is built yet.

        Args:
            hours: As the configuration checked them.

        Raises:
            ValueError: If they are neither always nor ever open.
        """
        if not hours.always and not hours.week:
            raise ValueError("service hours without a shift never open; wanted shifts, or always=True")
        self.always = hours.always
        self._zone = ZoneInfo(hours.zone)
        self._calendar = Calendar(hours)
        self._first_day = self._last_day = 0
        self._from = self._to = 0
        self._starts: list[int] = []
        self._ends: list[int] = []
        self._before: list[int] = [0]

    def due_at(self, received_at: int, wait_ms: int) -> int:
        """Return when ``wait_ms`` of open time have passed since ``received_at``; see the function ``due_at``."""
        if self.always:
            return received_at + wait_ms
        if not self._from <= received_at < self._to:
            self._cover(received_at, received_at)
        at = bisect_right(self._starts, received_at) - 1
        # Mostly people are there now and still are when it falls due.
        if at >= 0 and received_at < (end := self._ends[at]) and received_at + wait_ms <= end:
            return received_at + wait_ms
        opened = self._before[at] + min(received_at, self._ends[at]) - self._starts[at] if at >= 0 else 0
        while (target := opened + wait_ms) >= self._before[-1]:
            self._cover(received_at, self._to + _DAY_MS)
            opened = self._passed(received_at)
        if wait_ms == 0:
            return self._opens_at(received_at)
        # The interval in which the target is reached; on the second of its end it still counts as its own.
        at = bisect_left(self._before, target) - 1
        return self._starts[at] + target - self._before[at]

    def open_ms(self, from_at: int, to_at: int) -> int:
        """Return the open time between two instants; negative if they stand the other way round."""
        if self.always:
            return to_at - from_at
        low, high = (from_at, to_at) if from_at <= to_at else (to_at, from_at)
        if not (self._from <= low and high < self._to):
            self._cover(low, high)
        return self._passed(to_at) - self._passed(from_at)

    def before(self, at: int, wait_ms: int) -> int:
        """Return the earliest instant with ``wait_ms`` of open time between it and ``at``; ``due_at`` the other way."""
        if self.always:
            return at - wait_ms
        if wait_ms <= 0:
            return at
        while True:
            if not self._from <= at < self._to:
                self._cover(at, at)
            target = self._passed(at) - wait_ms
            if target > 0:
                break
            self._cover(self._from - _DAYS_AT_ONCE * _DAY_MS, at)
        index = bisect_left(self._before, target) - 1
        return self._starts[index] + target - self._before[index]

    def is_open(self, now: int) -> bool:
        """Return whether people are there; at the instant of opening they are, at that of closing no longer."""
        if self.always:
            return True
        if not self._from <= now < self._to:
            self._cover(now, now)
        at = bisect_right(self._starts, now) - 1
        return at >= 0 and now < self._ends[at]

    def opens_at(self, now: int) -> int:
        """Return ``now`` if people are there, else when they are next."""
        return self.due_at(now, 0)

    def spans(self, from_at: int, to_at: int) -> list[tuple[int, int]]:
        """Return the openings between two instants, in order, cut to them."""
        if self.always:
            return [(from_at, to_at)] if from_at < to_at else []
        if not (self._from <= from_at and to_at < self._to):
            self._cover(from_at, to_at)
        low, high = bisect_right(self._ends, from_at), bisect_left(self._starts, to_at)
        return [
            (max(start, from_at), min(end, to_at))
            for start, end in zip(self._starts[low:high], self._ends[low:high], strict=True)
        ]

    def _opens_at(self, now: int) -> int:
        at = bisect_right(self._ends, now)
        return max(now, self._starts[at])

    def _passed(self, now: int) -> int:
        at = bisect_right(self._starts, now) - 1
        return self._before[at] + min(now, self._ends[at]) - self._starts[at] if at >= 0 else 0

    def _cover(self, low: int, high: int) -> None:
        """Build the days that hold both instants: more of the same where it suffices, else anew around them."""
        first, last = low // _DAY_MS - 2, high // _DAY_MS + _DAYS_AT_ONCE
        if last - first > _DAYS_MAX:
            days = (high - low) // _DAY_MS
            raise ValueError(f"service time over {days} days is asked for; wanted at most {_DAYS_MAX - _DAYS_AT_ONCE}")
        if first < -_DAYS_MAX or last > _DAY_LAST:
            raise ValueError(f"{low} to {high} is no time of this age; wanted Unix ms")
        if self._starts and max(last, self._last_day) - min(first, self._first_day) <= _DAYS_MAX:
            first, last = min(first, self._first_day), max(last, self._last_day)
        spans = list(_merged(sorted(self._spans(first, last))))
        self._first_day, self._last_day = first, last
        # A zone may stand 14 hours from UTC: the outermost day at each side is built and not vouched for.
        self._from, self._to = (first + 1) * _DAY_MS, (last - 1) * _DAY_MS
        self._starts = [start for start, _ in spans]
        self._ends = [end for _, end in spans]
        self._before = list(accumulate((end - start for start, end in spans), initial=0))

    def _spans(self, first: int, last: int) -> Iterator[tuple[int, int]]:
        """Yield the openings of days ``first`` to ``last`` (since 1970) as instants, those of a set clock in pieces."""
        pieces = list(_pieces(first - 2, last + 2, self._zone))
        at = 0
        for day, (start_min, end_min) in self._calendar.spans(first, last):
            midnight = (day.toordinal() - _EPOCH_ORDINAL) * _DAY_MS
            while pieces[at][1] + pieces[at][2] < midnight - _DAY_MS:  # A day aside: clocks that go back meet it again.
                at += 1
            for begin, end, offset in islice(pieces, at, None):
                if begin + offset >= midnight + 2 * _DAY_MS:
                    break
                start = max(begin, midnight + start_min * MINUTE_MS - offset)
                stop = min(end, midnight + end_min * MINUTE_MS - offset)
                if start < stop:
                    yield start, stop


def _merged(spans: list[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Join what touches, as a shift over midnight does with its second half."""
    held: tuple[int, int] | None = None
    for start, end in spans:
        if held is None:
            held = start, end
        elif start <= held[1]:
            held = held[0], max(held[1], end)
        else:
            yield held
            held = start, end
    if held is not None:
        yield held


def _pieces(first: int, last: int, zone: ZoneInfo) -> Iterator[tuple[int, int, int]]:
    """
    Yield the times between two changes of a zone's clocks, from day ``first`` to day ``last`` since 1970.

    Yields:
        (from, to, how far its clocks are ahead of UTC), in ms; ``from`` is the second of a change or the first midnight.
    """
    begin, offset = first * _DAY_S, _offset_s(first * _DAY_S, zone)
    for day in range(first + 1, last + 1):
        now_s = _offset_s(day * _DAY_S, zone)
        if now_s != offset:  # No zone sets its clocks twice within two days.
            reach = range((day - 1) * _DAY_S, day * _DAY_S)
            change = reach.start + bisect_left(reach, True, key=lambda at: _offset_s(at, zone) == now_s)
            yield begin * 1000, change * 1000, offset * 1000
            begin, offset = change, now_s
    yield begin * 1000, last * _DAY_MS, offset * 1000


def _offset_s(at_s: int, zone: ZoneInfo) -> int:
    ahead = (_EPOCH_AT + timedelta(seconds=at_s)).astimezone(zone).utcoffset()
    return round(ahead.total_seconds()) if ahead is not None else 0


def open_hours(hours: ServiceHours) -> OpenHours:
    """Return the instants of a brand's service hours; make it once a brand and keep it."""
    return OpenHours(hours)


def due_at(received_at: int, minutes: float, hours: OpenHours) -> int:
    """
    Return when a promise falls due.

    Args:
        received_at: Unix ms.
        minutes: Of service time, at least 0. With 0 it is the first open instant at or after ``received_at``. What is
            used up on the second of closing is due at that closing, not at the next opening.
        hours: Of the brand.

    Raises:
        ValueError: If ``minutes`` is negative, or more than about 20 years away.
    """
    if minutes < 0:
        raise ValueError(f"due {minutes} minutes after arrival; wanted 0 or more")
    return hours.due_at(received_at, round(minutes * MINUTE_MS))


def business_ms(from_at: int, to_at: int, hours: OpenHours) -> int:
    """Return the milliseconds of service time between two instants; negative if ``to_at`` lies before ``from_at``."""
    return hours.open_ms(from_at, to_at)


def promise_due_at(
    level: ServiceLevel, kind: PromiseKind, triage: Triage, platform: str, received_at: int, hours: OpenHours
) -> int | None:
    """Return when a promise of this kind falls due, Unix ms; None where nothing is promised."""
    term = level_on(level, platform).terms.get((kind, triage))
    return None if term is None else hours.due_at(received_at, term.span_ms)
