"""Posts that say the same: suggested, grouped, answered once for all; each decision is the incident's row, the rest follows."""

from itertools import islice
from typing import Final

from msgspec.structs import replace

from agents.dispatch.offers import match, revoke
from agents.dispatch.orders import check_supervisor, for_all
from agents.dispatch.publishing import publish
from agents.dispatch.turn import Turn
from agents.dispatch.views import brief
from agents.incidents import Group, account_of
from models import incidents
from models.brands import IncidentRules
from models.cases import Case, Entry, holder_of
from models.errors import IllegalTransition
from models.gathering import Leader
from models.incidents import LIVE, MINUTE_MS, SAMPLE_CHARS, STEPS_MAX, Incident, IncidentAnswer
from models.pace import AccountKey
from models.records import (
    AnswerIncident,
    CloseIncident,
    GroupIncident,
    IncidentMove,
    IncidentTold,
    ListIncident,
    TakeOut,
    UngroupIncident,
)
from models.variations import NoTemplate, fitting, template_of
from models.wire import IncidentCases

LISTED_MAX: Final = 50  # Cases of one incident that a page is shown, the latest first.


# -- posts come -------------------------------------------------------------------------------------------------------


def placed(turn: Turn, case: Case) -> Case:
    """Return a case that has just been opened as its incident wants it: one that was decided about takes it at once."""
    group = turn.floor.incidents.meet(case, turn.now)
    if group is None or not _takes(turn, group, case):
        return case
    return _joined(turn, group, case)


def _takes(turn: Turn, group: Group, case: Case) -> bool:
    if case.incident_id in turn.floor.incidents.live.get(group.brand, {}):
        return False
    return group.has_room and incidents.may_join(case) and not _was_given(turn, case)


def _was_given(turn: Turn, case: Case) -> bool:
    """Whether the machine has answered in this conversation before: whoever writes again is for a person."""
    return any(incidents.is_given(one) for one in turn.floor.closed_of(case.tenant, case.conversation_uri))


def _joined(turn: Turn, group: Group, case: Case) -> Case:
    _tell(turn, group.incident, "joined", case_id=case.case_id)
    case = incidents.member(case, group.incident.incident_id)
    return incidents.set_aside(case) if _step(group, case) == "group" else case


def _step(group: Group, case: Case) -> incidents.Step:
    incident = group.incident
    return incidents.step_of(case, incident.state, by_rule=not incident.decided_by)


def left_if_grave(turn: Turn, before: Case, case: Case) -> Case:
    """Return a case to which its customer has written again; what has become grave by it is for a person."""
    became = incidents.is_grave(case) or (case.triage == "at_once" and before.triage != "at_once")
    if case.state != "automatic" or not became or incidents.is_given(case):
        return case
    _tell_left(turn, case)
    return incidents.back_in_queue(case, "")


def resample(turn: Turn, case: Case) -> None:
    """What an author has taken back is not shown any more as what an incident is about: another member's words are."""
    group = turn.floor.incidents.groups.get(case.incident_id)
    if group is None or group.incident.sample_of != case.case_id:
        return
    others = (turn.floor.open.get(case_id) for case_id in group.standings)
    sample = next((one for one in others if one is not None and _words(one)), None)
    words, case_id = (_words(sample), sample.case_id) if sample is not None else ("", "")
    if words != group.incident.sample:
        turn.floor.incidents.save(replace(group.incident, sample=words, sample_of=case_id))


def _words(case: Case) -> str:
    """Return what a case began with, as far as it may be shown."""
    first = case.thread[0]
    return first.text[:SAMPLE_CHARS] if first.by == "customer" and not first.deleted else ""


# -- time passes ------------------------------------------------------------------------------------------------------


def pass_time(turn: Turn) -> None:
    """Compare what has come since the last tick, and bring about what was decided."""
    index = turn.floor.incidents
    for case, leader in index.compare(turn.floor.case, turn.now):
        group = index.group_of(leader)
        if group is not None:
            _join(turn, group, case.case_id)
    for leader, rules in index.ripe():
        _ripened(turn, leader, rules)
    for group in list(index.groups.values()):
        _look_after(turn, group)


def _ripened(turn: Turn, leader: Leader, rules: IncidentRules) -> None:
    """A group has become so large that it is an incident, or a part of one."""
    index = turn.floor.incidents
    kin = index.kin_of(leader, rules)
    if kin is None:
        # The same whatever their order, which a rebuild may change: what is decided once more is the same incident.
        names = {f"i{one.case_id}" for one in leader.seen} - index.groups.keys()
        if names:
            _suggest(turn, leader, rules, min(names))
        return
    index.gathering.attach(leader, kin.incident.incident_id)
    for case_id in [one.case_id for one in leader.seen]:
        _join(turn, kin, case_id)


def _join(turn: Turn, group: Group, case_id: str) -> None:
    case = turn.floor.open.get(case_id)
    if case is None or not _takes(turn, group, case):
        return
    holder = holder_of(case) if case.state == "offered" else ""
    joined = _joined(turn, group, case)
    turn.floor.save(case, joined)
    if holder and joined.state == "automatic":
        revoke(turn, joined, holder, "withdrawn")


def _suggest(turn: Turn, leader: Leader, rules: IncidentRules, incident_id: str) -> None:
    """So many authors say the same that it is an incident; by the brand's rule its cases leave the queue at once."""
    sample = next((case for one in leader.seen if (case := turn.floor.case(one.case_id)) is not None), None)
    if sample is None:
        return
    tenant, brand_id = leader.brand
    incident = Incident(
        incident_id=incident_id,
        tenant=tenant,
        brand_id=brand_id,
        state="suggested",
        opened_at=turn.now,
        sketch=leader.sketch,
        sample=_words(sample),
        sample_of=sample.case_id,
        language=sample.labels.language,
        subject=sample.labels.subject,
    )
    index = turn.floor.incidents
    group = index.save(incident)
    index.gathering.mark(leader, incident_id)
    _tell(turn, incident, "suggested")
    if rules.mode == "group":
        _decide(turn, group, incidents.grouped(incident, "", turn.now), "grouped")
    for case_id in [one.case_id for one in leader.seen]:
        _join(turn, group, case_id)


def _look_after(turn: Turn, group: Group) -> None:
    incident, rules = group.incident, turn.floor.incidents.rules(group.brand)
    if incident.state not in LIVE:
        if incident.decided_at < turn.now - turn.rules.closed_keep_ms and not group.waiting:
            turn.floor.incidents.forget(group)
    elif rules is None:  # The brand looks for none any more.
        _end(turn, group, "closed", "")
    elif incidents.is_overdue(incident, rules, turn.now):
        _decide(turn, group, incidents.let_go(incident, turn.now), "let_go")
    elif incident.state != "grouped" and _is_quiet(turn, group, rules):
        _end(turn, group, "quiet", "")
    advance(turn, group)


def _is_quiet(turn: Turn, group: Group, rules: IncidentRules) -> bool:
    """Whether nobody has written for a window, and all who have are answered or with a person."""
    since = turn.now - rules.window_min * MINUTE_MS
    if max(group.incident.opened_at, group.incident.decided_at) >= since or group.waiting or group.counts["going"]:
        return False
    return max(group.times.values(), default=0) < since


# -- what was decided is brought about --------------------------------------------------------------------------------


def advance(turn: Turn, group: Group) -> None:
    """
    Bring an incident's cases to where its row says, at most some hundreds; the next tick goes on.

    That is done before a takeover is read, too: what went out in a group that was lost is decided once more the same.
    """
    state = group.incident.state
    if state in ("grouped", "answered"):
        for case in _open(turn, group.joining):
            if _step(group, case) == "group":
                _set_aside(turn, case)
    if state == "answered":
        _answer_some(turn, group)
    elif state != "grouped" and group.waiting:
        for case in _open(turn, group.waiting):
            _back(turn, case, "")
        match(turn, group.incident.tenant)


def _open(turn: Turn, case_ids: dict[str, None]) -> list[Case]:
    return [turn.floor.open[case_id] for case_id in islice(case_ids, STEPS_MAX) if case_id in turn.floor.open]


def _set_aside(turn: Turn, case: Case) -> None:
    holder = holder_of(case) if case.state == "offered" else ""
    aside = incidents.set_aside(case)
    turn.floor.save(case, aside)
    if holder:
        revoke(turn, aside, holder, "withdrawn")


def _back(turn: Turn, case: Case, why: str) -> None:
    """Let a person see to a case."""
    _tell_left(turn, case)
    turn.floor.save(case, incidents.back_in_queue(case, why))


def _tell_left(turn: Turn, case: Case) -> None:
    group = turn.floor.incidents.groups.get(case.incident_id)
    if group is not None:
        _tell(turn, group.incident, "left", case_id=case.case_id)


def _answer_some(turn: Turn, group: Group) -> None:
    """Answer as many cases as the accounts' pace allows now, those first that fall due first."""
    free: dict[AccountKey, int] = {}
    rules = turn.floor.incidents.rules(group.brand)
    ready: list[Case] = []
    for case_id in group.waiting:
        case = turn.floor.open[case_id]
        account = account_of(case)
        if account not in free:
            free[account] = free_now(turn, case, rules)
        if free[account] > 0:
            ready.append(case)
    for case in incidents.in_order(ready):
        if free[account_of(case)] > 0:
            free[account_of(case)] -= 1
            _answer(turn, group, case)


def free_now(turn: Turn, case: Case, rules: IncidentRules | None) -> int:
    """Return how many answers the machine may write now in the name of a case's account."""
    rules = rules if rules is not None else IncidentRules()
    per_min = rules.platforms.get(case.platform, rules.rate_per_min)
    return turn.floor.incidents.pace.free(account_of(case), turn.now, per_min)


def _answer(turn: Turn, group: Group, case: Case) -> None:
    incident = group.incident
    assert incident.answer is not None
    if incidents.is_grave(case):
        return _back(turn, case, "")
    if case.reply_until is not None and turn.now > case.reply_until:
        return _back(turn, case, "its platform takes no answer any more")
    text_max = turn.floor.house.text_max(case.tenant, case.account_id)
    text = fitting(group.template(), group.given, case.author, text_max)
    if not text:
        return _back(turn, case, f"an incident's answer is longer than the {text_max} characters of its platform")
    entry = Entry(
        id=incidents.answer_id(incident, case),
        at=turn.now,
        by="bot",
        text=text,
        status="queued",
        rep_id=incident.answer.by,
    )
    given = incidents.given(case, entry, close=incident.answer.close)
    turn.floor.save(case, given)
    turn.floor.incidents.pace.note(account_of(case), turn.now)
    publish(turn, given, entry)


# -- decisions --------------------------------------------------------------------------------------------------------


def group(turn: Turn, work: GroupIncident) -> None:
    """A supervisor lets the cases of a suggestion leave the queue."""
    for_all(turn, work, _group)


def _group(turn: Turn, work: GroupIncident) -> None:
    found = _found(turn, work)
    _decide(turn, found, incidents.grouped(found.incident, work.rep_id, turn.now), "grouped", work.rep_id)


def answer(turn: Turn, work: AnswerIncident) -> None:
    """A supervisor answers all cases of an incident, those to come too."""
    for_all(turn, work, _answer_all)


def _answer_all(turn: Turn, work: AnswerIncident) -> None:
    found = _found(turn, work)
    rules = turn.floor.incidents.rules(found.brand)
    try:
        template = template_of(work.text)
    except NoTemplate as fault:
        raise IllegalTransition(str(fault), "bad_request") from fault
    if rules is not None:
        incidents.check_wordings(template, len(found.standings), rules)
    said = IncidentAnswer(id=work.id, text=work.text, at=turn.now, by=work.rep_id, close=work.close)
    _decide(turn, found, incidents.answered(found.incident, said), "answered", work.rep_id)


def ungroup(turn: Turn, work: UngroupIncident) -> None:
    """A supervisor takes back what was decided last: the answer, or that its cases left the queue."""
    for_all(turn, work, _ungroup)


def _ungroup(turn: Turn, work: UngroupIncident) -> None:
    found = _found(turn, work)
    if found.incident.state == "answered":
        _decide(turn, found, incidents.taken_back(found.incident, work.rep_id, turn.now), "taken_back", work.rep_id)
    else:
        _decide(turn, found, incidents.ungrouped(found.incident, work.rep_id, turn.now), "ungrouped", work.rep_id)


def close(turn: Turn, work: CloseIncident) -> None:
    """A supervisor ends an incident, or dismisses a suggestion."""
    for_all(turn, work, _close)


def _close(turn: Turn, work: CloseIncident) -> None:
    _end(turn, _found(turn, work), "closed", work.rep_id)


def take_out(turn: Turn, work: TakeOut) -> None:
    """A supervisor takes one case out of its incident: a person sees to it."""
    for_all(turn, work, _take_out)


def _take_out(turn: Turn, work: TakeOut) -> None:
    found = _found(turn, work, versioned=False)
    case = turn.floor.open.get(work.case_id)
    if case is None or case.incident_id != found.incident.incident_id:
        raise IllegalTransition(f"no open case {work.case_id} belongs to {work.incident_id}", "not_found")
    apart = incidents.apart(case)
    _tell(turn, found.incident, "left", work.rep_id, case.case_id)
    turn.floor.save(case, apart)


def list_cases(turn: Turn, work: ListIncident) -> None:
    """A supervisor looks at what belongs to an incident; nothing changes."""
    for_all(turn, work, _list_cases)


def _list_cases(turn: Turn, work: ListIncident) -> None:
    found = _found(turn, work, versioned=False)
    order = [*found.at_once, *(name for name in reversed(found.standings) if name not in found.at_once)]
    shown = tuple(brief(case) for name in order[:LISTED_MAX] if (case := turn.floor.case(name)) is not None)
    frame = IncidentCases(work.id, work.incident_id, shown, len(found.standings))
    turn.address(work.tenant, work.rep_id, work.connection, frame)


Decision = GroupIncident | AnswerIncident | UngroupIncident | CloseIncident | TakeOut | ListIncident


def _found(turn: Turn, work: Decision, *, versioned: bool = True) -> Group:
    """Return the incident that a command names, if its giver may decide about it as it stands."""
    check_supervisor(work)
    found = turn.floor.incidents.groups.get(work.incident_id)
    if found is None or found.incident.tenant != work.tenant:
        raise IllegalTransition(f"there is no incident {work.incident_id}", "not_found")
    if work.brands and found.incident.brand_id not in work.brands:
        raise IllegalTransition(f"brand {found.incident.brand_id} is not among those of {work.rep_id}", "forbidden")
    if versioned and not isinstance(work, TakeOut | ListIncident):
        incidents.check_version(found.incident, work.version)
    return found


def _decide(turn: Turn, found: Group, incident: Incident, what: IncidentMove, by: str = "") -> None:
    """Write a decision and begin to bring it about."""
    turn.floor.incidents.save(incident)
    _tell(turn, incident, what, by)
    advance(turn, found)


def _end(turn: Turn, found: Group, reason: incidents.EndReason, by: str) -> None:
    """End an incident; what was dismissed stays known, so that it is not suggested again."""
    incident = incidents.ended(found.incident, reason, by, turn.now)
    if incident.end != "dismissed":
        turn.floor.incidents.gathering.end(incident.incident_id)
    _decide(turn, found, incident, "closed", by)


def _tell(turn: Turn, incident: Incident, what: IncidentMove, by: str = "", case_id: str = "") -> None:
    text = incident.answer.text if what == "answered" and incident.answer is not None else ""
    turn.event(
        incident.tenant,
        IncidentTold(
            at=turn.now,
            src=turn.src(),
            tenant=incident.tenant,
            brand_id=incident.brand_id,
            incident_id=incident.incident_id,
            what=what,
            by=by,
            case_id=case_id,
            text=text,
        ),
    )
