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


def answer_text(language: str, category: Category, name: str, rep: str) -> str:
    """Return an answer in the language of the post, or in English where that language has none."""
    known = texts().get(language, texts()[FALLBACK])
    return known.get(category, known["faq"]).format(name=name or "there", rep=rep)
