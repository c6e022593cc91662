from contextlib import suppress
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from msgspec.structs import replace

from models import cases, incidents
from models.brands import IncidentRules
from models.cases import Case, Entry
from models.errors import IllegalTransition
from models.incidents import MINUTE_MS, Incident, IncidentAnswer, Step
from models.variations import template_of
from tests.builders import NOW, a_case

RULES = IncidentRules(hold_min=30, variations_min=3)


def an_incident(**changes: Any) -> Incident:
    made = Incident(
        incident_id="i1",
        tenant="alster",
        brand_id="fennkom",
        state="suggested",
        opened_at=NOW,
        sketch=b"",
        sample="nichts geht",
    )
    return replace(made, **changes)


def an_answer(**changes: Any) -> IncidentAnswer:
    return replace(IncidentAnswer(id="k1", text="{Hallo|Hi}", at=NOW, by="mia"), **changes)


def bots(**changes: Any) -> Entry:
    return replace(Entry(id="i1:c0-1", at=NOW, by="bot", text="Hallo", status="queued", rep_id="mia"), **changes)


MEMBER = a_case(incident_id="i1")
ASIDE = incidents.set_aside(MEMBER)
GIVEN = incidents.given(ASIDE, bots(), close=True)


# -- decisions


def test_a_decision_raises_the_version_and_says_by_whom() -> None:
    made = incidents.grouped(an_incident(), "mia", NOW + 1)

    assert (made.state, made.version, made.decided_by, made.decided_at) == ("grouped", 2, "mia", NOW + 1)


def test_a_suggestion_may_be_answered_at_once() -> None:
    assert incidents.answered(an_incident(), an_answer()).state == "answered"


def test_an_answer_can_be_taken_back_and_another_one_given() -> None:
    first = incidents.answered(an_incident(), an_answer())
    back = incidents.taken_back(first, "mia", NOW)
    second = incidents.answered(back, an_answer(id="k2"))

    assert (back.state, back.answer) == ("grouped", None)
    assert second.answer is not None
    assert second.answer.id == "k2"


@pytest.mark.parametrize(
    ("act", "state", "fault"),
    [
        (lambda one: incidents.grouped(one, "mia", NOW), "answered", "incident i1 is answered, not suggested"),
        (lambda one: incidents.answered(one, an_answer()), "answered", "incident i1 has its answer; take"),
        (lambda one: incidents.answered(one, an_answer()), "closed", "incident i1 is closed"),
        (lambda one: incidents.taken_back(one, "mia", NOW), "grouped", "incident i1 is grouped, not answered"),
        (lambda one: incidents.ended(one, "closed", "mia", NOW), "closed", "incident i1 is closed"),
        (lambda one: incidents.check_version(one, 7), "grouped", "incident i1 is at version 1, not 7"),
    ],
)
def test_what_does_not_fit_the_state_is_refused_by_name(act: Any, state: Any, fault: str) -> None:
    with pytest.raises(IllegalTransition, match=fault):
        act(an_incident(state=state))


def test_a_suggestion_that_ends_is_dismissed_and_others_are_closed() -> None:
    assert incidents.ended(an_incident(), "closed", "mia", NOW).end == "dismissed"
    assert incidents.ended(an_incident(state="answered"), "closed", "mia", NOW).end == "closed"
    assert incidents.ended(an_incident(), "quiet", "", NOW).end == "quiet"


@pytest.mark.parametrize(("minutes", "overdue"), [(29.99, False), (30, True)])
def test_a_group_that_nobody_answers_is_let_go(minutes: float, overdue: bool) -> None:
    waiting = incidents.grouped(an_incident(), "mia", NOW)

    assert incidents.is_overdue(waiting, RULES, NOW + int(minutes * MINUTE_MS)) is overdue
    assert incidents.let_go(waiting, NOW).state == "suggested"


@pytest.mark.parametrize(("text", "size", "enough"), [("Hallo", 1, True), ("Hallo", 2, False), ("{a|b}", 2, True), ("{a|b}", 500, False), ("{a|b|c}", 500, True)])  # fmt: skip
def test_many_posts_need_several_wordings(text: str, size: int, enough: bool) -> None:
    if enough:
        incidents.check_wordings(template_of(text), size, RULES)
    else:
        with pytest.raises(IllegalTransition, match="wordings for"):
            incidents.check_wordings(template_of(text), size, RULES)


# -- cases


@pytest.mark.parametrize(
    "change",
    [
        {"triage": "at_once", "why": ("danger: in flammen",)},
        {"triage": "spam"},
        {"state": "working", "rep_id": "anna"},
        {"state": "awaiting_customer"},
        {"thread": (Entry(id="r1", at=0, by="rep", status="sent"),)},
        {"thread": (Entry(id="r1", at=0, by="bot", status="sent"),)},
    ],
    ids=["danger", "spam", "in work", "answered before", "answered by a rep", "answered by the bot"],
)
def test_what_a_person_sees_to_stays_out_of_incidents(change: dict[str, Any]) -> None:
    assert incidents.may_join(a_case())
    assert not incidents.may_join(a_case(**change))


@pytest.mark.parametrize(
    ("case", "state", "step"),
    [
        (MEMBER, "suggested", "nothing"),
        (MEMBER, "grouped", "group"),
        (MEMBER, "answered", "group"),
        (MEMBER, "closed", "nothing"),
        (ASIDE, "suggested", "queue"),
        (ASIDE, "grouped", "nothing"),
        (ASIDE, "answered", "answer"),
        (ASIDE, "closed", "queue"),
        (GIVEN, "answered", "nothing"),
        (GIVEN, "closed", "nothing"),
        (GIVEN, "suggested", "nothing"),
    ],
)
def test_what_is_to_be_done_follows_from_two_rows(case: Case, state: Any, step: Step) -> None:
    assert incidents.step_of(case, state) == step


def test_a_case_goes_back_to_the_queue_with_its_age_and_says_why() -> None:
    back = incidents.back_in_queue(ASIDE, "nobody answered the incident")

    assert (back.state, back.incident_id, back.received_at) == ("queued", "", MEMBER.received_at)
    assert back.why[-1] == "nobody answered the incident"


def test_a_case_has_the_answer_once() -> None:
    with pytest.raises(IllegalTransition, match="has the machine's answer"):
        incidents.given(GIVEN, bots(id="other"), close=True)


def test_who_has_the_answer_cannot_be_taken_out() -> None:
    with pytest.raises(IllegalTransition, match="has been answered by its incident"):
        incidents.apart(GIVEN)
    with pytest.raises(IllegalTransition, match="belongs to no incident"):
        incidents.apart(a_case())


def test_what_falls_due_first_is_answered_first() -> None:
    made = [a_case("c1", due_at=3), a_case("c2", due_at=1), a_case("c0", due_at=3)]

    assert [case.case_id for case in incidents.in_order(made)] == ["c2", "c0", "c1"]


# -- any order of decisions, steps and results


class Life(RuleBasedStateMachine):
    """An incident and ten cases: each is in at most one incident, and is answered at most once, whatever happens."""

    def __init__(self) -> None:
        super().__init__()
        self.incident = an_incident()
        self.cases = {f"c{n}": replace(a_case(f"c{n}"), incident_id="i1") for n in range(10)}
        self.sent: list[str] = []
        self.by_reps: set[str] = set()
        self.number = 0

    names = st.sampled_from([f"c{n}" for n in range(10)])

    def decide(self, act: Any) -> None:
        with suppress(IllegalTransition):
            self.incident = act(self.incident)

    @rule(what=st.sampled_from(["group", "answer", "back", "let go", "close"]))
    def a_decision(self, what: str) -> None:
        self.number += 1
        match what:
            case "group":
                self.decide(lambda one: incidents.grouped(one, "mia", NOW))
            case "answer":
                self.decide(lambda one: incidents.answered(one, an_answer(id=f"k{self.number}")))
            case "back":
                self.decide(lambda one: incidents.taken_back(one, "mia", NOW))
            case "let go" if self.incident.state == "grouped":
                self.incident = incidents.let_go(self.incident, NOW)
            case "close" if self.number % 5 == 0:
                self.decide(lambda one: incidents.ended(one, "closed", "mia", NOW))

    @rule(names=st.lists(names, max_size=10))
    def some_steps(self, names: list[str]) -> None:
        for name in names:
            case = self.cases[name]
            if case.incident_id != "i1":
                continue
            match incidents.step_of(case, self.incident.state):
                case "group":
                    case = incidents.set_aside(case)
                case "queue":
                    case = incidents.back_in_queue(case)
                case "answer":
                    entry = bots(id=incidents.answer_id(self.incident, case))
                    case = incidents.given(case, entry, close=True)
                    self.sent.append(name)
            self.cases[name] = case

    @rule(name=names)
    def one_is_taken_out(self, name: str) -> None:
        try:
            self.cases[name] = incidents.apart(self.cases[name])
        except IllegalTransition:
            assert incidents.is_given(self.cases[name]) or not self.cases[name].incident_id

    @rule(name=names)
    def the_platform_has_it(self, name: str) -> None:
        case = self.cases[name]
        if incidents.is_due(case):
            answered = cases.answer_status(case, case.thread[-1].id, "sent")
            self.cases[name] = replace(answered, state="closed")

    @rule(name=names)
    def the_platform_refuses(self, name: str) -> None:
        case = self.cases[name]
        if incidents.is_due(case):
            failed = cases.answer_status(case, case.thread[-1].id, "failed")
            self.cases[name] = incidents.back_in_queue(failed)

    @precondition(lambda self: any(case.state == "queued" for case in self.cases.values()))
    @rule(name=names)
    def a_rep_takes_one(self, name: str) -> None:
        if self.cases[name].state == "queued":
            self.cases[name] = replace(self.cases[name], state="working", rep_id="anna")
            self.by_reps.add(name)

    @invariant()
    def nobody_is_answered_twice(self) -> None:
        assert len(self.sent) == len(set(self.sent))

    @invariant()
    def a_reps_case_is_never_answered_by_the_machine_afterwards(self) -> None:
        assert not any(case.state == "automatic" and name in self.by_reps for name, case in self.cases.items())

    @invariant()
    def who_is_set_aside_belongs_to_the_incident(self) -> None:
        assert all(case.incident_id == "i1" for case in self.cases.values() if case.state == "automatic")


TestLife = Life.TestCase
TestLife.settings = settings(max_examples=100, stateful_step_count=60, deadline=None)
