"""Implementations of the quadratic form xᵀA x, its gradient (A + Aᵀ) x and its Hessian A + Aᵀ."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from scipy.linalg import get_blas_funcs

import matgrad as mg
from bench.peers import (
    Implementation,
    anp,
    autograd,
    by_autograd,
    by_jax,
    by_numpy,
    by_tensorgrad,
    by_torch,
    compiled,
    jax,
    ours,
    tensorgrad,
    torch,
    transformed,
)


def matrix_and_vector(*shape: int, dtype: str = "float64") -> tuple[np.ndarray, np.ndarray]:
    """Return A and x of a problem, or of a stack of them if the shape has leading axes."""
    generator = np.random.default_rng(shape[-1])
    shapes = (*shape, shape[-1]), shape
    return tuple(generator.standard_normal(shape).astype(dtype) for shape in shapes)


def unwritten(*shape: int, dtype: str = "float64") -> np.ndarray:
    """Return an array to be written, its pages in memory; what isn't written is NaN."""
    return np.full(shape, np.nan, dtype)


def symbolic() -> tuple[mg.Expr, mg.Expr, mg.Expr]:
    """Return the symbols A and x, and xᵀA x."""
    A, x = mg.matrix("A"), mg.vector("x")
    return A, x, x @ A @ x


def in_tensorgrad() -> tuple[Any, Any]:
    """Return tensorgrad's x and xᵀA x."""
    from sympy import Symbol

    x, A = tensorgrad.Variable("x", Symbol("n")), tensorgrad.Variable("A", i=Symbol("n"), j=Symbol("n"))
    return x, (x.rename(n="i") @ A) @ x.rename(n="j")


def value(n: int, dtype: str = "float64") -> Iterator[Implementation]:
    """xᵀA x."""
    A, x = matrix_and_vector(n, dtype=dtype)
    dot, gemv = get_blas_funcs(("dot", "gemv"), dtype=dtype)

    def gemv_and_dot(A, x):
        return dot(x, gemv(1.0, A.T, x, trans=1))

    *symbols, f = symbolic()
    yield ours("quadratic_form", A, x)
    yield compiled(f, symbols, A, x)
    yield by_numpy("x @ A @ x", lambda A, x: x @ A @ x, A, x)
    yield by_numpy("A.dot(x).dot(x)", lambda A, x: A.dot(x).dot(x), A, x)
    yield by_numpy("gemv, dot", gemv_and_dot, A, x)
    if jax:
        yield by_jax("x @ A @ x", lambda A, x: x @ A @ x, A, x)
    if torch:
        yield by_torch("x @ A @ x", lambda A, x: x @ A @ x, A, x)
        yield by_torch("mv, dot", lambda A, x: x.dot(A.mv(x)), A, x)
    if tensorgrad:
        yield by_tensorgrad([in_tensorgrad()[1]], {"n": n}, A=A, x=x)


def gradient_in_row_blocks(rows: int, dtype: str) -> Callable[..., np.ndarray]:
    """Return (A + Aᵀ) x that reads A once: both products of a block of rows while it is in the cache."""
    gemv = get_blas_funcs("gemv", dtype=dtype)

    def gradient(A: np.ndarray, x: np.ndarray) -> np.ndarray:
        At, g = A.T, np.zeros_like(x)
        for start in range(0, len(x), rows):
            block = At[:, start : start + rows]
            g = gemv(1.0, block, x[start : start + rows], beta=1.0, y=g, overwrite_y=1)
            g = gemv(1.0, block, x, beta=1.0, y=g, offy=start, trans=1, overwrite_y=1)
        return g

    return gradient


def gradient(n: int, dtype: str = "float64") -> Iterator[Implementation]:
    """(A + Aᵀ) x."""
    A, x = matrix_and_vector(n, dtype=dtype)
    gemv = get_blas_funcs("gemv", dtype=dtype)

    def two_products(A, x):
        g = A.dot(x)
        g += x.dot(A)
        return g

    def matmul_products(A, x):
        return A @ x + x @ A

    def symmetrised(A, x):
        return (A + A.T).dot(x)

    def two_gemv(A, x):
        return gemv(1.0, A.T, x, beta=1.0, y=gemv(1.0, A.T, x, trans=1), overwrite_y=1)

    *symbols, f = symbolic()
    yield ours("quadratic_form_gradient", A, x)
    yield compiled(f.diff(symbols[1]), symbols, A, x)
    yield transformed("grad", mg.grad(lambda A, x: x @ A @ x, 1), A, x)
    yield by_numpy("A @ x + x @ A", matmul_products, A, x)
    yield by_numpy("two products, sum in place", two_products, A, x)
    yield by_numpy("(A + A.T).dot(x)", symmetrised, A, x)
    yield by_numpy("gemv twice", two_gemv, A, x)
    if n > 64:
        for rows in (32, 128, 512):
            yield by_numpy(f"gemv twice on blocks of {rows} rows", gradient_in_row_blocks(rows, dtype), A, x)
    if jax:
        yield by_jax("grad", jax.grad(lambda x, A: x @ A @ x), x, A)
        yield by_jax("by hand", matmul_products, A, x)
    if torch:
        yield by_torch("func.grad", torch.func.grad(lambda x, A: x @ A @ x), x, A)
        yield by_torch("mv, addmv", lambda A, x: torch.addmv(A.mv(x), A.T, x), A, x)
    if autograd:
        yield by_autograd("grad", autograd.grad(lambda x, A: anp.dot(x, anp.dot(A, x))), x, A)
    if tensorgrad:
        variable, form = in_tensorgrad()
        yield by_tensorgrad([form.grad(variable, {"n": "k"})], {"n": n}, A=A, x=x)


def hessian_in_tiles(side: int) -> Callable[..., np.ndarray]:
    """Return A + Aᵀ by pairs of mirrored tiles, each sum computed once and written twice."""

    def hessian(A: np.ndarray, out: np.ndarray) -> np.ndarray:
        for i in range(0, len(A), side):
            rows = slice(i, i + side)
            for j in range(0, i + side, side):
                columns = slice(j, j + side)
                tile = np.add(A[rows, columns], A[columns, rows].T, out=out[rows, columns])
                if j < i:
                    out[columns, rows] = tile.T
        return out

    return hessian


def hessian(n: int, reuse: bool = False, dtype: str = "float64") -> Iterator[Implementation]:
    """
    A + Aᵀ, as a new array or into the same one each time.

    The quadratic of Laue, Mitterreiter, Giesen, *Computing Higher Order Derivatives of Matrix and Tensor Expressions*,
    NeurIPS 2018, section 4; float32 of n = 2048 is tensorgrad's row "hessian (x^T A x)", benchmarks/hessian_step.py.
    """
    A, x = matrix_and_vector(n, dtype=dtype)
    outs = [() if not reuse else (unwritten(n, n, dtype=dtype),) for _ in range(7)]

    def in_tiles(side: int) -> Callable[..., np.ndarray]:
        tiled = hessian_in_tiles(side)
        return tiled if reuse else lambda A: tiled(A, np.empty_like(A))

    *symbols, f = symbolic()
    yield ours("quadratic_form_hessian", A, **({"out": outs[0][0]} if reuse else {}))
    yield compiled(f.diff(symbols[1], symbols[1]), symbols[:1], A, out=outs[6][0] if reuse else None)
    yield by_numpy("A + A.T", lambda A, *out: np.add(A, A.T, *out), A, *outs[1])
    if n > 64:
        for k, side in enumerate((64, 128, 256)):
            yield by_numpy(f"mirrored tiles of {side}", in_tiles(side), A, *outs[2 + k])
    if jax:
        if n <= 1024:
            yield by_jax("hessian", jax.hessian(lambda x, A: x @ A @ x), x, A)
        yield by_jax("A + A.T", lambda A: A + A.T, A)
    if torch:
        if n <= 1024:
            yield by_torch("func.hessian", torch.func.hessian(lambda x, A: x @ A @ x), x, A)
        if reuse:
            yield by_torch("add out=", lambda A, out: torch.add(A, A.T, out=out), A, *outs[5])
        else:
            yield by_torch("A + A.T", lambda A: A + A.T, A)
    if autograd and n <= 64:
        yield by_autograd("hessian", autograd.hessian(lambda x, A: anp.dot(x, anp.dot(A, x))), x, A)
    if tensorgrad:
        variable, form = in_tensorgrad()
        second = form.grad(variable, {"n": "k"}).grad(variable, {"n": "l"})
        yield by_tensorgrad([second], {"n": n}, A=A)
