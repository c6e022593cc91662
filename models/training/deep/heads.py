"""Heads over vectors of an encoder: calibrated and scored like the fast tier's."""

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from models.classifier import HEADS, columns_of
from models.training.calibrate import log_loss
from models.training.data import TRIAGE, Example, is_bound
from models.training.features import Floats
from models.training.fit import label_ids
from models.training.run import Judged, calibrated_by_others, judge, weights_in_calibration

Ids = NDArray[np.int64]


class Linear(Struct, frozen=True):
    """A head: margins are ``features @ weights + bias``."""

    weights: Floats
    """Shape (features, columns of the head)."""
    bias: Floats

    def margins(self, features: Floats) -> Floats:
        """Shape (n, columns of the head)."""
        return features @ self.weights + self.bias


SHARES: Final = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8, 1.0, 1.5, 2.0)
"""Of the fast tier's logits beside the encoder's margins, among which is chosen."""

APART: Final = ("toxic",)
"""
Heads that take none of them.

What calibrates toxicity is of the collections that the fast tier learnt from, whose words and topics its n-grams know: its
log-loss asks for 1.5, which is a gain there alone. Macro-F1 at shares of 0, 0.3 and 1.5, on test parts of the same collections:
GermEval 2018 0.68, 0.70, 0.72; TweetEval offensive 0.78, 0.80, 0.80. Of others, or from another time: TweetEval hate 0.57, 0.54,
0.45; HateCheck 0.57, 0.53, 0.38; GermEval 2021 0.59, 0.58, 0.57.
"""


class Finished(Struct, frozen=True):
    """A head and the fast tier's, joined and judged as one."""

    share: float
    """Of the fast tier's logits, which are added to the margins before calibration."""
    judged: Judged


def finish(head: str, margins: Floats, fast: Floats, examples: Sequence[Example]) -> Finished:
    """
    Join a head with the fast tier's, and calibrate both as one.

    The sum of both's logits is a logarithmic opinion pool (Heskes 1998, "Selecting weighting factors in logarithmic opinion
    pools"): two readers that err on different texts err less together. The share is the one with the least log-loss by
    calibrations on other folds; it is one number a head, and chosen on all texts.

    Args:
        head: One of ``HEADS``.
        margins: Of texts that the head was not fitted on, shape (n, columns of the head).
        fast: What the fast tier says of them by heads that were not fitted on them either: logits, of the same shape.
        examples: The texts.
    """
    labels, weights = label_ids(examples, head), weights_in_calibration(examples)

    def loss(share: float) -> float:
        return log_loss(calibrated_by_others(head, margins + share * fast, examples), labels, weights)

    share = 0.0 if head in APART else min(SHARES, key=loss)
    return Finished(share, judge(head, margins + share * fast, examples))


def finish_all(margins: Floats, fast: Floats, examples: Sequence[Example]) -> dict[str, Finished]:
    """
    Finish every head on what it is calibrated on.

    Args:
        margins: Of texts by nets that did not learn from them, shape (examples, COLUMNS); texts with NaN are left out.
        fast: What the fast tier says of them, as ``fast.unlearnt`` gives it; may end before texts that no head is calibrated on.
        examples: The texts.

    Raises:
        ValueError: If the fast tier says nothing of a text that a head is calibrated on.
    """
    finished = {}
    for head in HEADS:
        rows, columns = calibrating(head, examples), columns_of(head)
        rows = rows[np.isfinite(margins[rows, columns]).all(axis=1)]
        said = fast[rows, columns]
        if silent := int((~np.isfinite(said)).any(axis=1).sum()):
            raise ValueError(f"{head}: the fast tier says nothing of {silent} of {len(rows)} texts")
        finished[head] = finish(head, margins[rows, columns], said, [examples[at] for at in rows])
    return finished


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


class Packed(Struct, frozen=True):
    """All heads side by side, calibration multiplied in."""

    weights: NDArray[np.float32]
    """Shape (features, COLUMNS)."""
    bias: NDArray[np.float32]
    """Shape (COLUMNS,)."""
    fast: NDArray[np.float32]
    """Shape (COLUMNS,): how much each of the fast tier's logits adds."""


def packed(linear: Mapping[str, Linear], finished: Mapping[str, Finished]) -> Packed:
    """Lay the heads side by side."""
    calibration = {head: finished[head].judged.calibration for head in HEADS}
    weights = [linear[head].weights * calibration[head].scale for head in HEADS]
    bias = [calibration[head].logits(linear[head].bias) for head in HEADS]
    fast = [calibration[head].scale * finished[head].share for head in HEADS]
    return Packed(
        np.concatenate(weights, axis=1).astype(np.float32),
        np.concatenate(bias).astype(np.float32),
        np.concatenate(fast).astype(np.float32),
    )
