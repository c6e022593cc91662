"""Which rep gets a case: able first, then the best skilled, then the longest idle; able widens with the wait."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from msgspec import Struct, field

from models.reps import AS_EVER, RepProfile, SkillKind, level_of, skill

NOWHERE: Final = ""
"""The target of a case that anybody may get."""


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
        levels: Least level by kind of skill: those of the widening step that the case has reached.
        target: Whom it was handed to, as in ``team:night``; who was named gets it whatever the skills.
    """
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
