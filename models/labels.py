"""What a post is labelled with: one value of each label, with the classifier's confidence in it."""

from collections.abc import Sequence
from typing import Final, Literal, get_args

from msgspec import Struct
from msgspec.structs import replace

Sentiment = Literal["negative", "neutral", "positive"]
Category = Literal["urgent", "technical", "faq", "complaint", "praise", "other"]
Subject = Literal["billing", "delivery", "outage", "account", "product", "contract", "staff", "information", "other"]
Triage = Literal["spam", "less", "important", "urgent", "at_once"]
Addressed = Literal["direct", "mention", "keyword", "owned"]
"""How a brand is meant: spoken to (its chat, an answer to it), named with an @, named without one, own thread."""

SENTIMENTS: Final[tuple[Sentiment, ...]] = get_args(Sentiment)
CATEGORIES: Final[tuple[Category, ...]] = get_args(Category)
SUBJECTS: Final[tuple[Subject, ...]] = get_args(Subject)
TRIAGES: Final[tuple[Triage, ...]] = get_args(Triage)
"""In rising order: what comes later in the tuple is looked at sooner."""

# The 24 official languages of the EU without Irish and Maltese, which have no training texts, and seven more
# that the brands' customers write in.
LANGUAGES: Final[tuple[str, ...]] = tuple(
    "de en fr es it nl pt pl cs da sv nb fi hu ro tr el bg hr sk sl et lv lt uk ru ca ar hi".split()
)

GUESS_MIN: Final = 0.05
"""Confidence of a language below which it is not even a guess: all are about as likely."""

TRIAGE_RANK: Final[dict[Triage, int]] = {triage: rank for rank, triage in enumerate(TRIAGES)}


class Confidence(Struct, frozen=True, gc=False):
    """Calibrated probability of each label's value, 0..1, rounded to three places."""

    language: float = 0.0
    sentiment: float = 0.0
    category: float = 0.0
    subject: float = 0.0
    triage: float = 0.0
    answer: float = 0.0
    toxic: float = 0.0


class Classification(Struct, frozen=True, gc=False):
    """The labels of one text."""

    language: str
    """ISO 639-1, one of ``LANGUAGES``."""
    sentiment: Sentiment
    category: Category
    subject: Subject
    triage: Triage
    """By the text alone; the final one is made by dispatch."""
    answer: bool
    """Whether the author, or a fair reader, expects the brand to answer."""
    toxic: bool
    confidence: Confidence
    unsure: tuple[str, ...] = ()
    """Names of the labels whose confidence lies below the threshold that their head was given at training."""


def at_least(triage: Triage, floor: Triage) -> Triage:
    """Return the more pressing of two triages."""
    return triage if TRIAGE_RANK[triage] >= TRIAGE_RANK[floor] else floor


def guessed_in(labels: Classification, languages: Sequence[str]) -> Classification:
    """
    Return labels whose language, where it is but a guess, is one of those that a brand answers in: else the first of these.

    Args:
        labels: As the text alone has them.
        languages: The likeliest first; none: any.
    """
    if "language" not in labels.unsure or not languages:
        return labels
    sure = labels.confidence
    if labels.language in languages and sure.language >= GUESS_MIN:
        return labels
    # It is told by the brand and not by the text, so it is as likely as the others that the brand answers in.
    return replace(labels, language=languages[0], confidence=replace(sure, language=round(1 / len(languages), 3)))
