"""Heads over vectors of an encoder: calibrated and scored like the fast tier's."""

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from models.classifier import HEADS
from models.training.calibrate import Calibration, calibrate, probabilities, threshold
from models.training.data import FOLDS, TRIAGE, Example, is_bound
from models.training.evaluate import Scores, scores_of
from models.training.features import Floats
from models.training.fit import label_ids
from models.training.run import TARGETS, WRITTEN_WEIGHT

Ids = NDArray[np.int64]


class Linear(Struct, frozen=True):
    """A head: margins are ``features @ weights + bias``."""

    weights: Floats
    """Shape (features, columns of the head)."""
    bias: Floats

    def margins(self, features: Floats) -> Floats:
        """Shape (n, columns of the head)."""
        return features @ self.weights + self.bias


class Finished(Struct, frozen=True):
    """What margins of texts that they were not fitted on say about a head."""

    calibration: Calibration
    threshold: float
    scores: Scores


def finish(head: str, margins: Floats, examples: Sequence[Example]) -> Finished:
    """Calibrate a head on margins of texts that it was not fitted on, and score it by calibrations that did not see them."""
    labels = label_ids(examples, head)
    weights = np.array([WRITTEN_WEIGHT if example.written else 1.0 for example in examples])
    folds = np.array([e.fold if e.source == TRIAGE else at % FOLDS for at, e in enumerate(examples)])
    found, confidence = np.zeros(len(labels), np.int64), np.zeros(len(labels))
    for fold in range(FOLDS):
        inside = folds == fold
        if not inside.any():
            continue
        scaled = calibrate(margins[~inside], labels[~inside], weights[~inside]).logits(margins[inside])
        chances = probabilities(scaled)
        found[inside], confidence[inside] = chances.argmax(axis=1), chances.max(axis=1)
    rows = np.arange(len(labels))
    return Finished(
        calibration=calibrate(margins, labels, weights),
        threshold=threshold(confidence, found == labels, weights, TARGETS[head]),
        scores=scores_of(examples, rows, head, found, confidence),
    )


def calibrating(head: str, examples: Sequence[Example]) -> Ids:
    """
    Return the rows that a head is calibrated on: posts of data/triage, and measuring parts that are no test.

    Of the head for language every third, which is enough for a scale and a shift a language.
    """
    rows = [
        at
        for at, example in enumerate(examples)
        if head in example.labels
        and (head not in _ELSEWHERE if example.source == TRIAGE else _calibrates(head, example))
    ]
    return np.array(rows[::3] if head == "language" else rows, np.int64)


_ELSEWHERE: Final = ("language", "toxic")
"""Heads that data/triage says nothing about, or only what other sets say better."""


def _calibrates(head: str, example: Example) -> bool:
    return example.part in ("dev", "val") and not is_bound(example.licence) and head in (*_ELSEWHERE, "sentiment")


def packed(
    linear: Mapping[str, Linear], finished: Mapping[str, Finished]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Lay the heads side by side, calibration multiplied in: weights of shape (features, COLUMNS), and the bias."""
    weights = [linear[head].weights * finished[head].calibration.scale for head in HEADS]
    bias = [finished[head].calibration.logits(linear[head].bias) for head in HEADS]
    return np.concatenate(weights, axis=1).astype(np.float32), np.concatenate(bias).astype(np.float32)
