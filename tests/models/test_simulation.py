"""The simulation: the same requests for all rules, nobody lost, nobody served twice, and what it came to."""

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from models.arrivals import LEVELS, Habits, Handling, Peak, Recorded, recorded_requests, requests_of, shares_of_day
from models.brands import ServiceHours, Shift
from models.outcomes import Compared, figures_of, quantile
from models.peers import PEERS, PeerQueues
from models.priority import DEFAULT, Order
from models.queues import ClassQueues
from models.reps import RepProfile
from models.routing import ranked
from models.scenarios import (
    Crew,
    Scenario,
    crew_for,
    engine_line,
    floor_for,
    offered_reps,
    requests_for,
    scenario_of,
    shifts_of,
    what_if,
    with_more,
)
from models.simulation import Outcome, Run

HOUR = 3_600_000
SMALL = Scenario("small", crew_for(1000, 480, 1.0), days=0.5, per_day=1000)


def run(scenario: Scenario, rule: str = "default", seed: int = 0) -> Outcome:
    line = engine_line(scenario) if rule == "default" else PeerQueues(PEERS[rule])
    return Run(floor_for(scenario), line).go(requests_for(scenario, seed))


# -- what comes


def test_the_same_seed_gives_the_same_requests() -> None:
    assert requests_of(3, 1, 500) == requests_of(3, 1, 500) != requests_of(4, 1, 500)


def test_habits_do_not_move_what_comes() -> None:
    plain = requests_of(1, 1, 500)
    habits = Habits(patience_min=30, repeat_share=0.5, confusion={"less": {"spam": 1.0}})
    other = requests_of(1, 1, 500, habits=habits)

    assert [(one.at, one.triage, one.handling_ms) for one in plain] == [
        (one.at, one.triage, one.handling_ms) for one in other
    ]


def test_handling_has_the_mean_it_was_given() -> None:
    requests = requests_of(0, 20, 2000, handling=Handling(mean_s=300, cv=0.5))

    assert sum(one.handling_ms for one in requests) / len(requests) == pytest.approx(300_000, rel=0.02)


def test_a_peak_brings_its_factor_and_its_incident() -> None:
    peak = Peak(12 * 3600, 15 * 3600, 5, incident_share=0.7)
    plain, more = requests_of(0, 1, 20_000), requests_of(0, 1, 20_000, peak=peak)

    def inside(requests: list) -> list:  # type: ignore[type-arg]
        return [one for one in requests if 12 * HOUR <= one.at < 15 * HOUR]

    assert len(inside(more)) / len(inside(plain)) == pytest.approx(5, rel=0.1)
    share = sum(one.incident for one in inside(more)) / len(inside(more))
    assert share == pytest.approx(0.7 * 0.8, abs=0.03)


def test_a_profile_of_the_wrong_length_is_refused() -> None:
    with pytest.raises(ValueError, match="24 weights"):
        shares_of_day([1.0] * 23)


def test_recorded_requests_keep_their_times_and_their_triage() -> None:
    recorded = [Recorded(1000 * at, "urgent", "de", "brand") for at in range(5)]

    made = recorded_requests(0, recorded)
    assert [(one.at, one.triage, one.seen) for one in made] == [(1000 * at, "urgent", "urgent") for at in range(5)]


# -- who is there


def test_the_crew_of_the_reference_has_as_many_hours_as_there() -> None:
    assert sum(scenario_of("c1").crew.by_hour) == 591
    assert sum(offered_reps(4500, 480)) == pytest.approx(600)


def test_more_reps_are_there_at_all_hours() -> None:
    crew = crew_for(4500, 480, 1.0)
    more = with_more(crew, 3)

    assert [a - b for a, b in zip(more.by_hour, crew.by_hour, strict=True)] == [3] * 24
    assert len(more.reps) == len(crew.reps) + 3


def test_copies_of_reps_are_there_when_their_models_are() -> None:
    hours = ServiceHours(week=(Shift(0, 8 * 60, 16 * 60),))
    crew = with_more(Crew((RepProfile("anna", "Anna"),), hours={"anna": hours}), 2)
    monday = 4 * 24 * HOUR

    assert [rep.id for rep in crew.reps] == ["anna", "anna+1", "anna+2"]
    assert set(shifts_of(crew, monday, monday + 24 * HOUR).values()) == {((monday + 8 * HOUR, monday + 16 * HOUR),)}


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("reps", "is no change"),
        ("chairs=+3", "is no change"),
        ("reps=three", "wanted 1 to 5000"),
        ("load=0.5", "gives 0.5; wanted 1 to 4000000 requests a day"),
        ("every=1", "wanted 2 to 100"),
        ("cost.urgent=9", "a higher level costs more"),
    ],
)
def test_a_change_that_cannot_be_is_refused(change: str, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        what_if(SMALL, change)


def test_changes_reach_what_they_name() -> None:
    changed = what_if(SMALL, "reps=+2,load=*2,handling=-60,every=8,rush_min.less=400,promise.urgent=20,patience=30")

    assert (changed.per_day, changed.handling.mean_s, changed.order.every) == (2000, 420, 8)
    assert (changed.order.rush_min["less"], changed.habits.patience_min) == (400, 30)
    assert changed.levels["brand"].first_answer.urgent == 20
    assert len(changed.crew.reps) == len(SMALL.crew.reps) + 2


# -- runs


@pytest.mark.parametrize("rule", ["default", *PEERS])
def test_everybody_is_served_once_and_no_rep_does_two_things_at_a_time(rule: str) -> None:
    outcome = run(SMALL, rule)

    assert {one.end for one in outcome.served} == {"answered"}
    assert outcome.decisions == len(outcome.served)
    by_rep: dict[str, list[tuple[int, int]]] = {}
    for one in outcome.served:
        assert one.taken_at >= one.request.at
        by_rep.setdefault(one.rep_id, []).append((one.taken_at, one.ended_at))
    for spans in map(sorted, by_rep.values()):
        assert all(end <= start for (_, end), (start, _) in pairwise(spans))


def test_a_rep_gets_only_what_they_speak() -> None:
    reps = {rep.id: rep for rep in SMALL.crew.reps}

    for one in run(SMALL).served:
        assert f"lang:{one.request.language}" in reps[one.rep_id].skills


def test_a_run_again_is_the_same() -> None:
    first, second = run(SMALL), run(SMALL)

    assert [one.taken_at for one in first.served] == [one.taken_at for one in second.served]


def test_who_has_no_patience_gives_up_and_is_not_in_time() -> None:
    figures = figures_of(run(replace(SMALL, per_day=3000, habits=Habits(patience_min=10))))

    assert figures.given_up > 0.1
    assert figures.answered + figures.given_up == pytest.approx(1)
    assert figures.in_time <= figures.answered


def test_what_is_taken_for_spam_is_never_answered() -> None:
    habits = Habits(confusion={"less": {"spam": 1.0}})
    outcome = run(replace(SMALL, habits=habits))

    assert {one.end for one in outcome.served if one.request.triage == "less"} == {"taken_for_spam"}
    assert figures_of(outcome).by_triage["less"].in_time == 0


def test_who_writes_again_becomes_more_pressing() -> None:
    crowded = replace(SMALL, per_day=3000)
    patient, pressing = run(crowded), run(replace(crowded, habits=Habits(repeat_share=0.9, repeat_after_min=5)))

    again = [place for place, one in enumerate(pressing.served) if one.posts > 1 and one.request.triage == "less"]
    assert again

    def waited(outcome: Outcome) -> float:
        return sum(outcome.served[place].taken_at - outcome.served[place].request.at for place in again)

    assert waited(pressing) < waited(patient)


def test_a_rep_whose_shift_ends_finishes_and_gets_nothing_more() -> None:
    scenario = scenario_of("c1")
    shifts = floor_for(scenario).shifts
    outcome = run(replace(scenario, days=0.5))

    for one in outcome.served:
        assert any(start <= one.taken_at < end for start, end in shifts[one.rep_id])


# -- figures


def test_a_quantile_is_a_value_that_came() -> None:
    assert [quantile([1, 2, 3, 4], share) for share in (0, 0.25, 0.5, 0.51, 1)] == [1, 1, 2, 3, 4]


def test_a_rule_differs_from_itself_by_nothing() -> None:
    figures = figures_of(run(SMALL))

    assert Compared((figures, figures), (figures, figures)).difference("in_time") == (0.0, 0.0)


def test_shares_by_level_make_the_share_of_all() -> None:
    figures = figures_of(run(SMALL, "gcmu"))

    inside = sum(one.requests * one.in_time for one in figures.by_triage.values())
    assert inside / figures.requests == pytest.approx(figures.in_time)


# -- promises of the order


def test_the_default_keeps_more_promises_than_any_other_rule() -> None:
    scenario = replace(scenario_of("c1"), days=1.0)
    shares = {rule: figures_of(run(scenario, rule)).in_time for rule in ("default", *PEERS)}

    assert max(shares, key=lambda rule: shares[rule]) == "default"


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    load=st.floats(0.5, 1.3),
    every=st.integers(2, 12),
    less=st.integers(200, 600),
    capacity=st.integers(1, 3),
)
def test_no_class_starves(seed: int, load: float, every: int, less: int, capacity: int) -> None:
    crew = crew_for(600, 480, load)
    crew = replace(crew, reps=tuple(replace(rep, capacity=capacity) for rep in crew.reps))
    order = Order(rush_min=dict(DEFAULT.rush_min) | {"less": less}, every=every)
    scenario = Scenario("any", crew, days=0.3, per_day=600, order=order)
    outcome = run(scenario, seed=seed)

    assert {one.end for one in outcome.served} == {"answered"}
    for level in LEVELS:
        assert (
            figures_of(outcome).by_triage.get(level) is None or figures_of(outcome).by_triage[level].longest_min < 2880
        )


def test_a_mask_says_no_only_where_the_ranking_does() -> None:
    scenario = scenario_of("c1")
    line = engine_line(scenario)

    assert isinstance(line, ClassQueues)
    request = requests_for(replace(scenario, days=0.1), 0)[0]
    able = ranked(Run(floor_for(scenario), line)._all.values(), request.language, request.subject, request.brand_id)
    assert len(able) == sum(f"lang:{request.language}" in rep.skills for rep in scenario.crew.reps)
