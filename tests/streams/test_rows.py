"""Rows on a real RocksDB: overlay, heads, groups."""

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from msgspec import Struct

from streams.rows import HEAD, HEAD_BYTES, PROGRESS_KEY, Kind, RowOptions, Rows, RowStore, write
from tests.builders import a_database


class Thing(Struct):
    n: int = 0


THINGS = Kind("thing", Thing)
OTHERS = Kind("thing2", Thing)


@pytest.fixture
def db(tmp_path: Path) -> Any:
    return a_database(tmp_path / "db")


def rows_of(db: Any) -> Rows:
    return Rows(lambda: db)


def test_what_was_set_is_read_before_it_is_written_and_after(db: Any) -> None:
    rows = rows_of(db)
    rows.set(THINGS, "a", Thing(1))
    assert rows.get(THINGS, "a") == Thing(1)
    write(db, rows.drain(), b"offset", 7)

    assert rows_of(db).get(THINGS, "a") == Thing(1)
    assert db.get(b"offset") == b"7"


def test_all_rows_of_a_kind_are_the_stored_ones_under_the_overlay(db: Any) -> None:
    rows = rows_of(db)
    for name, n in (("a", 1), ("b", 2), ("c", 3)):
        rows.set(THINGS, name, Thing(n))
    rows.set(OTHERS, "x", Thing(9))
    write(db, rows.drain(), b"offset", 0)
    rows = rows_of(db)
    rows.set(THINGS, "b", Thing(20))
    rows.delete(THINGS, "c")
    rows.set(THINGS, "d", Thing(4))

    assert dict(rows.all(THINGS)) == {"a": Thing(1), "b": Thing(20), "d": Thing(4)}


def test_the_progress_row_is_the_last_of_its_group(db: Any) -> None:
    rows = rows_of(db)
    rows.set(THINGS, "a", Thing())
    rows.progress.offset, rows.progress.epoch = 41, 7

    batch = rows.drain()
    assert batch[-1][0] == PROGRESS_KEY
    assert {HEAD.unpack_from(value)[:2] for _, value in batch if value} == {(7, 41)}


def test_forgotten_rows_are_as_they_were_written_last(db: Any) -> None:
    rows = rows_of(db)
    rows.set(THINGS, "a", Thing(1))
    rows.progress.offset = 5
    write(db, rows.drain(), b"offset", 0)
    rows.set(THINGS, "a", Thing(2))
    rows.progress.offset = 6
    rows.forget()

    assert (rows.get(THINGS, "a"), rows.progress.offset) == (Thing(1), 5)


def message(key: bytes, value: bytes | None, offset: int) -> Any:
    return SimpleNamespace(message=SimpleNamespace(partition=0, key=key, value=value, offset=offset))


def progress(epoch: int, offset: int, at: int) -> Any:
    return message(PROGRESS_KEY, HEAD.pack(epoch, offset) + b"{}", at)


class Recovered(RowStore):
    """A store over one database, without Faust around it."""

    def __init__(self, db: Any) -> None:
        self._db = db
        self._waiting = {}
        self.offset_key = b"offset"

    def _db_for_partition(self, partition: int) -> Any:
        return self._db


def recovered(db: Any, *events: Any) -> RowStore:
    store = Recovered(db)
    store.apply_changelog_batch(events, None, None)
    return store


def test_recovery_drops_what_a_worker_wrote_after_it_had_lost_its_partition(db: Any) -> None:
    new, late = HEAD.pack(9, 100) + b"new", HEAD.pack(3, 999) + b"late"
    recovered(db, message(b"k", new, 0), message(b"k", late, 1), progress(9, 100, 2))
    assert db.get(b"k")[HEAD_BYTES:] == b"new"
    recovered(db, message(b"k", late, 3), progress(3, 999, 4))

    assert db.get(b"k")[HEAD_BYTES:] == b"new"
    assert db.get(b"offset") == b"4"


def test_recovery_follows_deletions(db: Any) -> None:
    recovered(db, message(b"k", HEAD.pack(1, 1) + b"x", 0), message(b"k", None, 1), progress(1, 1, 2))

    assert db.get(b"k") is None


def test_recovery_leaves_out_a_group_without_its_progress_row(db: Any) -> None:
    begun = HEAD.pack(1, 9) + b"begun"
    store = recovered(db, message(b"k", HEAD.pack(1, 1) + b"x", 0), progress(1, 1, 1), message(b"k", begun, 2))

    assert db.get(b"k")[HEAD_BYTES:] == b"x"
    assert db.get(b"offset") == b"1"
    assert store.take_unfinished(0) == {b"k": HEAD.pack(1, 9)}


def test_rows_of_an_unfinished_group_are_written_anew_by_the_first_group_that_is_as_high(db: Any) -> None:
    write(db, [(THINGS.key("a"), HEAD.pack(0, 1) + b'{"n":1}')], b"offset", 0)
    heads = {THINGS.key("a"): HEAD.pack(0, 9), THINGS.key("b"): HEAD.pack(0, 9)}
    rows = Rows(lambda: db, heads)
    rows.progress.offset = 8
    assert [key for key, _ in rows.drain()] == [PROGRESS_KEY]
    rows.progress.offset = 9

    assert rows.drain()[:2] == [(THINGS.key("a"), HEAD.pack(0, 9) + b'{"n":1}'), (THINGS.key("b"), None)]


def test_the_changelogs_offset_stands_until_an_unfinished_group_is_made_whole(db: Any) -> None:
    begun = message(THINGS.key("a"), HEAD.pack(1, 9) + b'{"n":9}', 2)
    store = recovered(db, message(b"k", HEAD.pack(1, 1) + b"x", 0), progress(1, 1, 1), begun, progress(1, 5, 3))
    assert db.get(b"offset") is None, "a crash now would have the next recovery begin past the begun row"

    rows = Rows(lambda: db, store.take_unfinished(0))
    rows.progress.offset, rows.progress.epoch = 8, 1
    rows.drain()
    assert not rows.is_whole
    rows.progress.offset = 9
    rows.drain()
    assert rows.is_whole


def test_a_row_that_was_packed_and_set_again_is_written_as_it_was_set_last(db: Any) -> None:
    rows = Rows(lambda: db)
    for number, name in enumerate("aba"):
        rows.set(THINGS, name, Thing(number))
        rows.pack()
    rows.delete(THINGS, "b")
    rows.set(THINGS, "c", Thing(9))
    checkpoint = rows.checkpoint()
    rows.pack()
    rows.set(THINGS, "a", Thing(8))
    rows.restore(checkpoint)

    head = HEAD.pack(0, 0)
    written = [(THINGS.key("a"), head + b'{"n":2}'), (THINGS.key("b"), None), (THINGS.key("c"), head + b'{"n":9}')]
    assert rows.drain()[:3] == written
    assert [key for key, _ in rows.drain()] == [PROGRESS_KEY]


def test_young_rows_lie_as_they_are_and_old_ones_are_compressed(tmp_path: Path) -> None:
    RowOptions(write_buffer_size=4 << 20, use_rocksdict=True).open(tmp_path / "db").close()

    written = max((tmp_path / "db").glob("OPTIONS-*")).read_text(encoding="utf-8")
    assert f"compression_per_level={':'.join(['kNoCompression'] * 2 + ['kLZ4Compression'] * 5)}" in written


_WRITER = """
import os, sys
from rocksdict import Rdict, Options
from streams.rows import PROGRESS_KEY, write
options = Options(raw_mode=True)
options.set_write_buffer_size(64 << 10)
db = Rdict(sys.argv[1], options)
for number in range(600):
    batch = [(b"thing|%d" % number, bytes(1_000)), (b"thing|newest", b"%d" % number), (PROGRESS_KEY, b"%d" % number)]
    write(db, batch, b"offset", number)
os._exit(1) if sys.argv[2] == "crash" else db.close()
"""


@pytest.mark.parametrize("end", ["crash", "stop"])
def test_what_is_left_of_a_store_is_what_it_held_after_a_group(tmp_path: Path, end: str) -> None:
    subprocess.run([sys.executable, "-c", _WRITER, str(tmp_path / "db"), end], check=False, timeout=60)
    db = a_database(tmp_path / "db")

    reached = int(db.get(b"offset"))
    assert db.get(PROGRESS_KEY) == db.get(b"thing|newest") == b"%d" % reached
    assert [number for number in range(600) if db.get(b"thing|%d" % number) is not None] == list(range(reached + 1))
    # What filled a write buffer is there after a crash, what did not after a stop alone.
    assert reached == 599 if end == "stop" else 300 < reached < 599


def test_a_changelogs_offset_by_itself_is_written_without_a_log_too(db: Any) -> None:
    how: list[bool] = []

    class Noted:
        get = staticmethod(db.get)

        def write(self, batch: Any, options: Any) -> None:
            how.append(options.disable_wal)
            db.write(batch, options)

    store, tp = Recovered(Noted()), SimpleNamespace(topic="changelog", partition=0)
    store.set_persisted_offset(tp, 7)

    assert (store.persisted_offset(tp), how) == (7, [True])
