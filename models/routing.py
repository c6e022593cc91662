"""Which rep gets a case: able first, then the best skilled, then the longest idle."""

from collections.abc import Iterable, Sequence

from msgspec import Struct

from models.reps import RepProfile, level_of, skill


class Seat(Struct, gc=False):
    """A rep as routing sees one: who, how much is held, since when idle."""

    profile: RepProfile
    held_units: int = 0
    idle_since: int = 0
    """Unix ms at which the last case left or was given."""


Ranked = Sequence[tuple[int, Seat]]
"""Seats that suit a kind of case, with their fit, the best first."""


def suits(rep: RepProfile, kind: str, value: str) -> bool:
    """Whether a rep may do this: who lists no skill of a kind does them all."""
    prefix = kind + ":"
    return f"{prefix}{value}" in rep.skills or not any(name.startswith(prefix) for name in rep.skills)


def is_suited(rep: RepProfile, language: str, brand_id: str) -> bool:
    """Whether a rep speaks the language and serves the brand."""
    return suits(rep, "lang", language) and suits(rep, "brand", brand_id)


def fit(rep: RepProfile, language: str, subject: str, brand_id: str) -> int:
    """Return the sum of a rep's levels in what a case asks for, 0..15."""
    return (
        level_of(rep, skill("lang", language))
        + level_of(rep, skill("subject", subject))
        + level_of(rep, skill("brand", brand_id))
    )


def ranked(seats: Iterable[Seat], language: str, subject: str, brand_id: str) -> Ranked:
    """Return the seats that suit a kind of case, the best first; it holds until somebody comes or goes."""
    able = [
        (fit(seat.profile, language, subject, brand_id), seat)
        for seat in seats
        if is_suited(seat.profile, language, brand_id)
    ]
    return sorted(able, key=lambda pair: (-pair[0], pair[1].profile.id))


def choose_seat(able: Ranked, declined: Sequence[str] = (), preferred: str = "") -> Seat | None:
    """
    Return the seat that gets a case, or None if no able one has room.

    Args:
        able: As ``ranked`` gives them.
        declined: Reps who had it and gave it back: they come only where nobody else has room.
        preferred: The rep who answered this customer before; gets it if able and free.
    """
    best: Seat | None = None
    best_fit = -1
    fallback: Seat | None = None
    for level, seat in able:
        if seat.held_units >= seat.profile.capacity:
            continue
        if declined and seat.profile.id in declined:
            fallback = fallback or seat
        elif seat.profile.id == preferred:
            return seat
        elif best is None:
            best, best_fit = seat, level
        elif level == best_fit and seat.idle_since < best.idle_since:
            best = seat
        elif level < best_fit and not preferred:
            break
    return best or fallback
