"""The command line: what it prints, with which status it ends, and what it does not do."""

import json
import logging
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

import agents.demo
from agents import cli, serve
from agents.cli import main

ROOT = Path(__file__).parents[2]
DEMO = Path(agents.demo.__file__).with_name("zuruf.toml")
COMMANDS = (
    *("up", "worker", "gateway", "connect", "learn", "deep", "init", "check", "replay", "simulate", "staff"),
    *("classify", "learned", "train", "evaluate"),
)

SOUND = """
[[tenant]]
id = "main"
name = "Main"

[[tenant.brand]]
id = "red"
name = "Red"
handles = ["red"]

[tenant.brand.service_level]
urgent_min = 15

[[tenant.brand]]
id = "blue"
name = "Blue"
handles = ["blue"]

[tenant.brand.service_level]
urgent_min = 15
"""


@pytest.fixture
def sound(tmp_path: Path) -> Path:
    path = tmp_path / "zuruf.toml"
    path.write_text(SOUND, encoding="utf-8")
    return path


# -- help


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main([command, "--help"])
    assert end.value.code == 0
    assert f"usage: zuruf {command}" in capsys.readouterr().out


def test_an_unknown_command_ends_with_status_2(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(["shout"])
    assert end.value.code == 2
    assert "invalid choice: 'shout'" in capsys.readouterr().err


def test_checking_needs_neither_the_engine_nor_a_replay() -> None:
    code = (
        "import sys; from agents.cli import main; main(['check', '--config', sys.argv[1]]);"
        "print([one for one in ('faust', 'onnxruntime', 'agents.replay', 'websockets') if one in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code, DEMO], capture_output=True, text=True, cwd=ROOT, check=True)
    assert out.stdout.splitlines()[-1] == "[]"


# -- check


def test_check_says_what_a_configuration_holds(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "--config", str(DEMO)]) == 0
    out = capsys.readouterr().out
    assert "Alster Gruppe (alster): 3 brands, 8 reps" in out
    assert "brand kranich: " in out
    assert "account bridge: webhook" in out
    assert "account chat-oakbank: chat of oakbank" in out


MISTAKES = {
    "an unknown key": ('name = "Red"', 'name = "Red"\ncolour = "red"', "tenant[0].brand[0].colour"),
    "a wrong type": ("urgent_min = 15", 'urgent_min = "soon"', "found 'soon', wanted"),
    "a brand without service level": (
        "[tenant.brand.service_level]\nurgent_min = 15\n\n[[tenant.brand]]",
        "\n[[tenant.brand]]",
        "tenant[0].brand[0].service_level",
    ),
    "two brands with one handle": ('handles = ["blue"]', 'handles = ["RED"]', "tenant[0].brand[1].handles"),
    "no TOML": ("[[tenant]]", "[[tenant", "zuruf.toml"),
}


@pytest.mark.parametrize(("right", "wrong", "told"), MISTAKES.values(), ids=MISTAKES)
@pytest.mark.parametrize("command", ["check", "up", "worker"])
def test_a_mistake_is_told_in_one_line_with_its_place(
    command: str, right: str, wrong: str, told: str, sound: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert right in SOUND
    sound.write_text(SOUND.replace(right, wrong, 1), encoding="utf-8")

    assert main([command, "--config", str(sound)]) == 2
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 1
    assert said[0].startswith(f"zuruf: {sound}")
    assert told in said[0]


def test_a_missing_file_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "--config", str(tmp_path / "nowhere.toml")]) == 2
    assert "nowhere.toml" in capsys.readouterr().err


# -- refusals before anything is started


@pytest.mark.parametrize("command", ["worker", "gateway", "connect", "deep"])
def test_a_process_of_its_own_asks_for_a_broker(
    command: str, sound: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ZURUF_BROKER", raising=False)
    assert main([command, "--config", str(sound)]) == 2
    assert "ZURUF_BROKER: missing" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("command", "told"),
    [("learned", "no broker answers at {}"), ("learn", "no broker at {} within"), ("deep", "no broker at {} within")],
)
def test_that_no_broker_answers_is_told_in_one_line(
    command: str, told: str, sound: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serve, "BROKER_WAIT_S", 0.0)
    with socket.socket() as taken:  # Bound, and nobody listens: whoever knocks is refused.
        taken.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        monkeypatch.setenv("ZURUF_BROKER", f"kafka://{address}")
        assert main([command, "--config", str(sound)]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"zuruf {command}: {told.format(address)}")


def test_up_refuses_a_broker_of_ones_own(
    sound: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ZURUF_BROKER", "kafka://kafka.example:9092")
    assert main(["up", "--config", str(sound)]) == 2
    assert "ZURUF_BROKER: found 'kafka://kafka.example:9092', wanted nothing" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--workers", "5"], "--workers: found 5, wanted 1 to 4"),
        (["--demo", "--pace", "0"], "--pace: found 0.0"),
        (["--demo", "--json"], "--json: needs --for"),
        (["--demo", "--for", "0"], "--for: found 0.0"),
    ],
)
def test_an_option_out_of_range_is_told(
    options: list[str], told: str, sound: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ZURUF_DATA", str(sound.parent / "data"))
    assert main(["up", "--config", str(sound), *options]) == 2
    assert told in capsys.readouterr().err


# -- init


def test_init_writes_a_file_that_passes_the_check(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    brands, out = tmp_path / "brands.json", tmp_path / "zuruf.toml"
    brands.write_text(json.dumps([{"name": "Fennkom", "handles": ["@fennkom"]}]), encoding="utf-8")

    assert main(["init", "--brands", str(brands), "--out", str(out)]) == 0
    assert main(["check", "--config", str(out)]) == 0
    assert "brand fennkom" in capsys.readouterr().out


def test_init_never_writes_over_a_file_unless_forced(sound: Path, tmp_path: Path) -> None:
    brands = tmp_path / "brands.json"
    brands.write_text('[{"name": "Fennkom"}]', encoding="utf-8")

    assert main(["init", "--brands", str(brands), "--out", str(sound)]) == 2
    assert sound.read_text(encoding="utf-8") == SOUND
    assert main(["init", "--brands", str(brands), "--out", str(sound), "--force"]) == 0
    assert "Fennkom" in sound.read_text(encoding="utf-8")


def test_init_names_a_list_that_is_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    brands = tmp_path / "brands.json"
    brands.write_text("Fennkom", encoding="utf-8")
    assert main(["init", "--brands", str(brands), "--out", str(tmp_path / "z.toml")]) == 2
    assert "brands.json" in capsys.readouterr().err


# -- logging and signals


def test_a_traceback_is_one_line() -> None:
    try:
        raise ValueError("two\nlines")
    except ValueError:
        record = logging.LogRecord("zuruf", logging.ERROR, "", 0, "it broke", (), sys.exc_info())
    said = cli.OneLine("%(message)s").format(record)
    assert "\n" not in said
    assert "ValueError: two" in said


def test_ctrl_c_ends_a_command_without_a_traceback(sound: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("builtins.input", interrupted)
    assert main(["init", "--out", str(sound.parent / "other.toml")]) == 130


def test_the_compose_file_is_sound_and_asks_for_its_secret() -> None:
    compose = Path(sys.executable).with_name("docker-compose")
    assert compose.exists(), "docker-compose comes with the development dependencies"
    plain = {key: value for key, value in os.environ.items() if not key.startswith(("ZURUF_", "KAFKA_"))}
    command = [str(compose), "--file", str(ROOT / "docker-compose.yml"), "config"]

    without = subprocess.run([*command, "-q"], env=plain, capture_output=True, text=True, cwd=ROOT)
    assert without.returncode != 0
    assert "ZURUF_SECRET" in without.stderr

    given = subprocess.run(
        [*command, "--format", "json"], env=plain | {"ZURUF_SECRET": "s" * 40}, capture_output=True, text=True, cwd=ROOT
    )
    assert given.returncode == 0, given.stderr
    services = json.loads(given.stdout)["services"]
    assert set(services) == {"kafka", "worker", "gateway", "connect", "learn", "deep"}
    ports = [port for service in services.values() for port in service.get("ports", [])]
    assert ports and {port["host_ip"] for port in ports} == {"127.0.0.1"}
