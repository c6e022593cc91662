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


class Weights(Struct, frozen=True):
    """All that a graph is made of."""

    table: NDArray[np.float16]
    """Shape (size(bits), 1 + columns): idf squared, then the weight of each column times idf. Row 0 is 0."""
    scale: NDArray[np.float32]
    """Shape (columns,): calibration."""
    shift: NDArray[np.float32]
    """Shape (columns,): calibration and the bias of the heads in one."""


class _Writer:
    """Collects nodes and constants; ``op`` returns the name of what a node gives."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.constants: dict[str, Any] = {}

    def constant(self, value: Any, dtype: Any) -> str:
        from onnx import numpy_helper

        array = np.array(value, dtype)
        name = f"{array.dtype}_{'_'.join(map(str, array.reshape(-1)))}"
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

    Input ``cp``: int32, shape (n, length), code points padded with 0, as ``models.text.code_points`` gives them.
    Output ``logits``: float32, shape (n, columns). A row does not depend on the others, nor on the padding.
    """
    from onnx import TensorProto as Types
    from onnx import checker, helper

    writer = _Writer()
    bits = bits_of(len(weights.table))
    sums = _summed(writer, [*_buckets(writer, bits), *_word_buckets(writer, bits)], weights)
    _scaled(writer, sums, weights)
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
    """Hash the n-grams of each order; see ``features.hashes``. Each value: int32, shape (n, length - k + 1)."""
    from onnx import TensorProto as Types

    mask = writer.constant(HASH_MASK, np.int64)
    wide = writer.op("Cast", "cp", to=Types.INT64, output="wide")
    there = _is_there(writer, "cp")
    letter = _is_there(writer, writer.op("Sub", "cp", writer.constant(SPACE, np.int32)))
    rolling = within = ""
    out = []
    for k in ORDERS:
        mixed = writer.op("Mul", writer.columns(wide, k - 1, END), writer.constant(step(k), np.int64))
        if rolling:
            chained = writer.op("Mul", writer.columns(rolling, 0, -1), writer.constant(CHAIN, np.int64))
            mixed = writer.op("Add", chained, mixed)
        rolling = writer.op("BitwiseAnd", mixed, mask)
        kept = writer.op("Mul", rolling, writer.columns(there, k - 1, END))
        if k > 2:
            inner = writer.columns(letter, k - 2, -1)
            within = writer.op("Mul", writer.columns(within, 0, -1), inner) if within else inner
            kept = writer.op("Mul", kept, within)
        out.append(writer.op("Cast", _top(writer, kept, bits), to=Types.INT32))
    return out


def _is_there(writer: _Writer, value: str) -> str:
    """Return 1 where a value is not 0, else 0; int64."""
    from onnx import TensorProto as Types

    return writer.op("Cast", writer.op("Cast", value, to=Types.BOOL), to=Types.INT64)


def _top(writer: _Writer, hashed: str, bits: int) -> str:
    """Return the top bits of hashes, by a shift: a modulo would cost a division an n-gram. uint32."""
    from onnx import TensorProto as Types

    unsigned = writer.op("Cast", hashed, to=Types.UINT32)
    return writer.op("BitShift", unsigned, writer.constant(HASH_BITS - bits, np.uint32), direction="RIGHT")


def _word_buckets(writer: _Writer, bits: int) -> list[str]:
    """Hash the words and the pairs of words; see ``features.word_hashes``. Each value: int32."""
    mask = writer.constant(HASH_MASK, np.int64)
    last = writer.constant(len(LETTERS) - 1, np.int64)
    inside = writer.op("Gather", writer.weights("letters", LETTERS), writer.op("Min", "wide", last), axis=0)
    letters = writer.op("Mul", "wide", inside)
    before = writer.op("Mul", _shifted(writer, letters), writer.constant(CHAIN, np.int64))
    mixed = writer.op("Add", before, writer.op("Mul", letters, writer.constant(step(WORD_STEP), np.int64)))
    middle = _middle_of_square(writer, writer.op("BitwiseAnd", mixed, mask))
    values = writer.op("Mul", writer.op("BitwiseAnd", middle, mask), inside)
    outside = writer.op("Sub", writer.constant(1, np.int64), _shifted(writer, inside))
    word_of = writer.op("CumSum", writer.op("Mul", inside, outside), writer.constant(1, np.int64))
    empty = writer.op("Sub", "wide", "wide")
    sums = writer.op("ScatterElements", empty, word_of, values, axis=1, reduction="add")
    words = writer.op("ReduceMax", writer.op("Max", word_of, writer.constant(2, np.int64)), keepdims=0)
    end = writer.op("Reshape", writer.op("Add", words, writer.constant(1, np.int64)), writer.constant([1], np.int64))
    one = writer.constant([1], np.int64)
    singles = writer.op("BitwiseAnd", writer.op("Slice", sums, one, end, one), mask)
    there = _is_there(writer, singles)
    first = writer.op("Mul", writer.columns(singles, 0, -1), writer.constant(CHAIN, np.int64))
    second = writer.op("Mul", writer.columns(singles, 1, END), writer.constant(step(PAIR_STEP), np.int64))
    both = writer.op("Mul", writer.columns(there, 0, -1), writer.columns(there, 1, END))
    pairs = writer.op("Mul", writer.op("BitwiseAnd", writer.op("Add", first, second), mask), both)
    return [_behind(writer, value, bits) for value in (singles, pairs)]


def _shifted(writer: _Writer, value: str) -> str:
    """Return what stands before each value of a row, 0 before the first."""
    return writer.op("Pad", writer.columns(value, 0, -1), writer.constant([0, 1, 0, 0], np.int64))


def _middle_of_square(writer: _Writer, value: str) -> str:
    from onnx import TensorProto as Types

    square = writer.op("Cast", writer.op("Mul", value, value), to=Types.UINT64)
    shifted = writer.op("BitShift", square, writer.constant(MIDDLE, np.uint64), direction="RIGHT")
    return writer.op("Cast", shifted, to=Types.INT64)


def _behind(writer: _Writer, hashed: str, bits: int) -> str:
    """Return the bucket of each word, behind those of the characters; 0 stays 0."""
    from onnx import TensorProto as Types

    top = writer.op("Cast", _top(writer, hashed, bits - 1), to=Types.INT32)
    there = writer.op("Cast", writer.op("Cast", top, to=Types.BOOL), to=Types.INT32)
    return writer.op("Add", top, writer.op("Mul", there, writer.constant(1 << bits, np.int32)))


def _summed(writer: _Writer, buckets: list[str], weights: Weights) -> str:
    """Add up the rows of the table that a text's n-grams name, in float32. Shape (n, 1 + columns)."""
    from onnx import TensorProto as Types

    table = writer.weights("table", weights.table)
    axis = writer.constant([1], np.int64)
    total = ""
    for ids in buckets:
        rows = writer.op("Cast", writer.op("Gather", table, ids, axis=0), to=Types.FLOAT)
        added = writer.op("ReduceSum", rows, axis, keepdims=0)
        total = writer.op("Add", total, added) if total else added
    return total


def _scaled(writer: _Writer, sums: str, weights: Weights) -> None:
    """Divide by the length, calibrate."""
    square = writer.op("Add", writer.columns(sums, 0, 1), writer.constant([NORM_FLOOR], np.float32))
    unit = writer.op("Div", writer.columns(sums, 1, END), writer.op("Sqrt", square))
    scaled = writer.op("Mul", unit, writer.weights("scale", weights.scale))
    writer.op("Add", scaled, writer.weights("shift", weights.shift), output="logits")
