"""What the classifier reads of a raw text."""

import numpy as np
import pytest

from models.text import TEXT_MAX, code_points, normalise


@pytest.mark.parametrize(
    ("raw", "read"),
    [
        pytest.param("Guten  Tag\n\tan ALLE", "guten tag an alle", id="white space and case"),
        pytest.param("  hallo ", "hallo", id="edges"),
        pytest.param("siehe https://t.co/abc?x=1 bitte", "siehe <url> bitte", id="link"),
        pytest.param("siehe HTTPS://T.CO/ABC", "siehe <url>", id="link in capitals"),
        pytest.param("www.bahn.de geht nicht", "<url> geht nicht", id="link without scheme"),
        pytest.param("klick http", "klick <url>", id="masked link of an old set"),
        pytest.param("@DB_Bahn und @Telekom_hilft!", "@user und @user!", id="names"),
        pytest.param("post@firma.de", "post@user.de", id="mail address"),
        pytest.param("neeeeeein!!!!!!", "neeein!!!", id="repeats"),
        pytest.param("soo gut...", "soo gut...", id="three stay"),
        pytest.param("Preis &lt; 5&euro; &amp; mehr", "preis < 5€ & mehr", id="entities"),
        pytest.param("R&D", "r&d", id="and sign that is no entity"),
        pytest.param("", "", id="nothing"),
        pytest.param(" \n ", "", id="white space only"),
        pytest.param("ΓΕΙΑ 👍🏽", "γεια 👍🏽", id="beyond ASCII"),
    ],
)
def test_a_raw_text_is_read_as(raw: str, read: str) -> None:
    assert normalise(raw) == read


def test_normalising_twice_changes_nothing() -> None:
    once = normalise("@A  sieh: https://x.de &amp; STAUNE!!!!!!")

    assert normalise(once) == once


@pytest.mark.parametrize("raw", ["abc " * 100_000, "https://" + "x" * 5_000, "&amp;" * 5_000, "İ" * 5_000])
def test_no_text_is_read_beyond_the_limit(raw: str) -> None:
    assert len(normalise(raw)) <= TEXT_MAX


def test_code_points_stand_between_spaces_and_are_padded_with_zeros() -> None:
    found = code_points(["jaja", "ü"])

    assert found.dtype == np.int32
    assert found.tolist() == [[32, 106, 97, 106, 97, 32], [32, 252, 32, 0, 0, 0]]


def test_characters_beyond_the_first_plane_are_one_code_point() -> None:
    assert code_points(["👍"]).tolist() == [[32, 0x1F44D, 32, 0, 0]]


def test_a_lone_surrogate_is_a_code_point_and_not_an_error() -> None:
    assert code_points(["\ud800"]).tolist() == [[32, 0xD800, 32, 0, 0]]


def test_no_texts_give_no_rows() -> None:
    assert code_points([]).shape == (0, 5)
