"""Posts of customers: they open a case, join one, change what stands in one, or are counted."""

from itertools import takewhile
from typing import Any

from msgspec.structs import replace

from agents.dispatch.offers import match, offer, show
from agents.dispatch.turn import DAY_MS, Turn
from agents.floor import BrandRules, holder_of
from models import cases
from models.cases import HELD, Case, Entry
from models.errors import BadEvent
from models.labels import TRIAGE_RANK, at_least
from models.records import Counted, Dropped, Joined, Opened, Understood
from models.relabels import STAYS, carried
from models.triage import final_triage
from models.wire import Message


def understood(turn: Turn, work: Understood) -> None:
    """A post opens a case, joins one, or is counted."""
    rules = turn.rules.house.brands.get((work.tenant, work.brand_id))
    if rules is None:
        raise BadEvent(f"brand {work.brand_id!r} of tenant {work.tenant!r} is not configured (any more)")
    if work.post.received_at > turn.now:
        work = _not_from_the_future(turn, work)
    if work.action != "created":
        _changed(turn, work)
        return
    if turn.floor.is_repeat(work.tenant, work.post.id, turn.now, turn.rules.seen_ms):
        _count(turn, work, "repeat")
    elif work.post.created_at < turn.now - rules.brand.horizon_days * DAY_MS:
        _count(turn, work, "too_old")
    else:
        case = turn.floor.in_conversation(work.tenant, work.post.conversation_uri)
        if case is not None and work.post.id in case.seen:  # Its memory may have left already.
            _count(turn, work, "repeat", case.case_id)
        elif case is not None:
            _join(turn, work, rules, case)
        elif work.triage == "spam":
            _count(turn, work, "spam")
        elif not work.labels.answer and TRIAGE_RANK[work.triage] < TRIAGE_RANK["important"]:
            _count(turn, work, "no_answer")
        else:
            _open(turn, work, rules)


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
    post = work.post
    triage, more = final_triage(work.triage, unanswered=0, reply_until=post.reply_until, now=turn.now)
    case_id = f"c{work.src[0]}-{work.src[1]}"
    case = Case(
        case_id=case_id,
        tenant=work.tenant,
        brand_id=work.brand_id,
        platform=post.platform,
        account_id=post.account_id,
        conversation_uri=post.conversation_uri,
        state="queued",
        opened_at=turn.now,
        received_at=post.received_at,
        due_at=0,
        triage=triage,
        addressed=work.addressed,
        labels=work.labels,
        influence=work.influence,
        author=post.author,
        thread=(_entry_of(work),),
        seen=(post.id,),
        also=work.also,
        why=work.why + more,
        native=post.native,
        in_reply_to=post.object_uri,
        visibility=post.visibility,
        permalink=post.permalink,
        reply_until=post.reply_until,
    )
    case = rules.awaiting_answer(case, first=True)
    _tell_arrival(turn, Opened, work, case)
    # Where nobody waits and somebody is free, the case is never queued: one row, no heap.
    idle = turn.part.ready and not turn.floor.waiting[work.tenant]
    seat = turn.floor.seat_for(case) if idle else None
    if seat is not None:
        offer(turn, None, case, seat.profile.id)
    else:
        turn.floor.save(None, case)
        match(turn, work.tenant)


def _tell_arrival(turn: Turn, kind: type[Opened] | type[Joined], work: Understood, case: Case) -> None:
    turn.event(
        work.tenant,
        kind(
            at=turn.now,
            src=turn.src(),
            tenant=work.tenant,
            brand_id=case.brand_id,
            case_id=case.case_id,
            post_id=work.post.id,
            platform=work.post.platform,
            addressed=work.addressed,
            received_at=work.post.received_at,
            due_at=case.due_at,
            triage=case.triage,
            labels=work.labels,
            influence=work.influence,
            why=case.why,
        ),
    )


def _join(turn: Turn, work: Understood, rules: BrandRules, case: Case) -> None:
    post = work.post
    wants = work.triage != "spam" and (work.labels.answer or TRIAGE_RANK[work.triage] >= TRIAGE_RANK["important"])
    changed = replace(
        case,
        thread=cases.with_entry(case.thread, _entry_of(work)),
        seen=cases.with_seen(case.seen, post.id),
        version=case.version + 1,
    )
    if wants:
        changed = _awaiting(turn, work, rules, case, changed)
    turn.floor.save(case, changed)
    _tell_arrival(turn, Joined, work, changed)
    if case.state in HELD:
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
    changed = replace(
        changed,
        state="queued" if case.state == "awaiting_customer" else case.state,
        awaits_answer=True,
        triage=triage,
        received_at=case.received_at if case.awaits_answer else post.received_at,
        labels=carried(case.by_hand, case.labels, work.labels),
        by_hand=tuple(name for name in case.by_hand if name in STAYS),
        why=tuple(dict.fromkeys((*case.why, *work.why, *more)))[:16],
        in_reply_to=post.object_uri,
        reply_until=post.reply_until or case.reply_until,
        native=post.native or case.native,
    )
    changed = rules.awaiting_answer(changed, first=case.awaits_answer and not was_answered(case))
    return replace(changed, due_at=min(case.due_at, changed.due_at)) if case.awaits_answer else changed


def _changed(turn: Turn, work: Understood) -> None:
    """An edit or a deletion: the text in the thread follows it."""
    case_id = turn.floor.by_conversation.get((work.tenant, work.post.conversation_uri), "")
    case = turn.floor.open.get(case_id)
    deleted = work.action == "deleted"
    if case is not None and any(entry.uri == work.post.object_uri for entry in case.thread):
        thread = tuple(
            replace(entry, text="" if deleted else work.post.text, deleted=deleted)
            if entry.uri == work.post.object_uri
            else entry
            for entry in case.thread
        )
        changed = replace(case, thread=cases.bounded(thread), version=case.version + 1)
        turn.floor.save(case, changed)
        show(turn, changed)
    _count(turn, work, work.action, case_id)


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
    return Entry(
        id=work.post.id, at=work.post.received_at, by="customer", text=work.post.text, uri=work.post.object_uri
    )


def unanswered(case: Case) -> int:
    """Return the customer's posts since the last answer."""
    since = takewhile(lambda entry: entry.by == "customer", reversed(case.thread))
    return sum(1 for _ in since)


def was_answered(case: Case) -> bool:
    """Whether an answer stands at the platform."""
    return any(entry.by == "rep" and entry.status == "sent" for entry in case.thread)
