"""Implementations of the quadratic form xᵀA x, its gradient (A + Aᵀ) x and its Hessian A + Aᵀ, alone and in stacks."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from scipy.linalg import blas

from bench.peers import (
    Implementation,
    anp,
    autograd,
    by_autograd,
    by_jax,
    by_numpy,
    by_torch,
    jax,
    jnp,
    ours,
    torch,
)


def matrix_and_vector(*shape: int) -> tuple[np.ndarray, np.ndarray]:
    """Return A and x of a problem, or of a stack of them if the shape has leading axes."""
    generator = np.random.default_rng(shape[-1])
    return generator.standard_normal((*shape, shape[-1])), generator.standard_normal(shape)


def unwritten(*shape: int) -> np.ndarray:
    """Return an array to be written, its pages in memory; what isn't written is NaN."""
    return np.full(shape, np.nan)


def value(n: int) -> Iterator[Implementation]:
    """xᵀA x."""
    A, x = matrix_and_vector(n)

    def gemv_and_dot(A, x):
        return blas.ddot(x, blas.dgemv(1.0, A.T, x, trans=1))

    yield ours("quadratic_form", A, x)
    yield by_numpy("x @ A @ x", lambda A, x: x @ A @ x, A, x)
    yield by_numpy("A.dot(x).dot(x)", lambda A, x: A.dot(x).dot(x), A, x)
    yield by_numpy("dgemv, ddot", gemv_and_dot, A, x)
    if jax:
        yield by_jax("x @ A @ x", lambda A, x: x @ A @ x, A, x)
    if torch:
        yield by_torch("x @ A @ x", lambda A, x: x @ A @ x, A, x)
        yield by_torch("mv, dot", lambda A, x: x.dot(A.mv(x)), A, x)


def gradient_in_row_blocks(rows: int) -> Callable[..., np.ndarray]:
    """Return (A + Aᵀ) x that reads A once: both products of a block of rows while it is in the cache."""

    def gradient(A: np.ndarray, x: np.ndarray) -> np.ndarray:
        At, g = A.T, np.zeros(len(x))
        for start in range(0, len(x), rows):
            block = At[:, start : start + rows]
            g = blas.dgemv(1.0, block, x[start : start + rows], beta=1.0, y=g, overwrite_y=1)
            g = blas.dgemv(1.0, block, x, beta=1.0, y=g, offy=start, trans=1, overwrite_y=1)
        return g

    return gradient


def gradient(n: int) -> Iterator[Implementation]:
    """(A + Aᵀ) x."""
    A, x = matrix_and_vector(n)

    def two_products(A, x):
        g = A.dot(x)
        g += x.dot(A)
        return g

    def matmul_products(A, x):
        return A @ x + x @ A

    def symmetrised(A, x):
        return (A + A.T).dot(x)

    def two_gemv(A, x):
        return blas.dgemv(1.0, A.T, x, beta=1.0, y=blas.dgemv(1.0, A.T, x, trans=1), overwrite_y=1)

    yield ours("quadratic_form_gradient", A, x)
    yield by_numpy("A @ x + x @ A", matmul_products, A, x)
    yield by_numpy("two products, sum in place", two_products, A, x)
    yield by_numpy("(A + A.T).dot(x)", symmetrised, A, x)
    yield by_numpy("dgemv twice", two_gemv, A, x)
    if n > 64:
        for rows in (32, 128, 512):
            yield by_numpy(f"dgemv twice on blocks of {rows} rows", gradient_in_row_blocks(rows), A, x)
    if jax:
        yield by_jax("grad", jax.grad(lambda x, A: x @ A @ x), x, A)
        yield by_jax("by hand", matmul_products, A, x)
    if torch:
        yield by_torch("func.grad", torch.func.grad(lambda x, A: x @ A @ x), x, A)
        yield by_torch("mv, addmv", lambda A, x: torch.addmv(A.mv(x), A.T, x), A, x)
    if autograd:
        yield by_autograd("grad", autograd.grad(lambda x, A: anp.dot(x, anp.dot(A, x))), x, A)


def gradient_of_stack(count: int, n: int) -> Iterator[Implementation]:
    """(A + Aᵀ) x for a stack of A and x."""
    A, x = matrix_and_vector(count, n)

    def matmul(A, x):
        g = np.matmul(A, x[:, :, None])[:, :, 0]
        g += np.matmul(x[:, None, :], A)[:, 0]
        return g

    def matvec(A, x):
        g = np.matvec(A, x)
        g += np.vecmat(x, A)
        return g

    def einsum(A, x):
        g = np.einsum("sij,sj->si", A, x)
        g += np.einsum("sij,si->sj", A, x)
        return g

    def symmetrised(A, x):
        return np.einsum("sij,sj->si", A + A.transpose(0, 2, 1), x)

    def in_cache_blocks(A, x, rows=128):
        g = np.empty_like(x)
        for start in range(0, len(x), rows):
            part = slice(start, start + rows)
            np.einsum("sij,sj->si", A[part], x[part], out=g[part])
            g[part] += np.einsum("sij,si->sj", A[part], x[part])
        return g

    yield ours("quadratic_form_gradient", A, x)
    yield by_numpy("matmul", matmul, A, x)
    if hasattr(np, "matvec"):
        yield by_numpy("matvec, vecmat", matvec, A, x)
    yield by_numpy("einsum twice", einsum, A, x)
    yield by_numpy("einsum twice on blocks of 128", in_cache_blocks, A, x)
    yield by_numpy("einsum of A + Aᵀ", symmetrised, A, x)
    if jax:
        yield by_jax("vmap of grad", jax.vmap(jax.grad(lambda x, A: x @ A @ x)), x, A)
        yield by_jax("vmap by hand", jax.vmap(lambda A, x: A @ x + x @ A), A, x)
        yield by_jax("einsum of A + Aᵀ", lambda A, x: jnp.einsum("sij,sj->si", A + A.swapaxes(1, 2), x), A, x)
        yield by_jax("sums", lambda A, x: (A * x[:, None]).sum(2) + (A * x[:, :, None]).sum(1), A, x)
    if torch:
        yield by_torch("vmap of func.grad", torch.vmap(torch.func.grad(lambda x, A: x @ A @ x)), x, A)
        yield by_torch("bmm", lambda A, x: (A @ x[:, :, None])[:, :, 0] + (x[:, None] @ A)[:, 0], A, x)
        yield by_torch("bmm of A + Aᵀ", lambda A, x: ((A + A.mT) @ x[:, :, None])[:, :, 0], A, x)


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


def hessian(n: int, reuse: bool) -> Iterator[Implementation]:
    """A + Aᵀ, as a new array or into the same one each time."""
    A, x = matrix_and_vector(n)
    outs = [() if not reuse else (unwritten(n, n),) for _ in range(7)]

    def in_tiles(side: int) -> Callable[..., np.ndarray]:
        tiled = hessian_in_tiles(side)
        return tiled if reuse else lambda A: tiled(A, np.empty_like(A))

    yield ours("quadratic_form_hessian", A, **({"out": outs[0][0]} if reuse else {}))
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
