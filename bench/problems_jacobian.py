"""Implementations of large results mostly known beforehand: Jacobian tensors and the Hessian of log-sum-exp."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator

import numpy as np

from bench.peers import Implementation, anp, autograd, by_autograd, by_jax, by_numpy, by_torch, jax, jnp, ours, torch
from bench.problems_quadratic import unwritten
from bench.problems_vector import random_vectors, softmax_in_place


def fill(out: np.ndarray) -> None:
    """Set all elements to 0 as NumPy does."""
    out.fill(0.0)


def memset(out: np.ndarray) -> None:
    """Set all elements to 0 as the C library does."""
    ctypes.memset(out.ctypes.data, 0, out.nbytes)


ZERO = {"fill": fill, "memset": memset}


def matvec_jacobian(m: int, n: int) -> Iterator[Implementation]:
    """∂(Ax)[i]/∂A[k,l] = δ[i,k] x[l] into the same array each time."""
    generator = np.random.default_rng(m)
    A, x = generator.standard_normal((m, n)), generator.standard_normal(n)

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

    yield ours("matvec_jacobian", A, x, out=unwritten(m, m, n))
    for name, zero in ZERO.items():
        yield by_numpy(f"{name}, strided diagonal", strided_diagonal(zero), x, unwritten(m, m, n))
    yield by_numpy("row by row", row_by_row, x, unwritten(m, m, n))
    if jax:
        yield by_jax("jacrev", jax.jacrev(lambda A, x: A @ x), A, x)
        yield by_jax("by hand", lambda x: jnp.eye(m)[:, :, None] * x, x)
        yield by_jax("scatter", lambda x: jnp.zeros((m, m, n)).at[jnp.arange(m), jnp.arange(m)].set(x), x)
    if torch:

        def by_hand(x, out):
            out.zero_().view(m * m, n)[:: m + 1] = x
            return out

        yield by_torch("func.jacrev", torch.func.jacrev(lambda A, x: A @ x), A, x)
        yield by_torch("by hand out=", by_hand, x, unwritten(m, m, n))
    if autograd:
        yield by_autograd("jacobian", autograd.jacobian(lambda A, x: anp.dot(A, x)), A, x)


def gram_jacobian(m: int, n: int) -> Iterator[Implementation]:
    """∂(RᵀR)[p,q]/∂R[i,j] = δ[j,p] R[i,q] + δ[j,q] R[i,p] into the same array each time."""
    R = np.random.default_rng(m).standard_normal((m, n))

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

    yield ours("gram_jacobian", R, out=unwritten(n, n, m, n))
    for name, zero in ZERO.items():
        yield by_numpy(f"{name}, strided diagonals", strided_diagonals(zero), R, unwritten(n, n, m, n))
        yield by_numpy(f"{name}, strided diagonals, slab by slab", slab_by_slab(zero), R, unwritten(n, n, m, n))
    if jax:

        def by_hand(R):
            first = jnp.einsum("jp,iq->pqij", jnp.eye(n), R)
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
        yield by_torch("by hand out=", by_torch_hand, R, unwritten(n, n, m, n))
    if autograd:
        yield by_autograd("jacobian", autograd.jacobian(lambda R: anp.dot(R.T, R)), R)


def logsumexp_hessian(n: int) -> Iterator[Implementation]:
    """Compute diag(s) − ssᵀ, s the softmax of x, into the same array each time."""
    (x,) = random_vectors(1, n)

    def broadcast(x, out):
        s = softmax_in_place(x)
        np.multiply(s[:, None], -s, out)
        out.reshape(-1)[:: n + 1] += s
        return out

    def gemm(x, out):
        s = softmax_in_place(x)
        np.dot(s[:, None], -s[None], out)
        out.reshape(-1)[:: n + 1] += s
        return out

    def einsum(x, out):
        s = softmax_in_place(x)
        np.einsum("i,j->ij", s, -s, out=out)
        out.reshape(-1)[:: n + 1] += s
        return out

    yield ours("logsumexp_hessian", x, out=unwritten(n, n))
    yield by_numpy("broadcast product, strided diagonal", broadcast, x, unwritten(n, n))
    yield by_numpy("dot of column and row, strided diagonal", gemm, x, unwritten(n, n))
    yield by_numpy("einsum, strided diagonal", einsum, x, unwritten(n, n))
    if jax:
        yield by_jax("hessian of nn.logsumexp", jax.hessian(jax.nn.logsumexp), x)
        yield by_jax("by hand", lambda x: jnp.diag(s := jax.nn.softmax(x)) - s[:, None] * s, x)
        yield by_jax(
            "scatter", lambda x: (-(s := jax.nn.softmax(x))[:, None] * s).at[jnp.arange(n), jnp.arange(n)].add(s), x
        )
    if torch:

        def product(x, out):
            s = torch.softmax(x, 0)
            torch.mul(s[:, None], -s, out=out).diagonal().add_(s)
            return out

        def outer(x, out):
            s = torch.softmax(x, 0)
            torch.outer(s, -s, out=out).diagonal().add_(s)
            return out

        yield by_torch("product out=", product, x, unwritten(n, n))
        yield by_torch("outer out=", outer, x, unwritten(n, n))
