"""
How many reps it takes: Erlang C for customers who wait for ever, Erlang A for customers who give up.

Both take arrivals as Poisson and handling as exponential, one queue in the order of arrival, every rep able to do all. What the
engine does is better than that (it saves what is due first) and worse (skills, shifts, lognormal handling), so a number from
here is a first one, and the simulator has the last word.

Sources: A. K. Erlang (1917); the recursion of B over numbers of reps stands in any textbook of teletraffic. Erlang A: C. Palm
(1957); O. Garnett, A. Mandelbaum, M. Reiman, "Designing a call center with impatient customers" (2002); the integral form is
that of S. Zeltyn and A. Mandelbaum, "Call centers with impatient customers: many-server asymptotics of the M/M/n+G queue" (2005).
"""

import math
from collections.abc import Callable
from typing import Final

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

REPS_MAX: Final = 20_000  # Beyond it nobody plans with one queue; the search for a number of reps ends here.
_GONE: Final = 45.0  # exp(-45) is 3e-20: what is so much rarer than the likeliest is nothing in a double.
_GAUSS: Final = np.polynomial.legendre.leggauss(24)  # Per panel: 1e-10 of the whole for what is integrated here.


class Load(Struct, frozen=True):
    """What comes, and how long it takes."""

    arrivals_per_h: float
    """At least 0."""
    handling_s: float
    """Mean time of a rep on one request, above 0."""
    patience_s: float | None = None
    """Mean time after which a waiting customer gives up, above 0; None: never."""


class Waits(Struct, frozen=True):
    """What a number of reps makes of a load, in the long run."""

    reps: int
    erlangs: float
    """Reps who would be busy if nobody gave up: arrivals times handling."""
    occupancy: float
    """Share 0..1 of the reps' time spent on requests."""
    share_waiting: float
    """Of all who come, 0..1."""
    mean_wait_s: float
    """Of all who come, those who do not wait and those who give up included; infinite if the queue grows without end."""
    share_given_up: float


def erlangs(load: Load) -> float:
    """Return the offered load: reps who would be busy if nobody gave up."""
    if load.arrivals_per_h < 0 or load.handling_s <= 0 or (load.patience_s is not None and load.patience_s <= 0):
        raise ValueError(f"{load}; wanted arrivals of 0 or more, handling and patience above 0")
    return load.arrivals_per_h * load.handling_s / 3600


def erlang_b(reps: int, offered: float) -> float:
    """
    Return the share of requests that find all reps busy where none can wait, 0..1.

    The recursion 1/B(n) = 1 + n/a · 1/B(n-1) has no factorials, so that it holds for thousands of reps.

    Args:
        reps: At least 0.
        offered: Load in erlangs, at least 0.
    """
    _checked(reps, offered)
    if offered == 0:
        return 0.0 if reps else 1.0
    share = 1.0
    for n in range(1, reps + 1):
        share = offered * share / (n + offered * share)
    return share


def erlang_c(reps: int, offered: float) -> float:
    """
    Return the share of requests that wait, 0..1, where nobody gives up; 1 if the load is not below the reps.

    C = B / (1 - rho (1 - B)) with rho = offered / reps.
    """
    _checked(reps, offered)
    if offered >= reps:
        return 1.0
    blocked = erlang_b(reps, offered)
    return blocked / (1 - offered / reps * (1 - blocked))


def _checked(reps: int, offered: float) -> None:
    if not 0 <= reps <= REPS_MAX or offered < 0 or not math.isfinite(offered):
        raise ValueError(f"{reps} reps for {offered} erlangs; wanted 0 to {REPS_MAX} reps and a load of 0 or more")


def waits(load: Load, reps: int) -> Waits:
    """Return what becomes of a load with so many reps: by Erlang A where customers give up, else by Erlang C."""
    offered = erlangs(load)
    _checked(reps, offered)
    if offered == 0:
        return Waits(reps, 0.0, 0.0, 0.0 if reps else 1.0, 0.0, 0.0)
    if load.patience_s is not None:
        return _waits_a(load, reps, offered)
    if offered >= reps:
        return Waits(reps, offered, 1.0, 1.0, math.inf, 0.0)
    share = erlang_c(reps, offered)
    return Waits(reps, offered, offered / reps, share, share * load.handling_s / (reps - offered), 0.0)


def share_in_time(load: Load, reps: int, within_s: float) -> float:
    """
    Return the share of all who come whom a rep takes up within a time, 0..1; who gives up before is not in time.

    Args:
        load: What comes.
        reps: At least 0.
        within_s: At least 0; 0 asks for the share that does not wait at all.
    """
    if within_s < 0:
        raise ValueError(f"within {within_s} s; wanted 0 or more")
    offered = erlangs(load)
    _checked(reps, offered)
    if offered == 0 or reps == 0:
        return 1.0 if reps else 0.0
    if load.patience_s is not None:
        return _in_time_a(load, reps, within_s)
    if offered >= reps:
        return 0.0
    return 1 - erlang_c(reps, offered) * math.exp(-(reps - offered) * within_s / load.handling_s)


def reps_needed(load: Load, share: float, within_s: float, *, occupancy_max: float = 1.0) -> int:
    """
    Return the least number of reps that takes up a share of all who come within a time.

    Args:
        load: What comes.
        share: 0..1, below 1 where there is anything to do.
        within_s: At least 0.
        occupancy_max: Share of their time that reps may be busy at most, above 0: beyond about 0.9 people do not last.

    Raises:
        ValueError: If not even ``REPS_MAX`` are enough.
    """
    if not 0 <= share <= 1 or not 0 < occupancy_max <= 1:
        raise ValueError(f"share {share}, occupancy {occupancy_max}; wanted both in 0..1, the second above 0")
    if erlangs(load) == 0:
        return 0
    low, high = 0, 1
    while not _is_enough(load, high, share, within_s, occupancy_max):
        low, high = high, high * 2
        if low >= REPS_MAX:
            raise ValueError(f"{load} within {within_s} s for {share:.2%} takes over {REPS_MAX} reps")
        high = min(high, REPS_MAX)
    while high - low > 1:  # More reps are never worse, so the border can be halved.
        middle = (low + high) // 2
        if _is_enough(load, middle, share, within_s, occupancy_max):
            high = middle
        else:
            low = middle
    return high


def _is_enough(load: Load, reps: int, share: float, within_s: float, occupancy_max: float) -> bool:
    return share_in_time(load, reps, within_s) >= share and waits(load, reps).occupancy <= occupancy_max


# -- Erlang A -------------------------------------------------------------------------------------------------------


def _waits_a(load: Load, reps: int, offered: float) -> Waits:
    """Return the figures of the chain of states: how many are there, and with which probability."""
    assert load.patience_s is not None
    busy, queued = _states_a(load, reps, offered)
    waiting = float(queued.sum())
    ahead = float(queued @ np.arange(len(queued)))
    # Little's law: those who wait are arrivals times their mean wait; each of them gives up at the rate 1/patience.
    mean_wait_s = ahead / (load.arrivals_per_h / 3600)
    given_up = min(1.0, mean_wait_s / load.patience_s)
    occupancy = 0.0 if reps == 0 else (float(busy @ np.arange(reps)) + reps * waiting) / reps
    return Waits(reps, offered, occupancy, waiting, mean_wait_s, given_up)


def _states_a(load: Load, reps: int, offered: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """
    Return the long-run probabilities of Erlang A's states.

    Each state's is the one before times arrivals over departures; taken as sums of logarithms they neither overflow nor vanish.

    Returns:
        Of 0 to ``reps`` - 1 requests, all with a rep; of ``reps``, ``reps`` + 1, ... requests, so that 0, 1, ... wait.
    """
    assert load.patience_s is not None
    leave = load.handling_s / load.patience_s  # Departures of one who waits, in those of one who is served.
    queue_max = _queue_max(reps, offered, leave)
    counts = np.arange(1, reps + queue_max + 1)
    departures = np.minimum(counts, reps) + np.maximum(counts - reps, 0) * leave
    logs = np.concatenate([[0.0], np.cumsum(math.log(offered) - np.log(departures))])
    weights = np.exp(logs - logs.max())
    weights /= weights.sum()
    return weights[:reps], weights[reps:]


def _queue_max(reps: int, offered: float, leave: float) -> int:
    """Return a length of the queue that is as good as never passed."""
    # Where departures balance arrivals, and from there so far that a Poisson number of this mean does not come.
    balance = max(0.0, (offered - reps) / leave)
    spread = balance + offered / leave
    return int(balance + 12 * math.sqrt(spread) + 200 / max(leave, 1e-3) ** 0.5 + 200)


def _in_time_a(load: Load, reps: int, within_s: float) -> float:
    """
    Return the share taken up within a time.

    Of a customer who never gave up, the wait V has on v > 0 a density proportional to exp(f(v)) with f(v) = arrivals · (1 -
    exp(-v/patience)) · patience - reps · v / handling; whoever comes is still there at v with probability exp(-v/patience).
    """
    assert load.patience_s is not None
    _, queued = _states_a(load, reps, erlangs(load))
    waiting = float(queued.sum())
    if within_s == 0:
        return max(0.0, 1 - waiting)
    rate, patience_s, work = load.arrivals_per_h / 3600, load.patience_s, reps / load.handling_s
    # The exponent is concave: it rises while more come (and stay) than can be served, then falls for ever.
    peak_s = max(0.0, patience_s * math.log(rate / work)) if rate > work else 0.0

    def exponent(v: NDArray[np.float64]) -> NDArray[np.float64]:
        found: NDArray[np.float64] = rate * patience_s * -np.expm1(-v / patience_s) - work * v
        return found

    top = float(exponent(np.array([peak_s]))[0])
    last_s = peak_s + 1 / work
    while float(exponent(np.array([last_s]))[0]) > top - _GONE:
        last_s = peak_s + 2 * (last_s - peak_s)
    first_s = _rises_from(lambda v: float(exponent(np.array([v]))[0]) - top, peak_s)

    def mass(near: float, far: float, *, stays: bool) -> float:
        v, weights = _nodes(near, far, min(patience_s, 1 / work) / 2)
        return float(weights @ np.exp(exponent(v) - top - (v / patience_s if stays else 0.0)))

    whole = mass(peak_s, first_s, stays=False) + mass(peak_s, last_s, stays=False)
    low, high = min(within_s, peak_s), min(within_s, last_s)
    served = mass(low, first_s, stays=True) + (mass(peak_s, high, stays=True) if high > peak_s else 0.0)
    return min(1.0, max(0.0, 1 - waiting) + waiting * served / whole)


def _rises_from(below: Callable[[float], float], peak_s: float) -> float:
    """Return the time before the peak from which on anything is to be counted."""
    if peak_s == 0 or below(0.0) > -_GONE:
        return 0.0
    low, high = 0.0, peak_s
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (low, middle) if below(middle) > -_GONE else (middle, high)
    return low


def _nodes(near: float, far: float, width: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """
    Return points and weights of a quadrature between two times, whichever is the later.

    Panels of Gauss-Legendre, the first so wide and each the double of the one before: what is integrated falls off from
    ``near`` on, over times of several scales.
    """
    length = abs(far - near)
    count = max(1, math.ceil(math.log2(1 + length / width)))
    edges = np.minimum(width * (2.0 ** np.arange(count + 1) - 1), length)
    half, middle = np.diff(edges) / 2, (edges[1:] + edges[:-1]) / 2
    away = (middle[:, None] + half[:, None] * _GAUSS[0]).ravel()
    return near + math.copysign(1, far - near) * away, (half[:, None] * _GAUSS[1]).ravel()
