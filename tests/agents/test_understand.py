"""Understand as lists in and lists out."""

from typing import Any

import pytest
from msgspec.structs import replace

from agents.understand import Understand
from models.brands import IncidentRules, Person
from models.errors import BadEvent
from models.labels import Confidence
from models.posts import Author, Mention, SocialPost
from models.records import Dropped, Tick, Understood
from models.sketch import BINS, sketches_of
from streams.carry import Out, Part, Record
from streams.codec import encode
from tests.builders import NOW, Labeller, a_brand, a_post, a_raw, a_tenant, labels, told


def fold(*posts: Any, tell_dropped: bool = False, labeller: Labeller | None = None) -> list[Out]:
    tenant = a_tenant(brands=(a_brand(), a_brand("kranich", exclusions=("Moor",))))
    step = Understand((tenant,), labeller or Labeller(), tell_dropped=tell_dropped)
    raw = a_raw(7, "posts", partition=2)
    return step.fold([Record(offset, NOW, post, raw) for offset, post in enumerate(posts, 7)], Part(2, None, ""))


def test_a_post_with_an_at_is_a_mention() -> None:
    (work,) = told(fold(a_post(text="@fennkom nichts geht")), "work", Understood)

    assert (work.brand_id, work.addressed, work.src, work.at) == ("fennkom", "mention", (2, 7, 1), NOW)


def test_a_post_without_an_at_is_found_by_its_words() -> None:
    (work,) = told(fold(a_post(text="nichts geht bei Fennkom")), "work", Understood)

    assert work.addressed == "keyword"


def test_a_post_that_concerns_nobody_ends_here_and_is_not_classified() -> None:
    labeller = Labeller()

    assert fold(a_post(text="Schönes Wetter"), labeller=labeller) == []
    assert labeller.texts == []


def test_in_a_replay_what_is_dropped_goes_on_with_its_labels() -> None:
    (dropped,) = told(fold(a_post(text="Schönes Wetter"), tell_dropped=True), "work", Dropped)

    assert dropped.post_id == "x:1" and dropped.labels is not None


def test_an_exclusion_word_makes_the_crane_a_bird() -> None:
    assert fold(a_post(text="Ein Kranich im Moor")) == []


def test_a_run_is_labelled_in_one_batch() -> None:
    labeller = Labeller()
    fold(a_post("x:1"), a_post("x:2", text="Wetter"), a_post("x:3"), labeller=labeller)

    assert len(labeller.texts) == 2


def test_a_brand_that_the_connector_names_needs_no_word_of_it() -> None:
    (work,) = told(fold(a_post(text="hallo?", brand="kranich", addressed="owned")), "work", Understood)

    assert (work.brand_id, work.addressed) == ("kranich", "owned")


def test_two_brands_in_one_post_are_one_case_that_lists_the_other() -> None:
    (work,) = told(fold(a_post(text="Kranich ist wie @fennkom")), "work", Understood)

    assert (work.brand_id, work.also) == ("fennkom", ("kranich",))


def test_mentions_of_the_platform_count_as_the_text_s_own() -> None:
    (work,) = told(fold(a_post(text="nichts geht", mentions=(Mention(handle="@fennkom"),))), "work", Understood)

    assert work.addressed == "mention"


def test_an_unknown_tenant_is_named_in_its_dead_letter() -> None:
    (letter,) = told(fold(a_post(tenant="nobody")), "dead-letters")

    assert letter.reason == "post: data.tenant: found 'nobody', meant one of alster"
    assert (letter.source, letter.partition, letter.offset) == ("posts", 2, 7)


def test_an_unknown_brand_is_named_in_its_dead_letter() -> None:
    (letter,) = told(fold(a_post(brand="nobody")), "dead-letters")

    assert "found 'nobody', meant one of fennkom, kranich" in letter.reason


def test_our_own_answer_is_not_a_question() -> None:
    assert fold(a_post(author=Author(handle="@Fennkom"))) == []


def test_an_author_s_clock_cannot_write_in_the_future() -> None:
    (work,) = told(fold(a_post(created_at=NOW + 86_400_000)), "work", Understood)

    assert work.post.created_at == NOW


def test_a_tick_of_a_recorded_day_is_passed_on() -> None:
    (tick,) = told(fold(replace(a_post(), type="zuruf.tick"), tell_dropped=True), "work", Tick)

    assert (tick.at, tick.src) == (NOW, (2, 7, 1))


def test_nobody_moves_the_time_of_a_live_stream_with_a_post() -> None:
    outs = fold(replace(a_post(), type="zuruf.tick"))

    assert told(outs, "work") == []
    assert [letter.reason for letter in told(outs, "dead-letters")] == [
        "post: type: found zuruf.tick, which is for recorded days"
    ]


def test_a_post_that_no_row_could_hold_is_a_bad_event() -> None:
    large = encode(a_post(native={"cid": "x" * 300_000}))

    with pytest.raises(BadEvent, match="bytes came, at most 262144 are meant"):
        Understand((a_tenant(),), Labeller()).decode(large)


def test_what_may_open_a_case_carries_a_sketch_of_its_text() -> None:
    texts = ["@fennkom seit heute Morgen geht bei mir kein Internet mehr", "@fennkom hallo?"]
    outs = fold(*[a_post(f"x:{at}", text) for at, text in enumerate(texts)])

    assert [out.value.sketch for out in outs] == sketches_of(texts)
    assert [len(out.value.sketch) for out in outs] == [BINS, 0]


@pytest.mark.parametrize(
    ("post", "mode", "changes"),
    [
        ({}, "off", {}),
        ({}, "suggest", {"triage": "spam"}),
        ({}, "suggest", {"triage": "less", "answer": False, "category": "positive"}),
        ({"type": "zuruf.post.updated"}, "suggest", {}),
    ],
    ids=["a brand that looks for no incidents", "spam", "nothing to answer", "an edit"],
)
def test_what_can_be_no_part_of_an_incident_pays_for_no_sketch(post: Any, mode: Any, changes: Any) -> None:
    tenant = a_tenant(brands=(a_brand(incidents=IncidentRules(mode=mode)),))
    step = Understand((tenant,), Labeller(**changes))
    came = replace(a_post(text="@fennkom seit heute Morgen kein Internet mehr bei uns"), **post)
    (out,) = step.fold([Record(7, NOW, came, a_raw(7, "posts"))], Part(2, None, ""))

    assert out.value.sketch == b""


def test_a_person_whom_the_operator_lists_is_known_by_number_and_as_a_vip() -> None:
    tenant = a_tenant(persons=(Person("4711", ("x:kunde",), vip=True),))
    step = Understand((tenant,), Labeller())
    (known,) = step.fold([Record(7, NOW, a_post(), a_raw(7, "posts"))], Part(2, None, ""))
    (stranger,) = step.fold(
        [Record(8, NOW, a_post(author=Author(handle="other")), a_raw(8, "posts"))], Part(2, None, "")
    )

    assert (known.value.post.author.crm_id, known.value.post.author.vip) == ("4711", True)
    assert known.value.influence.score > stranger.value.influence.score
    assert stranger.value.post.author == Author(handle="other")


def test_each_field_of_a_post_stands_in_its_place() -> None:
    post = a_post(
        "<id>",
        platform="<platform>",
        account_id="<account>",
        object_uri="<object>",
        conversation_uri="<conversation>",
        kind="<kind>",
        visibility="<visibility>",
        parent_uri="<parent>",
        permalink="<permalink>",
        native={"a": "b"},
        reply_until=NOW + 5,
    )
    (work,) = told(fold(post), "work", Understood)

    assert work.post == SocialPost(
        id="<id>",
        platform="<platform>",
        account_id="<account>",
        object_uri="<object>",
        conversation_uri="<conversation>",
        text="@fennkom nichts geht",
        received_at=NOW,
        created_at=NOW,
        author=Author(handle="kunde"),
        kind="<kind>",
        visibility="<visibility>",
        parent_uri="<parent>",
        permalink="<permalink>",
        native={"a": "b"},
        reply_until=NOW + 5,
    )
    assert (work.tenant, work.brand_id, work.addressed, work.also) == ("alster", "fennkom", "mention", ())
    assert (work.labels, work.triage, work.why, work.action) == (labels(), labels().triage, (), "created")


@pytest.mark.parametrize(
    ("found", "sure", "unsure", "languages", "read"),
    [
        ("hi", 0.6, ("language",), ("de", "en"), ("de", 0.5)),
        ("en", 0.6, ("language",), ("de", "en"), ("en", 0.6)),
        ("de", 0.034, ("language",), ("en", "de"), ("en", 0.5)),
        ("hi", 0.99, (), ("de", "en"), ("hi", 0.99)),
        ("hi", 0.6, ("language",), (), ("hi", 0.6)),
    ],
)
def test_a_guess_at_the_language_is_one_that_the_brand_answers_in(
    found: str, sure: float, unsure: tuple[str, ...], languages: tuple[str, ...], read: tuple[str, float]
) -> None:
    tenant = a_tenant(brands=(replace(a_brand(), languages=languages),))
    step = Understand((tenant,), Labeller(language=found, unsure=unsure, confidence=Confidence(language=sure)))
    outs = step.fold([Record(7, NOW, a_post(), a_raw(7, "posts", partition=2))], Part(2, None, ""))

    (work,) = told(outs, "work", Understood)
    assert (work.labels.language, work.labels.confidence.language) == read
