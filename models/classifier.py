"""Texts -> Classifications, in batches, over one ONNX session."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
import onnxruntime as ort
from msgspec import Struct
from numpy.typing import NDArray

from models.errors import Misconfigured
from models.labels import CATEGORIES, LANGUAGES, SENTIMENTS, SUBJECTS, TRIAGES, Classification, Confidence
from models.text import code_points, normalised

ARTIFACTS: Final = Path(__file__).parent / "artifacts"
CARD_NAME: Final = "fast.json"
GRAPH_NAME: Final = "fast.onnx"

HEADS: Final[dict[str, tuple[str, ...]]] = {
    "language": LANGUAGES,
    "sentiment": SENTIMENTS,
    "category": CATEGORIES,
    "subject": SUBJECTS,
    "triage": TRIAGES,
    "answer": ("no", "yes"),
    "toxic": ("no", "yes"),
}
"""Heads in the order of the graph's columns. A head of two values has one column: the logit of the second."""

CHOICES: Final = tuple(head for head, values in HEADS.items() if len(values) > 2)
SWITCHES: Final = tuple(head for head, values in HEADS.items() if len(values) == 2)

# The graph's intermediate values of 64 tweets (4 MB) stay near the core; measured, 256 at once cost a third more.
RUN_MAX: Final = 64


def width(head: str) -> int:
    """Return the number of columns that a head has."""
    return len(HEADS[head]) if head in CHOICES else 1


def columns_of(head: str) -> slice:
    """Return where a head's columns lie among the classifier's logits."""
    start = sum(width(other) for other in list(HEADS)[: list(HEADS).index(head)])
    return slice(start, start + width(head))


COLUMNS: Final = sum(map(width, HEADS))
LETTERS_MIN: Final = 4
"""From which a text may tell its language."""
_AFTER_LATIN: Final = "\u0370"  # Greek and all that comes after it.
_LANGUAGE: Final = columns_of("language")
_SWITCH_START: Final = sum(map(width, CHOICES))

# A row with one column for each value of each head: where each head begins, the head of a column, its number within that.
_VALUES: Final = [len(values) for values in HEADS.values()]
_STARTS: Final = np.cumsum([0, *_VALUES[:-1]])
_HEAD_OF: Final = np.repeat(np.arange(len(HEADS)), _VALUES)
_NUMBER: Final = np.arange(sum(_VALUES)) - _STARTS[_HEAD_OF]


class Card(Struct, frozen=True):
    """What is known of an artifact: enough to load it, and all that a reader should know of it."""

    name: str
    sha256: str
    size_bytes: int
    input: str
    output: str
    bits: int
    """The table has 2 ** bits buckets for n-grams of characters, and half as many for words."""
    heads: dict[str, tuple[str, ...]]
    thresholds: dict[str, float]
    """Of each head, 0..1: below it a label is unsure."""
    targets: dict[str, float]
    """Accuracy that the labels at or above the threshold reached where it was chosen, 0..1."""
    sources: list[dict[str, str]]
    scores: dict[str, Any]
    lifted: bool = False
    """Whether a deep encoder taught it."""


class Classifier:
    """The fast classifier: measured 26 us of CPU a post of 100 characters in batches of 32, 157 us alone, normalised too."""

    def __init__(self, folder: Path | None = None) -> None:
        """
        Load the artifact and run it once.

        Args:
            folder: Where fast.onnx and fast.json lie; None for those that come with the package.

        Raises:
            Misconfigured: If one is missing or damaged, or the card is of other heads than this program's.
        """
        folder = folder or ARTIFACTS
        self.card = read_card(folder)
        self._session = _open(folder, self.card)
        self._thresholds = np.array([self.card.thresholds[head] for head in (*CHOICES, *SWITCHES)])
        self.classify(["warm-up", "a second one, longer than the first, as batches have them"])

    @property
    def version(self) -> str:
        """The first twelve digits of the graph's SHA-256."""
        return self.card.sha256[:12]

    def classify(self, texts: Sequence[str]) -> list[Classification]:
        """Label raw texts, in their order; what one is labelled does not depend on its neighbours."""
        if not texts:
            return []
        plain = normalised(texts)
        return self.labelled(self.logits(plain), plain)

    def labelled(self, logits: NDArray[np.float32], texts: Sequence[str]) -> list[Classification]:
        """Return the labels that calibrated logits of normalised texts give, shape (n, COLUMNS)."""
        return classifications(by_letters(logits, texts), self._thresholds)

    def logits(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return the calibrated logits of normalised texts. Shape (n, COLUMNS), columns in the order of HEADS."""
        if len(texts) <= 4:  # Sorting would cost more than the padding.
            return self._run(texts)
        order = sorted(range(len(texts)), key=lambda at: len(texts[at]))
        out = np.empty((len(texts), COLUMNS), np.float32)
        for start in range(0, len(order), RUN_MAX):
            places = order[start : start + RUN_MAX]
            out[places] = self._run([texts[at] for at in places])
        return out

    def _run(self, texts: Sequence[str]) -> NDArray[np.float32]:
        logits: NDArray[np.float32] = self._session.run(None, {"cp": code_points(texts)})[0]
        return logits


def by_letters(logits: NDArray[np.float32], texts: Sequence[str]) -> NDArray[np.float32]:
    """
    Return logits that tell the less of a text's language, the fewer letters it has below LETTERS_MIN; of none, nothing.

    "?", "ok" and "hi" are written in many languages, whichever the classifier has met them in. Letters of other scripts than
    Latin count twice: few languages share one.

    Args:
        logits: Shape (n, COLUMNS).
        texts: Normalised.
    """
    few = [(at, letters) for at, text in enumerate(texts) if (letters := _letters(text)) < LETTERS_MIN]
    if not few:
        return logits
    out = logits.copy()
    for at, letters in few:
        out[at, _LANGUAGE] *= letters / LETTERS_MIN
    return out


def _letters(text: str) -> int:
    """Return how many letters a text has; of many only the first are counted."""
    if "@user" in text or "<url>" in text:
        text = text.replace("@user", "").replace("<url>", "")
    found = 0
    for one in text:
        if one.isalpha():
            found += 1 + (one >= _AFTER_LATIN)
            if found >= LETTERS_MIN:
                break
    return found


def read_card(folder: Path) -> Card:
    """
    Read the card of the artifact in a folder.

    Raises:
        Misconfigured: If it is missing, unreadable, or of other heads.
    """
    path = folder / CARD_NAME
    try:
        card = msgspec.json.decode(path.read_bytes(), type=Card)
    except FileNotFoundError as missing:
        raise Misconfigured(f"{path} is missing; `zuruf train` makes it") from missing
    except msgspec.MsgspecError as damaged:
        raise Misconfigured(f"{path} is no card of a classifier: {damaged}") from damaged
    if card.heads != HEADS:
        raise Misconfigured(f"{path} has the labels {card.heads}, this version means {HEADS}; `zuruf train` again")
    return card


def _open(folder: Path, card: Card) -> ort.InferenceSession:
    path = folder / GRAPH_NAME
    try:
        graph = path.read_bytes()
    except FileNotFoundError as missing:
        raise Misconfigured(f"{path} is missing; `zuruf train` makes it") from missing
    found = hashlib.sha256(graph).hexdigest()
    if found != card.sha256:
        raise Misconfigured(f"{path} has the SHA-256 {found}, its card says {card.sha256}; one of them is damaged")
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1  # A worker scales by partitions; a second thread would take another's core.
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.inter_op.allow_spinning", "0")
    return ort.InferenceSession(graph, options, providers=["CPUExecutionProvider"])


def classifications(logits: NDArray[np.float32], thresholds: NDArray[np.float64]) -> list[Classification]:
    """
    Return the labels of each row: the likeliest value of each head, its probability, and which are unsure.

    Args:
        logits: Shape (n, COLUMNS).
        thresholds: Of each head, in the order of HEADS, 0..1: below it a label is unsure.
    """
    values, confidence = decide(logits)
    unsure = (confidence < thresholds) @ _BITS
    rows = zip(values.tolist(), confidence.round(3).tolist(), unsure.tolist(), strict=True)
    return [
        Classification(
            LANGUAGES[language],
            SENTIMENTS[sentiment],
            CATEGORIES[category],
            SUBJECTS[subject],
            TRIAGES[triage],
            answer == 1,
            toxic == 1,
            Confidence(*sure),
            _UNSURE[bits],
        )
        for (language, sentiment, category, subject, triage, answer, toxic), sure, bits in rows
    ]


_BITS: Final = 1 << np.arange(len(HEADS))
_UNSURE: Final = tuple(
    tuple(head for place, head in enumerate(HEADS) if bits >> place & 1) for bits in range(1 << len(HEADS))
)


def decide(logits: NDArray[np.float32]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """
    Return the index of each head's likeliest value, and the probability of it.

    Returns:
        Two arrays of shape (n, heads), in the order of HEADS.
    """
    wide = np.zeros((len(logits), len(_NUMBER)))
    wide[:, :_SWITCH_START] = logits[:, :_SWITCH_START]
    wide[:, _SWITCH_START + 1 :: 2] = logits[:, _SWITCH_START:]  # The first of two values has no logit: it is 0.
    highest = np.maximum.reduceat(wide, _STARTS, axis=1).take(_HEAD_OF, axis=1)
    values = np.minimum.reduceat(np.where(wide == highest, _NUMBER, len(_NUMBER)), _STARTS, axis=1)
    # Of a softmax the highest is one over the sum of the others relative to it; no other is needed.
    return values, 1 / np.add.reduceat(np.exp(wide - highest), _STARTS, axis=1)


def chances(logits: NDArray[np.float32], head: str) -> NDArray[np.float64]:
    """
    Return the probability of each value of a head.

    Args:
        logits: Shape (n, COLUMNS), as ``Classifier.logits`` gives them.
        head: One of ``HEADS``.

    Returns:
        Shape (n, values of the head), in the order of ``HEADS[head]``.
    """
    wide = logits[:, columns_of(head)].astype(np.float64)
    if width(head) == 1:
        wide = np.concatenate([np.zeros_like(wide), wide], axis=1)
    relative = np.exp(wide - wide.max(axis=1, keepdims=True))
    return np.asarray(relative / relative.sum(axis=1, keepdims=True), np.float64)
