"""Implementations of derivatives of many small problems at once, stacked along the first axis."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from bench.peers import Implementation, by_jax, by_numpy, by_torch, jax, jnp, ours, torch
from bench.problems_quadratic import matrix_and_vector


def quadratic_gradients(count: int, n: int, dtype: str = "float64") -> Iterator[Implementation]:
    """(A + Aᵀ) x for a stack of A and x."""
    A, x = matrix_and_vector(count, n, dtype=dtype)

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


def logsumexp_hessians(count: int, n: int, dtype: str = "float64") -> Iterator[Implementation]:
    """diag(s) − ssᵀ for a stack of x, s the softmax of x."""
    x = np.random.default_rng(n).standard_normal((count, n)).astype(dtype)

    def softmax(x):
        s = x - x.max(1, keepdims=True)
        np.exp(s, s)
        s /= s.sum(1, keepdims=True)
        return s

    def broadcast(x):
        s = softmax(x)
        H = s[:, :, None] * -s[:, None]
        np.einsum("sii->si", H)[...] += s
        return H

    def einsum(x):
        s = softmax(x)
        H = np.einsum("si,sj->sij", s, -s)
        np.einsum("sii->si", H)[...] += s
        return H

    def in_cache_blocks(x, rows=256):
        H = np.empty((count, n, n), dtype)
        for start in range(0, count, rows):
            s, block = softmax(x[start : start + rows]), H[start : start + rows]
            np.multiply(s[:, :, None], -s[:, None], block)
            np.einsum("sii->si", block)[...] += s
        return H

    yield ours("logsumexp_hessian", x)
    yield by_numpy("broadcast, strided diagonal", broadcast, x)
    yield by_numpy("broadcast, strided diagonal, blocks of 256", in_cache_blocks, x)
    yield by_numpy("einsum, strided diagonal", einsum, x)
    if jax:

        def by_hand(x):
            s = jax.nn.softmax(x, axis=1)
            return jnp.eye(n, dtype=x.dtype) * s[:, None] - s[:, :, None] * s[:, None]

        yield by_jax("vmap of hessian", jax.vmap(jax.hessian(jax.nn.logsumexp)), x)
        yield by_jax("by hand", by_hand, x)
    if torch:

        def by_torch_hand(x):
            s = torch.softmax(x, 1)
            H = s[:, :, None] * -s[:, None]
            H.diagonal(0, 1, 2).add_(s)
            return H

        yield by_torch("vmap of func.hessian", torch.vmap(torch.func.hessian(lambda x: torch.logsumexp(x, 0))), x)
        yield by_torch("by hand", by_torch_hand, x)
