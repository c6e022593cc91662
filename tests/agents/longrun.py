"""
``python -m tests.agents.longrun [--steps 1000000] [--seed N]``: a very long random day on the real floor; the last line is JSON.

The records are those of ``test_floor_properties``, in a balance that keeps a hundred cases open for ever: they are taken,
held, handed on, approved, answered, deleted, closed, forgotten, while desks come and go, memory is lost and groups are written
in part. What has to hold is looked at all the time; the run ends with an AssertionError when it does not.
"""

import argparse
import json
import random
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any, Final

from agents.floor import Floor
from models import records as r
from models.labels import TRIAGE_RANK
from models.priority import is_owed, rush_ms
from models.queues import Waiting
from models.relabels import HeadChanged, Relabel
from models.wire import DeskEvent
from streams import topics
from tests.agents.test_floor_properties import TENANT, Day, check, derived

OPEN_MAX: Final = 60
"""Beyond so many open cases no post comes for a while."""
CLOSED_KEEP_MS: Final = 3_600_000
"""An hour and not a week: what is closed is read whenever everything is compared."""
CHECK_EVERY: Final = 25
ROWS_EVERY: Final = 500
CRASH_EVERY: Final = 700
DECISION_SHARE: Final = 0.2
REPEAT_SHARE: Final = 0.01
NOT_REPEATED: Final = (r.Tick, r.Takeover, HeadChanged)
"""What the owner of a partition writes by itself, once; and what only passes through."""


class Life(Day):
    """A day without an end: what is behind it is forgotten, and what has happened is held against a book of its own."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.told: Counter[str] = Counter()
        self.counts: Counter[str] = Counter()
        self.alive: set[str] = set()
        """Cases that are open, by what was told of them alone."""
        self._dice = random.Random(seed + 1)
        super().__init__(folder, seed)
        self.step.closed_keep_ms = CLOSED_KEEP_MS
        self.began = self.now

    def random_of_checks(self) -> float:
        """Chance of what is looked at; a source of its own, so that looking changes nothing of the day."""
        return self._dice.random()

    def opened(self, token: str) -> Any:
        part = super().opened(token)
        watch(part.index, self)
        return part

    # -- what happens

    def next(self) -> Any:
        """Return the next record: desks and beats enough that somebody is there, posts while few cases are open."""
        self.number += 1
        self.now += self.random.randrange(1_500)
        kinds = [self._beat] * 8 + [self._presence] * 4 + [self._desk] * 3 + [self._accept] * 16 + [self._reply] * 10
        kinds += [self._publish] * 12 + [self._life] * 10 + [self._incident] * 4 + [self._close] * 2 + [self._tick] * 6
        kinds += [self._reject, self._down, self._edit, self._resync, self._relabel, self._learned]
        kinds += [self._post] * 9 if len(self.floor.open) < OPEN_MAX else []
        return self.random.choice(kinds)()

    def _presence(self) -> Any:
        rep, connection = self._who()
        state = self.random.choice(["available"] * 12 + ["busy", "away", "offline"])
        return r.SetPresence(self.now, TENANT, rep, connection, f"k{self.number}", state, self.random.random() < 0.1)

    def _tick(self) -> Any:
        chance = self.random.random()
        hour = 3_600_000
        self.now += 1_000 if chance < 0.98 else 30_000 if chance < 0.996 else 700_000
        if chance > 0.9998:
            self.now += self.random.choice([25 * hour, 8 * 24 * hour])
        return r.Tick(at=self.now)

    # -- and what has to hold

    def go_on(self, number: int) -> None:
        """Let one record happen and look at what has to hold at its turn."""
        self.append(self.next())
        if self.random.random() < REPEAT_SHARE:
            self.repeat()
        if self.random.random() < 0.2:
            self.write()
        if number % CHECK_EVERY == 0:
            check(self)
        if number % CRASH_EVERY == 0:
            self.lose_memory()
        if number % ROWS_EVERY == 0:
            self.compare_with_rows()

    def write(self) -> None:
        """Write the group, and enter in the book what it has told."""
        super().write()
        for out in self.outs:
            if out.topic is topics.CASE_EVENTS:
                self._enter(out.value)
        self.outs.clear()
        self.base += len(self.log)
        self.log.clear()
        assert self.alive == set(self.floor.open), "a case was forgotten, or is open that should not be"

    def _enter(self, event: Any) -> None:
        self.told[type(event).__name__] += 1
        match event:
            case r.Opened():
                assert event.case_id not in self.alive, "opened twice"
                self.alive.add(event.case_id)
            case r.Closed():
                self.alive.remove(event.case_id)
            case r.Moved():
                self.told[event.what] += 1
                if event.what == "reopened":
                    assert event.case_id not in self.alive, "reopened while open"
                    self.alive.add(event.case_id)

    def repeat(self) -> None:
        """The same record stands in the log once more, as after a retry of its writer: nothing changes."""
        record = self.log[-1] if self.log else None
        if record is None or isinstance(record, NOT_REPEATED) or (isinstance(record, Relabel) and record.by == "deep"):
            return
        before, known = kept(self.floor), len(self.outs)
        self.append(record)
        self.counts["repeats"] += 1
        assert kept(self.floor) == before, f"{type(record).__name__} told twice has changed something"
        others = [out for out in self.outs[known:] if not isinstance(out.value, DeskEvent)]
        assert others == [], f"{type(record).__name__} told twice has told something"
        # A repeated command is answered again, and nobody else hears of it.
        assert all(out.value.seq == 0 for out in self.outs[known:])

    def lose_memory(self) -> None:
        """The worker dies, now and then while it writes; what was not written is folded again by the next owner."""
        partly = self.random.random() < 0.5
        if partly:
            self.begin_to_write()
        self.outs.clear()  # Of what was not written; it is told again.
        self.crash()
        check(self)
        self.write()
        if partly:
            assert self.part.rows.is_whole
            self.unfinished = {}
        self.counts["crashes"] += 1

    def compare_with_rows(self) -> None:
        """A floor that is built anew from the rows is the one that has folded."""
        self.write()
        assert derived(self.opened("other").index) == derived(self.floor)
        self.counts["rebuilds"] += 1


def kept(floor: Floor) -> dict[str, Any]:
    """Return all that a floor knows, so that it stays as it is now."""
    found = derived(floor)
    return {name: dict(value) if isinstance(value, dict) else value for name, value in found.items()}


def watch(floor: Floor, day: Life) -> None:
    """Look at decisions: nobody waits whom somebody free could serve, and bounds go before everything else."""
    take_next = floor.take_next

    def watched(tenant: str) -> Any:
        if day.random_of_checks() >= DECISION_SHARE:
            return take_next(tenant)
        waiting = servable(floor, tenant)
        queues = floor.queues.get(tenant)
        room = floor.rooms.get(tenant)
        free = tuple(room.free) if room is not None else ()
        made = queues._made[free[0] if len(free) == 1 else ""] if queues is not None else 0
        found = take_next(tenant)
        day.counts["decisions"] += 1
        if found is None:
            assert waiting == [], "somebody waits who could be served"
        else:
            check_bounds(floor, found[0].case_id, waiting, made)
            day.counts["bounded"] += any(is_rushed(floor, one) for one in waiting)
        return found

    floor.take_next = watched  # type: ignore[method-assign]


def servable(floor: Floor, tenant: str) -> list[Waiting]:
    """Return what waits and could be given to somebody now."""
    queues = floor.queues.get(tenant)
    if queues is None:
        return []
    known = [queues.get(case_id) for case_id in queues.places()]
    return [one for one in known if one is not None and floor.seat_for(floor.open[one.id]) is not None]


def is_rushed(floor: Floor, one: Waiting) -> bool:
    """Whether a case is over the bound of its level."""
    now, order = floor._part.rows.progress.now, floor.house.order("")
    return one.due_at < now and one.due_at + rush_ms(one.triage, order) <= now


def check_bounds(floor: Floor, taken: str, waiting: list[Waiting], made: int) -> None:
    """Cases over the bound of a level that goes first are served first, the highest; each n-th turn is an overdue one's."""
    order = floor.house.order("")
    rushed = [one for one in waiting if is_rushed(floor, one)]
    ahead = [one for one in rushed if one.triage in order.first]
    if ahead:
        highest = max(TRIAGE_RANK[one.triage] for one in ahead)
        assert taken in [one.id for one in ahead if TRIAGE_RANK[one.triage] == highest], "a bound was passed over"
    elif rushed and is_owed(made, order):
        assert taken in [one.id for one in rushed], "a turn that was owed to the overdue went to another"


def main() -> int:
    """Run it."""
    parser = argparse.ArgumentParser(prog="python -m tests.agents.longrun")
    parser.add_argument("--steps", type=int, default=1_000_000, help="records (1000000)")
    parser.add_argument("--seed", type=int, default=1, help="of everything random (1)")
    chosen = parser.parse_args()
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="zuruf-longrun-") as folder:
        day = Life(Path(folder), chosen.seed)
        for number in range(1, chosen.steps + 1):
            try:
                day.go_on(number)
            except AssertionError:
                sys.stderr.write(f"longrun: seed {chosen.seed}, step {number}\n")
                raise
            if number % 100_000 == 0:
                sys.stderr.write(f"longrun: {number} steps, {time.monotonic() - began:.0f} s\n")
    days = round((day.now - day.began) / 86_400_000, 1)
    facts = {"suite": "longrun", "ok": True, "seed": chosen.seed, "steps": chosen.steps, "days": days}
    facts |= {"seconds": round(time.monotonic() - began), "cpu_s": round(time.process_time())}
    print(json.dumps(facts | {"checks": dict(day.counts), "told": dict(day.told.most_common())}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
