"""
The second reading: which posts a slow, better reader looks at, in what order, and what its word changes.

The reader stands beside the stream and never in it. What it cannot read within its time budget is passed over and counted: a
label that comes after a rep has the case in hand helps nobody.
"""

import heapq
from typing import Final

from msgspec import Struct

from models.labels import TRIAGE_RANK, Classification, Triage
from models.records import Understood
from models.relabels import NAMES, confidence_of, value_of

INFLUENCE_MIN: Final = 0.7
"""Score from which an author is read twice whatever the first reader says; 0..1, see ``models.influence``."""

SECOND_READING: Final = "found by the second reading"
"""Why a case was opened late; a code that the desk has words for."""

SHARE_MIN: Final = 0.1
"""Share of the time in which the reader computes at least, for each core beside its own, and once on a single one: cores share
caches, often also the units that compute, so whoever does slows the others though it takes no core from them."""
BUSY: Final = 0.5
"""Share of the cores from which others leave the reader no more than that."""
REST_MAX: Final = 0.25
"""Share of the budget that one rest takes at most: what comes meanwhile shall not be too late to be read."""

URGENT_WORTH: Final = 4.0
TRIAGE_WORTH: Final = 2.0
HEAD_WORTH: Final = 0.5
_WEIGHED: Final = frozenset({"language", "sentiment", "category", "subject", "answer"})


def worth(labels: Classification, triage: Triage, influence: float) -> float:
    """
    Return what a second reading of a post is worth; 0 for none.

    A candidate for urgent comes first, since its order hangs on the label; then what the first reader leaves open, how soon
    somebody must look before all else; then reach. Sure spam and posts that nobody is asked to answer are not read again
    unless their author has reach.

    Args:
        labels: The first reader's.
        triage: By the text.
        influence: The author's score, 0..1.
    """
    unsure = set(labels.unsure)
    if triage == "spam" and "triage" not in unsure:
        return 0.0
    score = URGENT_WORTH if TRIAGE_RANK[triage] >= TRIAGE_RANK["urgent"] or labels.category == "urgent" else 0.0
    if labels.answer or "answer" in unsure or score:
        score += TRIAGE_WORTH * ("triage" in unsure) + HEAD_WORTH * len(unsure & _WEIGHED)
    if influence >= INFLUENCE_MIN:
        score += 2 * influence
    return score


class Found(Struct, frozen=True):
    """What the second reader says otherwise or more surely: by label's name, with its probability."""

    labels: dict[str, str]
    confidence: dict[str, float]


def found(first: Classification, second: Classification) -> Found:
    """
    Return the labels that the second reading sets.

    What the second reader itself is unsure of is left alone. What the first was unsure of is set, even to the same value: it is
    sure now. What the first was sure of changes only if the second is surer.
    """
    labels: dict[str, str] = {}
    confidence: dict[str, float] = {}
    for name, head in NAMES.items():
        if head in second.unsure:
            continue
        value, sure = value_of(second, name), confidence_of(second, name)
        other = value != value_of(first, name)
        if head in first.unsure or (other and sure > confidence_of(first, name)):
            labels[name], confidence[name] = value, round(sure, 3)
    return Found(labels, confidence)


class Waiting:
    """
    Posts that wait for the second reader, bounded by the time that reading them would take.

    Args:
        budget_s: Seconds within which a post that is let in should have been read.
        each_s: First estimate of the seconds that one takes; ``took`` corrects it.
    """

    def __init__(self, budget_s: float, each_s: float) -> None:
        self.budget_s = budget_s
        self.each_s = each_s
        self._heap: list[tuple[float, int, float, Understood]] = []
        """Worth, place (of equals the youngest is lowest), since when, post."""
        self._number = 0

    def __len__(self) -> int:
        return len(self._heap)

    @property
    def room(self) -> int:
        """How many posts may wait: those that are read within the budget, at least one."""
        return max(1, int(self.budget_s / self.each_s))

    def put(self, work: Understood, value: float, since_s: float) -> int:
        """Let a post in that was there since then; return how many, this one or less worthy ones, were passed over for it."""
        self._number += 1
        # Lowest worth first, and of equals the youngest: an old one has waited for its turn.
        heapq.heappush(self._heap, (value, -self._number, since_s, work))
        over = 0
        while len(self._heap) > self.room:
            heapq.heappop(self._heap)
            over += 1
        return over

    def take(self, most: int, now_s: float) -> tuple[list[Understood], int]:
        """
        Take the worthiest, at most so many, the worthiest first, and let go of all whose time is over.

        Without that a post of little worth would wait for as long as worthier ones come.

        Returns:
            The posts, and how many were let go.
        """
        before = len(self._heap)
        self._heap = [entry for entry in self._heap if now_s - entry[2] <= self.budget_s]
        late = before - len(self._heap)
        self._heap.sort()  # A sorted list is a heap too.
        taken = self._heap[-most:][::-1]
        del self._heap[-most:]
        return [work for *_, work in taken], late

    def took(self, seconds: float, count: int) -> None:
        """Note how long so many took; the estimate follows within some hundred posts."""
        if count:
            self.each_s += (1 - 0.99**count) * (seconds / count - self.each_s)


def share_of(others: float, cores: float) -> float:
    """
    Return the share of the time in which the reader may compute: all of it on a quiet machine, and always from eleven cores on.

    On two cores, 1,000 posts a second took 38 ms, 4 ms more beside a reader that computed whenever one of them was free, and 2
    more beside one that computed a tenth of the time, at any time (mean; errors 0.5).

    Args:
        others: Share of the machine's cores that others use, 0..1.
        cores: How many the reader may choose from; of less than one it is a share of that.
    """
    return min(1.0, max(min(1.0, cores), cores - 1) * max(SHARE_MIN, 1 - others / BUSY))


def rest_s_after(cpu_s: float, share: float, budget_s: float) -> float:
    """
    Return how long the reader rests after a batch, seconds, so that it computes for its share of the time.

    Args:
        cpu_s: Of the batch.
        share: Above 0 to 1.
        budget_s: Within which posts are read.
    """
    return min(REST_MAX * budget_s, cpu_s * (1 / share - 1))
