"""
Which posts say the same: near-duplicates within a sliding window, by brand, in bounded memory.

Each text that is unlike all before it leads a group of its own; a later text joins the leader that it is most like, if it
is like enough. It is compared with leaders only, so a group cannot drift from text to text. Leaders meet a new text in
buckets of a few, keyed by bands of their sketches (``models.sketch``), so a post costs about ten microseconds however
many leaders there are. A leader without a new post for a window is forgotten.

What is counted are authors, not posts: one angry author with twenty posts is no incident.
"""

from collections import OrderedDict
from collections.abc import Iterator
from typing import Final

from msgspec import Struct

from models.brands import IncidentRules
from models.sketch import alike, bands_of

LEADERS_MAX: Final = (
    20_000  # Of a partition, 2 KB each: five unlike posts a second for an hour. The longest silent leave.
)
BUCKET_MAX: Final = (
    8  # Leaders of one band; the eldest leaves. Texts with a phrase in common fill one, not all sixteen.
)
SEEN_MAX: Final = 2_000  # Posts that a leader remembers: twice the largest size at which an incident is seen.
MINUTE_MS: Final = 60_000

BrandKey = tuple[str, str]
"""Tenant, brand."""


Bucket = int | tuple[int, ...]
"""
Numbers of the leaders that have a band in common, the eldest first. Nearly all have one: a tuple for each of a leader's
sixteen would be half of what the garbage collector finds alive.
"""


class Seen(Struct, frozen=True, gc=False):
    """One post of a group."""

    at: int
    case_id: str
    author: str


class Leader(Struct, eq=False, gc=False):
    """A text, and the posts of the window that say the same."""

    number: int
    brand: BrandKey
    sketch: bytes
    value: int
    """The sketch as a number."""
    bands: tuple[int, ...]
    last_at: int
    seen: list[Seen]
    """Oldest first."""
    authors: dict[str, int]
    """Posts of the window by author."""
    incident_id: str = ""
    """The incident that it has become; also one that was dismissed: then it stays silent."""

    def size(self) -> int:
        """Return how many authors have written within the window."""
        return len(self.authors)


class Gathering:
    """The leaders of one partition."""

    def __init__(self, leaders_max: int = LEADERS_MAX) -> None:
        self._leaders_max = leaders_max
        self._leaders: OrderedDict[int, Leader] = OrderedDict()
        """By number, the longest silent first."""
        self._buckets: dict[BrandKey, dict[int, Bucket]] = {}
        self._by_sketch: dict[tuple[BrandKey, bytes], Leader] = {}
        """The eldest living leader of each sketch: a message that is copied as it is is found at once."""
        self._by_incident: dict[str, Leader] = {}
        self._count = 0

    def __len__(self) -> int:
        return len(self._leaders)

    def leaders(self) -> Iterator[Leader]:
        """Yield all leaders, the longest silent first."""
        return iter(self._leaders.values())

    def find(self, brand: BrandKey, sketch: bytes, at: int, rules: IncidentRules) -> Leader | None:
        """Return the living leader that a text is most like, the elder of two; None if it is like none."""
        since = at - rules.window_min * MINUTE_MS
        same = self._by_sketch.get((brand, sketch))
        if same is not None:
            if same.last_at >= since:
                return same
            self._forget(same)
        best: Leader | None = None
        best_share, value = rules.similarity, int.from_bytes(sketch)
        for number in sorted(self._met(brand, sketch)):
            leader = self._leaders[number]
            if leader.last_at < since:
                self._forget(leader)
                continue
            share = alike(leader.value, value)
            if share > best_share or (best is None and share == best_share):
                best, best_share = leader, share
        return best

    def _met(self, brand: BrandKey, sketch: bytes) -> set[int]:
        buckets = self._buckets.get(brand)
        if not buckets or not sketch:
            return set()
        found: set[int] = set()
        for bucket in map(buckets.get, bands_of(sketch)):
            if bucket is not None:
                found.update(_numbers(bucket))
        return found

    def add(
        self, brand: BrandKey, sketch: bytes, seen: Seen, rules: IncidentRules, leader: Leader | None = None
    ) -> Leader:
        """
        Put a post into its group, or let it lead one.

        Args:
            sketch: Not empty.
            seen: Times do not fall from one post to the next.
            leader: As ``find`` has given it; None: it leads.
        """
        if leader is None:
            leader = self._lead(brand, sketch, seen.at)
        self._leaders.move_to_end(leader.number)
        leader.last_at = max(leader.last_at, seen.at)
        leader.seen.append(seen)
        leader.authors[seen.author] = leader.authors.get(seen.author, 0) + 1
        _forget_seen(leader, leader.last_at - rules.window_min * MINUTE_MS)
        return leader

    def found(self, brand: BrandKey, sketch: bytes, at: int, incident_id: str) -> Leader:
        """Let an incident's text lead: of one that was rebuilt from its row, or whose leader has been forgotten."""
        leader = self._by_incident.get(incident_id)
        if leader is None:
            leader = self._lead(brand, sketch, at)
            self.mark(leader, incident_id)
        return leader

    def mark(self, leader: Leader, incident_id: str) -> None:
        """Note that a group has become an incident."""
        leader.incident_id = incident_id
        self._by_incident[incident_id] = leader

    def attach(self, leader: Leader, incident_id: str) -> None:
        """Let a group that says nearly the same as an incident belong to it."""
        leader.incident_id = incident_id

    def of(self, incident_id: str) -> Leader | None:
        """Return the leader of an incident, if it lives."""
        return self._by_incident.get(incident_id)

    def end(self, incident_id: str) -> None:
        """Forget an incident's groups: what comes now begins anew."""
        for leader in [one for one in self._leaders.values() if one.incident_id == incident_id]:
            self._forget(leader)

    def _lead(self, brand: BrandKey, sketch: bytes, at: int) -> Leader:
        self._count += 1
        number, bands = self._count, bands_of(sketch)
        leader = Leader(number, brand, sketch, int.from_bytes(sketch), bands, at, [], {})
        self._leaders[number] = leader
        self._by_sketch.setdefault((brand, sketch), leader)
        buckets = self._buckets.setdefault(brand, {})
        for band in bands:
            others = buckets.setdefault(band, number)
            if others != number:
                buckets[band] = (*_numbers(others)[1 - BUCKET_MAX :], number)
        if len(self._leaders) > self._leaders_max:
            self._forget(next(iter(self._leaders.values())))
        return leader

    def _forget(self, leader: Leader) -> None:
        del self._leaders[leader.number]
        if self._by_sketch.get((leader.brand, leader.sketch)) is leader:
            del self._by_sketch[leader.brand, leader.sketch]
        if self._by_incident.get(leader.incident_id) is leader:
            del self._by_incident[leader.incident_id]
        buckets = self._buckets[leader.brand]
        for band in leader.bands:
            bucket = buckets.get(band)
            if bucket == leader.number:
                del buckets[band]
            elif isinstance(bucket, tuple) and leader.number in bucket:
                left = tuple(number for number in bucket if number != leader.number)
                buckets[band] = left if len(left) > 1 else left[0]
        if not buckets:
            del self._buckets[leader.brand]


def _numbers(bucket: Bucket) -> tuple[int, ...]:
    return (bucket,) if isinstance(bucket, int) else bucket


def _forget_seen(leader: Leader, before: int) -> None:
    """Forget posts of before the window, and the oldest beyond the bound."""
    seen = leader.seen
    gone = max(0, len(seen) - SEEN_MAX)
    while seen[gone].at < before:
        gone += 1
    for one in seen[:gone]:
        leader.authors[one.author] -= 1
        if not leader.authors[one.author]:
            del leader.authors[one.author]
    del seen[:gone]
