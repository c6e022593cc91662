"""Margins -> probabilities, and the probability below which a label is called unsure."""

from typing import Final

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from models.training.features import Floats

Ids = NDArray[np.int64]

BINS: Final = 15


class Calibration(Struct, frozen=True):
    """Logits are ``margins * scale + shift``."""

    scale: Floats
    """Shape (columns of the head,)."""
    shift: Floats
    """Shape (columns of the head,)."""

    def logits(self, margins: Floats) -> Floats:
        """Shape as ``margins``."""
        return margins * self.scale + self.shift


def probabilities(logits: Floats) -> Floats:
    """
    Return the probability of each value. Shape (n, values).

    Args:
        logits: Shape (n, values), or (n, 1) for a head of two values: the logit of the second.
    """
    if logits.shape[1] == 1:
        logits = np.concatenate([np.zeros_like(logits), logits], axis=1)
    relative = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(relative / relative.sum(axis=1, keepdims=True))


def calibrate(margins: Floats, labels: Ids, weights: Floats) -> Calibration:
    """
    Fit a scale and a shift a column by weighted log-loss (vector scaling; of one column, Platt's).

    The scales are drawn towards their common middle, and the shifts towards 0, as strongly as 20 texts would:
    a value that is rare in ``labels`` gets about the temperature of the others.

    Each value weighs as the root of its share. By its share itself, what is rare and presses most would hardly
    ever be the likeliest: of the posts that are ``at_once`` 50% were found, so 64%; macro-F1 is the same.
    """
    from scipy.optimize import minimize

    columns = margins.shape[1]
    share = _evened(labels, weights)
    pull = 20 / max(len(labels), 20)

    def loss(packed: Floats) -> tuple[float, Floats]:
        middle, offset, shift = packed[0], packed[1 : 1 + columns], packed[1 + columns :]
        scale = np.exp(middle + offset)
        chances = probabilities(margins * scale + shift)
        picked = np.maximum(chances[np.arange(len(labels)), labels], 1e-12)
        cost = -(share * np.log(picked)).sum() + pull * (offset @ offset + 0.1 * (shift @ shift))
        slope = chances.copy()
        slope[np.arange(len(labels)), labels] -= 1
        slope = (slope[:, 1:] if columns == 1 else slope) * share[:, None]
        by_scale = (slope * margins).sum(axis=0) * scale
        return cost, np.concatenate(
            [[by_scale.sum()], by_scale + 2 * pull * offset, slope.sum(axis=0) + 0.2 * pull * shift]
        )

    best = minimize(loss, np.zeros(1 + 2 * columns), jac=True, method="L-BFGS-B").x
    return Calibration(np.exp(best[0] + best[1 : 1 + columns]), best[1 + columns :])


def log_loss(logits: Floats, labels: Ids, weights: Floats) -> float:
    """Return the log-loss that ``calibrate`` makes small, without what draws scales and shifts."""
    picked = np.maximum(probabilities(logits)[np.arange(len(labels)), labels], 1e-12)
    return float(-(_evened(labels, weights) * np.log(picked)).sum())


def _evened(labels: Ids, weights: Floats) -> Floats:
    """Return weights that sum to 1, each value's sum in proportion to the root of what it was."""
    sums = np.bincount(labels, weights)
    evened = weights / np.sqrt(sums[labels])
    return np.asarray(evened / evened.sum())


def threshold(confidence: Floats, right: NDArray[np.bool_], weights: Floats, target: float) -> float:
    """
    Return the lowest probability at and above which at least ``target`` of the labels are right.

    0 if all labels together are that good. 1, so that all are unsure, if even the surest 5% are not.
    """
    order = np.argsort(-confidence, kind="stable")
    total = np.cumsum(weights[order])
    good = np.cumsum(weights[order] * right[order]) / total >= target
    enough = total >= 0.05 * total[-1]
    if good[-1]:
        return 0.0
    last = np.nonzero(good & enough)[0]
    return float(confidence[order][last[-1]]) if len(last) else 1.0


def calibration_error(confidence: Floats, right: NDArray[np.bool_]) -> float:
    """Return the expected calibration error, 0..1: the mean gap of confidence and accuracy over 15 equal bins."""
    bins = np.minimum((confidence * BINS).astype(np.int64), BINS - 1)
    size = np.bincount(bins, minlength=BINS)
    gap = np.abs(np.bincount(bins, confidence, BINS) - np.bincount(bins, right.astype(np.float64), BINS))
    return float(gap[size > 0].sum() / max(len(confidence), 1))
