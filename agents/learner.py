"""
The process ``zuruf learn``: what reps corrected becomes heads of their tenants, beside the stream and never in its way.

It reads ``corrections`` in a group of its own, from the beginning at every start: the log is its memory, the standings in
``heads`` say what was tried and what came of it. A trial runs in a thread of this process, which lets all others go first. What
is promoted is written to ``heads``, where both readers of posts find it, and told to ``work``, from where it reaches boards.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Collection, Mapping
from typing import Any, Final

import numpy as np
from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaError
from msgspec import Struct
from msgspec.structs import replace

from models.classifier import ARTIFACTS, HEADS, Classifier, columns_of, read_card
from models.errors import BadEvent
from models.learned import TenantHeads
from models.learning import (
    CORRECTIONS_MAX,
    Corrections,
    Standing,
    Trial,
    Version,
    Weights,
    is_due,
    promoted,
    tried,
)
from models.relabels import Correction, HeadChanged
from models.text import normalise
from streams import topics
from streams.background import SESSION_MS, stand_back
from streams.codec import Decoder
from streams.gateway.link import Unavailable, Work
from streams.heads import Follower, Shelf
from streams.settings import Settings, client_options

log = logging.getLogger("zuruf.learn")

GROUP: Final = "zuruf-learn"
LOOK_S: Final = 1.0
AGAIN_S: Final = 2.0

Key = tuple[str, str]
"""Tenant and head."""


class Row(Struct, frozen=True):
    """One correction, as it is learnt from."""

    at: int
    text: str
    """Normalised."""
    value: int
    rep_id: str
    partition: int


class Learner:
    """What was corrected, what stands, and what is to be tried; no broker, no clock."""

    def __init__(self, tenants: Collection[str], heads: TenantHeads) -> None:
        """
        Args:
            tenants: Whose corrections are looked at.
            heads: As the topic has them; its base is the classifier's version.
        """
        self._tenants = frozenset(tenants)
        self._heads = heads
        self._rows: dict[Key, dict[str, Row]] = {}

    def take(self, correction: Correction, partition: int) -> None:
        """Take in one correction. Of a post that is corrected twice the later one holds; the oldest leave beyond the bound."""
        head, value = correction.head, correction.value
        if correction.tenant not in self._tenants or head not in HEADS or value not in HEADS[head]:
            return
        rows = self._rows.setdefault((correction.tenant, head), {})
        rows.pop(correction.post_id, None)
        text = normalise(correction.text)
        rows[correction.post_id] = Row(correction.at, text, HEADS[head].index(value), correction.rep_id, partition)
        if len(rows) > CORRECTIONS_MAX:
            del rows[next(iter(rows))]

    def forget(self, partitions: Collection[int]) -> None:
        """Forget what lies in partitions that somebody else reads from now on."""
        for rows in self._rows.values():
            for post_id in [post_id for post_id, row in rows.items() if row.partition in partitions]:
                del rows[post_id]

    def count(self, tenant: str, head: str) -> int:
        """Return how many corrections of a head are kept."""
        return len(self._rows.get((tenant, head), ()))

    def standing(self, key: Key) -> Standing:
        """Return what a head is; a new one if nothing was ever tried."""
        return self._heads.standings.get(key) or Standing(tenant=key[0], head=key[1])

    def due(self) -> list[Key]:
        """Return the heads whose corrections are to be tried now."""
        return [
            key
            for key, rows in self._rows.items()
            if is_due(self.standing(key), [row.at for row in rows.values()], self._heads.base)
        ]

    def trial(self, key: Key, classifier: Classifier) -> tuple[Trial, int]:
        """Try a head's corrections; return what came of it and ``at`` of the newest of them. Takes seconds."""
        rows = list(self._rows[key].values())
        texts = tuple(row.text for row in rows)
        corrections = Corrections(
            texts, np.array([row.value for row in rows], np.int64), tuple(row.rep_id for row in rows)
        )
        logits = classifier.logits(texts)[:, columns_of(key[1])].astype(np.float64)
        champion = self._heads.champion(*key)
        return tried(key[1], classifier.version, corrections, logits, champion), max(row.at for row in rows)

    def settled(
        self, key: Key, trial: Trial, tried_to: int, now: int
    ) -> tuple[Standing, Weights | None, tuple[str, ...]]:
        """Return what a trial makes of a standing: it, the weights to be written, and versions that are not kept any more."""
        before = self.standing(key)
        after = replace(before, tried_to=tried_to, last=trial.result, last_at=now, base=self._heads.base)
        if trial.promoted is None:
            return after, None, ()
        after = promoted(after, trial, now)
        weights = Weights(tenant=key[0], head=key[1], version=after.current, model=trial.promoted)
        return after, weights, tuple(one for one in before.kept if one not in after.kept)

    def note(self, standing: Standing, weights: Weights | None) -> None:
        """Take in at once what was written; the topic will say the same."""
        if weights is not None:
            self._heads.keep(weights)
        self._heads.stand(standing)


def told(standing: Standing, change: Version) -> HeadChanged:
    """Return a change as it is told to ``work``."""
    return HeadChanged(
        at=change.at,
        tenant=standing.tenant,
        head=standing.head,
        version=change.version,
        what=change.what,
        corrections=change.corrections,
        before=change.before,
        after=change.after,
        texts=change.texts,
    )


class Learning:
    """The process: a learner between the topics."""

    def __init__(self, settings: Settings) -> None:
        options = client_options(settings)
        self.heads = TenantHeads(read_card(ARTIFACTS).sha256[:12])
        self.learner = Learner([tenant.id for tenant in settings.tenants], self.heads)
        self._follower = Follower(settings.broker, options, self.heads)
        self._shelf = Shelf(settings.broker, options)
        self._work = Work(settings.broker, options)
        self._consumer: Any = AIOKafkaConsumer(
            topics.CORRECTIONS.name,
            bootstrap_servers=list(settings.broker),
            group_id=GROUP,
            enable_auto_commit=False,
            session_timeout_ms=SESSION_MS,
            auto_offset_reset="earliest",  # Nothing is ever committed: every start reads all that is kept.
            **options,
        )
        self._decode: Decoder[Correction] = Decoder(Correction, topics.CORRECTIONS.name)
        self._classifier: Classifier | None = None
        self._held: frozenset[int] = frozenset()

    async def run(self, ready: Callable[[], None], stop: asyncio.Event) -> None:
        """Learn until told to stop."""
        stand_back()
        await self._shelf.start()
        await self._work.start()
        await self._consumer.start()
        tasks = [asyncio.create_task(self._follower.run()), asyncio.create_task(self._read())]
        tasks.append(asyncio.create_task(self._try()))
        ready()
        try:
            waiting = asyncio.create_task(stop.wait())
            done, _ = await asyncio.wait([*tasks, waiting], return_when=asyncio.FIRST_COMPLETED)
            for task in done - {waiting}:
                task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            for client in (self._consumer, self._shelf, self._work):
                with contextlib.suppress(KafkaError, OSError, TimeoutError):
                    async with asyncio.timeout(2):
                        await client.stop()

    async def _read(self) -> None:
        while True:
            try:
                fetched: Mapping[Any, Any] = await self._consumer.getmany(timeout_ms=500, max_records=500)
            except KafkaError as error:
                log.warning("corrections cannot be read just now: %s", error)
                await asyncio.sleep(AGAIN_S)
                continue
            self._see_who_holds()
            for records in fetched.values():
                for record in records:
                    self._take(record)

    def _see_who_holds(self) -> None:
        held = frozenset(one.partition for one in self._consumer.assignment())
        if held != self._held:
            self.learner.forget(self._held - held)
            self._held = held

    def _take(self, record: Any) -> None:
        try:
            self.learner.take(self._decode.decode(record.value), record.partition)
        except BadEvent as error:
            log.error("%s %d/%d passed over: %s", record.topic, record.partition, record.offset, error)

    async def _is_caught_up(self) -> bool:
        """Whether all standings and all corrections that were written are here: a trial on half of them says little."""
        partitions = self._consumer.assignment()
        if not self._follower.caught_up.is_set() or not partitions:
            return False
        ends = await self._consumer.end_offsets(partitions)
        return all([await self._consumer.position(one) >= end for one, end in ends.items()])

    async def _try(self) -> None:
        while True:
            await asyncio.sleep(LOOK_S)
            try:
                if not await self._is_caught_up():
                    continue
                for key in self.learner.due():
                    await self._one(key)
            except (KafkaError, Unavailable, OSError) as error:
                log.warning("what was learnt cannot be written just now: %s", error)
                await asyncio.sleep(AGAIN_S)

    async def _one(self, key: Key) -> None:
        if self._classifier is None:
            self._classifier = await asyncio.to_thread(Classifier)
        began = time.process_time()
        trial, tried_to = await asyncio.to_thread(self.learner.trial, key, self._classifier)
        standing, weights, gone = self.learner.settled(key, trial, tried_to, _now())
        await self._shelf.put(standing, weights, gone)
        self.learner.note(standing, weights)
        log.info("%s: %s", "|".join(key), sentence(trial, time.process_time() - began))
        if weights is not None:
            await self._work.send(told(standing, standing.changes[-1]))


def sentence(trial: Trial, cpu_s: float) -> str:
    """Say in words what came of a trial."""
    counts = f"{trial.trusted} of {trial.corrections} corrections trusted, {cpu_s:.1f} s of CPU"
    match trial.result:
        case "too_few":
            return f"too few corrections can be trusted, {counts}"
        case "not_trusted":
            return f"the corrections agree with nothing that is known and are set aside, {counts}"
    assert trial.before is not None and trial.after is not None
    version = f"version {trial.promoted.version} promoted" if trial.promoted is not None else "not better"
    accuracy = f"accuracy {trial.before.accuracy:.3f} -> {trial.after.accuracy:.3f} judged on {trial.after.texts}"
    return f"{version}, {accuracy}, {counts}"


def _now() -> int:
    return time.time_ns() // 1_000_000


async def learn(settings: Settings, ready: Callable[[], None], stop: asyncio.Event) -> None:
    """Run the process until told to stop."""
    await Learning(settings).run(ready, stop)
