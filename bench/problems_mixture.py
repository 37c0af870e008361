"""Implementations of the log-likelihood of a mixture of Gaussians, value with gradients by all parameters."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

import matgrad as mg
from bench.peers import (
    Implementation,
    anp,
    autograd,
    by_autograd,
    by_jax,
    by_numpy,
    by_torch,
    cannot,
    compiled,
    jax,
    jnp,
    tensorgrad,
    torch,
    transformed,
)


def mixture(n: int, d: int, k: int, dtype: str) -> tuple[np.ndarray, ...]:
    """Return log-weights a, means M, factors Q of the precisions QᵀQ, and n points."""
    generator = np.random.default_rng(n)
    a, M = generator.standard_normal(k), generator.standard_normal((k, d))
    Q = np.eye(d) + 0.3 / np.sqrt(d) * generator.standard_normal((k, d, d))
    X = M[generator.integers(0, k, n)] + generator.standard_normal((n, d))
    return tuple(array.astype(dtype) for array in (a, M, Q, X))


def log_likelihood(a: Any, M: Any, Q: Any, X: Any) -> Any:
    """As a user writes it, but for a constant."""
    Z = np.einsum("kij,nkj->nki", Q, X[:, None, :] - M)
    return np.sum(mg.logsumexp(a + mg.logdet(Q) - 0.5 * np.sum(Z**2, axis=2), axis=1))


def in_row_blocks(n: int, d: int, k: int, dtype: str, rows: int) -> Callable[..., Any]:
    """Return products of blocks of rows, shared by all components; their arrays stay in the cache."""
    Z_block, C_sum, part = (np.empty(shape, dtype) for shape in ((min(rows, n), k * d), (k * d, d), (k * d, d)))

    def value_and_gradients(a, M, Q, X):
        C = Q.reshape(k * d, d)
        shifts = np.einsum("kij,kj->ki", Q, M).reshape(k * d)
        offsets = a + np.linalg.slogdet(Q)[1]
        total, counts, moments = 0.0, np.zeros(k, dtype), np.zeros(k * d, dtype)
        C_sum.fill(0)
        for start in range(0, n, rows):
            points = X[start : start + rows]
            Z = Z_block[: len(points)]
            np.dot(points, C.T, Z)
            Z -= shifts
            by_component = Z.reshape(-1, k, d)
            logits = np.einsum("nki,nki->nk", by_component, by_component)
            logits *= -0.5
            logits += offsets
            largest = logits.max(1, keepdims=True)
            logits -= largest
            np.exp(logits, logits)
            sums = logits.sum(1, keepdims=True)
            total += np.log(sums).sum() + largest.sum()
            logits /= sums
            counts += logits.sum(0)
            by_component *= logits[:, :, None]
            moments += Z.sum(0)
            np.dot(Z.T, points, part)
            np.add(C_sum, part, C_sum)
        moments = moments.reshape(k, d)
        dM = np.einsum("kij,ki->kj", Q, moments)
        dQ = counts[:, None, None] * np.linalg.inv(Q).transpose(0, 2, 1)
        dQ -= C_sum.reshape(k, d, d)
        dQ += moments[:, :, None] * M[:, None, :]
        return total, (counts, dM, dQ)

    return value_and_gradients


def component_by_component(a: np.ndarray, M: np.ndarray, Q: np.ndarray, X: np.ndarray) -> Any:
    """Return what each component adds, its differences computed twice instead of stored."""
    logits = np.empty((len(a), len(X)), X.dtype)
    for k, (mean, factor) in enumerate(zip(M, Q, strict=True)):
        Z = (X - mean).dot(factor.T)
        np.einsum("ni,ni->n", Z, Z, out=logits[k])
    logits *= -0.5
    logits += (a + np.linalg.slogdet(Q)[1])[:, None]
    largest = logits.max(0)
    logits -= largest
    np.exp(logits, logits)
    sums = logits.sum(0)
    logits /= sums
    dM, dQ = np.empty_like(M), np.empty_like(Q)
    for k, (mean, factor, shares) in enumerate(zip(M, Q, logits, strict=True)):
        E = X - mean
        second = factor.dot((E.T * shares).dot(E))
        dM[k] = factor.T.dot(factor.dot(shares.dot(E)))
        dQ[k] = shares.sum() * np.linalg.inv(factor).T - second
    return np.log(sums).sum() + largest.sum(), (logits.sum(1), dM, dQ)


def by_features(d: int) -> Callable[..., Any]:
    """Return two products of the points' squares x[i] x[j], i ≤ j, with coefficients of the components."""
    rows, columns = np.triu_indices(d)
    doubled = np.where(rows == columns, 1.0, 2.0)

    def value_and_gradients(a, M, Q, X):
        centre = X.mean(0)
        X, M = X - centre, M - centre
        squares = X[:, rows]
        squares *= X[:, columns]
        P = Q.transpose(0, 2, 1) @ Q
        PM = np.einsum("kij,kj->ki", P, M)
        logits = squares @ (P[:, rows, columns] * (-0.5 * doubled).astype(X.dtype)).T
        logits += X @ PM.T
        logits += a + np.linalg.slogdet(Q)[1] - 0.5 * np.einsum("ki,ki->k", M, PM)
        largest = logits.max(1, keepdims=True)
        logits -= largest
        np.exp(logits, logits)
        sums = logits.sum(1, keepdims=True)
        logits /= sums
        counts, first, second = logits.sum(0), logits.T @ X, np.empty_like(P)
        second[:, rows, columns] = second[:, columns, rows] = logits.T @ squares
        second -= first[:, :, None] * M[:, None, :] + M[:, :, None] * first[:, None, :]
        second += counts[:, None, None] * (M[:, :, None] * M[:, None, :])
        dM = np.einsum("kij,kj->ki", P, first - counts[:, None] * M)
        dQ = counts[:, None, None] * np.linalg.inv(Q).transpose(0, 2, 1) - Q @ second
        return np.log(sums).sum() + largest.sum(), (counts, dM, dQ)

    return value_and_gradients


def value_and_gradients(n: int, d: int, k: int, dtype: str = "float64") -> Iterator[Implementation]:
    """Σₙ log Σₖ exp(aₖ + log|det Qₖ| − ½‖Qₖ(xₙ − μₖ)‖²) with its gradients by a, the means and Q."""
    values = mixture(n, d, k, dtype)
    expands = "expands the squares: loses digits where means are far apart"

    symbols = [mg.vector("a"), mg.matrix("M"), mg.tensor("Q", 3), mg.matrix("X")]
    f = log_likelihood(*symbols)
    yield compiled([f, *(f.diff(symbol) for symbol in symbols[:3])], symbols, *values)
    yield transformed("value_and_grad", mg.value_and_grad(log_likelihood, (0, 1, 2)), *values)
    for rows in (128, 512, 2048, n):
        if rows <= n:
            yield by_numpy(f"blocks of {rows} rows", in_row_blocks(n, d, k, dtype, rows), *values)
    yield by_numpy("component by component", component_by_component, *values)
    yield by_numpy("squares of features", by_features(d), *values, excuse=expands)
    if jax:

        def by_jax_loss(a, M, Q, X):
            Z = jnp.einsum("kij,nkj->nki", Q, X[:, None] - M)
            return jax.nn.logsumexp(a + jnp.linalg.slogdet(Q)[1] - 0.5 * (Z**2).sum(2), axis=1).sum()

        def by_jax_products(a, M, Q, X):
            Z = X @ Q.reshape(k * d, d).T - jnp.einsum("kij,kj->ki", Q, M).reshape(-1)
            squares = (Z.reshape(-1, k, d) ** 2).sum(2)
            return jax.nn.logsumexp(a + jnp.linalg.slogdet(Q)[1] - 0.5 * squares, axis=1).sum()

        yield by_jax("value_and_grad", jax.value_and_grad(by_jax_loss, (0, 1, 2)), *values)
        yield by_jax("value_and_grad of one product", jax.value_and_grad(by_jax_products, (0, 1, 2)), *values)
    if torch:

        def by_torch_loss(a, M, Q, X):
            Z = X @ Q.reshape(k * d, d).T - torch.einsum("kij,kj->ki", Q, M).reshape(-1)
            squares = (Z.view(-1, k, d) ** 2).sum(2)
            return torch.logsumexp(a + torch.linalg.slogdet(Q)[1] - 0.5 * squares, 1).sum()

        differentiated = torch.func.grad_and_value(by_torch_loss, (0, 1, 2))
        yield by_torch("func.grad_and_value of one product", lambda *values: differentiated(*values)[::-1], *values)
    if autograd:

        def by_autograd_loss(parameters, X):
            a, M, Q = parameters
            Z = anp.reshape(anp.dot(X, anp.reshape(Q, (k * d, d)).T), (-1, k, d)) - anp.einsum("kij,kj->ki", Q, M)
            logits = a + anp.linalg.slogdet(Q)[1] - 0.5 * anp.sum(Z**2, axis=2)
            largest = anp.max(logits, axis=1, keepdims=True)
            return anp.sum(anp.log(anp.sum(anp.exp(logits - largest), axis=1)) + largest[:, 0])

        both = autograd.value_and_grad(by_autograd_loss)
        yield by_autograd("value_and_grad of one product", lambda a, M, Q, X: both((a, M, Q), X), *values)
    if tensorgrad:
        yield cannot("tensorgrad", "its determinant takes no stack of matrices")
