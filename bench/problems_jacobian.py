"""Implementations of Jacobian tensors, which are mostly zeros."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator

import numpy as np

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
    ours,
    tensorgrad,
    torch,
)
from bench.problems_quadratic import unwritten


def fill(out: np.ndarray) -> None:
    """Set all elements to 0 as NumPy does."""
    out.fill(0.0)


def memset(out: np.ndarray) -> None:
    """Set all elements to 0 as the C library does."""
    ctypes.memset(out.ctypes.data, 0, out.nbytes)


ZERO = {"fill": fill, "memset": memset}


def matvec_jacobian(m: int, n: int, dtype: str = "float64") -> Iterator[Implementation]:
    """∂(Ax)[i]/∂A[k,l] = δ[i,k] x[l] into the same array each time."""
    generator = np.random.default_rng(m)
    A, x = (generator.standard_normal(shape).astype(dtype) for shape in ((m, n), n))

    def strided_diagonal(zero: Callable[[np.ndarray], None]) -> Callable[..., np.ndarray]:
        def jacobian(x: np.ndarray, out: np.ndarray) -> np.ndarray:
            zero(out)
            out.reshape(m * m, n)[:: m + 1] = x
            return out

        return jacobian

    def row_by_row(x, out):
        for k in range(m):
            out[k].fill(0.0)
            out[k, k] = x
        return out

    matrix, vector = mg.matrix("A"), mg.vector("x")
    out = unwritten(m, m, n, dtype=dtype)
    yield ours("matvec_jacobian", A, x, out=unwritten(m, m, n, dtype=dtype))
    yield compiled((matrix @ vector).diff(matrix), [matrix, vector], A, x, out=out)
    for name, zero in ZERO.items():
        yield by_numpy(f"{name}, strided diagonal", strided_diagonal(zero), x, unwritten(m, m, n, dtype=dtype))
    yield by_numpy("row by row", row_by_row, x, unwritten(m, m, n, dtype=dtype))
    if jax:
        yield by_jax("jacrev", jax.jacrev(lambda A, x: A @ x), A, x)
        yield by_jax("by hand", lambda x: jnp.eye(m, dtype=x.dtype)[:, :, None] * x, x)
        yield by_jax("scatter", lambda x: jnp.zeros((m, m, n), x.dtype).at[jnp.arange(m), jnp.arange(m)].set(x), x)
    if torch:

        def by_hand(x, out):
            out.zero_().view(m * m, n)[:: m + 1] = x
            return out

        yield by_torch("func.jacrev", torch.func.jacrev(lambda A, x: A @ x), A, x)
        yield by_torch("by hand out=", by_hand, x, unwritten(m, m, n, dtype=dtype))
    if autograd and n <= 64:
        yield by_autograd("jacobian", autograd.jacobian(lambda A, x: anp.dot(A, x)), A, x)
    if tensorgrad:
        from sympy import Symbol

        A_, x_ = tensorgrad.Variable("A", Symbol("m"), Symbol("n")), tensorgrad.Variable("x", Symbol("n"))
        yield by_tensorgrad([(A_ @ x_).grad(A_, {"m": "k", "n": "l"})], {"m": m, "n": n}, A=A, x=x)


def gram_jacobian(m: int, n: int, dtype: str = "float64") -> Iterator[Implementation]:
    """∂(RᵀR)[p,q]/∂R[i,j] = δ[j,p] R[i,q] + δ[j,q] R[i,p] into the same array each time."""
    R = np.random.default_rng(m).standard_normal((m, n)).astype(dtype)

    def strided_diagonals(zero: Callable[[np.ndarray], None]) -> Callable[..., np.ndarray]:
        def jacobian(R: np.ndarray, out: np.ndarray) -> np.ndarray:
            zero(out)
            np.einsum("pqip->pqi", out)[...] = R.T
            np.einsum("pqiq->qpi", out)[...] += R.T
            return out

        return jacobian

    def slab_by_slab(zero: Callable[[np.ndarray], None]) -> Callable[..., np.ndarray]:
        def jacobian(R: np.ndarray, out: np.ndarray) -> np.ndarray:
            Rt = np.ascontiguousarray(R.T)
            for p in range(n):
                slab = out[p]
                zero(slab)
                slab[:, :, p] = Rt
                np.einsum("qiq->qi", slab)[...] += Rt[p]
            return out

        return jacobian

    symbol = mg.matrix("R")
    out = unwritten(n, n, m, n, dtype=dtype)
    yield ours("gram_jacobian", R, out=unwritten(n, n, m, n, dtype=dtype))
    yield compiled((symbol.T @ symbol).diff(symbol), [symbol], R, out=out)
    for name, zero in ZERO.items():
        yield by_numpy(f"{name}, strided diagonals", strided_diagonals(zero), R, unwritten(n, n, m, n, dtype=dtype))
        yield by_numpy(
            f"{name}, strided diagonals, slab by slab", slab_by_slab(zero), R, unwritten(n, n, m, n, dtype=dtype)
        )
    if jax:

        def by_hand(R):
            first = jnp.einsum("jp,iq->pqij", jnp.eye(n, dtype=R.dtype), R)
            return first + first.swapaxes(0, 1)

        yield by_jax("jacrev", jax.jacrev(lambda R: R.T @ R), R)
        yield by_jax("jacfwd", jax.jacfwd(lambda R: R.T @ R), R)
        yield by_jax("by hand", by_hand, R)
    if torch:

        def by_torch_hand(R, out):
            out.zero_()
            out.diagonal(0, 0, 3).copy_(R.T[:, :, None])
            out.diagonal(0, 1, 3).add_(R.T[:, :, None])
            return out

        yield by_torch("func.jacrev", torch.func.jacrev(lambda R: R.T @ R), R)
        yield by_torch("by hand out=", by_torch_hand, R, unwritten(n, n, m, n, dtype=dtype))
    if autograd and n <= 16:
        yield by_autograd("jacobian", autograd.jacobian(lambda R: anp.dot(R.T, R)), R)
    if tensorgrad:
        from sympy import Symbol

        R_ = tensorgrad.Variable("R", Symbol("m"), Symbol("n"))
        gram = R_.rename(n="p") @ R_.rename(n="q")
        yield by_tensorgrad([gram.grad(R_, {"m": "i", "n": "j"})], {"m": m, "n": n}, R=R)
