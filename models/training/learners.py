"""
Three ways to learn labels from the same texts: TF-IDF, our n-grams, and these with what the deep tier makes of a text.

On each stands a linear machine. How far it trusts what it has seen, its strength, is chosen for each way and each set by
cross-validation among the texts that it learns from.
"""

from collections.abc import Callable, Sequence
from typing import Any, Final, Protocol

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from models.classifier import COLUMNS
from models.training.data import near_keys
from models.training.features import Floats, counts, idf_of, size, weigh
from models.training.fit import SEED, Plan, separate
from models.training.lift import SCALE, Lift, learn
from models.training.run import BITS
from models.training.soft import Soft

Ids = NDArray[np.int64]
Measure = Callable[[Ids, Ids], float]
Machine = Callable[[Any], Ids]
"""Features -> places of values."""

STRENGTHS: Final = (0.05, 0.1, 0.2, 0.4, 0.8, 1.6)
"""Among which is chosen."""

FOLDS: Final = 3
SEARCHED_MAX: Final = 6_000
"""Texts by which a strength is chosen, evenly taken."""


class Texts(Struct, frozen=True):
    """Texts, as both tiers read them."""

    plain: list[str]
    """Normalised."""
    raw: list[str]

    def at(self, places: Sequence[int] | Ids) -> "Texts":
        """Return those at some places."""
        return Texts([self.plain[at] for at in places], [self.raw[at] for at in places])


Features = Callable[[Texts, Texts], tuple[Any, Any]]
"""Texts to learn from and others -> features of both, those of the first alone looked at; rows by text."""


class Way(Struct, frozen=True):
    """How texts become numbers, and a machine that reads them."""

    features: Features
    fit: Callable[[Any, Ids, float, bool], Machine]
    """Features, labels, strength, whether rare values count as much as frequent ones -> a machine."""


def learnt(way: Way, train: Texts, labels: Sequence[str], test: Texts, balanced: bool, measure: Measure) -> list[str]:
    """
    Learn from ``train`` and return what that says of ``test``.

    Args:
        measure: By which the strength is chosen.
    """
    values, ids = np.unique(np.array(labels), return_inverse=True)
    seen, unseen = way.features(train, test)
    machine = way.fit(seen, ids, chosen(way, seen, ids, balanced, measure), balanced)
    return [str(values[at]) for at in machine(unseen)]


def chosen(way: Way, features: Any, labels: Ids, balanced: bool, measure: Measure) -> float:
    """Return which of STRENGTHS does best in three folds of at most SEARCHED_MAX texts; of equals the least."""
    from sklearn.model_selection import StratifiedKFold

    some = np.arange(len(labels))[:: -(-len(labels) // SEARCHED_MAX)]
    parts = list(StratifiedKFold(FOLDS, shuffle=True, random_state=SEED).split(some, labels[some]))

    def reached(strength: float) -> float:
        found = np.zeros(len(some), np.int64)
        for seen, unseen in parts:
            values, ids = np.unique(labels[some[seen]], return_inverse=True)
            found[unseen] = values[way.fit(features[some[seen]], ids, strength, balanced)(features[some[unseen]])]
        return measure(labels[some], found)

    return max(STRENGTHS, key=reached)


# -- TF-IDF


def tfidf(train: Sequence[str], test: Sequence[str]) -> tuple[Any, Any]:
    """
    Return the usual strong baseline's features: words 1-2 and characters 2-5 within words, each with its own vocabulary.

    Both halves have length 1; a text is brought to length 1 too, so that a strength means the same here and in ours.
    """
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.pipeline import FeatureUnion

    union = FeatureUnion(
        [
            ("words", TfidfVectorizer(ngram_range=(1, 2), min_df=2, sublinear_tf=True, dtype=np.float32)),
            ("letters", TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 5), min_df=2, sublinear_tf=True, dtype=np.float32)),
        ]
    )  # fmt: skip
    fitted = (union.fit_transform(train) * _HALF).tocsr()
    return fitted, (union.transform(test) * _HALF).tocsr() if test else fitted[:0]


_HALF: Final = np.float32(np.sqrt(0.5))


def _support(features: Any, labels: Ids, strength: float, balanced: bool) -> Machine:
    from sklearn.svm import LinearSVC

    machine = LinearSVC(C=strength, class_weight="balanced" if balanced else None, random_state=SEED)
    machine.fit(features, labels)
    return lambda other: np.asarray(machine.predict(other), np.int64)


# -- our n-grams


def hashed(train: Texts, test: Texts) -> tuple[Any, Any]:
    """Return both's n-grams alone."""
    counted = counts(train.plain, BITS)
    idf = idf_of(counted)
    return weigh(counted, idf).tocsr(), weigh(counts(test.plain, BITS), idf).tocsr()


def _separated(features: Any, labels: Ids, strength: float, balanced: bool) -> Machine:
    linear = separate(features, labels, Plan(strength, balanced), fixed=features.shape[1] - size(BITS))

    def machine(other: Any) -> Ids:
        margins = linear.margins(other)
        return margins.argmax(axis=1) if margins.shape[1] > 1 else (margins[:, 0] > 0).astype(np.int64)

    return machine


class Taught:
    """Our n-grams as the fast tier has them: what a deep net said of other posts stands beside them, and folds into the table."""

    def __init__(self, idf: Floats, lift: Lift) -> None:
        self._idf, self._lift = idf, lift

    def features(self, train: Texts, test: Texts) -> tuple[Any, Any]:
        """Return both's n-grams, weighed as the shipped table does, with what the lift makes of them beside them."""
        seen, unseen = (
            self._lift.features(weigh(counts(part.plain, BITS), self._idf).tocsr()) for part in (train, test)
        )
        return seen, unseen


SCALE_BASE: Final = 0.06
"""Standard deviation of each direction of the base's vectors, which have no margins beside them, beside n-grams of length 1."""


class Based:
    """
    Our n-grams with what the deep tier's base makes of other posts, for sets whose labels the net has learnt.

    The base has learnt none, so its vectors are no echo of them. Of the texts that are to be measured it says nothing either:
    they, and what is nearly the same, are left out of the pool.

    The lift reads the n-grams of the pool too; a label is learnt from those of the texts that have one, weighed by how rare
    they are there. Both are sums over n-grams divided by one length, so that they fold into one table.
    """

    def __init__(self, texts: Sequence[str], said: Soft) -> None:
        """``texts``: normalised, of each of which something was said."""
        self._texts, self._said = texts, said
        self._counted = counts(texts, BITS)
        self._keys = [near_keys(text) for text in texts]

    def features(self, train: Texts, test: Texts) -> tuple[Any, Any]:
        """Return both's n-grams with what the lift makes of them beside them; it is learnt anew, which takes a minute."""
        from scipy import sparse
        from scipy.sparse.linalg import norm

        held = {key for text in test.plain for key in near_keys(text)}
        (others,) = np.nonzero([not held.intersection(keys) for keys in self._keys])
        pool, counted = self._counted[others], counts(train.plain, BITS)
        own, wide = idf_of(counted), idf_of(sparse.vstack([pool, counted], format="csr"))
        seen, unseen = (weigh(part, wide).tocsr() for part in (counted, counts(test.plain, BITS)))
        texts = [self._texts[at] for at in others.tolist()]
        lift = learn(weigh(pool, wide).tocsr(), texts, self._said, seen, lambda line: None, SCALE_BASE)
        share = own / np.maximum(wide, 1e-9)
        # As long as n-grams alone are on average, so that a strength means the same.
        share *= norm(weigh(counted, own)) / norm(seen @ sparse.diags(share))
        columns = sparse.diags(np.concatenate([share, np.ones(lift.map.shape[1])]).astype(np.float32))
        return (lift.features(seen) @ columns).tocsr(), (lift.features(unseen) @ columns).tocsr()


# -- the deep tier


SCALE_LOGITS: Final = 0.1
"""
Standard deviation of each of its logits, beside n-grams of length 1; a direction of its vector has SCALE.

Of 0.03, 0.1 and 0.3 the best by cross-validation in the train parts of TweetEval and the airline set, and with the best of the
others within a tenth of a point in those of UMSAB and SB-10k.
"""


class Deep(Protocol):
    """What is asked of the deep classifier."""

    def alone(self, texts: Sequence[str]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return the transformer's own logits and the vectors of raw texts."""


class DeepReader:
    """
    What the deep tier makes of texts, each read once: its vector and its own logits, side by side.

    Without the fast tier's part, whose heads know the train parts of many sets by heart: n-grams stand beside it anyway.
    """

    def __init__(self, classifier: Deep) -> None:
        self._classifier = classifier
        self._known: dict[str, NDArray[np.float32]] = {}

    def read(self, raw: Sequence[str]) -> NDArray[np.float32]:
        """Return features of raw texts. Shape (n, width of a vector + COLUMNS)."""
        new = sorted(set(raw) - self._known.keys())
        logits, vectors = self._classifier.alone(new)
        self._known.update(zip(new, np.concatenate([vectors, logits], axis=1), strict=True))
        return np.stack([self._known[text] for text in raw])

    def features(self, train: Texts, test: Texts) -> tuple[Any, Any]:
        """Return both's n-grams with what was read beside them, each column evened by those of ``train``, as in ``lift``."""
        from scipy import sparse

        seen, unseen = self.read(train.raw), self.read(test.raw)
        scale = np.full(seen.shape[1], SCALE, np.float32)
        scale[-COLUMNS:] = SCALE_LOGITS
        middle, scale = seen.mean(axis=0), scale / (seen.std(axis=0) + 1e-6)
        parts = zip(hashed(train, test), (seen, unseen), strict=True)
        beside = [
            sparse.hstack([grams, sparse.csr_matrix((read - middle) * scale)], format="csr") for grams, read in parts
        ]
        return beside[0], beside[1]


def ways(reader: DeepReader, grams: Features) -> dict[str, Way]:
    """Return all by the name of their column; ``grams``: the fast tier's features."""
    return {
        "tfidf": Way(lambda train, test: tfidf(train.plain, test.plain), _support),
        "same_data": Way(grams, _separated),
        "deep_same_data": Way(reader.features, _separated),
    }
