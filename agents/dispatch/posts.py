"""Posts of customers: they open a case, join one, change what stands in one, or are counted."""

from itertools import takewhile
from typing import Any

from msgspec.structs import replace

from agents.dispatch.bots import greeted, spoke
from agents.dispatch.commands import end, take_up
from agents.dispatch.incidents import left_if_grave, placed, resample
from agents.dispatch.moves import erase, inform, moved, relabelled
from agents.dispatch.offers import match, offer, show
from agents.dispatch.people import met
from agents.dispatch.turn import DAY_MS, HOUR_MS, Turn
from agents.floor import BrandRules
from models import cases
from models.cases import WAITING, Case, Entry, holder_of, is_in_hand, was_answered
from models.errors import BadEvent
from models.incidents import is_due
from models.labels import at_least
from models.records import Counted, Dropped, Joined, Opened, Reconsidered, Understood
from models.relabels import NAMES, STAYS, carried, changes, value_of
from models.triage import asks_for_somebody, final_triage
from models.wire import Message


def understood(turn: Turn, work: Understood) -> None:
    """A post opens a case, joins one, or is counted."""
    rules = _rules_of(turn, work)
    if work.post.received_at > turn.now:
        work = _not_from_the_future(turn, work)
    if work.action != "created":
        _changed(turn, work)
        return
    if turn.floor.is_repeat(work.tenant, work.post.id, turn.now, turn.rules.seen_ms):
        _count(turn, work, "repeat")
    elif _is_old(turn, work, rules):
        _count(turn, work, "too_old")
    else:
        case = turn.floor.in_conversation(work.tenant, work.post.conversation_uri)
        if case is not None and work.post.id in case.seen:  # Its memory may have left already.
            _count(turn, work, "repeat", case.case_id)
        elif case is not None:
            _join(turn, work, rules, case)
        elif work.triage == "spam":
            _count(turn, work, "spam")
        elif not asks_for_somebody(work.triage, work.labels):
            _count(turn, work, "no_answer")
        else:
            _begin(turn, work, rules)


def _rules_of(turn: Turn, work: Understood) -> BrandRules:
    rules = turn.rules.house.brands.get((work.tenant, work.brand_id))
    if rules is None:
        raise BadEvent(f"brand {work.brand_id!r} of tenant {work.tenant!r} is not configured (any more)")
    return rules


def _is_old(turn: Turn, work: Understood, rules: BrandRules) -> bool:
    return work.post.created_at < turn.now - rules.brand.horizon_days * DAY_MS


def reconsidered(turn: Turn, again: Reconsidered) -> None:
    """The second reader says that a post is worth somebody's while that the first one passed over."""
    work = again.work
    rules = _rules_of(turn, work)
    post = work.post
    if turn.floor.was_changed(work.tenant, post.object_uri) or _is_old(turn, work, rules):
        return
    if any(post.id in one.seen for one in turn.floor.closed_of(work.tenant, post.conversation_uri)):
        return  # It had joined a case that was closed since.
    # What was passed over belongs to no case: whoever took the partition over since does not know that it was here.
    turn.floor.note_seen(work.tenant, post.id, turn.now, turn.rules.seen_ms)
    case = turn.floor.in_conversation(work.tenant, post.conversation_uri)
    if case is None:
        _begin(turn, work, rules)
    elif post.id not in case.seen:
        _join(turn, work, rules, case)
    elif not case.awaits_answer and case.thread[-1].id == post.id:
        _wake(turn, work, rules, case)
    # Else it came twice, or somebody has answered since.


def _wake(turn: Turn, work: Understood, rules: BrandRules, case: Case) -> None:
    """A post that had joined its case as if it wanted nothing."""
    before = replace(case, thread=case.thread[:-1])
    changed = _awaiting(turn, work, rules, before, replace(case, version=case.version + 1))
    turn.floor.save(case, changed)
    show(turn, changed)
    told = changes(case.labels, {name: value_of(changed.labels, name) for name in NAMES})
    relabelled(turn, changed, "deep", told, post_id=work.post.id)
    match(turn, case.tenant)


def _begin(turn: Turn, work: Understood, rules: BrandRules) -> None:
    """A post of a conversation without an open case: a new one, or the last one again where the tenant wants it so."""
    last = _reopenable(turn, work)
    if last is None:
        _open(turn, work, rules)
    elif work.post.id in last.seen:
        _count(turn, work, "repeat", last.case_id)
    else:
        again = turn.floor.house.at_rest(cases.reopened(last), last.closed_at, work.post.received_at)
        changed = _awaiting(turn, work, rules, again, _with_post(again, work))
        turn.floor.save(last, changed)
        _tell_arrival(turn, Joined, work, changed)
        moved(turn, changed, "reopened")
        match(turn, work.tenant)


def _reopenable(turn: Turn, work: Understood) -> Case | None:
    tenant = turn.floor.house.tenants.get(work.tenant)
    if tenant is None or not tenant.reopen_h:
        return None
    since = turn.now - round(tenant.reopen_h * HOUR_MS)
    for case in turn.floor.closed_of(work.tenant, work.post.conversation_uri):
        if case.closed_at >= since and case.brand_id == work.brand_id:
            return case
    return None


def _not_from_the_future(turn: Turn, work: Understood) -> Understood:
    """A clock that goes wrong somewhere must neither hide a post behind all others nor count it years ahead."""
    post = work.post
    return replace(work, post=replace(post, received_at=turn.now, created_at=min(post.created_at, turn.now)))


def _count(turn: Turn, work: Understood, reason: Any, case_id: str = "") -> None:
    turn.event(
        work.tenant,
        Counted(
            at=turn.now,
            src=turn.src(),
            tenant=work.tenant,
            brand_id=work.brand_id,
            post_id=work.post.id,
            platform=work.post.platform,
            reason=reason,
            addressed=work.addressed,
            received_at=work.post.received_at,
            triage=work.triage,
            labels=work.labels,
            influence=work.influence,
            case_id=case_id,
        ),
    )


def _open(turn: Turn, work: Understood, rules: BrandRules) -> None:
    post, now = work.post, turn.now
    triage, more = final_triage(work.triage, unanswered=0, reply_until=post.reply_until, now=now)
    known, triage, again = met(turn, work, triage)
    kind = turn.floor.house.kind_of(work.tenant, post.platform, post.visibility)
    promises, due_at = rules.opening(triage, post.platform, post.received_at, post.reply_until)
    # The first by place, as the Struct has them: by name each costs 40 ns, and every case begins here.
    case = Case(
        f"c{work.src[0]}-{work.src[1]}",
        work.tenant,
        work.brand_id,
        post.platform,
        post.account_id,
        post.conversation_uri,
        "queued",
        now,
        post.received_at,
        due_at,
        triage,
        work.addressed,
        work.labels,
        work.influence,
        post.author,
        1,
        (_entry_of(work),),
        (post.id,),
        work.also,
        work.why + more + again,
        native=post.native,
        in_reply_to=post.object_uri,
        visibility=post.visibility,
        permalink=post.permalink,
        reply_until=post.reply_until,
        sketch=work.sketch,
        known=known,
        promises=promises,
        kind=kind.id,
        units=kind.units,
    )
    _tell_arrival(turn, Opened, work, case)
    case, said = greeted(turn, placed(turn, case), rules)
    if case.state == "automatic":
        turn.floor.save(None, case)
    else:
        _seek(turn, case)
    if said is not None:
        spoke(turn, case, said)


def _seek(turn: Turn, case: Case) -> None:
    """Seek a rep for a new case."""
    # Where nobody waits and somebody is free, the case is never queued: one row, no heap.
    idle = turn.part.ready and not turn.floor.waiting[case.tenant]
    seat = turn.floor.seat_for(case) if idle else None
    if seat is not None:
        offer(turn, None, case, seat.profile.id)
    else:
        turn.floor.save(None, case)
        match(turn, case.tenant)


def _tell_arrival(turn: Turn, kind: type[Opened] | type[Joined], work: Understood, case: Case) -> None:
    turn.event(
        work.tenant,
        kind(
            turn.now,
            turn.src(),
            work.tenant,
            case.brand_id,
            case.case_id,
            work.post.id,
            work.post.platform,
            work.addressed,
            work.post.received_at,
            case.due_at,
            case.triage,
            work.labels,
            work.influence,
            case.why,
            work.again,
        ),
    )


def _join(turn: Turn, work: Understood, rules: BrandRules, case: Case) -> None:
    wants = asks_for_somebody(work.triage, work.labels)
    changed = _with_post(case, work)
    if wants:
        changed = _awaiting(turn, work, rules, case, changed)
    turn.floor.save(case, changed)
    _tell_arrival(turn, Joined, work, changed)
    if case.state == "awaiting_customer" and changed.state == "working":
        show(turn, changed)
    elif is_in_hand(case) and is_in_hand(changed):
        entry = changed.thread[-1]
        turn.tell(
            case.tenant,
            holder_of(case),
            lambda epoch, seq, ts: Message(
                epoch,
                seq,
                ts,
                case.case_id,
                changed.version,
                changed.due_at,
                changed.triage,
                entry,
                changed.promises,
            ),
        )
    match(turn, work.tenant)


def _with_post(case: Case, work: Understood) -> Case:
    return replace(
        case,
        thread=cases.with_entry(case.thread, _entry_of(work)),
        seen=cases.with_seen(case.seen, work.post.id),
        version=case.version + 1,
    )


def _awaiting(turn: Turn, work: Understood, rules: BrandRules, case: Case, changed: Case) -> Case:
    """A follow-up that wants an answer: waiting counts on from the oldest unanswered post, or begins now."""
    post = work.post
    text_triage = at_least(case.triage, work.triage) if case.awaits_answer else work.triage
    triage, more = final_triage(
        text_triage,
        unanswered=unanswered(case),
        reply_until=post.reply_until or case.reply_until,
        now=turn.now,
    )
    reply_until = post.reply_until or case.reply_until
    # While a talk takes its rep's units it comes back at once; after that, or if the rep has left, through the queue.
    at_once = is_in_hand(case) and turn.floor.is_present(case.tenant, case.rep_id)
    changed = cases.taken_up(changed, at_once=at_once)
    changed = replace(
        changed,
        awaits_answer=True,
        triage=triage,
        received_at=case.received_at if case.awaits_answer else post.received_at,
        labels=carried(case.by_hand, case.labels, work.labels),
        by_hand=tuple(name for name in case.by_hand if name in STAYS),
        why=tuple(dict.fromkeys((*case.why, *work.why, *more)))[:16],
        in_reply_to=post.object_uri,
        reply_until=reply_until,
        window_told=case.window_told and reply_until == case.reply_until,
        native=post.native or case.native,
    )
    changed = rules.awaiting_answer(
        left_if_grave(turn, case, changed), first=case.awaits_answer and not was_answered(case)
    )
    return replace(changed, due_at=min(case.due_at, changed.due_at)) if case.awaits_answer else changed


def _changed(turn: Turn, work: Understood) -> None:
    """An edit or a deletion: the text follows it wherever it stands, in open cases and in closed ones."""
    conversation = (work.tenant, work.post.conversation_uri)
    case = turn.floor.in_conversation(*conversation)
    for one in ([case] if case is not None else []) + turn.floor.closed_of(*conversation):
        changed = cases.rewritten(one, work.post.object_uri, work.post.text, deleted=work.action == "deleted")
        if changed is not one:
            follow(turn, one, changed, deleted=work.action == "deleted")
    turn.floor.note_changed(work.tenant, work.post.object_uri, turn.now, turn.rules.seen_ms)
    _count(turn, work, work.action, case.case_id if case is not None else "")
    match(turn, work.tenant)


def follow(turn: Turn, case: Case, changed: Case, *, deleted: bool) -> None:
    """Honour an edit or a deletion in whatever state a case is."""
    holder = holder_of(case)
    turn.floor.save(case, changed)
    resample(turn, changed)
    if deleted and holder:
        erase(turn, changed, holder, tuple(one.id for one in changed.thread if one.deleted and one not in case.thread))
    waits = case.state in WAITING or case.state == "offered" or (case.state == "automatic" and not is_due(changed))
    if deleted and waits and cases.is_moot(changed):
        # Nothing is left to be answered: the case ends, and nobody is shown it any more.
        end(turn, changed, holder if case.state == "offered" else "", "deleted")
    elif deleted and case.state == "awaiting_approval":
        inform(turn, case.tenant, holder, "deleted", case.case_id)
        take_up(turn, changed)  # Its answer stops: it is about something that its author has taken back.
    elif case.state in ("answered", "awaiting_approval"):
        inform(turn, case.tenant, holder, "deleted" if deleted else "edited", case.case_id)
        show(turn, changed)
    else:
        show(turn, changed)


def dropped(turn: Turn, work: Dropped) -> None:
    """In a replay every post is accounted for."""
    turn.event(
        work.tenant,
        Counted(
            at=turn.now,
            src=turn.src(),
            tenant=work.tenant,
            brand_id="",
            post_id=work.post_id,
            platform="",
            reason="noise",
            labels=work.labels,
            influence=work.influence,
        ),
    )


def _entry_of(work: Understood) -> Entry:
    post = work.post
    return Entry(post.id, post.received_at, "customer", post.text, post.object_uri)


def unanswered(case: Case) -> int:
    """Return the customer's posts since the last answer."""
    since = takewhile(lambda entry: entry.by == "customer" or entry.ack, reversed(case.thread))
    return sum(1 for entry in since if not entry.ack)
