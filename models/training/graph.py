"""The ONNX graph, written operator by operator: code points in, calibrated logits out."""

from typing import TYPE_CHECKING, Any, Final

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from models.training.features import (
    CHAIN,
    HASH_BITS,
    HASH_MASK,
    LETTERS,
    MIDDLE,
    NORM_FLOOR,
    ORDERS,
    PAIR_STEP,
    SPACE,
    WORD_STEP,
    bits_of,
    step,
)

if TYPE_CHECKING:
    from onnx import ModelProto

OPSET: Final = 18
IR_VERSION: Final = 9  # What onnxruntime 1.16 and later read.
END: Final = 1 << 30  # Beyond any axis: a slice ends where the axis does.
ROW_BYTES: Final = 64  # A line of the cache.
INSIDE: Final = 0.9999
"""
Share of a column's weights that int8 reaches. With all of them 96% of the subjects stay as they were, with this 98.3, with
0.9995 98.8; but there the probabilities of languages are off by 0.019, here by 0.013, as nearly they are unrounded.
"""


class Weights(Struct, frozen=True):
    """All that a graph is made of."""

    table: NDArray[np.float32]
    """Shape (size(bits), 1 + columns): idf squared, then the weight of each column times idf. Row 0 is 0."""
    scale: NDArray[np.float32]
    """Shape (columns,): calibration."""
    shift: NDArray[np.float32]
    """Shape (columns,): calibration and the bias of the heads in one."""


class Packed(Struct, frozen=True):
    """
    The table in int8: half the cache that fp16 takes, and a row in one line of it.

    On 61,320 texts 98 to 99.8% of each head's labels are those of the table in fp16, and neither is better than the other.
    """

    rows: NDArray[np.int8]
    """Shape (size(bits), ROW_BYTES): idf squared in two parts, the weights, zeros."""
    steps: NDArray[np.float32]
    """Shape (2 + columns,): what one unit of each column stands for."""


def packed(table: NDArray[np.float32]) -> Packed:
    """
    Round each column of a table to int8; see ``Weights.table``.

    A column's range ends where all but one in ten thousand of its weights lie: what is beyond is cut off, and the others are
    told more finely. Squares of the idf range over three decades, so they have two columns, of 14 bits together.

    Raises:
        ValueError: If a row has no room for so many columns.
    """
    columns = table.shape[1] - 1
    if 2 + columns > ROW_BYTES:
        raise ValueError(f"{columns} columns do not fit into rows of {ROW_BYTES} bytes")
    square, weights = table[:, 0], table[:, 1:]
    unit = max(float(square.max()), NORM_FLOOR) / (127 * 128 + 127)
    units = np.rint(square / unit).astype(np.int64)
    steps = np.quantile(np.abs(weights[table.any(axis=1)]), INSIDE, axis=0) / 127
    steps[steps == 0] = 1.0
    rows = np.zeros((len(table), ROW_BYTES), np.int8)
    rows[:, 0], rows[:, 1] = units >> 7, units & 127
    rows[:, 2 : 2 + columns] = np.clip(np.rint(weights / steps), -127, 127)
    return Packed(rows, np.concatenate([[128 * unit, unit], steps]).astype(np.float32))


class _Writer:
    """Collects nodes and constants; ``op`` returns the name of what a node gives."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.constants: dict[str, Any] = {}

    def constant(self, value: Any, dtype: Any) -> str:
        from onnx import numpy_helper

        array = np.array(value, dtype)
        name = "_".join([f"{array.dtype}{list(array.shape) or ''}", *map(str, array.reshape(-1))])
        self.constants.setdefault(name, numpy_helper.from_array(array, name))
        return name

    def weights(self, name: str, array: NDArray[Any]) -> str:
        from onnx import numpy_helper

        self.constants[name] = numpy_helper.from_array(np.ascontiguousarray(array), name)
        return name

    def op(self, kind: str, *inputs: str, output: str = "", **attributes: Any) -> str:
        from onnx import helper

        name = output or f"{kind.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [name], name=f"n{len(self.nodes)}", **attributes))
        return name

    def columns(self, value: str, start: int, end: int) -> str:
        """Slice the second axis."""
        first, last = self.constant([start], np.int64), self.constant([end], np.int64)
        return self.op("Slice", value, first, last, self.constant([1], np.int64))


def build(weights: Weights) -> "ModelProto":
    """
    Write the graph of ``weights``.

    Input ``cp``: int32, shape (n, length), code points padded with 0, as ``models.text.code_points`` gives them; length is
    ``LENGTH_MIN`` at least.
    Output ``logits``: float32, shape (n, columns). A row does not depend on the others, nor on the padding.
    """
    from onnx import TensorProto as Types
    from onnx import checker, helper

    writer = _Writer()
    bits = bits_of(len(weights.table))
    table = packed(weights.table)
    sums = _summed(writer, [*_buckets(writer, bits), *_word_buckets(writer, bits)], table.rows)
    _scaled(writer, sums, table.steps, weights)
    graph = helper.make_graph(
        writer.nodes,
        "fast",
        [helper.make_tensor_value_info("cp", Types.INT32, ["n", "length"])],
        [helper.make_tensor_value_info("logits", Types.FLOAT, ["n", len(weights.scale)])],
        list(writer.constants.values()),
    )
    opset = [helper.make_opsetid("", OPSET)]
    model = helper.make_model(graph, opset_imports=opset, ir_version=IR_VERSION, producer_name="zuruf")
    checker.check_model(model, full_check=True)
    return model


def _buckets(writer: _Writer, bits: int) -> list[str]:
    """
    Hash the n-grams of each order; see ``features.hashes``. Each value: int32, shape (n, length - k + 1).

    Products wrap around in int32, which leaves their lower 31 bits as they are; in int64 all of it would take twice as long.
    """
    mask = writer.constant(HASH_MASK, np.int32)
    there = _is_there(writer, "cp")
    letter = _is_there(writer, writer.op("Sub", "cp", writer.constant(SPACE, np.int32)))
    rolling = within = ""
    out = []
    for k in ORDERS:
        mixed = writer.op("Mul", writer.columns("cp", k - 1, END), writer.constant(step(k), np.int32))
        if rolling:
            chained = writer.op("Mul", writer.columns(rolling, 0, -1), writer.constant(CHAIN, np.int32))
            mixed = writer.op("Add", chained, mixed)
        rolling = writer.op("BitwiseAnd", mixed, mask)
        kept = writer.op("Mul", rolling, writer.columns(there, k - 1, END))
        if k > 2:
            inner = writer.columns(letter, k - 2, -1)
            within = writer.op("Mul", writer.columns(within, 0, -1), inner) if within else inner
            kept = writer.op("Mul", kept, within)
        out.append(_top(writer, kept, bits))
    return out


def _is_there(writer: _Writer, value: str) -> str:
    """Return 1 where a value is not 0, else 0; int32."""
    from onnx import TensorProto as Types

    return writer.op("Cast", writer.op("Cast", value, to=Types.BOOL), to=Types.INT32)


def _top(writer: _Writer, hashed: str, bits: int) -> str:
    """Return the top bits of hashes, by a shift: a modulo would cost a division an n-gram. int32."""
    from onnx import TensorProto as Types

    unsigned = writer.op("Cast", hashed, to=Types.UINT32)
    top = writer.op("BitShift", unsigned, writer.constant(HASH_BITS - bits, np.uint32), direction="RIGHT")
    return writer.op("Cast", top, to=Types.INT32)


def _word_buckets(writer: _Writer, bits: int) -> list[str]:
    """Hash the words and the pairs of words; see ``features.word_hashes``. Each value: int32."""
    mask = writer.constant(HASH_MASK, np.int32)
    last = writer.constant(len(LETTERS) - 1, np.int32)
    inside = writer.op("Gather", writer.weights("letters", LETTERS.astype(np.int32)), writer.op("Min", "cp", last))
    letters = writer.op("Mul", "cp", inside)
    before = writer.op("Mul", _shifted(writer, letters), writer.constant(CHAIN, np.int32))
    mixed = writer.op("Add", before, writer.op("Mul", letters, writer.constant(step(WORD_STEP), np.int32)))
    middle = _middle_of_square(writer, writer.op("BitwiseAnd", mixed, mask))
    values = writer.op("Mul", middle, inside)
    outside = writer.op("Sub", writer.constant(1, np.int32), _shifted(writer, inside))
    word_of = writer.op("CumSum", writer.op("Mul", inside, outside), writer.constant(1, np.int64))
    empty = writer.op("Sub", "cp", "cp")
    sums = writer.op("ScatterElements", empty, word_of, values, axis=1, reduction="add")
    words = writer.op("ReduceMax", writer.op("Max", word_of, writer.constant(2, np.int32)), keepdims=0)
    end = writer.op("Reshape", writer.op("Add", words, writer.constant(1, np.int32)), writer.constant([1], np.int64))
    one = writer.constant([1], np.int32)
    singles = writer.op("BitwiseAnd", writer.op("Slice", sums, one, end, one), mask)
    there = _is_there(writer, singles)
    first = writer.op("Mul", writer.columns(singles, 0, -1), writer.constant(CHAIN, np.int32))
    second = writer.op("Mul", writer.columns(singles, 1, END), writer.constant(step(PAIR_STEP), np.int32))
    both = writer.op("Mul", writer.columns(there, 0, -1), writer.columns(there, 1, END))
    pairs = writer.op("Mul", writer.op("BitwiseAnd", writer.op("Add", first, second), mask), both)
    return [_behind(writer, value, bits) for value in (singles, pairs)]


def _shifted(writer: _Writer, value: str) -> str:
    """Return what stands before each value of a row, 0 before the first."""
    return writer.op("Pad", writer.columns(value, 0, -1), writer.constant([0, 1, 0, 0], np.int64))


def _middle_of_square(writer: _Writer, value: str) -> str:
    """Return the 31 bits of a square above its lowest ``MIDDLE``; int32. The square itself needs 62."""
    from onnx import TensorProto as Types

    wide = writer.op("Cast", value, to=Types.UINT64)
    square = writer.op("Mul", wide, wide)
    shifted = writer.op("BitShift", square, writer.constant(MIDDLE, np.uint64), direction="RIGHT")
    return writer.op("BitwiseAnd", writer.op("Cast", shifted, to=Types.INT32), writer.constant(HASH_MASK, np.int32))


def _behind(writer: _Writer, hashed: str, bits: int) -> str:
    """Return the bucket of each word, behind those of the characters; 0 stays 0."""
    top = _top(writer, hashed, bits - 1)
    return writer.op("Add", top, writer.op("Mul", _is_there(writer, top), writer.constant(1 << bits, np.int32)))


def _summed(writer: _Writer, buckets: list[str], rows: NDArray[np.int8]) -> str:
    """Add up the rows of the table that a text's n-grams name, as a product with ones. int32, shape (n, ROW_BYTES)."""
    table, one = writer.weights("table", rows), writer.constant([1], np.uint8)
    total = ""
    for ids in buckets:
        ones = writer.op("Expand", one, writer.op("Shape", ids, start=1))
        added = writer.op("MatMulInteger", ones, writer.op("Gather", table, ids))
        total = writer.op("Add", total, added) if total else added
    return total


def _scaled(writer: _Writer, sums: str, steps: NDArray[np.float32], weights: Weights) -> None:
    """Divide by the length, calibrate."""
    from onnx import TensorProto as Types

    read = writer.op("Cast", writer.columns(sums, 0, len(steps)), to=Types.FLOAT)
    parts = writer.op("Mul", writer.columns(read, 0, 2), writer.weights("square_steps", steps[:2]))
    square = writer.op("ReduceSum", parts, writer.constant([1], np.int64))
    length = writer.op("Sqrt", writer.op("Add", square, writer.constant([NORM_FLOOR], np.float32)))
    unit = writer.op("Div", writer.columns(read, 2, END), length)
    scaled = writer.op("Mul", unit, writer.weights("scale", weights.scale * steps[2:]))
    writer.op("Add", scaled, writer.weights("shift", weights.shift), output="logits")
