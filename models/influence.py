"""
Reach of an author: a sum of few parts, each of them shown.

The score is 0.5 for the median author of a platform; every part adds to it or takes from it. What the platform does not
tell adds nothing. So unknown is treated like the median author: neither a reward for hiding nor a punishment for a
platform that says little. What the score may do is capped (``cost_factor``), and it never slows anybody down.
"""

from collections.abc import Mapping
from functools import lru_cache
from math import log1p, tanh
from types import MappingProxyType
from typing import Final

from msgspec import Struct

from models.brands import Brand, handle_key
from models.posts import Author, Metrics, unix_ms

NEUTRAL: Final = 0.5

# How far one part can carry the score from 0.5. Followers alone never fill it, nor do all parts but the VIP list.
FOLLOWERS_MAX: Final = 0.3  # Log of followers explained most of what scores of thousands of features said.
ENGAGEMENT_MAX: Final = 0.12  # What this post has set off by its arrival: little is known then, so it counts little.
VERIFIED: Final = 0.05  # Small, since on some platforms the mark is bought.
AGE_MAX: Final = 0.05  # An account of a year or more; a new one loses as much.
BOT: Final = -0.2
_DAY_MS: Final = 86_400_000
_AGE_MIDDLE_DAYS: Final = 90.0  # Adds nothing; throw-away accounts are younger.


class Influence(Struct, frozen=True, gc=False):
    """A score 0..1 and the parts that made it."""

    score: float = NEUTRAL
    parts: dict[str, float] = {}
    """What each part adds to 0.5: followers, engagement, verified, age, bot, vip. Unknown ones are absent."""


class Scale(Struct, frozen=True, gc=False):
    """What is usual on a platform."""

    followers: float
    """Median of followers over authors who write to brands."""
    spread: float = 1.8
    """Robust deviation of log1p(followers), 1.4826 x median absolute deviation: 1.8 means that two thirds of the
    authors lie between a sixth and six times the median."""


# Orders of magnitude, set by hand and not measured: authors who post are followed by some hundreds at most platforms.
# A factor of two in a median moves a score by 0.06. An operator who has counted passes a table of his own.
SCALES: Final[Mapping[str, Scale]] = MappingProxyType(
    {
        "x": Scale(followers=200),
        "mastodon": Scale(followers=100),
        "bluesky": Scale(followers=80),
        "instagram": Scale(followers=300),
        "youtube": Scale(followers=10),
        "reddit": Scale(followers=2),
    }
)
USUAL: Final = Scale(followers=150)
"""For platforms that the table does not have."""
USUAL_ENGAGEMENT: Final = 2.0  # Likes, replies and reposts of the median post; most have none or a few.


def influence_of(
    brand: Brand,
    author: Author,
    platform: str,
    now: int,
    metrics: Metrics | None = None,
    scales: Mapping[str, Scale] = SCALES,
) -> Influence:
    """
    Return an author's reach as the brand wants it counted.

    Args:
        brand: Decides whether reach counts at all, and who is a VIP beside those whom the CRM marks.
        author: As the platform tells; every number may be None.
        platform: As in ``x``.
        now: Of the post's arrival, Unix ms; for the age of the account.
        metrics: Of the post at its arrival; None if the platform tells nothing.
        scales: What is usual, by platform.

    Returns:
        Score 0..1, rounded to three places like its parts; 0.5 without parts where the brand has switched it off.
    """
    if not brand.influence:
        return Influence()
    parts = _parts(author, scales.get(platform, USUAL), now, metrics)
    if author.vip or (author.handle and handle_key(author.handle) in _vip_keys(brand.vip)):
        parts["vip"] = round(max(0.0, 1 - NEUTRAL - sum(parts.values())), 3)
    score = min(1.0, max(0.0, NEUTRAL + sum(parts.values())))
    return Influence(score=round(score, 3), parts=parts)


def _parts(author: Author, scale: Scale, now: int, metrics: Metrics | None) -> dict[str, float]:
    parts: dict[str, float] = {}
    if author.followers is not None:
        parts["followers"] = _round(FOLLOWERS_MAX * tanh(robust_z(author.followers, scale) / 2))
    engagement = engagement_of(metrics)
    if engagement is not None:
        parts["engagement"] = _round(ENGAGEMENT_MAX * tanh((log1p(engagement) - log1p(USUAL_ENGAGEMENT)) / 3))
    if author.verified:
        parts["verified"] = VERIFIED
    if author.created_at is not None:
        days = max(0, now - unix_ms(author.created_at)) / _DAY_MS
        parts["age"] = _round(AGE_MAX * tanh((log1p(days) - log1p(_AGE_MIDDLE_DAYS)) / 1.5))
    if author.is_bot:
        parts["bot"] = BOT
    return parts


def _round(part: float) -> float:
    return round(part, 3)


def robust_z(followers: int, scale: Scale) -> float:
    """Return how many robust deviations log1p(followers) lies above the platform's median; negative below it."""
    return (log1p(max(0, followers)) - log1p(scale.followers)) / scale.spread


def engagement_of(metrics: Metrics | None) -> float | None:
    """Return likes + replies + twice the reposts, which carry the post on; None if the platform tells none of them."""
    if metrics is None or (metrics.likes is None and metrics.replies is None and metrics.reposts is None):
        return None
    return max(0, (metrics.likes or 0) + (metrics.replies or 0) + 2 * (metrics.reposts or 0))


@lru_cache(maxsize=1024)  # As many as a tenant may have brands.
def _vip_keys(handles: tuple[str, ...]) -> frozenset[str]:
    return frozenset(handle_key(handle) for handle in handles)


def cost_factor(influence: Influence, brand: Brand) -> float:
    """
    Return by what reach multiplies the cost of waiting: from 1 to the brand's ``influence_cap``.

    At or below the median author it is 1, so that nobody waits longer for having few followers than for hiding them.
    """
    if not brand.influence:
        return 1.0
    return 1 + (brand.influence_cap - 1) * max(0.0, influence.score - NEUTRAL) / (1 - NEUTRAL)
