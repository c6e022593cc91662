"""
A narrower encoder, the arithmetic: heads and neurons that the others can stand for are taken out before anything is learnt.

A third of the heads of attention and of the neurons of the inner layers say little that the rest does not. They go one
at a time, the one whose loss costs least, and each time the weights of those that stay are set anew by least squares
(optimal brain surgery: Hassibi and Stork 1993; by heads and neurons: Kurtic et al. 2023, "ZipLM"). What is left of the
difference, fine-tuning mends. ``narrow.py`` does it to the encoder.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

Doubles = NDArray[np.float64]

DAMPING: Final = 1e-3
"""Of the mean of the parts' variances, added to each: near twins would else be inverted to noise."""


class Size(Struct, frozen=True):
    """How many parts, heads or neurons, a layer keeps."""

    mean: int
    """Of all layers."""
    least: int
    """Of each."""
    step: int
    """They go by so many."""


HEADS: Final = Size(mean=8, least=4, step=1)
"""The base has 12 in each layer."""
NEURONS: Final = Size(mean=1024, least=512, step=64)
"""The base has 1,536; a processor's registers hold 64 products."""


class Way(Struct, frozen=True):
    """From heads or neurons to what is added to what their layer read, and what it does to some texts."""

    said: Doubles
    """Shape (tokens, parts x width of a part): what the parts give."""
    out: Doubles
    """Shape (width, parts x width of a part)."""
    bias: Doubles
    """Shape (width,)."""
    spread: Doubles
    """Shape (tokens,): the standard deviation that the norm behind it divides by."""
    shown: Doubles
    """Shape (width,): what that norm multiplies each channel by."""


class Cut(Struct, frozen=True):
    """A narrower one."""

    kept: NDArray[np.int64]
    """Columns of ``out`` that stay."""
    out: Doubles
    """Shape (width, kept)."""
    bias: Doubles
    lost: Doubles
    """After each part taken out, the squared error so far, as a share of what the norm behind it gives."""


def cut(way: Way, left: int, columns: int = 1) -> Cut:
    """
    Take out parts until ``left`` are left; errors count as the norm behind them shows them.

    Args:
        columns: Of a part: 1 of a neuron.
    """
    scale = np.where(np.abs(way.shown) < 1e-6, 1.0, way.shown)
    heavy = way.spread**-2.0
    # The bias takes over what parts give on the mean.
    mean = heavy @ way.said / heavy.sum()
    centred = (way.said - mean) / way.spread[:, None]
    together = centred.T @ centred / len(centred)
    together[np.diag_indices_from(together)] += DAMPING * np.trace(together) / len(together)
    inverse = np.linalg.inv(together)
    begun = (way.out * scale[:, None]).T
    weights, parts = begun.copy(), len(begun) // columns
    alive, lost, error = np.ones(parts, bool), [], 0.0
    while alive.sum() > left:
        own = np.einsum("agah->agh", inverse.reshape(parts, columns, parts, columns)).copy()
        own[~alive] = np.eye(columns)
        narrow = np.linalg.inv(own)
        of_part = weights.reshape(parts, columns, -1)
        costs = np.einsum("ago,ago->a", of_part, narrow @ of_part)
        least = int(np.where(alive, costs, np.inf).argmin())
        error += costs[least]
        lost.append(error / (way.shown**2).sum())
        gone = slice(least * columns, (least + 1) * columns)
        share = inverse[:, gone] @ narrow[least]
        weights -= share @ weights[gone].copy()
        inverse -= share @ inverse[gone].copy()
        weights[gone], inverse[gone], inverse[:, gone], alive[least] = 0, 0, 0, False
    kept = np.nonzero(np.repeat(alive, columns))[0]
    return Cut(kept, (weights[kept] / scale).T, way.bias + mean @ ((begun - weights) / scale), np.array(lost))


def shares(losses: Sequence[Doubles], size: Size) -> list[int]:
    """
    Say how many parts each layer keeps: the layer that loses least by a step fewer gives them up, until the mean is reached.

    Args:
        losses: Of each layer, ``Cut.lost`` down to ``size.least`` parts.
    """
    whole = [len(lost) + size.least for lost in losses]
    left = list(whole)

    def costs(at: int) -> float:
        gone = whole[at] - left[at]
        return float(losses[at][gone + size.step - 1] - (losses[at][gone - 1] if gone else 0.0))

    while sum(left) > size.mean * len(left):
        left[min((at for at in range(len(left)) if left[at] - size.step >= size.least), key=costs)] -= size.step
    return left
