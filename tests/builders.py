"""Builders of valid values; a test names only what it is about."""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from msgspec.structs import replace
from rocksdict import Options, Rdict

from models.brands import Brand, Minutes, ServiceLevel, Tenant
from models.cases import WAITING, Case, Entry
from models.dues import SOON_MS, Figures
from models.influence import Influence
from models.labels import Classification, Confidence
from models.posts import Author, Post, PostData, SocialPost
from models.records import Understood
from models.reps import RepProfile
from streams.carry import Out, Part, Record
from streams.rows import Rows

NOW = 1_700_000_000_000
PROMISE = ServiceLevel(first_answer=Minutes(at_once=5, urgent=15, important=60, less=240))


def a_brand(brand_id: str = "fennkom", **changes: Any) -> Brand:
    return replace(Brand(id=brand_id, name=brand_id.title(), service_level=PROMISE, handles=(brand_id,)), **changes)


def a_rep(rep_id: str = "anna", **changes: Any) -> RepProfile:
    return replace(RepProfile(id=rep_id, name=rep_id.title()), **changes)


def a_tenant(tenant_id: str = "alster", **changes: Any) -> Tenant:
    tenant = Tenant(id=tenant_id, name=tenant_id.title(), brands=(a_brand(),), reps=(a_rep(), a_rep("ben")))
    return replace(tenant, **changes)


def labels(**changes: Any) -> Classification:
    return replace(
        Classification(
            language="de",
            sentiment="neutral",
            category="technical",
            subject="product",
            triage="important",
            answer=True,
            toxic=False,
            confidence=Confidence(),
        ),
        **changes,
    )


class Labeller:
    """A classifier that gives every text the same labels: the steps' tests are not about understanding."""

    def __init__(self, **changes: Any) -> None:
        self._labels = labels(**changes)
        self.texts: list[str] = []

    def classify(self, texts: Sequence[str]) -> list[Classification]:
        self.texts += texts
        return [self._labels] * len(texts)


def a_post(post_id: str = "x:1", text: str = "@fennkom nichts geht", **data: Any) -> Post:
    given = PostData(
        tenant="alster",
        platform="x",
        account_id="main",
        object_uri=post_id,
        text=text,
        received_at=NOW,
        author=Author(handle="kunde"),
    )
    return Post(
        specversion="1.0",
        id=post_id,
        source="/alster/x",
        type="zuruf.post.created",
        time=datetime.fromtimestamp(NOW / 1000, UTC),
        data=replace(given, **data),
    )


def a_social_post(post_id: str = "x:1", **changes: Any) -> SocialPost:
    post = SocialPost(
        id=post_id,
        platform="x",
        account_id="main",
        object_uri=post_id,
        conversation_uri=post_id,
        text="nichts geht",
        received_at=NOW,
        created_at=NOW,
        author=Author(handle="kunde"),
    )
    return replace(post, **changes)


_sources = iter(range(1, 1_000_000_000))


def understood(post_id: str = "x:1", *, post: SocialPost | None = None, **changes: Any) -> Understood:
    """A post as understand writes it, each with a source of its own."""
    record = Understood(
        at=NOW,
        src=(0, next(_sources), 1),
        tenant="alster",
        post=post or a_social_post(post_id),
        brand_id="fennkom",
        addressed="mention",
        labels=labels(),
        influence=Influence(),
        triage="important",
    )
    return replace(record, **changes)


def a_case(case_id: str = "c0-1", **changes: Any) -> Case:
    case = Case(
        case_id=case_id,
        tenant="alster",
        brand_id="fennkom",
        platform="x",
        account_id="main",
        conversation_uri="x:1",
        state="queued",
        opened_at=NOW,
        received_at=NOW,
        due_at=NOW + 3_600_000,
        triage="important",
        addressed="mention",
        labels=labels(),
        influence=Influence(),
        author=Author(handle="kunde"),
        thread=(Entry(id="x:1", at=NOW, by="customer", text="nichts geht", uri="x:1"),),
        seen=("x:1",),
    )
    return replace(case, **changes)


def a_database(folder: Path) -> Any:
    """A real RocksDB, opened as Faust opens it."""
    return Rdict(str(folder), options=Options(raw_mode=True))


def a_raw(offset: int, topic: str = "work", value: bytes = b"{}", partition: int = 0) -> Any:
    """What a consumer gives for one record."""
    return SimpleNamespace(topic=topic, partition=partition, offset=offset, timestamp=NOW, key=b"alster", value=value)


class Bench:
    """A step with one partition on a real RocksDB, fed with lists of records."""

    def __init__(self, step: Any, folder: Path, number: int = 0) -> None:
        self.step = step
        self.db = a_database(folder)
        self.number = number
        self.offset = -1
        self.part = self._open("me")

    def _open(self, token: str) -> Part:
        part = Part(self.number, Rows(lambda: self.db), token)
        self.step.open(part)
        return part

    def feed(self, *values: Any, at_offset: int | None = None) -> list[Out]:
        """Fold records, each at the next offset, as one run."""
        records = []
        for value in values:
            self.offset = self.offset + 1 if at_offset is None else at_offset
            records.append(Record(self.offset, NOW, value, a_raw(self.offset, self.step.topic.name)))
        outs: list[Out] = self.step.fold(records, self.part)
        self.part.rows.progress.offset = self.offset
        return outs

    def write(self) -> None:
        """Write the group."""
        for key, value in self.part.rows.drain():
            if value is None:
                self.db.delete(key)
            else:
                self.db.put(key, value)

    def restart(self, token: str = "me again") -> None:
        """Lose the memory, keep what was written."""
        self.part = self._open(token)
        self.offset = max(self.offset, self.part.rows.progress.offset)


def told(outs: Sequence[Out], topic: str, kind: type | None = None) -> list[Any]:
    """Return what was written to a topic; of desk-events the frames."""
    values = [out.value for out in outs if out.topic.name == topic]
    if topic == "desk-events":
        values = [value.frame for value in values]
    return [value for value in values if kind is None or isinstance(value, kind)]


def counted_figures(now: int, cases: Mapping[str, Case]) -> Figures:
    """Return what ``models.dues`` keeps up, counted by looking at all cases."""
    soon: Counter[tuple[str, str]] = Counter()
    late: Counter[tuple[str, str]] = Counter()
    oldest: dict[tuple[str, str], int] = {}
    for case in cases.values():
        key = (case.tenant, case.brand_id)
        if not case.awaits_answer:
            continue
        if case.due_at < now:
            late[key] += 1
        elif case.due_at < now + SOON_MS:
            soon[key] += 1
        if case.state in WAITING:
            oldest[key] = min(oldest.get(key, case.received_at), case.received_at)
    return Figures(soon, late, oldest)
