"""
A partition's rows: an overlay that reads through to RocksDB and is written as one batch with its changelog.

All rows of a step lie in one Faust table, so one changelog partition and one RocksDB hold a partition's whole state: a
group is written atomically on this machine, and a reader of the changelog sees a prefix of it. The progress row is the last
of its group, so where it is seen, all of the group is. A kind's name leads each key.

A row is 16 bytes, epoch and offset of the last record folded into it (big endian, so bytes compare as numbers do), then
JSON. Recovery drops a row whose head is lower than what it has: a worker that lost its partition wrote it too late.

A group of more than one batch may be in the changelog in part, if its worker was killed on the way. Recovery takes a row
only when a progress row has come that is at least as high; what is left is an unfinished group's. Whoever folds its records
again writes these rows anew, as they then are, with the first group that is as high: nobody can take them for whole later.
Until then the changelog's offset stands where it was, so that a crash on the way finds these rows again.

RocksDB keeps no log of its own: the changelog is one, and was acknowledged before. Rows and the changelog's offset are written
together and always so, hence what a crash leaves of a RocksDB is what it held at some earlier group, and recovery reads on from
there: at most what fills its write buffers. A log would have cost half of what a row costs here.
"""

from collections.abc import Callable, Iterator, Mapping
from struct import Struct as Packer
from typing import Any, Final, Generic, TypeVar

import msgspec
from faust.stores import STORES
from faust.stores.rocksdb import RocksDBOptions, Store
from msgspec import Struct
from rocksdict import DBCompressionType, WriteBatch, WriteOptions

T = TypeVar("T")

HEAD: Final = Packer(">QQ")
HEAD_BYTES: Final = HEAD.size

_encode = msgspec.json.Encoder().encode
_WITHOUT_LOG: Final = WriteOptions()
_WITHOUT_LOG.disable_wal = True


class Kind(Generic[T]):
    """One kind of row of a step: the prefix of its keys, and what its values are."""

    def __init__(self, prefix: str, holds: type[T]) -> None:
        self.prefix = prefix.encode() + b"|"
        self.decode: Callable[[bytes], T] = msgspec.json.Decoder(holds).decode

    def key(self, name: str) -> bytes:
        """Return a row's key as RocksDB and the changelog have it."""
        return self.prefix + name.encode()


class Progress(Struct):
    """How far a partition is folded; one row, the last of each group."""

    offset: int = -1
    """Of the last record folded; the records at or below it change nothing."""
    epoch: int = 0
    """Offset of the takeover record that began it."""
    now: int = 0
    """Unix ms, by the records' ``at``."""
    src: dict[int, tuple[int, int]] = {}
    """Highest (offset, n) seen of each source partition."""


PROGRESS: Final = Kind("progress", Progress)
PROGRESS_KEY: Final = PROGRESS.key("")

Checkpoint = tuple[dict[bytes, Any], bytes]


class Rows:
    """The rows of one partition, as one step sees them."""

    def __init__(self, db: Callable[[], Any], unfinished: Mapping[bytes, bytes] | None = None) -> None:
        """
        Read the progress row.

        Args:
            db: Returns the partition's RocksDB.
            unfinished: Rows in the changelog of a group that was not written whole: key -> head.
        """
        self._unfinished = dict(unfinished or {})
        self._db = db  # Called each time: holding the database open would keep Faust from closing it.
        self.dirty: dict[bytes, Any] = {}
        """What was set since the last group; None is a deletion."""
        self._fresh: dict[bytes, Any] = {}
        """Of it, what is not packed as it is now."""
        self._packed: dict[bytes, bytes | None] = {}
        """What was set since the last group, as JSON, in the order in which it was set first."""
        self.progress = self._read_progress()

    def _read_progress(self) -> Progress:
        value = self._db().get(PROGRESS_KEY)
        return Progress() if value is None else PROGRESS.decode(value[HEAD_BYTES:])

    def get(self, kind: Kind[T], name: str) -> T | None:
        """Return a row, or None if there is none."""
        key = kind.key(name)
        if key in self.dirty:
            row: T | None = self.dirty[key]
            return row
        value = self._db().get(key)
        return None if value is None else kind.decode(value[HEAD_BYTES:])

    def set(self, kind: Kind[T], name: str, row: T) -> None:
        """Set a row, which is not changed any more; written with the group."""
        key = kind.key(name)
        self.dirty[key] = self._fresh[key] = row

    def delete(self, kind: Kind[Any], name: str) -> None:
        """Remove a row; written with the group."""
        key = kind.key(name)
        self.dirty[key] = self._fresh[key] = None

    def all(self, kind: Kind[T]) -> Iterator[tuple[str, T]]:
        """Yield the rows of a kind, by key, the overlay's over the stored ones."""
        cut = len(kind.prefix)
        for key, value in self._stored(kind.prefix):
            if key not in self.dirty:
                yield key[cut:].decode(), kind.decode(value[HEAD_BYTES:])
        for key, row in list(self.dirty.items()):
            if row is not None and key.startswith(kind.prefix):
                yield key[cut:].decode(), row

    def _stored(self, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
        for key, value in self._db().items(from_key=prefix):
            if not key.startswith(prefix):
                return
            yield key, value

    # -- groups

    def pack(self) -> None:
        """Encode what a run has set, while it is still near the core: a third less than at the end of a long group."""
        for key, row in self._fresh.items():
            self._packed[key] = None if row is None else _encode(row)
        self._fresh.clear()

    def drain(self) -> list[tuple[bytes, bytes | None]]:
        """Return the group's rows as bytes, in the order of the module; they are no longer dirty."""
        self.pack()
        progress = self.progress
        head = HEAD.pack(progress.epoch, max(progress.offset, 0))
        batch: list[tuple[bytes, bytes | None]] = [
            (key, None if row is None else head + row) for key, row in self._packed.items()
        ]
        batch += self._written_anew(head)
        batch.append((PROGRESS_KEY, head + _encode(progress)))
        self._overlay({})
        return batch

    def _written_anew(self, head: bytes) -> list[tuple[bytes, bytes | None]]:
        """Return the rows of an unfinished group as they are, once this group is as high as that was."""
        anew: list[tuple[bytes, bytes | None]] = []
        for key in [key for key, began in self._unfinished.items() if began <= head]:
            del self._unfinished[key]
            if key not in self.dirty:
                stored = self._db().get(key)
                anew.append((key, None if stored is None else head + bytes(stored[HEAD_BYTES:])))
        return anew

    @property
    def is_whole(self) -> bool:
        """Whether no row of an unfinished group waits to be written anew."""
        return not self._unfinished

    def forget(self) -> None:
        """Throw the overlay away: the rows are again as they were written last."""
        self._overlay({})
        self.progress = self._read_progress()

    def _overlay(self, dirty: dict[bytes, Any]) -> None:
        self.dirty, self._fresh, self._packed = dirty, dict(dirty), {}

    def checkpoint(self) -> Checkpoint:
        """Return what ``restore`` needs to come back to this moment."""
        return dict(self.dirty), _encode(self.progress)

    def restore(self, checkpoint: Checkpoint) -> None:
        """Come back to a checkpoint of the same group."""
        dirty, progress = checkpoint
        self._overlay(dict(dirty))
        self.progress = PROGRESS.decode(progress)


def write(db: Any, batch: list[tuple[bytes, bytes | None]], offset_key: bytes, changelog_offset: int | None) -> None:
    """Write a group's rows and the offset up to which the changelog is in them, if it is to move, as one atomic batch."""
    writes = WriteBatch(raw_mode=True)
    for key, value in batch:
        if value is None:
            writes.delete(key)
        else:
            writes.put(key, value)
    if changelog_offset is not None:
        writes.put(offset_key, str(changelog_offset).encode())
    db.write(writes, _WITHOUT_LOG)


LEVELS: Final = 7
"""Of a RocksDB, unless it is told otherwise."""
YOUNG_LEVELS: Final = 2
"""
Levels whose rows are not compressed: what is written is soon written again there, as its case goes on, and compressing it cost
a fifth of all that RocksDB does. They hold some 300 MB of a partition at most; the levels below are compressed.
"""


class RowOptions(RocksDBOptions):  # type: ignore[misc]  # Faust is untyped
    """Faust's options of a partition's RocksDB, with compression by age."""

    def as_options(self) -> Any:
        """Return them as RocksDB takes them."""
        options = super().as_options()
        young, old = DBCompressionType.none(), DBCompressionType.lz4()
        options.set_compression_per_level([young] * YOUNG_LEVELS + [old] * (LEVELS - YOUNG_LEVELS))
        return options


class RowStore(Store):  # type: ignore[misc]  # Faust is untyped
    """Faust's RocksDB store, which recovers rows by their heads: what was written too late is dropped."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.rocksdb_options = RowOptions(**self.options, use_rocksdict=self.use_rocksdict)
        self._waiting: dict[int, list[Any]] = {}
        """Messages by partition whose progress row has not come yet."""

    def set_persisted_offset(self, tp: Any, offset: int) -> None:
        """Write a changelog's offset, without a log as its rows are: in the log it would outlive them in a crash."""
        write(self._db_for_partition(tp.partition), [], self.offset_key, offset)

    def apply_changelog_batch(self, batch: Any, to_key: Any, to_value: Any) -> None:
        """Write changelog records into RocksDB, by partition, each whole group with its offset."""
        for event in batch:
            message = event.message
            waiting = self._waiting.setdefault(message.partition, [])
            waiting.append(message)
        for partition, waiting in self._waiting.items():
            ends = [at for at, message in enumerate(waiting) if message.key == PROGRESS_KEY]
            if ends:
                self._waiting[partition] = self._take(partition, waiting[: ends[-1] + 1]) + waiting[ends[-1] + 1 :]

    def _take(self, partition: int, messages: list[Any]) -> list[Any]:
        """Write what is whole, up to a progress row; return the rest, of groups that are higher than it."""
        db = self._db_for_partition(partition)
        newest: dict[bytes, bytes | None] = {}
        higher: list[Any] = []
        reached = max(bytes(message.value[:HEAD_BYTES]) for message in messages if message.key == PROGRESS_KEY)
        for message in messages:
            if message.value is not None and bytes(message.value[:HEAD_BYTES]) > reached:
                higher.append(message)
            elif not self._is_late(db, newest, message):
                newest[message.key] = message.value
        write(db, list(newest.items()), self.offset_key, None if higher else messages[-1].offset)
        return higher

    def take_unfinished(self, partition: int) -> dict[bytes, bytes]:
        """Return the rows of groups that were not written whole, key -> head, once: to be written anew."""
        rows = self._waiting.pop(partition, [])
        return {message.key: bytes(message.value[:HEAD_BYTES]) for message in rows if message.value is not None}

    def _is_late(self, db: Any, newest: dict[bytes, bytes | None], message: Any) -> bool:
        if message.value is None:
            return False
        known = newest[message.key] if message.key in newest else db.get(message.key)
        return known is not None and bytes(known[:HEAD_BYTES]) > bytes(message.value[:HEAD_BYTES])


STORES.aliases["rows"] = "streams.rows:RowStore"
