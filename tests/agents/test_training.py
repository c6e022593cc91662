"""``zuruf train`` and ``zuruf evaluate`` on a small folder of made-up sets."""

import io
import json
from pathlib import Path

import pytest

from agents.cli import main
from agents.training import Bar
from models.classifier import Classifier
from tests.models.small import write_data


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_data(tmp_path_factory.mktemp("data"))


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_bar_is_drawn_where_somebody_looks_and_lines_where_nobody_does() -> None:
    seen, logged = Terminal(), io.StringIO()
    for out in (seen, logged):
        bar = Bar(2, out)
        bar.step("first")
        bar.step("second")
    assert "[============            ]" in seen.getvalue()
    assert "[" not in logged.getvalue()
    assert [line.split()[0] for line in logged.getvalue().splitlines()] == ["1/2", "2/2"]


@pytest.mark.slow
def test_training_and_evaluating_leave_an_artifact_and_a_report(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, report = tmp_path / "out", tmp_path / "again.html"
    assert main(["train", "--data", str(data), "--out", str(out)]) == 0
    assert (out / "report.html").read_text("utf-8").startswith("<!doctype html>")
    version = Classifier(out).version
    capsys.readouterr()

    assert main(["evaluate", "--data", str(data), "--artifact", str(out), "--out", str(report), "--json"]) == 0
    told = capsys.readouterr()
    found = json.loads(told.out)
    assert found["version"] == version
    assert "sentiment" in found["measured"]
    assert "again.html is written" in told.err
    assert "no learning curve" in told.err or found["learning"]
    assert "<svg" in report.read_text("utf-8")


def test_a_folder_without_sets_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", "--data", str(tmp_path), "--out", str(tmp_path / "r.html")]) == 2
    assert "is missing" in capsys.readouterr().err


def test_an_artifact_goes_with_the_fast_tier_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", "--data", str(tmp_path), "--artifact", str(tmp_path), "--tier", "deep"]) == 2
    assert "--artifact" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [
        ["train", "--out", "{file}"],
        ["train", "--out", "{file}/below"],
        ["train", "--out", "{folder}/new", "--soft", "{folder}/none.npz"],
        ["evaluate", "--out", "{file}/report.html"],
        ["evaluate", "--out", "{folder}"],
        ["evaluate", "--out", "{folder}/report.html", "--artifact", "{folder}"],
    ],
)
def test_what_cannot_be_written_or_read_is_told_before_the_work(
    arguments: list[str], data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "file"
    file.write_text("")
    given = [one.format(file=file, folder=tmp_path) for one in arguments]

    assert main([*given, "--data", str(data)]) == 2
    assert given[-1] in (error := capsys.readouterr().err)
    assert "texts" not in error  # No step was done.
