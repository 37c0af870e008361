"""NumPy's products of expressions: dot, einsum, kron, and diagonals, traces and triangles."""

from __future__ import annotations

import operator
from itertools import chain
from string import ascii_letters
from typing import Any

from . import _core
from ._expr import Expr, as_expr, contract, union
from ._numpy_axes import embed, moveaxis
from ._numpy_protocol import FUNCTIONS, UFUNCS
from ._numpy_reductions import normalized_axes
from ._views import viewed

# --- Products ---


def dot(a: Any, b: Any) -> Expr:
    a, b = as_expr("dot", a), as_expr("dot", b)
    if a.ndim == 0 or b.ndim == 0:
        return a * b  # type: ignore[no-any-return]
    if a.ndim <= 2 and b.ndim <= 2:
        return a @ b  # type: ignore[no-any-return]
    return tensordot(a, b, ([-1], [-2 if b.ndim > 1 else -1]))


def vdot(a: Any, b: Any) -> Expr:
    a, b = as_expr("vdot", a), as_expr("vdot", b)
    if a.ndim == b.ndim <= 1:
        return dot(a, b)
    return a.reshape(-1) @ b.reshape(-1)  # type: ignore[no-any-return]


def vecdot(x1: Any, x2: Any, axis: int = -1) -> Expr:
    a, b = (moveaxis(as_expr("vecdot", x), axis, -1) for x in (x1, x2))
    ndim = max(a.ndim, b.ndim) - 1
    labels = [[*range(ndim - x.ndim + 1, ndim), ndim] for x in (a, b)]
    return contract("vecdot", [a, b], labels, ndim)


def matvec(x1: Any, x2: Any) -> Expr:
    a, x = as_expr("matvec", x1), as_expr("matvec", x2)
    if a.ndim < 2 or x.ndim < 1:
        raise ValueError(f"matvec: the operands have {a.ndim} and {x.ndim} axes but must have at least 2 and 1")
    return (a @ x[..., None])[..., 0]


def vecmat(x1: Any, x2: Any) -> Expr:
    x, a = as_expr("vecmat", x1), as_expr("vecmat", x2)
    if x.ndim < 1 or a.ndim < 2:
        raise ValueError(f"vecmat: the operands have {x.ndim} and {a.ndim} axes but must have at least 1 and 2")
    return (x[..., None, :] @ a)[..., 0, :]


def inner(a: Any, b: Any) -> Expr:
    a, b = as_expr("inner", a), as_expr("inner", b)
    return a * b if a.ndim == 0 or b.ndim == 0 else tensordot(a, b, ([-1], [-1]))


def outer(a: Any, b: Any) -> Expr:
    a, b = (x if x.ndim == 1 else x.reshape(-1) for x in (as_expr("outer", a), as_expr("outer", b)))
    return contract("outer", [a, b], [[0], [1]], 2)


def tensordot(a: Any, b: Any, axes: Any = 2) -> Expr:
    a, b = as_expr("tensordot", a), as_expr("tensordot", b)
    if isinstance(axes, int):
        left, right = list(range(a.ndim - axes, a.ndim)), list(range(axes))
    else:
        left, right = ([k] if isinstance(k, int) else list(k) for k in axes)
    left = [normalized_axes("tensordot", a, k)[0] for k in left]
    right = [normalized_axes("tensordot", b, k)[0] for k in right]
    if len(left) != len(right):
        raise ValueError("tensordot: axes must name as many axes of a as of b")
    ndim = a.ndim + b.ndim - 2 * len(left)
    a_labels, b_labels = [0] * a.ndim, [0] * b.ndim
    for k, (i, j) in enumerate(zip(left, right, strict=True)):
        a_labels[i] = b_labels[j] = ndim + k
    free = iter(range(ndim))
    for labels, used in ((a_labels, left), (b_labels, right)):
        for k in range(len(labels)):
            if k not in used:
                labels[k] = next(free)
    return contract("tensordot", [a, b], [a_labels, b_labels], ndim)


def einsum(*args: Any, optimize: Any = False) -> Expr:
    if not isinstance(args[0], str):
        args = _with_text(args)
    operands = [as_expr("einsum", x) for x in args[1:]]
    inputs, result = _subscripts(args[0].replace(" ", ""), operands)
    if len(set(result)) < len(result) or not set(result) <= set().union(*inputs):
        raise ValueError(f"einsum: the result of {args[0]!r} must name labels of the operands, each once")
    numbers = {label: k for k, label in enumerate(dict.fromkeys(chain(result, *inputs)))}
    labels = [[numbers[label] for label in part] for part in inputs]
    return contract("einsum", operands, labels, len(result), broadcast=True)


def _subscripts(text: str, operands: list[Expr]) -> tuple[list[list[str]], list[str]]:
    """Return the labels of each operand's axes and of the result's; an ellipsis' are "-1", "-2", … from the last."""
    left, arrow, right = text.partition("->")
    parts = left.split(",")
    if len(parts) != len(operands):
        raise ValueError(f"einsum: {text!r} has {len(parts)} operands but {len(operands)} were given")
    ellipses = [0]
    inputs = []
    for part, x in zip(parts, operands, strict=True):
        before, dots, after = part.partition("...")
        count = x.ndim - len(before) - len(after)
        if count < 0 or (count > 0 and not dots) or (not (before + after).isalpha() and before + after):
            raise ValueError(f"einsum: the subscripts {part!r} don't fit an operand with {x.ndim} axes")
        ellipses.append(count)
        inputs.append([*before, *_ellipsis(count), *after])
    if not arrow:
        named = left.replace(",", "").replace(".", "")
        return inputs, [*_ellipsis(max(ellipses)), *sorted(c for c in set(named) if named.count(c) == 1)]
    before, dots, after = right.partition("...")
    return inputs, [*before, *(_ellipsis(max(ellipses)) if dots else []), *after]


def _with_text(args: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return einsum's arguments in the form operand, labels, operand, labels, …, labels in that with a string."""
    operands, lists = args[: len(args) // 2 * 2 : 2], [*args[1::2], *(args[-1:] if len(args) % 2 else ())]
    try:
        parts = ["".join("..." if k is Ellipsis else ascii_letters[operator.index(k)] for k in part) for part in lists]
    except (TypeError, IndexError):
        raise ValueError(
            "einsum: the subscripts must be a string, or a list of integers below 52 for each operand"
        ) from None
    result = "->" + parts.pop() if len(args) % 2 else ""
    return (",".join(parts) + result, *operands)


def _ellipsis(count: int) -> list[str]:
    return [str(k) for k in range(-count, 0)]


def kron(a: Any, b: Any) -> Expr:
    a, b = as_expr("kron", a), as_expr("kron", b)
    return Expr(_core.kron(a._node, b._node), union([a, b]))


# --- Diagonals ---


def diagonal(a: Any, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Expr:
    x = as_expr("diagonal", a)
    if x.ndim < 2:
        raise ValueError(f"diagonal: the operand has {x.ndim} axes but must have at least 2")
    i, j = (normalized_axes("diagonal", x, k)[0] for k in (axis1, axis2))
    if i == j:
        raise ValueError("diagonal: axis1 and axis2 must differ")
    offset = operator.index(offset)
    return viewed(  # type: ignore[no-any-return]
        x,
        lambda node: _diagonal(Expr(node, x._symbols), offset, i, j)._node,
        None,
        lambda array: array.diagonal(offset, i, j),
    )


def _diagonal(x: Expr, offset: int, i: int, j: int) -> Expr:
    x = _with_diagonal(x, offset, i, j)
    labels = [0] * x.ndim
    rest = iter(range(x.ndim))
    for k in range(x.ndim):
        labels[k] = x.ndim - 2 if k in (i, j) else next(rest)
    return contract("diagonal", [x], [labels], x.ndim - 1)


def _with_diagonal(x: Expr, offset: int, i: int, j: int) -> Expr:
    """Return the square part of a matrix whose main diagonal is the one at that offset."""
    rows, columns = x._node.shape[i], x._node.shape[j]
    if not isinstance(rows, int) or not isinstance(columns, int):
        if offset != 0:
            raise NotImplementedError("a diagonal other than the main one needs an expression of known lengths")
        return x
    first_row, first_column = max(-offset, 0), max(offset, 0)
    n = max(min(rows - first_row, columns - first_column), 0)
    if (first_row, first_column, rows, columns) == (0, 0, n, n):
        return x
    key = [slice(None)] * x.ndim
    key[i], key[j] = slice(first_row, first_row + n), slice(first_column, first_column + n)
    return x[tuple(key)]


def diag(v: Any, k: int = 0) -> Expr:
    x = as_expr("diag", v)
    if x.ndim == 2:
        return +diagonal(x, k)
    if x.ndim != 1:
        raise ValueError(f"diag: the operand has {x.ndim} axes but must have 1 or 2")
    n, k = x._node.shape[0], operator.index(k)
    matrix = contract("diag", [x, Expr(_core.delta(n), {})], [[0], [0, 1]], 2)
    if k == 0:
        return matrix
    if not isinstance(n, int):
        raise NotImplementedError("diag of an expression whose length isn't known has the main diagonal only")
    row, column, size = max(-k, 0), max(k, 0), n + abs(k)
    return embed(embed(matrix, 0, slice(row, row + n), size), 1, slice(column, column + n), size)


def diagflat(v: Any, k: int = 0) -> Expr:
    return diag(as_expr("diagflat", v).reshape(-1), k)


def trace(a: Any, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Expr:
    return FUNCTIONS["sum"](diagonal(a, offset, axis1, axis2), -1)  # type: ignore[no-any-return]


FUNCTIONS |= {
    f.__name__: f for f in (dot, vdot, inner, outer, tensordot, einsum, kron, diagonal, diag, diagflat, trace)
}
UFUNCS |= {
    "vecdot": vecdot,
    "matvec": matvec,
    "vecmat": vecmat,
}
