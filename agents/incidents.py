"""
The incidents of one partition: what dispatch keeps in memory of their rows and of their cases'.

Everything here is derived and rebuilt when a partition arrives. Posts are compared at ticks, some hundreds at a time, so that
looking for what nobody has said yet costs an arriving post nothing; where an incident lives already, a post is compared at once.
"""

from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping
from typing import Final, Literal

from models.brands import Brand, IncidentRules
from models.cases import Case
from models.gathering import BrandKey, Gathering, Leader, Seen
from models.incidents import (
    LIVE,
    LIVE_MAX,
    MEMBERS_MAX,
    MINUTE_MS,
    SAMPLE_CHARS,
    SHOWN_MAX,
    Incident,
    IncidentLine,
    is_due,
    is_given,
    may_join,
)
from models.pace import AccountKey, Pace
from models.people import author_key
from models.sketch import similarity
from models.variations import Template, template_of
from streams.carry import Part
from tables.incidents import INCIDENTS

PENDING_MAX: Final = 20_000  # Posts not compared yet; beyond it the oldest are passed over, and join nothing.
COMPARED_MAX: Final = 300  # At one tick: 10 ms. What came meanwhile waits for the next one.
GROWN_MS: Final = 10 * MINUTE_MS
KIN_SHARE: Final = 0.7
"""Of the similarity that one post needs: where so many say it, less is enough."""

Standing = Literal["joining", "waiting", "going", "answered", "apart"]
"""Of a case in its incident: in the queue, set aside without an answer, with one under way, answered, or with a person."""


class Group:
    """One incident with its cases."""

    __slots__ = (
        "_template",
        "at_once",
        "authors",
        "counts",
        "given",
        "incident",
        "joining",
        "standings",
        "times",
        "waiting",
    )

    def __init__(self, incident: Incident) -> None:
        self.incident = incident
        self.standings: dict[str, Standing] = {}
        """By case, closed ones too as long as their rows stand."""
        self.counts: Counter[Standing] = Counter()
        self.joining: dict[str, None] = {}
        """Cases that are queued or offered and leave for the incident when it is grouped."""
        self.waiting: dict[str, None] = {}
        """Cases that were set aside and have no answer yet."""
        self.at_once: dict[str, None] = {}
        """Cases that are at once by their triage and have no answer yet."""
        self.given = 0
        """Answers that were given, whatever became of them: numbers the wordings."""
        self.times: dict[str, int] = {}
        """When each case was opened."""
        self.authors: dict[str, str] = {}
        """Who has written each case."""
        self._template: tuple[str, Template] | None = None

    @property
    def brand(self) -> BrandKey:
        """Tenant and brand."""
        return (self.incident.tenant, self.incident.brand_id)

    @property
    def has_room(self) -> bool:
        """Whether it may take another case."""
        return len(self.standings) < MEMBERS_MAX

    def template(self) -> Template:
        """Return its answer's text with alternatives, read once."""
        assert self.incident.answer is not None
        text = self.incident.answer.text
        if self._template is None or self._template[0] != text:
            self._template = (text, template_of(text))
        return self._template[1]

    def note(self, case: Case) -> None:
        """Bring a case's standing up to date."""
        before = self.standings.get(case.case_id)
        now = standing_of(case)
        self.times[case.case_id] = case.opened_at
        self.authors[case.case_id] = author_of(case)
        unanswered = now not in ("going", "answered") and case.state != "closed"
        _keep(self.at_once, case.case_id, held=case.triage == "at_once" and unanswered)
        if now == before:
            return
        if before is not None:
            self.counts[before] -= 1
        self.given += now in ("going", "answered") and before not in ("going", "answered")
        self.standings[case.case_id] = now
        self.counts[now] += 1
        _keep(self.joining, case.case_id, held=now == "joining")
        _keep(self.waiting, case.case_id, held=now == "waiting")

    def drop(self, case_id: str) -> None:
        """Forget a case that no longer belongs to it, or whose row has gone."""
        before = self.standings.pop(case_id, None)
        if before is not None:
            self.counts[before] -= 1
            del self.times[case_id], self.authors[case_id]
            self.at_once.pop(case_id, None)
            self.joining.pop(case_id, None)
            self.waiting.pop(case_id, None)


def _keep(cases: dict[str, None], case_id: str, *, held: bool) -> None:
    if held:
        cases[case_id] = None
    else:
        cases.pop(case_id, None)


def standing_of(case: Case) -> Standing:
    """Return where a case stands in its incident."""
    if is_due(case):
        return "going"
    if is_given(case):
        return "answered"
    if case.state == "automatic":
        return "waiting"
    return "joining" if may_join(case) else "apart"


def _was_of(case: Case, incident: Incident, rules: IncidentRules) -> bool:
    """Whether a case was gathered with those of an incident that has ended since; who was taken out of it, too."""
    if case.incident_id == incident.incident_id:
        return True
    return case.opened_at <= incident.decided_at and similarity(case.sketch, incident.sketch) >= rules.similarity


class Incidents:
    """All incidents of one partition, and the posts among which new ones are looked for."""

    def __init__(self, part: Part, brands: Mapping[BrandKey, Brand]) -> None:
        self._part = part
        self._brands = brands
        self.groups: dict[str, Group] = {}
        self.live: dict[BrandKey, dict[str, Group]] = {}
        self.gathering = Gathering()
        self.pending: deque[str] = deque(maxlen=PENDING_MAX)
        """Cases that have not been compared yet, the oldest first."""
        self._grown: dict[int, Leader] = {}
        """Groups as large as an incident that belong to none and are to be looked at when the next tick comes, by number."""
        self.pace = Pace()

    def rules(self, brand: BrandKey) -> IncidentRules | None:
        """Return a brand's rules, None where nothing is looked for (any more)."""
        known = self._brands.get(brand)
        return known.incidents if known is not None and known.incidents.mode != "off" else None

    def load(self, cases: list[Case]) -> None:
        """
        Rebuild all from the rows.

        Args:
            cases: All that have a sketch, belong to an incident, or to which the machine has written; in any order.
        """
        ended: dict[BrandKey, list[Incident]] = {}
        for incident_id, incident in self._part.rows.all(INCIDENTS):
            made = Group(incident)
            self._enter(made, incident_id)
            if incident.state in LIVE:
                self.gathering.found(made.brand, incident.sketch, incident.opened_at, incident_id)
            self._stay_silent(incident)
            if incident.state not in LIVE and incident.end != "dismissed":
                ended.setdefault(made.brand, []).append(incident)
        for case in sorted(cases, key=lambda one: (one.opened_at, one.case_id)):
            group = self.groups.get(case.incident_id)
            if group is not None:
                group.note(case)
            self._gather_again(case, group, ended)
            for entry in case.thread:
                if entry.by == "bot":
                    self.pace.note(account_of(case), entry.at)
        for leader in self.gathering.leaders():
            rules = self.rules(leader.brand)
            if rules is not None:
                self._note_grown(leader, rules)

    def _enter(self, group: Group, incident_id: str) -> None:
        self.groups[incident_id] = group
        if group.incident.state in LIVE:
            self.live.setdefault(group.brand, {})[incident_id] = group

    def _stay_silent(self, incident: Incident) -> None:
        """What was dismissed is not suggested again as long as people write it."""
        brand = (incident.tenant, incident.brand_id)
        rules = self.rules(brand)
        if rules is None or incident.end != "dismissed":
            return
        if incident.decided_at >= self._now - rules.window_min * MINUTE_MS:
            self.gathering.found(brand, incident.sketch, incident.decided_at, incident.incident_id)

    def _gather_again(self, case: Case, group: Group | None, ended: Mapping[BrandKey, list[Incident]]) -> None:
        brand = (case.tenant, case.brand_id)
        rules = self.rules(brand)
        if rules is None or not case.sketch or case.opened_at < self._now - rules.window_min * MINUTE_MS:
            return
        if any(_was_of(case, incident, rules) for incident in ended.get(brand, ())):
            return  # Its group was forgotten when the incident ended: what came since has begun anew.
        leader = self._gather(case, case.opened_at, rules)
        if group is not None and group.incident.state in LIVE and not leader.incident_id:
            self.gathering.attach(leader, group.incident.incident_id)

    @property
    def _now(self) -> int:
        return self._part.rows.progress.now

    # -- rows

    def save(self, incident: Incident) -> Group:
        """Write an incident's row and bring what is derived from it up to date."""
        self._part.rows.set(INCIDENTS, incident.incident_id, incident)
        group = self.groups.get(incident.incident_id)
        if group is None:
            group = Group(incident)
        group.incident = incident
        self._enter(group, incident.incident_id)
        if incident.state not in LIVE:
            live = self.live.get(group.brand, {})
            live.pop(incident.incident_id, None)
            if not live:
                self.live.pop(group.brand, None)
        return group

    def forget(self, group: Group) -> None:
        """Remove a closed incident whose time has passed."""
        self._part.rows.delete(INCIDENTS, group.incident.incident_id)
        self.groups.pop(group.incident.incident_id, None)

    def follow(self, old: Case | None, new: Case) -> None:
        """Take note of a case's new row; either belongs, or belonged, to an incident."""
        if old is not None and old.incident_id and old.incident_id != new.incident_id:
            group = self.groups.get(old.incident_id)
            if group is not None:
                group.drop(old.case_id)
        group = self.groups.get(new.incident_id)
        if group is not None:
            group.note(new)

    def gone(self, case: Case) -> None:
        """A case's row has gone."""
        group = self.groups.get(case.incident_id)
        if group is not None:
            group.drop(case.case_id)

    # -- posts that say the same

    def meet(self, case: Case, now: int) -> Group | None:
        """
        Compare a post that has just opened a case.

        Returns:
            The living incident that it belongs to; None where it belongs to none, or will be compared at a tick.
        """
        if not case.sketch:
            return None
        brand = (case.tenant, case.brand_id)
        rules = self.rules(brand) if brand in self.live else None
        if rules is None:
            self.pending.append(case.case_id)
            return None
        return self.group_of(self._gather_new(case, now, rules))

    def _gather(self, case: Case, at: int, rules: IncidentRules) -> Leader:
        brand, sketch = (case.tenant, case.brand_id), case.sketch
        leader = self.gathering.find(brand, sketch, at, rules)
        return self.gathering.add(brand, sketch, Seen(at, case.case_id, author_of(case)), rules, leader)

    def _gather_new(self, case: Case, at: int, rules: IncidentRules) -> Leader:
        leader = self._gather(case, at, rules)
        self._note_grown(leader, rules)
        return leader

    def _note_grown(self, leader: Leader, rules: IncidentRules) -> None:
        if not leader.incident_id and leader.size() >= rules.size:
            self._grown[leader.number] = leader

    def group_of(self, leader: Leader) -> Group | None:
        """Return the living incident that a leader's posts belong to."""
        return self.live.get(leader.brand, {}).get(leader.incident_id) if leader.incident_id else None

    def compare(self, case_of: Callable[[str], Case | None], now: int) -> Iterator[tuple[Case, Leader]]:
        """Compare posts that have come since, at most so many at a tick; yield each with the group that it is in."""
        for _ in range(min(COMPARED_MAX, len(self.pending))):
            case = case_of(self.pending.popleft())
            rules = self.rules((case.tenant, case.brand_id)) if case is not None else None
            if case is not None and rules is not None and case.sketch:
                # At the tick's time: others may have been compared at once meanwhile, and times may not fall.
                yield case, self._gather_new(case, now, rules)

    def ripe(self) -> Iterator[tuple[Leader, IncidentRules]]:
        """Yield groups that have become incidents which were not seen before, where the brand has room for one more."""
        grown, self._grown = self._grown, {}
        for leader in grown.values():
            rules = self.rules(leader.brand)
            if rules is not None and not leader.incident_id and len(self.live.get(leader.brand, {})) < LIVE_MAX:
                yield leader, rules

    def kin_of(self, leader: Leader, rules: IncidentRules) -> Group | None:
        """
        Return the living incident that says nearly the same as a group, though not quite, the most alike.

        People say one thing in many ways: an incident's text stands for those within ``similarity`` of it, and a whole group
        of them may lie a little farther off.
        """
        near = [
            (similarity(leader.sketch, group.incident.sketch), group)
            for group in self.live.get(leader.brand, {}).values()
        ]
        share, group = max(near, key=lambda one: one[0], default=(0.0, None))
        return group if share >= rules.similarity * KIN_SHARE else None

    # -- what boards show

    def lines(self, brand: BrandKey, now: int) -> tuple[IncidentLine, ...]:
        """Return a brand's living incidents, the largest first."""
        groups = sorted(
            self.live.get(brand, {}).values(), key=lambda one: (-len(one.standings), one.incident.incident_id)
        )
        return tuple(self._line(group, now) for group in groups[:SHOWN_MAX])

    def _line(self, group: Group, now: int) -> IncidentLine:
        incident, counts = group.incident, group.counts
        rules = self.rules(group.brand)
        hold_min = rules.hold_min if rules is not None else 0
        return IncidentLine(
            incident_id=incident.incident_id,
            state=incident.state,
            version=incident.version,
            opened_at=incident.opened_at,
            sample=incident.sample,
            language=incident.language,
            subject=incident.subject,
            posts=len(group.standings),
            authors=len(set(group.authors.values())),
            grown=sum(1 for at in group.times.values() if at > now - GROWN_MS),
            waiting=counts["joining"] + counts["waiting"] + counts["apart"],
            at_once=len(group.at_once),
            under_way=counts["going"],
            answered=counts["answered"],
            decided_at=incident.decided_at,
            decided_by=incident.decided_by,
            hold_until=incident.decided_at + hold_min * MINUTE_MS if incident.state == "grouped" else 0,
            answer=incident.answer.text[:SAMPLE_CHARS] if incident.answer is not None else "",
        )


def author_of(case: Case) -> str:
    """Return what tells a case's author from others."""
    return author_key(case.platform, case.author) or case.conversation_uri


def account_of(case: Case) -> AccountKey:
    """Return the account in whose name a case is answered."""
    return (case.tenant, case.platform, case.account_id)
