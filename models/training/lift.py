"""
What a deep encoder knows, taught to the n-grams.

From about fifty thousand posts without labels a linear map is learnt from n-grams to the first directions of the encoder's
vectors. What it gives is a sum over n-grams, so a head that reads it beside the n-grams is itself one: all of it folds into
the one table, and costs nothing where posts are read. It has seen no label, so cross-validation stays honest.

Tried beside it, and left out: a teacher that sees n-grams and vector (category 0.72 by itself), whose margins on the pool
were learnt likewise. The pool is too unlike our posts: 0.61 by itself, and worse than nothing beside the rest.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from models.training.features import Floats
from models.training.soft import Vectors, mark

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

Floats32 = NDArray[np.float32]

HEADS_LIFTED: Final = ("sentiment", "category", "subject", "triage", "answer")
"""Those that data/triage teaches; language and toxicity have labelled texts enough of their own."""

DIRECTIONS: Final = 64
"""Of the encoder's 384, by their variance; 96 and 192 were no better, as n-grams foretell the later ones badly."""

SCALE: Final = 0.05
"""Standard deviation of each direction, beside n-grams of length 1."""

RIDGE: Final = 0.3
STEPS: Final = 30
"""Of conjugate gradients; 20 cost half a point, 45 gain none."""


class Lift(Struct, frozen=True):
    """A map from n-grams to directions, shape (buckets, DIRECTIONS)."""

    map: Floats32

    def features(self, features: "csr_matrix") -> "csr_matrix":
        """Return the features with what the map makes of them beside them."""
        from scipy import sparse

        return sparse.hstack([features, sparse.csr_matrix(features @ self.map)], format="csr")

    def folded(self, weights: Floats) -> Floats:
        """Return weights of ``features`` as weights of the n-grams alone. Shape (buckets, columns)."""
        size = len(self.map)
        return np.asarray(weights[:size] + self.map @ weights[size:], np.float64)


def learn(
    features: "csr_matrix", texts: Sequence[str], vectors: Vectors, posts: "csr_matrix", progress: Callable[[str], None]
) -> Lift:
    """
    Learn the map.

    Args:
        features: Of posts without labels.
        texts: The same, normalised; each has a vector.
        vectors: By ``soft.mark``.
        posts: Features of the posts that heads are fitted on: the directions get their scale there.
        progress: Is told what was learnt, in a line.
    """
    wanted = _directions(np.stack([vectors[mark(text)] for text in texts]))
    found = _solve(features.astype(np.float32), wanted)
    left = float(np.square(features @ found - wanted).mean())
    progress(f"deep encoder: {len(texts)} posts, {1 - left:.2f} of the variance of {DIRECTIONS} directions")
    spread = np.asarray(posts @ found).std(axis=0)
    return Lift(np.asarray(found * (SCALE / (spread + 1e-9)), np.float32))


def _directions(vectors: Floats32) -> Floats32:
    """Return the first principal components, each of variance 1. Shape (n, DIRECTIONS)."""
    _, _, axes = np.linalg.svd(vectors[::3], full_matrices=False)
    found = vectors @ axes[:DIRECTIONS].T
    return np.asarray(found / (found.std(axis=0) + 1e-9), np.float32)


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
