"""Reps: skills with levels, capacity in units by kind of work, presence, and the teams they sit in."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, Literal, get_args

from msgspec import Struct, field

SkillKind = Literal["lang", "subject", "brand", "platform"]
SKILL_KINDS: Final[tuple[SkillKind, ...]] = get_args(SkillKind)
LEVEL_MIN: Final = 1
LEVEL_MAX: Final = 5

CAPACITY_DEFAULT: Final = 4  # Four conversations at once: what chat floors plan with; a rep may be given more or less.
CAPACITY_MAX: Final = 64  # Beyond it a desk is a list that nobody reads.
TEAMS_MAX: Final = 8  # Of one rep: who sits in more sits in none.

PresenceState = Literal["available", "busy", "away", "offline", "wrapup"]
"""``busy``: works on what is there and gets nothing new; ``wrapup``: the same for a stated time, then available again."""
PRESENT: Final[frozenset[PresenceState]] = frozenset({"available", "busy", "wrapup"})
"""Who sits at the desk; nothing is ever given to anybody else."""


class WorkKind(Struct, frozen=True):
    """A kind of work: which cases are of it, and what one of them costs a rep."""

    id: str
    """Unique in the tenant, as in ``chat``."""
    platforms: tuple[str, ...] = ()
    """Platforms of its cases; empty: all."""
    visibility: Literal["public", "private", ""] = ""
    """``private``: direct messages only; ``public``: all else; "": both."""
    units: int = 1
    """Units that a case takes of its rep while it is in hand, 1..64."""
    idle_frees_s: float = 0.0
    """Seconds after the answer for which a conversation that awaits its customer goes on taking its units; 0: none.

    So long the customer comes back to the very same rep at once. After it the units are free, and a customer who writes
    then goes through the queue, first to the same rep: who holds idle talks is neither blocked nor overfilled by them.
    """
    wrapup_s: float = 0.0
    """Seconds that a rep gets after such a case is done before something new comes; 0: none."""


ANY_WORK: Final = WorkKind("")
"""What a case is where no kind is configured: one unit, freed with the answer."""


class Team(Struct, frozen=True):
    """Some reps that work is handed to together."""

    id: str
    """Unique in the tenant."""
    name: str
    department: str = ""
    site: str = ""


class WideningStep(Struct, frozen=True):
    """From when on which levels are enough."""

    after_s: float
    """Seconds since the customer's post came."""
    levels: Mapping[SkillKind, int] = field(default_factory=dict)
    """Least level by kind of skill, 1..5; what is not listed is not asked for any more.

    A rep who lists no skill of a kind does all of it, at level 1.
    """


AS_EVER: Final = (WideningStep(0.0, {"lang": 1, "brand": 1, "platform": 1}),)
"""Where nothing is configured: language, brand and platform must suit, the subject only decides who suits best."""


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
    teams: tuple[str, ...] = ()
    """Ids of the teams that the rep sits in, at most 8."""
    kind_units: Mapping[str, int] = field(default_factory=dict)
    """Most units of a kind of work held at once, 0..64; what is not listed is bounded by the capacity alone."""
    approval: bool = False
    """Whether a second person must approve the rep's answers, as for somebody new."""
    approves: bool = False
    """Whether the rep may approve others' answers, beside supervisors."""
    pulls: bool = True
    """Whether the rep may look at what waits and take of it."""


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


def kind_of(kinds: Iterable[WorkKind], platform: str, visibility: str) -> WorkKind:
    """Return the first kind that a case is of, or one unit of work where none says so."""
    shown = "private" if visibility == "private" else "public"
    for kind in kinds:
        if kind.visibility in ("", shown) and (not kind.platforms or platform in kind.platforms):
            return kind
    return ANY_WORK


def targets_of(teams: Iterable[Team]) -> dict[str, str]:
    """Return whom work may be handed to together -> name: each team, department and site, in this order."""
    told = tuple(teams)
    named = {f"team:{team.id}": team.name for team in told}
    named |= {f"department:{team.department}": team.department for team in told if team.department}
    return named | {f"site:{team.site}": team.site for team in told if team.site}


def groups_of(rep: RepProfile, teams: Mapping[str, Team]) -> frozenset[str]:
    """Return the targets of a transfer that reach a rep, as in ``rep:anna``, ``team:night``, ``site:kiel``."""
    groups = {f"rep:{rep.id}"}
    for team in (teams[one] for one in rep.teams if one in teams):
        groups.add(f"team:{team.id}")
        groups |= {f"department:{team.department}"} if team.department else set()
        groups |= {f"site:{team.site}"} if team.site else set()
    return frozenset(groups)


def step_at(widening: Sequence[WideningStep], waited_ms: int) -> int:
    """
    Return the index of the widening step that holds after this wait.

    Args:
        widening: By ``after_s``, the first at 0.
        waited_ms: Since the post came; a wait below 0 counts as 0.
    """
    for index in range(len(widening) - 1, 0, -1):
        if waited_ms >= widening[index].after_s * 1000:
            return index
    return 0


def load_share(rep: RepProfile, held_units: int) -> float:
    """Return the used share of the capacity, 0..1, where what is beyond the capacity counts as 1."""
    return 1 - free_units(rep, held_units) / rep.capacity
