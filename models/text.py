"""Raw posts -> the text that the classifier reads, and its code points."""

import re
from collections.abc import Sequence
from html import unescape
from typing import Final

import numpy as np
from numpy.typing import NDArray

TEXT_MAX: Final = 300
"""Characters that are read of one text: a tweet and its overlength; longer texts say early what they want."""

LENGTH_MIN: Final = 5
"""Of code points: the longest n-gram. A product over nothing is not 0 in the graph, but whatever was in memory."""

# Cleaning shortens a text at most by what links, names and repeats take; what lies beyond four times the
# limit is not looked at, so that a message of 256 KB costs what a long tweet costs.
_RAW_MAX: Final = 4 * TEXT_MAX

_BATCH_MIN: Final = 8  # Texts: fewer are searched faster one by one.

_LINK: Final = re.compile(r"https?://\S*|\bwww\.\S+|\bhttps?\b")
USER: Final = re.compile(r"@\w+")
REPEAT: Final = re.compile(r"([^ ])\1\1\1+")


def normalise(text: str) -> str:
    """
    Return the text as the classifier reads it: lower case, one space between words, at most ``TEXT_MAX`` characters.

    Links become ``<url>``, names of accounts ``@user``, more than three equal characters three; HTML entities
    are resolved. Each regular expression runs only if a cheap look for its letters says that it may find something.
    """
    return REPEAT.sub(r"\1\1\1", _cleaned(text))[:TEXT_MAX]


def normalised(texts: Sequence[str]) -> list[str]:
    """Return each text as ``normalise`` does; a batch is searched for repeats in one go, for a quarter of what that costs."""
    if len(texts) < _BATCH_MIN:
        return [normalise(text) for text in texts]
    cleaned = [_cleaned(text) for text in texts]
    points = np.frombuffer("\n".join(cleaned).encode("utf-32-le", "surrogatepass"), np.uint32)
    pairs = points[1:] == points[:-1]
    repeats = np.flatnonzero(pairs[2:] & pairs[1:-1] & pairs[:-2])
    ends = np.cumsum([len(text) + 1 for text in cleaned])
    for at in np.unique(np.searchsorted(ends, repeats, side="right")).tolist():
        cleaned[at] = REPEAT.sub(r"\1\1\1", cleaned[at])
    return [text[:TEXT_MAX] for text in cleaned]


def _cleaned(text: str) -> str:
    if len(text) > _RAW_MAX:
        text = text[:_RAW_MAX]
    if "&" in text:
        text = unescape(text)
    text = text.lower()
    if "http" in text or "www." in text:
        text = _LINK.sub(" <url> ", text)
    if "@" in text:
        text = USER.sub("@user", text)
    return " ".join(text.split())


def code_points(texts: Sequence[str]) -> NDArray[np.int32]:
    """
    Return the code points of normalised texts, each between two spaces.

    Returns:
        Shape (n, length), int32, length that of the longest text and its two spaces, at least ``LENGTH_MIN``, shorter ones
        padded with 0.
    """
    length = max(max(map(len, texts), default=0) + 2, LENGTH_MIN)
    padded = "".join([f" {text} ".ljust(length, "\0") for text in texts])
    # A lone surrogate, which broken escapes leave behind, is a code point like any other here.
    return np.frombuffer(padded.encode("utf-32-le", "surrogatepass"), np.int32).reshape(len(texts), length)
