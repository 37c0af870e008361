"""What stands between the brackets of an expression: integers, slices, new axes, and arrays of integers or bools."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

from . import _core
from ._expr import Expr, as_expr, contract
from ._numpy_protocol import HOOKS
from ._tracing import TRACING

_EXACT_IN_FLOAT32 = 2**24


def indexed(x: Expr, key: Any) -> Expr:
    """Return x[key], as NumPy does."""
    items = _items(key, x)
    if all(item is None or isinstance(item, (int, slice)) for item in items):
        return Expr(_core.index(x._node, items), x._symbols)
    items += [slice(None)] * (x.ndim - sum(item is not None for item in items))
    advanced = [k for k, item in enumerate(items) if not (item is None or isinstance(item, slice))]
    arrays = [items[k] for k in advanced if not isinstance(items[k], int)]
    # axes of the arrays come where those they stand for were, if these are side by side, else first
    is_adjacent = advanced == [*range(advanced[0], advanced[-1] + 1)]
    place = sum(not isinstance(item, int) for item in items[: advanced[0]]) if is_adjacent else 0
    plain = [item if item is None or isinstance(item, (int, slice)) else slice(None) for item in items]
    selected = Expr(_core.index(x._node, plain), x._symbols)
    kept = [item for item in items if not isinstance(item, int)]
    axes = [k for k, item in enumerate(kept) if not (item is None or isinstance(item, slice))]
    return gathered(selected, dict(zip(axes, map(_as_index, arrays), strict=True)), place)


def gathered(x: Expr, indices: dict[int, Expr], place: int) -> Expr:
    """Return x at places along some of its axes, by arrays that are broadcast; their axes begin at `place`."""
    ndim = max(index.ndim for index in indices.values())
    result = ndim + x.ndim - len(indices)
    own = [*range(place, place + ndim)]
    others = iter(k for k in range(result) if k not in own)
    labels = [result + k if k in indices else next(others) for k in range(x.ndim)]
    operands, all_labels = [x], [labels]
    for axis, index in indices.items():
        rows = Expr(_core.gather(index._node, x._node.shape[axis]), {**x._symbols, **index._symbols})
        operands.append(rows)
        all_labels.append([*own[ndim - index.ndim :], labels[axis]])
    return contract("index", operands, all_labels, result)


def _as_index(index: Any) -> Expr:
    """Return an array of integers as an expression; in float32 where that is exact, which has no effect on the rest."""
    if isinstance(index, Expr):
        tracing = TRACING.get()
        if index._node.is_condition or (tracing is not None and index._node in tracing.bools):
            raise TypeError(
                "an expression can't be indexed by a condition whose value isn't known yet, because the shape of the "
                "result depends on it; numpy.where(condition, a, b) chooses entry by entry"
            )
        return index
    if TRACING.get() is None and np.abs(index).max(initial=0) < _EXACT_IN_FLOAT32:
        return Expr(_core.array(np.ascontiguousarray(index, np.float32)), {})
    return as_expr("index", index)


def _items(key: Any, x: Expr) -> list[Any]:
    """Return what stands between brackets as a list of Python's integers, slices and None, arrays and expressions."""
    items = [_item(item) for item in (key if isinstance(key, tuple) else (key,))]
    _check_masks(items, x)
    items = [part for item in items for part in _places(item)]
    ellipses = [k for k, item in enumerate(items) if item is Ellipsis]
    if len(ellipses) > 1:
        raise IndexError("an index can only have a single ellipsis ('...')")
    for k in ellipses:
        used = sum(item is not None for item in items) - 1
        items[k : k + 1] = [slice(None)] * (x.ndim - used)
    return items


def _is_mask(item: Any) -> bool:
    return isinstance(item, np.ndarray) and item.dtype == bool


def _check_masks(items: list[Any], x: Expr) -> None:
    """Raise IndexError if a mask has another shape than the axes that it stands for."""
    used = [item.ndim if _is_mask(item) else int(item is not None and item is not Ellipsis) for item in items]
    for k, item in enumerate(items):
        if not _is_mask(item):
            continue
        axis = sum(used[:k]) if not any(one is Ellipsis for one in items[:k]) else x.ndim - sum(used[k:])
        lengths = x.shape[axis : axis + item.ndim]
        known = [(m, n) for m, n in zip(lengths, item.shape, strict=False) if isinstance(m, int)]
        if len(lengths) < item.ndim or any(m != n for m, n in known):
            raise IndexError(
                f"a mask of shape {item.shape} can't index the axes from {axis} on of an expression of shape {x.shape}"
            )


def _places(item: Any) -> tuple[Any, ...]:
    """Return a mask as the places where it is true, one array an axis."""
    return np.nonzero(item) if _is_mask(item) else (item,)


def _item(item: Any) -> Any:
    """Return one item between brackets as Python's own object of that kind, an array or an expression."""
    if item is None or item is Ellipsis or isinstance(item, Expr):
        return item
    if isinstance(item, slice):
        return _slice(item)
    array = np.asarray(item)
    if array.dtype == bool:
        if array.ndim == 0:
            raise NotImplementedError(f"indexing an expression by {item!r} is not supported: it adds an axis")
        return array
    if array.size == 0 and not isinstance(item, np.ndarray):
        return array.astype(np.intp)
    if array.dtype.kind not in "iu":
        raise IndexError(
            f"an expression can't be indexed by {item!r}: only integers, slices, None, '...', arrays of integers and "
            "of bools are"
        )
    return array if array.ndim else int(array)


def _slice(item: slice) -> slice:
    try:
        start, stop, step = (None if b is None else operator.index(b) for b in (item.start, item.stop, item.step))
    except TypeError:
        raise NotImplementedError(
            f"indexing an expression by {item!r} is not supported: bounds must be integers"
        ) from None
    if step == 0:
        raise ValueError("slice step cannot be zero")
    return slice(start, stop, step)


HOOKS["index"] = indexed
