from collections import Counter
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.posts import Author
from models.variations import NoTemplate, fitting, handle_of, name_of, template_of, wording

ANNA = Author(name="Anna Meier", handle="anna")
TEXT = "{Hallo|Guten Tag} {name}, {das tut uns leid|wir bedauern das}. {Wir arbeiten daran|Die Technik ist dran}!"


def test_a_text_without_braces_has_one_wording() -> None:
    template = template_of("Wir arbeiten daran.")

    assert (template.count(), wording(template, 7, ANNA)) == (1, "Wir arbeiten daran.")


def test_all_wordings_come_before_one_comes_again() -> None:
    template = template_of(TEXT)
    said = [wording(template, number, ANNA) for number in range(24)]

    assert set(Counter(said).values()) == {3}
    assert len(set(said[:8])) == template.count() == 8


def test_neighbours_differ_at_their_beginning() -> None:
    template = template_of("{a|b|c|d} {e|f|g} {h|i}")

    assert all(wording(template, n, ANNA)[0] != wording(template, n + 1, ANNA)[0] for n in range(24))


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("Hallo {nmae}", "found {nmae}, meant {name}, {handle} or alternatives"),
        ("{Hallo|Hi", "a brace without its other half near '{Hallo|Hi'"),
        ("Hallo}", "a brace without its other half"),
        ("{Hallo {name}|Hi}", "braces cannot lie in braces"),
        ("{Hallo|Hallo}", "two alternatives of {Hallo|Hallo} are the same"),
        ("{|}", "two alternatives of {|} are the same"),
        ("  ", "the text is empty"),
        ("{" + "|".join(map(str, range(51))) + "}", "51 alternatives in one brace, at most 50 are meant"),
    ],
)
def test_a_text_that_is_none_is_refused_by_its_place(text: str, fault: str) -> None:
    with pytest.raises(NoTemplate) as refusal:
        template_of(text)

    assert fault in str(refusal.value)


@pytest.mark.parametrize("name", ["Anna Meier", "Dr. Müller", "Jean-Luc O’Neil", "Jürgen K.", "Ελένη", "Anne-Marie"])
def test_a_name_that_looks_like_one_is_used(name: str) -> None:
    assert name_of(Author(name=name)) == name


@pytest.mark.parametrize(
    "name",
    [
        "http://spam.example",
        "Anna 24",
        "kauft bei spam.example/x",
        "a" * 41,
        "@chef",
        "<b>Anna</b>",
        "{handle}",
        "Anna\u202e!",
    ],
)
def test_what_an_author_calls_himself_does_not_go_out_if_it_is_no_name(name: str) -> None:
    assert wording(template_of("Hallo {name}, danke!"), 0, Author(name=name)) == "Hallo, danke!"


def test_a_handle_gets_its_sign_once() -> None:
    assert [handle_of(Author(handle=one)) for one in ("anna", "@anna", "anna meier", "")] == ["@anna", "@anna", "", ""]


def test_a_wording_that_is_too_long_gives_way_to_the_next_that_fits() -> None:
    template = template_of("{Guten Tag und vielen Dank für Ihre Nachricht|Hi}, {wir arbeiten daran|ok}")

    assert fitting(template, 0, ANNA, 10) == "Hi, ok"
    assert fitting(template, 0, ANNA, 5) == ""
    assert len(fitting(template, 0, ANNA, 0)) > 40


parts = st.lists(st.lists(st.sampled_from("abcdefgh"), min_size=1, max_size=4, unique=True), min_size=1, max_size=4)


@given(parts)
def test_each_wording_is_used_as_often_as_any_other(made: list[list[str]]) -> None:
    text = "".join(f"{{{'|'.join(part)}}}" if len(part) > 1 else part[0] for part in made)
    template = template_of(text)
    count = template.count()
    round_ = [wording(template, number, ANNA) for number in range(count)]
    choices = [[part] if isinstance(part, str) else part for part in made]

    assert Counter(round_) == Counter(map("".join, product(*choices)))
    assert [wording(template, number, ANNA) for number in range(count, 2 * count)] == round_
