"""The short form of ``python -m tests.e2e``: 200 posts with both kills; and the referee has to see what is put wrong afterwards."""

import asyncio
import copy
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from tests.e2e.callback import Arrival
from tests.e2e.desks import Effects, Shown
from tests.e2e.journal import Read
from tests.e2e.judge import Evidence, judge
from tests.e2e.play import Result, play
from tests.e2e.posts import plan


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> Result:
    folder = tmp_path_factory.mktemp("e2e")
    return asyncio.run(play(plan(200, seed=7), folder, rate=40, say=lambda text: None))


@pytest.mark.slow
def test_every_post_ends_once_and_every_case_is_answered_although_connect_and_gateway_are_killed(
    result: Result,
) -> None:
    assert result.killed == ["connect", "gateway"]
    assert result.verdict.violations == []


@pytest.mark.slow
def test_a_run_has_something_of_everything(result: Result) -> None:
    verdict = result.verdict
    assert verdict.posts >= 200
    assert min(verdict.opened, verdict.joined, verdict.noise, verdict.dead_letters, verdict.answers) > 0
    assert {"repeat", "updated", "deleted"} <= verdict.counted.keys()
    assert verdict.connections > 16, "every desk came back after the gateway was killed"


# -- what the referee must see ---------------------------------------------------------------------------------------


def _records(evidence: Evidence, topic: str, change: Callable[[list[Read]], Any]) -> Evidence:
    records = {name: list(found) for name, found in evidence.records.items()}
    records[topic] = copy.deepcopy(records[topic])
    change(records[topic])
    return replace(evidence, records=records)


def _of_type(records: list[Read], kind: str) -> Read:
    return next(one for one in records if one.value["type"] == kind)


def _lose(kind: str) -> Callable[[Evidence], Evidence]:
    return lambda evidence: _records(evidence, "case-events", lambda records: records.remove(_of_type(records, kind)))


def _double(kind: str) -> Callable[[Evidence], Evidence]:
    """The same event once more, as from another record: a raw repeat would have the same ``src``."""

    def change(records: list[Read]) -> None:
        again = copy.deepcopy(_of_type(records, kind))
        again.value["src"] = [0, 10**9, 1]
        records.append(again)

    return lambda evidence: _records(evidence, "case-events", change)


def _moves(what: str) -> Callable[[Evidence], Evidence]:
    """A move that no case can make as soon as it is opened."""

    def change(records: list[Read]) -> None:
        opened = _of_type(records, "opened")
        move = {**opened.value, "type": "moved", "what": what, "by": "somebody", "src": [0, 10**9, 2]}
        records.insert(records.index(opened) + 1, replace(opened, value=move))

    return lambda evidence: _records(evidence, "case-events", change)


def _read_again(kind: str, *, times: int = 1) -> Callable[[Evidence], Evidence]:
    """The post of an event, brought to an open case by second readings."""

    def change(records: list[Read]) -> None:
        events = [one for one in records if one.value["type"] == kind]
        events = [one for one in events if one.value.get("reason", "no_answer") == "no_answer"]
        joins = {one.value["tenant"]: one for one in records if one.value["type"] == "joined"}
        event = next(one for one in events if one.value["tenant"] in joins)
        post_id, brand = event.value["post_id"], event.value["brand_id"]
        for number in range(times):
            joined = copy.deepcopy(joins[event.value["tenant"]])
            joined.value.update(again=True, post_id=post_id, brand_id=brand, src=[0, 10**9, 3 + number])
            records.insert(records.index(event) + 1, joined)

    return lambda evidence: _records(evidence, "case-events", change)


def _of_another_brand(evidence: Evidence) -> Evidence:
    return _records(evidence, "case-events", lambda records: _of_type(records, "opened").value.update(brand_id="x"))


def _arrivals(change: Callable[[list[Arrival]], Any]) -> Callable[[Evidence], Evidence]:
    def changed(evidence: Evidence) -> Evidence:
        arrivals = list(evidence.arrivals)
        change(arrivals)
        return replace(evidence, arrivals=arrivals)

    return changed


def _lost(arrivals: list[Arrival]) -> None:
    """One answer, however often it came: whoever sent it may have been killed before it knew that it had arrived."""
    lost = arrivals[-1].message_id
    arrivals[:] = [one for one in arrivals if one.message_id != lost]


def _under_another_id(arrivals: list[Arrival]) -> None:
    arrivals.append(replace(arrivals[0], message_id="f" * 32))


def _to_somebody_else(evidence: Evidence) -> Evidence:
    effects: Effects = copy.deepcopy(evidence.effects)
    first = effects.shown[0]
    effects.shown.append(Shown(first.offer, first.case_id, first.tenant, "somebody", first.epoch, first.at))
    return replace(evidence, effects=effects)


def _answered_otherwise(evidence: Evidence) -> Evidence:
    outcomes = list(evidence.outcomes)
    place = next(at for at, one in enumerate(outcomes) if one.status == 401)
    outcomes[place] = msgspec.structs.replace(outcomes[place], status=202)
    return replace(evidence, outcomes=outcomes)


WRONGS: list[tuple[str, Callable[[Evidence], Evidence], str]] = [
    ("a lost opening", _lose("opened"), "posts that did not end as they should"),
    ("a lost count", _lose("counted"), "posts that did not end as they should"),
    ("a post told twice", _double("counted"), "posts that did not end as they should"),
    ("a second reading of a post that has its case", _read_again("opened"), "posts that did not end as they should"),
    ("two second readings", _read_again("counted", times=2), "posts that did not end as they should"),
    ("a post of another brand", _of_another_brand, "posts that did not end as they should"),
    ("a case opened twice", _double("opened"), "cases opened twice"),
    ("a case offered twice", _double("offered"), "offers made twice"),
    ("an answer told twice", _double("answered"), "answers told twice"),
    ("an answer never told", _lose("answered"), "cases never answered"),
    ("a hold of a case that nobody works on", _moves("held"), "steps that no case may take"),
    ("an open case that is opened again", _moves("reopened"), "steps that no case may take"),
    ("a case never closed", _lose("closed"), "cases that are not at their end"),
    ("noise that is not dropped", lambda one: replace(one, dropped=one.dropped - 1), "noise dropped"),
    ("a lost dead letter", lambda one: _records(one, "dead-letters", lambda found: found.pop()), "dead letters"),
    (
        "a lost post",
        lambda one: _records(one, "posts", lambda found: found.pop()),
        "posts that do not stand in the log",
    ),
    ("an answer lost on its way", _arrivals(_lost), "did not arrive"),
    ("an answer under two ids", _arrivals(_under_another_id), "answers that are not what was said"),
    (
        "a bad signature",
        _arrivals(lambda found: found.append(replace(found.pop(), signed=False))),
        "answers without a good signature",
    ),
    ("an offer at two desks", _to_somebody_else, "offers shown to two reps"),
    ("a bad signature let in", _answered_otherwise, "calls with another answer than meant"),
]


@pytest.mark.slow
@pytest.mark.parametrize(("wrong", "rule"), [one[1:] for one in WRONGS], ids=[one[0] for one in WRONGS])
def test_the_referee_sees(result: Result, wrong: Callable[[Evidence], Evidence], rule: str) -> None:
    found = judge(wrong(result.evidence)).violations
    assert any(rule in one for one in found), found


@pytest.mark.slow
def test_a_raw_repeat_is_counted_and_no_fault(result: Result) -> None:
    again = _records(result.evidence, "case-events", lambda records: records.append(_of_type(records, "opened")))
    verdict = judge(again)
    assert verdict.violations == []
    assert verdict.journal_raw_repeats["case-events"] == result.verdict.journal_raw_repeats["case-events"] + 1


@pytest.mark.slow
def test_a_post_that_was_passed_over_may_be_brought_by_the_second_reading(result: Result) -> None:
    found = judge(_read_again("counted")(result.evidence)).violations
    assert not any("posts that did not end as they should" in one for one in found), found  # Its case may have closed.
