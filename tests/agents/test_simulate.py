"""The command ``zuruf simulate``: measured cases, profiles, histories; lines for scripts, a report for people."""

import json
from pathlib import Path
from typing import Any

import pytest

from agents.cli import MISCONFIGURED, main
from agents.simulation.compare import RULES
from agents.simulation.profile import confusion_of, profile_of
from models.errors import Misconfigured
from models.labels import TRIAGES

PROFILE = """
days = 0.5
per_day = 400
zone = "Europe/Berlin"
[mix]
brands = { north = 2, south = 1 }
languages = { de = 1 }
[promises.north]
urgent = 20
[[reps]]
id = "anna"
skills = { "lang:de" = 3 }
shifts = ["mon-fri 00:00-12:00", "sat 08:00-12:00"]
[[reps]]
id = "ben"
capacity = 2
[order]
every = 8
"""
CONFIG = """
[[tenant]]
id = "alster"
name = "Alster"
[[tenant.brand]]
id = "fennkom"
name = "Fennkom"
hours = "always"
[tenant.brand.service_level]
urgent_min = 10
[[tenant.rep]]
id = "anna"
name = "Anna"
skills = { "lang:de" = 5 }
"""


def simulate(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[dict[str, Any]]:
    assert main(["simulate", *arguments, "--json"]) == 0
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def a_file(folder: Path, text: str, name: str = "day.toml") -> str:
    (folder / name).write_text(text, encoding="utf-8")
    return str(folder / name)


def test_a_case_gives_one_line_a_rule_with_its_difference(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    lines = simulate(capsys, a_file(tmp_path, "days = 0.3\nper_day = 900\ncrew = { load = 1.1 }"), "--seeds", "2")

    assert [line["rule"] for line in lines] == list(RULES)
    assert lines[0]["difference"]["in_time"] == {"mean": 0.0, "standard_error": 0.0}
    for line in lines:
        assert 0 <= line["in_time"] <= 1
        apart = sum(a - b for a, b in zip(line["in_time_by_seed"], lines[0]["in_time_by_seed"], strict=True)) / 2
        assert line["difference"]["in_time"]["mean"] == pytest.approx(apart, abs=1e-5)
        assert set(line["classes"]["less"]) >= {"in_time", "p95_min", "longest_min"}


def test_a_what_if_stands_beside_what_is_on_the_same_seeds(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = a_file(tmp_path, "days = 0.3\nper_day = 900\ncrew = { load = 1.1 }")
    lines = simulate(capsys, path, "--seeds", "2", "--what-if", "reps=+3")

    assert [(line["rule"], line["what_if"]) for line in lines] == [("default", None), ("default", "reps=+3")]
    assert lines[1]["requests"] == lines[0]["requests"]
    assert lines[1]["mean_wait_min"] < lines[0]["mean_wait_min"]


def test_a_profile_says_who_is_there_and_what_is_promised(tmp_path: Path) -> None:
    scenario = profile_of(Path(a_file(tmp_path, PROFILE)))

    assert [(rep.id, rep.capacity) for rep in scenario.crew.reps] == [("anna", 1), ("ben", 2)]
    assert len(scenario.crew.hours["anna"].week) == 6
    assert (scenario.levels["north"].first_answer.urgent, scenario.levels["south"].first_answer.urgent) == (20, 15)
    assert scenario.order.every == 8


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("per_days = 3", "per_days"),
        ('days = "long"', "days"),
        ("days = 0", "days: found 0"),
        ("hourly = [1, 2]", "24 weights"),
        ('zone = "Mars/Base"', "zone"),
        ('[[reps]]\nid = "a"\nshifts = ["monday"]', "shifts\\[0\\]"),
        ('[[reps]]\nid = "a"\nshifts = ["fri-mon 08:00-12:00"]', "shifts\\[0\\]"),
        ("[promises.other]\nurgent = 3", "promises"),
        ("[order]\nevery = 1", "order.every"),
        ("[peak]\nfrom_h = 5\nto_h = 4\nfactor = 2", "peak"),
    ],
)
def test_a_profile_that_is_wrong_is_refused_by_file_and_key(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(Misconfigured, match=f"day.toml.*{told}"):
        profile_of(Path(a_file(tmp_path, text)))


def test_a_profile_with_a_configuration_takes_its_brands_reps_and_promises(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    config = a_file(tmp_path, CONFIG, "zuruf.toml")
    path = a_file(tmp_path, "days = 0.5\nper_day = 60\nmix = { languages = { de = 1 } }")
    (line,) = simulate(capsys, path, "--config", config, "--rules", "default", "--seeds", "1")

    assert line["answered"] == 1
    assert line["brands"] == {}


def test_a_history_is_understood_and_served(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    rows = [
        {"id": str(number), "time": f"2026-03-02T08:{number:02}:00Z", "text": text}
        for number, text in enumerate(
            ["Bei Fennkom geht das Internet seit gestern nicht, wann kommt jemand?", "Schönes Wetter heute"] * 5
        )
    ]
    config = a_file(tmp_path, CONFIG, "zuruf.toml")
    path = a_file(tmp_path, "\n".join(map(json.dumps, rows)), "day.jsonl")
    (line,) = simulate(capsys, path, "--config", config, "--rules", "default", "--seeds", "1")

    assert line["requests"] == 5
    assert line["answered"] == 1


def test_the_race_finds_all_messages_and_takes_no_other_post_for_one(capsys: pytest.CaptureFixture[str]) -> None:
    (line,) = simulate(capsys, "race", "--rules", "default", "--seeds", "1")

    assert (line["messages"], line["other_posts"]) == (280, 40)
    assert line["found"] == line["found_with_at"] == line["found_without_at"] == 1
    assert line["taken_for_a_brand"] == 0
    assert line["answered"] > 0.7
    assert line["place_by_category"]["urgent"] == min(line["place_by_category"].values())


def test_the_measured_confusion_has_a_row_for_each_level() -> None:
    from agents.simulation.command import MEASURED

    found = confusion_of(MEASURED)
    assert set(found) == {"at_once", "urgent", "important", "less"}
    assert all(
        set(row) == set(TRIAGES) and max(row, key=lambda seen: row[seen]) == level for level, row in found.items()
    )


def test_wrong_triage_costs_promises(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = a_file(tmp_path, "days = 0.5\nper_day = 900\ncrew = { load = 1.05 }")
    (exact,) = simulate(capsys, path, "--rules", "default", "--seeds", "2")
    (wrong,) = simulate(capsys, path, "--rules", "default", "--seeds", "2", "--confusion", "measured")

    assert wrong["in_time"] < exact["in_time"]
    assert wrong["taken_for_spam"] > 0


def test_the_report_stands_alone_in_light_and_dark(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path, html = a_file(tmp_path, "days = 0.3\nper_day = 500"), tmp_path / "report.html"
    simulate(capsys, path, "--seeds", "2", "--html", str(html))
    text = html.read_text(encoding="utf-8")

    assert text.count("<svg viewBox") == 7
    assert "prefers-color-scheme: dark" in text
    assert "http" not in text
    assert "<script" not in text
    assert "nan" not in text.lower()


def test_the_table_names_every_rule(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["simulate", a_file(tmp_path, "days = 0.2\nper_day = 500"), "--seeds", "1"]) == 0

    told = capsys.readouterr().out
    assert all(rule in told for rule in RULES)


@pytest.mark.parametrize(
    "arguments",
    [
        ("c9",),
        ("c1", "--seeds", "0"),
        ("c1", "--rules", "best"),
        ("c1", "--what-if", "reps"),
        ("c1", "--patience", "-1"),
        ("race", "--what-if", "reps=+1"),
    ],
)
def test_what_is_not_understood_ends_with_two(arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["simulate", *arguments]) == MISCONFIGURED
    assert "command line" in capsys.readouterr().err
