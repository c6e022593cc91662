"""Runs of several rules, or of one with changes, on the same seeds."""

from collections.abc import Callable, Sequence
from typing import Any, Final

from msgspec import Struct

from models.arrivals import Request
from models.outcomes import Compared, Figures, figures_of
from models.peers import PEERS, PeerQueues
from models.scenarios import Scenario, engine_line, floor_for, requests_for
from models.simulation import Line, Outcome, Run

OURS: Final = "default"
RULES: Final = (OURS, *PEERS)
AS_IS: Final = "as it is"

Progress = Callable[[str, str, Outcome], None]
"""Called after each run with its change, its rule and what it came to."""


class Row(Struct, frozen=True):
    """One line of the comparison."""

    rule: str
    change: str
    """``as it is``, or what was changed."""
    compared: Compared


def line_of(rule: str, scenario: Scenario) -> Line:
    """Return empty queues of a rule: the engine's, or one of ``models.peers``."""
    return engine_line(scenario) if rule == OURS else PeerQueues(PEERS[rule])


def compare(
    scenarios: Sequence[tuple[str, Scenario]], rules: Sequence[str], seeds: Sequence[int], progress: Progress
) -> list[Row]:
    """
    Run everything on the same seeds.

    Args:
        scenarios: What is changed, and the scenario so; the first is as it is.
        rules: Names in ``RULES``. The first of the first scenario is what all are compared with.
        seeds: Of the draws.
        progress: Called after each run.
    """
    runs: dict[tuple[str, str], list[Figures]] = {}
    for seed in seeds:
        drawn: dict[tuple[Any, ...], list[Request]] = {}
        for change, scenario in scenarios:
            floor = floor_for(scenario)
            habits = scenario.habits
            came = (scenario.per_day, scenario.handling, habits.patience_min, habits.repeat_share)
            requests = drawn.get(came)
            if requests is None:
                requests = drawn[came] = requests_for(scenario, seed)
            for rule in rules:
                outcome = Run(floor, line_of(rule, scenario)).go(requests)
                runs.setdefault((change, rule), []).append(figures_of(outcome))
                progress(change, rule, outcome)
    base = tuple(runs[scenarios[0][0], rules[0]])
    return [Row(rule, change, Compared(tuple(found), base)) for (change, rule), found in runs.items()]
