from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.brands import PeopleRules, Person
from models.labels import TRIAGE_RANK, TRIAGES
from models.people import (
    DAY_MS,
    HOUR_MS,
    RECENT_MAX,
    AuthorRow,
    Contact,
    Directory,
    author_key,
    contacted,
    earlier,
    is_forgotten,
    known,
    linked,
    raised,
)
from models.posts import Author
from tests.builders import NOW

RULES = PeopleRules(on=True, repeat_contacts=2, repeat_within_h=24, active_contacts=5, keep_days=30)


def row(*ats: int, brand_id: str = "fennkom", platform: str = "x", **more: Any) -> AuthorRow:
    made = None
    for at in ats:
        made = contacted(made, "alster", "x:kunde", Contact(at, brand_id), platform, **more)
    assert made is not None
    return made


@pytest.mark.parametrize(
    ("author", "key"),
    [
        (Author(uri="https://x.example/1", handle="anna"), "https://x.example/1"),
        (Author(native_id="77", handle="anna"), "x#77"),
        (Author(handle="@Anna"), "x:anna"),
        (Author(name="Anna"), ""),
    ],
    ids=["an address", "an id", "a handle", "a name alone"],
)
def test_an_account_is_named_by_what_stays(author: Author, key: str) -> None:
    assert author_key("x", author) == key


def test_contacts_are_counted_and_the_last_ones_kept_with_their_time() -> None:
    made = row(*range(NOW, NOW + 40))

    assert (made.contacts, made.first_at, made.last_at, len(made.recent)) == (40, NOW, NOW + 39, RECENT_MAX)
    assert made.recent[-1] == Contact(NOW + 39, "fennkom")


def test_only_contacts_with_the_same_brand_within_the_time_are_repeats() -> None:
    made = row(NOW - 25 * HOUR_MS, NOW - HOUR_MS)
    made = contacted(made, "alster", "x:kunde", Contact(NOW, "kranich"), "x")

    assert earlier(made, "fennkom", RULES, NOW) == 1
    assert earlier(made, "kranich", RULES, NOW) == 1
    assert earlier(None, "fennkom", RULES, NOW) == 0


@pytest.mark.parametrize(
    ("triage", "after"),
    [("spam", "spam"), ("less", "important"), ("important", "urgent"), ("urgent", "urgent"), ("at_once", "at_once")],
)
def test_repeated_contact_raises_by_one_level_and_not_above_urgent(triage: Any, after: str) -> None:
    got, why = raised(triage, 2, RULES, wants_answer=True)

    assert got == after
    assert why == ((f"repeated contact: number 3 in {24} h",) if got != triage else ())


@pytest.mark.parametrize(("count", "wants"), [(1, True), (5, False)], ids=["the second contact", "a fan who praises"])
def test_not_everybody_who_comes_again_goes_sooner(count: int, wants: bool) -> None:
    assert raised("less", count, RULES, wants_answer=wants) == ("less", ())


@given(st.sampled_from(TRIAGES), st.integers(0, 1_000), st.booleans())
def test_nothing_is_lowered_nor_raised_by_two(triage: Any, count: int, wants: bool) -> None:
    got, _ = raised(triage, count, RULES, wants_answer=wants)

    assert 0 <= TRIAGE_RANK[got] - TRIAGE_RANK[triage] <= 1
    assert got != "at_once" or triage == "at_once"


def test_a_rep_is_told_what_was_known_before() -> None:
    told = known(row(*(NOW - n * HOUR_MS for n in range(5, 0, -1)), vip=True), RULES, NOW)

    assert told is not None
    assert (told.contacts, told.last_at, told.platforms, told.active, told.vip) == (
        5,
        NOW - HOUR_MS,
        ("x",),
        True,
        True,
    )
    assert known(None, RULES, NOW) is None


def test_who_is_silent_for_the_keeping_time_is_unknown_again() -> None:
    made = row(NOW - 31 * DAY_MS)

    assert is_forgotten(made, RULES, NOW)
    assert known(made, RULES, NOW) is None
    assert not is_forgotten(row(NOW - 30 * DAY_MS), RULES, NOW)


def test_accounts_are_one_person_by_the_crms_id_alone() -> None:
    directory = Directory([Person("k-1", ("https://x.example/1", "instagram:@Anna.M"), vip=True)])

    assert directory.find("x", Author(uri="https://x.example/1", name="Anna")) == directory.find(
        "instagram", Author(handle="anna.m")
    )
    assert directory.find("x", Author(handle="anna.m", name="Anna")) is None
    assert directory.find("mastodon", Author(crm_id="k-1")) == Person(
        "k-1", ("https://x.example/1", "instagram:@Anna.M"), vip=True
    )
    assert directory.find("mastodon", Author(crm_id="k-2", vip=True)) == Person("k-2", vip=True)


def test_a_linked_account_brings_its_past_once() -> None:
    account = row(NOW, NOW + 2, platform="x", crm_id="k-1")
    person = linked(None, account)
    other = row(NOW + 1, NOW + 3, platform="instagram", crm_id="k-1", vip=True)
    both = linked(person, other)

    assert (person.key, person.contacts) == ("crm:k-1", 2)
    assert (both.contacts, both.platforms, both.vip) == (4, ("x", "instagram"), True)
    assert [one.at for one in both.recent] == [NOW, NOW + 1, NOW + 2, NOW + 3]
    told = known(both, RULES, NOW + 4)
    assert told is not None
    assert told.crm_id == "k-1"
