"""NumPy's functions that select, order, mask and accumulate entries of expressions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import index
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import _core
from ._expr import Expr, as_expr, contract, elementwise
from ._numpy_axes import broadcast_to, expand_dims, moveaxis, ravel, squeeze, swapaxes
from ._numpy_protocol import FUNCTIONS, UFUNCS
from ._numpy_reductions import mean, normalized_axes


def _along(function: str, a: Any, axis: Any) -> tuple[Expr, int]:
    """Return an operand and the number of an axis, or, for None, all its elements and their axis."""
    x = as_expr(function, a)
    if axis is None:
        return ravel(x), 0
    return x, normalized_axes(function, x, index(axis))[0]


def known_length(function: str, x: Expr, axis: int) -> int:
    """Return the length of an axis, or raise NotImplementedError if it isn't known."""
    length = x._node.shape[axis]
    if not isinstance(length, int):
        raise NotImplementedError(
            f"{function} of an expression along an axis whose length isn't known is not supported"
        )
    return length


def rearranged(function: str, a: Any, axis: int, places: Callable[[NDArray[np.intp]], Any]) -> Expr:
    """Return the entries along an axis at the places that a function makes of all places."""
    x = as_expr(function, a)
    return take(x, places(np.arange(known_length(function, x, axis))), axis)


# --- Selection ---


def take(a: Any, indices: Any, axis: Any = None, *, mode: str = "raise") -> Expr:
    x, k = _along("take", a, axis)
    if mode not in ("raise", "wrap", "clip"):
        raise ValueError(f"take: mode is {mode!r} but must be 'raise', 'wrap' or 'clip'")
    if mode != "raise":
        n = known_length("take", x, k)
        indices = np.mod(indices, n) if mode == "wrap" else np.clip(indices, 0, n - 1)
    return x[(*(slice(None),) * k, indices if isinstance(indices, Expr) else np.asarray(indices, np.intp))]


def take_along_axis(arr: Any, indices: Any, axis: Any = -1) -> Expr:
    x, k = _along("take_along_axis", arr, axis)
    places = as_expr("take_along_axis", indices)
    if places.ndim != x.ndim:
        raise ValueError(f"take_along_axis: indices have {places.ndim} axes but must have {x.ndim}")
    rows = Expr(_core.gather(places._node, x._node.shape[k]), {**x._symbols, **places._symbols})
    given = x.ndim
    labels = [given if axis == k else axis for axis in range(x.ndim)]
    return contract("take_along_axis", [x, rows], [labels, [*range(x.ndim), given]], x.ndim)


def compress(condition: Any, a: Any, axis: Any = None) -> Expr:
    x, k = _along("compress", a, axis)
    return take(x, np.flatnonzero(condition), k)


def extract(condition: Any, arr: Any) -> Expr:
    return compress(np.ravel(condition), arr)


def delete(arr: Any, obj: Any, axis: Any = None) -> Expr:
    x, k = _along("delete", arr, axis)
    return rearranged("delete", x, k, lambda places: np.delete(places, obj))


def select(condlist: Sequence[Any], choicelist: Sequence[Any], default: Any = 0) -> Expr:
    if len(condlist) != len(choicelist):
        raise ValueError("select: the lists of conditions and choices must have the same length")
    result = as_expr("select", default)
    for condition, choice in zip(reversed(condlist), reversed(choicelist), strict=True):
        result = elementwise("where", condition, choice, result)
    return result


# --- Order ---


def _position(name: str, a: Any, axis: Any, keepdims: bool) -> Expr:
    x, k = _along(name, a, axis)
    places = Expr(_core.reduce(name, x._node, bytes([k]), False), x._symbols)
    if not keepdims:
        return places
    return places.reshape((1,) * as_expr(name, a).ndim) if axis is None else expand_dims(places, k)


def argmax(a: Any, axis: Any = None, *, keepdims: bool = False) -> Expr:
    return _position("argmax", a, axis, keepdims)


def argmin(a: Any, axis: Any = None, *, keepdims: bool = False) -> Expr:
    return _position("argmin", a, axis, keepdims)


def argsort(a: Any, axis: Any = -1, kind: Any = None, *, stable: Any = None) -> Expr:
    x, k = _along("argsort", a, axis)
    return Expr(_core.reduce("argsort", x._node, bytes([k]), False), x._symbols)


def sort(a: Any, axis: Any = -1, kind: Any = None, *, stable: Any = None) -> Expr:
    x, k = _along("sort", a, axis)
    return take_along_axis(x, argsort(x, k), k)


def argpartition(a: Any, kth: Any, axis: Any = -1, kind: Any = "introselect") -> Expr:
    return argsort(a, axis)


def partition(a: Any, kth: Any, axis: Any = -1, kind: Any = "introselect") -> Expr:
    return sort(a, axis)


def _quantile(function: str, a: Any, q: Any, axis: Any, method: str, keepdims: bool) -> Expr:
    if method != "linear":
        raise NotImplementedError(f"{function} of an expression: method={method!r} is not supported")
    if isinstance(axis, tuple) and not keepdims:
        several = normalized_axes(function, as_expr(function, a), axis)
        last = moveaxis(a, several, [*range(-len(several), 0)])
        a, axis = last.reshape(*last._lengths[: -len(several)], -1), -1
    x, k = _along(function, a, axis)
    q = np.asarray(q, np.float64)
    if np.any((q < 0) | (q > 1)):
        raise ValueError(f"{function}: quantiles must be in the range of the function")
    n = known_length(function, x, k)
    ordered = sort(x, k)
    place = q * (n - 1)
    low = np.floor(place).astype(np.intp)
    weight = (place - low).reshape((*q.shape, *(1,) * (x.ndim - 1 - k)))
    largest = ordered[(*(slice(None),) * k, slice(n - 1, n))]
    ordered = elementwise("where", UFUNCS["isnan"](largest), np.nan, ordered)  # of which NaN is last
    between = take(ordered, low, k) * (1 - weight) + take(ordered, np.minimum(low + 1, n - 1), k) * weight
    result = moveaxis(between, [*range(k, k + q.ndim)], [*range(q.ndim)])
    if not keepdims:
        return result
    if axis is None:
        return result.reshape(*q.shape, *(1,) * as_expr(function, a).ndim)
    return expand_dims(result, q.ndim + k)


def quantile(a: Any, q: Any, axis: Any = None, *, method: str = "linear", keepdims: bool = False) -> Expr:
    return _quantile("quantile", a, q, axis, method, keepdims)


def percentile(a: Any, q: Any, axis: Any = None, *, method: str = "linear", keepdims: bool = False) -> Expr:
    return _quantile("percentile", a, np.asarray(q, np.float64) / 100, axis, method, keepdims)


def median(a: Any, axis: Any = None, *, keepdims: bool = False) -> Expr:
    return _quantile("median", a, 0.5, axis, "linear", keepdims)


# --- Triangles and cumulative functions ---


def _triangle(rows: Any, columns: Any, offset: int) -> Expr:
    return Expr(_core.triangle(rows, columns, offset), {})


def _matrices(function: str, m: Any) -> Expr:
    """Return an operand with two axes or more; a vector becomes the rows of a square matrix, as in NumPy."""
    x = as_expr(function, m)
    if x.ndim == 0:
        raise ValueError(f"{function}: the operand has no axes but must have at least 1")
    return broadcast_to(x, x._lengths * 2) if x.ndim == 1 else x


def tril(m: Any, k: int = 0) -> Expr:
    x = _matrices("tril", m)
    rows, columns = x._node.shape[-2:]
    return _masked(x, _triangle(rows, columns, index(k)))


def triu(m: Any, k: int = 0) -> Expr:
    x = _matrices("triu", m)
    rows, columns = x._node.shape[-2:]
    return _masked(x, _triangle(columns, rows, -index(k)).T)


def _masked(x: Expr, mask: Expr) -> Expr:
    """Return the product, in which what is masked may be infinite."""
    guard = Expr(_core.guard(mask._node), {})
    axes = [*range(x.ndim)]
    return contract("triangle", [x, guard], [axes, axes[-2:]], x.ndim)


def cumsum(a: Any, axis: Any = None) -> Expr:
    x, k = _along("cumsum", a, axis)
    n = x._node.shape[k]
    labels = [x.ndim if axis == k else axis for axis in range(x.ndim)]
    return contract("cumsum", [x, _triangle(n, n, 0)], [labels, [k, x.ndim]], x.ndim)


def cumprod(a: Any, axis: Any = None) -> Expr:
    x, k = _along("cumprod", a, axis)
    n = x._node.shape[k]
    last = swapaxes(x, k, -1)
    factors = elementwise("where", _triangle(n, n, 0), last[..., None, :], 1.0)
    return swapaxes(FUNCTIONS["prod"](factors, -1), k, -1)


def diff(a: Any, n: int = 1, axis: Any = -1, prepend: Any = None, append: Any = None) -> Expr:
    x, k = _along("diff", a, axis)
    ends = [part for part in (prepend, x, append) if part is not None]
    if len(ends) > 1:
        shape = tuple(1 if axis == k else length for axis, length in enumerate(x._lengths))
        parts = [
            part if part is x or as_expr("diff", part).ndim else FUNCTIONS["broadcast_to"](part, shape) for part in ends
        ]
        x = FUNCTIONS["concatenate"](parts, k)
    if n < 0:
        raise ValueError(f"diff: n is {n} but must not be negative")
    before, after = ((*(slice(None),) * k, part) for part in (slice(None, -1), slice(1, None)))
    for _ in range(n):
        x = x[after] - x[before]
    return x


def ediff1d(ary: Any) -> Expr:
    return diff(ravel(as_expr("ediff1d", ary)))


def gradient(f: Any, *varargs: Any, axis: Any = None, edge_order: int = 1) -> Any:
    x = as_expr("gradient", f)
    axes = [*range(x.ndim)] if axis is None else [k % x.ndim for k in ([axis] if isinstance(axis, int) else axis)]
    spacings = list(varargs) or [1.0]
    spacings = spacings * len(axes) if len(spacings) == 1 else spacings
    if len(spacings) != len(axes) or edge_order != 1 or any(np.ndim(h) for h in spacings):
        raise NotImplementedError("gradient of an expression takes a number for each axis, and edge_order=1")
    results = [_central_differences(x, k, h) for k, h in zip(axes, spacings, strict=True)]
    return results[0] if len(results) == 1 else tuple(results)


def _central_differences(x: Expr, axis: int, spacing: Any) -> Expr:
    n = known_length("gradient", x, axis)
    if n < 2:
        raise ValueError(f"gradient: the length of axis {axis} is {n} but must be at least 2")
    places = np.arange(n)
    low, high = np.maximum(places - 1, 0), np.minimum(places + 1, n - 1)
    steps = (high - low).astype(x.dtype).reshape(-1, *(1,) * (x.ndim - 1 - axis))
    differences: Expr = (take(x, high, axis) - take(x, low, axis)) / (steps * spacing)
    return differences


def trapezoid(y: Any, x: Any = None, dx: Any = 1.0, axis: Any = -1) -> Expr:
    heights, k = _along("trapezoid", y, axis)
    before, after = ((*(slice(None),) * k, part) for part in (slice(None, -1), slice(1, None)))
    step = dx
    if x is not None:
        step = diff(x, axis=k if as_expr("trapezoid", x).ndim == heights.ndim else -1)
        if step.ndim != heights.ndim:
            step = step.reshape(-1, *(1,) * (heights.ndim - 1 - k))
    return FUNCTIONS["sum"](step * (heights[after] + heights[before]) / 2.0, k)  # type: ignore[no-any-return]


def cov(m: Any, y: Any = None, rowvar: bool = True, bias: bool = False, ddof: int | None = None) -> Expr:
    x = FUNCTIONS["atleast_2d"](m)
    x = x if rowvar or x._node.shape[0] == 1 else x.T
    if y is not None:
        other = FUNCTIONS["atleast_2d"](y)
        x = FUNCTIONS["concatenate"]([x, other if rowvar or other._node.shape[0] == 1 else other.T], 0)
    centred = x - mean(x, 1, keepdims=True)
    count = as_expr("cov", 1) * x._lengths[1]
    return squeeze(centred @ centred.T / (count - ((not bias) if ddof is None else ddof)))


FUNCTIONS |= {
    function.__name__: function
    for function in (
        take, take_along_axis, compress, extract, delete, select, argmax, argmin, argsort, sort, argpartition,
        partition, quantile, percentile, median, tril, triu, cumsum, cumprod, diff, ediff1d, gradient, trapezoid, cov,
    )
}  # fmt: skip
FUNCTIONS |= {"cumulative_sum": cumsum, "cumulative_prod": cumprod}


def _accumulate(function: Callable[..., Expr]) -> Callable[..., Expr]:
    """Return a cumulative function as the method ``accumulate`` of a universal function, along the first axis."""
    return lambda array, axis=0: function(array, axis)


UFUNCS |= {"add.accumulate": _accumulate(cumsum), "multiply.accumulate": _accumulate(cumprod)}
