"""
Fine-tuning: many heads on one encoder, with float32 masters of what may be bfloat16, on one thread.

First all sets but data/triage, then data/triage with some of the others again, so that they are not forgotten.
Everything is drawn from a seed; with one thread the same machine gives the same weights, unless a deadline ended it.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

import numpy as np
import torch
from msgspec import Struct
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional

from models.classifier import HEADS, SWITCHES, width
from models.training.data import TRIAGE
from models.training.deep.data import AUXILIARY, Text
from models.training.deep.encoder import HEAD_WIDTH, Encoder, pooled, quick, quick_type
from models.training.deep.plans import Plan
from models.training.own import READ, WRITTEN

PAD: Final = 1
IGNORED: Final = -100
AUXILIARY_NAMES: Final = tuple(source.name for source in AUXILIARY)
OURS: Final = {TRIAGE, READ, WRITTEN}
"""The sets whose convention of sentiment is the product's."""

HEAD_WEIGHTS: Final = {"language": 0.5, "sentiment": 1.0, "toxic": 0.7}
SET_WEIGHTS: Final = {("davidson_hate", "toxic"): 0.2, ("tweeteval_hate", "toxic"): 0.5}
AUXILIARY_WEIGHT: Final = 0.4
ANCHOR_WEIGHT: Final = 1.0


class Rows(Struct, frozen=True):
    """Texts as numbers: pieces, labels as places in their heads, IGNORED where a text has none."""

    ids: list[list[int]]
    labels: dict[str, NDArray[np.int64]]
    """By head, ours and the auxiliary ones."""
    sets: list[str]
    anchors: NDArray[np.float32]
    """Shape (anchored, width): vectors that the base gives, centred and of length 1."""
    anchor_of: NDArray[np.int64]
    """Place in ``anchors`` of each text, -1 where there is none."""


def rows_of(texts: Sequence[Text], ids: Sequence[list[int]]) -> Rows:
    """Number the labels; auxiliary values in sorted order."""
    values: dict[str, list[str]] = {head: list(names) for head, names in HEADS.items()}
    for name in AUXILIARY_NAMES:
        values[name] = sorted({text.example.labels[name] for text in texts if name in text.example.labels})
    places = {head: {value: at for at, value in enumerate(names)} for head, names in values.items()}
    labels = {
        head: np.array([place.get(text.example.labels.get(head, ""), IGNORED) for text in texts], np.int64)
        for head, place in places.items()
    }
    none = np.full(len(texts), -1, np.int64)
    sets = [text.example.source for text in texts]
    return Rows([[0, *row[:94], 2] for row in ids], labels, sets, np.zeros((0, 384), np.float32), none)


class Net(nn.Module):
    """The encoder with its heads."""

    def __init__(self, encoder: Encoder, sizes: Mapping[str, int], conventions: Sequence[str], dropout: float) -> None:
        super().__init__()
        self.encoder = encoder
        self.drop = nn.Dropout(dropout)
        self.heads = nn.ModuleDict({head: nn.Linear(HEAD_WIDTH, size) for head, size in sizes.items()})
        for head in self.heads.values():
            nn.init.normal_(head.weight, std=0.02)
            nn.init.zeros_(head.bias)
        self.vector = nn.Linear(384, 384)
        nn.init.eye_(self.vector.weight)
        nn.init.zeros_(self.vector.bias)
        # Sets disagree on how much is neutral: each has a shift of its own, the product's is 0.
        self.conventions = list(conventions)
        self.shift = nn.Parameter(torch.zeros(len(self.conventions), 3))

    def forward(self, x: Any, there: Any, start: int) -> tuple[Any, Any]:
        """Return what the heads read, and the vector (not yet of length 1), given what layer ``start`` reads."""
        read, mean = pooled(self.encoder.upper(x, there, start), there)
        return self.drop(read), self.vector(functional.normalize(mean, dim=1))


def net_of(encoder: Encoder, rows: Rows, dropout: float = 0.1) -> Net:
    """Make fresh heads for the labels of ``rows``."""
    sizes = {head: width(head) for head in HEADS}
    sizes |= {name: max(1, int(rows.labels[name].max()) + 1) for name in AUXILIARY_NAMES}
    conventions = sorted({s for s, label in zip(rows.sets, rows.labels["sentiment"], strict=True) if label >= 0} - OURS)
    return Net(encoder, sizes, conventions, dropout)


def batches(
    rows: Rows, chosen: NDArray[np.int64], tokens: int, rng: np.random.Generator
) -> Iterator[NDArray[np.int64]]:
    """Yield the chosen rows in batches of like length and at most about ``tokens`` tokens, in random order."""
    lengths = np.array([len(rows.ids[at]) for at in chosen]) + rng.uniform(0, 3, len(chosen))
    order = chosen[np.argsort(lengths, kind="stable")]
    made, start = [], 0
    while start < len(order):
        end = start + 1
        while end < len(order) and len(rows.ids[order[end]]) * (end + 1 - start) <= tokens and end - start < 192:
            end += 1
        made.append(order[start:end])
        start = end
    for at in rng.permutation(len(made)):
        yield made[at]


def padded(rows: Rows, batch: NDArray[np.int64]) -> tuple[Any, Any]:
    """Return ids and where there are any, of shape (n, length)."""
    length = max(len(rows.ids[at]) for at in batch)
    ids = torch.full((len(batch), length), PAD)
    for place, at in enumerate(batch):
        ids[place, : len(rows.ids[at])] = torch.tensor(rows.ids[at])
    return ids, ids != PAD


Lower = Callable[[NDArray[np.int64]], tuple[Any, Any]]
"""A batch -> what the first layer that learns reads of it, and where there is a token."""


def computed(encoder: Encoder, rows: Rows, plan: Plan) -> Lower:
    """Compute the layers that do not learn whenever they are asked for."""

    def lower(batch: NDArray[np.int64]) -> tuple[Any, Any]:
        ids, there = padded(rows, batch)
        return encoder.lower(ids, there, plan.frozen), there

    return lower


def remembered(encoder: Encoder, rows: Rows, allowed: NDArray[np.int64], layers: int) -> Lower:
    """
    Compute the lowest layers for all allowed rows now and keep what they give, two or four bytes a number.

    That pays where the same rows are read in several epochs or by several nets.
    """
    kept: dict[int, Any] = {}
    fast = quick(encoder)
    for batch in batches(rows, np.unique(allowed), 4096, np.random.default_rng(0)):
        ids, there = padded(rows, batch)
        for at, x, length in zip(batch, fast.lower(ids, there, layers), there.sum(1), strict=True):
            kept[int(at)] = x[:length].clone()

    def lower(batch: NDArray[np.int64]) -> tuple[Any, Any]:
        x = nn.utils.rnn.pad_sequence([kept[int(at)] for at in batch], batch_first=True)
        lengths = torch.tensor([len(kept[int(at)]) for at in batch])
        return x, torch.arange(x.shape[1])[None] < lengths[:, None]

    return lower


def draw(
    rows: Rows, allowed: NDArray[np.int64], shares: Mapping[str, float], rng: np.random.Generator
) -> NDArray[np.int64]:
    """Draw an epoch's rows: of each set its share, whole rounds first."""
    out = []
    sets = np.array(rows.sets)[allowed]
    for name, share in shares.items():
        of_set = allowed[sets == name]
        out += [of_set] * int(share)
        rest = round((share - int(share)) * len(of_set))
        out.append(rng.permutation(of_set)[:rest])
    return np.concatenate(out)


def value_weights(rows: Rows, allowed: NDArray[np.int64]) -> dict[str, Any]:
    """
    Return a weight for each row and head: rare values of a set count more, by the root of how rare they are.

    Together with the weights of heads and sets; mean 1 within a set and head before those.
    """
    out = {}
    sets = np.array(rows.sets)
    inside = np.zeros(len(sets), bool)
    inside[allowed] = True
    for head in HEADS:
        labels, weights = rows.labels[head], np.zeros(len(sets), np.float32)
        for name in sorted(set(sets[inside & (labels >= 0)])):
            mine = inside & (labels >= 0) & (sets == name)
            counted = np.bincount(labels[mine]).astype(float)
            rare = 1 / np.sqrt(np.maximum(counted, 1))
            per_row = rare[labels[mine]]
            scale = HEAD_WEIGHTS.get(head, 1.0) * SET_WEIGHTS.get((name, head), 1.0)
            weights[mine] = scale * per_row / per_row.mean()
        out[head] = torch.from_numpy(weights)
    return out


def loss_of(net: Net, rows: Rows, batch: NDArray[np.int64], read: Any, vector: Any, weights: Mapping[str, Any]) -> Any:
    """Return the sum of all heads' losses over the number of texts."""
    total = torch.zeros(())
    for head, linear in net.heads.items():
        labels = torch.from_numpy(rows.labels[head][batch])
        has = labels >= 0
        if not has.any():
            continue
        logits = linear(read[has])
        if head == "sentiment":
            logits = logits + _shifts(net, [rows.sets[at] for at in batch[has.numpy()]])
        if head in SWITCHES:
            per_text = functional.binary_cross_entropy_with_logits(logits[:, 0], labels[has].float(), reduction="none")
        else:
            per_text = functional.cross_entropy(logits, labels[has], reduction="none")
        if head in HEADS:
            total = total + (per_text * weights[head][batch][has]).sum()
        else:
            total = total + AUXILIARY_WEIGHT * per_text.sum()
    anchored = rows.anchor_of[batch] >= 0
    if anchored.any():
        goal = torch.from_numpy(rows.anchors[rows.anchor_of[batch[anchored]]])
        like = functional.cosine_similarity(vector[torch.from_numpy(anchored)], goal)
        total = total + ANCHOR_WEIGHT * (1 - like).sum()
    return total / len(batch)


def _shifts(net: Net, sets: Sequence[str]) -> Any:
    zero = torch.zeros(1, 3)
    shift = torch.cat([net.shift, zero])
    return shift[[net.conventions.index(s) if s in net.conventions else len(net.conventions) for s in sets]]


def learn(
    net: Net,
    rows: Rows,
    allowed: NDArray[np.int64],
    plan: Plan,
    progress: Callable[[str], None],
    keep: Callable[[], None] = lambda: None,
    lower: "Lower | None" = None,
) -> None:
    """
    Train ``net`` in place on the allowed rows.

    Args:
        keep: Is called now and then, so that what is learnt so far can be written down.
        lower: What the layers that do not learn give; None to compute them each time.
    """
    torch.manual_seed(plan.seed)
    rng = np.random.default_rng(plan.seed)
    net.train()
    masters = _Masters(net, plan)
    lower = lower or computed(net.encoder, rows, plan)
    weights = value_weights(rows, allowed)
    todo = [batch for part in _epochs(rows, allowed, plan, rng) for batch in part]
    began, seen, spoken = time.monotonic(), 0, 0.0
    for step, batch in enumerate(todo):
        done = max(step / len(todo), (time.monotonic() - began) / plan.deadline_s)
        if done >= 1:
            progress(f"deadline after {step} of {len(todo)} steps")
            break
        masters.rate(min(1.0, (step + 1) / plan.warmup) * (1 - done))
        x, there = lower(batch)
        read, vector = net(x, there, plan.frozen)
        loss = loss_of(net, rows, batch, read, vector, weights)
        loss.backward()
        masters.step()
        seen += int(there.sum())
        spoken = loss.item() if step == 0 else 0.98 * spoken + 0.02 * loss.item()
        if step % 25 == 0:
            spent = time.monotonic() - began
            progress(f"step {step}/{len(todo)} loss {spoken:.3f} {seen / max(spent, 1e-9):.0f} tokens/s {spent:.0f} s")
        if step % 500 == 499:
            keep()
    masters.write_back()


def _epochs(
    rows: Rows, allowed: NDArray[np.int64], plan: Plan, rng: np.random.Generator
) -> Iterator[list[NDArray[np.int64]]]:
    left = plan.epochs
    while left > 1e-9:
        made = list(batches(rows, draw(rows, allowed, plan.shares, rng), plan.tokens, rng))
        yield made[: round(min(left, 1.0) * len(made))]
        left -= 1.0


class _Masters:
    """Float32 copies of what learns; the layers themselves are held in the type that multiplies faster."""

    def __init__(self, net: Net, plan: Plan) -> None:
        self.net = net
        self.still = {name: value.clone() for name, value in net.encoder.layers[: plan.frozen].state_dict().items()}
        net.encoder.layers.to(quick_type())
        self.learning = net.encoder.layers[plan.frozen :]
        self.low = list(self.learning.parameters())
        self.high = [parameter.detach().float().clone().requires_grad_() for parameter in self.low]
        others = [*net.heads.parameters(), *net.vector.parameters(), net.shift]
        self.groups = [
            {"params": self.high, "lr": plan.rate, "top": plan.rate, "weight_decay": 0.01},
            {"params": others, "lr": plan.rate_heads, "top": plan.rate_heads, "weight_decay": 0.01},
        ]
        self.others = others
        self.optimiser = torch.optim.AdamW(self.groups, betas=(0.9, 0.98), fused=True)

    def rate(self, share: float) -> None:
        for group in self.optimiser.param_groups:
            group["lr"] = group["top"] * share

    def step(self) -> None:
        for low, high in zip(self.low, self.high, strict=True):
            high.grad = None if low.grad is None else low.grad.float()
            low.grad = None
        torch.nn.utils.clip_grad_norm_([*self.high, *self.others], 1.0)
        self.optimiser.step()
        for other in self.others:
            other.grad = None
        with torch.no_grad():
            for low, high in zip(self.low, self.high, strict=True):
                low.copy_(high)

    def write_back(self) -> None:
        """Make the net float32 again, with the masters' values."""
        self.net.encoder.layers.float()
        still = len(self.net.encoder.layers) - len(self.learning)
        self.net.encoder.layers[:still].load_state_dict(self.still)
        with torch.no_grad():
            for low, high in zip(self.low, self.high, strict=True):
                low.data = high.detach().clone()
