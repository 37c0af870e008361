"""Scalar expressions as entries of NumPy's object arrays, and object arrays and lists of them as expressions again."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ._expr import Expr, as_expr
from ._numpy_protocol import FUNCTIONS, HOOKS, refuse_array
from ._tracing import SCOPE

_MOST_ENTRIES = 10_000


def object_array(x: Expr, dtype: Any, by_numpy: bool) -> NDArray[Any]:
    """
    Return a traced array as an object array of its entries.

    One with axes is for NumPy's own functions only, such as ``np.r_``: a traced function would take it for an array.
    """
    if SCOPE.get() is None or dtype not in (None, object) or not (x.ndim == 0 or by_numpy):
        refuse_array(x, dtype)
    flat = x.reshape(-1)
    if x.ndim > 0 and len(flat) > _MOST_ENTRIES:
        refuse_array(x, dtype)
    array = np.empty(1 if x.ndim == 0 else len(flat), object)
    for k in range(array.size):
        array[k : k + 1].fill(x if x.ndim == 0 else flat[k])
    return array.reshape(() if x.ndim == 0 else x.shape)


def holds_expressions(value: Any) -> bool:
    """Whether an object is an object array, or a list or tuple, nested or not, with an expression in it."""
    if isinstance(value, np.ndarray):
        return value.dtype == object and any(isinstance(item, Expr) for item in value.flat)
    return isinstance(value, (list, tuple)) and any(isinstance(item, Expr) or holds_expressions(item) for item in value)


def joined(function: str, value: Any) -> Expr | None:
    """Return an object array, or a list, of expressions and numbers as one expression; None for other values."""
    if not holds_expressions(value):
        return None
    if not isinstance(value, np.ndarray):
        return FUNCTIONS["stack"]([as_expr(function, item) for item in value])  # type: ignore[no-any-return]
    items = list(value.flat)
    for item in items:
        if not isinstance(item, (Expr, bool, int, float, np.ndarray, np.generic)):
            raise TypeError(f"{function}: an object array holds {item!r} but must hold expressions and numbers only")
    if value.ndim == 0:
        return as_expr(function, items[0])
    parts = [_part(function, list(run)) for _, run in itertools.groupby(items, _Runs())]
    return FUNCTIONS["concatenate"](parts).reshape(*value.shape, *parts[0].shape[1:])  # type: ignore[no-any-return]


class _Runs:
    """Numbers the runs of items: numbers, neighbouring entries of one array, and other expressions, which are alone."""

    def __init__(self) -> None:
        self._run = 0
        self._source: Any = None
        self._position = 0

    def __call__(self, item: Any) -> int:
        source, position = object(), 0
        if isinstance(item, Expr):
            source, position = item._entry or (source, position)
        elif np.ndim(item) == 0:
            source, position = float, self._position + 1
        if source != self._source or position != self._position + 1:
            self._run += 1
        self._source, self._position = source, position
        return self._run


def _part(function: str, run: list[Any]) -> Expr:
    """Return a run of items as an expression with one axis more."""
    first = run[0]
    if len(run) > 1 and isinstance(first, Expr):
        node, position = first._entry
        vector = Expr(node, first._symbols)
        return vector if node.shape == (len(run),) else vector[position : position + len(run)]
    if isinstance(first, Expr) or np.ndim(first):
        return as_expr(function, first)[None]
    return as_expr(function, np.array(run, float))


HOOKS |= {"to array": object_array, "to expression": joined}
