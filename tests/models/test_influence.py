from datetime import UTC, datetime

import pytest
from msgspec.structs import replace

from models.brands import Brand, ServiceLevel
from models.influence import NEUTRAL, SCALES, USUAL, Influence, Scale, cost_factor, engagement_of, influence_of
from models.posts import Author, Metrics

BRAND = Brand(id="b", name="B", service_level=ServiceLevel(), vip=("@Anna_Presse", "max"))
NOW = int(datetime(2026, 11, 4, tzinfo=UTC).timestamp() * 1000)
DAY = 86_400_000


def score(author: Author, platform: str = "x", metrics: Metrics | None = None, brand: Brand = BRAND) -> float:
    return influence_of(brand, author, platform, NOW, metrics).score


def test_an_author_of_whom_nothing_is_known_is_neutral() -> None:
    assert influence_of(BRAND, Author(), "messenger", NOW) == Influence(NEUTRAL, {})


@pytest.mark.parametrize("platform", [*SCALES, "elsewhere"])
def test_the_median_author_of_a_platform_is_neutral(platform: str) -> None:
    median = int(SCALES.get(platform, USUAL).followers)

    assert score(Author(followers=median), platform) == NEUTRAL


def test_more_followers_never_count_less_and_stay_within_their_part() -> None:
    scores = [score(Author(followers=count)) for count in (0, 1, 10, 100, 1_000, 10_000, 1_000_000, 10**9)]

    assert scores == sorted(scores)
    assert len(set(scores)) == len(scores)
    assert scores[0] >= 0.2
    assert scores[-1] <= 0.8


def test_a_platforms_own_scale_decides_what_many_followers_are() -> None:
    author = Author(followers=1_000)

    assert score(author, "reddit") > score(author, "x") > NEUTRAL
    own = influence_of(BRAND, author, "x", NOW, scales={"x": Scale(followers=100_000)})
    assert own.score < NEUTRAL


def test_the_parts_add_up_to_the_score() -> None:
    author = Author(followers=5_000, verified=True, created_at=NOW - 2_000 * DAY)
    found = influence_of(BRAND, author, "mastodon", NOW, Metrics(likes=40, reposts=10, replies=3))

    assert set(found.parts) == {"followers", "verified", "age", "engagement"}
    assert found.score == pytest.approx(NEUTRAL + sum(found.parts.values()), abs=0.001)


def test_a_new_account_loses_and_an_old_one_gains() -> None:
    assert score(Author(created_at=NOW - DAY)) < NEUTRAL < score(Author(created_at=NOW - 700 * DAY))
    assert score(Author(created_at=datetime(2015, 1, 1, tzinfo=UTC))) > NEUTRAL
    assert score(Author(created_at=NOW + DAY)) < NEUTRAL


def test_not_verified_is_no_blemish() -> None:
    assert score(Author(verified=False)) == NEUTRAL < score(Author(verified=True))


def test_a_bot_counts_less() -> None:
    assert score(Author(is_bot=True)) == pytest.approx(0.3)


@pytest.mark.parametrize("handle", ["anna_presse", "@ANNA_Presse", "Max"])
def test_a_vip_has_the_full_score_whatever_else_is_known(handle: str) -> None:
    found = influence_of(BRAND, Author(handle=handle, followers=0, is_bot=True), "x", NOW)

    assert found.score == 1.0
    assert found.parts["vip"] == pytest.approx(0.5 - found.parts["followers"] - found.parts["bot"], abs=0.002)


def test_a_brand_can_switch_it_off() -> None:
    off = replace(BRAND, influence=False)

    assert score(Author(handle="max", followers=10**6), brand=off) == NEUTRAL
    assert cost_factor(Influence(1.0), off) == 1.0


@pytest.mark.parametrize(
    ("value", "cap", "factor"),
    [(0.0, 2.0, 1.0), (0.5, 2.0, 1.0), (0.75, 2.0, 1.5), (1.0, 2.0, 2.0), (1.0, 1.0, 1.0), (1.0, 4.0, 4.0)],
)
def test_its_effect_is_capped_and_slows_nobody_down(value: float, cap: float, factor: float) -> None:
    assert cost_factor(Influence(value), replace(BRAND, influence_cap=cap)) == factor


def test_engagement_is_unknown_only_where_the_platform_tells_nothing() -> None:
    assert engagement_of(None) is None
    assert engagement_of(Metrics(views=100)) is None
    assert engagement_of(Metrics(likes=0)) == 0
    assert engagement_of(Metrics(likes=1, replies=2, reposts=3)) == 9
