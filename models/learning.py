"""
What a tenant's reps teach the fast classifier: corrections in, a head of the tenant's own out. Plain numpy, no clock.

A head of the tenant stands on the shipped one. From 100 corrections on it scales and shifts the shipped logits and, where that
is better, also weighs the n-grams of the tenant's own texts; from 500 that is nearly always so. The texts that the shipped
table was made from are not here, so the table itself is the prior: weights that nothing speaks for stay 0, and a label that
nobody corrects stays what it was.

Nothing is taken over untried. A challenger is fitted on the older corrections, judged beside the champion on the newest
fifth (a first one on every fifth, while they are few), and promoted only if it is better by more than chance gives.
Corrections that agree with nothing that is known, which is how random, flipped and careless labels look, are set aside before.
"""

import hashlib
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Final, Literal

import msgspec
import numpy as np
from msgspec import Struct
from msgspec.structs import replace
from numpy.typing import NDArray

from models.classifier import HEADS, width
from models.text import code_points
from models.training.features import HASH_BITS, hashes

Ids = NDArray[np.int64]
Floats = NDArray[np.float64]

BITS: Final = 17
"""Buckets of the tenant's own weights; of so few texts no more are filled."""
SHIFT_MIN: Final = 100
"""Trusted corrections of a head before anything is tried: below it a fifth is too few to judge by."""
OWN_MIN: Final = 100
"""
Before n-grams are weighed too. Both challengers are fitted from here on and the better one is judged: pulled towards the shipped
head, n-grams do no harm early. Measured on the airline set's dev part, accuracy by scale and shift / by n-grams too: 0.746 /
0.748 at 100, 0.742 / 0.778 at 500, 0.745 / 0.784 at 2,000.
"""
CORRECTIONS_MAX: Final = 10_000  # Kept per tenant and head, the newest: what a product was called years ago misleads.
GROWTH: Final = 0.25
"""New corrections before the next trial, by those before: then the newest fifth is new to the champion too."""
FIFTHS: Final = 5
BUCKETS_MAX: Final = (
    60_000  # Of the weights, the heaviest; 20,000 cost a point on the airline set at 2,000 corrections.
)
WEIGHT_BYTES_MAX: Final = 600_000  # A version is one record, base64 in JSON, and a record holds a megabyte.
VERSIONS_MAX: Final = 5  # Kept to go back to.

MARGIN: Final = 0.01
"""By how much a challenger's accuracy on the newest fifth must be higher, 0..1; see ``is_better`` for the rest."""
SURE: Final = 1.0  # Standard errors: five chances in six, one-sided.
CROSSED_MAX: Final = 1_000
"""Up to so many corrections a first challenger is judged on all of them, each fifth by a head fitted on the others."""
RECALL_LOSS_MAX: Final = 0.04
"""
Mean recall of the values may fall by so much, and by half of what accuracy gains: who calls everything complaint is right often,
and useless.
"""
BLOCK: Final = 50
"""Corrections of one rep that are trusted or not as a whole."""
KAPPA_MIN: Final = 0.15
"""
Agreement beyond chance (Cohen's kappa, -1..1) of a block with what is known. On the airline set's dev part honest blocks have
0.23 to 0.74, 0.52 in the middle; random ones have 0 +- 0.1, flipped ones less, one answer for all exactly 0.
"""
TRUSTED_SHARE_MIN: Final = (
    0.6  # One random block in fifteen passes by luck: a tenant that fails in so many is not tried.
)

Kind = Literal["shift", "own"]


def values_of(head: str) -> tuple[str, ...]:
    """Return a head's values, in the order of its labels 0, 1, ..."""
    return HEADS[head]


# -- texts as n-grams -----------------------------------------------------------------------------------------------


class Grams(Struct, frozen=True):
    """The n-grams of some texts, one entry for each text and bucket, by text."""

    texts: int
    rows: Ids
    buckets: Ids
    values: Floats
    """Count of the bucket in the text by the root of the number of its n-grams."""

    def of(self, chosen: Ids) -> "Grams":
        """Return those of some of the texts, in that order. ``chosen`` has no text twice."""
        place = np.full(self.texts, -1, np.int64)
        place[chosen] = np.arange(len(chosen))
        kept = place[self.rows] >= 0
        rows = place[self.rows[kept]]
        order = np.argsort(rows, kind="stable")
        return Grams(len(chosen), rows[order], self.buckets[kept][order], self.values[kept][order])


def grams_of(texts: Sequence[str]) -> Grams:
    """Return the n-grams of normalised texts."""
    blocks = [_block(texts[start : start + 256], start) for start in range(0, len(texts), 256)]
    if not blocks:
        return Grams(0, np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0))
    rows, buckets, values = (np.concatenate(parts) for parts in zip(*blocks, strict=True))
    return Grams(len(texts), rows, buckets, values)


def buckets_of(texts: Sequence[str]) -> Ids:
    """Return the bucket of every n-gram of normalised texts, 0 where there is none. Shape (n, as many as come)."""
    return np.concatenate(hashes(code_points(texts)), axis=1) >> (HASH_BITS - BITS)


def lengths_of(ids: Ids) -> Floats:
    """Return the root of the number of each text's n-grams, at least 1. Shape (n,)."""
    return np.asarray(np.sqrt(np.maximum(np.count_nonzero(ids, axis=1), 1)))


def _block(texts: Sequence[str], first: int) -> tuple[Ids, Ids, Floats]:
    ids = buckets_of(texts)
    lengths = lengths_of(ids)
    rows, _ = np.nonzero(ids)
    keys, counts = np.unique((rows << BITS) + ids[ids > 0], return_counts=True)
    rows = keys >> BITS
    return rows + first, keys & ((1 << BITS) - 1), counts / lengths[rows]


# -- a tenant's head ------------------------------------------------------------------------------------------------


class Head(Struct, frozen=True, omit_defaults=True):
    """A tenant's head of one label, on top of the shipped one: logits * scale + shift + what its n-grams weigh."""

    head: str
    base: str
    """Version of the classifier whose logits it stands on."""
    kind: Kind
    scale: float
    shift: tuple[float, ...]
    """One a column."""
    buckets: bytes = b""
    """int32, little endian, rising."""
    weights: bytes = b""
    """float16, little endian, shape (buckets, columns)."""

    @property
    def version(self) -> str:
        """Twelve digits of the SHA-256 of all that it is."""
        return hashlib.sha256(msgspec.json.encode(self)).hexdigest()[:12]

    def table(self) -> tuple[Ids, Floats]:
        """Return the buckets, shape (n,), and their weights, shape (n, columns)."""
        buckets = np.frombuffer(self.buckets, "<i4").astype(np.int64)
        weights = np.frombuffer(self.weights, "<f2").astype(np.float64).reshape(len(buckets), len(self.shift))
        return buckets, weights


def check(head: Head) -> None:
    """
    Raise unless a head that came from outside can be applied.

    Raises:
        ValueError: Naming what came and what was meant.
    """
    if head.head not in HEADS:
        raise ValueError(f"head {head.head!r}: one of {', '.join(HEADS)} was meant")
    columns = width(head.head)
    if len(head.shift) != columns:
        raise ValueError(f"{head.head}: {len(head.shift)} shifts, meant {columns}")
    if len(head.buckets) % 4 or len(head.weights) != len(head.buckets) // 4 * columns * 2:
        raise ValueError(f"{head.head}: {len(head.weights)} bytes of weights do not fit {len(head.buckets)} of buckets")
    numbers = [head.scale, *head.shift]
    buckets, weights = head.table()
    if not np.isfinite(numbers).all() or not np.isfinite(weights).all():
        raise ValueError(f"{head.head}: numbers that are not finite")
    if len(buckets) and not (buckets[0] > 0 and buckets[-1] < 1 << BITS and (np.diff(buckets) > 0).all()):
        raise ValueError(f"{head.head}: buckets must rise within 1 to {(1 << BITS) - 1}")


def applied(head: Head | None, logits: Floats, grams: Grams) -> Floats:
    """
    Return a head's logits of some texts.

    Args:
        head: None for the shipped head alone.
        logits: The shipped head's. Shape (n, columns of the head).
        grams: Of the same texts; only looked at where the head weighs n-grams.
    """
    if head is None:
        return logits
    out: Floats = logits * head.scale + np.array(head.shift)
    if head.buckets:
        buckets, weights = head.table()
        place = np.full(1 << BITS, -1, np.int64)
        place[buckets] = np.arange(len(buckets))
        where = place[grams.buckets]
        known = where >= 0
        np.add.at(out, grams.rows[known], weights[where[known]] * grams.values[known, None])
    return out


# -- fitting --------------------------------------------------------------------------------------------------------

SCALE_PULL: Final = 4.0  # A prior of half an e-fold on the scale's logarithm: it seldom has to move.
SHIFT_PULL: Final = 0.25  # A prior of two on each shift: a class that a tenant never has loses most of its weight.
WEIGHT_PULL: Final = 0.1  # Of rows of length one; on the airline set's dev part 0.1 to 0.6 are within half a point.
EVENED: Final = 0.25
"""
A value weighs as its share to the power of one less this. By its share itself, accuracy on the airline set's dev part is the
same and mean recall 2 points lower: what is rare and presses would be learnt away.
"""
STEPS: Final = 60
MEMORY: Final = 5


def fit(head: str, base: str, logits: Floats, labels: Ids, grams: Grams, kind: Kind) -> Head:
    """
    Fit a tenant's head by penalised logistic regression. The same data give the same bytes.

    Args:
        head: Its name.
        base: Version of the classifier.
        logits: The shipped head's on the corrected texts. Shape (n, columns of the head).
        labels: What the reps said, places in the head's values. Shape (n,).
        grams: Of the same texts.
        kind: Whether n-grams are weighed.
    """
    if kind == "shift":
        packed = _minimised(_Loss(logits, labels, None), np.zeros(1 + logits.shape[1]))
        return Head(head, base, kind, *_unpacked(packed))
    design = _design(grams, logits.shape[1])
    if design is None:
        return fit(head, base, logits, labels, grams, "shift")
    packed = _minimised(_Loss(logits, labels, design), np.zeros(1 + logits.shape[1] + design.size))
    scale, shift = _unpacked(packed[: 1 + logits.shape[1]])
    weights = packed[1 + logits.shape[1] :].reshape(-1, logits.shape[1]) * design.idf[:, None]
    buckets, halves = _heaviest(design.buckets, weights)
    return Head(head, base, kind, scale, shift, buckets.astype("<i4").tobytes(), halves.astype("<f2").tobytes())


def _unpacked(packed: Floats) -> tuple[float, tuple[float, ...]]:
    # Five places: a version is the hash of its numbers, and the last bits depend on the machine's sums.
    return round(float(np.exp(packed[0])), 5), tuple(round(float(one), 5) for one in packed[1:])


def _heaviest(buckets: Ids, weights: Floats) -> tuple[Ids, Floats]:
    """Return at most as many buckets as a record holds, those that weigh most, by bucket."""
    most = min(BUCKETS_MAX, WEIGHT_BYTES_MAX // (4 + 2 * weights.shape[1]))
    weight = np.abs(weights).max(axis=1)
    kept = np.sort(np.argsort(-weight, kind="stable")[:most])
    kept = kept[weight[kept] > 1e-4]
    return buckets[kept], weights[kept]


class _Design(Struct, frozen=True):
    """The corrected texts as a sparse matrix, row by row and column by column. Its rows have length one in the middle."""

    buckets: Ids
    """Of each column."""
    idf: Floats
    rows: Ids
    places: Ids
    """Column of each entry."""
    values: Floats
    row_starts: Ids
    order: Ids
    """Entries sorted by column."""
    column_starts: Ids
    texts: int
    columns: int

    @property
    def size(self) -> int:
        return len(self.buckets) * self.columns

    def margins(self, weights: Floats) -> Floats:
        """Shape (texts, columns). ``weights``: shape (buckets, columns)."""
        out = np.zeros((self.texts, self.columns))
        present = self.rows[self.row_starts]
        out[present] = np.add.reduceat(weights[self.places] * self.values[:, None], self.row_starts, axis=0)
        return out

    def slope(self, by_text: Floats) -> Floats:
        """Shape (buckets, columns): what ``by_text``, shape (texts, columns), is for each weight."""
        entries = by_text[self.rows[self.order]] * self.values[self.order][:, None]
        return np.asarray(np.add.reduceat(entries, self.column_starts, axis=0))


def _design(grams: Grams, columns: int) -> _Design | None:
    """Return the matrix of n-grams that two texts or more have; None if there are none."""
    frequency = np.bincount(grams.buckets, minlength=1 << BITS)
    kept = frequency[grams.buckets] >= 2  # What one text alone has is learnt by heart.
    if not kept.any():
        return None
    rows, values = grams.rows[kept], grams.values[kept]
    buckets, places = np.unique(grams.buckets[kept], return_inverse=True)
    idf = np.log((1 + grams.texts) / (1 + frequency[buckets])) + 1
    lengths = np.sqrt(np.bincount(rows, np.square(values * idf[places]), minlength=grams.texts))
    idf = idf / max(float(np.median(lengths)), 1e-9)
    order = np.argsort(places, kind="stable")
    return _Design(
        buckets=buckets,
        idf=idf,
        rows=rows,
        places=places,
        values=values * idf[places],
        row_starts=np.flatnonzero(np.diff(rows, prepend=-1)),
        order=order,
        column_starts=np.flatnonzero(np.diff(places[order], prepend=-1)),
        texts=grams.texts,
        columns=columns,
    )


class _Loss:
    """Log-loss of the corrections with the pulls towards the shipped head, and its slope."""

    def __init__(self, logits: Floats, labels: Ids, design: _Design | None) -> None:
        self.logits, self.labels, self.design = logits, labels, design
        weights = np.bincount(labels)[labels].astype(np.float64) ** -EVENED
        self.weights = weights / weights.mean()

    def __call__(self, packed: Floats) -> tuple[float, Floats]:
        columns = self.logits.shape[1]
        scale, shift = np.exp(np.clip(packed[0], -5, 5)), packed[1 : 1 + columns]
        weights = packed[1 + columns :].reshape(-1, columns)
        scaled = self.logits * scale
        margins = scaled + shift
        if self.design is not None:
            margins = margins + self.design.margins(weights)
        lost, slope = _log_loss(margins, self.labels)
        slope = slope * self.weights[:, None]
        pulls = (
            SCALE_PULL * packed[0] ** 2 + SHIFT_PULL * (shift @ shift) + WEIGHT_PULL * float(np.square(weights).sum())
        )
        down = [np.array([(slope * scaled).sum() + SCALE_PULL * packed[0]]), slope.sum(axis=0) + SHIFT_PULL * shift]
        if self.design is not None:
            down.append((self.design.slope(slope) + WEIGHT_PULL * weights).ravel())
        return float(lost @ self.weights + 0.5 * pulls), np.concatenate(down)


def probabilities(logits: Floats) -> Floats:
    """Return the probability of each value, shape (n, values); of one column the logit is the second value's."""
    wide = np.concatenate([np.zeros_like(logits), logits], axis=1) if logits.shape[1] == 1 else logits
    relative = np.exp(wide - wide.max(axis=1, keepdims=True))
    return np.asarray(relative / relative.sum(axis=1, keepdims=True))


def _log_loss(logits: Floats, labels: Ids) -> tuple[Floats, Floats]:
    """Return the log-loss of each text, shape (n,), and its slope by logit, shape of ``logits``."""
    chances = probabilities(logits)
    rows = np.arange(len(labels))
    lost = -np.log(np.maximum(chances[rows, labels], 1e-12))
    slope = chances
    slope[rows, labels] -= 1
    return lost, slope[:, 1:] if logits.shape[1] == 1 else slope


def _minimised(loss: Callable[[Floats], tuple[float, Floats]], start: Floats) -> Floats:
    """Minimise a convex loss by L-BFGS (Nocedal and Wright, algorithm 7.5) with a halving line search."""
    at, (value, slope) = start, loss(start)
    moves: list[tuple[Floats, Floats, float]] = []
    for _ in range(STEPS):
        way = -_turned(slope, moves)
        fall = float(slope @ way)
        if fall > -1e-7 * max(1.0, abs(value)):
            break
        step = 1.0 if moves else 1 / max(1.0, float(np.abs(slope).sum()))
        for _ in range(30):
            there = at + step * way
            new_value, new_slope = loss(there)
            if new_value <= value + 1e-4 * step * fall:
                break
            step /= 2
        else:
            break
        moved, turned = there - at, new_slope - slope
        if (curve := float(moved @ turned)) > 1e-12:
            moves = [*moves[-MEMORY + 1 :], (moved, turned, 1 / curve)]
        at, value, slope = there, new_value, new_slope
    return at


def _turned(slope: Floats, moves: Sequence[tuple[Floats, Floats, float]]) -> Floats:
    """Return the slope times the inverse curvature that the last moves have shown."""
    way, shares = slope.copy(), []
    for moved, turned, inverse in reversed(moves):
        share = inverse * float(moved @ way)
        shares.append(share)
        way = way - share * turned
    if moves:
        moved, turned, inverse = moves[-1]
        way = way / (inverse * float(turned @ turned))
    for (moved, turned, inverse), share in zip(moves, reversed(shares), strict=True):
        way = way + (share - inverse * float(turned @ way)) * moved
    return way


# -- which corrections are trusted ----------------------------------------------------------------------------------


def kappa(found: Ids, labels: Ids) -> float:
    """
    Return the agreement of two labellings beyond chance (Cohen), -1..1.

    1 where they agree entirely, also if both say one value only; 0 of nothing.
    """
    if not len(labels):
        return 0.0
    values = int(max(found.max(), labels.max())) + 1
    agreed = float((found == labels).mean())
    by_chance = (
        float((np.bincount(found, minlength=values) * np.bincount(labels, minlength=values)).sum()) / len(labels) ** 2
    )
    if by_chance > 1 - 1e-9:
        return agreed
    return (agreed - by_chance) / (1 - by_chance)


def blocks_of(reps: Sequence[str]) -> list[list[Ids]]:
    """
    Return the corrections of each rep, oldest first, in blocks of about ``BLOCK``.

    A block is half as large to half as large again; reps with too few for one share blocks by time.
    """
    by_rep: dict[str, list[int]] = {}
    for place, rep in enumerate(reps):
        by_rep.setdefault(rep, []).append(place)
    few = sorted(place for places in by_rep.values() if len(places) < BLOCK // 2 for place in places)
    groups = [places for places in by_rep.values() if len(places) >= BLOCK // 2] + ([few] if few else [])
    blocks: list[list[Ids]] = []
    for places in groups:
        count = max(1, round(len(places) / BLOCK))
        cuts = [len(places) * number // count for number in range(count + 1)]
        blocks.append([np.array(places[start:end], np.int64) for start, end in pairwise(cuts)])
    return blocks


def trusted(labels: Ids, reps: Sequence[str], references: Sequence[Ids]) -> NDArray[np.bool_]:
    """
    Tell which corrections agree with what is known more than chance would.

    A block beside one that does not is set aside with it: who turned careless did so somewhere in the two, and the few bad
    ones that a good block hides would be the newest, by which a challenger is judged.

    Args:
        labels: What the reps said, oldest first. Shape (n,).
        reps: Who said it.
        references: What the shipped head says of the texts, and what the champion says; agreement with one will do.

    Returns:
        Shape (n,). A block that holds few values needs no more than to name them as the reference does, see ``kappa``.
    """
    mask = np.zeros(len(labels), bool)
    for blocks in blocks_of(reps):
        agrees = [max(kappa(found[block], labels[block]) for found in references) >= KAPPA_MIN for block in blocks]
        for at, block in enumerate(blocks):
            mask[block] = all(agrees[max(0, at - 1) : at + 2])
    return mask


# -- champion and challenger ----------------------------------------------------------------------------------------


class Score(Struct, frozen=True):
    """How a head does on the newest corrections."""

    accuracy: float
    """0..1."""
    macro_recall: float
    """Mean recall of the values that occur, 0..1."""
    log_loss: float
    """Mean, natural logarithm."""
    texts: int


def score_of(logits: Floats, labels: Ids) -> Score:
    """Score a head's logits, shape (n, columns), against what the reps said."""
    if not len(labels):
        return Score(0.0, 0.0, 0.0, 0)
    found = probabilities(logits).argmax(axis=1)
    recalls = [float((found[labels == value] == value).mean()) for value in np.unique(labels)]
    lost, _ = _log_loss(logits, labels)
    return Score(
        accuracy=round(float((found == labels).mean()), 4),
        macro_recall=round(float(np.mean(recalls)), 4),
        log_loss=round(float(lost.mean()), 4),
        texts=len(labels),
    )


def is_better(challenger: Floats, champion: Floats, labels: Ids) -> bool:
    """
    Whether a challenger is to be promoted, by both heads' logits on the same texts.

    It must be right ``MARGIN`` more often; its log-loss must be lower by ``SURE`` standard errors of the difference, text by
    text, so that luck on a few texts is not enough; and it must not buy that by forgetting rare values.
    """
    mine, theirs = score_of(challenger, labels), score_of(champion, labels)
    gain = _log_loss(champion, labels)[0] - _log_loss(challenger, labels)[0]
    error = SURE * float(gain.std(ddof=1)) / len(gain) ** 0.5
    return (
        mine.accuracy >= theirs.accuracy + MARGIN
        and float(gain.mean()) > error
        and mine.macro_recall >= theirs.macro_recall - RECALL_LOSS_MAX - (mine.accuracy - theirs.accuracy) / 2
    )


Result = Literal["promoted", "not_better", "too_few", "not_trusted"]


class Trial(Struct, frozen=True, omit_defaults=True):
    """What came of trying a tenant's corrections on one head."""

    result: Result
    corrections: int
    """All that are kept."""
    trusted: int
    before: Score | None = None
    """The champion, or the shipped head, on what it was judged on; None if there was no challenger."""
    after: Score | None = None
    """The challenger on the same texts."""
    promoted: Head | None = None
    """Fitted on all trusted corrections, by the recipe that was judged."""


class Corrections(Struct, frozen=True):
    """What a tenant's reps said of one head, oldest first."""

    texts: tuple[str, ...]
    """Normalised."""
    labels: Ids
    reps: tuple[str, ...]


def tried(head: str, base: str, corrections: Corrections, logits: Floats, champion: Head | None) -> Trial:
    """
    Fit a challenger on a tenant's corrections and judge it beside the champion.

    Args:
        head: Its name.
        base: Version of the classifier.
        corrections: At most the newest ``CORRECTIONS_MAX`` are looked at.
        logits: The shipped head's on their texts. Shape (n, columns of the head).
        champion: The tenant's head as it is; one that stands on another base counts as none.
    """
    count = len(corrections.texts)
    if count < SHIFT_MIN:
        return Trial("too_few", count, 0)
    grams = grams_of(corrections.texts)
    champion = champion if champion is not None and champion.base == base else None
    standing = applied(champion, logits, grams)
    references = [probabilities(each).argmax(axis=1) for each in (logits, standing)]
    kept = np.flatnonzero(trusted(corrections.labels, corrections.reps, references))
    if len(kept) < count * TRUSTED_SHARE_MIN:
        return Trial("not_trusted", count, len(kept))
    if len(kept) < SHIFT_MIN:
        return Trial("too_few", count, len(kept))
    return _judged(head, base, _Kept(logits[kept], corrections.labels[kept], grams.of(kept)), champion, count)


class _Kept(Struct, frozen=True):
    """Trusted corrections, as numbers."""

    logits: Floats
    labels: Ids
    grams: Grams

    def part(self, chosen: Ids) -> "_Kept":
        return _Kept(self.logits[chosen], self.labels[chosen], self.grams.of(chosen))

    def fit(self, head: str, base: str, kind: Kind) -> Head:
        return fit(head, base, self.logits, self.labels, self.grams, kind)


def _judged(head: str, base: str, kept: _Kept, champion: Head | None, count: int) -> Trial:
    kinds: tuple[Kind, ...] = ("shift", "own") if len(kept.labels) >= OWN_MIN else ("shift",)
    judged, margins = _unseen(head, base, kept, kinds, champion)
    labels = judged.labels
    standing = applied(champion, judged.logits, judged.grams)
    # Of two challengers the one with the lower log-loss stands: it uses more of what a fifth can tell than accuracy does.
    best = min(range(len(kinds)), key=lambda at: score_of(margins[at], labels).log_loss)
    trial = Trial(
        "not_better",
        count,
        len(kept.labels),
        before=score_of(standing, labels),
        after=score_of(margins[best], labels),
    )
    if not is_better(margins[best], standing, labels):
        return trial
    return replace(trial, result="promoted", promoted=kept.fit(head, base, kinds[best]))


def _unseen(
    head: str, base: str, kept: _Kept, kinds: Sequence[Kind], champion: Head | None
) -> tuple[_Kept, list[Floats]]:
    """
    Return corrections and the logits of challengers that were fitted without them.

    Those are the newest fifth, which is new to a champion too. The head that ships has seen none of them: a first challenger
    is judged on all while they are few, each fifth by time as the newest one is, for a fifth of a hundred tells nothing.
    """
    texts = len(kept.labels)
    fifths = [texts * number // FIFTHS for number in range(FIFTHS + 1)]
    first = 0 if champion is None and texts <= CROSSED_MAX else FIFTHS - 1
    parts: list[list[Floats]] = [[] for _ in kinds]
    for start, end in pairwise(fifths[first:]):
        inside = kept.part(np.arange(start, end))
        others = kept.part(np.concatenate([np.arange(start), np.arange(end, texts)]))
        for place, kind in enumerate(kinds):
            parts[place].append(applied(others.fit(head, base, kind), inside.logits, inside.grams))
    return kept.part(np.arange(fifths[first], texts)), [np.concatenate(part) for part in parts]


# -- versions -------------------------------------------------------------------------------------------------------


class Version(Struct, frozen=True, omit_defaults=True):
    """One promotion or rollback of a tenant's head."""

    version: str
    """"" for the shipped head."""
    at: int
    what: Literal["promoted", "rolled_back"]
    corrections: int = 0
    before: float = 0.0
    """Accuracy on the newest fifth, of what stood before and of this, 0..1."""
    after: float = 0.0
    texts: int = 0
    """That both were judged on."""


class Standing(Struct, frozen=True, omit_defaults=True, tag="standing"):
    """What a tenant's head is, and was; the learner's memory of it."""

    tenant: str
    head: str
    current: str = ""
    """Version; "" for the shipped head."""
    kept: tuple[str, ...] = ()
    """Versions that can be gone back to, the oldest first; ``current`` is among them unless it is shipped."""
    changes: tuple[Version, ...] = ()
    """The latest last."""
    tried_to: int = 0
    """``at`` of the newest correction at the last trial, Unix ms."""
    last: Result | None = None
    last_at: int = 0
    base: str = ""
    """Version of the classifier at the last trial."""


class Weights(Struct, frozen=True, tag="weights"):
    """One version of a tenant's head."""

    tenant: str
    head: str
    version: str
    model: Head


CHANGES_MAX: Final = 20


def promoted(standing: Standing, trial: Trial, now: int) -> Standing:
    """Return the standing with what a trial has promoted; the oldest version beyond ``VERSIONS_MAX`` goes."""
    assert trial.promoted is not None and trial.before is not None and trial.after is not None
    version = trial.promoted.version
    change = Version(
        version, now, "promoted", trial.trusted, trial.before.accuracy, trial.after.accuracy, trial.after.texts
    )
    kept = (*(one for one in standing.kept if one != version), version)[-VERSIONS_MAX:]
    return replace(standing, current=version, kept=kept, changes=(*standing.changes, change)[-CHANGES_MAX:])


def rolled_back(standing: Standing, now: int) -> Standing:
    """
    Return the standing with the version before the current one; before the oldest that is kept comes the shipped head.

    The version that was left is thrown away, so that a second call goes back further.

    Raises:
        ValueError: If the shipped head stands.
    """
    if not standing.current:
        raise ValueError(
            f"{standing.tenant}: {standing.head}: the shipped head stands, there is nothing to go back from"
        )
    place = standing.kept.index(standing.current) if standing.current in standing.kept else 0
    kept = standing.kept[:place]
    current = kept[-1] if kept else ""
    change = Version(current, now, "rolled_back")
    return replace(standing, current=current, kept=kept, changes=(*standing.changes, change)[-CHANGES_MAX:])


def is_due(standing: Standing, ats: Sequence[int], base: str) -> bool:
    """
    Whether enough corrections have come since the last trial, or another classifier.

    Args:
        ats: When each correction was made, Unix ms.
        base: Version of the classifier now.
    """
    if len(ats) < SHIFT_MIN:
        return False
    if standing.tried_to and standing.base != base:
        return True
    new = sum(1 for at in ats if at > standing.tried_to)
    return new >= max(SHIFT_MIN * GROWTH, GROWTH * (len(ats) - new))
