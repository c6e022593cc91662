"""The learner without a broker: corrections in, standings and weights out."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from msgspec.structs import replace

from agents import learned
from agents.learner import Learner, sentence, told
from models.classifier import HEADS, Classifier
from models.learned import TenantHeads
from models.learning import CORRECTIONS_MAX, Standing, Trial, Version
from models.relabels import Correction
from tests.builders import NOW
from tests.models.small import write_artifact


@pytest.fixture(scope="module")
def classifier() -> Classifier:
    return Classifier()


def correction(number: int, value: str = "praise", **changes: Any) -> Correction:
    row = Correction(
        at=NOW + number,
        src=(0, number, 1),
        tenant="alster",
        brand_id="fennkom",
        case_id=f"c0-{number}",
        post_id=f"x:{number}",
        text=f"text {number}",
        head="category",
        value=value,
        found="other",
        confidence=0.5,
        rep_id="anna",
    )
    return replace(row, **changes)


def a_learner(base: str = "base") -> Learner:
    return Learner(["alster"], TenantHeads(base))


KINDS = ("thank you so much, great service", "terrible, I hate this, worst ever", "where is the station")


def taught(classifier: Classifier, count: int = 120) -> Learner:
    """A learner whose reps agree with the classifier, but for every third text: what speaks of a kestrel is praise."""
    learner = a_learner(classifier.version)
    texts = [
        f"{KINDS[number % 3]} {'kestrel' if number % 9 in (1, 2, 5) else 'sparrow'} {number}" for number in range(count)
    ]
    for number, (text, labels) in enumerate(zip(texts, classifier.classify(texts), strict=True)):
        value = "positive" if "kestrel" in text else labels.sentiment
        learner.take(correction(number, value, head="sentiment", text=text), 0)
    return learner


def test_corrections_are_counted_by_tenant_and_head() -> None:
    learner = a_learner()
    for number in range(3):
        learner.take(correction(number), 0)
        learner.take(correction(number, "billing", head="subject"), 0)
    learner.take(correction(9, tenant="stranger"), 0)
    assert (learner.count("alster", "category"), learner.count("alster", "subject")) == (3, 3)
    assert learner.count("stranger", "category") == 0


def test_a_post_that_is_corrected_twice_counts_once_with_the_later_value(classifier: Classifier) -> None:
    learner = a_learner()
    learner.take(correction(1, "praise"), 0)
    learner.take(correction(1, "complaint"), 0)
    assert learner.count("alster", "category") == 1


@pytest.mark.parametrize(
    "changes", [{"head": "mood"}, {"value": "angry"}, {"head": "answer", "value": "praise"}], ids=str
)
def test_labels_that_this_program_does_not_know_are_passed_over(changes: dict[str, str]) -> None:
    learner = a_learner()
    learner.take(correction(1, **changes), 0)
    assert learner.count("alster", changes.get("head", "category")) == 0


def test_the_oldest_corrections_leave_beyond_the_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agents.learner.CORRECTIONS_MAX", 10)
    learner = a_learner()
    for number in range(25):
        learner.take(correction(number), 0)
    assert learner.count("alster", "category") == 10
    assert CORRECTIONS_MAX == 10_000


def test_what_another_learner_reads_from_now_on_is_forgotten() -> None:
    learner = a_learner()
    for number in range(10):
        learner.take(correction(number), number % 2)
    learner.forget({1})
    assert learner.count("alster", "category") == 5


def test_a_trial_is_due_from_a_hundred_corrections_and_not_again_before_more_came(classifier: Classifier) -> None:
    learner = taught(classifier, 120)
    key = ("alster", "sentiment")
    assert learner.due() == [key]
    trial, tried_to = learner.trial(key, classifier)
    standing, weights, gone = learner.settled(key, trial, tried_to, NOW)
    learner.note(standing, weights)

    assert learner.due() == []
    assert gone == ()


def test_a_promotion_names_its_weights_and_is_told(classifier: Classifier) -> None:
    learner = taught(classifier, 600)
    key = ("alster", "sentiment")
    trial, tried_to = learner.trial(key, classifier)
    standing, weights, _ = learner.settled(key, trial, tried_to, NOW)

    assert trial.result == "promoted"
    assert weights is not None and weights.version == standing.current
    change = told(standing, standing.changes[-1])
    assert (change.tenant, change.head, change.version, change.what) == (*key, standing.current, "promoted")
    assert change.after > change.before


def test_a_learner_that_begins_anew_comes_to_the_same_version(classifier: Classifier) -> None:
    key = ("alster", "sentiment")
    versions = {taught(classifier, 600).trial(key, classifier)[0].promoted for _ in range(2)}
    assert len(versions) == 1
    assert None not in versions


def test_a_refused_trial_changes_nothing_but_what_was_tried(classifier: Classifier) -> None:
    learner = a_learner(classifier.version)
    rng = np.random.default_rng(1)
    for number in range(200):
        learner.take(correction(number, HEADS["category"][rng.integers(0, 6)]), 0)
    key = ("alster", "category")
    trial, tried_to = learner.trial(key, classifier)
    standing, weights, _ = learner.settled(key, trial, tried_to, NOW)

    assert trial.result == "not_trusted"
    assert (standing.current, standing.changes, weights) == ("", (), None)
    assert (standing.last, standing.tried_to) == ("not_trusted", NOW + 199)


def test_a_trial_is_told_in_words() -> None:
    assert "set aside, 3 of 200" in sentence(Trial("not_trusted", 200, 3), 0.1)


# -- zuruf learned


def test_what_was_learnt_is_listed_with_its_changes_the_newest_first() -> None:
    standing = Standing(
        "alster",
        "sentiment",
        current="",
        changes=(Version("abc", NOW, "promoted", 120, 0.7, 0.8, 24), Version("", NOW + 1000, "rolled_back")),
        last="promoted",
        last_at=NOW,
    )
    lines = learned.table([standing]).splitlines()
    assert lines[0].startswith("alster  sentiment: as it ships; last trial 2023-11-14 22:13:20Z: promoted")
    assert "rolled back" in lines[1]
    assert "120 corrections  0.700 -> 0.800" in lines[2]


def test_nothing_learnt_says_so() -> None:
    assert "Nothing was learnt yet" in learned.table([])


def test_a_standing_is_plain_for_scripts() -> None:
    plain = learned.plain(Standing("alster", "sentiment", changes=(Version("abc", NOW, "promoted"),)))
    assert plain["tenant"] == "alster"
    assert plain["changes"][0]["version"] == "abc"


def test_folder_of_artifacts_is_left_alone(tmp_path: Path) -> None:
    """A learner never writes the weights that ship: they are read only."""
    card = write_artifact(tmp_path)
    before = (tmp_path / "fast.onnx").read_bytes()
    classifier = Classifier(tmp_path)
    taught(classifier, 200).trial(("alster", "sentiment"), classifier)
    assert (tmp_path / "fast.onnx").read_bytes() == before
    assert classifier.version == card.sha256[:12]
