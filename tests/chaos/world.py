"""The world of the chaos suite: tenants on all partitions of ``work``, posts whose ids say what should become of them."""

import random
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, NamedTuple

from aiokafka.partitioner import murmur2

from models.brands import Brand, ServiceLevel, Tenant
from models.labels import Classification, Confidence
from models.posts import Author, Post, PostData, key_of
from models.reps import RepProfile
from streams.admin import partitions_of
from streams.codec import encode
from streams.settings import Settings

PARTITIONS: Final[Mapping[str, int]] = partitions_of(embedded=True)
TENANTS: Final = tuple(f"t{number}" for number in range(8))
IDLE_TENANT: Final = "t7"
"""Has nobody to answer: its cases stay queued."""
REPS: Final = 5
CAPACITY: Final = 8
SESSION_S: Final = 3.0

KINDS: Final = {
    "q": (0.10, "question"),  # opens a case, is answered and closed
    "j": (0.10, "question"),  # writes again in a conversation of kind q
    "k": (0.001, "question"),  # opens a case that its rep keeps
    "w": (0.009, "question"),  # opens a case that waits for the customer after the answer
    "p": (0.49, "praise"),  # is counted
    "s": (0.29, "spam"),  # is counted
    "x": (0.01, ""),  # cannot be decoded
}
"""Kind of post -> share of the posts, and what the stand-in classifier says of it."""


class Sent(NamedTuple):
    """One post, ready to be sent."""

    post_id: str
    tenant: str
    kind: str
    key: bytes
    value: bytes


def tenant(tenant_id: str) -> Tenant:
    brand = Brand(id="b", name="Quendelblume", service_level=ServiceLevel())
    count = 0 if tenant_id == IDLE_TENANT else REPS
    reps = tuple(RepProfile(f"{tenant_id}-r{n}", f"R{n}", capacity=CAPACITY) for n in range(count))
    return Tenant(id=tenant_id, name=tenant_id, brands=(brand,), reps=reps)


def settings(bootstrap: str, data: Path) -> Settings:
    """Settings of a worker: sessions of 3 s, offers of 5 s, so that a run sees many of both end."""
    return Settings(
        tenants=tuple(tenant(one) for one in TENANTS),
        broker=tuple(bootstrap.split(",")),
        data=data,
        session_s=SESSION_S,
        offer_s=5.0,
    )


def work_partition(tenant_id: str) -> int:
    return int((murmur2(tenant_id.encode()) & 0x7FFFFFFF) % PARTITIONS["work"])


class StandIn:
    """
    A deterministic classifier that reads the kind of a post from its first word.

    The suite tests the transport, the rows and the steps' order, not labels; the real one would only make it slower.
    """

    def classify(self, texts: Sequence[str]) -> list[Classification]:
        return [_LABELS.get(text.split(" ", 1)[0], _LABELS["question"]) for text in texts]


def _labels(category: Any, triage: Any, *, answer: bool) -> Classification:
    return Classification(
        language="en",
        sentiment="neutral",
        category=category,
        subject="other",
        triage=triage,
        answer=answer,
        toxic=False,
        confidence=Confidence(),
    )


_LABELS: Final = {
    "question": _labels("faq", "important", answer=True),
    "praise": _labels("praise", "less", answer=False),
    "spam": _labels("other", "spam", answer=False),
}


def posts(seed: int) -> Iterator[Sent]:
    """Yield posts without end; the same for the same seed."""
    chance = random.Random(seed)
    kinds, shares = list(KINDS), [share for share, _ in KINDS.values()]
    asked: dict[str, list[str]] = {one: [] for one in TENANTS}
    number = 0
    while True:
        number += 1
        one = chance.choice(TENANTS)
        kind = chance.choices(kinds, shares)[0]
        if kind == "j" and not asked[one]:
            kind = "q"
        post_id = f"{kind}{number:07d}"
        conversation = chance.choice(asked[one]) if kind == "j" else f"conversation-{post_id}"
        if kind == "q":
            asked[one] = [*asked[one][-20:], conversation]
        yield _post(post_id, one, kind, conversation)


def _post(post_id: str, tenant_id: str, kind: str, conversation: str) -> Sent:
    now = datetime.now(UTC)
    data = PostData(
        tenant=tenant_id,
        platform="test",
        account_id=f"account-{tenant_id}",
        object_uri=f"post-{post_id}",
        conversation_uri=conversation,
        text=f"{KINDS[kind][1]} about something that was bought, number {post_id}",
        brand="b",
        author=Author(handle=f"author-{post_id}"),
        received_at=int(now.timestamp() * 1000),
    )
    post = Post(specversion="1.0", id=post_id, source="chaos", type="zuruf.post.created", time=now, data=data)
    value = b"{" + post_id.encode() if kind == "x" else encode(post)
    return Sent(post_id, tenant_id, kind, key_of(data), value)
