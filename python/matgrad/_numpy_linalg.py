"""NumPy's linear algebra of expressions: inverses, determinants, decompositions and what is made of them."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from functools import reduce
from typing import Any, NamedTuple

import numpy as np

from . import _core
from ._expr import Expr, as_expr, contract, elementwise
from ._numpy_axes import broadcast_to, swapaxes
from ._numpy_joining import stack
from ._numpy_products import diagonal, outer, tensordot, trace, vecdot
from ._numpy_protocol import FUNCTIONS, UFUNCS
from ._numpy_reductions import max, min, norm, normalized_axes, sum
from ._numpy_selection import tril, triu

# --- Results of several parts, as NumPy names them ---


class SlogdetResult(NamedTuple):
    """What `numpy.linalg.slogdet` returns."""

    sign: Expr
    logabsdet: Expr


class EighResult(NamedTuple):
    """What `numpy.linalg.eigh` returns."""

    eigenvalues: Expr
    eigenvectors: Expr


class SVDResult(NamedTuple):
    """What `numpy.linalg.svd` returns."""

    U: Expr
    S: Expr
    Vh: Expr


class QRResult(NamedTuple):
    """What `numpy.linalg.qr` returns."""

    Q: Expr
    R: Expr


def of_matrices(name: str, x: Expr, cutoff: float = 0) -> Expr:
    """Apply a function of the matrices along the last two axes."""
    return Expr(_core.linalg(name, x._node, cutoff), x._symbols)


def _matrix_transpose(x: Expr) -> Expr:
    return FUNCTIONS["matrix_transpose"](x)  # type: ignore[no-any-return]


# --- Systems of equations and determinants ---


def inv(a: Any) -> Expr:
    return of_matrices("inv", as_expr("inv", a))


def det(a: Any) -> Expr:
    return of_matrices("det", as_expr("det", a))


def slogdet(a: Any) -> SlogdetResult:
    x = as_expr("slogdet", a)
    return SlogdetResult(of_matrices("signdet", x), of_matrices("logabsdet", x))


def solve(a: Any, b: Any) -> Expr:
    return inv(a) @ as_expr("solve", b)


def tensorinv(a: Any, ind: int = 2) -> Expr:
    x = as_expr("tensorinv", a)
    if ind <= 0:
        raise ValueError(f"tensorinv: ind is {ind} but must be positive")
    shape = x.shape
    square = x.reshape(_product(shape[:ind]), _product(shape[ind:]))
    return inv(square).reshape(shape[ind:] + shape[:ind])


def tensorsolve(a: Any, b: Any, axes: Sequence[int] | None = None) -> Expr:
    x, y = as_expr("tensorsolve", a), as_expr("tensorsolve", b)
    if axes is not None:
        last = normalized_axes("tensorsolve", x, axes)
        x = FUNCTIONS["transpose"](x, [k for k in range(x.ndim) if k not in last] + [k % x.ndim for k in axes])
    shape = x.shape[y.ndim :]
    n = _product(shape)
    return solve(x.reshape(-1, n), y.reshape(-1)).reshape(shape)


def _product(lengths: Sequence[Any]) -> Any:
    return reduce(operator.mul, lengths, 1)


def matrix_power(a: Any, n: int) -> Expr:
    exponent = operator.index(n)
    x = as_expr("matrix_power", a)
    if exponent < 0:
        x, exponent = inv(x), -exponent
    if exponent == 0:
        identity = Expr(_core.delta(x._node.shape[-1]), x._symbols)
        return broadcast_to(identity, x._lengths)
    return reduce(operator.matmul, [x] * exponent)


def multi_dot(arrays: Sequence[Any]) -> Expr:
    if len(arrays) < 2:
        raise ValueError(f"multi_dot: has {len(arrays)} operands but must have at least 2")
    return reduce(operator.matmul, [as_expr("multi_dot", a) for a in arrays])


def cross(a: Any, b: Any, axisa: int = -1, axisb: int = -1, axisc: int = -1, axis: int | None = None) -> Expr:
    if axis is not None:
        axisa = axisb = axisc = axis
    x, y = (FUNCTIONS["moveaxis"](as_expr("cross", v), k, -1) for v, k in ((a, axisa), (b, axisb)))
    if x.shape[-1] != 3 or y.shape[-1] != 3:
        raise ValueError(f"cross: the vectors have lengths {x.shape[-1]} and {y.shape[-1]} but must have length 3")
    ahead, behind = (1, 2, 0), (2, 0, 1)
    parts = [x[..., i] * y[..., j] - x[..., j] * y[..., i] for i, j in zip(ahead, behind, strict=True)]
    return stack(parts, axisc)


# --- Decompositions ---


def _of_triangle(function: str, a: Any, UPLO: str) -> Expr:
    """Return the symmetric matrices with that triangle, which is all that NumPy reads."""
    if UPLO not in ("L", "U", "l", "u"):
        raise ValueError(f"{function}: UPLO is {UPLO!r} but must be 'L' or 'U'")
    x = as_expr(function, a)
    if x._node.is_symmetric:
        return x
    lengths = x._node.shape[-2:]
    if len(lengths) < 2 or (lengths[0] != lengths[1] and all(isinstance(n, int) for n in lengths)):
        raise ValueError(f"{function}: the operand has shape {x._lengths} but must be square")
    beside = tril(x, -1) if UPLO in "Ll" else triu(x, 1)
    n, entries = x.ndim, diagonal(x, 0, -2, -1)
    identity = Expr(_core.delta(x._node.shape[-1]), {})
    main = contract("diagonal", [entries, identity], [[*range(n - 1)], [n - 2, n - 1]], n)
    return beside + swapaxes(beside, -2, -1) + main


def cholesky(a: Any, /, *, upper: bool = False) -> Expr:
    factor = of_matrices("cholesky", _of_triangle("cholesky", a, "U" if upper else "L"))
    return _matrix_transpose(factor) if upper else factor


def eigh(a: Any, UPLO: str = "L") -> EighResult:
    x = _of_triangle("eigh", a, UPLO)
    return EighResult(of_matrices("eigenvalues", x), of_matrices("eigenvectors", x))


def eigvalsh(a: Any, UPLO: str = "L") -> Expr:
    return of_matrices("eigenvalues", _of_triangle("eigvalsh", a, UPLO))


def svd(a: Any, full_matrices: bool = True, compute_uv: bool = True, hermitian: bool = False) -> Any:
    x = as_expr("svd", a)
    if not compute_uv:
        return svdvals(x)
    if full_matrices and not _is_square(x):
        raise NotImplementedError(
            "numpy.linalg.svd of an expression: full_matrices=True is supported of square matrices only; "
            "pass full_matrices=False"
        )
    right = of_matrices("right_vectors", x)
    return SVDResult(of_matrices("left_vectors", x), svdvals(x), _matrix_transpose(right))


def _is_square(x: Expr) -> bool:
    """Whether it is known that matrices are square; in a trace of unknown lengths, those are asked for."""
    rows, columns = x._node.shape[-2:]
    return bool(rows == columns) or (_are_known(x.shape[-2:]) and rows == columns)


def _are_known(lengths: Sequence[Any]) -> bool:
    return all(isinstance(length, int) for length in lengths)


def _known_lengths(function: str, x: Expr) -> tuple[int, int]:
    rows, columns = x.shape[-2:]
    if not _are_known((rows, columns)):
        raise NotImplementedError(
            f"numpy.linalg.{function} of an expression whose lengths aren't known is not supported"
        )
    return rows, columns


def svdvals(x: Any, /) -> Expr:
    return of_matrices("singular_values", as_expr("svdvals", x))


def qr(a: Any, mode: str = "reduced") -> Any:
    x = as_expr("qr", a)
    rows, columns = x._node.shape[-2:]
    is_wide = isinstance(rows, int) and isinstance(columns, int) and rows < columns
    if mode not in ("reduced", "r", "complete"):
        raise NotImplementedError(f"numpy.linalg.qr of an expression: mode={mode!r} is not supported")
    if mode == "complete" and not is_wide and not _is_square(x):
        raise NotImplementedError(
            "numpy.linalg.qr of an expression: mode='complete' is supported of matrices that have no more rows than "
            "columns only"
        )
    if is_wide:  # the first columns determine Q
        Q = of_matrices("orthogonal_factor", x[..., :rows])
        R = _matrix_transpose(Q) @ x
    else:
        Q, R = of_matrices("orthogonal_factor", x), of_matrices("triangular_factor", x)
    return R if mode == "r" else QRResult(Q, R)


# --- What is made of singular values ---

_DEFAULT_CUTOFF = 1e-15


def _larger_length(x: Expr) -> Any:
    return elementwise("maximum", *x._lengths[-2:])


def pinv(a: Any, rcond: Any = None, hermitian: bool = False, *, rtol: Any = np._NoValue) -> Expr:
    x = as_expr("pinv", a)
    if rtol is None:
        cutoff = np.max(_known_lengths("pinv", x)) * np.finfo(x.dtype).eps
    else:
        given = [value for value in (rcond, rtol) if value is not None and value is not np._NoValue]
        cutoff = given[0] if given else _DEFAULT_CUTOFF
    return of_matrices("pinv", x, float(cutoff))


def matrix_rank(A: Any, tol: Any = None, hermitian: bool = False, *, rtol: Any = None) -> Expr:
    x = as_expr("matrix_rank", A)
    if x.ndim < 2:
        return 1 - FUNCTIONS["all"](x == 0)  # type: ignore[no-any-return]
    s = svdvals(x)
    if tol is None:
        relative = _larger_length(x) * np.finfo(x.dtype).eps if rtol is None else as_expr("matrix_rank", rtol)
        tol = max(s, -1, keepdims=True) * (relative if relative.ndim == 0 else relative[..., None])
    else:
        tol = as_expr("matrix_rank", tol)[..., None]
    return sum(elementwise("greater", s, tol), -1)


def cond(x: Any, p: Any = None) -> Expr:
    A = as_expr("cond", x)
    if p in (None, 2, -2):
        s = svdvals(A)
        largest, smallest = max(s, -1), min(s, -1)
        return smallest / largest if p == -2 else largest / smallest
    return norm(A, p, (-2, -1)) * norm(inv(A), p, (-2, -1))


class LstsqResult(NamedTuple):
    """What `numpy.linalg.lstsq` returns."""

    x: Expr
    residuals: Expr
    rank: Expr
    s: Expr


def lstsq(a: Any, b: Any, rcond: Any = None) -> LstsqResult:
    A, y = as_expr("lstsq", a), as_expr("lstsq", b)
    rows, columns = _known_lengths("lstsq", A)
    epsilon = np.finfo(A.dtype).eps
    cutoff = np.max((rows, columns)) * epsilon if rcond is None else epsilon if rcond < 0 else rcond
    solution = pinv(A, cutoff) @ y
    squares = sum((y - A @ solution) ** 2, 0)
    residuals = squares if squares.ndim else squares.reshape(1)
    return LstsqResult(
        solution, residuals if rows > columns else residuals[:0], matrix_rank(A, rtol=cutoff), svdvals(A)
    )


FUNCTIONS |= {"cross": cross} | {
    f"linalg.{f.__name__}": f
    for f in (
        inv, det, slogdet, solve, tensorinv, tensorsolve, matrix_power, multi_dot, cross, cholesky, eigh, eigvalsh, svd,
        svdvals, qr, pinv, matrix_rank, cond, lstsq, outer, tensordot, vecdot,
    )
} | {
    "linalg.matmul": UFUNCS["matmul"],
    "linalg.trace": lambda x, *, offset=0: trace(x, offset, -2, -1),
    "linalg.diagonal": lambda x, *, offset=0: diagonal(x, offset, -2, -1),
}  # fmt: skip
