"""Posts from anybody with a Kafka client: other libraries, other codecs, transactions, kcat; and what is wrong with them."""

import base64
import json
import shutil
import subprocess
import time
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from aiokafka.partitioner import DefaultPartitioner
from confluent_kafka import Consumer, Producer, TopicPartition

from agents.scaffold import from_brands
from streams.broker import Broker
from tests.e2e.apart import Apart

PARTITIONS = 4
FOUND_WITHIN_S = 30.0
BRANDS = [{"name": "Fennkom", "handles": ["fennkom"]}]

Event = dict[str, Any]


class Foreign:
    """A worker that runs, and a client of another library beside it."""

    def __init__(self, bootstrap: str, tenant: str) -> None:
        self.bootstrap, self.tenant = bootstrap, tenant
        self._consumer = Consumer(
            {"bootstrap.servers": bootstrap, "group.id": f"g-{uuid.uuid4()}", "enable.auto.commit": False}
        )
        places = [TopicPartition(topic, n, 0) for topic in ("case-events", "dead-letters") for n in range(PARTITIONS)]
        self._consumer.assign(places)
        self._found: list[Event] = []

    def producer(self, **options: Any) -> Producer:
        return Producer({"bootstrap.servers": self.bootstrap, "partitioner": "murmur2_random", **options})

    def write(self, value: bytes | None, key: bytes | None = None, **options: Any) -> tuple[int, int]:
        """Write one record to `posts`; return its partition and offset."""
        producer, places = self.producer(**options), []
        producer.produce("posts", value, key, on_delivery=lambda error, told: places.append((error, told)))
        assert producer.flush(20) == 0
        error, told = places[0]
        assert error is None
        return told.partition(), told.offset()

    def event(self, **changes: Any) -> Event:
        """A post that opens a case."""
        name = uuid.uuid4().hex
        data = {
            "tenant": self.tenant,
            "platform": "x",
            "account_id": "elsewhere",
            "object_uri": f"urn:foreign:{name}",
            "text": "@fennkom mein Internet geht seit gestern nicht, was soll ich tun?",
        }
        now = datetime.now(UTC).isoformat()
        event = {"specversion": "1.0", "id": name, "source": "/foreign", "type": "zuruf.post.created", "time": now}
        return event | {"data": data | changes}

    def key(self, event: Event) -> bytes:
        return f"{self.tenant}|{event['data']['object_uri']}".encode()

    def until(self, is_meant: Callable[[Event], bool]) -> Event:
        """Read on until an event of a case or a dead letter is the one that is meant."""
        until = time.monotonic() + FOUND_WITHIN_S
        while time.monotonic() < until:
            for one in self._found:
                if is_meant(one):
                    return one
            self._found += [json.loads(one.value()) for one in self._consumer.consume(500, 0.2) if not one.error()]
        raise AssertionError(f"not within {FOUND_WITHIN_S:g} s; the last that came: {self._found[-3:]}")

    def opened(self, event: Event) -> Event:
        return self.until(lambda one: one.get("type") == "opened" and one["post_id"] == event["id"])

    def buried(self, place: tuple[int, int]) -> Event:
        return self.until(lambda one: (one.get("partition"), one.get("offset")) == place and "reason" in one)

    def close(self) -> None:
        self._consumer.close()


@pytest.fixture(scope="module")
def foreign(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Foreign]:
    folder = tmp_path_factory.mktemp("foreign")
    file = folder / "zuruf.toml"
    file.write_text(from_brands(BRANDS), encoding="utf-8")
    tenant = file.read_text(encoding="utf-8").split('id = "', 1)[1].split('"', 1)[0]
    with Broker(folder / "broker") as broker:
        environment = {"ZURUF_BROKER": f"kafka://{broker.bootstrap}", "ZURUF_DATA": str(folder / "data")}
        worker = Apart("worker", file, environment, "--partitions", str(PARTITIONS))
        try:
            worker.facts()
            client = Foreign(broker.bootstrap, tenant)
            yield client
            client.close()
        finally:
            status = worker.end()
        assert status == 0, worker.log.read_text()


# -- what is taken


def test_a_post_of_another_library_opens_a_case_and_lies_where_our_own_would(foreign: Foreign) -> None:
    event = foreign.event()
    partition, _ = foreign.write(json.dumps(event).encode(), foreign.key(event))
    numbers = list(range(PARTITIONS))
    assert partition == DefaultPartitioner()(foreign.key(event), numbers, numbers)
    assert foreign.opened(event)["brand_id"] == "fennkom"


def test_kcat_writes_a_post_as_the_handbook_says(foreign: Foreign) -> None:
    kcat = shutil.which("kcat") or shutil.which("kafkacat")
    if kcat is None:
        pytest.skip("kcat is not on this machine; `apt-get install kcat` brings it")
    event = foreign.event()
    command = [kcat, "-P", "-b", foreign.bootstrap, "-t", "posts", "-X", "partitioner=murmur2_random"]
    subprocess.run([*command, "-k", foreign.key(event)], input=json.dumps(event).encode(), timeout=20, check=True)
    assert foreign.opened(event)["tenant"] == foreign.tenant


@pytest.mark.parametrize("codec", ["none", "gzip", "snappy", "lz4", "zstd"])
def test_a_post_may_come_packed(foreign: Foreign, codec: str) -> None:
    event = foreign.event()
    foreign.write(json.dumps(event).encode(), foreign.key(event), **{"compression.type": codec})
    foreign.opened(event)


def test_posts_of_a_transaction_are_taken_over_the_gaps_that_its_markers_leave(foreign: Foreign) -> None:
    producer = foreign.producer(**{"transactional.id": f"t-{uuid.uuid4()}"})
    producer.init_transactions(20)
    events = [foreign.event(conversation_uri="urn:foreign:one") for _ in range(5)]
    for event in events:
        producer.begin_transaction()
        producer.produce("posts", json.dumps(event).encode(), f"{foreign.tenant}|urn:foreign:one".encode())
        producer.commit_transaction(20)
    case_id = foreign.opened(events[0])["case_id"]
    joined = [foreign.until(lambda one, event=event: one.get("post_id") == event["id"]) for event in events[1:]]  # type: ignore[misc]
    assert [(one["type"], one["case_id"]) for one in joined] == [("joined", case_id)] * 4


def test_a_post_without_a_key_is_taken_all_the_same(foreign: Foreign) -> None:
    event = foreign.event()
    foreign.write(json.dumps(event).encode())
    foreign.opened(event)


def test_a_post_without_its_arrival_counts_from_its_time_in_the_log(foreign: Foreign) -> None:
    event, before = foreign.event(), time.time_ns() // 1_000_000
    foreign.write(json.dumps(event).encode(), foreign.key(event))
    assert before <= foreign.opened(event)["received_at"] <= time.time_ns() // 1_000_000


def test_fields_that_nobody_knows_are_passed_over(foreign: Foreign) -> None:
    event = foreign.event(mood="stormy", author={"handle": "kunde", "shoe_size": 44}) | {"traceparent": "00-1-2-00"}
    foreign.write(json.dumps(event).encode(), foreign.key(event))
    foreign.opened(event)


# -- what is not


@pytest.mark.parametrize(
    ("field", "where"), [("text", "$.data"), ("object_uri", "$.data"), ("tenant", "$.data"), ("id", ""), ("time", "")]
)
def test_a_missing_field_is_named_in_the_dead_letter(foreign: Foreign, field: str, where: str) -> None:
    event = foreign.event()
    key, whole = foreign.key(event), event["data"] if where else event
    del whole[field]
    value = json.dumps(event)
    letter = foreign.buried(foreign.write(value.encode(), key))
    assert f"`{field}`" in letter["reason"] and where in letter["reason"]
    assert (letter["source"], letter["key"], letter["value"]) == ("posts", key.decode(), value)


def test_what_is_not_json_is_kept_as_it_came(foreign: Foreign) -> None:
    letter = foreign.buried(foreign.write("<post>Grüße</post>".encode()))
    assert "not JSON" in letter["reason"]
    assert letter["value"] == "<post>Grüße</post>"


def test_what_is_not_even_text_is_kept_in_base64(foreign: Foreign) -> None:
    raw = b"\x00\x00\x00\x00\x07\xff\xfeavro"
    letter = foreign.buried(foreign.write(raw))
    assert letter["base64"] is True
    assert base64.b64decode(letter["value"]) == raw


def test_an_empty_record_is_buried_and_said_to_be_empty(foreign: Foreign) -> None:
    assert "empty record" in foreign.buried(foreign.write(None, b"a tombstone"))["reason"]


def test_a_tenant_that_is_not_configured_is_named_with_those_that_are(foreign: Foreign) -> None:
    event = foreign.event(tenant="nobody")
    letter = foreign.buried(foreign.write(json.dumps(event).encode()))
    assert "'nobody'" in letter["reason"] and foreign.tenant in letter["reason"]


def test_bad_records_do_not_hold_up_the_good_ones_of_their_partition(foreign: Foreign) -> None:
    events = [foreign.event() for _ in range(20)]
    producer = foreign.producer()
    for event in events:
        producer.produce("posts", b"{", partition=0)
        producer.produce("posts", json.dumps(event).encode(), partition=0)
    assert producer.flush(20) == 0
    assert len({foreign.opened(event)["case_id"] for event in events}) == 20
