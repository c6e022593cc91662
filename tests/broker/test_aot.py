"""The AOT cache: made after the first clean stop, without delaying it, and used by the next start."""

import os
import shutil
import time
from pathlib import Path

import pytest

from streams.broker import Broker
from streams.embedded import jars, java


def shared_classes(log: Path) -> tuple[int, int]:
    """Return how many of Kafka's classes came from the AOT cache, and how many there are."""
    loaded = [line for line in log.read_text().splitlines() if " org.apache.kafka." in line and "Lambda" not in line]
    return sum("source: shared objects file" in line for line in loaded), len(loaded)


def start_and_stop(folder: Path, log: Path) -> None:
    """Run a broker once, which says in ``log`` where it has its classes from."""
    with Broker(folder, java_flags=[f"-Xlog:class+load:file={log}"]) as broker:
        assert broker.poll() is None


@pytest.mark.slow
def test_the_first_clean_stop_has_the_cache_made_and_the_next_start_uses_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = jars.class_path(lambda _: None)[0].parent
    cache = tmp_path / "cache"
    shutil.copytree(folder, cache / folder.name)
    monkeypatch.setenv("ZURUF_CACHE", str(cache))
    file = java.aot_file(cache, java.java_path(), jars.class_path(lambda _: None))

    start_and_stop(tmp_path / "data", tmp_path / "first.log")
    assert not file.exists()  # It is still being made: the stop did not wait for it.
    assert shared_classes(tmp_path / "first.log")[0] == 0
    until = time.monotonic() + 200
    while not file.exists() and time.monotonic() < until:
        time.sleep(0.1)
    assert file.exists()

    start_and_stop(tmp_path / "data", tmp_path / "second.log")
    shared, total = shared_classes(tmp_path / "second.log")
    assert shared > 0.9 * total


def test_a_cache_that_is_damaged_is_left_aside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = jars.class_path(lambda _: None)[0].parent
    cache = tmp_path / "cache"
    cache.mkdir()
    (cache / folder.name).symlink_to(folder)
    monkeypatch.setenv("ZURUF_CACHE", str(cache))
    java.aot_file(cache, java.java_path(), jars.class_path(lambda _: None)).write_bytes(os.urandom(100_000))
    with Broker(tmp_path / "data") as broker:
        assert broker.poll() is None


def test_another_class_path_has_another_cache(tmp_path: Path) -> None:
    one, two = tmp_path / "one.jar", tmp_path / "two.jar"
    one.write_bytes(b"1")
    two.write_bytes(b"2")
    program = java.java_path()
    names = {java.aot_file(tmp_path, program, paths) for paths in ([one, two], [two, one], [one])}
    assert len(names) == 3


def test_only_the_newest_caches_are_kept(tmp_path: Path) -> None:
    for number in range(java.KEPT_MAX + 2):
        file = tmp_path / f"kafka-{number}.aot"
        file.write_bytes(b"")
        os.utime(file, (number, number))
    java.prune(tmp_path)
    assert sorted(file.name for file in tmp_path.iterdir()) == [f"kafka-{n}.aot" for n in range(2, java.KEPT_MAX + 2)]
