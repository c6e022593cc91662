"""What n-grams are scaled by before a machine is fitted, the machines, and how strong one is chosen to be."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import sparse

from models.classifier import COLUMNS
from models.training.compare import accuracy
from models.training.contrast import PRIOR, SHARE, contrasts
from models.training.features import counts, size
from models.training.fit import Plan, separate
from models.training.learners import (
    SCALE_LOGITS,
    SEARCHED_MAX,
    STRENGTHS,
    Based,
    DeepReader,
    Features,
    Ids,
    Machine,
    Taught,
    Texts,
    Way,
    chosen,
    hashed,
    learnt,
    ways,
)
from models.training.lift import SCALE, Lift
from models.training.run import BITS
from models.training.soft import Soft, mark


def _texts(*columns: Sequence[int]) -> sparse.csr_matrix:
    return sparse.csr_matrix(np.array(columns, np.float32).T)


HALF = np.array([True] * 20 + [False] * 20)
EVERYWHERE, NEVER = [1] * 40, [0] * 40
ONLY_INSIDE, ONLY_OUTSIDE = [1] * 20 + [0] * 20, [0] * 20 + [1] * 20
ONCE = [1] + [0] * 39


def test_what_stands_on_one_side_alone_is_scaled_more_than_what_stands_on_both() -> None:
    both, inside, outside = contrasts(_texts(EVERYWHERE, ONLY_INSIDE, ONLY_OUTSIDE), HALF, np.ones(40))

    assert both == pytest.approx(1 - SHARE)
    assert inside == pytest.approx(outside)
    assert inside > 1


def test_what_was_seen_once_says_less_than_what_was_seen_often() -> None:
    features = _texts(ONLY_INSIDE, ONLY_OUTSIDE, ONCE, EVERYWHERE, NEVER)
    often, _, once, both, never = contrasts(features, HALF, np.ones(40))

    assert both < once < often
    assert never == pytest.approx(1 - SHARE)


def test_the_scale_is_one_on_the_mean_over_what_stands_anywhere() -> None:
    scale = contrasts(_texts(EVERYWHERE, ONLY_INSIDE, ONCE, ONLY_OUTSIDE, NEVER), HALF, np.ones(40))

    assert scale[:4].mean() == pytest.approx(1)


def test_odds_begin_as_all_texts_are() -> None:
    """Twenty texts with the n-gram against none, among as many of both: the prior lies half on each side."""
    features = _texts(ONLY_INSIDE, ONLY_OUTSIDE, EVERYWHERE)
    inside = contrasts(features, HALF, np.ones(40))[0]
    found = abs(np.log((20 + PRIOR / 2) / (PRIOR / 2)))

    assert inside == pytest.approx(1 - SHARE + SHARE * found / (2 * found / 3))


def test_a_text_that_counts_more_moves_the_odds_more() -> None:
    features = _texts(ONCE, ONLY_INSIDE, ONLY_OUTSIDE)
    heavy = np.ones(40)
    heavy[0] = 10

    assert contrasts(features, HALF, heavy)[0] > contrasts(features, HALF, np.ones(40))[0]


def test_columns_that_are_no_ngrams_keep_their_scale() -> None:
    features = _texts(ONLY_INSIDE, EVERYWHERE, ONLY_INSIDE)

    scale = contrasts(features, HALF, np.ones(40), fixed=1)
    assert scale[2] == 1
    assert scale[:2] == pytest.approx(contrasts(features[:, :2], HALF, np.ones(40)))


def test_texts_without_any_ngram_are_scaled_by_nothing_odd() -> None:
    assert np.isfinite(contrasts(_texts(EVERYWHERE), HALF, np.ones(40))).all()


def _posts(values: int, seed: int) -> tuple[sparse.csr_matrix, NDArray[np.int64]]:
    """Texts of which each value has a column of its own, among ten columns of noise."""
    rng = np.random.default_rng(seed)
    labels = np.arange(60 * values) % values
    noise = rng.random((len(labels), 10)) < 0.5
    return sparse.csr_matrix(np.hstack([np.eye(values)[labels], noise]).astype(np.float32)), labels


@pytest.mark.parametrize("contrast", [True, False])
@pytest.mark.parametrize("values", [2, 3, 5])
def test_machines_find_the_value_whose_column_stands(values: int, contrast: bool) -> None:
    features, labels = _posts(values, 0)
    linear = separate(features, labels, Plan(1.0, contrast=contrast))
    margins = linear.margins(_posts(values, 1)[0])

    assert linear.weights.shape == (features.shape[1], 1 if values == 2 else values)
    found = (margins[:, 0] > 0).astype(int) if values == 2 else margins.argmax(axis=1)
    assert (found == labels).all()


def test_weights_are_those_of_the_columns_as_they_were() -> None:
    """The column that tells the values apart gets more of the weight than without contrast, and margins need no scale."""
    features, labels = _posts(3, 0)
    with_it = separate(features, labels, Plan(0.05)).weights
    without = separate(features, labels, Plan(0.05, contrast=False)).weights

    def told(weights: Any) -> float:
        return float(np.abs(weights[:3]).sum() / np.abs(weights).sum())

    assert told(with_it) > told(without)


def test_a_balanced_machine_finds_more_of_a_rare_value() -> None:
    rng = np.random.default_rng(3)
    labels = (np.arange(600) % 20 == 0).astype(np.int64)
    features = sparse.csr_matrix((rng.random((600, 4)) < np.where(labels, 0.6, 0.4)[:, None]).astype(np.float32))

    def found(balanced: bool) -> int:
        margins = separate(features, labels, Plan(1.0, balanced=balanced)).margins(features)
        return int((margins[labels == 1] > 0).sum())

    assert found(True) > found(False)


def _fitting(right_at: float) -> Way:
    """A way whose machine is right at one strength alone; its features are the labels."""

    def fit(features: NDArray[np.int64], labels: Ids, strength: float, balanced: bool) -> Machine:
        return lambda other: other if strength == right_at else np.zeros(len(other), np.int64)

    def features(train: Texts, test: Texts) -> tuple[Any, Any]:
        return (np.array([int(text) for text in texts.plain]) for texts in (train, test))  # type: ignore[return-value]

    return Way(features, fit)


def test_the_strength_is_the_one_that_does_best_where_it_did_not_learn() -> None:
    labels = np.arange(SEARCHED_MAX + 30) % 3

    assert chosen(_fitting(0.2), labels, labels, True, accuracy) == 0.2
    assert chosen(_fitting(7.0), labels, labels, True, accuracy) == STRENGTHS[0]


def test_what_is_learnt_comes_back_as_labels() -> None:
    train = Texts([str(at % 3) for at in range(30)], [""] * 30)
    names = ["negative", "neutral", "positive"]

    found = learnt(
        _fitting(0.4), train, [names[at % 3] for at in range(30)], Texts(["2", "0"], ["", ""]), True, accuracy
    )
    assert found == ["positive", "negative"]


class _Net:
    """Stands for the deep tier: a text's vector and logits are its length, and it counts what it is asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def alone(self, texts: Sequence[str]) -> tuple[Any, Any]:
        self.asked += texts
        lengths = np.array([len(text) for text in texts], np.float32).reshape(-1, 1)
        return lengths, np.repeat(-lengths, COLUMNS, axis=1)


READ = 1 + COLUMNS
"""Columns of what it makes of a text."""


def test_the_deep_tier_reads_each_text_once_and_the_others_are_evened_by_those_it_learns_from() -> None:
    net = _Net()
    reader = DeepReader(net)
    train, test = Texts(["", "", ""], ["a", "bbb", "a"]), Texts(["", ""], ["bbb", "ccccc"])

    seen, unseen = (part[:, -READ:].toarray() for part in reader.features(train, test))
    assert sorted(net.asked) == ["a", "bbb", "ccccc"]
    assert seen.shape == (3, READ)
    assert seen.mean(axis=0) == pytest.approx(0, abs=1e-6)
    assert seen.std(axis=0) == pytest.approx([SCALE, *[SCALE_LOGITS] * COLUMNS], rel=1e-5)
    assert unseen[0] == pytest.approx(seen[1])
    assert (abs(unseen[1]) > abs(unseen[0])).all()
    reader.features(test, train)
    assert len(net.asked) == 3


def test_what_the_deep_tier_makes_of_a_text_stands_beside_its_ngrams() -> None:
    texts = Texts(["one two", "two three", "one two three"], ["a", "bbb", "cc"])
    found = ways(DeepReader(_Net()), hashed)

    (beside, _), (grams, _) = (found[name].features(texts, texts) for name in ("deep_same_data", "same_data"))
    assert beside.shape[1] == grams.shape[1] + READ
    assert abs(beside[:, :-READ] - grams).max() == 0


def test_what_was_taught_of_other_posts_tells_words_that_the_labels_never_had() -> None:
    """Of 'lecker' and 'mies' no label says anything; a net said of other posts that they are like 'gut' and 'bah'."""
    idf = np.ones(size(BITS))
    direction = np.zeros((size(BITS), 1), np.float32)
    for word, way in (("gut", 1), ("lecker", 1), ("bah", -1), ("mies", -1)):
        direction[counts([word], BITS).indices] += way
    assert _opinions(Taught(idf, Lift(direction)).features) == ["positive", "negative"]
    assert _opinions(hashed) != ["positive", "negative"]


def _opinions(grams: Features) -> list[str]:
    """Learn that 'gut' is positive and 'bah' negative, and return what 'lecker' and 'mies' are then."""
    train = Texts(["gut", "bah"] * 20, [""] * 40)
    way = ways(DeepReader(_Net()), grams)["same_data"]
    return learnt(way, train, ["positive", "negative"] * 20, Texts(["lecker", "mies"], ["", ""]), True, accuracy)


def _said(vectors: dict[str, tuple[float, float]]) -> Soft:
    """What a base makes of texts: vectors alone."""
    place = {mark(text): at for at, text in enumerate(vectors)}
    return Soft(place, np.array(list(vectors.values()), np.float32), np.zeros((len(vectors), 0), np.float32))


LIKE = {f"{word} {at}": (way, at % 3) for word, way in zip(["gut", "lecker", "bah", "mies"], [1, 1, -1, -1], strict=True) for at in range(9)}  # fmt: skip
"""Other posts, by whose vectors 'lecker' is like 'gut' and 'mies' like 'bah'."""


def test_a_base_that_learnt_no_label_tells_which_words_are_alike() -> None:
    assert _opinions(Based(list(LIKE), _said(LIKE)).features) == ["positive", "negative"]


def test_of_a_text_that_is_measured_and_of_its_copies_the_base_says_nothing() -> None:
    train, test = Texts(["gut", "bah"] * 20, [""] * 40), Texts(["kaum zu glauben"], [""])
    heard = {**LIKE, "kaum zu glauben": (-9.0, 9.0), "kaum zu glauben!!": (-9.0, 9.0)}

    found = Based(list(heard), _said(heard)).features(train, test)
    wanted = Based(list(LIKE), _said(LIKE)).features(train, test)
    assert all(abs(one - other).max() == 0 for one, other in zip(found, wanted, strict=True))
    # Of others it is heard.
    others = Texts(["lecker"], [""])
    found, wanted = (Based(list(said), _said(said)).features(train, others) for said in (heard, LIKE))
    assert abs(found[1] - wanted[1]).max() > 0
