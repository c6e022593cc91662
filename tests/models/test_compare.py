"""The table that sets ours beside others, on a small folder of made-up sets."""

import json
from pathlib import Path
from typing import Any

import pytest

from models.training.compare import NAMES, Row, compare, page, tasks
from models.training.data import CHANCE
from models.training.run import run
from tests.models.small import BITS, write_data


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_data(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def compared(data: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[list[Row], Path]:
    folder = tmp_path_factory.mktemp("compared")
    run(data, folder, lambda line: None, bits=BITS)
    told: list[str] = []
    rows = compare(data, folder, told.append, artifact=folder, detectors={"lid176": lambda text: "de"})
    assert len(told) == len(rows)
    return rows, folder


def test_every_row_has_figures_of_ours_and_of_another(compared: tuple[list[Row], Path]) -> None:
    rows, _ = compared

    assert len(rows) > 30
    for row in rows:
        assert len(row.figures) >= 2, row.task
        assert set(row.figures) <= set(NAMES)
        assert all(0 <= figure <= 1 for figure in row.figures.values())


def test_what_the_words_give_away_is_found(compared: tuple[list[Row], Path]) -> None:
    by_task = {(row.task, row.measure): row.figures for row in compared[0]}

    assert by_task["Banking77 test", "accuracy"]["same_data"] > 0.9
    assert by_task["Banking77 test", "accuracy"]["tfidf"] > 0.9
    assert by_task["category: triage", "macro-F1"]["tfidf"] > 0.9
    assert by_task["GermEval 2017 dev, relevance, crossed", "accuracy"]["same_data"] > 0.9


def test_both_files_hold_all_rows_and_the_command(compared: tuple[list[Row], Path]) -> None:
    rows, folder = compared
    found = json.loads((folder / "classifier.json").read_text())
    text = (folder / "classifier.md").read_text()

    assert [row["task"] for row in found["rows"]] == [row.task for row in rows]
    assert found["command"] in text
    assert all(f"| {row.task} |" in text for row in rows)


def test_the_best_of_a_row_is_bold_and_what_is_missing_is_blank() -> None:
    text = page(
        [Row("A", "accuracy", 10, {"tfidf": 0.5, "product": 0.75}), Row("B", "accuracy", 10, {"tfidf": 1.0})],
        {"fast": "x", "deep": "y"},
    )

    assert "| A | accuracy | 10 | 0.500 | **0.750** |" in text
    assert "| B | accuracy | 10 | **1.000** |  |" in text


def test_a_test_text_is_in_no_train_part(tmp_path: Path) -> None:
    data = write_data(tmp_path / "data")
    held = (data / "banking77" / "test.csv").read_text().splitlines()[1]
    with (data / "banking77" / "train.csv").open("a") as file:
        file.write(held + "\n")

    task = next(task for task in tasks(data) if task.name == "Banking77 test")
    assert not set(task.train.plain) & set(task.test.plain)


def test_what_has_labels_of_chance_is_measured_with_and_not_learnt_from(tmp_path: Path) -> None:
    data = write_data(tmp_path / "data")
    for part in ("train", "val"):
        path = data / "umsab_tweet_sentiment" / f"{part}.csv"
        path.write_text(path.read_text().replace(",nl,", f",{CHANCE},"))

    task = next(task for task in tasks(data) if task.name == "UMSAB val")
    assert CHANCE in task.groups
    assert len(task.groups) == len(task.test.plain) == len(task.test.raw)
    assert all("sprachenl" in text for text, lang in zip(task.test.plain, task.groups, strict=True) if lang == CHANCE)
    assert not any("sprachenl" in text for text in task.train.plain)


def test_rows_without_the_language_of_chance_stand_beside_the_whole(tmp_path: Path, compared: Any) -> None:
    data = write_data(tmp_path / "data")
    for part in ("train", "val"):
        path = data / "umsab_tweet_sentiment" / f"{part}.csv"
        path.write_text(path.read_text().replace(",nl,", f",{CHANCE},"))

    rows = {row.task: row for row in compare(data, tmp_path, lambda line: None, artifact=compared[1], detectors={})}
    whole, noise, rest = (rows[f"UMSAB val{end}"].texts for end in ("", f", {CHANCE}", f", all but {CHANCE}"))
    assert noise > 0
    assert rest == whole - noise
