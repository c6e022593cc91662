"""
The deep tier: a small transformer that reads selected posts again, in milliseconds where the fast tier takes microseconds.

    deep = DeepClassifier()
    deep.label(["Mein Zug steht seit zwei Stunden."])   # -> [Classification(language="de", ...)], as the fast tier's
    deep.vectors(["Mein Zug steht seit zwei Stunden."]) # -> float32 (1, 384), each of length 1: near texts are alike
    labels, vectors = deep.read(texts)                  # both, at the cost of one

Labels, confidences and ``unsure`` are of the same types as those of ``models.classifier``. Any text gets a label: empty ones,
lone surrogates, NULs, messages of any length. What one text gets does not depend on the others. It takes one
thread; call it in a process or thread of its own (the session lets go of the interpreter's lock while it computes).

It has the fast tier read each text too, which costs about a tenth as much, and adds its logits, by shares that were fitted
on texts that neither had learnt from: n-grams know words and spellings that pieces and their vectors pass over.
"""

import hashlib
import re
from collections.abc import Sequence
from html import unescape
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
import onnxruntime as ort
import sentencepiece
from msgspec import Struct
from numpy.typing import NDArray

from models.classifier import ARTIFACTS, COLUMNS, HEADS, Classifier, by_letters, classifications
from models.errors import Misconfigured
from models.labels import Classification
from models.text import REPEAT, USER, normalised

FOLDER: Final = ARTIFACTS / "deep"
CARD_NAME: Final = "deep.json"
PIECES_NAME: Final = "deep.spm"

WIDTH: Final = 384
"""Of a vector."""
TOKENS_MAX: Final = 96
"""Pieces that are read of one text, its two marks counted: 19 of 20 tweets have fewer; longer texts say early what they want."""
TEXT_MAX: Final = 600
"""Characters that are read of one text: pieces have four to six, so that more would not be among the first 96."""

# Cleaning shortens a text at most by what links, names and repeats take; see models.text.
_RAW_MAX: Final = 4 * TEXT_MAX
_START, _PAD, _END = 0, 1, 2

RUN_MAX: Final = 8
"""Texts of one run, of about the same length: the matrices are read once for all; what layers pass on stays near the core."""

_LINK: Final = re.compile(r"https?://\S*|\bwww\.\S+|\bhttps?\b", re.IGNORECASE)

Floats = NDArray[np.float32]


class Part(Struct, frozen=True):
    """A file of the artifact."""

    name: str
    sha256: str


class DeepCard(Struct, frozen=True):
    """What is known of the artifact: enough to load it, and all that a reader should know of it."""

    name: str
    sha256: str
    """Of the graph: the parts, one after another."""
    size_bytes: int
    """Of the graph."""
    parts: tuple[Part, ...]
    """Of the graph, in order; each small enough for a repository."""
    pieces: Part
    """The model of sentencepiece."""
    fast: str
    """Version of the fast tier that it was fitted with."""
    input: str
    output: str
    heads: dict[str, tuple[str, ...]]
    thresholds: dict[str, float]
    """Of each head, 0..1: below it a label is unsure."""
    targets: dict[str, float]
    """Accuracy that the labels at or above the threshold reached where it was chosen, 0..1."""
    sources: list[dict[str, str]]
    scores: dict[str, Any]


def clean(text: str) -> str:
    """
    Return the text as the deep tier reads it: like ``models.text.normalise``, but with the case of its letters.

    Links become ``http`` and names of accounts ``@user``, as the public sets of tweets have them.
    """
    text = text[:_RAW_MAX]
    if "&" in text:
        text = unescape(text)
    lower = text.lower()
    if "http" in lower or "www." in lower:
        text = _LINK.sub(" http ", text)
    if "@" in text:
        text = USER.sub("@user", text)
    text = " ".join(text.split())
    text = REPEAT.sub(r"\1\1\1", text)[:TEXT_MAX]
    # A lone surrogate, which broken escapes leave behind, has no UTF-8; sentencepiece reads UTF-8.
    return text.encode("utf-8", "replace").decode("utf-8")


class DeepClassifier:
    """
    The deep classifier: 5.5 ms of CPU a post of 39 pieces alone, 4.3 in batches, on an AMD EPYC with AVX-512.

    Without the fast tier's part, that is. One that has no more than AVX2 took about twice as long before the net was narrowed.
    """

    def __init__(self, folder: Path | None = None) -> None:
        """
        Load the artifact and run it once.

        Args:
            folder: Where deep.json and the files that it names lie; None for those that come with the package.

        Raises:
            Misconfigured: If one is missing or damaged, or the card is of other heads than this program's, or was fitted with
                another fast tier than the one that comes with the package.
        """
        folder = folder or FOLDER
        self.card = read_card(folder)
        self._pieces = _tokenizer(folder, self.card)
        self._session = _open(folder, self.card)
        self._fast = Classifier()
        if self._fast.version != self.card.fast:
            raise Misconfigured(
                f"{folder / CARD_NAME} was fitted with the fast tier {self.card.fast}, meant the one that ships, "
                f"{self._fast.version}; run `python -m models.training.deep` again"
            )
        self._thresholds = np.array([self.card.thresholds[head] for head in HEADS])
        self.label(["warm-up", "a second one, longer than the first"])

    @property
    def version(self) -> str:
        """The first twelve digits of the graph's SHA-256."""
        return self.card.sha256[:12]

    def label(self, texts: Sequence[str]) -> list[Classification]:
        """Label raw texts, in their order."""
        return self.read(texts)[0]

    def vectors(self, texts: Sequence[str]) -> Floats:
        """
        Return a vector for each raw text. Shape (n, WIDTH), each of length 1.

        The product of two is their likeness, -1..1: about 0 for unrelated texts, above 0.9 for copies with small changes.
        """
        return self.read(texts)[1]

    def read(self, texts: Sequence[str]) -> tuple[list[Classification], Floats]:
        """Label raw texts and return their vectors, at the cost of one of the two."""
        plain = normalised(texts)
        logits, vectors = self._run(texts, self._fast.logits(plain))
        return self.labelled(logits, plain), vectors

    def labelled(self, logits: Floats, texts: Sequence[str]) -> list[Classification]:
        """Return the labels that calibrated logits of normalised texts give, shape (n, COLUMNS)."""
        return classifications(by_letters(logits, texts), self._thresholds)

    def logits(self, texts: Sequence[str]) -> tuple[Floats, Floats]:
        """Return the calibrated logits of raw texts, shape (n, COLUMNS), columns in the order of HEADS, and the vectors."""
        return self._run(texts, self._fast.logits(normalised(texts)))

    def alone(self, texts: Sequence[str]) -> tuple[Floats, Floats]:
        """Return the same without the fast tier's part: what the transformer makes of texts by itself, not calibrated."""
        return self._run(texts, np.zeros((len(texts), COLUMNS), np.float32))

    def _run(self, texts: Sequence[str], fast: Floats) -> tuple[Floats, Floats]:
        logits, vectors = np.empty((len(texts), COLUMNS), np.float32), np.empty((len(texts), WIDTH), np.float32)
        rows = self.ids(texts)
        order = sorted(range(len(rows)), key=lambda at: len(rows[at]))
        for start in range(0, len(order), RUN_MAX):
            places = order[start : start + RUN_MAX]
            given = {"ids": _padded([rows[at] for at in places]), "fast": fast[places]}
            logits[places], vectors[places] = self._session.run(None, given)
        return logits, vectors

    def ids(self, texts: Sequence[str]) -> list[list[int]]:
        """Return the ids of each raw text's pieces, at most TOKENS_MAX, its marks included."""
        # One by one: given a list, sentencepiece starts threads for it, which cost more than the work and take others' cores.
        rows: list[list[int]] = [self._pieces.encode(clean(text)) for text in texts]
        return [[_START, *row[: TOKENS_MAX - 2], _END] for row in rows]


def read_card(folder: Path) -> DeepCard:
    """
    Read the card of the artifact in a folder.

    Raises:
        Misconfigured: If it is missing, unreadable, or of other heads.
    """
    path = folder / CARD_NAME
    try:
        card = msgspec.json.decode(path.read_bytes(), type=DeepCard)
    except FileNotFoundError as missing:
        raise Misconfigured(f"{path} is missing; `python -m models.training.deep` makes it") from missing
    except msgspec.MsgspecError as damaged:
        raise Misconfigured(f"{path} is no card of a deep classifier: {damaged}") from damaged
    if card.heads != HEADS:
        raise Misconfigured(f"{path} has the labels {card.heads}, this version means {HEADS}; train again")
    return card


def _checked(folder: Path, part: Part) -> bytes:
    path = folder / part.name
    try:
        raw = path.read_bytes()
    except FileNotFoundError as missing:
        raise Misconfigured(f"{path} is missing; `python -m models.training.deep` makes it") from missing
    found = hashlib.sha256(raw).hexdigest()
    if found != part.sha256:
        raise Misconfigured(f"{path} has the SHA-256 {found}, its card says {part.sha256}; one of them is damaged")
    return raw


def _tokenizer(folder: Path, card: DeepCard) -> Any:
    return sentencepiece.SentencePieceProcessor(model_proto=_checked(folder, card.pieces))


def _open(folder: Path, card: DeepCard) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1  # Its process scales by others like it; a second thread would take another's core.
    options.inter_op_num_threads = 1
    options.enable_mem_pattern = False  # Every length would leave a plan behind.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.inter_op.allow_spinning", "0")
    graph = b"".join([_checked(folder, part) for part in card.parts])
    return ort.InferenceSession(graph, options, providers=["CPUExecutionProvider"])


def _padded(rows: Sequence[list[int]]) -> NDArray[np.int64]:
    """Return rows of ids as one array, shape (n, length of the longest)."""
    longest = max(map(len, rows))
    return np.array([row + [_PAD] * (longest - len(row)) for row in rows], np.int64)
