"""
One answer in many wordings: platforms take a hundred copies of a text for spam, and people do too.

A text holds alternatives in braces, ``{Hallo|Guten Tag} {name}, {das tut uns leid|wir bedauern das}``, and places that
are filled for each author: ``{name}`` and ``{handle}``. Wording ``number`` of a text is always the same, and neighbouring
numbers differ in as many places as they can.
"""

import re
from collections.abc import Sequence
from math import gcd, prod
from typing import Final

from msgspec import Struct

from models.errors import ZurufError
from models.posts import Author

PARTS_MAX: Final = 100  # Braces of a text.
CHOICES_MAX: Final = 50  # Alternatives of one brace.
VARIATIONS_MAX: Final = 1_000_000  # More than anybody answers at once; the product of braces grows fast.
NAME_CHARS_MAX: Final = 40
PLACES: Final = ("name", "handle")

# What an author calls himself goes out in the brand's name, so it must look like a person's: no address, no number.
_NAME: Final = re.compile(r"[^\W\d_][^\W\d_'’.\- ]*(?:[ '’.\-]{1,2}[^\W\d_]+\.?)*")
_HANDLE: Final = re.compile(r"[A-Za-z0-9_.\-]{1,40}")
_BRACES: Final = re.compile(r"\{([^{}]*)\}")
_GAP: Final = re.compile(r"[ \t]+([,.;:!?])")
_SPACES: Final = re.compile(r"[ \t]{2,}")


class NoTemplate(ZurufError):
    """The text is none; the message says where."""


class Template(Struct, frozen=True):
    """A text with alternatives."""

    parts: tuple[tuple[str, ...], ...]
    """Alternatives in their order; a part of one is plain text, ``{name}`` and ``{handle}`` are places."""

    def count(self) -> int:
        """Return how many wordings there are, names not counted."""
        return min(VARIATIONS_MAX, prod(map(len, self.parts)))


def template_of(text: str) -> Template:
    """
    Read a text with alternatives.

    Raises:
        NoTemplate: If a brace is not closed, or names a place that there is not.
    """
    parts: list[tuple[str, ...]] = []
    after = 0
    for match in _BRACES.finditer(text):
        parts += _plain(text[after : match.start()])
        parts.append(_choices(match.group(1)))
        after = match.end()
    parts += _plain(text[after:])
    if len(parts) > 2 * PARTS_MAX:
        raise NoTemplate(f"the text has {len(parts)} parts, at most {2 * PARTS_MAX} are meant")
    if not any(choice.strip() for part in parts for choice in part):
        raise NoTemplate("the text is empty")
    return Template(tuple(parts))


def _plain(text: str) -> list[tuple[str, ...]]:
    stray = re.search(r"[{}]", text)
    if stray is not None:
        near = text[max(0, stray.start() - 10) : stray.start() + 20]
        raise NoTemplate(f"a brace without its other half near {near!r}; braces cannot lie in braces")
    return [(text,)] if text else []


def _choices(inner: str) -> tuple[str, ...]:
    choices = tuple(inner.split("|"))
    if len(choices) == 1:
        if inner not in PLACES:
            raise NoTemplate(f"found {{{inner}}}, meant {{name}}, {{handle}} or alternatives as in {{one|two}}")
        return (f"{{{inner}}}",)
    if len(choices) > CHOICES_MAX:
        raise NoTemplate(f"{len(choices)} alternatives in one brace, at most {CHOICES_MAX} are meant")
    if len(set(choices)) < len(choices):
        raise NoTemplate(f"two alternatives of {{{inner[:40]}}} are the same")
    return choices


def wording(template: Template, number: int, author: Author) -> str:
    """
    Return wording ``number`` for an author.

    Args:
        number: Any number from 0; all wordings come before one comes again.
        author: Whose name is used if it looks like a name; else its place stays empty.
    """
    total = template.count()
    place = number * _stride(total) % total
    said: list[str] = []
    for choices in template.parts:
        place, choice = divmod(place, len(choices))
        said.append(choices[choice])
    return _filled("".join(said), author)


def _stride(total: int) -> int:
    """Return a step near the golden section of ``total`` that meets every number: it turns all wheels at once."""
    step = max(1, round(total * 0.6180339887))
    while gcd(step, total) > 1:
        step += 1
    return step


def _filled(text: str, author: Author) -> str:
    if "{" in text:
        text = text.replace("{name}", name_of(author)).replace("{handle}", handle_of(author))
    return _SPACES.sub(" ", _GAP.sub(r"\1", text)).strip()


def name_of(author: Author) -> str:
    """Return what an author may be called in public; "" if the name does not look like one."""
    name = " ".join(author.name.split())
    return name if len(name) <= NAME_CHARS_MAX and _NAME.fullmatch(name) else ""


def handle_of(author: Author) -> str:
    """Return an author's handle with its @; "" if it is none."""
    handle = author.handle.removeprefix("@")
    return f"@{handle}" if _HANDLE.fullmatch(handle) else ""


def fitting(template: Template, number: int, author: Author, text_max: int, before: Sequence[str] = ()) -> str:
    """
    Return the wording nearest after ``number`` that a platform takes, or "" if none of the next hundred does.

    Args:
        text_max: Code points; 0: no bound that we know.
        before: What goes before it, as of a bot that says what it is.
    """
    for step in range(min(100, template.count())):
        text = "".join((*before, wording(template, number + step, author)))
        if not text_max or len(text) <= text_max:
            return text
    return ""
