"""A small data folder and a small artifact, so that tests need neither the real sets nor the real weights."""

import csv
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.classifier import COLUMNS, HEADS, Card, width
from models.labels import CATEGORIES, LANGUAGES, SENTIMENTS, SUBJECTS, TRIAGES
from models.text import normalise
from models.training import card, features, graph
from models.training.data import SOURCES, digest
from models.training.own import LABELS
from models.training.soft import HEADS_TAUGHT, POOL, Said

BITS = 12


def some_weights(seed: int = 0) -> graph.Weights:
    """A table of noise: what a graph computes with it can be checked, what it means cannot."""
    rng = np.random.default_rng(seed)
    table = rng.normal(0, 1, (features.size(BITS), 1 + COLUMNS)).astype(np.float32)
    table[:, 0] = np.abs(table[:, 0])
    table[0] = 0
    scale = rng.uniform(0.5, 2, COLUMNS).astype(np.float32)
    return graph.Weights(table=table, scale=scale, shift=rng.normal(0, 1, COLUMNS).astype(np.float32))


def write_artifact(folder: Path, weights: graph.Weights | None = None, threshold: float = 0.5) -> Card:
    model = graph.build(weights or some_weights()).SerializeToString(deterministic=True)
    return card.write(folder, model, BITS, dict.fromkeys(HEADS, threshold), dict.fromkeys(HEADS, 0.8), [], {})


def a_post(number: int, prefix: str, source: str) -> dict[str, str]:
    """A post whose words give its labels away; every value comes in every block of 90."""
    labels = {
        "sentiment": SENTIMENTS[number % 3],
        "category": CATEGORIES[number % 6],
        "subject": SUBJECTS[number % 9],
        "triage": TRIAGES[number % 5],
        "answer": ("no", "yes")[number % 2],
    }
    words = " ".join(f"{value}{head[:2]}" for head, value in labels.items())
    return {
        "id": f"{prefix}-{number:03d}",
        "brand": "",
        "source": source,
        "text": f"{words} nr {number} {prefix}",
        "language": "de" if number % 2 else "en",
        **labels,
    }


def _value(column: str, number: int) -> str:
    table = {
        "sentiment": SENTIMENTS,
        "offensive": ("OTHER", "OFFENSE", "not_offensive", "offensive"),
        "toxic": ("0", "1"),
        "hate": ("not_hate", "hate"),
        "label": ("neither", "hate", "hateful", "non-hateful"),
        "intent": ("lost_card", "top_up"),
        "negative_reason": ("Late Flight", "Bad Flight", ""),
        "relevance": ("true", "false"),
        "kind": ("sentences", "word-pairs", "single-words"),
    }
    return table[column][number % len(table[column])]


def write_data(folder: Path) -> Path:
    """A file for every set that training reads, with a few rows each."""
    triage = folder / "triage"
    triage.mkdir(parents=True)
    real = [a_post(number, "de1", "germeval2017/x.de") for number in range(90)]
    written = [a_post(number, "wen-b", "written") for number in range(90)]
    for name, posts in (("posts.jsonl", real), ("written_2.jsonl", written)):
        (triage / name).write_text("".join(json.dumps(post) + "\n" for post in posts), encoding="utf-8")
    for source in SOURCES:
        (folder / source.name).mkdir()
        for part in source.parts:
            _write_part(folder / source.name / f"{part}.csv", source.name, part)
    for name, _, parts in POOL:
        (folder / name).mkdir(exist_ok=True)
        for part in {"train", *parts} - {file.stem for file in (folder / name).iterdir()}:
            _write_part(folder / name / f"{part}.csv", name, part)
    _write_own(folder)
    return folder


def _write_own(folder: Path) -> None:
    """Twelve posts written for the project, and the labels of six of a set's."""
    (folder / "own").mkdir()
    with (folder / "own" / "written.csv").open("w", encoding="utf-8", newline="") as file:
        rows = csv.DictWriter(file, ["brand", *LABELS, "text"], extrasaction="ignore")
        rows.writeheader()
        rows.writerows(a_post(number, "own", "written") for number in range(12))
    with (folder / "sb10k" / "train.csv").open(encoding="utf-8", newline="") as file:
        texts = [row["text"] for row in csv.DictReader(file)][:6]
    with (folder / "own" / "read.csv").open("w", encoding="utf-8", newline="") as file:
        rows = csv.DictWriter(file, ["set", "digest", *LABELS], extrasaction="ignore")
        rows.writeheader()
        for number, text in enumerate(texts):
            found = {"set": "sb10k", "digest": digest(normalise(text)).hex()}
            rows.writerow({**a_post(number, "own", "read"), **found})


def _write_part(path: Path, name: str, part: str) -> None:
    columns = (
        "sentiment", "offensive", "toxic", "hate", "label", "intent", "negative_reason", "relevance", "kind"
    )  # fmt: skip
    with path.open("w", encoding="utf-8", newline="") as file:
        rows = csv.DictWriter(file, ["text", "lang", *columns])
        rows.writeheader()
        for number in range(29 * 12 if "lingua" in name else 48):
            lang = LANGUAGES[number % 29] if "lingua" in name else LANGUAGES[number % 8]
            values = {column: _value(column, number) for column in columns}
            # The number at both ends: texts with equal ends count as nearly the same.
            text = f"{name} {part} {number} sprache{lang} {' '.join(values.values())} {name} {part} {number}"
            rows.writerow({"text": text, "lang": lang, **values})


def say(texts: Sequence[str]) -> Said:
    """Vectors that say which of 80 bytes a text holds, and margins of the first letters."""
    vectors = _vectors(texts)
    return vectors, vectors[:, :COLUMNS_TAUGHT] * 3


COLUMNS_TAUGHT = sum(width(head) for head in HEADS_TAUGHT)


def _vectors(texts: Sequence[str]) -> NDArray[np.float32]:
    out = np.zeros((len(texts), 80), np.float32)
    for at, text in enumerate(texts):
        np.add.at(out[at], np.frombuffer(text.encode(), np.uint8) % 80, 1)
    return out + 0.01
