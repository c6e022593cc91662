"""The demonstration's own parts: what it sends, what it takes, and that its tally would notice a loss."""

import asyncio
import json
from collections import Counter
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from aiohttp import ClientSession

from agents.demo.callback import Receiver, receiving
from agents.demo.feeder import event_of, read_corpus
from agents.demo.tally import KINDS, Drops, Read, Told, dropped_in, tally
from agents.demo.words import answer_text, texts
from models.labels import CATEGORIES
from models.posts import Post
from streams.connectors.signing import signed_headers
from streams.topics import CASE_EVENTS, DEAD_LETTERS, DESK_EVENTS, POSTS, WORK

NOW = datetime(2026, 1, 1, tzinfo=UTC)
SECRET = b"a secret of thirty-two characters"
LABELS = {
    "language": "de",
    "sentiment": "neutral",
    "category": "faq",
    "subject": "other",
    "triage": "important",
    "answer": True,
    "toxic": False,
    "confidence": {},
}


def a(topic: str, partition: int, offset: int, /, **fields: Any) -> Read:
    """Return a record as the tally reads it."""
    return Read((partition, offset), msgspec.convert(fields, KINDS[topic]))


def a_post(offset: int, post_id: str) -> Read:
    line = {**read_corpus()[0], "id": post_id}
    return a(POSTS.name, 0, offset, **event_of(line, "run", 0, NOW) | {"id": post_id})


def an_understood(offset: int, src: tuple[int, int, int]) -> Read:
    post = {"id": "p", "platform": "x", "account_id": "a", "object_uri": "u", "conversation_uri": "u", "text": "t"}
    return a(
        WORK.name, 1, offset, type="understood", at=1, src=src, tenant="t", brand_id="b", addressed="mention",
        post=post | {"received_at": 1, "created_at": 1}, labels=LABELS, influence={}, triage="important",
    )  # fmt: skip


def a_counted(src: tuple[int, int, int], reason: str = "spam") -> Read:
    fields = {"at": 1, "src": src, "tenant": "t", "brand_id": "b", "post_id": "p", "platform": "x", "reason": reason}
    return a(CASE_EVENTS.name, 1, 0, type="counted", **fields)


def an_opened(src: tuple[int, int, int], received_at: int) -> Read:
    return a(
        CASE_EVENTS.name, 1, 0, type="opened", at=1, src=src, tenant="t", brand_id="b", case_id="c", post_id="p",
        platform="x", addressed="mention", received_at=received_at, due_at=9, triage="important", labels=LABELS,
        influence={},
    )  # fmt: skip


def an_offered(src: tuple[int, int, int], offer: str) -> Read:
    fields = {
        "at": 1,
        "src": src,
        "tenant": "t",
        "brand_id": "b",
        "case_id": "c",
        "rep_id": "r",
        "offer": offer,
        "rank": 1,
    }
    return a(CASE_EVENTS.name, 1, 0, type="offered", **fields)


def a_letter(source: str, partition: int, offset: int) -> Read:
    return a(DEAD_LETTERS.name, 0, 0, at=1, reason="bad", source=source, partition=partition, offset=offset)


def counted(
    taken: dict[str, int], *reads: tuple[str, Read], dropped: int = 0, seen: dict[str, int] | None = None
) -> Any:
    topics: dict[str, list[Read]] = {topic.name: [] for topic in (POSTS, WORK, CASE_EVENTS, DESK_EVENTS, DEAD_LETTERS)}
    for topic, read in reads:
        topics[topic].append(read)
    told = Told(taken=taken, dropped=dropped, seen=seen or {}, repeats_seen=0, published=0, start_s=1.0)
    return tally(topics, told)


POST, UNDERSTOOD, END = (
    (POSTS.name, a_post(7, "p")),
    (WORK.name, an_understood(3, (0, 7, 1))),
    (CASE_EVENTS.name, a_counted((1, 3, 1))),
)


# -- the tally


def test_a_post_that_is_counted_is_not_lost() -> None:
    result = counted({"p": 1}, POST, UNDERSTOOD, END)
    assert (result.posts_in, result.classified, result.counted_only, result.lost) == (1, 1, 1, 0)


@pytest.mark.parametrize(
    "reads", [(), (POST,), (POST, UNDERSTOOD)], ids=["not written", "not understood", "understood, and then nothing"]
)
def test_a_post_that_ends_anywhere_is_lost(reads: tuple[tuple[str, Read], ...]) -> None:
    assert counted({"p": 1}, *reads).lost == 1


def test_a_repeat_that_was_taken_and_not_written_is_lost() -> None:
    assert counted({"p": 2}, POST, UNDERSTOOD, END).lost == 1


def test_what_was_dropped_or_buried_is_accounted_for() -> None:
    assert counted({"p": 1}, POST, dropped=1).lost == 0
    assert counted({"p": 1}, POST, (DEAD_LETTERS.name, a_letter("posts", 0, 7))).lost == 0
    assert counted({"p": 1}, POST, UNDERSTOOD, (DEAD_LETTERS.name, a_letter("work", 1, 3))).lost == 0


def test_a_letter_about_another_record_accounts_for_nothing() -> None:
    assert counted({"p": 1}, POST, (DEAD_LETTERS.name, a_letter("posts", 0, 8))).lost == 1


def test_what_a_crash_wrote_twice_counts_once() -> None:
    again = (WORK.name, an_understood(4, (0, 7, 1)))
    result = counted({"p": 1}, POST, UNDERSTOOD, again, END, END)
    assert (result.classified, result.counted_only, result.lost) == (1, 1, 0)


def test_the_way_to_the_desk_is_measured_where_the_offer_came_with_the_case() -> None:
    at_once = [(CASE_EVENTS.name, an_opened((1, 3, 1), 100)), (CASE_EVENTS.name, an_offered((1, 3, 2), "o"))]
    later = [(CASE_EVENTS.name, an_opened((1, 3, 1), 100)), (CASE_EVENTS.name, an_offered((1, 9, 1), "o"))]
    assert counted({}, *at_once, seen={"o": 114}).post_to_desk_ms.p50 == 14.0
    assert counted({}, *later, seen={"o": 114}).post_to_desk_ms.p50 is None


def test_drops_go_on_counting_when_a_worker_begins_anew() -> None:
    drops = Drops(None, ["w"])  # type: ignore[arg-type]  # no call is made
    for value in (3, 5, 0, 2):
        drops.take("w", value)
    assert drops.count == 7


def test_figures_of_all_tenants_are_added() -> None:
    assert dropped_in('zuruf_posts_dropped_total{tenant="a"} 2.0\nzuruf_posts_dropped_total{tenant="b"} 3.0\n') == 5


# -- what is sent


def test_every_post_of_the_corpus_is_one_that_the_engine_reads() -> None:
    events = [event_of(line, "run", 0, NOW) for line in read_corpus()]
    posts = [msgspec.convert(event, Post, strict=False) for event in events]
    assert len({post.id for post in posts}) == len({line["id"] for line in read_corpus()})


def test_a_later_round_brings_other_posts_by_other_authors() -> None:
    first, second = (event_of(read_corpus()[0], "run", number, NOW) for number in (0, 1))
    assert first["id"] != second["id"]
    assert first["data"]["object_uri"] != second["data"]["object_uri"]
    assert first["data"]["author"]["handle"] != second["data"]["author"]["handle"]


def test_a_reply_stands_in_the_conversation_of_its_first_post() -> None:
    line = next(line for line in read_corpus() if "reply_to" in line)
    first = next(one for one in read_corpus() if one["id"] == line["conversation"])
    data, root = (event_of(one, "run", 0, NOW)["data"] for one in (line, first))
    assert data["conversation_uri"] == root["object_uri"]
    assert data["kind"] in ("reply", "chat")


# -- what is answered


def test_an_answer_is_in_the_language_of_the_post_and_names_both() -> None:
    assert set(texts()) == {"de", "en", "fr", "nl", "pl", "tr"}
    for language in texts():
        for category in CATEGORIES:
            said = answer_text(language, category, "Lea", "Aylin")
            assert "Lea" in said and "Aylin" in said and "{" not in said
    assert answer_text("it", "faq", "", "Aylin") == answer_text("en", "faq", "there", "Aylin")


# -- what is taken


def test_an_answer_counts_once_by_its_id_and_only_if_signed() -> None:
    async def main() -> tuple[Receiver, Counter[int]]:
        statuses: Counter[int] = Counter()
        async with receiving([SECRET]) as receiver, ClientSession() as session:
            for message_id, secret in (
                ("a", SECRET),
                ("a", SECRET),
                ("b", SECRET),
                ("c", b"another secret, as long as it"),
            ):
                body = json.dumps({"id": message_id}).encode()
                headers = signed_headers([secret], message_id, int(datetime.now(UTC).timestamp() * 1000), body)
                async with session.post(f"{receiver.address}/answers/t", data=body, headers=headers) as answer:
                    statuses[answer.status] += 1
            return receiver, statuses

    receiver, statuses = asyncio.run(main())
    assert (receiver.published, receiver.repeats, receiver.refused) == (2, 1, 1)
    assert statuses == {200: 3, 401: 1}
