"""From the sets to an artifact: count, fit, calibrate, write."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from models.classifier import HEADS, Card, Classifier, decide
from models.training import card, graph
from models.training.bias import by_dialect, by_names
from models.training.calibrate import Calibration, calibrate, probabilities, threshold
from models.training.data import FOLDS, TRIAGE, Example, is_bound, load
from models.training.evaluate import MEASURING, Scores, measured, scores_of
from models.training.features import Floats, bits_of, counts, idf_of, weigh
from models.training.fit import Linear, fit_lifted, label_ids, out_of_fold, rows_of
from models.training.lift import Lift, learn
from models.training.soft import read, told

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

Ids = NDArray[np.int64]
Progress = Callable[[str], None]

BITS: Final = 18
"""
2^18 buckets: 2^17 cost a point on tweets and gain no time, since most that a text looks up lies in the cache. To give the most
frequent n-grams buckets of their own, by one more look-up each, was no better and a tenth slower.
"""

TARGETS: Final = {
    "language": 0.99,
    "sentiment": 0.80,
    "category": 0.80,
    "subject": 0.75,
    "triage": 0.80,
    "answer": 0.92,
    "toxic": 0.85,
}
"""Share of the labels at or above a head's threshold that should be right; what is below goes to people's judgement."""

# Written posts are rich in what is rare, so their shares are not natural: in calibration two count as one real one.
WRITTEN_WEIGHT: Final = 0.5


TAUGHT_MIN: Final = 100
"""Texts of which a deep net has said something; from fewer there is nothing to learn."""


class Judged(Struct, frozen=True):
    """What margins of texts that they were not fitted on say about a head."""

    calibration: Calibration
    threshold: float
    scores: Scores


class FittedHead(Struct, frozen=True):
    """A head, calibrated, and how it did on texts that it was not fitted on."""

    linear: Linear
    judged: Judged
    rows: Ids
    """Of those texts."""
    margins: Floats
    """Of those texts, before calibration, by heads that were fitted without them."""


def run(
    data: Path, out: Path, progress: Progress, *, with_nc: bool = False, soft: Path | None = None, bits: int = BITS
) -> Card:
    """Train; see ``models.training.train``."""
    prepared = prepare(data, progress, with_nc=with_nc, soft=soft, bits=bits)
    heads, lifted = fit_all(prepared, progress), prepared.lift is not None
    model = model_of(heads, prepared.idf)
    crossed = {head: found.judged.scores for head, found in heads.items()}
    thresholds = {head: found.judged.threshold for head, found in heads.items()}
    sources = card.sources_of(prepared.examples)
    card.write(out, model, bits, thresholds, TARGETS, sources, {"cross_validated": crossed}, lifted=lifted)
    scores = {"cross_validated": crossed, **_measure(out, prepared.examples)}
    return card.write(out, model, bits, thresholds, TARGETS, sources, scores, lifted=lifted)


class Prepared(Struct, frozen=True):
    """The sets, and what heads read of them."""

    examples: list[Example]
    features: "csr_matrix"
    idf: Floats
    lift: Lift | None


def prepare(
    data: Path, progress: Progress, *, with_nc: bool = False, soft: Path | None = None, bits: int = BITS
) -> Prepared:
    """Read the sets, count their n-grams, learn what a deep net says; the arguments are those of ``models.training.train``."""
    examples = load(data, with_nc=with_nc)
    progress(f"{len(examples)} texts of {len({example.source for example in examples})} sets")
    counted = counts([example.text for example in examples], bits)
    trained = np.array([example.part == "train" for example in examples])
    idf = idf_of(counted[trained])
    features = weigh(counted, idf).tocsr()
    return Prepared(examples, features, idf, _lift(data, soft, features, examples, idf, progress) if soft else None)


def fit_all(prepared: Prepared, progress: Progress) -> dict[str, FittedHead]:
    """Fit every head."""
    heads: dict[str, FittedHead] = {}
    for head in HEADS:
        heads[head] = fit_head(head, prepared.features, prepared.examples, prepared.lift)
        progress(f"{head}: {_line(heads[head].judged.scores)}")
    return heads


def _lift(
    data: Path, soft: Path, features: "csr_matrix", examples: Sequence[Example], idf: Floats, progress: Progress
) -> Lift | None:
    said = read(soft)
    texts = told(data, examples, said)
    if len(texts) < TAUGHT_MIN:
        progress(f"deep net: {len(texts)} of its texts are in {data}; doing without")
        return None
    posts = features[[at for at, example in enumerate(examples) if example.source == TRIAGE]]
    return learn(weigh(counts(texts, bits_of(len(idf))), idf).tocsr(), texts, said, posts, progress)


def fit_head(head: str, features: "csr_matrix", examples: Sequence[Example], lift: Lift | None) -> FittedHead:
    """Fit a head on all that may be trained on; calibrate it on what that fit, or its fold's, did not see."""
    train = rows_of(examples, head, "train")
    linear = fit_lifted(head, features[train], [examples[row] for row in train], lift)
    rows, margins = _unseen(head, features, examples, linear, lift)
    return FittedHead(linear, judge(head, margins, [examples[row] for row in rows]), rows, margins)


def _unseen(
    head: str, features: "csr_matrix", examples: Sequence[Example], linear: Linear, lift: Lift | None
) -> tuple[Ids, Floats]:
    """Return rows that the margins given with them were computed without: folds of data/triage, and dev parts."""
    rows = rows_of(examples, head, "dev", "val")
    rows = rows[np.array([not is_bound(examples[row].licence) for row in rows], bool)]
    margins = linear.margins(features[rows])
    if head in ("language", "toxic"):
        return rows, margins
    posts, crossed = out_of_fold(head, features, examples, lift)
    if head != "sentiment":
        return posts, crossed
    return np.concatenate([posts, rows]), np.concatenate([crossed, margins])


def judge(head: str, margins: Floats, examples: Sequence[Example]) -> Judged:
    """Calibrate a head on margins of texts that it was not fitted on, and score it by calibrations that did not see them."""
    labels, weights = label_ids(examples, head), weights_in_calibration(examples)
    chances = probabilities(calibrated_by_others(head, margins, examples))
    found, confidence = chances.argmax(axis=1), chances.max(axis=1)
    return Judged(
        calibration=calibrate(margins, labels, weights),
        threshold=threshold(confidence, found == labels, weights, TARGETS[head]),
        scores=scores_of(examples, np.arange(len(labels)), head, found, confidence),
    )


def calibrated_by_others(head: str, margins: Floats, examples: Sequence[Example]) -> Floats:
    """Return the logits of texts, those of each fold by a calibration on the other folds. Shape as ``margins``."""
    labels, weights = label_ids(examples, head), weights_in_calibration(examples)
    folds = np.array([e.fold if e.source == TRIAGE else at % FOLDS for at, e in enumerate(examples)])
    logits = np.zeros(margins.shape)
    for fold in np.unique(folds):
        inside = folds == fold
        logits[inside] = calibrate(margins[~inside], labels[~inside], weights[~inside]).logits(margins[inside])
    return logits


def weights_in_calibration(examples: Sequence[Example]) -> Floats:
    """Return what each text counts where a head is calibrated."""
    return np.array([WRITTEN_WEIGHT if example.written else 1.0 for example in examples])


def model_of(heads: dict[str, FittedHead], idf: Floats) -> bytes:
    """Return the graph as it is written."""
    written: bytes = graph.build(weights_of(heads, idf)).SerializeToString(deterministic=True)
    return written


def weights_of(heads: dict[str, FittedHead], idf: Floats) -> graph.Weights:
    """Lay the heads side by side in one table, the squared idf before them."""
    fitted = [heads[head] for head in HEADS]
    columns = [np.square(idf)[:, None]] + [f.linear.weights * idf[:, None] for f in fitted]
    table = np.concatenate(columns, axis=1).astype(np.float32)
    table[0] = 0
    shift = [f.judged.calibration.logits(f.linear.bias) for f in fitted]
    return graph.Weights(
        table=table,
        scale=np.concatenate([f.judged.calibration.scale for f in fitted]).astype(np.float32),
        shift=np.concatenate(shift).astype(np.float32),
    )


def _measure(out: Path, examples: Sequence[Example]) -> dict[str, Any]:
    """Score the written artifact itself on the measuring parts, and look whether it matters who writes."""
    classifier = Classifier(out)
    kept = [example for example in examples if example.part in MEASURING]
    values, confidence = decide(classifier.logits([example.text for example in kept]))
    found: dict[str, Any] = {"measured": dict(measured(kept, values, confidence))}
    return {**found, "bias": {"names": by_names(classifier), "dialects": by_dialect(classifier)}}


def _line(scores: Scores) -> str:
    return ", ".join(f"{name} {row.get('macro_f1', row['accuracy']):.3f}" for name, row in scores.items())
