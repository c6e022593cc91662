"""
What will come, by hour of the week: the mean of the last same hours, and how far off it was.

The mean of the last four same hours did as well as seasonal decomposition on hourly weeks (notes of the project: 15.2 % against
15.2 %, the last same hour alone 17.1 %, the best that is possible 13.9 %), and anybody can check it by hand. Its error is not
assumed but measured: each past hour is forecast from what lay before it alone.
"""

import math
from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

HOURS_OF_WEEK: Final = 168
"""0 is Monday, 0 to 1 o'clock in the zone of the series."""
WEEKS: Final = 4  # More remembers what is no longer so, fewer is noise.
DAYS_MAX: Final = 3_700  # Ten years: what a file of another length holds are no times.
_HOUR_MS: Final = 3_600_000


class Series(Struct, frozen=True):
    """Counts of whole days, hour by hour on the clock of a zone."""

    first_day: date
    counts: NDArray[np.int64]
    """Shape (days, 24). The hour that clocks skip has none, of the one they repeat both are counted together."""


class Backtest(Struct, frozen=True):
    """How far off a forecast was, over hours that it did not know."""

    hours: int
    """So many were forecast; 0: the history is too short to say anything."""
    wape: float
    """Sum of what it was off by, over the sum of what came, from 0 on."""
    naive_wape: float
    """Of the last same hour alone, over the same hours."""
    floor_wape: float
    """Of a forecast that knew every mean: chance alone is so far off."""
    bias: float
    """Forecast over what came, less 1: above 0 it was too high."""
    dispersion: float
    """Variance over mean of what came around the forecast, at least 1; 1 is chance alone."""
    covered: float
    """Share 0..1 of the hours that lay within the interval of ``INTERVAL``."""


class Forecast(Struct, frozen=True):
    """What is expected of a week's hours."""

    means: tuple[float, ...]
    """168 numbers, from Monday's first hour on."""
    weeks: int
    """Same hours that a mean was made of, 1..``WEEKS``; 0 where days of one week stand in for each other."""
    backtest: Backtest


INTERVAL: Final = 0.9
"""Share of hours that should lie within the interval that is told."""
NOT_TESTED: Final = Backtest(0, math.nan, math.nan, math.nan, math.nan, 1.0, math.nan)


def counted(times: Iterable[int], zone: str) -> Series:
    """
    Count moments by day and hour.

    Args:
        times: Unix ms, in any order; at least one.
        zone: IANA name of the clock that people there live by.

    Raises:
        ValueError: If there are none, or they span more than ``DAYS_MAX`` days.
    """
    by_hour: dict[int, int] = {}
    for at in times:
        by_hour[at // _HOUR_MS] = by_hour.get(at // _HOUR_MS, 0) + 1
    if not by_hour:
        raise ValueError("no moments to count; wanted at least one")
    there = ZoneInfo(zone)
    if max(by_hour) - min(by_hour) > DAYS_MAX * 24:
        raise ValueError(f"moments over {(max(by_hour) - min(by_hour)) // 24} days; wanted at most {DAYS_MAX}")
    # Zones stand whole quarters of an hour from UTC: where they do, an hour of UTC lies in two of theirs. Its middle decides.
    walls = {hour: _wall(hour, there) for hour in by_hour}
    first, last = min(walls.values()).date(), max(walls.values()).date()
    counts = np.zeros(((last - first).days + 1, 24), np.int64)
    for hour, count in by_hour.items():
        counts[(walls[hour].date() - first).days, walls[hour].hour] += count
    return Series(first, counts)


def _wall(hour: int, zone: ZoneInfo) -> datetime:
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(hours=hour, minutes=30)
    return moment.astimezone(zone).replace(tzinfo=None)


def whole_days(series: Series) -> Series:
    """Return a series without its first and last day, which a file seldom holds whole; as it is if that leaves no week."""
    if len(series.counts) < 9:
        return series
    return Series(series.first_day + timedelta(days=1), series.counts[1:-1])


def forecast(series: Series, *, weeks: int = WEEKS) -> Forecast:
    """
    Return what a week after the series is expected to bring.

    With less than a week of days, a weekday that is missing is taken from the days that are there.
    """
    counts = series.counts
    days = [_past(counts, len(counts) + step, weeks) for step in range(7)]
    first_weekday = (series.first_day.weekday() + len(counts)) % 7
    fallback = counts.mean(axis=0)
    means = np.empty((7, 24))
    for step, past in enumerate(days):
        means[(first_weekday + step) % 7] = past.mean(axis=0) if len(past) else fallback
    return Forecast(tuple(means.ravel().tolist()), min(map(len, days)), backtest(series, weeks=weeks))


def _past(counts: NDArray[np.int64], day: int, weeks: int) -> NDArray[np.int64]:
    """Return the last same weekdays before a day, at most so many; shape (0..weeks, 24)."""
    same = [one for one in range(day - 7, day - 7 * weeks - 1, -7) if 0 <= one < len(counts)]
    return counts[same]


def backtest(series: Series, *, weeks: int = WEEKS) -> Backtest:
    """Forecast each day from the days before it alone, and say how far off that was; a day needs two same ones before it."""
    counts = series.counts
    tested = [day for day in range(14, len(counts)) if counts[day].any() or counts[day - 7].any()]
    if not tested or not counts[tested].sum():
        return NOT_TESTED
    came = counts[tested].astype(np.float64)
    means = np.array([_past(counts, day, weeks).mean(axis=0) for day in tested])
    naive = np.array([counts[day - 7] for day in tested], np.float64)
    total = came.sum()
    seen = means > 0
    dispersion = max(1.0, float(((came - means)[seen] ** 2 / means[seen]).mean())) if seen.any() else 1.0
    bounds = {mean: interval(mean, dispersion) for mean in np.unique(means)}
    inside = [bounds[mean][0] <= one <= bounds[mean][1] for mean, one in zip(means.ravel(), came.ravel(), strict=True)]
    return Backtest(
        hours=came.size,
        wape=float(np.abs(came - means).sum() / total),
        naive_wape=float(np.abs(came - naive).sum() / total),
        floor_wape=float(sum(poisson_off(mean) for mean in means.ravel()) / means.sum()) if means.any() else math.nan,
        bias=float(means.sum() / total - 1),
        dispersion=dispersion,
        covered=float(sum(inside) / came.size),
    )


def poisson_off(mean: float) -> float:
    """
    Return by how much a Poisson number is off its mean on average.

    E|X - m| = 2 exp(-m) m^(k+1) / k!, k the whole part of m (A. De Moivre, for the binomial; Crow 1958 for Poisson).
    """
    if mean <= 0:
        return 0.0
    whole = math.floor(mean)
    return 2 * math.exp(-mean + (whole + 1) * math.log(mean) - math.lgamma(whole + 1))


def interval(mean: float, dispersion: float, share: float = INTERVAL) -> tuple[int, int]:
    """
    Return the least and the greatest count to expect of an hour.

    Args:
        mean: Of the forecast, at least 0.
        dispersion: Variance over mean, at least 1: a negative binomial number above 1, a Poisson one at 1.
        share: 0..1 of such hours that lie between the two, ends included; half of the rest lies below, half above.
    """
    if mean < 0 or dispersion < 1 or not 0 < share < 1:
        raise ValueError(f"mean {mean}, dispersion {dispersion}, share {share}; wanted 0 on, 1 on, and within 0..1")
    if mean == 0:
        return 0, 0
    most = int(mean + 12 * math.sqrt(mean * dispersion) + 30 * dispersion)
    k = np.arange(1, most + 1)
    if dispersion < 1 + 1e-9:
        logs = np.concatenate([[-mean], -mean + np.cumsum(math.log(mean) - np.log(k))])
    else:
        size = mean / (dispersion - 1)
        ratios = np.log((k - 1 + size) / k) + math.log(1 - 1 / dispersion)
        logs = -size * math.log(dispersion) + np.concatenate([[0.0], np.cumsum(ratios)])
    below = np.cumsum(np.exp(logs))
    tail = (1 - share) / 2
    return int(np.searchsorted(below, tail)), min(most, int(np.searchsorted(below, 1 - tail)))


def day_of(forecast: Forecast, weekday: int) -> Sequence[float]:
    """Return the 24 means of a weekday, 0 Monday."""
    return forecast.means[weekday * 24 : weekday * 24 + 24]
