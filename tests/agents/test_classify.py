"""``zuruf classify`` as a person and a script use it."""

import io
import json
import os
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from agents import classify
from agents.classify import LINE_BYTES_MAX, NAMES, Line, Printer, lines_of
from agents.cli import main
from models.labels import Classification
from tests.builders import Labeller, labels


class Echo:
    """A tier whose language is the text, so that order can be seen."""

    def classify(self, texts: Sequence[str]) -> list[Classification]:
        return [labels(language=text) for text in texts]


def a_file(folder: Path, *lines: str | bytes) -> Path:
    path = folder / "texts.jsonl"
    path.write_bytes(b"\n".join(line if isinstance(line, bytes) else line.encode() for line in lines) + b"\n")
    return path


def read(path: Path) -> list[Line]:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        return [line for group in lines_of(descriptor, path.name) for line in group]
    finally:
        os.close(descriptor)


def printed(lines: Sequence[Line], tier: Any = None, *, as_json: bool = True) -> tuple[list[str], list[str], int]:
    out, errors = io.StringIO(), io.StringIO()
    printer = Printer(tier or Echo(), None, as_json=as_json, out=out, errors=errors)
    printer.print(lines)
    return out.getvalue().splitlines(), errors.getvalue().splitlines(), printer.faults


def test_each_line_has_exactly_the_seven_labels_with_value_and_probability(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = a_file(
        tmp_path, '{"text": "Mein Internet geht nicht, was soll ich tun?"}', '{"text": "thank you so much!", "id": 7}'
    )
    assert main(["classify", "--file", str(file), "--json"]) == 0

    found = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [one["language"]["value"] for one in found] == ["de", "en"]
    for one in found:
        assert list(one) == ["language", "sentiment", "category", "subject", "triage", "answer", "toxicity"]
        assert all(set(label) == {"value", "p"} and 0 <= label["p"] <= 1 for label in one.values())
        assert one["answer"]["value"] in ("yes", "no")


def test_lines_keep_their_order(tmp_path: Path) -> None:
    out, _, _ = printed(read(a_file(tmp_path, *(json.dumps({"text": f"t{number}"}) for number in range(500)))))
    assert [json.loads(line)["language"]["value"] for line in out] == [f"t{number}" for number in range(500)]


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("not json", "'not json'"),
        ("[1, 2]", "'[1, 2]'"),
        ('{"txt": "a"}', "the fields 'txt'"),
        ('{"text": 5}', '"text" 5'),
        ('{"text": null}', '"text" null'),
        (b'{"text": "\xff"}', "\ufffd"),
        ("[" * 100_000, "'[[["),
    ],
    ids=["no json", "a list", "no text", "a number", "null", "no utf-8", "deep"],
)
def test_a_bad_line_is_named_with_what_came_and_what_was_meant(tmp_path: Path, line: str | bytes, found: str) -> None:
    out, errors, faults = printed(read(a_file(tmp_path, '{"text": "a"}', line, '{"text": "b"}')))

    assert faults == 1
    assert len(out) == 3
    assert json.loads(out[2])["language"]["value"] == "b"
    assert errors[0].startswith("zuruf classify: texts.jsonl:2: found ")
    assert found in errors[0]
    assert errors[0].endswith('meant a JSON object with "text", as in {"text": "..."}')
    assert json.loads(out[1]) == {"error": errors[0].removeprefix("zuruf classify: ")}


def test_a_bad_line_makes_the_command_fail(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = a_file(tmp_path, "no", '{"text": "hello"}')
    assert main(["classify", "--file", str(file), "--json"]) == 1
    assert "texts.jsonl:1: found 'no'" in capsys.readouterr().err


def test_empty_lines_are_passed_over_and_still_counted(tmp_path: Path) -> None:
    lines = read(a_file(tmp_path, "", '{"text": "a"}', "  ", '{"text": "b"}'))
    assert [line.number for line in lines] == [2, 4]


def test_a_last_line_without_an_end_is_read(tmp_path: Path) -> None:
    path = tmp_path / "texts.jsonl"
    path.write_text('{"text": "a"}\n{"text": "b"}')
    assert [line.text for line in read(path)] == ["a", "b"]


def test_a_line_beyond_the_bound_is_refused_and_the_next_is_read(tmp_path: Path) -> None:
    lines = read(a_file(tmp_path, '{"text": "' + "a" * (LINE_BYTES_MAX + 100_000) + '"}', '{"text": "b"}'))
    assert f"more than {LINE_BYTES_MAX} bytes" in lines[0].fault
    assert lines[1] == Line(2, "b")


@pytest.mark.parametrize("beyond", [1, 100_000])
def test_a_last_line_beyond_the_bound_is_told_though_it_has_no_end(tmp_path: Path, beyond: int) -> None:
    path = tmp_path / "texts.jsonl"
    path.write_text('{"text": "a"}\n{"text": "' + "b" * (LINE_BYTES_MAX + beyond - len('{"text": ""}')) + '"}')
    lines = read(path)
    assert lines[0] == Line(1, "a")
    assert (lines[1].number, f"more than {LINE_BYTES_MAX} bytes" in lines[1].fault) == (2, True)


def test_who_reads_no_further_is_told_nothing(tmp_path: Path) -> None:
    file = a_file(tmp_path, *['{"text": "a"}'] * 5_000)
    command = f"{sys.executable} -m agents.cli classify --json --file {file} | head -1; echo ${{PIPESTATUS[0]}}"
    told = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True, timeout=120)
    assert told.stderr == ""
    assert told.stdout.splitlines()[1:] == ["141"]


@pytest.mark.parametrize(
    ("shell", "status", "out", "err"),
    [
        ("PYTHONIOENCODING=ascii {zuruf} classify 'das Paket ist weg 📦'", 0, "\\U0001f4e6", ""),
        ("{zuruf} classify 'das Paket ist weg' >&-", 0, "", ""),
        (
            "{zuruf} classify --json --file - <&-",
            2,
            "",
            "command line: --file: found '-', wanted a standard input that is open",
        ),
    ],
    ids=["letters that the terminal lacks", "closed output", "closed input"],
)
def test_a_shell_that_gives_less_is_no_traceback(shell: str, status: int, out: str, err: str) -> None:
    command = ["bash", "-c", shell.format(zuruf=f"{sys.executable} -m agents.cli")]
    told = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert (told.returncode, out in told.stdout, err in told.stderr) == (status, True, True), told
    assert "Traceback" not in told.stderr


@pytest.mark.parametrize(
    "text",
    ["", " ", "\\u0000", "\\ud800", "\\u202e\\u05d0", "a\\u0301" * 500, "@a " * 10_000, "x" * 100_000, "😀" * 200],
    ids=["empty", "blank", "nul", "lone surrogate", "right to left", "zalgo", "mentions", "100 kB", "emojis"],
)
def test_texts_that_hurt_get_labels(tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str) -> None:
    file = a_file(tmp_path, '{"text": "' + text + '"}')
    assert main(["classify", "--file", str(file), "--json"]) == 0
    assert set(json.loads(capsys.readouterr().out)) == set(NAMES)


def test_a_pipe_is_answered_line_by_line() -> None:
    """A script may write one text and wait for its labels before it writes the next."""
    reading, writing = os.pipe()
    found: list[list[Line]] = []
    came = threading.Event()

    def follow() -> None:
        for group in lines_of(reading, "pipe"):
            found.append(group)
            came.set()

    thread = threading.Thread(target=follow)
    thread.start()
    try:
        for number in range(3):
            came.clear()
            os.write(writing, f'{{"text": "t{number}"}}\n'.encode())
            assert came.wait(5)
            assert found[-1] == [Line(number + 1, f"t{number}")]
    finally:
        os.close(writing)
        thread.join(5)
        os.close(reading)


def test_a_person_reads_an_aligned_table_with_reasons(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["classify", "My parcel has not come and nobody answers, this is a disgrace"]) == 0
    lines = capsys.readouterr().out.splitlines()

    assert lines[0].startswith("My parcel")
    assert [line.split()[0] for line in lines[1:8]] == list(NAMES)
    assert len({line.index("%") for line in lines[1:8]}) == 1
    assert any("disgrace" in line for line in lines[1:8])


def test_a_table_says_what_the_streams_word_lists_make_of_a_triage(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["classify", "I'm suing you"]) == 0
    (triage,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("  triage")]
    assert "raised to at_once" in triage and "threat: suing you" in triage


def test_a_table_shows_no_control_characters() -> None:
    assert "\x1b" not in classify.table("\x1b[31mred\x07", labels(), None)


def test_reasons_come_with_json_if_they_are_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["classify", "--json", "--reasons", "My parcel has not come"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert isinstance(found["subject"]["reasons"], list)


@pytest.mark.parametrize(
    "arguments",
    [[], ["--file", "missing.jsonl"], ["text", "--file", "x"], ["--file", "x", "--file", "y"]],
    ids=["none", "missing", "both", "two"],
)
def test_a_command_without_one_source_is_refused(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["classify", *arguments]) == 2
    assert "found" in capsys.readouterr().err


def test_a_tier_that_is_not_installed_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def missing(name: str) -> Any:
        raise ImportError(f"No module named {name!r}")

    monkeypatch.setattr(classify, "import_module", missing)
    assert main(["classify", "--tier", "deep", "text"]) == 2
    assert "--tier deep" in capsys.readouterr().err


def test_the_deep_tier_is_asked_as_the_fast_one_is(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class DeepClassifier:
        card, version = None, "0123456789ab"

        def label(self, texts: Sequence[str]) -> list[Classification]:
            return [labels(language="fi")] * len(texts)

    monkeypatch.setattr(classify, "import_module", lambda name: SimpleNamespace(DeepClassifier=DeepClassifier))
    assert main(["classify", "--tier", "deep", "--json", "moi"]) == 0
    assert json.loads(capsys.readouterr().out)["language"]["value"] == "fi"


def test_answer_and_toxicity_are_words() -> None:
    (line,), _, _ = printed([Line(1, "x")], Labeller(answer=True, toxic=True))
    found = json.loads(line)
    assert (found["answer"]["value"], found["toxicity"]["value"]) == ("yes", "yes")
