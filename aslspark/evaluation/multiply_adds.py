"""A network as ONNX -> the number of multiply-adds for one picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod
from typing import Any

from aslspark.common.errors import AslsparkError

COUNTED = ("Conv", "Gemm", "MatMul")
"""Operators that do all but a few per cent of a network's work; the others are left out, as is usual."""


def multiply_adds(onnx_bytes: bytes) -> int:
    """Count the multiply-adds for one picture; FLOPs are twice as many.

    torchvision publishes the same count as "GFLOPS" of its networks (resnet18 at 224x224: 1.81e9).

    Parameters
    ----------
    onnx_bytes : bytes
        A model whose inputs have the batch as their first dimension.

    Raises
    ------
    AslsparkError
        Where the shape of an operand does not follow from the graph.
    """
    import onnx

    model = onnx.load_from_string(onnx_bytes)
    for value in model.graph.input:
        batch = value.type.tensor_type.shape.dim[0]
        batch.Clear()
        batch.dim_value = 1
    model = onnx.shape_inference.infer_shapes(model, data_prop=True)
    graph = model.graph
    shapes = {value.name: _dimensions(value) for value in (*graph.input, *graph.value_info, *graph.output)}
    shapes |= {weight.name: tuple(weight.dims) for weight in graph.initializer}
    for node in graph.node:
        if node.op_type == "Constant":
            tensor = next((item.t for item in node.attribute if item.name == "value"), None)
            if tensor is not None:
                shapes[node.output[0]] = tuple(tensor.dims)
    return sum(_of_node(node, shapes) for node in graph.node if node.op_type in COUNTED)


def _dimensions(value: Any) -> tuple[int, ...] | None:
    dimensions = value.type.tensor_type.shape.dim
    known = [item.dim_value for item in dimensions if item.HasField("dim_value")]
    return tuple(known) if len(known) == len(dimensions) else None


def _of_node(node: Any, shapes: Mapping[str, tuple[int, ...] | None]) -> int:
    first, weights, output = (_shape(name, node, shapes) for name in (*node.input[:2], node.output[0]))
    if node.op_type == "Conv":
        # Weights are (filters, channels / groups, *kernel); each number of the output takes one filter.
        return prod(output) * prod(weights[1:])
    if node.op_type == "Gemm":
        transposed = any(item.name == "transA" and item.i for item in node.attribute)
        return prod(output) * first[0 if transposed else 1]
    return prod(output) * first[-1]


def _shape(name: str, node: Any, shapes: Mapping[str, Sequence[int] | None]) -> Sequence[int]:
    shape = shapes.get(name)
    if shape is None:
        raise AslsparkError(f"{node.op_type} {node.name}: the shape of {name} does not follow from the graph")
    return shape
