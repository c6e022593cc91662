"""What is forecast of a week, and whether the error it tells of itself is the error it makes."""

import math
from datetime import date, datetime
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from models.forecast import (
    Series,
    backtest,
    counted,
    day_of,
    forecast,
    interval,
    poisson_off,
    whole_days,
)

MONDAY = date(2026, 1, 5)
SHAPE = np.array([2, 1, 1, 1, 1, 2, 5, 9, 14, 18, 20, 20, 18, 18, 17, 17, 18, 20, 24, 26, 22, 16, 9, 5], float)
WEEK = np.array([1.2, 1.0, 1.0, 1.0, 1.1, 0.7, 0.6])


def drawn(weeks: int, *, dispersion: float = 1.0, level: float = 3.0, seed: int = 5) -> Series:
    """Return weeks of a known shape: Poisson, or negative binomial of the same mean."""
    rng = np.random.default_rng(seed)
    means = np.tile(level * WEEK[:, None] * SHAPE, (weeks, 1))
    if dispersion > 1:
        means = rng.gamma(means / (dispersion - 1), dispersion - 1)
    return Series(MONDAY, rng.poisson(means))


def at(text: str, zone: str = "Europe/Berlin") -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp() * 1000)


def test_moments_are_counted_by_the_clock_on_the_wall() -> None:
    series = counted([at("2026-03-30 08:10"), at("2026-03-28 08:59"), at("2026-03-28 08:00")], "Europe/Berlin")

    assert series.first_day == date(2026, 3, 28)
    assert series.counts.shape == (3, 24)
    assert (series.counts[0, 8], series.counts[2, 8], series.counts.sum()) == (2, 1, 3)


def test_an_hour_that_comes_twice_is_one_and_one_that_is_skipped_is_none() -> None:
    begin = at("2026-10-25 00:00")
    every_hour = counted([begin + n * 3_600_000 for n in range(25)], "Europe/Berlin")
    spring = counted([at("2026-03-29 00:00") + n * 3_600_000 for n in range(23)], "Europe/Berlin")

    assert every_hour.counts.tolist() == [[1, 1, 2, *[1] * 21]]
    assert spring.counts.tolist() == [[1, 1, 0, *[1] * 21]]


def test_the_forecast_is_the_mean_of_the_last_four_same_hours() -> None:
    counts = np.arange(6 * 7 * 24).reshape(42, 24)

    found = forecast(Series(MONDAY, counts))

    assert found.weeks == 4
    assert day_of(found, 0)[8] == np.mean([counts[week * 7, 8] for week in (2, 3, 4, 5)])
    assert day_of(found, 6)[23] == np.mean([counts[week * 7 + 6, 23] for week in (2, 3, 4, 5)])


def test_a_series_may_begin_on_any_day_of_the_week() -> None:
    counts = np.arange(30 * 24).reshape(30, 24)
    found = forecast(Series(date(2026, 1, 8), counts))  # A Thursday; so the last of 30 days is a Friday.

    assert day_of(found, 4)[0] == np.mean([counts[day, 0] for day in (29, 22, 15, 8)])
    assert day_of(found, 5)[0] == np.mean([counts[day, 0] for day in (23, 16, 9, 2)])


def test_with_less_than_a_week_other_days_stand_in() -> None:
    found = forecast(Series(MONDAY, np.stack([SHAPE, SHAPE * 3]).astype(np.int64)))

    assert found.weeks == 0
    assert found.backtest.hours == 0
    assert day_of(found, 1) == pytest.approx(tuple(SHAPE * 3))
    assert day_of(found, 4) == pytest.approx(tuple(SHAPE * 2))


def test_on_chance_alone_it_is_nearly_as_good_as_can_be_and_better_than_the_last_same_hour() -> None:
    found = backtest(drawn(30))

    assert found.hours == 28 * 7 * 24
    assert found.floor_wape < found.wape < 1.15 * found.floor_wape  # sqrt(1 + 1/4) = 1.118 in theory.
    assert found.naive_wape > 1.15 * found.wape
    assert abs(found.bias) < 0.01
    assert found.covered == pytest.approx(0.9, abs=0.03)


@pytest.mark.parametrize("dispersion", [1.0, 3.0, 8.0])
def test_nine_of_ten_hours_lie_within_the_interval_also_where_there_is_more_than_chance(dispersion: float) -> None:
    past = backtest(drawn(20, dispersion=dispersion))
    expected = forecast(drawn(20, dispersion=dispersion))
    coming = drawn(10, dispersion=dispersion, seed=77).counts.reshape(10, 168)

    bounds = [interval(mean, past.dispersion) for mean in expected.means]
    inside = [low <= one <= high for week in coming for (low, high), one in zip(bounds, week, strict=True)]

    # Counts are whole, so that an interval of nine in ten holds a little more.
    assert 0.88 < past.covered < 0.95
    assert 0.88 < sum(inside) / len(inside) < 0.95


def test_the_backtest_knows_nothing_of_what_it_forecasts() -> None:
    """Ten times as much in the last week changes the forecasts of no earlier one, and is itself not foreseen."""
    series = drawn(6)
    raised = Series(series.first_day, series.counts.copy())
    raised.counts[-7:] *= 10

    assert backtest(raised).wape > 0.5
    assert backtest(raised).bias < -0.5
    assert backtest(Series(MONDAY, raised.counts[:-7])) == backtest(Series(MONDAY, series.counts[:-7]))


@pytest.mark.parametrize("mean", [0.3, 1.0, 4.7, 60.0, 900.0])
def test_the_floor_is_how_far_chance_is_off(mean: float) -> None:
    numbers = np.random.default_rng(3).poisson(mean, 400_000)

    assert poisson_off(mean) == pytest.approx(np.abs(numbers - mean).mean(), rel=0.01)


@pytest.mark.parametrize(("mean", "dispersion"), [(0.4, 1.0), (12.0, 1.0), (12.0, 2.5), (900.0, 1.0), (900.0, 40.0)])
def test_the_interval_holds_what_it_says(mean: float, dispersion: float) -> None:
    rng = np.random.default_rng(9)
    rates = mean if dispersion == 1 else rng.gamma(mean / (dispersion - 1), dispersion - 1, 300_000)
    numbers = rng.poisson(rates, 300_000)
    low, high = interval(mean, dispersion)

    assert (numbers < low).mean() <= 0.051
    assert (numbers > high).mean() <= 0.051
    assert (numbers <= low).mean() >= 0.048
    assert (numbers >= high).mean() >= 0.048


def test_ends_that_a_file_does_not_hold_whole_are_left_out() -> None:
    series = drawn(2)

    assert whole_days(series).first_day == date(2026, 1, 6)
    assert len(whole_days(series).counts) == 12
    assert len(whole_days(Series(MONDAY, series.counts[:8])).counts) == 8


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(ValueError, match="no moments"):
        counted([], "UTC")
    with pytest.raises(ValueError, match="wanted at most 3700"):
        counted([0, at("2026-01-01 00:00")], "UTC")
    with pytest.raises(ValueError, match="wanted 0 on, 1 on"):
        interval(3.0, 0.5)
    assert interval(0.0, 2.0) == (0, 0)
    assert poisson_off(0.0) == 0.0
    assert math.isnan(forecast(Series(MONDAY, np.ones((3, 24), np.int64))).backtest.wape)
