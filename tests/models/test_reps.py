import pytest

from models.reps import RepProfile, can_take, fitness, free_units, is_able, lacking, level_of, load_share, skill

ANNA = RepProfile(id="anna", name="Anna", skills={"lang:de": 5, "subject:billing": 3})


def test_a_skill_that_is_not_listed_is_level_nought() -> None:
    assert level_of(ANNA, skill("lang", "de")) == 5
    assert level_of(ANNA, skill("lang", "pl")) == 0


@pytest.mark.parametrize(
    ("wanted", "level_min", "able"),
    [
        ((), 1, True),
        (("lang:de",), 1, True),
        (("lang:de", "subject:billing"), 3, True),
        (("lang:de", "subject:billing"), 4, False),
        (("lang:pl",), 1, False),
    ],
)
def test_able_is_who_has_every_skill_at_its_level(wanted: tuple[str, ...], level_min: int, able: bool) -> None:
    assert is_able(ANNA, wanted, level_min) is able


def test_fitness_is_the_sum_of_levels_and_nought_if_one_is_missing() -> None:
    assert fitness(ANNA, ["lang:de", "subject:billing"]) == 8
    assert fitness(ANNA, ["lang:de", "brand:fennkom"]) == 0
    assert fitness(ANNA, []) == 0
    assert lacking(ANNA, ["brand:b", "lang:de", "brand:a"]) == ("brand:b", "brand:a")


@pytest.mark.parametrize(("held", "free", "share"), [(0, 4, 0.0), (1, 3, 0.25), (4, 0, 1.0), (6, 0, 1.0)])
def test_capacity_counts_units(held: int, free: int, share: float) -> None:
    assert free_units(ANNA, held) == free
    assert load_share(ANNA, held) == share
    assert can_take(ANNA, held) is (free > 0)


def test_a_case_larger_than_the_capacity_fits_an_idle_rep_only() -> None:
    assert can_take(ANNA, 0, units=9)
    assert not can_take(ANNA, 1, units=9)


def test_a_count_below_nought_is_refused() -> None:
    with pytest.raises(ValueError, match="rep anna holds -1 units"):
        free_units(ANNA, -1)
