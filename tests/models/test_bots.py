from typing import Any

import pytest
from msgspec.structs import replace

from models.bots import disclosed, says
from models.brands import BotAnswer, BotRules
from models.cases import Entry
from models.labels import Confidence
from models.posts import Author
from tests.builders import a_case, labels

SURE = Confidence(language=0.99, category=0.95, subject=0.95)
RULES = BotRules(
    name="Fenni",
    acknowledge={
        "de": "Wir haben Ihre Nachricht, ein Mensch meldet sich.",
        "en": "We have your message; a person will answer.",
    },
    answers=(
        BotAnswer("faq", {"de": "Die Preise stehen unter fennkom.example/preise."}, subject="contract"),
        BotAnswer("praise", {"de": "Danke!", "en": "Thank you!"}),
    ),
)


def said(
    case_changes: dict[str, Any] | None = None, *, is_first: bool = True, text_max: int = 0, **label_changes: Any
) -> Any:
    made = labels(**{"confidence": SURE, "category": "technical", **label_changes})
    return says(RULES, a_case(labels=made, **(case_changes or {})), is_first=is_first, text_max=text_max)


def test_an_acknowledgement_says_in_the_posts_language_that_a_bot_has_written_it() -> None:
    assert said().text == "Automatische Antwort (Bot Fenni): Wir haben Ihre Nachricht, ein Mensch meldet sich."
    assert said(language="en").text == "Automatic reply (Bot Fenni): We have your message; a person will answer."
    assert said().kind == "ack"
    assert disclosed("", "en", "Hi.") == "Automatic reply (Bot): Hi."


def test_an_answer_goes_before_an_acknowledgement_where_the_subject_fits() -> None:
    assert said(category="faq", subject="contract").kind == "answer"
    assert said(category="faq", subject="billing").kind == "ack"
    assert said(category="praise").text.endswith(": Danke!")


def test_who_takes_over_reads_what_the_bot_made_of_it() -> None:
    assert said(category="faq", subject="contract").why == "bot: answered faq, contract at 0.95"


@pytest.mark.parametrize(
    ("case", "label"),
    [
        ({"triage": "urgent"}, {}),
        ({"triage": "at_once"}, {}),
        ({"triage": "spam"}, {}),
        ({"why": ("danger: es brennt",)}, {}),
        ({"why": ("threat: anwalt",)}, {}),
        ({}, {"toxic": True}),
        ({"author": Author(handle="x", is_bot=True)}, {}),
        ({"thread": (Entry(id="r1", at=0, by="rep", status="sent"),)}, {}),
        ({"thread": (Entry(id="b1", at=0, by="bot", status="failed"),)}, {}),
        ({}, {"language": "fr"}),
        ({}, {"unsure": ("language",)}),
        ({}, {"unsure": ("category",)}),
        ({}, {"confidence": replace(SURE, category=0.79)}),
        ({}, {"confidence": replace(SURE, language=0.79)}),
        ({}, {"category": "other"}),
    ],
    ids=[
        "urgent", "at once", "spam", "danger", "a threat", "toxic", "a bot", "a person has answered", "the bot has spoken",
        "no German or English", "language unsure", "category unsure", "category below", "language below", "not listed",
    ],
)  # fmt: skip
def test_a_bot_is_silent_on(case: dict[str, Any], label: dict[str, Any]) -> None:
    assert said() is not None
    assert said(case, **label) is None


def test_a_bot_speaks_once_in_a_conversation() -> None:
    assert said(is_first=False) is None


def test_what_the_platform_would_cut_stays_unsaid() -> None:
    assert said(text_max=40) is None
    assert said(text_max=len(said().text)) is not None


def test_without_texts_nothing_is_said() -> None:
    made = labels(confidence=SURE, category="technical")

    assert says(BotRules(), a_case(labels=made), is_first=True) is None
