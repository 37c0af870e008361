"""Implementations of the linear least-squares loss ‖Xw − y‖² with its gradient 2Xᵀ(Xw − y)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

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
    by_tensorgrad,
    by_torch,
    compiled,
    jax,
    tensorgrad,
    torch,
    transformed,
)
from bench.problems_logistic import data, row_blocks


def loss(X: Any, y: Any, w: Any) -> Any:
    """As a user writes it."""
    return np.sum((X @ w - y) ** 2)


def value_and_gradient(n: int, d: int, dtype: str = "float64") -> Iterator[Implementation]:
    """‖Xw − y‖² and 2Xᵀ(Xw − y)."""
    X, y, w = data(n, d, dtype)
    gemv, dot = get_blas_funcs(("gemv", "dot"), dtype=dtype)

    def textbook(X, y, w):
        e = X @ w - y
        return np.sum(e**2), 2 * X.T @ e

    def in_place(X, y, w):
        e = X.dot(w)
        e -= y
        g = e.dot(X)
        g *= 2
        return e.dot(e), g

    def by_blas(X, y, w):
        e = gemv(1, X.T, w, beta=-1, y=y, trans=1)
        return dot(e, e), gemv(2, X.T, e)

    def in_row_blocks(rows: int) -> Callable[..., Any]:
        def value_and_gradient(X, y, w):
            total, g = 0.0, np.zeros_like(w)
            for start in range(0, n, rows):
                Xt = X[start : start + rows].T
                e = gemv(1, Xt, w, beta=-1, y=y[start : start + rows], trans=1)
                total += dot(e, e)
                g = gemv(2, Xt, e, beta=1, y=g, overwrite_y=1)
            return total, g

        return value_and_gradient

    symbols = [mg.matrix("X"), mg.vector("y"), mg.vector("w")]
    f = loss(*symbols)
    yield compiled([f, f.diff(symbols[2])], symbols, X, y, w)
    yield transformed("value_and_grad", mg.value_and_grad(loss, 2), X, y, w)
    yield by_numpy("textbook", textbook, X, y, w)
    yield by_numpy("in place", in_place, X, y, w)
    yield by_numpy("gemv", by_blas, X, y, w)
    for rows in row_blocks(n):
        yield by_numpy(f"gemv, blocks of {rows} rows", in_row_blocks(rows), X, y, w)
    if jax:

        def by_hand(X, y, w):
            e = X @ w - y
            return e @ e, 2 * (e @ X)

        yield by_jax("value_and_grad", jax.value_and_grad(lambda w, X, y: ((X @ w - y) ** 2).sum()), w, X, y)
        yield by_jax("by hand", by_hand, X, y, w)
    if torch:

        def by_torch_hand(X, y, w):
            e = torch.addmv(y, X, w, beta=-1)
            return e.dot(e), X.T.mv(e).mul_(2)

        gradient_first = torch.func.grad_and_value(lambda w, X, y: ((X @ w - y) ** 2).sum())
        yield by_torch("func.grad_and_value", lambda w, X, y: gradient_first(w, X, y)[::-1], w, X, y)
        yield by_torch("by hand", by_torch_hand, X, y, w)
    if autograd:
        differentiated = autograd.value_and_grad(lambda w, X, y: anp.sum((anp.dot(X, w) - y) ** 2))
        yield by_autograd("value_and_grad", differentiated, w, X, y)
    if tensorgrad:
        import tensorgrad.functions as F
        from sympy import Symbol

        rows, columns = Symbol("n"), Symbol("d")
        w_ = tensorgrad.Variable("w", columns)
        value = F.frobenius2(tensorgrad.Variable("X", rows, columns) @ w_ - tensorgrad.Variable("y", rows))
        yield by_tensorgrad([value, value.grad(w_, {"d": "k"})], {"n": n, "d": d}, X=X, y=y, w=w)
