"""A history through the real topics: every post accounted for, the same each time, in the time that its posts tell."""

import argparse
import csv
import json
import os
import time
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import pytest

import agents.demo
from agents.floor import House
from agents.replay import (
    LONG_GAP_MS,
    MINUTE_MS,
    Collector,
    add_arguments,
    ranks_of,
    run,
    schedule,
    ticks_between,
)
from agents.scaffold import from_brands
from models.brands import Brand, ServiceLevel, Tenant
from models.cases import Case
from models.influence import Influence
from models.labels import Classification, Confidence, Triage
from models.posts import Author, Post
from models.records import Clock, Counted, DeadLetter, Dropped, Tick
from streams.codec import encode
from streams.connectors.replay import Row, read_history

DEMO: Final = Path(agents.demo.__file__).parent
SHARED: Final = Path(os.environ.get("ZURUF_SHARED") or Path(__file__).parents[2].parent / "shared")
IBM: Final = SHARED / "data/fixtures/corpora/ibm-customer-care/dev.json"
BRANDS: Final = [{"name": "Oakbank", "handles": ["oakbank_help"]}, {"name": "Fennkom", "handles": ["fennkom"]}]
SUNDAY: Final = 1_714_903_200
"""2024-05-05 10:00:00 UTC, in Unix seconds."""
MONDAY_0800_AT: Final = 1_714_975_200_000
"""2024-05-06 08:00 in Berlin."""

Line = dict[str, Any]


def history() -> list[Line]:
    """Thirty rows over three days, not in the order of their times."""
    texts = [
        "@oakbank_help my card was charged twice this morning, why?",
        "@fennkom mein Internet geht seit gestern nicht, was tun?",
        "Lovely sunset over the hills tonight",
        "Is Oakbank open on Saturday? Can't find it on the page.",
        "@fennkom danke, hat super geklappt!",
        "@oakbank_help I cannot log in, the app says error 17",
    ]
    rows = [
        {
            "id": str(1000 + number),
            "time": SUNDAY + number * 9_000 + number % 3,
            "author": f"@writer{number % 7}",
            "author_followers": number * 50 if number % 4 else None,
            "platform": "x" if number % 2 else "mastodon",
            "text": texts[number % len(texts)],
            "conversation": "",
        }
        for number in range(26)
    ]
    rows += [
        {
            **rows[0],
            "id": "2000",
            "time": SUNDAY + 600,
            "text": "Still nothing??",
            "conversation": "1000",
            "brand": "oakbank",
        },
        {**rows[1]},
        {**rows[5], "id": "2001", "time": SUNDAY + 100_000, "text": 'Line one\nline "two", Oakbank', "brand": ""},
        {**rows[3], "id": "2002", "time": SUNDAY - 5, "text": "Fennkom? Who else waits for them?"},
    ]
    return [{"brand": "", **row} for row in [*rows[15:], *rows[:15]]]


def as_json_lines(rows: Sequence[Line], path: Path) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def as_csv(rows: Sequence[Line], path: Path) -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what `zuruf init` writes."""
    folder = tmp_path_factory.mktemp("replay")
    (folder / "zuruf.toml").write_text(from_brands(BRANDS), encoding="utf-8")
    return folder


def replay(place: Path, file: Path, *options: str, config: Path | None = None) -> tuple[int, Path]:
    """Run the command in a data folder of its own; return its exit code and where its results lie."""
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    out = place / f"{file.name}-{time.monotonic_ns()}.results"
    command = [str(file), "--config", str(config or place / "zuruf.toml"), "--out", str(out), *options]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ZURUF_DATA", str(place / "data"))
        patch.delenv("ZURUF_BROKER", raising=False)
        return run(parser.parse_args(command)), out


def lines_of(path: Path) -> list[Line]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.fixture(scope="module")
def first(place: Path) -> Path:
    """Results of the thirty rows."""
    code, out = replay(place, as_json_lines(history(), place / "history.jsonl"))
    assert code == 0
    return out


# -- on the real broker


def test_every_row_has_its_line_in_the_order_of_the_file(first: Path) -> None:
    assert [line["id"] for line in lines_of(first)] == [row["id"] for row in history()]


def test_the_same_file_gives_the_same_results(place: Path, first: Path) -> None:
    code, again = replay(place, place / "history.jsonl")

    assert code == 0
    assert again.read_bytes() == first.read_bytes()


def test_the_same_rows_as_csv_give_the_same_results(place: Path, first: Path) -> None:
    code, out = replay(place, as_csv(history(), place / "history.csv"))

    assert code == 0
    assert [{**line, "where": ""} for line in lines_of(out)] == [{**line, "where": ""} for line in lines_of(first)]


def test_nothing_is_left_behind(place: Path, first: Path) -> None:
    assert first.exists()
    assert not (place / "data" / "replay").exists()


def test_a_line_tells_all_that_was_found(first: Path) -> None:
    line = next(line for line in lines_of(first) if line["id"] == "1000")

    assert (line["tenant"], line["brand"], line["addressed"], line["outcome"]) == (
        "main",
        "oakbank",
        "mention",
        "opened",
    )
    assert set(line["labels"]) == {"language", "sentiment", "category", "subject", "triage", "answer", "toxic"}
    assert line["labels"]["language"]["value"] == "en"
    assert all(0 < label["confidence"] <= 1 for label in line["labels"].values())
    assert set(line["triage"]) == {"text", "final"}
    assert 0 <= line["influence"]["score"] <= 1
    assert line["received_at"] == SUNDAY * 1000


def test_what_concerns_no_brand_is_counted_with_all_its_labels(first: Path) -> None:
    noise = [line for line in lines_of(first) if line["outcome"] == "counted:noise"]

    assert len(noise) == 4
    for line in noise:
        assert (line["brand"], line["addressed"], line["case"], line["rank"]) == (None, None, None, None)
        assert line["labels"]["language"]["confidence"] > 0
        assert line["triage"]["final"] == "spam"
        assert 0 <= line["influence"]["score"] <= 1


def test_a_follow_up_joins_its_case_and_shares_its_rank(first: Path) -> None:
    lines = {line["id"]: line for line in lines_of(first)}

    assert lines["2000"]["outcome"] == "joined"
    assert lines["2000"]["case"] == lines["1000"]["case"]
    assert lines["2000"]["rank"] == lines["1000"]["rank"] >= 1


def test_a_post_that_came_twice_is_counted_once(first: Path) -> None:
    twice = [line for line in lines_of(first) if line["id"] == "1001"]
    assert sorted(line["outcome"] for line in twice) == ["counted:repeat", "opened"]


def test_ranks_are_one_order_over_all_cases(first: Path) -> None:
    ranks = [line["rank"] for line in lines_of(first) if line["outcome"] == "opened"]
    assert sorted(ranks) == list(range(1, len(ranks) + 1))
    assert len(ranks) >= 15


def test_promises_run_by_the_posts_own_time_and_service_hours(first: Path) -> None:
    # Sunday: the office opens on Monday at 8, and the promised minutes count from there.
    sunday = [line for line in lines_of(first) if line["outcome"] == "opened" and line["received_at"] < MONDAY_0800_AT]

    assert len(sunday) >= 3
    minutes = {"at_once": 5, "urgent": 15, "important": 60, "less": 240}
    for line in sunday:
        if line["id"] != "1000":  # Its follow-up may have made it more pressing.
            assert line["due"]["first_answer"] == MONDAY_0800_AT + minutes[line["triage"]["final"]] * MINUTE_MS


def test_the_summary_and_the_bad_rows_are_shown(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = as_json_lines([*history()[:5], {"id": "x", "time": "soon", "text": "Hi"}], place / "bad.jsonl")

    code, out = replay(place, file, "--keep")

    shown = capsys.readouterr()
    assert code == 0
    assert len(lines_of(out)) == 5
    assert "bad rows                1" in shown.out
    assert "posts                   5" in shown.out
    assert "line 6: time: found 'soon', wanted RFC 3339" in shown.err
    assert (place / "data" / "replay" / "tables").is_dir()


def test_a_speed_is_kept(place: Path) -> None:
    rows = [{**history()[0], "id": str(number), "time": SUNDAY + number} for number in range(4)]
    began = time.monotonic()

    code, out = replay(place, as_json_lines(rows, place / "slow.jsonl"), "--speed", "1")

    assert code == 0
    assert len(lines_of(out)) == 4
    assert time.monotonic() - began > 3


def test_the_demonstration_is_accounted_for(place: Path) -> None:
    posts = lines_of(DEMO / "corpus.jsonl")

    code, out = replay(place, DEMO / "corpus.jsonl", config=DEMO / "zuruf.toml")

    lines = lines_of(out)
    assert code == 0
    assert [line["id"] for line in lines] == [post["id"] for post in posts]
    found = sum(line["brand"] == post["expect"]["brand"] for line, post in zip(lines, posts, strict=True))
    assert found >= 0.99 * len(posts)
    kinds = Counter(line["outcome"] for line in lines)
    assert set(kinds) <= {"opened", "joined", "counted:noise", "counted:spam", "counted:no_answer", "counted:repeat"}
    again = sum("again" in post and post["expect"]["brand"] is not None for post in posts)
    assert kinds["counted:repeat"] == again
    assert kinds["opened"] >= 200


@pytest.mark.skipif(not IBM.exists(), reason=f"{IBM} is not there; set ZURUF_SHARED")
def test_the_conversations_that_ibm_published_are_accounted_for(place: Path) -> None:
    items = json.loads(IBM.read_text(encoding="utf-8"))
    companies = sorted({item["dialogHeader"]["company"] for item in items})
    config = place / "ibm.toml"
    config.write_text(from_brands([{"name": one, "handles": [one]} for one in companies], "always"), encoding="utf-8")
    written = [turn for item in items for turn in item["dialogContent"] if "agent" not in turn]

    code, out = replay(place, IBM, config=config)

    lines = lines_of(out)
    assert code == 0
    assert [line["id"] for line in lines] == [turn["tweet_ID"] for turn in written]
    assert sum(line["brand"] is None for line in lines) <= 0.01 * len(lines)


# -- what is refused


def test_a_file_that_cannot_be_read_ends_with_2_before_anything_starts(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [{"id": "1", "text": "Hi"}]
    cases: list[tuple[Path, list[str], str]] = [
        (place / "nowhere.csv", [], "nowhere.csv: cannot be read"),
        (as_json_lines(rows, place / "timeless.jsonl"), [], "column 'time' is missing"),
        (as_csv(rows, place / "timeless.csv"), ["--map", "author=who"], "is missing; found id, text"),
        (as_json_lines(history(), place / "h.jsonl"), ["--map", "time"], "--map: found 'time', wanted OURS=THEIRS"),
        (place / "h.jsonl", ["--tenant", "no"], "--tenant: found 'no', wanted one of main"),
        (place / "h.jsonl", ["--out", str(place / "none" / "r.jsonl")], "--out: found"),
        (place / "h.jsonl", ["--out", str(place / "h.jsonl")], "wanted another file than the one that is read"),
        (place / "h.jsonl", ["--config", str(place / "none.toml")], "none.toml"),
    ]
    for file, options, complaint in cases:
        code, _ = replay(place, file, *options)
        assert (code, complaint in capsys.readouterr().err) == (2, True), complaint


# -- virtual time


def rows_at(*ats: int) -> list[Row]:
    (row,) = read_history(DEMO / "corpus.jsonl", _demo_tenants()).rows[:1]
    return [Row(f"line {number}", at, row.post) for number, at in enumerate(ats)]


def _demo_tenants() -> list[Tenant]:
    names = {"alster": ("fennkom", "kranich", "lindwerk"), "harbour": ("oakbank", "parcelly", "otterplay")}
    return [
        Tenant(
            id=tenant,
            name=tenant,
            brands=tuple(Brand(id=one, name=one, service_level=ServiceLevel()) for one in brands),
        )
        for tenant, brands in names.items()
    ]


AT: Final = 1_714_903_200_000


@pytest.mark.parametrize(
    ("gap_ms", "ticks"),
    [
        (999, []),
        (1_000, [1_000]),
        (61_000, [61_000]),
        (61_001, [60_000, 61_001]),
        (150_000, [60_000, 120_000, 150_000]),
        (LONG_GAP_MS + 1, [60_000, LONG_GAP_MS + 1]),
    ],
    ids=["less than a second", "a second", "a minute", "more", "two minutes", "a long silence"],
)
def test_ticks_come_a_second_apart_and_not_more_than_one_a_minute_in_gaps(gap_ms: int, ticks: list[int]) -> None:
    assert [at - AT for at in ticks_between(AT, AT + gap_ms)] == ticks


def test_two_hours_without_a_post_have_a_tick_a_minute() -> None:
    ticks = list(ticks_between(AT, AT + LONG_GAP_MS))
    assert ticks == [AT + MINUTE_MS * minute for minute in range(1, 121)]


def test_posts_go_out_by_time_and_none_stands_more_than_a_second_after_its_tick() -> None:
    entries = list(schedule(rows_at(AT + 90_000, AT, AT + 500, AT)))

    assert [entry.place for entry in entries if entry.place >= 0] == [1, 3, 2, 0]
    assert [entry.at for entry in entries] == sorted(entry.at for entry in entries)
    assert [entry.place for entry in entries] == [1, 3, 2, -1, -1, 0, -1, -1]
    tick: Post = entries[3].post
    assert (tick.type, tick.time) == ("zuruf.tick", datetime.fromtimestamp(entries[3].at / 1000, UTC))


# -- what became of a post


def an_event(kind: Any, work_offset: int, post_id: str, **other: Any) -> bytes:
    common = {"at": 1, "src": (0, work_offset, 1), "tenant": "t", "brand_id": "b", "post_id": post_id, "platform": "x"}
    return encode(kind(**common, **other))


def test_events_find_their_posts_by_offsets_even_where_ids_are_equal() -> None:
    collector = Collector([0, -1, 1, 2])
    collector.take("work", 5, encode(Dropped(at=1, src=(0, 0, 1), tenant="t", post_id="same")))
    collector.take("work", 6, encode(Tick(at=1, src=(0, 1, 1))))
    collector.take("case-events", 0, encode(Clock(at=1, src=(0, 6, 1))))
    # The event is read before the record of work that it came from.
    collector.take("case-events", 1, an_event(Counted, 7, "same", reason="repeat"))
    collector.take("case-events", 2, an_event(Counted, 5, "same", reason="noise"))
    assert [(place, one.event.reason) for place, one in collector.settled.items() if one.event] == [(0, "noise")]

    collector.take("work", 7, encode(Dropped(at=1, src=(0, 2, 1), tenant="t", post_id="same")))
    assert [place for place, one in collector.settled.items() if one.event and one.event.reason == "repeat"] == [1]


def test_a_dead_letter_settles_its_post_wherever_it_was_buried() -> None:
    collector = Collector([0, 1])
    collector.take("dead-letters", 0, encode(DeadLetter(at=1, reason="no such tenant", source="posts", offset=1)))
    collector.take("dead-letters", 1, encode(DeadLetter(at=1, reason="a bug", source="work", offset=9)))
    collector.take("dead-letters", 2, encode(DeadLetter(at=1, reason="of measure", source="case-events", offset=0)))
    collector.take("work", 9, encode(Dropped(at=1, src=(0, 0, 1), tenant="t", post_id="p")))

    assert {place: one.letter for place, one in collector.settled.items()} == {1: "no such tenant", 0: "a bug"}


# -- order of offers


def a_case(case_id: str, received_at: int, due_at: int, triage: Triage = "important", language: str = "en") -> Case:
    return Case(
        case_id=case_id,
        tenant="main",
        brand_id="b",
        platform="x",
        account_id="a",
        conversation_uri=case_id,
        state="queued",
        opened_at=received_at,
        received_at=received_at,
        due_at=due_at,
        triage=triage,
        addressed="mention",
        labels=Classification(language, "neutral", "faq", "other", triage, True, False, Confidence()),
        influence=Influence(),
        author=Author(),
    )


def test_within_a_class_the_oldest_comes_first_and_a_pressing_class_before() -> None:
    cases = [a_case("new", 20, 1_000), a_case("old", 10, 1_000), a_case("danger", 20, 1_000, "at_once")]
    assert ranks_of(cases, House(()), 50) == {"danger": 1, "old": 2, "new": 3}


def test_what_is_late_comes_after_what_can_be_in_time() -> None:
    cases = [a_case("late", 0, 40), *(a_case(f"open{number}", 10 + number, 1_000, "less") for number in range(4))]
    assert ranks_of(cases, House(()), 50)["late"] == 5
