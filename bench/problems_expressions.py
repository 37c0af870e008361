"""Implementations of deriving formulas."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

import matgrad as mg
from bench.peers import OURS, Implementation, jax, jnp
from matgrad import _core


def cold(derive: Callable[[], Any]) -> Callable[[], tuple[int, ...]]:
    """Return a function that derives in a process without expressions, and gives the derivatives' numbers of axes."""

    def call() -> tuple[int, ...]:
        derivatives = derive()
        return tuple(derivative.ndim for derivative in derivatives)

    left = _core.live_nodes()
    call()
    if _core.live_nodes() != left:
        raise RuntimeError("nodes outlive their expressions, so that the next derivation would find them")
    return call


def by_trace(label: str, make: Callable[[], Callable[..., Any]], *arguments: np.ndarray) -> Implementation:
    """Return JAX's trace of a function that is new to it each time, so that nothing is found in a cache."""

    def call() -> tuple[int, ...]:
        return tuple(len(result.shape) for result in jax.make_jaxpr(make())(*arguments).out_avals)

    return Implementation("jax", f"make_jaxpr, {label}", call)


def factorization_gradient(n: int) -> Iterator[Implementation]:
    """−2 (X − UV)Vᵀ and −2 Uᵀ(X − UV), from ‖X − UV‖²."""

    def derive():
        X, U, V = mg.matrices("X U V")
        f = np.sum((X - U @ V) ** 2)
        return f.diff(U), f.diff(V)

    yield Implementation(OURS, "diff", cold(derive))
    if jax:
        loss = lambda: jax.grad(lambda X, U, V: jnp.sum((X - U @ V) ** 2), (1, 2))  # noqa: E731
        yield by_trace("grad", loss, np.ones((n, n + 1)), np.ones((n, 2)), np.ones((2, n + 1)))


def logistic_hessian(n: int) -> Iterator[Implementation]:
    """Xᵀdiag(σ(1 − σ))X, from Σ log(1 + exp(−y ⊙ Xw))."""

    def derive():
        X, y, w = mg.matrix("X"), mg.vector("y"), mg.vector("w")
        return (np.sum(np.log(1 + np.exp(-y * (X @ w)))).diff(w, w),)

    yield Implementation(OURS, "diff", cold(derive))
    if jax:
        loss = lambda: jax.hessian(lambda w, X, y: jnp.sum(jnp.log(1 + jnp.exp(-y * (X @ w)))))  # noqa: E731
        yield by_trace("hessian", loss, np.ones(n + 1), np.ones((n, n + 1)), np.ones(n))


def polynomial_derivative(order: int) -> Iterator[Implementation]:
    """A derivative of (1 + x + 2x² − x³)⁴."""

    def polynomial(x):
        return (1 + x + 2 * x**2 - x**3) ** 4

    def derive():
        x = mg.scalar("x")
        return (polynomial(x).diff(*[x] * order),)

    yield Implementation(OURS, "diff", cold(derive))
    if jax:
        from jax.experimental import jet

        def taylor():
            direction = [1.0] + [0.0] * (order - 1)
            return lambda x: jet.jet(lambda x: polynomial(x), (x,), (direction,))[1][-1]

        yield by_trace("jet", taylor, np.float64(1.0))
        if order < 6:  # the nested one takes 3 times as long with each order
            nested = lambda: functools.reduce(lambda f, _: jax.grad(f), range(order), lambda x: polynomial(x))  # noqa: E731
            yield by_trace("nested grad", nested, np.float64(1.0))
