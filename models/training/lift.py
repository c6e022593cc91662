"""
What a deep net knows, taught to the n-grams.

From about ninety thousand posts a linear map is learnt from n-grams to what the net says of them: its margins for each value,
and the first directions of its vectors. What the map gives is a sum over n-grams, so a head that reads it beside the n-grams is
itself one: all of it folds into the one table, and costs nothing where posts are read. The net has seen no post of data/triage,
so cross-validation stays honest.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from models.training.features import Floats
from models.training.soft import Soft

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

Floats32 = NDArray[np.float32]

SCALE: Final = 0.03
"""Standard deviation of each direction, beside n-grams of length 1."""

SCALE_MARGINS: Final = 0.3
"""The same of each margin; 0.1 and 0.4 differ by a tenth of a point."""

RIDGE: Final = 0.3
STEPS: Final = 30
"""Of conjugate gradients; 20 cost half a point, 45 gain none."""


class Lift(Struct, frozen=True):
    """A map from n-grams to what the net says."""

    map: Floats32
    """Shape (buckets, ``soft.DIRECTIONS`` + columns of ``HEADS_TAUGHT``)."""

    def features(self, features: "csr_matrix") -> "csr_matrix":
        """Return the features with what the map makes of them beside them."""
        from scipy import sparse

        return sparse.hstack([features, sparse.csr_matrix(features @ self.map)], format="csr")

    def folded(self, weights: Floats) -> Floats:
        """Return weights of ``features`` as weights of the n-grams alone. Shape (buckets, columns)."""
        size = len(self.map)
        return np.asarray(weights[:size] + self.map @ weights[size:], np.float64)


def learn(
    features: "csr_matrix",
    texts: Sequence[str],
    soft: Soft,
    posts: "csr_matrix",
    progress: Callable[[str], None],
    scale_directions: float = SCALE,
) -> Lift:
    """
    Learn the map.

    Args:
        features: Of the pool's texts.
        texts: The same, normalised; of each something was said.
        soft: What was said.
        posts: Features of the posts that heads are fitted on: what the map gives is scaled by them.
        progress: Is told what was learnt, in a line.
        scale_directions: Standard deviation of each direction over ``posts``.
    """
    vectors, margins = soft.of(texts)
    wanted = np.concatenate([_evened(vectors), _evened(margins)], axis=1)
    found = _solve(features.astype(np.float32), wanted)
    left = float(np.square(features @ found - wanted).mean())
    progress(f"deep net: {len(texts)} posts, {1 - left:.2f} of the variance of what it says of them")
    spread = np.asarray(posts @ found).std(axis=0)
    scale = np.full(found.shape[1], SCALE_MARGINS)
    scale[: vectors.shape[1]] = scale_directions
    return Lift(np.asarray(found * (scale / (spread + 1e-9)), np.float32))


def _evened(columns: Floats32) -> Floats32:
    """Return columns of mean 0 and variance 1."""
    return np.asarray((columns - columns.mean(axis=0)) / (columns.std(axis=0) + 1e-9), np.float32)


def _solve(features: "csr_matrix", wanted: Floats32) -> Floats32:
    """
    Return weights W so that features @ W is near ``wanted``: ridge regression by conjugate gradients, all columns at once.

    Shape (buckets, columns of wanted).
    """
    turned = features.T.tocsr()
    weights = np.zeros((features.shape[1], wanted.shape[1]), np.float32)
    rest = turned @ wanted
    way, size = rest.copy(), np.square(rest).sum(axis=0)
    for _ in range(STEPS):
        ahead = turned @ (features @ way) + RIDGE * way
        length = size / ((way * ahead).sum(axis=0) + 1e-20)
        weights += length * way
        rest -= length * ahead
        now = np.square(rest).sum(axis=0)
        way = rest + now / (size + 1e-20) * way
        size = now
    return weights
