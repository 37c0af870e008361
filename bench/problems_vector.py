"""Implementations of the closed forms of a vector: bilinear forms, distances, log-sum-exp."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from scipy.linalg import blas

from bench.peers import Implementation, anp, autograd, by_autograd, by_jax, by_numpy, by_torch, jax, jnp, ours, torch


def random_vectors(count: int, n: int) -> list[np.ndarray]:
    return list(np.random.default_rng(n).standard_normal((count, n)))


def bilinear_gradient(n: int) -> Iterator[Implementation]:
    """(bᵀx) a + (aᵀx) b."""
    a, b, x = random_vectors(3, n)

    def products(a, b, x):
        return b.dot(x) * a + a.dot(x) * b

    def in_place(a, b, x):
        g = a * b.dot(x)
        g += b * a.dot(x)
        return g

    def axpy(a, b, x):
        return blas.daxpy(b, b.dot(x) * a, n, a.dot(x))

    yield ours("bilinear_form_gradient", a, b, x)
    yield by_numpy("two dots, two products", products, a, b, x)
    yield by_numpy("two dots, sum in place", in_place, a, b, x)
    yield by_numpy("daxpy", axpy, a, b, x)
    if jax:
        yield by_jax("grad", jax.grad(lambda x, a, b: (a @ x) * (x @ b)), x, a, b)
        yield by_jax("by hand", lambda a, b, x: (b @ x) * a + (a @ x) * b, a, b, x)
    if torch:
        yield by_torch("func.grad", torch.func.grad(lambda x, a, b: a.dot(x) * x.dot(b)), x, a, b)
        yield by_torch("by hand", products, a, b, x)
        yield by_torch("addcmul", lambda a, b, x: torch.addcmul(b.dot(x) * a, a.dot(x), b), a, b, x)
    if autograd:
        yield by_autograd("grad", autograd.grad(lambda x, a, b: anp.dot(a, x) * anp.dot(x, b)), x, a, b)


def bilinear_hessian(n: int) -> Iterator[Implementation]:
    """Compute abᵀ + baᵀ."""
    a, b, x = random_vectors(3, n)

    def plus_transpose(a, b):
        M = np.multiply.outer(a, b)
        return M + M.T

    def broadcast(a, b):
        M = a[:, None] * b
        return M + M.T

    def gemm(a, b):
        M = a[:, None].dot(b[None])
        return M + M.T

    def two_dger(a, b):
        return blas.dger(1.0, a, b, a=blas.dger(1.0, b, a), overwrite_a=1)

    yield ours("bilinear_form_hessian", a, b)
    yield by_numpy("outer product + its transpose", plus_transpose, a, b)
    yield by_numpy("broadcast product + its transpose", broadcast, a, b)
    yield by_numpy("dot of column and row + its transpose", gemm, a, b)
    yield by_numpy("dger twice", two_dger, a, b)
    if jax:
        yield by_jax("hessian", jax.hessian(lambda x, a, b: (a @ x) * (x @ b)), x, a, b)
        yield by_jax("by hand", broadcast, a, b)
    if torch:
        yield by_torch("func.hessian", torch.func.hessian(lambda x, a, b: a.dot(x) * x.dot(b)), x, a, b)
        yield by_torch("by hand", broadcast, a, b)
    if autograd:
        yield by_autograd("hessian", autograd.hessian(lambda x, a, b: anp.dot(a, x) * anp.dot(x, b)), x, a, b)


def distance_gradient(n: int) -> Iterator[Implementation]:
    """(x − a)/‖x − a‖."""
    x, a = random_vectors(2, n)
    sqrt = math.sqrt

    def divided(x, a):
        d = x - a
        d /= sqrt(d.dot(d))
        return d

    def multiplied(x, a):
        d = x - a
        d *= 1.0 / sqrt(d.dot(d))
        return d

    def nrm2(x, a):
        d = x - a
        d /= blas.dnrm2(d)
        return d

    yield ours("distance_gradient", x, a)
    yield by_numpy("dot, divided in place", divided, x, a)
    yield by_numpy("dot, multiplied in place", multiplied, x, a)
    yield by_numpy("dnrm2", nrm2, x, a)
    if jax:
        yield by_jax("grad", jax.grad(lambda x, a: jnp.linalg.norm(x - a)), x, a)
        yield by_jax("by hand", lambda x, a: (x - a) / jnp.sqrt((x - a) @ (x - a)), x, a)
    if torch:
        yield by_torch("func.grad", torch.func.grad(lambda x, a: torch.linalg.norm(x - a)), x, a)
        yield by_torch("normalize", lambda x, a: torch.nn.functional.normalize(x - a, dim=0), x, a)
        yield by_torch("by hand", lambda x, a: (d := x - a).div_(torch.linalg.vector_norm(d)), x, a)
    if autograd:
        yield by_autograd("grad", autograd.grad(lambda x, a: anp.sqrt(anp.sum((x - a) ** 2))), x, a)


def distance_hessian(n: int) -> Iterator[Implementation]:
    """(I − rrᵀ)/ρ with ρ = ‖x − a‖ and r = (x − a)/ρ."""
    x, a = random_vectors(2, n)
    identity, step, sqrt = np.eye(n), n + 1, math.sqrt

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

    def ger(x, a):
        d = x - a
        s = 1.0 / sqrt(d.dot(d))
        return blas.dger(-s * s * s, d, d, a=(s * identity).T, overwrite_a=1)

    yield ours("distance_hessian", x, a)
    yield by_numpy("outer product, strided diagonal", strided_diagonal, x, a)
    yield by_numpy("stored identity", scaled_identity, x, a)
    yield by_numpy("dger on a scaled identity", ger, x, a)
    if jax:

        def by_hand(x, a):
            d = x - a
            s = jax.lax.rsqrt(d @ d)
            r = d * s
            return (jnp.eye(n) - r[:, None] * r) * s

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


def softmax_in_place(x: np.ndarray) -> np.ndarray:
    s = np.exp(x - np.maximum.reduce(x))
    s /= np.add.reduce(s)
    return s


def logsumexp(n: int) -> Iterator[Implementation]:
    """Compute log Σ exp x, which must not overflow."""
    (x,) = random_vectors(1, n)

    def shifted(x):
        m = np.maximum.reduce(x)
        return m + math.log(np.add.reduce(np.exp(x - m)))

    def python_floats(x):
        values = x.tolist()
        m = max(values)
        return m + math.log(sum([math.exp(value - m) for value in values]))

    yield ours("logsumexp", x)
    yield by_numpy("shifted by the maximum", shifted, x)
    yield by_numpy("logaddexp.reduce", np.logaddexp.reduce, x)
    if n <= 16:
        yield by_numpy("Python's floats", python_floats, x)
    if jax:
        yield by_jax("nn.logsumexp", jax.nn.logsumexp, x)
    if torch:
        yield by_torch("logsumexp", lambda x: torch.logsumexp(x, 0), x)


def logsumexp_gradient(n: int) -> Iterator[Implementation]:
    """Compute the softmax of x."""
    (x,) = random_vectors(1, n)

    def in_one_buffer(x):
        s = x - np.maximum.reduce(x)
        np.exp(s, s)
        s *= 1.0 / np.add.reduce(s)
        return s

    ones = np.ones(n)

    def by_dot(x):
        s = x - x[x.argmax()]
        np.exp(s, s)
        s *= 1.0 / s.dot(ones)
        return s

    def python_floats(x):
        values = x.tolist()
        m = max(values)
        powers = [math.exp(value - m) for value in values]
        total = sum(powers)
        return np.array([power / total for power in powers])

    yield ours("logsumexp_gradient", x)
    yield by_numpy("exp, sum, divided in place", softmax_in_place, x)
    yield by_numpy("in one buffer", in_one_buffer, x)
    yield by_numpy("argmax, sum as a dot", by_dot, x)
    if n <= 16:
        yield by_numpy("Python's floats", python_floats, x)
    if jax:
        yield by_jax("grad of nn.logsumexp", jax.grad(jax.nn.logsumexp), x)
        yield by_jax("nn.softmax", jax.nn.softmax, x)
    if torch:
        yield by_torch("func.grad", torch.func.grad(lambda x: torch.logsumexp(x, 0)), x)
        yield by_torch("softmax", lambda x: torch.softmax(x, 0), x)
    if autograd:
        yield by_autograd("grad", autograd.grad(lambda x: anp.max(x) + anp.log(anp.sum(anp.exp(x - anp.max(x))))), x)


def logsumexp_hessian(n: int) -> Iterator[Implementation]:
    """Compute diag(s) − ssᵀ, s the softmax of x, as a new array."""
    (x,) = random_vectors(1, n)
    step = n + 1

    def strided_diagonal(x):
        s = softmax_in_place(x)
        H = np.multiply.outer(s, -s)
        H.reshape(-1)[::step] += s
        return H

    def subtracted(x):
        s = softmax_in_place(x)
        return np.diag(s) - s[:, None] * s

    def python_floats(x):
        values = x.tolist()
        m = max(values)
        powers = [math.exp(value - m) for value in values]
        total = sum(powers)
        s = [power / total for power in powers]
        return np.array([[(p - p * p) if i == j else -p * q for j, q in enumerate(s)] for i, p in enumerate(s)])

    yield ours("logsumexp_hessian", x)
    yield by_numpy("outer product, strided diagonal", strided_diagonal, x)
    yield by_numpy("diag − outer", subtracted, x)
    if n <= 16:
        yield by_numpy("Python's floats", python_floats, x)
    if jax:
        yield by_jax("hessian of nn.logsumexp", jax.hessian(jax.nn.logsumexp), x)
        yield by_jax("by hand", lambda x: jnp.diag(s := jax.nn.softmax(x)) - s[:, None] * s, x)
    if torch:
        yield by_torch("func.hessian", torch.func.hessian(lambda x: torch.logsumexp(x, 0)), x)
        yield by_torch("by hand", lambda x: torch.diag(s := torch.softmax(x, 0)).addr_(s, s, alpha=-1), x)
    if autograd:
        value = lambda x: anp.max(x) + anp.log(anp.sum(anp.exp(x - anp.max(x))))  # noqa: E731
        yield by_autograd("hessian", autograd.hessian(value), x)
