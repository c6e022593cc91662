"""Topics are created by us, with the right partitions and retention; a topic that stands with other partitions is refused."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import TopicAlreadyExistsError

from models.errors import Misconfigured
from streams import topics
from streams.topics import DAY_MS, EMBEDDED_PARTITIONS

REPLICATION_MAX: Final = 3
CHANGELOG_LAG_MS: Final = DAY_MS
"""A late old row must not have removed a newer one before recovery has seen both."""


def partitions_of(*, embedded: bool, each: int = EMBEDDED_PARTITIONS) -> dict[str, int]:
    """Return every topic's partitions: as the table has them on a cluster, ``each`` on the embedded broker."""
    return {topic.name: each if embedded else topic.partitions for topic in topics.ALL}


async def ensure_topics(
    bootstrap: Sequence[str],
    options: Mapping[str, object],
    partitions: Mapping[str, int],
    changelogs: Mapping[str, int],
) -> None:
    """
    Create what is missing.

    Args:
        bootstrap: Addresses, host:port.
        options: For aiokafka: TLS and SASL.
        partitions: By topic of ``streams.topics``.
        changelogs: Partitions by changelog topic; these are compacted.

    Raises:
        Misconfigured: If a topic stands with another number of partitions.
    """
    admin = AIOKafkaAdminClient(bootstrap_servers=list(bootstrap), **options)
    await admin.start()
    try:
        brokers = len((await admin.describe_cluster())["brokers"])
        replication = min(REPLICATION_MAX, brokers)
        wanted = [_plain(topic, partitions[topic.name], replication) for topic in topics.ALL]
        wanted += [_changelog(name, count, replication) for name, count in changelogs.items()]
        standing = await _standing(admin)
        for topic in wanted:
            if topic.name not in standing:
                await _create(admin, topic)
        _check(await _standing(admin), wanted)
    finally:
        await admin.close()


def _plain(topic: topics.Topic, count: int, replication: int) -> NewTopic:
    if topic.compacted:
        return _changelog(topic.name, count, replication)
    config = {
        "retention.ms": str(topic.retention_ms),
        "cleanup.policy": "delete",
        # Anyone may write posts, packed as they like; aiokafka alone unpacks only gzip, and dies of the rest.
        "compression.type": "uncompressed",
    }
    return NewTopic(topic.name, count, replication, topic_configs=config)


def _changelog(name: str, count: int, replication: int) -> NewTopic:
    config = {
        "cleanup.policy": "compact",
        "min.compaction.lag.ms": str(CHANGELOG_LAG_MS),
        "segment.bytes": str(32 << 20),
    }
    return NewTopic(name, count, replication, topic_configs=config)


async def _create(admin: Any, topic: NewTopic) -> None:
    try:
        await admin.create_topics([topic])
    except TopicAlreadyExistsError:
        return  # Another process of ours was faster.


async def _standing(admin: Any) -> dict[str, int]:
    names = await admin.list_topics()
    described = await admin.describe_topics(list(names)) if names else []
    return {topic["topic"]: len(topic["partitions"]) for topic in described}


def _check(standing: Mapping[str, int], wanted: Sequence[NewTopic]) -> None:
    for topic in wanted:
        found = standing.get(topic.name)
        if found is not None and found != topic.num_partitions:
            raise Misconfigured(
                f"broker: topic {topic.name!r}: found {found} partitions, meant {topic.num_partitions}; "
                "a topic's partitions cannot change while it holds records"
            )
