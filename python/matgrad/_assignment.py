"""Assignment to entries of a traced array, as the array that has other values there."""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from . import _core
from ._core import Node
from ._numpy_protocol import FUNCTIONS, HOOKS, as_indices
from ._tracing import SCOPE
from ._validate import Symbolic
from ._views import known_shape, require_assignable, write


class Points(NamedTuple):
    """Entries, or rows, that were assigned one by one: what the array was before, their values, and what it is now."""

    base: Node
    values: dict[tuple[int, ...], Node]
    total: Node | None  # the values in their places among zeros
    node: Node  # what it is with them


def assign(x: Any, key: Any, value: Any) -> None:
    """Do what x[key] = value does, by writing a new expression to x."""
    require_assignable(x)
    indices = as_indices(key, x.ndim)
    if indices is None:
        write(x, *_selected(x, key, value))
        return
    if not hasattr(value, "_node"):
        raise TypeError("assignment: x[condition] can only be assigned to entries by the same condition")
    place = _core.index(x._node, indices)
    node = _fitted(value, place.shape)
    if indices and all(type(item) is int for item in indices):
        points = _with_point(x, _place(x, indices), node)
        write(x, points.node, value._symbols)
        x._points = points
    else:
        write(x, replaced(x._node, indices, node), value._symbols)


def _place(x: Any, indices: Sequence[Any]) -> tuple[int, ...]:
    """Return integers between brackets as numbers from 0."""
    return tuple(i % n for i, n in zip(indices, known_shape(x._node), strict=False))


def _fitted(value: Any, shape: tuple[int | Node, ...]) -> Node:
    """Return a value broadcast to a shape; as in NumPy it may have axes of length 1 in front."""
    node: Node = value._node
    surplus = node.ndim - len(shape)
    if surplus > 0 and all(length == 1 for length in node.shape[:surplus]):
        node = _core.index(node, [0] * surplus)
    return _core.broadcast_to(node, shape)


# --- Entries one by one ---


def point_of(x: Any, key: Any) -> Node | None:
    """Return the value that was last assigned to an entry, if that is known."""
    points = x._points
    if points is None or points.node != x._node:
        return None
    items = key if isinstance(key, tuple) else (key,)
    if not all(type(item) is int for item in items):
        return None
    return points.values.get(_place(x, items))  # type: ignore[no-any-return]


def _with_point(x: Any, place: tuple[int, ...], value: Node) -> Points:
    old = x._points
    if old is None or old.node != x._node or len(next(iter(old.values))) != len(place):
        old = Points(x._node, {}, None, x._node)
    values = {**old.values, place: value}
    shape = known_shape(x._node)
    if old.total is None or place in old.values:
        total = _core.broadcast_to(_core.number(0.0), shape)
        for where, node in values.items():
            total = _core.add(total, _placed(node, where, shape))
    else:
        total = _core.add(old.total, _placed(value, place, shape))
    lengths = shape[: len(place)]
    if len(values) == math.prod(lengths):
        return Points(old.base, values, total, total)
    written = np.zeros(lengths, bool)
    written[tuple(np.transpose([*values]))] = True
    return Points(old.base, values, total, _core.add(_kept(old.base, written), total))


def _placed(value: Node, place: tuple[int, ...], shape: tuple[int, ...]) -> Node:
    """Return an array of zeros but for the entries at a place."""
    ndim, depth = len(shape), len(place)
    units = [_core.slice_matrix(n, slice(i, i + 1)) for i, n in zip(place, shape, strict=False)]
    labels = [bytes(range(depth, ndim)), *(bytes([ndim + k, k]) for k in range(depth))]
    return _core.einsum("assignment", [value, *units], labels, ndim, True)


# --- Slices ---


def replaced(node: Node, indices: list[int | slice | None], value: Node) -> Node:
    """Return an array with other values at what stands between brackets."""
    if all(item == slice(None) for item in indices):
        return value
    shape = known_shape(node)
    items = [item for item in indices if item is not None]
    items += [slice(None)] * (len(shape) - len(items))
    # of the value: no new axes, and one of length 1 for every integer
    kept = [0 if item is None else None if isinstance(item, int) else slice(None) for item in indices]
    value = _core.index(value, kept)
    written = np.zeros([1 if item == slice(None) else n for n, item in zip(shape, items, strict=True)], bool)
    written[tuple(items)] = True
    for axis, (n, item) in enumerate(zip(shape, items, strict=True)):
        if item != slice(None):
            place = slice(item, item + 1 or None) if isinstance(item, int) else item
            labels = list(range(len(shape)))
            labels[axis] = len(shape)
            rows = _core.slice_matrix(n, place)
            operands = [bytes(labels), bytes([len(shape), axis])]
            value = _core.einsum("assignment", [value, rows], operands, len(shape), False)
    return _core.add(_kept(node, written), value)


def _kept(node: Node, written: Any) -> Node:
    """Return an array with zeros where it was written to, even if it was infinite there or NaN."""
    mask = np.asarray(~written, np.float32).reshape(written.shape + (1,) * (node.ndim - written.ndim))
    return _core.elementwise("where", [_core.array(mask), node, _core.number(0.0)])


# --- Conditions and arrays of indices ---


def _selected(x: Any, key: Any, value: Any) -> tuple[Node, Any]:
    """Return the node and the symbols of an array with other values at places that arrays tell."""
    if not isinstance(key, Symbolic):
        return _replaced_at(x, key, value)
    condition: Any = key
    if not condition._node.is_condition:
        raise TypeError(f"assignment: the index is {key!r} but must be a condition, or not depend on traced arrays")
    chosen = HOOKS["selection"](x, condition)
    if isinstance(value, type(chosen)):
        if value.condition._node != condition._node:
            raise TypeError("assignment: x[condition] = y[condition] must be by the same condition")
        result = value.where(x)
    else:
        trailing = x.ndim - condition.ndim
        if value.ndim > trailing:
            raise TypeError(
                "assignment to entries where a traced condition holds: how many there are isn't known, so the value "
                f"must have at most {trailing} axes but has {value.ndim}; np.where(condition, a, b) takes whole arrays"
            )
        result = FUNCTIONS["where"](condition[(..., *[None] * trailing)], value, x)
    return _core.broadcast_to(result._node, x._node.shape), result._symbols


def _replaced_at(x: Any, key: Any, value: Any) -> tuple[Node, Any]:
    """Return the node and the symbols of an array with other values at what arrays of numbers select."""
    shape = known_shape(x._node)
    positions = np.arange(math.prod(shape)).reshape(shape)[key]
    fitted = type(x)(_fitted(value, positions.shape), value._symbols)
    if positions.size == 0:
        return x._node, x._symbols
    latest = np.full(math.prod(shape), -1)
    latest[positions.ravel()] = np.arange(positions.size)
    taken = fitted.reshape(-1)[np.maximum(latest, 0)].reshape(shape)
    result = FUNCTIONS["where"]((latest >= 0).reshape(shape), taken, x)
    return result._node, result._symbols


# --- Operators ---


def _in_place(function: Any) -> Any:
    """Return the operator that writes what a function of two operands gives to the first; a scalar is replaced."""

    def apply(self: Any, other: Any) -> Any:
        if SCOPE.get() is None or self._scope is None or (self.ndim == 0 and self._source is None):
            return NotImplemented
        self[...] = function(self, other)
        return self

    return apply


_OPERATORS = ("add", "sub", "mul", "truediv", "pow", "floordiv", "mod", "matmul", "and", "or", "xor")
IN_PLACE = {f"__i{name}__": _in_place(getattr(operator, f"__{name}__")) for name in _OPERATORS}
