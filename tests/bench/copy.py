"""``python -m tests.bench.copy FROM TO BOOTSTRAP``: copies a topic, partition by partition, as fast as it goes."""

import asyncio
import sys
from typing import Any

import aiokafka

from streams.topics import EMBEDDED_PARTITIONS

BATCH_BYTES = 1 << 18


async def main(source: str, target: str, bootstrap: str) -> None:
    consumer = aiokafka.AIOKafkaConsumer(bootstrap_servers=bootstrap, check_crcs=False)
    producer = aiokafka.AIOKafkaProducer(bootstrap_servers=bootstrap, linger_ms=20, max_batch_size=BATCH_BYTES)
    await consumer.start()
    await producer.start()
    parts = [aiokafka.TopicPartition(source, number) for number in range(EMBEDDED_PARTITIONS)]
    consumer.assign(parts)
    await consumer.seek_to_beginning()
    ends = await consumer.end_offsets(parts)
    while any([await consumer.position(tp) < ends[tp] for tp in parts]):
        fetched: dict[Any, list[Any]] = await consumer.getmany(timeout_ms=200, max_records=5000)
        for tp, records in fetched.items():
            for record in records:
                await producer.send(target, record.value, key=record.key, partition=tp.partition)
    await producer.stop()
    await consumer.stop()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:4]))
