"""
Hypothesis writes the log: any order of records, losses of memory and repeats, cut down to the shortest that breaks a rule.

The long form, with records in a balance and a million of them, is ``python -m tests.agents.longrun``.
"""

import random
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from msgspec.structs import replace

from models import records as r
from models.cases import IN_HAND, Case, holder_of
from tests.agents.longrun import Life
from tests.agents.test_floor_properties import REPS, TENANT, check

KINDS = (
    "post",
    "desk",
    "down",
    "accept",
    "reject",
    "reply",
    "publish",
    "close",
    "edit",
    "relabel",
    "life",
    "incident",
    "tick",
)


class Floor(RuleBasedStateMachine):
    """A floor, and what can happen to it."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory(prefix="zuruf-stateful-")
        self.day = Life(Path(self.folder.name), 0)
        for rep in REPS:
            role: r.Role = "supervisor" if rep == "sue" else "rep"
            self.day.append(r.DeskUp(self.day.now, TENANT, rep, f"{rep}-0", "g0", role))

    def teardown(self) -> None:
        self.day.db.close()
        self.folder.cleanup()

    @rule(kind=st.sampled_from(KINDS), seed=st.integers(0, 2**32), waited_ms=st.integers(0, 20_000))
    def happens(self, kind: str, seed: int, waited_ms: int) -> None:
        """A record of any kind, whether it fits or not."""
        self.day.number += 1
        self.day.now += waited_ms
        self.day.random = random.Random(seed)
        self.day.append(getattr(self.day, f"_{kind}")())

    @rule(rep=st.sampled_from(REPS), state=st.sampled_from(["available", "available", "busy", "away", "offline"]))
    def says(self, rep: str, state: str) -> None:
        """A rep comes, or goes."""
        self.day.number += 1
        name = f"k{self.day.number}"
        self.day.append(r.SetPresence(self.day.now, TENANT, rep, f"{rep}-0", name, state))  # type: ignore[arg-type]

    @rule()
    def is_written(self) -> None:
        """The group is written: desks see it."""
        self.day.write()

    @rule(seed=st.integers(0, 2**32))
    def loses_its_memory(self, seed: int) -> None:
        """The worker dies, now and then while it writes."""
        self.day.random = random.Random(seed)
        self.day.lose_memory()

    @precondition(lambda self: self.day.log)
    @rule()
    def is_told_twice(self) -> None:
        """The last record stands in the log once more."""
        self.day.repeat()

    @rule()
    def is_read_from_its_rows(self) -> None:
        """What is kept in memory is what the rows say."""
        self.day.compare_with_rows()

    @invariant()
    def holds(self) -> None:
        """Capacity, one owner, one state, one place."""
        check(self.day)


TestFloor = Floor.TestCase
TestFloor.settings = settings(
    max_examples=25, stateful_step_count=60, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True
)


@pytest.mark.parametrize("seed", range(4))
def test_a_long_day_keeps_capacity_owners_cases_and_bounds_and_repeats_change_nothing(
    tmp_path: Path, seed: int
) -> None:
    day = Life(tmp_path, seed)
    for number in range(1, 4_001):
        day.go_on(number)

    assert all(count > 0 for name, count in day.counts.items() if name != "bounded")  # Not every day comes to a bound.
    assert {"Opened", "Offered", "Accepted", "Answered", "held", "forwarded", "approved", "assigned"} <= day.told.keys()


def in_hand(day: Life) -> Case:
    return next(case for case in day.floor.open.values() if case.state in IN_HAND)


def held_by_nobody(day: Life) -> None:
    case = in_hand(day)
    del day.floor.held[f"{TENANT}|{holder_of(case)}"][case.case_id]


def held_by_two(day: Life) -> None:
    case = in_hand(day)
    other = next(rep for rep in REPS if rep != holder_of(case))
    day.floor.held.setdefault(f"{TENANT}|{other}", {})[case.case_id] = None


def forgotten(day: Life) -> None:
    case = in_hand(day)
    day.floor.held[f"{TENANT}|{holder_of(case)}"].pop(case.case_id)
    day.floor.by_conversation.pop((case.tenant, case.conversation_uri))
    del day.floor.open[case.case_id]


def in_two_states(day: Life) -> None:
    day.floor.approvals[next(case.case_id for case in day.floor.open.values() if case.state == "queued")] = None


def beyond_the_capacity(day: Life) -> None:
    many = [replace(in_hand(day), case_id=f"c9-{number}", assigned=False, units=9) for number in range(2)]
    for case in many:
        day.floor.save(None, replace(case, conversation_uri=case.case_id))


@pytest.mark.parametrize("wrong", [held_by_nobody, held_by_two, forgotten, in_two_states, beyond_the_capacity])
def test_the_referee_sees_a_case_that_is(tmp_path: Path, wrong: Callable[[Life], None]) -> None:
    day = Life(tmp_path, 7)
    for number in range(1, 500):
        day.go_on(number)
    while not any(case.state in IN_HAND for case in day.floor.open.values()):
        day.append(day.next())
    wrong(day)

    with pytest.raises(AssertionError):
        check(day)
        day.write()
