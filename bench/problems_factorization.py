"""Implementations of the factorization loss ‖X − U V‖² with its gradients, X dense, and of its Hessian by V."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from scipy.linalg import blas

from bench.peers import OURS, Implementation, anp, autograd, by_autograd, by_jax, by_numpy, by_torch, jax, ours, torch
from matgrad.closed_form import factorization_hessian


def factors(n: int, m: int, r: int, dtype: str) -> tuple[np.ndarray, np.ndarray]:
    """Return random U and V whose product has entries of variance one."""
    generator = np.random.default_rng(r)
    scale = r**-0.25
    return tuple((scale * generator.standard_normal(shape)).astype(dtype) for shape in ((n, r), (r, m)))


def whole(n: int, m: int, r: int, dtype: str) -> Callable[..., Any]:
    """Return three products over the whole residual, which is computed in place."""
    E, dU, dV = (np.empty(shape, dtype) for shape in ((n, m), (n, r), (r, m)))
    flat = E.reshape(-1)

    def value_and_gradient(X, U, V):
        np.dot(U, V, E)
        np.subtract(E, X, E)
        np.dot(E, V.T, dU)
        np.dot(U.T, E, dV)
        np.multiply(dU, 2, dU)
        np.multiply(dV, 2, dV)
        return flat.dot(flat), (dU, dV)

    return value_and_gradient


def in_row_blocks(n: int, m: int, r: int, dtype: str, rows: int) -> Callable[..., Any]:
    """Return three products for each block of rows, whose residual stays in the cache."""
    E, dU, dV, part = (np.empty(shape, dtype) for shape in ((min(rows, n), m), (n, r), (r, m), (r, m)))

    def value_and_gradient(X, U, V):
        total, Vt = 0.0, V.T
        dV.fill(0)
        for start in range(0, n, rows):
            U_rows, X_rows, dU_rows = U[start : start + rows], X[start : start + rows], dU[start : start + rows]
            block = E[: len(U_rows)]
            np.dot(U_rows, V, block)
            np.subtract(block, X_rows, block)
            flat = block.reshape(-1)
            total += flat.dot(flat)
            np.dot(block, Vt, dU_rows)
            np.dot(U_rows.T, block, part)
            np.add(dV, part, dV)
        np.multiply(dU, 2, dU)
        np.multiply(dV, 2, dV)
        return total, (dU, dV)

    return value_and_gradient


def accumulating(n: int, m: int, r: int, dtype: str, rows: int) -> Callable[..., Any]:
    """Return blocks of rows where BLAS subtracts X and adds up ∂V itself; transposes are in Fortran's order."""
    prefix = {"float32": "s", "float64": "d"}[dtype]
    gemm, dot = getattr(blas, f"{prefix}gemm"), getattr(blas, f"{prefix}dot")
    E, dU, dV = (np.empty(shape, dtype) for shape in ((min(rows, n), m), (n, r), (r, m)))

    def value_and_gradient(X, U, V):
        total = 0.0
        Vt, dVt = V.T, dV.T
        for start in range(0, n, rows):
            Ut = U[start : start + rows].T
            block = E[: Ut.shape[1]]
            np.copyto(block, X[start : start + rows])
            gemm(1, Vt, Ut, beta=-1, c=block.T, overwrite_c=1)
            flat = block.reshape(-1)
            total += dot(flat, flat)
            gemm(2, Vt, block.T, beta=0, c=dU[start : start + rows].T, overwrite_c=1, trans_a=1)
            gemm(2, block.T, Ut, beta=float(start > 0), c=dVt, overwrite_c=1, trans_b=1)
        return total, (dU, dV)

    return value_and_gradient


def expanded(X: np.ndarray, U: np.ndarray, V: np.ndarray) -> Any:
    """‖X‖² − 2⟨XVᵀ, U⟩ + ⟨UᵀU, VVᵀ⟩: two products instead of three."""
    XVt, UtX, UtU, VVt = X @ V.T, U.T @ X, U.T @ U, V @ V.T
    value = np.vdot(X, X) - 2 * np.vdot(XVt, U) + np.vdot(UtU, VVt)
    return value, (2 * (U @ VVt - XVt), 2 * (UtU @ V - UtX))


def value_and_gradient(n: int, m: int, r: int, dtype: str = "float64") -> Iterator[Implementation]:
    """‖X − U V‖² and −2(X − UV)Vᵀ, −2Uᵀ(X − UV)."""
    U, V = factors(n, m, r, dtype)
    X = np.random.default_rng(n).standard_normal((n, m)).astype(dtype)
    shape = (n, m, r, dtype)
    two_products = "expands the residual: loses the digits of ‖X‖²/‖X − UV‖²"

    yield ours("factorization_value_and_gradient", X, U, V, out=(np.full_like(U, np.nan), np.full_like(V, np.nan)))
    yield by_numpy("residual in place", whole(*shape), X, U, V)
    yield by_numpy("accumulating gemm", accumulating(*shape, rows=n), X, U, V)
    for rows in (64, 128, 256, 512):
        if rows < n:
            yield by_numpy(f"blocks of {rows} rows", in_row_blocks(*shape, rows), X, U, V)
            yield by_numpy(f"accumulating gemm, blocks of {rows} rows", accumulating(*shape, rows), X, U, V)
    yield by_numpy("expanded", expanded, X, U, V, excuse=two_products)
    if jax:

        def by_hand(X, U, V):
            E = U @ V - X
            return (E * E).sum(), (2 * (E @ V.T), 2 * (U.T @ E))

        def loss(U, V, X):
            return ((X - U @ V) ** 2).sum()

        yield by_jax("value_and_grad", jax.value_and_grad(loss, argnums=(0, 1)), U, V, X)
        yield by_jax("by hand", by_hand, X, U, V)
    if torch:

        def autograd_backward(X, U, V):
            U, V = U.detach().requires_grad_(), V.detach().requires_grad_()
            value = (X - U @ V).square_().sum()
            return value.detach(), torch.autograd.grad(value, (U, V))

        def by_torch_hand(X, U, V, E, dU, dV):
            torch.addmm(X, U, V, beta=-1, out=E)
            flat = E.view(-1)
            torch.mm(E, V.T, out=dU).mul_(2)
            torch.mm(U.T, E, out=dV).mul_(2)
            return flat.dot(flat), (dU, dV)

        buffers = [np.empty_like(array) for array in (X, U, V)]
        yield by_torch("autograd", autograd_backward, X, U, V)
        yield by_torch("by hand out=", by_torch_hand, X, U, V, *buffers)
    if autograd:
        loss_of_both = lambda factors, X: anp.sum((X - anp.dot(*factors)) ** 2)  # noqa: E731
        derived = autograd.value_and_grad(loss_of_both)
        yield by_autograd("value_and_grad", lambda X, U, V: derived((U, V), X), X, U, V)


def hessian_product(n: int, m: int, k: int) -> Iterator[Implementation]:
    """(2UᵀU ⊗ I) v, from U on: the Hessian by V is created and multiplied by one vector."""
    U, V = factors(n, m, k, "float64")
    v = np.random.default_rng(m).standard_normal(k * m)
    X = np.random.default_rng(n).standard_normal((n, m))

    def by_dot(U, v):
        G = U.T.dot(U)
        G *= 2
        return G.dot(v.reshape(k, m)).reshape(-1)

    def scaled_last(U, v):
        H = U.T.dot(U).dot(v.reshape(k, m))
        H *= 2
        return H.reshape(-1)

    def two_thin_products(U, v):
        H = U.T.dot(U.dot(v.reshape(k, m)))
        H *= 2
        return H.reshape(-1)

    def syrk_symm(U, v):
        G = blas.dsyrk(2.0, U.T)
        return blas.dsymm(1.0, G, v.reshape(k, m).T, side=1).T.reshape(-1)

    yield Implementation(
        OURS, "closed_form.factorization_hessian @ v", lambda U, v: factorization_hessian(U, m) @ v, (U, v)
    )
    yield by_numpy("Gram matrix, product", by_dot, U, v)
    yield by_numpy("Gram matrix, product, scaled last", scaled_last, U, v)
    yield by_numpy("two thin products", two_thin_products, U, v)
    yield by_numpy("dsyrk, dsymm", syrk_symm, U, v)
    if jax:

        def loss(V, U, X):
            return ((X - U @ V) ** 2).sum()

        def forward_over_reverse(V, U, X, v):
            return jax.jvp(lambda V: jax.grad(loss)(V, U, X), (V,), (v.reshape(k, m),))[1].reshape(-1)

        def dense(V, U, X, v):
            return jax.hessian(loss)(V, U, X).reshape(k * m, k * m) @ v

        yield by_jax("product by jvp of grad", forward_over_reverse, V, U, X, v)
        yield by_jax("dense hessian", dense, V, U, X, v)
        yield by_jax("by hand", lambda U, v: (2 * (U.T @ U) @ v.reshape(k, m)).reshape(-1), U, v)
    if torch:
        yield by_torch("by hand", lambda U, v: (U.T @ U).mul_(2).mm(v.view(k, m)).view(-1), U, v)
