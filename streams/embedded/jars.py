"""
Kafka's jars: fetched once into the user's cache through jgo, each checked against the committed lock file.

A fetch writes into a folder of its own that gets its name only when every jar is there and right, so an interrupted
fetch leaves nothing half; the next one goes on with the jars that were finished. Mirrors are jgo's setting
(``[repositories]`` in its configuration file). ``python -m streams.embedded.jars`` writes the lock file anew.
"""

import hashlib
import os
import shutil
import threading
import time
import tomllib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from msgspec import Struct

from streams.embedded.errors import BrokerFailed, disk_failed
from streams.embedded.locks import waiting

SPEC_FILE = Path(__file__).with_name("jgo.toml")
LOCK_FILE = Path(__file__).with_name("jgo.lock.toml")
TIMEOUT_S = 20
TRIES_MAX = 3  # A dropped connection is common, a third in a row is the network.
AT_ONCE_MAX = 4  # Each file costs two round trips; four at once fill a usual line.


class Jar(Struct, frozen=True):
    """One jar as the lock file pins it."""

    group: str
    artifact: str
    version: str
    sha256: str

    @property
    def name(self) -> str:
        """Its file name."""
        return f"{self.artifact}-{self.version}.jar"


def cache_folder() -> Path:
    """Return the folder that all checkouts of a user share: ZURUF_CACHE, XDG_CACHE_HOME/zuruf or ~/.cache/zuruf."""
    if own := os.environ.get("ZURUF_CACHE"):
        return Path(own).expanduser().absolute()
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache").absolute() / "zuruf"


def locked_jars(lock_file: Path = LOCK_FILE) -> tuple[Jar, ...]:
    """Return the jars of the lock file in its order, which is the order of the class path."""
    rows = tomllib.loads(lock_file.read_text(encoding="utf-8"))["dependencies"]
    return tuple(Jar(row["groupId"], row["artifactId"], row["version"], row["sha256"]) for row in rows)


def jars_folder(jars: tuple[Jar, ...], cache: Path) -> Path:
    """Return where a set of jars lies in the cache; another set has another name."""
    digest = hashlib.sha256("\n".join(f"{jar.name} {jar.sha256}" for jar in jars).encode()).hexdigest()
    return cache / f"kafka-{digest[:16]}"


def class_path(progress: Callable[[str], None], cache: Path | None = None) -> tuple[Path, ...]:
    """
    Return Kafka's jars in the order of the lock file; fetch them first if they are not in the cache.

    Raises:
        BrokerFailed: If a jar cannot be fetched, or is not the one that was locked.
    """
    cache = cache_folder() if cache is None else cache
    jars = locked_jars()
    folder = jars_folder(jars, cache)
    try:
        if not folder.is_dir():
            with waiting(cache / f"{folder.name}.lock"):
                if not folder.is_dir():  # Another process may have fetched them while this one waited.
                    _fetch_all(jars, folder, progress)
    except OSError as cause:
        raise disk_failed("cannot fetch Apache Kafka", cache, cause) from cause
    paths = tuple(folder / jar.name for jar in jars)
    if missing := [path.name for path in paths if not path.is_file()]:
        raise BrokerFailed(f"{folder} lacks {', '.join(missing)}; remove that folder and start again")
    return paths


def _fetch_all(jars: tuple[Jar, ...], folder: Path, progress: Callable[[str], None]) -> None:
    """Fetch what is not there yet into ``folder``.part, then give it its name."""
    part = folder.with_name(f"{folder.name}.part")
    scratch = part / "scratch"
    shutil.rmtree(scratch, ignore_errors=True)  # What an interrupted fetch left half.
    scratch.mkdir(parents=True)
    version = next(jar.version for jar in jars if jar.artifact.startswith("kafka_"))
    tally = _Tally(f"fetching Apache Kafka {version} (once)", len(jars), progress)
    context = _context(scratch, tally)
    todo = [jar for jar in jars if not _is_right(part / jar.name, jar)]
    tally.files = len(jars) - len(todo)
    with ThreadPoolExecutor(AT_ONCE_MAX) as pool:
        fetches = [pool.submit(_fetch, context, jar, part, tally) for jar in todo]
        try:
            for fetch in fetches:
                fetch.result()
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    shutil.rmtree(scratch)
    part.rename(folder)
    tally.say()


def _context(scratch: Path, tally: "_Tally") -> Any:
    """Return jgo's context: its configured mirrors, its own cache as a source, ``scratch`` for what it downloads."""
    from jgo.config import GlobalSettings  # Here, because a start that fetches nothing need not load it (0.2 s).
    from jgo.constants import MAVEN_CENTRAL_URL
    from jgo.maven import MavenContext, PythonResolver

    settings = GlobalSettings.load()
    return MavenContext(
        resolver=PythonResolver(progress_callback=tally.file),
        repo_cache=scratch,
        local_repos=[settings.repo_cache] if settings.repo_cache.is_dir() else [],
        remote_repos={"central": MAVEN_CENTRAL_URL, **settings.repositories},
        timeout=TIMEOUT_S,
    )


def _fetch(context: Any, jar: Jar, part: Path, tally: "_Tally") -> None:
    """Fetch one jar, check it, put it in its place."""
    for left in reversed(range(TRIES_MAX)):
        try:
            _fetch_once(context, jar, part)
        except OSError as cause:  # requests' errors are OSErrors; those of the disk carry a number.
            if cause.errno is not None or not left:
                raise _unreachable(jar, cause) from cause
            time.sleep(1.0)
        except BrokerFailed:
            raise
        except (RuntimeError, ValueError) as cause:
            raise BrokerFailed(f"cannot fetch {jar.name}: {cause}") from cause
        else:
            break
    tally.done()


def _unreachable(jar: Jar, cause: OSError) -> Exception:
    if cause.errno is not None:
        return cause
    hint = "is there a way to the internet, or does jgo's configuration name a mirror?"
    return BrokerFailed(f"cannot fetch {jar.name} ({type(cause).__name__}: {cause}); {hint}")


def _fetch_once(context: Any, jar: Jar, part: Path) -> None:
    artifact = context.project(jar.group, jar.artifact).at_version(jar.version).artifact()
    artifact.cached_path.unlink(missing_ok=True)  # A try that was cut off leaves its half.
    got = Path(artifact.resolve())
    if (found := _sha256(got)) != jar.sha256:
        raise BrokerFailed(f"{jar.name} is not the locked one: SHA-256 {found}, expected {jar.sha256}")
    if got.is_relative_to(part):
        got.rename(part / jar.name)
        return
    copy = part / f"{jar.name}.copy"
    shutil.copyfile(got, copy)
    copy.rename(part / jar.name)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _is_right(path: Path, jar: Jar) -> bool:
    return path.is_file() and _sha256(path) == jar.sha256


class _Tally:
    """What has been fetched, told at most twice a second; several threads add to it."""

    def __init__(self, what: str, files_total: int, progress: Callable[[str], None]) -> None:
        self.files = 0
        self._bytes = 0
        self._told_at = 0.0
        self._what, self._total, self._progress = what, files_total, progress
        self._lock = threading.Lock()

    @contextmanager
    def file(self, _name: str, _size: int) -> Iterator[Callable[[int], None]]:
        """Give jgo the function that it calls with the length of each chunk."""
        yield self._add

    def _add(self, length: int) -> None:
        with self._lock:
            self._bytes += length
            if time.monotonic() - self._told_at > 0.5:
                self._told_at = time.monotonic()
                self.say()

    def done(self) -> None:
        """Count a finished file."""
        with self._lock:
            self.files += 1

    def say(self) -> None:
        """Tell where the fetch stands."""
        self._progress(f"{self._what}: {self.files} of {self._total} files, {self._bytes / 1e6:.0f} MB")


def write_lock_file(scratch: Path) -> None:
    """Resolve ``jgo.toml`` anew, fetch what it names into ``scratch`` and write the lock file."""
    from jgo.env import LockFile

    context = _context(scratch, _Tally("resolving", 0, lambda _: None))
    names = tomllib.loads(SPEC_FILE.read_text(encoding="utf-8"))["dependencies"]["coordinates"]
    asked, others = context.resolver.resolve([context.create_dependency(name) for name in names])
    LockFile.from_resolved_dependencies(asked + others, environment_name="kafka").save(LOCK_FILE)


if __name__ == "__main__":
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        write_lock_file(Path(folder))
