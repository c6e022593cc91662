"""One linear head a label, over the same hashed n-grams."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import numpy as np
from msgspec import Struct, field
from numpy.typing import NDArray

from models.classifier import HEADS
from models.training.contrast import contrasts
from models.training.data import FOLDS, TRIAGE, Example
from models.training.features import Floats
from models.training.lift import Lift
from models.training.own import READ, WRITTEN
from models.training.soft import HEADS_TAUGHT

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

SEED: Final = 20_170_901

TOLERANCE: Final = 1e-3
"""Ten times liblinear's own: the labels are the same, in two thirds of the time."""


class Plan(Struct, frozen=True):
    """How a head is fitted."""

    strength: float
    """C of the support vector machine: the higher, the more it trusts single n-grams."""
    balanced: bool = True
    """Whether rare values count as much as frequent ones, which macro-F1 asks for."""
    contrast: bool = True
    """Whether an n-gram is held the less, the more it tells a value from the others."""
    weights: dict[str, float] = field(default_factory=dict)
    """Of a text, by its set; sets that are not named weigh 1, and what weighs 0 is left out."""


_OURS: Final = {TRIAGE: 3.0, READ: 0.7}
"""Posts of data/triage count three times what was written beside it: what they are like is nearer to what comes in."""

# Chosen by cross-validation on data/triage and on the measuring parts of the other sets, in steps of about
# two: the values next to these differ by less than a point. Sets of one value only (spam, praise) were tried
# for category and triage: they teach what sets them apart from posts, and cost one to two points. Contrast gains
# two to four points on toxic and a quarter to a half on category and subject; on answer it costs half a point, on
# language it does nothing, and on sentiment, which many sets teach, it gives tweets a point and takes it from posts.
PLANS: Final[dict[str, Plan]] = {
    "language": Plan(0.5, balanced=False, contrast=False),
    "sentiment": Plan(0.2, contrast=False, weights={TRIAGE: 5.0, WRITTEN: 2.0, READ: 2.0}),
    "category": Plan(0.35, weights=_OURS),
    "subject": Plan(0.35, weights=_OURS),
    "triage": Plan(0.35, weights=_OURS),
    "answer": Plan(0.35, contrast=False, weights=_OURS),
    "toxic": Plan(0.2, weights={"davidson_hate": 0.2, "tweeteval_hate": 0.5}),
}


class Linear(Struct, frozen=True):
    """A head: margins are ``features @ weights + bias``."""

    weights: Floats
    """Shape (buckets, columns of the head)."""
    bias: Floats
    """Shape (columns of the head,)."""

    def margins(self, features: "csr_matrix") -> Floats:
        """Shape (n, columns of the head)."""
        return np.asarray(features @ self.weights + self.bias, np.float64)


def label_ids(examples: Sequence[Example], head: str) -> NDArray[np.int64]:
    """Return the index of each example's value of a head."""
    place = {value: index for index, value in enumerate(HEADS[head])}
    return np.array([place[example.labels[head]] for example in examples], np.int64)


def fit(head: str, features: "csr_matrix", examples: Sequence[Example], fixed: int = 0) -> Linear:
    """
    Fit a head by one support vector machine a value, each against the rest.

    The order of the rows and the seed are fixed, so the same data give the same weights.

    Args:
        fixed: Columns at the end of ``features`` that are no n-grams.

    Raises:
        ValueError: If a value of the head has no example.
    """
    labels, plan = label_ids(examples, head), PLANS[head]
    missing = [value for index, value in enumerate(HEADS[head]) if index not in labels]
    if missing:
        raise ValueError(f"{head}: no text with {', '.join(missing)}")
    return separate(features, labels, plan, sample_weights(examples, head), fixed)


def separate(
    features: "csr_matrix", labels: NDArray[np.int64], plan: Plan, weights: Floats | None = None, fixed: int = 0
) -> Linear:
    """
    Fit one machine a value, each against the rest, for two values one of the second.

    Args:
        features: Shape (n, columns).
        labels: Shape (n,), 0 .. values - 1, each of which comes.
        plan: Its ``weights`` are not looked at.
        weights: What each text counts; None for 1 each.
        fixed: Columns at the end that are no n-grams.
    """
    from scipy import sparse
    from sklearn.svm import LinearSVC

    weights = np.ones(len(labels)) if weights is None else weights
    share = np.bincount(labels, weights) / weights.sum()
    found, bias = [], []
    for value in range(len(share)) if len(share) > 2 else (1,):
        inside = labels == value
        scale = contrasts(features, inside, weights, fixed) if plan.contrast else np.ones(features.shape[1], np.float32)
        # Of two values both are evened; of more, a rare value is raised and what is not it stays as it is.
        rest = 1.0 if len(share) > 2 else 0.5 / share[0]
        evened = {True: 1 / (len(share) * share[value]), False: rest} if plan.balanced else None
        machine = LinearSVC(C=plan.strength, class_weight=evened, random_state=SEED, tol=TOLERANCE)
        machine.fit(features @ sparse.diags(scale), inside, sample_weight=weights)
        found.append(machine.coef_[0] * scale)
        bias.append(float(machine.intercept_[0]))
    return Linear(np.stack(found, axis=1).astype(np.float64), np.array(bias))


def sample_weights(examples: Sequence[Example], head: str) -> Floats:
    """Return what each text counts for a head, by its set."""
    weights = PLANS[head].weights
    return np.array([weights.get(example.source, 1.0) for example in examples])


def rows_of(examples: Sequence[Example], head: str, *parts: str) -> NDArray[np.int64]:
    """Return the rows that say something about a head and lie in one of the parts."""
    chosen = [at for at, example in enumerate(examples) if head in example.labels and example.part in parts]
    return np.array(chosen, np.int64)


def fit_lifted(head: str, features: "csr_matrix", examples: Sequence[Example], lift: Lift | None) -> Linear:
    """Fit a head, with what a lift adds beside the n-grams, and fold that into their weights."""
    if lift is None or head not in HEADS_TAUGHT:
        return fit(head, features, examples)
    linear = fit(head, lift.features(features), examples, lift.map.shape[1])
    return Linear(lift.folded(linear.weights), linear.bias)


def out_of_fold(
    head: str, features: "csr_matrix", examples: Sequence[Example], lift: Lift | None = None
) -> tuple[NDArray[np.int64], Floats]:
    """
    Score each post of data/triage by a head that was fitted without its fold.

    Args:
        head: One of ``HEADS``.
        features: Of the examples.
        examples: All.
        lift: What a deep net taught, if one did.

    Returns:
        The rows of those posts, and their margins, shape (posts, columns of the head).
    """
    train = rows_of(examples, head, "train")
    posts = np.array([at for at, e in enumerate(examples) if e.source == TRIAGE and head in e.labels], np.int64)
    fold_of = np.array([example.fold for example in examples])
    margins: list[tuple[NDArray[np.int64], Floats]] = []
    for fold in range(FOLDS):
        seen, unseen = train[fold_of[train] != fold], posts[fold_of[posts] == fold]
        linear = fit_lifted(head, features[seen], [examples[at] for at in seen], lift)
        margins.append((unseen, linear.margins(features[unseen])))
    rows = np.concatenate([part for part, _ in margins])
    return rows, np.concatenate([part for _, part in margins])
