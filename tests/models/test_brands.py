import pytest

from models.brands import (
    Brand,
    Minutes,
    PromiseKind,
    RepProfile,
    ServiceLevel,
    Shift,
    Tenant,
    brand_of,
    handle_key,
    handles_used_twice,
    level_on,
    promised_min,
    rep_of,
    shifts_that_overlap,
)
from models.labels import Triage

LEVEL = ServiceLevel(
    next_answer=Minutes(at_once=1, urgent=2, important=3, less=4),
    resolution=Minutes(important=1440),
    platforms={"x": ServiceLevel(first_answer=Minutes(at_once=0.5, urgent=1))},
)


@pytest.mark.parametrize(
    ("kind", "triage", "platform", "minutes"),
    [
        ("first_answer", "at_once", "", 5),
        ("first_answer", "urgent", "", 15),
        ("first_answer", "important", "mastodon", 60),
        ("first_answer", "less", "", 240),
        ("first_answer", "spam", "", None),
        ("first_answer", "at_once", "x", 0.5),
        ("first_answer", "less", "x", None),
        ("next_answer", "less", "", 4),
        ("next_answer", "urgent", "x", 1),
        ("resolution", "important", "", 1440),
        ("resolution", "urgent", "", None),
        ("resolution", "important", "x", None),
    ],
)
def test_a_promise_depends_on_kind_triage_and_platform(
    kind: PromiseKind, triage: Triage, platform: str, minutes: float | None
) -> None:
    assert promised_min(LEVEL, kind, triage, platform) == minutes


def test_a_platform_without_an_override_has_the_brands_level() -> None:
    assert level_on(LEVEL, "mastodon") is LEVEL


def test_brands_and_reps_are_found_by_id() -> None:
    brand = Brand(id="b", name="B", service_level=LEVEL)
    rep = RepProfile(id="anna", name="Anna")
    tenant = Tenant(id="t", name="T", brands=(brand,), reps=(rep,))

    assert (brand_of(tenant, "b"), brand_of(tenant, "c")) == (brand, None)
    assert (rep_of(tenant, "anna"), rep_of(tenant, "b")) == (rep, None)


def test_handles_are_compared_without_at_and_case() -> None:
    assert handle_key(" @FennKom ") == handle_key("fennkom")


def test_a_handle_of_two_brands_is_told_with_both() -> None:
    brands = [
        Brand(id=name, name=name, service_level=LEVEL, handles=handles)
        for name, handles in [("a", ("one", "One")), ("b", ("two",)), ("c", ("@ONE",))]
    ]

    assert list(handles_used_twice(brands)) == [("@ONE", 0, 2)]


@pytest.mark.parametrize(
    ("week", "clash"),
    [
        pytest.param([], None, id="none"),
        pytest.param([Shift(0, 480, 720), Shift(0, 720, 1080)], None, id="touching"),
        pytest.param([Shift(0, 480, 721), Shift(0, 720, 1080)], (0, 1), id="one minute"),
        pytest.param([Shift(0, 1320, 1800), Shift(1, 300, 600)], (0, 1), id="into the next day"),
        pytest.param([Shift(6, 1320, 1800), Shift(0, 300, 600)], (0, 1), id="sunday into monday"),
        pytest.param([Shift(6, 1320, 1800), Shift(0, 360, 600)], None, id="sunday up to monday"),
        pytest.param([Shift(0, 0, 1440)], None, id="one alone"),
    ],
)
def test_shifts_that_share_a_minute_are_found(week: list[Shift], clash: tuple[int, int] | None) -> None:
    found = shifts_that_overlap(week)

    assert found == (None if clash is None else (week[clash[0]], week[clash[1]]))
