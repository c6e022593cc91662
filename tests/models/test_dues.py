"""The figures that are kept up are what counting all open cases gives."""

from collections import Counter

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule
from msgspec.structs import replace

from models import dues
from models.cases import Case, CaseState
from models.dues import SOON_MS, Dues
from tests.builders import NOW, a_case, counted_figures


def assert_told(kept: Dues, now: int, cases: dict[str, Case]) -> None:
    told, wanted = kept.tell(now, cases), counted_figures(now, cases)
    assert (Counter(told.soon), Counter(told.late), told.oldest) == (wanted.soon, wanted.late, wanted.oldest)


class Floors(RuleBasedStateMachine):
    """Cases come, change and end; seconds and hours pass."""

    def __init__(self) -> None:
        super().__init__()
        self.dues, self.now = Dues(), NOW
        self.cases: dict[str, Case] = {}

    @rule(
        number=st.integers(0, 5),
        brand=st.sampled_from(["fennkom", "kranich"]),
        state=st.sampled_from(["queued", "offered", "reopened", "working"]),
        awaits=st.booleans(),
        due=st.sampled_from([-1, 0, 1, SOON_MS - 1, SOON_MS, SOON_MS + 1, 2 * SOON_MS]),
        received=st.integers(0, 3),
    )
    def a_case_stands(self, number: int, brand: str, state: CaseState, awaits: bool, due: int, received: int) -> None:
        self.cases[f"c{number}"] = replace(
            a_case(f"c{number}", brand_id=brand, state=state),
            awaits_answer=awaits,
            due_at=NOW + due,
            received_at=NOW - received,
        )
        self.dues.change(f"c{number}")

    @rule(number=st.integers(0, 5))
    def a_case_ends(self, number: int) -> None:
        if self.cases.pop(f"c{number}", None) is not None:
            self.dues.change(f"c{number}")

    @rule(by=st.sampled_from([0, 1, 2, SOON_MS - 1, SOON_MS, SOON_MS + 1]))
    def time_passes(self, by: int) -> None:
        self.now += by

    @rule()
    def figures_are_told(self) -> None:
        assert_told(self.dues, self.now, self.cases)


TestFloors = Floors.TestCase
TestFloors.settings = settings(max_examples=80, stateful_step_count=40, deadline=None)


def test_what_is_gone_does_not_fill_the_heaps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dues, "DEAD_MAX", 4)
    kept, cases = Dues(), {}
    for number in range(100):  # One waits for ever, the others come and go behind it.
        name = f"c{min(number, 1)}"
        cases[name] = replace(a_case(name, state="queued"), received_at=NOW + number, due_at=NOW + SOON_MS + number)
        kept.change(name)
        assert_told(kept, NOW, cases)

    assert max(len(kept._next), *map(len, kept._queued.values())) <= 2 * 2 + 4 + 1
