"""Fetching Kafka's jars, against a Maven repository on this machine that serves the jars fetched before."""

import os
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from streams.embedded import jars

ROOT = Path(__file__).parents[2]
FETCH = "from streams.embedded import jars; print(len(jars.class_path(print)), flush=True)"
TOTAL = len(jars.locked_jars())


class Repository:
    """A Maven repository on a loopback port; counts what is asked for, can be slow, can serve a wrong file."""

    def __init__(self, files: dict[str, Path], home: Path) -> None:
        self.asked: Counter[str] = Counter()
        self.wait_s = 0.0
        self.wrong: str | None = None
        repository = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                path = self.path.lstrip("/")
                if path not in files:
                    self.send_error(404)  # The checksum files beside the jars: jgo does without.
                    return
                repository.asked[path] += 1
                data = b"wrong" if path.endswith(f"/{repository.wrong}") else files[path].read_bytes()
                self.send_response(200)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data[: len(data) // 2])
                time.sleep(repository.wait_s)
                self.wfile.write(data[len(data) // 2 :])

            def log_message(self, format: str, *args: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._home, self._address = home, f"http://127.0.0.1:{self.server.server_port}"
        (home / ".config").mkdir(parents=True)
        (home / ".config" / "jgo.conf").write_text(f"[repositories]\ncentral = {self._address}\n")

    def fetch(self, cache: Path) -> subprocess.Popen[str]:
        """Start a process that fetches into ``cache`` from here."""
        own = {"HOME": str(self._home), "ZURUF_CACHE": str(cache), "PYTHONPATH": str(ROOT), "NO_PROXY": "127.0.0.1"}
        environment = {**{k: v for k, v in os.environ.items() if k not in ("M2_REPO", "XDG_CONFIG_HOME")}, **own}
        command = [sys.executable, "-c", FETCH]
        return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.fixture
def repository(tmp_path: Path) -> Iterator[Repository]:
    paths = jars.class_path(lambda _: None)
    named = zip(jars.locked_jars(), paths, strict=True)
    files = {f"{jar.group.replace('.', '/')}/{jar.artifact}/{jar.version}/{jar.name}": path for jar, path in named}
    repository = Repository(files, tmp_path / "home")
    thread = threading.Thread(target=repository.server.serve_forever)
    thread.start()
    yield repository
    repository.server.shutdown()
    thread.join()
    repository.server.server_close()


def finished(cache: Path) -> list[str]:
    return [path.name for path in cache.glob("kafka-*/*.jar") if not path.parent.name.endswith(".part")]


def test_a_fetch_that_was_killed_leaves_nothing_half_and_is_taken_up_again(
    repository: Repository, tmp_path: Path
) -> None:
    repository.wait_s = 0.1
    cut = repository.fetch(tmp_path / "cache")
    until = time.monotonic() + 30
    while len(repository.asked) < 20 and time.monotonic() < until:
        time.sleep(0.01)
    cut.kill()
    cut.communicate()
    assert finished(tmp_path / "cache") == []

    repository.asked.clear()
    again = repository.fetch(tmp_path / "cache")
    output, errors = again.communicate(timeout=60)
    assert output.splitlines()[-1] == str(TOTAL), errors
    assert (
        TOTAL - 28 <= len(repository.asked) <= TOTAL - 12
    )  # Some twenty were begun, at most four of them not finished.
    assert len(finished(tmp_path / "cache")) == TOTAL
    assert not list((tmp_path / "cache").glob("*.part"))


def test_two_processes_fetch_each_jar_once(repository: Repository, tmp_path: Path) -> None:
    repository.wait_s = 0.02
    both = [repository.fetch(tmp_path / "cache") for _ in range(2)]
    for process in both:
        output, errors = process.communicate(timeout=60)
        assert output.splitlines()[-1] == str(TOTAL), errors
    assert set(repository.asked.values()) == {1}
    assert len(repository.asked) == TOTAL


def test_a_jar_that_is_not_the_locked_one_is_refused(repository: Repository, tmp_path: Path) -> None:
    repository.wrong = "kafka-clients-4.2.0.jar"
    process = repository.fetch(tmp_path / "cache")
    _, errors = process.communicate(timeout=60)
    assert "BrokerFailed: kafka-clients-4.2.0.jar is not the locked one: SHA-256" in errors
    assert finished(tmp_path / "cache") == []


def test_without_a_way_to_the_repository_the_message_says_what_to_look_at(
    repository: Repository, tmp_path: Path
) -> None:
    repository.server.socket.close()
    process = repository.fetch(tmp_path / "cache")
    _, errors = process.communicate(timeout=60)
    assert "BrokerFailed: cannot fetch" in errors
    assert "is there a way to the internet" in errors


def test_the_lock_file_pins_what_jgo_toml_asks_for() -> None:
    names = {f"{jar.group}:{jar.artifact}:{jar.version}" for jar in jars.locked_jars()}
    asked = jars.tomllib.loads(jars.SPEC_FILE.read_text())["dependencies"]["coordinates"]
    assert set(asked) <= names
    version = next(jar.version for jar in jars.locked_jars() if jar.artifact == "kafka_2.13")
    assert {jar.version for jar in jars.locked_jars() if jar.group == "org.apache.kafka"} == {version}
    assert "://" not in jars.LOCK_FILE.read_text()
