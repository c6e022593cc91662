"""
How much an n-gram tells a value from the others: what a machine is told before it is fitted.

A machine holds all its weights equally near to 0. With each column scaled by its contrast, what speaks for or against a value is
held less than what stands everywhere (Wang and Manning 2012, "Baselines and bigrams", who take naive Bayes' odds for it). Naive
Bayes trusts what it has seen once or twice; here the odds start from those of all texts and move away by what was counted
(Monroe, Colaresi and Quinn 2008, "Fightin' words"). Scaled back, the weights are those of the columns as they were: it costs
nothing where posts are read.
"""

from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

PRIOR: Final = 10.0
"""Texts with an n-gram that stand, shared out as all texts are, beside those that were counted."""

SHARE: Final = 0.5
"""How much of a column's scale is its contrast; the rest is 1."""


def contrasts(
    features: "csr_matrix", inside: NDArray[np.bool_], weights: NDArray[np.float64], fixed: int = 0
) -> NDArray[np.float32]:
    """
    Return what each column of ``features`` is to be scaled by, to tell the texts ``inside`` from the others.

    Args:
        features: Sparse, shape (n, columns); a text has an n-gram or has it not.
        inside: Of each text, whether it has the value; some have and some have not.
        weights: Of each text, how many it counts for.
        fixed: Columns at the end that are no n-grams; their scale is 1.

    Returns:
        Shape (columns,), above 0, 1 on the mean over the n-grams that stand in any text.
    """
    there = features[:, : features.shape[1] - fixed].astype(bool).astype(np.float64)
    of_value, of_others = (weights * inside) @ there, (weights * ~inside) @ there
    total = of_value.sum() + of_others.sum()
    prior_value, prior_others = PRIOR * of_value.sum() / total, PRIOR * of_others.sum() / total
    odds = (of_value + prior_value) / (of_others + prior_others) * (prior_others / prior_value)
    found = np.abs(np.log(odds))
    found /= found[of_value + of_others > 0].mean() or 1.0
    scale = np.ones(features.shape[1], np.float32)
    scale[: len(found)] += SHARE * (found - 1)
    return scale
