"""What simulated reps answer: one text by language and kind of post; placeholders are the customer's and the rep's name."""

import json
from functools import cache
from pathlib import Path
from typing import Final

from models.labels import Category

FALLBACK: Final = "en"


@cache
def texts() -> dict[str, dict[str, str]]:
    """Return language -> category -> text."""
    read: dict[str, dict[str, str]] = json.loads(Path(__file__).with_name("words.json").read_text(encoding="utf-8"))
    return read


NOTES: Final = {"de": "Das ist eher etwas für euch.", "en": "This is rather one for you."}
"""What reps write to colleagues whom they hand a case to."""


def note_text(language: str) -> str:
    """Return a note for a colleague."""
    return NOTES.get(language, NOTES[FALLBACK])


def answer_text(language: str, category: Category, name: str, rep: str) -> str:
    """Return an answer in the language of the post, or in English where that language has none."""
    known = texts().get(language, texts()[FALLBACK])
    return known.get(category, known["faq"]).format(name=name or "there", rep=rep)
