"""
``make bench ARGS=classifier``: CPU a post of the fast classifier, with normalisation, one thread, and its memory.

Batches of 1, 32 and 256 posts of 50, 100, 280 and 1,000 characters; with ``ARGS="classifier --tier deep"`` the deep one with
all that it asks of the fast one, batches of 1 and 16 posts of at most 20, 40 and 94 pieces, and the memory of both. Each cell
is the best of several rounds, and rounds go through all cells in turn, so that other work on the machine meets all alike. The
last line is JSON.
"""

import argparse
import json
import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from models.classifier import Classifier
from models.deep import DeepClassifier

BATCHES = (1, 32, 256)
LENGTHS = (50, 100, 280, 1_000)
BATCHES_DEEP = (1, 16)
PIECES = (20, 40, 94)
POSTS = 512
"""Of each length: more than one batch, so that one text's n-grams do not stay in the cache for the next."""
ROUNDS = 7

WORDS = (
    "Hallo zusammen seit gestern lädt die App nicht mehr und ich komme nicht an meine Fahrkarte was kann ich tun Danke "
    "hello my order has not arrived yet and nobody answers the phone could you please look into this thank you so much "
    "warum wird mir der Betrag zweimal abgebucht train cancelled again refund Rechnung router Störung Verspätung delivery "
    "where is the next stop bonjour je n'arrive pas à me connecter au compte gracias por la ayuda wann kommt das Update"
).split()
MARKS = ("", "", "", "", "", ",", ".", "!", "?", "!!!", " 😡", " 👍", " https://t.co/x7Zq", " &amp;", " #service")


def posts(length: int, count: int = POSTS, seed: int = 7) -> list[str]:
    """Return posts of a length in characters, no two alike: names, words of several languages, marks, links."""
    rng = random.Random(seed + length)
    return ["".join(_letters(rng, length))[:length].ljust(length, ".") for _ in range(count)]


def _letters(rng: random.Random, length: int) -> Iterator[str]:
    yield f"@{rng.choice(WORDS)}_hilft "
    for _ in range(length // 3):
        yield f"{rng.choice(WORDS)}{rng.choice(MARKS)} "


def posts_of_pieces(deep: DeepClassifier, pieces: int, count: int = 64) -> list[str]:
    """Return posts of at most so many pieces, marks included, and as many as whole words allow."""
    out = []
    for post in posts(1_000, count):
        words = post.split(" ")
        fits = [len(ids) <= pieces for ids in deep.ids([" ".join(words[:end]) for end in range(1, len(words) + 1)])]
        out.append(" ".join(words[: sum(fits)]))
    return out


def measure(
    label: Callable[[Sequence[str]], object], texts: Mapping[int, Sequence[str]], batches: Sequence[int], rounds: int
) -> dict[str, dict[str, float]]:
    """Return microseconds of CPU a post, by batch and size: the best round of each."""
    best: dict[str, dict[str, float]] = {str(batch): {} for batch in batches}
    for _ in range(rounds):
        for batch in batches:
            for size, some in texts.items():
                cost = _cost_us(label, some, batch)
                row = best[str(batch)]
                row[str(size)] = round(min(cost, row.get(str(size), cost)), 1)
    return best


def _cost_us(label: Callable[[Sequence[str]], object], texts: Sequence[str], batch: int) -> float:
    runs = [texts[start : start + batch] for start in range(0, len(texts), batch)]
    began = time.process_time_ns()
    for run in runs:
        label(run)
    return (time.process_time_ns() - began) / len(texts) / 1e3


def resident_mb() -> float:
    """Return the resident memory of this process in MB; 0 where the system does not say."""
    status = Path("/proc/self/status")
    lines = status.read_text(encoding="ascii").splitlines() if status.exists() else []
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS")), 0.0)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="make bench ARGS=classifier", description=__doc__)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--tier", choices=("fast", "deep"), default="fast")
    parser.add_argument("--artifact", type=Path, default=None, help="folder; left out: the one that ships")
    options = parser.parse_args(arguments)
    before = resident_mb()
    if options.tier == "deep":
        deep = DeepClassifier(options.artifact)
        loaded = resident_mb() - before
        version, unit = deep.version, "pieces"
        costs = measure(
            deep.label, {pieces: posts_of_pieces(deep, pieces) for pieces in PIECES}, BATCHES_DEEP, options.rounds
        )
    else:
        fast = Classifier(options.artifact)
        loaded = resident_mb() - before
        version, unit = fast.version, "characters"
        costs = measure(fast.classify, {length: posts(length) for length in LENGTHS}, BATCHES, options.rounds)
    grown = resident_mb() - before
    print(f"version {version}; us of CPU a post with normalisation, one thread, best of {options.rounds} rounds")
    sizes = next(iter(costs.values()))
    print(f"{'batch':>8}" + "".join(f"{size:>8}" for size in sizes) + f"  {unit}")
    for batch, row in costs.items():
        print(f"{batch:>8}" + "".join(f"{row[size]:>8.1f}" for size in sizes))
    print(f"memory: {loaded:.0f} MB after loading, {grown:.0f} MB after all batches")
    print(json.dumps({"cpu_us_per_post": costs, "loaded_mb": round(loaded, 1), "grown_mb": round(grown, 1)}))


if __name__ == "__main__":
    main()
