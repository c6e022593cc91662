"""The outbox's rules without a broker: order, retries, what may have been sent before, and what is let go."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import msgspec
import pytest

from models.records import Answer, Published, Sending, Work
from streams.connectors import outbox
from streams.connectors.base import (
    CannotTell,
    Capabilities,
    Failed,
    Found,
    NotThere,
    Outcome,
    Retry,
    Sent,
    Unknown,
    refused_for_length,
)
from streams.connectors.callback import body_of, message_id, outcome_of, seconds_asked
from streams.connectors.metrics import Metrics
from streams.connectors.outbox import Delivery, Done, Item, Progress, backoff_s, published
from streams.connectors.producing import BrokerAway, Record

NOW = 1_770_000_000_000


def an_answer(answer_id: str = "a1", **fields: Any) -> Answer:
    return Answer(
        **{
            "answer_id": answer_id,
            "src": (0, 0, 0),
            "at": NOW,
            "tenant": "acme",
            "brand_id": "bahn",
            "case_id": "c1",
            "rep_id": "r1",
            "platform": "x",
            "account_id": "crm",
            "conversation_uri": "x:0",
            "in_reply_to": "x:1",
            "text": "At eight.",
            **fields,
        }
    )


class Platform:
    """A connector that does as it is told: the next outcomes, or a call that waits."""

    def __init__(self, *outcomes: Outcome | Exception, found: Found | None = None) -> None:
        self.outcomes, self.found = list(outcomes), found or NotThere()
        self.calls: list[str] = []
        self.lookups: list[str] = []
        self.hold: asyncio.Event | None = None

    def capabilities(self) -> Capabilities:
        return Capabilities()

    async def publish(self, answer: Answer) -> Outcome:
        self.calls.append(answer.answer_id)
        if self.hold is not None:
            await self.hold.wait()
        outcome = self.outcomes.pop(0) if self.outcomes else Sent("uri", "url")
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    async def lookup(self, answer: Answer) -> Found:
        self.lookups.append(answer.answer_id)
        return self.found

    async def close(self) -> None:
        return None


class Bench:
    """A delivery with its platforms, its log and its clock."""

    def __init__(self, **platforms: Platform) -> None:
        self.platforms = platforms
        self.written: list[Any] = []
        self.away = 0
        self.now = NOW
        self.metrics = Metrics()
        self.delivery = Delivery(
            lambda answer: self.platforms.get(answer.account_id), self.write, self.metrics, lambda: self.now
        )
        self.progress = Progress(0)

    async def write(self, records: Sequence[Record]) -> None:
        if self.away:
            self.away -= 1
            raise BrokerAway("gone fishing")
        assert all((record.topic, record.key) == ("work", b"acme") for record in records)
        self.written += [msgspec.json.decode(record.value, type=Work) for record in records]

    def add(self, answer: Answer, *, suspect: bool = False, partition: int = 0) -> Item:
        item = Item(answer, partition, self.progress.expected, self.progress, suspect)
        self.delivery.add(item)
        return item

    async def settled(self) -> None:
        await until(lambda: not self.delivery.pending)
        self.delivery.check()

    def said(self) -> list[tuple[str, str]]:
        """(answer id, status) in the order of the log."""
        return [(one.answer_id, "sending" if isinstance(one, Sending) else one.status) for one in self.written]

    def count(self, status: str) -> float | None:
        return self.metrics.registry.get_sample_value("zuruf_answers_published_total", {"status": status})


async def until(condition: Callable[[], bool]) -> None:
    for _ in range(4_000):
        if condition():
            return
        await asyncio.sleep(0.002)
    raise AssertionError("not within eight seconds")


def on_a_bench(test: Callable[[Bench], Awaitable[None]], **platforms: Platform) -> None:
    async def main() -> None:
        async with asyncio.timeout(20):
            await test(Bench(**platforms))

    asyncio.run(main())


# -- progress -----------------------------------------------------------------------------------------------------


def test_what_may_be_committed_ends_before_the_first_that_is_not_done() -> None:
    progress = Progress(7)
    for offset in (7, 8, 9):
        progress.begin(offset)

    assert progress.to_commit() is None
    progress.finish(8)
    assert progress.to_commit() is None
    progress.finish(7)
    assert progress.to_commit() == 9
    progress.committed(9)
    assert progress.to_commit() is None
    progress.finish(9)
    assert progress.to_commit() == 10
    assert len(progress) == 0


def test_a_hole_is_read_again_once_and_then_believed() -> None:
    progress = Progress(7)

    assert not progress.is_hole(7)
    assert not progress.is_hole(3)
    assert progress.is_hole(9)
    assert not progress.is_hole(9)
    progress.begin(9)
    assert progress.is_hole(11)


@pytest.mark.parametrize(
    ("tries", "jitter", "wait_s"), [(1, 1, 0.5), (1, 0, 0.25), (2, 1, 1), (6, 1, 16), (7, 1, 30), (10_000, 1, 30)]
)
def test_waits_double_to_half_a_minute(tries: int, jitter: float, wait_s: float) -> None:
    assert backoff_s(tries, jitter) == wait_s


def test_results_are_remembered_for_the_last_answers_only() -> None:
    done = Done(count_max=2)
    for name in ("a", "b", "c"):
        done.add(an_answer(name), Failed(name))

    assert done.find(an_answer("a")) is None
    assert done.find(an_answer("c")) == Failed("c")
    assert done.find(an_answer("c", tenant="other")) is None


@pytest.mark.parametrize(
    ("outcome", "status", "error"),
    [(Sent("u", "l"), "sent", ""), (Failed("http_400"), "failed", "http_400"), (Unknown("?"), "unknown", "?")],
)
def test_a_result_becomes_a_record_for_dispatch(outcome: Any, status: str, error: str) -> None:
    record = published(an_answer(), outcome, NOW)

    assert (record.status, record.error, record.at, record.case_id) == (status, error, NOW, "c1")


# -- what an answer to a callback means -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "headers", "body", "outcome"),
    [
        (200, {}, b'{"object_uri": "o", "url": "l", "more": 1}', Sent("o", "l")),
        (204, {}, b"", Sent()),
        (201, {}, b"OK", Sent()),
        (202, {}, b'{"url": 7}', Sent()),
        (200, {}, b'{"url": "' + b"x" * 2_000 + b'"}', Sent("", "x" * 1_024)),
        (429, {"Retry-After": "7"}, b"", Retry("http_429", 7.0)),
        (503, {"Retry-After": "Mon, 02 Feb 2026 02:40:09 GMT"}, b"", Retry("http_503", 9.0)),
        (500, {"Retry-After": "soon"}, b"", Retry("http_500")),
        (408, {}, b"", Retry("http_408")),
        (301, {"Location": "https://other"}, b"", Failed("http_301")),
        (404, {}, b"", Failed("http_404")),
        (410, {}, b"", Failed("http_410")),
    ],
)
def test_what_a_callback_says_is_understood(
    status: int, headers: dict[str, str], body: bytes, outcome: Outcome
) -> None:
    assert outcome_of(status, headers, body, NOW) == outcome


@pytest.mark.parametrize(
    ("text", "wait_s"),
    [("0", 0.0), ("Mon, 02 Feb 2026 02:39:00 GMT", 0.0), ("-5", None), ("", None), ("1.5", None), ("٣", None)],
)
def test_retry_after_has_two_forms(text: str, wait_s: float | None) -> None:
    assert seconds_asked({"Retry-After": text}, NOW) == wait_s


def test_an_id_that_no_header_can_hold_becomes_its_digest() -> None:
    assert message_id("a-1_B") == "a-1_B"
    assert message_id("a\r\nb").startswith("sha256_")
    assert message_id("ü") != message_id("ö")
    assert len(message_id("x" * 256)) == 71


def test_an_answer_has_the_same_bytes_in_every_attempt() -> None:
    assert body_of(an_answer()) == body_of(an_answer())
    assert msgspec.json.decode(body_of(an_answer()))["time"] == "2026-02-02T02:40:00Z"


def test_an_answer_too_long_for_its_account_is_refused_before_the_call() -> None:
    assert refused_for_length(an_answer(text="x" * 5), Capabilities(text_max=5)) is None
    assert refused_for_length(an_answer(text="x" * 5), Capabilities()) is None
    assert refused_for_length(an_answer(text="ü" * 6), Capabilities(text_max=5)) == Failed(
        "too_long: 6 characters, at most 5"
    )


# -- delivery -----------------------------------------------------------------------------------------------------


def test_sending_is_acknowledged_before_the_call_and_published_after() -> None:
    platform = Platform()

    async def test(bench: Bench) -> None:
        bench.away = 1
        bench.add(an_answer())
        await asyncio.sleep(0.05)
        assert platform.calls == []
        assert bench.progress.to_commit() is None
        await bench.settled()

        assert platform.calls == ["a1"]
        assert platform.lookups == []
        assert bench.said() == [("a1", "sending"), ("a1", "sent")]
        assert bench.progress.to_commit() == 1
        assert bench.count("sent") == 1

    on_a_bench(test, crm=platform)


def test_an_account_has_its_answers_in_order_and_one_at_a_time() -> None:
    platform = Platform(Retry("busy", 0.05))

    async def test(bench: Bench) -> None:
        for name in ("a", "b", "c"):
            bench.add(an_answer(name))
        await bench.settled()

        assert platform.calls == ["a", "a", "b", "c"]

    on_a_bench(test, crm=platform)


def test_no_more_calls_at_once_than_allowed() -> None:
    platforms = {f"p{n}": Platform() for n in range(70)}

    async def test(bench: Bench) -> None:
        hold = asyncio.Event()
        for name, platform in platforms.items():
            platform.hold = hold
            bench.add(an_answer(name, account_id=name))
        await asyncio.sleep(0.1)
        assert sum(len(platform.calls) for platform in platforms.values()) == 64
        hold.set()
        await bench.settled()

        assert bench.count("sent") == 70

    on_a_bench(test, **platforms)


@pytest.mark.parametrize(
    ("found", "calls", "status"),
    [(Sent("there"), 0, "sent"), (NotThere(), 1, "sent"), (CannotTell(), 0, "unknown")],
    ids=["there", "not there", "cannot tell"],
)
def test_what_may_have_been_sent_is_looked_up_and_never_sent_blindly(found: Found, calls: int, status: str) -> None:
    platform = Platform(found=found)

    async def test(bench: Bench) -> None:
        bench.add(an_answer(), suspect=True)
        await bench.settled()

        assert len(platform.lookups) == 1
        assert len(platform.calls) == calls
        assert bench.said()[-1] == ("a1", status)

    on_a_bench(test, crm=platform)


@pytest.mark.parametrize(
    ("found", "calls", "status"),
    [(Sent("there"), 1, "sent"), (NotThere(), 2, "sent"), (CannotTell(), 1, "unknown")],
    ids=["there", "not there", "cannot tell"],
)
def test_an_unknown_result_is_looked_up_before_another_call(found: Found, calls: int, status: str) -> None:
    platform = Platform(Unknown("time-out"), found=found)

    async def test(bench: Bench) -> None:
        bench.add(an_answer())
        await bench.settled()

        assert len(platform.calls) == calls
        assert bench.said() == [("a1", "sending"), ("a1", status)]

    on_a_bench(test, crm=platform)


def test_a_bug_in_a_connector_is_reported_and_holds_up_nobody() -> None:
    platform = Platform(ZeroDivisionError("oh"), found=CannotTell())

    async def test(bench: Bench) -> None:
        bench.add(an_answer("a"))
        bench.add(an_answer("b"))
        await bench.settled()

        assert bench.said()[1::2] == [("a", "unknown"), ("b", "sent")]
        assert "ZeroDivisionError" in bench.written[1].error

    on_a_bench(test, crm=platform)


def test_retries_end_a_quarter_of_an_hour_after_the_answer_was_given() -> None:
    platform = Platform(Retry("http_503"), Retry("http_503", 0.0), Retry("http_503"))

    async def test(bench: Bench) -> None:
        bench.now = NOW + 15 * 60_000 - 600
        bench.add(an_answer())
        await until(lambda: bool(platform.calls))
        bench.now += 500
        await bench.settled()

        assert platform.calls == ["a1", "a1"]
        assert bench.said() == [("a1", "sending"), ("a1", "failed")]
        assert bench.written[-1].error == "gave up after 2 attempts: http_503"

    on_a_bench(test, crm=platform)


def test_a_platform_that_asks_for_no_wait_is_not_hammered() -> None:
    platform = Platform(*[Retry("http_503", 0.0)] * 100)

    async def test(bench: Bench) -> None:
        bench.add(an_answer())
        await asyncio.sleep(0.6)
        assert 2 <= len(platform.calls) <= 3
        await bench.delivery.leave([0], settle_s=1)

    on_a_bench(test, crm=platform)


def test_an_answer_older_than_that_is_tried_once() -> None:
    platform = Platform(Retry("http_503"))

    async def test(bench: Bench) -> None:
        bench.now = NOW + 3_600_000
        bench.add(an_answer())
        await bench.settled()

        assert (platform.calls, bench.said()[-1]) == (["a1"], ("a1", "failed"))

    on_a_bench(test, crm=platform)


def test_a_platform_that_asks_for_longer_than_there_is_fails_at_once() -> None:
    platform = Platform(Retry("http_429", 3_600.0))

    async def test(bench: Bench) -> None:
        bench.add(an_answer())
        await bench.settled()

        assert bench.said()[-1] == ("a1", "failed")

    on_a_bench(test, crm=platform)


def test_an_answer_seen_again_is_reported_again_and_not_sent_again() -> None:
    platform = Platform(Failed("http_400"))

    async def test(bench: Bench) -> None:
        bench.add(an_answer())
        await bench.settled()
        bench.add(an_answer(), suspect=True)
        await bench.settled()

        assert platform.calls == ["a1"]
        assert bench.said() == [("a1", "sending"), ("a1", "failed"), ("a1", "failed")]
        assert bench.count("failed") == 1
        assert bench.progress.to_commit() == 2

    on_a_bench(test, crm=platform)


def test_partitions_that_leave_take_what_waits_with_them_and_results_are_still_told() -> None:
    here, there = Platform(), Platform()

    async def test(bench: Bench) -> None:
        here.hold = asyncio.Event()
        bench.add(an_answer("a"), partition=1)
        bench.add(an_answer("b"), partition=1)
        await asyncio.sleep(0.02)
        leaving = asyncio.create_task(bench.delivery.leave([1], settle_s=0.05))
        await leaving
        assert (here.calls, bench.progress.to_commit()) == (["a"], None)
        here.hold.set()
        await bench.settled()

        assert here.calls == ["a"]
        assert bench.said() == [("a", "sending"), ("a", "sent")]

    on_a_bench(test, crm=here, other=there)


def test_a_partition_that_leaves_ends_the_wait_for_another_attempt() -> None:
    platform = Platform(Retry("busy", 60.0))

    async def test(bench: Bench) -> None:
        bench.add(an_answer())
        await until(lambda: bool(platform.calls))
        await asyncio.wait_for(bench.delivery.leave([0], settle_s=10), 1)

        assert bench.delivery.pending == 0
        assert bench.said() == [("a1", "sending")]
        assert bench.progress.to_commit() is None

    on_a_bench(test, crm=platform)


def test_an_answer_that_comes_back_while_it_is_under_way_is_not_sent_twice() -> None:
    platform = Platform()

    async def test(bench: Bench) -> None:
        platform.hold = asyncio.Event()
        bench.add(an_answer())
        await asyncio.sleep(0.02)
        await bench.delivery.leave([0], settle_s=0.01)
        bench.progress = Progress(0)
        bench.add(an_answer(), suspect=True)
        platform.hold.set()
        await bench.settled()

        assert platform.calls == ["a1"]
        assert bench.said() == [("a1", "sending"), ("a1", "sent"), ("a1", "sent")]
        assert bench.progress.to_commit() == 1

    on_a_bench(test, crm=platform)


def test_an_account_with_too_many_waiting_asks_for_rest() -> None:
    platform = Platform()

    async def test(bench: Bench) -> None:
        platform.hold = asyncio.Event()
        for n in range(outbox.LANE_MAX):
            bench.add(an_answer(f"a{n}"), partition=3)
        bench.add(an_answer("x", account_id="other"), partition=2)

        assert bench.delivery.full() == {3}
        assert bench.metrics.registry.get_sample_value("zuruf_outbox_pending") == outbox.LANE_MAX + 1
        platform.hold.set()
        await bench.settled()
        assert bench.delivery.full(1) == set()

    on_a_bench(test, crm=platform, other=platform)


def test_a_published_record_says_all_that_dispatch_needs() -> None:
    record = published(an_answer("a", case_id="c9"), Sent("u", "l"), NOW)

    assert record == Published(NOW, "acme", "c9", "a", "sent", "u", "l")


def test_a_bug_of_the_outbox_itself_is_not_swallowed() -> None:
    async def test(bench: Bench) -> None:
        bench.now = "no number"  # type: ignore[assignment]
        item = bench.add(an_answer())
        await until(lambda: not bench.delivery.pending)

        with pytest.raises(msgspec.ValidationError):
            bench.delivery.check()
        assert item.progress.to_commit() is None

    on_a_bench(test, crm=Platform())
