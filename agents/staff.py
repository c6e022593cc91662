"""
The command ``zuruf staff``: from a recorded history, or a profile, to reps for each hour of the week.

A history is read as ``replay`` reads it and understood by the engine's own step, so that what is counted are cases and not
posts, each with its triage. Then forecast, Erlang, simulator; see docs/service-levels.md.
"""

import argparse
import json
import math
import os
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo

import msgspec
from msgspec import Struct, field
from msgspec.structs import replace

from agents.simulation.profile import profile_of
from agents.simulation.understood import understand, why_counted
from agents.understand import Classifies
from models.arrivals import LEVELS, Handling, Mix, shares_of_day
from models.brands import ALWAYS, DAYS, ServiceHours, ServiceLevel, Tenant
from models.errors import Misconfigured
from models.forecast import (
    HOURS_OF_WEEK,
    INTERVAL,
    NOT_TESTED,
    Backtest,
    Forecast,
    counted,
    forecast,
    interval,
    whole_days,
)
from models.labels import Triage
from models.posts import Post
from models.records import Understood
from models.rota import Check, Demand, Goal, Plan, plan
from models.scenarios import Scenario
from models.sla import open_hours
from models.staffing import REPS_MAX
from streams.connectors.replay import read_history
from streams.settings import load

SEEDS_MAX: Final = 100


class Source(Struct, frozen=True):
    """What is known of what comes."""

    name: str
    forecast: Forecast
    levels: Mapping[Triage, float]
    brands: Mapping[str, float]
    zone: str
    monday: date
    """Of the week that is planned."""
    handling: Handling
    patience_min: float
    promises: Mapping[str, ServiceLevel] = field(default_factory=dict)
    """By brand, where they are not those of the configuration."""
    posts: int = 0
    cases: int = 0
    days: int = 0


# -- the command ----------------------------------------------------------------------------------------------------


def add_arguments(made: argparse.ArgumentParser) -> None:
    """Add what ``zuruf staff`` understands."""
    made.add_argument("history", nargs="?", type=Path, metavar="HISTORY", help="recorded posts, as for replay")
    made.add_argument("--profile", type=Path, metavar="FILE", help="TOML: what comes on a day, in place of a history")
    made.add_argument(
        "--weekly", type=_weights, default=(1.0,) * 7, metavar="W,..", help="7 weights of a profile's days"
    )
    made.add_argument("--config", type=Path, metavar="FILE", help="zuruf.toml: brands, promises, hours")
    made.add_argument("--tenant", default="", metavar="ID", help="of the configuration, if it has several")
    made.add_argument("--map", action="append", default=[], metavar="OURS=THEIRS", help="columns, as for replay")
    made.add_argument("--share", type=float, default=0.95, metavar="S", help="of cases taken up in time (0.95)")
    made.add_argument("--each-level", action="store_true", help="of the cases of each triage, not only of all")
    made.add_argument("--occupancy", type=float, default=0.9, metavar="S", help="reps are busy at most (0.9)")
    made.add_argument("--handling", type=float, metavar="S", help="mean seconds of a rep on a case (480)")
    made.add_argument("--handling-cv", type=float, metavar="X", help="its deviation over its mean (1)")
    made.add_argument("--patience", type=float, metavar="MIN", help="mean minutes until a customer gives up (never)")
    made.add_argument("--shrinkage", type=float, default=0.0, metavar="S", help="share of paid time off the desk (0)")
    made.add_argument("--seeds", type=int, default=3, metavar="N", help="weeks that a plan is checked on (3)")
    made.add_argument("--json", action="store_true", help="print everything as one JSON object")


def _weights(text: str) -> tuple[float, ...]:
    found = tuple(float(one) for one in text.split(","))
    if len(found) != 7 or not all(0 <= one <= 1e6 for one in found) or not any(found):
        raise argparse.ArgumentTypeError(f"found {text}, wanted 7 weights from Monday on, 0 or more, not all 0")
    return found


def run(args: argparse.Namespace) -> int:
    """
    Propose and print.

    Returns:
        0; 1 if nothing that was tried keeps the goal.

    Raises:
        Misconfigured: If an argument or a file is not what was meant.
    """
    _check_arguments(args)
    tenants = _tenants(args)
    tenant = _chosen(args, tenants)
    source = _from_profile(args, tenant) if args.profile else _from_history(args, tenants, tenant)
    source = _with_handling(args, source)
    demand = demand_of(source, tenant)
    goal = Goal(args.share, args.occupancy, args.each_level)
    try:
        found = plan(demand, goal, range(args.seeds), _progress)
    except ValueError as error:
        raise Misconfigured(f"{source.name}: {error}") from error
    text = json.dumps(as_json(source, goal, found, args)) if args.json else as_text(source, goal, found, args)
    sys.stdout.write(text + "\n")
    return 0 if found.is_kept else 1


def _progress(scale: float, found: Check) -> None:
    if sys.stderr.isatty():
        sys.stderr.write(f"staff: {scale:.2f} of the load: {found.in_time:.1%} in time, busy {found.occupancy:.0%}\n")


def _check_arguments(args: argparse.Namespace) -> None:
    def refuse(name: str, found: object, meant: str) -> None:
        raise Misconfigured.at("arguments", name, found, meant)

    if (args.history is None) == (args.profile is None):
        refuse("HISTORY", str(args.history), "a history, or --profile FILE")
    if args.history is not None and args.config is None:
        refuse("--config", None, "a zuruf.toml: a history is read by its brands")
    if not 0 < args.share < 1:
        refuse("--share", args.share, "above 0, below 1")
    if not 0 < args.occupancy <= 1:
        refuse("--occupancy", args.occupancy, "above 0, at most 1")
    if not 0 <= args.shrinkage < 1:
        refuse("--shrinkage", args.shrinkage, "0 to below 1")
    if not 1 <= args.seeds <= SEEDS_MAX:
        refuse("--seeds", args.seeds, f"1 to {SEEDS_MAX}")
    for name, given, low in (("handling", args.handling, 1), ("handling-cv", args.handling_cv, 0)):
        if given is not None and not low <= given <= 86_400:
            refuse(f"--{name}", given, f"{low} to 86400")
    if args.patience is not None and not 0 <= args.patience <= 525_600:
        refuse("--patience", args.patience, "0 to 525600")


def _tenants(args: argparse.Namespace) -> tuple[Tenant, ...]:
    return () if args.config is None else load(args.config, os.environ).tenants


def _chosen(args: argparse.Namespace, all_: Sequence[Tenant]) -> Tenant | None:
    if not all_:
        return None
    tenants = {tenant.id: tenant for tenant in all_}
    wanted = args.tenant or next(iter(tenants))
    if wanted not in tenants or (len(tenants) > 1 and not args.tenant):
        raise Misconfigured.at("arguments", "--tenant", args.tenant, f"one of {', '.join(tenants)}")
    return tenants[wanted]


def _with_handling(args: argparse.Namespace, source: Source) -> Source:
    """Return the source with what the arguments say of handling and patience."""
    mean_s = source.handling.mean_s if args.handling is None else args.handling
    cv = source.handling.cv if args.handling_cv is None else args.handling_cv
    patience_min = source.patience_min if args.patience is None else args.patience
    return replace(source, handling=Handling(mean_s, cv), patience_min=patience_min)


# -- a history ------------------------------------------------------------------------------------------------------


def _from_history(args: argparse.Namespace, tenants: Sequence[Tenant], tenant: Tenant | None) -> Source:
    assert tenant is not None
    from agents.replay import bad_rows  # With it comes the whole engine; a profile needs none of it.
    from models.classifier import Classifier

    columns = dict(_column(one) for one in args.map)
    history = read_history(args.history, tenants, columns=columns, tenant=tenant.id)
    if complaint := bad_rows(history):
        sys.stderr.write(f"staff: {complaint}\n")
    posts = [row.post for row in history.rows if row.post.data.tenant == tenant.id]
    cases = cases_of(posts, tenant, Classifier())
    if not cases:
        raise Misconfigured(f"{args.history}: none of {len(posts)} posts of {tenant.id} opens a case; wanted some")
    return source_of(str(args.history), cases, tenant, posts=len(posts))


def _column(text: str) -> tuple[str, str]:
    ours, sign, theirs = text.partition("=")
    if not sign:
        raise Misconfigured.at("arguments", "--map", text, "OURS=THEIRS")
    return ours.strip(), theirs.strip()


def cases_of(posts: Sequence[Post], tenant: Tenant, classifier: Classifies) -> list[Understood]:
    """Return what would open a case: of each conversation the first post that concerns a brand and is to be answered."""
    opened: dict[str, Understood] = {}
    for work in sorted(understand((tenant,), posts, classifier).values(), key=lambda work: work.at):
        if not why_counted(work):
            opened.setdefault(work.post.conversation_uri, work)
    return list(opened.values())


def source_of(name: str, cases: Sequence[Understood], tenant: Tenant, *, posts: int) -> Source:
    """Return what a history's cases say of the week after it; at least one."""
    zone = zone_of(tenant)
    series = counted((case.at for case in cases), zone)
    whole = whole_days(series)
    return Source(
        name,
        forecast(whole),
        Counter(case.triage for case in cases),
        Counter(case.brand_id for case in cases),
        zone,
        monday_after(series.first_day + timedelta(days=len(series.counts)), zone),
        Handling(),
        0.0,
        posts=posts,
        cases=len(cases),
        days=len(series.counts),
    )


def zone_of(tenant: Tenant | None) -> str:
    """Return the clock that a tenant's week is counted by: that of the first brand with hours, else UTC."""
    zones = [brand.hours.zone for brand in tenant.brands if not brand.hours.always] if tenant is not None else []
    return zones[0] if zones else "UTC"


def monday_after(day: date, zone: str) -> date:
    """Return the first Monday from a day on about whose week no clock is set."""
    there = ZoneInfo(zone)
    monday = day + timedelta(days=-day.weekday() % 7)
    while True:
        offsets = {
            datetime(one.year, one.month, one.day, tzinfo=there).utcoffset()
            for one in (monday + timedelta(days=step) for step in range(-3, 9))
        }
        if len(offsets) == 1:
            return monday
        monday += timedelta(days=7)


# -- a profile ------------------------------------------------------------------------------------------------------


def _from_profile(args: argparse.Namespace, tenant: Tenant | None) -> Source:
    """Read what comes from a profile; who is there is what is asked here, so its crew is not looked at."""
    scenario = profile_of(args.profile)
    zone = zone_of(tenant)
    return Source(
        str(args.profile),
        Forecast(_means(scenario, args.weekly), 0, NOT_TESTED),
        scenario.mix.levels,
        _brands(args.profile, scenario, tenant),
        zone,
        monday_after(date(2026, 1, 5), zone),
        scenario.handling,
        scenario.habits.patience_min,
        {brand: level for brand, level in scenario.levels.items() if level != ServiceLevel()},
    )


def _means(scenario: Scenario, weekly: Sequence[float]) -> tuple[float, ...]:
    of_day = shares_of_day(scenario.hourly)
    a_day = scenario.per_day * 7 / sum(weekly) / 24
    return tuple(a_day * weight * share for weight in weekly for share in of_day)


def _brands(path: Path, scenario: Scenario, tenant: Tenant | None) -> Mapping[str, float]:
    """Return the weights of brands: the profile's, else those of the tenant, equal."""
    if tenant is None:
        return scenario.mix.brands
    known = {brand.id: 1.0 for brand in tenant.brands}
    if scenario.mix.brands == Mix().brands:
        return known
    if unknown := sorted(set(scenario.mix.brands) - set(known)):
        raise Misconfigured.at(str(path), "mix.brands", unknown, f"brands of the tenant: {', '.join(known)}")
    return scenario.mix.brands


# -- what is planned ------------------------------------------------------------------------------------------------


def demand_of(source: Source, tenant: Tenant | None) -> Demand:
    """Return a source as the week to plan: promises and hours of its brands, without holidays and exceptions."""
    known = {brand.id: brand for brand in tenant.brands} if tenant is not None else {}
    brands = {brand: weight for brand, weight in source.brands.items() if weight > 0}
    hours: dict[str, ServiceHours] = {
        brand: replace(known[brand].hours, holidays=(), regions=(), exceptions=()) if brand in known else ALWAYS
        for brand in brands
    }
    monday = datetime(source.monday.year, source.monday.month, source.monday.day, tzinfo=ZoneInfo(source.zone))
    return Demand(
        means=source.forecast.means,
        levels={level: source.levels[level] for level in LEVELS if source.levels.get(level)},
        brands=brands,
        promises={
            brand: source.promises.get(brand) or (known[brand].service_level if brand in known else ServiceLevel())
            for brand in brands
        },
        hours={brand: open_hours(one) for brand, one in hours.items()},
        monday_at=round(monday.astimezone(UTC).timestamp() * 1000),
        handling=source.handling,
        patience_min=source.patience_min,
        dispersion=source.forecast.backtest.dispersion,
    )


# -- what is printed ------------------------------------------------------------------------------------------------


def as_json(source: Source, goal: Goal, found: Plan, args: argparse.Namespace) -> dict[str, Any]:
    """Return everything, with nothing that is no number in JSON."""
    hours = [
        {
            "hour_of_week": hour,
            "weekday": DAYS[hour // 24],
            "hour": hour % 24,
            "expected": round(mean, 2),
            "low": interval(mean, source.forecast.backtest.dispersion)[0],
            "high": interval(mean, source.forecast.backtest.dispersion)[1],
            "erlang": found.first[hour],
            "reps": found.reps[hour],
            "scheduled": scheduled(found.reps[hour], args.shrinkage),
        }
        for hour, mean in enumerate(source.forecast.means)
    ]
    return {
        "source": source.name,
        "zone": source.zone,
        "week_from": source.monday.isoformat(),
        "posts": source.posts,
        "cases": source.cases,
        "days": source.days,
        "goal": msgspec.to_builtins(goal),
        "handling_s": source.handling.mean_s,
        "patience_min": source.patience_min,
        "levels": {level: weight / sum(source.levels.values()) for level, weight in source.levels.items()},
        "forecast": {"weeks": source.forecast.weeks, "interval": INTERVAL, **_numbers(source.forecast.backtest)},
        "hours": hours,
        "rep_hours": {"erlang": sum(found.first), "proposed": sum(found.reps), "scheduled": _paid(found, args)},
        "scale": round(found.scale, 4),
        "seeds": args.seeds,
        "check_of_erlang": msgspec.to_builtins(found.checked_first),
        "check": msgspec.to_builtins(found.checked),
        "is_kept": found.is_kept,
    }


def _numbers(found: Backtest) -> dict[str, float | None]:
    return {name: None if math.isnan(one) else one for name, one in msgspec.to_builtins(found).items()}


def scheduled(reps: int, shrinkage: float) -> int:
    """Return how many must be paid for so that so many sit at a desk."""
    return min(REPS_MAX, math.ceil(reps / (1 - shrinkage) - 1e-9))


def _paid(found: Plan, args: argparse.Namespace) -> int:
    return sum(scheduled(reps, args.shrinkage) for reps in found.reps)


def as_text(source: Source, goal: Goal, found: Plan, args: argparse.Namespace) -> str:
    """Return the proposal for people: reps by hour and day, and what it was made of."""
    return "\n".join(
        [
            *_facts(source),
            "",
            f"Reps at their desks, from {source.monday} on, {source.zone} (in brackets: cases expected)",
            *_grid(source, found),
            "",
            *_checks(goal, found, args),
        ]
    )


def _facts(source: Source) -> list[str]:
    total = sum(source.levels.values())
    mix = ", ".join(f"{level} {source.levels.get(level, 0) / total:.0%}" for level in LEVELS)
    lines = [f"{source.name}: {sum(source.forecast.means):,.0f} cases a week expected; {mix}"]
    if source.cases:
        lines[0] = f"{source.posts:,} posts, {source.cases:,} cases in {source.days} days; " + lines[0]
    test = source.forecast.backtest
    if test.hours:
        lines.append(
            f"Forecast: mean of the last {source.forecast.weeks} same hours; over {test.hours:,} past hours it was off by "
            f"{test.wape:.1%} of what came (the last same hour {test.naive_wape:.1%}, chance alone {test.floor_wape:.1%}), "
            f"bias {test.bias:+.1%}"
        )
        lines.append(
            f"{INTERVAL:.0%} of hours should lie within its interval, {test.covered:.1%} did; "
            f"variance over mean {test.dispersion:.2f}"
        )
    elif source.cases:
        lines.append("Forecast: the history has no day with two same ones before it, so its error is not known")
    patience = f", customers give up after {source.patience_min:g} min" if source.patience_min else ""
    lines.append(f"Handling: {source.handling.mean_s:g} s, deviation over mean {source.handling.cv:g}{patience}")
    return lines


def _grid(source: Source, found: Plan) -> list[str]:
    lines = ["     " + "".join(f"{day:>12}" for day in DAYS)]
    for hour in range(24):
        cells = (f"{found.reps[at]:>5} ({source.forecast.means[at]:4.0f})" for at in range(hour, HOURS_OF_WEEK, 24))
        lines.append(f"{hour:02}-{hour + 1:02}" + "".join(f"{cell:>12}" for cell in cells))
    sums = [sum(found.reps[day * 24 : day * 24 + 24]) for day in range(7)]
    return [*lines, "hours" + "".join(f"{one:>12}" for one in sums)]


def _checks(goal: Goal, found: Plan, args: argparse.Namespace) -> list[str]:
    def told(name: str, hours: int, check: Check) -> str:
        levels = ", ".join(f"{level} {share:.1%}" for level, share in check.by_level.items())
        return (
            f"{name:9} {hours:6,} rep hours: {check.in_time:.1%} taken up in time ({levels}); busy {check.occupancy:.0%}; "
            f"mean wait {check.mean_wait_min:.1f} min, longest {check.longest_wait_min:.0f}"
        )

    paid = f"; {_paid(found, args):,} paid hours with {args.shrinkage:.0%} off the desk" if args.shrinkage else ""
    whose = "of each level " if goal.each_level else ""
    kept = "kept" if found.is_kept else "NOT kept by anything that was tried"
    return [
        f"Goal: {goal.share:.1%} {whose}taken up in time, busy at most {goal.occupancy_max:.0%}; {kept}{paid}",
        f"Checked by the simulator, {args.seeds} weeks of {found.checked.cases / args.seeds:,.0f} cases:",
        told("Erlang", sum(found.first), found.checked_first),
        told("proposed", sum(found.reps), found.checked),
    ]
