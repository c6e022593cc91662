"""A narrower encoder for the base: what its heads and neurons say of some texts is read, then those go that say least."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from msgspec.structs import replace
from torch import nn

from models.training.deep.base import Base
from models.training.deep.encoder import Encoder, Layer, attending
from models.training.deep.slim import HEADS, NEURONS, Cut, Way, cut, shares

Batch = tuple[Any, Any]
"""Pieces, shape (n, length), and where there is one."""


@torch.no_grad()
def narrowed(base: Base, encoder: Encoder, texts: Sequence[Batch]) -> Base:
    """
    Return the base with as few heads and neurons as ``slim`` says.

    Args:
        base: The tensors of its layers get narrower, all else stays.
        encoder: Made of ``base``; it is narrowed in place.
        texts: Those by which heads and neurons are chosen, in batches.
    """
    begun: list[Any] = [encoder.embed(ids) for ids, _ in texts]
    read, by_heads, by_neurons = begun, [], []
    for layer in encoder.layers:
        seen, attention = _attention(layer, texts, read)
        by_heads.append(cut(attention, HEADS.least, layer.per_head).lost)
        middle, inner = _inner(layer, texts, [x + layer.out(s) for x, s in zip(read, seen, strict=True)])
        by_neurons.append(cut(inner, NEURONS.least).lost)
        read = [layer.inner(x) for x in middle]
    read = begun
    for layer, heads, neurons in zip(encoder.layers, shares(by_heads, HEADS), shares(by_neurons, NEURONS), strict=True):
        seen, attention = _attention(layer, texts, read)
        found = cut(attention, heads, layer.per_head)
        _keep(layer.qkv, np.concatenate([found.kept + third * len(attention.said.T) for third in range(3)]))
        _replace(layer.out, found)
        kept = [s[..., torch.from_numpy(found.kept)] for s in seen]
        middle, inner = _inner(layer, texts, [x + layer.out(s) for x, s in zip(read, kept, strict=True)])
        found = cut(inner, neurons)
        _keep(layer.up, found.kept)
        _replace(layer.down, found)
        read = [layer.inner(x) for x in middle]
    return replace(base, tensors=base.tensors | tensors_of(encoder))


def tensors_of(encoder: Encoder) -> dict[str, Any]:
    """Return what ``narrowed`` changes, under the base's names."""
    out: dict[str, Any] = {}
    for at, layer in enumerate(encoder.layers):
        parts = {"ao": layer.out, "fi": layer.up, "fo": layer.down}
        out |= {f"l{at}.{name}.w": part.weight.detach().numpy() for name, part in parts.items()}
        out |= {f"l{at}.{name}.b": part.bias.detach().numpy() for name, part in parts.items()}
        for name, weight, bias in zip(
            "qkv", layer.qkv.weight.detach().chunk(3), layer.qkv.bias.detach().chunk(3), strict=True
        ):
            out |= {f"l{at}.{name}.w": weight.numpy(), f"l{at}.{name}.b": bias.numpy()}
    return out


def _keep(part: nn.Linear, rows: Any) -> None:
    part.weight.data, part.bias.data = part.weight.data[rows], part.bias.data[rows]


def _replace(part: nn.Linear, found: Cut) -> None:
    part.weight.data = torch.from_numpy(np.ascontiguousarray(found.out)).float()
    part.bias.data = torch.from_numpy(found.bias).float()


def _attention(layer: Layer, texts: Sequence[Batch], read: Sequence[Any]) -> tuple[list[Any], Way]:
    """Return what attention gathers, by batch, and how it goes on."""
    seen = [layer.seen(x, attending(there, x.dtype)) for (_, there), x in zip(texts, read, strict=True)]
    added = [x + layer.out(s) for x, s in zip(read, seen, strict=True)]
    return seen, _way(layer.out, layer.norm1, texts, seen, added)


def _inner(layer: Layer, texts: Sequence[Batch], added: Sequence[Any]) -> tuple[list[Any], Way]:
    """Return what the inner layer reads, by batch, and how it goes on."""
    middle = [layer.norm1(x) for x in added]
    said = [nn.functional.gelu(layer.up(x)) for x in middle]
    return middle, _way(
        layer.down, layer.norm2, texts, said, [x + layer.down(s) for x, s in zip(middle, said, strict=True)]
    )


def _way(out: nn.Linear, norm: nn.LayerNorm, texts: Sequence[Batch], said: Sequence[Any], added: Sequence[Any]) -> Way:
    there = [batch[1] for batch in texts]
    tokens = torch.cat([s[t] for s, t in zip(said, there, strict=True)])
    spread = torch.cat([x.std(-1)[t] for x, t in zip(added, there, strict=True)])
    return Way(*(part.double().numpy() for part in (tokens, out.weight, out.bias, spread, norm.weight)))
