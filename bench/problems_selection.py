"""Implementations of losses over selected, ordered and accumulated entries: embeddings, medians, running sums."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from scipy.sparse import csr_array

import matgrad as mg
from bench.peers import (
    Implementation,
    anp,
    autograd,
    by_autograd,
    by_jax,
    by_numpy,
    by_torch,
    jax,
    jnp,
    torch,
    transformed,
)


def embedding(rows: int, d: int, count: int, dtype: str = "float64") -> Iterator[Implementation]:
    """‖E[p] − Y‖² and its gradient by the table E, of which `count` rows are looked up."""
    generator = np.random.default_rng(rows)
    E, Y = (generator.standard_normal((n, d)).astype(dtype) for n in (rows, count))
    p = generator.integers(0, rows, count)
    adjoint = csr_array((np.ones(count, dtype), (p, np.arange(count))), (rows, count))
    residual, twice = np.empty_like(Y), np.asarray(2, dtype)

    def by_product(E, Y):
        np.take(E, p, 0, residual)
        np.subtract(residual, Y, residual)
        gradient = adjoint @ residual
        gradient *= twice
        return np.vdot(residual, residual), gradient

    def by_addition(E, Y):
        r = E[p] - Y
        gradient = np.zeros_like(E)
        np.add.at(gradient, p, twice * r)
        return np.vdot(r, r), gradient

    yield transformed("value_and_grad", mg.value_and_grad(lambda E, Y: np.sum((E[p] - Y) ** 2)), E, Y)
    yield by_numpy("take, CSR of the places", by_product, E, Y)
    yield by_numpy("add.at", by_addition, E, Y)
    if jax:
        yield by_jax("value_and_grad", jax.value_and_grad(lambda E, Y: jnp.sum((E[p] - Y) ** 2)), E, Y)
    if torch:
        places = torch.from_numpy(p)

        def in_torch(E, Y):
            table = E.detach().requires_grad_()
            loss = (torch.nn.functional.embedding(places, table) - Y).square().sum()
            return loss.detach(), torch.autograd.grad(loss, table)[0]

        yield by_torch("autograd", in_torch, E, Y)
    if autograd:
        yield by_autograd("value_and_grad", autograd.value_and_grad(lambda E, Y: anp.sum((E[p] - Y) ** 2)), E, Y)


def running_sum(n: int, dtype: str = "float64") -> Iterator[Implementation]:
    """‖cumsum(x) − y‖² and its gradient by x."""
    x, y = np.random.default_rng(n).standard_normal((2, n)).astype(dtype)

    def by_hand(x, y):
        r = np.add.accumulate(x)
        r -= y
        value = r.dot(r)
        r += r
        return value, np.add.accumulate(r[::-1])[::-1]

    yield transformed("value_and_grad", mg.value_and_grad(lambda x, y: np.sum((np.cumsum(x) - y) ** 2)), x, y)
    yield by_numpy("accumulate in place", by_hand, x, y)
    if jax:
        yield by_jax("value_and_grad", jax.value_and_grad(lambda x, y: jnp.sum((jnp.cumsum(x) - y) ** 2)), x, y)
    if torch:

        def in_torch(x, y):
            r = torch.cumsum(x, 0) - y
            return r @ r, 2 * torch.flip(torch.cumsum(torch.flip(r, (0,)), 0), (0,))

        yield by_torch("by hand", in_torch, x, y)
    if autograd:
        yield by_autograd(
            "value_and_grad", autograd.value_and_grad(lambda x, y: anp.sum((anp.cumsum(x) - y) ** 2)), x, y
        )


def trimmed(n: int, dtype: str = "float64") -> Iterator[Implementation]:
    """The sum of the smaller half of squared residuals, and its gradient."""
    x, y = np.random.default_rng(n).standard_normal((2, n)).astype(dtype)
    half = n // 2

    def by_hand(x, y):
        r = x - y
        squares = r * r
        kept = np.argpartition(squares, half)[:half]
        gradient = np.zeros_like(r)
        gradient[kept] = 2 * r[kept]
        return squares[kept].sum(), gradient

    yield transformed("value_and_grad", mg.value_and_grad(lambda x, y: np.sum(np.sort((x - y) ** 2)[:half])), x, y)
    yield by_numpy("argpartition", by_hand, x, y)
    if jax:
        yield by_jax("value_and_grad", jax.value_and_grad(lambda x, y: jnp.sum(jnp.sort((x - y) ** 2)[:half])), x, y)
    if torch:

        def in_torch(x, y):
            r = x - y
            values, kept = torch.topk(r.square(), half, largest=False, sorted=False)
            return values.sum(), torch.zeros_like(r).index_copy_(0, kept, 2 * r[kept])

        yield by_torch("topk", in_torch, x, y)
