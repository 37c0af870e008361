"""Implementations of the factorization loss ‖X − U V‖² with its gradients, X dense."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from scipy.linalg import blas

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


def factors(n: int, m: int, r: int, dtype: str) -> tuple[np.ndarray, np.ndarray]:
    """Return random U and V whose product has entries of variance one."""
    generator = np.random.default_rng(r)
    scale = r**-0.25
    return tuple((scale * generator.standard_normal(shape)).astype(dtype) for shape in ((n, r), (r, m)))


def loss(X: Any, U: Any, V: Any) -> Any:
    """As a user writes it."""
    return np.sum((X - U @ V) ** 2)


def in_tensorgrad() -> tuple[Any, Any, Any]:
    """Return tensorgrad's U, V and the loss."""
    import tensorgrad.functions as F
    from sympy import Symbol

    n, m, r = Symbol("n"), Symbol("m"), Symbol("r")
    U, V = tensorgrad.Variable("U", n, r), tensorgrad.Variable("V", r, m)
    return U, V, F.frobenius2(tensorgrad.Variable("X", n, m) - U @ V)


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

    symbols = list(mg.matrices("X U V"))
    f = loss(*symbols)
    derived = [f, f.diff(symbols[1]), f.diff(symbols[2])]
    fresh = [tuple(np.full_like(factor, np.nan) for factor in (U, V)) for _ in range(2)]
    yield ours("factorization_value_and_gradient", X, U, V, out=fresh[0])
    yield compiled(derived, symbols, X, U, V, out=(None, *fresh[1]))
    yield transformed("value_and_grad", mg.value_and_grad(loss, (1, 2)), X, U, V)
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

        def jax_loss(U, V, X):
            return ((X - U @ V) ** 2).sum()

        yield by_jax("value_and_grad", jax.value_and_grad(jax_loss, argnums=(0, 1)), U, V, X)
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
    if tensorgrad:
        U_, V_, value = in_tensorgrad()
        derivatives = value.grad(U_, {"n": "i", "r": "j"}), value.grad(V_, {"r": "k", "m": "l"})
        yield by_tensorgrad([value, *derivatives], {"n": n, "m": m, "r": r}, X=X, U=U, V=V)
