"""
``make chaos``: plays every scenario, prints a table and, last, one line of JSON; exit code 1 on any violation.

``--quick`` takes about two minutes. ``--plain`` plays rebalances over Faust's own transport until the referee finds fault:
exit code 1 if it never does, which would mean that the suite cannot see what it is there for.
"""

import argparse
import asyncio
import json
import sys
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path

from tests.chaos.scenarios import Outcome, kills, pauses, play, rebalances, restart
from tests.chaos.stage import Stage

Act = Callable[[Stage], Awaitable[None]]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos")
    parser.add_argument("--quick", action="store_true", help="about two minutes")
    parser.add_argument("--plain", action="store_true", help="prove the suite on Faust's own transport")
    parser.add_argument("--times", type=int, default=5, help="of --plain, at most")
    parser.add_argument("--only", default="", help="one scenario: kills, rebalances, pauses, restart")
    parser.add_argument("--rate", type=int, help="posts a second: 500; 150 with --plain, which carries no more")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--folder", type=Path, help="keep logs and data there; else they are removed after a good run")
    chosen = parser.parse_args()
    chosen.rate = chosen.rate or (150 if chosen.plain else 500)  # What is only late must not look like what is lost.
    folder = chosen.folder or Path(tempfile.mkdtemp(prefix="zuruf-chaos-"))
    outcomes = asyncio.run(_plain(chosen, folder) if chosen.plain else _all(chosen, folder))
    good = _report(outcomes, folder, plain=chosen.plain)
    sys.exit(0 if good else 1)


def _acts(rate: int, *, quick: bool) -> dict[str, list[Act]]:
    if quick:
        return {
            "kills": [kills(1, rate)],
            "rebalances": [rebalances(15, rate)],
            "pauses": [pauses(1, rate, 8)],
            "restart": [restart(rate, 3)],
        }
    return {
        "kills": [kills(10, rate)],
        "rebalances": [rebalances(60, rate) for _ in range(3)],
        "pauses": [pauses(3, rate)],
        "restart": [restart(rate)],
    }


async def _all(chosen: argparse.Namespace, folder: Path) -> list[Outcome]:
    outcomes: list[Outcome] = []
    for name, acts in _acts(chosen.rate, quick=chosen.quick).items():
        if chosen.only not in ("", name):
            continue
        for turn, act in enumerate(acts, 1):
            title = f"{name} {turn}" if len(acts) > 1 else name
            place = folder / title.replace(" ", "-")
            outcomes.append(await play(title, place, act, seed=chosen.seed + len(outcomes)))
            _say(outcomes[-1])
    return outcomes


async def _plain(chosen: argparse.Namespace, folder: Path) -> list[Outcome]:
    outcomes: list[Outcome] = []
    for turn in range(chosen.times):
        act = rebalances(60, chosen.rate)
        place = folder / f"plain-{turn + 1}"
        outcome = await play(f"plain {turn + 1}", place, act, "--plain", seed=chosen.seed + turn, settle_s=30)
        outcomes.append(outcome)
        _say(outcome)
        if outcome.violations:
            break
    return outcomes


def _say(outcome: Outcome) -> None:
    for violation in outcome.violations:
        print(f"  VIOLATION {violation}", flush=True)


def _report(outcomes: list[Outcome], folder: Path, *, plain: bool) -> bool:
    """Print the table and the line of JSON; return whether all is as it should be."""
    heads = (
        "scenario",
        "posts",
        "exact",
        "lost",
        "doubled",
        "still s",
        "epochs",
        "answers",
        "repeated",
        "violations",
        "s",
    )
    print(("{:<14}" + "{:>11}" * (len(heads) - 1)).format(*heads))
    for outcome in outcomes:
        verdict = outcome.verdict
        repeated = sum(count for topic, count in verdict.repeated.items())
        figures = (verdict.posts, verdict.exact, verdict.lost, verdict.doubled, round(verdict.stand_still_s, 1))
        figures += (verdict.epochs, verdict.answers, repeated, len(outcome.violations), round(outcome.took_s))
        print(("{:<14}" + "{:>11}" * len(figures)).format(outcome.name, *figures))
    found = any(outcome.violations for outcome in outcomes)
    good = found if plain else bool(outcomes) and not found
    if found:
        print(f"logs and data lie in {folder}")
    print(json.dumps({"suite": "chaos", "plain": plain, "ok": good, "runs": [one.as_dict() for one in outcomes]}))
    return good


main()
