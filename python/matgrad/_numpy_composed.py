"""NumPy's functions of expressions that are made of others: ranges, polynomials, convolution, interpolation."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import numpy as np

from ._expr import Expr, as_expr, elementwise
from ._numpy_axes import clip, embed, flip, moveaxis
from ._numpy_protocol import FUNCTIONS, UFUNCS
from ._views import known_shape


def linspace(
    start: Any, stop: Any, num: int = 50, endpoint: bool = True, retstep: bool = False, dtype: Any = None, axis: int = 0
) -> Any:
    first, last = as_expr("linspace", start), as_expr("linspace", stop)
    num = operator.index(num)
    parts = num - 1 if endpoint else num
    width = last - first
    weights = np.arange(float(num)) / max(parts, 1)
    weights = weights.astype(width.dtype).reshape(-1, *[1] * width.ndim)
    result = first + weights * width
    result = moveaxis(result, 0, axis) if axis != 0 else result
    return (result, width / parts) if retstep else result


def logspace(
    start: Any, stop: Any, num: int = 50, endpoint: bool = True, base: Any = 10.0, dtype: Any = None, axis: int = 0
) -> Expr:
    return UFUNCS["power"](base, linspace(start, stop, num, endpoint, axis=axis))  # type: ignore[no-any-return]


def geomspace(start: Any, stop: Any, num: int = 50, endpoint: bool = True, dtype: Any = None, axis: int = 0) -> Expr:
    sign = elementwise("sign", start)
    first, last = (elementwise("log", as_expr("geomspace", x) * sign) for x in (start, stop))
    return sign * elementwise("exp", linspace(first, last, num, endpoint, axis=axis))


def vander(x: Any, N: int | None = None, increasing: bool = False) -> Expr:
    vector = as_expr("vander", x)
    if vector.ndim != 1:
        raise ValueError(f"vander: x has {vector.ndim} axes but must have 1")
    length = known_shape(vector._node)[0] if N is None else N
    powers = np.arange(length) if increasing else np.arange(length)[::-1]
    columns = [vector ** int(k) if k else vector * 0 + 1 for k in powers]
    return FUNCTIONS["stack"](columns, 1)  # type: ignore[no-any-return]


def polyval(p: Any, x: Any) -> Any:
    value: Any = 0.0
    for coefficient in p if isinstance(p, (list, tuple, np.ndarray)) else list(as_expr("polyval", p)):
        value = value * x + coefficient
    return value


def convolve(a: Any, v: Any, mode: str = "full") -> Expr:
    x, y = as_expr("convolve", a), as_expr("convolve", v)
    if x.ndim != 1 or y.ndim != 1:
        raise ValueError("convolve: a and v must have one axis")
    (n,), (m,) = known_shape(x._node), known_shape(y._node)
    if n < m:
        x, y, n, m = y, x, m, n
    if m == 0:
        raise ValueError("convolve: a and v must not be empty")
    full = embed(x * y[0], 0, slice(0, n), n + m - 1)
    for k in range(1, m):
        full = full + embed(x * y[k], 0, slice(k, k + n), n + m - 1)
    first = {"full": 0, "same": (m - 1) // 2, "valid": m - 1}.get(mode)
    if first is None:
        raise ValueError(f"convolve: mode is {mode!r} but must be 'full', 'same' or 'valid'")
    return full[first : len(full) - (0 if mode == "full" else m - 1 if mode == "valid" else m - 1 - first)]


def correlate(a: Any, v: Any, mode: str = "valid") -> Expr:
    reversed_v = flip(as_expr("correlate", v))
    x = as_expr("correlate", a)
    if mode == "same" and len(x) < len(reversed_v):
        return flip(convolve(flip(x), v, mode))
    return convolve(x, reversed_v, mode)


def interp(x: Any, xp: Any, fp: Any, left: Any = None, right: Any = None, period: Any = None) -> Expr:
    """Interpolate: f₀ + Σ slope ⊙ clip(x − xp, 0, width) over the intervals; at a point its slope is their mean."""
    if period is not None:
        raise NotImplementedError("numpy.interp of an expression: the argument period is not supported")
    points, places, values = as_expr("interp", x), as_expr("interp", xp), as_expr("interp", fp)
    widths = places[1:] - places[:-1]
    slopes = (values[1:] - values[:-1]) / widths
    column = points.reshape(*points._lengths, 1)
    result = values[0] + clip(column - places[:-1], 0.0, widths) @ slopes
    if left is not None:
        result = elementwise("where", UFUNCS["less"](points, places[0]), left, result)
    return result if right is None else elementwise("where", UFUNCS["greater"](points, places[-1]), right, result)


def meshgrid(*xi: Any, copy: bool = True, sparse: bool = False, indexing: str = "xy") -> tuple[Expr, ...]:
    vectors = [as_expr("meshgrid", x).reshape(-1) for x in xi]
    order = list(range(len(vectors)))
    if indexing == "xy" and len(order) > 1:
        order[:2] = [1, 0]
    lengths = [known_shape(x._node)[0] for x in vectors]
    shape = [0] * len(order)
    for k, axis in enumerate(order):
        shape[axis] = lengths[k]
    grids = [
        x.reshape(*[lengths[k] if axis == order[k] else 1 for axis in range(len(order))]) for k, x in enumerate(vectors)
    ]
    return tuple(grids if sparse else (+FUNCTIONS["broadcast_to"](x, tuple(shape)) for x in grids))


def apply_along_axis(func1d: Callable[..., Any], axis: int, arr: Any, *args: Any, **kwargs: Any) -> Expr:
    x = moveaxis(as_expr("apply_along_axis", arr), axis, -1)
    *outer, n = known_shape(x._node)
    results = FUNCTIONS["stack"]([func1d(row, *args, **kwargs) for row in x.reshape(-1, n)])
    inner = results.shape[1:]
    axes = range(len(outer), len(outer) + len(inner))
    found = results.reshape(*outer, *inner)
    return moveaxis(found, tuple(axes), tuple(range(axis % x.ndim, axis % x.ndim + len(inner))))


def count_nonzero(a: Any, axis: Any = None, *, keepdims: bool = False) -> Expr:
    return FUNCTIONS["sum"](elementwise("not_equal", a, 0), axis, keepdims=keepdims)  # type: ignore[no-any-return]


def result_type(*arrays_and_dtypes: Any) -> np.dtype[Any]:
    return np.result_type(*(x.dtype if isinstance(x, Expr) else x for x in arrays_and_dtypes))


FUNCTIONS |= {
    function.__name__: function
    for function in (
        linspace, logspace, geomspace, vander, polyval, convolve, correlate, interp, meshgrid, apply_along_axis,
        count_nonzero, result_type,
    )
}  # fmt: skip
