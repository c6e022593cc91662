"""The card of an artifact: fast.json for programs, fast.md for people."""

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from models.classifier import CARD_NAME, GRAPH_NAME, HEADS, Card
from models.training.data import Example, is_bound

NAME: Final = "Zuruf fast classifier"


def sources_of(examples: Sequence[Example]) -> list[dict[str, str]]:
    """Return each set and licence that was trained on, with the number of texts and the heads that they taught."""
    trained = [example for example in examples if example.part == "train"]
    count = Counter((example.source, example.licence) for example in trained)
    heads: dict[tuple[str, str], set[str]] = {}
    for example in trained:
        heads.setdefault((example.source, example.licence), set()).update(example.labels)
    return [
        {
            "set": source,
            "licence": licence,
            "texts": str(texts),
            "heads": " ".join(head for head in HEADS if head in heads[source, licence]),
        }
        for (source, licence), texts in sorted(count.items())
    ]


def write(
    out: Path,
    graph: bytes,
    bits: int,
    thresholds: Mapping[str, float],
    targets: Mapping[str, float],
    sources: Sequence[Mapping[str, str]],
    scores: Mapping[str, Any],
) -> Card:
    """Write the graph and both cards to a folder, the graph last so that no reader finds it without its card."""
    card = Card(
        name=NAME,
        sha256=hashlib.sha256(graph).hexdigest(),
        size_bytes=len(graph),
        input="cp: int32, shape (n, length), code points of normalised texts between two spaces, padded with 0",
        output="logits: float32, shape (n, columns), calibrated; columns by head in the order of `heads`, "
        "one for a head of two values (the logit of the second)",
        bits=bits,
        heads=dict(HEADS),
        thresholds={head: round(value, 4) for head, value in thresholds.items()},
        targets=dict(targets),
        sources=[dict(source) for source in sources],
        scores=dict(scores),
    )
    out.mkdir(parents=True, exist_ok=True)
    (out / CARD_NAME).write_bytes(msgspec.json.format(msgspec.json.encode(card), indent=1) + b"\n")
    (out / GRAPH_NAME).with_suffix(".md").write_text(_page(card), encoding="utf-8")
    (out / GRAPH_NAME).write_bytes(graph)
    return card


def _page(card: Card) -> str:
    parts = [_head(card), _licences(card), _values(card)]
    parts += [_table(title, scores) for title, scores in card.scores.items()]
    return "\n".join(parts)


def _head(card: Card) -> str:
    return f"""# {card.name}

Labels a post's text. One linear head a label over hashed character 1-5-grams, 2^{card.bits} buckets, all in one
ONNX graph of {card.size_bytes / 1e6:.1f} MB; the table is fp16, sums are fp32. Made by `zuruf train`.

- SHA-256 `{card.sha256}`
- input `{card.input}`
- output `{card.output}`

It reads the letters of a text and nothing else: no history, no picture, no author. It was made for German and English
posts to brands. Sentiment was also learnt from tweets in French, Spanish, Italian, Portuguese, Arabic and Hindi (of
Hindi in Latin letters it knows nothing: chance), category to answer from 400 posts in seven others. Toxicity
was learnt in German and English only: on the HateCheck sets of other languages it is chance, in German hardly better,
and it misses hate that uses no rude word. Irony passes it by. Of the real German
posts most were news and chatter, few called for an answer.
"""


def _licences(card: Card) -> str:
    rows = "\n".join(f"| {s['set']} | {s['texts']} | {s['heads']} | {s['licence']} |" for s in card.sources)
    bound = sum(int(source["texts"]) for source in card.sources if is_bound(source["licence"]))
    note = f"\nThe texts of {bound} of these posts are under a licence that forbids commercial use; their labels are ours. "
    note += "`--free-only` trains without them.\n"
    return f"""## Trained on

| set | texts | heads | licence of the texts |
|---|---|---|---|
{rows}
{note if bound else ""}"""


def _values(card: Card) -> str:
    rows = "\n".join(
        f"| {head} | {' '.join(values)} | {card.thresholds[head]:.3f} | {card.targets[head]:.2f} |"
        for head, values in card.heads.items()
    )
    return f"""## Labels

Below its threshold a label is called unsure; at or above it the target is the share that was right, cross-validated.

| label | values | threshold | target |
|---|---|---|---|
{rows}
"""


def _table(title: str, scores: Mapping[str, Any]) -> str:
    lines = [f"## Scores: {title.replace('_', ' ')}", ""]
    for head, groups in scores.items():
        names = max((list(row) for row in groups.values()), key=len)
        lines += [f"| {head} | {' | '.join(names)} |", "|---" * (len(names) + 1) + "|"]
        lines += [
            f"| {group} | {' | '.join(f'{row[name]:g}' if name in row else '' for name in names)} |"
            for group, row in groups.items()
        ]
        lines.append("")
    return "\n".join(lines)
