"""
What a deep net says of posts that the fast tier is not measured with: its vectors and its margins, to be learnt from.

The net is that of the deep tier's first stage, or a smaller one made for this alone: it has learnt from tweets and from the
posts of ``own``, and has not seen one post of data/triage. The pool is the posts that were written for the project and posts of
sets whose licence allows it, without any text that something is measured with. ``write`` has them read once; ``read`` gives
what was said to the training. Nothing of the net is in the fast tier but numbers.

The base that the net began from has learnt no label at all: its vectors serve where the net's word would be an echo.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final
from zipfile import BadZipFile

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from models.errors import Misconfigured
from models.text import normalise
from models.training.data import TRIAGE, Example, digest, escapes, near_keys, own_texts, read_rows
from models.training.own import FOLDER

HEADS_TAUGHT: Final = ("sentiment", "category", "subject", "triage", "answer")
"""Those that data/triage teaches; language and toxicity have labelled texts enough of their own."""

Said = tuple[NDArray[np.float32], NDArray[np.float32]]
"""Vectors, shape (n, width), and margins of ``HEADS_TAUGHT`` side by side, shape (n, columns)."""
Teacher = Callable[[Sequence[str]], Said]
"""Raw texts -> what a net says of them."""


class Soft(Struct, frozen=True):
    """What was said of the pool."""

    place: dict[bytes, int]
    """By ``mark``, the row of a text."""
    vectors: NDArray[np.float32]
    """Shape (n, DIRECTIONS)."""
    margins: NDArray[np.float32]

    def of(self, texts: Sequence[str]) -> Said:
        """Return what was said of normalised texts, all of which are there."""
        rows = [self.place[mark(text)] for text in texts]
        return self.vectors[rows], self.margins[rows]


DIRECTIONS: Final = 48
"""Of the net's 768, by their variance: worth three tenths of a point beside the margins; 96 were no better."""

SHIPPED: Final = FOLDER / "soft.npz"
"""What the net said that the shipped table learnt from."""

BASE: Final = FOLDER / "base.npz"
"""
The same of the base before it learnt a label of ours: vectors alone.

Five of the pool's six texts are German or English. The words of the base's vocabulary, read beside them, gave the tweets in
French and Italian a point, and cost those in the other languages more.
"""

BLOCK: Final = 2_048
"""Texts that a net is given at once: enough to sort them by length, few enough to tell how far it is."""

# Set, texts at most, parts that are never read because somebody measures with them. Those that posts to brands are most
# alike have the most; what is written to a machine (intents) or about other things keeps its distance by its number.
POOL: Final = (
    ("complaints_twitter", 10_000, ()),
    ("sanders_brands", 10_000, ()),
    ("bitext_customer_service", 2_500, ("dev", "test")),
    ("banking77", 4_000, ("test",)),
    ("tweeteval_sentiment", 11_000, ()),
    ("umsab_tweet_sentiment", 10_000, ()),
    ("sb10k", 10_000, ()),
    ("potts", 4_000, ()),
    ("german_politics_tweets", 400, ()),
    ("germeval2025_candy_speech", 3_000, ("dev",)),
    ("hotel_aspect_de", 1_000, ("dev", "test")),
    ("sms_spam", 2_500, ()),
    ("youtube_spam_psy", 1_000, ()),
    ("disaster_tweets", 1_000, ()),
    ("clinc150", 1_500, ("val", "test")),
    ("massive_de", 1_500, ("dev", "test")),
    ("germeval2018_offensive", 800, ()),
    ("germeval2019_offensive", 600, ()),
    ("germeval2021_toxic", 700, ()),
    ("davidson_hate", 500, ()),
    ("tweeteval_emotion", 600, ("val", "test")),
)


def pool(data: Path, examples: Sequence[Example]) -> list[str]:
    """
    Return the raw texts of the pool, in a fixed order, no text twice.

    Args:
        data: The folder of the sets, shared/data.
        examples: What ``data.load`` gave: none of its measuring texts is in the pool, and none of data/triage.
    """
    taken = {each for e in examples if e.part != "train" or e.source == TRIAGE for each in near_keys(e.text)}
    for name, _, parts in POOL:
        for part in parts:
            taken.update(each for row in read_rows(data, name, part) for each in near_keys(normalise(row["text"])))
    out = [text for own, text in own_texts(data) if own.text and not taken.intersection(near_keys(normalise(text)))]
    taken.update(near_keys(normalise(text))[0] for text in out)
    for name, most, _ in POOL:
        kept = []
        for text in sorted((escapes(row["text"]) for row in read_rows(data, name, "train")), key=digest):
            keys = near_keys(normalise(text))
            if len(text.strip()) > 2 and not taken.intersection(keys):
                taken.add(keys[0])
                kept.append(text)
        out += kept[:most]
    return out


def told(data: Path, examples: Sequence[Example], said: Soft) -> list[str]:
    """Return the texts of the pool of which something was said, normalised, in the pool's order."""
    return [text for text in map(normalise, pool(data, examples)) if mark(text) in said.place]


def write(
    data: Path, examples: Sequence[Example], teacher: Teacher, out: Path, progress: Callable[[str], None]
) -> None:
    """Have the pool read by a net, and write what it says: keys, the vectors' first directions and margins; no text."""
    texts = pool(data, examples)
    vectors: list[NDArray[np.float16]] = []
    margins: list[NDArray[np.float16]] = []
    for start in range(0, len(texts), BLOCK):
        said = teacher(texts[start : start + BLOCK])
        vectors.append(said[0].astype(np.float16))
        margins.append(said[1].astype(np.float16))
        progress(f"{min(start + BLOCK, len(texts))} of {len(texts)} texts read")
    keys = np.frombuffer(b"".join(mark(normalise(text)) for text in texts), np.uint8).reshape(len(texts), -1)
    out.parent.mkdir(parents=True, exist_ok=True)
    first = directions(np.concatenate(vectors).astype(np.float32)).astype(np.float16)
    np.savez_compressed(out, keys=keys, vectors=first, margins=np.concatenate(margins))


def directions(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the first principal components. Shape (n, DIRECTIONS), or as wide as the vectors are if that is less."""
    centred = vectors - vectors.mean(axis=0)
    _, _, axes = np.linalg.svd(centred[::3], full_matrices=False)
    return np.asarray(centred @ axes[:DIRECTIONS].T, np.float32)


def mark(text: str) -> bytes:
    """Return what a normalised text is found by in the file."""
    return digest(text)


def read(path: Path) -> Soft:
    """
    Read a file that ``write`` made.

    Raises:
        Misconfigured: If it is missing or is another kind of file.
    """
    try:
        with np.load(path) as held:
            keys, vectors, margins = (held[name] for name in ("keys", "vectors", "margins"))
    except (OSError, EOFError, KeyError, ValueError, BadZipFile) as wrong:
        raise Misconfigured(f"--soft: {path} is no file of what a deep net says: {wrong}") from wrong
    place = {row.tobytes(): at for at, row in enumerate(keys)}
    return Soft(place, np.asarray(vectors, np.float32), np.asarray(margins, np.float32))
