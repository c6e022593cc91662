"""The texts that the deep tier learns from: the fast tier's with the case of their letters, and a few sets more."""

import csv
import gzip
import io
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from msgspec import Struct

from models.deep import clean
from models.errors import Misconfigured
from models.text import normalise
from models.training.data import SOURCES, TRIAGE, Example, key, load, own_texts

Row = Mapping[str, str]


class Text(Struct, frozen=True):
    """An example of the fast tier's data, with its text as the deep tier reads it."""

    text: str
    """Cleaned, with the case of its letters."""
    example: Example


class Auxiliary(Struct, frozen=True):
    """A set whose labels are not ours: its head is learnt beside ours and thrown away, and teaches the layers below."""

    name: str
    licence: str
    column: str
    rows_max: int = 20_000


AUXILIARY: Final = (
    Auxiliary("banking77", "CC BY 4.0", "intent"),
    Auxiliary("bitext_customer_service", "CDLA-Sharing 1.0", "intent"),
    Auxiliary("massive_de", "CC BY 4.0", "intent"),
    Auxiliary("complaints_twitter", "none stated", "complaint"),
    Auxiliary("tweeteval_emotion", "Twitter terms", "emotion"),
    Auxiliary("germeval2025_candy_speech", "none stated", "praise", rows_max=8_000),
)


def read(data: Path) -> list[Text]:
    """
    Read all that the fast tier's training reads, in its order, with its parts and folds, and the auxiliary sets.

    Auxiliary rows carry one label under their set's name. No text of data/triage and none of a measuring part
    is among them.
    """
    examples = load(data)
    spelled = _spelled(data)
    texts = [Text(_respelled(example.text, spelled), example) for example in examples]
    taken = {key(example.text) for example in examples if example.source == TRIAGE or example.part != "train"}
    for auxiliary in AUXILIARY:
        texts += [text for text in _auxiliary(data, auxiliary) if key(text.example.text) not in taken]
    return texts


def _auxiliary(data: Path, source: Auxiliary) -> Iterator[Text]:
    rows = _rows(data / source.name / "train.csv")
    stride = max(1, -(-len(rows) // source.rows_max))
    for row in rows[::stride]:
        labels = {source.name: row[source.column]}
        yield Text(clean(row["text"]), Example(normalise(row["text"]), labels, source.name, licence=source.licence))


def _spelled(data: Path) -> dict[str, str]:
    """Return, by the fast tier's text, the text with the case of its letters."""
    out: dict[str, str] = {}
    for name in ("posts.jsonl", "written_2.jsonl"):
        for line in (data / TRIAGE / name).read_text(encoding="utf-8").splitlines():
            raw = json.loads(line)["text"]
            out.setdefault(normalise(raw), clean(raw))
    for _, raw in own_texts(data):
        out.setdefault(normalise(raw), clean(raw))
    for source in SOURCES:
        for part in source.parts:
            for row in _rows(data / source.name / f"{part}.csv"):
                raw = _ESCAPE.sub(lambda match: chr(int(match[1], 16)), row["text"])
                out.setdefault(normalise(raw), clean(raw))
    return out


_ESCAPE: Final = re.compile(r"\\u([0-9a-fA-F]{4})")


def _respelled(text: str, spelled: Mapping[str, str]) -> str:
    """Find a text's spelling, also where the fast tier's training put a name before it or a link after it."""
    bare = text.removeprefix("@user ").removesuffix(" <url>")
    if text in spelled or bare not in spelled:
        return spelled.get(text, clean(text.replace("<url>", "http")))
    return text.replace(bare, spelled[bare]).replace("<url>", "http")


def _rows(path: Path) -> list[dict[str, str]]:
    packed = path.with_name(path.name + ".gz")
    if path.exists():
        text = path.read_text(encoding="utf-8")
    elif packed.exists():
        text = gzip.decompress(packed.read_bytes()).decode("utf-8")
    else:
        raise Misconfigured(f"--data: {path} is missing; {path.parent.parent} should hold the sets of shared/data")
    return [row for row in csv.DictReader(io.StringIO(text, newline="")) if row["text"].strip()]
