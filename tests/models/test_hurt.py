"""Texts that try to hurt: labels for each, no crash, and a cost that has a bound."""

import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from models.classifier import HEADS, Classifier, chances
from models.labels import CATEGORIES, LANGUAGES, SENTIMENTS, SUBJECTS, TRIAGES, Classification
from models.text import LENGTH_MIN, TEXT_MAX, code_points, normalise
from models.triage import triage_of_text

NASTY = {
    "empty": "",
    "blank": " \t\n\r\v\f\u00a0\u2003\u3000",
    "100 kB": "x" * 100_000,
    "100 kB of words": "warum " * 17_000,
    "one emoji": "👍",
    "only emojis": "😡🤬👨‍👩‍👧‍👦🏳️‍🌈" * 2_000,
    "NUL": "\0",
    "NULs": "\0" * 100_000,
    "NULs within": "mein\0 konto\0 wurde\0 gehackt",
    "lone surrogates": "\ud800\udfff" * 5_000,
    "a surrogate pair in two halves": "\ud83d" + "\ude00",
    "right to left": "\u202e" + "مرحبا كيف حالك " * 500,
    "marks of direction alone": "\u202a\u202b\u202c\u202d\u202e\u2066\u2069" * 1_000,
    "zalgo": "Z" + "\u0300\u0301\u0302\u0334\u0489" * 10_000,
    "10,000 mentions": "@a " * 10_000,
    "10,000 links": "https://x.de/" * 10_000,
    "10,000 entities": "&amp;" * 10_000,
    "entities of entities": "&amp;amp;lt;" * 2_000,
    "a number that is no character": "&#x110000; &#99999999999; &#0; &#xD800;",
    "capitals that grow": "İ" * 50_000,
    "the highest character": "\U0010ffff" * 1_000,
    "no characters": "\ufffe\uffff\ufdd0" * 1_000,
    "invisible": "\u200b\u200c\u200d\ufeff\u00ad" * 5_000,
    "white space": " " * 100_000,
    "a mention without end": "@" + "a" * 100_000,
    "a link without end": "http" * 25_000,
    "quotes and braces": "{{}}'\"\\;--<script>%s%n$(x)`" * 1_000,
}

VALUES = (LANGUAGES, SENTIMENTS, CATEGORIES, SUBJECTS, TRIAGES, (False, True), (False, True))


@pytest.fixture(scope="module")
def real() -> Classifier:
    return Classifier()


def is_whole(label: Classification) -> bool:
    found = [getattr(label, head) for head in HEADS]
    sure = [getattr(label.confidence, head) for head in HEADS]
    inside = all(1 / len(values) - 0.001 <= share <= 1 for share, values in zip(sure, VALUES, strict=True))
    return inside and all(value in values for value, values in zip(found, VALUES, strict=True))


@pytest.mark.parametrize("text", NASTY.values(), ids=NASTY)
def test_a_text_that_tries_to_hurt_is_labelled(real: Classifier, text: str) -> None:
    label = real.classify([text])[0]

    assert is_whole(label)
    assert triage_of_text(label, text)[0] in TRIAGES


def test_all_of_them_in_one_batch_are_labelled_as_they_are_alone(real: Classifier) -> None:
    texts = list(NASTY.values()) * 5

    assert real.classify(texts) == [real.classify([text])[0] for text in texts]


def test_a_text_costs_no_more_than_a_bound_however_long_it_is(real: Classifier) -> None:
    real.classify(list(NASTY.values()))
    began = time.process_time()
    for text in NASTY.values():
        real.classify([text])

    # Twenty times what it takes, so that a busy machine does not fail it; reading 100 kB whole would take a second.
    assert (time.process_time() - began) / len(NASTY) < 0.02


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(texts=st.lists(st.text(st.characters(codec=None), max_size=400), min_size=1, max_size=6))
def test_any_characters_at_all_are_labelled(texts: list[str]) -> None:
    assert all(is_whole(label) for label in _shared().classify(texts))


@settings(max_examples=300, deadline=None)
@given(
    text=st.text(st.sampled_from(" \0aA@_.:/&#;x1<>\ud800\u0301\u202e👍ß\n"), max_size=2_000),
)
def test_any_text_of_dangerous_characters_is_read_within_the_limit(text: str) -> None:
    read = normalise(text)

    assert len(read) <= TEXT_MAX
    assert code_points([read]).shape == (1, max(len(read) + 2, LENGTH_MIN))
    assert is_whole(_shared().classify([text])[0])


@settings(max_examples=60, deadline=None)
@given(piece=st.text(min_size=1, max_size=12), times=st.integers(1, 20_000))
def test_any_piece_repeated_any_number_of_times_is_labelled(piece: str, times: int) -> None:
    assert is_whole(_shared().classify([piece * times])[0])


def test_probabilities_of_any_text_add_up_to_one(real: Classifier) -> None:
    logits = real.logits([normalise(text) for text in NASTY.values()])

    for head in HEADS:
        assert chances(logits, head).sum(axis=1) == pytest.approx(1)


_HELD: list[Classifier] = []


def _shared() -> Classifier:
    """One for all examples: hypothesis calls a test many times, a fixture only once."""
    if not _HELD:
        _HELD.append(Classifier(Path(__file__).parents[2] / "models" / "artifacts"))
    return _HELD[0]
