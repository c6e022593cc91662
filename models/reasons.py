"""Why a text got its label: the words without which it would be another, and the rules that spoke."""

from functools import cache
from itertools import pairwise
from typing import Final, Literal

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from models.classifier import HEADS, Classifier, chances
from models.labels import Classification
from models.text import normalise
from models.triage import triage_of_text

REASONS_MAX: Final = 5
"""More than a person reads of one label."""

WORDS_MAX: Final = 150
"""A text of 300 characters has no more; each costs one or two rows of a batch."""

EFFECT_MIN: Final = 0.05
"""In log-odds: less is no reason; it moves a probability of 0.50 to 0.51."""


class Reason(Struct, frozen=True):
    """One word, pair of words or rule that speaks for a label."""

    kind: Literal["words", "rule"]
    text: str
    """The words as the classifier read them (lower case, names masked), or ``reason: word`` of a rule."""
    effect: float
    """By how much the label's log-odds fall without these words, natural logarithm; of a rule 0, as it decides alone."""


def reasons(
    text: str, head: str, classifier: Classifier | None = None, reasons_max: int = REASONS_MAX
) -> tuple[Reason, ...]:
    """
    Return what speaks for the value that a head gives to a text: rules first, then words, the strongest first.

    Each word and each pair of neighbours is left out in turn and the rest is read again: what counts is what the graph
    itself then says, whatever it is made of. One to four ms.

    Args:
        text: As written.
        head: One of ``classifier.HEADS``.
        classifier: None for the one that comes with the package.
        reasons_max: How many at most.

    Raises:
        ValueError: If there is no such head.
    """
    if head not in HEADS:
        raise ValueError(f"no head {head!r}; there are {', '.join(HEADS)}")
    classifier = classifier or _shipped()
    said = _rules(classifier.classify([text])[0], text) if head == "triage" else ()
    return (*said, *_words(classifier, normalise(text), head))[:reasons_max]


@cache
def _shipped() -> Classifier:
    return Classifier()


def _rules(labels: Classification, text: str) -> tuple[Reason, ...]:
    """Return what the word lists say of a triage; they raise it after the classifier, see ``models.triage``."""
    return tuple(Reason("rule", why, 0.0) for why in triage_of_text(labels, text)[1])


def _words(classifier: Classifier, text: str, head: str) -> tuple[Reason, ...]:
    """Return the words that speak for the value of a head, the strongest first, none of them twice."""
    words = text.split(" ")[:WORDS_MAX]
    spans = [(at, at + 1) for at in range(len(words))] + [(at, end + 1) for at, end in pairwise(range(len(words)))]
    without = [" ".join(words[:start] + words[end:]) for start, end in spans]
    odds = _log_odds(classifier, [" ".join(words), *without], head)
    effects = odds[0] - odds[1:]
    # A pair is told only where it says more than its two words by themselves.
    effects[len(words) :] -= np.maximum(effects[: len(words) - 1], 0) + np.maximum(effects[1 : len(words)], 0)
    taken: set[int] = set()
    found: list[Reason] = []
    for place in np.argsort(-effects, kind="stable").tolist():
        start, end = spans[place]
        if effects[place] < EFFECT_MIN:
            break
        if not taken & set(range(start, end)):
            taken |= set(range(start, end))
            found.append(Reason("words", " ".join(words[start:end]), round(float(odds[0] - odds[1 + place]), 3)))
    return tuple(sorted(found, key=lambda reason: -reason.effect))


def _log_odds(classifier: Classifier, texts: list[str], head: str) -> NDArray[np.float64]:
    """Return, for each text, the log-odds of the value that the first of them has. Shape (texts,)."""
    probabilities = chances(classifier.logits(texts), head)
    value = int(probabilities[0].argmax())
    inside = np.clip(probabilities[:, value], 1e-9, 1 - 1e-9)
    return np.asarray(np.log(inside / (1 - inside)), np.float64)
