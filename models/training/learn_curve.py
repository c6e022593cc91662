"""
A tenant that the classifier has never seen teaches it: the US airline set as corrections, and what poison does.

``python -m models.training.learn_curve --data ../shared/data``. The set's licence forbids commercial use, so nothing is
trained on it that ships: here it is the tenant. Its train part comes in an order by hash, as corrections of five reps; each
trial runs as in the engine, when it is due. Accuracy is on the test part, which nothing is chosen on: of the fast tier, of the
deep one, and of both as they work together: posts that are worth a second reading get one, as if there were always time for it.
"""

import argparse
import csv
import hashlib
import io
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from models.classifier import HEADS, Classifier, columns_of
from models.deep import FOLDER, DeepClassifier, read_card
from models.errors import Misconfigured
from models.labels import Classification
from models.learned import Deep, TenantClassifier, TenantHeads, TenantReader
from models.learning import (
    GROWTH,
    SHIFT_MIN,
    Corrections,
    Floats,
    Grams,
    Head,
    Ids,
    Standing,
    Weights,
    applied,
    grams_of,
    score_of,
    tried,
)
from models.second import found, worth
from models.text import normalise
from models.training.data import _text
from models.triage import triage_of_text

SET: Final = "twitter_us_airline"
HEAD: Final = "sentiment"
AFTER: Final = (0, 100, 500, 1_000, 2_000)
REPS: Final = ("r1", "r2", "r3", "r4", "r5")

Poison = Callable[[Ids, np.random.Generator], Ids]


class Tenant(Struct, frozen=True):
    """Texts of the set with what the shipped head says of them."""

    texts: tuple[str, ...]
    raw: tuple[str, ...]
    labels: Ids
    logits: Floats
    grams: Grams

    def first(self, count: int) -> "Tenant":
        """Return the first so many."""
        chosen = np.arange(min(count, len(self.texts)))
        return Tenant(
            self.texts[:count], self.raw[:count], self.labels[chosen], self.logits[chosen], self.grams.of(chosen)
        )

    def corrected(self, labels: Ids | None = None) -> Corrections:
        """Return them as corrections of five reps."""
        reps = tuple(REPS[at % len(REPS)] for at in range(len(self.texts)))
        return Corrections(self.texts, self.labels if labels is None else labels, reps)


def read(data: Path, part: str, classifier: Classifier) -> Tenant:
    """
    Read a part of the set, in an order by hash.

    Raises:
        Misconfigured: If it is missing.
    """
    rows = list(csv.DictReader(io.StringIO(_text(data / SET / f"{part}.csv"), newline="")))
    rows.sort(key=lambda row: hashlib.md5(row["text"].encode(), usedforsecurity=False).digest())
    texts = tuple(normalise(row["text"]) for row in rows)
    labels = np.array([HEADS[HEAD].index(row[HEAD]) for row in rows], np.int64)
    logits = classifier.logits(texts)[:, columns_of(HEAD)].astype(np.float64)
    return Tenant(texts, tuple(row["text"] for row in rows), labels, logits, grams_of(texts))


class Step(Struct, frozen=True):
    """The tenant's head after so many corrections."""

    corrections: int
    accuracy: float
    macro_recall: float
    kind: str
    """shipped, shift or own."""
    promotions: int
    champion: Head | None


def learn(
    tenant: Tenant,
    test: Tenant,
    base: str,
    after: Sequence[int],
    labels: Ids | None = None,
    champion: Head | None = None,
    begin: int = 0,
) -> tuple[list[Step], Head | None]:
    """
    Let corrections come one by one and try them when a trial is due.

    Args:
        labels: What the reps say; None for the truth.
        champion: The head that stands when ``begin`` corrections have come.
    """
    steps: list[Step] = []
    tried_at, promotions = begin, 0
    for count in range(begin, max(after) + 1):
        due = count >= SHIFT_MIN and count - tried_at >= max(SHIFT_MIN * GROWTH, GROWTH * tried_at)
        if due and count <= len(tenant.texts):
            part = tenant.first(count)
            trial = tried(HEAD, base, part.corrected(None if labels is None else labels[:count]), part.logits, champion)
            tried_at = count
            if trial.promoted is not None:
                champion, promotions = trial.promoted, promotions + 1
        if count in after:
            steps.append(_step(count, champion, test, promotions))
    return steps, champion


def _step(count: int, champion: Head | None, test: Tenant, promotions: int) -> Step:
    score = score_of(applied(champion, test.logits, test.grams), test.labels)
    kind = "shipped" if champion is None else champion.kind
    return Step(count, score.accuracy, score.macro_recall, kind, promotions, champion)


class Twice(Struct, frozen=True):
    """Accuracy with both tiers, shares of 1."""

    both: float
    """Of what stands after the second reading."""
    deep: float


class SecondTime:
    """Reads the test part with both tiers, as the engine does; the deep one once, since heads change only its logits."""

    def __init__(self, test: Tenant, classifier: Classifier, deep: Deep) -> None:
        self._test, self._classifier, self._deep = test, classifier, deep
        self._logits, self._vectors = deep.logits(test.raw)

    def logits(self, texts: Sequence[str]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return what the deep tier says of the test part."""
        return self._logits.copy(), self._vectors

    def labelled(self, logits: NDArray[np.float32], texts: Sequence[str]) -> list[Classification]:
        """Return the labels that logits of normalised texts give."""
        return self._deep.labelled(logits, texts)

    def read(self, champion: Head | None) -> Twice:
        """Return how often both tiers are right, with a tenant's head on."""
        heads = TenantHeads(self._classifier.version)
        if champion is not None:
            heads.keep(Weights(SET, HEAD, champion.version, champion))
            heads.stand(Standing(SET, HEAD, current=champion.version, kept=(champion.version,)))
        tenants = [SET] * len(self._test.raw)
        first = TenantClassifier(self._classifier, heads).classify_for(self._test.raw, tenants)
        second = TenantReader(self, heads).label_for(self._test.raw, tenants)
        wanted = [HEADS[HEAD][label] for label in self._test.labels]
        stands = [
            found(once, again).labels.get(HEAD, once.sentiment)
            if worth(once, triage_of_text(once, text)[0], influence=0.0)
            else once.sentiment
            for once, again, text in zip(first, second, self._test.raw, strict=True)
        ]
        return Twice(_share(stands, wanted), _share([labels.sentiment for labels in second], wanted))


def _share(said: Sequence[str], wanted: Sequence[str]) -> float:
    return sum(map(str.__eq__, said, wanted)) / len(wanted)


def _random(labels: Ids, rng: np.random.Generator) -> Ids:
    return rng.integers(0, len(HEADS[HEAD]), len(labels))


def _shuffled(labels: Ids, rng: np.random.Generator) -> Ids:
    return rng.permutation(labels)


def _flipped(labels: Ids, rng: np.random.Generator) -> Ids:
    return len(HEADS[HEAD]) - 1 - labels


def _constant(labels: Ids, rng: np.random.Generator) -> Ids:
    return np.full(len(labels), len(HEADS[HEAD]) - 1)


POISONS: Final[dict[str, Poison]] = {
    "random": _random,
    "shuffled": _shuffled,
    "flipped": _flipped,
    "all positive": _constant,
}


def poisoned(tenant: Tenant, test: Tenant, base: str) -> list[dict[str, Any]]:
    """Return what becomes of a tenant whose corrections are poisoned from the first, or after 1,000 honest ones."""
    rng = np.random.default_rng(7)
    _, honest = learn(tenant, test, base, (1_000,))
    out: list[dict[str, Any]] = []
    for name, poison in POISONS.items():
        for begin, until in ((0, 1_000), (1_000, 2_000)):
            labels = tenant.labels.copy()
            labels[begin:until] = poison(labels[begin:until], rng)
            champion = honest if begin else None
            before = _step(begin, champion, test, 0).accuracy
            steps, _ = learn(tenant, test, base, (until,), labels, champion, begin)
            (step,) = steps
            out.append(
                {
                    "poison": name,
                    "honest_before": begin,
                    "poisoned": until - begin,
                    "accuracy_before": before,
                    "accuracy_after": step.accuracy,
                    "promotions": step.promotions,
                }
            )
    return out


def curve(data: Path, artifact: Path | None = None) -> dict[str, Any]:
    """
    Run the whole experiment.

    Args:
        artifact: The fast tier; None for the one that ships. Only with that the deep one reads too: it was fitted with it.

    Returns:
        ``{"base": version, "learning": [...], "poisoned": [...]}``, as plain values; of each step ``accuracy`` and
        ``macro_recall`` of the fast tier, and with the deep one ``accuracy_both`` and ``accuracy_deep``.
    """
    classifier = Classifier(artifact)
    fitted_with = read_card(FOLDER).fast
    tenant, test = read(data, "train", classifier), read(data, "test", classifier)
    steps, _ = learn(tenant, test, classifier.version, AFTER)
    second = SecondTime(test, classifier, DeepClassifier()) if fitted_with == classifier.version else None
    return {
        "base": classifier.version,
        "test_texts": len(test.texts),
        "learning": [_plain(step, second) for step in steps],
        "poisoned": poisoned(tenant, test, classifier.version),
    }


def _plain(step: Step, second: SecondTime | None) -> dict[str, Any]:
    plain = {name: getattr(step, name) for name in Step.__struct_fields__ if name != "champion"}
    if second is not None:
        twice = second.read(step.champion)
        plain |= {"accuracy_both": twice.both, "accuracy_deep": twice.deep}
    return plain


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(prog="python -m models.training.learn_curve", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of the sets")
    parser.add_argument("--artifact", type=Path, help="left out: the one that ships")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    arguments = parser.parse_args()
    try:
        figures = curve(arguments.data, arguments.artifact)
    except Misconfigured as error:
        parser.exit(2, f"{error}\n")
    print(json.dumps(figures) if arguments.json else table(figures))  # noqa: T201  # the program's output


def table(figures: dict[str, Any]) -> str:
    """Return the figures as lines to read."""
    lines = [f"{SET}, {HEAD}, {figures['test_texts']} test texts, base {figures['base']}", ""]
    lines += [f"{'corrections':>11}  {'accuracy':>8}  {'recall':>6}  {'both':>5}  {'deep':>5}  head"]
    lines += [
        f"{step['corrections']:>11,}  {step['accuracy']:>8.3f}  {step['macro_recall']:>6.3f}"
        f"  {_share_of(step, 'accuracy_both')}  {_share_of(step, 'accuracy_deep')}  {step['kind']}"
        for step in figures["learning"]
    ]
    lines += ["", f"{'poison':<13}{'after honest':>12}{'poisoned':>10}{'before':>8}{'after':>8}  promotions"]
    lines += [
        f"{one['poison']:<13}{one['honest_before']:>12,}{one['poisoned']:>10,}"
        f"{one['accuracy_before']:>8.3f}{one['accuracy_after']:>8.3f}  {one['promotions']}"
        for one in figures["poisoned"]
    ]
    return "\n".join(lines)


def _share_of(step: dict[str, Any], name: str) -> str:
    return f"{step[name]:>5.3f}" if name in step else "    -"


if __name__ == "__main__":
    main()
