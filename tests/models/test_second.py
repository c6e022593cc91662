"""Which posts are read twice, in what order, and what the second reading changes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from models.influence import Influence
from models.labels import Confidence
from models.records import Understood
from models.second import BUSY, REST_MAX, SHARE_MIN, Waiting, found, rest_s_after, share_of, worth
from tests.builders import labels, understood

SURE = Confidence(0.99, 0.9, 0.9, 0.9, 0.9, 0.99, 0.99)


def of_worth(work: Understood) -> float:
    return worth(work.labels, work.triage, work.influence.score)


def test_a_sure_post_of_a_quiet_author_is_not_read_again() -> None:
    assert of_worth(understood(labels=labels(triage="important", unsure=()), triage="important")) == 0


def test_a_candidate_for_urgent_is_worth_more_than_any_number_of_open_labels() -> None:
    urgent = understood(labels=labels(triage="urgent", unsure=()), triage="urgent")
    unsure = understood(
        labels=labels(triage="important", unsure=("sentiment", "category", "subject")), triage="important"
    )

    assert of_worth(urgent) > of_worth(unsure) > 0


def test_an_open_triage_is_worth_more_than_another_open_label() -> None:
    triage = understood(labels=labels(triage="important", unsure=("triage",)), triage="important")
    subject = understood(labels=labels(triage="important", unsure=("subject",)), triage="important")

    assert of_worth(triage) > of_worth(subject)


def test_reach_alone_is_worth_a_second_reading() -> None:
    plain = understood(labels=labels(triage="important", unsure=()), triage="important")

    assert of_worth(replace(plain, influence=Influence(0.9))) > 0
    assert of_worth(replace(plain, influence=Influence(0.3))) == 0


def test_sure_spam_is_never_read_again() -> None:
    spam = understood(labels=labels(triage="spam", unsure=("subject",)), triage="spam")

    assert of_worth(replace(spam, influence=Influence(1.0))) == 0


def test_what_the_first_left_open_is_set_even_to_the_same_value() -> None:
    first = labels(category="technical", unsure=("category",))
    said = found(first, replace(first, confidence=SURE, unsure=()))

    assert said.labels == {"category": "technical"}
    assert said.confidence == {"category": 0.9}


def test_an_open_language_is_set_too() -> None:
    first = labels(language="nl", unsure=("language",))

    assert found(first, replace(first, language="de", confidence=SURE, unsure=())).labels == {"language": "de"}


def test_what_the_second_is_unsure_of_is_left_alone() -> None:
    first = labels(category="technical", unsure=("category",))

    assert found(first, replace(first, category="faq", unsure=("category",))).labels == {}


def test_a_sure_label_gives_way_only_to_a_surer_one() -> None:
    first = replace(labels(category="technical", unsure=()), confidence=replace(SURE, category=0.8))
    surer = replace(first, category="faq", confidence=replace(SURE, category=0.9))
    less = replace(first, category="faq", confidence=replace(SURE, category=0.7))

    assert found(first, surer).labels == {"category": "faq"}
    assert found(first, less).labels == {}


def test_toxicity_and_answer_are_said_as_yes_and_no() -> None:
    first = labels(unsure=("toxic", "answer"))

    assert set(found(first, replace(first, toxic=True, answer=False, confidence=SURE, unsure=())).labels.items()) == {
        ("toxicity", "yes"),
        ("answer", "no"),
    }


def test_no_more_wait_than_can_be_read_within_the_budget_and_the_least_worthy_goes() -> None:
    waiting = Waiting(budget_s=0.1, each_s=0.02)
    posts = [understood(f"x:{number}") for number in range(8)]
    over = sum(waiting.put(post, number % 4, 0.0) for number, post in enumerate(posts))

    assert (waiting.room, len(waiting), over) == (5, 5, 3)
    assert [work.post.id for work in waiting.take(9, 0.0)[0]] == ["x:3", "x:7", "x:2", "x:6", "x:1"]
    assert len(waiting) == 0


def test_of_equally_worthy_ones_the_oldest_is_read_first_and_the_youngest_is_passed_over() -> None:
    waiting = Waiting(budget_s=0.04, each_s=0.02)
    for number in range(3):
        waiting.put(understood(f"x:{number}"), 1.0, 0.0)

    assert [work.post.id for work in waiting.take(1, 0.0)[0]] == ["x:0"]
    assert [work.post.id for work in waiting.take(1, 0.0)[0]] == ["x:1"]


def test_whose_time_is_over_is_let_go_whatever_its_worth() -> None:
    waiting = Waiting(budget_s=2.0, each_s=0.02)
    for number, (worth_, since_s) in enumerate([(9.0, 0.9), (1.0, 1.0), (5.0, 2.5), (5.0, 0.0)]):
        waiting.put(understood(f"x:{number}"), worth_, since_s)

    taken, late = waiting.take(1, 3.0)
    assert ([work.post.id for work in taken], late, len(waiting)) == (["x:2"], 2, 1)
    taken, late = waiting.take(1, 3.1)
    assert (taken, late, len(waiting)) == ([], 1, 0)


def test_a_slower_reader_gets_less_room() -> None:
    waiting = Waiting(budget_s=1.0, each_s=0.01)
    for _ in range(60):
        waiting.took(0.5, 10)

    assert waiting.room == 20


@pytest.mark.parametrize(
    ("others", "cores", "share"),
    [
        (0.0, 2, 1.0),
        (0.25, 2, 0.5),
        (BUSY, 2, SHARE_MIN),
        (1.0, 2, SHARE_MIN),
        (0.45, 4, 3 * SHARE_MIN),
        (1.0, 4, 3 * SHARE_MIN),
        (1.0, 16, 1.0),  # One core of sixteen: it meets few.
        (0.0, 1, 1.0),
        (1.0, 1, SHARE_MIN),
        (0.0, 0.5, 0.5),  # A container may have less than a core.
        (1.0, 0.5, SHARE_MIN / 2),
        (0.0, 1.5, 1.0),
    ],
)
def test_the_more_others_use_the_less_it_computes_but_on_many_cores(others: float, cores: float, share: float) -> None:
    assert share_of(others, cores) == pytest.approx(share)


@given(st.floats(0, 1), st.floats(0.01, 256), st.floats(0, 10))
def test_it_computes_for_its_share_of_the_time_and_never_for_none(others: float, cores: float, cpu_s: float) -> None:
    share = share_of(others, cores)

    assert min(1, cores) * SHARE_MIN <= share <= 1
    assert (cpu_s + rest_s_after(cpu_s, share, budget_s=1e6)) * share == pytest.approx(cpu_s)


def test_no_rest_is_so_long_that_what_comes_meanwhile_is_too_late() -> None:
    assert rest_s_after(1.0, SHARE_MIN, budget_s=2.0) == REST_MAX * 2.0
