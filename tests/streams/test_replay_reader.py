"""Reading a history: the forms it may have, and what is said of rows that are wrong."""

import json
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import pytest

import agents.demo
from models.brands import Brand, ServiceLevel, Tenant
from models.errors import BadEvent, Misconfigured
from models.posts import Post
from streams.codec import encode
from streams.connectors.replay import BAD_KEPT, RELATIVE_FROM_AT, Row, parse_time, read_history

BRANDS = (
    Brand(id="oak", name="Oakbank", handles=("oakbank_help",), service_level=ServiceLevel()),
    Brand(id="fenn", name="Fennkom", service_level=ServiceLevel()),
)
ONE = (Tenant(id="main", name="Main", brands=BRANDS),)
TWO = (*ONE, Tenant(id="other", name="Other", brands=BRANDS[:1]))
AT = 1_714_568_400_000
"""2024-05-01 13:00:00 UTC."""


def a_row(**changed: Any) -> dict[str, Any]:
    row = {
        "id": "p1",
        "time": "2024-05-01T13:00:00Z",
        "author": "@ann",
        "author_followers": 7,
        "platform": "X",
        "text": "Hi",
    }
    return {key: value for key, value in {**row, **changed}.items() if value is not ...}


def json_lines(folder: Path, *rows: object) -> Path:
    path = folder / "history.jsonl"
    path.write_text(
        "".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows), encoding="utf-8"
    )
    return path


def a_csv(folder: Path, text: str | bytes) -> Path:
    path = folder / "history.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def read(path: Path, tenants: Sequence[Tenant] = ONE, **options: Any) -> tuple[Row, ...]:
    history = read_history(path, tenants, **options)
    assert (history.bad, history.bad_count) == ((), 0)
    return history.rows


def complaints(path: Path, tenants: Sequence[Tenant] = ONE, **options: Any) -> list[str]:
    return [f"{bad.where}: {bad.reason}" for bad in read_history(path, tenants, **options).bad]


def conversations(rows: Iterable[Row]) -> dict[str, str | None]:
    return {row.post.id: row.post.data.conversation_uri for row in rows}


# -- times


@pytest.mark.parametrize(
    "told",
    [
        "2024-05-01T13:00:00Z",
        "2024-05-01T15:00:00+02:00",
        "2024-05-01T13:00:00.000Z",
        "2024-05-01 13:00:00",
        " 2024-05-01 13:00:00 ",
        1_714_568_400,
        1_714_568_400.0,
        "1714568400",
        "1714568400.0",
        1_714_568_400_000,
        "1714568400000",
    ],
    ids=repr,
)
def test_a_moment_is_read_in_each_of_its_forms(told: object) -> None:
    assert parse_time(told) == AT


def test_milliseconds_are_kept_exactly() -> None:
    assert parse_time("2024-05-01T13:00:00.123Z") == AT + 123
    assert parse_time(1_714_568_400.123) == AT + 123


@pytest.mark.parametrize(
    "told",
    [
        None,
        "",
        "yesterday",
        "2024-05-01",
        "2024-13-01 13:00:00",
        0,
        -5,
        True,
        20240501,
        1_714_568_400_000_000,
        float("nan"),
        float("inf"),
        "1950-01-01 00:00:00",
        "2300-01-01 00:00:00",
        "9" * 400,
        [],
        {},
    ],
    ids=repr,
)
def test_what_is_no_moment_is_refused_with_what_was_meant(told: object) -> None:
    with pytest.raises(
        BadEvent, match=r'time: found .*, wanted RFC 3339, Unix seconds or ms, or "2024-05-01 13:00:00"'
    ):
        parse_time(told)


# -- forms of files


def test_a_json_line_becomes_a_post_that_the_stream_takes(tmp_path: Path) -> None:
    (row,) = read(json_lines(tmp_path, a_row(brand="oak", author_name="Ann", verified=True)))

    post = msgspec.json.decode(encode(row.post), type=Post)
    assert (row.where, row.at, post.id, post.type) == ("line 1", AT, "p1", "zuruf.post.created")
    assert post.time == datetime(2024, 5, 1, 13, tzinfo=UTC)
    data = post.data
    assert (data.tenant, data.platform, data.text, data.brand) == ("main", "x", "Hi", "oak")
    assert (data.received_at, data.created_at) == (AT, AT)
    assert (data.author.handle, data.author.name, data.author.followers, data.author.verified) == (
        "ann",
        "Ann",
        7,
        True,
    )


def test_the_same_rows_as_csv_are_the_same_posts(tmp_path: Path) -> None:
    rows = [a_row(), a_row(id="p2", text='Two lines,\n"quoted"', author_followers=None, reply_to="p1")]
    head = "id,time,author,author_followers,platform,text,reply_to\n"
    body = 'p1,2024-05-01 13:00:00,@ann,7,X,Hi,\np2,1714568400,@ann,,X,"Two lines,\n""quoted""",p1\n'

    of_csv = read(a_csv(tmp_path, head + body))

    assert [row.post for row in of_csv] == [row.post for row in read(json_lines(tmp_path, *rows))]
    assert [row.where for row in of_csv] == ["line 2", "line 3"]


@pytest.mark.parametrize(
    "text",
    [
        "id;time;text\np1;1714568400;a, b\n",
        "id\ttime\ttext\np1\t1714568400\ta, b\n",
        '\ufeffid,time,text\r\np1,1714568400,"a, b"\r\n',
    ],
    ids=["semicolons", "tabs", "byte order mark"],
)
def test_csv_comes_as_spreadsheets_write_it(tmp_path: Path, text: str) -> None:
    (row,) = read(a_csv(tmp_path, text))
    assert (row.post.id, row.post.data.text, row.post.data.platform) == ("p1", "a, b", "unknown")


def test_an_array_of_rows_is_read_too(tmp_path: Path) -> None:
    rows = read(json_lines(tmp_path, json.dumps([a_row(), a_row(id="p2")], indent=1)))
    assert [(row.where, row.post.id) for row in rows] == [("item 1", "p1"), ("item 2", "p2")]


def test_other_columns_are_mapped_and_in_json_looked_for_inside(tmp_path: Path) -> None:
    row = {"no": 17, "created_at": 1_714_568_400, "full_text": "Hi", "user": {"name": "ann", "followers": 5}}
    columns = {
        "id": "no",
        "time": "created_at",
        "text": "full_text",
        "author": "user.name",
        "author_followers": "user.followers",
    }

    (read_row,) = read(json_lines(tmp_path, row), columns=columns)

    post = read_row.post
    assert (post.id, read_row.at, post.data.author.handle, post.data.author.followers) == ("17", AT, "ann", 5)


def test_conversations_of_customers_are_read_without_their_agents(tmp_path: Path) -> None:
    turns = [
        {"client": "ann", "datetime": "2024-05-01T13:00:00.000Z", "message": "@oakbank_help hi", "tweet_ID": "1"},
        {"agent": "oakbank_help", "datetime": "2024-05-01T13:01:00.000Z", "message": "@ann hello", "tweet_ID": "2"},
        {"client1": "bob", "datetime": "2024-05-01T13:02:00.000Z", "message": "me too", "tweet_ID": "3"},
    ]
    item = {"agentURL": {}, "dialogHeader": {"company": "oakbank_help", "sessionID": "s"}, "dialogContent": turns}

    rows = read(json_lines(tmp_path, json.dumps([item])))

    assert [row.where for row in rows] == ["conversation 1, turn 1", "conversation 1, turn 3"]
    assert [row.post.data.author.handle for row in rows] == ["ann", "bob"]
    assert set(conversations(rows).values()) == {"replay:s"}
    assert rows[1].post.data.mentions[0].handle == "oakbank_help"


def test_the_demonstration_is_read_with_seconds_since_the_row_before() -> None:
    path = Path(agents.demo.__file__).parent / "corpus.jsonl"
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    tenants = [
        Tenant(
            id=tenant,
            name=tenant,
            brands=tuple(Brand(id=one, name=one, service_level=ServiceLevel()) for one in brands),
        )
        for tenant in ("alster", "harbour")
        if (brands := sorted({line["brand"] for line in lines if line["tenant"] == tenant and "brand" in line}))
    ]

    rows = read(path, tenants)

    assert [row.post.id for row in rows] == [line["id"] for line in lines]
    assert rows[0].at == RELATIVE_FROM_AT
    waits_s = [(after.at - before.at) / 1000 for before, after in pairwise(rows)]
    assert waits_s == pytest.approx([line["after_s"] for line in lines[1:]])


# -- conversations


def test_a_conversation_is_told_or_followed_up_the_replies_or_the_post_itself(tmp_path: Path) -> None:
    rows = [
        a_row(id="late", reply_to="mid"),
        a_row(id="root"),
        a_row(id="mid", reply_to="root"),
        a_row(id="named", conversation="root", reply_to="elsewhere"),
        a_row(id="stray", reply_to="unknown"),
    ]
    assert conversations(read(json_lines(tmp_path, *rows))) == {
        "late": "replay:root",
        "root": "replay:root",
        "mid": "replay:root",
        "named": "replay:root",
        "stray": "replay:unknown",
    }


def test_replies_in_a_ring_are_one_conversation(tmp_path: Path) -> None:
    rows = [a_row(id="a", reply_to="b"), a_row(id="b", reply_to="a"), a_row(id="self", reply_to="self")]
    found = conversations(read(json_lines(tmp_path, *rows)))
    assert found["a"] == found["b"]
    assert found["self"] == "replay:self"


# -- tenants and brands


def test_rows_without_a_tenant_go_to_the_only_one_or_to_the_one_that_was_named(tmp_path: Path) -> None:
    path = json_lines(tmp_path, a_row(), a_row(id="p2", tenant="other"))

    assert [row.post.data.tenant for row in read(path, TWO, tenant="main")] == ["main", "other"]
    assert complaints(path, TWO) == ["line 1: tenant: found nothing, wanted one of main, other, or --tenant"]
    assert complaints(path) == ["line 2: tenant: found 'other', wanted one of main"]
    with pytest.raises(Misconfigured, match="--tenant: found 'mian', wanted one of main, other"):
        read_history(path, TWO, tenant="mian")


@pytest.mark.parametrize(("told", "brand"), [("oak", "oak"), ("OAKBANK", "oak"), ("@Oakbank_help", "oak"), ("", None)])
def test_a_brand_is_known_by_id_name_or_handle(tmp_path: Path, told: str, brand: str | None) -> None:
    (row,) = read(json_lines(tmp_path, a_row(brand=told)))
    assert row.post.data.brand == brand


# -- bad rows


@pytest.mark.parametrize(
    ("row", "complaint"),
    [
        ('{"id": "p', 'line 2: found \'{"id": "p\', wanted a JSON object'),
        ("[1]", "line 2: the row: found [1], wanted a JSON object"),
        (a_row(id=...), "line 2: id: found nothing, wanted a text of 1 to 1000 characters"),
        (a_row(id="x" * 1001), "line 2: id: found 'xxx"),
        (a_row(text=...), "line 2: text: found nothing, wanted what the author wrote"),
        (a_row(text="  "), "line 2: text: found '  ', wanted what the author wrote"),
        (a_row(text="x" * 40_001), "line 2: text: found 'xxx"),
        (a_row(time="soon"), "line 2: time: found 'soon', wanted RFC 3339"),
        (a_row(author_followers=-1), "line 2: author_followers: found -1, wanted a whole number from 0 on, or nothing"),
        (a_row(author_followers="many"), "line 2: author_followers: found 'many', wanted a whole number"),
        (a_row(author_followers=1.5), "line 2: author_followers: found 1.5, wanted a whole number"),
        (a_row(verified="maybe"), "line 2: verified: found 'maybe', wanted true, false or nothing"),
        (a_row(platform=["x"]), "line 2: platform: found ['x'], wanted a text of 0 to 1000 characters"),
        (a_row(brand="acme"), "line 2: brand: found 'acme', wanted nothing, or one of oak, fenn"),
    ],
    ids=lambda one: "" if isinstance(one, str) else str(one)[:40],
)
def test_a_bad_row_is_told_by_its_line_and_the_rest_goes_on(tmp_path: Path, row: object, complaint: str) -> None:
    history = read_history(json_lines(tmp_path, a_row(), row, a_row(id="p3")), ONE)

    assert [one.post.id for one in history.rows] == ["p1", "p3"]
    assert history.bad_count == 1
    assert f"{history.bad[0].where}: {history.bad[0].reason}".startswith(complaint)


def test_bad_rows_of_csv_are_told_by_their_line(tmp_path: Path) -> None:
    text = b'id,time,text\np1,1714568400,"two\nlines"\np2,1714568400\n\np3,1714568400,caf\xe9\np4,1714568400,good\n'
    history = read_history(a_csv(tmp_path, text), ONE)

    assert [row.post.id for row in history.rows] == ["p1", "p4"]
    assert [bad.where for bad in history.bad] == ["line 4", "line 6"]
    assert history.bad[0].reason == "found 2 columns, wanted 3: id, time, text"
    assert history.bad[1].reason.endswith("wanted what the author wrote, 1 to 40000 characters in UTF-8")


def test_all_bad_rows_are_counted_and_the_first_are_kept(tmp_path: Path) -> None:
    history = read_history(json_lines(tmp_path, a_row(), *("{" for _ in range(50))), ONE)
    assert (len(history.bad), history.bad_count) == (BAD_KEPT, 50)


# -- files that are refused


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "found 0 bytes, wanted at least one row"),
        ("id,text\np1,Hi\n", "column 'time' is missing; found id, text; wanted 'time' for time, or --map time=THEIRS"),
        ("id,time,text,text\np1,1714568400,Hi,Ho\n", "column 'text': found twice"),
        ("id,time,text\n", "found 0 rows and none that is good"),
        ('{"id": "p1", "text": "Hi"}\n', "column 'time' is missing; found id, text"),
        (
            '{"id": 1, "time": "soon", "text": "Hi"}\n',
            "found 1 rows and none that is good, wanted one\n  line 1: time: found 'soon'",
        ),
        ("[1, 2", "found an array that is not JSON"),
        ("{]\n", "none that is good"),
        ("\x00\x01\x02", "is missing"),
    ],
    ids=[
        "empty",
        "no time",
        "twice",
        "header alone",
        "JSON without time",
        "no good row",
        "half an array",
        "no JSON",
        "binary",
    ],
)
def test_a_file_that_cannot_be_what_was_meant_is_refused(tmp_path: Path, text: str, complaint: str) -> None:
    with pytest.raises(Misconfigured) as refusal:
        read_history(a_csv(tmp_path, text), ONE)
    assert complaint in str(refusal.value)


def test_a_mapped_column_that_is_nowhere_is_refused(tmp_path: Path) -> None:
    wanted = "column 'who' is missing; found .*; wanted 'who' for author"
    with pytest.raises(Misconfigured, match=wanted):
        read_history(json_lines(tmp_path, a_row()), ONE, columns={"author": "who"})
    with pytest.raises(Misconfigured, match=wanted):
        read_history(a_csv(tmp_path, "id,time,text\np1,1714568400,Hi\n"), ONE, columns={"author": "who"})
    with pytest.raises(Misconfigured, match=r"--map: found 'writer=who', wanted OURS=THEIRS; ours are id, time"):
        read_history(json_lines(tmp_path, a_row()), ONE, columns={"writer": "who"})


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match=r"nowhere\.csv: cannot be read: No such file"):
        read_history(tmp_path / "nowhere.csv", ONE)
