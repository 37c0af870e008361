"""NumPy's functions that join, split, repeat, pad and turn expressions."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from itertools import accumulate, pairwise
from operator import add, index, mul
from typing import Any

import numpy as np

from ._expr import Expr, as_expr
from ._numpy_axes import atleast_1d, atleast_2d, broadcast_to, embed, expand_dims, flip, ravel, swapaxes
from ._numpy_protocol import FUNCTIONS
from ._numpy_reductions import normalized_axes
from ._numpy_selection import known_length, rearranged
from ._tracing import TRACING

# --- Joining ---


def concatenate(arrays: Sequence[Any], axis: int | None = 0) -> Expr:
    operands = [as_expr("concatenate", a) for a in arrays]
    if axis is None:
        operands, axis = [ravel(x) for x in operands], 0
    if not operands or any(x.ndim != operands[0].ndim for x in operands):
        raise ValueError("concatenate: needs at least one operand, all of the same number of axes")
    (k,) = normalized_axes("concatenate", operands[0], axis)
    for x in operands[1:]:
        _check_alike(operands[0], x, k)
    bounds = [0, *accumulate(known_length("concatenate", x, k) for x in operands)]
    parts = [embed(x, k, slice(*ends), bounds[-1]) for x, ends in zip(operands, pairwise(bounds), strict=True)]
    return reduce(add, parts)


def _check_alike(first: Expr, x: Expr, but: int) -> None:
    """Raise ValueError if lengths differ along another axis than one; a length of 1 isn't broadcast."""
    for axis, (m, n) in enumerate(zip(first._node.shape, x._node.shape, strict=True)):
        if axis == but or m == n or not (isinstance(m, int) or isinstance(n, int)):
            continue
        if TRACING.get() is not None:
            m, n = first.shape[axis], x.shape[axis]  # asks for the lengths
        if m != n and ((isinstance(m, int) and isinstance(n, int)) or 1 in (m, n)):
            raise ValueError(
                f"concatenate: operands have lengths {m} and {n} along axis {axis}, but may differ along {but} only"
            )


def stack(arrays: Sequence[Any], axis: int = 0) -> Expr:
    operands = [as_expr("stack", a) for a in arrays]
    if not operands or any(x.ndim != operands[0].ndim for x in operands):
        raise ValueError("stack: needs at least one operand, all of the same number of axes")
    return concatenate([expand_dims(x, axis) for x in operands], axis)


def vstack(tup: Sequence[Any]) -> Expr:
    return concatenate([atleast_2d(a) for a in tup], 0)


def hstack(tup: Sequence[Any]) -> Expr:
    operands = [atleast_1d(a) for a in tup]
    return concatenate(operands, 0 if operands[0].ndim == 1 else 1)


def dstack(tup: Sequence[Any]) -> Expr:
    return concatenate([atleast_3d(a) for a in tup], 2)


def column_stack(tup: Sequence[Any]) -> Expr:
    operands = [as_expr("column_stack", a) for a in tup]
    return concatenate([x if x.ndim >= 2 else x.reshape(-1, 1) for x in operands], 1)


def append(arr: Any, values: Any, axis: int | None = None) -> Expr:
    return concatenate([arr, values], axis)


def block(arrays: Any) -> Expr:
    def depth(part: Any) -> int:
        return 1 + depth(part[0]) if isinstance(part, list) else 0

    levels = depth(arrays)

    def ndim(part: Any) -> int:
        return max(map(ndim, part)) if isinstance(part, list) else as_expr("block", part).ndim

    axes = max(levels, ndim(arrays))

    def joined(part: Any, level: int) -> Expr:
        if isinstance(part, list):
            return concatenate([joined(item, level - 1) for item in part], -level)
        x = as_expr("block", part)
        return x[(None,) * (axes - x.ndim)]

    return joined(arrays, levels)


def insert(arr: Any, obj: Any, values: Any, axis: int | None = None) -> Expr:
    x = as_expr("insert", arr)
    x, axis = (ravel(x), 0) if axis is None else (x, normalized_axes("insert", x, axis)[0])
    n = known_length("insert", x, axis)
    if np.ndim(obj) > 0:
        raise NotImplementedError("insert at several places of an expression is not supported")
    place = index(obj)
    if not -n <= place <= n:
        raise IndexError(f"insert: index {place} is out of bounds for axis {axis} with size {n}")
    place += n if place < 0 else 0
    value = as_expr("insert", values)
    if value.ndim == x.ndim - 1:
        value = expand_dims(value, axis)
    if value.ndim == 0:
        value = broadcast_to(value, [1 if k == axis else length for k, length in enumerate(x._lengths)])
    ends = ((*(slice(None),) * axis, part) for part in (slice(None, place), slice(place, None)))
    before, after = (x[end] for end in ends)
    return concatenate([before, value, after], axis)


def atleast_3d(a: Any) -> Expr:
    x = as_expr("atleast_3d", a)
    if x.ndim >= 3:
        return x
    return x[:, :, None] if x.ndim == 2 else atleast_1d(x)[None, :, None]


# --- Splitting ---


def array_split(ary: Any, indices_or_sections: Any, axis: int = 0) -> list[Expr]:
    x = as_expr("array_split", ary)
    (k,) = normalized_axes("array_split", x, axis)
    if np.ndim(indices_or_sections) > 0:
        places = [index(place) for place in indices_or_sections]
    else:
        sections = index(indices_or_sections)
        if sections < 1:
            raise ValueError(f"array_split: the number of sections is {sections} but must be at least 1")
        sizes = [len(part) for part in np.array_split(np.empty(known_length("array_split", x, k), bool), sections)]
        places = [*accumulate(sizes[:-1])]
    bounds = [slice(*ends) for ends in pairwise([0, *places, None])]
    return [x[(*(slice(None),) * k, part)] for part in bounds]


def split(ary: Any, indices_or_sections: Any, axis: int = 0) -> list[Expr]:
    x = as_expr("split", ary)
    if np.ndim(indices_or_sections) == 0 and known_length("split", x, axis) % index(indices_or_sections):
        raise ValueError(
            f"split: {indices_or_sections} sections of an axis of length {x._node.shape[axis]} aren't equal"
        )
    return array_split(x, indices_or_sections, axis)


def vsplit(ary: Any, indices_or_sections: Any) -> list[Expr]:
    return split(ary, indices_or_sections, 0)


def hsplit(ary: Any, indices_or_sections: Any) -> list[Expr]:
    return split(ary, indices_or_sections, 0 if as_expr("hsplit", ary).ndim == 1 else 1)


def dsplit(ary: Any, indices_or_sections: Any) -> list[Expr]:
    return split(ary, indices_or_sections, 2)


def unstack(x: Any, /, *, axis: int = 0) -> tuple[Expr, ...]:
    e = as_expr("unstack", x)
    (k,) = normalized_axes("unstack", e, axis)
    return tuple(e[(*(slice(None),) * k, place)] for place in range(known_length("unstack", e, k)))


# --- Repeating, padding, turning ---


def repeat(a: Any, repeats: Any, axis: int | None = None) -> Expr:
    x = as_expr("repeat", a)
    x, k = (ravel(x), 0) if axis is None else (x, normalized_axes("repeat", x, axis)[0])
    if np.ndim(repeats) > 0:
        return rearranged("repeat", x, k, lambda places: np.repeat(places, repeats))
    count, lengths = index(repeats), x._lengths
    if count < 1:
        return rearranged("repeat", x, k, lambda places: np.repeat(places, count))
    wide = broadcast_to(expand_dims(x, k + 1), (*lengths[: k + 1], count, *lengths[k + 1 :]))
    return wide.reshape(*lengths[:k], lengths[k] * count, *lengths[k + 1 :])


def tile(A: Any, reps: Any) -> Expr:
    x = as_expr("tile", A)
    counts = [index(n) for n in (reps if isinstance(reps, (tuple, list, np.ndarray)) else [reps])]
    counts = [1] * (x.ndim - len(counts)) + counts
    x = x[(None,) * (len(counts) - x.ndim)]
    lengths = x._lengths
    wide = x[tuple(part for _ in lengths for part in (None, slice(None)))]
    wide = broadcast_to(wide, [part for pair in zip(counts, lengths, strict=True) for part in pair])
    return wide.reshape(*(n * length for n, length in zip(counts, lengths, strict=True)))


def roll(a: Any, shift: Any, axis: Any = None) -> Expr:
    x = as_expr("roll", a)
    if axis is None:
        return roll(ravel(x), shift, 0).reshape(*x._lengths)
    axes, shifts = np.broadcast_arrays(axis, shift)
    for k, n in zip(axes.ravel().tolist(), shifts.ravel().tolist(), strict=True):
        (own,) = normalized_axes("roll", x, k)
        n %= max(1, known_length("roll", x, own))
        if n:
            ends = ((*(slice(None),) * own, part) for part in (slice(-n, None), slice(None, -n)))
            x = concatenate([x[end] for end in ends], own)
    return x


def pad(array: Any, pad_width: Any, mode: str = "constant", *, constant_values: Any = 0) -> Expr:
    x = as_expr("pad", array)
    widths = np.broadcast_to(np.asarray(pad_width, np.intp), (x.ndim, 2)).tolist()
    if mode == "constant":
        return _padded(x, widths, constant_values)
    if mode not in ("edge", "reflect", "symmetric", "wrap"):
        raise NotImplementedError(f"pad of an expression: mode={mode!r} is not supported")
    for k, width in enumerate(widths):
        if any(width):
            x = rearranged("pad", x, k, lambda places, width=width: np.pad(places, width, mode))  # type: ignore[misc,call-overload]
    return x


def _padded(x: Expr, widths: list[list[int]], values: Any) -> Expr:
    fills = np.broadcast_to(np.asarray(values, object), (x.ndim, 2)).tolist()
    for k, (width, fill) in enumerate(zip(widths, fills, strict=True)):
        if not any(width):
            continue
        lengths = list(x._lengths)
        ends = [
            broadcast_to(as_expr("pad", v), [*lengths[:k], n, *lengths[k + 1 :]])
            for n, v in zip(width, fill, strict=True)
        ]
        x = concatenate([ends[0], x, ends[1]], k)
    return x


def flipud(m: Any) -> Expr:
    return flip(m, 0)


def fliplr(m: Any) -> Expr:
    return flip(m, 1)


def rot90(m: Any, k: int = 1, axes: tuple[int, int] = (0, 1)) -> Expr:
    x = as_expr("rot90", m)
    turns = k % 4
    if turns == 0:
        return x
    if turns == 2:
        return flip(flip(x, axes[0]), axes[1])
    return swapaxes(flip(x, axes[1]), *axes) if turns == 1 else flip(swapaxes(x, *axes), axes[1])


def rollaxis(a: Any, axis: int, start: int = 0) -> Expr:
    x = as_expr("rollaxis", a)
    (axis,) = normalized_axes("rollaxis", x, axis)
    start += x.ndim if start < 0 else 0
    moved: Expr = FUNCTIONS["moveaxis"](x, axis, start - (axis < start))
    return moved


def resize(a: Any, new_shape: Any) -> Expr:
    shape = tuple(new_shape) if isinstance(new_shape, (tuple, list)) else (new_shape,)
    x = ravel(as_expr("resize", a))
    return rearranged("resize", x, 0, lambda places: np.resize(places, int(np.prod(shape)))).reshape(shape)


def broadcast_arrays(*args: Any) -> tuple[Expr, ...]:
    operands = [as_expr("broadcast_arrays", a) for a in args]
    lengths = reduce(mul, [FUNCTIONS["ones_like"](x) for x in operands])._lengths
    return tuple(broadcast_to(x, lengths) for x in operands)


FUNCTIONS |= {
    function.__name__: function
    for function in (
        concatenate, stack, vstack, hstack, dstack, column_stack, append, block, insert, atleast_3d, array_split, split,
        vsplit, hsplit, dsplit, unstack, repeat, tile, roll, pad, flipud, fliplr, rot90, rollaxis, resize,
        broadcast_arrays,
    )
}  # fmt: skip
