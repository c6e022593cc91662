"""The command ``zuruf simulate``: what to run, with which rules and changes; a table, JSON lines, a report."""

import argparse
import json
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from msgspec.structs import replace

from agents.simulation import show
from agents.simulation.compare import AS_IS, RULES, Row, compare
from models.arrivals import LEVELS, REQUESTS_MAX, Habits
from models.brands import Tenant
from models.errors import Misconfigured
from models.labels import Triage
from models.scenarios import Scenario, scenario_of, what_if
from models.simulation import Outcome

CASES: Final = ("c1", "c2", "c3", "telefonica", "race")
MEASURED: Final = Path(__file__).parent / "confusion.json"
"""Counts of 3,465 texts of data/triage by true and found triage, each found by a head that had not seen its fold."""
SEEDS_MAX: Final = 1_000
TELL_EVERY_S: Final = 2.0


def add_arguments(made: argparse.ArgumentParser) -> None:
    """Add what ``zuruf simulate`` understands."""
    made.add_argument("what", metavar="WHAT", help=f"{', '.join(CASES)}; a profile (.toml); or a recorded history")
    made.add_argument("--seeds", type=int, default=6, metavar="N", help="runs, each with draws of its own (6)")
    made.add_argument("--first-seed", type=int, default=0, metavar="N", help="of the first run (0)")
    made.add_argument(
        "--rules", default="", metavar="A,B", help=f"of {','.join(RULES)} (all; with --what-if the first)"
    )
    made.add_argument(
        "--what-if", action="append", default=[], metavar="K=V", help="as reps=+3 or load=*1.2,every=8; may come again"
    )
    made.add_argument("--confusion", metavar="FILE", help="wrong triage: `measured`, or counts by true and seen (JSON)")
    made.add_argument("--patience", type=float, metavar="MIN", help="mean time after which a customer gives up")
    made.add_argument("--repeats", type=float, metavar="SHARE", help="of customers who write again while they wait")
    made.add_argument("--config", type=Path, metavar="FILE", help="zuruf.toml: brands, promises, hours, reps, order")
    made.add_argument("--tenant", default="", metavar="ID", help="of the configuration, if it has several")
    made.add_argument("--profile", type=Path, metavar="FILE", help="with a history: crew, handling and habits")
    made.add_argument(
        "--map", action="append", default=[], metavar="OURS=THEIRS", help="a history's columns, as for replay"
    )
    made.add_argument("--html", type=Path, metavar="FILE", help="write a report with plots")
    made.add_argument("--json", action="store_true", help="one JSON object a rule")


def run(args: argparse.Namespace) -> int:
    """
    Simulate and print.

    Raises:
        Misconfigured: If an argument or a file is not what was meant.
    """
    began = time.monotonic()
    seeds = _seeds(args)
    if args.what == "race":
        from agents.simulation import race_command

        return race_command.run(args, seeds)
    scenario, facts = _scenario(args)
    scenario = _with_habits(args, scenario)
    scenarios = _scenarios(args, scenario)
    rules = _rules(args)
    _check_size(scenarios, seeds)
    rows = compare(scenarios, rules, seeds, Progress(len(scenarios) * len(rules) * len(seeds)))
    _print(args, scenario, facts, rows, seeds, time.monotonic() - began)
    return 0


class Progress:
    """Says on standard error how far it is, if a person looks on."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._done = 0
        self._told_at = time.monotonic()

    def __call__(self, change: str, rule: str, outcome: Outcome) -> None:
        """Count a run."""
        self._done += 1
        now = time.monotonic()
        if sys.stderr.isatty() and now - self._told_at >= TELL_EVERY_S:
            self._told_at = now
            sys.stderr.write(f"zuruf: {self._done} of {self._total} runs\n")


# -- arguments ------------------------------------------------------------------------------------------------------


def _seeds(args: argparse.Namespace) -> range:
    if not 1 <= args.seeds <= SEEDS_MAX:
        raise Misconfigured.at("command line", "--seeds", args.seeds, f"1 to {SEEDS_MAX}")
    return range(args.first_seed, args.first_seed + args.seeds)


def rules_of(text: str, *, all_of_them: bool) -> tuple[str, ...]:
    """Return the rules that are named, or all of them, or ours alone."""
    if not text:
        return RULES if all_of_them else RULES[:1]
    named = tuple(dict.fromkeys(text.split(",")))
    for name in named:
        if name not in RULES:
            raise Misconfigured.at("command line", "--rules", name, f"some of {','.join(RULES)}")
    return named


def _rules(args: argparse.Namespace) -> tuple[str, ...]:
    return rules_of(args.rules, all_of_them=not args.what_if)


def _tenant(args: argparse.Namespace) -> Tenant | None:
    if args.config is None:
        return None
    from streams.settings import load

    tenants = {tenant.id: tenant for tenant in load(args.config, os.environ).tenants}
    if not args.tenant and len(tenants) == 1:
        return next(iter(tenants.values()))
    if args.tenant not in tenants:
        raise Misconfigured.at("command line", "--tenant", args.tenant, f"one of {', '.join(tenants)}")
    return tenants[args.tenant]


def _scenario(args: argparse.Namespace) -> tuple[Scenario, str]:
    """Return what to simulate, and what is to be said of it."""
    if args.what in CASES:
        if args.config is not None or args.profile is not None:
            raise Misconfigured.at(
                "command line", "--config", args.what, "a profile or a history with it: a measured case has its own"
            )
        return scenario_of(args.what), ""
    path = Path(args.what)
    if not path.is_file():
        raise Misconfigured.at("command line", "WHAT", args.what, f"one of {', '.join(CASES)}, or a file that is there")
    from agents.simulation.profile import profile_of

    tenant = _tenant(args)
    if path.suffix == ".toml":
        return profile_of(path, tenant), ""
    if tenant is None:
        raise Misconfigured.at("command line", "--config", None, "a zuruf.toml: a history needs brands and reps")
    scenario, left = _history(args, path, tenant)
    if args.profile is not None:
        given = profile_of(args.profile, tenant)
        scenario = replace(scenario, crew=given.crew, handling=given.handling, habits=given.habits, order=given.order)
    return scenario, f"{len(scenario.recorded)} posts open a case, {left} do not"


def _history(args: argparse.Namespace, path: Path, tenant: Tenant) -> tuple[Scenario, int]:
    from agents.simulation.profile import recorded_scenario
    from models.classifier import Classifier
    from streams.connectors.replay import read_history

    columns = {}
    for one in args.map:
        ours, found, theirs = one.partition("=")
        if not found:
            raise Misconfigured.at("command line", "--map", one, "OURS=THEIRS")
        columns[ours] = theirs
    history = read_history(path, (tenant,), columns=columns, tenant=tenant.id)
    if history.bad_count:
        sys.stderr.write(
            f"zuruf: {path}: {history.bad_count} rows are no posts; {history.bad[0].where}: {history.bad[0].reason}\n"
        )
    return recorded_scenario(path.stem, [row.post for row in history.rows], tenant, Classifier())


def _with_habits(args: argparse.Namespace, scenario: Scenario) -> Scenario:
    habits: Habits = scenario.habits
    if args.patience is not None:
        if not 0 <= args.patience <= 525_600:
            raise Misconfigured.at("command line", "--patience", args.patience, "0 (endless) to 525600 minutes")
        habits = replace(habits, patience_min=args.patience)
    if args.repeats is not None:
        if not 0 <= args.repeats <= 0.95:
            raise Misconfigured.at("command line", "--repeats", args.repeats, "0 to 0.95")
        habits = replace(habits, repeat_share=args.repeats)
    if args.confusion is not None:
        from agents.simulation.profile import confusion_of

        path = MEASURED if args.confusion == "measured" else Path(args.confusion)
        habits = replace(habits, confusion=confusion_of(path))
    return replace(scenario, habits=habits)


def _scenarios(args: argparse.Namespace, scenario: Scenario) -> list[tuple[str, Scenario]]:
    scenarios = [(AS_IS, scenario)]
    for change in dict.fromkeys(args.what_if):
        try:
            scenarios.append((change, what_if(scenario, change)))
        except ValueError as error:
            raise Misconfigured(f"command line: --what-if: {error}") from error
    return scenarios


def _check_size(scenarios: Sequence[tuple[str, Scenario]], seeds: Sequence[int]) -> None:
    for change, scenario in scenarios:
        many = len(scenario.recorded) or scenario.days * scenario.per_day
        if many < 1 or many > REQUESTS_MAX:
            raise Misconfigured(f"{scenario.name}, {change}: {many:,.0f} requests a run; wanted 1 to {REQUESTS_MAX:,}")


# -- what is printed ------------------------------------------------------------------------------------------------


def headline(scenario: Scenario) -> str:
    """Return in words what is simulated."""
    crew = scenario.crew
    there = f"{sum(crew.by_hour)} rep hours a day" if crew.by_hour else f"{len(crew.reps)} reps"
    if scenario.recorded:
        return f"{scenario.name}: {len(scenario.recorded):,} recorded requests, {there}"
    return f"{scenario.name}: {scenario.days:g} days of {scenario.per_day:,.0f} requests, {there}"


def _print(
    args: argparse.Namespace, scenario: Scenario, facts: str, rows: Sequence[Row], seeds: Sequence[int], took_s: float
) -> None:
    if args.html is not None:
        from agents.simulation import report

        args.html.write_text(
            report.page(headline(scenario), facts, rows, len(seeds), _promised(scenario)), encoding="utf-8"
        )
    if args.json:
        for row in rows:
            write_line(show.as_json(scenario.name, row, seeds))
        return
    told = f"{headline(scenario)}; {len(seeds)} seeds{'; ' + facts if facts else ''}"
    sys.stdout.write(f"{told}\n\n{show.as_table(rows)}\n\n{show.LEGEND}\n")
    sys.stdout.write(f"{took_s:.1f} s.{f' The report is in {args.html}.' if args.html else ''}\n")


def _promised(scenario: Scenario) -> dict[Triage, float]:
    """Return the minutes to the first answer where all brands promise the same; they are marked in the plots."""
    found: dict[Triage, float] = {}
    for level in LEVELS:
        minutes = {getattr(one.first_answer, level) for one in scenario.levels.values()}
        if len(minutes) == 1 and (only := minutes.pop()):
            found[level] = only
    return found


def write_line(what: dict[str, Any]) -> None:
    """Print one JSON object."""
    sys.stdout.write(json.dumps(what, ensure_ascii=False) + "\n")
