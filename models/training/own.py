"""
Posts labelled for this project by the rubric of data/triage, beside it: always learnt from, never measured with.

``written.csv`` holds posts that were written for it, whole. ``read.csv`` holds labels of real posts without their texts: of
each the digest by which it is found in its set. Only sets whose licence allows it were read, and no text of a measuring part.
A folder of sets that has a folder ``own`` with two such files is learnt from with those instead.
"""

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from msgspec import Struct

from models.classifier import HEADS
from models.errors import Misconfigured

FOLDER: Final = Path(__file__).parent / "posts"

WRITTEN: Final = "written"
READ: Final = "read"
"""What ``Example.source`` calls these posts."""

LABELS: Final = ("language", "sentiment", "category", "subject", "triage", "answer")


class Own(Struct, frozen=True):
    """One labelled post."""

    labels: dict[str, str]
    """Without ``language`` where it is none of ours."""
    language: str
    text: str = ""
    """As it was written; of a real post empty."""
    origin: str = ""
    """Of a real post, its set."""
    digest: str = ""
    """Of a real post, ``data.digest`` of its normalised text, in hexadecimal digits."""


def own_posts(data: Path) -> list[Own]:
    """
    Return all of them, in the order of the files.

    Raises:
        Misconfigured: If a file is missing or a label is none of the rubric's.
    """
    folder = data / "own" if (data / "own").is_dir() else FOLDER
    return [*_rows(folder / "written.csv"), *_rows(folder / "read.csv")]


def _rows(path: Path) -> Iterator[Own]:
    if not path.exists():
        raise Misconfigured(f"--data: {path} is missing; it comes with the project")
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            yield _own(row, path)


def _own(row: dict[str, str], path: Path) -> Own:
    for head in LABELS[1:]:
        if row[head] not in HEADS[head]:
            raise Misconfigured(f"{path}: {head} is {row[head]!r}; meant is one of {', '.join(HEADS[head])}")
    labels = {head: row[head] for head in LABELS if row[head] in HEADS[head]}
    return Own(labels, row["language"], row.get("text", ""), row.get("set", ""), row.get("digest", ""))
