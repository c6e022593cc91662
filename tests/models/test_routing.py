"""Routing: what is chosen from arrays is what the simple form chooses, whoever comes, goes, and holds what."""

import random
from collections import Counter

import pytest
from msgspec.structs import replace

from models.reps import RepProfile
from models.routing import FEW, Able, Room, Seat, choose_seat, has_room, ranked

LANGUAGES = ("de", "en")


def a_profile(name: str, draw: random.Random) -> RepProfile:
    skills = {f"lang:{one}": draw.randint(1, 3) for one in LANGUAGES if draw.random() < 0.7}
    kinds = {"chat": draw.randint(0, 2)} if draw.random() < 0.3 else {}
    return RepProfile(id=name, name=name, skills=skills, capacity=draw.randint(1, 3), kind_units=kinds)


def a_seat(name: str, *, held_units: int = 0, idle_since: int = 0, level: int = 1) -> Seat:
    return Seat(RepProfile(id=name, name=name, skills={"lang:de": level}, capacity=1), held_units, idle_since)


def an_able(*seats: Seat) -> Able:
    room = Room()
    for seat in seats:
        room.know(seat)
        room.note(seat)
    return Able(ranked(seats, "de", "product", "fennkom"), room)


def test_the_better_skilled_goes_before_the_longer_idle() -> None:
    ben = a_seat("ben", idle_since=9, level=2)

    assert an_able(a_seat("anna", idle_since=1), ben).choose() is ben


def test_who_has_no_room_and_who_has_left_is_not_chosen() -> None:
    anna, ben = a_seat("anna"), a_seat("ben", held_units=1)
    room = Room()
    for seat in (anna, ben):
        room.know(seat)
        room.note(seat)
    able = Able(ranked((anna, ben), "de", "product", "fennkom"), room)

    assert able.choose() is anna
    room.leave("anna")
    assert able.choose() is None


def test_nobody_suits_where_nobody_is_known() -> None:
    assert Able((), Room()).choose() is None


def test_a_room_has_place_for_more_than_it_was_made_for() -> None:
    seats = [a_seat(f"r{number:04}", idle_since=2_000 - number) for number in range(1_000)]
    chosen = an_able(*seats).choose()

    assert chosen is seats[-1]


@pytest.mark.parametrize("many", [3, FEW, 5 * FEW])
@pytest.mark.parametrize("seed", range(12))
def test_choosing_is_the_same_as_by_the_simple_form(many: int, seed: int) -> None:
    """A random floor: reps come, go, take and finish; each question is asked of both."""
    draw = random.Random(f"{many}/{seed}")
    room = Room()
    seats = {name: Seat(a_profile(name, draw)) for name in (f"r{number:02}" for number in range(many))}
    for seat in seats.values():
        room.know(seat)
    able = {one: Able(ranked(room.known.values(), one, "product", "fennkom"), room) for one in LANGUAGES}
    present: dict[str, Seat] = {}
    for now in range(400):
        _something_happens(draw, now, seats, present, room)
        language = draw.choice(LANGUAGES)
        declined = tuple(draw.sample(list(seats), draw.choice([0, 0, 1, 2])))
        preferred = draw.choice(["", *seats])
        kind, units = draw.choice([("", 1), ("chat", 1), ("", 2), ("chat", 2)])
        meant = choose_seat(ranked(present.values(), language, "product", "fennkom"), declined, preferred, kind, units)

        assert able[language].choose(declined, preferred, kind, units) is meant
        if meant is not None:
            assert has_room(meant, kind, units)


def _something_happens(
    draw: random.Random, now: int, seats: dict[str, Seat], present: dict[str, Seat], room: Room
) -> None:
    """Let one rep come or go, or hold more or less."""
    name = draw.choice(list(seats))
    if name not in present:
        present[name] = replace(seats[name], idle_since=draw.randrange(now + 1), kind_units=Counter())
    elif draw.random() < 0.15:
        del present[name]
        room.leave(name)
        return
    seat = present[name]
    seat.held_units = draw.randint(0, seat.profile.capacity)
    seat.kind_units = Counter(chat=draw.randint(0, seat.held_units))
    seat.idle_since = draw.choice([seat.idle_since, now, now // 10])  # Equals are frequent.
    room.note(seat)
