"""
The sets that the classifier learns from, and those that it is only measured on.

A set whose licence forbids commercial use is trained on only where ``with_nc`` asks for it, and such weights do not ship.
data/triage is our own work and is always trained on, whole: its labels and 760 + 1,220 of its posts are ours, 3,000 real
posts keep the licences of the sets that they were taken from; ``Example.licence`` names them, so that the card can say so.
"""

import csv
import gzip
import hashlib
import io
import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from models.classifier import HEADS
from models.errors import Misconfigured
from models.labels import LANGUAGES, SENTIMENTS
from models.text import normalise
from models.training.own import READ, WRITTEN, Own, own_posts

Row = Mapping[str, str]

FOLDS: Final = 5
TRIAGE: Final = "triage"
LINGUA: Final = "language_id_lingua"

YES_NO: Final = ("no", "yes")


class Example(Struct, frozen=True):
    """One text with the labels that its set gives it."""

    text: str
    """Normalised."""
    labels: dict[str, str]
    source: str
    """Folder in the data folder."""
    language: str = ""
    licence: str = ""
    part: str = "train"
    fold: int = -1
    """0..4 in data/triage: a block of neighbouring ids, so that a scene's translations stay together."""
    written: bool = False
    """Written for this project, so that its class shares are not those of real posts."""


class Source(Struct, frozen=True):
    """A set: where it lies, under which licence, and what its rows say in our labels."""

    name: str
    licence: str
    parts: tuple[str, ...]
    """Names of files without their suffix: train is trained on, all by nine tenths, others only measure."""
    read: Callable[[Row], dict[str, str]]
    language: str = ""
    """Of all rows; empty where a column ``lang`` says it."""
    learnt: str = "train"
    """The part that is trained on, where a set has but one and calls it otherwise."""


def _sentiment(column: str = "sentiment") -> Callable[[Row], dict[str, str]]:
    return lambda row: {"sentiment": row[column]} if row[column] in SENTIMENTS else {}


def _toxic(column: str, *bad: str) -> Callable[[Row], dict[str, str]]:
    return lambda row: {"toxic": YES_NO[row[column] in bad]}


CHANCE: Final = "hi"
"""
The language of UMSAB whose sentiment is chance: no head learns it, or is calibrated by it.

A linear machine, cross-validated within the part, gets 0.36 of three even values (0.53 to 0.61 in other languages), and what a
deep net is surest of is right in a third of them. The set's authors report 0.37 for nets that learnt from this part alone, and
0.53 to 0.56 of its test part, which is not here, for nets that learnt from all languages: there labels are sound.
"""


def _umsab(row: Row) -> dict[str, str]:
    labels = {"language": row["lang"]}
    return labels if row["lang"] == CHANCE else labels | {"sentiment": row["sentiment"]}


def _lingua(row: Row) -> dict[str, str]:
    return {"language": row["lang"]} if row["lang"] in LANGUAGES else {}


SOURCES: Final = (
    Source("tweeteval_sentiment", "Twitter terms", ("train", "val"), _sentiment(), language="en"),
    Source("umsab_tweet_sentiment", "Apache-2.0; Twitter terms", ("train", "val"), _umsab),
    Source("sb10k", "MIT; Twitter terms", ("train", "dev", "test"), _sentiment(), language="de"),
    Source("potts", "MIT; Twitter terms", ("train",), _sentiment(), language="de"),
    Source("german_politics_tweets", "none stated", ("train", "test"), _sentiment(), language="de"),
    Source(LINGUA, "Apache-2.0; Wortschatz Leipzig", ("all",), _lingua),
    Source("germeval2018_offensive", "CC BY 4.0", ("train", "test"), _toxic("offensive", "OFFENSE"), language="de"),
    Source("germeval2019_offensive", "CC BY 4.0", ("train",), _toxic("offensive", "OFFENSE"), language="de"),
    Source("germeval2021_toxic", "none stated", ("train", "test"), _toxic("toxic", "1"), language="de"),
    Source(
        "tweeteval_offensive",
        "Twitter terms",
        ("train", "val", "test"),
        _toxic("offensive", "offensive"),
        language="en",
    ),
    Source("tweeteval_hate", "Twitter terms", ("train", "val", "test"), _toxic("hate", "hate"), language="en"),
    Source("davidson_hate", "MIT", ("train",), _toxic("label", "hate", "offensive"), language="en"),
    Source("twitter_us_airline", "CC BY-NC-SA 4.0", ("train", "dev", "test"), _sentiment(), language="en"),
    Source("germeval2017", "CC BY-NC 2.0 (organisers' script)", ("dev",), _sentiment(), language="de", learnt="dev"),
    Source("hatecheck_multilingual", "CC BY 4.0", ("test",), _toxic("label", "hateful")),
)

# What the README of data/triage says of the sets that its real posts come from.
NON_COMMERCIAL: Final = {
    "germeval2017": "CC BY-NC 2.0 (organisers' script; data: research use)",
    "twitter_us_airline": "CC BY-NC-SA 4.0",
    "twcs_labelled": "CC BY-NC-SA 4.0",
    "twcs_spotify_unlabelled": "CC BY-NC-SA 4.0",
}


def is_bound(licence: str) -> bool:
    """Return whether a licence forbids commercial use."""
    return "NC" in licence


def load(data: Path, *, with_nc: bool = False) -> list[Example]:
    """
    Read all sets, in a fixed order, train and measuring parts alike.

    No text of a training part, nor one that is nearly it, is also in a measuring part of any set, nor twice in the training
    parts of sets with the same labels; posts of data/triage are in no other set's training part.

    Args:
        data: The folder of the sets, shared/data.
        with_nc: Train on the sets whose licence forbids commercial use, too.

    Raises:
        Misconfigured: If a set is missing.
    """
    triage = read_triage(data)
    others = [example for source in SOURCES for example in read_source(data, source)] + read_own(data)
    held = {each for example in others if example.part != "train" for each in near_keys(example.text)}
    ours = {each for example in triage for each in near_keys(example.text)}
    kept = [replace(e, part="held") if held.intersection(near_keys(e.text)) else e for e in triage]
    seen: set[tuple[str, ...]] = set()
    for example in others:
        keys = near_keys(example.text)
        # A single word may be a word of five languages: there each keeps its own row.
        mark = (keys[0], example.labels.get("language", ""), *sorted(example.labels))
        if example.part == "train":
            known = keys[1:] if example.source == LINGUA else keys
            if mark in seen or ours.intersection(keys) or held.intersection(known):
                continue
            if is_bound(example.licence) and not with_nc:
                continue
            seen.add(mark)
        kept.append(example)
    return kept


_PLACEHOLDERS: Final = re.compile(r"@user|<url>")
_NOT_LETTERS: Final = re.compile(r"[\W_]+")


def key(text: str) -> str:
    """Return what two copies of one text share: its letters and digits, whatever the set did to the rest."""
    return _NOT_LETTERS.sub("", _PLACEHOLDERS.sub(" ", text)) or text


NEAR_LETTERS: Final = 50
"""As many equal letters at the beginning or the end make two longer texts nearly one: copies with another link, answer or end."""


def near_keys(text: str) -> tuple[str, ...]:
    """Return what a text shares with each that is the same or nearly the same; the first is its ``key``."""
    whole = key(text)
    if len(whole) < NEAR_LETTERS + 10:  # Of a short text, the half is too little to be known by.
        return (whole,)
    return whole, f"<{whole[:NEAR_LETTERS]}", f">{whole[-NEAR_LETTERS:]}"


def read_triage(data: Path) -> list[Example]:
    """Read data/triage, sorted by id, each with its fold."""
    rows = triage_rows(data)
    blocks: dict[str, list[str]] = {}
    for row in rows:
        blocks.setdefault(_prefix(row["id"]), []).append(row["id"])
    fold = {id_: place * FOLDS // len(ids) for ids in blocks.values() for place, id_ in enumerate(ids)}
    return [_triage_example(row, fold[row["id"]]) for row in rows]


def triage_rows(data: Path) -> list[dict[str, str]]:
    """Return the posts of data/triage as their files have them, sorted by id."""
    rows: list[dict[str, str]] = []
    for name in ("posts.jsonl", "written_2.jsonl"):
        rows += [json.loads(line) for line in _text(data / TRIAGE / name).splitlines()]
    return sorted(rows, key=lambda row: row["id"])


def _prefix(post_id: str) -> str:
    """Return the id without its number: wmx-013 -> wmx, wen-b007 -> wen-b."""
    return post_id.rstrip("0123456789").rstrip("-")


def _triage_example(row: Row, fold: int) -> Example:
    labels = {head: row[head] for head in HEADS if head in row and row[head] in HEADS[head]}
    origin = row["source"].split("/")[0]
    licence = NON_COMMERCIAL.get(origin, "own" if origin == "written" else "none stated")
    return Example(
        text=normalise(row["text"]),
        labels=labels,
        source=TRIAGE,
        language=row["language"],
        licence=licence,
        fold=fold,
        written=origin == "written",
    )


def read_own(data: Path) -> list[Example]:
    """Read the posts that were labelled for this project beside data/triage."""
    return [
        Example(
            text=normalise(text),
            labels=own.labels,
            source=READ if own.digest else WRITTEN,
            language=own.language,
            licence=POOL_LICENCE if own.digest else "own",
            written=not own.digest,
        )
        for own, text in own_texts(data)
    ]


POOL_LICENCE: Final = "labels own; texts Twitter terms or none stated"


def own_texts(data: Path) -> list[tuple[Own, str]]:
    """
    Return the same posts with their texts as they were written.

    Raises:
        Misconfigured: If a set does not hold a text that was read there.
    """
    posts = own_posts(data)
    found: dict[str, str] = {}
    for name in sorted({own.origin for own in posts if own.origin}):
        for row in read_rows(data, name, "train"):
            text = escapes(row["text"])
            found[digest(normalise(text)).hex()] = text
    lost = [own for own in posts if own.digest and own.digest not in found]
    if lost:
        raise Misconfigured(
            f"--data: {lost[0].origin} lacks {len(lost)} texts that were labelled; is it another version?"
        )
    return [(own, own.text or found[own.digest]) for own in posts]


def read_source(data: Path, source: Source) -> list[Example]:
    """Read the parts of a set that our labels say something about."""
    out = []
    for part in source.parts:
        for row in read_rows(data, source.name, part):
            labels = source.read(row)
            if not labels or not row["text"].strip():
                continue
            language = source.language or row["lang"]
            text = normalise(escapes(row["text"]))
            name = _part(source.name, "train" if part == source.learnt else part, text)
            if name == "train" and "language" in labels:
                text = _dressed(text)
            out.append(Example(text, labels, source.name, language, source.licence, name))
    return out


def read_rows(data: Path, name: str, part: str) -> list[dict[str, str]]:
    """Return the rows of a part of a set, as its file has them."""
    return list(csv.DictReader(io.StringIO(_text(data / name / f"{part}.csv"), newline="")))


def _dressed(text: str) -> str:
    """
    Return every third text with a name before it or a link after it, as posts have them.

    Sentences of newspapers have neither: without this, ``@user`` would speak for the languages of tweets.
    """
    kind = digest(text)[1] % 6
    return f"@user {text}" if kind == 0 else f"{text} <url>" if kind == 1 else text


def digest(text: str) -> bytes:
    """Return sixteen bytes that stand for a text: what is chosen by them is chosen alike everywhere."""
    return hashlib.md5(text.encode(), usedforsecurity=False).digest()


# Sets of which a tenth of the training part, chosen by hash of the text, calibrates instead.
_SPLIT: Final = frozenset({LINGUA, "germeval2018_offensive", "germeval2021_toxic"})


def _part(name: str, part: str, text: str) -> str:
    if name not in _SPLIT or part not in ("train", "all"):
        return part
    return "dev" if digest(text)[0] < 26 else "train"


_ESCAPE: Final = re.compile(r"\\u([0-9a-fA-F]{4})")


def escapes(text: str) -> str:
    """Resolve escapes such as backslash u00e4 that some sets hold as letters."""
    return _ESCAPE.sub(lambda match: chr(int(match[1], 16)), text) if "\\u" in text else text


def _text(path: Path) -> str:
    """Return a file's text; the same name with .gz will do."""
    packed = path.with_name(path.name + ".gz")
    if path.exists():
        return path.read_text(encoding="utf-8")
    if packed.exists():
        return gzip.decompress(packed.read_bytes()).decode("utf-8")
    raise Misconfigured(f"--data: {path} is missing; {path.parent.parent} should hold the sets of shared/data")
