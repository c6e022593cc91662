"""What the fast tier says of the texts that the deep one is calibrated on, by heads that were fitted without them."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from models.classifier import COLUMNS, Classifier, columns_of
from models.errors import Misconfigured
from models.training.data import Example
from models.training.features import Floats
from models.training.run import FittedHead, calibrated_by_others, fit_all, model_of, prepare
from models.training.soft import SHIPPED


def fast_said(data: Path, work: Path, progress: Callable[[str], None]) -> Floats:
    """
    Fit the fast tier anew, a quarter of an hour, and return what ``unlearnt`` does; it is kept in ``work``.

    Raises:
        Misconfigured: If these sets do not give the fast tier that ships.
    """
    shipped = Classifier()
    path = work / f"fast-{shipped.version}.npy"
    if not path.exists():
        prepared = prepare(data, progress, soft=SHIPPED)
        fitted = fit_all(prepared, lambda line: progress(f"fast: {line}"))
        given = hashlib.sha256(model_of(fitted, prepared.idf)).hexdigest()
        if given != shipped.card.sha256:
            raise Misconfigured(
                f"--data: {data} gives a fast tier {given[:12]}, meant the one that ships, {shipped.version}; "
                "write it anew first: `zuruf train --out models/artifacts`"
            )
        np.save(path, unlearnt(prepared.examples, fitted))
    return np.asarray(np.load(path), np.float64)


def unlearnt(examples: Sequence[Example], fitted: Mapping[str, FittedHead]) -> Floats:
    """
    Return the logits of texts by heads, and calibrations, that saw nothing of them.

    Shape (examples, COLUMNS), in the order of the examples; NaN where a head says nothing of a text or has learnt it.
    """
    said = np.full((len(examples), COLUMNS), np.nan)
    for head, found in fitted.items():
        of_rows = [examples[at] for at in found.rows]
        said[found.rows, columns_of(head)] = calibrated_by_others(head, found.margins, of_rows)
    return said
