"""Which rep gets a case: able first, then the best skilled, then the longest idle; able widens with the wait."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import numpy as np
from msgspec import Struct, field
from numpy.typing import NDArray

from models.labels import GUESS_MIN, Classification
from models.reps import AS_EVER, RepProfile, SkillKind, level_of, skill

NOWHERE: Final = ""
"""The target of a case that anybody may get."""
ANY: Final = ""
"""The language of a case that anybody may get."""
FEW: Final = 16  # So many free reps are looked at one by one; with more, arrays cost less.
_FIT: Final = float(1 << 44)  # A level of fit is worth more than any time: Unix ms stay below 2^43.
_ROWS_MIN: Final = 64


class Seat(Struct, gc=False):
    """A rep as routing sees one: who, how much is held, since when idle."""

    profile: RepProfile
    held_units: int = 0
    idle_since: int = 0
    """Unix ms at which the last case left or was given."""
    kind_units: Counter[str] = field(default_factory=Counter)
    """Units held by kind of work."""
    groups: frozenset[str] = frozenset()
    """Targets that reach this rep; see ``models.reps.groups_of``."""


Ranked = Sequence[tuple[int, Seat]]
"""Seats that suit a kind of case, with their fit, the best first."""


def has_room(seat: Seat, kind: str = "", units: int = 1) -> bool:
    """Whether a case of this kind and size fits beside what the rep holds; as ``reps.can_take``, for each seat of a decision."""
    profile = seat.profile
    capacity = profile.capacity
    if seat.held_units + (units if units < capacity else capacity) > capacity:
        return False
    if not profile.kind_units:
        return True
    most = profile.kind_units.get(kind)
    return most is None or seat.kind_units[kind] + units <= most


def level_for(rep: RepProfile, kind: SkillKind, value: str) -> int:
    """Return a rep's level for what a case asks: who lists no skill of a kind does all of it, at level 1."""
    listed = level_of(rep, skill(kind, value))
    if listed or any(name.startswith(kind + ":") for name in rep.skills):
        return listed
    return 1


def spoken_by(reps: Iterable[RepProfile], brand_id: str) -> frozenset[str] | None:
    """Return the languages that those list who do a brand; None where one of them speaks all, or nobody is known."""
    does = [rep for rep in reps if level_for(rep, "brand", brand_id)]
    listed = [{name.partition(":")[2] for name in rep.skills if name.startswith("lang:")} for rep in does]
    return frozenset().union(*listed) if listed and all(listed) else None


def language_asked(labels: Classification, spoken: frozenset[str] | None) -> str:
    """
    Return the language that a case asks of reps: ANY where it is but a guess, and one that none of them speaks.

    Such a case would wait for somebody who never comes.

    Args:
        labels: Of the case.
        spoken: As ``spoken_by`` gives it.
    """
    if "language" not in labels.unsure:
        return labels.language
    guessed = labels.confidence.language >= GUESS_MIN
    return labels.language if guessed and (spoken is None or labels.language in spoken) else ANY


def suits(rep: RepProfile, wanted: Mapping[SkillKind, str], levels: Mapping[SkillKind, int]) -> bool:
    """Whether a rep reaches the levels that are asked for."""
    return all(level_for(rep, kind, wanted[kind]) >= level for kind, level in levels.items())


def fit(rep: RepProfile, wanted: Mapping[SkillKind, str]) -> int:
    """Return the sum of a rep's listed levels in what a case asks for, 0..20."""
    return sum(level_of(rep, skill(kind, value)) for kind, value in wanted.items())


def ranked(
    seats: Iterable[Seat],
    language: str,
    subject: str,
    brand_id: str,
    platform: str = "",
    *,
    levels: Mapping[SkillKind, int] = AS_EVER[0].levels,
    target: str = NOWHERE,
) -> Ranked:
    """
    Return the seats that suit a kind of case, the best first; it holds until somebody comes or goes.

    Args:
        language: Of the case; ANY asks for none.
        levels: Least level by kind of skill: those of the widening step that the case has reached.
        target: Whom it was handed to, as in ``team:night``; who was named gets it whatever the skills.
    """
    if language == ANY:
        levels = {kind: level for kind, level in levels.items() if kind != "lang"}
    wanted: dict[SkillKind, str] = {"lang": language, "subject": subject, "brand": brand_id, "platform": platform}
    able = [
        (fit(seat.profile, wanted), seat)
        for seat in seats
        if (target in seat.groups if target else suits(seat.profile, wanted, levels))
    ]
    return sorted(able, key=lambda pair: (-pair[0], pair[1].profile.id))


def choose_seat(
    able: Ranked, declined: Sequence[str] = (), preferred: str = "", kind: str = "", units: int = 1
) -> Seat | None:
    """
    Return the seat that gets a case, or None if no able one has room.

    Args:
        able: As ``ranked`` gives them.
        declined: Reps who had it and gave it back: they come only where nobody else has room.
        preferred: The rep who answered this customer before; gets it if able and free.
        kind: Kind of work that the case is.
        units: Units that it takes.
    """
    best: Seat | None = None
    best_fit = -1
    fallback: Seat | None = None
    for level, seat in able:
        # The same as ``has_room`` where one unit of any kind is sought, as nearly always: a call a seat is dear.
        profile = seat.profile
        if seat.held_units >= profile.capacity or (
            (units > 1 or profile.kind_units) and not has_room(seat, kind, units)
        ):
            continue
        if declined and profile.id in declined:
            fallback = fallback or seat
        elif preferred and profile.id == preferred:
            return seat
        elif best is None:
            best, best_fit = seat, level
        elif level == best_fit and seat.idle_since < best.idle_since:
            best = seat
        elif level < best_fit and not preferred:
            break
    return best or fallback


class Room:
    """The reps of a tenant: who of them gets offers and has room for some, and since when each is idle."""

    def __init__(self) -> None:
        self.known: dict[str, Seat] = {}
        """Everybody who was ever told of, by rep, as profile and groups are; whether they are there says ``free``."""
        self.free: dict[str, Seat] = {}
        """Who sits and has room for one unit at least, by rep."""
        self.rows: dict[str, int] = {}
        """The row of each known rep."""
        self.idle = np.full(_ROWS_MIN, np.inf)
        """Since when, Unix ms, by row; infinite for who has no room or is not there."""

    def know(self, seat: Seat) -> None:
        """Tell of a rep, whether there or not; what was ranked before does not have this one."""
        self.rows[seat.profile.id] = len(self.known)
        self.known[seat.profile.id] = seat
        if len(self.known) > len(self.idle):
            self.idle = np.concatenate((self.idle, np.full(len(self.idle), np.inf)))

    def note(self, seat: Seat) -> None:
        """Let a known rep sit down, or note that what is held has changed."""
        name = seat.profile.id
        if seat.held_units < seat.profile.capacity:
            self.free[name] = seat
            self.idle[self.rows[name]] = seat.idle_since
        else:
            self.leave(name)

    def leave(self, rep_id: str) -> None:
        """Let a rep go, or be full."""
        self.free.pop(rep_id, None)
        self.idle[self.rows[rep_id]] = np.inf


class Able:
    """Who of a room suits a kind of case, ready to be chosen from; it holds until somebody new is known."""

    def __init__(self, seats: Ranked, room: Room) -> None:
        """
        Make it ready.

        Args:
            seats: Of those that the room knows, as ``ranked`` gives them.
            room: Told whenever one of them comes, goes or holds something else.
        """
        self._room = room
        self._names = [seat.profile.id for _, seat in seats]
        self._place = {name: place for place, name in enumerate(self._names)}
        self._fits = [level for level, _ in seats]
        self._rows: NDArray[np.intp] = np.array([room.rows[name] for name in self._names], np.intp)
        self._handicap = np.array([(self._fits[0] - level) * _FIT for level in self._fits], np.float64)

    def __contains__(self, rep_id: str) -> bool:
        return rep_id in self._place

    def choose(self, declined: Sequence[str] = (), preferred: str = "", kind: str = "", units: int = 1) -> Seat | None:
        """Return what ``choose_seat`` returns of those who are there, at a cost that hardly grows with their number."""
        free = self._room.free
        if preferred and preferred not in declined and preferred in self._place:
            seat = free.get(preferred)
            if seat is not None and has_room(seat, kind, units):
                return seat
        found = (self._of_few if len(free) <= FEW else self._of_many)(declined, kind, units)
        return found or (self._fallback(declined, kind, units) if declined else None)

    def _of_few(self, declined: Sequence[str], kind: str, units: int) -> Seat | None:
        """Look at each free rep."""
        best: Seat | None = None
        best_at = best_fit = best_idle = 0
        place, fits = self._place.get, self._fits
        for name, seat in self._room.free.items():
            at = place(name)
            if at is None or (declined and name in declined):
                continue
            # Who is free has room for one unit of any kind: a call a seat is dear.
            if (units > 1 or seat.profile.kind_units) and not has_room(seat, kind, units):
                continue
            level, idle = fits[at], seat.idle_since
            if best is None or level > best_fit:
                pass
            elif level < best_fit or idle > best_idle or (idle == best_idle and at > best_at):
                continue
            best, best_at, best_fit, best_idle = seat, at, level, idle
        return best

    def _of_many(self, declined: Sequence[str], kind: str, units: int) -> Seat | None:
        """Look at all that suit, in one go; whoever has no room for this kind is passed over."""
        if not self._names:
            return None
        score = self._room.idle[self._rows]
        score += self._handicap
        for name in declined:
            at = self._place.get(name)
            if at is not None:
                score[at] = np.inf
        while True:
            best = int(score.argmin())  # The first of equals, so the one whose id comes first.
            if score[best] == np.inf:
                return None
            seat = self._room.free[self._names[best]]
            if has_room(seat, kind, units):
                return seat
            score[best] = np.inf

    def _fallback(self, declined: Sequence[str], kind: str, units: int) -> Seat | None:
        """Return the best of those who gave it back, where nobody else has room."""
        free = self._room.free
        names = sorted((name for name in declined if name in self._place and name in free), key=self._place.__getitem__)
        return next((free[name] for name in names if has_room(free[name], kind, units)), None)
