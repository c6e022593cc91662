"""
The posts of the benchmark: made of the demo corpus, 70 % that open a case and 30 % noise, each from an author of its own.

The corpus has some hundred posts; said again and again they would all be one incident. So each post takes its words from
several of its brand and language, and begins with the brand's handle: no two are alike, all are as long as real ones.
"""

import json
import random
import time
from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path

import aiokafka
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from msgspec.structs import replace

import agents.demo
from models.brands import Tenant
from models.labels import LANGUAGES
from models.posts import Author, Post, PostData, key_of
from models.reps import RepProfile
from streams import topics
from streams.codec import encode
from streams.configuration import read_toml, tenants_of
from streams.topics import EMBEDDED_PARTITIONS

DEMO = Path(agents.demo.__file__).parent
DESKS = 8  # Of each tenant: they speak all as well as any step of the demo asks, and have room for every case of a run.


def tenants() -> tuple[Tenant, ...]:
    """Return the demo's tenants, with desks that never fill: every case is offered at once."""
    speaks = {f"lang:{language}": 5 for language in LANGUAGES}
    reps = tuple(RepProfile(id=f"rep-{n}", name=f"Rep {n}", skills=speaks, capacity=1_000_000) for n in range(DESKS))
    return tuple(replace(tenant, reps=reps) for tenant in tenants_of(read_toml(DEMO / "zuruf.toml")))


@lru_cache(maxsize=1)
def lines() -> tuple[list[dict[str, object]], list[dict[str, object]]]:
    """Return corpus lines that open a case by their labels, and noise."""
    rows = [json.loads(line) for line in (DEMO / "corpus.jsonl").read_text(encoding="utf-8").splitlines()]
    fresh = [row for row in rows if "again" not in row]
    noise = [row for row in fresh if row["expect"].get("noise")]
    cases = [
        row
        for row in fresh
        if not row["expect"].get("noise")
        and row["expect"]["answer"]
        and row["expect"]["triage"] != "spam"
        and "brand" not in row
    ]
    return cases, noise


@lru_cache(maxsize=1)
def pools() -> tuple[dict[tuple[object, ...], list[list[str]]], dict[tuple[object, ...], str]]:
    """Return the words of the posts that open a case, by tenant, brand and language, and the handles of the brands."""
    words: dict[tuple[object, ...], list[list[str]]] = defaultdict(list)
    for row in lines()[0]:
        words[_pool_of(row)].append(str(row["text"]).split())
    handles = {(tenant.id, brand.id): f"@{brand.handles[0]}" for tenant in tenants() for brand in tenant.brands}
    return words, {key: handles[key[0], key[1]] for key in words}


def _pool_of(row: dict[str, object]) -> tuple[object, ...]:
    expect = row["expect"]
    assert isinstance(expect, dict)
    return row["tenant"], expect["brand"], expect["language"]


def mixed(number: int, row: dict[str, object]) -> str:
    """Return a text as long as the row's, each word from a post of the same brand and language."""
    words, handles = pools()
    dice, pool = random.Random(number), words[_pool_of(row)]
    length = len(str(row["text"]).split())
    return " ".join([handles[_pool_of(row)], *(dice.choice(dice.choice(pool)) for _ in range(length - 1))])


def post(number: int) -> Post:
    """Return post ``number``: 7 of 10 open a case, each in a conversation of its own."""
    cases, noise = lines()
    is_noise = number % 10 in (2, 5, 8)
    row = (noise if is_noise else cases)[number % len(noise if is_noise else cases)]
    now = datetime.now(UTC)
    data = PostData(
        tenant=str(row["tenant"]),
        platform=str(row["platform"]),
        account_id="bench",
        object_uri=f"bench:{number}",
        text=str(row["text"]) if is_noise else mixed(number, row),
        received_at=time.time_ns() // 1_000_000,
        author=Author(handle=f"@author{number}", name="Author", followers=number % 5_000),
    )
    return Post(
        specversion="1.0", id=f"bench:{number}", source="/bench", type="zuruf.post.created", time=now, data=data
    )


def posts(count: int) -> Iterator[Post]:
    """Yield ``count`` posts."""
    return (post(number) for number in range(count))


async def create(bootstrap: str, names: list[str]) -> None:
    """Create topics with the embedded broker's partitions."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(name, EMBEDDED_PARTITIONS, 1) for name in names])
    finally:
        await admin.close()


async def fill_posts(bootstrap: str, count: int, topic: str = topics.POSTS.name) -> None:
    """Write posts of this moment: of old ones promises are warned of and broken, which costs more than opening their cases."""
    await create(bootstrap, [topic])
    producer = aiokafka.AIOKafkaProducer(bootstrap_servers=bootstrap, linger_ms=50, max_batch_size=1 << 18)
    await producer.start()
    try:
        for one in posts(count):
            await producer.send(topic, encode(one), key=key_of(one.data))
        await producer.flush()
    finally:
        await producer.stop()
