"""
``python -m tests.bench decisions [--quick] [--json]``: what a decision costs on the floor that dispatch keeps.

1,000 reps who hold one case each, 200 classes (4 triages, 10 brands, 5 languages), and 1,000 to 100,000 open cases on a real
``Floor`` over rows in RocksDB. A decision is ``Floor.take_next``: which case goes next, who gets it, why. CPU time of one
thread, the cost of the clock taken away: a shared machine makes its caches colder, its waits do not count.
"""

import gc
import json
import random
import statistics
import tempfile
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from agents.floor import Floor, House
from models import cases
from models.brands import Tenant
from models.cases import Case
from models.labels import Triage
from models.reps import RepProfile
from streams.carry import Part
from streams.rows import Rows
from tables.reps import RepRow
from tests.builders import NOW, a_brand, a_case, a_database, a_rep, a_tenant, labels

OPEN = (1_000, 10_000, 100_000)
REPS, BRANDS = 1_000, 10
LANGUAGES = ("de", "en", "fr", "es", "it")
MIX: dict[Triage, int] = {"at_once": 1, "urgent": 4, "important": 10, "less": 20}
PROMISED_MS: dict[Triage, int] = {"at_once": 300_000, "urgent": 900_000, "important": 3_600_000, "less": 14_400_000}
STEP_MS = 5  # Between two decisions: some cases become late on the way, as on a full floor.
DECISIONS, DECISIONS_QUICK = 4_000, 1_000
BAR_US = 100.0


class Cost(Struct):
    """CPU time of decisions, in us."""

    mean: float
    median: float
    slowest_of_1000: float
    """The 99.9 % quantile."""


class Shop:
    """A full floor: what comes, what is decided, what is done."""

    def __init__(self, opened: int, folder: Path) -> None:
        """
        Fill it.

        Args:
            opened: Cases that are open, all the time, those in hand included.
            folder: Of the rows.
        """
        self._random = random.Random(opened)
        self._db = a_database(folder)
        self.part = Part(0, Rows(lambda: self._db), "bench")
        self.part.rows.progress.now = NOW
        tenant = _tenant(self._random)
        self.floor = Floor(self.part, House((tenant,)))
        self._tenant = tenant.id
        self._cases = self._coming()
        self._held: deque[Case] = deque()
        for rep in tenant.reps:
            self.floor.save_rep(RepRow(tenant=tenant.id, rep_id=rep.id, presence="available", idle_since=NOW))
        # With 1,000 open cases all would be in hand, and nothing left to decide on: as many again wait then.
        self.waiting = max(opened - REPS, REPS)
        self.come(self.waiting + REPS)

    def _coming(self) -> Iterator[Case]:
        """Yield cases of all classes, received in the last one and a half promised times."""
        base, draw = a_case(), self._random
        asked = {language: labels(language=language) for language in LANGUAGES}
        number = 0
        while True:
            number += 1
            triage = draw.choices(list(MIX), list(MIX.values()))[0]
            received_at = self.part.rows.progress.now - round(draw.random() * 1.5 * PROMISED_MS[triage])
            yield replace(
                base,
                case_id=f"c{number}",
                conversation_uri=f"x:{number}",
                brand_id=f"b{draw.randrange(BRANDS)}",
                triage=triage,
                received_at=received_at,
                due_at=received_at + PROMISED_MS[triage],
                labels=asked[draw.choice(LANGUAGES)],
            )

    def come(self, many: int) -> None:
        """Let cases come."""
        for _ in range(many):
            self.floor.save(None, next(self._cases))
        self._write()

    def _write(self) -> None:
        for key, value in self.part.rows.drain():
            self._db.put(key, value) if value is not None else self._db.delete(key)

    def finish(self, many: int) -> None:
        """Let the cases that were longest in hand be closed and forgotten."""
        for _ in range(many):
            case = self._held.popleft()
            done = replace(case, state="closed", offer=None, closed_at=self.part.rows.progress.now)
            self.floor.save(case, done)
            self.floor.forget(done)
        self.floor.closed.clear()

    def decide(self) -> int:
        """Decide once and offer what was taken; return the CPU time of the decision, in ns."""
        rows = self.part.rows
        rows.progress.now += STEP_MS
        began = time.thread_time_ns()
        found = self.floor.take_next(self._tenant)
        took_ns = time.thread_time_ns() - began
        assert found is not None, "somebody is free and a case that suits waits"
        case, seat, _ = found
        shown = cases.offered(case, seat.profile.id, rows.progress.now, 60_000, ())
        self.floor.save(case, shown)
        self._held.append(shown)
        return took_ns

    @property
    def classes(self) -> int:
        """How many classes wait."""
        return len({place[0] for place in self.floor.queues[self._tenant].places().values()})


def _tenant(draw: random.Random) -> Tenant:
    """Return 1,000 reps: one to three languages each, every other one for six of the brands."""
    reps: list[RepProfile] = []
    for number in range(REPS):
        skills = {f"lang:{one}": draw.randint(1, 5) for one in draw.sample(LANGUAGES, 1 + number % 3)}
        if number % 2:
            skills |= {f"brand:b{one}": draw.randint(1, 5) for one in draw.sample(range(BRANDS), 6)}
        reps.append(a_rep(f"r{number:04}", capacity=1, skills=skills))
    return a_tenant(brands=tuple(a_brand(f"b{number}") for number in range(BRANDS)), reps=tuple(reps))


def clock_ns() -> int:
    """Return what it costs to ask the clock twice, the least of many."""
    return min(-time.thread_time_ns() + time.thread_time_ns() for _ in range(10_000))


def measured(opened: int, decisions: int) -> dict[str, Cost | int]:
    """Return costs with so many open cases: of first decisions, of one free rep, and of a floor where all are free."""
    with tempfile.TemporaryDirectory(prefix="zuruf-bench-") as folder:
        shop = Shop(opened, Path(folder))
        gc.collect()
        gc.freeze()  # As the worker does.
        first = [shop.decide() for _ in range(REPS)]
        one = [_one_free(shop) for _ in range(REPS + decisions)]
        shop.come(REPS)
        shop.finish(REPS)
        every = [shop.decide() for _ in range(REPS)]
        classes = shop.classes
        del shop
        gc.unfreeze()
    return {
        "first": _cost(first + one[:REPS]),
        "one_free": _cost(one[REPS:]),
        "all_free": _cost(every),
        "classes": classes,
    }


def _one_free(shop: Shop) -> int:
    shop.finish(1)
    shop.come(1)
    return shop.decide()


def _cost(took_ns: list[int]) -> Cost:
    clock = clock_ns()
    us = sorted((took - clock) / 1e3 for took in took_ns)
    return Cost(statistics.fmean(us), statistics.median(us), us[round(0.999 * (len(us) - 1))])


def run(*, only_json: bool, quick: bool) -> None:
    """Print a table, and the figures as JSON in the last line."""
    found = {opened: measured(opened, DECISIONS_QUICK if quick else DECISIONS) for opened in OPEN}
    if not only_json:
        print(f"{REPS:,} reps; us of CPU a decision, mean (median, 99.9 %)")
        for opened, costs in found.items():
            told = [
                f"{name} {cost.mean:.1f} ({cost.median:.1f}, {cost.slowest_of_1000:.0f})"
                for name, cost in costs.items()
                if isinstance(cost, Cost)
            ]
            print(f"{opened:>8,} open, {costs['classes']} classes: " + "; ".join(told))
        steady = {opened: cost.mean for opened, costs in found.items() if isinstance(cost := costs["one_free"], Cost)}
        print(f"{1e6 / max(steady.values()):,.0f} decisions/s at least (bar {1e6 / BAR_US:,.0f}), ", end="")
        print(f"{steady[OPEN[-1]] / steady[OPEN[0]]:.2f} times the cost at {OPEN[-1]:,} as at {OPEN[0]:,} open cases")
    named = {str(opened): {name: _plain(cost) for name, cost in costs.items()} for opened, costs in found.items()}
    print(json.dumps(named))


def _plain(cost: Cost | int) -> object:
    return cost if isinstance(cost, int) else {name: round(getattr(cost, name), 2) for name in cost.__struct_fields__}
