"""
What tenants' own heads cost a post: ``python -m tests.bench.heads``.

CPU us a post of 100 characters in batches of 32, one thread, the variants in turn: the shipped classifier, the same for a
tenant without heads while another has some, then with scale and shift, and with n-grams weighed by one head and by three.
"""

import json
import time
from collections.abc import Callable
from typing import Final

import numpy as np

from models.classifier import Classifier
from models.learned import TenantClassifier, TenantHeads
from models.learning import Standing, Weights, columns_of, fit, grams_of
from models.text import normalise

BATCH: Final = 32
ROUNDS: Final = 60
LENGTH: Final = 100
TAUGHT: Final = 600


def some_texts(count: int, rng: np.random.Generator) -> list[str]:
    """Texts of words that come again, as those of one tenant do."""
    words = ["".join(rng.choice(list("abcdefghijklmnoprstuvwz"), rng.integers(2, 9))) for _ in range(2_000)]
    return [" ".join(rng.choice(words, 30))[:LENGTH] for _ in range(count)]


def heads_of(classifier: Classifier, heads: TenantHeads, tenant: str, names: tuple[str, ...], own: bool) -> None:
    """Let a tenant have learnt these heads from made-up corrections."""
    rng = np.random.default_rng(5)
    texts = [normalise(text) for text in some_texts(TAUGHT, rng)]
    logits, grams = classifier.logits(texts).astype(np.float64), grams_of(texts)
    for name in names:
        mine = logits[:, columns_of(name)]
        labels = rng.integers(0, max(mine.shape[1], 2), TAUGHT)
        model = fit(name, classifier.version, mine, labels, grams, "own" if own else "shift")
        heads.keep(Weights(tenant, name, model.version, model))
        heads.stand(Standing(tenant, name, current=model.version, kept=(model.version,)))


def cost_us(call: Callable[[], object]) -> float:
    """Return the CPU us a post of a call that labels a batch: the median of rounds."""
    took: list[float] = []
    for _ in range(ROUNDS):
        began = time.process_time_ns()
        for _ in range(5):
            call()
        took.append((time.process_time_ns() - began) / 5 / BATCH / 1000)
    return float(np.median(took))


def main() -> None:
    """Measure and print one JSON object."""
    classifier = Classifier()
    heads = TenantHeads(classifier.version)
    heads_of(classifier, heads, "shift", ("sentiment", "category", "triage"), own=False)
    heads_of(classifier, heads, "one", ("sentiment",), own=True)
    heads_of(classifier, heads, "three", ("sentiment", "category", "triage"), own=True)
    tenants = TenantClassifier(classifier, heads)
    texts = some_texts(BATCH, np.random.default_rng(6))
    calls: dict[str, Callable[[], object]] = {"shipped": lambda: classifier.classify(texts)}
    for name in ("none", "shift", "one", "three"):
        calls[name] = lambda name=name: tenants.classify_for(texts, [name] * BATCH)  # type: ignore[misc]
    for call in calls.values():
        call()
    print(json.dumps({name: round(cost_us(call), 1) for name, call in calls.items()}))


if __name__ == "__main__":
    main()
