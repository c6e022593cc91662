"""Class queues: the same decisions as the rule over heads, whatever comes and goes."""

import random
from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from msgspec.structs import replace

from models.labels import Triage
from models.priority import DEFAULT, Order, first_of, rush_at
from models.queues import EMPTY_MAX, GONE_MAX, ClassQueues, Waiting, as_head

MINUTE = 60_000
START = 1_700_000_000_000
PROMISED: dict[Triage, int] = {"at_once": 5, "urgent": 15, "important": 60, "less": 240, "spam": 1440}
TRIAGES: tuple[Triage, ...] = ("at_once", "urgent", "important", "less", "spam")
LANGUAGES = ("de", "en", "fr")


def a_waiting(case_id: str = "c1", triage: Triage = "important", received_at: int = START, **changes: Any) -> Waiting:
    language = changes.pop("language", "de")
    due_at = received_at + PROMISED[triage] * MINUTE
    return replace(Waiting(case_id, (triage, language), triage, received_at, due_at, what=language), **changes)


def anybody(one: Waiting) -> str:
    return "rep"


def test_what_waits_is_taken_once() -> None:
    queues = ClassQueues()
    queues.add(a_waiting())

    found = queues.take(START, anybody)
    assert found is not None
    assert (found[0].id, found[1], found[2].stage, found[2].waiting) == ("c1", "rep", "savable", 1)
    assert queues.take(START, anybody) is None


def test_a_case_that_nobody_gets_is_passed_over_and_stays() -> None:
    queues = ClassQueues()
    queues.add(a_waiting("c1", "at_once"))
    queues.add(a_waiting("c2", "less"))

    found = queues.take(START, lambda one: "rep" if one.id == "c2" else None)
    assert found is not None
    assert (found[0].id, list(queues.places())) == ("c2", ["c1"])


def test_a_late_case_does_not_hide_those_of_its_class_that_can_still_be_in_time() -> None:
    queues = ClassQueues()
    queues.add(a_waiting("late", "urgent", START - 20 * MINUTE))
    queues.add(a_waiting("savable", "urgent", START - 5 * MINUTE))

    found = queues.take(START, anybody)
    assert found is not None
    assert (found[0].id, found[2].stage) == ("savable", "savable")


def test_what_only_got_another_text_keeps_its_place_and_leaves_no_entry_behind() -> None:
    queues = ClassQueues()
    for _ in range(100):
        queues.add(a_waiting())

    assert queues.entries == 1


def test_a_case_that_became_more_pressing_waits_in_its_new_class_alone() -> None:
    queues = ClassQueues()
    queues.add(a_waiting("c1", "important"))
    queues.add(a_waiting("c1", "urgent"))

    assert (len(queues), queues.places()["c1"][0]) == (1, ("urgent", "de"))


def test_taking_out_what_does_not_wait_is_an_error() -> None:
    with pytest.raises(KeyError):
        ClassQueues().remove("c1")


def test_entries_of_what_was_withdrawn_do_not_pile_up() -> None:
    queues = ClassQueues()
    queues.add(a_waiting("first"))
    for number in range(5 * GONE_MAX):
        queues.add(a_waiting(f"c{number}", received_at=START + number))
        queues.remove(f"c{number}")

    assert queues.entries <= GONE_MAX + 2


def test_classes_that_nobody_waits_in_any_more_do_not_pile_up() -> None:
    queues = ClassQueues()
    for number in range(3 * EMPTY_MAX):
        queues.add(a_waiting(f"c{number}", language=f"l{number}"))
        queues.remove(f"c{number}")
    queues.add(a_waiting("last"))

    assert queues._due.shape[1] <= 4 * EMPTY_MAX
    assert queues.take(START, anybody) is not None


def test_with_few_free_reps_only_their_classes_are_looked_at() -> None:
    asked: list[str] = []

    def seat_of(one: Waiting) -> str | None:
        asked.append(one.id)
        return "rep"

    queues = ClassQueues(suits=lambda who, one, step: one.what == who)
    for number, language in enumerate(LANGUAGES):
        queues.add(a_waiting(f"c{number}", language=language))

    found = queues.take(START, seat_of, ("fr",))
    assert found is not None
    assert (found[0].id, asked) == ("c2", ["c2"])


def test_a_class_that_is_new_is_asked_for_too() -> None:
    queues = ClassQueues(suits=lambda who, one, step: one.what == who)
    queues.add(a_waiting("c1", language="de"))
    assert queues.take(START, anybody, ("fr",)) is None
    queues.add(a_waiting("c2", language="fr"))

    assert queues.take(START, anybody, ("fr",)) is not None


def test_the_share_of_the_overdue_is_each_reps_own() -> None:
    """Else one rep could make every fifth decision, and the overdue of another's language would never be owed one."""
    queues = ClassQueues(Order(every=2), lambda who, one, step: one.what == who)
    for number in range(12):
        queues.add(a_waiting(f"d{number}", "urgent", language="de"))
        queues.add(a_waiting(f"f{number}", "urgent", language="fr"))
    queues.add(a_waiting("overdue", "less", START - 600 * MINUTE, language="fr"))

    # The two reps take turns, so the German one makes decisions 0, 2, 4, and the French one 1, 3, 5 of all.
    taken = [queues.take(START, anybody, (who,)) for _ in range(3) for who in ("de", "fr")]
    assert "owed" in [found[2].stage for found in taken if found is not None]


def waitings() -> st.SearchStrategy[Waiting]:
    return st.builds(
        lambda number, triage, language, ago, weight: a_waiting(
            f"c{number}", triage, START - ago * MINUTE, language=language, weight=weight
        ),
        st.integers(0, 10_000),
        st.sampled_from(TRIAGES),
        st.sampled_from(LANGUAGES),
        st.integers(0, 1_000),
        st.sampled_from([1.0, 1.0, 1.3, 2.0]),
    )


def orders() -> st.SearchStrategy[Order]:
    return st.builds(
        lambda every, soon_min, first: Order(every=every, soon_min=soon_min, first=first),
        st.integers(2, 12),
        st.sampled_from([0.1, 5.0, 60.0]),
        st.sampled_from([(), ("at_once",), ("at_once", "urgent")]),
    )


@settings(max_examples=150, deadline=None)
@given(st.lists(waitings(), max_size=40, unique_by=lambda one: one.id), orders())
def test_the_queues_decide_as_the_rule_does_over_all_heads(cases: list[Waiting], order: Order) -> None:
    queues = ClassQueues(order)
    left = {one.id: one for one in cases}
    for one in cases:
        queues.add(one)
    now = START
    for decision in range(len(cases)):
        now += 7 * MINUTE
        # The rule is asked about every case: heads alone must do as well, since within a class the first one wins.
        meant = first_of([as_head(one) for one in _firsts(left.values(), now)], now, decision, order)
        found = queues.take(now, anybody)
        assert meant is not None
        assert found is not None
        assert (found[0].id, found[2].stage) == (meant[0].id, meant[1])
        del left[found[0].id]
    assert not len(queues)


def _firsts(cases: Any, now: int) -> list[Waiting]:
    """Return the head of each class of what can still be in time, and of what is late."""
    heads: dict[Any, Waiting] = {}
    for one in sorted(cases, key=lambda one: (one.due_at, one.received_at, one.id)):
        heads.setdefault((one.key, one.due_at < now), one)
    return list(heads.values())


@settings(max_examples=100, deadline=None)
@given(st.lists(waitings(), min_size=1, max_size=30, unique_by=lambda one: one.id), st.integers(1, 500))
def test_the_order_of_two_cases_of_one_class_never_turns_around(cases: list[Waiting], minutes: int) -> None:
    queues = ClassQueues()
    for one in cases:
        queues.add(replace(one, weight=1.0, key=(one.triage,)))
    taken: dict[Any, list[int]] = {}
    while (found := queues.take(START + minutes * MINUTE, anybody)) is not None:
        late = found[0].due_at < START + minutes * MINUTE
        taken.setdefault((found[0].triage, late), []).append(found[0].due_at)

    assert all(due == sorted(due) for due in taken.values())


class Day(RuleBasedStateMachine):
    """
    Cases come and go, time passes, reps decide.

    Each open case waits in exactly one place; while one of the upper levels is rushed, nothing else is taken; what is owed goes
    to the longest overdue.
    """

    def __init__(self) -> None:
        super().__init__()
        self.order = DEFAULT
        self.queues = ClassQueues()
        self.now = START
        self.number = 0
        self.open: dict[str, Waiting] = {}

    @initialize(every=st.integers(2, 6), overdue=st.integers(0, 8))
    def begin(self, every: int, overdue: int) -> None:
        self.order = Order(every=every)
        self.queues = ClassQueues(self.order)
        for _ in range(overdue):
            self.come("less", 700, "de")

    @rule(triage=st.sampled_from(TRIAGES[:4]), ago=st.integers(0, 700), language=st.sampled_from(LANGUAGES))
    def come(self, triage: Triage, ago: int, language: str) -> None:
        self.number += 1
        one = a_waiting(f"c{self.number}", triage, self.now - ago * MINUTE, language=language)
        self.open[one.id] = one
        self.queues.add(one)

    @rule(minutes=st.integers(1, 200))
    def pass_time(self, minutes: int) -> None:
        self.now += minutes * MINUTE

    @precondition(lambda self: self.open)
    @rule(data=st.data())
    def leave(self, data: Any) -> None:
        case_id = data.draw(st.sampled_from(sorted(self.open)))
        self._gone(case_id)
        self.queues.remove(case_id)

    @precondition(lambda self: self.open)
    @rule(times=st.integers(1, 8))
    def decide(self, times: int) -> None:
        for _ in range(min(times, len(self.open))):
            self._decide()

    def _decide(self) -> None:
        rushed = [one for one in self.open.values() if rush_at(as_head(one), self.order) <= self.now]
        first = [one for one in rushed if one.triage in self.order.first]
        others = [one for one in rushed if one.triage not in self.order.first]
        found = self.queues.take(self.now, anybody)
        assert found is not None
        if first:
            assert found[0] in first
        elif found[2].stage == "owed":
            assert self._rush(found[0]) == min(map(self._rush, others))
        self._gone(found[0].id)

    def _rush(self, one: Waiting) -> int:
        return rush_at(as_head(one), self.order)

    def _gone(self, case_id: str) -> None:
        del self.open[case_id]

    @invariant()
    def every_case_waits_in_one_place(self) -> None:
        assert set(self.queues.places()) == set(self.open)


TestDay = Day.TestCase
TestDay.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)


@settings(max_examples=60, deadline=None)
@given(st.integers(2, 8), st.integers(1, 6), st.data())
def test_the_overdue_are_served_within_their_turns_however_much_comes(every: int, overdue: int, data: Any) -> None:
    """The (k+1)-th rushed case of a lower level is taken within (k+1) x every decisions, whatever arrives meanwhile."""
    queues = ClassQueues(Order(every=every))
    for number in range(overdue):
        queues.add(a_waiting(f"o{number}", "less", START - (700 - number) * MINUTE))
    served: list[int] = []
    for decision in range(overdue * every):
        for number in range(3):  # More than is served: what can be in time never runs out.
            triage = data.draw(st.sampled_from(TRIAGES[:4]), label="triage")
            queues.add(a_waiting(f"f{decision}-{number}", triage, START))
        found = queues.take(START, anybody)
        assert found is not None
        if found[0].id.startswith("o"):
            served.append(decision + 1)

    assert len(served) == overdue
    assert all(turn <= (place + 1) * every for place, turn in enumerate(served))


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 6), st.data())
def test_rushed_cases_of_the_upper_levels_are_served_at_once_whatever_comes(rushed: int, data: Any) -> None:
    queues = ClassQueues()
    for number in range(rushed):
        queues.add(a_waiting(f"u{number}", "urgent", START - (60 - number) * MINUTE))
    for number in range(20):
        queues.add(a_waiting(f"f{number}", data.draw(st.sampled_from(TRIAGES[:4])), START))

    taken = [queues.take(START, anybody) for _ in range(rushed)]
    assert [found[0].id for found in taken if found] == [f"u{number}" for number in range(rushed)]


@settings(max_examples=80, deadline=None)
@given(st.lists(waitings(), max_size=60, unique_by=lambda one: one.id), st.integers(0, 2**32))
def test_with_some_free_the_first_in_the_rules_order_that_somebody_can_take_is_taken(
    cases: list[Waiting], seed: int
) -> None:
    """The masks of classes and the moments kept for lateness and rushes change the cost of a decision, never what it is."""
    draw = random.Random(seed)
    queues = ClassQueues(suits=lambda who, one, step: one.what == who)
    left: dict[str, Waiting] = {}
    now, made = START - 600 * MINUTE, Counter[str]()
    coming = list(cases)
    while coming or left:
        now += draw.choice([0, 1, 3 * MINUTE, 40 * MINUTE])
        for _ in range(min(len(coming), draw.randrange(4))):
            one = coming.pop()
            left[one.id] = one
            queues.add(one)
        if left and draw.random() < 0.1:
            queues.remove(left.popitem()[0])
        free = draw.sample(LANGUAGES, draw.randrange(len(LANGUAGES)))
        heads = [as_head(one) for one in _firsts(left.values(), now) if one.what in free]
        who = free[0] if len(free) == 1 else ""
        meant = first_of(heads, now, made[who], DEFAULT)
        found = queues.take(now, lambda one: one.what if one.what in free else None, free)  # noqa: B023
        assert (None if found is None else (found[0].id, found[2].stage)) == (
            None if meant is None else (meant[0].id, meant[1])
        )
        if found is not None:
            made[who] += 1
            del left[found[0].id]
