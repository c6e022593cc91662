"""What corrections teach, and what they must not: on made-up tenants, in numpy alone."""

from typing import Any

import msgspec
import numpy as np
import pytest

from models import learning
from models.classifier import COLUMNS, HEADS, columns_of, width
from models.learning import (
    BITS,
    BLOCK,
    BUCKETS_MAX,
    CHANGES_MAX,
    OWN_MIN,
    SHIFT_MIN,
    VERSIONS_MAX,
    WEIGHT_BYTES_MAX,
    Corrections,
    Head,
    Standing,
    Trial,
    Weights,
    applied,
    blocks_of,
    check,
    fit,
    grams_of,
    is_better,
    is_due,
    kappa,
    probabilities,
    promoted,
    rolled_back,
    score_of,
    tried,
    trusted,
)

HEAD = "sentiment"
BASE = "base-1"


class Tenant:
    """A tenant whose base head is right in two of three texts and whose texts hold a word for each label."""

    def __init__(self, count: int, *, mix: tuple[float, ...] = (0.7, 0.2, 0.1), seed: int = 1, reps: int = 4) -> None:
        rng = np.random.default_rng(seed)
        self.labels = rng.choice(3, count, p=mix)
        self.logits = rng.normal(0, 1.0, (count, 3)) + 1.5 * np.eye(3)[self.labels] + (-0.4, 0.2, 0.6)
        words = np.array(["grumbl", "shrug", "hurra"])[self.labels]
        fillers = rng.choice(["train", "bag", "seat", "gate", "plane", "crew"], (count, 3))
        self.texts = tuple(f"{word} {' '.join(filler)}" for word, filler in zip(words, fillers, strict=True))
        self.reps = tuple(f"r{number % reps}" for number in range(count))
        self.rng = rng

    def corrections(self, labels: Any = None) -> Corrections:
        return Corrections(self.texts, self.labels if labels is None else labels, self.reps)

    def try_(self, labels: Any = None, champion: Head | None = None) -> Trial:
        return tried(HEAD, BASE, self.corrections(labels), self.logits, champion)

    def accuracy(self, head: Head | None) -> float:
        return score_of(applied(head, self.logits, grams_of(self.texts)), self.labels).accuracy


# -- fitting


def test_scale_and_shift_learn_the_tenants_mix() -> None:
    tenant, unseen = Tenant(200), Tenant(2_000, seed=2)
    head = fit(HEAD, BASE, tenant.logits, tenant.labels, grams_of(tenant.texts), "shift")

    assert unseen.accuracy(head) > unseen.accuracy(None) + 0.02
    assert not head.buckets


def test_n_grams_of_the_tenant_say_more_than_its_mix() -> None:
    tenant, unseen = Tenant(600), Tenant(500, seed=2)
    grams = grams_of(tenant.texts)
    shift = fit(HEAD, BASE, tenant.logits, tenant.labels, grams, "shift")
    own = fit(HEAD, BASE, tenant.logits, tenant.labels, grams, "own")

    assert unseen.accuracy(own) > 0.97 > unseen.accuracy(shift)


def test_the_same_corrections_give_the_same_version() -> None:
    tenant = Tenant(150)
    heads = [fit(HEAD, BASE, tenant.logits, tenant.labels, grams_of(tenant.texts), "own") for _ in range(2)]
    assert heads[0] == heads[1]
    assert heads[0].version == heads[1].version
    assert len(heads[0].version) == 12


def test_a_value_that_no_rep_has_named_keeps_a_part_of_its_weight() -> None:
    tenant = Tenant(100, mix=(0.5, 0.5, 0.0))
    head = fit(HEAD, BASE, tenant.logits, tenant.labels, grams_of(tenant.texts), "shift")
    surely = np.array([[-8.0, -8.0, 8.0]])
    assert probabilities(applied(head, surely, grams_of(["hurra"]))).argmax() == 2


def test_a_head_of_two_values_learns_too() -> None:
    rng = np.random.default_rng(3)
    labels = rng.integers(0, 2, 300)
    logits = (rng.normal(0, 1, 300) + 1.0 + 1.5 * (2 * labels - 1))[:, None]
    texts = [f"text {number}" for number in range(300)]
    head = fit("answer", BASE, logits, labels, grams_of(texts), "shift")

    after = applied(head, logits, grams_of(texts))
    assert score_of(after, labels).log_loss < score_of(logits, labels).log_loss
    assert head.shift[0] < 0


def test_a_version_fits_into_a_record_however_many_values_a_head_has(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(learning, "WEIGHT_BYTES_MAX", 20_000)
    rng = np.random.default_rng(4)
    texts = ["".join(rng.choice(list("abcdefghij "), 60)) for _ in range(60)]
    logits, labels = rng.normal(0, 1, (60, width("language"))), rng.integers(0, 2, 60)
    head = fit("language", BASE, logits, labels, grams_of(texts), "own")

    assert 15_000 < len(head.buckets) + len(head.weights) <= 20_000
    check(head)


def test_the_largest_version_is_smaller_than_what_a_record_may_hold() -> None:
    buckets = np.arange(1, BUCKETS_MAX + 1, dtype="<i4").tobytes()
    head = Head(
        "language", BASE, "own", 1.0, (0.1,) * width("language"), buckets, b"\0" * (WEIGHT_BYTES_MAX - len(buckets))
    )
    assert len(msgspec.json.encode(Weights("t" * 200, "language", head.version, head))) < 1_000_000


def test_texts_without_a_common_n_gram_are_learnt_from_by_scale_and_shift() -> None:
    head = fit(HEAD, BASE, np.zeros((1, 3)), np.array([1]), grams_of(["x"]), "own")
    assert head.kind == "shift"


@pytest.mark.parametrize("texts", [[""], ["", "😀" * 300], ["\ud800 \x00 a", "b"], []], ids=str)
def test_texts_that_hurt_are_counted_without_harm(texts: list[str]) -> None:
    grams = grams_of(texts)
    assert grams.texts == len(texts)
    assert np.isfinite(grams.values).all()


def test_columns_are_the_classifiers() -> None:
    taken = [column for head in HEADS for column in range(COLUMNS)[columns_of(head)]]
    assert sorted(taken) == list(range(COLUMNS))


def test_n_grams_of_some_texts_are_those_of_these_texts_alone() -> None:
    grams = grams_of(["one two", "three", "four five six"]).of(np.array([2, 0]))
    alone = grams_of(["four five six", "one two"])
    assert (grams.rows == alone.rows).all()
    assert (grams.buckets == alone.buckets).all()
    assert np.allclose(grams.values, alone.values)


# -- what comes from outside


@pytest.mark.parametrize(
    ("head", "says"),
    [
        (Head("mood", BASE, "shift", 1.0, (0.0,)), "one of language"),
        (Head(HEAD, BASE, "shift", 1.0, (0.0, 0.0)), "2 shifts, meant 3"),
        (Head(HEAD, BASE, "shift", float("nan"), (0.0, 0.0, 0.0)), "not finite"),
        (Head(HEAD, BASE, "own", 1.0, (0.0, 0.0, 0.0), b"\1\0\0\0", b"\0\0"), "do not fit"),
        (Head(HEAD, BASE, "own", 1.0, (0.0, 0.0, 0.0), b"\0\0\0\0", b"\0" * 6), "must rise"),
        (Head(HEAD, BASE, "own", 1.0, (0.0, 0.0, 0.0), (1 << BITS).to_bytes(4, "little"), b"\0" * 6), "must rise"),
    ],
    ids=["head", "columns", "nan", "bytes", "bucket 0", "bucket beyond"],
)
def test_a_head_that_cannot_be_applied_is_refused_by_name(head: Head, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        check(head)


# -- trust


def test_agreement_beyond_chance_is_none_for_one_constant_answer() -> None:
    labels = np.array([0, 0, 1, 2] * 10)
    assert kappa(labels, labels) == 1.0
    assert kappa(np.zeros(40, np.int64), labels) == 0.0
    assert kappa(2 - labels, labels) < 0


def test_each_correction_lies_in_one_block_and_no_block_is_small() -> None:
    reps = ["a"] * 130 + ["b"] * 60 + ["c"] * 3 + ["d"] * 4
    groups = blocks_of(reps)
    blocks = [block for group in groups for block in group]
    assert [len(group) for group in groups] == [3, 1, 1]
    assert sorted(np.concatenate(blocks).tolist()) == list(range(len(reps)))
    assert all(len(block) >= BLOCK // 2 or {reps[at] for at in block} <= {"c", "d"} for block in blocks)


def test_what_hides_in_a_good_block_before_a_bad_one_is_set_aside_with_it() -> None:
    known = np.arange(200) % 3
    labels = known.copy()
    labels[95:] = 2 - known[95:]
    mask = trusted(labels, ["a"] * 200, [known])

    assert kappa(known[50:100], labels[50:100]) > 0.8
    assert mask.tolist() == [True] * 50 + [False] * 150


POISONS: dict[str, Any] = {
    "random": lambda tenant: tenant.rng.integers(0, 3, len(tenant.labels)),
    "shuffled": lambda tenant: tenant.rng.permutation(tenant.labels),
    "flipped": lambda tenant: 2 - tenant.labels,
    "all one value": lambda tenant: np.full(len(tenant.labels), 2),
}


@pytest.mark.parametrize("name", POISONS)
@pytest.mark.parametrize("count", [200, 600])
def test_poisoned_corrections_are_not_promoted(name: str, count: int) -> None:
    tenant = Tenant(count)
    trial = tenant.try_(POISONS[name](tenant))
    assert trial.result != "promoted"


@pytest.mark.parametrize("name", POISONS)
def test_a_poisoned_batch_after_honest_ones_does_no_harm(name: str) -> None:
    tenant, unseen = Tenant(600), Tenant(500, seed=2)
    labels = tenant.labels.copy()
    labels[400:] = POISONS[name](tenant)[400:]
    champion = Tenant(400).try_().promoted
    assert champion is not None
    trial = tenant.try_(labels, champion)

    assert unseen.accuracy(trial.promoted or champion) >= unseen.accuracy(champion) - 0.01


def test_one_rep_who_clicks_at_random_is_set_aside_and_the_others_are_heard() -> None:
    tenant = Tenant(800)
    labels = tenant.labels.copy()
    careless = np.array([rep == "r0" for rep in tenant.reps])
    labels[careless] = tenant.rng.integers(0, 3, careless.sum())
    trial = tenant.try_(labels)

    assert 600 <= trial.trusted <= 650
    assert trial.result == "promoted"


# -- champion and challenger


def test_honest_corrections_are_promoted_and_say_by_how_much() -> None:
    trial = Tenant(200).try_()
    assert trial.result == "promoted"
    assert trial.before is not None and trial.after is not None and trial.promoted is not None
    assert trial.after.accuracy >= trial.before.accuracy + 0.01
    assert trial.after.texts == 200


def test_from_enough_corrections_a_head_of_its_own_is_promoted() -> None:
    trial = Tenant(OWN_MIN + 100).try_()
    assert trial.promoted is not None and trial.promoted.kind == "own"


def test_too_few_corrections_are_not_tried() -> None:
    assert Tenant(SHIFT_MIN - 1).try_().result == "too_few"


def test_a_challenger_of_a_champion_is_judged_on_the_newest_fifth_alone() -> None:
    champion = Tenant(200).try_().promoted
    assert champion is not None
    trial = Tenant(300, seed=7).try_(champion=champion)
    assert trial.after is not None and trial.after.texts == 60


def test_what_is_no_better_than_the_champion_is_not_promoted() -> None:
    tenant = Tenant(800)
    champion = tenant.try_().promoted
    assert champion is not None
    assert tenant.try_(champion=champion).result == "not_better"


def test_a_champion_that_stands_on_another_classifier_counts_as_none() -> None:
    tenant = Tenant(800)
    champion = tenant.try_().promoted
    assert champion is not None
    old = msgspec.structs.replace(champion, base="older")
    assert tenant.try_(champion=old).result == "promoted"


def test_luck_on_a_few_texts_is_not_enough() -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, 20)
    champion = rng.normal(0, 1, (20, 3))
    challenger = champion.copy()
    wrong = int(np.flatnonzero(champion.argmax(axis=1) != labels)[0])
    challenger[wrong] = 0.01 * np.eye(3)[labels[wrong]]  # One text more is right, and hardly.

    assert score_of(challenger, labels).accuracy > score_of(champion, labels).accuracy
    assert not is_better(challenger, champion, labels)


def test_who_forgets_the_rare_values_is_not_better() -> None:
    labels = np.array([0] * 90 + [2] * 10)
    champion = np.zeros((100, 3))
    champion[:75, 0], champion[75:, 2] = 1.0, 1.0
    challenger = np.zeros((100, 3))
    challenger[:, 0] = 2.0

    assert score_of(challenger, labels).accuracy > score_of(champion, labels).accuracy
    assert not is_better(challenger, champion, labels)


# -- versions


def a_promotion(seed: int) -> Trial:
    trial = Tenant(300, seed=seed).try_()
    assert trial.promoted is not None
    return trial


def test_versions_are_kept_and_gone_back_to_one_by_one() -> None:
    first, second = a_promotion(1), a_promotion(5)
    assert first.promoted is not None and second.promoted is not None
    standing = promoted(promoted(Standing("alster", HEAD), first, 10), second, 20)
    assert standing.current == second.promoted.version

    back = rolled_back(standing, 30)
    assert (back.current, back.kept) == (first.promoted.version, (first.promoted.version,))
    shipped = rolled_back(back, 40)
    assert (shipped.current, shipped.kept) == ("", ())
    assert [change.what for change in shipped.changes] == ["promoted", "promoted", "rolled_back", "rolled_back"]
    with pytest.raises(ValueError, match="nothing to go back from"):
        rolled_back(shipped, 50)


def test_versions_and_changes_have_a_bound() -> None:
    standing, trial = Standing("alster", HEAD), a_promotion(1)
    assert trial.promoted is not None
    for number in range(CHANGES_MAX + 5):
        head = msgspec.structs.replace(trial.promoted, scale=1.0 + number)
        standing = promoted(standing, msgspec.structs.replace(trial, promoted=head), number)
    assert len(standing.kept) == VERSIONS_MAX
    assert len(standing.changes) == CHANGES_MAX
    assert standing.kept[-1] == standing.current


@pytest.mark.parametrize(
    ("count", "tried_to", "due"),
    [(99, 0, False), (100, 0, True), (124, 100, False), (125, 100, True), (1_249, 1_000, False), (1_250, 1_000, True)],
    ids=["too few", "enough", "not yet a quarter", "a quarter more", "not yet of many", "a quarter of many"],
)
def test_a_trial_is_due_when_a_quarter_has_come(count: int, tried_to: int, due: bool) -> None:
    standing = Standing("alster", HEAD, tried_to=tried_to, base=BASE)
    assert is_due(standing, range(1, count + 1), BASE) is due


def test_another_classifier_makes_a_trial_due_at_once() -> None:
    standing = Standing("alster", HEAD, tried_to=200, base="older")
    assert is_due(standing, range(1, 201), BASE)
    assert not is_due(msgspec.structs.replace(standing, base=BASE), range(1, 201), BASE)
