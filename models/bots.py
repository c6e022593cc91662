"""
What a bot may say: an acknowledgement or one answer, at the beginning of a conversation, and that it is a bot.

It speaks where an operator has written a text for the category and the language, where the classifier is sure enough, and
at most once in a conversation. It is silent on whatever is urgent or at once, on danger and spam, on the toxic, on other
bots, and wherever a person has answered. Then people have the conversation, with everything that was said in it.

An acknowledgement answers nothing: no clock stops, no figure counts it as an answer. An answer does, and is counted as the bot's.
"""

from collections.abc import Mapping, Sequence
from typing import Final, Literal

from msgspec import Struct

from models.brands import BotAnswer, BotRules
from models.cases import Case
from models.labels import Classification, Triage

LANGUAGES: Final = ("de", "en")
DISCLOSURE: Final[Mapping[str, tuple[str, str]]] = {
    "de": ("Automatische Antwort ", "Bot"),
    "en": ("Automatic reply ", "Bot"),
}
"""What goes before everything that a bot says; no setting takes it away."""
SILENT_ON: Final[frozenset[Triage]] = frozenset({"urgent", "at_once", "spam"})
DANGER: Final = ("life:", "danger:", "abuse:", "stranded:", "threat:")
"""Reasons of the triage (``models.triage``) that a person has to look at even where the triage has stayed low."""
LANGUAGE_ABOVE: Final = 0.8
"""Confidence of the language, where the classifier's head gives none up as unsure: the wrong one is worse than silence."""

Kind = Literal["ack", "answer"]


class Said(Struct, frozen=True):
    """What a bot is to say."""

    kind: Kind
    text: str
    """With what it is."""
    why: str
    """For the rep who takes over."""


def says(rules: BotRules, case: Case, *, is_first: bool, text_max: int = 0) -> Said | None:
    """
    Return what a brand's bot says to a case that has just been opened, or None.

    Args:
        is_first: Whether neither the bot nor a person has said anything in this conversation, as far as is remembered.
        text_max: Code points that the account's platform takes; 0: no bound that we know. A text that is longer stays unsaid.
    """
    if not is_first or not _may_speak(case):
        return None
    said = _answer(rules, case.labels) or _acknowledgement(rules, case.labels)
    return said if said is not None and (not text_max or len(said.text) <= text_max) else None


def _may_speak(case: Case) -> bool:
    labels = case.labels
    return (
        case.triage not in SILENT_ON
        and not labels.toxic
        and not case.author.is_bot
        and not case.author.is_brand
        and labels.language in LANGUAGES
        and "language" not in labels.unsure
        and labels.confidence.language >= LANGUAGE_ABOVE
        and not any(one.startswith(DANGER) for one in case.why)
        and not any(entry.by != "customer" for entry in case.thread)
    )


def _answer(rules: BotRules, labels: Classification) -> Said | None:
    for one in rules.answers:
        if _fits(one, labels):
            about = f"{one.category}, {one.subject}" if one.subject is not None else one.category
            why = f"bot: answered {about} at {labels.confidence.category:.2f}"
            return Said("answer", disclosed(rules.name, labels.language, one.texts[labels.language]), why)
    return None


def _fits(one: BotAnswer, labels: Classification) -> bool:
    if labels.category != one.category or "category" in labels.unsure or labels.language not in one.texts:
        return False
    if labels.confidence.category < one.above:
        return False
    if one.subject is None:
        return True
    sure = "subject" not in labels.unsure and labels.confidence.subject >= one.above
    return labels.subject == one.subject and sure


def _acknowledgement(rules: BotRules, labels: Classification) -> Said | None:
    text = rules.acknowledge.get(labels.language)
    if text is None or labels.category not in rules.acknowledge_categories or "category" in labels.unsure:
        return None
    if labels.confidence.category < rules.acknowledge_above:
        return None
    return Said("ack", disclosed(rules.name, labels.language, text), "bot: acknowledged")


def disclosed(name: str, language: str, text: str) -> str:
    """Return a text with what says it: ``Automatic reply (Bot Fenni): ...``."""
    opening, word = DISCLOSURE[language]
    return f"{opening}({word} {name}): {text}" if name else f"{opening}({word}): {text}"


def missing_languages(texts: Mapping[str, str]) -> Sequence[str]:
    """Return the languages of texts that a bot does not speak, for the check of a configuration."""
    return tuple(language for language in texts if language not in LANGUAGES)
