"""Erlang C and A against published values, against sums that share nothing with them, and against a queue that is played."""

import heapq
import math
import random
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.staffing import REPS_MAX, Load, Waits, erlang_b, erlang_c, reps_needed, share_in_time, waits


def by_definition(reps: int, offered: Fraction) -> tuple[Fraction, Fraction]:
    """Return Erlang B and C as the textbook writes them, in whole numbers."""
    terms = [offered**k / math.factorial(k) for k in range(reps + 1)]
    blocked = terms[-1] / sum(terms)
    tail = terms[-1] * reps / (reps - offered)
    return blocked, tail / (sum(terms[:-1]) + tail)


@pytest.mark.parametrize("reps", [1, 2, 5, 17, 60])
@pytest.mark.parametrize("share", [Fraction(1, 10), Fraction(7, 10), Fraction(99, 100)])
def test_b_and_c_are_what_their_definitions_say(reps: int, share: Fraction) -> None:
    blocked, waiting = by_definition(reps, reps * share)

    assert erlang_b(reps, float(reps * share)) == pytest.approx(float(blocked), rel=1e-12)
    assert erlang_c(reps, float(reps * share)) == pytest.approx(float(waiting), rel=1e-12)


@pytest.mark.parametrize(
    ("reps", "offered", "blocked"),
    # Of the published tables of Erlang B (load in erlangs that loses 1 % and 0.1 %), to the digits that they print.
    [(1, 0.0101, 0.01), (5, 1.361, 0.01), (10, 4.461, 0.01), (20, 12.03, 0.01), (100, 84.06, 0.01), (10, 3.092, 0.001)],
)
def test_b_agrees_with_the_printed_tables(reps: int, offered: float, blocked: float) -> None:
    assert erlang_b(reps, offered) == pytest.approx(blocked, rel=2e-3)


def test_c_agrees_with_a_published_example() -> None:
    """pyworkforce's own: 100 calls in half an hour of 3 minutes, 20 s, 14 positions: its docs print 0.8883500191794669."""
    load = Load(arrivals_per_h=200, handling_s=180)

    assert share_in_time(load, 14, 20) == pytest.approx(0.8883500191794669, rel=1e-12)
    assert waits(load, 14).share_waiting == pytest.approx(0.1741319335950498, rel=1e-12)
    assert waits(load, 14).occupancy == pytest.approx(10 / 14)
    assert reps_needed(load, 0.8, 20) == 14


@pytest.mark.parametrize("reps", [300, 1_000, 5_000])
def test_hundreds_and_thousands_of_reps_neither_overflow_nor_vanish(reps: int) -> None:
    load = Load(arrivals_per_h=reps * 0.98 * 10, handling_s=360)
    impatient = Load(arrivals_per_h=reps * 1.3 * 10, handling_s=360, patience_s=600)

    # Halfin and Whitt (1981): C tends to 1 / (1 + beta Phi(beta) / phi(beta)), beta = (1 - rho) sqrt(reps).
    beta = 0.02 * math.sqrt(reps)
    density, below = math.exp(-beta * beta / 2) / math.sqrt(2 * math.pi), (1 + math.erf(beta / math.sqrt(2))) / 2
    assert waits(load, reps).share_waiting == pytest.approx(1 / (1 + beta * below / density), rel=0.03)
    # In overload what is too much gives up, and the others wait until so many have.
    assert waits(impatient, reps).share_given_up == pytest.approx(1 - 1 / 1.3, rel=1e-3)
    assert share_in_time(impatient, reps, 0.5 * 600 * math.log(1.3)) < 0.01
    assert share_in_time(impatient, reps, 2 * 600 * math.log(1.3)) == pytest.approx(1 / 1.3, rel=1e-3)


def palm(load: Load, reps: int) -> tuple[float, float]:
    """
    Return Erlang A's shares that wait and that give up as Palm has them, by the series A(x, y).

    Garnett, Mandelbaum, Reiman (2002): P(wait) = A E / (1 + (A - 1) E) with Erlang B's E and A = A(n mu / theta, lambda / theta);
    P(give up | wait) = 1 / (rho A) + 1 - 1 / rho.
    """
    assert load.patience_s is not None
    x, y = reps * load.patience_s / load.handling_s, load.arrivals_per_h / 3600 * load.patience_s
    series, term, j = 1.0, 1.0, 0
    while term > 1e-18 * series:
        j += 1
        term *= y / (x + j)
        series += term
    blocked, rho = erlang_b(reps, y / x * reps), y / x
    waiting = series * blocked / (1 + (series - 1) * blocked)
    return waiting, waiting * (1 / (rho * series) + 1 - 1 / rho)


@pytest.mark.parametrize("patience_s", [20.0, 120.0, 900.0])
@pytest.mark.parametrize("rho", [0.5, 0.95, 1.0, 1.4])
@pytest.mark.parametrize("reps", [1, 8, 60])
def test_a_agrees_with_palms_formulas(reps: int, rho: float, patience_s: float) -> None:
    load = Load(arrivals_per_h=reps * rho * 20, handling_s=180, patience_s=patience_s)

    waiting, given_up = palm(load, reps)
    found = waits(load, reps)

    assert found.share_waiting == pytest.approx(waiting, rel=1e-9)
    assert found.share_given_up == pytest.approx(given_up, rel=1e-8, abs=1e-13)
    assert found.occupancy == pytest.approx(rho * (1 - given_up), rel=1e-8)
    # Who is ever taken up is all but those who gave up.
    assert share_in_time(load, reps, 1e9) == pytest.approx(1 - given_up, rel=1e-8)
    assert share_in_time(load, reps, 0) == pytest.approx(1 - waiting, rel=1e-9)


def test_a_with_endless_patience_is_c() -> None:
    patient, endless = Load(200, 180, patience_s=1e8), Load(200, 180)

    for within_s in (0, 5, 20, 200):
        assert share_in_time(patient, 12, within_s) == pytest.approx(share_in_time(endless, 12, within_s), rel=1e-5)
    assert waits(patient, 12).mean_wait_s == pytest.approx(waits(endless, 12).mean_wait_s, rel=1e-4)


def played(load: Load, reps: int, within_s: float, count: int, seed: int) -> tuple[float, float, float]:
    """Return the shares taken up in time and given up, and the mean wait, of a queue that is played."""
    draw = random.Random(seed)
    free = [0.0] * reps
    at, in_time, given_up, waited = 0.0, 0, 0, 0.0
    for _ in range(count):
        at += draw.expovariate(load.arrivals_per_h / 3600)
        patience = draw.expovariate(1 / load.patience_s) if load.patience_s else math.inf
        wait = max(0.0, free[0] - at)
        if wait > patience:
            given_up += 1
            waited += patience
            continue
        heapq.heapreplace(free, max(free[0], at) + draw.expovariate(1 / load.handling_s))
        waited += wait
        in_time += wait <= within_s
    return in_time / count, given_up / count, waited / count


@pytest.mark.parametrize(
    ("load", "reps"),
    [
        pytest.param(Load(100, 300), 10, id="C"),
        pytest.param(Load(100, 300, 240), 8, id="A at its load"),
        pytest.param(Load(100, 300, 240), 6, id="A overloaded"),
        pytest.param(Load(600, 60, 30), 12, id="A in a hurry"),
    ],
)
def test_a_queue_that_is_played_comes_out_as_reckoned(load: Load, reps: int) -> None:
    in_time, given_up, waited = played(load, reps, 45, 200_000, seed=3)
    found = waits(load, reps)

    assert in_time == pytest.approx(share_in_time(load, reps, 45), abs=0.01)
    assert given_up == pytest.approx(found.share_given_up, abs=0.006)
    assert waited == pytest.approx(found.mean_wait_s, rel=0.05)


loads = st.builds(
    Load,
    st.floats(0.01, 3_000),
    st.floats(5, 3_000),
    st.none() | st.floats(5, 20_000),
)


@settings(deadline=None)
@given(loads, st.integers(1, 400), st.floats(0, 5_000))
def test_more_reps_and_more_time_are_never_worse(load: Load, reps: int, within_s: float) -> None:
    share = share_in_time(load, reps, within_s)

    assert 0 <= share <= 1
    assert share_in_time(load, reps + 1, within_s) >= share - 1e-7
    assert share_in_time(load, reps, within_s + 10) >= share - 1e-7
    assert waits(load, reps + 1).mean_wait_s <= waits(load, reps).mean_wait_s * (1 + 1e-9)
    assert 0 <= waits(load, reps).occupancy <= 1 + 1e-12


@settings(deadline=None)
@given(loads.filter(lambda load: load.arrivals_per_h * load.handling_s < 3_600_000), st.floats(0.01, 0.97))
def test_the_number_of_reps_is_enough_and_one_less_is_not(load: Load, share: float) -> None:
    reps = reps_needed(load, share, 60, occupancy_max=0.9)

    def is_enough(count: int) -> bool:
        return share_in_time(load, count, 60) >= share and waits(load, count).occupancy <= 0.9

    assert is_enough(reps)
    assert not is_enough(reps - 1)


def test_nothing_to_do_needs_nobody_and_nobody_does_nothing() -> None:
    assert reps_needed(Load(0, 300), 0.9, 60) == 0
    assert share_in_time(Load(10, 300), 0, 60) == 0.0
    assert waits(Load(10, 300), 0) == Waits(0, 10 * 300 / 3600, 1.0, 1.0, math.inf, 0.0)
    assert waits(Load(100, 300), 8).mean_wait_s == math.inf
    assert share_in_time(Load(100, 300), 8, 3_600) == 0.0


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: waits(Load(-1, 300), 3), "wanted arrivals of 0 or more"),
        (lambda: waits(Load(1, 0), 3), "handling and patience above 0"),
        (lambda: waits(Load(1, 300, 0), 3), "handling and patience above 0"),
        (lambda: erlang_b(-1, 3), f"-1 reps for 3 erlangs; wanted 0 to {REPS_MAX} reps"),
        (lambda: erlang_c(3, math.inf), "3 reps for inf erlangs"),
        (lambda: share_in_time(Load(1, 300), 3, -5), "within -5 s; wanted 0 or more"),
        (lambda: reps_needed(Load(1, 300), 1.5, 5), "share 1.5"),
        (lambda: reps_needed(Load(9e6, 3600), 0.9, 5), f"takes over {REPS_MAX} reps"),
    ],
)
def test_what_cannot_be_is_refused(call: object, said: str) -> None:
    assert callable(call)
    with pytest.raises(ValueError, match=said):
        call()
