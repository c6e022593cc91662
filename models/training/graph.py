"""The ONNX graph, written operator by operator: code points in, calibrated logits out."""

from typing import TYPE_CHECKING, Any, Final

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from models.training.features import CHAIN, HASH_BITS, HASH_MASK, NORM_FLOOR, ORDERS, step

if TYPE_CHECKING:
    from onnx import ModelProto

OPSET: Final = 18
IR_VERSION: Final = 9  # What onnxruntime 1.16 and later read.
END: Final = 1 << 30  # Beyond any axis: a slice ends where the axis does.


class Weights(Struct, frozen=True):
    """All that a graph is made of."""

    table: NDArray[np.float16]
    """Shape (2 ** bits, 1 + columns): idf squared, then the weight of each column times idf. Row 0 is 0."""
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
    sums = _summed(writer, _buckets(writer, int(weights.table.shape[0]).bit_length() - 1), weights)
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
    wide = writer.op("Cast", "cp", to=Types.INT64)
    there = writer.op("Cast", writer.op("Cast", "cp", to=Types.BOOL), to=Types.INT64)
    rolling = ""
    out = []
    for k in ORDERS:
        mixed = writer.op("Mul", writer.columns(wide, k - 1, END), writer.constant(step(k), np.int64))
        if rolling:
            chained = writer.op("Mul", writer.columns(rolling, 0, -1), writer.constant(CHAIN, np.int64))
            mixed = writer.op("Add", chained, mixed)
        rolling = writer.op("BitwiseAnd", mixed, mask)
        kept = writer.op("Mul", rolling, writer.columns(there, k - 1, END))
        # The top bits, by a shift: a modulo would cost a division an n-gram.
        unsigned = writer.op("Cast", kept, to=Types.UINT32)
        shift = writer.constant(HASH_BITS - bits, np.uint32)
        top = writer.op("BitShift", unsigned, shift, direction="RIGHT")
        out.append(writer.op("Cast", top, to=Types.INT32))
    return out


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
