"""
Texts -> buckets: the arithmetic of the graph, in numpy.

A text is read as its character 1-5-grams within words and its words and pairs of words, each hashed to a bucket; a head is a
weight per bucket. ``graph.py`` does the same with the operators of ONNX; a test holds the two together. Words have buckets of
their own, behind those of the characters, and weigh twice as much: as heavy as characters they are lost among them.
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


SPACE: Final = 0x20

WORD_STEP: Final = 6
PAIR_STEP: Final = 7
"""The orders whose ``step`` mixes the letters of a word, and the words of a pair."""

MIDDLE: Final = 20
"""Bits that a square loses below: its middle depends on all bits of what was squared."""

WORD_WEIGHT: Final = 2.0
"""What a word's inverse document frequency is multiplied by; of seven from 1 to 5 the best over data/triage and tweets."""

_LETTERS_END: Final = 0x3000
LETTERS: Final = np.array([chr(cp).isalnum() or cp == 0x5F for cp in range(_LETTERS_END)] + [True], np.int64)
"""Of each code point, whether a word may hold it; all from U+3000 on (Chinese, Japanese, emoji) share the last place."""


def size(bits: int) -> int:
    """Return the number of buckets: 2 ** bits for characters, half as many for words."""
    return (1 << bits) + (1 << (bits - 1))


def bits_of(buckets: int) -> int:
    """Return the bits that ``size`` gave this number of buckets for."""
    return buckets.bit_length() - 1


def step(order: int) -> int:
    """Return what the last character of an n-gram is multiplied by: each order has its own, so that none repeat."""
    return STEP + 2 * order


def hashes(cp: NDArray[np.int32]) -> list[Ints]:
    """
    Return the hashes of the n-grams of each order, 0 where one would reach into the padding or over a space.

    A space may begin or end one; what stands on both sides of it is told by pairs of words, and better.

    Args:
        cp: Shape (n, length), padded with 0.

    Returns:
        One array an order k, shape (n, length - k + 1), each hash 0..2^31 - 1.
    """
    wide = cp.astype(np.int64)
    there = (wide != 0).astype(np.int64)
    letter = (wide != SPACE).astype(np.int64)
    rolling, within = wide * step(1) & HASH_MASK, np.ones_like(wide)
    out = [rolling * there]
    for k in ORDERS[1:]:
        rolling = (rolling[:, :-1] * CHAIN + wide[:, k - 1 :] * step(k)) & HASH_MASK
        within = within[:, :-1] * letter[:, k - 2 : -1] if k > 2 else within[:, :-1]
        out.append(rolling * within * there[:, k - 1 :])
    return out


def word_hashes(cp: NDArray[np.int32]) -> list[Ints]:
    """
    Return the hashes of the words, and of the pairs of neighbouring words, 0 where there is none.

    A word is a run of letters, digits and low lines. Its hash is the sum over its pairs of letters, each squared so that
    the sum depends on what stands beside what; a sum needs no loop, neither here nor in the graph.

    Args:
        cp: Shape (n, length), padded with 0.

    Returns:
        Two arrays of shapes (n, words) and (n, words - 1), ``words`` those of the text that has most, at least 2.
    """
    wide = cp.astype(np.int64)
    inside = LETTERS[np.minimum(wide, _LETTERS_END)]
    letters = wide * inside
    mixed = (_shifted(letters) * CHAIN + letters * step(WORD_STEP)) & HASH_MASK
    values = ((mixed * mixed >> MIDDLE) & HASH_MASK) * inside
    word_of = np.cumsum(inside * (1 - _shifted(inside)), axis=1)
    words = max(2, int(word_of.max(initial=0)))
    places = np.arange(len(cp))[:, None] * (words + 1) + word_of
    # Sums of at most 302 values below 2^31 are exact in float64.
    sums = np.bincount(places.reshape(-1), values.reshape(-1).astype(np.float64), len(cp) * (words + 1))
    singles = (sums.astype(np.int64) & HASH_MASK).reshape(len(cp), words + 1)[:, 1:]
    there = (singles != 0).astype(np.int64)
    pairs = (singles[:, :-1] * CHAIN + singles[:, 1:] * step(PAIR_STEP)) & HASH_MASK
    return [singles, pairs * there[:, :-1] * there[:, 1:]]


def _shifted(values: Ints) -> Ints:
    """Return what stands before each value of a row, 0 before the first."""
    return np.concatenate([np.zeros_like(values[:, :1]), values[:, :-1]], axis=1)


def bucket_ids(cp: NDArray[np.int32], bits: int) -> Ints:
    """Return the bucket of every n-gram of characters, 0 where there is none. Shape (n, as many as come)."""
    return np.concatenate(hashes(cp), axis=1) >> (HASH_BITS - bits)


def table_rows(cp: NDArray[np.int32], bits: int) -> Ints:
    """Return the row of the table of every n-gram and every word, 0 where there is none. Shape (n, as many as come)."""
    letters = bucket_ids(cp, bits)
    words = np.concatenate(word_hashes(cp), axis=1) >> (HASH_BITS - bits + 1)
    return np.concatenate([letters, np.where(words > 0, words + (1 << bits), 0)], axis=1)


def counts(texts: Sequence[str], bits: int) -> "csr_matrix":
    """
    Count the buckets of normalised texts.

    Returns:
        Sparse, shape (n, size(bits)), float32; bucket 0, which stands for nothing, is empty.
    """
    from scipy import sparse

    blocks = [_block(texts[start : start + 512], bits) for start in range(0, len(texts), 512)]
    if not blocks:
        return sparse.csr_matrix((0, size(bits)), dtype=np.float32)
    return sparse.vstack(blocks, format="csr")


def _block(texts: Sequence[str], bits: int) -> "csr_matrix":
    from scipy import sparse

    ids = table_rows(code_points(texts), bits)
    rows, _ = np.nonzero(ids)
    ones = np.ones(len(rows), np.float32)
    matrix = sparse.csr_matrix((ones, (rows, ids[ids > 0])), shape=(len(texts), size(bits)))
    matrix.sum_duplicates()
    return matrix


def idf_of(counted: "csr_matrix") -> Floats:
    """
    Return the inverse document frequency of each bucket, ln((1 + n) / (1 + df)) + 1, words' heavier; 0 below ``DF_MIN``.

    Shape (size(bits),). Of texts in all languages: an n-gram that is not seen here says nothing to any head.
    """
    df = np.bincount(counted.indices, minlength=counted.shape[1])
    idf = np.log((1 + counted.shape[0]) / (1 + df)) + 1
    idf[df < DF_MIN] = 0.0
    idf[counted.shape[1] // 3 * 2 :] *= WORD_WEIGHT
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
