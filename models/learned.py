"""
The heads of all tenants, as a worker and the second reader have them, and how they are put on in the same run of a classifier.

A tenant without heads costs one look into a dict. With heads, its rows of the batch's logits are scaled and shifted, and where
a head weighs n-grams, those of its texts are looked up: both after the one run of the graph, in numpy.
"""

from collections.abc import Sequence
from typing import Any, Final, Protocol

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from models.classifier import COLUMNS, columns_of
from models.labels import Classification
from models.learning import BITS, Floats, Head, Ids, Standing, Weights, buckets_of, check, lengths_of
from models.text import normalised

WEIGHTS_MAX: Final = 2_000  # Versions kept here: at most a few hundred bytes, but for those that weigh n-grams.


class Shipped(Protocol):
    """What is asked of the shipped classifier."""

    @property
    def version(self) -> str:
        """Which it is."""

    def logits(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return the logits of normalised texts."""

    def labelled(self, logits: NDArray[np.float32], texts: Sequence[str]) -> list[Classification]:
        """Return the labels that logits of normalised texts give."""


class Deep(Protocol):
    """What is asked of the deep classifier."""

    def logits(self, texts: Sequence[str]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return the calibrated logits of raw texts, and their vectors."""

    def labelled(self, logits: NDArray[np.float32], texts: Sequence[str]) -> list[Classification]:
        """Return the labels that logits of normalised texts give."""


class _Worn(Struct, frozen=True):
    """All heads of one tenant, laid together: one multiplication, one addition and one look-up a text."""

    scale: NDArray[np.float32]
    """Shape (columns,), 1 where nothing was learnt."""
    shift: NDArray[np.float32]
    place: NDArray[np.int32] | None
    """Row of each bucket in ``weights``, 0 for none. Shape (2 ** BITS,)."""
    weights: NDArray[np.float32]
    """Shape (buckets + 1, columns that are weighed); row 0 is 0."""
    columns: Ids
    """Of the logits, those that are weighed."""


class TenantHeads:
    """Standings and weights by tenant."""

    def __init__(self, base: str = "") -> None:
        """
        Args:
            base: Version of the classifier; heads that were made for another are kept and not put on.
        """
        self.base = base
        self.standings: dict[tuple[str, str], Standing] = {}
        self.weights: dict[tuple[str, str, str], Head] = {}
        self._worn: dict[str, _Worn] = {}
        self._columns = 0

    def keep(self, weights: Weights) -> None:
        """
        Take in a version's weights.

        Raises:
            ValueError: If they cannot be put on.
        """
        check(weights.model)
        self.weights[weights.tenant, weights.head, weights.version] = weights.model

    def stand(self, standing: Standing) -> None:
        """
        Take in which version of a head is the current one; weights that it does not keep are forgotten.

        Raises:
            ValueError: If its weights have not come.
        """
        tenant, head = standing.tenant, standing.head
        if standing.current and (tenant, head, standing.current) not in self.weights:
            raise ValueError(f"{tenant}|{head}: version {standing.current} has no weights")
        self.standings[tenant, head] = standing
        for key in [key for key in self.weights if key[:2] == (tenant, head) and key[2] not in standing.kept]:
            del self.weights[key]
        mine = [model for model in self._current(tenant) if model.base == self.base]
        if mine:
            self._worn[tenant] = _laid(mine)
        else:
            self._worn.pop(tenant, None)

    def _current(self, tenant: str) -> list[Head]:
        found = [self.champion(tenant, head) for named, head in self.standings if named == tenant]
        return [model for model in found if model is not None]

    def champion(self, tenant: str, head: str) -> Head | None:
        """Return a tenant's current head; None: the one that ships."""
        standing = self.standings.get((tenant, head))
        return self.weights.get((tenant, head, standing.current)) if standing is not None else None

    def wears(self, tenant: str) -> bool:
        """Whether a tenant has heads of its own that stand on this classifier."""
        return tenant in self._worn

    def put_on(self, logits: NDArray[np.float32], texts: Sequence[str], tenants: Sequence[str]) -> None:
        """
        Change the logits of tenants that have heads, in place; another thread may take in heads meanwhile.

        Args:
            logits: Shape (n, columns).
            texts: Normalised.
            tenants: Of each text.
        """
        for tenant in set(tenants):
            worn = self._worn.get(tenant)
            if worn is None:
                continue
            rows = np.array([at for at, one in enumerate(tenants) if one == tenant], np.int64)
            logits[rows] = logits[rows] * worn.scale + worn.shift
            if worn.place is not None:
                logits[np.ix_(rows, worn.columns)] += _weighed(worn, worn.place, [texts[row] for row in rows])


def _laid(models: Sequence[Head]) -> _Worn:
    """Lay a tenant's heads together."""
    scale, shift = np.ones(COLUMNS, np.float32), np.zeros(COLUMNS, np.float32)
    for model in models:
        scale[columns_of(model.head)], shift[columns_of(model.head)] = model.scale, model.shift
    weighing = [model for model in models if model.buckets]
    if not weighing:
        return _Worn(scale, shift, None, np.zeros((1, 0), np.float32), np.zeros(0, np.int64))
    tables = [model.table() for model in weighing]
    buckets = np.unique(np.concatenate([found for found, _ in tables]))
    columns = np.concatenate([np.arange(COLUMNS)[columns_of(model.head)] for model in weighing])
    weights = np.zeros(
        (len(buckets) + 1, len(columns)), np.float32
    )  # Half the memory that a batch has to walk through.
    start = 0
    for found, table in tables:
        weights[1 + np.searchsorted(buckets, found), start : start + table.shape[1]] = table
        start += table.shape[1]
    place = np.zeros(1 << BITS, np.int32)
    place[buckets] = 1 + np.arange(len(buckets))
    return _Worn(scale, shift, place, weights, columns)


def _weighed(worn: _Worn, place: NDArray[np.int32], texts: Sequence[str]) -> Floats:
    """
    Return what the n-grams of each text weigh. Shape (texts, columns that are weighed).

    The same as ``learning.applied`` gives, without counting them first: each is looked up where it stands.
    """
    ids = buckets_of(texts)
    where = place[ids].ravel()
    known = np.flatnonzero(where)
    out = np.zeros((len(texts), worn.weights.shape[1]))
    if len(known):
        rows = known // ids.shape[1]
        starts = np.flatnonzero(np.diff(rows, prepend=-1))
        out[rows[starts]] = np.add.reduceat(worn.weights[where[known]], starts, axis=0)
    return out / lengths_of(ids)[:, None]


class TenantClassifier:
    """The shipped classifier with every tenant's heads on it."""

    def __init__(self, shipped: Shipped, heads: TenantHeads) -> None:
        self._shipped: Any = shipped
        self._heads = heads

    def classify(self, texts: Sequence[str]) -> list[Classification]:
        """Label texts as the shipped classifier does."""
        found: list[Classification] = self._shipped.classify(texts)
        return found

    def classify_for(self, texts: Sequence[str], tenants: Sequence[str]) -> list[Classification]:
        """Label each text as its tenant's heads do, all in one run."""
        if not any(map(self._heads.wears, set(tenants))):
            return self.classify(texts)
        cleaned = normalised(texts)
        logits = self._shipped.logits(cleaned)
        self._heads.put_on(logits, cleaned, tenants)
        found: list[Classification] = self._shipped.labelled(logits, cleaned)
        return found


class TenantReader:
    """
    The deep classifier with every tenant's heads on it.

    What a tenant's reps taught holds for both tiers: else the second reading would take back what the first has learnt. Heads are
    fitted on the fast tier's logits and put on the deep one's as they are. Measured with sentiment on the airline set as a tenant
    (``models.training.learn_curve``), accuracy of the deep tier: with no correction 0.768, after 100 0.808, after 2,000 0.825.
    """

    def __init__(self, deep: Deep, heads: TenantHeads) -> None:
        self._deep = deep
        self._heads = heads

    def label_for(self, texts: Sequence[str], tenants: Sequence[str]) -> list[Classification]:
        """Label each raw text as its tenant's heads do."""
        logits, _ = self._deep.logits(texts)
        cleaned = normalised(texts)
        if any(map(self._heads.wears, set(tenants))):
            self._heads.put_on(logits, cleaned, tenants)
        return self._deep.labelled(logits, cleaned)
