"""The encoder in torch, for training only; ``graph.py`` writes the same arithmetic as ONNX."""

import copy
import time
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from models.training.deep.base import Array, Base

HEAD_WIDTH: Final = 768
"""What the heads read of a text: the last layer's first token beside the mean over its tokens."""


class Layer(nn.Module):
    """One layer: attention, then the inner layer, each added to what it read and normalised."""

    def __init__(self, width: int, inner: int, heads: int, per_head: int, epsilon: float) -> None:
        """``per_head``: channels of a head."""
        super().__init__()
        self.per_head = per_head
        self.qkv = nn.Linear(width, 3 * heads * per_head)
        self.out = nn.Linear(heads * per_head, width)
        self.norm1 = nn.LayerNorm(width, eps=epsilon)
        self.up = nn.Linear(width, inner)
        self.down = nn.Linear(inner, width)
        self.norm2 = nn.LayerNorm(width, eps=epsilon)

    def forward(self, x: Any, mask: Any) -> Any:
        """Shape (n, length, width) -> the same. ``mask``: 0 where a token is, -1e4 where none is."""
        return self.inner(self.norm1(x + self.out(self.seen(x, mask))))

    def inner(self, x: Any) -> Any:
        """Return the second half."""
        return self.norm2(x + self.down(nn.functional.gelu(self.up(x))))

    def seen(self, x: Any, mask: Any) -> Any:
        """Return what attention gathers, side by side for all its heads."""
        n, length, _ = x.shape
        split = self.qkv(x).view(n, length, 3, -1, self.per_head).permute(2, 0, 3, 1, 4)
        query, keys, values = split.unbind(0)
        # By hand: torch's fused attention takes three times as long backward in bfloat16 on a processor.
        scores = query @ keys.transpose(-1, -2) * self.per_head**-0.5 + mask
        return (torch.softmax(scores, -1) @ values).transpose(1, 2).reshape(n, length, -1)


class Encoder(nn.Module):
    """Layers over frozen embeddings."""

    def __init__(self, base: Base, kept: NDArray[np.int64]) -> None:
        super().__init__()
        tensors = base.tensors
        word = torch.from_numpy(tensors["emb.word"][kept])
        self.register_buffer("word", word, persistent=False)
        self.register_buffer(
            "position", torch.from_numpy(tensors["emb.pos"] + tensors["emb.type"][0]), persistent=False
        )
        self.norm = nn.LayerNorm(base.width, eps=base.epsilon)
        per_head = base.width // base.heads
        sizes = [(len(tensors[f"l{at}.fi.b"]), len(tensors[f"l{at}.q.b"]) // per_head) for at in range(base.layers)]
        self.layers = nn.ModuleList(Layer(base.width, inner, heads, per_head, base.epsilon) for inner, heads in sizes)
        self.load_state_dict({name: torch.from_numpy(array) for name, array in state_of(base).items()})

    def embed(self, ids: Any) -> Any:
        """Return what the first layer reads. Shape (n, length) -> (n, length, width), float32."""
        return self.norm(self.word[ids] + self.position[: ids.shape[1]])

    def forward(self, ids: Any, there: Any, frozen: int = 0) -> Any:
        """
        Return the last layer. Shape (n, length, width), in the type of the layers' weights.

        Args:
            ids: Shape (n, length), padded.
            there: Shape (n, length), bool, where there is a token.
            frozen: The number of lowest layers that get no gradient.
        """
        return self.upper(self.lower(ids, there, frozen), there, frozen)

    @torch.no_grad()
    def lower(self, ids: Any, there: Any, layers: int) -> Any:
        """Return what the layer after the lowest ``layers`` reads, without a way back for gradients."""
        x = self.embed(ids).to(self.layers[0].up.weight.dtype)
        for layer in self.layers[:layers]:
            x = layer(x, attending(there, x.dtype))
        return x

    def upper(self, x: Any, there: Any, start: int) -> Any:
        """Return the last layer, given what layer ``start`` reads."""
        for layer in self.layers[start:]:
            x = layer(x, attending(there, x.dtype))
        return x


def quick(encoder: Encoder) -> Encoder:
    """Return the encoder with a copy of its layers in ``quick_type``; all else is shared."""
    other = copy.copy(encoder)
    other._modules = {**encoder._modules, "layers": copy.deepcopy(encoder.layers).to(quick_type())}
    return other


@cache
def quick_type() -> Any:
    """Return the type that this processor multiplies faster: bfloat16 by three, if it knows it; else float32, by eight."""
    return min((torch.bfloat16, torch.float32), key=_seconds)


@torch.no_grad()
def _seconds(dtype: Any) -> float:
    some, layer = torch.ones(512, 384, dtype=dtype), nn.Linear(384, 1536, dtype=dtype)
    layer(some)
    spent = []
    for _ in range(5):
        began = time.perf_counter()
        layer(some)
        spent.append(time.perf_counter() - began)
    return min(spent)


def attending(there: Any, dtype: Any) -> Any:
    """Return what is added to the scores of attention: 0 where a token is, -1e4 where none is. Shape (n, 1, 1, length)."""
    return ((~there).to(dtype) * -1e4)[:, None, None, :]


@torch.no_grad()
def reaches(encoder: Encoder, texts: Sequence[Sequence[int]]) -> list[dict[str, Array]]:
    """
    Return how far each channel before each matrix of each layer reaches, over some texts' pieces.

    Returns:
        Of each layer, by matrix and ``_low`` or ``_high``, the least and the greatest values. Shape (in,).
    """
    out: list[dict[str, Any]] = [{} for _ in encoder.layers]
    for text in texts:
        ids = torch.tensor([list(text)])
        there = torch.ones_like(ids, dtype=torch.bool)
        x = encoder.embed(ids)
        for layer, found in zip(encoder.layers, out, strict=True):
            seen = layer.seen(x, attending(there, x.dtype))
            middle = layer.norm1(x + layer.out(seen))
            before = {"qkv": x, "out": seen, "up": middle, "down": nn.functional.gelu(layer.up(middle))}
            for name, value in before.items():
                low, high = value[0].amin(0), value[0].amax(0)
                found[f"{name}_low"] = torch.minimum(found.get(f"{name}_low", low), low)
                found[f"{name}_high"] = torch.maximum(found.get(f"{name}_high", high), high)
            x = layer.inner(middle)
    return [{name: value.numpy() for name, value in found.items()} for found in out]


def pooled(hidden: Any, there: Any) -> tuple[Any, Any]:
    """Return what the heads read, shape (n, HEAD_WIDTH), and the mean over the tokens, shape (n, width); float32."""
    hidden = hidden.float()
    weight = there.float()[..., None]
    mean = (hidden * weight).sum(1) / weight.sum(1)
    return torch.cat([hidden[:, 0], mean], 1), mean


def state_of(base: Base) -> Mapping[str, Array]:
    """Return the base's weights under the names of ``Encoder``."""
    tensors = base.tensors
    out = {"norm.weight": tensors["emb.ln.w"], "norm.bias": tensors["emb.ln.b"]}
    for at in range(base.layers):
        for name, parts in _NAMES.items():
            for ending, letter in (("weight", "w"), ("bias", "b")):
                arrays = [tensors[f"l{at}.{part}.{letter}"] for part in parts]
                out[f"layers.{at}.{name}.{ending}"] = np.concatenate(arrays)
    return out


_NAMES: Final = {
    "qkv": ("q", "k", "v"),
    "out": ("ao",),
    "norm1": ("aln",),
    "up": ("fi",),
    "down": ("fo",),
    "norm2": ("oln",),
}
