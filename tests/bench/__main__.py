"""``python -m tests.bench [promises|decisions|classifier] [--quick] [--json] [--posts N] [--rounds N]``: all variants in turn, on one broker."""

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from streams.broker import Broker
from tests.bench import classifier, decisions, load, promises

ROUND = ("loop", "pipeline", "loop_without_model", "pipeline_without_model", "understand", "dispatch", "measure")
"""In this order, since the steps alone read what the one before has written."""
RUN_MAX_S = 240


def main() -> None:
    """Run the benchmark; the last line is JSON."""
    if sys.argv[1:2] == ["classifier"]:
        classifier.main(sys.argv[2:])
        return
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("part", nargs="?", choices=("promises", "decisions"), help="this alone, without a broker")
    parser.add_argument("--quick", action="store_true", help="8,000 posts, one round, under 50 s")
    parser.add_argument("--json", action="store_true", help="print nothing but the last line")
    parser.add_argument("--posts", type=int, default=0)
    parser.add_argument("--rounds", type=int, default=0)
    options = parser.parse_args()
    if options.part == "promises":
        promises.run(only_json=options.json)
        return
    if options.part == "decisions":
        decisions.run(only_json=options.json, quick=options.quick)
        return
    posts = options.posts or (8_000 if options.quick else 40_000)
    rounds = options.rounds or (1 if options.quick else 3)
    say = (lambda _text: None) if options.json else print
    with tempfile.TemporaryDirectory(prefix="zuruf-bench-") as folder, Broker(Path(folder) / "broker") as broker:
        say(f"{posts} posts a round, 30 % of them noise; {rounds} round(s)")
        costs: dict[str, list[float]] = {name: [] for name in ROUND}
        for number in range(rounds):
            written = f"posts{number}"
            asyncio.run(load.fill_posts(broker.bootstrap, posts, written))
            for name in ROUND:
                prefix = f"{'s' if name in ('understand', 'dispatch', 'measure') else name}{number}"
                seen = _run(name, prefix, written, posts, broker.bootstrap, Path(folder))
                costs[name].append(seen["cpu_us_per_post"])
                say(f"round {number + 1} {name:24}{seen['cpu_us_per_post']:8.1f} us a post   {seen['detail']}")
    best = {name: round(statistics.median(values), 1) for name, values in costs.items()}
    ratios = [mine / loop for mine, loop in zip(costs["pipeline"], costs["loop"], strict=True)]
    say("")
    for name, value in best.items():
        say(f"{name:26}{value:8.1f} us a post{1e6 / value:12,.0f} posts/s a core")
    say(f"pipeline / loop: {statistics.median(ratios):.2f} (bar 1.5); steps alone read and write the broker too")
    print(json.dumps(best))


def _run(name: str, prefix: str, written: str, posts: int, bootstrap: str, folder: Path) -> dict[str, float]:
    """Run one variant in a process of its own and return what it measured of itself."""
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "tests.bench.variant",
            name,
            prefix,
            written,
            str(posts),
            bootstrap,
            str(folder / prefix),
        ],
        capture_output=True,
        text=True,
        timeout=RUN_MAX_S,
        env={**os.environ, "PYTHONHASHSEED": "0"},
        check=False,
    )
    if done.returncode != 0:
        raise SystemExit(f"{name} ended with {done.returncode}:\n{done.stdout[-2000:]}{done.stderr[-4000:]}")
    result: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return result


if __name__ == "__main__":
    main()
