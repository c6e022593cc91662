"""
What the referee says: plain functions over all that was sent and all that lies in the topics at the end.

Nothing here asks the engine. A record that a step wrote twice carries the same ``src``; what is dropped by it is counted as
repeated, and only what remains is judged.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any, Final

import msgspec
from msgspec import Struct, field

from models.cases import Case
from models.records import (
    Accepted,
    Answer,
    Answered,
    CaseEvent,
    Closed,
    Counted,
    DeadLetter,
    Joined,
    Offered,
    Opened,
    Requeued,
    Understood,
    Work,
)
from models.windows import Bucket
from models.wire import CaseFrame, DeskEvent, OfferFrame, Publish, Revoke, Snapshot
from streams.rows import HEAD_BYTES
from tables.cases import CASES
from tables.windows import MINUTES, QUARTERS
from tests.chaos.world import PARTITIONS, Sent

EXAMPLES_MAX: Final = 5


class Raw(Struct, frozen=True):
    """One record as it lies in a topic."""

    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None


class Evidence(Struct, frozen=True):
    """All that a run has left behind."""

    sent: Mapping[str, Sent]
    """Posts that the broker has acknowledged, by id."""
    refused: frozenset[str]
    """Replies that a desk was told are refused."""
    topics: Mapping[str, Sequence[Raw]]
    """Every record, by topic, each partition in its order."""
    flows: Sequence[tuple[int, int]]
    """Unix ms of the first and the last post of each stretch in which posts flowed."""
    calls: Mapping[str, int]
    """Calls of the platform, by answer id."""


class Verdict(Struct):
    """Figures, and what was violated."""

    posts: int = 0
    exact: int = 0
    """Good posts that are accounted for once."""
    lost: int = 0
    doubled: int = 0
    bad_lost: int = 0
    """Posts that cannot be decoded and lie in no dead letter."""
    repeated: dict[str, int] = field(default_factory=dict)
    """Records written again, by topic."""
    stand_still_s: float = 0.0
    """Largest gap between two records of a partition of case-events while posts flowed."""
    epochs: int = 0
    answers: int = 0
    cases: dict[str, int] = field(default_factory=dict)
    """Rows of cases by state."""
    violations: list[str] = field(default_factory=list)

    def blame(self, rule: str, found: Iterable[Any]) -> None:
        """Note a violation with a few examples."""
        found = list(found)
        if found:
            shown = "; ".join(str(one) for one in found[:EXAMPLES_MAX])
            self.violations.append(f"{rule}: {len(found)}: {shown}")


_case_event = msgspec.json.Decoder(CaseEvent).decode
_work = msgspec.json.Decoder(Work).decode
_desk_event = msgspec.json.Decoder(DeskEvent).decode
_answer = msgspec.json.Decoder(Answer).decode
_dead_letter = msgspec.json.Decoder(DeadLetter).decode


def judge(evidence: Evidence) -> Verdict:
    """Judge one run."""
    verdict = Verdict(posts=len(evidence.sent))
    journal = _distinct([_case_event(raw.value) for raw in evidence.topics["case-events"]], "case-events", verdict)
    _judge_understood(evidence, verdict)
    _judge_posts(evidence, journal, verdict)
    _judge_dead_letters(evidence, verdict)
    rows = newest(evidence.topics["zuruf-dispatch-changelog"])
    found = _cases(rows)
    _judge_cases(journal, found, verdict)
    _judge_windows(journal, newest(evidence.topics["zuruf-measure-changelog"]), verdict)
    _judge_desks([(raw.partition, _desk_event(raw.value)) for raw in evidence.topics["desk-events"]], verdict)
    _judge_answers(evidence, found, journal, verdict)
    records = evidence.topics["case-events"]
    verdict.stand_still_s = max((stand_still_s(records, *flow) for flow in evidence.flows), default=0.0)
    return verdict


def _distinct(events: Sequence[Any], topic: str, verdict: Verdict) -> list[Any]:
    """Return events without those whose ``src`` came before, and count these."""
    seen: set[Any] = set()
    kept = []
    for event in events:
        if event.src in seen:
            continue
        seen.add(event.src)
        kept.append(event)
    verdict.repeated[topic] = len(events) - len(kept)
    return kept


def _judge_understood(evidence: Evidence, verdict: Verdict) -> None:
    events = [event for raw in evidence.topics["work"] if isinstance(event := _work(raw.value), Understood)]
    srcs: defaultdict[str, set[Any]] = defaultdict(set)
    for event in _distinct(events, "work", verdict):
        srcs[event.post.id].add(event.src)
    verdict.blame("posts understood from two places", (one for one, places in srcs.items() if len(places) > 1))


def _judge_posts(evidence: Evidence, journal: Sequence[Any], verdict: Verdict) -> None:
    places: Counter[str] = Counter()
    for event in journal:
        if isinstance(event, Opened | Joined | Counted):
            places[event.post_id] += 1
    good = [one for one in evidence.sent.values() if one.kind != "x"]
    lost = [one.post_id for one in good if not places[one.post_id]]
    doubled = [post_id for post_id, count in places.items() if count > 1]
    verdict.lost, verdict.doubled = len(lost), len(doubled)
    verdict.exact = sum(places[one.post_id] == 1 for one in good)
    verdict.blame("posts lost", lost)
    verdict.blame("posts counted twice", doubled)
    verdict.blame("posts out of nowhere", (one for one in places if one not in evidence.sent))


def _judge_dead_letters(evidence: Evidence, verdict: Verdict) -> None:
    letters = [_dead_letter(raw.value) for raw in evidence.topics["dead-letters"]]
    places = {(letter.source, letter.partition, letter.offset) for letter in letters}
    verdict.repeated["dead-letters"] = len(letters) - len(places)
    buried = {letter.value[1:] for letter in letters}
    bad = {one.post_id for one in evidence.sent.values() if one.kind == "x"}
    verdict.bad_lost = len(bad - buried)
    verdict.blame("bad posts in no dead letter", sorted(bad - buried))
    verdict.blame("good records in dead letters", (one.reason for one in letters if one.value[1:] not in bad))


# -- rows ---------------------------------------------------------------------------------------------------------


def newest(records: Iterable[Raw]) -> dict[str, bytes]:
    """Rebuild rows from a changelog, by partition and key, as recovery does: a lower head never goes over a higher."""
    rows: dict[str, bytes] = {}
    for raw in records:
        key = f"{raw.partition}/{(raw.key or b'').decode()}"
        if raw.value is None:
            rows.pop(key, None)
        elif key not in rows or rows[key][:HEAD_BYTES] <= raw.value[:HEAD_BYTES]:
            rows[key] = raw.value
    return rows


def _of_kind(rows: Mapping[str, bytes], kind: Any) -> list[tuple[str, Any]]:
    prefix = kind.prefix.decode()
    return [
        (name[len(prefix) :], kind.decode(value[HEAD_BYTES:]))
        for key, value in rows.items()
        if (name := key.split("/", 1)[1]).startswith(prefix)
    ]


def _cases(rows: Mapping[str, bytes]) -> dict[str, Case]:
    return dict(_of_kind(rows, CASES))


def _judge_cases(journal: Sequence[Any], found: Mapping[str, Case], verdict: Verdict) -> None:
    """The rows of cases must say what the journal says: which there are, in which state, with which posts."""
    states: dict[str, str] = {}
    posts: defaultdict[str, list[str]] = defaultdict(list)
    for event in journal:
        match event:
            case Opened() | Joined():
                posts[event.case_id].append(event.post_id)
                states.setdefault(event.case_id, "queued")
            case Offered():
                states[event.case_id] = "offered"
            case Accepted():
                states[event.case_id] = "working"
            case Requeued():
                states[event.case_id] = "queued"
            case Answered():  # A customer who wrote meanwhile waits on, but none of kind w does.
                states[event.case_id] = "awaiting_customer" if posts[event.case_id][0][0] == "w" else "working"
            case Closed():
                states[event.case_id] = "closed"
    verdict.cases = dict(Counter(case.state for case in found.values()))
    verdict.blame("cases that only the journal knows", sorted(states.keys() - found.keys()))
    verdict.blame("cases that only the rows know", sorted(found.keys() - states.keys()))
    both = sorted(states.keys() & found.keys())
    verdict.blame(
        "cases in another state than the journal says",
        (f"{one}: row {found[one].state}, journal {states[one]}" for one in both if found[one].state != states[one]),
    )
    verdict.blame(
        "cases with other posts than the journal says",
        (
            f"{one}: row {found[one].seen}, journal {posts[one]}"
            for one in both
            if _posts_differ(found[one], posts[one])
        ),
    )


def _posts_differ(case: Case, posts: Sequence[str]) -> bool:
    return sorted(case.seen) != sorted(posts[-200:])


def _judge_windows(journal: Sequence[Any], rows: Mapping[str, bytes], verdict: Verdict) -> None:
    """Both rings must add up to what the journal holds, brand by brand."""
    told: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for event in journal:
        if isinstance(event, Opened | Joined | Counted):
            told[event.tenant].update(posts=1, cases=isinstance(event, Opened), counted=isinstance(event, Counted))
        elif isinstance(event, Answered) and event.first:
            told[event.tenant].update(answered=1, in_time=event.in_time)
    for name, kind in (("minutes", MINUTES), ("quarters", QUARTERS)):
        counted: defaultdict[str, Counter[str]] = defaultdict(Counter)
        for key, bucket in _of_kind(rows, kind):
            counted[key.split("|")[0]].update(_figures(bucket))
        verdict.blame(
            f"brands whose {name} do not add up",
            (
                f"{one}: table {dict(counted[one])}, journal {dict(told[one])}"
                for one in sorted(told.keys() | counted.keys())
                if +counted[one] != +told[one]
            ),
        )


def _figures(bucket: Bucket) -> dict[str, int]:
    return {
        "posts": bucket.posts,
        "cases": bucket.cases,
        "counted": bucket.counted,
        "answered": bucket.answered,
        "in_time": bucket.in_time,
    }


# -- desks --------------------------------------------------------------------------------------------------------


class Gateway:
    """What desks see, by a gateway's rules: lower epochs are dropped, a higher one begins anew with its snapshots."""

    def __init__(self) -> None:
        self.epochs: dict[int, int] = {}
        self.holders: dict[int, dict[str, str]] = {}
        """Partition -> case -> who is offered it or holds it."""
        self.seqs: dict[tuple[int, str], int] = {}
        self.faults: list[str] = []
        self.late = 0

    def take(self, partition: int, event: DeskEvent) -> bool:
        """Take one event; return whether desks would get it."""
        epoch = self.epochs.get(partition, -1)
        if event.epoch < epoch:
            self.late += 1
            return False
        if event.epoch > epoch:
            self.epochs[partition] = event.epoch
            self.holders[partition] = {}
            self.seqs = {key: seq for key, seq in self.seqs.items() if key[0] != partition}
        self._number(partition, event)
        self._hold(partition, event)
        return True

    def _number(self, partition: int, event: DeskEvent) -> None:
        if not event.seq:
            return
        before = self.seqs.get((partition, event.rep_id), 0)
        if event.seq != before + 1:
            self.faults.append(f"{event.rep_id}: number {event.seq} after {before} in epoch {event.epoch}")
        self.seqs[partition, event.rep_id] = event.seq

    def _hold(self, partition: int, event: DeskEvent) -> None:
        holders = self.holders[partition]
        frame = event.frame
        if isinstance(frame, Snapshot):
            listed = {case.case_id for case in frame.cases}
            for case_id in [one for one, rep in holders.items() if rep == event.rep_id and one not in listed]:
                if frame.page == 0 and frame.last:
                    del holders[case_id]
            for case_id in listed:
                self._give(holders, case_id, event)
        elif isinstance(frame, OfferFrame | CaseFrame):
            self._give(holders, frame.case.case_id, event)
        elif _takes_away(frame) and holders.get(frame.case_id) == event.rep_id:
            del holders[frame.case_id]

    def _give(self, holders: dict[str, str], case_id: str, event: DeskEvent) -> None:
        holder = holders.get(case_id, event.rep_id)
        if holder != event.rep_id:
            self.faults.append(f"{case_id}: with {holder} and with {event.rep_id} in epoch {event.epoch}")
        holders[case_id] = event.rep_id


def _takes_away(frame: Any) -> bool:
    return isinstance(frame, Revoke) or (isinstance(frame, Publish) and frame.state in ("closed", "awaiting_customer"))


def _judge_desks(events: Iterable[tuple[int, DeskEvent]], verdict: Verdict) -> None:
    gateway = Gateway()
    epochs: set[tuple[int, int]] = set()
    for partition, event in events:
        epochs.add((partition, event.epoch))
        gateway.take(partition, event)
    verdict.epochs = len(epochs)
    verdict.repeated["desk-events of a lower epoch"] = gateway.late
    verdict.blame("desks were shown what cannot be", gateway.faults)


# -- answers ------------------------------------------------------------------------------------------------------


def _judge_answers(evidence: Evidence, cases: Mapping[str, Case], journal: Sequence[Any], verdict: Verdict) -> None:
    """Each reply is one answer, called at the platform once; rows and journal know it as sent."""
    answers = [_answer(raw.value) for raw in evidence.topics["answers"]]
    by_id = {answer.answer_id: answer for answer in answers}
    verdict.answers = len(by_id)
    verdict.repeated["answers"] = len(answers) - len(by_id)
    verdict.blame("answers published twice", (one for one, calls in evidence.calls.items() if calls != 1))
    verdict.blame("answers to refused replies", sorted(by_id.keys() & evidence.refused))
    rounds = Counter(one.rsplit("-", 1)[0] for one in by_id)
    verdict.blame("rounds of a case that were answered twice", (one for one, count in rounds.items() if count > 1))
    sent = {
        entry.id for case in cases.values() for entry in case.thread if entry.by == "rep" and entry.status == "sent"
    }
    verdict.blame("answers that no row has as sent", sorted(by_id.keys() - sent))
    verdict.blame("answers that only rows know", sorted(sent - by_id.keys()))
    told = Counter(event.answer_id for event in journal if isinstance(event, Answered))
    verdict.blame("answers told twice or never", sorted(one for one in by_id if told[one] != 1))


# -- time ---------------------------------------------------------------------------------------------------------


def stand_still_s(records: Sequence[Raw], from_ms: int, to_ms: int) -> float:
    """Return the largest gap between two records of one partition, in seconds, while posts flowed."""
    stamps: dict[int, list[int]] = {number: [] for number in range(PARTITIONS["case-events"])}
    for raw in records:
        if from_ms <= raw.timestamp <= to_ms:
            stamps[raw.partition].append(raw.timestamp)
    gaps = (
        later - earlier for times in stamps.values() for earlier, later in pairwise(sorted((from_ms, *times, to_ms)))
    )
    return max(gaps, default=0) / 1000
