"""NumPy's functions that make arrays to be filled, and those that fill them."""

from __future__ import annotations

from typing import Any

import numpy as np

from . import _core
from ._expr import Expr, as_expr, contract
from ._numpy_axes import broadcast_to
from ._numpy_protocol import FUNCTIONS, UFUNCS
from ._views import known_shape


def full_like(
    a: Any, fill_value: Any, dtype: Any = None, order: Any = "K", subok: bool = True, shape: Any = None
) -> Any:
    """Return an array of floats, which can be assigned to, as an expression; NumPy's own of any other dtype."""
    x = as_expr("full_like", a)
    lengths = x._lengths if shape is None else shape
    if dtype is not None and np.dtype(dtype) not in (np.float64, np.float32):
        return np.full(known_shape(x._node) if shape is None else shape, fill_value, dtype)
    return +broadcast_to(fill_value, lengths)


def zeros_like(a: Any, dtype: Any = None, order: Any = "K", subok: bool = True, shape: Any = None) -> Any:
    return full_like(a, 0, dtype, shape=shape)


def ones_like(a: Any, dtype: Any = None, order: Any = "K", subok: bool = True, shape: Any = None) -> Any:
    return full_like(a, 1, dtype, shape=shape)


def copyto(dst: Any, src: Any, casting: Any = "same_kind", where: Any = True) -> None:
    if not isinstance(dst, Expr):
        raise TypeError(
            "copyto: dst is an array of numbers, which can't hold traced values; np.zeros_like(x) of a traced x can"
        )
    dst[...] = src if where is True else FUNCTIONS["where"](where, src, dst)


def fill_diagonal(a: Any, val: Any, wrap: bool = False) -> None:
    if not isinstance(a, Expr) or wrap:
        raise NotImplementedError("fill_diagonal is for a traced array, without wrap")
    shape = known_shape(a._node)
    if len(shape) < 2:
        raise ValueError("array must be at least 2-d")
    value = as_expr("fill_diagonal", val)
    places = np.zeros(shape, bool)
    np.fill_diagonal(places, True)
    if value.ndim == 0:
        a[...] = FUNCTIONS["where"](places, value, a)
    else:
        a[places] = value[: min(shape)]


def add_at(a: Any, indices: Any, b: Any) -> None:
    """Add to entries, to one that is named twice both; to entries that slices and integers name, once."""
    if not isinstance(a, Expr):
        raise TypeError(
            "add.at: the first operand is an array of numbers, which can't hold traced values; np.zeros_like(x) of a "
            "traced x can"
        )
    shape = known_shape(a._node)
    places = np.arange(int(np.prod(shape))).reshape(shape)[indices]
    values = broadcast_to(b, places.shape).reshape(-1)
    index = as_expr("add.at", places.ravel())
    rows = Expr(_core.gather(index._node, int(np.prod(shape))), index._symbols)
    a[...] = a + contract("add.at", [values, rows], [[1], [1, 0]], 1).reshape(shape)


FUNCTIONS |= {f.__name__: f for f in (full_like, zeros_like, ones_like, copyto, fill_diagonal)}
FUNCTIONS["empty_like"] = zeros_like
UFUNCS["add.at"] = add_at
