"""
Texts -> buckets: the arithmetic of the graph, in numpy.

A text is read as its character 1-5-grams, each hashed to a bucket; a head is a weight per bucket. ``graph.py``
does the same with the operators of ONNX; a test holds the two together. Hashed words and pairs of words were
tried beside the characters: within half a point on every head, both up and down, so they are left out.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from models.text import code_points

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

ORDERS: Final = (1, 2, 3, 4, 5)
"""Lengths of the character n-grams; longer ones add buckets and no accuracy."""

HASH_BITS: Final = 31
HASH_MASK: Final = (1 << HASH_BITS) - 1
# Odd, so that multiplying loses nothing modulo 2^31. A code point is below 2^21 and a hash below 2^31: all
# products stay below 2^53, so int64 does not overflow. The bucket is the top bits, which all characters reach.
CHAIN: Final = 1_000_003
STEP: Final = 1_103_515_245

DF_MIN: Final = 2
"""Buckets that one text alone fills weigh nothing: what is learnt of them is learnt by heart."""


def step(order: int) -> int:
    """Return what the last character of an n-gram is multiplied by: each order has its own, so that none repeat."""
    return STEP + 2 * order


def hashes(cp: NDArray[np.int32]) -> list[Ints]:
    """
    Return the hashes of the n-grams of each order, 0 where one would reach into the padding.

    Args:
        cp: Shape (n, length), padded with 0.

    Returns:
        One array an order k, shape (n, length - k + 1), each hash 0..2^31 - 1.
    """
    wide = cp.astype(np.int64)
    there = (wide != 0).astype(np.int64)
    rolling = wide * step(1) & HASH_MASK
    out = [rolling * there]
    for k in ORDERS[1:]:
        rolling = (rolling[:, :-1] * CHAIN + wide[:, k - 1 :] * step(k)) & HASH_MASK
        out.append(rolling * there[:, k - 1 :])
    return out


def bucket_ids(cp: NDArray[np.int32], bits: int) -> Ints:
    """Return the bucket of every n-gram, 0 where there is none. Shape (n, as many as come)."""
    return np.concatenate(hashes(cp), axis=1) >> (HASH_BITS - bits)


def counts(texts: Sequence[str], bits: int) -> "csr_matrix":
    """
    Count the buckets of normalised texts.

    Returns:
        Sparse, shape (n, 2 ** bits), float32; bucket 0, which stands for nothing, is empty.
    """
    from scipy import sparse

    blocks = [_block(texts[start : start + 512], bits) for start in range(0, len(texts), 512)]
    if not blocks:
        return sparse.csr_matrix((0, 1 << bits), dtype=np.float32)
    return sparse.vstack(blocks, format="csr")


def _block(texts: Sequence[str], bits: int) -> "csr_matrix":
    from scipy import sparse

    ids = bucket_ids(code_points(texts), bits)
    rows, _ = np.nonzero(ids)
    ones = np.ones(len(rows), np.float32)
    matrix = sparse.csr_matrix((ones, (rows, ids[ids > 0])), shape=(len(texts), 1 << bits))
    matrix.sum_duplicates()
    return matrix


def idf_of(counted: "csr_matrix") -> Floats:
    """
    Return the inverse document frequency of each bucket, ln((1 + n) / (1 + df)) + 1; 0 below ``DF_MIN``.

    Shape (2 ** bits,). Of texts in all languages: an n-gram that is not seen here says nothing to any head.
    """
    df = np.bincount(counted.indices, minlength=counted.shape[1])
    idf = np.log((1 + counted.shape[0]) / (1 + df)) + 1
    idf[df < DF_MIN] = 0.0
    return np.asarray(idf, np.float64)


def weigh(counted: "csr_matrix", idf: Floats) -> "csr_matrix":
    """
    Return counts times idf, each row divided by its length, the root of the sum of count times idf squared.

    That length, with the count and not its square, is a sum over n-grams, which the graph gets from one column.
    """
    from scipy import sparse

    length = np.sqrt(counted @ np.square(idf) + NORM_FLOOR)
    return sparse.diags(1 / length) @ counted @ sparse.diags(idf)


NORM_FLOOR: Final = 1e-6
"""Keeps an empty text from dividing by zero; of a real one it changes no digit that counts."""
