"""Implementations of the Gaussian log-likelihood by its covariance, value with gradient."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import numpy as np
from scipy.linalg import get_blas_funcs, get_lapack_funcs

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
    jnp,
    tensorgrad,
    torch,
    transformed,
)


def covariances(d: int, dtype: str) -> tuple[np.ndarray, np.ndarray]:
    """Return a model's covariance Σ and a sample's Y, both well conditioned."""
    generator = np.random.default_rng(d)
    factors = generator.standard_normal((2, d, 2 * d)) / np.sqrt(2 * d)
    return tuple((factor @ factor.T).astype(dtype) for factor in factors)


def negative_log_likelihood(S: Any, Y: Any) -> Any:
    """As a user writes it, but for a factor and a constant."""
    return mg.logdet(S) + np.trace(np.linalg.solve(S, Y))


def value_and_gradient(d: int, dtype: str = "float64") -> Iterator[Implementation]:
    """Compute log det Σ + tr(Σ⁻¹Y) and Σ⁻¹ − Σ⁻¹YΣ⁻¹."""
    S, Y = covariances(d, dtype)
    potrf, potri, trtri = get_lapack_funcs(("potrf", "potri", "trtri"), dtype=dtype)
    potrs = get_lapack_funcs("potrs", dtype=dtype)
    gemm, symm, trmm = get_blas_funcs(("gemm", "symm", "trmm"), dtype=dtype)

    def textbook(S, Y):
        inverse = np.linalg.inv(S)
        Z = inverse @ Y
        return np.linalg.slogdet(S)[1] + np.trace(Z), inverse - Z @ inverse

    def factor_and_inverse(S):
        factor = potrf(S.T, clean=1)[0]
        value = 2 * np.log(factor.diagonal()).sum()
        inverse = potri(factor, overwrite_c=1)[0]
        inverse += np.triu(inverse, 1).T
        return value, inverse

    def inverse_by_cholesky(S, Y):
        value, inverse = factor_and_inverse(S)
        Z = gemm(1, inverse, Y.T)
        value += np.einsum("ii", Z)
        return value, gemm(-1, Z, inverse, beta=1, c=inverse)

    def products_by_dot(S, Y):
        value, inverse = factor_and_inverse(S)
        Z = np.dot(inverse.T, Y)
        value += np.einsum("ii", Z)
        return value, np.subtract(inverse.T, Z.dot(inverse.T))

    def products_by_symm(S, Y):
        value, inverse = factor_and_inverse(S)
        Z = symm(1, inverse, Y.T)
        value += np.einsum("ii", Z)
        return value, symm(-1, inverse, Z, beta=1, c=inverse, side=1)

    def cholesky_solves(S, Y):
        factor = potrf(S.T, clean=0)[0]
        Z = potrs(factor, Y.T)[0]
        value = 2 * np.log(factor.diagonal()).sum() + np.einsum("ii", Z)
        difference = Z.T
        difference *= -1
        np.einsum("ii->i", difference)[...] += 1
        return value, potrs(factor, difference, overwrite_b=1)[0]

    def triangular_products(S, Y):
        factor = potrf(S.T, lower=1, clean=1)[0]
        value = 2 * np.log(factor.diagonal()).sum()
        W = trtri(factor, lower=1, overwrite_c=1)[0]
        M = trmm(1, W, trmm(1, W, Y.T, lower=1), side=1, lower=1, trans_a=1)
        value += np.einsum("ii", M)
        M *= -1
        np.einsum("ii->i", M)[...] += 1
        return value, trmm(1, W, trmm(1, W, M, lower=1, trans_a=1), side=1, lower=1)

    for symmetric in (True, False):
        symbols = [mg.matrix(name, symmetric=symmetric) for name in ("S", "Y")]
        f = negative_log_likelihood(*symbols)
        made = compiled([f, f.diff(symbols[0])], symbols, S, Y)
        yield dataclasses.replace(made, label="compile, symmetric") if symmetric else made
    yield transformed("value_and_grad", mg.value_and_grad(negative_log_likelihood), S, Y)
    yield by_numpy("textbook", textbook, S, Y)
    yield by_numpy("potri, gemm", inverse_by_cholesky, S, Y)
    yield by_numpy("potri, dot", products_by_dot, S, Y)
    yield by_numpy("potri, symm", products_by_symm, S, Y)
    yield by_numpy("potrs twice", cholesky_solves, S, Y)
    yield by_numpy("trtri, trmm", triangular_products, S, Y)
    if jax:

        def by_jax_loss(S, Y):
            return jnp.linalg.slogdet(S)[1] + jnp.trace(jnp.linalg.solve(S, Y))

        def by_jax_cholesky(S, Y):
            L = jnp.linalg.cholesky(S)
            return 2 * jnp.log(jnp.diag(L)).sum() + jnp.trace(jax.scipy.linalg.cho_solve((L, True), Y))

        def by_jax_hand(S, Y):
            L = jnp.linalg.cholesky(S)
            inverse = jax.scipy.linalg.cho_solve((L, True), jnp.eye(d, dtype=S.dtype))
            Z = inverse @ Y
            return 2 * jnp.log(jnp.diag(L)).sum() + jnp.trace(Z), inverse - Z @ inverse

        yield by_jax("value_and_grad", jax.value_and_grad(by_jax_loss), S, Y)
        yield by_jax("value_and_grad, Cholesky", jax.value_and_grad(by_jax_cholesky), S, Y)
        yield by_jax("by hand, Cholesky", by_jax_hand, S, Y)
    if torch:

        def by_torch_loss(S, Y):
            return torch.logdet(S) + torch.linalg.solve(S, Y).trace()

        def by_torch_hand(S, Y):
            L = torch.linalg.cholesky(S)
            inverse = torch.cholesky_inverse(L)
            Z = inverse @ Y
            return 2 * L.diagonal().log().sum() + Z.trace(), torch.addmm(inverse, Z, inverse, alpha=-1)

        differentiated = torch.func.grad_and_value(by_torch_loss)
        yield by_torch("func.grad_and_value", lambda S, Y: differentiated(S, Y)[::-1], S, Y)
        yield by_torch("by hand, Cholesky", by_torch_hand, S, Y)
    if autograd:

        def by_autograd_loss(S, Y):
            return anp.linalg.slogdet(S)[1] + anp.trace(anp.linalg.solve(S, Y))

        yield by_autograd("value_and_grad", autograd.value_and_grad(by_autograd_loss), S, Y)
    if tensorgrad:
        import tensorgrad.functions as F
        from sympy import Symbol

        S_, Y_ = (tensorgrad.Variable(name, i=Symbol("d"), j=Symbol("d")) for name in "SY")
        value = F.log(F.det(S_)) + F.trace(F.inverse(S_).rename(i="j", j="k") @ Y_)
        yield by_tensorgrad([value, value.grad(S_, {"i": "p", "j": "q"})], {"d": d}, S=S, Y=Y)
