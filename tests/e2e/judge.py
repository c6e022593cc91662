"""
What the referee says: plain functions over all that was sent, seen and written.

A record that a step wrote twice carries the same ``src``: it is counted as a raw repeat and judged once. Everything else has to
be right to the last record.
"""

import base64
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from msgspec import Struct, field

from tests.e2e.callback import Arrival
from tests.e2e.desks import Effects
from tests.e2e.journal import Read
from tests.e2e.posts import Call, Sent, size_of
from tests.e2e.sender import Outcome

EXAMPLES_MAX: Final = 5
ARRIVALS: Final = frozenset({"opened", "joined", "counted"})
PASSED_OVER: Final = frozenset({"spam", "no_answer"})


class Evidence(Struct, frozen=True):
    """All that is known from outside."""

    outcomes: Sequence[Outcome]
    records: Mapping[str, Sequence[Read]]
    """By topic."""
    effects: Effects
    arrivals: Sequence[Arrival]
    dropped: int
    """Posts that concern nobody, as the workers count them."""
    shaken: int = 0
    """Answers that the callback took and yet refused once, on purpose."""
    were_killed: bool = False
    """Whether connect was killed: then a call may have been carried out although nobody answered it."""


class Verdict(Struct):
    """Figures, and what was violated."""

    posts: int = 0
    """Good and bad, repeats included, as they were sent."""
    calls: int = 0
    called_again: int = 0
    """Attempts beyond the first."""
    written: int = 0
    """Records of ``posts``."""
    opened: int = 0
    joined: int = 0
    counted: dict[str, int] = field(default_factory=dict)
    """By reason."""
    noise: int = 0
    dead_letters: int = 0
    offers: int = 0
    offers_again: int = 0
    """Offers beyond a case's first."""
    cases_answered: int = 0
    answers: int = 0
    closed: int = 0
    answers_raw_repeats: int = 0
    """Requests at the callback beyond an answer's first."""
    journal_raw_repeats: dict[str, int] = field(default_factory=dict)
    """Records with a ``src`` that was there before, by topic."""
    refused_commands: dict[str, int] = field(default_factory=dict)
    commands_again: int = 0
    connections: int = 0
    resumed: int = 0
    post_to_desk_ms: dict[str, float] = field(default_factory=dict)
    violations: list[str] = field(default_factory=list)

    def blame(self, rule: str, found: Iterable[Any]) -> None:
        """Note a violation with a few examples."""
        found = list(found)
        if found:
            self.violations.append(f"{rule}: {len(found)}: {'; '.join(str(one) for one in found[:EXAMPLES_MAX])}")


def judge(evidence: Evidence) -> Verdict:
    """Judge one run."""
    verdict = Verdict()
    _judge_calls(evidence, verdict)
    written = _judge_written(evidence, verdict)
    events = _once(evidence.records["case-events"], "case-events", verdict)
    _judge_posts(written, events, verdict)
    _judge_noise(written, evidence, verdict)
    _judge_letters(written, evidence, verdict)
    cases = _cases_of(events)
    _judge_cases(cases, evidence, verdict)
    _judge_desks(cases, evidence, verdict)
    _judge_answers(cases, written, evidence, verdict)
    verdict.post_to_desk_ms = _waits(cases, evidence)
    return verdict


def _once(records: Sequence[Read], topic: str, verdict: Verdict) -> list[Any]:
    """Return values, each ``src`` once, in their order, and count the rest."""
    kept: dict[Any, Any] = {}
    for one in records:
        kept.setdefault(tuple(one.value["src"]), one.value)
    verdict.journal_raw_repeats[topic] = len(records) - len(kept)
    return list(kept.values())


# -- the door -------------------------------------------------------------------------------------------------------


def _judge_calls(evidence: Evidence, verdict: Verdict) -> None:
    outcomes = evidence.outcomes
    verdict.calls, verdict.posts = len(outcomes), sum(size_of(one.call) for one in outcomes)
    verdict.called_again = sum(one.attempts - 1 for one in outcomes)
    verdict.blame("calls with another answer than meant", (fault for one in outcomes if (fault := _fault(one))))
    if not evidence.were_killed:
        verdict.blame("calls that nobody answered at first", (one.call.kind for one in outcomes if one.attempts > 1))


def _fault(outcome: Outcome) -> str:
    """Return what is wrong with an answer; "" if nothing is."""
    call, body = outcome.call, outcome.body if isinstance(outcome.body, dict) else {}
    if outcome.status != call.status:
        return f"{call.kind}: {outcome.status} {str(outcome.body)[:120]}, meant {call.status}"
    if call.error:
        return "" if body.get("error") == call.error else f"{call.kind}: {body}, meant {call.error}"
    refused = [(one["index"], one["reason"]) for one in body.get("refused", ())]
    if body.get("accepted") != call.accepted or len(refused) != len(call.refused):
        return f"{call.kind}: {str(body)[:200]}, meant {call.accepted} accepted, refused {call.refused}"
    for (place, reason), (meant_place, meant) in zip(refused, call.refused, strict=True):
        if place != meant_place or meant not in reason:
            return f"{call.kind}: event {place} refused: {reason}, meant event {meant_place}: {meant}"
    return ""


class Written(Struct):
    """A post with how often it may stand in the log, and how often it does."""

    sent: Sent
    least: int = 0
    most: int = 0
    found: int = 0


def _taken(outcomes: Sequence[Outcome]) -> Iterator[Outcome]:
    return (one for one in outcomes if one.call.status == 202)


def _judge_written(evidence: Evidence, verdict: Verdict) -> dict[str, Written]:
    """Compare what stands in ``posts`` with what was taken: once for each webhook-id, more only where a call was cut."""
    written: dict[str, Written] = {}
    for outcome in _taken(evidence.outcomes):
        for sent in outcome.call.posts:
            one = written.setdefault(sent.key, Written(sent))
            one.least += not outcome.call.is_replay
            one.most += outcome.attempts if evidence.were_killed else not outcome.call.is_replay
    verdict.written = len(evidence.records["posts"])
    strangers = []
    for record in evidence.records["posts"]:
        key = f"{record.value['data']['tenant']}|{record.value['id']}"
        if key not in written:
            strangers.append(key)
            continue
        written[key].found += 1
        if record.key != f"{written[key].sent.tenant}|{written[key].sent.conversation_uri}":
            verdict.blame("a post with a key that is not its conversation's", [record.key])
    verdict.blame("posts in the log that were not taken", strangers)
    verdict.blame(
        "posts that do not stand in the log as often as they were taken",
        (
            f"{key}: {one.found}, meant {one.least} to {one.most}"
            for key, one in written.items()
            if not one.least <= one.found <= one.most
        ),
    )
    return written


# -- what became of each post ---------------------------------------------------------------------------------------


def _judge_posts(written: Mapping[str, Written], events: Sequence[Any], verdict: Verdict) -> None:
    ends: defaultdict[str, list[Any]] = defaultdict(list)
    for event in events:
        if event["type"] in ARRIVALS:
            ends[f"{event['tenant']}|{event['post_id']}"].append(event)
    verdict.blame("case events of posts that were not sent", sorted(ends.keys() - written.keys()))
    verdict.blame(
        "posts that did not end as they should",
        (fault for key, one in written.items() if (fault := _wrong_end(one, ends.get(key, [])))),
    )
    told = [event for found in ends.values() for event in found]
    verdict.opened = sum(event["type"] == "opened" for event in told)
    verdict.joined = sum(event["type"] == "joined" for event in told)
    verdict.counted = dict(Counter(event["reason"] for event in told if event["type"] == "counted"))
    if not (verdict.opened and verdict.joined and verdict.counted.get("repeat")):
        verdict.blame("a run without an opened case, a joined post or a repeat proves nothing", [verdict.counted])


def _wrong_end(one: Written, events: Sequence[Any]) -> str:
    """Return how a post ended otherwise than it should; "" if it did not."""
    sent = one.sent
    if sent.ends in ("noise", "buried"):
        return f"{sent.key}: {len(events)} case events, meant none" if events else ""
    again = [at for at, event in enumerate(events) if event.get("again")]
    if again:  # A second reading brings a post that was passed over, once.
        if len(again) > 1 or PASSED_OVER.isdisjoint(event.get("reason", "") for event in events[: again[0]]):
            return f"{sent.key}: brought by {len(again)} second readings, meant one of a post that was passed over"
        events = [event for event in events if not event.get("again")]
    if len(events) != one.found:
        return f"{sent.key}: {len(events)} case events for {one.found} records"
    if any(event["brand_id"] != sent.brand for event in events):
        return f"{sent.key}: of brand {events[0]['brand_id']}, meant {sent.brand}"
    reasons = Counter(event.get("reason", "") for event in events)
    if sent.ends in ("updated", "deleted"):
        return "" if reasons[sent.ends] == one.found else f"{sent.key}: {dict(reasons)}, meant {sent.ends}"
    if reasons["repeat"] != one.found - 1:
        return f"{sent.key}: {one.found} records, {reasons['repeat']} of them known as repeats"
    odd = reasons.keys() - PASSED_OVER - {"", "repeat"}
    return f"{sent.key}: counted as {odd}" if odd else ""


def _judge_noise(written: Mapping[str, Written], evidence: Evidence, verdict: Verdict) -> None:
    verdict.noise = evidence.dropped
    meant = sum(one.found for one in written.values() if one.sent.ends == "noise")
    verdict.blame("noise dropped", [f"{evidence.dropped}, meant {meant}"] if evidence.dropped != meant else [])


def _judge_letters(written: Mapping[str, Written], evidence: Evidence, verdict: Verdict) -> None:
    """Every dead letter that was meant came, with its reason, as often as it was earned; no other came."""
    letters = _buried(evidence.records["dead-letters"], verdict)
    verdict.dead_letters = len(letters)
    meant = _meant_letters(written, evidence)
    left = []
    for source, reason, value in letters:
        known = next((mark for mark in _marks(value, meant) if meant[mark][0] == source), None)
        if known is None or meant[known][1] not in reason:
            left.append(f"{source}: {reason}: {value[:80]}")
        else:
            meant[known][4] += 1
    verdict.blame("dead letters that were not earned", left)
    verdict.blame(
        "dead letters that did not come as often as earned",
        (
            f"{mark} ({source}: {reason}): {found}, meant {least} to {most}"
            for mark, (source, reason, least, most, found) in meant.items()
            if not least <= found <= most
        ),
    )


def _buried(records: Sequence[Read], verdict: Verdict) -> list[tuple[str, str, str]]:
    """Return source, reason and value of each dead letter; of a step's, each place in its source once."""
    found: dict[Any, tuple[str, str, str]] = {}
    for one in records:
        letter = one.value
        value = letter.get("value", "")
        if letter.get("base64"):
            value = base64.b64decode(value).decode(errors="replace")
        # A step's letter names its place in the source; the door's has none, and each of them stands for itself.
        source = (letter["source"], letter["partition"], letter["offset"]) if "offset" in letter else ()
        found[source or (one.partition, one.offset)] = (letter["source"], letter["reason"], value)
    verdict.journal_raw_repeats["dead-letters"] = len(records) - len(found)
    return list(found.values())


def _meant_letters(written: Mapping[str, Written], evidence: Evidence) -> dict[str, list[Any]]:
    """Return by mark: source, piece of the reason, how often at least and at most, and 0 found."""
    meant: dict[str, list[Any]] = {}
    for outcome in evidence.outcomes:
        call = outcome.call
        for letter in call.letters:
            one = meant.setdefault(letter.mark, [letter.source, letter.reason, 0, 0, 0])
            one[2] += not call.is_replay
            one[3] += outcome.attempts if evidence.were_killed else not call.is_replay
    for post in written.values():
        if post.sent.letter is not None:
            letter = post.sent.letter
            meant[letter.mark] = [letter.source, letter.reason, post.found, post.found, 0]
    return meant


def _marks(value: str, meant: Mapping[str, Any]) -> Iterator[str]:
    """Return the marks in a value: an event's id stands near its beginning."""
    head = value[:4_000]
    start = head.find('"id"')
    while start >= 0:
        mark = head[start + 4 : start + 60].lstrip(': "')[:15]
        if mark in meant:
            yield mark
        start = head.find('"id"', start + 4)


# -- cases ----------------------------------------------------------------------------------------------------------


class Story(Struct):
    """One case as the journal tells it."""

    case_id: str
    post_ids: list[str] = field(default_factory=list)
    state: str = "queued"
    wants: bool = True
    """Whether the customer has written what asks for an answer and has none."""
    answers: list[str] = field(default_factory=list)
    offers: list[str] = field(default_factory=list)
    requeued: int = 0
    closed: list[Any] = field(default_factory=list)
    reopened: int = 0
    faults: list[str] = field(default_factory=list)
    opened: int = 0


def _cases_of(events: Sequence[Any]) -> dict[str, Story]:
    cases: dict[str, Story] = {}
    for event in events:
        if "case_id" in event and event["case_id"] and event["type"] != "counted":
            _tell(cases.setdefault(event["case_id"], Story(event["case_id"])), event)
    return cases


def _tell(story: Story, event: Any) -> None:
    match event["type"]:
        case "opened":
            story.opened += 1
            story.post_ids.append(event["post_id"])
        case "joined":
            story.post_ids.append(event["post_id"])
            if event["labels"]["answer"] and story.state == "awaiting":
                story.wants = True
        case "offered":
            # A follow-up puts a case that awaits its customer back into the queue, which no event of its own tells.
            if story.state not in ("queued", "awaiting"):
                story.faults.append(f"offered to {event['rep_id']} while {story.state}")
            story.state = "offered"
            story.offers.append(event["offer"])
        case "accepted":
            if story.state != "offered":
                story.faults.append(f"accepted by {event['rep_id']} while {story.state}")
            story.state = "working"
        case "requeued":
            story.state, story.requeued = "queued", story.requeued + 1
        case "answered":
            story.state, story.wants = "awaiting", False
            story.answers.append(event["answer_id"])
        case "moved":
            _move(story, event["what"])
        case "unpublished":
            story.faults.append(f"answer {event['answer_id']} not published: {event['error']}")
        case "closed":
            story.state = "closed"
            story.closed.append(event["case"])


MOVES: Final[Mapping[str, tuple[frozenset[str], str]]] = {
    "pulled": (frozenset({"queued", "awaiting"}), "working"),
    "held": (frozenset({"working", "awaiting"}), "held"),
    "resumed": (frozenset({"held"}), "working"),
    "forwarded": (frozenset({"working", "held", "awaiting"}), "queued"),
    "unclaimed": (frozenset({"queued"}), "queued"),
    "approval_asked": (frozenset({"working", "held", "awaiting"}), "awaiting_approval"),
    "approved": (frozenset({"awaiting_approval"}), "working"),
    "returned": (frozenset({"awaiting_approval"}), "working"),
    "stopped": (frozenset({"awaiting_approval"}), "working"),
    "reopened": (frozenset({"closed"}), "queued"),
}
"""From which states a move may be, and into which it leads; a talk that its customer goes on with tells nothing of its own."""


def _move(story: Story, what: str) -> None:
    if what == "prioritised":
        return
    if what in ("assigned", "taken"):
        if story.state == "closed":
            story.faults.append(f"{what} while closed")
        story.state = "working"
        return
    before, after = MOVES[what]
    if story.state not in before:
        story.faults.append(f"{what} while {story.state}")
    story.state = after
    # Who hands a case on gives it back as who declines it; and whoever writes after the end may get somebody else.
    story.requeued += what in ("forwarded", "reopened")
    if what == "reopened":
        story.reopened, story.wants = story.reopened + 1, True


def _judge_cases(cases: Mapping[str, Story], evidence: Evidence, verdict: Verdict) -> None:
    verdict.closed = sum(bool(one.closed) for one in cases.values())
    verdict.cases_answered = sum(bool(one.answers) for one in cases.values())
    verdict.blame("cases opened twice, or never", (one.case_id for one in cases.values() if one.opened != 1))
    verdict.blame("cases never answered", (one.case_id for one in cases.values() if not one.answers))
    verdict.blame(
        "cases that are not at their end",
        (f"{one.case_id}: {one.state}" for one in cases.values() if not _is_ended(one, evidence.effects)),
    )
    verdict.blame(
        "steps that no case may take", (f"{one.case_id}: {what}" for one in cases.values() for what in one.faults)
    )
    verdict.blame(
        "cases that close with other posts than the journal told",
        (one.case_id for one in cases.values() if not _holds_its_posts(one)),
    )


def _is_ended(story: Story, effects: Effects) -> bool:
    """Closed once, and once more for each time it was opened again; or answered by a rep who left it to the customer."""
    if story.state == "closed":
        return len(story.closed) == 1 + story.reopened
    last = effects.said.get(story.answers[-1]) if story.answers else None
    return story.state == "awaiting" and not story.wants and last is not None and not last.close


def _holds_its_posts(story: Story) -> bool:
    """Whether each closing holds what had come by then, and the last one everything."""
    for number, case in enumerate(story.closed, 1):
        thread = case.get("thread", ())
        posts = [entry["id"] for entry in thread if entry["by"] == "customer"]
        sent = [entry["id"] for entry in thread if entry["by"] == "rep" and entry.get("status") == "sent"]
        is_all = number == len(story.closed) and story.state == "closed"
        told = (story.post_ids, story.answers)
        if (posts, sent) != (told if is_all else (told[0][: len(posts)], told[1][: len(sent)])):
            return False
    return True


# -- desks ----------------------------------------------------------------------------------------------------------


def _judge_desks(cases: Mapping[str, Story], evidence: Evidence, verdict: Verdict) -> None:
    effects = evidence.effects
    offers = Counter(offer for one in cases.values() for offer in one.offers)
    verdict.offers, verdict.offers_again = len(offers), sum(max(0, len(one.offers) - 1) for one in cases.values())
    verdict.refused_commands = dict(Counter(effects.refused.values()))
    verdict.commands_again = effects.sent_again
    verdict.connections, verdict.resumed = effects.connections, effects.resumed
    verdict.violations += effects.violations
    verdict.blame("offers made twice", (offer for offer, count in offers.items() if count > 1))
    reps: defaultdict[str, set[str]] = defaultdict(set)
    epochs: defaultdict[tuple[str, int], set[str]] = defaultdict(set)
    for shown in effects.shown:
        reps[shown.offer].add(shown.rep_id)
        epochs[shown.case_id, shown.epoch].add(shown.rep_id)
    verdict.blame("offers at desks that the journal does not know", sorted(reps.keys() - offers.keys()))
    verdict.blame("offers shown to two reps", (f"{offer}: {who}" for offer, who in reps.items() if len(who) > 1))
    verdict.blame(
        "cases offered to two reps within an epoch, and not given back between",
        (
            f"{case_id} in epoch {epoch}: {who}"
            for (case_id, epoch), who in epochs.items()
            if len(who) > 1 and (case_id not in cases or cases[case_id].requeued < len(who) - 1)
        ),
    )


# -- answers --------------------------------------------------------------------------------------------------------


def _judge_answers(
    cases: Mapping[str, Story], written: Mapping[str, Written], evidence: Evidence, verdict: Verdict
) -> None:
    arrivals, said = evidence.arrivals, evidence.effects.said
    counts = Counter(one.message_id for one in arrivals)
    verdict.answers, verdict.answers_raw_repeats = len(counts), len(arrivals) - len(counts)
    verdict.blame("answers without a good signature", (one.message_id for one in arrivals if not one.signed))
    if not evidence.were_killed and verdict.answers_raw_repeats != evidence.shaken:
        verdict.blame("raw repeats", [f"{verdict.answers_raw_repeats}, meant {evidence.shaken}, one for each 503"])
    published = Counter(answer for one in cases.values() for answer in one.answers)
    verdict.blame("answers told twice", (answer for answer, count in published.items() if count > 1))
    agreed = evidence.effects.agreed
    verdict.blame("answers that desks were told are taken, and that did not arrive", sorted(agreed - counts.keys()))
    verdict.blame("answers that arrived, and that no desk was told are taken", sorted(counts.keys() - agreed))
    verdict.blame("answers that arrived and are not told, or the other way", sorted(counts.keys() ^ published.keys()))
    verdict.blame("answers published that were refused", sorted(counts.keys() & evidence.effects.refused.keys()))
    posts = {one.sent.post_id: one.sent for one in written.values()}
    verdict.blame(
        "answers that are not what was said",
        (fault for one in arrivals if (fault := _unlike(one, said.get(one.message_id), cases, posts))),
    )
    verdict.blame("cases with more answers than posts", _answered_too_often(arrivals, cases))
    _judge_log_of_answers(evidence, verdict)


def _unlike(arrival: Arrival, said: Any, cases: Mapping[str, Story], posts: Mapping[str, Sent]) -> str:
    """Return in what an answer differs from what its rep said, and to whom; "" if in nothing."""
    if said is None or arrival.event is None:
        return f"{arrival.message_id}: said by nobody"
    data = arrival.event["data"]
    found = (arrival.event["id"], data["answer_id"], data["tenant"], data["case_id"], data["rep_id"], data["text"])
    meant = (said.answer_id, said.answer_id, said.tenant, said.case_id, said.rep_id, said.text)
    if found != meant:
        return f"{found}, meant {meant}"
    asked = [posts[post_id] for post_id in cases[said.case_id].post_ids] if said.case_id in cases else []
    if data["in_reply_to"] not in [post.object_uri for post in asked]:
        return f"{arrival.message_id}: in reply to {data['in_reply_to']}, which is no post of its case"
    meant_place = f"{said.tenant}/{asked[0].account}"
    return "" if arrival.place == meant_place else f"{arrival.message_id}: at {arrival.place}, meant {meant_place}"


def _answered_too_often(arrivals: Sequence[Arrival], cases: Mapping[str, Story]) -> list[str]:
    answers: defaultdict[str, set[str]] = defaultdict(set)
    for one in arrivals:
        if one.event is not None:
            answers[one.event["data"]["case_id"]].add(one.message_id)
    return [
        f"{case_id}: {len(ids)} answers"
        for case_id, ids in answers.items()
        if case_id not in cases or len(ids) > len(cases[case_id].post_ids)
    ]


def _judge_log_of_answers(evidence: Evidence, verdict: Verdict) -> None:
    logged = Counter(one["answer_id"] for one in _once(evidence.records["answers"], "answers", verdict))
    verdict.blame("answers decided twice", (answer for answer, count in logged.items() if count > 1))
    arrived = {one.message_id for one in evidence.arrivals}
    verdict.blame("answers decided that did not arrive, or the other way", sorted(logged.keys() ^ arrived))


# -- time -----------------------------------------------------------------------------------------------------------


def _waits(cases: Mapping[str, Story], evidence: Evidence) -> dict[str, float]:
    """Return middle and slowest hundredth of the time from the call to the desk, in ms, of calls that went at once."""
    sent_at: dict[str, float] = {}
    for outcome in evidence.outcomes:
        for sent in outcome.call.posts if outcome.attempts == 1 else ():
            sent_at[sent.post_id] = min(outcome.sent_at, sent_at.get(sent.post_id, outcome.sent_at))
    shown_at: dict[str, float] = {}
    for shown in evidence.effects.shown:
        shown_at.setdefault(shown.case_id, shown.at)
    waits = sorted(
        1000 * (shown_at[one.case_id] - sent_at[one.post_ids[0]])
        for one in cases.values()
        if one.case_id in shown_at and one.post_ids and one.post_ids[0] in sent_at
    )
    if not waits:
        return {}
    return {"p50": round(waits[len(waits) // 2], 1), "p99": round(waits[len(waits) * 99 // 100], 1)}


def kinds(outcomes: Sequence[Outcome]) -> list[tuple[str, str, int, int, int]]:
    """Return by kind of call: the answer that is meant, calls, posts, and how many were answered so."""
    rows: dict[tuple[str, str], list[int]] = {}
    for one in sorted(outcomes, key=lambda one: (one.call.status, one.call.kind)):
        row = rows.setdefault((one.call.kind, _meant(one.call)), [0, 0, 0])
        row[0] += 1
        row[1] += size_of(one.call)
        row[2] += not _fault(one)
    return [(kind, meant, *row) for (kind, meant), row in rows.items()]  # type: ignore[misc]


def _meant(call: Call) -> str:
    return f"{call.status} {call.error}".strip()
