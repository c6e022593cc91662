"""The order of waiting cases as a rule over heads."""

import pytest
from msgspec.structs import replace

from models.labels import Triage
from models.priority import (
    DEFAULT,
    Ahead,
    Head,
    Order,
    bound_min,
    first_of,
    order_faults,
    pressure,
    rush_at,
    urgency,
    why_of,
)
from tests.builders import NOW

MINUTE = 60_000
PROMISED: dict[Triage, float] = {"at_once": 5, "urgent": 15, "important": 60, "less": 240}


def head(name: str, triage: Triage, waited_min: float, **changes: float) -> Head:
    received_at = NOW - int(waited_min * MINUTE)
    due_at = received_at + int(PROMISED[triage] * MINUTE)
    return Head(name, triage, received_at, due_at, id=name, **changes)  # type: ignore[arg-type]


def name_of(*heads: Head, decision: int = 0, order: Order = DEFAULT) -> tuple[str, str]:
    found = first_of(heads, NOW, decision, order)
    assert found is not None
    return found[0].name, found[1]


def test_nothing_waits_and_nothing_goes_first() -> None:
    assert first_of([], NOW, 0) is None


def test_what_can_still_be_in_time_goes_before_what_is_late() -> None:
    assert name_of(head("late", "urgent", 20), head("savable", "less", 1)) == ("savable", "savable")


def test_on_the_second_of_its_due_time_a_case_can_still_be_in_time() -> None:
    assert name_of(head("just", "urgent", 15), head("late", "urgent", 16)) == ("just", "savable")


def test_a_late_case_of_the_upper_levels_goes_before_everything_once_its_rush_has_come() -> None:
    at_once = head("fresh", "at_once", 4)

    assert name_of(head("late", "urgent", 24.9), at_once) == ("fresh", "savable")
    assert name_of(head("late", "urgent", 25), at_once) == ("late", "rushed")


def test_among_rushed_ones_the_higher_level_goes_first_and_then_the_longer_wait() -> None:
    urgent, at_once, older = head("urgent", "urgent", 90), head("at once", "at_once", 20), head("older", "at_once", 21)

    assert name_of(urgent, at_once) == ("at once", "rushed")
    assert name_of(urgent, at_once, older) == ("older", "rushed")


def test_every_fifth_decision_is_owed_to_the_longest_overdue_of_the_other_levels() -> None:
    late, savable = head("late", "less", 600), head("savable", "urgent", 1)

    stages = [name_of(late, savable, decision=number) for number in range(10)]
    assert [number for number, found in enumerate(stages) if found == ("late", "owed")] == [4, 9]


def test_before_its_rush_a_late_case_is_owed_nothing() -> None:
    assert name_of(head("late", "less", 559), head("savable", "less", 1), decision=4) == ("savable", "savable")


def test_among_savable_ones_cost_counts_more_and_near_its_due_time_the_deadline_does() -> None:
    assert name_of(head("urgent", "urgent", 1), head("less", "less", 100))[0] == "urgent"
    assert name_of(head("important", "important", 1), head("less", "less", 239))[0] == "less"


def test_influence_moves_a_case_forward_among_savable_ones() -> None:
    assert name_of(head("known", "important", 5, weight=2.0), head("unknown", "important", 6)) == ("known", "savable")


def test_of_what_is_late_the_costliest_wait_goes_first() -> None:
    assert name_of(head("urgent", "urgent", 20), head("less", "less", 300)) == ("urgent", "late")


def test_of_equals_the_one_that_came_first_goes_first() -> None:
    one = head("b", "important", 5)

    assert name_of(one, replace(one, name="a", id="a"))[0] == "a"


def test_pressure_rises_towards_the_due_time_and_urgency_beyond_it() -> None:
    one = head("one", "important", 30)
    times = [NOW + number * MINUTE for number in range(120)]

    pressures, urgencies = [pressure(one, at) for at in times], [urgency(one, at) for at in times]
    assert pressures == sorted(pressures)
    assert urgencies == sorted(urgencies)


def test_the_rush_comes_as_long_after_the_due_time_as_the_tenant_says() -> None:
    order = Order(rush_min={**DEFAULT.rush_min, "less": 60.0})

    assert rush_at(head("one", "less", 0), order) == NOW + 300 * MINUTE


def test_a_decision_can_say_why_with_its_numbers() -> None:
    one = head("one", "urgent", 10, weight=1.5)

    why = why_of(one, "savable", NOW, waiting=7)
    assert (why.waited_min, why.promised_min, why.left_min, why.cost, why.waiting) == (10, 15, 5, 6, 7)
    assert why.words() == ("order savable: can be in time: 5 min left of 15, cost 6, 7 waiting",)


@pytest.mark.parametrize("stage", ["rushed", "owed", "savable", "late"])
def test_each_stage_has_words_of_its_own(stage: str) -> None:
    (words,) = why_of(head("one", "urgent", 30), stage, NOW, 1).words()  # type: ignore[arg-type]

    assert words.startswith(f"order {stage}: ")


def test_a_bound_is_promise_and_rush_and_what_goes_before() -> None:
    alone = Ahead(promised_min=15, cases=0, reps=4, handling_min=8)

    assert bound_min("urgent", alone) == 15 + 10 + 2
    assert bound_min("less", replace(alone, promised_min=240)) == 240 + 320 + 5 * 2
    assert bound_min("less", replace(alone, promised_min=240, cases=3, longest_min=30)) == 560 + 30 + 4 * 5 * 2


def test_nobody_bounds_the_wait_of_a_class_that_nobody_takes() -> None:
    with pytest.raises(ValueError, match="a bound with 0 reps"):
        bound_min("urgent", Ahead(15, 0, 0, 8))


@pytest.mark.parametrize(
    ("order", "key"),
    [
        (Order(cost={**DEFAULT.cost, "urgent": 1.0}), "cost.urgent"),
        (Order(rush_min={**DEFAULT.rush_min, "important": 400.0}), "rush_min.important"),
        (Order(first=("urgent",)), "first"),
    ],
    ids=["a lower level costs more", "a lower level is rushed sooner", "a level goes first without the one above"],
)
def test_an_order_that_turns_levels_around_is_refused(order: Order, key: str) -> None:
    assert [fault[0] for fault in order_faults(order)] == [key]


def test_the_default_order_is_sound() -> None:
    assert list(order_faults(DEFAULT)) == []
