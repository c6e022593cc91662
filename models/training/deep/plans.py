"""What is learnt in which stage, how long and how fast."""

from typing import Final

from msgspec import Struct

from models.training.data import TRIAGE
from models.training.own import READ, WRITTEN


class Plan(Struct, frozen=True):
    """How long and how fast to learn."""

    shares: dict[str, float]
    """Of each set, how many of its texts an epoch draws, 1.0 for each once."""
    epochs: float
    rate: float
    rate_heads: float = 1e-3
    frozen: int = 4
    """Lowest layers that do not learn: their share of the gain is small, their share of the time is not."""
    tokens: int = 2048
    """Of a batch, padding counted."""
    warmup: int = 100
    dropout: float = 0.1
    seed: int = 20_170_901
    deadline_s: float = float("inf")
    """The rate falls to zero by then, whatever the epochs say."""


ANCHORS: Final = {
    TRIAGE: 5_000,
    "umsab_tweet_sentiment": 3_000,
    "language_id_lingua": 3_000,
    "banking77": 1_500,
    "tweeteval_sentiment": 1_500,
    "potts": 700,
}
"""Texts whose vector is held to what the base gives, so that it still says what a text is about."""

MET: Final = {
    WRITTEN: 900,
    READ: 900,
    "tweeteval_sentiment": 500,
    "umsab_tweet_sentiment": 500,
    "language_id_lingua": 200,
    "germeval2018_offensive": 200,
    "banking77": 150,
}
"""Texts by which the heads and neurons are chosen that stay."""

FIRST: Final = Plan(
    shares={
        WRITTEN: 2.0,
        READ: 1.0,
        "tweeteval_sentiment": 1.0,
        "umsab_tweet_sentiment": 1.0,
        "sb10k": 1.0,
        "potts": 1.0,
        "german_politics_tweets": 0.5,
        "germeval2018_offensive": 0.7,
        "germeval2019_offensive": 0.5,
        "germeval2021_toxic": 0.5,
        "tweeteval_offensive": 0.3,
        "tweeteval_hate": 0.15,
        "davidson_hate": 0.1,
        "language_id_lingua": 0.15,
        "banking77": 0.3,
        "bitext_customer_service": 0.2,
        "massive_de": 0.2,
        "complaints_twitter": 1.0,
        "tweeteval_emotion": 0.6,
        "germeval2025_candy_speech": 0.3,
    },
    epochs=1.0,
    rate=1.2e-4,
    frozen=4,
    tokens=1536,
)
TWEETS: Final = Plan(
    shares={
        "tweeteval_sentiment": 0.8,
        "umsab_tweet_sentiment": 1.0,
        "sb10k": 1.0,
        "potts": 0.3,
        WRITTEN: 0.15,
        READ: 0.3,
    },
    epochs=2.0,
    rate=8e-5,
    frozen=4,
    tokens=1536,
    warmup=50,
)
"""Most tweets for sentiment twice more, from the first stage on, with some of our own posts so that these are not forgotten."""
TEACHER: Final = Plan(
    shares={
        WRITTEN: 2.0,
        READ: 1.5,
        "tweeteval_sentiment": 0.15,
        "umsab_tweet_sentiment": 0.25,
        "sb10k": 0.5,
        "potts": 0.2,
        "banking77": 0.25,
        "bitext_customer_service": 0.15,
        "massive_de": 0.15,
        "complaints_twitter": 0.6,
        "tweeteval_emotion": 0.3,
    },
    epochs=1.0,
    rate=1.2e-4,
    frozen=6,
    tokens=1536,
)
"""A net that only teaches the fast tier what our rubric is: half an hour where the first stage takes two."""
AGAIN: Final = {
    "tweeteval_sentiment": 3_000,
    "umsab_tweet_sentiment": 2_000,
    "sb10k": 700,
    "potts": 800,
    "germeval2018_offensive": 600,
    "germeval2021_toxic": 300,
    "tweeteval_offensive": 700,
    "language_id_lingua": 2_500,
}
"""Texts of the first stage that are learnt again in the second, so that they are not forgotten."""
SECOND: Final = Plan(
    shares={TRIAGE: 1.0, WRITTEN: 1.0, READ: 0.5, **dict.fromkeys(AGAIN, 1 / 3)},
    epochs=3.0,
    rate=1e-4,
    frozen=4,
    tokens=1024,
    warmup=30,
)
