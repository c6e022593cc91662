"""The airline set as a new tenant; the set is not part of this repository."""

import os
from pathlib import Path

import numpy as np
import pytest

from models.classifier import Classifier
from models.deep import DeepClassifier
from models.training.learn_curve import POISONS, SET, SecondTime, Tenant, learn, read, table

SHARED = Path(os.environ.get("ZURUF_SHARED", Path(__file__).parents[3] / "shared"))
DATA = SHARED / "data"

pytestmark = pytest.mark.skipif(
    not (DATA / SET).is_dir(), reason=f"{DATA / SET} is not there; ZURUF_SHARED names the folder that holds data/"
)


@pytest.fixture(scope="module")
def classifier() -> Classifier:
    return Classifier()


@pytest.fixture(scope="module")
def tenant(classifier: Classifier) -> Tenant:
    return read(DATA, "train", classifier)


@pytest.fixture(scope="module")
def test_part(classifier: Classifier) -> Tenant:
    return read(DATA, "test", classifier)


@pytest.mark.slow
def test_a_new_tenants_corrections_are_worth_points_of_accuracy(
    classifier: Classifier, tenant: Tenant, test_part: Tenant
) -> None:
    steps, champion = learn(tenant, test_part, classifier.version, (0, 200))
    assert champion is not None
    assert steps[1].accuracy >= max(0.732, steps[0].accuracy + 0.02)


@pytest.mark.slow
def test_what_is_learnt_helps_the_second_reading_too(classifier: Classifier, tenant: Tenant, test_part: Tenant) -> None:
    _, champion = learn(tenant, test_part, classifier.version, (200,))
    second = SecondTime(test_part, classifier, DeepClassifier())
    before, after = second.read(None), second.read(champion)

    assert after.deep >= before.deep + 0.02
    assert after.both >= before.both + 0.015


@pytest.mark.parametrize("name", POISONS)
def test_poisoned_corrections_of_a_new_tenant_are_not_promoted(
    name: str, classifier: Classifier, tenant: Tenant, test_part: Tenant
) -> None:
    labels = POISONS[name](tenant.labels, np.random.default_rng(3))
    steps, champion = learn(tenant, test_part, classifier.version, (0, 400), labels)
    assert champion is None
    assert steps[1].accuracy == steps[0].accuracy


def test_figures_are_told_as_a_table() -> None:
    found = {
        "base": "abc",
        "test_texts": 3,
        "learning": [
            {
                "corrections": 2_000,
                "accuracy": 0.5,
                "macro_recall": 0.4,
                "accuracy_both": 0.6,
                "accuracy_deep": 0.7,
                "kind": "own",
            }
        ],
        "poisoned": [],
    }
    assert "2,000     0.500   0.400  0.600  0.700  own" in table(found)
