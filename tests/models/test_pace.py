import random

from hypothesis import given
from hypothesis import strategies as st

from models.pace import MINUTE_MS, SECOND_MS, Pace

X = ("alster", "x", "main")


def test_six_a_minute_are_one_a_second_and_six_in_all() -> None:
    pace, sent = Pace(), []
    for second in range(60):
        now = second * SECOND_MS
        for _ in range(pace.free(X, now, 6)):
            pace.note(X, now)
            sent.append(second)

    assert sent == [0, 1, 2, 3, 4, 5]
    assert pace.free(X, MINUTE_MS, 6) == 1


def test_accounts_do_not_wait_for_each_other() -> None:
    pace = Pace()
    pace.note(X, 0)

    assert (pace.free(X, 0, 6), pace.free(("alster", "x", "other"), 0, 6)) == (0, 1)


@given(st.integers(1, 600), st.lists(st.integers(0, 3_000), min_size=1, max_size=200))
def test_no_minute_and_no_second_has_more_than_it_may(per_min: int, steps: list[int]) -> None:
    pace, now, sent = Pace(), 0, []
    for step in steps:
        now += step
        for _ in range(pace.free(X, now, per_min)):
            pace.note(X, now)
            sent.append(now)
    for at in sent:
        assert sum(1 for other in sent if at - MINUTE_MS < other <= at) <= per_min
        assert sum(1 for other in sent if at - SECOND_MS < other <= at) <= -(-per_min // 60)


def test_times_read_from_rows_in_any_order_count_as_those_that_were_noted() -> None:
    times = [second * 700 for second in range(50)]
    noted, read = Pace(), Pace()
    for at in times:
        noted.note(X, at)
    for at in random.Random(1).sample(times, len(times)):
        read.note(X, at)

    assert [noted.free(X, at, 60) for at in range(35_000, 100_000, 500)] == [
        read.free(X, at, 60) for at in range(35_000, 100_000, 500)
    ]
