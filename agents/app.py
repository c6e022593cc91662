"""Composition root: makes topics, tables and steps and wires them; what a lower room needs from here comes as an argument."""

import os
import socket
import uuid
from collections.abc import Collection, Mapping
from typing import Any, Final

from msgspec import Struct

from agents.dispatch import Dispatch
from agents.floor import House
from agents.measure import Measure
from agents.understand import Classifies, ClassifiesFor, Understand
from streams import topics
from streams.carry import Carrier, Step
from streams.fence import Fence
from streams.pace import Spacing
from streams.runs import RunsApp
from streams.settings import Settings, faust_credentials
from streams.topics import Topic

APP_ID: Final = "zuruf"
GROUP_EVERY_S: Final = {"measure": 0.2}
"""Boards are told once a second: measure may gather longer than a step that a desk waits for."""
BEATS: Final = {"understand": 2}
"""
How many groups' times a step's topic rests. Posts set the beat: what is read of them together stays together through all steps,
so dispatch, which reads as soon as understand has written, adds no wait of its own unless desks write to it all the time.
"""
BURSTS: Final = {"dispatch": 2}
"""
How many groups may come in a row after a pause. Desks and the second reader write to dispatch whenever they like, and the posts
that come just after that do not wait for it.
"""
STEPS: Final = ("understand", "dispatch", "measure")
TABLES: Final = {"dispatch": topics.WORK.name, "measure": topics.CASE_EVENTS.name}
"""Faust tables, each with the topic whose partitions it shares."""

# RocksDB per partition: rows are small and few, and Faust's defaults would take 2 GB of cache for each.
TABLE_OPTIONS: Final = {
    "write_buffer_size": 4 << 20,
    "max_write_buffer_number": 2,
    "target_file_size_base": 16 << 20,
    "block_cache_size": 16 << 20,
}


class Engine(Struct, frozen=True):
    """A worker's app with its carriers."""

    app: Any
    """The RunsApp."""
    carriers: tuple[Carrier, ...]
    worker_id: str

    @property
    def dispatch(self) -> Carrier | None:
        """The carrier of dispatch, if this worker has it: it needs takeovers and ticks."""
        return next((carrier for carrier in self.carriers if carrier.step.name == "dispatch"), None)


def changelogs(partitions: Mapping[str, int]) -> dict[str, int]:
    """Return the changelog topics with their partitions."""
    return {f"{APP_ID}-{table}-changelog": partitions[source] for table, source in TABLES.items()}


def create_app(
    settings: Settings,
    classifier: Classifies,
    partitions: Mapping[str, int],
    *,
    learned: ClassifiesFor | None = None,
    replay: bool = False,
    steps: Collection[str] = STEPS,
) -> Engine:
    """
    Make a worker's app.

    Args:
        settings: ``broker`` must name the addresses, also where the broker is the embedded one.
        classifier: Labels texts.
        partitions: By topic.
        learned: Labels texts by the heads of their tenants, if there are any.
        replay: Virtual time: what concerns no brand goes on marked, and ticks come through ``posts``.
        steps: Those that this worker carries.
    """
    worker_id = f"{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:6]}"
    app = RunsApp(
        APP_ID,
        fence=Fence(settings.session_s),
        broker="runs://" + ";".join(settings.broker),
        broker_credentials=faust_credentials(settings),
        broker_client_id=f"zuruf-worker-{worker_id}",
        store="rows://",
        datadir=str(settings.data / "worker"),
        web_enabled=False,
        topic_allow_declare=False,
        topic_disable_leader=True,
        table_standby_replicas=0,  # Tables are small: reading one anew takes less than keeping it twice.
        topic_partitions=partitions[topics.WORK.name],
        stream_wait_empty=True,
        stream_buffer_maxsize=32,  # Runs of at most 500 records: 16,000 in memory.
        stream_recovery_delay=0.0,
        broker_session_timeout=settings.session_s,
        broker_heartbeat_interval=max(0.3, settings.session_s / 6),
        broker_request_timeout=max(30.0, settings.session_s * 3),
        broker_rebalance_timeout=max(10.0, settings.session_s * 2),
        broker_commit_interval=1.0,
        broker_max_poll_records=4_000,
        broker_check_crcs=False,
        consumer_max_fetch_size=1 << 20,
        producer_linger=0.0,
        producer_max_batch_size=512 << 10,
        producer_request_timeout=30.0,
    )
    house = House(settings.tenants)
    dispatch = Dispatch(
        house,
        offer_ms=int(settings.offer_s * 1000),
        lease_ms=int(settings.lease_s * 1000),
        grace_ms=int(settings.grace_s * 1000),
        ahead_ms=int(settings.clock_ahead_s * 1000),
        closed_keep_ms=int(settings.closed_keep_days * 86_400_000),
        seen_ms=int(settings.seen_h * 3_600_000),
    )
    made: tuple[Step, ...] = (
        Understand(settings.tenants, classifier, learned=learned, tell_dropped=replay),
        dispatch,
        Measure(),
    )
    carriers = tuple(_carry(app, step, settings, partitions) for step in made if step.name in steps)
    return Engine(app=app, carriers=carriers, worker_id=worker_id)


def _carry(app: RunsApp, step: Step, settings: Settings, partitions: Mapping[str, int]) -> Carrier:
    table = _table(app, step.name, partitions) if step.name in TABLES else None
    group_every_s = max(settings.group_every_ms / 1000, GROUP_EVERY_S.get(step.name, 0.0))
    burst = BURSTS.get(step.name, 1)
    app.rests[step.topic.name] = Spacing(BEATS.get(step.name, 1) * group_every_s, burst)
    carrier = Carrier(
        app,
        step,
        table=table,
        partitions=dict(partitions),
        group_every_s=group_every_s,
        burst=burst,
        culprits_max=settings.culprits_max,
    )

    async def agent(stream: Any) -> None:
        await carrier.run(stream)

    agent.__name__ = agent.__qualname__ = step.name
    app.agent(_source(app, step.topic, partitions), name=step.name, concurrency=1)(agent)
    return carrier


def _source(app: RunsApp, topic: Topic, partitions: Mapping[str, int]) -> Any:
    return app.runs_topic(topic.name, partitions[topic.name])


def _table(app: RunsApp, name: str, partitions: Mapping[str, int]) -> Any:
    return app.Table(
        name,
        partitions=partitions[TABLES[name]],
        # Types, not a schema: the table's own serializer goes over a schema's, and only bytes make it "raw", not JSON.
        key_type=bytes,
        value_type=bytes,
        options=dict(TABLE_OPTIONS),
    )
