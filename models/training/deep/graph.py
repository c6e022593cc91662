"""
The deep tier's ONNX graph, written operator by operator: ids of pieces and the fast tier's logits in, calibrated logits and a
vector out.

Word embeddings stay in the base's blocks of 4 bits, exactly; the layers' matrices are int8 with a scale a
column; sums, softmax, norms and heads are float32.
"""

from typing import TYPE_CHECKING, Any, Final

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from models.training.deep.base import Array

if TYPE_CHECKING:
    from onnx import ModelProto

OPSET: Final = 20  # The first with Gelu.
IR_VERSION: Final = 9
CONTRIB: Final = "com.microsoft"
"""Operators of onnxruntime's own: the product of integers scaled to float32 in one."""
PAD: Final = 1

WEIGHT_MAX: Final = 63
"""
Seven of eight bits: 255 x 63 x 2 is below 2^15, so that processors that add pairs of products in 16 bits (AVX2 and
AVX-512 without VNNI) do not saturate, and all give the same sums.
"""


STEPS: Final = 255
"""
Of what is multiplied, over a range fixed by some texts: a range taken from each run's own values, as dynamic
quantisation has it, would let a text's labels depend on its neighbours in the batch.
"""


class Weights(Struct, frozen=True):
    """All that a graph is made of. Matrices are (in, out)."""

    per_head: int
    """Channels of a head of attention; how many heads a layer has, its matrices say."""
    epsilon: float
    word_pairs: NDArray[np.uint8]
    """Shape (pieces, blocks, 16); see ``Base.word_pairs``."""
    word_scales: NDArray[np.float16]
    """Shape (pieces, blocks)."""
    position: Array
    """Shape (positions, width), the embedding of the one kind of text added."""
    norm: tuple[Array, Array]
    layers: list[dict[str, Array]]
    """
    Of each layer qkv (heads side by side within each third), out, up, down, each with ``_bias``; norm1, norm2 with ``_bias``.

    qkv, out, up and down with ``_low`` and ``_high``, shape (in,): how far each channel of what is multiplied
    reaches, over some texts; with ``_wide``, int64: the channels that stay float32; see ``wide``.
    """
    head: Array
    """Shape (2 x width, columns): over the first token beside the mean; calibration multiplied in."""
    head_bias: Array
    fast: Array
    """Shape (columns,): how much each of the fast tier's logits adds."""
    vector: Array
    """Shape (width, width): over the mean, at length 1."""
    vector_bias: Array


class _Writer:
    """Collects nodes and constants; ``op`` returns the name of what a node gives."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.constants: dict[str, Any] = {}

    def put(self, name: str, array: Any, dtype: Any = np.float32) -> str:
        from onnx import numpy_helper

        self.constants[name] = numpy_helper.from_array(np.array(array, dtype, order="C"), name)
        return name

    def op(self, kind: str, *inputs: str, output: str = "", outputs: int = 1, **attributes: Any) -> Any:
        from onnx import helper

        base = output or f"{kind.lower()}_{len(self.nodes)}"
        names = [base] if outputs == 1 else [f"{base}_{at}" for at in range(outputs)]
        self.nodes.append(helper.make_node(kind, list(inputs), names, name=f"n{len(self.nodes)}", **attributes))
        return names[0] if outputs == 1 else names

    def normed(self, name: str, x: str, weight: Array, bias: Array, epsilon: float) -> str:
        scale, shift = self.put(f"{name}.w", weight), self.put(f"{name}.b", bias)
        return str(self.op("LayerNormalization", x, scale, shift, axis=-1, epsilon=epsilon))

    def product(self, name: str, x: str, layer: dict[str, Any], part: str) -> str:
        """Multiply ``x``, a row a token, by an int8 matrix, a scale a column; its wide channels by their float32 rows."""
        matrix, channels = layer[part].copy(), layer[f"{part}_wide"]
        name = f"{name}.{part}"
        rows, matrix[channels] = matrix[channels], 0
        narrow = np.delete(np.arange(len(matrix)), channels)
        low = min(float(layer[f"{part}_low"][narrow].min()), 0.0)
        step = (max(float(layer[f"{part}_high"][narrow].max()), 1e-6) - low) / STEPS
        scale = np.maximum(np.abs(matrix).max(axis=0), 1e-12) / WEIGHT_MAX
        # What a wide channel is cut to here is multiplied by a row of zeros.
        steps, zero = self.put(f"{name}.d", step), self.put(f"{name}.z", round(-low / step), np.uint8)
        whole = self.op("QuantizeLinear", x, steps, zero)
        weight = self.put(f"{name}.w", np.clip(np.rint(matrix / scale), -WEIGHT_MAX, WEIGHT_MAX), np.int8)
        scales, bias = self.put(f"{name}.s", scale), self.put(f"{name}.b", layer[f"{part}_bias"])
        # Zero points of 0 are left out: given, they are multiplied with.
        out = self.op("MatMulIntegerToFloat", whole, weight, steps, scales, zero, "", bias, domain=CONTRIB)
        if not len(channels):
            return str(out)
        few = self.op("Gather", x, self.put(f"{name}.i", channels, np.int64), axis=-1)
        return str(self.op("Gemm", few, self.put(f"{name}.r", rows), out))


WIDE_MAX: Final = 12
WIDER: Final = 3.0


def wide(reach: Array) -> NDArray[np.int64]:
    """
    Return the channels that stay float32 before a matrix: at most WIDE_MAX that reach WIDER times as far as nine of ten.

    Some channels of a transformer hold a value ten times all others' at the first or last token; the 256 steps
    of int8 would be spread over it alone.

    Args:
        reach: Shape (in,): the largest absolute value of each channel, over some texts.
    """
    widest = np.argsort(-reach, kind="stable")[:WIDE_MAX]
    return np.sort(widest[reach[widest] > WIDER * np.quantile(reach, 0.9)]).astype(np.int64)


def build(weights: Weights) -> "ModelProto":
    """
    Write the graph of ``weights``.

    Inputs ``ids``: int64, shape (n, length), padded with ``PAD``, and ``fast``: float32, shape (n, columns), the fast tier's
    logits. Outputs ``logits``: float32, shape (n, columns), and ``vector``: float32, shape (n, width), each of length 1.
    """
    from onnx import TensorProto as Types
    from onnx import checker, helper

    writer = _Writer()
    # The first token of every text, then the second of every text: so attention finds each head's rows by a stride, and
    # nothing has to be put in another order for it.
    ids = writer.op("Transpose", "ids", perm=[1, 0])
    read = writer.op("Not", writer.op("Equal", ids, writer.put("pad", PAD, np.int64)))
    there = writer.op("Cast", read, to=Types.FLOAT)
    weight = writer.op("Unsqueeze", there, writer.put("last", [-1], np.int64))
    absent = writer.op("Mul", writer.op("Sub", there, writer.put("one", 1.0)), writer.put("far", 1e4))
    by_text = writer.op("Transpose", absent, perm=[1, 0])
    mask = writer.op("Unsqueeze", by_text, writer.put("inner", [1, 2], np.int64))
    shape, width = writer.op("Shape", ids), weights.position.shape[1]
    by_head = writer.op("Concat", shape, writer.put("heads", [-1, weights.per_head], np.int64), axis=0)
    x = writer.op("Reshape", _embedded(writer, ids, weights), writer.put("by_token", [-1, width], np.int64))
    for at, layer in enumerate(weights.layers):
        x = _layer(writer, f"l{at}", x, by_head, mask, layer, weights)
    x = writer.op("Reshape", x, writer.op("Concat", shape, writer.put("width", [width], np.int64), axis=0))
    _pooled(writer, x, weight, weights)
    graph = helper.make_graph(
        writer.nodes,
        "deep",
        [
            helper.make_tensor_value_info("ids", Types.INT64, ["n", "length"]),
            helper.make_tensor_value_info("fast", Types.FLOAT, ["n", len(weights.fast)]),
        ],
        [
            helper.make_tensor_value_info("logits", Types.FLOAT, ["n", len(weights.head_bias)]),
            helper.make_tensor_value_info("vector", Types.FLOAT, ["n", len(weights.vector_bias)]),
        ],
        list(writer.constants.values()),
    )
    opset = [helper.make_opsetid("", OPSET), helper.make_opsetid(CONTRIB, 1)]
    model = helper.make_model(graph, opset_imports=opset, ir_version=IR_VERSION, producer_name="zuruf")
    checker.check_model(model, full_check=True)
    return model


def _embedded(writer: _Writer, ids: str, weights: Weights) -> str:
    """Unpack the rows of the pieces, add the positions, normalise. Shape (length, n, width)."""
    from onnx import TensorProto as Types

    pieces, blocks, _ = weights.word_pairs.shape
    positions, width = weights.position.shape
    pairs = writer.op("Gather", writer.put("word.pairs", weights.word_pairs, np.uint8), ids, axis=0)
    low = writer.op("BitwiseAnd", pairs, writer.put("low", 15, np.uint8))
    high = writer.op("BitShift", pairs, writer.put("four", 4, np.uint8), direction="RIGHT")
    whole = writer.op("Cast", writer.op("Concat", low, high, axis=-1), to=Types.FLOAT)
    centred = writer.op("Sub", whole, writer.put("eight", 8.0))
    table = writer.put("word.scales", weights.word_scales.reshape(pieces, blocks, 1), np.float16)
    scale = writer.op("Cast", writer.op("Gather", table, ids, axis=0), to=Types.FLOAT)
    word = writer.op("Reshape", writer.op("Mul", centred, scale), writer.put("flat", [0, 0, width], np.int64))
    of_all = writer.put("position", weights.position.reshape(positions, 1, width))
    position = writer.op("Slice", of_all, writer.put("zero", [0], np.int64), writer.op("Shape", ids, start=0, end=1))
    return writer.normed("norm", writer.op("Add", word, position), *weights.norm, weights.epsilon)


def _layer(
    writer: _Writer, name: str, x: str, by_head: str, mask: str, layer: dict[str, Array], weights: Weights
) -> str:
    """One layer of rows by token; ``by_head``: the shape (length, n, heads, channels of a head) that attention reads."""
    width = layer["out"].shape[0]
    qkv = writer.op("Reshape", writer.product(name, x, layer, "qkv"), by_head)
    third = writer.put(f"{name}.third", [width // weights.per_head] * 3, np.int64)
    query, keys, values = writer.op("Split", qkv, third, axis=2, outputs=3)
    by_token: dict[str, Any] = {"domain": CONTRIB, "transBatchA": 1, "transBatchB": 1}
    scores = writer.op("FusedMatMul", query, keys, transB=1, alpha=weights.per_head**-0.5, **by_token)
    share = writer.op("Softmax", writer.op("Add", scores, mask), axis=-1)
    seen = writer.op("FusedMatMul", share, values, domain=CONTRIB, transBatchB=1)
    seen = writer.op("Transpose", seen, perm=[2, 0, 1, 3])
    seen = writer.op("Reshape", seen, writer.put(f"{name}.by_token", [-1, width], np.int64))
    out = writer.product(name, seen, layer, "out")
    x = writer.normed(f"{name}.norm1", writer.op("Add", x, out), layer["norm1"], layer["norm1_bias"], weights.epsilon)
    up = writer.op("Gelu", writer.product(name, x, layer, "up"))
    down = writer.product(name, up, layer, "down")
    return writer.normed(
        f"{name}.norm2", writer.op("Add", x, down), layer["norm2"], layer["norm2_bias"], weights.epsilon
    )


def _pooled(writer: _Writer, x: str, weight: str, weights: Weights) -> None:
    """Give the heads the first token beside the mean, and the vector the mean alone."""
    across = writer.put("across", [0], np.int64)
    total = writer.op("ReduceSum", writer.op("Mul", x, weight), across, keepdims=0)
    mean = writer.op("Div", total, writer.op("ReduceSum", weight, across, keepdims=0))
    first = writer.op("Gather", x, writer.put("first", 0, np.int64), axis=0)
    read = writer.op("Concat", first, mean, axis=-1)
    own = writer.op("Gemm", read, writer.put("head", weights.head), writer.put("head.b", weights.head_bias))
    writer.op("Add", own, writer.op("Mul", "fast", writer.put("fast.share", weights.fast)), output="logits")
    unit = writer.op("LpNormalization", mean, axis=-1, p=2)
    vector = writer.op(
        "Gemm", unit, writer.put("vector.w", weights.vector), writer.put("vector.b", weights.vector_bias)
    )
    writer.op("LpNormalization", vector, axis=-1, p=2, output="vector")
