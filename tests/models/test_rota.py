"""Reps by hour of the week: the shape by Erlang, what closed hours put off, and the simulator's word on it."""

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from msgspec.structs import replace

from models.arrivals import Handling, Mix
from models.brands import ALWAYS, ServiceHours, ServiceLevel, Shift
from models.rota import (
    STEP,
    STEPS_MAX,
    Demand,
    Goal,
    check,
    first_numbers,
    open_by_hour,
    plan,
    shifts_of,
    week_of,
    work_by_hour,
)
from models.sla import open_hours
from models.staffing import Load, reps_needed

HOUR = 3_600_000
OFFICE = ServiceHours("Europe/Berlin", tuple(Shift(day, 510, 1200) for day in range(5)))
DAY = (*([1.0] * 7), *([9.0] * 5), *([12.0] * 8), *([3.0] * 4))


def a_demand(hours: ServiceHours = ALWAYS, *, zone: str = "UTC", **fields: object) -> Demand:
    monday = datetime(2026, 1, 12, tzinfo=ZoneInfo(zone))
    demand = Demand(
        means=DAY * 7,
        levels=Mix().levels,
        brands={"red": 1.0},
        promises={"red": ServiceLevel()},
        hours={"red": open_hours(hours)},
        monday_at=int(monday.timestamp() * 1000),
        handling=Handling(),
    )
    return replace(demand, **fields)


def test_hours_are_open_in_part_where_a_shift_begins_within_one() -> None:
    opened = open_by_hour(a_demand(OFFICE, zone="Europe/Berlin"))

    assert opened[7:10] == (0.0, 0.5, 1.0)
    assert opened[19:21] == (1.0, 0.0)
    assert sum(opened) == pytest.approx(5 * 11.5)
    assert open_by_hour(a_demand()) == (1.0,) * 168


def test_what_comes_while_nobody_is_there_is_worked_on_when_its_promise_begins() -> None:
    """Urgent cases within the first hour, those that have four hours over the first four; nothing is lost."""
    demand = a_demand(OFFICE, zone="Europe/Berlin")
    opened, work = open_by_hour(demand), work_by_hour(demand)
    only_less = work_by_hour(replace(demand, levels={"less": 1.0}))
    only_urgent = work_by_hour(replace(demand, levels={"urgent": 1.0}))

    for one in (work, only_less, only_urgent):
        assert sum(cases * share for cases, share in zip(one, opened, strict=True)) == pytest.approx(sum(DAY) * 7)
        assert all(cases == 0 for cases, share in zip(one, opened, strict=True) if share == 0)
    night = sum(DAY[20:]) + sum(DAY[:8])
    tuesday = 24 + 8
    assert only_urgent[tuesday] * 0.5 == pytest.approx(night + 9)
    assert only_urgent[tuesday] * 0.5 + sum(only_urgent[tuesday + 1 : tuesday + 4]) == pytest.approx(night + 9 + 27)
    assert only_less[tuesday] * 0.5 == pytest.approx(night / 4 + 9)
    assert only_less[tuesday + 3] == pytest.approx(night / 4 + 9)
    assert only_less[tuesday + 4] == pytest.approx(12)


def test_with_one_level_the_first_numbers_are_erlangs() -> None:
    demand = a_demand(levels={"urgent": 1.0}, patience_min=30.0)
    goal = Goal(0.9, 0.85)

    numbers = first_numbers(demand, goal)

    for hour in (0, 8, 14, 21):
        load = Load(DAY[hour], 480, 1800)
        assert numbers[hour] == reps_needed(load, 0.9, 900, occupancy_max=0.85)
    assert numbers == numbers[:24] * 7


def test_the_same_seed_gives_the_same_week_and_the_means_are_those_asked_for() -> None:
    demand = a_demand()
    many = [week_of(demand, seed) for seed in range(30)]
    inside = [[one for one in week if one.at >= demand.monday_at] for week in many]

    assert [one.at for one in many[3]] == [one.at for one in week_of(demand, 3)]
    assert sum(map(len, inside)) / 30 == pytest.approx(sum(DAY) * 7, rel=0.02)
    assert [one.at for one in many[0]] == sorted(one.at for one in many[0])
    assert sum(one.handling_ms for week in many for one in week) / sum(map(len, many)) == pytest.approx(
        480_000, rel=0.03
    )


def test_counts_vary_as_much_as_they_did() -> None:
    demand = a_demand(dispersion=4.0)
    counts = []
    for seed in range(12):
        hours = [0] * 168
        for one in week_of(demand, seed):
            if one.at >= demand.monday_at:
                hours[(one.at - demand.monday_at) // HOUR] += 1
        counts += [count for hour, count in enumerate(hours) if hour % 24 in range(12, 20)]
    mean = sum(counts) / len(counts)

    assert mean == pytest.approx(12, rel=0.1)
    assert sum((count - mean) ** 2 for count in counts) / len(counts) / mean == pytest.approx(4.0, rel=0.25)


def test_the_nth_rep_is_there_whenever_n_are_wanted() -> None:
    demand = a_demand()
    reps = [*([0] * 8), *([2] * 4), *([1] * 4), *([3] * 4), *([0] * 4)] * 7

    shifts = shifts_of(reps, demand)

    for hour in range(168):
        at = demand.monday_at + hour * HOUR
        there = sum(any(start <= at < end for start, end in spans) for spans in shifts.values())
        assert there == reps[hour]
    assert shifts["r0000"][3] == (demand.monday_at + 8 * HOUR, demand.monday_at + 20 * HOUR)


def test_more_reps_keep_more_promises_and_nobody_keeps_none() -> None:
    demand = a_demand()
    shares = [check(demand, [reps] * 168, [0]).in_time for reps in (1, 2, 3)]

    assert shares == sorted(shares)
    assert shares[0] < 0.7 < 0.99 < shares[2]
    assert check(demand, [0] * 168, [0]).in_time == 0.0


def test_a_customer_who_gives_up_is_not_in_time() -> None:
    endless, hasty = (check(a_demand(patience_min=minutes), [1] * 168, [0, 1]) for minutes in (0.0, 10.0))

    assert hasty.mean_wait_min < endless.mean_wait_min
    assert hasty.in_time < 0.9


@pytest.mark.parametrize("hours", [ALWAYS, OFFICE], ids=["always", "office"])
def test_a_plan_keeps_its_goal_with_seeds_it_was_not_made_with_and_one_step_less_does_not(hours: ServiceHours) -> None:
    demand = a_demand(hours, zone="Europe/Berlin")
    goal = Goal(0.95, 0.9)

    found = plan(demand, goal, range(3))

    assert found.is_kept
    assert found.checked.in_time >= 0.95
    assert found.checked.occupancy <= 0.9
    less = check(demand, first_numbers(demand, goal, scale=found.scale / STEP), range(3))
    assert (
        less.in_time < 0.95
        or less.occupancy > 0.9
        or first_numbers(demand, goal, scale=found.scale / STEP) == found.reps
    )
    assert check(demand, found.reps, range(100, 106)).in_time > 0.93


def test_the_simulator_saves_reps_where_most_work_may_wait() -> None:
    found = plan(a_demand(levels={"less": 0.9, "urgent": 0.1}), Goal(0.95, 0.95), range(3))

    assert found.is_kept
    assert sum(found.reps) < 0.95 * sum(found.first)


def test_of_each_level_takes_more_than_of_all() -> None:
    demand = a_demand()
    of_all, of_each = (plan(demand, Goal(0.95, 0.9, each_level=each), range(3)) for each in (False, True))

    assert min(of_all.checked.by_level.values()) < 0.95 <= min(of_each.checked.by_level.values())
    assert sum(of_each.reps) > sum(of_all.reps)


def test_what_nobody_can_keep_is_said_and_not_promised() -> None:
    """Who writes at night and waits for half an hour has gone when they open, however many they are."""
    found = plan(a_demand(OFFICE, zone="Europe/Berlin", patience_min=30.0), Goal(0.95, 0.9), range(2))

    assert not found.is_kept
    assert found.scale <= STEP**STEPS_MAX
    assert 0.5 < found.checked.in_time < 0.9


def test_hours_that_never_open_are_refused() -> None:
    demand = a_demand(ServiceHours("UTC", (Shift(0, 0, 60),)))

    with pytest.raises(ValueError, match="nobody is ever there"):
        work_by_hour(replace(demand, monday_at=demand.monday_at, hours={"red": _Closed(OFFICE)}))


class _Closed(type(open_hours(OFFICE))):  # type: ignore[misc]  # the class of a value
    def open_ms(self, from_at: int, to_at: int) -> int:
        return 0
