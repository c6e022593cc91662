"""``zuruf simulate race``: what was found of the Race's messages, and how each order serves what they open."""

import argparse
import sys
from collections.abc import Sequence
from typing import Any, Final

from agents.simulation import race, show
from agents.simulation.command import rules_of, write_line
from agents.simulation.compare import AS_IS, compare
from models.errors import Misconfigured
from models.outcomes import mean
from models.simulation import Outcome

REFUSED: Final = ("what_if", "confusion", "patience", "repeats", "config", "profile", "map", "html")


def run(args: argparse.Namespace, seeds: Sequence[int]) -> int:
    """
    Have the messages understood, serve them by each rule, and print.

    Raises:
        Misconfigured: If an option is given that the Race has no use for.
    """
    from models.classifier import Classifier

    for name in REFUSED:
        if getattr(args, name):
            raise Misconfigured.at(
                "command line", f"--{name.replace('_', '-')}", "race", "another case: the Race is as it is"
            )
    seen = race.read(Classifier())
    found = race.found_figures(seen)
    answers: dict[str, list[dict[str, float]]] = {}

    def note(change: str, rule: str, outcome: Outcome) -> None:
        answers.setdefault(rule, []).append(_answers(seen, outcome))

    rows = compare([(AS_IS, seen.scenario)], rules_of(args.rules, all_of_them=True), seeds, note)
    lines = [
        {
            **show.as_json("race", row, seeds),
            "answered": round(row.compared.mean("answered") * len(seen.opened) / found["messages"], 6),
            "answered_of_opened": round(row.compared.mean("answered"), 6),
            "mean_answer_by_category_min": _mean_of(answers[row.rule]),
            "place_by_category": {name: round(place, 3) for name, place in race.places(seen, row.rule).items()},
            **found,
        }
        for row in rows
    ]
    if args.json:
        for line in lines:
            write_line(line)
    else:
        sys.stdout.write(_text(lines))
    return 0


def _answers(seen: race.Read, outcome: Outcome) -> dict[str, float]:
    """Return the mean minutes until the answer by category."""
    return {
        category: mean(
            [
                (served.ended_at - served.request.at) / 60_000
                for served, message in zip(outcome.served, seen.opened, strict=True)
                if message.category == category and served.end == "answered"
            ]
        )
        for category in race.CATEGORIES
    }


def _mean_of(runs: Sequence[dict[str, float]]) -> dict[str, float]:
    return {category: round(mean([one[category] for one in runs]), 2) for category in race.CATEGORIES}


def _text(lines: Sequence[dict[str, Any]]) -> str:
    one = lines[0]
    counted = ", ".join(f"{many} {why}" for why, many in one["counted"].items()) or "none"
    opened = ", ".join(f"{name} {share:.0%}" for name, share in one["opened_by_category"].items())
    out = [
        f"The Race: {one['messages']} messages to 14 brands in 20 days, half without @, among {one['other_posts']} others.",
        f"Given to their brand: {one['found']:.1%}; with @ {one['found_with_at']:.1%}, without {one['found_without_at']:.1%}.",
        f"Of the other posts taken for a brand's: {one['taken_for_a_brand']:.1%}.",
        f"Cases opened: {one['opened']} ({opened}); counted only: {counted}.",
        f"Authors who wrote again: {one['authors_who_wrote_again']}.",
        "",
        "Place: if all came at one moment, 0 is first.",
        f"{'rule':9}{'answered':>10}{'mean answer':>13}{'in time':>9}   place:"
        + "".join(f"{name:>11}" for name in race.CATEGORIES),
    ]
    out += [
        f"{line['rule']:9}{line['answered']:10.1%}{line['mean_answer_min']:9.1f} min{line['in_time']:9.1%}{'':9}"
        + "".join(f"{place:11.2f}" for place in line["place_by_category"].values())
        for line in lines
    ]
    return "\n".join(out) + "\n"
