"""Tenants' heads on the shipped classifier: put on in the same run, for their tenant alone."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from models import learned
from models.classifier import COLUMNS, HEADS, Classifier, columns_of
from models.learned import TenantClassifier, TenantHeads, TenantReader
from models.learning import Head, Standing, Weights, applied, fit, grams_of
from models.relabels import NAMES, VALUES
from models.text import normalise
from tests.models.small import write_artifact

TEXTS = ["nothing works here", "thank you so much", "where is my parcel", "nichts geht mehr"]


@pytest.fixture(scope="module")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> Classifier:
    folder = tmp_path_factory.mktemp("artifact")
    write_artifact(folder)
    return Classifier(folder)


def stand(heads: TenantHeads, tenant: str, model: Head) -> None:
    heads.keep(Weights(tenant, model.head, model.version, model))
    heads.stand(Standing(tenant, model.head, current=model.version, kept=(model.version,)))


def a_shift(base: str, value: int = 2) -> Head:
    return Head("sentiment", base, "shift", 1.0, tuple(50.0 if at == value else 0.0 for at in range(3)))


def test_the_labels_that_corrections_name_are_the_classifiers() -> None:
    assert {NAMES[name]: values for name, values in VALUES.items()} == HEADS


def test_a_tenant_without_heads_gets_what_ships(classifier: Classifier) -> None:
    heads = TenantHeads(classifier.version)
    stand(heads, "other", a_shift(classifier.version))
    found = TenantClassifier(classifier, heads).classify_for(TEXTS, ["alster"] * 4)
    assert found == classifier.classify(TEXTS)


def test_a_head_is_put_on_for_its_tenant_alone_in_one_batch(classifier: Classifier) -> None:
    heads = TenantHeads(classifier.version)
    stand(heads, "alster", a_shift(classifier.version))
    found = TenantClassifier(classifier, heads).classify_for(TEXTS, ["alster", "other", "alster", "other"])
    plain = classifier.classify(TEXTS)

    assert [found[at].sentiment for at in (0, 2)] == ["positive", "positive"]
    assert [found[at] for at in (1, 3)] == [plain[at] for at in (1, 3)]
    assert found[0].category == plain[0].category


def test_n_grams_weigh_in_a_batch_as_they_did_when_they_were_fitted(classifier: Classifier) -> None:
    texts = [normalise(text) for text in TEXTS * 10]
    logits = classifier.logits(texts).astype(np.float64)
    labels = np.array([0, 2, 1, 0] * 10)
    grams = grams_of(texts)
    sentiment = fit("sentiment", classifier.version, logits[:, columns_of("sentiment")], labels, grams, "own")
    answer = fit("answer", classifier.version, logits[:, columns_of("answer")], labels % 2, grams, "own")
    heads = TenantHeads(classifier.version)
    stand(heads, "alster", sentiment)
    stand(heads, "alster", answer)

    batch = classifier.logits(texts)
    heads.put_on(batch, texts, ["alster"] * len(texts))
    for model in (sentiment, answer):
        meant = applied(model, logits[:, columns_of(model.head)], grams)
        assert np.allclose(batch[:, columns_of(model.head)], meant, atol=1e-3)


def test_a_head_of_another_classifier_is_kept_and_not_put_on(classifier: Classifier) -> None:
    heads = TenantHeads(classifier.version)
    stand(heads, "alster", a_shift("older"))
    assert not heads.wears("alster")
    assert heads.champion("alster", "sentiment") is not None


def test_a_rollback_to_what_ships_takes_the_head_off(classifier: Classifier) -> None:
    heads = TenantHeads(classifier.version)
    stand(heads, "alster", a_shift(classifier.version))
    heads.stand(Standing("alster", "sentiment"))

    assert not heads.wears("alster")
    assert not heads.weights


def test_a_standing_without_its_weights_leaves_what_stood(classifier: Classifier) -> None:
    heads = TenantHeads(classifier.version)
    stand(heads, "alster", a_shift(classifier.version))
    with pytest.raises(ValueError, match="has no weights"):
        heads.stand(Standing("alster", "sentiment", current="gone", kept=("gone",)))
    assert heads.wears("alster")


@pytest.mark.parametrize(
    "text", ["", "\x00", "\ud800", "😀" * 1_000, "a" * 100_000], ids=["empty", "nul", "lone", "emojis", "long"]
)
def test_texts_that_hurt_get_labels_from_a_tenants_head_too(classifier: Classifier, text: str) -> None:
    heads = TenantHeads(classifier.version)
    model = fit("sentiment", classifier.version, np.zeros((4, 3)), np.array([0, 2, 1, 0]), grams_of(TEXTS), "own")
    stand(heads, "alster", model)
    (labels,) = TenantClassifier(classifier, heads).classify_for([text], ["alster"])
    assert labels.sentiment in HEADS["sentiment"]


def test_the_artifact_that_ships_is_labelled_alike_by_its_logits(tmp_path: Path, classifier: Classifier) -> None:
    plain = [normalise(text) for text in TEXTS]
    assert classifier.labelled(classifier.logits(plain), plain) == classifier.classify(TEXTS)


class _Deep:
    """Stands for the deep tier: it is as good as sure that everything is positive, whatever is asked in which case of letters."""

    def __init__(self, classifier: Classifier) -> None:
        self.labelled = classifier.labelled

    def logits(self, texts: Sequence[str]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        logits = np.zeros((len(texts), COLUMNS), np.float32)
        logits[:, columns_of("sentiment")] = [0, 0, 9]
        return logits, np.zeros((len(texts), 1), np.float32)


def test_what_a_tenant_taught_holds_in_the_second_reading_for_it_alone(classifier: Classifier) -> None:
    heads = TenantHeads(classifier.version)
    reader = TenantReader(_Deep(classifier), heads)
    tenants = ["alster", "other", "alster", "other"]
    assert [found.sentiment for found in reader.label_for(TEXTS, tenants)] == ["positive"] * 4

    stand(heads, "alster", a_shift(classifier.version, value=0))
    assert [found.sentiment for found in reader.label_for(TEXTS, tenants)] == ["negative", "positive"] * 2
    heads.stand(Standing("alster", "sentiment"))
    assert [found.sentiment for found in reader.label_for(TEXTS, tenants)] == ["positive"] * 4


def test_a_head_stands_until_the_next_one_does(classifier: Classifier, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second reader's thread puts heads on while others come in."""
    heads = TenantHeads(classifier.version)
    stand(heads, "alster", a_shift(classifier.version, value=0))
    reader, seen = TenantReader(_Deep(classifier), heads), []
    laid = learned._laid

    def read_meanwhile(models: Sequence[Head]) -> Any:
        seen.extend(found.sentiment for found in reader.label_for(TEXTS[:1], ["alster"]))
        return laid(models)

    monkeypatch.setattr(learned, "_laid", read_meanwhile)
    stand(heads, "alster", a_shift(classifier.version, value=1))
    assert seen == ["negative"]
    assert reader.label_for(TEXTS[:1], ["alster"])[0].sentiment == "neutral"


def test_a_tenants_n_grams_are_found_in_a_raw_text(classifier: Classifier) -> None:
    texts = [normalise(text) for text in TEXTS]
    model = fit(
        "sentiment", classifier.version, np.zeros((40, 3)), np.array([0, 2, 1, 0] * 10), grams_of(texts * 10), "own"
    )
    heads = TenantHeads(classifier.version)
    stand(heads, "alster", model)
    deep = _Deep(classifier)
    loud = [text.upper() + " https://x.example/1" for text in TEXTS]
    logits, _ = deep.logits(loud)
    logits[:, columns_of("sentiment")] = applied(
        model, logits[:, columns_of("sentiment")].astype(float), grams_of([normalise(text) for text in loud])
    )

    plain = [normalise(text) for text in loud]
    assert TenantReader(deep, heads).label_for(loud, ["alster"] * 4) == classifier.labelled(logits, plain)
