"""NumPy's reductions of expressions: sum, mean, prod, max, min, var, std, and the norms."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from operator import index
from typing import Any

import numpy as np

from . import _core
from ._expr import Expr, as_expr, elementwise
from ._numpy_protocol import FUNCTIONS, UFUNCS

Axis = int | Sequence[int] | None


def normalized_axes(function: str, x: Any, axis: Axis) -> tuple[int, ...]:
    """Return axes as ascending numbers from 0; None is all of them."""
    if axis is None:
        return tuple(range(x.ndim))
    if x.ndim == 0 and axis in (0, -1):
        return ()
    axes = [index(k) for k in axis] if isinstance(axis, (tuple, list)) else [index(axis)]  # type: ignore[arg-type]
    for k in axes:
        if not -x.ndim <= k < x.ndim:
            raise np.exceptions.AxisError(k, x.ndim, function)
    positive = sorted(k % x.ndim for k in axes)
    if len(set(positive)) < len(positive):
        raise ValueError(f"{function}: axis is {axis!r} but must not name an axis twice")
    return tuple(positive)


def sum(a: Any, axis: Axis = None, *, keepdims: bool = False) -> Expr:
    x = as_expr("sum", a)
    axes = bytes(range(x.ndim) if axis is None else normalized_axes("sum", x, axis))
    return Expr(_core.sum(x._node, axes, keepdims), x._symbols)


def mean(a: Any, axis: Axis = None, *, keepdims: bool = False) -> Expr:
    x = as_expr("mean", a)
    return Expr(_core.mean(x._node, bytes(normalized_axes("mean", x, axis)), keepdims), x._symbols)


def average(a: Any, axis: Axis = None, weights: Any = None, *, keepdims: bool = False) -> Expr:
    if weights is None:
        return mean(a, axis, keepdims=keepdims)
    x, w = as_expr("average", a), as_expr("average", weights)
    if x.ndim != w.ndim:
        if not isinstance(axis, int) or w.ndim != 1:
            raise NotImplementedError(
                "average: weights must have the axes of the expression, or be a vector for one axis"
            )
        w = w.reshape(*[-1 if k == axis % x.ndim else 1 for k in range(x.ndim)])
        total: Any = sum(w)
    else:
        total = sum(w, axis, keepdims=keepdims)
    mean_value: Expr = sum(x * w, axis, keepdims=keepdims) / total
    return mean_value


def reduction(name: str, a: Any, axis: Axis, keepdims: bool) -> Expr:
    """Reduce by "prod", "max", "min" or "logsumexp"."""
    x = as_expr(name, a)
    return Expr(_core.reduce(name, x._node, bytes(normalized_axes(name, x, axis)), keepdims), x._symbols)


def prod(a: Any, axis: Axis = None, *, keepdims: bool = False) -> Expr:
    return reduction("prod", a, axis, keepdims)


def max(a: Any, axis: Axis = None, *, keepdims: bool = False) -> Expr:
    return reduction("max", a, axis, keepdims)


def min(a: Any, axis: Axis = None, *, keepdims: bool = False) -> Expr:
    return reduction("min", a, axis, keepdims)


def ptp(a: Any, axis: Axis = None, *, keepdims: bool = False) -> Expr:
    return max(a, axis, keepdims=keepdims) - min(a, axis, keepdims=keepdims)


def var(a: Any, axis: Axis = None, *, ddof: float = 0, keepdims: bool = False) -> Expr:
    x = as_expr("var", a)
    squares = (x - mean(x, axis, keepdims=True)) ** 2
    if ddof == 0:
        return mean(squares, axis, keepdims=keepdims)
    count = as_expr("var", 1)
    for k in normalized_axes("var", x, axis):
        count = count * x._lengths[k]
    return sum(squares, axis, keepdims=keepdims) / (count - ddof)


def std(a: Any, axis: Axis = None, *, ddof: float = 0, keepdims: bool = False) -> Expr:
    return var(a, axis, ddof=ddof, keepdims=keepdims) ** 0.5


def all(a: Any, axis: Axis = None, *, keepdims: bool = False) -> Expr:
    return elementwise("equal", sum(elementwise("equal", a, 0), axis, keepdims=keepdims), 0)


def any(a: Any, axis: Axis = None, *, keepdims: bool = False) -> Expr:
    return elementwise("greater", sum(elementwise("not_equal", a, 0), axis, keepdims=keepdims), 0)


def vector_norm(a: Any, axis: Axis = None, *, keepdims: bool = False, ord: Any = 2) -> Expr:
    x = as_expr("norm", a)
    size = elementwise("absolute", x)
    if ord == np.inf:
        return max(size, axis, keepdims=keepdims)
    if ord == -np.inf:
        return min(size, axis, keepdims=keepdims)
    if ord == 0:
        return sum(elementwise("not_equal", x, 0), axis, keepdims=keepdims)
    if ord == 1:
        return sum(size, axis, keepdims=keepdims)
    if not isinstance(ord, (int, float)):
        raise ValueError(f"norm: ord is {ord!r} but must be a number for a vector")
    powers = (x if ord % 2 == 0 else size) ** ord
    return sum(powers, axis, keepdims=keepdims) ** (1 / ord)


def matrix_norm(a: Any, *, axis: tuple[int, int] = (-2, -1), keepdims: bool = False, ord: Any = "fro") -> Expr:
    x = as_expr("norm", a)
    rows, columns = (normalized_axes("norm", x, k)[0] for k in axis)
    if rows == columns:
        raise ValueError(f"norm: axis is {axis} but must name two axes")
    if ord in ("fro", None):
        return vector_norm(x, (rows, columns), keepdims=keepdims)
    if ord in (2, -2, "nuc"):
        last = FUNCTIONS["moveaxis"](x, (rows, columns), (-2, -1))
        values = FUNCTIONS["linalg.svdvals"](last)
        result = {2: max, -2: min, "nuc": sum}[ord](values, -1)
        return FUNCTIONS["expand_dims"](result, tuple(sorted((rows, columns)))) if keepdims else result
    if ord not in (1, -1, np.inf, -np.inf):
        raise ValueError(f"norm: ord is {ord!r} but must be 'fro', 'nuc', 1, -1, 2, -2, inf or -inf for a matrix")
    inner, outer = (rows, columns) if ord in (1, -1) else (columns, rows)
    sums = sum(elementwise("absolute", x), inner, keepdims=True)
    result = (max if ord > 0 else min)(sums, outer, keepdims=True)
    return result if keepdims else FUNCTIONS["squeeze"](result, (rows, columns))


def norm(x: Any, ord: Any = None, axis: Axis = None, keepdims: bool = False) -> Expr:
    x = as_expr("norm", x)
    axes = normalized_axes("norm", x, axis)
    if ord is None and (axis is None or len(axes) <= 2):
        return vector_norm(x, axes, keepdims=keepdims)
    if len(axes) == 1:
        return vector_norm(x, axes, keepdims=keepdims, ord=ord)
    if len(axes) == 2:
        pair = (0, 1) if axis is None else tuple(axis)  # type: ignore[arg-type]
        return matrix_norm(x, axis=pair, keepdims=keepdims, ord=ord)  # type: ignore[arg-type]
    raise ValueError("norm: improper number of dimensions to norm")


FUNCTIONS |= {f.__name__: f for f in (sum, mean, average, prod, max, min, ptp, var, std, all, any)} | {
    "amax": max,
    "amin": min,
    "linalg.norm": norm,
    "linalg.vector_norm": vector_norm,
    "linalg.matrix_norm": matrix_norm,
}


def _ufunc_reduce(function: Any) -> Any:
    """Return a reduction as the method ``reduce`` of a universal function, whose default axis is the first."""

    def reduce(a: Any, axis: Axis = 0, keepdims: bool = False) -> Expr:
        return function(a, axis, keepdims=keepdims)  # type: ignore[no-any-return]

    return reduce


UFUNCS |= {
    f"{name}.reduce": _ufunc_reduce(function)
    for name, function in {
        "add": sum,
        "multiply": prod,
        "maximum": max,
        "minimum": min,
        "logaddexp": partial(reduction, "logsumexp"),
        "logical_and": all,
        "logical_or": any,
    }.items()
}
