"""People and bots in the fold: lists in and lists out, on a real RocksDB."""

from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from agents.dispatch import Dispatch
from agents.floor import House
from models import records as r
from models import wire
from models.brands import Account, BotAnswer, BotRules, IncidentRules, PeopleRules, Person
from models.cases import Case
from models.labels import Confidence
from models.posts import Author
from tables.authors import AUTHORS
from tables.cases import CASES
from tests.builders import NOW, Bench, a_brand, a_social_post, a_tenant, labels, told, understood

SECOND, MINUTE, HOUR, DAY = 1_000, 60_000, 3_600_000, 86_400_000
SURE = labels(confidence=Confidence(language=0.99, category=0.95, subject=0.95))
OFF = PeopleRules()
PEOPLE = PeopleRules(on=True, repeat_contacts=2, repeat_within_h=24, keep_days=30, active_contacts=3)
BOT = BotRules(
    name="Fenni",
    acknowledge={"de": "Wir haben es gelesen, gleich antwortet ein Mensch."},
    acknowledge_categories=("complaint",),
    answers=(BotAnswer(category="technical", texts={"de": "Bitte starten Sie neu."}),),
)


def a_floor(tmp_path: Path, *, rep: bool = False, people: PeopleRules = OFF, **more: Any) -> Bench:
    brand = a_brand(bot=more.pop("bot", BotRules()), incidents=more.pop("incidents", IncidentRules()))
    accounts = (Account(id="main", connector="webhook", text_max=more.pop("text_max", 0)),)
    tenant = a_tenant(brands=(brand, a_brand("kranich")), accounts=accounts, people=people, **more)
    bench = Bench(Dispatch(House((tenant,))), tmp_path / "db")
    bench.feed(r.Takeover(at=NOW, owner="me"))
    if rep:
        bench.feed(
            r.DeskUp(NOW, "alster", "anna", "anna-1", "g1"),
            r.SetPresence(NOW, "alster", "anna", "anna-1", "p1", "available"),
        )
    return bench


def a_post(number: int, at: int = NOW, *, author: Any = None, post: Any = None, **changes: Any) -> r.Understood:
    who = {"handle": "kunde", **(author or {})}
    came = a_social_post(f"x:{number}", author=Author(**who), received_at=at, created_at=at)
    return understood(post=replace(came, **(post or {})), at=at, **changes)


def come(floor: Bench, *posts: r.Understood) -> None:
    """Feed posts, each at its time: a tick before it moves the clock there."""
    for post in posts:
        floor.feed(r.Tick(post.at), post)


def case_of(floor: Bench, post_id: str) -> Case:
    return next(case for _, case in floor.part.rows.all(CASES) if case.thread[0].id == post_id)


def sup(kind: type, *, role: Any = "supervisor", brands: tuple[str, ...] = (), **more: Any) -> Any:
    return kind(NOW + SECOND, "alster", "mia", "mia-1", "k1", role, brands, **more)


# -- who comes again


def test_who_comes_a_third_time_in_a_day_goes_sooner_and_the_rep_sees_why(tmp_path: Path) -> None:
    floor = a_floor(tmp_path, people=PEOPLE)
    come(floor, *[a_post(number, NOW + number * HOUR) for number in (1, 2, 3)])

    assert [case_of(floor, f"x:{number}").triage for number in (1, 2, 3)] == ["important", "important", "urgent"]
    third = case_of(floor, "x:3")
    assert third.why[-1] == "repeated contact: number 3 in 24 h"
    assert third.due_at == NOW + 3 * HOUR + 15 * MINUTE
    assert third.known is not None and (third.known.contacts, third.known.last_at) == (2, NOW + 2 * HOUR)


def test_a_rep_is_shown_what_is_known_of_an_author(tmp_path: Path) -> None:
    floor = a_floor(tmp_path, rep=True, people=PEOPLE)
    floor.feed(a_post(1))
    (shown,) = told(floor.feed(a_post(2, NOW + HOUR)), "desk-events", wire.OfferFrame)

    assert shown.case.known is not None and shown.case.known.contacts == 1


@pytest.mark.parametrize(
    ("people", "times", "changes"),
    [
        (PeopleRules(), (0, HOUR, 2 * HOUR), {}),
        (PEOPLE, (0, HOUR, 26 * HOUR), {}),
        (PEOPLE, (0, HOUR, 2 * HOUR), {"labels": labels(answer=False)}),
    ],
    ids=["nothing is remembered unless it is asked for", "too long ago", "a fan who asks for nothing"],
)
def test_what_is_no_repeated_contact_raises_nothing(tmp_path: Path, people: Any, times: Any, changes: Any) -> None:
    floor = a_floor(tmp_path, people=people)
    come(floor, *[a_post(number, NOW + at, **changes) for number, at in enumerate(times, 1)])

    assert case_of(floor, "x:3").triage == "important"


def test_accounts_are_one_person_only_where_the_crm_says_so(tmp_path: Path) -> None:
    persons = (Person("4711", ("x:kunde", "mastodon:anna@example.org"), vip=True),)
    floor = a_floor(tmp_path, people=PEOPLE, persons=persons)
    come(
        floor,
        a_post(1),
        a_post(2, NOW + HOUR, post={"platform": "mastodon"}, author={"handle": "anna@example.org"}),
        a_post(3, NOW + 2 * HOUR, post={"platform": "telegram"}, author={"handle": "anna"}),
    )

    second, third = case_of(floor, "x:2").known, case_of(floor, "x:3").known
    assert second is not None
    assert (second.contacts, second.crm_id, second.vip, second.platforms) == (1, "4711", True, ("x",))
    assert third is None


def test_authors_are_there_again_after_a_restart_and_leave_after_their_time(tmp_path: Path) -> None:
    floor = a_floor(tmp_path, people=PEOPLE)
    floor.feed(a_post(1))
    floor.write()
    floor.restart()
    assert len(floor.part.index.authors) == 1

    floor.feed(r.Tick(NOW + 30 * DAY + 1))
    assert list(floor.part.rows.all(AUTHORS)) == []


def test_the_longest_silent_leave_where_there_are_too_many(tmp_path: Path) -> None:
    floor = a_floor(tmp_path, people=replace(PEOPLE, authors_max=2))
    floor.feed(*[a_post(number, NOW + number, author={"handle": f"k{number}"}) for number in (1, 2, 3)])

    assert [key for key, _ in floor.part.rows.all(AUTHORS)] == ["alster|x:k2", "alster|x:k3"]


# -- who asks to be forgotten


def test_who_asks_for_it_is_forgotten_with_name_and_words(tmp_path: Path) -> None:
    floor = a_floor(tmp_path, people=PEOPLE)
    floor.feed(a_post(1), a_post(2, author={"handle": "other"}))
    outs = floor.feed(sup(r.Forget, author="x:@Kunde"))
    floor.write()

    assert [key for key, _ in floor.part.rows.all(AUTHORS)] == ["alster|x:other"]
    mine = case_of(floor, "x:1")
    assert (mine.state, mine.author, mine.known, mine.thread[0].text, mine.sketch) == (
        "closed",
        Author(),
        None,
        "",
        b"",
    )
    assert case_of(floor, "x:2").author.handle == "other"
    (forgotten,) = told(outs, "case-events", r.Forgotten)
    assert (forgotten.rows, forgotten.cases, forgotten.by) == (1, 1, "mia")


def test_closed_cases_are_forgotten_too_and_all_accounts_of_a_person(tmp_path: Path) -> None:
    persons = (Person("4711", ("x:kunde", "mastodon:anna@example.org")),)
    floor = a_floor(tmp_path, rep=True, people=PEOPLE, persons=persons)
    (shown,) = told(floor.feed(a_post(1)), "desk-events", wire.OfferFrame)
    case = shown.case
    floor.feed(r.Accept(NOW, "alster", "anna", "anna-1", "a1", case.case_id, case.offer, case.version))
    floor.feed(r.CloseCase(NOW, "alster", "anna", "anna-1", "c1", case.case_id, case.version + 1))
    floor.feed(a_post(2, post={"platform": "mastodon"}, author={"handle": "anna@example.org"}))
    floor.feed(sup(r.Forget, author="crm:4711"))

    assert list(floor.part.rows.all(AUTHORS)) == []
    assert [case_of(floor, one).author for one in ("x:1", "x:2")] == [Author()] * 2
    assert {case_of(floor, one).thread[0].text for one in ("x:1", "x:2")} == {""}


def test_a_rep_who_works_on_the_case_is_told_to_forget_the_words(tmp_path: Path) -> None:
    floor = a_floor(tmp_path, rep=True, people=PEOPLE)
    (shown,) = told(floor.feed(a_post(1)), "desk-events", wire.OfferFrame)
    case = shown.case
    floor.feed(r.Accept(NOW, "alster", "anna", "anna-1", "a1", case.case_id, case.offer, case.version))
    outs = floor.feed(sup(r.Forget, author="x:kunde"))

    assert [one.entry_id for one in told(outs, "desk-events", wire.Erased)] == ["x:1"]
    assert floor.part.index.open[case.case_id].state == "working"


def test_only_a_supervisor_lets_somebody_be_forgotten(tmp_path: Path) -> None:
    floor = a_floor(tmp_path, people=PEOPLE)
    floor.feed(a_post(1))
    (result,) = told(floor.feed(sup(r.Forget, role="rep", author="x:kunde")), "desk-events", wire.Result)

    assert result.error is not None and result.error.code == "forbidden"
    assert case_of(floor, "x:1").author.handle == "kunde"


# -- bots


def test_a_bot_answers_says_that_it_is_one_and_the_case_awaits_its_customer(tmp_path: Path) -> None:
    floor = a_floor(tmp_path, rep=True, bot=BOT)
    outs = floor.feed(a_post(1, labels=SURE))
    (answer,) = told(outs, "answers", r.Answer)

    assert answer.text == "Automatische Antwort (Bot Fenni): Bitte starten Sie neu."
    assert told(outs, "desk-events", wire.OfferFrame) == []
    assert case_of(floor, "x:1").state == "automatic"

    more = floor.feed(r.Published(NOW + SECOND, "alster", answer.case_id, answer.answer_id, "sent"))
    assert case_of(floor, "x:1").state == "awaiting_customer"
    (answered,) = told(more, "case-events", r.Answered)
    assert (answered.rep_id, answered.first) == ("", True)


def test_after_the_bot_a_person_has_the_conversation_with_all_that_was_said(tmp_path: Path) -> None:
    floor = a_floor(tmp_path, rep=True, bot=BOT)
    (answer,) = told(floor.feed(a_post(1, labels=SURE)), "answers", r.Answer)
    floor.feed(r.Published(NOW + SECOND, "alster", answer.case_id, answer.answer_id, "sent"))
    outs = floor.feed(a_post(2, NOW + MINUTE, labels=SURE, post={"conversation_uri": "x:1"}))
    (shown,) = told(outs, "desk-events", wire.OfferFrame)

    assert [entry.by for entry in shown.case.thread] == ["customer", "bot", "customer"]
    assert "bot: answered technical at 0.95" in shown.case.why
    assert told(outs, "answers", r.Answer) == []


def test_a_customer_who_writes_on_while_the_bot_answers_is_for_a_person(tmp_path: Path) -> None:
    floor = a_floor(tmp_path, bot=BOT)
    (answer,) = told(floor.feed(a_post(1, labels=SURE)), "answers", r.Answer)
    floor.feed(a_post(2, NOW + SECOND, labels=SURE, post={"conversation_uri": "x:1"}))
    floor.feed(r.Published(NOW + 2 * SECOND, "alster", answer.case_id, answer.answer_id, "sent"))

    case = case_of(floor, "x:1")
    assert (case.state, case.awaits_answer, case.received_at) == ("queued", True, NOW + SECOND)


def test_an_acknowledged_case_is_offered_and_its_clock_runs_on(tmp_path: Path) -> None:
    floor = a_floor(tmp_path, rep=True, bot=BOT)
    outs = floor.feed(a_post(1, labels=replace(SURE, category="complaint")))
    (ack,), (shown,) = told(outs, "answers", r.Answer), told(outs, "desk-events", wire.OfferFrame)
    more = floor.feed(r.Published(NOW + SECOND, "alster", ack.case_id, ack.answer_id, "sent"))

    assert (shown.case.due_at, shown.case.thread[-1].ack) == (NOW + HOUR, True)
    assert told(more, "case-events", r.Answered) == []
    case = case_of(floor, "x:1")
    assert (case.state, case.awaits_answer, case.thread[-1].status) == ("offered", True, "sent")


def test_an_acknowledgement_under_way_does_not_keep_an_answered_case(tmp_path: Path) -> None:
    floor = a_floor(tmp_path, rep=True, bot=BOT)
    outs = floor.feed(a_post(1, labels=replace(SURE, category="complaint")))
    (shown,) = told(outs, "desk-events", wire.OfferFrame)
    case = shown.case
    floor.feed(r.Accept(NOW, "alster", "anna", "anna-1", "a1", case.case_id, case.offer, case.version))
    floor.feed(r.Reply(NOW, "alster", "anna", "anna-1", "r1", case.case_id, case.version + 1, "Gern!", True))
    outs = floor.feed(r.Published(NOW + SECOND, "alster", case.case_id, "r1", "sent"))

    assert case_of(floor, "x:1").state == "closed"
    assert [one.first for one in told(outs, "case-events", r.Answered)] == [True]


def test_in_a_conversation_that_a_bot_has_spoken_in_it_stays_silent(tmp_path: Path) -> None:
    floor = a_floor(tmp_path, rep=True, bot=BOT)
    (shown,) = told(floor.feed(a_post(1, labels=replace(SURE, category="complaint"))), "desk-events", wire.OfferFrame)
    case = shown.case
    floor.feed(r.Accept(NOW, "alster", "anna", "anna-1", "a1", case.case_id, case.offer, case.version))
    floor.feed(r.CloseCase(NOW, "alster", "anna", "anna-1", "c1", case.case_id, case.version + 1))
    outs = floor.feed(a_post(2, NOW + MINUTE, labels=SURE, post={"conversation_uri": "x:1"}))

    assert case_of(floor, "x:2").state == "offered"
    assert told(outs, "answers", r.Answer) == []


@pytest.mark.parametrize(
    "changes",
    [
        {"labels": replace(SURE, confidence=Confidence(language=0.99, category=0.5))},
        {"labels": SURE, "triage": "urgent"},
        {"labels": SURE, "why": ("danger: brennt",)},
        {"labels": replace(SURE, language="fr")},
        {"labels": SURE, "author": {"is_bot": True}},
    ],
    ids=["unsure", "urgent", "danger", "a language that it does not speak", "another bot"],
)
def test_where_it_may_not_speak_a_person_has_the_case(tmp_path: Path, changes: Any) -> None:
    floor = a_floor(tmp_path, rep=True, bot=BOT)
    outs = floor.feed(a_post(1, **changes))

    assert told(outs, "answers", r.Answer) == []
    assert len(told(outs, "desk-events", wire.OfferFrame)) == 1


def test_a_bot_keeps_the_pace_of_the_account(tmp_path: Path) -> None:
    floor = a_floor(tmp_path, bot=BOT, incidents=IncidentRules(rate_per_min=2, platforms={}))
    outs = [floor.feed(a_post(n, NOW + n * SECOND, labels=SURE, author={"handle": f"k{n}"})) for n in range(1, 9)]

    assert [len(told(one, "answers", r.Answer)) for one in outs] == [1, 1, 0, 0, 0, 0, 0, 0]
    assert case_of(floor, "x:8").state == "queued"


def test_an_answer_of_the_bot_that_nobody_reports_leaves_the_case_to_a_person(tmp_path: Path) -> None:
    floor = a_floor(tmp_path, bot=BOT)
    floor.feed(a_post(1, labels=SURE))
    floor.write()
    floor.restart()
    floor.feed(r.Takeover(at=NOW + SECOND, owner="me again"), r.Tick(NOW + DAY + 1))

    case = case_of(floor, "x:1")
    assert (case.state, case.awaits_answer) == ("queued", True)
