"""
Labels that are set anew: by a rep or a supervisor, who is right, and by a machine that has looked longer.

A person's label stands. It becomes a training row (``Correction``), and where it says how soon somebody must look, the case's
due time follows it. A machine's label changes what nobody has set by hand; it moves a case in its queue only while no person
has had it in hand.
"""

from collections.abc import Mapping
from typing import Any, Final, Literal

from msgspec import Struct
from msgspec.structs import replace

from models.labels import CATEGORIES, LANGUAGES, SENTIMENTS, SUBJECTS, TRIAGES, Classification
from models.text import TEXT_MAX

Src = tuple[int, int, int]
"""Source partition, its offset, number among its outputs."""

By = Literal["rep", "supervisor", "deep"]
Change = tuple[str, str]
"""Value before, value after."""

NAMES: Final[dict[str, str]] = {
    "language": "language",
    "sentiment": "sentiment",
    "category": "category",
    "subject": "subject",
    "triage": "triage",
    "answer": "answer",
    "toxicity": "toxic",
}
"""What a label is called outside -> the classifier's head."""

VALUES: Final[dict[str, tuple[str, ...]]] = {
    "language": LANGUAGES,
    "sentiment": SENTIMENTS,
    "category": CATEGORIES,
    "subject": SUBJECTS,
    "triage": TRIAGES,
    "answer": ("no", "yes"),
    "toxicity": ("no", "yes"),
}
"""By name. A test holds them to the classifier's heads, which only its own processes import."""

STAYS: Final = frozenset({"language", "subject"})
"""What a person says of a conversation, and not of one post: it holds for the posts that follow too."""

CORRECTION_CHARS_MAX: Final = 4 * TEXT_MAX
"""Of a training row's text: the classifier looks at no more."""


class Relabel(Struct, frozen=True, gc=False, tag="relabel", omit_defaults=True):
    """
    Labels of a case are set anew.

    A person names the case and its version, as in other commands, and every label that was looked at: one that is named and
    does not change is confirmed, and teaches as much. A machine names the post that it read, and is passed over if the
    customer has written since.
    """

    at: int
    tenant: str
    labels: dict[str, str]
    """By name, see ``NAMES``; for answer and toxicity yes or no."""
    by: By = "rep"
    rep_id: str = ""
    connection: str = ""
    id: str = ""
    case_id: str = ""
    version: int = 0
    conversation_uri: str = ""
    post_id: str = ""
    confidence: dict[str, float] = {}
    """A machine's, of each label, 0..1."""
    src: Src | None = None
    """A machine's source, so that what it says again changes nothing."""


class Relabelled(Struct, frozen=True, gc=False, tag="relabelled", omit_defaults=True):
    """Labels of a case were set anew; ``triage`` and ``due_at`` are the case's now."""

    at: int
    src: Src
    tenant: str
    brand_id: str
    case_id: str
    by: By
    labels: dict[str, Change]
    """Those that have changed."""
    triage: str
    due_at: int
    rep_id: str = ""
    post_id: str = ""


class Correction(Struct, frozen=True, gc=False, omit_defaults=True):
    """One record of ``corrections``: what a person said of one label of one text, and what the machine had said."""

    at: int
    src: Src
    tenant: str
    brand_id: str
    case_id: str
    post_id: str
    text: str
    head: str
    value: str
    found: str
    confidence: float
    rep_id: str
    by: By = "rep"


class HeadChanged(Struct, frozen=True, gc=False, tag="head_changed", omit_defaults=True):
    """A tenant's head of one label has changed: a record of ``work``, which dispatch passes on."""

    at: int
    tenant: str
    head: str
    version: str
    """"" for the one that ships."""
    what: Literal["promoted", "rolled_back"]
    corrections: int = 0
    before: float = 0.0
    """Accuracy on the newest fifth of the corrections, 0..1, of what stood before and of what stands now."""
    after: float = 0.0
    texts: int = 0
    """That both were judged on."""


class Learned(Struct, frozen=True, gc=False, tag="learned", omit_defaults=True):
    """The same as a case event, for boards and reports."""

    at: int
    src: Src
    tenant: str
    change: HeadChanged


def fault_of(labels: Mapping[str, str]) -> str | None:
    """Return what is wrong with labels that come from outside, what came and what was meant; None if nothing is."""
    if not labels:
        return f"labels: found none, meant some of {', '.join(NAMES)}"
    for name, value in labels.items():
        if name not in NAMES:
            return f"labels: found {name[:40]!r}, meant some of {', '.join(NAMES)}"
        if value not in VALUES[name]:
            return f"labels.{name}: found {value[:40]!r}, meant one of {', '.join(VALUES[name])}"
    return None


def value_of(labels: Classification, name: str) -> str:
    """Return a label's value as a word."""
    value = getattr(labels, NAMES[name])
    return ("no", "yes")[value] if isinstance(value, bool) else str(value)


def confidence_of(labels: Classification, name: str) -> float:
    """Return the probability of a label's value, 0..1."""
    return float(getattr(labels.confidence, NAMES[name]))


def relabelled(labels: Classification, values: Mapping[str, str], confidence: Mapping[str, float]) -> Classification:
    """
    Return labels with some of them set; what is set is not unsure any more.

    Args:
        values: By name.
        confidence: By name; what is not in it is certain, as a person's word is.
    """
    heads: dict[str, Any] = {}
    for name, value in values.items():
        head = NAMES[name]
        heads[head] = value == "yes" if isinstance(getattr(labels, head), bool) else value
    sure = {NAMES[name]: round(confidence.get(name, 1.0), 3) for name in values}
    return replace(
        labels,
        **heads,
        confidence=replace(labels.confidence, **sure),
        unsure=tuple(head for head in labels.unsure if head not in heads),
    )


def changes(labels: Classification, values: Mapping[str, str]) -> dict[str, Change]:
    """Return what setting these values changes."""
    was = {name: value_of(labels, name) for name in values}
    return {name: (was[name], value) for name, value in values.items() if was[name] != value}


def carried(by_hand: tuple[str, ...], before: Classification, after: Classification) -> Classification:
    """
    Return a later post's labels with what a person has said of the whole conversation, and with its language, where that was
    clear and the later post ("??") tells none.
    """
    kept = {name: value_of(before, name) for name in by_hand if name in STAYS}
    sure = {}
    if "language" in after.unsure and "language" not in before.unsure and "language" not in kept:
        kept["language"], sure["language"] = before.language, before.confidence.language
    return relabelled(after, kept, sure) if kept else after
