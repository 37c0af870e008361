"""Implementations of the derivatives of bilinear forms and of distances."""

from __future__ import annotations

import math
from collections.abc import Iterator

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
    by_torch,
    compiled,
    jax,
    jnp,
    ours,
    torch,
    transformed,
)


def random_vectors(count: int, n: int, dtype: str = "float64") -> list[np.ndarray]:
    return list(np.random.default_rng(n).standard_normal((count, n)).astype(dtype))


def bilinear() -> tuple[list[mg.Expr], mg.Expr]:
    """Return the symbols a, b, x, and aᵀx xᵀb."""
    a, b, x = mg.vectors("a b x")
    return [a, b, x], (a @ x) * (x @ b)


def distance() -> tuple[list[mg.Expr], mg.Expr]:
    """Return the symbols x, a, and ‖x − a‖."""
    x, a = mg.vectors("x a")
    return [x, a], np.linalg.norm(x - a)


def bilinear_gradient(n: int, dtype: str = "float64") -> Iterator[Implementation]:
    """(bᵀx) a + (aᵀx) b."""
    a, b, x = random_vectors(3, n, dtype)

    def products(a, b, x):
        return b.dot(x) * a + a.dot(x) * b

    def in_place(a, b, x):
        g = a * b.dot(x)
        g += b * a.dot(x)
        return g

    axpy_of_dtype = get_blas_funcs("axpy", dtype=dtype)

    def axpy(a, b, x):
        return axpy_of_dtype(b, b.dot(x) * a, n, a.dot(x))

    symbols, f = bilinear()
    yield ours("bilinear_form_gradient", a, b, x)
    yield compiled(f.diff(symbols[2]), symbols, a, b, x)
    yield transformed("grad", mg.grad(lambda a, b, x: (a @ x) * (x @ b), 2), a, b, x)
    yield by_numpy("two dots, two products", products, a, b, x)
    yield by_numpy("two dots, sum in place", in_place, a, b, x)
    yield by_numpy("axpy", axpy, a, b, x)
    if jax:
        yield by_jax("grad", jax.grad(lambda x, a, b: (a @ x) * (x @ b)), x, a, b)
        yield by_jax("by hand", lambda a, b, x: (b @ x) * a + (a @ x) * b, a, b, x)
    if torch:
        yield by_torch("func.grad", torch.func.grad(lambda x, a, b: a.dot(x) * x.dot(b)), x, a, b)
        yield by_torch("by hand", products, a, b, x)
        yield by_torch("addcmul", lambda a, b, x: torch.addcmul(b.dot(x) * a, a.dot(x), b), a, b, x)
    if autograd:
        yield by_autograd("grad", autograd.grad(lambda x, a, b: anp.dot(a, x) * anp.dot(x, b)), x, a, b)


def bilinear_hessian(n: int, dtype: str = "float64") -> Iterator[Implementation]:
    """Compute abᵀ + baᵀ."""
    a, b, x = random_vectors(3, n, dtype)

    def plus_transpose(a, b):
        M = np.multiply.outer(a, b)
        return M + M.T

    def broadcast(a, b):
        M = a[:, None] * b
        return M + M.T

    def gemm(a, b):
        M = a[:, None].dot(b[None])
        return M + M.T

    ger = get_blas_funcs("ger", dtype=dtype)

    def two_ger(a, b):
        return ger(1.0, a, b, a=ger(1.0, b, a), overwrite_a=1)

    symbols, f = bilinear()
    yield ours("bilinear_form_hessian", a, b)
    yield compiled(f.diff(symbols[2], symbols[2]), symbols[:2], a, b)
    yield by_numpy("outer product + its transpose", plus_transpose, a, b)
    yield by_numpy("broadcast product + its transpose", broadcast, a, b)
    yield by_numpy("dot of column and row + its transpose", gemm, a, b)
    yield by_numpy("ger twice", two_ger, a, b)
    if jax:
        yield by_jax("hessian", jax.hessian(lambda x, a, b: (a @ x) * (x @ b)), x, a, b)
        yield by_jax("by hand", broadcast, a, b)
    if torch:
        yield by_torch("func.hessian", torch.func.hessian(lambda x, a, b: a.dot(x) * x.dot(b)), x, a, b)
        yield by_torch("by hand", broadcast, a, b)
    if autograd:
        yield by_autograd("hessian", autograd.hessian(lambda x, a, b: anp.dot(a, x) * anp.dot(x, b)), x, a, b)


def distance_gradient(n: int, dtype: str = "float64") -> Iterator[Implementation]:
    """(x − a)/‖x − a‖."""
    x, a = random_vectors(2, n, dtype)
    sqrt = math.sqrt

    def divided(x, a):
        d = x - a
        d /= sqrt(d.dot(d))
        return d

    def multiplied(x, a):
        d = x - a
        d *= 1.0 / sqrt(d.dot(d))
        return d

    norm = get_blas_funcs("nrm2", dtype=dtype)

    def nrm2(x, a):
        d = x - a
        d /= norm(d)
        return d

    symbols, f = distance()
    yield ours("distance_gradient", x, a)
    yield compiled(f.diff(symbols[0]), symbols, x, a)
    yield transformed("grad", mg.grad(lambda x, a: np.linalg.norm(x - a)), x, a)
    yield by_numpy("dot, divided in place", divided, x, a)
    yield by_numpy("dot, multiplied in place", multiplied, x, a)
    yield by_numpy("nrm2", nrm2, x, a)
    if jax:
        yield by_jax("grad", jax.grad(lambda x, a: jnp.linalg.norm(x - a)), x, a)
        yield by_jax("by hand", lambda x, a: (x - a) / jnp.sqrt((x - a) @ (x - a)), x, a)
    if torch:
        yield by_torch("func.grad", torch.func.grad(lambda x, a: torch.linalg.norm(x - a)), x, a)
        yield by_torch("normalize", lambda x, a: torch.nn.functional.normalize(x - a, dim=0), x, a)
        yield by_torch("by hand", lambda x, a: (d := x - a).div_(torch.linalg.vector_norm(d)), x, a)
    if autograd:
        yield by_autograd("grad", autograd.grad(lambda x, a: anp.sqrt(anp.sum((x - a) ** 2))), x, a)


def distance_hessian(n: int, dtype: str = "float64") -> Iterator[Implementation]:
    """(I − rrᵀ)/ρ with ρ = ‖x − a‖ and r = (x − a)/ρ."""
    x, a = random_vectors(2, n, dtype)
    identity, step, sqrt = np.eye(n, dtype=dtype), n + 1, math.sqrt

    def strided_diagonal(x, a):
        d = x - a
        s = 1.0 / sqrt(d.dot(d))
        H = np.multiply.outer(d, d * (-s * s * s))
        H.reshape(-1)[::step] += s
        return H

    def scaled_identity(x, a):
        d = x - a
        s = 1.0 / sqrt(d.dot(d))
        d *= s
        H = identity - d[:, None] * d
        H *= s
        return H

    rank_one = get_blas_funcs("ger", dtype=dtype)

    def ger(x, a):
        d = x - a
        s = 1.0 / sqrt(d.dot(d))
        return rank_one(-s * s * s, d, d, a=(s * identity).T, overwrite_a=1)

    symbols, f = distance()
    yield ours("distance_hessian", x, a)
    yield compiled(f.diff(symbols[0], symbols[0]), symbols, x, a)
    yield by_numpy("outer product, strided diagonal", strided_diagonal, x, a)
    yield by_numpy("stored identity", scaled_identity, x, a)
    yield by_numpy("ger on a scaled identity", ger, x, a)
    if jax:

        def by_hand(x, a):
            d = x - a
            s = jax.lax.rsqrt(d @ d)
            r = d * s
            return (jnp.eye(n, dtype=x.dtype) - r[:, None] * r) * s

        yield by_jax("hessian", jax.hessian(lambda x, a: jnp.linalg.norm(x - a)), x, a)
        yield by_jax("by hand", by_hand, x, a)
    if torch:

        def by_torch_hand(x, a, identity):
            d = x - a
            s = torch.linalg.vector_norm(d).reciprocal_()
            d *= s
            return torch.addr(identity, d, d, alpha=-1).mul_(s)

        yield by_torch("func.hessian", torch.func.hessian(lambda x, a: torch.linalg.norm(x - a)), x, a)
        yield by_torch("by hand", by_torch_hand, x, a, identity)
    if autograd:
        yield by_autograd("hessian", autograd.hessian(lambda x, a: anp.sqrt(anp.sum((x - a) ** 2))), x, a)
