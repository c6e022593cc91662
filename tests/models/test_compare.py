"""The table that sets ours beside others, on a small folder of made-up sets."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import models.training.compare as compare_module
from models.errors import Misconfigured
from models.training import lift, soft
from models.training.compare import NAMES, Row, Task, compare, page, tasks
from models.training.data import CHANCE, load, read_rows
from models.training.features import size
from models.training.learners import Texts, Way, hashed
from models.training.run import BITS as RUN_BITS
from models.training.run import run
from tests.models.small import BITS, COLUMNS_TAUGHT, say, write_data


@pytest.fixture(scope="module", autouse=True)
def _few_steps() -> Iterator[None]:
    """Have what nets say learnt in three steps: each costs as much as the table is wide, however few the texts."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lift, "STEPS", 3)
        yield


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_data(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def compared(data: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[list[Row], Path]:
    folder = tmp_path_factory.mktemp("compared")
    run(data, folder, lambda line: None, bits=BITS)
    told: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compare_module, "BASE", _base(data, folder))
        rows = compare(data, folder, told.append, artifact=folder, detectors={"lid176": lambda text: "de"})
    assert all(line.startswith(row.task) for line, row in zip(told[-len(rows) :], rows, strict=True))
    return rows, folder


def _base(data: Path, folder: Path) -> Path:
    """Write what a base makes of the small sets' pool."""
    path = folder / "base.npz"
    soft.write(data, load(data), lambda texts: (say(texts)[0], say(texts)[1][:, :0]), path, lambda line: None)
    return path


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


def test_what_is_crossed_is_asked_of_every_post_of_its_parts_once(compared: tuple[list[Row], Path], data: Path) -> None:
    texts = {row.task: row.texts for row in compared[0] if row.task.endswith(", crossed")}
    tweets = [row for part in ("train", "val") for row in read_rows(data, "umsab_tweet_sentiment", part)]
    languages = {row["lang"] for row in tweets} - {CHANCE}

    assert set(texts) == {f"{one.name}, crossed" for one in compare_module.CROSSED} | {
        f"UMSAB train and val but hi, {language}, crossed" for language in languages
    }
    assert texts["airline, all parts, sentiment, crossed"] == sum(
        len(read_rows(data, "twitter_us_airline", part)) for part in ("train", "dev", "test")
    )
    assert texts["UMSAB train and val but hi, crossed"] == sum(row["lang"] != CHANCE for row in tweets)


def test_a_net_that_had_learnt_a_sets_labels_is_not_crossed_over_them(compared: tuple[list[Row], Path]) -> None:
    who = {row.task: set(row.figures) for row in compared[0]}

    assert who["UMSAB train and val but hi, crossed"] == {"tfidf", "same_data"}
    assert who["airline, all parts, sentiment, crossed"] == {"tfidf", "same_data", "deep_same_data"}


def test_each_fold_has_its_share_of_each_group_and_copies_are_together() -> None:
    texts = [f"{group} number {at} of ten" for group in "abc" for at in range(10)]
    texts[29] = texts[0]
    fold = compare_module._folds(texts, np.array(["a"] * 10 + ["b"] * 10 + ["c"] * 10))

    assert fold.tolist() == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4] * 2 + [0, 0, 1, 1, 2, 2, 3, 3, 4, 0]


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
        {"fast": "x", "deep": "y", "deep_crossed": "1990"},
    )

    assert "| A | accuracy | 10 | 0.500 | **0.750** |" in text
    assert "| B | accuracy | 10 | **1.000** |  |" in text
    assert "of the 1990 posts" in text


def test_a_test_text_is_in_no_train_part(tmp_path: Path) -> None:
    data = write_data(tmp_path / "data")
    held = (data / "banking77" / "test.csv").read_text().splitlines()[1]
    with (data / "banking77" / "train.csv").open("a") as file:
        file.write(held + "\n")

    task = next(task for task in tasks(data) if task.name == "Banking77 test")
    assert not set(task.train.plain) & set(task.test.plain)


def test_what_a_deep_net_said_of_other_posts_stands_beside_the_n_grams(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    soft.write(data, load(data), say, tmp_path / "soft.npz", lambda line: None)
    monkeypatch.setattr(compare_module, "SHIPPED", tmp_path / "soft.npz")
    examples, taught = compare_module._taught(data, lambda line: None)
    texts = Texts(["wo ist mein paket", "danke"], ["", ""])

    assert len(examples) == len(load(data))
    seen, unseen = taught(texts, texts)
    assert seen.shape == unseen.shape == (2, size(RUN_BITS) + soft.DIRECTIONS + COLUMNS_TAUGHT)
    assert abs(seen[:, size(RUN_BITS) :]).max() > 0


def test_an_installation_without_the_base_is_told_where_it_is(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compare_module, "BASE", tmp_path / "base.npz")
    with pytest.raises(Misconfigured, match=r"base\.npz is missing; wheels come without it, so run this in a clone"):
        compare(data, tmp_path, lambda line: None)


def test_what_the_teacher_learnt_is_told_from_what_it_did_not(tmp_path: Path) -> None:
    echoed = {task.name: task.echoed for task in tasks(write_data(tmp_path / "data"))}

    assert echoed["TweetEval sentiment val"] and echoed["SB-10k test"] and echoed["Banking77 test"]
    assert not echoed["airline test, sentiment"]


def test_sets_whose_labels_the_net_learnt_are_learnt_with_the_base_alone(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    soft.write(data, load(data), say, tmp_path / "soft.npz", lambda line: None)
    monkeypatch.setattr(compare_module, "SHIPPED", tmp_path / "soft.npz")
    monkeypatch.setattr(compare_module, "BASE", _base(data, tmp_path))
    beside: dict[str, int] = {}

    def note(task: Task, learners: Mapping[str, Way], *_: object) -> Iterator[Row]:
        seen, _unseen = learners["same_data"].features(task.train, task.test)
        beside[task.name] = seen.shape[1] - size(RUN_BITS)
        return iter(())

    monkeypatch.setattr(compare_module, "_task_rows", note)
    for name in ("_crossed_rows", "_triage_rows", "_language_rows"):
        monkeypatch.setattr(compare_module, name, lambda *_: iter(()))
    compare(data, tmp_path, lambda line: None, detectors={})

    learnt = dict.fromkeys(("TweetEval sentiment val", "UMSAB val", "SB-10k test", "Banking77 test"), soft.DIRECTIONS)
    others = dict.fromkeys(("airline test, sentiment", "airline test, reason"), soft.DIRECTIONS + COLUMNS_TAUGHT)
    assert beside == learnt | others


def test_without_a_word_of_the_base_the_n_grams_stand_alone(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with np.load(_base(data, tmp_path)) as held:
        others = {name: held[name] for name in held.files}
    others["keys"] = others["keys"] ^ 1
    np.savez(tmp_path / "other.npz", **others)
    monkeypatch.setattr(compare_module, "BASE", tmp_path / "other.npz")

    assert compare_module._based(data, load(data)) is hashed


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
