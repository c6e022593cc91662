"""``python -m tests.e2e``: one run, a table and, last, one line of JSON; exit code 1 on any violation."""

import argparse
import asyncio
import json
import sys
import tempfile
import time
from pathlib import Path

import msgspec

from agents.processes import new_loop
from tests.e2e.judge import kinds
from tests.e2e.play import Result, play
from tests.e2e.posts import plan


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.e2e")
    parser.add_argument("--posts", type=int, default=2000, help="posts, good and bad, at least 150 (2000)")
    parser.add_argument("--rate", type=float, default=150.0, help="posts a second (150)")
    parser.add_argument("--seed", type=int, default=int(time.time()), help="of everything random")
    parser.add_argument("--no-kills", action="store_true", help="let every process live")
    parser.add_argument("--json", action="store_true", help="print the line of JSON alone")
    parser.add_argument("--folder", type=Path, help="keep data and logs there; else they are removed")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="zuruf-e2e-") as temporary:
        folder = chosen.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        run = play(plan(chosen.posts, chosen.seed), folder, rate=chosen.rate, kills=not chosen.no_kills, say=_say)
        with asyncio.Runner(loop_factory=new_loop) as runner:
            result = runner.run(run)
    if not chosen.json:
        _table(result)
    ok = not result.verdict.violations
    facts = {"suite": "e2e", "ok": ok, "seed": chosen.seed, "killed": result.killed, "seconds": result.seconds}
    print(json.dumps(facts | msgspec.to_builtins(result.verdict), ensure_ascii=False))
    return 0 if ok else 1


def _table(result: Result) -> None:
    print(f"{'what was sent':<34}{'must be answered':<24}{'calls':>7}{'posts':>7}{'so it was':>10}")
    for kind, meant, calls, posts, good in kinds(result.evidence.outcomes):
        print(f"{kind:<34}{meant:<24}{calls:>7}{posts:>7}{good:>10}")
    print()
    for name, value in msgspec.to_builtins(result.verdict).items():
        if name != "violations":
            print(f"{name:<24}{value}")
    for violation in result.verdict.violations:
        print(f"VIOLATION {violation}")


def _say(text: str) -> None:
    print(f"e2e: {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
