"""`zuruf worker`, `gateway` and `connect` as an operator runs them: processes of their own, spoken to by environment alone."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).parents[2]
END_S: Final = 20.0


def environment_of(given: Mapping[str, str]) -> dict[str, str]:
    """Return this machine's variables without any of ours, and those given."""
    plain = {name: value for name, value in os.environ.items() if not name.startswith("ZURUF_")}
    return plain | {"PYTHONPATH": str(ROOT)} | dict(given)


def command_of(name: str, file: Path, *arguments: str) -> list[str]:
    """Return a command of ours for `zuruf.toml`."""
    return [sys.executable, "-P", "-m", "agents.cli", name, "--config", str(file), "--log", "warning", *arguments]


class Apart:
    """One process, from its start to its end."""

    def __init__(self, name: str, file: Path, environment: Mapping[str, str], *arguments: str) -> None:
        """Start it; what it says lies beside the configuration."""
        self.name = name
        self.log = file.with_name(f"{name}.log")
        with self.log.open("wb") as errors:
            self.process = subprocess.Popen(
                [*command_of(name, file, *arguments), "--announce", "--held"],
                env=environment_of(environment),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
            )

    def facts(self) -> dict[str, Any]:
        """Wait until it is ready, and return what it announces."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, f"{self.name} ended before it was ready: {self.log.read_text()}"
        facts: dict[str, Any] = json.loads(line)
        return facts

    def end(self) -> int:
        """End it by the end of its pipe; return its status."""
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.close()
        try:
            return self.process.wait(END_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait()
        finally:
            self.process.stdout.close()


def said_at_its_end(name: str, file: Path, environment: Mapping[str, str], within_s: float) -> tuple[int, str, float]:
    """Run a command that ought to end by itself; return its status, all it said and how long it took, in seconds."""
    began = time.monotonic()
    done = subprocess.run(
        [*command_of(name, file), "--announce"],
        env=environment_of(environment),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=within_s,
        check=False,
    )
    return done.returncode, done.stdout, time.monotonic() - began
