"""Scores: macro-F1, macro-recall, accuracy, calibration error; of an artifact on the sets kept for measuring."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from models.classifier import HEADS, Classifier, decide
from models.training.calibrate import calibration_error
from models.training.data import TRIAGE, Example, load
from models.training.fit import label_ids

Ids = NDArray[np.int64]
Scores = dict[str, dict[str, float]]

MEASURING: Final = ("dev", "val", "test")


def macro_f1(labels: Ids, found: Ids) -> float:
    """Return the mean F1, 0..1, of the values that occur in either."""
    values = np.union1d(labels, found)
    hits = np.array([((labels == v) & (found == v)).sum() for v in values])
    sizes = np.array([(labels == v).sum() + (found == v).sum() for v in values])
    return float(np.mean(2 * hits / sizes)) if len(values) else 0.0


def macro_recall(labels: Ids, found: Ids) -> float:
    """Return the mean recall, 0..1, of the values that occur in the labels."""
    values = np.unique(labels)
    return float(np.mean([(found[labels == v] == v).mean() for v in values])) if len(values) else 0.0


def score(labels: Ids, found: Ids, confidence: NDArray[np.float64]) -> dict[str, float]:
    """Return all measures of one head on one set, each 0..1 and rounded to four places."""
    right = labels == found
    measures: dict[str, float] = {"texts": len(labels), "accuracy": float(right.mean())}
    if len(np.unique(labels)) > 1:  # Of one value alone, as a language's own tweets have it, they say nothing.
        measures |= {"macro_f1": macro_f1(labels, found), "macro_recall": macro_recall(labels, found)}
    measures["calibration_error"] = calibration_error(confidence, right)
    return {name: round(value, 4) for name, value in measures.items()}


def grouped(examples: Sequence[Example], rows: Iterable[int]) -> dict[str, list[int]]:
    """Return places in ``rows`` by what they are reported as: set and part, language where a set has several."""
    groups: dict[str, list[int]] = {}
    for place, row in enumerate(rows):
        example = examples[row]
        name = f"{example.source} {example.part}"
        if example.source == TRIAGE:
            kind = "written" if example.written else "real"
            language = example.language if example.language in ("de", "en") else "other"
            name = f"{TRIAGE} {kind} {language}"
            groups.setdefault(TRIAGE, []).append(place)
        elif example.source in ("umsab_tweet_sentiment", "hatecheck_multilingual"):
            groups.setdefault(f"{name} {example.language}", []).append(place)
        groups.setdefault(name, []).append(place)
    return groups


def scores_of(examples: Sequence[Example], rows: Ids, head: str, found: Ids, confidence: NDArray[np.float64]) -> Scores:
    """Return the scores of a head by group. ``found`` and ``confidence`` are in the order of ``rows``."""
    labels = label_ids([examples[row] for row in rows], head)
    return {
        name: score(labels[places], found[places], confidence[places])
        for name, places in sorted(grouped(examples, rows.tolist()).items())
    }


def evaluate(data: Path, artifact: Path | None = None) -> dict[str, Any]:
    """
    Measure an artifact on the parts of the sets that nothing was trained on.

    Posts of data/triage were trained on: their scores are those of the card, by cross-validation.

    Args:
        data: The folder of the sets, shared/data.
        artifact: The folder of fast.onnx and its card; None for the package's.

    Returns:
        ``{"version": ..., "measured": {head: {set: {measure: value}}}, "cross_validated": {...}}``.
    """
    classifier = Classifier(artifact)
    examples = [example for example in load(data) if example.part in MEASURING]
    values, confidence = decide(classifier.logits([example.text for example in examples]))
    return {
        "version": classifier.version,
        "measured": measured(examples, values, confidence),
        "cross_validated": classifier.card.scores.get("cross_validated", {}),
    }


def measured(examples: Sequence[Example], values: Ids, confidence: NDArray[np.float64]) -> Mapping[str, Scores]:
    """Return the scores by head and group. ``values`` and ``confidence``: shape (examples, heads)."""
    out: dict[str, Scores] = {}
    for place, head in enumerate(HEADS):
        rows = np.array([at for at, e in enumerate(examples) if head in e.labels], np.int64)
        if len(rows):
            out[head] = scores_of(examples, rows, head, values[rows, place], confidence[rows, place])
    return out
