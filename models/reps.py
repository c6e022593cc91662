"""A rep's profile: skills with levels, and capacity in units."""

from collections.abc import Iterable, Mapping
from typing import Final, Literal, get_args

from msgspec import Struct, field

SkillKind = Literal["lang", "subject", "brand"]
SKILL_KINDS: Final[tuple[SkillKind, ...]] = get_args(SkillKind)
LEVEL_MIN: Final = 1
LEVEL_MAX: Final = 5

CAPACITY_DEFAULT: Final = 4  # Four conversations at once: what chat floors plan with; a rep may be given more or less.
CAPACITY_MAX: Final = 64  # Beyond it a desk is a list that nobody reads.


class RepProfile(Struct, frozen=True):
    """What is known of a rep before the first sign-in."""

    id: str
    """Unique in the tenant."""
    name: str
    """What desks and boards show."""
    skills: Mapping[str, int] = field(default_factory=dict)
    """Level 1..5 by skill: ``lang:de``, ``subject:billing``, ``brand:fennkom``; what is not listed is level 0."""
    capacity: int = CAPACITY_DEFAULT
    """Units of work held at once, 1..64; a case costs one unit unless its kind says otherwise."""
    simulated: bool = False
    """A seat of the demonstration or of a load test."""


def skill(kind: SkillKind, value: str) -> str:
    """Return a skill's key, as in ``lang:de``."""
    return f"{kind}:{value}"


def level_of(rep: RepProfile, wanted: str) -> int:
    """Return the rep's level in a skill, 1..5, or 0 if the rep lacks it."""
    return rep.skills.get(wanted, 0)


def is_able(rep: RepProfile, wanted: Iterable[str], level_min: int = LEVEL_MIN) -> bool:
    """Return whether the rep has every wanted skill at ``level_min`` or above; no wanted skill suits anybody."""
    return all(rep.skills.get(one, 0) >= level_min for one in wanted)


def fitness(rep: RepProfile, wanted: Iterable[str]) -> int:
    """Return the sum of the rep's levels over the wanted skills; 0 if one of them is missing."""
    levels = [rep.skills.get(one, 0) for one in wanted]
    return sum(levels) if all(levels) else 0


def lacking(rep: RepProfile, wanted: Iterable[str]) -> tuple[str, ...]:
    """Return the wanted skills that the rep does not have, in the order asked for."""
    return tuple(one for one in wanted if not rep.skills.get(one, 0))


def free_units(rep: RepProfile, held_units: int) -> int:
    """
    Return how many more units the rep can take.

    Args:
        held_units: Units of the cases offered to the rep and in work, at least 0. More than the capacity is
            possible, by a supervisor's assignment or by a capacity lowered since; then 0 units are free.

    Raises:
        ValueError: If ``held_units`` is negative, which means a count that has lost its way.
    """
    if held_units < 0:
        raise ValueError(f"rep {rep.id} holds {held_units} units; a count cannot be negative")
    return max(0, rep.capacity - held_units)


def can_take(rep: RepProfile, held_units: int, units: int = 1) -> bool:
    """Return whether ``units`` more fit; one case that is larger than the whole capacity fits an idle rep."""
    return free_units(rep, held_units) >= min(units, rep.capacity)


def load_share(rep: RepProfile, held_units: int) -> float:
    """Return the used share of the capacity, 0..1, where what is beyond the capacity counts as 1."""
    return 1 - free_units(rep, held_units) / rep.capacity
