"""Why a text got its label."""

from pathlib import Path

import pytest

from models.classifier import HEADS, Classifier
from models.reasons import REASONS_MAX, reasons
from tests.models.small import write_artifact


@pytest.fixture(scope="module")
def real() -> Classifier:
    return Classifier()


@pytest.mark.parametrize(
    ("text", "head", "word"),
    [
        ("Vielen Dank für die schnelle Hilfe am Montag", "category", "dank"),
        ("Thank you for the help on Monday", "sentiment", "thank"),
        ("You fucking idiot, the table is green", "toxic", "fucking"),
    ],
)
def test_the_words_that_give_a_label_away_come_first(real: Classifier, text: str, head: str, word: str) -> None:
    first = reasons(text, head, real)[:2]

    assert word in " ".join(reason.text for reason in first)
    assert first[0].effect > 0.3


def test_a_rule_that_raises_the_triage_is_told_before_the_words(real: Classifier) -> None:
    found = reasons("Mein Konto wurde gehackt, bitte helft mir!", "triage", real)

    kinds = [reason.kind for reason in found]
    assert "abuse: gehackt" in [reason.text for reason in found if reason.kind == "rule"]
    assert kinds == sorted(kinds) and "words" in kinds


def test_words_come_by_falling_effect_and_none_of_them_twice(real: Classifier) -> None:
    found = reasons("Die App stürzt nach dem Update ständig ab, was kann ich tun?", "category", real)

    assert 1 <= len(found) <= REASONS_MAX
    assert [reason.effect for reason in found] == sorted((reason.effect for reason in found), reverse=True)
    words = " ".join(reason.text for reason in found).split()
    assert len(words) == len(set(words))


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("text", ["", "a", "👍", "nul\0 \ud800", "wort " * 5_000])
def test_any_text_has_reasons_or_none_for_each_head(tmp_path: Path, text: str, head: str) -> None:
    write_artifact(tmp_path)

    assert len(reasons(text, head, Classifier(tmp_path), reasons_max=3)) <= 3


def test_a_head_that_is_none_is_named() -> None:
    with pytest.raises(ValueError, match="no head 'mood'"):
        reasons("x", "mood")
