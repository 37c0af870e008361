"""Implementations of log-sum-exp, of its gradient, which is the softmax, and of its Hessian."""

from __future__ import annotations

import math
from collections.abc import Iterator
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
    by_tensorgrad,
    by_torch,
    compiled,
    jax,
    jnp,
    ours,
    tensorgrad,
    torch,
    transformed,
)
from bench.problems_quadratic import unwritten
from bench.problems_vector import random_vectors


def in_autograd(x):
    m = anp.max(x)
    return m + anp.log(anp.sum(anp.exp(x - m)))


def in_tensorgrad() -> tuple[Any, Any]:
    """Return tensorgrad's x and log Σ exp x."""
    import tensorgrad.functions as F
    from sympy import Symbol

    x = tensorgrad.Variable("x", Symbol("n"))
    return x, F.log(F.sum(F.exp(x)))


def softmax_in_place(x: np.ndarray) -> np.ndarray:
    s = np.exp(x - np.maximum.reduce(x))
    s /= np.add.reduce(s)
    return s


def logsumexp(n: int, dtype: str = "float64") -> Iterator[Implementation]:
    """Compute log Σ exp x, which must not overflow."""
    (x,) = random_vectors(1, n, dtype)

    def shifted(x):
        m = np.maximum.reduce(x)
        return m + math.log(np.add.reduce(np.exp(x - m)))

    def python_floats(x):
        values = x.tolist()
        m = max(values)
        return m + math.log(sum([math.exp(value - m) for value in values]))

    symbol = mg.vector("x")
    yield ours("logsumexp", x)
    yield compiled(np.log(np.sum(np.exp(symbol))), [symbol], x)
    yield by_numpy("shifted by the maximum", shifted, x)
    yield by_numpy("logaddexp.reduce", np.logaddexp.reduce, x)
    if n <= 16:
        yield by_numpy("Python's floats", python_floats, x)
    if jax:
        yield by_jax("nn.logsumexp", jax.nn.logsumexp, x)
    if torch:
        yield by_torch("logsumexp", lambda x: torch.logsumexp(x, 0), x)
    if tensorgrad:
        yield by_tensorgrad([in_tensorgrad()[1]], {"n": n}, x=x)


def logsumexp_gradient(n: int, dtype: str = "float64") -> Iterator[Implementation]:
    """Compute the softmax of x."""
    (x,) = random_vectors(1, n, dtype)

    def in_one_buffer(x):
        s = x - np.maximum.reduce(x)
        np.exp(s, s)
        s *= 1.0 / np.add.reduce(s)
        return s

    ones = np.ones(n, dtype)

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

    symbol = mg.vector("x")
    yield ours("logsumexp_gradient", x)
    yield compiled(mg.logsumexp(symbol).diff(symbol), [symbol], x)
    yield transformed("grad", mg.grad(lambda x: np.log(np.sum(np.exp(x)))), x)
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
        yield by_autograd("grad", autograd.grad(in_autograd), x)
    if tensorgrad:
        variable, value = in_tensorgrad()
        yield by_tensorgrad([value.grad(variable, {"n": "k"})], {"n": n}, x=x)


def logsumexp_hessian(n: int, reuse: bool = False, dtype: str = "float64") -> Iterator[Implementation]:
    """
    Compute diag(s) − ssᵀ, s the softmax of x, as a new array or into the same one each time.

    The case "lse" of tensorgrad's benchmarks/second_order.py.
    """
    (x,) = random_vectors(1, n, dtype)
    step = n + 1

    def new() -> np.ndarray:
        return unwritten(n, n, dtype=dtype)

    def by_product(product):
        def hessian(x, *out):
            s = softmax_in_place(x)
            H = product(s, -s, *out)
            H.reshape(-1)[::step] += s
            return H

        return hessian

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

    products = {
        "broadcast product": lambda s, t, *out: np.multiply(s[:, None], t, *out),
        "dot of column and row": lambda s, t, *out: np.dot(s[:, None], t[None], *out),
        "einsum": lambda s, t, out=None: np.einsum("i,j->ij", s, t, out=out),
    }
    symbol = mg.vector("x")
    second = mg.logsumexp(symbol).diff(symbol, symbol)
    yield ours("logsumexp_hessian", x, **({"out": new()} if reuse else {}))
    yield compiled(second, [symbol], x, out=new() if reuse else None)
    for name, product in products.items():
        yield by_numpy(f"{name}, strided diagonal", by_product(product), x, *([new()] if reuse else []))
    if not reuse:
        yield by_numpy("diag − outer", subtracted, x)
    if n <= 16:
        yield by_numpy("Python's floats", python_floats, x)
    if jax:
        yield by_jax("hessian of nn.logsumexp", jax.hessian(jax.nn.logsumexp), x)
        yield by_jax("by hand", lambda x: jnp.diag(s := jax.nn.softmax(x)) - s[:, None] * s, x)
        yield by_jax(
            "scatter", lambda x: (-(s := jax.nn.softmax(x))[:, None] * s).at[jnp.arange(n), jnp.arange(n)].add(s), x
        )
    if torch:

        def by_torch_hand(x, out):
            s = torch.softmax(x, 0)
            torch.mul(s[:, None], -s, out=out).diagonal().add_(s)
            return out

        if reuse:
            yield by_torch("product out=", by_torch_hand, x, new())
        else:
            yield by_torch("func.hessian", torch.func.hessian(lambda x: torch.logsumexp(x, 0)), x)
            yield by_torch("by hand", lambda x: torch.diag(s := torch.softmax(x, 0)).addr_(s, s, alpha=-1), x)
    if autograd and n <= 64:
        yield by_autograd("hessian", autograd.hessian(in_autograd), x)
    if tensorgrad:
        variable, value = in_tensorgrad()
        yield by_tensorgrad([value.grad(variable, {"n": "k"}).grad(variable, {"n": "l"})], {"n": n}, x=x)
