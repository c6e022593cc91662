"""The card of an artifact: fast.json for programs, fast.md for people."""

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from models.classifier import CARD_NAME, GRAPH_NAME, HEADS, Card
from models.deep import DeepCard
from models.text import LENGTH_MIN
from models.training.data import TRIAGE, Example, is_bound
from models.training.own import READ, WRITTEN
from models.training.soft import POOL

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
    *,
    lifted: bool = False,
) -> Card:
    """Write the graph and both cards to a folder, the graph last so that no reader finds it without its card."""
    card = Card(
        name=NAME,
        sha256=hashlib.sha256(graph).hexdigest(),
        size_bytes=len(graph),
        input="cp: int32, shape (n, length), code points of normalised texts between two spaces, padded with 0, "
        f"length >= {LENGTH_MIN}",
        output="logits: float32, shape (n, columns), calibrated; columns by head in the order of `heads`, "
        "one for a head of two values (the logit of the second)",
        bits=bits,
        heads=dict(HEADS),
        thresholds={head: round(value, 4) for head, value in thresholds.items()},
        targets=dict(targets),
        sources=[dict(source) for source in sources],
        scores=dict(scores),
        lifted=lifted,
    )
    out.mkdir(parents=True, exist_ok=True)
    (out / CARD_NAME).write_bytes(msgspec.json.format(msgspec.json.encode(card), indent=1) + b"\n")
    (out / GRAPH_NAME).with_suffix(".md").write_text(_page(card), encoding="utf-8")
    (out / GRAPH_NAME).write_bytes(graph)
    return card


def _page(card: Card) -> str:
    parts = [_head(card), _licences(card), labels_table(card, "cross-validated")]
    parts += [
        scores_table(title, card.scores[title]) for title in ("cross_validated", "measured") if title in card.scores
    ]
    parts += [_bias(card.scores["bias"])] if "bias" in card.scores else []
    return "\n".join(parts)


def _head(card: Card) -> str:
    return f"""# {card.name}

Labels a post's text. One linear head a label over hashed character 1-5-grams within words (2^{card.bits} buckets) and
hashed words and pairs of words (2^{card.bits - 1}), from code points to calibrated logits in one ONNX graph of
{card.size_bytes / 1e6:.1f} MB; the table is int8, sums are int32. Made by `zuruf train`. A machine was fitted for each value,
on n-grams scaled by how much they tell it from the others, see `models/training/contrast.py`. {LIFTED if card.lifted else ""}

- SHA-256 `{card.sha256}`
- input `{card.input}`
- output `{card.output}`

It reads the letters of a text and nothing else: no history, no picture, no author. It was made for German and English
posts to brands. Sentiment was also learnt from tweets in French, Spanish, Italian, Portuguese and Arabic (not in Hindi: the
labels that there are of it are chance), category to answer from 1,400 posts in seven others. Toxicity was learnt
in German and English only: on the HateCheck sets of other languages it is chance, in German hardly better,
and it misses hate that uses no rude word. Irony passes it by. Of the real German
posts most were news and chatter, few called for an answer.
"""


LIFTED: Final = f"""
What a deep net says of posts was taught to the n-grams and folded into the table, see `models/training/lift.py`; it was worth
about three points of macro-F1 on category. The net is multilingual-e5-small (MIT), trained on posts of our own and on
tweets; it has seen no post of data/triage. It was asked about our own posts and about some of
{", ".join(name for name, _, _ in POOL)}.
None of these sets is under a licence that forbids commercial use; several state none."""

# Measured once, with and without: sentiment alone learns from these sets.
NC_COST: Final = """
What it costs to leave them out, measured on n-grams alone, by sentiment, which alone learns from them: accuracy on airline
tweets 0.735 instead of 0.804 (their own train part is left out); macro-recall on TweetEval val 0.659 instead of 0.660,
macro-F1 on SB-10k test 0.643 both ways and on UMSAB val 0.600 instead of 0.596."""


def _licences(card: Card) -> str:
    rows = "\n".join(f"| {s['set']} | {s['texts']} | {s['heads']} | {s['licence']} |" for s in card.sources)
    bound = [source for source in card.sources if is_bound(source["licence"])]
    ours = sum(int(source["texts"]) for source in bound if source["set"] == TRIAGE)
    note = f"""`{WRITTEN}` are posts written for the project, `{READ}` posts of open sets that were labelled for it; both lie in
`models/training/posts`, of the latter only labels and digests.

The texts of {ours} posts of data/triage are under a licence that forbids commercial use; their labels are
our own, and no text is shipped. Other sets under such a licence are only measured with; `--with-nc` trains on them too.
{NC_COST}
"""
    if any(source["set"] != TRIAGE for source in bound):
        note = "Trained with `--with-nc` on sets whose licence forbids commercial use: these weights must not be shipped.\n"
    return f"""## Trained on

| set | texts | heads | licence of the texts |
|---|---|---|---|
{rows}

{note}"""


def labels_table(card: Card | DeepCard, where: str) -> str:
    """Return the section of labels with their thresholds; ``where`` says on which texts these were chosen."""
    rows = "\n".join(
        f"| {head} | {' '.join(values)} | {card.thresholds[head]:.3f} | {card.targets[head]:.2f} |"
        for head, values in card.heads.items()
    )
    return f"""## Labels

Below its threshold a label is called unsure; at or above it the target is the share that was right, {where}.

| label | values | threshold | target |
|---|---|---|---|
{rows}
"""


def scores_table(title: str, scores: Mapping[str, Any]) -> str:
    """Return a section of scores, by head and group of texts."""
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


def _bias(found: Mapping[str, Any]) -> str:
    """Return what changes with the name and the dialect of who writes; see ``models.training.bias``."""
    rows = {"names": found["names"], **found["dialects"]}
    lines = [
        "## Who writes",
        "",
        "Share of posts whose label changes with the name in them (21 names of seven origins), or with the dialect that they",
        "are written in (four sentences each: an example, not a measure); the last column is what toxicity gains in probability.",
        "",
        f"| {' | '.join(['changed', *HEADS, 'toxicity'])} |",
        "|---" * (len(HEADS) + 2) + "|",
    ]
    for name, row in rows.items():
        gain = row.get("toxic gain", row.get("toxic spread", 0.0))
        lines.append(f"| {name} | {' | '.join(f'{row[head]:g}' for head in HEADS)} | {gain:+.3f} |")
    return "\n".join([*lines, ""])
