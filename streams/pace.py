"""
How often a topic is fetched: after a fetch that brought little of it, it rests, and what comes meanwhile comes together.

A fetch and the group that it leads to cost two milliseconds of CPU whatever they hold, so a stream of some hundred posts a
second is read in gulps. The rest is kept where fetches are asked for, not where they are handed out: what lies fetched keeps
aiokafka from fetching anything else from that broker, and a topic that rested there would have held up the others and then
brought only what had come first. A fetch without the resting topics waits at the broker no longer than until the first of
them has rested.

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


class Pace:
    """
    Lets topics rest.

    Args:
        rests: By topic, how long it is not fetched after a fetch that brought little of it, seconds. Others never rest.
        clock: Returns seconds that never go back.
    """

    def __init__(self, rests: Mapping[str, float], clock: Callable[[], float] = time.monotonic) -> None:
        self._rests = {topic: rest_s for topic, rest_s in rests.items() if rest_s > 0}
        self._clock = clock
        self._until: dict[str, float] = {}

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
        rest_s = self._rests.get(topic)
        if rest_s is not None and 0 < size < LITTLE_BYTES:
            self._until[topic] = self._clock() + rest_s

    def spared(self, requests: list[tuple[int, Any]], timeout_s: float) -> tuple[list[tuple[int, Any]], float]:
        """
        Return requests by node without the topics that rest, and when to look again at the latest.

        Args:
            requests: As the fetcher would send them now.
            timeout_s: When it would look again.
        """
        now = self._clock()
        self._until = {topic: until for topic, until in self._until.items() if until > now}
        if not self._until:
            return requests, timeout_s
        kept: list[tuple[int, Any]] = []
        for node_id, request in requests:
            resting = [self._until[topic] - now for topic, _ in request.topics if topic in self._until]
            if not resting:
                kept.append((node_id, request))
                continue
            timeout_s = min(timeout_s, *resting)
            topics = [(topic, parts) for topic, parts in request.topics if topic not in self._until]
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
