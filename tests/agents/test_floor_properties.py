"""
Properties of the fold over random logs: what is kept in memory is what the rows say, whatever was lost on the way.

A day is a random log of valid records: posts, follow-ups, edits, desks that come and go, commands with right and with old
versions, results of publishing, ticks. It is folded in groups, as the carrying loop does, on a real RocksDB. Desks and the
outbox see what a group gave only after it was sent, so what they write about it comes in a later group.
"""

import random
from collections import Counter, defaultdict, deque
from pathlib import Path
from typing import Any, get_args

import pytest
from msgspec.structs import replace

from agents.dispatch import Dispatch
from agents.floor import Floor, House
from models import records as r
from models import wire
from models.brands import BotAnswer, BotRules, IncidentRules, PeopleRules, Person
from models.cases import OPEN, WAITING, Case, holder_of, is_in_hand
from models.incidents import is_due
from models.labels import CATEGORIES, TRIAGES, Confidence
from models.posts import Author
from models.promises import next_at
from models.relabels import HeadChanged, Relabel
from models.reps import Team, WideningStep, WorkKind
from models.sketch import sketches_of
from models.triage import asks_for_somebody
from streams import topics
from streams.carry import Out, Part, Record
from streams.codec import encode
from streams.rows import HEAD, PROGRESS_KEY, Rows
from tables.cases import CASES
from tests.builders import (
    NOW,
    a_brand,
    a_database,
    a_raw,
    a_rep,
    a_social_post,
    a_tenant,
    counted_figures,
    labels,
    understood,
)

TENANT = "alster"
REPS = ("anna", "ben", "cem", "sue")
TARGETS = ("rep:anna", "rep:ben", "team:night", "department:billing", "site:kiel", "team:none")
STATES = tuple(OPEN - {"automatic"})
SEEDS = range(12)


RULES = IncidentRules(size=2, window_min=10, hold_min=2, variations_min=1, rate_per_min=60, platforms={})
BOT = BotRules(
    name="Fenni",
    acknowledge={"de": "Gelesen."},
    acknowledge_categories=("complaint",),
    answers=(BotAnswer(category="faq", texts={"en": "See our page."}),),
)
TEXTS = (
    "Seit heute Morgen geht bei mir kein Internet mehr, was ist da los bei euch?",
    "Wo finde ich die Bedingungen des neuen Tarifs auf eurer Seite, bitte?",
    "hallo?",
)
SKETCHES = dict(zip(TEXTS, sketches_of(TEXTS), strict=True))


def a_step() -> Dispatch:
    reps = (
        a_rep("anna", capacity=2, approves=True),
        a_rep("ben", skills={"lang:de": 3}, teams=("night",), kind_units={"talk": 2}),
        a_rep("cem", skills={"lang:en": 2}, approval=True),
        a_rep("sue", capacity=1),
    )
    tenant = a_tenant(
        TENANT,
        brands=(
            a_brand(incidents=RULES, bot=BOT),
            a_brand("kranich", approval=True, incidents=replace(RULES, mode="group")),
        ),
        people=PeopleRules(on=True, authors_max=8, keep_days=1, repeat_within_h=1.0),
        persons=(Person("4711", ("x:kunde1", "chat:kunde2"), vip=True),),
        reps=reps,
        teams=(Team("night", "Night", "billing", "kiel"),),
        kinds=(
            WorkKind("talk", platforms=("chat",), units=2, idle_frees_s=20.0),
            WorkKind("post", platforms=("x",), wrapup_s=3.0),
        ),
        widening=(WideningStep(0.0, {"lang": 2, "brand": 1}), WideningStep(30.0, {"lang": 1}), WideningStep(90.0)),
        forward_s=15.0,
        reopen_h=0.1,
    )
    return Dispatch(House((tenant,)))


class Day:
    """A log, the step that folds it, and what the step has told."""

    def __init__(self, folder: Path, seed: int, *, ticks: bool = True) -> None:
        self.random = random.Random(seed)
        self.ticks = ticks
        self.db = a_database(folder)
        self.step = a_step()
        self.log: list[Any] = []
        self.base = 0
        """Offset of the first record of the log that is still kept."""
        self.outs: list[Out] = []
        self.now = NOW
        self.number = 0
        self.seen_open: list[Case] = []
        """As the last written group left them: what desks can know."""
        self.seen_answers: list[r.Answer] = []
        self.passed_over: deque[Any] = deque(maxlen=20)
        """Posts that opened no case, and that the second reader may have read."""
        self.unfinished: dict[bytes, bytes] = {}
        """Of groups that were written in part: key -> head."""
        self.part = self.opened("me")
        self.append(r.Takeover(at=NOW, owner="me"))

    def opened(self, token: str) -> Part:
        part = Part(0, Rows(lambda: self.db, self.unfinished), token)
        self.step.open(part)
        return part

    @property
    def floor(self) -> Floor:
        return self.part.index  # type: ignore[no-any-return]

    def append(self, value: Any) -> None:
        """Put a record at the end of the log and fold it."""
        self.log.append(value)
        self.fold(self.base + len(self.log) - 1)

    def fold(self, offset: int) -> None:
        record = Record(offset, self.now, self.log[offset - self.base], a_raw(offset))
        self.outs += self.step.fold([record], self.part)
        self.part.rows.progress.offset = offset

    def write(self) -> None:
        """Write the group."""
        batch = self.part.rows.drain()
        self.seen_open = list(self.floor.open.values())
        self.seen_answers = [out.value for out in self.outs if out.topic is topics.ANSWERS]
        for key, value in batch:
            if value is None:
                self.db.delete(key)
            else:
                self.db.put(key, value)

    def begin_to_write(self) -> None:
        """Write a share of the group: its writer dies on the way, and recovery keeps it apart until it is made whole."""
        batch = self.part.rows.drain()
        for key, value in batch[: round(len(batch) * self.random.random())]:
            if value is not None and key != PROGRESS_KEY:
                self.unfinished[key] = value[: HEAD.size]

    def crash(self) -> None:
        """Lose the memory, take the partition over and fold again what no progress row knows."""
        end = self.base + len(self.log)
        token = f"again {end}"
        self.part = self.opened(token)
        for offset in range(self.part.rows.progress.offset + 1, end):
            self.fold(offset)
        self.append(r.Takeover(at=self.now, owner=token))

    # -- random records

    def go(self, count: int) -> None:
        for _ in range(count):
            self.append(self.next())
            if self.random.random() < 0.2:
                self.write()

    def next(self) -> Any:
        self.number += 1
        self.now += self.random.randrange(1_500)
        kinds = [self._post] * 8 + [self._presence] * 3 + [self._accept] * 8 + [self._reply] * 5 + [self._publish] * 5
        kinds += [
            self._reject,
            self._close,
            self._close,
            self._desk,
            self._down,
            self._edit,
            self._resync,
            self._relabel,
            self._relabel,
            self._read_again,
            self._learned,
            *[self._beat] * 4,
        ]
        kinds += [self._life] * 12
        kinds += [self._incident] * 5
        kinds += [self._tick] * 6 if self.ticks else []
        return self.random.choice(kinds)()

    def _case(self, *states: str) -> Case | None:
        found = [case for case in self.seen_open if case.state in states]
        return self.random.choice(found) if found else None

    def _who(self) -> tuple[str, str]:
        rep = self.random.choice(REPS)
        return rep, f"{rep}-{self.random.randrange(2)}"

    def _version(self, case: Case) -> int:
        return case.version - (self.random.random() < 0.1)

    def _post(self) -> Any:
        name = f"x:{self.number}"
        conversation = f"t:{self.random.randrange(40)}" if self.random.random() < 0.7 else name
        repeat = f"x:{self.random.randrange(1, self.number + 1)}" if self.random.random() < 0.1 else name
        post = a_social_post(
            repeat,
            object_uri=name,
            conversation_uri=conversation,
            received_at=self.now,
            created_at=self.now,
            platform="chat" if conversation[-1] in "123" else "x",
            reply_until=self.now + 60_000 if self.random.random() < 0.1 else None,
            text=self.random.choice(TEXTS),
            author=Author(handle=f"kunde{self.random.randrange(12)}"),
        )
        language, answer = self.random.choice(["de", "en", "fr"]), self.random.random() < 0.9
        said = labels(
            language=language,
            answer=answer,
            category=self.random.choice(["technical", "complaint", "faq"]),
            confidence=Confidence(language=0.99, category=0.95, subject=0.95),
        )
        work = understood(
            post=post,
            src=(0, self.number, 1),
            at=self.now,
            brand_id=self.random.choice(["fennkom", "kranich"]),
            triage=self.random.choice(["spam", "less", "important", "urgent", "at_once"]),
            labels=said,
            sketch=SKETCHES[post.text],
        )
        if repeat != name:  # Other words under an id that came before: the second reader has only one of them.
            self.passed_over = deque((one for one in self.passed_over if one.post.id != repeat), maxlen=20)
        elif not asks_for_somebody(work.triage, said):
            self.passed_over.append(work)
        return work

    def _read_again(self) -> Any:
        if not self.passed_over:
            return self._post()
        work = self.passed_over.popleft()
        read = replace(work.labels, answer=True, category="complaint")
        return r.Reconsidered(self.now, TENANT, replace(work, labels=read, triage="important", again=True))

    def _edit(self) -> Any:
        case = self._case(*STATES)
        if case is None:
            return self._post()
        entry = self.random.choice(case.thread)
        post = a_social_post(f"e:{self.number}", object_uri=entry.uri or "?", conversation_uri=case.conversation_uri)
        return understood(
            post=post, src=(0, self.number, 1), at=self.now, action=self.random.choice(["updated", "deleted"])
        )

    def _presence(self) -> Any:
        rep, connection = self._who()
        state = self.random.choice(["available", "available", "available", "busy", "away", "offline"])
        later = self.random.random() < 0.2
        return r.SetPresence(self.now, TENANT, rep, connection, f"k{self.number}", state, later)  # type: ignore[arg-type]

    def _desk(self) -> Any:
        rep, connection = self._who()
        role: r.Role = "supervisor" if rep == "sue" else "rep"
        return r.DeskUp(self.now, TENANT, rep, connection, f"g{self.random.randrange(2)}", role)

    def _by(self, rep: str) -> tuple[Any, ...]:
        role: r.Role = "supervisor" if rep == "sue" else "rep"
        return (self.now, TENANT, rep, f"{rep}-0", f"k{self.number}", role, ())

    def _life(self) -> Any:
        """What is done with a case beside taking and answering it; now and then by who may not, or in a wrong state."""
        pick = self.random.choice
        kind = pick(["hold", "resume", "transfer", "approve", "return", "reopen", "pull", "sup", "sup", "rest"])
        fit = {
            "hold": ("working",),
            "resume": ("held", "awaiting_approval"),
            "transfer": ("working", "held"),
            "approve": ("awaiting_approval",),
            "return": ("awaiting_approval",),
            "pull": tuple(WAITING),
        }.get(kind, STATES)
        case = self._case(*(fit if self.random.random() < 0.95 else STATES))
        if case is None:
            return self._post()
        rep = case.rep_id or pick(REPS) if self.random.random() < 0.9 else pick(REPS)
        known = (case.case_id, self._version(case))
        match kind:
            case "hold":
                return r.Hold(*self._by(rep), *known, pick([0, self.now + 20_000]))
            case "resume":
                return r.Resume(*self._by(rep), *known)
            case "transfer":
                return r.Transfer(*self._by(rep), *known, pick(TARGETS), "bitte")
            case "approve":
                return r.Approve(*self._by(pick(("anna", "sue", "ben"))), *known, pick(["", "Sehr gern!"]))
            case "return":
                return r.Return(*self._by(pick(("anna", "sue"))), *known, "nein")
            case "reopen":
                ended = [case_id for _, case_id in self.floor.closed][-20:]
                return r.Reopen(*self._by(pick(REPS)), pick(ended) if ended else case.case_id)
            case "pull":
                return r.Pull(*self._by(pick(REPS)), pick(["", case.case_id]))
            case "sup":
                return self._supervised(case)
        return self._rest(case)

    def _supervised(self, case: Case) -> Any:
        by, pick = self._by("sue" if self.random.random() < 0.9 else "ben"), self.random.choice
        commands = [
            r.Assign(*by, case.case_id, pick(REPS)),
            r.Take(*by, case.case_id),
            r.Prioritise(*by, case.case_id, pick(["less", "important", "urgent", "at_once"])),
            r.Say(*by, pick(["", *TARGETS]), "Achtung"),
        ]
        return r.LogOut(*by, pick(REPS)) if self.random.random() < 0.05 else pick(commands)

    def _rest(self, case: Case) -> Any:
        pick = self.random.choice
        look = r.View(*self._by(pick(REPS)), case.case_id, pick([True, False]), pick([True, False]))
        return pick([look, r.ListCases(*self._by(pick(REPS)), pick(["waiting", "approval", "all"]))])

    def _incident(self) -> Any:
        """What a supervisor does about incidents, and now and then lets somebody be forgotten."""
        pick, groups = self.random.choice, list(self.floor.incidents.groups.values())
        by = self._by("sue" if self.random.random() < 0.9 else "ben")
        if not groups or self.random.random() < 0.03:
            return r.Forget(*by, pick([f"x:kunde{self.random.randrange(12)}", "crm:4711"]))
        group = pick(groups)
        known = (group.incident.incident_id, group.incident.version - (self.random.random() < 0.1))
        commands = [
            r.GroupIncident(*by, *known),
            r.AnswerIncident(*by, *known, "{Hallo|Hi} {name}", pick([True, False])),
            r.AnswerIncident(*by, *known, "Hallo"),
            r.UngroupIncident(*by, *known),
            r.CloseIncident(*by, *known),
            r.TakeOut(*by, known[0], pick(list(group.standings) or ["c9"])),
            r.ListIncident(*by, known[0]),
        ]
        return pick(commands)

    def _down(self) -> Any:
        rep, connection = self._who()
        return r.DeskDown(self.now, TENANT, rep, connection, "g0")

    def _beat(self) -> Any:
        return r.GatewayBeat(self.now, TENANT, f"g{self.random.randrange(2)}")

    def _resync(self) -> Any:
        return r.Resync(self.now, TENANT, *self._who())

    def _accept(self) -> Any:
        case = self._case("offered")
        if case is None or case.offer is None:
            return self._beat()
        rep = case.offer.rep_id if self.random.random() < 0.9 else self._who()[0]
        command = f"k{self.number}"
        return r.Accept(self.now, TENANT, rep, f"{rep}-0", command, case.case_id, case.offer.offer, self._version(case))

    def _reject(self) -> Any:
        case = self._case("offered")
        if case is None or case.offer is None:
            return self._beat()
        rep, version = case.offer.rep_id, self._version(case)
        return r.Reject(self.now, TENANT, rep, f"{rep}-0", f"k{self.number}", case.case_id, case.offer.offer, version)

    def _reply(self) -> Any:
        case = self._case("working", "held", "answered")
        if case is None:
            return self._accept()
        rep, version, close = case.rep_id, self._version(case), self.random.random() < 0.5
        anyway = self.random.random() < 0.5
        command = f"k{self.number}"
        return r.Reply(self.now, TENANT, rep, f"{rep}-0", command, case.case_id, version, "Gern!", close, anyway)

    def _close(self) -> Any:
        case = self._case("working", "answered")
        if case is None:
            return self._accept()
        rep = case.rep_id
        return r.CloseCase(self.now, TENANT, rep, f"{rep}-0", f"k{self.number}", case.case_id, self._version(case))

    def _relabel(self) -> Any:
        case = self._case("queued", "offered", "working", "awaiting_customer")
        if case is None:
            return self._post()
        said = {"category": self.random.choice(CATEGORIES), "triage": self.random.choice(TRIAGES)}
        if self.random.random() < 0.5:
            last = next(entry for entry in reversed(case.thread) if entry.by == "customer")
            uri = case.conversation_uri
            return Relabel(self.now, TENANT, said, by="deep", conversation_uri=uri, post_id=last.id)
        rep = case.rep_id or self._who()[0]
        by: Any = self.random.choice(["rep", "supervisor"])
        return Relabel(
            self.now, TENANT, said, by, rep, f"{rep}-0", f"k{self.number}", case.case_id, self._version(case)
        )

    def _learned(self) -> Any:
        return HeadChanged(self.now, TENANT, "category", "v1", "promoted", 100, 0.5, 0.6)

    def _publish(self) -> Any:
        if not self.seen_answers:
            return self._beat()
        answer = self.random.choice(self.seen_answers[-6:])
        status = self.random.choice(["sent", "sent", "sent", "failed", "unknown"])
        if self.random.random() < 0.2:
            return r.Sending(self.now, TENANT, answer.case_id, answer.answer_id)
        return r.Published(self.now, TENANT, answer.case_id, answer.answer_id, status)

    def _tick(self) -> Any:
        self.now += self.random.choice([1_000] * 12 + [30_000, 700_000])
        return r.Tick(at=self.now)


def derived(floor: Floor) -> dict[str, Any]:
    """Everything that a floor keeps of its rows, without entries that are dead."""
    offers = {
        entry
        for entry in floor.offers
        if (case := floor.open.get(entry[2])) is not None and case.offer is not None and case.offer.offer == entry[1]
    }
    return {
        "open": floor.open,
        "reps": floor.reps,
        "conversations": floor.by_conversation,
        "queued": {tenant: queues.places() for tenant, queues in floor.queues.items() if len(queues)},
        "free": {tenant: set(room.free) for tenant, room in floor.rooms.items() if room.free},
        "offers": offers,
        "closed": sorted((at, name) for at, name in floor.closed if is_closed(floor, name, at)),
        "closed in": {key: list(names) for key, names in floor.closed_in.items() if names},
        "ends": {
            one
            for one in floor.ends
            # While a case is offered nothing ends by itself: whether its entry still lies there makes no difference.
            if (case := floor.open.get(one[1])) is not None and case.until == one[0] and case.state != "offered"
        },
        "windows": {
            one
            for one in floor.windows
            if (case := floor.open.get(one[1])) is not None and case.reply_until == one[0] and not case.window_told
        },
        "pool": {tenant: set(names) for tenant, names in floor.pool.items() if names},
        "forwarded": set(floor.forwarded),
        "approvals": set(floor.approvals),
        "units": {key: +units for key, units in floor.units.items() if units.total()},
        "loads": {key: len(held) for key, held in floor.held.items() if held},
        "waiting": +floor.waiting,
        "warned": floor.warned,
        "counts": {key: +counts for key, counts in floor.counts.items()},
        "seats": {
            tenant: {rep: seat.held_units for rep, seat in seats.items()}
            for tenant, seats in floor.seats.items()
            if seats
        },
        "incidents": {
            name: (
                group.incident,
                dict(group.standings),
                +group.counts,
                set(group.joining),
                set(group.waiting),
                group.times,
            )
            for name, group in floor.incidents.groups.items()
        },
        "living": {brand: set(live) for brand, live in floor.incidents.live.items()},
        "authors": floor.authors.rows(),
        "resting": {state: set(cases) for state, cases in floor.resting.items()},
        "held": {rep: [case.case_id for case in floor.held_by(TENANT, rep)] for rep in REPS},
    }


def is_closed(floor: Floor, case_id: str, at: int) -> bool:
    case = floor.case(case_id)
    return case is not None and case.state == "closed" and case.closed_at == at


def check(day: Day) -> None:
    """What must hold at any moment."""
    floor = day.floor
    check_capacity(floor)
    check_states(floor)
    held = Counter(f"{TENANT}|{holder_of(case)}" for case in floor.open.values() if is_in_hand(case))
    assert {key: len(cases) for key, cases in floor.held.items() if cases} == held
    conversations = Counter((case.tenant, case.conversation_uri) for case in floor.open.values())
    assert max(conversations.values(), default=0) <= 1, "two open cases of one conversation"
    for case in floor.open.values():
        assert (case.state == "offered") == (case.offer is not None)
        assert case.state not in ("working", "answered", "held", "awaiting_approval") or case.rep_id


def check_capacity(floor: Floor) -> None:
    """Nobody holds more than fits, but for what a supervisor has given."""
    for rep in REPS:
        held, profile = floor.held_by(TENANT, rep), floor.house.profile(TENANT, rep)
        units, fair = Counter[str](), Counter[str]()
        for case in held:
            units[case.kind] += case.units
        assert +floor.units.get(f"{TENANT}|{rep}", Counter()) == +units
        offered = [case for case in held if not case.assigned]
        for case in offered:
            fair[case.kind] += case.units
        largest = max((case.units for case in offered), default=0)
        assert fair.total() <= max(profile.capacity, largest)
        for kind, most in profile.kind_units.items():
            assert fair[kind] <= most


def check_states(floor: Floor) -> None:
    """Each open case is in exactly one state, and exactly where that state is looked for."""
    by_state: dict[str, set[str]] = defaultdict(set)
    for case in floor.open.values():
        by_state[case.state].add(case.case_id)
        assert case.state in OPEN
        assert (case.state == "forwarded") <= bool(case.target)
        assert (case.state == "awaiting_approval") == any(entry.status == "approval" for entry in case.thread)
    waiting = {case_id for state in WAITING for case_id in by_state[state]}
    assert {name for names in floor.pool.values() for name in names} == waiting
    assert waiting == {name for queues in floor.queues.values() for name in queues.places()}
    assert set(floor.forwarded) == by_state["forwarded"]
    assert set(floor.approvals) == by_state["awaiting_approval"]
    for state in ("answered", "awaiting_customer"):
        assert set(floor.resting[state]) == by_state[state]  # type: ignore[index]
    owners = {case.case_id: f"{TENANT}|{holder_of(case)}" for case in floor.open.values() if is_in_hand(case)}
    assert [(name, key) for key, names in floor.held.items() for name in names if owners[name] != key] == []
    assert sorted(name for names in floor.held.values() for name in names) == sorted(owners), "one owner each"
    assert set(floor.by_conversation.values()) == set(floor.open)
    check_incidents(floor)
    check_clocks(floor)


def check_clocks(floor: Floor) -> None:
    """What ends or is told by itself stands where time is looked at."""
    ends, windows, notices = set(floor.ends), set(floor.windows), set(floor.notices)
    offers = {name for _, name, _ in floor.offers}
    now = floor._part.rows.progress.now
    told, wanted = floor.dues.tell(now, floor.open), counted_figures(now, floor.open)
    assert (Counter(told.soon), Counter(told.late), told.oldest) == (wanted.soon, wanted.late, wanted.oldest)
    for case in floor.open.values():
        # While it is offered its transfer cannot lapse; after that it is looked at again.
        assert not case.until or (case.until, case.case_id) in ends or case.state == "offered"
        assert case.offer is None or case.offer.offer in offers
        assert not case.reply_until or case.window_told or (case.reply_until, case.case_id) in windows
        for at in filter(None, map(next_at, case.promises)):
            assert (at, case.case_id) in notices, "nobody will tell of a promise"


def check_incidents(floor: Floor) -> None:
    """What the machine sees to is an incident's or has its answer under way, and no case is forgotten there."""
    for case in floor.open.values():
        group = floor.incidents.groups.get(case.incident_id)
        if case.state == "automatic":
            assert is_due(case) or (group is not None and case.case_id in group.waiting)
        answers = [entry for entry in case.thread if entry.by == "bot" and not entry.ack]
        assert len(answers) <= 1, "the machine has answered twice"
        if group is not None:
            assert case.case_id in group.standings
    for group in floor.incidents.groups.values():
        assert all(floor.open[case_id].state == "automatic" for case_id in group.waiting)


@pytest.mark.parametrize("ticks", [True, False], ids=["with ticks", "without ticks"])
@pytest.mark.parametrize("seed", SEEDS)
def test_a_floor_built_from_rows_is_the_floor_that_folded(tmp_path: Path, seed: int, ticks: bool) -> None:
    day = Day(tmp_path, seed, ticks=ticks)
    for _ in range(12):
        day.go(50)
        check(day)
        folded = derived(day.floor)
        day.write()

        assert derived(day.opened("other").index) == folded


@pytest.mark.parametrize("seed", SEEDS)
def test_the_same_log_gives_the_same_rows_and_outputs(tmp_path: Path, seed: int) -> None:
    day = Day(tmp_path / "a", seed)
    day.go(2_500)
    again = Day(tmp_path / "b", seed)
    again.log = day.log
    for offset in range(1, len(day.log)):
        again.fold(offset)

    told = {type(out.value) for out in day.outs}
    assert told >= set(get_args(r.CaseEvent)), "the day was too short to show everything"
    assert [encode(out.value) for out in again.outs] == [encode(out.value) for out in day.outs]
    assert derived(again.floor) == derived(day.floor)


@pytest.mark.parametrize("partly", [False, True], ids=["whole groups", "groups in part"])
@pytest.mark.parametrize("seed", SEEDS)
def test_a_crash_loses_and_doubles_nothing(tmp_path: Path, seed: int, partly: bool) -> None:
    day = Day(tmp_path, seed)
    for _ in range(15):
        day.go(25)
        if partly:
            day.begin_to_write()
        day.crash()
        check(day)
        check_posts(day)
        check_answers(day)
        day.write()

        assert day.part.rows.is_whole
        day.unfinished = {}
        assert derived(day.opened("other").index) == derived(day.floor)


def check_posts(day: Day) -> None:
    """Every post that wants an answer lies in exactly one thread, unless it is a repeat."""
    places = Counter(
        entry.id for _, case in day.part.rows.all(CASES) for entry in case.thread if entry.by == "customer"
    )
    assert max(places.values(), default=0) <= 1, "a post in two threads"
    wanted = {
        work.post.id
        for work in day.log
        if isinstance(work, r.Understood) and work.action == "created" and work.labels.answer and work.triage != "spam"
    }
    first = {out.value.post_id for out in day.outs if isinstance(out.value, r.Opened | r.Joined)}
    assert wanted & first <= set(places), "a post that was taken lies nowhere"


def check_answers(day: Day) -> None:
    """An answer that went out is in its case, and who was told yes was not told no."""
    entries = {entry.id for _, case in day.part.rows.all(CASES) for entry in case.thread if entry.by != "customer"}
    answers = {out.value.answer_id for out in day.outs if out.topic is topics.ANSWERS}
    assert answers <= entries, "an answer went out that no case knows"


@pytest.mark.parametrize("seed", SEEDS)
def test_frames_are_numbered_without_a_gap_and_nobody_has_a_case_that_another_has(tmp_path: Path, seed: int) -> None:
    day = Day(tmp_path, seed)
    for _ in range(6):
        day.go(60)
        day.crash()
    seqs: dict[tuple[int, str], int] = defaultdict(int)
    shown: dict[tuple[int, str], str] = {}
    for out in day.outs:
        event = out.value
        if not isinstance(event, wire.DeskEvent):
            continue
        if event.seq:
            key = (event.epoch, event.rep_id)
            assert event.seq == seqs[key] + 1
            seqs[key] = event.seq
        if isinstance(event.frame, wire.OfferFrame):
            case = event.frame.case.case_id
            assert shown.get((event.epoch, case), "") in ("", event.rep_id), "offered to two in one epoch"
            shown[event.epoch, case] = event.rep_id
        elif is_withdrawn(event.frame):
            shown.pop((event.epoch, event.frame.case_id), None)


def is_withdrawn(frame: Any) -> bool:
    """Whether a frame takes a case from its desk."""
    done = isinstance(frame, wire.Publish) and frame.state in ("closed", "awaiting_customer")
    return done or isinstance(frame, wire.Revoke)
