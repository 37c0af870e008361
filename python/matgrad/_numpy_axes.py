"""NumPy's functions of axes of expressions: transposition, reshape, broadcasting, choice."""

from __future__ import annotations

import math
from collections.abc import Sequence
from operator import index
from typing import Any, Literal

import numpy as np

from . import _core
from ._expr import Expr, as_expr, contract, elementwise, permuted, reshaped, union
from ._numpy_protocol import FUNCTIONS
from ._numpy_reductions import Axis, normalized_axes
from ._views import viewed


def transpose(a: Any, axes: int | Sequence[int] | None = None) -> Expr:
    x = as_expr("transpose", a)
    if axes is None:
        return x.T
    axes = [axes] if isinstance(axes, int) else axes
    order = [k for axis in axes for k in normalized_axes("transpose", x, index(axis))]
    if sorted(order) != list(range(x.ndim)):
        raise ValueError(f"transpose: axes are {tuple(axes)} but must be a permutation of {x.ndim} axes")
    return permuted(x, order)


def swapaxes(a: Any, axis1: int, axis2: int) -> Expr:
    x = as_expr("swapaxes", a)
    order = list(range(x.ndim))
    order[axis1], order[axis2] = order[axis2], order[axis1]
    return transpose(x, order)


def matrix_transpose(x: Any) -> Expr:
    x = as_expr("matrix_transpose", x)
    if x.ndim < 2:
        raise ValueError(f"matrix_transpose: the operand has {x.ndim} axes but must have at least 2")
    return swapaxes(x, -2, -1)


def moveaxis(a: Any, source: int | Sequence[int], destination: int | Sequence[int]) -> Expr:
    x = as_expr("moveaxis", a)
    sources, targets = ([k] if isinstance(k, int) else list(k) for k in (source, destination))
    sources = [normalized_axes("moveaxis", x, k)[0] for k in sources]
    targets = [normalized_axes("moveaxis", x, k)[0] for k in targets]
    if len(sources) != len(targets):
        raise ValueError("moveaxis: source and destination must have the same number of axes")
    order = [k for k in range(x.ndim) if k not in sources]
    for target, moved in sorted(zip(targets, sources, strict=True)):
        order.insert(target, moved)
    return transpose(x, order)


def expand_dims(a: Any, axis: int | Sequence[int]) -> Expr:
    x = as_expr("expand_dims", a)
    axes = [axis] if isinstance(axis, int) else list(axis)
    ndim = x.ndim + len(axes)
    new = {k % ndim for k in axes if -ndim <= k < ndim}
    if len(new) < len(axes):
        raise np.exceptions.AxisError(
            f"expand_dims: axis is {axis} but must name distinct axes of a result with {ndim}"
        )
    return x[tuple(None if k in new else slice(None) for k in range(ndim))]


def squeeze(a: Any, axis: Axis = None) -> Expr:
    x = as_expr("squeeze", a)
    shape = x._node.shape
    ones = [k for k in range(x.ndim) if isinstance(shape[k], int) and shape[k] == 1]
    axes = ones if axis is None else list(normalized_axes("squeeze", x, axis))
    if not set(axes) <= set(ones):
        raise ValueError(f"squeeze: axis is {axis} but must name axes of length 1; the shape is {x.shape}")
    return x[tuple(0 if k in axes else slice(None) for k in range(x.ndim))]


def broadcast_to(array: Any, shape: Any) -> Expr:
    x = as_expr("broadcast_to", array)
    lengths = list(shape) if isinstance(shape, (tuple, list)) else [shape]
    sizes = [length for length in lengths if isinstance(length, Expr)]
    parts = [length._node if isinstance(length, Expr) else index(length) for length in lengths]
    view = viewed(x, lambda node: _core.broadcast_to(node, parts), None, lambda a: np.broadcast_to(a, shape))
    view._symbols = union([x, *sizes])
    return view  # type: ignore[no-any-return]


def reshape(a: Any, shape: Any, order: Literal["C", "F"] = "C") -> Expr:
    return as_expr("reshape", a).reshape(shape, order=order)


def ravel(a: Any, order: Literal["C", "F"] = "C") -> Expr:
    x = as_expr("ravel", a)
    return reshaped(x.T if order == "F" else x, [None], np.ravel)  # contiguous, unlike reshape(-1)


def atleast_1d(a: Any) -> Expr:
    x = as_expr("atleast_1d", a)
    return x if x.ndim >= 1 else x.reshape(1)


def atleast_2d(a: Any) -> Expr:
    x = as_expr("atleast_2d", a)
    return x if x.ndim >= 2 else atleast_1d(x)[None]


def embed(x: Expr, axis: int, place: slice, length: int) -> Expr:
    """Lengthen one axis by zeros before and after the place of what was there."""
    rows = Expr(_core.slice_matrix(length, place), {})
    labels = [x.ndim if k == axis else k for k in range(x.ndim)]
    return contract("embed", [x, rows], [labels, [x.ndim, axis]], x.ndim)


def flip(m: Any, axis: Axis = None) -> Expr:
    x = as_expr("flip", m)
    axes = normalized_axes("flip", x, axis)
    return x[tuple(slice(None, None, -1 if k in axes else None) for k in range(x.ndim))]


def where(condition: Any, x: Any = None, y: Any = None) -> Expr:
    if x is None or y is None:
        raise NotImplementedError("numpy.where of an expression needs three operands: places aren't known yet")
    return elementwise("where", condition, x, y)


def clip(a: Any, a_min: Any = None, a_max: Any = None, *, min: Any = None, max: Any = None) -> Expr:
    x = as_expr("clip", a)
    low, high = a_min if min is None else min, a_max if max is None else max
    if low is not None:
        x = elementwise("maximum", x, low)
    return +x if high is None else elementwise("minimum", x, high)


def round(a: Any, decimals: int = 0) -> Expr:
    scale = 10.0**decimals
    return elementwise("rint", as_expr("round", a) * scale) / scale


def shape(a: Any) -> tuple[Any, ...]:
    return as_expr("shape", a).shape


def ndim(a: Any) -> int:
    return as_expr("ndim", a).ndim


def size(a: Any, axis: Axis = None) -> Any:
    x = as_expr("size", a)
    return math.prod(x.shape[k] for k in normalized_axes("size", x, axis))


def real(val: Any) -> Expr:
    return as_expr("real", val)


def copy(a: Any) -> Expr:
    return +as_expr("copy", a)


FUNCTIONS |= {
    function.__name__: function
    for function in (
        transpose, swapaxes, matrix_transpose, moveaxis, expand_dims, squeeze, broadcast_to, reshape, ravel,
        atleast_1d, atleast_2d, flip, where, clip, round, shape, ndim, size, real, copy,
    )
}  # fmt: skip
FUNCTIONS |= {"iscomplexobj": lambda x: False, "isrealobj": lambda x: True}
FUNCTIONS |= {"around": round, "linalg.matrix_transpose": matrix_transpose}
