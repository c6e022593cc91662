"""The posts of the demonstration: what a looker-on should meet among them, and that their labels can be counted on."""

import json
import re
import tomllib
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Final

import pytest

import agents.demo
from models.labels import CATEGORIES, LANGUAGES, SENTIMENTS, SUBJECTS, TRIAGES
from streams.configuration import read_toml, tenants_of

FOLDER: Final = Path(agents.demo.__file__).parent
LINES: Final[list[dict[str, Any]]] = [
    json.loads(line) for line in (FOLDER / "corpus.jsonl").read_text(encoding="utf-8").splitlines()
]
FIRST: Final = [line for line in LINES if "again" not in line]
POSTS: Final = {line["id"]: line for line in FIRST}
NOISE: Final = [line for line in FIRST if line["expect"].get("noise")]
OURS: Final = [line for line in FIRST if not line["expect"].get("noise")]
TENANTS: Final[list[dict[str, Any]]] = tomllib.loads((FOLDER / "zuruf.toml").read_text(encoding="utf-8"))["tenant"]
BRANDS: Final = {brand["id"]: brand for tenant in TENANTS for brand in tenant["brand"]}
HANDLES: Final = tuple(f"@{handle}" for brand in BRANDS.values() for handle in brand["handles"])
LONGEST: Final = {"x": 280, "bluesky": 300, "mastodon": 500, "facebook": 900, "instagram": 900, "chat": 900}
LANGUAGE_SHARES: Final = [("de", 0.45, 0.55), ("en", 0.42, 0.50), ("fr nl pl tr", 0.03, 0.08)]

Line = dict[str, Any]


def has_word(text: str, words: Iterable[str]) -> bool:
    """Return whether one of the words stands in the text between word boundaries; ``*`` stands for any letters."""
    patterns = (re.escape(word).replace(r"\*", r"\w*") for word in words)
    return any(re.search(rf"(?<!\w){pattern}(?!\w)", text, re.IGNORECASE) for pattern in patterns)


def handles_of(brand: Line) -> list[str]:
    return [f"@{handle}" for handle in brand["handles"]]


def names_of(brand: Line) -> list[str]:
    return [brand["name"], *(word for key in ("aliases", "products", "misspellings") for word in brand.get(key, ()))]


def is_watched(text: str, brand: Line) -> bool:
    """Return whether a post concerns the brand by its words alone: a handle, or a name without an exclusion word."""
    excluded = has_word(text, brand.get("exclusions", ()))
    return has_word(text, handles_of(brand)) or (has_word(text, names_of(brand)) and not excluded)


def bad(lines: Iterable[Line], is_bad: Callable[[Line], bool]) -> list[tuple[str, str]]:
    """Return id and text of the lines at fault, so that a failing test shows them."""
    return [(line["id"], line["text"]) for line in lines if is_bad(line)]


def opens_a_case(expect: Line) -> bool:
    return expect["triage"] != "spam" and (expect["answer"] or expect["triage"] in ("important", "urgent", "at_once"))


# -- the shape of a line


def test_there_are_enough_posts_and_most_of_them_concern_a_brand() -> None:
    assert len(LINES) >= 430
    assert len(NOISE) >= 100
    assert len(OURS) >= 300


def test_an_id_comes_once_unless_it_is_marked_as_delivered_again() -> None:
    assert [i for i, count in Counter(line["id"] for line in FIRST).items() if count > 1] == []


def test_no_two_posts_say_the_same() -> None:
    assert [text for text, count in Counter(line["text"] for line in FIRST).items() if count > 1] == []


def test_what_is_delivered_again_is_the_same_post_and_comes_later() -> None:
    at = {line["id"]: index for index, line in reversed(list(enumerate(LINES)))}
    twice = [(index, line) for index, line in enumerate(LINES) if "again" in line]

    assert len(twice) >= 10
    for index, line in twice:
        first = POSTS[line["id"]]
        assert line["again"] == line["expect"]["duplicate_of"] == line["id"]
        assert at[line["id"]] < index
        assert {**line["expect"], "duplicate_of": None} == {**first["expect"], "duplicate_of": None}
        assert all(line.get(key) == first.get(key) for key in ("tenant", "platform", "author", "text", "conversation"))


def test_posts_come_two_to_four_a_second() -> None:
    waits_s = [line["after_s"] for line in LINES if "after_s" in line]

    assert "after_s" not in LINES[0]
    assert len(waits_s) == len(LINES) - 1
    assert min(waits_s) >= 0.1
    assert max(waits_s) <= 1.5
    assert 2.0 <= len(waits_s) / sum(waits_s) <= 4.0


def test_an_author_has_one_name_and_one_number_of_followers() -> None:
    shown = {(line["author"], line["author_name"], line["author_followers"], line.get("verified")) for line in LINES}
    assert [author for author, count in Counter(one[0] for one in shown).items() if count > 1] == []


def test_no_post_is_longer_than_its_platform_takes() -> None:
    assert bad(LINES, lambda line: len(line["text"]) > LONGEST.get(line["platform"], 900)) == []


def test_some_posts_are_a_few_words_and_some_are_letters() -> None:
    lengths = [len(line["text"]) for line in OURS]
    assert sum(length < 45 for length in lengths) >= 10
    assert sum(length > 500 for length in lengths) >= 7


# -- labels


def test_every_label_has_a_legal_value() -> None:
    for line in LINES:
        expect = line["expect"]
        legal = {"brand", "language", "sentiment", "category", "subject", "triage", "answer", "noise", "duplicate_of"}
        assert set(expect) <= legal, line["id"]
        assert expect["language"] in LANGUAGES, line["id"]
        assert expect["sentiment"] in SENTIMENTS, line["id"]
        assert expect["category"] in CATEGORIES, line["id"]
        assert expect["subject"] in SUBJECTS, line["id"]
        assert expect["triage"] in TRIAGES, line["id"]
        assert isinstance(expect["answer"], bool), line["id"]


def test_a_brand_is_expected_of_its_own_tenant_and_none_of_noise() -> None:
    ids = {tenant["id"]: {brand["id"] for brand in tenant["brand"]} for tenant in TENANTS}

    assert bad(OURS, lambda line: line["expect"]["brand"] not in ids[line["tenant"]]) == []
    assert bad(NOISE, lambda line: line["expect"]["brand"] is not None) == []
    assert {line["tenant"] for line in NOISE} == set(ids)


@pytest.mark.parametrize(
    ("label", "values", "at_least"),
    [
        ("brand", tuple(BRANDS), 40),
        ("sentiment", SENTIMENTS, 40),
        ("category", CATEGORIES, 25),
        ("subject", SUBJECTS, 15),
        ("triage", TRIAGES, 20),
        ("answer", (True, False), 60),
    ],
    ids=lambda one: one if isinstance(one, str) else "",
)
def test_each_value_of_a_label_is_there(label: str, values: tuple[object, ...], at_least: int) -> None:
    counts = Counter(line["expect"][label] for line in OURS)
    assert {value: counts[value] for value in values if counts[value] < at_least} == {}


def test_who_is_to_be_seen_soon_waits_for_an_answer_and_who_advertises_does_not() -> None:
    assert bad(OURS, lambda line: line["expect"]["triage"] in TRIAGES[2:] and not line["expect"]["answer"]) == []
    assert bad(LINES, lambda line: line["expect"]["triage"] == "spam" and line["expect"]["answer"]) == []
    assert bad(LINES, lambda line: line["expect"]["triage"] == "spam" and line["expect"]["category"] != "other") == []


@pytest.mark.parametrize(("codes", "low", "high"), LANGUAGE_SHARES, ids=lambda one: str(one))
def test_languages_have_their_shares(codes: str, low: float, high: float) -> None:
    share = sum(line["expect"]["language"] in codes.split() for line in LINES) / len(LINES)
    assert low <= share <= high


def test_french_dutch_polish_and_turkish_are_all_there() -> None:
    counts = Counter(line["expect"]["language"] for line in LINES)
    assert {code: counts[code] for code in ("fr", "nl", "pl", "tr") if counts[code] < 4} == {}


# -- brand watch


def test_a_post_names_its_brand_or_stands_where_the_brand_is_known() -> None:
    def is_lost(line: Line) -> bool:
        known = "conversation" in line or line["platform"] == "chat"
        return not is_watched(line["text"], BRANDS[line["expect"]["brand"]]) and not known

    assert bad(OURS, is_lost) == []


def test_a_hint_stands_on_just_the_posts_that_do_not_name_their_brand() -> None:
    def is_named(line: Line) -> bool:
        return is_watched(line["text"], BRANDS[line["expect"]["brand"]])

    assert bad(OURS, lambda line: ("brand" in line) == is_named(line)) == []
    assert bad(OURS, lambda line: line.get("brand", line["expect"]["brand"]) != line["expect"]["brand"]) == []
    assert bad(NOISE, lambda line: "brand" in line) == []


def test_no_noise_names_a_handle_or_a_brand_that_its_exclusion_words_do_not_stop() -> None:
    assert bad(NOISE, lambda line: has_word(line["text"], HANDLES)) == []
    assert bad(NOISE, lambda line: any(is_watched(line["text"], brand) for brand in BRANDS.values())) == []


@pytest.mark.parametrize("brand_id", ["kranich", "otterplay"])
def test_birds_and_beasts_bear_the_name_of_a_brand(brand_id: str) -> None:
    named = [line for line in NOISE if has_word(line["text"], names_of(BRANDS[brand_id]))]
    assert len(named) >= 8


def test_about_half_of_the_posts_name_a_handle() -> None:
    assert 0.4 <= sum(has_word(line["text"], HANDLES) for line in OURS) / len(OURS) <= 0.6


# -- stories


def test_a_conversation_begins_with_an_earlier_post_on_the_same_platform() -> None:
    seen: dict[str, Line] = {}
    for line in LINES:
        if "conversation" in line:
            first, parent = seen[line["conversation"]], seen[line["reply_to"]]
            assert "conversation" not in first, line["id"]
            assert line["conversation"] in (parent["id"], parent.get("conversation")), line["id"]
            assert (line["tenant"], line["platform"]) == (first["tenant"], first["platform"]), line["id"]
            assert line["expect"]["brand"] == first["expect"]["brand"], line["id"]
        else:
            assert "reply_to" not in line, line["id"]
        seen[line["id"]] = line


def test_many_come_back_and_some_threads_are_long() -> None:
    later = [line for line in FIRST if "conversation" in line]
    by_same = [line for line in later if line["author"] == POSTS[line["conversation"]]["author"]]
    lengths = [1 + count for count in Counter(line["conversation"] for line in later).values()]

    assert len(by_same) >= 40
    assert len(by_same) < len(later), "somebody else joins a conversation too"
    assert sum(length >= 3 for length in lengths) >= 8
    assert max(lengths) >= 4


def test_twenty_five_people_report_one_outage_within_half_a_minute() -> None:
    at_s, clock_s = {}, 0.0
    for line in LINES:
        clock_s += line.get("after_s", 0.0)
        at_s.setdefault(line["id"], clock_s)
    outage = [line for line in OURS if (line["expect"]["brand"], line["expect"]["subject"]) == ("fennkom", "outage")]

    most = max(
        len({line["author"] for line in outage if 0 <= at_s[line["id"]] - at_s[start["id"]] <= 30}) for start in outage
    )
    assert most >= 25


def test_spam_names_each_brand_and_comes_often_enough() -> None:
    spam = [line for line in OURS if line["expect"]["triage"] == "spam"]
    assert len(spam) >= 20
    assert {line["expect"]["brand"] for line in spam} == set(BRANDS)


def test_some_authors_are_followed_by_many_and_of_some_it_is_not_known() -> None:
    followers = {line["author"]: line["author_followers"] for line in OURS if line["expect"]["triage"] != "spam"}
    assert sum(count is not None and count >= 10_000 for count in followers.values()) >= 10
    assert sum(count is None for count in followers.values()) >= 40
    assert any(line.get("verified") for line in OURS)


# -- the configuration beside them


def test_the_loader_takes_the_file() -> None:
    tenants = tenants_of(read_toml(FOLDER / "zuruf.toml"))
    assert [tenant.id for tenant in tenants] == ["alster", "harbour"]


def test_each_tenant_has_six_simulated_seats_and_two_free_ones() -> None:
    seats = {tenant["id"]: Counter(rep["simulated"] for rep in tenant["rep"]) for tenant in TENANTS}
    assert seats == {"alster": {True: 6, False: 2}, "harbour": {True: 6, False: 2}}


def test_every_post_that_opens_a_case_has_a_simulated_seat_for_its_language_subject_and_brand() -> None:
    skills = {tenant["id"]: [rep["skills"] for rep in tenant["rep"] if rep["simulated"]] for tenant in TENANTS}

    def is_alone(line: Line) -> bool:
        expect = line["expect"]
        wanted = {f"lang:{expect['language']}", f"subject:{expect['subject']}", f"brand:{expect['brand']}"}
        return opens_a_case(expect) and not any(wanted <= set(held) for held in skills[line["tenant"]])

    assert bad(OURS, is_alone) == []


def test_every_brand_answers_in_the_languages_it_is_written_to() -> None:
    def is_foreign(line: Line) -> bool:
        languages = BRANDS[line["expect"]["brand"]]["languages"]
        return opens_a_case(line["expect"]) and line["expect"]["language"] not in languages

    assert bad(OURS, is_foreign) == []
