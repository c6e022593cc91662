"""
A recorded history -> posts: JSON lines, CSV, a JSON array, or the conversations that IBM published; nothing but the file is read.

Rows that are wrong are told by their place, what came and what was meant, and the others go on. A file that cannot be what was
meant (no such column, no good row) is the caller's fault: Misconfigured.
"""

import csv
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import chain, islice
from pathlib import Path
from typing import Any, Final

import msgspec
from msgspec import Struct

from models.brands import Tenant, handle_key
from models.errors import BadEvent, Misconfigured
from models.posts import TEXT_MAX, Author, Mention, Post, PostData

FIELDS: Final = (
    *"id time author author_name author_followers verified platform text".split(),
    *"conversation reply_to brand tenant".split(),
)
"""Names that ``columns`` may map."""
NEEDED: Final = ("id", "time", "text")
"""What every row must have; a platform that is not told is ``unknown``."""

ROWS_MAX: Final = 500_000  # Measured: 8 KB a post in memory, all stages together; so 4 GB.
FILE_BYTES_MAX: Final = 4 << 30
ARRAY_BYTES_MAX: Final = 256 << 20  # An array is decoded whole, into about eight times its bytes.
BAD_KEPT: Final = 20  # A reader of a list looks at its beginning; the others are counted.
NAME_MAX: Final = 1_000  # Below what a post's fields allow, with our prefix.
RELATIVE_FROM_AT: Final = 1_767_600_000_000
"""Where rows tell only the seconds since the row before, the first came then: Monday, 2026-01-05, 08:00 UTC."""

# Numbers from here on are ms and below it seconds: as seconds it is the year 5138, as ms it is 1973.
MS_FROM: Final = 100_000_000_000
AT_MIN: Final = MS_FROM
AT_MAX: Final = 7_258_118_400_000  # 2200-01-01: what lies beyond is not a time that came wrong by a little.
TIME_MEANT: Final = 'RFC 3339, Unix seconds or ms, or "2024-05-01 13:00:00" for UTC, from 1973-03-03 to 2199'

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_NUMBER: Final = re.compile(r"\d+(\.\d+)?")
_NOTHING: Final = (None, "")
_DELIMITERS: Final = ",;\t"


class Row(Struct, frozen=True, gc=False):
    """One post of the history."""

    where: str
    """Its place in the file, as in ``line 7``."""
    at: int
    """Unix ms: when it came."""
    post: Post


class BadRow(Struct, frozen=True, gc=False):
    """A row that cannot be a post."""

    where: str
    reason: str


class History(Struct, frozen=True):
    """What a file holds."""

    rows: tuple[Row, ...]
    """In the file's order; at least one."""
    bad: tuple[BadRow, ...]
    """The first of those that are wrong, at most ``BAD_KEPT``."""
    bad_count: int


class _Fields(Struct, frozen=True, gc=False):
    """A good row before its conversation is known."""

    where: str
    at: int
    id: str
    text: str
    platform: str
    tenant: str
    brand: str | None
    conversation: str
    reply_to: str
    author: Author
    mentioned: str


_Raw = tuple[str, Mapping[str, Any] | BadEvent]
"""A row's place and its fields, or what is wrong with all of it."""


def read_history(
    path: Path, tenants: Sequence[Tenant], *, columns: Mapping[str, str] | None = None, tenant: str = ""
) -> History:
    """
    Read a file whole.

    Args:
        path: JSON lines, CSV (with comma, semicolon or tab), a JSON array of objects, or IBM's conversations.
        tenants: Of the configuration; rows name one of them and its brands (by id, name or handle).
        columns: Their name by ours, where they differ; ours are ``FIELDS``. In JSON, ``a.b`` looks into objects.
        tenant: Where rows belong that name none; "" for the only one there is.

    Raises:
        Misconfigured: If the file cannot be read, a column is missing, or no row is good; it names the first bad rows.
    """
    columns = _checked_columns(columns or {})
    reader = _Reader(path, columns, _Places(tenants, tenant))
    try:
        with path.open("rb") as file:
            size = path.stat().st_size
            head = file.read(4096).removeprefix(b"\xef\xbb\xbf").lstrip()[:1]
    except OSError as error:
        raise Misconfigured(f"{path}: cannot be read: {error.strerror or error}") from error
    if not head or size > FILE_BYTES_MAX:
        raise Misconfigured(f"{path}: found {size} bytes, wanted at least one row and at most {FILE_BYTES_MAX} bytes")
    raws = _array(path) if head == b"[" else _json_lines(path) if head == b"{" else _csv(path, columns)
    for place, raw in reader.timed(raws):
        reader.take(place, raw)
    return reader.history()


def parse_time(value: object) -> int:
    """
    Return a moment as Unix ms.

    Raises:
        BadEvent: If it is none of the forms that ``TIME_MEANT`` names.
    """
    text = value.strip() if isinstance(value, str) else value
    if isinstance(text, str) and _NUMBER.fullmatch(text):
        text = float(text) if "." in text else int(text[:20])
    at = -1
    if isinstance(text, int | float) and not isinstance(text, bool):
        if 0 <= text < AT_MAX:  # Nor is NaN.
            at = int(text) if text >= MS_FROM else round(text * 1000)
    elif isinstance(text, str) and len(text) > len("2024-05-01"):
        at = _iso_ms(text)
    if not AT_MIN <= at < AT_MAX:
        raise _bad("time", value, TIME_MEANT)
    return at


def _iso_ms(text: str) -> int:
    try:
        moment = datetime.fromisoformat(text)
        aware = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
        return (aware - _EPOCH) // timedelta(milliseconds=1)
    except (ValueError, OverflowError):
        return -1


# -- rows -> posts --------------------------------------------------------------------------------------------------


class _Reader:
    """Gathers good rows and bad ones."""

    def __init__(self, path: Path, columns: Mapping[str, str], places: "_Places") -> None:
        self._path = path
        self._columns = columns
        self._paths = {ours: tuple(theirs.split(".")) for ours, theirs in columns.items() if "." in theirs}
        self._places = places
        self._found: set[str] = set()
        self._keys: dict[str, None] = {}
        self._good: list[_Fields] = []
        self._bad: list[BadRow] = []
        self._bad_count = 0
        self._relative = False
        self._last_at: int | None = None

    def timed(self, raws: Iterator[_Raw]) -> Iterator[_Raw]:
        """Look at the first two rows: whether times are told, or only the seconds since the row before."""
        first = list(islice(raws, 2))
        self._relative = any("after_s" in raw for _, raw in first if not isinstance(raw, BadEvent))
        return chain(first, raws)

    def take(self, where: str, raw: Mapping[str, Any] | BadEvent) -> None:
        """Read one row."""
        if len(self._good) >= ROWS_MAX:
            raise Misconfigured(f"{self._path}: {where}: found more than {ROWS_MAX:,} rows, wanted at most that many")
        try:
            if isinstance(raw, BadEvent):
                raise raw
            self._good.append(self._fields(where, raw))
        except BadEvent as error:
            self._bad_count += 1
            if len(self._bad) < BAD_KEPT:
                self._bad.append(BadRow(where, str(error)))

    def _fields(self, where: str, raw: Mapping[str, Any]) -> _Fields:
        if len(self._keys) < 100:
            self._keys.update(dict.fromkeys(raw))
        row = {ours: self._value(raw, ours, theirs) for ours, theirs in self._columns.items()}
        self._found.update(ours for ours, value in row.items() if value is not None)
        at = self._time(raw, row)
        tenant = self._places.tenant_of(row["tenant"])
        return _Fields(
            where=where,
            at=at,
            id=_name("id", row["id"], needed=True),
            text=_text(row["text"]),
            platform=_name("platform", row["platform"]).strip().casefold() or "unknown",
            tenant=tenant,
            brand=self._places.brand_of(tenant, row["brand"]),
            conversation=_name("conversation", row["conversation"]),
            reply_to=_name("reply_to", row["reply_to"]),
            author=_author(row),
            mentioned=raw.get(_MENTIONED, ""),
        )

    def _value(self, raw: Mapping[str, Any], ours: str, theirs: str) -> Any:
        if theirs in raw or ours not in self._paths:
            return raw.get(theirs)
        value: Any = raw
        for key in self._paths[ours]:
            value = value.get(key) if isinstance(value, dict) else None
        return value

    def _time(self, raw: Mapping[str, Any], row: Mapping[str, Any]) -> int:
        if not self._relative or row["time"] not in _NOTHING:
            at = parse_time(row["time"])
        elif self._last_at is None:
            at = RELATIVE_FROM_AT
        else:
            at = self._last_at + _wait_ms(raw.get("after_s", 0))
        self._last_at = at
        return at

    def history(self) -> History:
        """Return what was read."""
        self._check_columns()
        if not self._good:
            shown = "".join(f"\n  {bad.where}: {bad.reason}" for bad in self._bad)
            raise Misconfigured(f"{self._path}: found {self._bad_count} rows and none that is good, wanted one{shown}")
        roots = _roots(self._good)
        rows = tuple(Row(one.where, one.at, _post(one, roots[one.tenant, one.id])) for one in self._good)
        return History(rows, tuple(self._bad), self._bad_count)

    def _check_columns(self) -> None:
        """Refuse a file in which a column that was meant stands in no row."""
        if not self._keys:
            return
        meant = [ours for ours, theirs in self._columns.items() if ours != theirs]
        meant += [ours for ours in NEEDED if not (ours == "time" and self._relative)]
        for ours in meant:
            if ours not in self._found:
                raise _missing(self._path, ours, self._columns[ours], self._keys)


class _Places:
    """Which tenants and brands there are."""

    def __init__(self, tenants: Sequence[Tenant], default: str) -> None:
        self._brands = {tenant.id: _brand_words(tenant) for tenant in tenants}
        self._ids = {tenant.id: ", ".join(brand.id for brand in tenant.brands) for tenant in tenants}
        self._known = ", ".join(sorted(self._brands))
        if default and default not in self._brands:
            raise Misconfigured.at("arguments", "--tenant", default, f"one of {self._known}")
        self._default = default or (tenants[0].id if len(tenants) == 1 else "")

    def tenant_of(self, value: object) -> str:
        """Return the row's tenant, or that of rows without."""
        if value in _NOTHING:
            if not self._default:
                raise BadEvent(f"tenant: found nothing, wanted one of {self._known}, or --tenant")
            return self._default
        if not isinstance(value, str) or value not in self._brands:
            raise _bad("tenant", value, f"one of {self._known}")
        return value

    def brand_of(self, tenant: str, value: object) -> str | None:
        """Return the brand's id; None where the row names none."""
        if value in _NOTHING:
            return None
        found = self._brands[tenant].get(handle_key(value)) if isinstance(value, str) else None
        if found is None:
            raise _bad("brand", value, f"nothing, or one of {self._ids[tenant]}")
        return found


def _brand_words(tenant: Tenant) -> dict[str, str]:
    """Return a tenant's brands by all that may stand for them; an id goes before a name, a name before a handle."""
    words: dict[str, str] = {}
    for brand in tenant.brands:
        words.update({handle_key(handle): brand.id for handle in brand.handles})
    words.update({handle_key(brand.name): brand.id for brand in tenant.brands})
    words.update({handle_key(brand.id): brand.id for brand in tenant.brands})
    return words


def _roots(rows: Sequence[_Fields]) -> dict[tuple[str, str], str]:
    """Return each post's conversation: as told, else that of the post it answers, else itself."""
    by_id = {(row.tenant, row.id): row for row in reversed(rows)}
    roots: dict[tuple[str, str], str] = {}
    for key in by_id:
        path: dict[tuple[str, str], None] = {}
        at = key
        # Up the replies to a post whose conversation is known; a ring of replies ends where it is closed.
        while at in by_id and at not in roots and at not in path and not by_id[at].conversation and by_id[at].reply_to:
            path[at] = None
            at = (at[0], by_id[at].reply_to)
        root = roots.get(at) or (by_id[at].conversation if at in by_id else "") or at[1]
        roots.update(dict.fromkeys((*path, key), root))
    return roots


def _post(row: _Fields, conversation: str) -> Post:
    return Post(
        specversion="1.0",
        id=row.id,
        source="replay",
        type="zuruf.post.created",
        time=_EPOCH + timedelta(milliseconds=row.at),
        data=PostData(
            tenant=row.tenant,
            platform=row.platform,
            account_id="replay",
            object_uri=f"replay:{row.id}",
            text=row.text,
            brand=row.brand,
            kind="chat" if row.platform == "chat" else "reply" if row.reply_to else "post",
            author=row.author,
            created_at=row.at,
            received_at=row.at,
            conversation_uri=f"replay:{conversation}",
            parent_uri=f"replay:{row.reply_to}" if row.reply_to else None,
            mentions=(Mention(handle=row.mentioned),) if row.mentioned else (),
        ),
    )


# -- values ---------------------------------------------------------------------------------------------------------


def _bad(field: str, value: object, meant: str) -> BadEvent:
    shown = "nothing" if value is None else repr(value)
    shown = shown if len(shown) <= 120 else f"{shown[:117]}..."
    return BadEvent(f"{field}: found {shown}, wanted {meant}")


def _name(field: str, value: object, *, needed: bool = False) -> str:
    """Return a short text; numbers are taken for texts, as ids often are numbers."""
    text = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
    if text is None and not needed:
        return ""
    if not isinstance(text, str) or len(text) > NAME_MAX or (needed and not text.strip()) or not _is_utf8(text):
        raise _bad(field, value, f"a text of {1 if needed else 0} to {NAME_MAX} characters")
    return text.strip()


def _text(value: object) -> str:
    if not isinstance(value, str) or not value.strip() or len(value) > TEXT_MAX or not _is_utf8(value):
        raise _bad("text", value, f"what the author wrote, 1 to {TEXT_MAX} characters in UTF-8")
    return value


def _is_utf8(text: str) -> bool:
    """Whether a text can be written; bytes that are no UTF-8 were read as surrogates."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _author(row: Mapping[str, Any]) -> Author:
    handle = _name("author", row["author"]).removeprefix("@")
    return Author(
        handle=handle,
        name=_name("author_name", row["author_name"]),
        followers=_count("author_followers", row["author_followers"]),
        verified=_switch("verified", row["verified"]),
    )


def _count(field: str, value: object) -> int | None:
    if value in _NOTHING:
        return None
    number = value
    if isinstance(value, str) and _NUMBER.fullmatch(value.strip()) and len(value) <= 20:
        number = float(value)
    if isinstance(number, bool) or not isinstance(number, int | float) or not 0 <= number <= 1e12 or number % 1:
        raise _bad(field, value, "a whole number from 0 on, or nothing")
    return int(number)


def _switch(field: str, value: object) -> bool | None:
    if value in _NOTHING:
        return None
    text = str(value).strip().casefold()
    if text not in ("true", "false", "1", "0", "yes", "no"):
        raise _bad(field, value, "true, false or nothing")
    return text in ("true", "1", "yes")


def _wait_ms(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 10 * 365 * 86_400:
        raise _bad("after_s", value, "seconds since the row before, 0 or more")
    return round(value * 1000)


# -- files -> rows --------------------------------------------------------------------------------------------------

_MENTIONED: Final = "\0mentioned"
"""Under this key IBM's rows carry whom they were written to; no file can have it by accident."""
_decode = msgspec.json.Decoder().decode


def _checked_columns(columns: Mapping[str, str]) -> dict[str, str]:
    for ours, theirs in columns.items():
        if ours not in FIELDS or not theirs:
            raise Misconfigured.at(
                "arguments", "--map", f"{ours}={theirs}", f"OURS=THEIRS; ours are {', '.join(FIELDS)}"
            )
    return {ours: columns.get(ours, ours) for ours in FIELDS}


def _missing(path: Path, ours: str, theirs: str, found: Iterable[str]) -> Misconfigured:
    names = ", ".join(islice(found, 30))
    hint = "" if ours != theirs else f", or --map {ours}=THEIRS"
    return Misconfigured(f"{path}: column {theirs!r} is missing; found {names}; wanted {theirs!r} for {ours}{hint}")


def _json_lines(path: Path) -> Iterator[_Raw]:
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            text = (line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line).strip()
            if text:
                yield f"line {number}", _object(text)


def _object(text: bytes) -> Mapping[str, Any] | BadEvent:
    try:
        value = _decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        shown = text[:60].decode(errors="replace")
        return BadEvent(f"found {shown!r}, wanted a JSON object ({error})")
    return value if isinstance(value, dict) else _bad("the row", value, "a JSON object")


def _array(path: Path) -> Iterator[_Raw]:
    data = path.read_bytes()
    if len(data) > ARRAY_BYTES_MAX:
        raise Misconfigured(
            f"{path}: found {len(data)} bytes of one array, wanted at most {ARRAY_BYTES_MAX}; JSON lines may be longer"
        )
    try:
        items = _decode(data.removeprefix(b"\xef\xbb\xbf"))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Misconfigured(f"{path}: found an array that is not JSON ({error}), wanted one, or JSON lines") from error
    for number, item in enumerate(items, 1):
        if isinstance(item, dict) and "dialogContent" in item:
            yield from _conversation(number, item)
        else:
            yield f"item {number}", item if isinstance(item, dict) else _bad("the item", item, "a JSON object")


def _conversation(number: int, item: Mapping[str, Any]) -> Iterator[_Raw]:
    """Yield the customers' turns of one of IBM's conversations; agents' are skipped: they are what we would write."""
    header, turns = item.get("dialogHeader"), item["dialogContent"]
    if not isinstance(turns, list) or not isinstance(header, dict):
        yield f"conversation {number}", _bad("dialogContent", turns, "a list of turns, and dialogHeader an object")
        return
    for place, turn in enumerate(turns, 1):
        where = f"conversation {number}, turn {place}"
        if not isinstance(turn, dict):
            yield where, _bad("the turn", turn, "a JSON object")
        elif (author := next((turn[key] for key in turn if key.startswith("client")), None)) is not None:
            yield (
                where,
                {
                    "id": turn.get("tweet_ID"),
                    "time": turn.get("datetime"),
                    "author": author,
                    "platform": "x",
                    "text": turn.get("message"),
                    "conversation": header.get("sessionID"),
                    _MENTIONED: str(header.get("company") or ""),
                },
            )


def _csv(path: Path, columns: Mapping[str, str]) -> Iterator[_Raw]:
    # What is no UTF-8 becomes surrogates, so that one such row does not end the file.
    with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
        first = file.readline()
        file.seek(0)
        reader = csv.reader(file, delimiter=max(_DELIMITERS, key=first.count))
        header = [name.strip() for name in _next_row(reader) or []]
        _check_header(path, header, columns)
        while True:
            where = f"line {reader.line_num + 1}"
            try:
                row = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                yield where, BadEvent(f"found what is no row of CSV ({error}), wanted {len(header)} columns")
                continue
            if len(row) == len(header):
                yield where, dict(zip(header, row, strict=True))
            elif any(row):
                yield where, BadEvent(f"found {len(row)} columns, wanted {len(header)}: {', '.join(header)}"[:400])


def _next_row(reader: Iterator[list[str]]) -> list[str] | None:
    try:
        return next(reader, None)
    except csv.Error:
        return None


def _check_header(path: Path, header: Sequence[str], columns: Mapping[str, str]) -> None:
    for ours, theirs in columns.items():
        if theirs not in header and (ours in NEEDED or ours != theirs):
            raise _missing(path, ours, theirs, header)
    twice = sorted({name for name in header if header.count(name) > 1})
    if twice:
        raise Misconfigured(f"{path}: column {twice[0]!r}: found twice, wanted each name once")
