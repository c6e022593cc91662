import random

import pytest

from models.sketch import BANDS, BINS, LETTERS_MIN, SHINGLE, bands_of, similarity, sketches_of

OUTAGE = "Seit heute Morgen geht bei mir in Kiel kein Internet mehr, was ist da los bei euch?"


def sketch(text: str) -> bytes:
    return sketches_of([text])[0]


def letters(text: str) -> str:
    return "".join(filter(str.isalpha, text.casefold()))


def jaccard(left: str, right: str) -> float:
    one, other = (
        {words[at : at + SHINGLE] for at in range(len(words) - SHINGLE + 1)} for words in map(letters, (left, right))
    )
    return len(one & other) / len(one | other)


def test_a_sketch_is_the_same_on_every_day_and_machine() -> None:
    assert sketch(OUTAGE).hex() == (
        "4063309e58e3517cebb9e620cb3aa816e6d05baf75d54477e251bfc3319f0d94"
        "f337a614820f6f4f1b9302ae1c19880a790a7833a21685deaf1d8bd1d44255c3"
    )


@pytest.mark.parametrize(
    "copy",
    [
        "@somebody: " + OUTAGE,
        OUTAGE.upper() + " https://example.org/x?y=1",
        "@fennkom   " + OUTAGE.replace(",", " ...") + " 😡😡",
    ],
    ids=["shared", "shouted, with a link", "addressed, with marks"],
)
def test_what_every_copy_changes_does_not_count(copy: str) -> None:
    assert sketch(copy) == sketch(OUTAGE)


def test_numbers_do_not_make_a_text_another() -> None:
    assert sketch("Meine Bestellung 4711 ist seit 3 Tagen nicht da") == sketch(
        "Meine Bestellung 98 ist seit 12 Tagen nicht da"
    )


@pytest.mark.parametrize(
    "text",
    ["", "hallo?", "@fennkom https://x.example/y/z/" + "q" * 40, "4711 " * 40 + "!" * 30, "x" * (LETTERS_MIN - 1)],
)
def test_a_text_of_few_letters_has_no_sketch(text: str) -> None:
    assert sketch(text) == b""


def test_a_text_with_a_zero_in_it_does_not_shift_the_others() -> None:
    texts = [OUTAGE, "a\0b", OUTAGE[:40] + "\0" + OUTAGE[40:]]

    assert sketches_of(texts) == [sketch(OUTAGE), b"", sketch(OUTAGE)]


def test_no_texts_have_no_sketches() -> None:
    assert sketches_of([]) == []


def test_a_sketch_does_not_depend_on_what_else_is_in_the_batch() -> None:
    texts = [
        OUTAGE,
        "",
        "Wo finde ich die Bedingungen des neuen Tarifs?",
        OUTAGE * 3,
        "ж" * 7 + " нет сети уже целый час, помогите",
    ]

    assert sketches_of(texts) == [sketch(text) for text in texts]
    assert {len(one) for one in sketches_of(texts)} == {0, BINS}


def test_broken_unicode_is_a_text_like_any_other() -> None:
    assert len(sketch(OUTAGE + "\ud800")) == BINS


def test_the_estimate_is_the_jaccard_similarity_within_its_deviation() -> None:
    words = "netz internet ausfall kiel heute morgen seit stunden router telefon leitung keine antwort hilfe bitte kunde".split()
    draw = random.Random(5)
    errors = []
    for _ in range(400):
        left = draw.choices(words, k=14)
        right = [word if draw.random() < 0.8 else draw.choice(words) for word in left]
        one, other = " ".join(left), " ".join(right)
        errors.append(similarity(sketch(one), sketch(other)) - jaccard(one, other))

    assert abs(sum(errors) / len(errors)) < 0.015
    assert (sum(error**2 for error in errors) / len(errors)) ** 0.5 < 0.07


def test_texts_that_share_most_meet_in_a_band_and_strangers_hardly_ever() -> None:
    near = sketch(OUTAGE.replace("heute Morgen", "gestern Abend"))
    far = sketch("Wo finde ich die Bedingungen des neuen Tarifs auf eurer Seite?")

    assert len(bands_of(sketch(OUTAGE))) == BANDS
    assert set(bands_of(near)) & set(bands_of(sketch(OUTAGE)))
    assert not set(bands_of(far)) & set(bands_of(sketch(OUTAGE)))
    assert similarity(near, sketch(OUTAGE)) > 0.55 > 0.1 > similarity(far, sketch(OUTAGE))
