"""
How often a topic is fetched: after a fetch that brought little of it, it rests, and what comes meanwhile comes together.

A fetch and the group that it leads to cost two milliseconds of CPU whatever they hold, so a stream of some hundred posts a
second is read in gulps. Where others write between the posts, two fetches may come in a row: else a desk's command alone in
``work`` would hold up the posts that are written there just after it. The rest is kept where fetches are asked for, not where
they are handed out: what lies fetched keeps aiokafka from fetching anything else from that broker, and a topic that rested
there would have held up the others and then brought only what had come first. A fetch without the resting topics waits at the
broker no longer than until the first of them has rested.

It relies on private names of ``aiokafka.consumer.fetcher`` as they are in aiokafka 0.14.0, which is pinned:
``Fetcher._get_actions_per_node, Fetcher._proc_fetch_request, Fetcher._records``, ``FetchResult._partition_records`` with its
``_records``, and what a ``FetchRequest`` is made of.
"""

import math
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from aiokafka import TopicPartition
from aiokafka.consumer.fetcher import FetchResult
from aiokafka.protocol.fetch import FetchRequest

LITTLE_BYTES: Final = 128 << 10
"""Of one topic in one fetch, about two hundred posts: who has more waiting is behind, and is read without a rest."""


class Spacing:
    """
    When the next of something may come: ``every_s`` after the last, or, with a burst, so often in the mean.

    The virtual scheduling of the generic cell rate algorithm (ITU-T I.371).

    Args:
        every_s: Seconds.
        burst: How many may come in a row after a pause; 1 for none without a wait.
    """

    def __init__(self, every_s: float, burst: int = 1) -> None:
        self._every_s, self._burst = every_s, burst
        self._due_s = float("-inf")

    def took(self, now_s: float) -> None:
        """Note that one came, whether it had waited or not: the next waits for ``every_s`` at most."""
        self._due_s = min(max(self._due_s, now_s) + self._every_s, now_s + self._burst * self._every_s)

    def until(self) -> float:
        """Return when the next one may come, by the clock that ``took`` was told; in the past where it may at once."""
        return self._due_s - (self._burst - 1) * self._every_s


class Pace:
    """
    Lets topics rest.

    Args:
        rests: By topic, how far apart fetches are that bring little of it. Others never rest.
        clock: Returns seconds that never go back.
    """

    def __init__(self, rests: Mapping[str, Spacing], clock: Callable[[], float] = time.monotonic) -> None:
        self._rests = rests
        self._clock = clock

    def guide(self, fetcher: Any) -> None:
        """Let a fetcher of aiokafka keep to it from now on."""
        plan, process = fetcher._get_actions_per_node, fetcher._proc_fetch_request

        def planned(assignment: Any) -> Any:
            requests, resets, timeout_s, has_invalid_metadata, resumes = plan(assignment)
            requests, timeout_s = self.spared(requests, timeout_s)
            return requests, resets, timeout_s, has_invalid_metadata, resumes

        async def processed(assignment: Any, node_id: int, request: Any) -> Any:
            has_new = await process(assignment, node_id, request)
            for topic, size in self._brought(fetcher, request):
                self.note(topic, size)
            return has_new

        fetcher._get_actions_per_node, fetcher._proc_fetch_request = planned, processed

    def note(self, topic: str, size: int) -> None:
        """Note that a fetch brought so many bytes of a topic."""
        rest = self._rests.get(topic)
        if rest is not None and 0 < size < LITTLE_BYTES:
            rest.took(self._clock())

    def spared(self, requests: list[tuple[int, Any]], timeout_s: float) -> tuple[list[tuple[int, Any]], float]:
        """
        Return requests by node without the topics that rest, and when to look again at the latest.

        Args:
            requests: As the fetcher would send them now.
            timeout_s: When it would look again.
        """
        now = self._clock()
        rests = {topic: until - now for topic, rest in self._rests.items() if (until := rest.until()) > now}
        if not rests:
            return requests, timeout_s
        kept: list[tuple[int, Any]] = []
        for node_id, request in requests:
            resting = [rests[topic] for topic, _ in request.topics if topic in rests]
            if not resting:
                kept.append((node_id, request))
                continue
            timeout_s = min(timeout_s, *resting)
            topics = [(topic, parts) for topic, parts in request.topics if topic not in rests]
            if topics:
                kept.append((node_id, _smaller(request, topics, min(resting))))
        return kept, timeout_s

    def _brought(self, fetcher: Any, request: Any) -> Iterator[tuple[str, int]]:
        """Yield how many bytes lie there of each topic that may rest."""
        for topic, parts in request.topics:
            if topic in self._rests:
                results = [fetcher._records.get(TopicPartition(topic, number)) for number, *_ in parts]
                yield topic, sum(_size(result) for result in results)


def _size(result: Any) -> int:
    if type(result) is not FetchResult or result._partition_records is None:
        return 0  # Nothing came, or an error that the next read raises.
    size: int = result._partition_records._records.size_in_bytes()
    return size


def _smaller(request: Any, topics: list[Any], most_s: float) -> FetchRequest:
    """Return a request for some of its topics, which waits at the broker so long at most."""
    wait_ms = min(request._max_wait_ms, math.ceil(most_s * 1000))
    return FetchRequest(
        wait_ms, request._min_bytes, request._max_bytes, request._isolation_level, topics, request._rack_id
    )
