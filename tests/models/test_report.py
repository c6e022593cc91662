"""The report as a file: whole, self-contained, and what it draws is what was counted."""

import re
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

from models.training import plots
from models.training.data import Example
from models.training.report import Group, groups_of, page, scores_by_head
from tests.builders import labels

LABELS = np.array([0, 0, 0, 1, 1, 2])
FOUND = np.array([0, 0, 1, 1, 1, 0])
SURE = np.array([0.95, 0.85, 0.55, 0.75, 0.65, 0.45])
VALUES = ("negative", "neutral", "positive")

LEARNING: dict[str, Any] = {
    "test_texts": 10,
    "learning": [
        {"corrections": 0, "accuracy": 0.7, "macro_recall": 0.6, "kind": "shipped"},
        {"corrections": 100, "accuracy": 0.8, "macro_recall": 0.7, "kind": "shift"},
    ],
    "poisoned": [
        {
            "poison": "flipped",
            "honest_before": 0,
            "poisoned": 500,
            "accuracy_before": 0.7,
            "accuracy_after": 0.7,
            "promotions": 0,
        }
    ],
}


def a_group(name: str = "set dev") -> Group:
    return Group("sentiment", name, LABELS, FOUND, SURE)


def texts_of(svg: str) -> list[str]:
    return [node.text or "" for node in ElementTree.fromstring(svg).iter() if node.tag.endswith("text")]


def test_a_confusion_matrix_shows_each_rows_shares_and_counts() -> None:
    found = texts_of(plots.confusion(LABELS, FOUND, VALUES))
    assert {"67%", "33%", "100%", "2", "1"} <= set(found)
    assert found.count("100%") == 2  # Both neutral ones are right, the positive one is called negative.


@pytest.mark.parametrize(
    "svg",
    [
        plots.confusion(LABELS, FOUND, VALUES),
        plots.reliability(SURE, LABELS == FOUND),
        plots.reliability(np.zeros(0), np.zeros(0, bool)),
        plots.coverage(SURE, LABELS == FOUND, 0.6),
        plots.coverage(np.ones(1), np.ones(1, bool), 0.5),
        plots.curves({"a < b": [(0, 0.5), (100, 0.7)], "c": [(0, 0.6)]}, "corrections", "share"),
    ],
    ids=["confusion", "reliability", "nothing", "coverage", "one text", "curves"],
)
def test_every_plot_is_well_formed_and_says_what_it_is(svg: str) -> None:
    drawn = ElementTree.fromstring(svg)
    assert drawn.get("aria-label")
    assert "nan" not in svg


def test_a_point_of_the_reliability_diagram_is_where_its_bin_is() -> None:
    svg = plots.reliability(np.array([0.9, 0.92, 0.94, 0.96]), np.array([True, True, True, False]))
    assert "4 texts, confidence 0.93, right 0.75" in svg


def test_what_both_tiers_reach_stands_in_the_learning_curve_where_it_was_measured() -> None:
    twice = [step | {"accuracy_both": 0.81, "accuracy_deep": 0.823} for step in LEARNING["learning"]]
    alone, both = (
        page("t", {}, [a_group()], {}, {}, LEARNING | {"learning": steps}) for steps in (LEARNING["learning"], twice)
    )

    assert "both tiers" not in alone
    assert "<th>both tiers</th><th>deep</th>" in both
    assert "<td>0.810</td><td>0.823</td>" in both
    assert "accuracy of both tiers" in both


def test_the_name_of_a_line_stands_on_no_line() -> None:
    svg = plots.curves(
        {"lower": [(0, 0.7), (1, 0.72), (2, 0.70)], "upper one of two": [(0, 0.75), (1, 0.8), (2, 0.79)]}, "n", "share"
    )
    drawn = ElementTree.fromstring(svg)
    at = {node.text: float(node.get("y", "nan")) for node in drawn.iter() if node.tag.endswith("text")}
    lower, upper = (
        [float(point.split(",")[1]) for point in node.get("points", "").split()]
        for node in drawn.iter()
        if node.tag.endswith("polyline")
    )

    # Its letters are 12 high; the upper name begins a quarter of the way from the middle point to the last.
    assert at["upper one of two"] < upper[1] + (upper[2] - upper[1]) / 4
    assert at["lower"] - 12 > max(lower[1:])


def test_groups_are_made_of_what_a_tier_says_by_set_and_language() -> None:
    examples = [
        Example("a", {"sentiment": "negative", "language": "de"}, "umsab_tweet_sentiment", "de", part="val"),
        Example("b", {"sentiment": "positive", "language": "en"}, "umsab_tweet_sentiment", "en", part="val"),
        Example("c", {"toxic": "yes"}, "davidson_hate", "en", part="test"),
    ]
    groups = groups_of(examples, [labels(sentiment="negative"), labels(sentiment="neutral"), labels(toxic=True)])
    scores = scores_by_head(groups)

    assert scores["sentiment"]["umsab_tweet_sentiment val"]["accuracy"] == 0.5
    assert scores["sentiment"]["umsab_tweet_sentiment val de"]["accuracy"] == 1.0
    assert scores["toxic"]["davidson_hate test"]["accuracy"] == 1.0
    assert "category" not in scores


def test_the_page_stands_by_itself_and_is_the_same_each_time() -> None:
    made = [
        page(
            "Zuruf & co",
            {"version": "abc"},
            [a_group()],
            {"triage": {"triage": {"texts": 5, "accuracy": 0.5}}},
            {},
            LEARNING,
        )
        for _ in range(2)
    ]
    assert made[0] == made[1]
    assert "<script" not in made[0]
    assert not re.findall(r'(?:src|href)="(?!#)', made[0])
    assert "prefers-color-scheme: dark" in made[0]
    assert "Zuruf &amp; co" in made[0]
    assert made[0].count("<svg") == 4
    assert "flipped" in made[0]


def test_of_a_set_and_its_languages_the_whole_alone_is_drawn() -> None:
    html = page("x", {}, [a_group("umsab val"), a_group("umsab val de")], {}, {})
    assert html.count("<figure>") == 3
    assert html.count("<tr><td>umsab val") == 2


def test_of_many_values_the_commonest_mistakes_are_listed() -> None:
    many = np.arange(29)
    group = Group("language", "lingua dev", many, np.where(many == 3, 5, many), np.full(29, 0.9))
    html = page("x", {}, [group], {}, {})
    assert "<tr><td>es</td><td>nl</td><td>1</td><td>100.0%</td></tr>" in html or "of its own" in html
