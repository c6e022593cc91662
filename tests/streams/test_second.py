"""The second reader without a broker: what it picks, what it passes over, what it writes."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Sequence
from types import SimpleNamespace
from typing import Any

import pytest
from msgspec.structs import replace

from models.labels import Classification, Confidence
from models.records import Reconsidered, Tick
from models.relabels import Relabel
from streams.codec import encode
from streams.connectors.producing import BrokerAway, Record
from streams.second import (
    BATCH_MAX,
    BEAT_S,
    PAUSE_MAX,
    PAUSE_S,
    SAID_MAX,
    WRITE_EVERY_S,
    Later,
    Pauses,
    SecondReader,
    record_of,
)
from streams.settings import Settings
from tests.builders import NOW, a_social_post, a_tenant, labels, understood

SURE = Confidence(0.99, 0.95, 0.95, 0.95, 0.95, 0.99, 0.99)


class Says:
    """A reader that calls everything a complaint, and notes what it was given."""

    def __init__(self) -> None:
        self.given: list[list[str]] = []
        self.tenants: list[str] = []

    def label_for(self, texts: Sequence[str], tenants: Sequence[str]) -> list[Classification]:
        self.given.append(list(texts))
        self.tenants += tenants
        return [replace(labels(category="complaint"), confidence=SURE) for _ in texts]


def always() -> float:
    return 1.0


def a_reader(budget_s: float = 2.0) -> tuple[SecondReader, Says]:
    says = Says()
    return SecondReader(Settings(tenants=(), deep_budget_s=budget_s), says, always, clock=lambda: NOW / 1000), says


def a_record(value: Any, at: int = NOW) -> Any:
    return SimpleNamespace(value=value if value is None or isinstance(value, bytes) else encode(value), timestamp=at)


def unsure(post_id: str = "x:1", **changes: Any) -> Any:
    return understood(post_id, labels=labels(unsure=("category",)), **changes)


def skipped(second: SecondReader, reason: str) -> float:
    return second.counts.registry.get_sample_value("zuruf_deep_skipped_total", {"reason": reason}) or 0.0


def rested_s(second: SecondReader) -> float:
    return second.counts.registry.get_sample_value("zuruf_deep_rested_seconds_total") or 0.0


def test_who_has_a_share_of_the_time_rests_for_what_is_left_of_it_before_it_reads_on() -> None:
    class Computes(Says):
        def label_for(self, texts: Sequence[str], tenants: Sequence[str]) -> list[Classification]:
            until = time.thread_time() + 0.02
            while time.thread_time() < until:
                pass
            return super().label_for(texts, tenants)

    async def go() -> None:
        second = SecondReader(Settings(tenants=()), Computes(), lambda: 0.2, clock=lambda: NOW / 1000)
        second.offer([a_record(unsure())])
        before = time.monotonic()
        await second.read_next()

        assert second.rests_until >= before + 0.02 / 0.2
        until, each_s, rested = second.rests_until, second.waiting.each_s, rested_s(second)
        second.offer([a_record(unsure("x:2"))])
        rest_s = until - time.monotonic() - 0.005
        await second.read_next()
        assert time.monotonic() >= until
        assert rested_s(second) >= rested + rest_s
        # What is rested counts as a part of what a reading takes.
        assert second.waiting.each_s >= each_s + 0.01 * (rest_s + 0.02 - each_s) - 1e-9
        second.look()
        assert second.counts.registry.get_sample_value("zuruf_deep_share") == 0.2

    asyncio.run(go())


def test_on_a_busy_machine_no_more_is_read_in_one_go_than_a_pause_has_time_for() -> None:
    async def go(share: float) -> int:
        says = Says()
        second = SecondReader(Settings(tenants=()), says, lambda: share, clock=lambda: NOW / 1000)
        second.offer([a_record(unsure(f"x:{number}")) for number in range(2 * BATCH_MAX)])
        await second.read_next()
        return len(says.given[0])

    assert [asyncio.run(go(share)) for share in (1.0, 0.9, 0.1, 0.001)] == [BATCH_MAX, PAUSE_MAX, PAUSE_MAX, 1]


def test_on_a_busy_machine_it_reads_in_the_pauses_of_the_stream() -> None:
    async def go(share: float) -> float:
        second = SecondReader(Settings(tenants=()), Says(), lambda: share, clock=lambda: NOW / 1000)
        second.offer([a_record(unsure())])  # Posts come.
        began = time.monotonic()
        await second.read_next()
        return time.monotonic() - began

    assert min(asyncio.run(go(1.0)) for _ in range(5)) < PAUSE_S[0]
    took = [asyncio.run(go(0.5)) for _ in range(5)]
    assert all(took_s >= PAUSE_S[0] - 0.002 for took_s in took)
    assert min(took) < BEAT_S


def waited_s(ago_s: float, next_s: float = 0.0, most_s: float = BEAT_S) -> float:
    """How long a pause is waited for if posts came so long ago, and the next so long after now."""

    async def go() -> float:
        now = [100.0]
        pauses = Pauses(lambda: now[0])
        pauses.end()
        now[0] += ago_s
        loop, began = asyncio.get_running_loop(), time.monotonic()
        if next_s:
            loop.call_later(next_s, lambda: (now.__setitem__(0, now[0] + next_s), pauses.end()))
        await pauses.wait(most_s)
        return time.monotonic() - began

    return min(asyncio.run(go()) for _ in range(5))


def test_a_pause_begins_when_dispatch_has_decided_and_ends_before_the_next_posts() -> None:
    assert PAUSE_S[0] - 0.002 <= waited_s(0.0) < 0.03
    assert waited_s(0.015) < 0.01  # In this one.
    assert 0.03 + PAUSE_S[0] - 0.002 <= waited_s(0.025, next_s=0.03) < 0.07  # In the next one.


def test_where_no_posts_come_none_are_waited_for() -> None:
    assert waited_s(3600.0) < 0.01
    assert 0.038 <= waited_s(BEAT_S - 0.04) < 0.08
    assert waited_s(BEAT_S - 0.04, most_s=0.01) < 0.03
    assert waited_s(0.0, most_s=0.005) < 0.01


def test_an_open_label_becomes_a_later_one() -> None:
    async def go() -> None:
        second, says = a_reader()
        second.offer([a_record(unsure())])
        (relabel,) = await second.read_next()

        assert says.tenants == ["alster"]
        assert (relabel.by, relabel.tenant, relabel.post_id) == ("deep", "alster", "x:1")
        assert relabel.labels == {"category": "complaint"}
        assert relabel.confidence == {"category": 0.95}

    asyncio.run(go())


class Wants:
    """A reader that calls everything a complaint that somebody should answer."""

    def label_for(self, texts: Sequence[str], tenants: Sequence[str]) -> list[Classification]:
        return [replace(labels(category="complaint", answer=True), confidence=SURE) for _ in texts]


def reads_again(first: Any, **brand: Any) -> Any:
    async def go() -> Any:
        second = SecondReader(Settings(tenants=(a_tenant(**brand),)), Wants(), always, clock=lambda: NOW / 1000)
        second.offer([a_record(first)])
        (said,) = await second.read_next()
        assert second.counts.registry.get_sample_value("zuruf_deep_reconsidered_total") == isinstance(
            said, Reconsidered
        )
        return said

    return asyncio.run(go())


def test_a_post_that_opens_no_case_and_should_goes_on_whole() -> None:
    first = understood(
        post=a_social_post(text="seit heute früh geht bei mir das Internet nicht mehr"),
        labels=labels(category="other", answer=False, unsure=("answer",)),
        triage="less",
    )
    said = reads_again(first)

    assert isinstance(said, Reconsidered)
    assert said.work.again
    assert said.work.why == ("found by the second reading",)
    assert (said.work.labels.answer, said.work.labels.category) == (True, "complaint")
    assert (said.work.post, said.work.src) == (first.post, first.src)
    assert said.work.sketch


def test_words_of_danger_are_looked_for_again() -> None:
    first = understood(labels=labels(category="other", answer=False, unsure=("answer",)), triage="less")
    said = reads_again(replace(first, post=replace(first.post, text="es brennt")))

    assert (said.work.triage, said.work.why[1:]) == ("at_once", ("danger: es brennt",))


def test_a_post_that_opens_a_case_anyway_gets_later_labels() -> None:
    said = reads_again(understood(labels=labels(category="other", answer=True, unsure=("answer",)), triage="less"))

    assert isinstance(said, Relabel)


def test_only_new_posts_with_words_are_read() -> None:
    async def go() -> None:
        second, _ = a_reader()
        silent = unsure()
        second.offer(
            [
                a_record(Tick(at=NOW)),
                a_record(None),
                a_record(b'{"type":"understood","at":"never"}'),
                a_record(unsure(action="deleted")),
                a_record(replace(silent, post=replace(silent.post, text=" "))),
                a_record(understood(labels=labels(unsure=()))),
            ]
        )

        assert len(second.waiting) == 0

    asyncio.run(go())


def test_what_is_older_than_the_budget_is_passed_over_and_counted() -> None:
    async def go() -> None:
        second, _ = a_reader(budget_s=1.0)
        second.offer([a_record(unsure("x:1"), NOW - 1001), a_record(unsure("x:2"), NOW - 999)])

        assert (len(second.waiting), skipped(second, "late")) == (1, 1.0)

    asyncio.run(go())


def test_what_has_waited_longer_than_the_budget_is_not_read_any_more() -> None:
    async def go() -> None:
        now_s = NOW / 1000
        says = Says()
        second = SecondReader(Settings(tenants=(), deep_budget_s=1.0), says, always, clock=lambda: now_s)
        second.offer([a_record(unsure("x:1"), NOW - 900), a_record(unsure("x:2"), NOW - 100)])
        now_s += 0.5
        await second.read_next()
        assert (len(says.given[0]), skipped(second, "late")) == (1, 1.0)

        second.offer([a_record(unsure("x:3"), NOW)])
        now_s += 1.0
        assert second.counts.registry.get_sample_value("zuruf_deep_waiting") == 1
        assert await second.read_next() == []
        assert (len(says.given), skipped(second, "late")) == (1, 2.0)
        assert second.counts.registry.get_sample_value("zuruf_deep_waiting") == 0

    asyncio.run(go())


def test_what_would_take_longer_than_the_budget_is_passed_over_and_counted() -> None:
    async def go() -> None:
        second, says = a_reader(budget_s=0.08)
        second.offer([a_record(unsure(f"x:{number}")) for number in range(100)])

        assert (len(second.waiting), skipped(second, "full")) == (10, 90.0)
        await second.read_next()
        assert len(says.given[0]) == 10

    asyncio.run(go())


def test_a_reader_that_agrees_with_a_sure_first_one_says_nothing() -> None:
    async def go() -> None:
        second, _ = a_reader()
        urgent = understood(labels=labels(category="complaint", unsure=()), triage="urgent")
        second.offer([a_record(replace(urgent, labels=replace(urgent.labels, confidence=SURE)))])

        assert await second.read_next() == []

    asyncio.run(go())


class Written:
    """Notes when it was given what to write; the first so many times no broker is there."""

    def __init__(self, away: int = 0) -> None:
        self.away = away
        self.writes: list[tuple[float, list[Record]]] = []
        self.wrote = asyncio.Event()

    async def __call__(self, records: Sequence[Record]) -> None:
        self.writes.append((time.monotonic(), list(records)))
        self.wrote.set()
        if len(self.writes) <= self.away:
            raise BrokerAway("nobody answers")

    async def until(self, records: int) -> None:
        async with asyncio.timeout(30):
            while sum(len(some) for _, some in self.writes) < records:
                self.wrote.clear()
                await self.wrote.wait()


@contextlib.asynccontextmanager
async def running(later: Later) -> AsyncIterator[None]:
    task = asyncio.create_task(later.run())
    try:
        yield
    finally:
        task.cancel()
        async with asyncio.timeout(10):  # It ends, whenever it is cancelled.
            await asyncio.gather(task, return_exceptions=True)


def a_relabel(post_id: str = "x:1") -> Relabel:
    return Relabel(at=NOW, tenant="bank", labels={}, by="deep", conversation_uri=post_id, post_id=post_id)


def test_what_is_said_between_two_writes_is_written_together() -> None:
    async def go() -> None:
        write = Written()
        later = Later(write, Pauses())
        async with running(later):
            await later.add([a_relabel("x:0")])
            await write.until(1)
            for number in range(1, 5):
                await later.add([a_relabel(f"x:{number}")])
            await write.until(5)

        (first, some), (second, others) = write.writes
        assert second - first >= WRITE_EVERY_S
        assert [*some, *others] == [record_of(a_relabel(f"x:{number}")) for number in range(5)]

    asyncio.run(go())


def test_what_is_said_is_written_in_a_pause_of_the_stream() -> None:
    async def waited(*records: Any) -> float:
        write, (second, _) = Written(), a_reader()
        second.offer(records)
        later, began = Later(write, second.pauses), time.monotonic()
        await later.add([a_relabel()])
        async with running(later):
            await write.until(1)
        return write.writes[0][0] - began

    sure = a_record(understood(labels=labels(unsure=())))
    assert min(asyncio.run(waited()) for _ in range(5)) < PAUSE_S[0] / 2
    assert min(asyncio.run(waited(a_record(Tick(NOW)))) for _ in range(5)) < PAUSE_S[0] / 2  # No post.
    assert min(asyncio.run(waited(sure)) for _ in range(5)) >= PAUSE_S[0] - 0.002


def test_who_writes_ends_when_it_is_told_to_though_posts_come_at_that_moment() -> None:
    async def go(turns: int) -> None:
        pauses = Pauses()
        later = Later(Written(), pauses)
        await later.add([a_relabel()])
        async with running(later):
            await asyncio.sleep(0.01)
            pauses.end()
            for _ in range(turns):
                await asyncio.sleep(0)

    for turns in range(4):
        asyncio.run(go(turns))


def test_what_finds_no_broker_is_lost_and_the_next_is_written(caplog: pytest.LogCaptureFixture) -> None:
    async def go() -> None:
        write = Written(away=1)
        later = Later(write, Pauses())
        async with running(later):
            await later.add([a_relabel("x:1")])
            await write.until(1)
            await later.add([a_relabel("x:2")])
            await write.until(2)
        assert [some for _, some in write.writes] == [[record_of(a_relabel("x:1"))], [record_of(a_relabel("x:2"))]]

    asyncio.run(go())
    assert "1 later labels are lost" in caplog.text


def test_what_waits_is_bounded_and_whoever_adds_to_it_waits() -> None:
    async def go() -> None:
        write = Written()
        later = Later(write, Pauses())
        await later.add([a_relabel()] * SAID_MAX)
        adding = asyncio.create_task(later.add([a_relabel()]))
        await asyncio.sleep(0.01)
        assert not adding.done()
        await later.write()
        await adding
        await later.write()
        await later.write()  # Nothing waits.

        assert [len(some) for _, some in write.writes] == [SAID_MAX, 1]

    asyncio.run(go())
