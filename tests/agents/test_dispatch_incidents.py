"""Incidents in the fold: lists in and lists out, on a real RocksDB."""

from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from agents.dispatch import Dispatch
from agents.floor import House
from agents.incidents import KIN_SHARE
from models import records as r
from models import wire
from models.brands import Account, IncidentRules
from models.cases import Case
from models.incidents import IncidentLine
from models.posts import Author
from models.sketch import alike, sketches_of
from tests.builders import NOW, Bench, a_brand, a_social_post, a_tenant, told, understood

SECOND, MINUTE = 1_000, 60_000
TOWNS = ("Kiel", "Lübeck", "Bremen", "Husum", "Emden", "Plön", "Eutin", "Jever", "Leer", "Norden", "Aurich", "Varel")
OUTAGE = "Seit heute Morgen geht bei mir in {} kein Internet mehr, was ist da los bei euch?"
RULES = IncidentRules(size=3, window_min=60, hold_min=30, variations_min=2, rate_per_min=60, platforms={})
TEXT = "{Hallo|Guten Tag} {name}, {das tut uns leid|wir bedauern das}: die Störung ist bekannt."


def a_floor(tmp_path: Path, *, rep: bool = False, **rules: Any) -> Bench:
    brand = a_brand(incidents=replace(RULES, **rules))
    tenant = a_tenant(brands=(brand, a_brand("kranich")), accounts=(Account(id="main", connector="webhook"),))
    bench = Bench(Dispatch(House((tenant,))), tmp_path / "db")
    bench.feed(r.Takeover(at=NOW, owner="me"))
    if rep:
        seat(bench)
    return bench


def seat(floor: Bench, at: int = NOW) -> Any:
    return floor.feed(
        r.DeskUp(at, "alster", "anna", "anna-1", "g1"),
        r.SetPresence(at, "alster", "anna", "anna-1", f"p-{at}", "available"),
    )


@pytest.fixture
def floor(tmp_path: Path) -> Bench:
    """One brand that suggests at three authors; nobody is free."""
    return a_floor(tmp_path)


def a_post(number: int, text: str = OUTAGE, at: int = NOW, **changes: Any) -> r.Understood:
    said = text.format(TOWNS[number % len(TOWNS)])
    author = Author(handle=f"kunde{number}", name="Anna Muster")
    post = a_social_post(f"x:{number}", text=said, author=author, received_at=at, created_at=at)
    return understood(post=replace(post, **changes.pop("post", {})), at=at, sketch=sketches_of([said])[0], **changes)


def storm(floor: Bench, count: int = 3, first: int = 1, at: int = NOW) -> list[Any]:
    """So many say the same; the tick that follows compares them."""
    outs = floor.feed(*[a_post(number, at=at) for number in range(first, first + count)])
    return outs + floor.feed(r.Tick(at + SECOND))


def who(kind: type, at: int = NOW + SECOND, *, role: Any = "supervisor", brands: tuple[str, ...] = ()) -> Any:
    number = next(_commands)
    return lambda **more: kind(at, "alster", "mia", "mia-1", f"k{number}", role, brands, **more)


_commands = iter(range(1, 10**9))


def the_incident(floor: Bench) -> Any:
    (group,) = floor.part.index.incidents.groups.values()
    return group.incident


def decide(floor: Bench, kind: type, at: int = NOW + SECOND, **more: Any) -> Any:
    """A supervisor's command about the one incident, as it stands."""
    incident = the_incident(floor)
    given = {"incident_id": incident.incident_id, "version": incident.version, **more}
    return floor.feed(who(kind, at)(**given))


def answer(floor: Bench, text: str = TEXT, at: int = NOW + SECOND, **more: Any) -> Any:
    return decide(floor, r.AnswerIncident, at, text=text, **more)


def result(outs: Any) -> wire.Result:
    (found,) = told(outs, "desk-events", wire.Result)
    return found


def cases(floor: Bench) -> dict[str, Case]:
    """All cases by the post that opened them, closed ones too."""
    rows = {case.case_id: case for _, case in floor.part.rows.all(_kind())}
    return {case.thread[0].id: case for case in rows.values()}


def _kind() -> Any:
    from tables.cases import CASES

    return CASES


def published(floor: Bench, answers: list[Any], status: Any = "sent", at: int = NOW + 2 * SECOND) -> list[Any]:
    return floor.feed(
        *[
            r.Published(at, "alster", one.case_id, one.answer_id, status, error="" if status == "sent" else "no")
            for one in answers
        ]
    )


def lines(outs: Any) -> tuple[IncidentLine, ...]:
    gauges = [one for one in told(outs, "case-events", r.Gauges) if one.brand_id == "fennkom"]
    return gauges[-1].incidents


# -- suggested


def test_so_many_authors_who_say_the_same_are_suggested_as_one_incident(floor: Bench) -> None:
    outs = storm(floor)
    events = told(outs, "case-events", r.IncidentTold)

    assert [one.what for one in events] == ["suggested", "joined", "joined", "joined"]
    assert {case.state for case in cases(floor).values()} == {"queued"}
    (line,) = lines(outs)
    assert (line.state, line.posts, line.authors, line.grown, line.waiting) == ("suggested", 3, 3, 3, 3)
    assert line.sample == OUTAGE.format("Lübeck")


def test_one_author_who_writes_often_is_no_incident(floor: Bench) -> None:
    author = {"author": Author(handle="kunde")}
    floor.feed(*[a_post(number, post=author) for number in range(1, 8)], r.Tick(NOW + SECOND))

    assert not floor.part.index.incidents.groups


def test_what_others_say_joins_nothing(floor: Bench) -> None:
    storm(floor)
    floor.feed(
        a_post(9, "Wo finde ich die Bedingungen des neuen Tarifs auf eurer Seite, bitte?"), r.Tick(NOW + 2 * SECOND)
    )

    assert cases(floor)["x:9"].incident_id == ""


CHARGED = "Mir wurde der Betrag für {} diesen Monat zweimal vom Konto abgebucht, bitte prüft das dringend."


def test_a_second_incident_is_seen_while_the_first_one_lives(floor: Bench) -> None:
    storm(floor)
    outs = floor.feed(*[a_post(number, CHARGED, NOW + SECOND) for number in range(11, 15)], r.Tick(NOW + 2 * SECOND))

    assert [one.what for one in told(outs, "case-events", r.IncidentTold)] == ["suggested", *["joined"] * 4]
    first, second = lines(outs)
    assert (first.posts, second.posts) == (4, 3)
    assert len({case.incident_id for case in cases(floor).values()}) == 2
    outs = floor.feed(a_post(15, CHARGED, NOW + 2 * SECOND), r.Tick(NOW + 3 * SECOND))
    assert [one.posts for one in lines(outs)] == [5, 3]


def test_fewer_authors_than_make_an_incident_are_none_beside_one_that_lives(floor: Bench) -> None:
    storm(floor)
    floor.feed(*[a_post(number, CHARGED, NOW + SECOND) for number in (11, 12)], r.Tick(NOW + 2 * SECOND))

    assert len(floor.part.index.incidents.groups) == 1


def test_many_who_say_it_in_other_words_join_the_incident_that_lives(tmp_path: Path) -> None:
    in_other_words = "Geht bei mir in {} seit heute Morgen auch kein Internet mehr, was ist denn da los?"
    similarity = 0.8
    sketches = [sketches_of([text.format("Kiel")])[0] for text in (OUTAGE, in_other_words)]
    assert similarity * KIN_SHARE < alike(*map(int.from_bytes, sketches)) < similarity

    floor = a_floor(tmp_path, similarity=similarity)
    floor.feed(*[a_post(number, OUTAGE.format("Kiel")) for number in range(1, 4)], r.Tick(NOW + SECOND))
    later = [a_post(number, in_other_words.format("Kiel"), NOW + SECOND) for number in range(11, 15)]
    outs = floor.feed(*later[:2], r.Tick(NOW + 2 * SECOND))
    assert [one.posts for one in lines(outs)] == [3]
    outs = floor.feed(*later[2:], r.Tick(NOW + 3 * SECOND))
    assert [one.posts for one in lines(outs)] == [7]


def test_a_brand_that_looks_for_none_has_none(tmp_path: Path) -> None:
    floor = a_floor(tmp_path, mode="off")
    storm(floor, 8)

    assert not floor.part.index.incidents.groups


def test_who_names_a_danger_is_read_by_a_person(floor: Bench) -> None:
    storm(floor)
    decide(floor, r.GroupIncident)
    floor.feed(a_post(8, triage="at_once", why=("danger: es brennt",)), r.Tick(NOW + 2 * SECOND))

    assert (cases(floor)["x:8"].incident_id, cases(floor)["x:8"].state) == ("", "queued")


def test_what_is_at_once_leaves_the_queue_by_a_persons_decision_and_not_by_a_rule(tmp_path: Path) -> None:
    floor = a_floor(tmp_path, mode="group")
    floor.feed(a_post(8, triage="at_once"))
    outs = storm(floor)
    assert (cases(floor)["x:8"].state, lines(outs)[0].at_once, the_incident(floor).state) == ("queued", 1, "grouped")

    answer(floor)
    assert cases(floor)["x:8"].state == "automatic"


def test_a_brand_may_let_them_leave_the_queue_at_once(tmp_path: Path) -> None:
    floor = a_floor(tmp_path, mode="group")
    storm(floor)

    assert the_incident(floor).state == "grouped"
    assert {case.state for case in cases(floor).values()} == {"automatic"}


def test_what_a_rep_has_taken_up_stays_with_the_rep(tmp_path: Path) -> None:
    floor = a_floor(tmp_path, rep=True)
    (shown,) = told(floor.feed(a_post(1)), "desk-events", wire.OfferFrame)
    case = shown.case
    floor.feed(r.Accept(NOW, "alster", "anna", "anna-1", "a1", case.case_id, case.offer, case.version))
    storm(floor, 8, first=2)
    decide(floor, r.GroupIncident)

    assert cases(floor)["x:1"].state == "working"
    assert cases(floor)["x:1"].incident_id == ""


# -- grouped


def test_grouped_cases_leave_the_queue_and_the_desks_that_they_were_offered_to(tmp_path: Path) -> None:
    floor = a_floor(tmp_path, rep=True)
    storm(floor, 8)
    offered = [case.case_id for case in cases(floor).values() if case.state == "offered"]
    outs = decide(floor, r.GroupIncident)
    taken_back = told(outs, "desk-events", wire.Revoke)

    assert result(outs).ok
    assert offered and sorted(one.case_id for one in taken_back) == sorted(offered)
    assert {one.reason for one in taken_back} == {"withdrawn"}
    assert {case.state for case in cases(floor).values()} == {"automatic"}
    assert floor.part.index.waiting["alster"] == 0


def test_who_comes_later_is_grouped_at_once_and_offered_to_nobody(tmp_path: Path) -> None:
    floor = a_floor(tmp_path, rep=True)
    storm(floor, 8)
    decide(floor, r.GroupIncident)
    outs = floor.feed(a_post(11, at=NOW + 5 * SECOND))

    assert told(outs, "desk-events", wire.OfferFrame) == []
    assert cases(floor)["x:11"].state == "automatic"


def test_grouped_cases_that_nobody_answers_go_back_with_their_age(floor: Bench) -> None:
    storm(floor)
    decide(floor, r.GroupIncident)
    floor.feed(r.Tick(NOW + SECOND + 30 * MINUTE - 1))
    assert {case.state for case in cases(floor).values()} == {"automatic"}
    outs = floor.feed(r.Tick(NOW + SECOND + 30 * MINUTE))

    assert {(case.state, case.received_at) for case in cases(floor).values()} == {("queued", NOW)}
    assert [one.what for one in told(outs, "case-events", r.IncidentTold)] == ["let_go", "left", "left", "left"]
    assert the_incident(floor).state == "suggested"


def test_a_supervisor_may_ungroup_them(floor: Bench) -> None:
    storm(floor)
    decide(floor, r.GroupIncident)
    decide(floor, r.UngroupIncident)

    assert {case.state for case in cases(floor).values()} == {"queued"}


def test_who_was_grouped_and_writes_of_danger_leaves_for_a_person(floor: Bench) -> None:
    storm(floor)
    decide(floor, r.GroupIncident)
    more = a_social_post("x:91", conversation_uri="x:1", text="Mein Notruf geht nicht!", received_at=NOW + 2 * SECOND)
    floor.feed(understood(post=more, at=NOW + 2 * SECOND, triage="at_once"))

    case = cases(floor)["x:1"]
    assert (case.state, case.triage, case.incident_id) == ("queued", "at_once", "")


# -- answered


def test_an_answer_goes_to_each_once_in_wordings_of_its_own(floor: Bench) -> None:
    storm(floor, 8)
    outs = answer(floor) + floor.feed(*[r.Tick(NOW + (2 + n) * SECOND) for n in range(12)])
    answers = told(outs, "answers", r.Answer)

    assert sorted(one.case_id for one in answers) == sorted(case.case_id for case in cases(floor).values())
    assert len({one.answer_id for one in answers}) == 8
    assert len({one.text for one in answers}) == 4
    assert all("Anna Muster" in one.text and "{" not in one.text for one in answers)


def test_answers_go_out_at_the_pace_that_the_account_may_write(tmp_path: Path) -> None:
    floor = a_floor(tmp_path, rate_per_min=6)
    storm(floor, 12)
    sent = told(answer(floor), "answers", r.Answer)
    times = [NOW + SECOND] * len(sent)
    for second in range(2, 180):
        sent = told(floor.feed(r.Tick(NOW + second * SECOND)), "answers", r.Answer)
        times += [NOW + second * SECOND] * len(sent)

    assert len(times) == 12
    for at in times:
        assert sum(1 for one in times if at <= one < at + MINUTE) <= 6


def test_who_was_answered_is_closed_when_the_answer_stands(floor: Bench) -> None:
    storm(floor)
    answers = told(answer(floor), "answers", r.Answer)
    answers += told(floor.feed(r.Tick(NOW + 2 * SECOND), r.Tick(NOW + 3 * SECOND)), "answers", r.Answer)
    outs = published(floor, answers, at=NOW + 4 * SECOND)

    assert {case.state for case in cases(floor).values()} == {"closed"}
    events = told(outs, "case-events", r.Answered)
    assert [(one.first, one.in_time, one.rep_id) for one in events] == [(True, True, "mia")] * 3
    assert told(outs, "desk-events", wire.Publish) == []


def test_a_late_joiner_gets_the_answer_too(floor: Bench) -> None:
    storm(floor)
    answer(floor)
    floor.feed(*[r.Tick(NOW + n * SECOND) for n in range(2, 6)])
    late = floor.feed(a_post(11, at=NOW + 6 * SECOND), r.Tick(NOW + 7 * SECOND))

    (one,) = told(late, "answers", r.Answer)
    assert one.case_id == cases(floor)["x:11"].case_id


def test_an_answer_that_does_not_get_out_leaves_its_case_to_a_person(floor: Bench) -> None:
    storm(floor)
    (one, *_) = told(answer(floor), "answers", r.Answer)
    published(floor, [one], "failed")

    case = next(case for case in cases(floor).values() if case.case_id == one.case_id)
    assert (case.state, case.incident_id) == ("queued", "")
    assert "did not get out: no" in case.why[-1]


def test_who_writes_again_after_the_answer_is_for_a_person(floor: Bench) -> None:
    storm(floor)
    answers = told(answer(floor, close=False), "answers", r.Answer)
    published(floor, answers)
    (one,) = answers
    mine = next(case for case in cases(floor).values() if case.case_id == one.case_id)
    assert mine.state == "awaiting_customer"
    again = a_post(50, at=NOW + 9 * SECOND, post={"conversation_uri": mine.conversation_uri})
    floor.feed(again, r.Tick(NOW + 10 * SECOND))

    assert floor.part.index.open[mine.case_id].state == "queued"


def test_who_writes_the_same_again_in_a_closed_conversation_is_for_a_person(floor: Bench) -> None:
    storm(floor)
    answers = told(answer(floor), "answers", r.Answer)
    published(floor, answers)
    mine = next(case for case in cases(floor).values() if case.case_id == answers[0].case_id)
    assert mine.state == "closed"
    outs = floor.feed(a_post(50, at=NOW + 9 * SECOND, post={"conversation_uri": mine.conversation_uri}))
    outs += floor.feed(*[r.Tick(NOW + n * SECOND) for n in range(10, 15)])

    assert cases(floor)["x:50"].state == "queued"
    assert cases(floor)["x:50"].case_id not in {one.case_id for one in told(outs, "answers", r.Answer)}


def test_an_answer_taken_back_goes_to_nobody_else(tmp_path: Path) -> None:
    floor = a_floor(tmp_path, rate_per_min=1)
    storm(floor)
    first = told(answer(floor), "answers", r.Answer)
    decide(floor, r.UngroupIncident)
    outs = floor.feed(*[r.Tick(NOW + n * MINUTE) for n in range(1, 9)])

    assert len(first) == 1
    assert told(outs, "answers", r.Answer) == []
    assert the_incident(floor).state == "grouped"


def test_one_case_may_be_taken_out_while_the_others_are_answered(tmp_path: Path) -> None:
    floor = a_floor(tmp_path, rate_per_min=60)
    storm(floor)
    decide(floor, r.GroupIncident)
    case_id = cases(floor)["x:2"].case_id
    out = floor.feed(who(r.TakeOut)(incident_id=the_incident(floor).incident_id, case_id=case_id))
    outs = answer(floor) + floor.feed(*[r.Tick(NOW + n * SECOND) for n in range(2, 9)])

    assert result(out).ok
    assert cases(floor)["x:2"].state == "queued"
    assert {one.case_id for one in told(outs, "answers", r.Answer)} == {
        cases(floor)[one].case_id for one in ("x:1", "x:3")
    }


def test_a_post_that_its_author_takes_back_is_not_answered(floor: Bench) -> None:
    storm(floor)
    decide(floor, r.GroupIncident)
    gone = a_social_post("x:1", object_uri="x:1", conversation_uri="x:1", text="")
    floor.feed(understood(post=gone, action="deleted"))
    outs = answer(floor) + floor.feed(*[r.Tick(NOW + n * SECOND) for n in range(2, 9)])

    assert cases(floor)["x:1"].state == "closed"
    assert len(told(outs, "answers", r.Answer)) == 2


def test_words_that_were_taken_back_are_not_shown_as_what_it_is_about(floor: Bench) -> None:
    storm(floor)
    gone = a_social_post("x:1", object_uri="x:1", conversation_uri="x:1", text="")
    outs = floor.feed(understood(post=gone, action="deleted"), r.Tick(NOW + 2 * SECOND))

    assert lines(outs)[0].sample == OUTAGE.format("Bremen")


# -- who may decide, and what


def test_only_a_supervisor_decides(floor: Bench) -> None:
    storm(floor)
    incident = the_incident(floor)
    outs = floor.feed(who(r.GroupIncident, role="rep")(incident_id=incident.incident_id, version=incident.version))

    error = result(outs).error
    assert error is not None and error.code == "forbidden"
    assert the_incident(floor) == incident


@pytest.mark.parametrize(
    ("more", "code", "said"),
    [
        ({"version": 7}, "version_conflict", "is at version 1, not 7"),
        ({"incident_id": "i9"}, "not_found", "no incident i9"),
        ({"text": "Hallo"}, "bad_request", "1 wordings for 3 posts"),
        ({"text": "{Hallo"}, "bad_request", "without its other half"),
    ],
    ids=["an old version", "an unknown incident", "too few wordings", "a brace that is not closed"],
)
def test_what_cannot_be_done_is_refused_and_changes_nothing(floor: Bench, more: Any, code: str, said: str) -> None:
    storm(floor)
    before = the_incident(floor)
    error = result(decide(floor, r.AnswerIncident, **{"text": TEXT, **more})).error

    assert error is not None
    assert (error.code, said in error.message) == (code, True)
    assert the_incident(floor) == before


def test_a_token_for_another_brand_does_not_reach_it(floor: Bench) -> None:
    storm(floor)
    incident = the_incident(floor)
    command = who(r.GroupIncident, brands=("kranich",))
    error = result(floor.feed(command(incident_id=incident.incident_id, version=incident.version))).error

    assert error is not None and error.code == "forbidden"


def test_a_command_that_comes_again_is_carried_out_once(floor: Bench) -> None:
    storm(floor)
    incident = the_incident(floor)
    command = who(r.AnswerIncident)(incident_id=incident.incident_id, version=incident.version, text=TEXT)
    first, again = floor.feed(command), floor.feed(command)

    assert result(first) == result(again)
    assert told(again, "answers", r.Answer) == []


def test_a_supervisor_is_shown_its_cases(floor: Bench) -> None:
    storm(floor)
    outs = floor.feed(who(r.ListIncident)(incident_id=the_incident(floor).incident_id))
    (shown,) = told(outs, "desk-events", wire.IncidentCases)

    assert (shown.total, [one.excerpt for one in shown.cases]) == (
        3,
        [OUTAGE.format(town) for town in ("Husum", "Bremen", "Lübeck")],
    )


def test_what_was_dismissed_is_not_suggested_again(floor: Bench) -> None:
    storm(floor)
    decide(floor, r.CloseIncident)
    floor.write()
    floor.restart()
    floor.feed(r.Takeover(at=NOW + 2 * SECOND, owner="me again"))
    storm(floor, 5, first=5, at=NOW + 3 * SECOND)

    assert the_incident(floor).end == "dismissed"


def test_an_incident_ends_by_itself_when_nobody_writes_any_more(floor: Bench) -> None:
    storm(floor)
    outs = floor.feed(r.Tick(NOW + 2 * SECOND + 60 * MINUTE))

    assert the_incident(floor).end == "quiet"
    assert lines(outs) == ()


def test_a_closed_incident_is_forgotten_with_its_cases(floor: Bench) -> None:
    storm(floor)
    decide(floor, r.CloseIncident)
    floor.feed(r.Tick(NOW + 8 * 24 * 60 * MINUTE))

    assert not floor.part.index.incidents.groups


# -- after a crash


def test_all_of_it_is_there_again_after_a_takeover(tmp_path: Path) -> None:
    floor = a_floor(tmp_path, rate_per_min=1)
    storm(floor, 5)
    first = told(answer(floor), "answers", r.Answer)
    floor.write()
    before = {
        name: (group.counts, list(group.waiting), group.given)
        for name, group in floor.part.index.incidents.groups.items()
    }
    floor.restart()
    floor.feed(r.Takeover(at=NOW + 2 * SECOND, owner="me again"))
    groups = floor.part.index.incidents.groups
    after = {name: (+group.counts, sorted(group.waiting), group.given) for name, group in groups.items()}
    outs = floor.feed(*[r.Tick(NOW + n * MINUTE + 5 * SECOND) for n in range(1, 9)])

    assert after == {name: (+counts, sorted(waiting), given) for name, (counts, waiting, given) in before.items()}
    answers = first + told(outs, "answers", r.Answer)
    assert len({one.case_id for one in answers}) == len(answers) == 5


@pytest.mark.parametrize("beside", [False, True])
def test_what_was_not_compared_before_a_takeover_is_seen_after_it_as_the_same_incident(
    floor: Bench, beside: bool
) -> None:
    if beside:
        storm(floor)
        at, posts = NOW + SECOND, [a_post(number, CHARGED, NOW + SECOND) for number in (13, 11, 14, 12)]
    else:
        at, posts = NOW, [a_post(number) for number in (3, 1, 4, 2)]
    floor.feed(*posts)
    floor.write()
    offset, tick = floor.offset, r.Tick(at + SECOND)
    before = told(floor.feed(tick), "case-events", r.IncidentTold)
    floor.restart()  # Before the tick's rows were written.
    floor.offset = offset
    again = told(floor.feed(tick), "case-events", r.IncidentTold)

    assert [one.what for one in before] == ["suggested", *["joined"] * 4]
    assert {(one.what, one.incident_id, one.case_id) for one in again} == {
        (one.what, one.incident_id, one.case_id) for one in before
    }


def test_an_incident_that_has_ended_does_not_come_back_after_a_takeover(floor: Bench) -> None:
    storm(floor, 5)
    decide(floor, r.GroupIncident)
    left = cases(floor)["x:1"].case_id
    floor.feed(who(r.TakeOut)(incident_id=the_incident(floor).incident_id, case_id=left))
    decide(floor, r.CloseIncident)
    assert the_incident(floor).end == "closed"
    floor.feed(r.Tick(NOW + 2 * SECOND))
    floor.write()
    floor.restart()
    outs = floor.feed(
        r.Takeover(at=NOW + 3 * SECOND, owner="me again"),
        r.Tick(NOW + 4 * SECOND),
        *[a_post(number, at=NOW + 4 * SECOND) for number in (21, 22)],
        r.Tick(NOW + 5 * SECOND),
    )
    assert told(outs, "case-events", r.IncidentTold) == []

    outs = floor.feed(a_post(23, at=NOW + 5 * SECOND), r.Tick(NOW + 6 * SECOND))
    assert [one.what for one in told(outs, "case-events", r.IncidentTold)] == ["suggested", *["joined"] * 3]


def test_the_pace_holds_over_a_takeover(tmp_path: Path) -> None:
    floor = a_floor(tmp_path, rate_per_min=1)
    storm(floor, 5)
    assert len(told(answer(floor), "answers", r.Answer)) == 1
    floor.write()
    floor.restart()
    outs = floor.feed(
        r.Takeover(at=NOW + 2 * SECOND, owner="me again"), *[r.Tick(NOW + n * SECOND) for n in range(3, 59)]
    )

    assert told(outs, "answers", r.Answer) == []


def test_answers_that_went_out_before_a_crash_are_decided_the_same_before_the_takeover(floor: Bench) -> None:
    storm(floor, 5)
    floor.write()
    offset, incident = floor.offset, the_incident(floor)
    command = who(r.AnswerIncident)(incident_id=incident.incident_id, version=incident.version, text=TEXT)
    log = [command, *[r.Tick(NOW + n * SECOND) for n in (2, 3)]]
    before = floor.feed(*log)
    floor.restart()
    floor.offset = offset
    again = floor.feed(*log)

    assert told(before, "answers", r.Answer) == told(again, "answers", r.Answer) != []
    assert told(again, "desk-events") == []
