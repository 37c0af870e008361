"""Implementations of derivatives of many small problems at once, stacked along the first axis."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

import matgrad as mg
from bench.peers import Implementation, by_jax, by_numpy, by_torch, cannot, jax, jnp, mapped, ours, torch
from bench.problems_gaussian import negative_log_likelihood
from bench.problems_least_squares import loss as least_squares_loss
from bench.problems_quadratic import matrix_and_vector, symbolic


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

    *symbols, f = symbolic()
    yield ours("quadratic_form_gradient", A, x)
    yield mapped(f.diff(symbols[1]), symbols, A, x)
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

    symbol = mg.vector("x")
    yield ours("logsumexp_hessian", x)
    yield mapped(mg.logsumexp(symbol).diff(symbol, symbol), [symbol], x)
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


def least_squares(count: int, n: int, d: int, dtype: str = "float64") -> Iterator[Implementation]:
    """‖Xw − y‖² and 2Xᵀ(Xw − y) for a stack of X, y and w."""
    generator = np.random.default_rng(n)
    shapes = (count, n, d), (count, n), (count, d)
    values = tuple(generator.standard_normal(shape).astype(dtype) for shape in shapes)

    def matmul(X, y, w):
        e = np.matmul(X, w[:, :, None])[:, :, 0]
        e -= y
        g = np.matmul(e[:, None], X)[:, 0]
        g *= 2
        return np.einsum("si,si->s", e, e), g

    def matvec(X, y, w):
        e = np.matvec(X, w)
        e -= y
        g = np.vecmat(e, X)
        g *= 2
        return np.vecdot(e, e), g

    def einsum(X, y, w):
        e = np.einsum("sij,sj->si", X, w)
        e -= y
        g = np.einsum("sij,si->sj", X, e)
        g *= 2
        return np.einsum("si,si->s", e, e), g

    symbols = [mg.matrix("X"), mg.vector("y"), mg.vector("w")]
    f = least_squares_loss(*symbols)
    yield mapped([f, f.diff(symbols[2])], symbols, *values)
    yield by_numpy("matmul", matmul, *values)
    if hasattr(np, "matvec"):
        yield by_numpy("matvec, vecmat", matvec, *values)
    yield by_numpy("einsum", einsum, *values)
    if jax:
        one = jax.value_and_grad(lambda w, X, y: ((X @ w - y) ** 2).sum())

        def by_hand(X, y, w):
            e = (X * w[:, None]).sum(2) - y
            return (e * e).sum(1), 2 * (X * e[:, :, None]).sum(1)

        yield by_jax("vmap of value_and_grad", jax.vmap(lambda X, y, w: one(w, X, y)), *values)
        yield by_jax("sums", by_hand, *values)
    if torch:
        gradient_first = torch.func.grad_and_value(lambda w, X, y: ((X @ w - y) ** 2).sum())

        def by_torch_hand(X, y, w):
            e = (X @ w[:, :, None])[:, :, 0].sub_(y)
            return (e * e).sum(1), (e[:, None] @ X)[:, 0].mul_(2)

        yield by_torch("vmap of func.grad", torch.vmap(lambda X, y, w: gradient_first(w, X, y)[::-1]), *values)
        yield by_torch("bmm", by_torch_hand, *values)


def gaussians(count: int, d: int, dtype: str = "float64") -> Iterator[Implementation]:
    """Compute log det Σ + tr(Σ⁻¹Y) and Σ⁻¹ − Σ⁻¹YΣ⁻¹ for a stack of Σ and Y."""
    factors = np.random.default_rng(d).standard_normal((2, count, d, 2 * d)) / np.sqrt(2 * d)
    S, Y = ((factor @ factor.swapaxes(1, 2)).astype(dtype) for factor in factors)

    def inverse(S, Y):
        inverses = np.linalg.inv(S)
        Z = inverses @ Y
        value = np.linalg.slogdet(S)[1]
        value += np.einsum("sii->s", Z)
        inverses -= Z @ inverses
        return value, inverses

    def cholesky(S, Y):
        L = np.linalg.inv(np.linalg.cholesky(S))
        inverses = np.matmul(L.swapaxes(1, 2), L)
        value = -2 * np.log(np.einsum("sii->si", L)).sum(1)
        value += np.einsum("sij,sij->s", inverses, Y)
        inverses -= inverses @ Y @ inverses
        return value, inverses

    symbols = [mg.matrix(name, symmetric=True) for name in ("S", "Y")]
    f = negative_log_likelihood(*symbols)
    yield mapped([f, f.diff(symbols[0])], symbols, S, Y)
    yield by_numpy("inverse", inverse, S, Y)
    yield by_numpy("inverse of Cholesky's factor", cholesky, S, Y)
    if jax and count > 1000:
        yield cannot("jax", "its threads may wait for each other for good")
    elif jax:
        one = jax.value_and_grad(lambda S, Y: jnp.linalg.slogdet(S)[1] + jnp.trace(jnp.linalg.solve(S, Y)))

        def by_hand(S, Y):
            L = jnp.linalg.cholesky(S)
            inverse = jax.scipy.linalg.cho_solve((L, True), jnp.eye(d, dtype=S.dtype))
            Z = inverse @ Y
            return 2 * jnp.log(jnp.diag(L)).sum() + jnp.trace(Z), inverse - Z @ inverse

        yield by_jax("vmap of value_and_grad", jax.vmap(one), S, Y)
        yield by_jax("vmap by hand, Cholesky", jax.vmap(by_hand), S, Y)
    if torch:
        gradient_first = torch.func.grad_and_value(lambda S, Y: torch.logdet(S) + torch.linalg.solve(S, Y).trace())

        def by_torch_hand(S, Y):
            L = torch.linalg.cholesky(S)
            inverse = torch.cholesky_inverse(L)
            Z = inverse @ Y
            value = 2 * L.diagonal(0, 1, 2).log().sum(1) + Z.diagonal(0, 1, 2).sum(1)
            return value, torch.baddbmm(inverse, Z, inverse, alpha=-1)

        yield by_torch("vmap of func.grad", torch.vmap(lambda S, Y: gradient_first(S, Y)[::-1]), S, Y)
        yield by_torch("by hand, Cholesky", by_torch_hand, S, Y)
